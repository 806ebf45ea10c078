"""Operations: what each operation on an address space makes a design do, on memory that moved and on memory that did not."""

import pandas as pd

from ..events import Brk, Exit, Fork, Header, Mmap, Mprotect, Mremap, Munmap, Read, Reclaim, Spawn, Swapout, Write
from ..strategies import STRATEGIES
from ..trace.memory import InMemory
from ..vm.vma import PAGE
from .replay import Options, applied, machine_for
from .work import Book

HOME, AREA, FURTHER, FRESH, HEAP, STACK, OTHERS = (0x10000000 * (1 + place) for place in range(7))
"""Where the area of a scene was inherited if it moved, where it is, where it may go; new memory, break, stack, other areas."""

NEW = 1 << 20
"""The pid of a process that an operation makes."""

KINDS = {"anonymous": (["private", "anonymous"], Write), "shared file": (["shared"], Read),
         "private file": (["private"], Read), "written private file": (["private"], Write)}
"""The kinds of memory that a Scene may have, each with the flags of its mmap and how all of it is touched before the forks.

Writing a private file makes its pages anonymous."""

COUNTS = ("objects", "holds", "pages", "copied", "file_holds", "probes", "vmas", "refused")
"""What is counted of an operation: objects made or freed, holds of the design's locks, pages rewritten, pages copied early,
holds of the locks of files, ptes read by lookups, vmas that there are more, calls refused."""

WORK = COUNTS[:4]
"""Those of them that are work on the design's own structures."""


