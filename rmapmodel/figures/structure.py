"""Structure diagrams: what the machine and its design hold at one moment, first as data, then as a picture."""

from functools import singledispatch

import numpy as np
import pandas as pd

from ..strategies.anon_vma import AnonVmaStrategy
from ..strategies.anon_vma_chain import AnonVmaChainStrategy
from ..strategies.anonmm import COUNT, AnonMmStrategy
from ..strategies.base import Strategy
from ..strategies.cow_context import CowContextStrategy
from ..strategies.families import AnonMmFamilies
from ..strategies.objrmap import ObjrmapStrategy
from ..strategies.page_table_scan import PageTableScanStrategy
from ..strategies.pte_chain import PAGE_BITS, PteChainStrategy
from ..strategies.shared_space import SharedSpaceStrategy
from ..strategies.shared_space_unique import SharedSpaceUniqueStrategy
from ..study.replay import Options, applied, machine_for
from ..study.steps import frame_at
from ..vm.frames import ANON, FIRST, ZERO
from ..vm.vma import PAGE, prot_text

PROCESSES, PAGES, VMAS, ALL_VMAS = 12, 16, 6, 24
"""How many mms, single pages, vmas of an mm and vmas in all are told apart; what is beyond is summarised."""


def structure(machine, walk=None, processes=PROCESSES, pages=PAGES, vmas=VMAS):
    """What `machine` and its design hold, as a dict of `strategy`, `index`, `nodes`, `edges`, `more` and `walk`.

    A node has an `id` and a `kind`: `mm_struct`, `vm_area_struct`, `page`, or an object of the design (`file` for a
    file's address_space). A page node stands for `count` pages that lie alike, for one where there are no more than
    `pages`; its `name` is a letter, a capital for several. An edge has
    `source`, `target` and a `kind`: `vma` (mm to area), `pte` (area to page), `mapping` (page to object), `chain` (page
    to chain), `member` (object, chain or page to the area or mm that it finds), `record` (object to a remap_record that
    hangs off it), `family` (anonmm to the next), `child` (cow_context to that of a forked mm). `walk=(pid, address)`
    adds the reverse-map walk of that page: `visit` on the edges it takes, and what it cost. What is left out: `more`
    counts it by kind; of each mm the node has `left_out`, its vmas, and `before`, the mms and vmas since the mm above,
    both with the walk's visits there and how many of these found the page. Cost: one pass over the page tables.
    """
    frame = None if walk is None else frame_at(machine, *walk)
    if walk is not None and frame is None:
        raise ValueError(f"process {walk[0]} maps no page at {walk[1]:#x}")
    view = _View(machine, processes, vmas, walk, frame)
    view.add_pages(pages, frame)
    view.add_files()
    objects(machine.strategy, view)
    view.keep_known()
    if frame is not None:
        view.add_walk(frame)
    return {"strategy": machine.strategy.name, "index": machine.strategy.index, "nodes": view.nodes,
            "edges": view.edges, "more": view.more, "walk": view.walk}


def unwalked(picture):
    """The same structure before its walk: the page is known, visits and cost are not."""
    none = {"visits": 0, "found": 0}
    nodes = [{**node, "left_out": node["left_out"] | none, "before": node["before"] | none}
             if node["kind"] == "mm_struct" else node for node in picture["nodes"]]
    edges = [{key: value for key, value in edge.items() if key != "visit"} for edge in picture["edges"]]
    walk = picture["walk"] and {"page": picture["walk"]["page"], "visits": 0, "cost": None}
    return {**picture, "nodes": nodes, "edges": edges, "walk": walk}


def after(trace, strategy, lines, page, options=None):
    """Yields (line, structure, refused) after some lines of a trace, with the walk of the page that is then at `page`.

    `page` is a (pid, address); where the process maps no page there the structure has no walk. `refused` are the reasons
    why the design refused the event or a part of it.
    """
    machine = machine_for(trace.header, strategy, options or Options())
    for line, _ in applied(machine, trace):
        if line in lines:
            picture = structure(machine, None if frame_at(machine, *page) is None else page)
            yield line, picture, [call["reason"] for call in machine.refused if call["line"] == line]


