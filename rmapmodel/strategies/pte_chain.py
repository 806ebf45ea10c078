"""`pte_chain`: every page knows every pte that maps it, Linux 2.5.27 to 2.6.6."""

import numpy as np

from ..cost.ledger import Walk
from ..cost.sizes import FIELD, LINE
from ..errors import NoMemory
from .base import Strategy, register
from .chains import Chains

PAGE_BITS = 36
"""Bits of a page number in a pte's identity, (mm number << PAGE_BITS) | page; the kernel stores the pte's address."""


def first_of_each(frames):
    """Masks that split an array of frames with repeats into arrays without (a nonlinear area maps one page often)."""
    left = np.arange(len(frames))
    while len(left) > 1:
        _, first = np.unique(frames[left], return_index=True)
        yield left[first]
        left = np.delete(left, first)
    if len(left):
        yield left


@register
class PteChainStrategy(Strategy):
    """Rik van Riel's reverse map of 2002, as changed by William Lee Irwin and Andrew Morton (arrays in an element).

    A page points to its only pte directly (flag PageDirect), or to a chain of elements of one cache line, each with
    NRPTE pte addresses. It has no index: file and anonymous pages are alike, and vmas carry nothing, so nothing but
    flags keeps areas apart: anonymous offsets are not even compared. [mm/rmap.c@2.6.0 to 2.6.6; kernel-facts section 2]
    """

    name = "pte_chain"
    objects = ("pte_chain",)
    embeds = {"page": ("pointer",)}
    default_index = ("list", "list")
    walks_files = False

    def __init__(self, kernel, index=None, arch="x86_64"):
        super().__init__(kernel, index, arch)
        # an element is one cache line: a word for next and index, the rest pte addresses
        slots = (LINE[arch] - FIELD[arch]["long"]) // FIELD[arch]["pointer"]
        self.chains = Chains(slots, lambda count: self.ledger.alloc("pte_chain", count),
                             lambda count: self.ledger.free("pte_chain", count))
        self.direct = np.zeros(0, np.int64)

    def attach(self, machine):
        super().attach(machine)
        self.chains.attach(machine.budget)

    def offsets_meet(self, area, vma):
        return True

    # -- page_add_rmap, page_remove_rmap

    def add(self, mm, frames, pages):
        """One more pte for each frame: direct while it is the only one, else a slot of a chain."""
        if len(self.direct) < len(self.frames.mapcount):
            self.machine.budget.need(8 * (len(self.frames.mapcount) - len(self.direct)))
            self.direct = np.concatenate([self.direct, np.zeros(len(self.frames.mapcount) - len(self.direct), np.int64)])
        ptes, added = pages.astype(np.int64) | mm.number << PAGE_BITS, []
        try:
            for part in first_of_each(frames):
                self._add(frames[part], ptes[part])
                added.append(part)
        except NoMemory:
            for part in added:
                self.drop(mm, frames[part], pages[part])
            raise

    def _add(self, frame, pte):
        chained = self.chains.head(frame) != 0
        only = self.direct[frame]
        empty = ~chained & (only == 0)
        second = ~chained & ~empty
        self.chains.add(frame[chained], pte[chained])
        try:
            self.chains.add(frame[second], only[second])
        except NoMemory:
            self.chains.remove(frame[chained], pte[chained])
            raise
        self.chains.add(frame[second], pte[second])  # the element just made has room for both
        self.direct[frame[empty]] = pte[empty]
        self.direct[frame[second]] = 0
        self.lock(len(frame), int(not empty.all()))

    def lock(self, count, elements):
        """The lock of each page's chain (include/linux/rmap-locking.h:pte_chain_lock), a bit in its flags."""
        self.ledger.lock("PG_chainlock", "exclusive", None, elements, count)

    def drop(self, mm, frames, pages):
        """One pte less for each frame; a chain of one stays a chain."""
        ptes = pages.astype(np.int64) | mm.number << PAGE_BITS
        for part in first_of_each(frames):
            frame, pte = frames[part], ptes[part]
            direct = self.direct[frame] == pte
            self.direct[frame[direct]] = 0
            self.lock(len(part), self.chains.remove(frame[~direct], pte[~direct]))

    def mapped_new(self, vma, frames, pages):
        self.add(vma.mm, frames, pages)

    def duplicated(self, vma, parent_vma, frames, pages):
        self.add(vma.mm, frames, pages)

    def moved(self, vma, frames, old_pages, new_pages):
        self.drop(vma.mm, frames, old_pages)
        try:
            self.add(vma.mm, frames, new_pages)
        except NoMemory:
            with self.ledger.unfailing():
                self.add(vma.mm, frames, old_pages)
            raise

    def unmapped(self, mm, frames, pages):
        self.drop(mm, frames, pages)

    def swapped_in(self, vma, frames, pages, exclusive):
        self.add(vma.mm, frames, pages)

    file_mapped, file_unmapped, file_moved = mapped_new, unmapped, moved

    # -- page_referenced, try_to_unmap

    def walk(self, frames, log=None):
        """Every pte of the chain, in the chain's order; nothing else is visited."""
        walk = Walk(frames, self.frames.mapcount[frames])
        walk.lines += self.ledger.lines("page")
        self.walk_anonymous(walk, np.arange(len(frames)), log)
        return walk

    def walk_anonymous(self, walk, at, log):
        frames = walk.frames[at]
        elements, chained = self.chains.lengths(frames)
        alone = frames[chained == 0]
        self._found(walk, alone, self.direct[alone], log)
        for places, values in self.chains.values(frames):
            self._found(walk, frames[places], values, log)
        count = np.where(chained == 0, 1, chained)
        for part in (walk.examined, walk.candidates, walk.ptes, walk.pt_locks):
            part[at] += count
        walk.nodes[at] += elements
        walk.lock(at, "PG_chainlock", "exclusive", None, elements)
        # the elements, and for each pte the struct page of its page table, which names mm and address
        walk.lines[at] += elements * self.ledger.lines("pte_chain") + count * self.ledger.lines("page")

    def _found(self, walk, frames, ptes, log):
        numbers, pages = ptes >> PAGE_BITS, ptes & (1 << PAGE_BITS) - 1
        walk.found(frames, numbers, pages)
        if log is not None:
            for number, page in zip(numbers.tolist(), pages.tolist()):
                log.append({"visits": "pte", "mm": number, "pids": sorted(self.machine.mms[number].users),
                            "address": page * 4096, "outcome": "maps it"})

    def referenced(self, walk):
        """page_referenced turns a chain of one pte back into a direct pointer."""
        elements, chained = self.chains.lengths(walk.frames)
        single = walk.frames[chained == 1]
        for at, values in self.chains.values(single):
            self.direct[single[at]] = values
        self.chains.clear(single)

    def count_objects(self):
        return {"pte_chain": self.chains.census()}
