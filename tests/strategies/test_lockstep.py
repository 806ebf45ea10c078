"""All designs and all indexes in lockstep through every op, against each other and against an oracle (oracle.py)."""

import subprocess
import sys
from collections import Counter
from copy import deepcopy
from functools import wraps
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (RuleBasedStateMachine, initialize, invariant, precondition, rule,
                                 run_state_machine_as_test)

from rmapmodel import events as ev
from rmapmodel.errors import InputError
from rmapmodel.index import INDEXES
from rmapmodel.strategies import STRATEGIES, strategy
from rmapmodel.vm.frames import ANON, FIRST, ZERO
from rmapmodel.vm.kernel import Kernel
from rmapmodel.vm.machine import Machine
from rmapmodel.vm.vma import DONTCOPY, GROWSDOWN, LOCKED, NONLINEAR, SHARED, SPECIAL, WIPEONFORK, prot_text

from tests.strategies.oracle import Oracle, Page, P

KERNELS = ("7.0", "6.18.44", "6.17", "6.12", "6.10", "6.7", "6.5", "6.2", "6.0", "5.19", "5.6", "4.19", "4.0", "3.10",
           "2.6.34", "2.6.20", "2.6.7", "2.6.4", "2.4.22")
"""One on each side of every rule of vm/kernel.py."""

BASE, WINDOW = 512 - 24, 48             # pages, on both sides of the end of a leaf
BRK = BASE + 28
STACK = BASE + WINDOW + 600             # farther than the stack gap from everything else
MOST = 5                                # processes
GAP = 256                               # pages that a stack keeps free below it
MOVED = WINDOW // 3 - 1                 # most pages of a move: there is always a place for them
FAR = BASE + 6 * WINDOW                 # where nothing is
MARKS = {LOCKED: "locked", DONTCOPY: "dontfork", WIPEONFORK: "wipeonfork", GROWSDOWN: "growsdown", SPECIAL: "special"}
PROTS = ("rw-", "rw-", "rw-", "r--", "---", "r-x")
FIXED = ["maymove", "fixed"]

RULES, FIRED, HAPPENED, WRONG = set(), Counter(), Counter(), Counter()
"""All rules; and over the whole run: rules that ran, kinds of event that succeeded, kinds that were impossible
and had to be."""


def op(**draws):
    """A rule that is counted."""
    def wrap(function):
        RULES.add(function.__name__)

        @wraps(function)
        def counted(self, **drawn):
            function(self, **drawn)
            FIRED[function.__name__] += 1
        return rule(data=st.data(), **draws)(counted)
    return wrap


def when(want):
    """Only while some page is mapped that `want` accepts."""
    return precondition(lambda self: any(want(self, cell) for cell in self.cells()))


def anything(self, cell):
    return True


def inside(self, cell):
    """Not beyond the end of its shared anonymous object."""
    return cell.off < self.main.size.get(cell.file, 1 << 40)


def readable(self, cell):
    return cell.prot != "---" and inside(self, cell)


def writable(self, cell):
    return cell.prot[1] == "w" and inside(self, cell)


def anonymous(self, cell):
    return not cell.shared and cell.file is None


def private_writable(self, cell):
    return writable(self, cell) and not cell.shared


def private_readable(self, cell):
    return readable(self, cell) and not cell.shared


def shown(self, cell):
    return cell.shared and inside(self, cell)


def unlocked(self, cell):
    return "locked" not in cell.marks


def growable(self, cell):
    return "special" not in cell.marks


def duplicable(self, cell):
    return cell.shared and growable(self, cell)


def keepable(self, cell):
    """For dontunmap; the whole vma of a locked page would lose the lock, and which that is differs between designs."""
    return unlocked(self, cell) and growable(self, cell)


def removable(self, cell):
    return cell.shared and unlocked(self, cell) and (cell.prot[1] == "w" or self.kernel.since(6, 7))


def freeable(self, cell):
    return anonymous(self, cell) and unlocked(self, cell)


def may_populate(letter):
    return lambda self, cell: cell.prot["rw".index(letter)] == letter and inside(self, cell)


PAGE_ADVICE = {"dontneed": unlocked, "free": freeable, "pageout": unlocked, "remove": removable, "cold": unlocked,
               "willneed": anything, "populate_read": may_populate("r"), "populate_write": may_populate("w")}
def locked(self, cell):
    return not unlocked(self, cell)


REFUSED_ADVICE = [("wipeonfork", lambda self, cell: not anonymous(self, cell)),
                  *((advice, locked) for advice in ("dontneed", "pageout", "cold")),
                  ("free", lambda self, cell: locked(self, cell) or cell.file is not None),
                  ("remove", lambda self, cell: not removable(self, cell)),
                  ("populate_read", lambda self, cell: cell.prot[0] != "r"),
                  ("populate_write", lambda self, cell: cell.prot[1] != "w")]


