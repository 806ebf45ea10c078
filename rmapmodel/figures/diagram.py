"""Draws a structure: a lane of areas for each process, a row for each object, markers where an object finds an area."""

import textwrap
from collections import defaultdict
from functools import partial
from itertools import pairwise
from math import log2

from ..vm.vma import PAGE
from .sheet import Box, Line, Marker, Sheet, Text, wide
from .style import PAGE as WIDTH
from .style import look

LEFT, RIGHT = 0.95, 6.9  # inches: where the areas begin unless names are long, and the right edge
BOX, RAIL, GAP, ROW = 0.19, 0.115, 0.1, 0.26  # heights: an area, a line below it, between lanes, an object's row
OFFSETS = 0.66  # the width of the column that gives each area's offset
OBJECTS, LINES, ALL_LINES = 15, 3, 20
"""How many rows of objects, lines of pages in a row, and lines of pages in all are drawn; what is beyond is summarised."""
OBJECT_KINDS = "anonmm", "anon_vma", "address_space", "cow_context", "file"
INK, SOFT, SHARED = "#222222", "#777777", "#d6d6d6"
TINY, SMALL, TEXT, DOT = 5.6, 6.2, 7.2, 4.6  # points
DASHES = (2, 1.5)


def draw(picture, title):
    """A matplotlib Figure of what structure() returned; the title should say what is to be seen in it.

    Areas lie on one axis of addresses, long ones and gaps cut short. A letter in an area is a page it maps. A row below
    is an object with the pages that point to it and what else it holds; the line from it has the design's marker at each
    area (or mm) that it finds, or the place of the visit in the walk. A legend says what else is drawn.
    """
    return sheet(picture, title).figure()


def svg(picture, title):
    """The same as SVG, in milliseconds."""
    return sheet(picture, title).svg(f"{title}. {told(picture)}" if picture["walk"] else title)


def sheet(picture, title):
    """The same as a Sheet of shapes."""
    return _Drawing(picture, title).sheet


def told(picture):
    """What the walk of a structure cost, as a sentence.

    >>> told({"walk": {"page": "page a", "cost": {"vmas_examined": 5, "ptes_examined": 3, "mappings": 3}},
    ...       "nodes": [{"id": "vma 1:10", "kind": "vm_area_struct"}], "edges": [{"target": "vma 1:10", "visit": []}]})
    'Walk of page a: visits 5 vmas, looks at 3 ptes, finds 3 mappings.'
    """
    cost, kinds = picture["walk"]["cost"], {node["id"]: node["kind"] for node in picture["nodes"]}
    if cost is None:
        return f"{picture['walk']['page'].capitalize()} is to be looked up."
    count, visited = cost["vmas_examined"], {kinds[edge["target"]] for edge in picture["edges"] if "visit" in edge}
    if "cow_context" in kinds.values():
        visits = f"makes {_number(count, 'visit')} to contexts and records, "
    elif "vm_area_struct" in visited:
        visits = f"visits {_number(count, 'vma')}, "
    else:
        visits = f"visits {_number(count, 'anonmm')}, " if "anonmm" in kinds.values() else ""
    return (f"Walk of {picture['walk']['page']}: {visits}looks at {_number(cost['ptes_examined'], 'pte')}, "
            f"finds {_number(cost['mappings'], 'mapping')}.")


