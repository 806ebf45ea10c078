"""Changes: how often a program's areas are split, joined and moved, and what each of that costs a design."""

import pandas as pd

from .moves import moves
from .work import work

AREAS = ("mmap", "munmap", "mprotect", "brk", "mlock", "munlock", "madvise", "remap_file_pages")
"""The ops that map, unmap, split and join areas."""

JOINED = tuple(op for op in AREAS if op != "brk")
"""Those of them in which a change of an area's range means that it took something in: brk grows the heap, and is told apart."""

DESIGNS = ("anonmm", "anon_vma", "anon_vma_chain")
"""Tracking by mm, and by vma in 2004 and today."""


def changes(trace, strategies=DESIGNS, options=None):
    """What a trace does to areas and what it costs: one row for each design.

    Columns: `splits` of an area in two; `joins`, areas that took a new range in or a neighbour; `area_work`, objects made and freed and locks taken by the ops `AREAS`; `move_work`, by mremap,
    pages rewritten and copied counted too; the merges `asked` and `refused` by the design; `vmas`, the most there were.
    Designs that let other areas merge split and join others. Cost: a replay and a half for each design.
    """
    rows = []
    for name in strategies:
        most = 0

        def look(machine):
            nonlocal most
            most = max(most, machine.ledger.alive()["vm_area_struct"])

        done = work(trace, name, options, after=look)
        calls = done.groupby(["hook", "event"]).calls.sum()
        objects = done.made + done.freed + done.holds
        rows.append({
            "strategy": name, "splits": _sum(calls, "split"), "joins": _sum(calls, "adjusted", JOINED),
            "area_work": int(objects[done.event.isin(AREAS)].sum()),
            "move_work": int((objects + done.pages + done.copied)[done.event == "mremap"].sum()),
            "asked": _sum(calls, "compatible"), "refused": int(done.refused.sum()), "vmas": most})
    return pd.DataFrame(rows)


def _sum(calls, hook, events=None):
    if hook not in calls.index.get_level_values("hook"):
        return 0
    each = calls[hook]
    return int(each.sum() if events is None else each[each.index.isin(events)].sum())


def moved(trace, options=None):
    """How many calls gave memory another address, and how many of these hit anonymous pages that others map, too.

    A dict with `moves` and `shared`. Cost: a replay if the trace has an mremap.
    """
    met = moves(trace, "anon_vma_chain", options)
    met = met[met.moved.astype(bool)]
    return {"moves": len(met), "shared": int((met.shared > 0).sum())}
