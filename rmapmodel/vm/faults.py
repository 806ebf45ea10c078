"""Page faults and their undoing: touch, copy on write, swap-in, zap (mm/memory.c), whole leaves at a time."""

import numpy as np

from ..errors import InputError, NoMemory
from .frames import ANON, EXCLUSIVE, FIRST, LAZYFREE, NONE, ONE, ZERO, place
from .vma import NONLINEAR, SHARED

KEPT = EXCLUSIVE | LAZYFREE
"""The flags that a write looks at: it changes nothing where only the first is set."""

NO_OFFSETS = "the design has no offsets left for it"

STACK_GUARD_PAGES = 256
"""Pages between a stack and an accessible area below it (mm/mmap.c:stack_guard_gap)."""


def prepare(machine, vma):
    """Gives a vma its anonymous structure before its first anonymous page (mm/rmap.c:anon_vma_prepare)."""
    if not vma.faulted:
        vma.faulted = True
        try:
            machine.strategy.prepared(vma)
        except NoMemory:
            vma.faulted = False
            raise


def touch(machine, vma, start, end, is_write):
    """Touches pages [start, end) of one vma; cost O(pages) in numpy, a handful of calls a leaf."""
    private, one = not vma.flags & SHARED, end - start == 1
    if one:
        entry = vma.mm.table.at(start)
        if entry > ZERO and machine.frames.flags.item(entry) & KEPT == EXCLUSIVE or entry > 0 and not (private and is_write):
            return
    if vma.file is not None:
        _check_size(vma, start, end)
    if private and is_write:
        prepare(machine, vma)
    for page, entries in vma.mm.table.make(start, end):
        held = private and (entry if one else np.count_nonzero(entries))
        if held:
            swapped = (entries < 0).nonzero()[0]
            if len(swapped):
                _swap_in(machine, vma, page, entries, swapped, is_write)
        if private and is_write:
            if held:
                _write_private(machine, vma, page, entries)
            else:
                _map_new(machine, vma, entries, ..., np.arange(page, page + len(entries)))
        elif vma.file is None:
            entries[entries == 0] = ZERO
        else:
            _map_file(machine, vma, page, entries, (entries == 0).nonzero()[0])


def _check_size(vma, start, end):
    if vma.file.pages is not None and vma.pgoff + end - vma.start > vma.file.pages:
        raise InputError("touches a shared anonymous object beyond its end (SIGBUS)", field="addr")


def _write_private(machine, vma, page, entries):
    frames = machine.frames
    # what was there is looked at first: the pages made below need no second look
    at = (entries >= FIRST).nonzero()[0]
    fresh = (entries <= ZERO).nonzero()[0] if len(at) < len(entries) else at[:0]
    if len(at):
        present = entries.take(at).astype(np.intp)
        flags = frames.flags[present]
        if np.count_nonzero(flags & KEPT != EXCLUSIVE):
            protected = (flags & EXCLUSIVE) == 0
            frames.flags[present[~protected]] &= ~np.uint8(LAZYFREE)
            if protected.any():
                _write_protected(machine, vma, page, entries, at[protected], present[protected])
    if len(fresh):
        _map_new(machine, vma, entries, fresh, page + fresh)


def _map_new(machine, vma, entries, at, pages):
    """Maps new anonymous pages at `pages`, whose `entries[at]` map nothing."""
    frames, new = machine.frames, _new_anonymous(machine, len(pages))
    if vma.file is not None:  # do_cow_fault
        frames.copy(vma.file.cache.gather(vma.pgoff + pages - vma.start), new)
    try:
        machine.strategy.mapped_new(vma, new, pages)
    except NoMemory:
        frames.give(new)
        raise
    entries[at] = new
    vma.mm.rss += len(new)
    machine.mappings += len(new)


def _new_anonymous(machine, count):
    frames = machine.frames
    new = frames.take(count)
    at = place(new)
    frames.flags[at] = ANON | EXCLUSIVE
    frames.mapcount[at] = 1
    machine.changed.append(new)
    return new


