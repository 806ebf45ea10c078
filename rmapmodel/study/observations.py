"""Observations: what running kernels answered (data/observations), and what a model says after the same events.

A row of `random` or `merge` has vmas, pages and objects; one of `walks` the vmas that reverse-map walks visited.
"""

import gzip
import platform

import msgspec
import numpy as np
import pandas as pd

from ..errors import InputError
from ..events import AnyEvent, Header, Spawn
from ..kernel import require
from ..trace.memory import InMemory
from ..vm.vma import PAGE
from .program import CHECKOUT
from .replay import Options, machine_for, replay

OBSERVATIONS = CHECKOUT / "data" / "observations"
NAMES = ("random", "merge", "walks")
"""The observations: random traces, the kernel's own merge tests, walks (data/README.md)."""

STRUCTURES = ("vm_area_struct", "anon_vma", "anon_vma_chain")
"""The objects that were counted."""

DESIGN = "anon_vma_chain"
"""The design of the kernels observed."""

_AREA, _NEW, _HEAP = 0x10000000, 0x20000000, 0x30000000  # of fork_server in data/walks/record.py
ORIGINS = {
    "shared by all": {(parent, addr) for parent in (True, False) for addr in (_AREA, _HEAP)},
    "left to the parent": {(True, _AREA + PAGE)},
    "copied by the parent": {(True, _AREA + 2 * PAGE)},
    "copied in a child": {(False, _AREA + PAGE)},
    "new area of a child": {(False, _NEW)},
    "new in inherited memory": {(False, _AREA + 4 * PAGE), (False, _HEAP + PAGE)},
    "grown heap of a child": {(False, _HEAP + 2 * PAGE), (False, _HEAP + 3 * PAGE)},
}
"""Pages of the fork servers of `walks` by their origin: (whether the parent is looked at, address)."""


def observed(name):
    """The rows of one of `NAMES`, as dicts; their events are events.

    >>> row = observed("merge")[0]
    >>> row["scenario"], len(row["moments"]), type(row["events"][0]).__name__
    ('mprotect_unfaulted_left', 2, 'Spawn')
    """
    path, = OBSERVATIONS.glob(f"{name}-*.jsonl.gz")
    with gzip.open(path) as lines:
        rows = [msgspec.json.decode(line) for line in lines]
    return [{**row, "events": msgspec.convert(row["events"], list[AnyEvent])} for row in rows]


def fork_servers(children=200):
    """The rows of `walks` that are fork servers of at most so many children (200 is all), none of which has exited."""
    return [row for row in observed("walks") if row["case"] == "fork_server" and not row["parameters"]["ended"]
            and row["parameters"]["children"] <= children]


# -- vmas, pages, objects --------------------------------------------------------------------------------------------


def predicted(events, kernel, strategy=DESIGN):
    """What an observation would hold after these events: `vmas` and `pages` by process, and `objects`; None if refused.

    `pages` are the resident ones and their runs of equal map count.
    """
    try:
        run = replay(InMemory(Header(version=1, kernel=kernel), events), strategy)
    except InputError:
        return None
    return None if run.machine.refused else _parts(run.result(pages=True))


def _parts(told):
    processes = told["processes"]
    return {"vmas": {pid: process["vmas"] for pid, process in processes.items()},
            "pages": {pid: (process["rss_pages"], process["pages"]) for pid, process in processes.items()},
            "objects": told["objects"]}


def moments(row):
    """Yields (events, what was observed after them, as of predicted()): one of a random trace, some of a merge test."""
    for moment in row.get("moments", [row]):
        told = {**moment, "processes": {pid: {**process, "pages": [*map(list, process["pages"])]}
                                        for pid, process in moment["processes"].items()}}
        yield row["events"][:moment.get("after")], _parts(told)


def agreeing(rows, strategies, kernel=None):
    """In how many moments a design has the kernel's `vmas`, and its `pages`: a DataFrame by design, with their number `of`.

    `kernel` is whose rules hold, else those of the kernel observed. Cost: a short replay a moment and design.
    """
    found = {}
    for name in strategies:
        pairs = [(told, predicted(events, kernel or row["kernel"], name)) for row in rows for events, told in moments(row)]
        found[name] = {part: sum(mine is not None and mine[part] == told[part] for told, mine in pairs)
                       for part in ("vmas", "pages")} | {"of": len(pairs)}
    return pd.DataFrame(found).T.rename_axis("strategy")