def table(picture):
    """The edges of a structure as a DataFrame, for publish.show: `source`, `kind`, `target`, `pages`, `visit`."""
    return pd.DataFrame([(edge["source"], edge["kind"], edge["target"], edge.get("pages"),
                          " ".join(f"{order}:{outcome}" for order, outcome in edge.get("visit", ())))
                         for edge in picture["edges"]], columns=["source", "kind", "target", "pages", "visit"])


def name_of(frame):
    """A page's name: letters in the order in which frames were first taken, `a` to `z`, then `aa`.

    >>> name_of(FIRST), name_of(FIRST + 27)
    ('a', 'ab')
    """
    number, letters = int(frame) - FIRST, ""
    while number >= 0:
        letters = chr(ord("a") + number % 26) + letters
        number = number // 26 - 1
    return letters


class _View:
    """The nodes and edges gathered so far, and which frames each page node stands for."""

    def __init__(self, machine, processes, vmas, walk, frame):
        self.machine, self.nodes, self.edges, self.walk = machine, [], [], None
        mms = sorted(machine.mms.values(), key=lambda mm: mm.number)
        self.mms = self._told_apart(mms, processes, machine.mm_of(walk[0]) if walk else None)
        holds = {mm: set() for mm in mms}  # the vmas that map the page that is walked
        for number, page in zip(*machine.truth(np.array([frame], np.int32))[1:]) if walk else ():
            mm = machine.mms[int(number)]
            holds[mm].add(mm.find(int(page)))
        self.shown = {mm: self._worth_showing(mm, holds[mm], min(vmas, max(ALL_VMAS // len(self.mms), 1)))
                      for mm in self.mms}
        self._add_mms(mms)
        self.more = {"mm_struct": len(mms) - len(self.mms),
                     "vm_area_struct": sum(len(mm.vmas) - len(self.shown.get(mm, ())) for mm in mms)}

    @staticmethod
    def _told_apart(mms, limit, walked):
        """The oldest and the youngest mms up to a limit, and the one in which the walk begins."""
        if len(mms) <= limit:
            return mms
        kept = [*mms[:limit - 2], *mms[-2:]]
        if walked and walked not in kept:
            kept[limit - 3] = walked
        return kept

    @staticmethod
    def _worth_showing(mm, holds, limit):
        """The vmas that map the page walked first, then those with resident pages, up to a limit; in address order."""
        if len(mm.vmas) <= limit:
            return mm.vmas
        wanted = sorted(mm.vmas, key=lambda vma: (vma not in holds, not _resident(vma)))
        return sorted(wanted[:limit], key=lambda vma: vma.start)

    def _add_mms(self, mms):
        """Nodes of the mms and vmas that are shown, with what is left out between them."""
        before = _left_out(mm_struct=0)
        for mm in mms:
            if mm not in self.shown:
                before["mm_struct"] += 1
                before["vm_area_struct"] += len(mm.vmas)
                continue
            self.node(mm_id(mm), "mm_struct", pids=sorted(mm.users), number=mm.number, before=before,
                      left_out=_left_out(vm_area_struct=len(mm.vmas) - len(self.shown[mm])))
            before = _left_out(mm_struct=0)
            for vma in self.shown[mm]:
                self.node(vma_id(vma), "vm_area_struct", mm=mm.number, start=vma.start, end=vma.end, pgoff=vma.pgoff,
                          prot=prot_text(vma.flags), file=_file_name(vma.file), marks=_marks(vma))
                self.edge(mm_id(mm), vma_id(vma), "vma")

    def node(self, id, kind, **facts):
        self.nodes.append({"id": id, "kind": kind, **facts})

    def edge(self, source, target, kind, **facts):
        self.edges.append({"source": source, "target": target, "kind": kind, **facts})

    def add_pages(self, limit, alone):
        """Page nodes, one a frame or one a run of frames that lie alike, and the ptes that map them."""
        machine = self.machine
        frame, mm, page = machine.truth()
        shown = np.zeros(len(frame), np.bool_)
        for vma in (vma for vmas in self.shown.values() for vma in vmas):
            shown |= (mm == vma.mm.number) & (page >= vma.start) & (page < vma.end)
        kept = np.isin(frame, frame[shown])
        frame, mm, page, shown = frame[kept], mm[kept], page[kept], shown[kept]
        numbers, first, counts = np.unique(frame, return_index=True, return_counts=True)
        begins = _begins(machine.frames, numbers, first, counts, mm, page)
        if len(numbers) <= limit:
            begins[:] = True
        if alone is not None:
            at = np.flatnonzero(numbers == alone)
            begins[at] = True
            begins[(at + 1)[at + 1 < len(numbers)]] = True
        self.more["page"] = machine.frames.alive - len(numbers)
        starts = np.flatnonzero(begins)
        self.groups, self.runs, self.walked = {}, 0, alone
        for low, high in zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)]):
            rows = slice(first[low], first[low] + counts[low])
            self._add_group(numbers[low:high], mm[rows][shown[rows]], page[rows][shown[rows]])

    def _add_group(self, frames, mms, pages):
        table, lead, count = self.machine.frames, int(frames[0]), len(frames)
        name = name_of(lead)
        if count > 1:
            name, self.runs = name_of(FIRST + self.runs).upper(), self.runs + 1
        id = f"page {name}" if count == 1 else f"pages {name}"
        self.node(id, "page", name=name, count=count, anonymous=bool(table.flags[lead] & ANON),
                  index=int(table.index[lead]), mapcount=int(table.mapcount[lead]))
        self.groups[lead] = id, frames
        for mm, page in zip(mms.tolist(), pages.tolist()):
            self.edge(vma_id(self.machine.mms[mm].find(page)), id, "pte", page=page, pages=count)

    def add_files(self):
        """The address_space of each file with resident pages, and the areas that map it."""
        table, files = self.machine.frames, self.machine.file_numbers
        if type(self.machine.strategy).walk is not Strategy.walk:
            return  # the design does not find pages through their file
        for lead, (id, _) in self.groups.items():
            if not table.flags[lead] & ANON:
                file = files[int(table.anchor[lead])]
                if not any(node["id"] == f"file {file.number}" for node in self.nodes):
                    self.node(f"file {file.number}", "file", name=_file_name(file))
                    for tree in (*file.index, file.nonlinear) if file.index else ():
                        for vma in tree:
                            self.edge(f"file {file.number}", vma_id(vma), "member")
                self.edge(id, f"file {file.number}", "mapping", index=int(table.index[lead]))

    def point(self, kind):
        """Edges from the anonymous pages to the objects of a kind that they point to; returns the objects' numbers."""
        table, numbers = self.machine.frames, set()
        for lead, (id, _) in self.groups.items():
            if table.flags[lead] & ANON:
                numbers.add(int(table.anchor[lead]))
                self.edge(id, f"{kind} {table.anchor[lead]}", "mapping", index=int(table.index[lead]))
        return numbers

    def sets(self, kind, numbered):
        """Objects that pages point to and that hold a set of vmas, `vmas`."""
        self.point(kind)
        for number, each in sorted(numbered.items()):
            self.node(f"{kind} {number}", kind, number=number)
            for vma in each.vmas:
                self.edge(f"{kind} {number}", vma_id(vma), "member")

    def keep_known(self):
        """Drops objects that find nothing shown and hold no page or record, and edges to what is not shown."""
        known = {node["id"] for node in self.nodes}
        self.edges = [edge for edge in self.edges if edge["source"] in known and edge["target"] in known]
        used = {end for edge in self.edges if edge["kind"] not in ("family", "child")
                for end in (edge["source"], edge["target"])}
        dropped = [node for node in self.nodes if node["id"] not in used and node["kind"] != "mm_struct"]
        self.nodes = [node for node in self.nodes if node not in dropped]
        gone = {node["id"] for node in dropped}
        self.edges = [edge for edge in self.edges if edge["source"] not in gone and edge["target"] not in gone]
        for node in dropped:
            self.more[node["kind"]] = self.more.get(node["kind"], 0) + 1

    def add_walk(self, frame):
        """Marks the edges that the walk of one frame takes, in order."""
        log = []
        cost = self.machine.strategy.walk(np.array([frame], np.int32), log=log).totals()
        id, anonymous = self.groups[frame][0], self.machine.frames.flags[frame] & ANON
        found = {(edge["source"], edge["target"]): edge for edge in self.edges if edge["kind"] == "member"}
        order, sources = 0, [edge["target"] for edge in self.edges
                             if edge["source"] == id and edge["kind"] in ("mapping", "chain")] + [id]
        for visit in log:
            if not {"outcome", "mm"} <= visit.keys():
                continue  # an object looked up, or one whose mm has nothing to look at
            order += 1
            target = _target(visit)
            if not anonymous:  # an address tried in the mm of one of the file's areas
                target = next((area for source, area in found if source in sources
                               and area.startswith(f"vma {visit['mm']}:") and "start" not in visit), target)
            elif visit["visits"] in ("anonmm", "cow_context"):
                sources = [f"{visit['visits']} {visit['number']}"]
            taken = [found[source, target] for source in sources if (source, target) in found]
            for edge in taken:
                edge.setdefault("visit", []).append((order, visit["outcome"]))
            if not taken:
                place = self._place(visit["mm"])
                place["visits"] += 1
                place["found"] += visit["outcome"] == "maps it"
        self.walk = {"page": id, "visits": order, "cost": cost}

    def _place(self, number):
        """Where a visit in an mm is counted that no edge shows: with its node, or before that of the next mm."""
        node = next(node for node in self.nodes if node["kind"] == "mm_struct" and node["number"] >= number)
        return node["left_out"] if node["number"] == number else node["before"]


