"""Merging of vmas: one procedure an era, the cases numbered as in mm/mmap.c:vma_merge (kernel-facts section 9).

Flags, file and file offsets are decided here; anonymous offsets and anonymous objects by the strategy.
"""

from ..errors import NoMemory
from .vma import SHARED, SPECIAL


class Area:
    """A range that asks its neighbours to take it in (the kernel's vma_merge_struct).

    `middle` is the vma being changed, `copied` the vma that mremap copies, `grown` the vma that grows over the range;
    all None for mmap and brk. Units: pages.
    """

    __slots__ = ("mm", "start", "end", "flags", "file", "pgoff", "anon_pgoff", "middle", "copied", "grown")

    def __init__(self, mm, start, end, flags, file, pgoff, anon_pgoff, middle=None, copied=None, grown=None):
        self.mm, self.start, self.end, self.flags, self.file = mm, start, end, flags, file
        self.pgoff, self.anon_pgoff, self.middle, self.copied, self.grown = pgoff, anon_pgoff, middle, copied, grown

    @property
    def pages(self):
        """How many pages the area spans."""
        return self.end - self.start

    @property
    def is_anonymous(self):
        """Whether it is private anonymous memory."""
        return self.file is None

    @property
    def anon_offset(self):
        """The offset of a private area for its anonymous pages: vm_pgoff, or the second one of a file area."""
        return self.pgoff if self.file is None else self.anon_pgoff

    @property
    def origin(self):
        """The vma whose pages the area holds, or None for a fresh one."""
        return self.middle or self.copied or self.grown


