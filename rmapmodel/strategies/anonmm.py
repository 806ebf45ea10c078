"""`anonmm`: one object per mm, linked per exec family; moved shared pages carry chains of addresses."""

import numpy as np

from ..errors import NoMemory
from .base import register
from .chains import Chains
from .families import AnonMmFamilies
from .files import FilePages
from .pte_chain import first_of_each
from .search import note

ADDRESSES = 7
"""Slots of an rmap_chain; slot 0 of the first holds the map count (anobjrmap 5/6, 20 March 2003)."""

COUNT = np.int64(1) << 62
"""Stands for the map count in that slot."""


@register
class AnonMmStrategy(AnonMmFamilies):
    """Hugh Dickins' "anobjrmap" of 20 March 2003, with 5/6 "rechained": the design that the thread calls anonmm.

    A page points to the anonmm of the mm that first mapped it; its index is its virtual address. It is looked for at
    that address in every mm of the family. A vma carries nothing. Where mremap moves a page that others map too, the
    new address goes into a chain of addresses that hangs off the page until nothing maps it any more. A page of a file
    that a nonlinear area maps has such a chain too, tried in the mm of every vma of the file.
    [kernel-facts section 4; Pine.LNX.4.44.0303202316020.2743-100000@localhost.localdomain]
    """

    name = "anonmm"
    objects = ("anonmm", "rmap_chain")

    def __init__(self, kernel, index=None, arch="x86_64"):
        super().__init__(kernel, index, arch)
        self.files = FilePages(self, sweeps=False)
        self.chains = Chains(ADDRESSES, lambda count: self.ledger.alloc("rmap_chain", count),
                             lambda count: self.ledger.free("rmap_chain", count))

    def attach(self, machine):
        super().attach(machine)
        self.chains.attach(machine.budget)

    def unmapped(self, mm, frames, pages):
        self.chains.clear(frames[(self.frames.mapcount[frames] == 0) & (self.frames.anchor[frames] != 0)])
        super().unmapped(mm, frames, pages)

    def reused(self, vma, frames, pages):
        """page_turn_rmap (anobjrmap 4/6): a page that its last owner writes to turns to the writer's anonmm."""
        index = self.frames.index[frames]
        self.unpoint(frames)
        self.point(frames, index, vma.mm.anon)

    def referenced(self, walk):
        """Pages of a dead mm stay with it, as long as nobody else writes to them; 2.6.6-bk moves them on."""

    def moved(self, vma, frames, old_pages, new_pages):
        alone = (self.frames.mapcount[frames] == 1) & (self.chains.head(frames) == 0)
        self.note_address(frames[~alone], new_pages[~alone])
        self.frames.index[frames[alone]] = new_pages[alone]

    def brought_elsewhere(self, vma, frames, pages):
        self.note_address(frames, pages)

    def note_address(self, frames, pages):
        """Chains an address to each anonymous page unless it is the index."""
        other = self.frames.index[frames] != pages
        self.chain(frames[other], pages[other])

    def chain(self, frames, pages):
        """Chains an address to each page, which may repeat, unless it is in the chain already (add_rmap_address)."""
        added, begun = [], []
        try:
            for part in first_of_each(frames):
                new = np.ones(len(part), np.bool_)
                for at, values in self.chains.values(frames[part]):
                    new[at[values == pages[part][at]]] = False
                frame, page = frames[part][new], pages[part][new].astype(np.int64)
                first = self.chains.head(frame) == 0
                self.chains.add(frame[~first], page[~first])
                added.append((frame[~first], page[~first]))
                self.chains.add(frame[first], np.full(int(first.sum()), COUNT))
                begun.append(frame[first])
                self.chains.add(frame[first], page[first])
        except NoMemory:
            for frame, page in reversed(added):
                self.chains.remove(frame, page)
            for frame in begun:
                self.chains.clear(frame)
            raise

    def elsewhere(self, walk, at):
        """Every chained address, the one chained first first."""
        elements, _ = self.chains.lengths(walk.frames[at])
        walk.lines[at] += elements * self.ledger.lines("rmap_chain")
        chained = []
        for places, values in self.chains.values(walk.frames[at]):
            address = values != COUNT
            if address.any():
                chained.insert(0, (places[address], values[address]))
        return chained

    # -- pages of files

    def file_mapped(self, vma, frames, pages):
        astray = self.frames.index[frames] != vma.pgoff + pages - vma.start
        self.chain(frames[astray], pages[astray])

    def file_moved(self, vma, frames, old_pages, new_pages):
        self.file_mapped(vma, frames, new_pages)

    def file_unmapped(self, mm, frames, pages):
        self.chains.clear(np.unique(frames[self.frames.mapcount[frames] == 0]))

    def walk_files(self, walk, at, log):
        chained = self.chains.head(walk.frames[at]) != 0
        if not chained.all():
            self.files.walk(walk, at[~chained], log)
        if chained.any():
            for number, places in self.groups(walk.frames[at[chained]]):
                self._walk_scattered(walk, at[chained][places], self.machine.file_numbers[number], log)

    def _walk_scattered(self, walk, places, file, log):
        # page_referenced_obj, try_to_unmap_obj: in the mm of each vma the linear address, then every chained one
        index = self.frames.index[walk.frames[places]]
        found, active = np.zeros(len(places), np.int64), np.arange(len(places))
        chained, seen = self.elsewhere(walk, places), set()
        vmas = [vma for tree in file.index for vma in tree]
        walk.candidates[places] += len(vmas)
        walk.lines[places] += self.ledger.lines("address_space")
        for vma in vmas:
            active = active[found[active] < walk.mapcount[places[active]]]
            if not len(active):
                break
            for part in (walk.examined, walk.nodes):
                part[places[active]] += 1
            walk.lines[places[active]] += self.ledger.lines("vm_area_struct")
            if vma.mm.rss:
                linear = index - vma.pgoff + vma.start
                inside = active[(linear[active] >= vma.start) & (linear[active] < vma.end)]
                self._try(walk, places, vma, inside, linear, found, seen, log)
                for which, values in chained:
                    pages = linear.copy()
                    pages[which] = values
                    left = (found[which] < walk.mapcount[places[which]]) & \
                        ((values != linear[which]) | (values < vma.start) | (values >= vma.end))
                    self._try(walk, places, vma, which[left], pages, found, seen, log)
        walk.lock(places, "i_mmap", "exclusive", file.number, walk.nodes[places])

    def _try(self, walk, places, vma, which, pages, found, seen, log):
        # a pte that was found through one vma is not found again through another of the same mm
        fresh = [at for at in which.tolist() if (vma.mm.number, at, int(pages[at])) not in seen]
        before = found.copy()
        self._probe(walk, places, vma.mm, np.array(fresh, np.int64), pages, found, None)
        seen.update((vma.mm.number, at, int(pages[at])) for at in fresh if found[at] > before[at])
        for at in fresh:
            note(log, vma, int(pages[at]), "maps it" if found[at] > before[at] else "does not map it")

    def count_objects(self):
        return {**super().count_objects(), "rmap_chain": self.chains.census()}