class _Drawing:
    def __init__(self, picture, title):
        self.picture, self.title = picture, textwrap.wrap(title, 84)
        self.color, self.marker, _ = look(picture["strategy"])
        self.kinds = defaultdict(list)
        for node in picture["nodes"]:
            self.kinds[node["kind"]].append(node)
        self.node = {node["id"]: node for node in picture["nodes"]}
        self.out = defaultdict(list)
        for edge in picture["edges"]:
            self.out[edge["source"]].append(edge)
        self.walked = picture["walk"] and picture["walk"]["page"]
        self.mms = self.kinds["mm_struct"]
        self.rows, self.rows_left_out = _chosen(_rows(self))
        self.hold = {edge["target"] for row in self.rows for edge in row.members}
        self.sheet, self.used = Sheet(WIDTH), set()
        self._plan()
        self._head()
        for lane in self.mms:
            self._lane(lane)
        for row in self.rows:
            self._row(row)
        self._families()
        self.sheet.height = self._foot()

    # -- where everything goes

    def _plan(self):
        self.left = max([LEFT, *(wide(_name(mm), TEXT) + 0.1 for mm in self.mms)])
        step = min(0.3, 1.9 / max(len(self.rows), 1))
        # the widest number of a visit is centred on its column
        widest = max((_badge(_order(edge)) for row in self.rows for edge in row.members if "visit" in edge), default=0.1)
        self.first = RIGHT + 0.05 - step * max(len(self.rows) - 1, 0) - widest / 2
        for number, row in enumerate(self.rows):
            row.column = self.first + step * number
        self.offsets = any(id in self.hold for mm in self.mms for id in self._areas(mm))
        notes = max((wide(_lost(mm["left_out"]), SMALL) + 0.1 for mm in self.mms), default=0)
        self.right = self.first - widest / 2 - 0.12 - OFFSETS * self.offsets
        areas = self.kinds["vm_area_struct"]
        cells = [*self._cells(areas)]
        walked = {page: wide(letter, SMALL) + 0.03 for page, _, letter, node in cells if node and node["id"] == self.walked}
        self.scale = _Scale(areas, cells, walked, self.left, self.right - notes)
        self.head = 0.16 * max(len(self.title), 1) + 0.2 * bool(self.walked)
        self.lanes, self.rails, top = {}, {}, self.head + 0.42
        for mm in self.mms:
            top += ROW * bool(mm["before"]["mm_struct"])
            self.lanes[mm["id"]] = top
            lines = [id for id in self._areas(mm) if id in self.hold] + [mm["id"]] * (mm["id"] in self.hold)
            # the leftmost area has the lowest line, so that no line crosses the way down of another
            for depth, id in enumerate(reversed(lines)):
                self.rails[id] = top + BOX + RAIL * (depth + 0.9)
            top += BOX + RAIL * max(len(lines), 1) + GAP
        top += 0.1
        room = ALL_LINES - len(self.rows)
        for row in sorted(self.rows, key=lambda row: not row.walked):
            row.wrap(row.column - row.width - 0.22 - self.left, min(LINES, 1 + max(room, 0)))
            room -= len(row.lines) - 1
        for row in self.rows:
            row.top, top = top, top + ROW * max(len(row.lines), 1)
        self.bottom = top

    def _areas(self, mm):
        return [edge["target"] for edge in self.out[mm["id"]] if edge["kind"] == "vma"]

    def _cells(self, areas):
        """(first page, count, letter, page node or None) of the runs of pages that areas map."""
        for area in areas:
            for page, count, letter in area["marks"]:
                yield page, count, letter, None
            for edge in self.out[area["id"]]:
                yield edge["page"], edge["pages"], self.node[edge["target"]]["name"], self.node[edge["target"]]

    # -- the parts

    def text(self, x, y, text, size=TEXT, color=INK, **style):
        self.sheet.add(Text(x, y, text, size, color, **style), 3)

    def line(self, *points, color=SOFT, line=0.7, dashes=None, z=1):
        self.sheet.add(Line(points, color, line, dashes), z)

    def dot(self, x, y, hollow=False, size=DOT):
        self.sheet.add(Marker(x, y, self.marker, size, "white" if hollow else self.color, self.color), 4)

    def _head(self):
        self.dot(0.12, 0.15, size=7)
        for number, line in enumerate(self.title):
            self.text(0.24, 0.15 + 0.16 * number, line, 9, weight="bold")
        if self.walked:
            self.text(0.24, self.head, told(self.picture), color=INK)
        y, last, end = self.head + 0.22, -1, self.right
        for page, x in self.scale.starts:
            label = f"{page * PAGE:#x}"
            if x > last and x + wide(label, SMALL) < end:
                self.text(x, y, label, SMALL, SOFT)
                last = x + wide(label, SMALL) + 0.06
        self.text(self.left - 0.06, y, "address", SMALL, SOFT, ha="right")
        if self.offsets:
            self.text(self.right + OFFSETS, y, "vm_pgoff", SMALL, SOFT, ha="right")

    def _lane(self, mm):
        top, right, named = self.lanes[mm["id"]], self.left, -1
        if mm["before"]["mm_struct"]:
            self.text(self.left, top - ROW / 2 - 0.02, _between(mm["before"]), SMALL, SOFT, style="italic")
        self.text(self.left - 0.06, top + BOX / 2, _name(mm), ha="right")
        for area in (self.node[id] for id in self._areas(mm)):
            low, high = self.scale(area["start"]), self.scale(area["end"])
            right = max(right, high)
            self.sheet.add(Box(low, top, high - low, BOX, edge=INK), 2)
            for cell in self._cells([area]):
                self._cell(top, *cell)
            if area["file"] and low > named:
                name = _short(area["file"])
                self.text(low, top - 0.05, name, 5, SOFT)
                named = low + wide(name, 5) + 0.04
            if area["id"] in self.rails:
                self._rail(area["id"], high - 0.05, top + BOX)
        if mm["id"] in self.rails:
            self._rail(mm["id"], right - 0.05, top + BOX)
        if _lost(mm["left_out"]):
            self.text(right + 0.06, top + BOX / 2, _lost(mm["left_out"]), SMALL, SOFT, style="italic")

    def _cell(self, top, page, count, letter, node):
        face, color = "white", SOFT
        if node:
            kind = "walked" if node["id"] == self.walked else "shared" if node["mapcount"] > 1 else "once"
            face, color = {"walked": (INK, "white"), "shared": (SHARED, INK), "once": ("white", INK)}[kind]
            self.used |= {kind, "run" if node["count"] > 1 else "page"}
        else:
            self.used.add(letter)
        low, high = self.scale(page), self.scale(page + count)
        self.sheet.add(Box(low, top, high - low, BOX, face, SOFT, 0.35), 2.5)
        size = next((size for size in (SMALL, 5) if wide(letter, size) < high - low - 0.01), None)
        if size:
            self.text((low + high) / 2, top + BOX / 2, letter, size, color, ha="center")

    def _rail(self, id, x, bottom):
        edges = [(row.column, edge) for row in self.rows for edge in row.members if edge["target"] == id]
        visited = any("visit" in edge for _, edge in edges)
        y, reach = self.rails[id], max(column for column, _ in edges)
        self.line((x, bottom), (x, y), (reach, y), **({"color": INK, "line": 1.1} if visited else {}))
        if "pgoff" in self.node[id]:
            label = f"{self.node[id]['pgoff']:#x}"
            x, width = self.right + OFFSETS, wide(label, TINY) + 0.03
            self.sheet.add(Box(x - width, y - 0.05, width + 0.015, 0.1, edge="none", line=0), 1.5)
            self.text(x, y, label, TINY, ha="right")
        for column in dict.fromkeys(column for column, _ in edges):  # pages of one row may point to the same ptes
            here = [edge for at, edge in edges if at == column]
            self._found(column, y, next((edge for edge in here if "visit" in edge), here[0]))

    def _found(self, x, y, edge):
        visits = edge.get("visit", ())
        if not visits:
            ancestor = edge.get("own") is False
            self.used.add("ancestor" if ancestor else "finds")
            return self.dot(x, y, ancestor)
        outcomes = {outcome for _, outcome in visits}
        kind = "maps it" if "maps it" in outcomes else "does not map it" if "does not map it" in outcomes else "no look"
        self.used.add(kind)
        self._visit(x, y, _order(edge), kind)

    def _visit(self, x, y, order, kind):
        """The place of a visit in the walk, or of the first and the last of several."""
        width, hit = _badge(order), kind == "maps it"
        self.sheet.add(Box(x - width / 2, y - 0.056, width, 0.112, INK if hit else "white", INK, 0.8,
                           (0.8, 1.3) if kind == "no look" else None, 0.045), 5)
        self.sheet.add(Text(x, y, order, TINY, "white" if hit else INK, "center"), 6)

    def _row(self, row):
        middle, end, x = row.top + BOX / 2, row.column - row.width, self.left
        self.text(self.left - 0.06, middle, row.title, color=SOFT, ha="right")
        for depth, line in enumerate(row.lines):
            x, top = self.left, row.top + ROW * depth
            for box in line:
                self._box(box, x, top)
                x += box.width
            if depth == len(row.lines) - 1 and row.hidden:
                self.text(x, top + BOX / 2, _more(row.hidden), SMALL, SOFT)
                x += wide(_more(row.hidden), SMALL) + 0.1
            if depth == 0 and row.boxes:
                bold = {"color": INK, "line": 1.4} if row.walked else {}
                self.line((x - 0.06, middle), ((end + 0.07) if row.label else row.column, middle),
                          **({"color": self.color, "line": 1.0} if not row.label else {}) | bold)
                if row.label:
                    self.sheet.add(Marker(end + 0.05, middle, ">", 4, INK if row.walked else SOFT, "none", 0), 1)
        if row.label:
            self.sheet.add(Box(end + 0.08, row.top, row.width, BOX, edge=self.color, line=2 if row.visited else 1.2), 2)
            self.text(row.column + 0.08 - row.width / 2, middle, row.label, ha="center")
        found = [self.rails[edge["target"]] for edge in row.members if edge["target"] in self.rails]
        if found:
            self.line((row.column, min(found)), (row.column, row.top if row.label else middle), color=self.color,
                      line=2 if row.visited else 1.2, z=2)

    def _box(self, box, x, top):
        face, color = (INK, "white") if box.walked else ("white", INK)
        edge = {"edge": self.color, "dashes": DASHES} if box.held else {"edge": INK}
        self.used |= {box.held} if box.held else set()
        self.sheet.add(Box(x, top, box.width - 0.06, BOX, face, line=0.6, **edge), 2)
        self.text(x + (box.width - 0.06) / 2, top + BOX / 2, box.text, SMALL, color, ha="center")

    def _families(self):
        at = {finder: row for row in self.rows for finder in row.finders}
        for edge in (edge for edges in self.out.values() for edge in edges):
            if edge["kind"] == "family" and edge["source"] in at and edge["target"] in at:
                self.used.add("family")
                upper, lower = at[edge["source"]], at[edge["target"]]
                x = lower.column - lower.width + 0.2
                self.line((x, upper.top + BOX), (x, lower.top), color=self.color, dashes=DASHES)

    # -- what is not drawn, and what the signs mean

    def _foot(self):
        """Writes what is left out and the legend; returns how high the sheet is."""
        y, more = self.bottom + 0.04, {kind: count for kind, count in self.picture["more"].items() if count}
        names = {"mm_struct": "process", "vm_area_struct": "area"}
        counted = [_number(count, names.get(kind, kind)) for kind, count in more.items()]
        if self.rows_left_out:
            counted.append(_number(self.rows_left_out, "row") + " of objects or pages")
        for line in textwrap.wrap(f"Not drawn: {', '.join(counted)}.", 110) if counted else ():
            self.text(self.left, y, line, SMALL, SOFT, style="italic")
            y += 0.16
        x, y = 0.08, y + 0.08
        self.line((0.05, y - 0.1), (WIDTH - 0.05, y - 0.1), line=0.4)
        for sign, text in self._legend():
            width = 0.24 + wide(text, SMALL)
            if x + width > WIDTH:
                x, y = 0.08, y + 0.16
            sign(x + 0.09, y)
            self.text(x + 0.22, y, text, SMALL, SOFT)
            x += width + 0.13
        return y + 0.14

    def _legend(self):
        """(sign, words) of what the drawing uses: a sign is drawn in the middle of (x, y)."""
        def cell(face, letter, x, y):
            self.sheet.add(Box(x - 0.08, y - 0.07, 0.16, 0.14, face, SOFT, 0.5), 2)
            self.text(x, y, letter, SMALL, "white" if face == INK else INK, ha="center")

        def held(x, y):
            self.sheet.add(Box(x - 0.08, y - 0.05, 0.16, 0.1, edge=self.color, line=0.6, dashes=DASHES), 2)

        def visit(kind, x, y):
            self._visit(x, y, "n", kind)

        letter = "a" if "page" in self.used else "A"
        finds = "found by the object" if any(self.kinds[kind] for kind in OBJECT_KINDS) else "holds the pte here"
        return [(sign, text) for key, sign, text in (
            ("once", partial(cell, "white", letter), "page, mapped once"),
            ("shared", partial(cell, SHARED, letter), "mapped more often"),
            ("walked", partial(cell, INK, "a"), "walked"),
            ("run", partial(cell, "white", "A"), "pages that lie alike"),
            ("z", partial(cell, "white", "z"), "zero page"),
            ("s", partial(cell, "white", "s"), "on swap"),
            ("finds", self.dot, finds),
            ("ancestor", partial(self.dot, hollow=True), "link to an ancestor's object"),
            ("maps it", partial(visit, "maps it"), "n-th step of the walk: maps the page"),
            ("does not map it", partial(visit, "does not map it"), "maps another or none"),
            ("no look", partial(visit, "no look"), "no pte to look at"),
            ("record", held, "remap record: indices, and where or how far they went"),
            ("slice", held, "slice of offsets of an mm, from its first"),
            ("family", lambda x, y: self.line((x - 0.08, y), (x + 0.08, y), color=self.color, dashes=DASHES),
             "same family"),
        ) if key in self.used]


