"""Capacity: how long unique offsets in one address_space last, by how they are handed out."""

from bisect import bisect_left, bisect_right
from collections import Counter
from heapq import heappop, heappush
from typing import NamedTuple

import pandas as pd

from ..errors import InputError
from ..events import Brk, Exit, Fork, Header, Mmap, Mremap, Spawn, Write
from ..strategies.shared_space import SharedSpaceStrategy
from ..strategies.shared_space_unique import INDEX_BITS, SLICE, SharedSpaceUniqueStrategy, SlicedSpace
from ..trace.memory import InMemory
from ..vm.faults import NO_OFFSETS
from ..vm.machine import Machine
from ..vm.vma import PAGE
from .lowmem import BUILDS, MIB
from .replay import Options, applied, kernel_for, machine_for

# -- ways to hand out offsets ---------------------------------------------------------------------------------------


class Space(SlicedSpace):
    """A space that knows the end of the highest offsets handed out in it, and its free ranges.

    `gaps` is a heap of (-width, start), of which some are out of date.
    """

    __slots__ = ("top", "gaps")

    def __init__(self, number, vmas):
        super().__init__(number, vmas)
        self.top, self.gaps = 0, []


class Slices(SharedSpaceUniqueStrategy):
    """As proposed: a slice for each process, as large as its address space, in which an area takes its address.

    `bits` are those of an index, by default the architecture's; `top` is the end of the highest offsets handed out.
    """

    space = Space

    def __init__(self, kernel, index=None, arch="x86_64", bits=None):
        super().__init__(kernel, index, arch)
        self.room, self.top = 1 << (bits or INDEX_BITS[arch]), 0

    def attach(self, machine):
        super().attach(machine)
        self.slices = self.room // self.slice

    def _cover(self, vma, change):
        super()._cover(vma, change)
        if change > 0 and vma.links is not None:
            vma.mm.anon.top = max(vma.mm.anon.top, vma.links.last + 1)
            self.top = max(self.top, vma.mm.anon.top)


class FirstFit(Slices):
    """No slices: a new area takes the lowest free offsets of the whole space."""

    def _give_slice(self, mm):
        mm.anon.slots[mm.number] = None

    def new_offset(self, mm, start, end):
        return mm.anon.covered.first_fit(0, self.room, end - start)

    def in_reach(self, vma, low, high):
        return 0 <= low and high <= self.room


class WidestGap(FirstFit):
    """No slices: a new area takes the middle of the widest free range, so that as much as can be is free beside it."""

    def new_offset(self, mm, start, end):
        space, pages = mm.anon, end - start
        if not space.gaps:
            self._note(space, 0)
        while space.gaps:
            width, low = -space.gaps[0][0], space.gaps[0][1]
            if self._gap(space.covered, low) == (low, low + width):
                return low + (width - pages) // 2 if width >= pages else None
            heappop(space.gaps)
        return None

    def _gap(self, covered, at):
        """The free range that holds an offset, None where there is none."""
        place = bisect_right(covered.cuts, at) - 1
        if covered.count[place] or at >= self.room:
            return None
        return covered.cuts[place], covered.cuts[place + 1] if place + 1 < len(covered.cuts) else self.room

    def _note(self, space, at):
        gap = self._gap(space.covered, at)
        if gap:
            heappush(space.gaps, (gap[0] - gap[1], gap[0]))

    def _cover(self, vma, change):
        super()._cover(vma, change)
        if vma.links is not None:
            for at in (max(0, vma.links.start - 1), vma.links.start, vma.links.last + 1):
                self._note(vma.mm.anon, at)


class NeverTwice(FirstFit):
    """No slices: a new area takes the offsets above all that were ever handed out; none is used again."""

    def new_offset(self, mm, start, end):
        top = mm.anon.top
        return top if top + end - start <= self.room else None

    def in_reach(self, vma, low, high):
        return super().in_reach(vma, low, high) and low >= vma.mm.anon.top


class SearchKey(FirstFit):
    """Nothing is handed out: an area's offset is its address, whoever else has it (reading f1 of the proposal)."""

    moved_offset = SharedSpaceStrategy.moved_offset

    def new_offset(self, mm, start, end):
        return start

    def can_grow(self, vma, pages, downwards=False):
        return True


POLICIES = {"search key": SearchKey, "slices": Slices, "first fit": FirstFit, "widest gap": WidestGap,
            "never twice": NeverTwice}
"""The ways to hand out offsets, by name; the first hands out none."""