class Scene:
    """A family of `processes` that all map an area of so many `pages`; the `actor`, its youngest, is about to do something.

    All pages of the area are shared by all. With `moved` the area was inherited elsewhere and the actor has moved it to
    where it lies otherwise from the start. Everyone has a heap, a stack and so many `others`, areas of a page, written by
    the first before it forked. `kind` is one of KINDS: what the area is, and what an operation maps.
    """

    def __init__(self, processes, pages, moved=False, others=0, kind="anonymous"):
        self.actor, self.pids, self.length, self.kind = processes, range(1, processes + 1), pages * PAGE, kind
        self.half = max(1, pages // 2) * PAGE
        start = HOME if moved else AREA
        self.events = [Spawn(1), Brk(1, HEAP), Brk(1, HEAP + PAGE), Write(1, HEAP, PAGE),
                       Mmap(1, STACK, PAGE, "rw-", ["private", "anonymous", "growsdown"]), Write(1, STACK, PAGE),
                       self.map(1, start, self.length), KINDS[kind][1](1, start, self.length),
                       *(event for place in range(others) for event in _written(OTHERS + 2 * PAGE * place)),
                       *(Fork(1, pid) for pid in self.pids[1:]), *(Read(pid, start, self.length) for pid in self.pids[1:])]
        if moved:
            self.events.append(self.move(HOME, self.length, AREA))

    def map(self, pid, start, length, offset=0):
        """A new mapping of the scene's kind, of its file from `offset` on, in bytes."""
        flags = KINDS[self.kind][0]
        return Mmap(pid, start, length, "rw-", flags) if "anonymous" in flags else \
            Mmap(pid, start, length, "rw-", flags, "file", offset)

    def move(self, start, length, to):
        """The actor moves a range."""
        return Mremap(self.actor, start, length, to, length, ["maymove", "fixed"])


def anonymous(pid, start, length):
    """Private anonymous memory of so many bytes."""
    return Mmap(pid, start, length, "rw-", ["private", "anonymous"])


def _written(start):
    return anonymous(1, start, PAGE), Write(1, start, PAGE)


def _others_leave(scene):
    return [Exit(pid) for pid in scene.pids if pid != scene.actor]


def _split(scene):
    return Mprotect(scene.actor, AREA, scene.half, "r--")


OPERATIONS = {  # what happens before, and what is counted
    "spawn": lambda scene: ([], [Spawn(NEW)]),
    "fork": lambda scene: ([], [Fork(scene.actor, NEW)]),
    "exit": lambda scene: ([], [Exit(scene.actor)]),
    "mmap apart": lambda scene: ([], [scene.map(scene.actor, FRESH, PAGE)]),
    "mmap above it": lambda scene: ([], [scene.map(scene.actor, AREA + scene.length, PAGE, scene.length)]),
    "brk": lambda scene: ([], [Brk(scene.actor, HEAP + 2 * PAGE)]),
    "stack grows": lambda scene: ([], [Write(scene.actor, STACK - PAGE, PAGE)]),
    "mremap grows it": lambda scene: ([], [Mremap(scene.actor, AREA, scene.length, AREA, scene.length + PAGE)]),
    "split": lambda scene: ([], [_split(scene)]),
    "merge": lambda scene: ([_split(scene)], [Mprotect(scene.actor, AREA, scene.half, "rw-")]),
    "munmap half": lambda scene: ([], [Munmap(scene.actor, AREA, scene.half)]),
    "munmap": lambda scene: ([], [Munmap(scene.actor, AREA, scene.length)]),
    "move half": lambda scene: ([], [scene.move(AREA, scene.half, FURTHER)]),
    "move": lambda scene: ([], [scene.move(AREA, scene.length, FURTHER)]),
    "move back": lambda scene: ([scene.move(AREA, scene.length, FURTHER)], [scene.move(FURTHER, scene.length, AREA)]),
    "grow the moved half": lambda scene: ([scene.move(AREA, scene.half, FURTHER)],
                                          [Mremap(scene.actor, FURTHER, scene.half, FURTHER, scene.half + PAGE)]),
    "first write": lambda scene: ([scene.map(scene.actor, FRESH, 2 * PAGE)], [Write(scene.actor, FRESH, PAGE)]),
    "further write": lambda scene: ([scene.map(scene.actor, FRESH, 2 * PAGE), Write(scene.actor, FRESH, PAGE)],
                                    [Write(scene.actor, FRESH + PAGE, PAGE)]),
    "copy on write": lambda scene: ([], [Write(scene.actor, AREA, PAGE)]),
    "last owner writes": lambda scene: (_others_leave(scene), [Write(scene.actor, AREA, PAGE)]),
    "swap out": lambda scene: ([], [Swapout()]),
    "swap in": lambda scene: ([Swapout()], [Read(scene.actor, AREA, scene.length)]),
    "lookup": lambda scene: ([], [Reclaim()]),
}
"""Each operation by its name, as a function of the Scene that gives the events before it and those that are it."""

MOVES = ("move half", "move", "move back")
"""The operations that move memory."""

LOOKUPS = ("swap out", "lookup")
"""Those that look pages up."""


def operate(name, strategy, scene, options=None):
    """What one operation makes a design do in a Scene: a dict of `COUNTS`. Cost: a short replay."""
    before, events = OPERATIONS[name](scene)
    trace = InMemory(Header(version=1), [*scene.events, *before, *events])
    machine = machine_for(trace.header, strategy, options or Options())
    begin = len(trace) - len(events)
    for place, _ in enumerate(applied(machine, trace), 1):
        if place == begin:
            book, at = Book(machine), _outcome(machine)
    done = book.totals()
    return {"objects": done["made"] + done["freed"], **{key: done[key] for key in (*WORK[1:], "file_holds")},
            **{key: now - at[key] for key, now in _outcome(machine).items()}}


def _outcome(machine):
    return {"probes": machine.ledger.reclaim["ptes_examined"], "vmas": machine.ledger.alive()["vm_area_struct"],
            "refused": len(machine.refused)}


def measure(processes, pages, moved=False, others=0, kind="anonymous", operations=None, strategies=None, options=None):
    """One row for each of the `operations` (all) and each design: the columns `COUNTS`, and `work`, the sum of those in `WORK`.

    The other arguments are those of Scene. Cost: a short replay a row.

    >>> rows = measure(2, 4, strategies=["anon_vma"]).set_index("operation")
    >>> rows.loc["fork", ["objects", "holds"]].to_list(), rows.loc["move", "pages"].item()
    ([0, 3], 0)
    """
    frame = pd.DataFrame([{"operation": name, "strategy": strategy,
                           **operate(name, strategy, Scene(processes, pages, moved, others, kind), options)}
                          for name in operations or OPERATIONS for strategy in strategies or STRATEGIES])
    return frame.assign(work=frame[list(WORK)].sum(axis=1))


def table(frame, column):
    """A column of measure() as a table of operations by designs, both in their order."""
    return frame.pivot(index="operation", columns="strategy", values=column).loc[
        list(dict.fromkeys(frame.operation)), list(dict.fromkeys(frame.strategy))]


def grows(once, more, larger):
    """What work grows with, from tables of the same operations: `once`, each of `more` processes or areas, and `larger` pages.

    0 where there is none, 1 where it stays the same, 2 where it grows with processes or areas, 3 where with pages.
    """
    classes = (once > 0).astype(int)
    for each in more:
        classes[each > once] = 2
    classes[larger > once] = 3
    return classes