class _PageBox:
    """A box in an object's row: its text, whether it is the page walked, and what it is if not a page."""

    def __init__(self, text, walked=False, held=None):
        self.text, self.walked, self.held, self.width = text, walked, held, wide(text, SMALL) + 0.16


class _Row:
    """An object's row: its label, boxes of the pages that point to it and of what it holds, and whose members it shows."""

    def __init__(self, drawing, label, boxes, finders):
        self.label, self.boxes, self.finders = label, boxes, finders
        self.members = [edge for finder in finders for edge in drawing.out[finder] if edge["kind"] == "member"]
        self.walked = any(box.walked for box in boxes)
        self.visited = any("visit" in edge for edge in self.members)
        self.width = wide(label, TEXT) + 0.14 if label else 0.0
        kinds = {box.held for box in boxes} or {""}
        self.title = {"record": "remaps", "slice": "slices", "": ""}.get(*kinds, "pages") if len(kinds) == 1 else "pages"
        if len(boxes) == 1 and kinds == {None} and boxes[0].text[0].islower():
            self.title = "page"

    def wrap(self, room, limit):
        """Puts the boxes into at most `limit` lines that fit into `room` inches, that of the page walked in any case."""
        self._fill(self.boxes, room, limit)
        if self.walked and not any(box.walked for line in self.lines for box in line):
            self._fill(sorted(self.boxes, key=lambda box: not box.walked), room, limit)

    def _fill(self, boxes, room, limit):
        self.lines = _lines(boxes, room)[:limit]
        self.hidden = len(boxes) - sum(map(len, self.lines))
        while self.hidden and len(self.lines[-1]) > 1 and \
                sum(box.width for box in self.lines[-1]) + wide(_more(self.hidden), SMALL) > room:
            self.lines[-1].pop()
            self.hidden += 1


