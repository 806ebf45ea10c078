"""`anonmm`: one object per mm, linked per exec family; moved shared pages carry chains of addresses."""

import numpy as np

from ..vm.vma import PAGE
from .base import Strategy, register
from .chains import Chains

ADDRESSES = 7
"""Slots of an rmap_chain; slot 0 of the first holds the map count (anobjrmap 5/6, 20 March 2003)."""

COUNT = np.int64(1) << 62
"""Stands for the map count in that slot."""


class AnonMm:
    """The object that pages point to: an mm, the family it belongs to, and how many pages point here."""

    __slots__ = ("number", "mm", "family", "pages")

    def __init__(self, number, mm, family):
        self.number, self.mm, self.family, self.pages = number, mm, family, 0


class Family:
    """All anonmms that descend by fork from one exec, a circular list from the exec's own, younger ones at the tail."""

    __slots__ = ("members", "head")

    def __init__(self):
        self.members, self.head = {}, None

    def from_member(self, anonmm):
        """The members in the order a walk meets them: the page's own, the younger, then round to the older."""
        members = list(self.members.values())
        at = members.index(anonmm)
        return members[at:] + members[:at]


@register
class AnonMmStrategy(Strategy):
    """Hugh Dickins' "anobjrmap" of 20 March 2003, with 5/6 "rechained": the design that the thread calls anonmm.

    A page points to the anonmm of the mm that first mapped it; its index is its virtual address. It is looked for at
    that address in every mm of the family. A vma carries nothing. Where mremap moves a page that others map too, the
    new address goes into a chain of addresses that hangs off the page until nothing maps it any more.
    [kernel-facts section 4]
    """

    name = "anonmm"
    objects = ("anonmm", "rmap_chain")
    embeds = {"mm": ("pointer",), "page": ("int",)}
    default_index = ("list", "list")

    def __init__(self, kernel, index=None, arch="x86_64"):
        super().__init__(kernel, index, arch)
        self.chains = Chains(ADDRESSES, lambda count: self.ledger.alloc("rmap_chain", count),
                             lambda count: self.ledger.free("rmap_chain", count))
        self.anonmms, self.made = {}, 0

    def attach(self, machine):
        super().attach(machine)
        self.chains.attach(machine.budget)

    def offsets_meet(self, area, vma):
        return True

    # -- address spaces: exec_rmap, dup_rmap, exit_rmap

    def mm_made(self, mm):
        self._new(mm, Family())

    def mm_forked(self, child, parent):
        self._new(child, parent.anon.family)

    def _new(self, mm, family):
        self.ledger.alloc("anonmm")
        self.made += 1
        mm.anon = family.members[self.made] = self.anonmms[self.made] = AnonMm(self.made, mm, family)
        family.head = family.head or mm.anon

    def mm_gone(self, mm):
        mm.anon.mm = None
        self._put(mm.anon)

    def _put(self, anonmm):
        # an anonmm lives while its mm or a page does, a family's head while any other member does
        family = anonmm.family
        if anonmm.mm is not None or anonmm.pages or (anonmm is family.head and len(family.members) > 1):
            return
        del family.members[anonmm.number], self.anonmms[anonmm.number]
        self.ledger.free("anonmm")
        if anonmm is not family.head:
            self._put(family.head)

    # -- pages: page_add_anon_rmap, page_remove_rmap

    def mapped_new(self, vma, frames, pages):
        self.point(frames, pages, vma.mm.anon)

    def point(self, frames, pages, anonmm):
        """Points pages that nothing else maps at an anonmm."""
        self.frames.anchor[frames] = anonmm.number
        self.frames.index[frames] = pages
        anonmm.pages += len(frames)

    def unmapped(self, mm, frames, pages):
        gone = frames[(self.frames.mapcount[frames] == 0) & (self.frames.anchor[frames] != 0)]
        self.chains.clear(gone)
        self._unpoint(gone)

    def _unpoint(self, frames):
        numbers, counts = np.unique(self.frames.anchor[frames], return_counts=True)
        self.frames.anchor[frames] = 0
        for number, count in zip(numbers.tolist(), counts.tolist()):
            anonmm = self.anonmms[number]
            anonmm.pages -= count
            self._put(anonmm)

    def swapped_in(self, vma, frames, pages, exclusive):
        """The first to bring a page back decides where it points; another address of the same page is chained."""
        fresh = self.frames.anchor[frames] == 0
        self.point(frames[fresh], pages[fresh], vma.mm.anon)
        self.note_address(frames[~fresh], pages[~fresh])

    def moved(self, vma, frames, old_pages, new_pages):
        alone = (self.frames.mapcount[frames] == 1) & (self.chains.head(frames) == 0)
        self.frames.index[frames[alone]] = new_pages[alone]
        self.note_address(frames[~alone], new_pages[~alone])

    def note_address(self, frames, pages):
        """Chains an address to each page unless it is the index or in the chain already."""
        new = self.frames.index[frames] != pages
        for at, values in self.chains.values(frames):
            new[at[values == pages[at]]] = False
        frames, pages = frames[new], pages[new]
        first = frames[self.chains.head(frames) == 0]
        self.chains.add(first, np.full(len(first), COUNT))
        self.chains.add(frames, pages.astype(np.int64))

    # -- the walk: page_referenced_anon, try_to_unmap_anon

    def walk_anonymous(self, walk, at, log):
        own, chain_lines = self.ledger.lines("anonmm"), self.ledger.lines("rmap_chain")
        for number, places in self.groups(walk.frames[at]):
            self._search(walk, at[places], self.anonmms[number], log)
        elements, _ = self.chains.lengths(walk.frames[at])
        walk.lines[at] += walk.examined[at] * own + elements * chain_lines
        walk.nodes[at] += walk.examined[at]
        walk.locks[at] += 1

    def _search(self, walk, places, anonmm, log):
        frames, wanted = walk.frames[places], walk.mapcount[places]
        index = self.frames.index[frames]
        found = np.zeros(len(frames), np.int64)
        active = np.arange(len(frames))
        chains = [(at, values) for at, values in self.chains.values(frames) if (values != COUNT).any()]
        members = anonmm.family.from_member(anonmm)
        walk.candidates[places] += len(members)
        for member in members:
            walk.examined[places[active]] += 1
            mm = member.mm
            if mm is None or not mm.rss:
                if log is not None:
                    log.append({"visits": "anonmm", "number": member.number,
                                "outcome": "its mm is gone" if mm is None else "no page resident"})
                continue
            self._probe(walk, places, mm, active, index, found, log)
            for at, values in chains:
                real = (values != COUNT) & (found[at] < wanted[at])
                pages = np.zeros(len(frames), np.int64)
                pages[at[real]] = values[real]
                self._probe(walk, places, mm, at[real], pages, found, log)
            active = active[found[active] < wanted[active]]
            if not len(active):
                break

    def _probe(self, walk, places, mm, which, pages, found, log):
        """Looks at one pte of `mm` for each of the frames `which`."""
        if not len(which):
            return
        order = which[np.argsort(pages[which], kind="stable")]
        frames = walk.frames[places]
        hit = mm.table.gather(pages[order]) == frames[order]
        walk.ptes[places[order]] += 1
        walk.pt_locks[places[order]] += 1
        walk.found(frames[order[hit]], mm.number, pages[order[hit]])
        found[order[hit]] += 1
        if log is not None:
            log.append({"visits": "anonmm", "number": mm.anon.number, "mm": mm.number, "pids": sorted(mm.users),
                        "address": int(pages[order[0]]) * PAGE,
                        "outcome": "maps it" if hit.any() else "does not map it"})

    def referenced(self, walk):
        """Pages of a dead mm migrate to the first live one that maps them, so that the dead anonmm can be freed."""
        anonymous = walk.frames[np.isin(self.frames.anchor[walk.frames], [
            number for number, anonmm in self.anonmms.items() if anonmm.mm is None])]
        if not len(anonymous):
            return
        anonymous = anonymous[(self.frames.flags[anonymous] & 1) != 0]
        frame, mm, _ = walk.mappings()
        for dead in np.unique(self.frames.anchor[anonymous]).tolist():
            order = {member.mm.number: place for place, member in enumerate(
                self.anonmms[dead].family.from_member(self.anonmms[dead])) if member.mm is not None}
            mine = anonymous[self.frames.anchor[anonymous] == dead]
            rows = np.isin(frame, mine)
            rank = np.array([order[number] for number in mm[rows].tolist()])
            by_rank = np.lexsort((rank, frame[rows]))
            first, at = np.unique(frame[rows][by_rank], return_index=True)
            heirs = mm[rows][by_rank][at]
            self._unpoint(first)
            for number in np.unique(heirs).tolist():
                heir = self.machine.mms[number].anon
                self.point(first[heirs == number], self.frames.index[first[heirs == number]], heir)

    def count_objects(self):
        live = {mm.anon for mm in self.machine.mms.values()}
        pointed = np.unique(self.frames.anchor[:self.frames.used][(self.frames.flags[:self.frames.used] & 1) != 0])
        held = live | {self.anonmms[number] for number in pointed.tolist() if number}
        return {"anonmm": len(held | {anonmm.family.head for anonmm in held}), "rmap_chain": self.chains.census()}
