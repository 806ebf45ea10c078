"""Processes: spawn, fork, sharing an mm, exec and exit (kernel/fork.c:dup_mmap, mm/memory.c:copy_page_range)."""

import numpy as np

from ..errors import InputError
from .faults import zap
from .frames import ANON, EXCLUSIVE, FIRST
from .vma import DONTCOPY, LOCKED, NONLINEAR, WIPEONFORK, Ranges


def _absent(machine, pid, field="pid"):
    if pid in machine.processes:
        raise InputError(f"process {pid} already exists", field=field)


def spawn(machine, event):
    """A process with an empty mm."""
    _absent(machine, event.pid)
    _join(machine, event.pid, _empty(machine))


def share(machine, event):
    """vfork and clone_vm: the child uses the same mm."""
    mm = machine.mm_of(event.pid)
    _absent(machine, event.child, "child")
    _join(machine, event.child, mm)


def exec_(machine, event):
    """The process leaves its mm and gets an empty one."""
    _leave(machine, event.pid)
    _join(machine, event.pid, _empty(machine))


def exit_(machine, event):
    """The process ends; its mm ends with the last user."""
    _leave(machine, event.pid)
    del machine.processes[event.pid]


def _empty(machine):
    mm = machine.new_mm()
    machine.strategy.mm_made(mm)
    return mm


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
    """The child gets a copy-on-write copy of the parent's mm."""
    parent = machine.mm_of(event.pid)
    _absent(machine, event.child, "child")
    child = machine.new_mm()
    child.parent = parent.number
    child.brk, child.absent, child.stale = parent.brk, Ranges(parent.absent.items), Ranges(parent.stale.items)
    machine.strategy.mm_forked(child, parent)
    _join(machine, event.child, child)
    for vma in parent.vmas:
        if vma.flags & DONTCOPY:
            continue
        new = vma.like(child, vma.start, vma.end)
        new.flags &= ~LOCKED
        new.faulted = vma.faulted and not vma.flags & WIPEONFORK
        machine.add_vma(new)
        machine.strategy.forked(new, vma)
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
            copy[:] = entries
        at = np.flatnonzero(entries >= FIRST)
        present = entries[at]
        if len(present):
            if vma.flags & NONLINEAR:
                frames.map(present)
            else:
                frames.mapcount[present] += 1
            anonymous = (frames.flags[present] & ANON) != 0
            frames.flags[present[anonymous]] &= ~np.uint8(EXCLUSIVE)
            mm.rss += len(present)
            machine.mappings += len(present)
            machine.touched.append(present)
            _tell(machine.strategy, new, vma, present, page + at, anonymous)
        slots = -entries[entries < 0]
        if len(slots):
            swap.count[slots] += 1
            swap.exclusive[slots] = False


def _tell(strategy, new, vma, frames, pages, anonymous):
    if anonymous.all():
        strategy.duplicated(new, vma, frames, pages)
        return
    if anonymous.any():
        strategy.duplicated(new, vma, frames[anonymous], pages[anonymous])
    strategy.file_mapped(new, frames[~anonymous], pages[~anonymous])