def _lines(boxes, room):
    lines, used = [], room
    for box in boxes:
        if used + box.width > room:
            lines.append([])
            used = 0.0
        lines[-1].append(box)
        used += box.width
    return lines


def _more(count):
    return f"... {count} more"


def _rows(drawing):
    """The rows of objects, then those of pages that have a chain or point to ptes themselves."""
    pages = defaultdict(list)
    for page in drawing.kinds["page"]:
        target = next((edge["target"] for edge in drawing.out[page["id"]] if edge["kind"] == "mapping"), None)
        pages[target].append(page)
    for kind in OBJECT_KINDS:
        for node in drawing.kinds[kind]:
            boxes = [box for page in pages[node["id"]] for box in _page_boxes(drawing, page)]
            yield _Row(drawing, _label(node), boxes + [*_held(drawing, node)], [node["id"]])
    direct = defaultdict(list)
    for page in pages[None]:
        box = _PageBox(_times(page), page["id"] == drawing.walked)
        chain = next((edge["target"] for edge in drawing.out[page["id"]] if edge["kind"] == "chain"), None)
        if chain:
            yield _Row(drawing, f"pte_chain \u00d7{drawing.node[chain]['count']}", [box], [chain])
        elif drawing.out[page["id"]]:  # else a design without a reverse map: nothing leads to the page's mappings
            direct[tuple(edge["target"] for edge in drawing.out[page["id"]])].append((box, page["id"]))
    for alike in direct.values():
        yield _Row(drawing, "", [box for box, _ in alike], [id for _, id in alike])


