"""Neighbours: histories after which areas that are alike touch each other, and what each design lets become one."""

import pandas as pd

from ..events import Brk, Header, Mmap, Mremap, Munmap, Spawn, Write
from ..strategies import STRATEGIES
from ..trace.memory import InMemory
from ..vm.vma import PAGE
from .replay import replay

BASE, AWAY = 0x10000000, 0x20000000


def _map(page, pages):
    return Mmap(1, BASE + page * PAGE, pages * PAGE, "rw-", ["private", "anonymous"])


def _mapped(page, pages):
    return [_map(page, pages), Write(1, BASE + page * PAGE, pages * PAGE)]


def _move(page, pages, to):
    return Mremap(1, BASE + page * PAGE, pages * PAGE, to, pages * PAGE, ["maymove", "fixed"])


HISTORIES = {
    "mmap above an area": [*_mapped(0, 4), _map(4, 4)],
    "brk": [Brk(1, BASE), Brk(1, BASE + 4 * PAGE), Write(1, BASE, 4 * PAGE), Brk(1, BASE + 8 * PAGE)],
    "a gap cut in an area, filled": [*_mapped(0, 12), Munmap(1, BASE + 4 * PAGE, 4 * PAGE), _map(4, 4)],
    "a hole between two areas, filled": [*_mapped(0, 4), *_mapped(8, 4), _map(4, 4)],
    "part moves away and home": [*_mapped(0, 12), _move(4, 4, AWAY),
                                 Mremap(1, AWAY, 4 * PAGE, BASE + 4 * PAGE, 4 * PAGE, ["maymove", "fixed"])],
    "a gap left by a move, filled": [*_mapped(0, 12), _move(4, 4, AWAY), _map(4, 4), Munmap(1, AWAY, 4 * PAGE)],
    "mmap above a moved area": [*_mapped(0, 4), _move(0, 4, BASE + 64 * PAGE), _map(68, 4)],
    "a moved area lands beside another": [*_mapped(0, 4), *_mapped(16, 4), _move(16, 4, BASE + 4 * PAGE)],
    "an untouched one lands beside another": [*_mapped(0, 4), _map(16, 4), _move(16, 4, BASE + 4 * PAGE)],
}
"""Histories of one process, each of which ends with one run of private memory without a hole, by what happens in it."""

UNMOVED = ("mmap above an area", "brk", "a gap cut in an area, filled", "a hole between two areas, filled")
"""Those of them in which nothing moves."""


def neighbours(strategies=None, options=None):
    """How many vmas a process has after each of `HISTORIES`, which could be one: a table of histories by designs.

    Cost: a short replay a cell.

    >>> neighbours(["anonmm", "anon_vma"]).loc["a hole between two areas, filled"].to_list()
    [1, 2]
    """
    names = list(strategies or STRATEGIES)
    return pd.DataFrame([[len(replay(InMemory(Header(version=1), [Spawn(1), *events]), name, options).machine.mm_of(1).vmas)
                          for name in names] for events in HISTORIES.values()], index=list(HISTORIES), columns=names)
