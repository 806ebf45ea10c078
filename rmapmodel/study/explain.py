"""Explain: who maps one page, the structures a walk goes through, each visit in order, and a map of the mms."""

from itertools import takewhile

import numpy as np

from ..errors import InputError
from ..vm.frames import ANON, FIRST, ZERO
from ..vm.pagetable import LEAF
from ..vm.vma import PAGE, SHARED, prot_text
from .replay import Options, applied, machine_for

SCHEMA = "rmapmodel/explain/1"
MAP_AREAS, MAP_VISITS = 12, 40
"""An mm with more areas shows those that map the page and their neighbours; a walk with more visits its ends."""

MAP_PAGES = 64
"""Characters of a vma in the ASCII map; a longer vma shows one for several pages."""


def explain(trace, strategy, pid, address, until=None, options=None):
    """What maps the page at `address` (bytes) of process `pid` after line `until` of a trace, as a dict.

    Keys: `state` ("mapped", "zero page", "swapped out" or "not present"); for a mapped page `page` (kind, index,
    mapcount; no index where the design gives the page none), `visits` in order, `mappings` as (pids, address) and
    `map`, lines of ASCII. Errors: InputError for a process or address that does not exist then.
    """
    machine = machine_for(trace.header, strategy, options or Options())
    line = 0
    for line, _ in applied(machine, trace, takewhile(lambda pair: until is None or pair[0] <= until, trace)):
        pass
    if until is not None and until > line:
        raise InputError(f"the trace ends with line {line}", field="--until")
    mm = machine.processes.get(pid)
    if mm is None:
        raise InputError(f"process {pid} does not exist after line {until or line}", field="PID:ADDR")
    page = address // PAGE
    vma = mm.find(page)
    if vma is None:
        raise InputError(f"no mapping of process {pid} covers {address:#x} after line {until or line}", field="PID:ADDR")
    out = {"schema": SCHEMA, "strategy": strategy, "index": machine.strategy.index, "kernel": machine.kernel.text,
           "pid": pid, "address": page * PAGE, "until": until, "state": _state(mm.table.at(page)),
           "page": None, "visits": [], "mappings": [], "wrong": []}
    frame = mm.table.at(page)
    if frame >= FIRST:
        _explain_frame(machine, frame, out)
    out["map"] = ascii_map(machine, frame, [mm])
    return out


def _state(entry):
    return "mapped" if entry >= FIRST else "zero page" if entry == ZERO else "swapped out" if entry else "not present"


def _explain_frame(machine, frame, out):
    frames, visits = machine.frames, out["visits"]
    walk = machine.strategy.walk(np.array([frame], np.int32), log=visits)
    anonymous = bool(frames.flags[frame] & ANON)
    file = None if anonymous else machine.file_numbers[int(frames.anchor[frame])]
    out["page"] = {"frame": frame, "kind": "anonymous" if anonymous else "file",
                   "file": file.name if file else None, "shmem": bool(file and file.shmem),
                   "index": int(frames.index[frame]) if frames.anchor[frame] else None,
                   "mapcount": int(frames.mapcount[frame])}
    for _, number, page in zip(*(column.tolist() for column in walk.mappings())):
        out["mappings"].append({"pids": sorted(machine.mms[number].users), "address": page * PAGE})
    found = {*zip(*(column.tolist() for column in walk.mappings()[1:]))}
    truth = {*zip(*(column.tolist() for column in machine.truth(np.array([frame], np.int32))[1:]))}
    out["wrong"] = [f"{told} {page * PAGE:#x} of pid {', '.join(map(str, sorted(machine.mms[number].users)))}"
                    for told, pairs in (("not found:", truth - found), ("found, but not mapped:", found - truth))
                    for number, page in sorted(pairs)]
    out["cost"] = walk.totals()


