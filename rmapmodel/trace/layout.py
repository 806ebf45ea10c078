"""A light picture of every mm, ranges without vmas: enough to tell an event that Linux can do from one it cannot."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from .. import events

PAGE = 4096
STACK_GAP = 256 * PAGE  # mm/mmap.c:stack_guard_gap

USER_END = (1 << 47) - PAGE  # arch/x86/include/asm/page_64_types.h:TASK_SIZE_MAX

_KEPT_FLAGS = frozenset(("noreserve", "growsdown", "stack", "locked", "special"))
_ACCOUNT = frozenset(("account",))  # VM_ACCOUNT as kernels before 6.7 have it, which never drop it
_CLEARED_BY = {"dontfork": (), "dofork": ("dontfork",), "wipeonfork": (), "keeponfork": ("wipeonfork",),
               "dontdump": (), "dodump": ("dontdump",), "mergeable": (), "unmergeable": ("mergeable",),
               "hugepage": ("nohugepage",), "nohugepage": ("hugepage",), "random": ("sequential",),
               "sequential": ("random",), "normal": ("random", "sequential")}
_CLEARS_ONLY = frozenset(("dofork", "keeponfork", "dodump", "unmergeable", "normal"))


def up(size):
    """A number of bytes, rounded up to whole pages."""
    return -(-size // PAGE) * PAGE


class Impossible(Exception):
    """An event that Linux would refuse; its text says why, in plain words."""


class Area(NamedTuple):
    """Memory from `start` to `end` (bytes) that is alike throughout; `shm` is (number, bytes) of a shared object."""

    start: int
    end: int
    prot: str
    shared: bool = False
    file: str | None = None
    offset: int = 0
    flags: frozenset = frozenset()
    shm: tuple[int, int] | None = None

    @property
    def accessible(self):
        return self.prot != "---"

    @property
    def private_writable(self):
        return not self.shared and self.prot[1] == "w"

    @property
    def maybe_accounted(self):
        """Whether it was writable once: kernels from 6.7 then keep VM_ACCOUNT only if it has been faulted."""
        return not self.shared and self.file is None and self.prot[1] != "w" and "account" in self.flags

    def part(self, start, end):
        """The part of it from `start` to `end`, its offset adjusted."""
        return self._replace(start=start, end=end, offset=self._offset_at(start))

    def moved(self, to):
        """The same memory at another address."""
        return self._replace(start=to, end=to + self.end - self.start)

    def continues(self, before, but=frozenset()):
        """Whether it is more of the area `before`, which ends where it starts; the flags `but` may differ."""
        return (before.end == self.start and before[2:5] == self[2:5] and before.shm == self.shm
                and (before.flags == self.flags or before.flags ^ self.flags <= but)
                and "special" not in self.flags and before._offset_at(self.start) == self.offset)

    def _offset_at(self, address):
        return 0 if self.file is None and self.shm is None else self.offset + address - self.start


class Space:
    """One mm: its areas in address order, neighbours that are alike joined, and its program break (bytes)."""

    __slots__ = ("areas", "starts", "brk", "brk_start", "__weakref__")

    def __init__(self, areas=(), brk=None, brk_start=None):
        self.areas, self.starts = list(areas), [area.start for area in areas]
        self.brk, self.brk_start = brk, brk_start

    def at(self, address):
        """The area that covers `address`, or None. Cost: one binary search."""
        index = bisect_right(self.starts, address) - 1
        return self.areas[index] if index >= 0 and self.areas[index].end > address else None

    def around(self, address):
        """The last area that starts at or below `address` and the first above it, None where there is none."""
        index = bisect_right(self.starts, address)
        return self.areas[index - 1] if index else None, self.areas[index] if index < len(self.areas) else None

    def within(self, start, end):
        """The areas between `start` and `end`, cut to that range. Cost: two binary searches and the areas found."""
        first, last = self._slice(start, end)
        found = self.areas[first:last]
        if found and found[0].start < start:
            found[0] = found[0].part(start, found[0].end)
        if found and found[-1].end > end:
            found[-1] = found[-1].part(found[-1].start, end)
        return found

    def runs(self, start, end):
        """The ranges without holes between `start` and `end`, as [start, end] pairs."""
        runs = []
        for area in self.within(start, end):
            if runs and runs[-1][1] == area.start:
                runs[-1][1] = area.end
            else:
                runs.append([area.start, area.end])
        return runs

    def covers(self, start, end):
        return self.runs(start, end) == [[start, end]]

    def remove(self, start, end):
        """Unmap the range; returns what was there."""
        found = self.within(start, end)
        first, last = self._slice(start, end)
        edges = []
        if found:
            low, high = self.areas[first], self.areas[last - 1]
            edges = [low.part(low.start, start)] if low.start < start else []
            edges += [high.part(end, high.end)] if high.end > end else []
        self._splice(first, last, edges)
        return found

    def add(self, area):
        """Map `area` where nothing is mapped."""
        first = last = bisect_left(self.starts, area.start)
        if first and area.continues(self.areas[first - 1]):
            first -= 1
            area = self.areas[first]._replace(end=area.end)
        if last < len(self.areas) and self.areas[last].continues(area):
            area = area._replace(end=self.areas[last].end)
            last += 1
        self._splice(first, last, [area])

    def flag(self, start, end, new=(), clear=()):
        """Add and clear flags of everything mapped in the range."""
        for area in self.remove(start, end):
            self.add(area._replace(flags=area.flags.union(new).difference(clear)))

    def copy(self):
        """What fork's child gets: all but `dontfork` areas, and none of them locked."""
        return Space([area._replace(flags=area.flags - {"locked"}) for area in self.areas
                      if "dontfork" not in area.flags], self.brk, self.brk_start)

    def _slice(self, start, end):
        first = bisect_right(self.starts, start)
        if first and self.areas[first - 1].end > start:
            first -= 1
        return first, bisect_left(self.starts, end, first) if start < end else first

    def _splice(self, first, last, areas):
        self.areas[first:last] = areas
        self.starts[first:last] = [area.start for area in areas]