def mm_id(mm):
    """The id of an mm's node."""
    return f"mm {mm.number}"


def vma_id(vma):
    """The id of a vma's node."""
    return f"vma {vma.mm.number}:{vma.start:x}"


def _target(visit):
    """The id of the node that a walk's log entry is about."""
    return f"vma {visit['mm']}:{visit['start'] // PAGE:x}" if "start" in visit else f"mm {visit['mm']}"


def _resident(vma):
    return any((entries >= FIRST).any() for _, entries in vma.mm.table.spans(vma.start, vma.end))


def _file_name(file):
    return None if file is None else file.name or f"shmem {file.number}"


def _left_out(**counts):
    """How much is left out at a place, the visits of the walk there, and how many of them found the page."""
    return {"vm_area_struct": 0, "visits": 0, "found": 0, **counts}


def _marks(vma):
    """Runs of pages of a vma that are not frames: (page, count, letter) of the zero page and of swap entries."""
    marks = []
    for page, entries in vma.mm.table.spans(vma.start, vma.end):
        kinds = np.select([entries == ZERO, entries < 0], [1, 2], 0)
        starts = np.flatnonzero(np.diff(kinds, prepend=-1))
        for low, high in zip(starts.tolist(), [*starts[1:].tolist(), len(kinds)]):
            if kinds[low]:
                marks.append((page + low, high - low, " zs"[kinds[low]]))
    return marks


