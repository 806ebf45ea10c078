"""Processes: spawn, fork, sharing an mm, exec and exit (kernel/fork.c:dup_mmap, mm/memory.c:copy_page_range)."""

import numpy as np

from ..errors import InputError, NoMemory
from .faults import zap
from .frames import ANON, EXCLUSIVE, FIRST, NONE
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
    for vma in mm.vmas:
        zap(machine, vma, vma.start, vma.end)
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
    for vma in parent.vmas:
        if vma.flags & DONTCOPY:
            continue
        new = vma.like(child, vma.start, vma.end)
        new.flags &= ~LOCKED
        new.faulted = vma.faulted and not vma.flags & WIPEONFORK
        machine.add_vma(new)
        try:
            machine.strategy.forked(new, vma)
        except NoMemory:
            machine.take_back(new)
            raise
        copies = vma.faulted or vma.flags & NONLINEAR or machine.kernel.fork_copies_all_ptes
        if copies and not vma.flags & WIPEONFORK:
            _copy_ptes(machine, new, vma)


def _copy_ptes(machine, new, vma):
    frames, swap, mm = machine.frames, machine.swap, new.mm
    if vma.flags & NONLINEAR:
        for page, entries in vma.mm.nonlinear.spans(vma.start, vma.end):
            for _, copy in mm.nonlinear.make(page, page + len(entries)):
                copy[:] = entries
    for page, entries in vma.mm.table.spans(vma.start, vma.end):
        if not entries.any():
            continue
        for _, copy in mm.table.make(page, page + len(entries)):
            copy[:] = np.where(entries >= FIRST, NONE, entries)
        slots = -entries[entries < 0]
        if len(slots):
            swap.count[slots] += 1
            swap.exclusive[slots] = False
        at = np.flatnonzero(entries >= FIRST)
        if len(at):
            anonymous = (frames.flags[entries[at]] & ANON) != 0
            _share(machine, new, vma, copy, at[anonymous], page, entries, True)
            _share(machine, new, vma, copy, at[~anonymous], page, entries, False)


def _share(machine, new, vma, copy, at, page, entries, anonymous):
    """Maps what the parent's `entries[at]` map in the child's `copy` of them too, and tells the strategy."""
    if not len(at):
        return
    frames, mm, present = machine.frames, new.mm, entries[at]
    copy[at] = present
    if vma.flags & NONLINEAR:
        frames.map(present)
    else:
        frames.mapcount[present] += 1
    if anonymous:
        frames.flags[present] &= ~np.uint8(EXCLUSIVE)
    machine.touched.append(present)
    try:
        if anonymous:
            machine.strategy.duplicated(new, vma, present, page + at)
        else:
            machine.strategy.file_mapped(new, present, page + at)
    except NoMemory:
        copy[at] = NONE
        frames.unmap(present)
        raise
    mm.rss += len(present)
    machine.mappings += len(present)
