"""The second mechanism: what designs keep beside the one that finds most pages, over the events of a program."""

import numpy as np
import pandas as pd

from ..events import Exit
from ..vm.frames import ANON
from .replay import Options, applied, machine_for

SECOND = {"objrmap": "pte_chain", "anonmm": "rmap_chain", "anonmm_remap": "remap_record", "cow_context": "remap_record"}
"""The designs that have a second mechanism, and the structure it is made of."""


def over_time(trace, strategies=tuple(SECOND), options=None):
    """How much of its second mechanism each design has after each event: one row for each, events counted from 1.

    Columns: `strategy`, `event`, `processes` alive, `objects` of the second mechanism and their `bytes`. Cost: a replay a
    design.

    >>> from ..trace.memory import InMemory
    >>> from ..trace.workloads import generate
    >>> rows = over_time(InMemory(*generate("mremap_repeated", processes=2, pages=3, moves=1)), ["anonmm"])
    >>> rows.objects.tolist()
    [0, 0, 0, 0, 3, 3]
    """
    rows = []
    for name in strategies:
        machine, kind = machine_for(trace.header, name, options or Options()), SECOND[name]
        for event, _ in enumerate(applied(machine, trace), 1):
            count = machine.ledger.alive()[kind]
            rows.append((name, event, len(machine.processes), count, count * machine.ledger.size[kind]))
    return pd.DataFrame(rows, columns=["strategy", "event", "processes", "objects", "bytes"])


def lifetime(part, trace, movers):
    """Between which events a design had a second mechanism, and when the last of the `movers` (pids) exited meanwhile.

    `part` are the rows of over_time() of one design. A dict of `first` and `last`, the first and the last event after which
    it had one, and `movers_gone`, None where a mover was alive to the end of it; None for all if it never had one.
    """
    had = part.event[part.objects > 0]
    if not len(had):
        return None
    first, last, left, gone = int(had.iloc[0]), int(had.iloc[-1]), set(movers), None
    for place, (_, event) in enumerate(trace, 1):
        if isinstance(event, Exit) and event.pid in left and place <= last:
            left.discard(event.pid)
            gone = place
    return {"first": first, "last": last, "movers_gone": None if left else gone}


def copies(trace, strategy, options=None):
    """How many anonymous pages a trace makes a design copy: (before anyone wrote to them, in all). Cost: a replay."""
    machine = machine_for(trace.header, strategy, options or Options())
    copied, total = machine.strategy.copied_on_write, 0

    def counted(vma, old, new, pages):
        nonlocal total
        total += len(new)
        copied(vma, old, new, pages)

    machine.strategy.copied_on_write = counted
    for _ in applied(machine, trace):
        pass
    return machine.ledger.copies, total


def chains(trace, options=None):
    """What the pte chains of a program are of: a dict of counts at the moment of most mappings, and two peaks.

    `anonymous` pages, those of them that are `alone`, mapped once; `all_pages` and `anonymous_only`, the most chain
    elements where every page has a chain (`pte_chain`) and where pages of files have none (`objrmap`). Cost: two replays.
    """
    counts, peaks = {}, {}
    for name in ("pte_chain", "objrmap"):
        machine, most = machine_for(trace.header, name, options or Options()), -1
        for _ in applied(machine, trace):
            machine.ledger.sample(len(machine.mms), machine.frames.alive)
            if name == "objrmap" and machine.mappings > most:
                most, counts = machine.mappings, _sharing(machine.frames)
        peaks[name] = machine.ledger.peak_objects["pte_chain"]
    return {**counts, "all_pages": peaks["pte_chain"], "anonymous_only": peaks["objrmap"]}


def _sharing(frames):
    mapped = frames.mapcount[:frames.used][(frames.flags[:frames.used] & ANON) != 0]
    return {"anonymous": int(np.count_nonzero(mapped)), "alone": int(np.count_nonzero(mapped == 1))}
