"""Beside what a user would reach for: interval trees, pandas' JSON reader, a cache simulator's loop.

The bound: a search of many points at once is two binary searches a vma in numpy, and the reader is msgspec's decoder, half a
microsecond a line. The others answer one point, or one event, a call; that is what their users do.
"""

import random

import intervaltree
import libcachesim
import numpy as np
import pandas
from sortedcontainers import SortedKeyList

from rmapmodel.index import make_index
from rmapmodel.trace import jsonl

from .storms import BASE, PAGE, InAFile, page_touches, replayed
from .table import Row, seconds


def rows(scale=1.0):
    """Stabbing queries, reading, counting; `scale` shrinks the numbers of intervals and events."""
    intervals, events = (max(10, round(n * scale)) for n in (10_000, 100_000))
    yield from stabbing(intervals)
    with InAFile(page_touches(events, events // 5)) as path:
        ours = seconds(lambda: sum(1 for _ in jsonl.read(path)))
        yield Row(f"reading {events:,} events", ours * 1e3, seconds(lambda: pandas.read_json(path, lines=True)) * 1e3, "ms",
                  "pandas.read_json")
    yield counting(events)


def stabbing(count):
    """As many points as intervals of up to 20 pages: who overlaps each."""
    choose = random.Random(1).randrange
    spans = [(start := choose(10 * count), start + choose(1, 20)) for _ in range(count)]
    points = sorted(choose(10 * count) for _ in range(count))
    tree = intervaltree.IntervalTree.from_tuples((low, high + 1, i) for i, (low, high) in enumerate(spans))
    by_start = SortedKeyList(((low, high, i) for i, (low, high) in enumerate(spans)), key=lambda span: span[0])
    others = {
        "intervaltree": lambda: sum(len(tree[point]) for point in points),
        "sortedcontainers": lambda: sum(high >= point for point in points
                                        for _, high, _ in by_start.irange_key(point - 20, point))}
    for name in ("prio_tree", "interval_tree"):
        index = make_index(name)
        for i, (low, high) in enumerate(spans):
            index.insert(i, low, high)
        found, ours = searched(index, points)
        for other, work in others.items():
            assert work() == found, f"{other} finds other intervals than {name}"
            yield Row(f"{count:,} stabbing queries of {count:,} intervals: {name}", ours * 1e3, seconds(work) * 1e3, "ms", other)


def searched(index, points):
    """How many overlaps a search finds, and the seconds it takes."""
    points = np.array(points)
    found = sum(high - low for _, _, low, high in index.search(points))
    return found, seconds(lambda: sum(high - low for _, _, low, high in index.search(points)))


def counting(events):
    """One-page touches counted by anon_vma_chain, and looked up in a cache of libcachesim, event by event."""
    touches = list(page_touches(events, events // 5))
    pages = [(event.addr - BASE) // PAGE for event in touches[2:]]

    def looked_up():
        cache, request = libcachesim.LRU(events), libcachesim.Request()
        for page in pages:
            request.obj_id = page
            cache.get(request)
    return Row(f"{events:,} one-page events, every cost counted", replayed((), touches) * 1e3, seconds(looked_up) * 1e3,
               "ms", "libcachesim's LRU.get in a Python loop")