def _chosen(rows):
    """The rows that are drawn, those of the walk in any case, and how many are not."""
    rows = list(rows)
    kept = sorted(rows, key=lambda row: not (row.walked or row.visited))[:OBJECTS]
    return [row for row in rows if row in kept], len(rows) - len(kept)


def _page_boxes(drawing, page):
    """The box of a page that has an index, and one of its chain of addresses behind it."""
    last = f"-{page['index'] + page['count'] - 1:x}" if page["count"] > 1 else ""
    yield _PageBox(f"{_times(page)} {page['index']:#x}{last}", page["id"] == drawing.walked)
    for edge in drawing.out[page["id"]]:
        if edge["kind"] == "chain":
            shown = [f"{address:#x}" for address in drawing.node[edge["target"]]["addresses"]]
            yield _PageBox("rmap_chain " + (" ".join(shown) if len(shown) <= 4 else
                                            f"{shown[0]} ... {shown[-1]} ({len(shown)})"))


def _held(drawing, node):
    """The boxes of what an object holds beside its pages: remap records, or the slices of a space."""
    for mm, start in node.get("slices", {}).items():
        yield _PageBox(f"mm {mm}: " + ("none" if start is None else f"{start:#x}"), held="slice")
    for edge in drawing.out[node["id"]]:
        if edge["kind"] == "record":
            yield _PageBox(_remap(drawing.node[edge["target"]]), held="record")


