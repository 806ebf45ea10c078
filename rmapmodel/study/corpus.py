"""The corpus: what each recorded program of data/traces does, what its moves meet, and what every design costs on it."""

from collections import Counter
from typing import NamedTuple

import pandas as pd

from .. import events as ev
from ..errors import InputError
from ..strategies import STRATEGIES
from ..trace import read
from ..vm.frames import ANON
from ..vm.machine import Machine
from .moves import changes_address, moves
from .program import CHECKOUT
from .replay import Options, applied, line_of_peak, machine_for

TRACES, TABLES = CHECKOUT / "data" / "traces", CHECKOUT / "data" / "tables"
DESIGN = "anon_vma_chain"
"""The design of the kernels that the programs were recorded on; what does not depend on a design is counted under it."""

OPTIONS = Options(max_memory=24 << 30)
WALK = {"pages": "pages", "mappings": "mappings", "visits": "vmas_examined", "ptes": "ptes_examined", "locks": "locks",
        "cache_lines": "cache_lines"}
"""What is kept of the counters of a walk (contract section 4), by the name of its column."""

_FORKS = {ev.Fork: "forks", ev.Vfork: "vforks", ev.CloneVm: "vforks", ev.Exec: "execs"}
_MAPPING = (ev.Mmap, ev.Brk, ev.Mprotect, ev.Madvise, ev.Mlock, ev.Munlock, ev.RemapFilePages, ev.Mremap)


def programs(names=None):
    """The traces of the recorded programs by name: all, or those in `names`, each once; InputError for an unknown name."""
    paths = {path.name.split(".")[0]: path for path in sorted(TRACES.glob("*.jsonl*"))}
    unknown = [name for name in names or () if name not in paths]
    if unknown:
        raise InputError(f"no program {unknown[0]!r} was recorded; there are {', '.join(paths)}")
    return {name: read(paths[name]) for name in dict.fromkeys(paths if names is None else names)}


def table(name):
    """A table of data/tables (data/README.md), as a DataFrame."""
    return pd.read_csv(TABLES / f"{name}.csv")


def what_happens(trace):
    """How large a program's trace is, and how often what happens in it: a row of programs.csv, as a dict.

    `splits` counts vmas cut in two, `merges` ranges that a neighbour took in: new, moved or changed ones; a vma that
    only grows, as a stack does or by mremap in place, is none. The last three columns are of the moment when most is
    mapped. Cost: two replays.
    """
    peak = line_of_peak(trace, OPTIONS, DESIGN)
    machine = machine_for(trace.header, DESIGN, OPTIONS)
    told, counts, pids, most = Counter(), Counter(), set(), 0
    for hook in ("split", "adjusted"):
        counted(machine.strategy, hook, told)
    for line, event in applied(machine, trace):
        pids |= machine.processes.keys()
        most = max(most, len(machine.processes))
        counts.update(["events", _FORKS.get(type(event), "")])
        joins = isinstance(event, _MAPPING) and (type(event) is not ev.Mremap or changes_address(event))
        counts.update(splits=told["split"], merges=told["adjusted"] if joins else 0)
        told.clear()
        if line == peak:
            frames = anonymous(machine)
            shared = int((machine.frames.mapcount[frames] > 1).sum())
    return {"processes": len(pids), "most_at_once": most,
            **{name: counts[name] for name in ("events", "forks", "vforks", "execs", "splits", "merges")},
            "most_mappings": machine.peak_mappings, "anonymous_pages": len(frames), "shared_anonymous_pages": shared}


def counted(strategy, hook, counts, amount=lambda *args: 1):
    """Makes a strategy count its calls of a hook in `counts[hook]`, or the sum of an `amount` of their arguments."""
    told = getattr(strategy, hook)

    def counting(*args):
        counts[hook] += amount(*args)
        return told(*args)

    setattr(strategy, hook, counting)


def anonymous(machine):
    """The resident frames of anonymous pages, ascending."""
    frames = machine.resident()
    return frames[machine.frames.flags[frames] & ANON != 0]


