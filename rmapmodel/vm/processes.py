"""Processes: spawn, fork, sharing an mm, exec and exit (kernel/fork.c:dup_mmap, mm/memory.c:copy_page_range)."""

from functools import partial
from itertools import groupby

import numpy as np

from ..errors import InputError, NoMemory
from .faults import by_kind, present_and_swapped, zap
from .frames import EXCLUSIVE
from .vma import DONTCOPY, LOCKED, NONLINEAR, WIPEONFORK, Ranges


def _absent(machine, pid, field="pid"):
    if pid in machine.processes:
        raise InputError(f"process {pid} already exists", field=field)


def spawn(machine, event):
    """A process with an empty mm."""
    _absent(machine, event.pid)
    _join(machine, event.pid, machine.new_mm())


def share(machine, event):
    """vfork and clone_vm: the child uses the same mm."""
    mm = machine.mm_of(event.pid)
    _absent(machine, event.child, "child")
    _join(machine, event.child, mm)


def exec_(machine, event):
    """The process leaves its mm and gets an empty one, which fs/exec.c:bprm_mm_init makes first."""
    machine.mm_of(event.pid)
    mm = machine.new_mm()
    _leave(machine, event.pid)
    _join(machine, event.pid, mm)


def exit_(machine, event):
    """The process ends; its mm ends with the last user."""
    _leave(machine, event.pid)
    del machine.processes[event.pid]


def _join(machine, pid, mm):
    machine.processes[pid] = mm
    mm.users.add(pid)


def _leave(machine, pid):
    mm = machine.mm_of(pid)
    mm.users.discard(pid)
    if mm.users:
        return
    # mm/mmap.c:exit_mmap: first every page, then every vma
    zap(machine, mm, 0, machine.task_pages)
    vmas, mm.vmas, mm.starts = mm.vmas, [], []
    for vma in vmas:
        machine.forget(vma)
    mm.table.clear()
    mm.nonlinear.clear()
    machine.strategy.mm_gone(mm)
    machine.drop_mm(mm)


def fork(machine, event):
    """The child gets a copy-on-write copy of the parent's mm; where that fails midway, it ends as any process does."""
    parent = machine.mm_of(event.pid)
    _absent(machine, event.child, "child")
    child = machine.new_mm(parent)
    child.parent = parent.number
    child.brk, child.absent, child.stale = parent.brk, Ranges(parent.absent.items), Ranges(parent.stale.items)
    _join(machine, event.child, child)
    try:
        _copy_vmas(machine, child, parent)
    except NoMemory:  # kernel/fork.c:dup_mm, and mmput of what there is
        _leave(machine, event.child)
        del machine.processes[event.child]
        raise


def _copy_vmas(machine, child, parent):
    for anonymous, vmas in groupby(parent.vmas, lambda vma: vma.is_anonymous and _has_copied_ptes(machine, vma)):
        pairs = [(_copy_vma(machine, child, vma), vma) for vma in vmas if not vma.flags & DONTCOPY]
        if anonymous:  # what lies between them holds nothing: one copy for all
            _copy_ptes(machine, *pairs[0], pairs[-1][1].end)
            continue
        for new, vma in pairs:
            if _has_copied_ptes(machine, vma):
                _copy_ptes(machine, new, vma, vma.end)


def _has_copied_ptes(machine, vma):
    return (vma.faulted or vma.flags & NONLINEAR or machine.kernel.fork_copies_all_ptes) \
        and not vma.flags & (WIPEONFORK | DONTCOPY)


def _copy_vma(machine, child, vma):
    new = vma.like(child, vma.start, vma.end)
    new.flags &= ~LOCKED
    new.faulted = vma.faulted and not vma.flags & WIPEONFORK
    machine.add_vma(new)
    try:
        machine.strategy.forked(new, vma)
    except NoMemory:
        machine.take_back(new)
        raise
    return new


def _copy_ptes(machine, new, vma, end):
    """Copies the ptes from the start of `vma` to page `end`; `new` is its copy."""
    swap, mm, parent = machine.swap, new.mm, vma.mm
    if vma.flags & NONLINEAR:
        mm.nonlinear.copy(parent.nonlinear, vma.start, end)
    mm.table.copy(parent.table, vma.start, end)
    for pages, entries in parent.table.held(vma.start, end):
        (shared, at), slots = present_and_swapped(pages, entries)
        anonymous, cached = by_kind(machine, shared, at)
        told = []
        try:
            if len(cached[0]):
                _share(machine, mm, *cached, partial(machine.strategy.file_mapped, new))
                told.append(cached)
            if len(anonymous[0]):
                _share(machine, mm, *anonymous, partial(machine.strategy.duplicated, mm, parent))
        except NoMemory:  # the child keeps what the strategy knows of
            mm.table.clear(int(pages[0]), end)
            for mapped, at in told:
                mm.table.store(at, mapped)
            raise
        if len(anonymous[0]):
            flags = machine.frames.flags[anonymous[0]]
            if np.count_nonzero(flags & EXCLUSIVE):
                machine.frames.flags[anonymous[0]] = flags & ~np.uint8(EXCLUSIVE)
        if len(slots):
            swap.count[slots] += 1
            swap.exclusive[slots] = False


def _share(machine, mm, mapped, pages, tell):
    """Counts one more mapping of frames that the parent maps, and tells the strategy."""
    machine.frames.map(mapped)
    machine.changed.append(mapped)
    try:
        tell(mapped, pages)
    except NoMemory:
        machine.frames.unmap(mapped)
        raise
    mm.rss += len(mapped)
    machine.mappings += len(mapped)
