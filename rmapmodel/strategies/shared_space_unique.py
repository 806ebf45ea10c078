"""`shared_space_unique`: the shared address_space with offsets handed out once, a slice of it for each process."""

from bisect import bisect_left, bisect_right

from .base import register
from .shared_space import SharedSpaceStrategy, Space

SLICE = {"i386": 1 << 20, "x86_64": 1 << 35}
"""Pages of a slice: 4 GiB, all a 32-bit process can address, or the 2^47 bytes of user addresses of x86_64."""

INDEX_BITS = {"i386": 32, "x86_64": 63}
"""Bits of a page's index: an unsigned long on i386; on x86_64 one less than that, for which no machine has processes."""


class Coverage:
    """How many vmas lie at each offset, as pieces between ascending `cuts`; piece i reaches from cuts[i] to cuts[i + 1].

    >>> taken = Coverage()
    >>> taken.add(4, 8, 1), taken.is_free(0, 4), taken.is_free(7, 9), taken.first_fit(0, 16, 6)
    (None, True, False, 8)
    """

    def __init__(self):
        self.cuts, self.count = [0], [0]

    def _cut(self, at):
        place = bisect_left(self.cuts, at)
        if place == len(self.cuts) or self.cuts[place] != at:
            self.cuts.insert(place, at)
            self.count.insert(place, self.count[place - 1])
        return place

    def add(self, start, end, change):
        """Counts `change` vmas more over [start, end); cost: the pieces inside, and a memory move."""
        low, high = self._cut(start), self._cut(end)
        for place in range(low, high):
            self.count[place] += change
        for place in (high, low):
            if place and self.count[place] == self.count[place - 1]:
                del self.cuts[place], self.count[place]

    def is_free(self, start, end):
        """Whether no vma lies in [start, end)."""
        place = bisect_right(self.cuts, start) - 1
        return not self.count[place] and (place + 1 == len(self.cuts) or self.cuts[place + 1] >= end)

    def first_fit(self, low, high, length):
        """The lowest start of `length` free offsets in [low, high), or None."""
        at, place = low, bisect_right(self.cuts, low) - 1
        while at + length <= high:
            end = self.cuts[place + 1] if place + 1 < len(self.cuts) else high
            if not self.count[place] and min(end, high) - at >= length:
                return at
            if end >= high:
                return None
            at, place = end, place + 1
        return None


class SlicedSpace(Space):
    """A space cut into slices: which mm has which, those taken, what vmas cover, and the lowest slice that may be free."""

    __slots__ = ("slots", "taken", "covered", "lowest")

    def __init__(self, number, vmas):
        super().__init__(number, vmas)
        self.slots, self.taken, self.covered, self.lowest = {}, set(), Coverage(), 0


@register
class SharedSpaceUniqueStrategy(SharedSpaceStrategy):
    """Rik van Riel's follow-up of 12 March 2004 (Pine.LNX.4.44.0403121121500.6494-100000), reading f2: unique offsets.

    As shared_space, but no two areas are handed the same offset while one of them lives. fork gives the child a slice of
    the space, as large as a process's address space, for its new areas; inherited areas keep the offsets they inherited.
    A new area takes its address in its process's slice, or where an area that moved away still holds that, the lowest free
    offsets of the slice. An area can only grow where the offsets beside its own are free. Linus Torvalds' objection,
    the same day, is what happens when they are not: here the call is refused. A slice is free again when its mm and
    every area with offsets in it are gone. Copies of one page keep one index, as in the proposal; so do an area that
    MREMAP_DONTUNMAP (2020) copied and the emptied one it left. [kernel-facts section 6]
    """

    name = "shared_space_unique"
    space = SlicedSpace

    def attach(self, machine):
        super().attach(machine)
        self.slice = SLICE[self.arch]
        self.slices = (1 << INDEX_BITS[self.arch]) // self.slice

    # -- slices

    def mm_made(self, mm):
        super().mm_made(mm)
        self._give_slice(mm)

    def mm_forked(self, child, parent):
        super().mm_forked(child, parent)
        self._give_slice(child)

    def _give_slice(self, mm):
        space = mm.anon
        slot = space.lowest
        while slot in space.taken or not space.covered.is_free(slot * self.slice, (slot + 1) * self.slice):
            slot += 1
        space.lowest = slot
        # where every slice is in use the mm has none, and can map nothing new until one is free
        space.slots[mm.number] = slot if slot < self.slices else None
        if slot < self.slices:
            space.taken.add(slot)

    def mm_gone(self, mm):
        slot = mm.anon.slots.pop(mm.number)
        mm.anon.taken.discard(slot)
        if slot is not None:
            mm.anon.lowest = min(mm.anon.lowest, slot)
        super().mm_gone(mm)

    # -- offsets

    def new_offset(self, mm, start, end):
        if mm.anon.slots[mm.number] is None:
            self._give_slice(mm)
        slot, covered = mm.anon.slots[mm.number], mm.anon.covered
        if slot is None:
            return None
        base = slot * self.slice
        if covered.is_free(base + start, base + end):
            return base + start
        return covered.first_fit(base, base + self.slice, end - start)

    def moved_offset(self, vma, start, end, new, length):
        beyond = length - (end - start)
        if beyond > 0 and not (end == vma.end and self.can_grow(vma, beyond)):
            return None
        return super().moved_offset(vma, start, end, new, length)

    def can_grow(self, vma, pages, downwards=False):
        low, high = vma.anon_offset, vma.anon_offset + vma.pages
        low, high = (low - pages, low) if downwards else (high, high + pages)
        return self.in_reach(vma, low, high) and vma.mm.anon.covered.is_free(low, high)

    def in_reach(self, vma, low, high):
        """Whether an area may have offsets [low, high) beside its own: those of one area lie in one slice."""
        return vma.anon_offset // self.slice == low // self.slice == (high - 1) // self.slice

    # -- vmas

    def link(self, vma, beside=None):
        super().link(vma, beside)
        self._cover(vma, 1)

    def follow(self, vma):
        self._cover(vma, -1)
        super().follow(vma)
        self._cover(vma, 1)

    def unlinked(self, vma):
        self._cover(vma, -1)
        super().unlinked(vma)

    def _cover(self, vma, change):
        if vma.links is not None:
            space = vma.mm.anon
            space.covered.add(vma.links.start, vma.links.last + 1, change)
            space.lowest = min(space.lowest, vma.links.start // self.slice)
