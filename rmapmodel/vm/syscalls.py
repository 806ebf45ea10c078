"""The system calls that change an address space: mmap, munmap, mprotect, mremap, brk, mlock, madvise."""

import contextlib
from bisect import bisect_left

import numpy as np

from ..errors import InputError, NoMemory
from . import faults
from .frames import ANON, FIRST, LAZYFREE, NONE
from .merge import Area
from .reclaim import page_out
from .vma import (ACCESS, ACCOUNT, DONTCOPY, DONTDUMP, GROWSDOWN, HUGEPAGE, LOCKED, MERGEABLE, NOHUGEPAGE, NONLINEAR,
                  NORESERVE, PAGE, RAND_READ, READ, SEQ_READ, SHARED, SPECIAL, WIPEONFORK, WRITE, Vma, prot_bits)


# -- addresses -----------------------------------------------------------------------------------------------------


def _aligned(value, field):
    page, rest = divmod(value, PAGE)
    if rest:
        raise InputError(f"{value:#x} is not a multiple of the page size", field=field)
    return page


def _range(machine, event, may_be_empty=True):
    start = _aligned(event.addr, "addr")
    end = start + -(-event.len // PAGE)
    if not event.len and not may_be_empty:
        raise InputError("a length of 0 is refused", field="len")
    if end > machine.task_pages:
        raise InputError("the range ends beyond user memory", field="len")
    return start, end


def _check_offset(machine, pgoff, pages, field):
    if pgoff + pages > 1 << (32 if machine.arch == "i386" else 52):
        raise InputError("the offset is beyond the end of page cache indices (EOVERFLOW)", field=field)


def _populate(machine, mm, start, end):
    # mm/gup.c:populate_vma_page_range: private writable areas as by a write, others that allow access as by a read;
    # a page that cannot be faulted in is no error (__mm_populate with ignore_errors)
    for vma in list(mm.overlapping(start, end)):
        stop = min(end, vma.end)
        if vma.file is not None and vma.file.pages is not None:
            stop = min(stop, vma.start + vma.file.pages - vma.pgoff)
        if vma.flags & ACCESS and max(start, vma.start) < stop:
            with contextlib.suppress(NoMemory):
                faults.touch(machine, vma, max(start, vma.start), stop, vma.flags & (WRITE | SHARED) == WRITE)


def _pieces(machine, mm, start, end, op, holes_allowed=False):
    """The parts of the range to work on: all of it, less what refused events left out; a hole is an error."""
    parts = [(start, end)]
    for low, high, because in mm.absent.within(start, end):
        machine.refuse(op, "changes what a refused event would have mapped", because)
        parts = [piece for a, b in parts for piece in ((a, min(b, low)), (max(a, high), b)) if piece[0] < piece[1]]
    for low, high in parts:
        if not holes_allowed and not mm.covers(low, high):
            raise InputError("the range has pages that no mapping covers", field="addr")
    return parts


# -- mmap, munmap --------------------------------------------------------------------------------------------------


def mmap(machine, event):
    """Maps a file or fresh memory at `addr`, the address the call returned."""
    mm = machine.mm_of(event.pid)
    start, end = _range(machine, event, may_be_empty=False)
    offset = _aligned(event.offset, "offset")
    _check_offset(machine, offset, end - start, "offset")
    flags = prot_bits(event.prot) | _mmap_flags(machine, event)
    if "fixed" in event.flags:
        unmap_range(machine, mm, start, end)
    elif not _free(machine, mm, start, end):
        raise InputError("something is mapped there already, and the call was not fixed", field="addr")
    if event.file is not None:
        file = machine.file(event.file)
    else:
        file = machine.shmem(end - start) if flags & SHARED else None
    mm.absent.remove(start, end)
    try:
        mapped = map_area(machine, mm, start, end, flags, file, offset)
    finally:
        if file is not None:
            machine.put_file(file)
    if mapped is None:
        _refuse_new(machine, mm, start, end, "mmap")
    elif flags & LOCKED:
        _populate(machine, mm, start, end)


def _free(machine, mm, start, end):
    """Whether [start, end) is free; what only a refused event left there is unmapped first."""
    inside = mm.overlapping(start, end)
    if inside and mm.stale:
        left = sum(high - low for low, high, _ in mm.stale.within(start, end))
        if left == sum(min(end, vma.end) - max(start, vma.start) for vma in inside):
            for low, high, _ in mm.stale.within(start, end):
                unmap_range(machine, mm, low, high)
            return True
    return not inside


def _gaps(mm, start, end, line):
    at = start
    for vma in mm.overlapping(start, end):
        if vma.start > at:
            yield at, vma.start, line
        at = vma.end
    if at < end:
        yield at, end, line


def _mmap_flags(machine, event):
    names = set(event.flags)
    if len(names) != len(event.flags):
        raise InputError("a flag is given twice", field="flags")
    flags = SHARED if "shared" in names else 0
    if "growsdown" in names:
        if flags & SHARED or event.file is not None:
            raise InputError("only private anonymous memory can be growsdown", field="flags")
        flags |= GROWSDOWN
    if "noreserve" in names:
        flags |= NORESERVE
    if "locked" in names:
        flags |= LOCKED
    if "special" in names:
        flags |= SPECIAL
    if "stack" in names and machine.kernel.map_stack_is_nohugepage:
        flags |= NOHUGEPAGE
    if event.prot[1] == "w" and not flags & (SHARED | NORESERVE):
        flags |= ACCOUNT  # mm/vma.c:accountable_mapping
    return flags


def map_area(machine, mm, start, end, flags, file, offset):
    """Maps [start, end): merged into a neighbour where the kernel would, else as a new vma, which it returns.

    None, and nothing done, where the design has no offsets left for it.
    """
    anon_pgoff = start if flags & SHARED else machine.strategy.new_offset(mm, start, end)
    if anon_pgoff is None:
        return None
    area = Area(mm, start, end, flags, file, anon_pgoff if file is None else offset, anon_pgoff)
    return machine.merger.mapped(area) or _new_vma(machine, area)


def _refuse_new(machine, mm, start, end, op):
    machine.refuse(op, faults.NO_OFFSETS)
    mm.absent.add(start, end, machine.line)


def _new_vma(machine, area, faulted=False):
    vma = Vma(area.mm, area.start, area.end, area.flags, area.file, area.pgoff, area.anon_pgoff)
    vma.faulted = faulted
    machine.add_vma(vma)
    try:
        if area.copied is not None:
            machine.strategy.copied(vma, area.copied)
        else:
            machine.strategy.linked(vma)
    except NoMemory:
        machine.take_back(vma)
        raise
    return vma


def munmap(machine, event):
    """Unmaps a range; holes are allowed."""
    mm = machine.mm_of(event.pid)
    start, end = _range(machine, event, may_be_empty=False)
    unmap_range(machine, mm, start, end)


def unmap_range(machine, mm, start, end, moved=False):
    """Splits at both ends, empties the page table, and unlinks the vmas (mm/vma.c:do_vmi_align_munmap).

    Where the second split fails the first remains, and nothing is unmapped. What `moved` has left no page there.
    """
    victims = mm.overlapping(start, end)
    if victims:
        for which, at in ((0, start), (-1, end)):
            if victims[which].start < at < victims[which].end:
                outwards = machine.kernel.munmap_splits_outwards
                new = machine.merger.split(victims[which], at, new_below=outwards if which == 0 else not outwards)
                if not outwards:
                    victims[which] = new
    mm.absent.remove(start, end)
    mm.stale.remove(start, end)
    if not victims:
        return
    if not moved:
        faults.zap(machine, mm, start, end)
        mm.nonlinear.clear(start, end)
    at = bisect_left(mm.starts, start)
    del mm.vmas[at:at + len(victims)], mm.starts[at:at + len(victims)]
    for vma in victims:
        machine.forget(vma)


# -- changes of flags ----------------------------------------------------------------------------------------------


def _change(machine, mm, start, end, new_flags, change):
    """Gives every vma of a covered range new flags, `new_flags(vma)`, vma by vma as the kernel does."""
    at = start
    while at < end:
        vma = mm.find(at)
        if vma is None:  # only where holes are allowed
            at = mm.vmas[mm.position(at)].start if mm.position(at) < len(mm.vmas) else end
            continue
        stop = min(end, vma.end)
        flags = new_flags(vma)
        if flags != vma.flags:
            was = vma.flags
            vma = change(vma, at, stop, flags)
            yield vma, at, stop, was
        at = stop


def mprotect(machine, event):
    """Changes the protection of a range that must be covered."""
    mm = machine.mm_of(event.pid)
    start, end = _range(machine, event)
    prot = prot_bits(event.prot)

    def new_flags(vma):
        flags = vma.flags & ~ACCESS | prot
        if flags == vma.flags:
            return flags
        # mm/mprotect.c:mprotect_fixup, 6.18
        if prot & WRITE:
            if not vma.flags & (ACCOUNT | WRITE | SHARED | NORESERVE):
                flags |= ACCOUNT
        elif not vma.faulted and vma.is_anonymous and machine.kernel.mprotect_drops_account:
            flags &= ~ACCOUNT
        return flags

    for low, high in _pieces(machine, mm, start, end, "mprotect"):
        for vma, at, stop, was in _change(machine, mm, low, high, new_flags, machine.merger.change):
            if was & (WRITE | SHARED | LOCKED) == LOCKED and vma.flags & WRITE:
                faults.touch(machine, vma, at, stop, True)
        if low < high:
            machine.merger.protected(mm, high)


def mlock(machine, event):
    """Locks a range and faults it in."""
    _lock(machine, event, lambda flags: flags | LOCKED, "mlock")


def munlock(machine, event):
    """Unlocks a range."""
    _lock(machine, event, lambda flags: flags & ~LOCKED, "munlock")


def _lock(machine, event, change, op):
    mm = machine.mm_of(event.pid)
    start, end = event.addr // PAGE, -(-(event.addr + event.len) // PAGE) if event.len else event.addr // PAGE
    if end > machine.task_pages:
        raise InputError("the range ends beyond user memory", field="len")
    for low, high in _pieces(machine, mm, start, end, op):
        for _ in _change(machine, mm, low, high,
                         lambda vma: vma.flags if vma.flags & SPECIAL else change(vma.flags), machine.merger.advise):
            pass
        if op == "mlock":
            _populate(machine, mm, low, high)


VMA_ADVICE = {  # advice: (flags set, flags cleared), mm/madvise.c:madvise_vma_behavior
    "dontfork": (DONTCOPY, 0), "dofork": (0, DONTCOPY), "dontdump": (DONTDUMP, 0), "dodump": (0, DONTDUMP),
    "hugepage": (HUGEPAGE, NOHUGEPAGE), "nohugepage": (NOHUGEPAGE, HUGEPAGE), "mergeable": (MERGEABLE, 0),
    "unmergeable": (0, MERGEABLE), "wipeonfork": (WIPEONFORK, 0), "keeponfork": (0, WIPEONFORK),
    "random": (RAND_READ, SEQ_READ), "sequential": (SEQ_READ, RAND_READ), "normal": (0, RAND_READ | SEQ_READ),
}


def madvise(machine, event):
    """Advice: a flag of the vma, or something done to its pages; holes are skipped, but populating one is refused."""
    mm = machine.mm_of(event.pid)
    start, end = _range(machine, event)
    advice = event.advice
    # mm/madvise.c:madvise_populate ends with ENOMEM at a hole; the others go on behind it
    pieces = _pieces(machine, mm, start, end, "madvise", holes_allowed=not advice.startswith("populate"))
    if advice in VMA_ADVICE:
        _advise_vmas(machine, mm, pieces, advice)
    elif advice in PAGE_ADVICE:
        for low, high in pieces:
            for vma in list(mm.overlapping(low, high)):
                PAGE_ADVICE[advice](machine, vma, max(low, vma.start), min(high, vma.end))


def _advise_vmas(machine, mm, pieces, advice):
    setting, clearing = VMA_ADVICE[advice]

    def new_flags(vma):
        if advice == "wipeonfork" and (vma.file is not None or vma.flags & SHARED):
            raise InputError("wipeonfork is for private anonymous memory only (EINVAL)", field="advice")
        # mm/ksm.c:ksm_madvise and mm/khugepaged.c:hugepage_madvise leave such areas alone
        if (advice in ("mergeable", "unmergeable") and vma.flags & (SHARED | SPECIAL)
                or advice in ("hugepage", "nohugepage") and vma.flags & SPECIAL):
            return vma.flags
        return (vma.flags | setting) & ~clearing

    for low, high in pieces:
        for _ in _change(machine, mm, low, high, new_flags, machine.merger.advise):
            pass


def _dontneed(machine, vma, start, end):
    if vma.flags & LOCKED:
        raise InputError("dontneed of locked memory is refused (EINVAL)", field="advice")
    faults.zap(machine, vma.mm, start, end)


def _lazy_free(machine, vma, start, end):
    # mm/madvise.c:madvise_free_pte_range: anonymous memory only; pages that others map or have on swap are left alone
    if vma.flags & LOCKED:
        raise InputError("free of locked memory is refused (EINVAL)", field="advice")
    if vma.file is not None:
        raise InputError("free is for private anonymous memory only (EINVAL)", field="advice")
    frames = machine.frames
    for _, entries in vma.mm.table.spans(start, end):
        slots = -entries[entries < 0]
        if len(slots):
            entries[entries < 0] = 0
            faults.release_slots(machine, slots)
        present = entries[entries >= FIRST]
        alone = present[(frames.mapcount[present] == 1) & (frames.flags[present] & ANON != 0)
                        & (frames.swap_slots(present) == 0)]
        frames.flags[alone] |= LAZYFREE


def _remove(machine, vma, start, end):
    # mm/madvise.c:madvise_remove: punches a hole in the file; its pages go from the page cache and every mapping
    if not vma.flags & SHARED or not (vma.flags & WRITE or machine.kernel.remove_needs_only_shared):
        raise InputError("remove is for shared writable mappings only", field="advice")
    if vma.flags & (LOCKED | NONLINEAR):
        raise InputError("remove of locked memory or a nonlinear mapping is refused (EINVAL)", field="advice")
    first = vma.pgoff + start - vma.start
    for low, high, mm, at, frames in _mappings_of(machine, vma.file, first, first + end - start):
        machine.frames.unmap(frames)
        mm.rss -= len(frames)
        machine.mappings -= len(frames)
        machine.strategy.file_unmapped(mm, frames, at)
    for _, entries in vma.file.cache.spans(first, first + end - start):
        machine.frames.give(entries[entries >= FIRST])
        entries[:] = 0


def _mappings_of(machine, file, first, last):
    """Clears and yields every mapping of the file's pages [first, last); the machine knows them from its page tables."""
    doomed = np.zeros(machine.frames.used, np.bool_)
    for _, entries in file.cache.spans(first, last):
        doomed[entries[entries >= FIRST]] = True
    for mm in machine.mms.values():
        for vma in mm.vmas:
            if vma.file is not file:
                continue
            for page, entries in mm.table.spans(vma.start, vma.end):
                at = np.flatnonzero(doomed[np.maximum(entries, 0)])
                if len(at):
                    frames = entries[at].copy()
                    entries[at] = 0
                    yield vma.start, vma.end, mm, page + at, frames


def _populate_read(machine, vma, start, end):
    if not vma.flags & READ:
        raise InputError("populate_read of memory that may not be read is refused (EINVAL)", field="advice")
    faults.touch(machine, vma, start, end, False)


def _populate_write(machine, vma, start, end):
    if not vma.flags & WRITE:
        raise InputError("populate_write of memory that may not be written is refused (EINVAL)", field="advice")
    faults.touch(machine, vma, start, end, True)


def _cold(machine, vma, start, end):
    if vma.flags & LOCKED:
        raise InputError("cold of locked memory is refused (EINVAL)", field="advice")


PAGE_ADVICE = {"dontneed": _dontneed, "free": _lazy_free, "cold": _cold, "pageout": page_out, "remove": _remove,
               "populate_read": _populate_read, "populate_write": _populate_write}


# -- brk -----------------------------------------------------------------------------------------------------------


def brk(machine, event):
    """Sets the program break, which stays where it was if that fails; the first event only records its start."""
    mm = machine.mm_of(event.pid)
    before = mm.brk
    try:
        _set_break(machine, mm, event)
    except NoMemory:
        mm.brk = before
        raise


def _set_break(machine, mm, event):
    if event.addr > machine.task_pages * PAGE:
        raise InputError("the break is beyond user memory", field="addr")
    if mm.brk is None:
        mm.brk = (event.addr, event.addr)
        return
    start, now = mm.brk
    if event.addr < start:
        raise InputError("the break cannot go below its start", field="addr")
    old, new = -(-now // PAGE), -(-event.addr // PAGE)
    mm.brk = (start, event.addr)
    if new < old:
        if machine.kernel.brk_needs_something_to_shrink and not (mm.overlapping(new, old) or mm.absent.within(new, old)):
            raise InputError("nothing is mapped between the new break and the old", field="addr")
        unmap_range(machine, mm, new, old)
    elif new > old:
        _check_break(machine, mm, old, new)
        pgoff = machine.strategy.new_offset(mm, old, new)
        if pgoff is None:
            _refuse_new(machine, mm, old, new, "brk")
            return
        area = Area(mm, old, new, READ | WRITE | ACCOUNT, None, pgoff, old)
        below = mm.around(old, new)[0]
        if below is not None and below.end * PAGE <= start:
            below = None  # mm/mmap.c:sys_brk looks for the vma to grow only above start_brk, 6.1
        machine.merger.broken(area, below) or _new_vma(machine, area)


def _check_break(machine, mm, old, new):
    # mm/mmap.c:brk, 6.1: one page stays free above, and a stack keeps its gap
    next = mm.around(old, new + 1)[1]
    near = next is not None and next.flags & GROWSDOWN and machine.kernel.brk_keeps_the_stack_gap \
        and new + 1 > next.start - faults.STACK_GUARD_PAGES
    if near or not _free(machine, mm, old, new + 1):
        raise InputError("the break would come too near to the next mapping", field="addr")


# -- mremap --------------------------------------------------------------------------------------------------------


def mremap(machine, event):
    """Grows, shrinks or moves a mapping to `new_addr`, the address the call returned."""
    mm = machine.mm_of(event.pid)
    start, new = _aligned(event.addr, "addr"), _aligned(event.new_addr, "new_addr")
    old_len, new_len = -(-event.len // PAGE), -(-event.new_len // PAGE)
    flags = event.flags
    if len(set(flags)) != len(flags):
        raise InputError("a flag is given twice", field="flags")
    fixed, dontunmap = "fixed" in flags, "dontunmap" in flags
    moves = fixed or dontunmap or new != start or old_len == 0
    if not new_len:
        raise InputError("a new length of 0 is refused", field="new_len")
    if start + old_len > machine.task_pages or new + new_len > machine.task_pages:
        raise InputError("the range ends beyond user memory", field="new_len")
    if moves:
        _check_move(machine, mm, start, old_len, new, new_len, flags)
    if _needs_refused(machine, mm, start, old_len, new, new_len, moves, fixed, dontunmap):
        return
    if not moves:
        _resize(machine, mm, start, old_len, new_len, new)
        return
    multi = fixed and old_len == new_len and machine.kernel.moves_span_vmas
    if multi:
        _move_many(machine, mm, start, start + old_len, new, dontunmap)
        return
    if old_len > new_len:
        unmap_range(machine, mm, start + new_len, start + old_len)
        old_len = new_len
    if not _one_vma(machine, mm, start, old_len, new, new_len, moves, fixed, dontunmap):
        return
    if fixed:
        unmap_range(machine, mm, new, new + new_len)
    if mm.find(start) is None:
        raise InputError("the move would overwrite its own source", field="new_addr")
    _move(machine, mm.find(start), start, old_len, new, new_len, dontunmap)


def _check_move(machine, mm, start, old_len, new, new_len, flags):
    if "maymove" not in flags:
        raise InputError("a move needs the flag maymove", field="flags")
    if "dontunmap" in flags and old_len != new_len:
        raise InputError("dontunmap needs equal lengths", field="flags")
    if start < new + new_len and new < start + old_len:
        raise InputError("the old and the new range overlap", field="new_addr")
    if "fixed" not in flags and not _free(machine, mm, new, new + new_len):
        raise InputError("something is mapped at the new address, and the call was not fixed", field="new_addr")


def _needs_refused(machine, mm, start, old_len, new, new_len, moves, fixed, dontunmap):
    """Skips a call that works on what a refused event left undone, and notes what it would have made."""
    undone = mm.absent.within(start, start + max(old_len, 1))
    if not undone:
        return False
    machine.refuse("mremap", "needs what a refused event would have made", undone[0][2])
    _leave_undone(machine, mm, start, old_len, new, new_len, moves, fixed, dontunmap)
    return True


def _leave_undone(machine, mm, start, old_len, new, new_len, moves, fixed=False, dontunmap=False):
    """Notes what a refused mremap would have mapped, and what it would have unmapped."""
    if any(vma.flags & GROWSDOWN for vma in mm.overlapping(start, start + old_len)) \
            or any(line in machine.stacks_left_out for _, _, line in mm.absent.within(start, start + old_len)):
        machine.stacks_left_out.add(machine.line)
    if moves and fixed:
        unmap_range(machine, mm, new, new + new_len)
    if moves:
        if not dontunmap:
            mm.absent.remove(start, start + old_len)
        for vma in () if dontunmap else mm.overlapping(start, start + old_len):
            mm.stale.add(max(start, vma.start), min(start + old_len, vma.end), machine.line)
        for low, high, line in _gaps(mm, new, new + new_len, machine.line):
            mm.absent.add(low, high, line)
    elif new_len > old_len:
        for low, high, line in _gaps(mm, start + old_len, start + new_len, machine.line):
            mm.absent.add(low, high, line)
    else:
        unmap_range(machine, mm, start + new_len, start + old_len)


def _one_vma(machine, mm, start, length, new, new_len, moves, fixed=False, dontunmap=False):
    """Whether the range lies in one vma; refused where the design kept alike areas apart, an error otherwise."""
    vma = mm.find(start)
    if vma is None:
        raise InputError("no mapping covers the old address", field="addr")
    if length == 0 and not vma.flags & SHARED:
        raise InputError("only a shared mapping can be duplicated with length 0", field="len")
    if start + length <= vma.end:
        if vma.flags & SPECIAL and new_len > length:
            raise InputError("a special mapping cannot grow", field="new_len")
        return True
    vmas = mm.overlapping(start, start + length)
    # what is accounted depends on which areas were touched when, and so on what a design lets merge
    alike = all((each.flags | ACCOUNT, each.file) == (vma.flags | ACCOUNT, vma.file) for each in vmas)
    if not alike or not mm.covers(start, start + length):
        raise InputError("the old range is not one mapping (EFAULT)", field="len")
    machine.refuse("mremap", "the range lies in several vmas that this design kept apart")
    _leave_undone(machine, mm, start, length, new, new_len, moves, fixed, dontunmap)
    return False


def _resize(machine, mm, start, old_len, new_len, new):
    if mm.find(start) is None:
        raise InputError("no mapping covers the old address", field="addr")
    if new_len < old_len:
        unmap_range(machine, mm, start + new_len, start + old_len)
    if new_len <= old_len or not _one_vma(machine, mm, start, old_len, new, new_len, moves=False):
        return
    end = start + old_len
    room = _free(machine, mm, end, start + new_len)
    vma = mm.find(start)
    if end != vma.end:
        raise InputError("growth in place needs a range that ends where its mapping ends", field="len")
    if not room:
        raise InputError("something is mapped where the mapping would grow", field="new_len")
    pgoff, anon_pgoff = vma.pgoff + vma.pages, vma.anon_pgoff + vma.pages
    if vma.may_hold_anon and not machine.strategy.can_grow(vma, new_len - old_len):
        machine.refuse("mremap", faults.NO_OFFSETS)
        _leave_undone(machine, mm, start, old_len, new, new_len, moves=False)
        return
    area = Area(mm, end, start + new_len, vma.flags, vma.file, pgoff, anon_pgoff, grown=vma)
    machine.merger.grown(area)
    if vma.flags & LOCKED:
        _populate(machine, mm, end, start + new_len)


def _move_many(machine, mm, start, end, new, dontunmap):
    # mm/mremap.c:remap_move, 6.17: each vma by itself, gaps kept, what lies at the target under a gap stays
    vmas = mm.overlapping(start, end)
    if not vmas or vmas[0].start > start:
        raise InputError("no mapping covers the old address", field="addr")
    at = start
    for low, high in [(max(start, vma.start), min(end, vma.end)) for vma in vmas]:
        target = new + low - at
        unmap_range(machine, mm, target, target + high - low)
        vma = mm.find(low)
        if vma is None or vma.end < high:
            raise InputError("the move would overwrite its own source", field="new_addr")
        _move(machine, vma, low, high - low, target, high - low, dontunmap)


def _move(machine, vma, start, old_len, new, new_len, dontunmap):
    """mm/mremap.c:move_vma: a copy of the vma at the new place, the ptes moved, the old range unmapped."""
    mm, strategy = vma.mm, machine.strategy
    if dontunmap and vma.flags & SPECIAL:
        raise InputError("dontunmap of a special mapping is refused", field="flags")
    private = vma.may_hold_anon
    anon_pgoff = strategy.moved_offset(vma, start, start + old_len, new, new_len) if private else new
    if anon_pgoff is None:
        machine.refuse("mremap", faults.NO_OFFSETS)
        _leave_undone(machine, mm, start, old_len, new, new_len, moves=True, dontunmap=dontunmap)
        return
    pgoff = anon_pgoff if vma.is_anonymous else vma.pgoff + start - vma.start
    area = Area(mm, new, new + new_len, vma.flags, vma.file, pgoff, anon_pgoff, copied=vma)
    target = machine.merger.copied(area)
    if target is None:
        target = _new_vma(machine, area, faulted=vma.faulted)
    if target.start <= start < target.end:
        vma = target  # an unfaulted source may have been merged into its own copy (copy_vma)
    try:
        if private:
            strategy.moves(vma, start, start + old_len, new)
        _move_ptes(machine, vma, target, start, new, old_len)
    except NoMemory:
        with machine.ledger.unfailing():
            _move_ptes(machine, target, vma, new, start, old_len)
            unmap_range(machine, mm, new, new + new_len)
        raise
    if not dontunmap:
        try:
            unmap_range(machine, mm, start, start + old_len, moved=True)
        except NoMemory:  # "OOM: unable to split vma": the call succeeds, and the empty range stays
            pass
    else:
        vma.flags &= ~LOCKED
        if target is not vma and start == vma.start and start + old_len == vma.end and vma.faulted:
            vma.faulted = False
            strategy.dropped(vma)
    if target.flags & LOCKED and new_len > old_len:
        _populate(machine, mm, new + old_len, new + new_len)


def _move_ptes(machine, vma, target, start, new, length):
    """Moves what pages [start, start + length) hold to `new`; where the strategy has no memory, what is left stays."""
    mm, end, shift = vma.mm, start + length, new - start
    if machine.strategy.follows_moves():
        _move_followed(machine, vma, target, start, end, shift)
    else:
        machine.changed += mm.table.move(start, end, shift)
    if vma.flags & NONLINEAR:
        mm.nonlinear.move(start, end, shift)


def _move_followed(machine, vma, target, start, end, shift):
    table, strategy = vma.mm.table, machine.strategy
    for pages, entries in table.take(start, end):
        (present, at), _ = faults.present_and_swapped(pages, entries)
        anonymous, cached = faults.by_kind(machine, present, at)
        # mm/mremap.c:move_page_tables of "rmap 11" breaks copy-on-write at the old address for what cannot move shared
        early = strategy.copies_before_move(vma, *anonymous)
        if early is not None and early.any():
            where = pages.searchsorted(anonymous[1])
            faults.copy_early(machine, vma, entries, where[early], pages[where[early]])
            anonymous = entries[where], anonymous[1]
        told = []
        try:
            for (moved, at), tell in ((anonymous, strategy.moved), (cached, strategy.file_moved)):
                if len(moved):
                    machine.changed.append(moved)
                    tell(target, moved, at, at + shift)
                    told.append((moved, at))
        except NoMemory:
            table.store(pages, entries)
            for moved, at in told:
                table.store(at, np.zeros_like(moved))
                table.store(at + shift, moved)
            raise
        table.store(pages + shift, entries)


# -- remap_file_pages ----------------------------------------------------------------------------------------------


def remap_file_pages(machine, event):
    """Shows other pages of a shared mapping's file in a range: nonlinear before 4.0, by new vmas since."""
    mm = machine.mm_of(event.pid)
    # mm/mmap.c:remap_file_pages, 6.1, and mm/fremap.c, 2.6.11: start and length are both rounded down
    start = event.addr // PAGE
    end = start + event.len // PAGE
    if start == end:
        raise InputError("a length of less than a page is refused", field="len")
    _check_offset(machine, event.pgoff, end - start, "pgoff")
    for low, high in _pieces(machine, mm, start, end, "remap_file_pages"):
        vma = mm.find(low)
        if not vma.flags & SHARED or vma.file is None:
            raise InputError("only a shared mapping of a file can be remapped", field="addr")
        pgoff = event.pgoff + low - start
        if machine.kernel.remap_file_pages_is_emulated:
            _remap_emulated(machine, mm, vma, low, high, pgoff)
        else:
            _remap_nonlinear(machine, mm, vma, low, high, pgoff)


def _remap_emulated(machine, mm, vma, start, end, pgoff):
    # mm/mmap.c:remap_file_pages, 6.1: the range may span vmas of the same file and flags
    file, flags = vma.file, vma.flags
    for each in mm.overlapping(start, end):
        if each.file is not file or each.flags != flags:
            raise InputError("the range holds different mappings (EINVAL)", field="len")
    # do_mmap with MAP_SHARED | MAP_FIXED and the old protection: other flags are made anew
    file.vmas += 1  # keeps a shared anonymous object while its last vma is replaced
    try:
        unmap_range(machine, mm, start, end)
        map_area(machine, mm, start, end, flags & (ACCESS | SHARED | LOCKED), file, pgoff)
    finally:
        file.vmas -= 1
        machine.put_file(file)
    _populate(machine, mm, start, end)


def _remap_nonlinear(machine, mm, vma, start, end, pgoff):
    # mm/fremap.c:sys_remap_file_pages, 2.6.11
    if end > vma.end:
        raise InputError("the range must lie in one mapping (EINVAL)", field="len")
    linear = vma.pgoff + start - vma.start == pgoff
    if not linear and not vma.flags & NONLINEAR:
        vma.flags |= NONLINEAR
        machine.strategy.made_nonlinear(vma)
    faults.zap(machine, mm, start, end)
    if vma.flags & NONLINEAR:
        if pgoff + end - start >= 1 << 31:
            raise InputError("a nonlinear mapping of a page beyond 8 TiB is more than is modelled", field="pgoff")
        for page, entries in mm.nonlinear.make(start, end):
            entries[:] = np.arange(page - start, page - start + len(entries)) + pgoff + 1
    if vma.flags & ACCESS:
        faults.touch(machine, vma, start, end, False)