def _begins(frames, numbers, first, counts, mm, page):
    """Which frames do not lie like the one before: next number, object, index and every mapping a page further."""
    begins = np.ones(len(numbers), np.bool_)
    if len(numbers) < 2:
        return begins
    same = (np.diff(numbers) == 1) & (np.diff(counts) == 0) & (np.diff(frames.anchor[numbers]) == 0)
    same &= (np.diff(frames.index[numbers]) == 1) | (frames.anchor[numbers[1:]] == 0)
    rows = np.arange(len(mm))
    follower = np.minimum(rows + np.repeat(counts, counts), len(mm) - 1)
    alike = np.logical_and.reduceat((mm[follower] == mm) & (page[follower] == page + 1), first)
    begins[1:] = ~(same & alike[:-1])
    return begins


# -- what each design keeps ------------------------------------------------------------------------------------------


@singledispatch
def objects(strategy, view):
    """Adds the objects of a design to a view; of one not known here, what the walk of each page visits."""
    for lead, (page, _) in view.groups.items():
        if any(edge["source"] == page and edge["kind"] == "mapping" for edge in view.edges):
            continue  # found through its file
        log = []
        strategy.walk(np.array([lead], np.int32), log=log)
        for target in dict.fromkeys(_target(visit) for visit in log if {"outcome", "mm"} <= visit.keys()):
            view.edge(page, target, "member")


@objects.register
def _(strategy: AnonVmaStrategy, view):
    view.sets("anon_vma", strategy.anon_vmas)


@objects.register
def _(strategy: AnonVmaChainStrategy, view):
    view.point("anon_vma")
    for number, anon in sorted(strategy.anon_vmas.items()):
        view.node(f"anon_vma {number}", "anon_vma", number=number, parent=anon.parent.number)
        for avc in anon.vmas:
            view.edge(f"anon_vma {number}", vma_id(avc.vma), "member", through="anon_vma_chain",
                      own=avc.vma.anon is anon)


@objects.register
def _(strategy: SharedSpaceStrategy, view):
    view.sets("address_space", strategy.spaces)


