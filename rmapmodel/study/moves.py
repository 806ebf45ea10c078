"""Moves: what the mremap events of a trace meet, and what each design does to the pages they move."""

import numpy as np
import pandas as pd

from ..events import Mremap
from ..vm.frames import ANON
from ..vm.vma import PAGE
from .replay import Options, applied, machine_for

COLUMNS = ("line", "pid", "moved", "refused", "resident", "anonymous", "shared", "reindexed", "allocated",
           "copied")


def moves(trace, strategy, options=None):
    """One row for each mremap event of a trace, under one design, with the columns `COLUMNS`.

    `moved` says whether the call gave the memory another address; `resident` counts the pages in its old range,
    `anonymous` those of them that are anonymous, `shared` those of these that another process maps too, as only fork
    brings about; `reindexed` the pages whose object or index the design changed, `allocated` the objects it made for
    them, vmas aside, `copied` the pages it copied so that they could move. Errors: InputError as replay().
    """
    rows = []
    if not any(type(event) is Mremap for _, event in trace):
        return pd.DataFrame(rows, columns=COLUMNS)
    machine = machine_for(trace.header, strategy, options or Options())
    before = None

    def looking_first():
        nonlocal before
        for line, event in trace:
            before = _before(machine, event) if type(event) is Mremap else None
            yield line, event

    for line, event in applied(machine, trace, looking_first()):
        if before is not None:
            rows.append((line, event.pid, changes_address(event), *_after(machine, *before)))
    return pd.DataFrame(rows, columns=COLUMNS)


def changes_address(event):
    """Whether an mremap gives memory another address, or a shared mapping a second one."""
    return event.new_addr != event.addr or not event.len or bool({"fixed", "dontunmap"} & set(event.flags))


def _before(machine, event):
    pages = machine.resident(event.pid, event.addr // PAGE, -(-(event.addr + event.len) // PAGE))
    return pages, _keys(machine, pages), machine.frames.mapcount[pages] > 1, _objects(machine), len(machine.refused), \
        machine.ledger.copies


def _after(machine, pages, keys, others, objects, refused, copies):
    anonymous = (machine.frames.flags[pages] & ANON) != 0
    reindexed = (keys != _keys(machine, pages)).any(axis=0)
    return (len(machine.refused) > refused, len(pages), int(anonymous.sum()), int((anonymous & others).sum()),
            int(reindexed.sum()), _objects(machine) - objects, machine.ledger.copies - copies)


def _keys(machine, pages):
    return np.stack([machine.frames.anchor[pages], machine.frames.index[pages]])


def _objects(machine):
    return sum(count for kind, count in machine.ledger.alive().items() if kind != "vm_area_struct")


def away_from_index(machine):
    """How many mappings of anonymous pages lie at another page than the page's index: what a lookup by it misses.

    Says something only of a design whose index is the virtual address (`anonmm`).
    """
    frame, _, page = machine.truth()
    anonymous = (machine.frames.flags[frame] & ANON) != 0
    return int((machine.frames.index[frame[anonymous]] != page[anonymous]).sum())


def away_from_offset(machine):
    """How many mappings of pages of files lie elsewhere than their vma's offset says: what a lookup by vm_pgoff misses."""
    frame, mm, page = machine.truth()
    found = 0
    for each in machine.mms.values():
        for vma in each.vmas:
            if vma.file is not None:
                inside = (mm == each.number) & (page >= vma.start) & (page < vma.end)
                inside &= (machine.frames.flags[frame] & ANON) == 0
                found += int((machine.frames.index[frame[inside]] != vma.pgoff + page[inside] - vma.start).sum())
    return found


def chained_addresses(machine):
    """How many addresses `anonmm` has chained to the pages in memory, the counts in the chains' first slots left out."""
    elements, values = machine.strategy.chains.lengths(machine.resident())
    return int(values.sum() - (elements > 0).sum())