def ascii_map(machine, frame, mms):
    """Lines that draw the vmas of the mms that map `frame` (and of `mms`), a character a page.

    `*` this page, `o` another page, `z` the zero page, `s` swapped out, `.` not present; a vma of more than 64 pages
    shows the most telling of several pages in one character.
    """
    shown = {mm.number: mm for mm in mms}
    if frame >= FIRST:
        for mm in machine.mms.values():
            if any((leaf == frame).any() for leaf in mm.table.leaves.values()):
                shown[mm.number] = mm
    lines = []
    for _, mm in sorted(shown.items()):
        lines.append(f"mm {mm.number} (pid {', '.join(map(str, sorted(mm.users)))})")
        shown_vmas = _worth_showing(mm, frame)
        for vma in shown_vmas:
            name = "anon" if vma.file is None else vma.file.name or f"shmem {vma.file.number}"
            kind = "s" if vma.flags & SHARED else "p"
            lines.append(f"  {vma.start * PAGE:#x}-{vma.end * PAGE:#x} {prot_text(vma.flags)}{kind} pgoff {vma.pgoff:#x} "
                         f"{name}  {_picture(mm, vma, frame)}")
        if len(shown_vmas) < len(mm.vmas):
            lines.append(f"  ... and {len(mm.vmas) - len(shown_vmas)} areas that do not map it")
    return lines


def _worth_showing(mm, frame):
    if len(mm.vmas) <= MAP_AREAS:
        return mm.vmas
    near = {mm.position(page + number * LEAF) + step for number, leaf in mm.table.leaves.items()
            for page in np.flatnonzero(leaf == frame).tolist() for step in (-1, 0, 1)} if frame >= FIRST else {0}
    return [vma for place, vma in enumerate(mm.vmas) if place in near]


def _picture(mm, vma, frame):
    step = -(-vma.pages // MAP_PAGES)
    rank = np.zeros(-(-vma.pages // step), np.int8)
    for page, entries in mm.table.spans(vma.start, vma.end):
        kinds = np.select([entries == frame, entries >= FIRST, entries < 0, entries == ZERO], [4, 3, 2, 1], 0)
        np.maximum.at(rank, (np.arange(len(entries)) + page - vma.start) // step, kinds)
    return "[" + "".join(".zso*"[kind] for kind in rank) + "]" + (f" 1:{step}" if step > 1 else "")


def as_text(told):
    """The explanation as lines for a terminal."""
    lines = [f"{told['strategy']} ({told['index']}), kernel {told['kernel']}: page at {told['address']:#x} of process "
             f"{told['pid']}" + (f", after line {told['until']}" if told["until"] else "")]
    page = told["page"]
    if page is None:
        lines.append(f"{told['state']}: no reverse map leads here")
    else:
        what = "anonymous page" if page["kind"] == "anonymous" else f"page of {page['file'] or 'a shared anonymous object'}"
        index = "no index" if page["index"] is None else f"index {page['index']:#x}"
        times = "once" if page["mapcount"] == 1 else f"{page['mapcount']} times"
        lines.append(f"{what}, {index}, mapped {times}")
        lines += ["", "visits in order"]
        steps = [f"  {n}. {_visit(visit)}" for n, visit in enumerate(told["visits"], 1)]
        left_out = len(steps) - MAP_VISITS
        if left_out > 0:
            half = MAP_VISITS // 2
            steps[half:-half] = [f"  ... and {left_out} more visits (all of them with --json)"]
        lines += steps
        lines += ["", "mapped by"]
        lines += [f"  pid {', '.join(map(str, each['pids']))} at {each['address']:#x}" for each in told["mappings"]]
        cost = told["cost"]
        counted = {"visit": "vmas_examined", "pte": "ptes_examined", "index node": "index_nodes", "lock": "locks",
                   "page table lock": "pt_locks", "cache line": "cache_lines"}
        lines += [f"  {wrong}" for wrong in told["wrong"]]
        lines.append("cost: " + ", ".join(_count(cost[key], noun) for noun, key in counted.items()))
    return "\n".join([*lines, "", *told["map"], "* this page  o another  z zero page  s on swap  . not present"])


def _count(count, noun):
    return f"{count} {noun}" + "s" * (count != 1)


def _visit(visit):
    parts = [visit["visits"]]
    if "number" in visit:
        parts.append(f"#{visit['number']}")
    if visit.get("file"):
        parts.append(visit["file"])
    if "pids" in visit:
        parts.append(f"of pid {', '.join(map(str, visit['pids']))}")
    if "start" in visit:
        parts.append(f"{visit['start']:#x}-{visit['end']:#x}")
    if visit.get("address") is not None:
        parts.append(f"at {visit['address']:#x}")
    if "ptes" in visit:
        parts.append(f"with {_count(visit['ptes'], 'present pte')}")
    if "index" in visit:
        parts.append(f"looked up at index {visit['index']:#x}")
    return " ".join(parts) + (f": {visit['outcome']}" if "outcome" in visit else "")
