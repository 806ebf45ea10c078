"""Histories: short sequences of calls and touches after which a process could have fewer vmas than it has.

Each is a function of a number of pieces that yields the events; all but `forked heap` and `split before fork` are of
one process. Nothing else is mapped, and pieces are a page.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..events import Brk, Event, Fork, Header, Mlock, Mmap, Mprotect, Mremap, Munlock, Spawn, Write
from .memory import InMemory

PAGE = 4096
BASE, AWAY = 0x10000000, 0x20000000
ANON, FIXED = ["private", "anonymous"], ["maymove", "fixed"]


class History(NamedTuple):
    """A registered history: what happens, in a line, and the function that makes its events."""

    name: str
    about: str
    events: Callable[[int], Iterator[Event]]


HISTORIES: dict[str, History] = {}


def history(name: str, pieces: int) -> InMemory:
    """The trace of a history; `pieces` is at least 2. Raises KeyError for an unknown name. Cost: some events a piece.

    >>> [type(event).__name__ for event in history("growth by mmap", 2).events]
    ['Spawn', 'Mmap', 'Write', 'Mmap', 'Write']
    """
    return InMemory(Header(version=1, arch="x86_64"), [Spawn(1), *HISTORIES[name].events(pieces)], name)


def _register(name):
    def register(function):
        HISTORIES[name] = History(name, function.__doc__, function)
        return function
    return register


def _at(piece, base=BASE):
    return base + piece * PAGE


def _map(piece, prot="rw-", base=BASE, pages=1):
    return Mmap(1, _at(piece, base), pages * PAGE, prot, ANON)


def _write(piece, pid=1, base=BASE, pages=1):
    return Write(pid, _at(piece, base), pages * PAGE)


def _protect(piece, prot, pid=1):
    return Mprotect(pid, _at(piece), PAGE, prot)


def _move(piece, to, source=BASE, target=AWAY):
    return Mremap(1, _at(piece, source), PAGE, _at(to, target), PAGE, FIXED)


@_register("growth by mmap")
def _growth(pieces):
    """each piece is mapped behind the last one, and written"""
    for piece in range(pieces):
        yield _map(piece)
        yield _write(piece)


@_register("growth by brk")
def _heap(pieces):
    """the break goes up by a piece, which is written"""
    yield Brk(1, BASE)
    for piece in range(pieces):
        yield Brk(1, _at(piece + 1))
        yield _write(piece)


@_register("forked heap")
def _forked_heap(pieces):
    """a heap of a piece is written and inherited; then the child's break goes up"""
    yield from _heap(1)
    yield Fork(1, 2)
    for piece in range(1, pieces):
        yield Brk(2, _at(piece + 1))
        yield _write(piece, 2)


@_register("holes filled, touched")
def _holes(pieces):
    """every other piece is mapped and written, then the holes between them"""
    for first in (0, 1):
        for piece in range(first, pieces, 2):
            yield _map(piece)
            yield _write(piece)


@_register("holes filled, untouched")
def _untouched_holes(pieces):
    """the same, and nothing is written before all are mapped"""
    yield from (_map(piece) for first in (0, 1) for piece in range(first, pieces, 2))
    yield _write(0, pages=pieces)


@_register("reserve and commit")
def _commit(pieces):
    """a reserved range without access is made writable a piece at a time, every other one first, and written"""
    yield _map(0, "---", pages=pieces)
    for first in (0, 1):
        for piece in range(first, pieces, 2):
            yield _protect(piece, "rw-")
            yield _write(piece)


@_register("protect and back")
def _protect_and_back(pieces):
    """of a written area every other piece is made read-only, and writable again"""
    yield _map(0, pages=pieces)
    yield _write(0, pages=pieces)
    yield from (_protect(piece, prot) for prot in ("r--", "rw-") for piece in range(1, pieces, 2))


@_register("split before fork")
def _split_before_fork(pieces):
    """the same, with a fork in between: the child makes the pieces writable again, and the parent does"""
    yield _map(0, pages=pieces)
    yield _write(0, pages=pieces)
    yield from (_protect(piece, "r--") for piece in range(1, pieces, 2))
    yield Fork(1, 2)
    yield from (_protect(piece, "rw-", pid) for pid in (2, 1) for piece in range(1, pieces, 2))


@_register("touched beside untouched")
def _touched_beside_untouched(pieces):
    """pairs of an untouched and a written executable piece, which is then protected like the other one"""
    for piece in range(0, 3 * (pieces // 2), 3):
        yield _map(piece)
        yield _map(piece + 1, "rwx")
        yield _write(piece + 1)
        yield _protect(piece + 1, "rw-")


@_register("touched, then made alike")
def _made_alike(pieces):
    """neighbours of two protections in turn are written, and then all protected alike"""
    for piece in range(pieces):
        yield _map(piece, ("rw-", "rwx")[piece % 2])
        yield _write(piece)
    yield from (_protect(piece, "rw-") for piece in range(1, pieces, 2))


@_register("moved together, touched")
def _moved_together(pieces):
    """pieces mapped apart are written and moved side by side"""
    for piece in range(pieces):
        yield _map(2 * piece)
        yield _write(2 * piece)
    yield from (_move(2 * piece, piece) for piece in range(pieces))


@_register("moved together, untouched")
def _moved_together_untouched(pieces):
    """the same, written after the moves"""
    yield from (_map(2 * piece) for piece in range(pieces))
    yield from (_move(2 * piece, piece) for piece in range(pieces))
    yield _write(0, base=AWAY, pages=pieces)


@_register("moved away and back")
def _away_and_back(pieces):
    """of a written area every other piece is moved away, and moved back"""
    yield _map(0, pages=pieces)
    yield _write(0, pages=pieces)
    yield from (_move(piece, piece) for piece in range(1, pieces, 2))
    yield from (_move(piece, piece, AWAY, BASE) for piece in range(1, pieces, 2))


@_register("file protected and back")
def _file(pieces):
    """of a private mapping of a file every other piece is made read-only, and writable again"""
    yield Mmap(1, BASE, pieces * PAGE, "rw-", ["private"], "library")
    yield from (_protect(piece, prot) for prot in ("r--", "rw-") for piece in range(1, pieces, 2))


@_register("locked and unlocked")
def _locked(pieces):
    """of a written area every other piece is locked, and unlocked again"""
    yield _map(0, pages=pieces)
    yield _write(0, pages=pieces)
    yield from (call(1, _at(piece), PAGE) for call in (Mlock, Munlock) for piece in range(1, pieces, 2))
