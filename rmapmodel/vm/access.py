"""Loads and stores: which areas they touch, and the growth of stacks (mm/mmap.c:expand_downwards)."""

from ..errors import InputError
from . import faults, syscalls
from .vma import ACCESS, EXEC, GROWSDOWN, PAGE, READ, WRITE


def read(machine, event):
    """Touches every page of the range as a load does."""
    _access(machine, event, READ | EXEC, False)


def write(machine, event):
    """Touches every page of the range as a store does."""
    _access(machine, event, WRITE, True)


def _access(machine, event, needs, is_write):
    mm = machine.mm_of(event.pid)
    page, end = event.addr // PAGE, -(-(event.addr + event.len) // PAGE) if event.len else event.addr // PAGE
    if end > machine.task_pages:
        raise InputError("touches addresses beyond the end of user memory", field="addr")
    while page < end:
        vma = mm.find(page)
        if vma is None:
            page = _skip_absent(machine, mm, page, end, event) or _grow_stack(machine, mm, page, event)
            continue
        if not vma.flags & needs:
            what = "written" if is_write else "read"
            raise InputError(f"page {page * PAGE:#x} may not be {what}", field="addr")
        stop = min(end, vma.end)
        faults.touch(machine, vma, page, stop, is_write)
        if is_write and machine.frames.stamp is not None:
            for _, entries in mm.table.spans(page, stop):
                machine.frames.stamp[entries] = machine.line
        page = stop


def _skip_absent(machine, mm, page, end, event):
    for low, high, because in mm.absent.within(page, end):
        if low == page:
            machine.refuse(_op(event), "touches what a refused event would have mapped", because)
            return high
    return None


def _op(event):
    return type(event).__struct_config__.tag


def _grow_stack(machine, mm, page, event):
    # mm/mmap.c:expand_downwards, 6.1: the gap counts only towards an accessible area that is not itself growsdown
    above, until = _above(mm, page), -(-(event.addr + event.len) // PAGE)
    left_out = mm.absent.within(page, above.start if above else machine.task_pages)
    if left_out and left_out[0][2] in machine.stacks_left_out:
        low, _, because = left_out[0]
        machine.refuse(_op(event), "touches what a refused event would have mapped", because)
        mm.absent.add(page, low, because)
        return min(low, until)
    if above is None or not above.flags & GROWSDOWN:
        raise InputError(f"no mapping covers page {page * PAGE:#x}", field="addr")
    for low, high, _ in mm.stale.within(page - faults.STACK_GUARD_PAGES, above.end):
        syscalls.unmap_range(machine, mm, low, high)
    at = mm.position(page)
    above, below = mm.vmas[at], mm.vmas[at - 1] if at else None
    if below is not None and below.flags & ACCESS and not below.flags & GROWSDOWN \
            and page - below.end < faults.STACK_GUARD_PAGES and not mm.absent.within(below.end, page):
        raise InputError(f"the stack cannot grow to {page * PAGE:#x}: another mapping is too near", field="addr")
    if not machine.strategy.can_grow(above, above.start - page, downwards=True):
        machine.refuse(_op(event), faults.NO_OFFSETS)
        machine.stacks_left_out.add(machine.line)
        mm.absent.add(page, above.start, machine.line)
        return min(above.start, until)
    faults.prepare(machine, above)
    machine.merger.grow_stack(above, page)
    return page


def _above(mm, page):
    """The first vma above a page that is not only what refused events left behind, or None."""
    def left_behind(vma):
        return sum(high - low for low, high, _ in mm.stale.within(vma.start, vma.end)) == vma.pages

    return next((vma for vma in mm.vmas[mm.position(page):] if not (mm.stale and left_behind(vma))), None)
