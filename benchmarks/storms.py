"""The events that benchmarks replay, and how long a replay takes from a given event on."""

import random
import tempfile
import time
from pathlib import Path

from rmapmodel.events import Exit, Fork, Header, Mmap, Mprotect, Mremap, Munmap, Spawn, Write
from rmapmodel.study.replay import replay
from rmapmodel.trace import jsonl

PAGE = 4096
BASE = 0x100000000000
DESIGN = "anon_vma_chain"


def area(number, pages):
    """The address of an area among areas of so many pages, with a page free between them."""
    return BASE + number * (pages + 1) * PAGE


def mapped(addr, pages):
    """A mapping of private anonymous memory."""
    return Mmap(1, addr, pages * PAGE, "rw-", ["private", "anonymous"])


def areas(vmas, pages, written=None):
    """A process that maps areas and writes the first `written` pages of each, all by default."""
    yield Spawn(1)
    for i in range(vmas):
        yield mapped(area(i, pages), pages)
        yield Write(1, area(i, pages), (pages if written is None else written) * PAGE)


def fork_storm(children, vmas, pages, written, single=False):
    """A parent fills its areas and forks; each child writes a run of pages, or single ones far apart; all exit."""
    yield from areas(vmas, pages)
    pids = range(2, 2 + children)
    yield from (Fork(1, pid) for pid in pids)
    for child, pid in enumerate(pids):
        if single:
            yield from (Write(pid, area(i % vmas, pages) + i // vmas * 2 * PAGE, PAGE) for i in range(written))
        else:
            yield Write(pid, area(child % vmas, pages), written * PAGE)
    yield from (Exit(pid) for pid in (*pids, 1))


def moves(vmas, pages):
    """Each area moves once, to a place of its own."""
    for i in range(vmas):
        yield Mremap(1, area(i, pages), pages * PAGE, area(i + vmas, pages), pages * PAGE, ["maymove", "fixed"])


def splits(pieces):
    """Every other page of an area becomes read-only: two splits each."""
    yield from (Mprotect(1, BASE + page * PAGE, PAGE, "r--") for page in range(1, pieces, 2))


def range_touches(pages, size, passes):
    """Writes of ranges of `size` pages: a first pass that makes the pages, and passes that find them."""
    yield Spawn(1)
    yield mapped(BASE, pages)
    for _ in range(passes):
        yield from (Write(1, BASE + page * PAGE, size * PAGE) for page in range(0, pages, size))


def page_touches(events, pages, seed=1):
    """Writes of single pages chosen at random; a page's first is a fault, those after it are not."""
    choose = random.Random(seed).randrange
    yield Spawn(1)
    yield mapped(BASE, pages)
    yield from (Write(1, BASE + choose(pages) * PAGE, PAGE) for _ in range(events))


def vma_changes(events):
    """Areas with one written page each, mapped, split, merged and unmapped again; the writes are not counted."""
    yield Spawn(1)
    for i in range(events // 4):
        addr = area(i % 500, 16)
        yield mapped(addr, 16)
        yield Write(1, addr, PAGE)
        yield Mprotect(1, addr + 8 * PAGE, 8 * PAGE, "r--")
        yield Mprotect(1, addr + 8 * PAGE, 8 * PAGE, "rw-")
        yield Munmap(1, addr, 16 * PAGE)


class FromHere:
    """A trace in memory; `taken` is the processor time from its preparation's end to that of its last event."""

    path, header = "a trace in memory", Header(version=1)

    def __init__(self, preparation, events):
        self.preparation, self.events, self.taken = list(preparation), list(events), None

    def __iter__(self):
        yield from enumerate(self.preparation, 1)
        started = time.process_time()
        yield from enumerate(self.events, len(self.preparation) + 1)
        self.taken = time.process_time() - started


def replayed(preparation, events, design=DESIGN, runs=3):
    """Processor seconds that the replay of `events` takes after that of a preparation, the least of so many runs."""
    trace, taken = FromHere(preparation, events), []
    for _ in range(runs):
        replay(trace, design)
        taken.append(trace.taken)
    return min(taken)


class InAFile:
    """A trace file that is gone when the block ends."""

    def __init__(self, events, suffix=".jsonl"):
        self.events, self.suffix = events, suffix

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name, "trace" + self.suffix)
        self.count = jsonl.write(path, Header(version=1), self.events)
        return path

    def __exit__(self, *exception):
        self.folder.cleanup()
