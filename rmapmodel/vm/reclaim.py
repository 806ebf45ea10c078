"""Reclaim: the reverse-map walks of page_referenced and try_to_unmap over resident pages (mm/vmscan.c, mm/rmap.c)."""

import numpy as np

from ..errors import InputError
from .frames import ANON, EXCLUSIVE, LAZYFREE, ONE
from .vma import LOCKED, PAGE, SHARED


def reclaim(machine, event):
    """Walks the reverse map of every resident page of the range, as page_referenced does."""
    _walk(machine, _selected(machine, event))


def swapout(machine, event):
    """The same walk, and unmaps the anonymous pages found, as try_to_unmap does; pages of locked areas stay."""
    walk = _walk(machine, _selected(machine, event))
    unmap(machine, *walk.mappings())


def _selected(machine, event):
    if event.pid is None:
        return machine.resident()
    if event.addr is None:
        return machine.resident(event.pid)
    if event.addr + event.len > machine.task_pages * PAGE:
        raise InputError("the range ends beyond user memory", field="len")
    return machine.resident(event.pid, event.addr // PAGE, -(-(event.addr + event.len) // PAGE))


def _walk(machine, frames):
    walk = machine.strategy.walk(frames)
    machine.ledger.walked(walk)
    machine.reclaimed_mappings += int(machine.frames.mapcount[frames].sum())
    machine.strategy.referenced(walk)
    return walk


def page_out(machine, vma, start, end):
    """madvise(pageout): swaps out the anonymous pages of the range that are mapped once."""
    if vma.flags & LOCKED:
        raise InputError("pageout of locked memory is refused (EINVAL)", field="advice")
    if vma.flags & SHARED:
        return
    frames = machine.resident_of(vma.mm, start, end)
    once = frames[machine.frames.mapcount[frames] == 1]
    unmap(machine, *machine.strategy.walk(once).mappings())


def unmap(machine, frame, mm_number, page):
    """Replaces the ptes of these mappings by swap entries, anonymous pages only, none that a locked area maps."""
    frames, swap = machine.frames, machine.swap
    keep = (frames.flags[frame] & ANON) != 0
    locked = np.zeros(frames.used, np.bool_)
    for number in np.unique(mm_number).tolist():
        mine = mm_number == number
        for vma in machine.mms[number].vmas:
            if vma.flags & LOCKED:
                locked[frame[mine & (page >= vma.start) & (page < vma.end)]] = True
    keep &= ~locked[frame]
    frame, mm_number, page = frame[keep], mm_number[keep], page[keep]
    if not len(frame):
        return
    victims = np.unique(frame)
    machine.changed.append(victims)
    lazy = (frames.flags[victims] & LAZYFREE) != 0
    slots = frames.slots()
    need = victims[~lazy & (slots[victims] == 0)]
    taken = swap.take(len(need))
    slots[need] = taken
    swap.frame[taken] = need
    if frames.stamp is not None:
        swap.stamp[taken] = frames.stamp[need]
    swap.exclusive[taken] = (frames.flags[need] & EXCLUSIVE) != 0
    entry = -slots[frame]
    np.add.at(swap.count, slots[frame][entry < 0], ONE)
    order = np.lexsort((page, mm_number))
    frame, mm_number, page, entry = frame[order], mm_number[order], page[order], entry[order]
    cuts = [0, *(np.flatnonzero(np.diff(mm_number)) + 1).tolist(), len(frame)]
    for low, high in zip(cuts, cuts[1:]):
        mm = machine.mms[int(mm_number[low])]
        mm.table.store(page[low:high], entry[low:high])
        mm.rss -= high - low
        machine.mappings -= high - low
        frames.unmap(frame[low:high])
        machine.strategy.unmapped(mm, frame[low:high], page[low:high])
    # a page that nothing maps any more has been written out and its frame is free; its slot keeps the data
    freed = victims[frames.mapcount[victims] == 0]
    freed_slots = slots[freed]
    swap.frame[freed_slots[freed_slots != 0]] = 0
    slots[freed] = 0
    frames.give(freed)