@objects.register
def _(strategy: SharedSpaceUniqueStrategy, view):
    view.sets("address_space", strategy.spaces)
    for node in view.nodes:
        if node["kind"] == "address_space":
            slots = strategy.spaces[node["number"]].slots
            node["slices"] = {mm.number: None if slots[mm.number] is None else slots[mm.number] * strategy.slice
                              for mm in view.mms if mm.number in slots}


@objects.register
def _families(strategy: AnonMmFamilies, view):
    pointed = view.point("anonmm")
    for number, anonmm in sorted(strategy.anonmms.items()):
        view.node(f"anonmm {number}", "anonmm", number=number, dead=anonmm.mm is None)
        if anonmm.mm is not None:
            view.edge(f"anonmm {number}", mm_id(anonmm.mm), "member")
    families = {id(anonmm.family): anonmm.family for anonmm in strategy.anonmms.values()}
    for family in families.values():
        members = [number for number, anonmm in family.members.items() if anonmm.mm in view.mms or number in pointed]
        for one, other in zip(members, members[1:]):
            view.edge(f"anonmm {one}", f"anonmm {other}", "family")
        for place, record in enumerate(getattr(strategy, "remaps", {}).get(family, ())):
            record_id = f"remap_record {family.head.number}:{place}"
            view.node(record_id, "remap_record", start=record.start, end=record.end, new=record.new)
            view.edge(f"anonmm {family.head.number}", record_id, "record")


@objects.register
def _(strategy: AnonMmStrategy, view):
    _families(strategy, view)
    for lead, (page, frames) in view.groups.items():
        elements, _ = strategy.chains.lengths(np.array([lead]))
        if elements[0]:
            held = [int(values[0]) for _, values in strategy.chains.values(np.array([lead])) if values[0] != COUNT]
            chain = f"rmap_chain of {page}"
            view.node(chain, "rmap_chain", count=int(elements[0]) * len(frames), addresses=sorted(held))
            view.edge(page, chain, "chain")


@objects.register
def _(strategy: CowContextStrategy, view):
    view.point("cow_context")
    for number, context in sorted(strategy.contexts.items()):
        own, remaps = f"cow_context {number}", context.remaps
        view.node(own, "cow_context", number=number, parent=(context.parent or context).number, dead=context.mm is None)
        if context.mm is not None:
            view.edge(own, mm_id(context.mm), "member")
        for child in context.children.values():
            view.edge(own, f"cow_context {child.number}", "child")
        for start, end, deltas in zip(remaps.starts, remaps.ends, remaps.held):
            view.node(f"remap_record {number}:{start:x}", "remap_record", start=start, end=end, deltas=sorted(deltas))
            view.edge(own, f"remap_record {number}:{start:x}", "record")


@objects.register
def _(strategy: PteChainStrategy, view):
    _chains(strategy, view, view.groups)


@objects.register
def _(strategy: ObjrmapStrategy, view):
    flags = view.machine.frames.flags
    chained = {lead: group for lead, group in view.groups.items() if flags[lead] & ANON or strategy.is_chained(lead)}
    converted = {page for page, _ in chained.values()}  # their file no longer finds them
    view.edges = [edge for edge in view.edges if edge["kind"] != "mapping" or edge["source"] not in converted]
    _chains(strategy, view, chained)


def _chains(strategy, view, groups):
    """The chains of groups of pages, and the ptes that these, or pages with one pte, point to."""
    for lead, (page, frames) in groups.items():
        elements, _ = strategy.chains.lengths(np.array([lead]))
        if elements[0]:
            source = f"pte_chain of {page}"
            view.node(source, "pte_chain", count=int(elements[0]) * len(frames))
            view.edge(page, source, "chain")
            ptes = [int(values[0]) for _, values in strategy.chains.values(np.array([lead]))]
        else:
            source, ptes = page, [int(strategy.direct[lead])]
        for pte in ptes:
            view.edge(source, f"mm {pte >> PAGE_BITS}", "member", page=pte & (1 << PAGE_BITS) - 1, pages=len(frames))


@objects.register
def _(strategy: PageTableScanStrategy, view):
    if view.walked is not None:  # nothing points anywhere: the scan passes the page tables of one mm after another
        for mm in strategy.mms_in_order():
            view.edge(view.groups[view.walked][0], mm_id(mm), "member")
