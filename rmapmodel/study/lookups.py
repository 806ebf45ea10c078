"""Lookups of file pages: what the programs of 2003 and 2004 cost under each way to keep a file's vmas, and what was timed."""

import re
from itertools import combinations

import pandas as pd

from ..index.prio_tree import PrioTree
from ..trace.memory import InMemory
from ..trace.workloads import generate
from .published import figures
from .replay import Options, replay

SCHEMES = {
    "pte_chain": ("pte_chain", None), "list": ("objrmap", "list"), "prio_tree": ("objrmap", "prio_tree"),
    "interval_tree": ("objrmap", "interval_tree"), "page_table_scan": ("page_table_scan", None)}
"""How the mappings of a file page are found: the design, and how it keeps the file's vmas."""


def lookups(run):
    """What the lookups of a replay cost, and what was done before them to make them possible, as a dict.

    `pages` and `mappings` found; sums over the pages of `visits` of the walk that stops at the last mapping, of
    `candidates` of the one that does not, and of `nodes` of the index that the former touches; `longest`, the most
    candidates of one page; `held`, the most nodes that a lock was held over; `listed`, vmas of the file that has most;
    `updates`, ptes put into chains, or vmas into the sets of files; `passed`, nodes of these sets passed meanwhile;
    `height`, levels of the highest prio_tree.
    """
    machine, ledger = run.machine, run.machine.ledger
    reclaim, strategy = ledger.reclaim, run.machine.strategy
    taken = sum(locking.acquired for locking in ledger.locks.values())
    sets = [file.index or () for file in machine.file_numbers.values()]
    indexes = [index for parts in sets for index in parts]
    return {
        "pages": reclaim["pages"], "mappings": reclaim["mappings"], "visits": reclaim["vmas_examined"],
        "candidates": reclaim["vmas_candidates"], "nodes": reclaim["index_nodes"],
        "longest": max(ledger.walk_lengths["full"], default=0),
        "held": max((locking.longest_hold for locking in ledger.locks.values()), default=0),
        "listed": max((sum(map(len, parts)) for parts in sets), default=0), "updates": taken - reclaim["locks"],
        "passed": sum(index.passed for index in indexes) if strategy.walks_files else 0,
        "height": max((index.height for index in indexes if isinstance(index, PrioTree)), default=0)}


def measured(programs, schemes=SCHEMES):
    """One row for each program and scheme: `program`, `scheme`, and what lookups() counts.

    `programs` are {name of a workload: its parameters}; `schemes` names of SCHEMES. Kernel and architecture are those of
    the workload. Cost: a replay a row.

    >>> rows = measured({"test_mmap": {"cache_pages": 20}}, ["list", "prio_tree"])
    >>> rows[["scheme", "pages", "candidates"]].to_dict("list")
    {'scheme': ['list', 'prio_tree'], 'pages': [18, 18], 'candidates': [324, 18]}
    """
    rows = []
    for program, parameters in programs.items():
        trace = InMemory(*generate(program, **parameters))
        for scheme in schemes:
            design, index = SCHEMES[scheme]
            rows.append({"program": program, "scheme": scheme, **lookups(replay(trace, design, Options(index=index)))})
    return pd.DataFrame(rows)


_TIMED = {"pte_chains": "pte_chain", "partial objrmap, linear list": "list", "partial objrmap + prio_tree": "prio_tree",
          "2.4 virtual scan": "page_table_scan"}


def timings():
    """The published system times of these programs: `program`, `year`, `scheme`, `seconds`, `id`, and `killed`.

    A run that was killed gives a lower bound. Andrew Morton's of 2003 and Rajesh Venkatasubramanian's of 2004.

    >>> timings().groupby("year").size().to_dict()
    {2003: 9, 2004: 13}
    """
    rows = []
    for figure in figures().values():
        program = re.match(r"(rmap-test|test-mmap) ?(\d)\b", figure.benchmark)
        scheme = _TIMED.get(figure.scheme.partition(" (")[0])
        if program and scheme and figure.metric == "system":
            joint = "_" if program[1] == "rmap-test" else ""
            rows.append({"program": f"{program[1].replace('-', '_')}{joint}{program[2]}", "year": int(figure.date[:4]),
                         "scheme": scheme, "seconds": figure.value, "id": figure.id, "killed": "killed" in figure.note
                         and scheme == "list"})
    return pd.DataFrame(rows)


def against(frame, base, column):
    """Each value of a column as a multiple of that of the row where `scheme` is `base`, for the same program (and year)."""
    keys = [key for key in ("program", "year") if key in frame]
    bases = frame[frame.scheme == base].set_index(keys)[column]
    index = pd.MultiIndex.from_frame(frame[keys]) if len(keys) > 1 else pd.Index(frame[keys[0]])
    return frame[column] / bases.reindex(index).to_numpy()


def order(frame, within, count, time, bound="killed"):
    """All pairs of rows that agree in the columns `within`, with how their counts and times order them.

    Columns: `within`, `one` and `other` (the labels of the two rows, the one with the smaller count first), and `order`:
    `alike`; `opposite`; `tied` where the counts are equal; `undecided` where a time that is a lower bound leaves it open.

    >>> frame = pd.DataFrame({"at": 1, "count": [1, 9, 9], "time": [2.0, 3.0, 1.0], "killed": [False, False, True]},
    ...                      index=["a", "b", "c"])
    >>> order(frame, ["at"], "count", "time")[["one", "other", "order"]].to_numpy().tolist()
    [['a', 'b', 'alike'], ['a', 'c', 'undecided'], ['b', 'c', 'tied']]
    """
    rows = []
    for values, part in frame.groupby(within, sort=False):
        ascending = part.sort_values(count, kind="stable")
        for (one, low), (other, high) in combinations(ascending.iterrows(), 2):
            rows.append((*values, one, other, _order(low, high, count, time, bound)))
    return pd.DataFrame(rows, columns=[*within, "one", "other", "order"])


def _order(low, high, count, time, bound):
    if low[count] == high[count]:
        return "tied"
    early, late = sorted((low, high), key=lambda row: row[time])
    if early[bound]:
        return "undecided"
    return "alike" if early is low else "opposite"