class Handed(NamedTuple):
    """What a trace needed of an allocator: the calls refused for want of offsets, by kind, and the room it took.

    `new` counts refused mmap and brk, `growth` refused mremap, `stacks` touches below a stack that cannot grow,
    `followed` what was skipped because it needed what a refused call would have made; `first` is the pid of the first
    refused call, None without; `top` the end of the highest offsets handed out, in pages; `vmas` and `processes` how
    many were alive at their peak.
    """

    new: int
    growth: int
    stacks: int
    followed: int
    first: int | None
    top: int
    vmas: int
    processes: int

    def row(self):
        """These values by name, and their sum `refused`."""
        return {"refused": self.new + self.growth + self.stacks, **self._asdict()}


def wanting(machine):
    """The calls that a machine refused for want of offsets, without those that only follow from one."""
    return [call for call in machine.refused if call["reason"] == NO_OFFSETS]


def machine_with(policy, trace, bits=None, options=None):
    """A machine that hands out offsets by one of POLICIES; `bits` of an index, by default the architecture's."""
    options = options or Options()
    arch = options.arch or trace.header.arch or "x86_64"
    kernel = kernel_for(trace.header, options)
    design = POLICIES[policy](kernel, options.index or "interval_tree", arch, bits)
    return Machine(design, kernel, arch, options.max_memory)


def hand_out(trace, policy, bits=None, options=None):
    """Replays a trace on machine_with() a policy and returns what it Handed; errors and cost are those of replay()."""
    machine, processes = machine_with(policy, trace, bits, options), 0
    for _ in applied(machine, trace):
        machine.ledger.sample(len(machine.mms), machine.frames.alive)
        processes = max(processes, len(machine.processes))
    refused = wanting(machine)
    ops = Counter({"mmap": "new", "brk": "new", "mremap": "growth"}.get(call["op"], "stacks") for call in refused)
    first = next((event.pid for line, event in trace if refused and line == refused[0]["line"]), None)
    followed = sum(call["because"] is not None for call in machine.refused)
    return Handed(ops["new"], ops["growth"], ops["stacks"], followed, first, machine.strategy.top,
                  machine.ledger.peak_objects["vm_area_struct"], processes)


# -- lives of a family: each asks for offsets in another way --------------------------------------------------------

LOW, HEAP, BASE, AWAY, STACK = 0x00100000, 0x08100000, 0x40000000, 0x60000000, 0xB0000000
"""Addresses at which areas begin, on both architectures."""

ANONYMOUS = ["private", "anonymous"]


def _family(children, mapped):
    yield Spawn(1)
    yield from mapped
    yield from (Fork(1, pid) for pid in range(2, children + 2))


def in_place(children, size):
    """Each child maps an area and grows it where it lies."""
    yield from _family(children, [])
    pids = range(2, children + 2)
    yield from (Mmap(pid, BASE, size, "rw-", ANONYMOUS) for pid in pids)
    yield from (Mremap(pid, BASE, size, BASE, 2 * size) for pid in pids)


def by_moving(children, size):
    """Each child maps two areas side by side and grows the lower, which has to move for it (as realloc does)."""
    yield from _family(children, [])
    pids = range(2, children + 2)
    for pid in pids:
        yield Mmap(pid, BASE, size, "rw-", ANONYMOUS)
        yield Mmap(pid, BASE + size, size, "r--", ANONYMOUS)
    yield from (Mremap(pid, BASE, size, AWAY, 2 * size, ["maymove"]) for pid in pids)


def moved_part(children, size):
    """Each child maps an area, moves its lower half away and grows that."""
    yield from _family(children, [])
    pids = range(2, children + 2)
    yield from (Mmap(pid, BASE, 2 * size, "rw-", ANONYMOUS) for pid in pids)
    yield from (Mremap(pid, BASE, size, AWAY, size, ["maymove", "fixed"]) for pid in pids)
    yield from (Mremap(pid, AWAY, size, AWAY, 2 * size) for pid in pids)


def reused_address(children, size):
    """Each child moves an area away, maps a new one at its old address and grows that: Torvalds's example."""
    yield from _family(children, [])
    pids = range(2, children + 2)
    yield from (Mmap(pid, BASE, size, "rw-", ANONYMOUS) for pid in pids)
    yield from (Mremap(pid, BASE, size, AWAY, size, ["maymove", "fixed"]) for pid in pids)
    yield from (Mmap(pid, BASE, size, "rw-", ANONYMOUS) for pid in pids)
    yield from (Mremap(pid, BASE, size, BASE, 2 * size) for pid in pids)


