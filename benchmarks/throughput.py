"""How many pages, one-page events and changes of vmas a second, from the file on; and reclaim of a million pages.

The bounds: for ranges, numpy writing the columns of as many new pages, 64 at a time, and nothing else; for single
events, a loop that only reads the trace; for reclaim, sorting a million pages by object and index, as every walk does.
"""

import numpy as np

from rmapmodel.events import Fork, Reclaim
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.replay import replay
from rmapmodel.trace import jsonl

from .storms import DESIGN, InAFile, areas, page_touches, range_touches, replayed, vma_changes
from .table import Row, seconds

SIZE = 64


def rows(scale=1.0):
    """Rates from a file, and reclaim under every design; `scale` shrinks the number of events and pages."""
    pages, events = (max(2 * SIZE, round(n * scale) // SIZE * SIZE) for n in (256_000, 100_000))
    passes = 4
    yield rate("pages touched in ranges of 64, a quarter of them new", range_touches(pages, SIZE, passes), passes * pages,
               "pages/s", "numpy's columns alone", bare_columns(passes * pages), "ours >= 5e6")
    yield rate("one-page events, a fifth of them faults", page_touches(events, events // 5), events, "events/s",
               "reading the trace", None, "ours >= 2e5")
    changes = events // 8 * 4
    yield rate("changes of vmas: map, split, merge, unmap", vma_changes(changes), changes, "events/s",
               "reading the trace", None, "ours >= 5e4")
    yield from reclaims(max(10, round(10_000 * scale)) * 100)


def rate(what, events, count, unit, beside, other, target):
    """How many of what is counted a replay does in a second; beside it the same of `other` seconds, or of reading."""
    with InAFile(events) as path:
        def read():
            for _ in jsonl.read(path):
                pass
        ours = seconds(lambda: replay(jsonl.read(path), DESIGN))
        return Row(what, count / ours, count / (other or seconds(read)), unit, beside, target)


def bare_columns(pages):
    """Seconds to write the columns of so many pages, a range at a time."""
    columns = [np.zeros(pages, kind) for kind in (np.int32, np.int32, np.int32, np.int64, np.uint8)]
    ranges = [np.arange(low, low + SIZE) for low in range(0, pages, SIZE)]

    def write():
        for places in ranges:
            for column in columns:
                column[places] = 1
    return seconds(write)


def reclaims(pages):
    """A walk over a parent's pages that a child shares, under each design."""
    vmas = pages // 100
    preparation = [*areas(vmas, pages // vmas), Fork(1, 2)]
    anchor, index = np.arange(pages)[::-1] % vmas, np.arange(pages)
    sorting = seconds(lambda: np.lexsort((index, anchor)))
    for design in STRATEGIES:
        yield Row(f"reclaim of {pages:,} pages in {vmas:,} vmas of each of two processes: {design}",
                  replayed(preparation, [Reclaim()], design, runs=1), sorting, "s", "sorting them", "ours < 2")
