"""What reclaim reads: 2.4's scan of page tables with a cursor, and the walks of a reverse map, until pages are free."""

import numpy as np
import pandas as pd

from ..strategies import STRATEGIES
from .replay import replay
from .sweeps import doubling


def scanned(machine, wanted=None):
    """How many present ptes 2.4's swap_out has passed when it has freed 1, 2, 3 ... pages, as an array.

    It goes on where it stopped, process by process in the order they were made, area by area and pte by pte, and unmaps
    each page it meets that is not young; a page is free when the last pte that maps it was met (mm/vmscan.c:swap_out,
    try_to_swap_out, 2.4.22). `wanted`, an array of frames, are those of the zone that is short of pages: the others are
    passed and left. Here no page is young or locked. Cost: one pass over all page tables.
    """
    frame, mm, page = machine.truth()
    rank = {each.number: place for place, each in enumerate(dict.fromkeys(machine.processes.values()))}
    order = np.lexsort((page, np.array([rank[number] for number in mm.tolist()], np.int64)))
    last = np.zeros(machine.frames.used, np.int64)
    np.maximum.at(last, frame[order], np.arange(1, len(order) + 1))
    return np.sort(last[last > 0] if wanted is None else last[wanted])


def walked(machine, wanted=None):
    """How many ptes a design's walks have looked at when 1, 2, 3 ... pages are free, the longest in memory first.

    `wanted` as in scanned(): each zone has lists of its own, so that only its pages are walked. Cost: a walk a page.
    """
    frames = machine.resident() if wanted is None else np.sort(wanted)
    return np.cumsum(machine.strategy.walk(frames).ptes)


def every(machine, share):
    """Resident frames spread evenly, `share` of them, one at least: the pages of a zone as large as that."""
    frames = machine.resident()
    return frames[::max(1, round(1 / share))] if len(frames) else frames


def until_free(trace, part, options=None):
    """Ptes looked at until 1, 2, 4 ... pages of a trace are free: columns `need`, `strategy`, `pages`, `ptes`.

    For 2.4's scan, under `page_table_scan`, and every other design's walks; `need` is `any page` or `low memory`, a
    zone with `part` of the pages. Cost: a replay a design.
    """
    rows = []
    for name in STRATEGIES:
        machine = replay(trace, name, options).machine
        reads = scanned if name == "page_table_scan" else walked
        for need, frames in (("any page", None), ("low memory", every(machine, part))):
            ptes = reads(machine, frames)
            rows += [(need, name, count, int(ptes[count - 1])) for count in doubling(len(ptes))]
    return pd.DataFrame(rows, columns=["need", "strategy", "pages", "ptes"])
