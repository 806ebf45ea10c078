"""Origins: what walks cost for pages shared since before fork, copied, of new memory; and how that grows with the family."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..strategies import STRATEGIES
from ..trace.memory import InMemory
from ..trace.workloads import PAGE_ORIGINS, PARENT, generate
from .observations import fork_servers, walks
from .replay import replay

WALKS = {"full": "candidates", "early_stop": "examined"}
"""The two kinds of walk, and the column of origins() with what each visits."""


def origins(sizes, pages=1, strategies=None, options=None, keeper=1):
    """One row for each family size, design and origin: `processes`, `strategy`, `origin`, and means over its pages.

    The means are `mappings`, what the page tables hold; `candidates` of the walk that does not stop and `examined` of the
    one that does (contract section 4). `sizes` counts processes, the parent and at least one child; `pages` and `keeper`
    are those of the workload page_origins. Cost: a replay for each size and design.

    >>> row = origins([3], strategies=["anon_vma"]).set_index("origin").loc["copied in a child"]
    >>> row["mappings"].item(), row["candidates"].item(), row["examined"].item()
    (1.0, 3.0, 1.5)
    """
    rows = []
    for processes in sizes:
        trace = InMemory(*generate("page_origins", children=processes - 1, pages=pages, keeper=keeper))
        for name in strategies or STRATEGIES:
            machine = replay(trace, name, options).machine
            rows += [{"processes": processes, "strategy": name, "origin": origin, **_means(machine, origin, pages)}
                     for origin in PAGE_ORIGINS]
    return pd.DataFrame(rows)


def _means(machine, origin, pages):
    first, part = PAGE_ORIGINS[origin]
    base = machine.processes[PARENT].vmas[0].start + part * pages
    owners = [first] if first == PARENT else sorted(machine.processes)[1:]
    frames = np.unique([machine.processes[pid].table.gather(np.arange(base, base + pages)) for pid in owners])
    walk = machine.strategy.walk(frames.astype(np.int32))
    return {"mappings": float(walk.mapcount.mean()), **{column: float(getattr(walk, column).mean())
                                                        for column in WALKS.values()}}


class Growth(NamedTuple):
    """A straight line over the number of processes, the largest distance from it, and what kind of growth it is.

    `kind`: `constant`; `fundamental`, as much as the mappings grow; `artefact`, more than these.
    """

    slope: float
    intercept: float
    residual: float
    kind: str

    def __str__(self):
        return formula(self.slope, self.intercept)


def growth(processes, costs, mappings):
    """Fits costs, and judges them by the mappings at the same family sizes: what any design has to visit.

    >>> growth([2, 4, 8], [3, 5, 9], [1, 1, 1])
    Growth(slope=1.0, intercept=1.0, residual=0.0, kind='artefact')
    >>> str(growth([2, 4, 8], [2, 4, 8], [2, 4, 8])), growth([2, 4, 8], [2, 4, 8], [2, 4, 8]).kind
    ('N', 'fundamental')
    """
    processes, costs = np.asarray(processes, float), np.asarray(costs, float)
    slope, intercept, residual = _line(processes, costs)
    least, *_ = _line(processes, np.asarray(mappings, float))
    kind = "artefact" if slope > least else "fundamental" if slope > 0 else "constant"
    return Growth(slope, intercept, residual, kind)


def _line(x, y):
    if len(set(x)) < 2:
        return 0.0, float(y.mean()), 0.0
    slope, intercept = (round(float(each), 9) + 0.0 for each in np.polyfit(x, y, 1))
    return slope, intercept, round(float(np.abs(y - slope * x - intercept).max()), 6)


def formula(slope, intercept, of="N"):
    """A line as text, without what is 0 and without a factor of 1.

    >>> formula(1, 0), formula(0.5, 0.5), formula(5, -2), formula(0, 1), formula(1, -1)
    ('N', '0.5N + 0.5', '5N − 2', '1', 'N − 1')
    """
    slope, intercept = round(slope, 2), round(intercept, 2)
    if not slope:
        return f"{intercept:g}"
    line = {1: of, -1: f"-{of}"}.get(slope, f"{slope:g}{of}")
    if intercept:
        line += f" {'-+'[intercept > 0]} {abs(intercept):g}"
    return line.replace("-", "\N{MINUS SIGN}")


def fits(frame):
    """Growth of each design, origin and kind of walk: a DataFrame with `strategy`, `origin`, `walk`, `growth` and `kind`.

    `frame` is that of origins().
    """
    rows = []
    for (name, origin), part in frame.groupby(["strategy", "origin"], sort=False):
        for walk, column in WALKS.items():
            fit = growth(part.processes, part[column], part.mappings)
            rows.append({"strategy": name, "origin": origin, "walk": walk, "growth": fit, "kind": fit.kind})
    return pd.DataFrame(rows)


def recorded_walks():
    """Walks of a real kernel for pages of these origins, and the model's: one row a page that was looked at.

    Columns `kernel`, `processes`, `origin`, `mappings`, `examined` and `candidates` of the kernel, `model_examined` and
    `model_candidates` of `anon_vma_chain` after the same events. From the fork servers without exits of
    data/observations (data/README.md, Walk lengths); pages of other origins are left out. Cost: a replay a case, seconds.
    """
    found = walks(fork_servers())
    return found[found.origin.isin(PAGE_ORIGINS)].reset_index(drop=True)
