"""What a design does at each event beyond Linux 2.4, which does nothing for a reverse map."""

import pandas as pd

from ..errors import InputError
from ..events import Exit, Fork, Header, Mmap, Mremap, Read, Spawn, Write
from ..strategies.base import Strategy
from ..trace.memory import InMemory
from ..vm.vma import PAGE
from .replay import Options, applied, machine_for

COLUMNS = ("line", "op", "pid", "made", "freed", "pages", "locks", "copied", "bytes", "vmas", "refused")

COUNTING = ("mapped_new", "duplicated", "unmapped", "swapped_in", "file_mapped", "file_unmapped")
"""Hooks that tell of ptes made and gone: a design with a word in the page writes it each time."""

REWRITING = ("moved", "reused", "file_moved")
"""Hooks that tell of pages whose ptes change place or owner: only a design that implements them does anything."""


def added(trace, strategy, options=None):
    """One row for each event of a trace under one design, with the columns `COLUMNS`.

    `made` and `freed` count its objects, vmas aside; `pages` how often it writes a word of a page for a pte that comes,
    goes or moves (nonlinear areas aside); `locks` its acquisitions of locks of the reverse map; `copied` pages that it
    copied early; `bytes` the change of what it adds, `vmas` of their number; `refused` the calls it refused. Errors:
    InputError as replay().
    """
    machine = machine_for(trace.header, strategy, options or Options())
    tally = _Tally(machine)
    rows = []
    before = tally.now()
    for line, event in applied(machine, trace):
        now = tally.now()
        rows.append((line, type(event).__name__.lower(), event.pid, *(after - old for after, old in zip(now, before))))
        before = now
    return pd.DataFrame(rows, columns=COLUMNS)


class _Tally:
    """Counts allocations and told pages of a machine's design; both are counted where the design is called."""

    def __init__(self, machine):
        self.machine, self.made, self.freed, self.pages, self.inside = machine, 0, 0, 0, False
        ledger, strategy = machine.ledger, machine.strategy
        ledger.alloc, ledger.free = self._objects(ledger.alloc, "made"), self._objects(ledger.free, "freed")
        for hook in COUNTING + REWRITING:
            told = getattr(strategy, hook)
            setattr(strategy, hook, self._told(told, 2 if hook == "duplicated" else 1, _writes(strategy, hook)))

    def _objects(self, function, count):
        def counted(kind, number=1):
            function(kind, number)
            if kind != "vm_area_struct":
                setattr(self, count, getattr(self, count) + number)
        return counted

    def _told(self, hook, place, writes):
        def counted(*arguments):
            if self.inside:  # a hook that another one calls
                hook(*arguments)
                return
            self.pages += writes * len(arguments[place])
            self.inside = True
            hook(*arguments)
            self.inside = False
        return counted

    def now(self):
        """The values of the columns from `made` on."""
        machine, ledger = self.machine, self.machine.ledger
        return (self.made, self.freed, self.pages, sum(each.acquired for each in ledger.locks.values()), ledger.copies,
                ledger.design_bytes(len(machine.mms), machine.frames.alive), ledger.alive()["vm_area_struct"],
                len(machine.refused))


def _writes(strategy, hook):
    """Whether a design writes something of a page that this hook tells of."""
    if hook in COUNTING:
        return bool(strategy.embeds.get("page"))
    implemented = getattr(type(strategy), hook) is not getattr(Strategy, hook)
    # pages of files have an address of their own in the designs that do not find them through the file
    return implemented and not (hook == "file_moved" and strategy.walks_files)


# -- a family whose events are those of the argument ----------------------------------------------------------------

BASE, STEP, AWAY = 0x40000000, 0x00400000, 0x80000000


def family(children, areas, pages, written=0.5, arch="i386", kernel=None):
    """A parent and children that each inherit so many areas and a shared segment, write, move an area, and exit.

    `areas` private areas of `pages` pages, all written by the parent, and a segment of as many pages in all; all are
    inherited. A child reads the segment, writes the first part (`written`) of each area, and moves the first area
    away. Then it exits. Raises InputError if the areas do not fit.
    """
    size, part = pages * PAGE, round(pages * written) * PAGE
    segment = BASE + areas * STEP
    if size > STEP or segment + areas * size > AWAY:
        raise InputError("the areas and the segment do not fit", field="areas")
    events = [Spawn(1)]
    for at in range(BASE, segment, STEP):
        events += [Mmap(1, at, size, "rw-", ["private", "anonymous"]), Write(1, at, size)]
    events += [Mmap(1, segment, areas * size, "rw-", ["shared"], "segment"), Write(1, segment, areas * size)]
    for pid in range(2, children + 2):
        events += [Fork(1, pid), Read(pid, segment, areas * size)]
        events += [Write(pid, at, part) for at in range(BASE, segment, STEP) if part]
        events.append(Mremap(pid, BASE, size, AWAY, size, ["maymove", "fixed"]))
    events += [Exit(pid) for pid in range(2, children + 2)]
    return InMemory(Header(version=1, arch=arch, kernel=kernel), events)


def neighbours(arch="i386", kernel=None):
    """Two areas of a page become neighbours by a move, and then grow as one: what 2.4 merges, whatever the history."""
    near = BASE + PAGE
    return InMemory(Header(version=1, arch=arch, kernel=kernel), [
        Spawn(1), Mmap(1, BASE, PAGE, "rw-", ["private", "anonymous"]), Write(1, BASE, PAGE),
        Mmap(1, AWAY, PAGE, "rw-", ["private", "anonymous"]), Write(1, AWAY, PAGE),
        Mremap(1, AWAY, PAGE, near, PAGE, ["maymove", "fixed"]),
        Mremap(1, BASE, 2 * PAGE, BASE, 3 * PAGE)])