def inherited(children, size):
    """Each child grows, where it lies, an area that the parent mapped."""
    yield from _family(children, [Mmap(1, BASE, size, "rw-", ANONYMOUS)])
    yield from (Mremap(pid, BASE, size, BASE, 2 * size) for pid in range(2, children + 2))


def inherited_stack(children, size):
    """Each child's stack, inherited, grows by a page."""
    yield from _family(children, [Mmap(1, STACK, size, "rw-", [*ANONYMOUS, "growsdown"])])
    yield from (Write(pid, STACK - PAGE, PAGE) for pid in range(2, children + 2))


def inherited_heap(children, size):
    """Each child's heap, inherited, grows by brk: no call is refused, but what does not continue it is another vma."""
    yield from _family(children, [Brk(1, HEAP), Brk(1, HEAP + size)])
    yield from (Brk(pid, HEAP + 2 * size) for pid in range(2, children + 2))


LIVES = {"new area, in place": in_place, "new area, by moving": by_moving, "moved part of an area": moved_part,
         "old address used again": reused_address, "inherited area": inherited, "inherited stack": inherited_stack,
         "inherited heap (brk)": inherited_heap}
"""What grows in each of `children` processes, by name."""


def life(name, children, size=16 * PAGE, arch="i386", kernel=None):
    """A life of LIVES as a trace; `size` is that of an area in bytes before it grows.

    >>> hand_out(life("inherited area", 3), "slices").growth
    2
    """
    return InMemory(Header(version=1, arch=arch, kernel=kernel), LIVES[name](children, size))


def users(processes, size, arch="i386", kernel=None):
    """A parent and its children, each of which maps `size` bytes of its own, up to 3071 MiB: the users of a program."""
    events = [Spawn(1), *(Fork(1, pid) for pid in range(2, processes + 1)),
              *(Mmap(pid, LOW, size, "rw-", ANONYMOUS) for pid in range(1, processes + 1))]
    return InMemory(Header(version=1, arch=arch, kernel=kernel), events)


def lineage(generations, size=PAGE, arch="i386", kernel=None):
    """A process maps an area, forks and exits; its child does the same, and so on: one or two are alive at a time."""
    events = [Spawn(1)]
    for pid in range(1, generations + 1):
        events += [Mmap(pid, BASE + 2 * pid * size, size, "rw-", ANONYMOUS), Fork(pid, pid + 1), Exit(pid)]
    return InMemory(Header(version=1, arch=arch, kernel=kernel), events)


# -- what else a family takes ---------------------------------------------------------------------------------------

PIDS = {"i386": 1 << 15, "x86_64": 1 << 22}
"""Pids: the default of 32-bit kernels, and the most that a 64-bit one can be told (include/linux/threads.h)."""


def index_bytes(arch):
    """The bytes of one file that mappings can reach, found by mapping its pages: a page's index must hold each.

    >>> index_bytes("i386") == 2 ** 44
    True
    """
    def fails(page):
        machine = machine_for(Header(version=1, arch=arch), "shared_space", Options())
        machine.apply(Spawn(1))
        try:
            machine.apply(Mmap(1, BASE, PAGE, "r--", ["shared"], "file", page * PAGE))
        except InputError:
            return True
        return False

    return bisect_left(range(1 << 60), True, key=fails) * PAGE


def limits(builds, sizes, ram):
    """How many processes of one family there are before each resource runs out: one row for each combination.

    Columns `build` (names of lowmem.BUILDS), `mib` that each process has mapped and touched (`sizes`), `resource`,
    `processes`. `ram` is the machine's memory in bytes.
    """
    rows = []
    for name in builds:
        build = BUILDS[name]
        bits, room = INDEX_BITS[build.arch], build.room(ram)
        for mib in sizes:
            mapped = int(mib * MIB)
            found = {f"slices of {text(bits)}": (1 << bits) // SLICE[build.arch],
                     f"{text(bits)}, packed": (1 << bits) * PAGE // mapped, "pids": PIDS[build.arch],
                     "kernel memory": room // build.process_bytes(mapped)}
            if build.arch == "i386":
                found = {f"slices of {text(SEED_BITS)}": (1 << SEED_BITS) // SLICE["i386"], **found}
            rows += [(name, mib, resource, processes) for resource, processes in found.items()]
    return pd.DataFrame(rows, columns=["build", "mib", "resource", "processes"])


SEED_BITS = 30
"""Bits of an index of pages with the 2^42 bytes of the mail that made the proposal."""


def text(bits):
    """The bytes that an index of so many bits reaches, as a power of two.

    >>> text(32)
    '2^44'
    """
    return f"2^{bits + PAGE.bit_length() - 1}"