def _write_protected(machine, vma, page, entries, at, old):
    # mm/memory.c:do_wp_page, 6.1: the last owner takes the page over, anyone else gets a copy. Every era of
    # kernel-facts 0.4 decides alike where a page has no users but ptes and swap entries.
    frames, strategy = machine.frames, machine.strategy
    anonymous = (frames.flags[old] & ANON) != 0
    reuse = anonymous & (frames.mapcount[old] == 1) & (frames.swap_slots(old) == 0)
    if reuse.any():
        taken = old[reuse]
        frames.flags[taken] = (frames.flags[taken] | EXCLUSIVE) & ~np.uint8(LAZYFREE)
        machine.changed.append(taken)
        strategy.reused(vma, taken, page + at[reuse])
    copy = ~reuse
    if copy.any():
        copy_pages(machine, vma, entries, at[copy], page + at[copy])


def copy_early(machine, vma, entries, at, pages):
    """Copies pages that the design cannot leave shared where they are going (`copies_before_move`, `copies_at_swap_in`)."""
    copy_pages(machine, vma, entries, at, pages)
    machine.ledger.copied(len(at))


def copy_pages(machine, vma, entries, at, pages):
    """Gives `vma` copies of its own of what `entries[at]` maps at `pages` (mm/memory.c:wp_page_copy)."""
    strategy = machine.strategy

    def copied_from_file(vma, old, new, pages):
        strategy.mapped_new(vma, new, pages)
        strategy.file_unmapped(vma.mm, old, pages)

    anonymous = (machine.frames.flags[entries[at]] & ANON) != 0
    if anonymous.any():
        _copy(machine, vma, entries, at[anonymous], pages[anonymous], strategy.copied_on_write)
    if not anonymous.all():
        _copy(machine, vma, entries, at[~anonymous], pages[~anonymous], copied_from_file)


def _copy(machine, vma, entries, at, pages, tell):
    frames, old, new = machine.frames, entries[at], _new_anonymous(machine, len(at))
    frames.copy(old, new)
    entries[at] = new
    frames.unmap(old)
    machine.changed.append(old)
    try:
        tell(vma, old, new, pages)
    except NoMemory:
        entries[at] = old
        frames.map(old)
        frames.give(new)
        raise


def _map_file(machine, vma, page, entries, at):
    if not len(at):
        return
    pages = page + at
    if vma.flags & NONLINEAR:
        indices = vma.mm.nonlinear.gather(pages).astype(np.int64) - 1
        linear = indices < 0
        indices[linear] = vma.pgoff + pages[linear] - vma.start
    else:
        indices = vma.pgoff + pages - vma.start
    map_indices(machine, vma, entries, at, pages, indices)


def map_indices(machine, vma, entries, at, pages, indices):
    """Maps the file's pages `indices`, read into the page cache first, at `entries[at]`."""
    found = cached(machine, vma.file, indices)
    entries[at] = found
    machine.frames.map(found)
    machine.changed.append(found)
    try:
        machine.strategy.file_mapped(vma, found, pages)
    except NoMemory:
        entries[at] = NONE
        machine.frames.unmap(found)
        raise
    vma.mm.rss += len(found)
    machine.mappings += len(found)


def cached(machine, file, indices):
    """The page cache frames of an array of page numbers of a file, made where they are missing."""
    frames = machine.frames
    low, high = int(indices.min()), int(indices.max()) + 1
    if high - low > 2 * len(indices):  # a nonlinear mapping: only the pages asked for
        return np.concatenate([cached(machine, file, indices[i:i + 1]) for i in range(len(indices))])
    for base, entries in file.cache.make(low, high):
        missing = np.flatnonzero(entries == 0)
        if len(missing):
            new = frames.take(len(missing))
            frames.anchor[new] = file.number
            frames.index[new] = base + missing
            entries[missing] = new
    order = np.argsort(indices, kind="stable")
    out = np.empty(len(indices), np.intp)
    out[order] = file.cache.gather(indices[order])
    return out


