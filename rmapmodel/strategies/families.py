"""What the anonmm designs share: one object per mm, linked per exec family, pages looked for by address in every mm."""

import numpy as np

from ..vm.frames import ANON
from ..vm.vma import PAGE
from .base import Strategy


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


class AnonMmFamilies(Strategy):
    """A page points to the anonmm of the mm that first mapped it; its index is its virtual address (mm/rmap.c@2.6.6-bk).

    It is looked for at that address in every mm of the family, and where the design says so at others (`elsewhere`). A
    vma carries nothing, and anonymous offsets are not compared when areas merge. [kernel-facts section 4]
    """

    objects = ("anonmm",)
    embeds = {"mm": ("pointer",), "page": ("int",)}
    default_index = ("list", "list")

    def attach(self, machine):
        super().attach(machine)
        self.anonmms, self.made = {}, 0

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
        if mm.anon is not family.head:
            self.lock(family)

    def lock(self, family):
        """The lock of a family's head, taken to change its list."""
        self.ledger.lock("anonmm head", "exclusive", family.head.number)

    def mm_gone(self, mm):
        self.lock(mm.anon.family)
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
        else:
            self.ledger.lock_gone("anonmm head", anonmm.number)
            self.family_gone(family)
            family.head = None

    def family_gone(self, family):
        """The last anonmm of a family is freed."""

    # -- pages: page_add_anon_rmap, page_remove_rmap

    def mapped_new(self, vma, frames, pages):
        self.point(frames, pages, vma.mm.anon)

    def point(self, frames, pages, anonmm):
        """Points pages that nothing else maps at an anonmm."""
        self.frames.set_anchor(frames, anonmm.number, pages)
        anonmm.pages += len(frames)

    def unmapped(self, mm, frames, pages):
        self.unpoint(frames[(self.frames.mapcount[frames] == 0) & (self.frames.anchor[frames] != 0)])

    def unpoint(self, frames):
        """Takes pages that nothing maps any more from their anonmms."""
        numbers, counts = np.unique(self.frames.anchor[frames], return_counts=True)
        self.frames.anchor[frames] = 0
        for number, count in zip(numbers.tolist(), counts.tolist()):
            anonmm = self.anonmms[number]
            anonmm.pages -= count
            if not anonmm.pages and anonmm.mm is None and anonmm is not anonmm.family.head:
                self.lock(anonmm.family)  # free_anonmm; a head left alone is freed without
            self._put(anonmm)

    def swapped_in(self, vma, frames, pages, exclusive):
        """The first to bring a page back decides where it points; `brought_elsewhere` hears of the others."""
        fresh = self.frames.anchor[frames] == 0
        self.brought_elsewhere(vma, frames[~fresh], pages[~fresh])
        self.point(frames[fresh], pages[fresh], vma.mm.anon)

    def brought_elsewhere(self, vma, frames, pages):
        """Pages that are in memory already were mapped from swap, perhaps not at their index."""

    # -- the walk: page_referenced_anon, try_to_unmap_anon

    def elsewhere(self, walk, at):
        """Other addresses at which frames may be mapped: a list of (positions in `at`, pages), in the order tried."""
        return []

    def walk_anonymous(self, walk, at, log):
        own = self.ledger.lines("anonmm")
        for number, places in self.groups(walk.frames[at]):
            places = at[places]
            anonmm = self.anonmms[number]
            self._search(walk, places, anonmm, log)
            walk.lines[places] += walk.examined[places] * own
            walk.nodes[places] += walk.examined[places]
            walk.lock(places, "anonmm head", "exclusive", anonmm.family.head.number, walk.nodes[places])

    def _search(self, walk, places, anonmm, log):
        frames, wanted = walk.frames[places], walk.mapcount[places]
        index = self.frames.index[frames]
        found = np.zeros(len(frames), np.int64)
        active = np.arange(len(frames))
        others = self.elsewhere(walk, places)
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
            for at, other in others:
                left = found[at] < wanted[at]
                pages = np.zeros(len(frames), np.int64)
                pages[at[left]] = other[left]
                self._probe(walk, places, mm, at[left], pages, found, log)
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
        dead = [number for number, anonmm in self.anonmms.items() if anonmm.mm is None]
        orphans = walk.frames[np.isin(self.frames.anchor[walk.frames], dead)]
        orphans = orphans[(self.frames.flags[orphans] & ANON) != 0]
        if not len(orphans):
            return
        frame, mm, _ = walk.mappings()
        for number in np.unique(self.frames.anchor[orphans]).tolist():
            anonmm = self.anonmms[number]
            order = {member.mm.number: place for place, member in enumerate(anonmm.family.from_member(anonmm))
                     if member.mm is not None}
            rows = np.isin(frame, orphans[self.frames.anchor[orphans] == number])
            rank = np.array([order[heir] for heir in mm[rows].tolist()])
            by_rank = np.lexsort((rank, frame[rows]))
            first, at = np.unique(frame[rows][by_rank], return_index=True)
            heirs = mm[rows][by_rank][at]
            self.unpoint(first)
            for heir in np.unique(heirs).tolist():
                mine = first[heirs == heir]
                self.point(mine, self.frames.index[mine], self.machine.mms[heir].anon)

    def count_objects(self):
        pointed = np.unique(self.frames.anchor[:self.frames.used][(self.frames.flags[:self.frames.used] & ANON) != 0])
        held = {mm.anon for mm in self.machine.mms.values()} | {self.anonmms[number] for number in pointed.tolist() if number}
        return {"anonmm": len(held | {anonmm.family.head for anonmm in held})}
