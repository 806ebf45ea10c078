"""Endings: what may become of memory that some processes of a family moved, and what the moves have left by then."""

import pandas as pd

from ..events import Exec, Exit, Fork, Mmap, Mremap, Munmap, Read, Reclaim, Spawn, Swapout, Write
from ..strategies import STRATEGIES
from ..trace.memory import InMemory
from .replay import replay


class Family:
    """Who moved what in a trace: `parent`, the `movers` with the place of their area (bytes), and where `home` is.

    The trace is one process that maps one area and forks, and children of which some move all of it, as the workload
    `mremap_repeated` has them. Without moves every child is in `movers`, at home.
    """

    def __init__(self, trace):
        events = trace.events
        area = next(event for event in events if isinstance(event, Mmap))
        self.parent = next(event.pid for event in events if isinstance(event, Spawn))
        self.home, self.length = area.addr, area.len
        self.movers = {event.child: area.addr for event in events if isinstance(event, Fork)}
        self.movers |= {event.pid: event.new_addr for event in events if isinstance(event, Mremap)}

    @property
    def places(self):
        """Where every process has the area, by pid."""
        return {self.parent: self.home} | self.movers


def _back(family):
    return [Mremap(pid, at, family.length, family.home, family.length, ["maymove", "fixed"])
            for pid, at in family.movers.items() if at != family.home]


def _each(op, places, length):
    return [op(pid, at, length) for pid, at in places.items()]


ENDINGS = {
    "nothing more": lambda family: [],
    "movers move back": _back,
    "movers write all of it": lambda family: _each(Write, family.movers, family.length),
    "movers unmap it": lambda family: _each(Munmap, family.movers, family.length),
    "movers exec": lambda family: [Exec(pid) for pid in family.movers],
    "movers exit": lambda family: [Exit(pid) for pid in family.movers],
    "only movers are left": lambda family: [Exit(family.parent)],
    "reclaim looks at it": lambda family: [Reclaim()],
    "all is swapped out": lambda family: [Swapout()],
    "... and read back": lambda family: [Swapout(), *_each(Read, family.places, family.length)],
    "everyone exits": lambda family: [Exit(pid) for pid in family.places],
}
"""What may happen after the moves, by a few words; each gives the events for a Family."""


def endings(trace, strategies=None, options=None):
    """What moves have left after each of `ENDINGS`: one row for each and each design.

    Columns: `ending`, `strategy`, `left`, the bytes that the design has more than where nothing moved and the same
    happened, and `pages`, the pages in memory that there are more. `trace` as for Family, with or without reclaim events
    at its end, which are left out. Cost: two short replays a row.

    >>> from ..trace.workloads import generate
    >>> rows = endings(InMemory(*generate("mremap_repeated", processes=2, pages=1, moves=1)), ["anonmm"])
    >>> rows.set_index("ending").left[["nothing more", "movers exit", "everyone exits"]].to_dict()
    {'nothing more': 64, 'movers exit': 64, 'everyone exits': 0}
    """
    moved = trace.where(lambda event: not isinstance(event, Reclaim))
    still = moved.where(lambda event: not isinstance(event, Mremap))
    rows = []
    for ending, events in ENDINGS.items():
        both = [InMemory(each.header, [*each.events, *events(Family(each))]) for each in (moved, still)]
        for name in strategies or STRATEGIES:
            (bytes_moved, pages_moved), (bytes_still, pages_still) = (_held(replay(each, name, options).machine) for each in both)
            rows.append((ending, name, bytes_moved - bytes_still, pages_moved - pages_still))
    return pd.DataFrame(rows, columns=["ending", "strategy", "left", "pages"])


def _held(machine):
    return machine.ledger.design_bytes(len(machine.mms), machine.frames.alive), machine.frames.alive