def _swap_in(machine, vma, page, entries, at, is_write):
    # mm/memory.c:do_swap_page: one frame a slot, shared by later touchers until the slot's last entry is gone
    frames, swap = machine.frames, machine.swap
    slots = -entries[at]
    found = swap.frame[slots]
    missing = np.flatnonzero(found == 0)
    if len(missing):
        new = frames.take(len(missing))
        frames.flags[new] = ANON
        frames.slots()[new] = slots[missing]
        if frames.stamp is not None:
            frames.stamp[new] = swap.stamp[slots[missing]]
        swap.frame[slots[missing]] = new
        found[missing] = new
    entries[at] = found
    frames.mapcount[found] += 1
    machine.changed.append(found)
    known = swap.exclusive[slots] & machine.kernel.swap_keeps_exclusive
    exclusive = known | ((frames.mapcount[found] == 1) & (swap.count[slots] == 1) & is_write)
    try:
        machine.strategy.swapped_in(vma, found, page + at, exclusive)
    except NoMemory:  # what was read stays in the swap cache
        entries[at] = -slots
        frames.unmap(found)
        raise
    frames.flags[found[exclusive]] |= EXCLUSIVE
    vma.mm.rss += len(found)
    machine.mappings += len(found)
    release_slots(machine, slots)
    clash = machine.strategy.copies_at_swap_in(vma, found, page + at)
    if clash is not None and clash.any():
        copy_early(machine, vma, entries, at[clash], page + at[clash])


def release_slots(machine, slots):
    """Drops one reference of each swap slot; a slot without any is freed, and leaves the swap cache."""
    frames, swap = machine.frames, machine.swap
    np.subtract.at(swap.count, slots, ONE)
    slots = np.unique(slots)
    gone = slots[swap.count[slots] == 0]
    if len(gone):
        held = swap.frame[gone]
        held = held[held != 0]
        frames.slots()[held] = 0
        frames.give(held[frames.mapcount[held] == 0])
        swap.give(gone)


def zap(machine, mm, start, end):
    """Takes the pages of [start, end) out of a page table (mm/memory.c:zap_page_range)."""
    frames = machine.frames
    for pages, entries in mm.table.take(start, end):
        if len(entries) == 1 and _zap_one(machine, mm, pages, entries):
            continue
        (gone, pages), slots = present_and_swapped(pages, entries)
        if len(gone):
            mm.rss -= len(gone)
            machine.mappings -= len(gone)
            frames.unmap(gone)
            machine.changed.append(gone)
            release(machine, mm, gone, pages)
        if len(slots):
            release_slots(machine, slots)


def _zap_one(machine, mm, pages, entries):
    """The same for one anonymous page that nothing else maps or swaps, the most frequent case; whether it was that."""
    frames, frame = machine.frames, entries.item()
    if frame < FIRST or frames.mapcount.item(frame) != 1 or not frames.flags.item(frame) & ANON or len(frames.slot):
        return False
    frames.mapcount[frame] = 0
    mm.rss -= 1
    machine.mappings -= 1
    machine.changed.append(entries)
    machine.strategy.unmapped(mm, entries, pages)
    frames.give(entries)
    return True


def present_and_swapped(pages, entries):
    """((frames, pages) of the entries that map a frame, the slots of those that stand for swap)."""
    mapped = entries >= FIRST
    if np.count_nonzero(mapped) == len(entries):
        return (entries, pages), entries[:0]
    return (entries[mapped], pages[mapped]), -entries[entries < 0]


def by_kind(machine, frames, pages):
    """((frames, pages) of the anonymous ones, (frames, pages) of the page cache's) among mapped frames."""
    anonymous = machine.frames.flags[frames] & ANON
    if np.count_nonzero(anonymous) == len(frames):
        return (frames, pages), (frames[:0], pages[:0])
    anonymous = anonymous != 0
    return (frames[anonymous], pages[anonymous]), (frames[~anonymous], pages[~anonymous])


def release(machine, mm, gone, pages):
    """Tells the strategy that ptes are gone, and frees the anonymous frames that nothing maps or swaps any more."""
    frames = machine.frames
    (gone, pages), cached = by_kind(machine, gone, pages)
    if len(cached[0]):
        machine.strategy.file_unmapped(mm, *cached)
    if len(gone):
        machine.strategy.unmapped(mm, gone, pages)
        free = gone[frames.mapcount[gone] == 0]
        frames.give(free[frames.swap_slots(free) == 0] if len(frames.slot) else free)