class Layout:
    """The mm of every process; `apply` takes the events of a trace in order.

    Holds ranges, never pages: an event costs a few microseconds, whatever its length.
    """

    def __init__(self):
        self.processes = {}
        self._objects = 0

    def apply(self, event):
        """Take one event; raises Impossible, with nothing changed, if contract.md section 2 makes it an error."""
        _HANDLERS[type(event)](self, event)

    def space(self, pid):
        """The mm of a live process; raises Impossible for another pid."""
        if pid not in self.processes:
            raise Impossible("the process does not exist")
        return self.processes[pid]

    def _spawn(self, event):
        self._start(event.pid, Space())

    def _fork(self, event):
        self._start(event.child, self.space(event.pid).copy())

    def _share(self, event):
        self._start(event.child, self.space(event.pid))

    def _start(self, pid, space):
        if pid in self.processes:
            raise Impossible("the new process already exists")
        self.processes[pid] = space

    def _exec(self, event):
        self.space(event.pid)
        self.processes[event.pid] = Space()

    def _exit(self, event):
        self.space(event.pid)
        del self.processes[event.pid]

    def _mmap(self, event):
        space = self.space(event.pid)
        start, end = _range(event.addr, event.len)
        flags = _KEPT_FLAGS.intersection(event.flags)
        _demand(start < end, "its length is 0")
        _demand(0 <= event.offset < 1 << 63 and event.offset % PAGE == 0, "its offset is not page aligned")
        _demand("growsdown" not in flags or event.file is None and "private" in event.flags,
                "only private anonymous memory grows down")
        if "fixed" in event.flags:
            space.remove(start, end)
        _demand(not space.within(start, end), "another mapping is there")
        shared, shm = "shared" in event.flags, None
        if shared and event.file is None:
            self._objects += 1
            shm = (self._objects, end - start)
        if not shared and event.prot[1] == "w" and "noreserve" not in flags:
            flags |= _ACCOUNT
        space.add(Area(start, end, event.prot, shared, event.file, event.offset, flags, shm))

    def _munmap(self, event):
        start, end = _range(event.addr, event.len)
        _demand(start < end, "its length is 0")
        self.space(event.pid).remove(start, end)

    def _mprotect(self, event):
        space, (start, end) = self._covered(event), _range(event.addr, event.len)
        for area in space.remove(start, end):
            flags = area.flags
            if event.prot[1] == "w" and not area.shared and "noreserve" not in flags:
                flags |= _ACCOUNT
            space.add(area._replace(prot=event.prot, flags=flags))

    def _mlock(self, event):
        self._covered(event).flag(*_pages(event), new=("locked",))

    def _munlock(self, event):
        self._covered(event).flag(*_pages(event), clear=("locked",))

    def _covered(self, event):
        space, (start, end) = self.space(event.pid), _pages(event)
        _demand(start >= end or space.covers(start, end), "no mapping covers part of the range")
        return space

    def _madvise(self, event):
        space, (start, end) = self.space(event.pid), _range(event.addr, event.len)
        areas = space.within(start, end)
        for area in areas:
            _check_advice(area, event.advice)
        if event.advice.startswith("populate"):
            _demand(start >= end or space.covers(start, end), "no mapping covers part of the range")
        if event.advice in _CLEARED_BY:
            new = () if event.advice in _CLEARS_ONLY else (event.advice,)
            space.flag(start, end, new, _CLEARED_BY[event.advice])

    def _brk(self, event):
        space = self.space(event.pid)
        _demand(0 <= event.addr <= USER_END, "the break is not in user memory")
        if space.brk is None:
            space.brk = space.brk_start = event.addr
            return
        _demand(event.addr >= space.brk_start, "the break is below its start")
        old, new = up(space.brk), up(event.addr)
        if new > old:
            above = space.around(new)[1]
            gap = STACK_GAP if above and "growsdown" in above.flags else 0
            near = above is not None and above.start < new + PAGE + gap
            _demand(not near and not space.within(old, new + PAGE), "another mapping is in the way")
            space.add(Area(old, new, "rw-", flags=_ACCOUNT))
        elif new < old:
            _demand(space.within(new, old), "nothing is mapped between the new break and the old")
            space.remove(new, old)
        space.brk = event.addr

    def _touch(self, event):
        space, (at, end) = self.space(event.pid), _pages(event)
        grown = []
        while at < end and event.len:
            area = space.at(at)
            if area is None:
                area = _stack_above(space, at)
                grown.append((area, at))
            _demand(area.prot[1] == "w" if type(event) is events.Write else area.prot[0] == "r" or area.prot[2] == "x",
                    "the protection forbids it")
            _check_object(area, min(end, area.end))
            at = area.end
        for area, start in grown:
            space.remove(area.start, area.end)
            space.add(area._replace(start=start))

    def _remap_file_pages(self, event):
        space, start = self.space(event.pid), event.addr // PAGE * PAGE
        end = start + event.len // PAGE * PAGE
        areas = space.within(start, end)
        _demand(len(areas) == 1 and areas[0].start == start and areas[0].end == end, "the range is not one mapping")
        _demand(0 <= event.pgoff < 1 << 51, "no file is that long")
        _demand(areas[0].shared, "the mapping is not shared")
        space.remove(start, end)
        space.add(areas[0]._replace(offset=event.pgoff * PAGE, flags=areas[0].flags & {"locked"}))

    def _mremap(self, event):
        space = self.space(event.pid)
        start, end = _range(event.addr, event.len)
        new, new_end = _range(event.new_addr, event.new_len)
        first = space.at(start)
        _demand(new < new_end, "its new length is 0")
        _demand(first is not None, "no mapping covers the old address")
        _demand("special" not in first.flags or (end - start >= new_end - new and "dontunmap" not in event.flags),
                "a special mapping can neither grow nor be kept")
        if new != start or start == end or {"fixed", "dontunmap"}.intersection(event.flags):
            _move(space, event, first, end, new_end)
        elif new_end <= end:
            space.remove(new_end, end)
        else:
            areas = space.within(start, end)
            _demand(_one_mapping(areas, start, end), "the range is not one mapping")
            _demand(not space.within(end, new_end), "another mapping is in the way, or more of the same")
            space.add(areas[-1]._replace(start=end, end=new_end, offset=areas[-1]._offset_at(end)))

    def _none(self, event):
        if event.pid is not None:
            self.space(event.pid)