class View:
    """What the page tables of one machine hold: of each entry its space, page, value, contents."""

    def __init__(self, machine, spaces):
        self.machine, self.ids = machine, {space.number: machine.processes[pid] for pid, space in spaces.items()}
        parts = [(number, mm, *machine.contents(mm)) for number, mm in self.ids.items()]
        self.space = np.concatenate([np.full(len(pages), number) for number, _, pages, _ in parts])
        self.page = np.concatenate([pages for _, _, pages, _ in parts])
        self.stamp = np.concatenate([stamps for *_, stamps in parts])
        self.held = np.concatenate([mm.table.gather(pages) for _, mm, pages, _ in parts])
        frames = machine.frames
        present = self.held >= FIRST
        self.anon = self.held < 0
        self.anon[present] = frames.flags[self.held[present]] & ANON
        # a page is its frame, or while it has none its swap slot
        self.identity = self.held.copy()
        slots = -self.held[self.held < 0]
        self.identity[self.held < 0] = np.where(machine.swap.frame[slots], machine.swap.frame[slots], -slots)
        self.layout = tuple((number, tuple((vma.start, vma.end, vma.flags, vma.file and vma.file.number,
                                            vma.file and vma.pgoff) for vma in mm.vmas))
                            for number, mm in self.ids.items())
        self.files = [(number, page + at, int(frames.mapcount[entries[at]]))
                      for number, file in sorted(machine.file_numbers.items())
                      for page, entries in file.cache.spans(0, FAR)
                      for at in np.flatnonzero(frames.mapcount[entries]).tolist()]
        self.columns = self.space, self.page, self.held, self.stamp, self.anon, self.identity
        self.key = tuple(column.tobytes() for column in self.columns)

    def entries(self):
        """(space, page, page table entry, contents, whether anonymous, identity) of each entry."""
        return zip(*(column.tolist() for column in self.columns))


