"""Sweeps: workloads over grids of parameters, and designs over time, as tidy DataFrames."""

from itertools import product

import numpy as np
import pandas as pd

from ..strategies import STRATEGIES
from ..vm.frames import ANON
from .replay import TIMELINE, replay

COLUMNS = ("pages", "mappings", "missed", "probes", "visits", "candidates", "design_bytes", "repeated_keys")
"""What costs() measures, in this order."""


def costs(run):
    """What a replay that ends with its reclaim events cost, as a dict with the keys `COLUMNS`.

    `pages` looked up and their `mappings` in the page tables; `missed`, those that the walks did not find; `probes`,
    page table entries looked at, `visits` and `candidates` (contract section 4), all sums over the pages;
    `design_bytes` that the design adds at the end; `repeated_keys`, see there.
    """
    machine, ledger = run.machine, run.machine.ledger
    reclaim = ledger.reclaim
    return dict(zip(COLUMNS, (
        reclaim["pages"], machine.reclaimed_mappings, machine.reclaimed_mappings - reclaim["mappings"],
        reclaim["ptes_examined"], reclaim["vmas_examined"], reclaim["vmas_candidates"],
        ledger.design_bytes(len(machine.mms), machine.frames.alive), repeated_keys(machine))))


def repeated_keys(machine):
    """How many resident anonymous pages have the (object, index) of another one; 0 for a design without an index."""
    frames = machine.frames
    resident = machine.resident()
    anonymous = resident[(frames.flags[resident] & ANON) != 0]
    keys = np.stack([frames.anchor[anonymous].astype(np.int64), frames.index[anonymous]])
    keys = keys[:, keys[0] > 0]
    _, counts = np.unique(keys, axis=1, return_counts=True)
    return int(counts[counts > 1].sum())


def sweep(make, grid, strategies=None, options=None, measure=costs):
    """One row for each point of a grid and each design: the parameters, `strategy`, and what `measure(run)` returns.

    `make(**point)` gives the trace of a point, `grid` the values of each parameter. Cost: a replay a row.

    >>> from ..trace.memory import InMemory
    >>> from ..trace.workloads import generate
    >>> rows = sweep(lambda depth: InMemory(*generate("fork_chain", depth=depth)), {"depth": [1, 2]}, ["pte_chain"])
    >>> rows[["depth", "strategy", "probes"]].to_dict("list")
    {'depth': [1, 2], 'strategy': ['pte_chain', 'pte_chain'], 'probes': [16, 16]}
    """
    rows = []
    for values in product(*grid.values()):
        point = dict(zip(grid, values))
        trace = make(**point)
        rows += [{**point, "strategy": name, **measure(replay(trace, name, options))}
                 for name in strategies or STRATEGIES]
    return pd.DataFrame(rows)


def doubling(most, least=1):
    """`least`, twice that, and so on, and `most` itself: an axis for what grows by processes or areas; nothing for 0.

    >>> doubling(10), doubling(1), doubling(0)
    ([1, 2, 4, 8, 10], [1], [])
    """
    return sorted({min(least << step, most) for step in range(most.bit_length() + 1)}) if most else []


def timeline(trace, strategies=None, options=None):
    """What each design has after each event: columns `strategy`, `event` (from 1), `line`, `mappings`, `design_bytes`.

    `line` is missing for reclaim events that `options` adds. Cost: a replay a design.
    """
    parts = []
    for name in strategies or STRATEGIES:
        points = replay(trace, name, options, timeline=True).timeline
        part = pd.DataFrame(points, columns=TIMELINE)
        part = part.drop(columns=["bytes", "objects"])
        part.insert(0, "strategy", name)
        part.insert(1, "event", range(1, len(part) + 1))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def beyond(frame, base):
    """A timeline with the column `extra_bytes`: design bytes less those of another timeline at the same line.

    A line that `base` lacks counts as the line before it there, so that a trace can be set against the same without
    some of its events.
    """
    wide = base.pivot(index="line", columns="strategy", values="design_bytes")
    there = wide.reindex(sorted({*wide.index, *frame.line})).ffill().stack().rename("base")
    joined = frame.join(there, on=["line", "strategy"])
    return frame.assign(extra_bytes=joined.design_bytes - joined.base.fillna(0))


def crossing(x, one, other):
    """Where `one` first rises above `other`, both over ascending `x` and straight between points; None if nowhere.

    >>> crossing([0, 1, 2], [0, 0, 4], [1, 1, 1])
    1.25
    """
    over = np.asarray(one, float) - np.asarray(other, float)
    above = np.flatnonzero(over > 0)
    if not len(above):
        return None
    at = above[0]
    return float(x[0] if at == 0 else x[at - 1] - over[at - 1] * (x[at] - x[at - 1]) / (over[at] - over[at - 1]))


def thinned(frame, points=400):
    """A timeline with at most so many points a design: of each stretch of events, the highest value of each column.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"strategy": "x", "event": [1, 2, 3, 4], "mappings": [5, 9, 0, 1]})
    >>> thinned(frame, 2).to_dict("list")
    {'strategy': ['x', 'x'], 'event': [2, 4], 'mappings': [9, 1]}
    """
    events = frame.event.max() if len(frame) else 0
    stretch = (frame.event - 1) // max(1, -(-events // points))
    highest = frame.groupby(["strategy", stretch.rename("stretch")], sort=False).max()
    return highest.reset_index().drop(columns="stretch")