_HANDLERS = {
    events.Spawn: Layout._spawn, events.Fork: Layout._fork, events.Vfork: Layout._share,
    events.CloneVm: Layout._share, events.Exec: Layout._exec, events.Exit: Layout._exit, events.Mmap: Layout._mmap,
    events.Munmap: Layout._munmap, events.Mprotect: Layout._mprotect, events.Mremap: Layout._mremap,
    events.Brk: Layout._brk, events.Mlock: Layout._mlock, events.Munlock: Layout._munlock,
    events.Madvise: Layout._madvise, events.Read: Layout._touch, events.Write: Layout._touch,
    events.RemapFilePages: Layout._remap_file_pages, events.Reclaim: Layout._none, events.Swapout: Layout._none,
}


def _demand(condition, reason):
    if not condition:
        raise Impossible(reason)


def _range(address, length):
    _demand(address % PAGE == 0, "its address is not page aligned")
    _demand(address >= 0 <= length and address + up(length) <= USER_END, "the range is not in user memory")
    return address, address + up(length)


def _pages(event):
    _demand(event.addr >= 0 <= event.len and event.addr + event.len <= USER_END, "the range is not in user memory")
    return event.addr // PAGE * PAGE, up(event.addr + event.len)


def _stack_above(space, page):
    """The growsdown area that a touch of `page` extends; raises Impossible (mm/mmap.c:expand_downwards)."""
    below, above = space.around(page)
    _demand(above is not None and "growsdown" in above.flags, "no mapping covers the address")
    near = below is not None and below.accessible and "growsdown" not in below.flags and page - below.end < STACK_GAP
    _demand(not near, "the stack has no room to grow there")
    return above