class Lockstep(RuleBasedStateMachine):
    """One machine for each design and index; `main` says what the processes must see.

    A design that copies pages early gets an oracle of its own with its first copy. A machine that refused an event is
    set aside: it goes on with the events and must stay sound, and equal in the spaces that the refusal did not reach.
    """

    @initialize(kernel=st.sampled_from(KERNELS + 4 * KERNELS[:3]))  # the newest more often: only they span vmas
    def start(self, kernel):
        note(f"kernel {kernel}")
        self.kernel = Kernel.parse(kernel)
        self.machines = {(name, index): Machine(strategy(name)(self.kernel, index), self.kernel, contents=True)
                         for name in STRATEGIES for index in INDEXES}
        self.aside, self.reached, self.freed = {}, {}, False
        self.main = Oracle(not self.kernel.since(4, 0), self.kernel.since(6, 17))
        self.oracles = dict.fromkeys(STRATEGIES, self.main)
        self.copies = dict.fromkeys(STRATEGIES, 0)
        self.history = dict.fromkeys(self.machines, 0)
        self.line, self.pids, self.seen = 0, 0, None
        self.happens(ev.Spawn(self.new_pid()))
        self.happens(ev.Mmap(1, BASE * P, 8 * P, "rw-", ["private", "anonymous"]))
        self.happens(ev.Write(1, BASE * P, 4 * P))

    def everyone(self):
        return [*self.machines.items(), *self.aside.items()]

    # -- events

    def happens(self, event, apart=()):
        """Applies a legal event to every machine; those in `apart` must refuse it."""
        self.line += 1
        note(f"{self.line}: {event}")
        for oracle in dict.fromkeys(self.oracles.values()):
            oracle.apply(event, self.line)
        for name, machine in self.everyone():
            refusals = len(machine.refused)
            try:
                machine.apply(event, self.line)
            except InputError as error:
                raise AssertionError(f"{name} takes this for impossible: {error}") from error
            refused = machine.refused[refusals:]
            if name in self.machines:
                assert refused or name not in apart, f"{name} does not refuse"
                # or what an area could not grow by, as a stack, for want of offsets
                assert not refused or name in apart or "offsets" in refused[0]["reason"], f"{name}: {refused}"
            if refused:
                self.set_aside(name, event)
        for reached in self.reached.values():
            if isinstance(event, ev.Fork) and self.main.spaces[event.pid].number in reached:
                reached.add(self.main.spaces[event.child].number)
        self.follow_early_copies(event)
        self.freed |= isinstance(event, ev.Madvise) and event.advice == "free"
        HAPPENED[event.__struct_config__.tag] += 1
        self.seen = None

    def set_aside(self, name, event):
        if name in self.machines:
            self.aside[name] = self.machines.pop(name)
            self.reached[name] = set()
            HAPPENED["refused"] += 1
        self.reached[name].add(self.main.spaces[event.pid].number)

    def follow_early_copies(self, event):
        """Gives the page that `event` made a design copy early its own page in that design's oracle."""
        for design in STRATEGIES:
            machine = next((machine for (name, _), machine in self.machines.items() if name == design), None)
            if machine is None or machine.ledger.copies == self.copies[design]:
                continue
            if self.oracles[design] is self.main:
                self.oracles[design] = deepcopy(self.main)
            oracle, view = self.oracles[design], View(machine, self.main.spaces)
            sharers = Counter(view.identity[view.anon].tolist())
            space, split = oracle.spaces[event.pid], 0
            for number, page, identity in zip(view.space.tolist(), view.page.tolist(), view.identity.tolist()):
                target = space.anon.get(page) if number == space.number else None
                if target is not None and len(target.entries) > 1 and sharers[identity] == 1:
                    resident = oracle.drop(space, page)
                    oracle.enter(space, page, Page(target.holds), resident)
                    split += 1
            copied = machine.ledger.copies - self.copies[design]
            assert split == copied if isinstance(event, ev.Mremap) else split <= copied
            self.copies[design] = machine.ledger.copies

    def impossible(self, kind, event):
        """Every machine must refuse the event as an error; the invariants then see that nothing changed."""
        self.line += 1
        note(f"{self.line}: impossible ({kind}): {event}")
        for name, machine in self.machines.items():
            with pytest.raises(InputError):
                machine.apply(event, self.line)
                raise AssertionError(f"{name} executes it")
            assert not machine.refused, name
        WRONG[kind] += 1
        self.seen = None

    # -- choosing

    def new_pid(self):
        self.pids += 1
        return self.pids

    def cells(self):
        for space in self.main.spaces.values():
            yield from space.cells.values()

    @staticmethod
    def pick(data, options):
        return data.draw(st.sampled_from(options))

    def spread(self, data, options, count):
        """Some options beside each other, more evenly than Hypothesis draws: all kinds in one rule are to happen."""
        first = data.draw(st.integers(0, 255)) + 37 * self.line
        return [options[(first + i) % len(options)] for i in range(min(count, len(options)))]

    def process(self, data):
        pid = self.pick(data, sorted(self.main.spaces))
        return pid, self.main.spaces[pid]

    def area_end(self, pid, page):
        """Where the first of the vmas ends that hold a page in each machine."""
        return min(machine.processes[pid].find(page).end for machine in self.machines.values())

    def whole_area(self, pid, start, end):
        """Whether [start, end) is one whole vma in every machine."""
        vmas = [machine.processes[pid].find(start) for machine in self.machines.values()]
        return all((vma.start, vma.end) == (start, end) for vma in vmas)

    def stretch(self, data, want=anything, one_area=False, most=WINDOW):
        """A process, its space, and some mapped pages from a start, all wanted; `one_area`: of one vma everywhere."""
        pid = self.pick(data, [pid for pid, space in sorted(self.main.spaces.items())
                               if any(want(self, cell) for cell in space.cells.values())])
        space = self.main.spaces[pid]
        cells = space.cells
        fits = sorted(page for page, cell in cells.items() if want(self, cell))
        firsts = [page for page in fits if page - 1 not in cells or
                  cells[page - 1]._replace(off=0, shows=0) != cells[page]._replace(off=0, shows=0)]
        start = self.pick(data, firsts + fits)
        end, limit = start + 1, start + self.pick(data, [pages for pages in (1, 2, 3, 4, 8, most) if pages <= most])
        if one_area:
            limit = min(limit, self.area_end(pid, start))
        while end < limit and end in cells and want(self, cells[end]):
            end += 1
        return pid, space, start, end - start

    def hole(self, data, space, pages, avoid=()):
        """The start of that many free pages, rather beside something; None where there are none."""
        def free(page):
            return all(at not in space.cells and at not in avoid for at in range(page, page + pages))

        starts = [page for page in range(BASE, BASE + WINDOW - pages + 1) if free(page)]
        beside = [page for page in starts if page - 1 in space.cells or page + pages in space.cells]
        return self.pick(data, beside + starts[::3]) if starts else None

    def target(self, data, start, pages, between=0):
        """Any place in the window for so many pages, with so many `between` it and the source."""
        places = [page for page in range(BASE, BASE + WINDOW - pages + 1)
                  if page + pages + between <= start or start + pages + between <= page]
        return self.pick(data, places)

    # -- processes

    @precondition(lambda self: len(self.main.spaces) < MOST)
    @op(kind=st.sampled_from((ev.Spawn, ev.Vfork, ev.CloneVm)))
    def new_process(self, data, kind):
        self.happens(kind(self.new_pid()) if kind is ev.Spawn else kind(self.process(data)[0], self.new_pid()))

    @precondition(lambda self: len(self.main.spaces) < MOST)
    @op()
    def fork(self, data):
        self.happens(ev.Fork(self.process(data)[0], self.new_pid()))

    @precondition(lambda self: len(self.main.spaces) < MOST)
    @when(private_writable)
    @op(between=st.booleans())
    def fork_and_write(self, data, between):
        pid, space, start, pages = self.stretch(data, private_writable)
        child = self.new_pid()
        self.happens(ev.Fork(pid, child))
        if between:
            self.happens(ev.Swapout(pid, start * P, pages * P))
        pid = self.pick(data, [pid for pid in (pid, child) if start in self.main.spaces[pid].cells])
        self.happens(ev.Write(pid, start * P, P))

    @precondition(lambda self: len(self.main.spaces) > 2)
    @op(kind=st.sampled_from((ev.Exit, ev.Exec)))
    def end(self, data, kind):
        pids = sorted(self.main.spaces)
        full = [pid for pid in pids if self.main.spaces[pid].cells]
        self.happens(kind(self.pick(data, full if kind is ev.Exec and full else pids)))

    # -- mmap

    def map(self, data, flags, file=None, prots=PROTS, most=12):
        pid, space = self.process(data)
        pages = self.pick(data, (1, 2, 2, 4, 4, most))
        start = self.hole(data, space, pages)
        if start is None:
            flags, start = [*flags, "fixed"], BASE + self.pick(data, range(WINDOW - pages))
        self.map_at(data, pid, start, pages, flags, file, prots)

    def map_at(self, data, pid, start, pages, flags, file, prots=PROTS):
        off = (start - BASE + self.pick(data, (0, 0, 0, 3))) * P if file else 0
        self.happens(ev.Mmap(pid, start * P, pages * P, self.pick(data, prots), flags, file, off))

    @op(flag=st.sampled_from(([], [], [], ["noreserve"])))
    def mmap_anonymous(self, data, flag):
        self.map(data, ["private", "anonymous", *flag])

    @op()
    def mmap_shared_anonymous(self, data):
        self.map(data, ["shared", "anonymous"])

    @op(name=st.sampled_from("aab"))
    def mmap_private_file(self, data, name):
        self.map(data, ["private"], name)

    @op(name=st.sampled_from("aab"))
    def mmap_shared_file(self, data, name):
        self.map(data, ["shared"], name)

    @op(kind=st.sampled_from((["private", "anonymous"], ["shared", "anonymous"])))
    def mmap_locked(self, data, kind):
        self.map(data, [*kind, "locked"], most=4)

    @op()
    def mmap_special(self, data):
        self.map(data, ["private", "anonymous", "special"], prots=("rw-", "r-x"), most=2)

    @op()
    def mmap_stack(self, data):
        self.map(data, ["private", "anonymous", "stack"], prots=("rw-",))

    @when(anonymous)
    @op()
    def mmap_between(self, data):
        """Touched memory, a hole, touched memory; and then the hole is mapped."""
        pid, space, start, pages = self.stretch(data, anonymous)
        end, hole = start, self.pick(data, (1, 2))
        while end in space.cells:
            end += 1
        anon = ["private", "anonymous"]
        if any(page in space.cells for page in range(end, end + hole + 2)):
            return self.happens(ev.Munmap(pid, end * P, hole * P))
        self.happens(ev.Mmap(pid, (end + hole) * P, 2 * P, "rw-", anon))
        self.happens(ev.Write(pid, (end + hole) * P, P))
        self.happens(ev.Mmap(pid, end * P, hole * P, "rw-", anon))

    @when(anything)
    @op(kind=st.sampled_from((["private", "anonymous"], ["shared", "anonymous"], ["private"], ["shared"])))
    def mmap_fixed(self, data, kind):
        pid, space, start, pages = self.stretch(data)
        self.map_at(data, pid, start, pages, [*kind, "fixed"], None if "anonymous" in kind else "a")

    def below_stacks(self):
        """The (pid, page) that a growsdown area may grow to."""
        for pid, space in sorted(self.main.spaces.items()):
            pages = sorted(space.cells)
            for below, page in zip([None, *pages], pages):
                if "growsdown" not in space.cells[page].marks or space.cells[page].prot != "rw-":
                    continue
                low = space.cells[below] if below is not None else None
                for to in range(page - 4, page):
                    if below is None or to > below and (
                            low.prot == "---" or "growsdown" in low.marks or to - below > GAP):
                        yield pid, to

    @op(kind=st.sampled_from((ev.Read, ev.Write)))
    def grow_stack(self, data, kind):
        if not any(self.below_stacks()):
            pid = self.process(data)[0]
            self.happens(ev.Munmap(pid, (STACK - 32) * P, 64 * P))
            self.happens(ev.Mmap(pid, STACK * P, 2 * P, "rw-", ["private", "anonymous", "growsdown"]))
        pid, page = self.pick(data, list(self.below_stacks()))
        self.happens(kind(pid, page * P + 8, 8))
        HAPPENED["stack grows"] += 1

    # -- changes of areas

    @when(anything)
    @op(more=st.integers(0, 3))
    def munmap(self, data, more):
        pid, space, start, pages = self.stretch(data)
        self.happens(ev.Munmap(pid, start * P, (pages + more) * P))

    @when(anything)
    @op(prot=st.sampled_from(PROTS))
    def mprotect(self, data, prot):
        pid, space, start, pages = self.stretch(data)
        self.happens(ev.Mprotect(pid, start * P, pages * P, prot))

    @when(anything)
    @op()
    def mprotect_there_and_back(self, data):
        pid, space, start, pages = self.stretch(data, one_area=True)
        was = space.cells[start].prot
        self.happens(ev.Mprotect(pid, start * P, pages * P, self.pick(data, ("r--", "---", "rw-"))))
        self.happens(ev.Mprotect(pid, start * P, pages * P, was))

    @when(lambda self, cell: readable(self, cell) and growable(self, cell))
    @op()
    def mlock(self, data):
        pid, space, start, pages = self.stretch(data)
        self.happens(ev.Mlock(pid, start * P + 8, pages * P - 16))

    @when(anything)
    @op()
    def munlock(self, data):
        pid, space, start, pages = self.stretch(data)
        self.happens(ev.Munlock(pid, start * P, pages * P))

    @when(anything)
    @op()
    def madvise_area(self, data):
        for advice in self.spread(data, [advice for advice in ev.ADVICE_VMA if advice != "wipeonfork"], 3):
            self.advise(data, anything, advice)

    @when(anonymous)
    @op()
    def madvise_wipeonfork(self, data):
        self.advise(data, anonymous, "wipeonfork")

    def advise(self, data, want, advice):
        pid, space, start, pages = self.stretch(data, want)
        if advice == "remove" and self.is_nonlinear(pid, start, pages):
            advice = "dontdump"
        self.happens(ev.Madvise(pid, start * P, pages * P, advice))
        HAPPENED[advice] += 1

    @when(anything)
    @op()
    def madvise_pages(self, data):
        for advice in self.spread(data, [advice for advice, want in PAGE_ADVICE.items()
                                         if any(want(self, cell) for cell in self.cells())], 4):
            if any(PAGE_ADVICE[advice](self, cell) for cell in self.cells()):
                self.advise(data, PAGE_ADVICE[advice], advice)

    def is_nonlinear(self, pid, start, pages):
        machine = next(iter(self.machines.values()))
        return any(vma.flags & NONLINEAR for vma in machine.processes[pid].overlapping(start, start + pages))

    # -- mremap

    def remap(self, pid, start, pages, new, new_pages, flags, apart=()):
        self.happens(ev.Mremap(pid, start * P, pages * P, new * P, new_pages * P, flags), apart)

    def growable_ends(self):
        """The (pid, start, end) of areas that end alike in every machine, with a free page behind them."""
        for pid, space in sorted(self.main.spaces.items()):
            for page, cell in sorted(space.cells.items()):
                if page + 1 not in space.cells and page + 1 < BASE + WINDOW and growable(self, cell):
                    starts = [machine.processes[pid].find(page).start for machine in self.machines.values()]
                    yield pid, max(starts), page + 1

    @precondition(lambda self: any(self.growable_ends()))
    @op(flags=st.sampled_from(([], ["maymove"])))
    def mremap_grow(self, data, flags):
        pid, low, end = self.pick(data, list(self.growable_ends()))
        cells, start, new_end = self.main.spaces[pid].cells, self.pick(data, (low, (low + end) // 2)), end + 1
        limit = min(end + self.pick(data, (1, 2, 4, 8)), BASE + WINDOW)
        while new_end < limit and new_end not in cells:
            new_end += 1
        self.remap(pid, start, end - start, start, new_end - start, flags)

    @when(anything)
    @op(more=st.integers(1, 4))
    def mremap_shrink(self, data, more):
        pid, space, start, pages = self.stretch(data)
        self.remap(pid, start, pages + more, start, pages, [])

    @when(anything)
    @op()
    def mremap_move(self, data):
        pid, space, start, pages = self.stretch(data, one_area=True, most=MOVED)
        new = self.hole(data, space, pages)
        if new is None:
            return self.move_over(data, pid, start, pages)
        self.remap(pid, start, pages, new, pages, self.pick(data, (["maymove"], FIXED)))

    @when(anything)
    @op()
    def mremap_there_and_back(self, data):
        pid, space, start, pages = self.stretch(data, one_area=True, most=MOVED)
        new = self.hole(data, space, pages)
        if new is None:
            return self.move_over(data, pid, start, pages)
        self.remap(pid, start, pages, new, pages, FIXED)
        between = self.pick(data, ("nothing", "write", "fork"))
        if between == "write" and writable(self, space.cells[new]):
            self.happens(ev.Write(pid, new * P, P))
        elif between == "fork" and len(self.main.spaces) < MOST:
            self.happens(ev.Fork(pid, self.new_pid()))
        self.remap(pid, new, pages, start, pages, ["maymove"])

    @when(growable)
    @op(fixed=st.booleans())
    def mremap_resize(self, data, fixed):
        pid, space, start, pages = self.stretch(data, growable, one_area=True, most=MOVED)
        new_pages = max(1, pages + self.pick(data, (-3, -1, 1, 2, 4)))
        new = self.hole(data, space, new_pages, range(start, start + pages))
        if new is None:
            return self.move_over(data, pid, start, pages)
        self.remap(pid, start, pages, new, new_pages, FIXED if fixed else ["maymove"])

    def move_over(self, data, pid, start, pages):
        """Moves to any place, whatever is there."""
        self.remap(pid, start, pages, self.target(data, start, pages), pages, FIXED)

    @when(anything)
    @op()
    def mremap_over(self, data):
        pid, space, start, pages = self.stretch(data, one_area=True, most=MOVED)
        self.move_over(data, pid, start, pages)

    @when(keepable)
    @op()
    def mremap_dontunmap(self, data):
        pid, space, start, pages = self.stretch(data, keepable, one_area=True, most=MOVED)
        self.remap(pid, start, pages, self.target(data, start, pages), pages, [*FIXED, "dontunmap"])

    def locked_areas(self):
        """The locked areas that are one whole vma in every machine."""
        machine = next(iter(self.machines.values()))
        for pid in sorted(self.main.spaces):
            for vma in machine.processes[pid].vmas:
                if vma.flags & LOCKED and not vma.flags & SPECIAL and vma.pages <= MOVED \
                        and self.whole_area(pid, vma.start, vma.end):
                    yield pid, vma.start, vma.pages

    @precondition(lambda self: any(self.locked_areas()))
    @op()
    def mremap_dontunmap_locked(self, data):
        pid, start, pages = self.pick(data, list(self.locked_areas()))
        # where the new area merges with the old one, both lose the lock (move_vma), and that is up to the design
        self.remap(pid, start, pages, self.target(data, start, pages, between=1), pages, [*FIXED, "dontunmap"])

    @when(duplicable)
    @op()
    def mremap_duplicate(self, data):
        pid, space, start, pages = self.stretch(data, duplicable, most=MOVED)
        new = self.hole(data, space, pages)
        self.remap(pid, start, 0, self.target(data, start, pages) if new is None else new, pages, FIXED)

    @precondition(lambda self: self.main.moves_span_areas)
    @when(anything)
    @op(more=st.integers(0, 6))
    def mremap_several(self, data, more):
        pid, space, start, pages = self.stretch(data, most=MOVED)
        pages = min(pages + more, MOVED)
        keep = all(keepable(self, space.cells[page]) for page in range(start, start + pages) if page in space.cells)
        flags = self.pick(data, (FIXED, FIXED, [*FIXED, "dontunmap"])) if keep else FIXED
        self.remap(pid, start, pages, self.target(data, start, pages), pages, flags)

    def kept_apart(self):
        """Alike memory that is one vma in some machines and several in others: (pid, start, end, the others)."""
        for pid in sorted(self.main.spaces) if self.line > 10 else ():
            longest = {}
            for machine in self.machines.values():
                for vma in machine.processes[pid].vmas:
                    if not vma.flags & SPECIAL:
                        longest[vma.start] = max(vma.end, longest.get(vma.start, 0))
            for start, end in sorted(longest.items()):
                others = {name for name, machine in self.machines.items()
                          if len(machine.processes[pid].overlapping(start, end)) > 1}
                if others and len(others) < len(self.machines):
                    yield pid, start, end, others

    @precondition(lambda self: any(self.kept_apart()))
    @op(more=st.integers(0, 2))
    def mremap_apart(self, data, more):
        pid, start, end, others = self.pick(data, list(self.kept_apart()))
        more += self.main.moves_span_areas  # from 6.17 only growth needs one vma
        new = BASE + 2 * WINDOW
        if any(page in self.main.spaces[pid].cells for page in range(new, new + 2 * WINDOW)):
            return self.happens(ev.Munmap(pid, new * P, 2 * WINDOW * P))
        self.remap(pid, start, end - start, new, end - start + more, ["maymove"], others)

    # -- brk

    def breaks(self):
        """The (pid, page) to which the break can go."""
        for pid, space in sorted(self.main.spaces.items()):
            if space.brk is None:
                yield pid, BRK
                continue
            old = -(-space.brk // P)
            for new in range(BRK, BRK + 12):
                between = any(page in space.cells for page in range(min(old, new), max(old, new + 1)))
                if new > old and not between and not self.near_stack(space, new):
                    yield pid, new
                elif new < old and (not self.kernel.since(6, 1)
                                    or any(page in space.cells for page in range(new, old))):
                    yield pid, new

    @staticmethod
    def near_stack(space, new):
        above = min((page for page in space.cells if page > new), default=None)
        return above is not None and "growsdown" in space.cells[above].marks and new + 1 > above - GAP

    @precondition(lambda self: any(self.breaks()))
    @op(part=st.sampled_from((0, 0, 100)))
    def brk(self, data, part):
        for _ in range(4):
            places = list(self.breaks())
            if not places:
                return
            pid, page = self.pick(data, places)
            was = self.main.spaces[pid].brk
            self.happens(ev.Brk(pid, page * P - (part if page > BRK else 0)))
            HAPPENED["brk starts" if was is None else "brk grows" if page * P > was else "brk shrinks"] += 1

    # -- touches

    @when(readable)
    @op()
    def read(self, data):
        pid, space, start, pages = self.stretch(data, readable)
        self.happens(ev.Read(pid, start * P + 8, pages * P - 16))

    @when(writable)
    @op()
    def write(self, data):
        pid, space, start, pages = self.stretch(data, writable)
        self.happens(ev.Write(pid, start * P + 8, pages * P - 16))

    @when(private_writable)
    @op()
    def write_private(self, data):
        pid, space, start, pages = self.stretch(data, private_writable)
        self.happens(ev.Write(pid, start * P, pages * P))

    @when(private_writable)
    @op()
    def write_private_page(self, data):
        pid, space, start, pages = self.stretch(data, private_writable, most=1)
        self.happens(ev.Write(pid, start * P, P))

    @when(shown)
    @op()
    def remap_file_pages(self, data):
        pid, space, start, pages = self.stretch(data, shown, one_area=self.main.nonlinear)
        mm = next(iter(self.machines.values())).processes[pid]
        while any((vma.file, vma.flags) != (mm.find(start).file, mm.find(start).flags)
                  for vma in mm.overlapping(start, start + pages)):
            pages -= 1
        size = self.main.size.get(space.cells[start].file, 24)
        pages = min(pages, size)
        self.happens(ev.RemapFilePages(pid, start * P, pages * P, self.pick(data, range(size - pages + 1))))

    # -- reclaim

    def places(self, data):
        pid, space = self.process(data)
        return self.pick(data, ((), (pid,), (pid, (BASE + self.pick(data, range(WINDOW))) * P, 6 * P)))

    @op()
    def reclaim(self, data):
        self.happens(ev.Reclaim(*self.places(data)))

    @op()
    def swapout(self, data):
        self.happens(ev.Swapout(*self.places(data)))

    @when(private_readable)
    @op()
    def swapout_and_read(self, data):
        self.happens(ev.Swapout(*self.places(data)))
        pid, space, start, pages = self.stretch(data, private_readable)
        self.happens(ev.Read(pid, start * P, pages * P))

    # -- what Linux refuses

    def wrong_calls(self):
        """The (kind, event) of those that no memory need be mapped for; each is found out before anything is done."""
        dead = self.pids + 1
        for pid, space in sorted(self.main.spaces.items()):
            gap = next(page for page in range(BASE, BASE + 2 * WINDOW)
                       if page not in space.cells and page - 1 not in space.cells)
            yield from (("dead", ev.Exit(dead)), ("dead", ev.Fork(dead, dead + 1)),
                        ("dead", ev.Write(dead, BASE * P, P)),
                        ("lives", ev.Fork(pid, pid)), ("lives", ev.Vfork(pid, pid)), ("lives", ev.Spawn(pid)),
                        ("length 0", ev.Munmap(pid, BASE * P, 0)), ("unaligned", ev.Munmap(pid, BASE * P + 1, P)),
                        ("length 0", ev.Mmap(pid, gap * P, 0, "rw-", ["private", "anonymous"])),
                        ("beyond", ev.Reclaim(pid, BASE * P, 1 << 60)),
                        ("hole", ev.Mprotect(pid, gap * P, P, "r--")), ("hole", ev.Mlock(pid, gap * P, P)),
                        ("hole", ev.Mremap(pid, gap * P, P, FAR * P, P, ["maymove"])))
            if not any("growsdown" in cell.marks for cell in space.cells.values()):
                yield "untouchable", ev.Read(pid, gap * P, P)
            if space.brk is not None:
                yield "break", ev.Brk(pid, BRK * P - P)

    def wrong_moves(self, pid, cells, page, cell):
        at, far = page * P, FAR * P
        yield "new length 0", ev.Mremap(pid, at, P, at, 0)
        yield "may not move", ev.Mremap(pid, at, P, far, P, [])
        yield "overlap", ev.Mremap(pid, at, 2 * P, at + P, 2 * P, FIXED)
        yield "unequal dontunmap", ev.Mremap(pid, at, P, far, 2 * P, ["maymove", "dontunmap"])
        if page + 1 in cells:
            yield "no room", ev.Mremap(pid, at, P, at, 2 * P)
            if page + 3 not in cells:
                yield "several", ev.Mremap(pid, at, 4 * P, far, 5 * P, ["maymove"])
        if not cell.shared:
            yield "private duplicate", ev.Mremap(pid, at, 0, far, P, ["maymove"])
        if "special" in cell.marks:
            yield "special grows", ev.Mremap(pid, at, P, far, 2 * P, ["maymove"])
            yield "special dontunmap", ev.Mremap(pid, at, P, far, P, [*FIXED, "dontunmap"])

    def wrong_uses(self, pid, cells, page, cell):
        at = page * P
        yield "taken", ev.Mmap(pid, at, P, "rw-", ["private", "anonymous"])
        if page + 3 not in cells:
            yield "hole", ev.Mprotect(pid, at, 4 * P, "r-x")
        if not cell.shared:
            yield "private remap", ev.RemapFilePages(pid, at, P, 0)
        if cell.prot == "---":
            yield "untouchable", ev.Read(pid, at, P)
        if cell.prot[1] != "w":
            yield "unwritable", ev.Write(pid, at, P)
        if cell.prot[0] == "r" and not inside(self, cell):
            yield "beyond its end", ev.Read(pid, at, P)
        for advice, want in REFUSED_ADVICE:
            if want(self, cell):
                yield advice, ev.Madvise(pid, at, P, advice)

    def wrong(self):
        yield from self.wrong_calls()
        for pid, space in sorted(self.main.spaces.items()):
            for page, cell in space.cells.items():
                yield from self.wrong_moves(pid, space.cells, page, cell)
                yield from self.wrong_uses(pid, space.cells, page, cell)

    @op()
    def impossible_event(self, data):
        wrong = list(self.wrong())
        for kind in self.spread(data, sorted({kind for kind, _ in wrong}), 4):
            self.impossible(kind, self.pick(data, [event for other, event in wrong if other == kind]))

    # -- what must hold after every rule

    def views(self):
        if self.seen is None:
            self.seen = {name: View(machine, self.main.spaces) for name, machine in self.machines.items()}
        return self.seen

    @invariant()
    def every_walk_finds_the_truth(self):
        for name, machine in self.everyone():
            try:
                machine.check()
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error

    @invariant()
    def processes_have_mapped_what_they_should(self):
        verified = set()
        for name, view in self.views().items():
            if view.layout not in verified:
                verified.add(view.layout)
                self.compare_areas(name, view.machine, self.main.spaces)
        for name, machine in self.aside.items():
            self.compare_areas(name, machine, self.unreached(name))

    def unreached(self, name):
        """The spaces that no refusal of this machine reached."""
        return {pid: space for pid, space in self.main.spaces.items() if space.number not in self.reached[name]}

    def compare_areas(self, name, machine, spaces):
        assert set(machine.processes) == set(self.main.spaces), name
        objects = {}
        for pid, space in spaces.items():
            found = set()
            for vma in machine.processes[pid].vmas:
                file = vma.file
                marks = frozenset(mark for bit, mark in MARKS.items() if vma.flags & bit)
                found.update(range(vma.start, vma.end))
                for page in range(vma.start, vma.end):
                    where, wanted = f"{name}: page {page} of process {pid}", space.cells.get(page)
                    assert wanted is not None, f"{where} is mapped"
                    mapped = objects.setdefault(file.number, wanted.file) if file and file.shmem else file and file.name
                    off = vma.pgoff + page - vma.start if file else 0
                    here = (prot_text(vma.flags), bool(vma.flags & SHARED), mapped, off)
                    assert (*here, marks) == (*wanted[:4], wanted.marks), \
                        f"{where} is {here}, {set(marks)}, not {wanted}"
            assert found == set(space.cells), f"{name}: process {pid} lacks pages {sorted(space.cells.keys() - found)}"

    @invariant()
    def every_page_reads_as_it_must(self):
        verified = set()
        for name, view in self.views().items():
            oracle = self.oracles[name[0]]
            if (oracle, view.key) not in verified:
                verified.add((oracle, view.key))
                self.compare_pages(name, view, oracle)
        for name, machine in self.aside.items():
            self.compare_contents_aside(name, machine)

    def compare_pages(self, name, view, oracle):
        """What each entry leads to, which are in memory, and who shares which anonymous page."""
        spaces = {space.number: space for space in oracle.spaces.values()}
        pairs, anonymous = set(), 0
        for number, page, held, stamp, anon, identity in view.entries():
            target, cell = spaces[number].anon.get(page), spaces[number].cells.get(page)
            where = f"{name}: page {page} of space {number}"
            assert cell is not None, f"{where} is mapped"
            if anon:
                anonymous += 1
                assert target is not None, f"{where} has an anonymous page"
                assert (held > 0) == target.entries[number, page], f"{where}: in memory is {held > 0}"
                must = target.holds
                pairs.add((identity, id(target)))
            else:
                assert target is None, f"{where} has lost its anonymous page"
                assert (held == ZERO) == (cell.file is None), f"{where}: the zero page is {held == ZERO}"
                must = oracle.held.get((cell.file, cell.shows), 0)
            assert stamp == must, f"{where} reads as line {stamp} left it, not as {must}"
        assert anonymous == sum(len(space.anon) for space in spaces.values()), f"{name} lacks anonymous pages"
        assert len({identity for identity, _ in pairs}) == len(pairs) == len({target for _, target in pairs}), \
            f"{name} shares other pages"

    def compare_contents_aside(self, name, machine):
        """Anonymous memory of the spaces that no refusal reached; what madvise(free) gave up depends on its sharers."""
        for pid, space in {} if self.freed else self.unreached(name).items():
            found = dict(zip(*(column.tolist() for column in machine.contents(machine.processes[pid]))))
            for page, cell in space.cells.items():
                if cell.file is None:
                    assert found.get(page, 0) == self.main.reads(space, page), f"{name}: page {page} of process {pid}"

    @invariant()
    def anonymous_pages_are_mapped_equally_often(self):
        """As often as everywhere, but where a design copied early as often as its own oracle says."""
        for name, view in self.views().items():
            here = view.anon & (view.held >= FIRST)
            oracle = self.oracles[name[0]]
            spaces = {space.number: space for space in oracle.spaces.values()}
            wanted = [spaces[number].anon[page].mapcount
                      for number, page in zip(view.space[here].tolist(), view.page[here].tolist())]
            assert view.machine.frames.mapcount[view.held[here]].tolist() == wanted, name
            assert view.machine.ledger.copies or oracle is self.main, name

    @invariant()
    def file_pages_are_mapped_equally_often_where_the_areas_always_were(self):
        first = {}
        for name, view in self.views().items():
            self.history[name] = hash((self.history[name], view.layout))
            other, files = first.setdefault(self.history[name], (name, view.files))
            assert files == view.files, f"{name} and {other}"

    @invariant()
    def the_index_changes_nothing_but_the_cost_of_searching(self):
        for design in STRATEGIES:
            views = [(name, view) for name, view in self.views().items() if name[0] == design]
            assert len(views) in (0, len(INDEXES)), f"some of {design} refused, and some did not"
            for name, view in views[1:]:
                first, ledger = views[0][1], view.machine.ledger
                assert (view.layout, view.key, view.files) == (first.layout, first.key, first.files), name
                assert ledger.alive() == first.machine.ledger.alive(), name
                assert ledger.copies == first.machine.ledger.copies, name

    def teardown(self):
        """All processes end, and nothing is left but the page cache of named files."""
        if sys.exc_info()[0] is not None:
            return
        for pid in sorted(self.main.spaces, key=lambda pid: (pid * 7 % 5, pid)):
            for _, machine in self.everyone():
                machine.apply(ev.Exit(pid), self.line)
            self.every_walk_finds_the_truth()
        for name, machine in self.everyone():
            assert not any(machine.ledger.alive().values()), f"{name} leaves {machine.ledger.alive()}"
            assert not machine.swap.alive and not machine.mappings and not machine.mms, name
            cached = sum(int(np.count_nonzero(leaf))
                         for file in machine.files.values() for leaf in file.cache.leaves.values())
            assert machine.frames.alive == cached and not machine.frames.mapcount.any(), f"{name} leaves frames"


PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
NIGHTLY = settings.get_current_profile_name() == "nightly"
MUST_HAPPEN = {event.__struct_config__.tag for event in ev.EVENTS} | {
    *ev.ADVICE_VMA, *ev.ADVICE_PAGES, "brk starts", "brk grows", "brk shrinks", "stack grows", "refused"}
MUST_BE_WRONG = {"dead", "lives", "length 0", "unaligned", "beyond", "hole", "untouchable", "taken", "no room",
                 "new length 0", "may not move", "overlap", "unequal dontunmap", "several", "private duplicate",
                 "private remap"}
"""What can be tried in almost any state; the other kinds come up when their memory is mapped."""


def test_all_designs_and_indexes_agree_in_lockstep():
    """In a process of its own: Hypothesis draws the constants of all modules that are loaded, so of earlier tests' too."""
    code = "import tests.conftest, tests.strategies.test_lockstep as lockstep; lockstep.drive()"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr


def drive():
    """Drives the machines through the examples of the profile, and fails where a rule never had its turn."""
    size = {} if NIGHTLY else {"max_examples": 110, "stateful_step_count": 60}
    run_state_machine_as_test(Lockstep, settings=settings(
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, phases=PHASES, **size))
    never = RULES - set(FIRED)
    assert not never, f"rules that never fired: {', '.join(sorted(never))}"
    missing = MUST_HAPPEN - set(HAPPENED)
    assert not missing, f"events that never succeeded: {', '.join(sorted(missing))}"
    missing = MUST_BE_WRONG - set(WRONG)
    assert not missing, f"impossible events that were never tried: {', '.join(sorted(missing))}"
