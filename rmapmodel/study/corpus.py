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
from .program import CHECKOUT, recordings
from .replay import Options, applied, line_of_peak, machine_for

NAMES = ("programs", "moves", "reclaim", "memory")
"""The tables that are made of the traces (data/README.md)."""

TABLES = CHECKOUT / "data" / "tables"
WRITTEN_TO_MOVE = ("perl-workers", "python-pool")
"""The programs that were written so that workers go on with containers that they inherited (data/README.md)."""

DESIGN = "anon_vma_chain"
"""The design of the kernels that the programs were recorded on; what does not depend on a design is counted under it."""

OPTIONS = Options(max_memory=24 << 30)
WALK = {"pages": "pages", "mappings": "mappings", "visits": "vmas_examined", "ptes": "ptes_examined", "locks": "locks",
        "cache_lines": "cache_lines"}
"""What is kept of the counters of a walk (contract section 4), by the name of its column."""

_FORKS = {ev.Fork: "forks", ev.Vfork: "vforks", ev.CloneVm: "vforks", ev.Exec: "execs"}
_MAPPING = (ev.Mmap, ev.Brk, ev.Mprotect, ev.Madvise, ev.Mlock, ev.Munlock, ev.RemapFilePages, ev.Mremap)


def programs(names=None):
    """The traces of the recorded programs by name: all, or those in `names`, each once.

    InputError for a name of no program, or for no names.

    >>> list(programs(["nginx", "java-g1", "nginx"]))
    ['nginx', 'java-g1']
    """
    paths = recordings()
    wanted = list(dict.fromkeys(paths if names is None else names))
    if not wanted or set(wanted) - paths.keys():
        unknown = "no program is named" if not wanted else f"no program {min(set(wanted) - paths.keys())!r} was recorded"
        raise InputError(f"{unknown}; there are {', '.join(paths)}")
    return {name: read(paths[name]) for name in wanted}


def table(name):
    """A table of data/tables (data/README.md), as a DataFrame."""
    return pd.read_csv(TABLES / f"{name}.csv")


def what_happens(trace, peak):
    """How large a program's trace is, and how often what happens in it: a row of programs.csv, as a dict.

    `splits` counts vmas cut in two, `merges` ranges that a neighbour took in: new, moved or changed ones; a vma that
    only grows, as a stack does or by mremap in place, is none. `peak` is the line after which most is mapped; the last
    three columns are of that moment. Cost: a replay.
    """
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
    """What the moves of a trace meet: a row of moves.csv, as a dict; what the design refused is not counted.

    Cost: a replay, of a trace with any mremap.
    """
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


def measured(traces, moments=0):
    """What was measured of programs, {name: trace}: DataFrames by the name of a table of data/tables.

    The table `moments` has what every design costs at so many moments of each program, evenly spaced over its events, and
    where it or another of the programs has most mapped: `percent` of the events that have happened, the columns of
    reclaim.csv, and `added_bytes`. Moments at which no anonymous page is mapped are left out. Cost: some twenty replays
    a program; for the whole corpus minutes.
    """
    rows = {name: [] for name in (*NAMES, "moments")}
    peaks, looks = _looks(traces, moments)
    for program, trace in traces.items():
        peak, at = peaks[program], looks[program]
        found = {"programs": [what_happens(trace, peak)], "moves": [what_moves_meet(trace)],
                 "reclaim": [], "memory": [], "moments": []}
        for name in STRATEGIES:
            watched = watch(trace, name, {peak, *at.values()})
            for table, row in _of_design(name, watched, moves(trace, name, OPTIONS), peak, at):
                found[table].append(row)
        for table, new in found.items():
            rows[table] += [{"program": program, **row} for row in new]
    return {name: pd.DataFrame(found) for name, found in rows.items()}


def _looks(traces, moments):
    """The line of each program after which most is mapped, and {percent: line} of the moments at which it is looked at."""
    lines = {program: [line for line, _ in trace] for program, trace in traces.items()}
    peaks = {program: line_of_peak(trace, OPTIONS, DESIGN) for program, trace in traces.items()}
    if not moments:
        return peaks, dict.fromkeys(traces, {})
    own = {program: round(100 * (lines[program].index(peak) + 1) / len(lines[program])) for program, peak in peaks.items()}
    percents = sorted({round(100 * step / moments) for step in range(1, moments + 1)} | {*own.values()})
    return peaks, {program: {percent: of[max(1, round(percent * len(of) / 100)) - 1] for percent in percents}
                   | {own[program]: peaks[program]} for program, of in lines.items()}


def _of_design(name, watched, met, peak, at):
    """The rows that a design has in the tables, as pairs of the table's name and a dict."""
    ledger, at_peak = watched.machine.ledger, dict(watched.moments[peak])
    del at_peak["added_bytes"]
    yield "reclaim", {"strategy": name, "refused": len(watched.machine.refused), **at_peak}
    yield "memory", {
        "strategy": name, "added_bytes": ledger.peak_design,
        "objects": sum(ledger.peak_objects.values()) - ledger.peak_objects["vm_area_struct"],
        "made_by_moves": int(met.allocated.sum()), "copied_by_moves": int(met.copied.sum()), "copied": watched.copied}
    for percent, line in at.items():
        if watched.moments[line]["anonymous_mappings"]:
            yield "moments", {"percent": percent, "strategy": name, **watched.moments[line]}


def disagreements(tables):
    """What differs between tables of measured() and those of data/tables, as texts; designs that these lack are passed over."""
    found = []
    for name in NAMES:
        keys = ["program", *(["strategy"] if "strategy" in tables[name] else [])]
        both = tables[name].merge(table(name), on=keys, suffixes=("", " in the table"), validate="1:1")
        for column in tables[name].columns.drop(keys):
            committed = column + " in the table"
            found += [f"{name}, {' '.join(row[key] for key in keys)}, {column}: {row[column]}, not {row[committed]}"
                      for _, row in both[both[column] != both[committed]].iterrows()]
    return found