class Merger:
    """Merges areas into their neighbours as the kernel does whose rules the strategy keeps (`merge_kernel`)."""

    def __init__(self, machine):
        self.machine, self.strategy = machine, machine.strategy
        self.kernel = self.strategy.merge_kernel(machine.kernel)
        procedure = self.kernel.merge_procedure
        self.change = self._change_2_4 if procedure == "2.4" else self._change
        self._mapped = {"2.4": self._new_2_4, "6.1": self._mapped_6_1}.get(procedure, self._new)
        self._copied = self._copied_2_4 if procedure == "2.4" else self._new
        self._whole_right_keeps_next = procedure == "6.12"
        self._protects_like_2_4, self._files_merge = procedure == "2.4", self.kernel.files_merge

    # -- what may join what ------------------------------------------------------------------------------------------

    def _alike(self, area, vma):
        if area.flags != vma.flags or area.file is not vma.file or area.flags & SPECIAL:
            return False
        return area.file is None or self._files_merge

    def _joins_below(self, area, prev):
        if prev is None or prev.end != area.start or not self._alike(area, prev):
            return False
        if area.file is not None and prev.pgoff + prev.pages != area.pgoff:
            return False
        return self.strategy.compatible(area, prev)

    def _joins_above(self, area, next):
        if next is None or next.start != area.end or not self._alike(area, next):
            return False
        if area.file is not None and area.pgoff + area.pages != next.pgoff:
            return False
        return self.strategy.compatible(area, next)

    # -- new ranges: mmap, brk, mremap -------------------------------------------------------------------------------

    def mapped(self, area):
        """The vma that took in a range new from mmap, or None."""
        return self._mapped(area)

    def copied(self, area):
        """The vma that took in the range mremap moves to, or None."""
        return self._copied(area)

    def grown(self, area):
        """The vma that grew over the range above it, the next one too where the kernel tries (mremap in place)."""
        if self.kernel.growth_merges_next:
            return self._new(area)
        self._set_range(area.grown, area.grown.start, area.end)
        return area.grown

    def broken(self, area, ends_at_old_break):
        """The vma that took in what brk added, or None; from 6.1 only the vma that ends at the old break may."""
        if not self.kernel.brk_only_expands:
            return self._mapped(area)
        if self._joins_below(area, ends_at_old_break):
            self._set_range(ends_at_old_break, ends_at_old_break.start, area.end)
            return ends_at_old_break
        return None

    def _new(self, area):
        # cases 1, 2, 3: mm/mmap.c:vma_merge, 2.6.7 to 6.11; mm/vma.c:vma_merge_new_range, 6.12
        prev, next = area.mm.around(area.start, area.end)
        left, right = self._joins_below(area, prev), self._joins_above(area, next)
        if left and right and self.strategy.ends_compatible(prev, next):
            return self._take_over(prev, area, next)
        if left:
            return self._take_over(prev, area, None)
        if right:
            return self._grow_down(next, area)
        return None

    def _mapped_6_1(self, area):
        # mm/mmap.c:__mmap_region, 6.1 to 6.11: next is tried first, and prev then against next's anon_vma
        prev, next = area.mm.around(area.start, area.end)
        right = self._joins_above(area, next)
        area.grown = next if right else None
        left = self._joins_below(area, prev)
        if left and right:
            return self._take_over(prev, area, next)
        if right:
            return self._grow_down(next, area)
        return self._take_over(prev, area, None) if left else None

    def _new_2_4(self, area):
        # mm/mmap.c:do_mmap_pgoff and vma_merge, 2.4.22: with prev, and then with next; 2.6.0 also with next alone
        prev, next = area.mm.around(area.start, area.end)
        left, right = self._joins_below(area, prev), self._joins_above(area, next)
        if left:
            return self._take_over(prev, area, next if right and self.strategy.ends_compatible(prev, next) else None)
        return self._grow_down(next, area) if right and self._files_merge else None

    def _copied_2_4(self, area):
        # mm/mremap.c:move_vma, 2.4.22 and 2.6.0: anonymous private areas only
        if area.file is not None or area.flags & SHARED:
            return None
        return self._new(area)

    # -- a range whose flags change: mprotect, mlock, madvise --------------------------------------------------------

    def _change(self, vma, start, end, flags):
        """Gives [start, end) of `vma` new flags: merges it with a neighbour or splits it off; returns the vma of it.

        Cases 4 to 8; mm/vma.c:vma_modify, 6.12.
        """
        mm, delta = vma.mm, start - vma.start
        prev = mm.before(vma) if start == vma.start else None
        next = mm.after(vma) if end == vma.end else None
        if (prev is None or prev.end != start) and (next is None or next.start != end):
            return self.split_off(vma, start, end, flags)
        area = Area(mm, start, end, flags, vma.file, vma.pgoff + delta, vma.anon_pgoff + delta, middle=vma)
        left, right = self._joins_below(area, prev), self._joins_above(area, next)
        if left and right and not self.strategy.ends_compatible(prev, next):
            right = False
        whole = start == vma.start and end == vma.end
        if left and right:  # case 6
            self._adopt(prev, next if next.faulted else vma)
            self._set_range(prev, prev.start, next.end, vma, next)
            return prev
        if left:  # cases 5 and 7
            self._adopt(prev, vma)
            if whole:
                self._set_range(prev, prev.start, end, vma)
            else:
                self._move_boundary(prev, vma, end)
            return prev
        if right and whole and not self._whole_right_keeps_next:  # case 8 before 6.12: the middle struct survives
            self._adopt(vma, next)
            self._set_range(vma, vma.start, next.end, next)
            vma.flags = flags
            return vma
        if right:  # cases 4 and 8
            self._adopt(next, vma)
            if whole:
                self._set_range(next, start, next.end, vma)
            else:
                self._move_boundary(vma, next, start)
            return next
        return self.split_off(vma, start, end, flags)

    def _change_2_4(self, vma, start, end, flags):
        # mm/mprotect.c:mprotect_fixup, 2.4.22 to 2.6.6: the whole or the first part joins the area below, anonymous only
        prev = vma.mm.before(vma) if start == vma.start else None
        delta = start - vma.start
        area = Area(vma.mm, start, end, flags, vma.file, vma.pgoff + delta, vma.anon_pgoff + delta, middle=vma)
        if vma.file is not None or not self._joins_below(area, prev):
            return self.split_off(vma, start, end, flags)
        self._adopt(prev, vma)
        if end < vma.end:
            self._move_boundary(prev, vma, end)
            return prev
        self._set_range(prev, prev.start, end, vma)
        return prev

    def protected(self, mm, end):
        """What mprotect does last, up to 2.6.6: the area that ends at page `end`, changed or not, takes in the next one.

        mm/mprotect.c:sys_mprotect, 2.4.22; private anonymous areas only.
        """
        if not self._protects_like_2_4:
            return
        vma = mm.find(end - 1)
        if vma is None or vma.end != end or vma.file is not None:
            return
        next = mm.after(vma)
        area = Area(mm, vma.start, end, vma.flags, None, vma.pgoff, vma.anon_pgoff, middle=vma)
        if self._joins_above(area, next):
            self._adopt(vma, next)
            self._set_range(vma, vma.start, next.end, next)

    def advise(self, vma, start, end, flags):
        """As `change`, for mlock and madvise, which only split before 2.6.7."""
        merges = self.kernel.areas_merge_on_any_change
        return (self.change if merges else self.split_off)(vma, start, end, flags)

    def split_off(self, vma, start, end, flags):
        """Splits [start, end) off a vma and gives it new flags: first below the range, then above it (mprotect_fixup)."""
        if start > vma.start:
            self.split(vma, start, new_below=True)
        if end < vma.end:
            self.split(vma, end, new_below=False)
        vma.flags = flags
        return vma

    # -- the pieces --------------------------------------------------------------------------------------------------

    def split(self, vma, at, new_below):
        """Splits `vma` at a page; the new vma is the part below or above; returns it (mm/mmap.c:__split_vma)."""
        new = vma.like(vma.mm, vma.start, at) if new_below else vma.like(vma.mm, at, vma.end)
        new.faulted = vma.faulted
        old = (vma.start, vma.end, vma.pgoff, vma.anon_pgoff)
        self.machine.add_vma(new)
        if new_below:
            self._range(vma, at, vma.end)
        else:
            self._range(vma, vma.start, at)
        try:
            self.strategy.split(new, vma, old)
        except NoMemory:
            self.machine.take_back(new)
            self._range(vma, *old[:2])
            raise
        return new

    def _take_over(self, prev, area, next):
        # case 2, or with next case 1: prev grows over the range (and over next, which goes)
        if next is not None:
            self._adopt(prev, next)
        if area.copied is not None:
            self._adopt(prev, area.copied)
        if next is not None:
            self._set_range(prev, prev.start, next.end, next)
        else:
            self._set_range(prev, prev.start, area.end)
        return prev

    def _grow_down(self, next, area):
        # case 3
        if area.copied is not None:
            self._adopt(next, area.copied)
        self._set_range(next, area.start, next.end)
        return next

    def _adopt(self, survivor, donor):
        if donor.faulted and not survivor.faulted:
            survivor.faulted = True
            try:
                self.strategy.adopted(survivor, donor)
            except NoMemory:
                survivor.faulted = False
                raise

    def _range(self, vma, start, end):
        if start != vma.start:
            delta = start - vma.start
            mm = vma.mm
            mm.starts[mm.position(vma.start)] = start
            vma.pgoff, vma.anon_pgoff, vma.start = vma.pgoff + delta, vma.anon_pgoff + delta, start
        vma.end = end

    def _set_range(self, vma, start, end, *swallowed):
        """Gives a vma another range, and frees the vmas that lie in it from now on."""
        old = vma.start, vma.end
        for each in swallowed:
            each.mm.remove(each)
        self._range(vma, start, end)
        try:
            self.strategy.adjusted(vma)
        except NoMemory:
            self._range(vma, *old)
            for each in swallowed:
                each.mm.insert(each)
            raise
        for each in swallowed:
            self.machine.forget(each)

    def _move_boundary(self, lower, upper, at):
        # both leave their trees and come back, in the order of mm/vma.c:vma_complete
        boundary = upper.start
        self._meet(lower, upper, at)
        try:
            self.strategy.adjusted(lower, upper)
        except NoMemory:
            self._meet(lower, upper, boundary)
            raise

    def _meet(self, lower, upper, at):
        self._range(lower, lower.start, min(at, lower.end))
        self._range(upper, at, upper.end)
        self._range(lower, lower.start, at)

    def grow_stack(self, vma, start):
        """Extends a growsdown vma down to page `start` (mm/mmap.c:expand_downwards)."""
        self._set_range(vma, start, vma.end)
