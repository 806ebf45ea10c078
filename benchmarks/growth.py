"""How the time of a replay grows: the exponent of a power law through the times, with its 95 % interval.

The bound is 1: each event has to be looked at. The interval is a bootstrap over the runs, three a size, with a fixed seed.
"""

import numpy as np

from rmapmodel.events import Exit, Fork, Write

from .storms import BASE, PAGE, areas, page_touches, replayed
from .table import Row

RUNS = 3


def rows(scale=1.0):
    """Page events, vmas and processes; `scale` shrinks the greatest sizes."""
    greatest = [round(n * scale) for n in (10_000_000, 100_000, 10_000)]
    for what, least, most, events, target in (
            ("page events", 10_000, greatest[0], lambda n: page_touches(n, n // 5), "ours <= 1.05"),
            ("vmas, one page each", 10, greatest[1], lambda n: areas(n, 1), None),
            ("processes, forked, written and ended", 1, greatest[2], processes, None)):
        yield exponent(what, sizes(min(least, -(-most // 100)), most), events, target)


def sizes(least, most):
    """Powers of ten from least to most, both ends included."""
    return [*(size for k in range(8) if (size := least * 10**k) < most), most]


def processes(count):
    """A parent with 16 pages whose children live at the same time and write one each."""
    yield from areas(1, 16)
    pids = range(2, 2 + count)
    yield from (Fork(1, pid) for pid in pids)
    yield from (Write(pid, BASE, PAGE) for pid in pids)
    yield from (Exit(pid) for pid in pids)


def exponent(what, counts, events, target):
    """The row of one fit."""
    taken = np.array([[replayed((), events(count), runs=1) for _ in range(RUNS)] for count in counts])
    x = np.log(counts)
    generator = np.random.default_rng(1)
    drawn = [np.polyfit(x, np.log([generator.choice(times, RUNS).min() for times in taken]), 1)[0] for _ in range(1000)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    slope = float(np.polyfit(x, np.log(taken.min(axis=1)), 1)[0])
    return Row(f"exponent of time in {what}, {counts[0]:,} to {counts[-1]:,}", slope, 1.0, "", "each looked at once", target,
               f"({low:.2f} to {high:.2f})")