def objects(rows, kernel=None):
    """Objects counted and predicted: columns `structure`, `counted`, `predicted` (missing if refused), a row for each.

    `kernel` as in agreeing().
    """
    counts = []
    for row in rows:
        for events, told in moments(row):
            mine = predicted(events, kernel or row["kernel"])
            counts += [(name, told["objects"][name], mine and mine["objects"][name]) for name in STRUCTURES]
    return pd.DataFrame(counts, columns=["structure", "counted", "predicted"])


# -- walks -----------------------------------------------------------------------------------------------------------


def replayed(row, kernel=None, strategy=DESIGN):
    """Yields (probe, machine) when the machine has executed the events before the probe; (None, machine) at the end."""
    machine = machine_for(Header(version=1), strategy, Options(kernel=kernel or row["kernel"]))
    done = 0
    for probe in [*row["probes"], None]:
        until = probe["after"] if probe else len(row["events"])
        for event in row["events"][done:until]:
            machine.apply(event)
        done = until
        yield probe, machine


def walked(machine, probe):
    """(examined, candidates, visits) of the model's walks for the page that was probed, as seen() has the kernel's."""
    log = []
    walk = machine.strategy.walk(np.array([_frame(machine, probe)]), log)
    visits = [(pid, visit["start"]) for visit in log if visit["visits"] == "vm_area_struct" for pid in visit["pids"]]
    return int(walk.examined[0]), int(walk.candidates[0]), visits


def _frame(machine, probe):
    return machine.processes[probe["pid"]].table.at(probe["addr"] // PAGE)


def seen(probe):
    """(examined, candidates, visits) of the kernel's walks for a page.

    How many vmas the walk that stops at the last mapping visited, how many the one that does not, and (pid, start) of
    each that the former did, in order.
    """
    visits = [(pid + i, start) for pid, n, start in probe["visits"] for i in range(n)]
    return probe["examined"], probe["candidates"], visits[:probe["examined"]]


def walks(rows, strategies=(DESIGN,), kernel=None):
    """The walks of `walks`, a row for each page looked at and each design.

    Columns: `kernel`, that of the observation; `case`; `processes` alive then; `origin` (of `ORIGINS`, for a fork server,
    else missing); `strategy`; `mappings` of the page; the kernel's `examined` and `candidates`, the design's `model_examined` and `model_candidates`, and `alike`, whether also
    every visit is the kernel's, in its order. Cost: a replay for each row and design, and a walk a page.
    """
    origins = {place: origin for origin, places in ORIGINS.items() for place in places}
    found = []
    for row in rows:
        for name in strategies:
            for probe, machine in replayed(row, kernel, name):
                if probe:
                    kernels, mine = seen(probe), walked(machine, probe)
                    place = probe["pid"] == 1, probe["addr"]
                    found.append((row["kernel"], row["case"], len(machine.processes),
                                  origins.get(place) if row["case"] == "fork_server" else None, name,
                                  int(machine.frames.mapcount[_frame(machine, probe)]), *kernels[:2], *mine[:2],
                                  kernels == mine))
    return pd.DataFrame(found, columns=["kernel", "case", "processes", "origin", "strategy", "mappings", "examined",
                                        "candidates", "model_examined", "model_candidates", "alike"])


# -- other rules -----------------------------------------------------------------------------------------------------


def differs(row, kernel=None):
    """Whether the model, with the rules of a kernel (else the one observed), answers this row otherwise than the kernel did.

    It differs also where it refuses what the kernel executed. Cost: a replay at most.
    """
    if "probes" not in row:
        return any(predicted(events, kernel or row["kernel"]) != told for events, told in moments(row))
    try:
        return any(machine.refused or probe and walked(machine, probe) != seen(probe)
                   for probe, machine in replayed(row, kernel))
    except InputError:
        return True


def told_apart(rows, kernels):
    """How many of some rows the model with the rules of each kernel gets wrong: {kernel: number}."""
    return {kernel: sum(differs(row, kernel) for row in rows) for kernel in kernels}


# -- here ------------------------------------------------------------------------------------------------------------


def here(count, seed=1):
    """Executes `count` random traces on the kernel that runs here: (a verify.Verdict, or None, and what cannot be read).

    The latter, a list of texts, says why there is no verdict, if there is none. Changes nothing of the machine
    but what docs/running-kernel.md says. Cost: some 20 ms a trace.

    >>> here(0)
    (None, ['no trace was asked for'])
    """
    if count < 1:
        return None, ["no trace was asked for"]
    try:
        require()
        from ..kernel.observe import result
        from .verify import random_traces, require_sound, verify

        require_sound(platform.release())
        missing = result(InMemory(Header(version=1), [Spawn(1)]))["missing"]
        return verify(random_traces(count, seed)), missing
    except InputError as problem:
        return None, [str(problem)]