def _remap(record):
    """A remap record: the indices, and where their pages are, as a page (anonmm_remap) or as shifts (cow_context)."""
    indices = f"{record['start']:#x}" + (f"-{record['end'] - 1:x}" if record["end"] - record["start"] > 1 else "")
    if "new" in record:
        return f"{indices} \u2192 {record['new']:#x}"
    return f"{indices} at {', '.join(f'{delta:+#x}' for delta in record['deltas'])}"


def _times(page):
    return page["name"] if page["count"] == 1 else f"{page['name']} \u00d7{page['count']}"


def _label(node):
    if node["kind"] == "file":
        return _short(node["name"])
    label = f"{node['kind']} {node['number']}"
    if node.get("parent", node.get("number")) != node.get("number"):
        label += f", parent {node['parent']}"
    return label + (" (mm gone)" if node.get("dead") else "")


def _name(mm):
    pids = ", ".join(map(str, mm["pids"][:2])) + ", ..." * (len(mm["pids"]) > 2)
    return f"pid {pids}, mm {mm['number']}"


def _short(path):
    name = path.rsplit("/", 1)[-1]
    return name if len(name) <= 20 else name[:19] + "\u2026"


def _lost(place):
    """What is left out of a lane."""
    areas = f"+{_number(place['vm_area_struct'], 'area')}" if place["vm_area_struct"] else ""
    visits = f"{_number(place['visits'], 'visit')} not drawn" if place["visits"] else ""
    return ", ".join(filter(None, (areas, visits)))


def _between(place):
    """What is left out between two lanes."""
    walk = f"; the walk makes {_number(place['visits'], 'visit')} there, {place['found']} find the page" \
        if place["visits"] else ""
    return f"... {_number(place['mm_struct'], 'process')} with {_number(place['vm_area_struct'], 'area')} between{walk}"


def _order(edge):
    """Which visits of the walk an edge takes, the first and the last if several."""
    first, last = edge["visit"][0][0], edge["visit"][-1][0]
    return str(first) if first == last else f"{first}-{last}"


def _badge(order):
    return wide(order, TINY) + 0.06


def _number(count, noun):
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


class _Scale:
    """Pages to inches: a piece between two edges of areas or pages grows with the logarithm of its pages.

    `least` are the widths of some pages by themselves, that they can be seen in any case.
    """

    def __init__(self, areas, cells, least, left, right):
        edges = sorted({page for area in areas for page in (area["start"], area["end"])}
                       | {page for first, count, *_ in cells for page in (first, first + count)})
        sizes = [1 + log2(high - low) / 3 if any(area["start"] <= low and high <= area["end"] for area in areas) else 0
                 for low, high in pairwise(edges)]
        gaps, room = sizes.count(0), right - left
        gap = min(0.2, room * 0.25 / gaps) if gaps else 0
        room -= gaps * gap
        unit = min(room / max(sum(sizes), 1), 0.3)
        least = {page: min(width, room / 2 / len(least)) for page, width in least.items() if width > unit}
        if least:
            rest = sum(size for low, size in zip(edges, sizes) if low not in least)
            unit = min((room - sum(least.values())) / max(rest, 1), unit)
        self.at, x, self.starts = {}, left, []
        for number, page in enumerate(edges):
            self.at[page] = x
            if number < len(sizes):
                if sizes[number] and not (number and sizes[number - 1]):
                    self.starts.append((page, x))
                x += least.get(page, sizes[number] * unit) or gap

    def __call__(self, page):
        return self.at[page]