def _one_mapping(areas, start, end):
    return (areas and areas[0].start == start and areas[-1].end == end
            and all(area.continues(before, but=_ACCOUNT) for before, area in zip(areas, areas[1:])))


def _check_object(area, end):
    _demand(area.shm is None or area._offset_at(end) <= area.shm[1], "the shared object ends before it")


def takes(area, advice):
    """Whether madvise accepts this advice for an area."""
    try:
        _check_advice(area, advice)
    except Impossible:
        return False
    return True


def _check_advice(area, advice):
    anonymous = not area.shared and area.file is None
    if advice in ("dontneed", "free", "remove", "cold", "pageout"):
        _demand("locked" not in area.flags, "the memory is locked")
    if advice in ("wipeonfork", "free"):
        _demand(anonymous, "the memory is not private anonymous")
    elif advice == "remove":
        # kernels from 6.7 ask for less, but a trace is to replay under the rules of older ones too
        _demand(area.shared and area.prot[1] == "w", "the memory is not shared and writable")
    elif advice in ("populate_read", "populate_write"):
        _demand("rw"[advice == "populate_write"] in area.prot, "the protection forbids it")
        _check_object(area, area.end)


def _move(space, event, first, end, new_end):
    """The forms of mremap that leave the old place (mm/mremap.c:mremap_to, move_vma, remap_move)."""
    start, new, fixed = event.addr, event.new_addr, "fixed" in event.flags
    keep = min(end - start, new_end - new)
    _demand("maymove" in event.flags, "a move needs maymove")
    _demand(start >= new_end or new >= end, "the old and the new range overlap")
    _demand(fixed or not space.within(new, new_end), "another mapping is at the new address")
    _demand("dontunmap" not in event.flags or end - start == new_end - new, "dontunmap needs equal lengths")
    if start == end:
        _demand(first.shared, "only a shared mapping can be duplicated")
        areas = [first.part(start, first.end)._replace(end=start + new_end - new)]
    else:
        areas = space.within(start, start + keep)
        whole = _one_mapping(areas, start, start + keep)
        _demand(whole or (fixed and end - start == new_end - new), "the range is not one mapping")
        if whole:
            areas[-1] = areas[-1]._replace(end=start + new_end - new)
    if "dontunmap" in event.flags:
        space.flag(event.addr, end, clear=("locked",))
    else:
        space.remove(event.addr, end)
    for area in areas:
        area = area.moved(area.start + event.new_addr - event.addr)
        space.remove(area.start, area.end)
        space.add(area)
