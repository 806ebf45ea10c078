"""Step by step: what the lookup of one page costs each design after each event of a trace."""

import numpy as np
import pandas as pd

from ..strategies import STRATEGIES
from ..vm.frames import FIRST
from ..vm.vma import PAGE
from .replay import Options, applied, machine_for, replay

MEASURED = {"visits": "vmas_examined", "probes": "ptes_examined", "mappings": "mappings"}
"""The columns of walks(), and what contract section 4 calls them."""


def frame_at(machine, pid, address):
    """The frame that a process maps at an address, None where it maps none or does not exist."""
    mm = machine.processes.get(pid)
    frame = mm.table.at(address // PAGE) if mm else 0
    return frame if frame >= FIRST else None


def walks(trace, page, strategies=None, options=None):
    """One row for each design and event: what it costs to find who maps the page that is at `page`, a (pid, address).

    Columns `strategy`, `line` of the trace, `visits`, `probes` (page table entries looked at) and `mappings` found; these
    three are missing where the process maps no page there. Cost: a replay a design, and a walk an event.

    >>> from ..trace.memory import InMemory
    >>> from ..trace.workloads import generate
    >>> trace = InMemory(*generate("fork_server", children=2, vmas=1, pages=1, written=0))
    >>> walks(trace, (1, 0x10000000), ["anon_vma"]).mappings.tolist()
    [nan, nan, 1.0, 2.0, 3.0, 3.0]
    """
    rows = []
    for name in strategies or STRATEGIES:
        machine = machine_for(trace.header, name, options or Options())
        for line, _ in applied(machine, trace):
            frame = frame_at(machine, *page)
            cost = {} if frame is None else machine.strategy.walk(np.array([frame], np.int32)).totals()
            rows.append((name, line, *(cost.get(key) for key in MEASURED.values())))
    return pd.DataFrame(rows, columns=["strategy", "line", *MEASURED]).astype(dict.fromkeys(MEASURED, float))


def by_kind(trace, kinds, strategies=None, options=None):
    """One row for each design and kind of pages: what it costs at the end to find who maps them, one after another.

    `kinds` are {name: [(pid, address), ...]}, pages that are mapped then. Columns `strategy`, `kind`, `pages`, and the
    sums of `visits`, `probes` and `mappings`. Cost: a replay a design, and a walk a page.

    >>> from ..trace.memory import InMemory
    >>> from ..trace.workloads import generate
    >>> trace = InMemory(*generate("fork_server", children=2, vmas=1, pages=1, written=0))
    >>> by_kind(trace, {"shared": [(1, 0x10000000), (2, 0x10000000)]}, ["anon_vma"]).to_dict("records")
    [{'strategy': 'anon_vma', 'kind': 'shared', 'pages': 2, 'visits': 6, 'probes': 6, 'mappings': 6}]
    """
    rows = []
    for name in strategies or STRATEGIES:
        machine = replay(trace, name, options).machine
        for kind, pages in kinds.items():
            frames = [np.array([frame_at(machine, *page)], np.int32) for page in pages]
            each = pd.DataFrame([machine.strategy.walk(frame).totals() for frame in frames])
            sums = {column: int(each[key].sum()) for column, key in MEASURED.items()}
            rows.append({"strategy": name, "kind": kind, "pages": len(pages), **sums})
    return pd.DataFrame(rows)


def agreement(trace, strategies=None, options=None):
    """One row for each design: whether after every event of a trace its lookups find what the page tables hold.

    Columns `strategy`; sums over the events of `lookups`, one for each resident page, and of the `mappings` in the page
    tables; those of them `missed` by the lookups, and the mappings `made_up`, found where there are none. Cost: a
    replay a design, and a walk of every page after each event.

    >>> from ..trace.memory import InMemory
    >>> from ..trace.workloads import generate
    >>> trace = InMemory(*generate("fork_server", children=1, vmas=1, pages=1, written=1))
    >>> agreement(trace, ["anon_vma"]).to_dict("records")
    [{'strategy': 'anon_vma', 'lookups': 6, 'mappings': 7, 'missed': 0, 'made_up': 0}]
    """
    rows = []
    for name in strategies or STRATEGIES:
        sums = dict.fromkeys(("lookups", "mappings", "missed", "made_up"), 0)

        def compare(machine, _, sums=sums):
            held = machine.truth()
            true, frames = {*zip(*(column.tolist() for column in held))}, np.unique(held[0])
            found = {*zip(*(column.tolist() for column in machine.strategy.walk(frames).mappings()))}
            for key, count in zip(sums, (len(frames), len(true), len(true - found), len(found - true))):
                sums[key] += count

        replay(trace, name, options, after=compare)
        rows.append({"strategy": name, **sums})
    return pd.DataFrame(rows)
