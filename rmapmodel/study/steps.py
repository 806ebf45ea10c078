"""Step by step: what the lookup of one page costs each design after each event of a trace."""

import numpy as np
import pandas as pd

from ..strategies import STRATEGIES
from ..vm.frames import FIRST
from ..vm.vma import PAGE
from .replay import Options, applied, machine_for

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