def what_moves_meet(trace):
    """What the moves of a trace meet: a row of moves.csv, as a dict; what the design refused is not counted."""
    rows = moves(trace, DESIGN, OPTIONS)
    moved = rows[rows.moved.astype(bool) & ~rows.refused.astype(bool)]
    return {"mremaps": len(rows), "moves": len(moved), "moves_of_anonymous": int((moved.anonymous > 0).sum()),
            "moves_of_fork_shared": int((moved.shared > 0).sum()), "moved_anonymous_pages": int(moved.anonymous.sum()),
            "moved_fork_shared_pages": int(moved.shared.sum())}


class Watched(NamedTuple):
    """A design on a whole trace: what it cost after some lines, {line: dict}; pages copied; and its machine at the end.

    `WALK` names what a lookup of every resident page costs, `anonymous_...` the first four of it for anonymous pages
    alone, `added_bytes` is what the design adds then. `copied` counts pages copied because of a write, or early.
    """

    moments: dict
    copied: int
    machine: Machine


def watch(trace, strategy, lines):
    """Replays a trace under a design, and looks at it after each of these lines; returns what was Watched.

    AssertionError if a lookup does not find what the page tables hold. Cost: a replay, and three walks a line.
    """
    machine, lines, found, counts = machine_for(trace.header, strategy, OPTIONS), set(lines), {}, Counter()
    counted(machine.strategy, "copied_on_write", counts, lambda vma, old, new, pages: len(new))
    for line, _ in applied(machine, trace):
        machine.ledger.sample(len(machine.mms), machine.frames.alive)
        if line in lines:
            found[line] = _moment(machine)
    return Watched(found, counts["copied_on_write"], machine)


def _moment(machine):
    frames, costs = machine.resident(), {}
    machine.check(frames)
    for prefix, frames, kept in (("", frames, 6), ("anonymous_", anonymous(machine), 4)):
        totals = machine.strategy.walk(frames).totals()
        costs |= {prefix + name: totals[counter] for name, counter in list(WALK.items())[:kept]}
    return {**costs, "added_bytes": machine.ledger.design_bytes(len(machine.mms), machine.frames.alive)}


def what_designs_cost(trace, strategies=None):
    """Two rows for each design, of reclaim.csv and of memory.csv, as lists of dicts.

    What a lookup of every page costs at the moment when most is mapped; and what the design adds at its peak, how many
    objects it has then, vmas aside, how many objects moves made it make, and how many pages were copied: early because
    of moves, and all, those that somebody wrote included. Cost: two replays a design.
    """
    peak = line_of_peak(trace, OPTIONS, DESIGN)
    reclaim, memory = [], []
    for name in strategies or STRATEGIES:
        watched, met = watch(trace, name, [peak]), moves(trace, name, OPTIONS)
        ledger, costs = watched.machine.ledger, watched.moments[peak]
        del costs["added_bytes"]
        reclaim.append({"strategy": name, "refused": len(watched.machine.refused), **costs})
        memory.append({"strategy": name, "added_bytes": ledger.peak_design,
                       "objects": sum(ledger.peak_objects.values()) - ledger.peak_objects["vm_area_struct"],
                       "made_by_moves": int(met.allocated.sum()), "copied_by_moves": int(met.copied.sum()),
                       "copied": watched.copied})
    return reclaim, memory


def measured(traces):
    """The tables of these programs, {name of the trace: trace}, as DataFrames by the table's name.

    Cost: some twenty-five replays a program; for the whole corpus minutes.
    """
    rows = {"programs": [], "moves": [], "reclaim": [], "memory": []}
    for program, trace in traces.items():
        reclaim, memory = what_designs_cost(trace)
        for name, found in (("programs", [what_happens(trace)]), ("moves", [what_moves_meet(trace)]),
                            ("reclaim", reclaim), ("memory", memory)):
            rows[name] += [{"program": program, **row} for row in found]
    return {name: pd.DataFrame(found) for name, found in rows.items()}


def through(trace, points):
    """What every design costs at so many moments of a trace, evenly spaced over its events: tidy rows.

    Columns: `percent` of the events that have happened, `strategy`, and those of watch(). Moments at which nothing is
    mapped are left out. Cost: a replay a design.
    """
    lines = [line for line, _ in trace]
    at = {lines[round(step * len(lines) / points) - 1]: round(100 * step / points) for step in range(1, points + 1)}
    rows = [{"percent": at[line], "strategy": name, **found} for name in STRATEGIES
            for line, found in watch(trace, name, at).moments.items()]
    return pd.DataFrame([row for row in rows if row["mappings"]])
