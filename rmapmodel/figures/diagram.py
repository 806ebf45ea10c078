"""Draws a structure: a lane of areas for each process, a row for each object, dots where an object finds an area."""

from collections import defaultdict
from itertools import pairwise

from matplotlib.patches import Circle, Rectangle

from ..vm.vma import PAGE
from .style import PAGE as WIDTH
from .style import look, subplots

LEFT, RIGHT = 0.95, 6.9  # inches: where the areas begin, and the right edge
BOX, RAIL, GAP, ROW = 0.19, 0.1, 0.12, 0.27  # heights: an area, a line below it, between lanes, an object's row
OFFSETS = 0.62  # the width of the column that gives each area's offset
OBJECTS, LINES = 14, 3
"""How many rows of objects, and lines of pages in a row, are drawn; what is beyond is summarised."""
INK, SOFT, SHARED = "#222222", "#777777", "#d6d6d6"
SMALL, TEXT = 6.2, 7.2  # points


def draw(picture, title):
    """A matplotlib Figure of what structure() returned; the title should say what is to be seen in it.

    Areas lie on one axis of addresses, gaps cut short. A letter in an area is a page it maps: grey where others map it
    too, black where it is the page walked. A row below is an object with the pages that point to it, and in dashed
    boxes the remap records that hang off it or the slices that it is cut into (offset of the first page); the line from
    it has a dot at each area (or mm) that it finds, numbered in the order of the walk, and hollow where it found another
    page. Of dots without a number those of anon_vma_chains to an ancestor's object are hollow.
    """
    return _Drawing(picture).figure(title)


class _Drawing:
    def __init__(self, picture):
        self.picture, self.color = picture, look(picture["strategy"]).color
        self.kinds = defaultdict(list)
        for node in picture["nodes"]:
            self.kinds[node["kind"]].append(node)
        self.node = {node["id"]: node for node in picture["nodes"]}
        self.out = defaultdict(list)
        for edge in picture["edges"]:
            self.out[edge["source"]].append(edge)
        self.walked = picture["walk"] and picture["walk"]["page"]
        self.rows, self.left_out = _rows(self)
        self.members = [[edge for finder in row.finders for edge in self.out[finder] if edge["kind"] == "member"]
                        for row in self.rows]
        self.hold = {edge["target"] for edges in self.members for edge in edges}

    def figure(self, title):
        self._plan()
        fig, self.ax = subplots(width=WIDTH, height=self.height)
        fig.set_layout_engine("none")
        self.ax.set(position=(0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, self.height))
        self.ax.axis("off")
        self.text(0.05, self.height - 0.16, title, size=9, weight="bold")
        self._addresses()
        for lane in self.kinds["mm_struct"]:
            self._lane(lane)
        for number, row in enumerate(self.rows):
            self._row(number, row)
        self._families()
        self._notes()
        return fig

    # -- where everything goes

    def _plan(self):
        count = len(self.rows)
        self.step = min(0.3, 1.9 / max(count, 1))
        # the widest number of a visit is centred on its column
        widest = max((len(_order(edge)) for edges in self.members for edge in edges if "visit" in edge), default=0)
        self.first = RIGHT - self.step * max(count - 1, 0) - max(0.1, 0.023 * widest)
        self.offsets = any(id in self.hold for mm in self.kinds["mm_struct"] for id in self._areas(mm))
        self.scale = _Scale(self.kinds["vm_area_struct"], LEFT, self.first - 0.2 - OFFSETS * self.offsets)
        self.lanes, self.rails, top = {}, {}, 0.62
        for mm in self.kinds["mm_struct"]:
            self.lanes[mm["id"]] = top
            lines = [id for id in self._areas(mm) if id in self.hold] + [mm["id"]] * (mm["id"] in self.hold)
            # the leftmost area has the lowest line, so that no line crosses the way down of another
            for depth, id in enumerate(reversed(lines)):
                self.rails[id] = top + BOX + RAIL * (depth + 1)
            top += BOX + RAIL * max(len(lines), 1) + GAP
        if any(self.picture["more"].values()):
            self.more_at = top
            top += ROW
        top += 0.12
        for row in self.rows:
            row.top = top
            row.left, right = LEFT, self._column(self.rows.index(row)) - row.width - 0.22
            row.lines, row.hidden = _wrapped(row.pages, right - row.left)
            row.notes, row.notes_hidden = _wrapped(row.held, right - row.left) if row.held else ([], 0)
            if row.held and not row.pages:
                row.lines = []
            top += ROW * (len(row.lines) + len(row.notes))
        self.height = top + (0.42 if self.walked or self.left_out else 0.1)

    def _areas(self, mm):
        return [edge["target"] for edge in self.out[mm["id"]] if edge["kind"] == "vma"]

    def _column(self, number):
        return self.first + self.step * number

    def y(self, top):
        """Inches from the bottom of what lies `top` inches from the top."""
        return self.height - top

    # -- the parts

    def text(self, x, y, text, size=TEXT, **kwargs):
        kwargs = {"va": "center", "color": INK, **kwargs}
        return self.ax.text(x, y, text, fontsize=size, **kwargs)

    def box(self, x, top, width, height, **kwargs):
        kwargs = {"facecolor": "white", "edgecolor": INK, "linewidth": 0.8, **kwargs}
        self.ax.add_patch(Rectangle((x, self.y(top + height)), width, height, **kwargs))

    def line(self, xs, tops, **kwargs):
        kwargs = {"color": SOFT, "linewidth": 0.7, "solid_capstyle": "butt", "zorder": 1, **kwargs}
        self.ax.plot(xs, [self.y(top) for top in tops], **kwargs)

    def _addresses(self):
        last, end = -1, self.first - 0.6 if self.offsets else WIDTH
        for page, x in self.scale.starts:
            label = f"{page * PAGE:#x}"
            width = 0.052 * len(label)
            if x > last and x + width < end:
                self.text(x, self.y(0.42), label, size=SMALL, color=SOFT)
                last = x + width + 0.06
        self.text(LEFT - 0.06, self.y(0.42), "address", size=SMALL, color=SOFT, ha="right")
        if self.offsets:
            self.text(self.first - 0.12, self.y(0.42), "vm_pgoff", size=SMALL, color=SOFT, ha="right")

    def _lane(self, mm):
        top = self.lanes[mm["id"]]
        pids = ", ".join(map(str, mm["pids"]))
        self.text(LEFT - 0.06, self.y(top + BOX / 2), f"pid {pids}, mm {mm['number']}", ha="right")
        right = LEFT
        for id in self._areas(mm):
            area = self.node[id]
            low, high = self.scale(area["start"]), self.scale(area["end"])
            right = max(right, high)
            self.box(low, top, high - low, BOX, zorder=2)
            self._cells(area, top)
            if area["file"]:
                self.text(low, self.y(top - 0.055), area["file"].rsplit("/", 1)[-1], size=SMALL - 1.2, color=SOFT)
            if id in self.rails:
                self._rail(id, high - 0.05, top + BOX)
        if mm["id"] in self.rails:
            self._rail(mm["id"], right - 0.05, top + BOX)

    def _rail(self, id, x, bottom):
        reach = max(self._column(number) for number, edges in enumerate(self.members)
                    if any(edge["target"] == id for edge in edges))
        visited = any("visit" in edge and edge["target"] == id for edges in self.members for edge in edges)
        self.line([x, x, reach], [bottom, self.rails[id], self.rails[id]],
                  **({"color": INK, "linewidth": 1.0} if visited else {}))
        if "pgoff" in self.node[id]:
            self.text(self.first - 0.12, self.y(self.rails[id]), f"{self.node[id]['pgoff']:#x}", size=5.6, ha="right",
                      bbox={"boxstyle": "square,pad=0.08", "facecolor": "white", "edgecolor": "none"}, zorder=1.5)

    def _cells(self, area, top):
        for page, letter in area["marks"]:
            self._cell(page, 1, letter, top, facecolor="white", color=SOFT)
        for edge in self.out[area["id"]]:
            page = self.node[edge["target"]]
            black, grey = edge["target"] == self.walked, page["mapcount"] > 1
            count = page["count"]
            self._cell(edge["page"], count, page["name"], top, facecolor=INK if black else SHARED if grey else "white",
                       color="white" if black else INK)

    def _cell(self, page, count, label, top, facecolor, color):
        low, high = self.scale(page), self.scale(page + count)
        self.box(low, top, high - low, BOX, facecolor=facecolor, linewidth=0.35, edgecolor=SOFT, zorder=2.5)
        if high - low >= 0.055 * len(label):
            self.text((low + high) / 2, self.y(top + BOX / 2), label, size=SMALL, ha="center", color=color, zorder=3)

    def _row(self, number, row):
        column, middle = self._column(number), row.top + BOX / 2
        self.text(LEFT - 0.06, self.y(middle), row.title, ha="right", color=SOFT)
        for depth, line in enumerate(row.lines):
            x = self._boxes(row, depth, line, row.hidden if depth == LINES - 1 else 0)
            if line and depth == 0 and row.label:
                walked = any(walked for *_, walked in row.pages)
                self._arrow(x, column - row.width + 0.06, middle, bold=walked)
            elif line and depth == 0:
                self.line([x - 0.06, column], [middle, middle], color=self.color, linewidth=1.0)
        for depth, line in enumerate(row.notes, len(row.lines)):
            self.text(LEFT - 0.06, self.y(row.top + ROW * depth + BOX / 2),
                      row.what if depth == len(row.lines) else "", ha="right", color=SOFT)
            self._boxes(row, depth, line, row.notes_hidden if depth == len(row.lines) + LINES - 1 else 0,
                        edgecolor=self.color, linestyle=(0, (2, 1.5)))
        if row.label:
            self.box(column - row.width + 0.08, row.top, row.width, BOX, edgecolor=self.color, linewidth=1.2, zorder=2)
            self.text(column + 0.08 - row.width / 2, self.y(middle), row.label, ha="center", zorder=3)
        self._dots(column, row.top if row.label else middle, self.members[number])

    def _boxes(self, row, depth, line, hidden, **style):
        """Draws a line of boxes and how many more there are; returns where it ends."""
        x, top = row.left, row.top + ROW * depth
        for label, width, walked in line:
            self.box(x, top, width - 0.06, BOX, facecolor=INK if walked else "white", **{"linewidth": 0.5, **style})
            self.text(x + (width - 0.06) / 2, self.y(top + BOX / 2), label, size=SMALL, ha="center",
                      color="white" if walked else INK)
            x += width
        if hidden:
            self.text(x, self.y(top + BOX / 2), f"... {hidden} more", size=SMALL, color=SOFT)
        return x

    def _arrow(self, start, end, top, bold):
        self.ax.annotate("", (end, self.y(top)), (start - 0.06, self.y(top)), zorder=1, arrowprops={
            "arrowstyle": "-|>", "color": INK if bold else SOFT, "linewidth": 1.1 if bold else 0.7, "mutation_scale": 7,
            "shrinkA": 0, "shrinkB": 0})

    def _dots(self, column, bottom, edges):
        edges = [edge for edge in edges if edge["target"] in self.rails]
        if not edges:
            return
        highest = min(self.rails[edge["target"]] for edge in edges)
        self.line([column, column], [highest, bottom], color=self.color, linewidth=1.2, zorder=2)
        for edge in edges:
            self._dot(column, self.y(self.rails[edge["target"]]), edge)

    def _dot(self, x, y, edge):
        visits = edge.get("visit", ())
        if not visits:
            face = "white" if edge.get("own") is False else self.color
            self.ax.add_patch(Circle((x, y), 0.026, facecolor=face, edgecolor=self.color, linewidth=0.8, zorder=4))
            return
        hit = any(outcome == "maps it" for _, outcome in visits)
        self.ax.annotate(_order(edge), (x, y), ha="center", va="center", fontsize=5.6, color="white" if hit else INK,
                         zorder=5, annotation_clip=False, bbox={
                             "boxstyle": "round,pad=0.18,rounding_size=0.45", "facecolor": INK if hit else "white",
                             "edgecolor": INK, "linewidth": 0.8,
                             "linestyle": "-" if hit or any(o == "does not map it" for _, o in visits) else ":"})

    def _families(self):
        at = {finder: row for row in self.rows for finder in row.finders}
        for source, edges in self.out.items():
            for edge in edges:
                if edge["kind"] == "family" and source in at and edge["target"] in at:
                    upper, lower = at[source], at[edge["target"]]
                    x = self._column(self.rows.index(lower)) - lower.width + 0.2
                    self.line([x, x], [upper.top + BOX, lower.top], color=self.color, linestyle=(0, (2, 1.5)), zorder=1)

    def _notes(self):
        more = [_number(count, {"mm_struct": "process", "vm_area_struct": "area"}.get(kind, kind))
                for kind, count in self.picture["more"].items() if count]
        if more:
            self.text(LEFT, self.y(self.more_at + BOX / 2), f"not shown: {', '.join(more)}", color=SOFT, style="italic")
        notes = []
        if self.walked:
            cost = self.picture["walk"]["cost"]
            notes.append(f"Walk of {self.walked}: {self._visited(cost['vmas_examined'])}looks at "
                         f"{_number(cost['ptes_examined'], 'pte')}, finds {_number(cost['mappings'], 'mapping')}.")
        if self.left_out:
            notes.append(f"Not drawn: {self.left_out} more rows.")
        self.text(LEFT, self.y(self.height - 0.17), "  ".join(notes))

    def _visited(self, count):
        if self.kinds["cow_context"]:
            return f"makes {_number(count, 'visit')} to contexts and records, "
        kinds = {self.node[edge["target"]]["kind"] for edges in self.members for edge in edges if "visit" in edge}
        if "vm_area_struct" in kinds:
            return f"visits {_number(count, 'vma')}, "
        return f"visits {_number(count, 'anonmm')}, " if self.kinds["anonmm"] else ""


class _Row:
    """An object's row: its label, the pages that point to it, and the ids whose `member` edges are its dots.

    `held` are boxes for what else the object holds, and `what` says what that is.
    """

    def __init__(self, label, pages, finders, held=(), what=""):
        self.label, self.pages, self.finders, self.held, self.what = label, pages, finders, held, what
        self.title = "" if not pages else "page" if len(pages) == 1 and pages[0][0].islower() else "pages"
        self.width = 0.055 * len(label) + 0.16 if label else 0.0


def _rows(drawing):
    """The rows of objects, and how many more there are than can be drawn."""
    pages = defaultdict(list)
    for page in drawing.kinds["page"]:
        target = next((edge["target"] for edge in drawing.out[page["id"]] if edge["kind"] == "mapping"), None)
        pages[target].append(page)
    rows = []
    for kind in ("anonmm", "anon_vma", "address_space", "cow_context", "file"):
        for node in drawing.kinds[kind]:
            pointing = [box for page in pages[node["id"]] for box in _boxes(drawing, page)]
            rows.append(_Row(_label(node), pointing, [node["id"]], *_held(drawing, node)))
    direct = defaultdict(list)
    for page in pages[None]:
        chain = next((edge["target"] for edge in drawing.out[page["id"]] if edge["kind"] == "chain"), None)
        if chain:
            label = f"pte_chain \u00d7{drawing.node[chain]['count']}"
            rows.append(_Row(label, [_box(drawing, page, _times(page))], [chain]))
        else:
            direct[tuple(edge["target"] for edge in drawing.out[page["id"]])].append(page)
    direct.pop((), None)  # a design without a reverse map: nothing leads from a page to its mappings
    for alike in direct.values():
        rows.append(_Row("", [_box(drawing, page, _times(page)) for page in alike], [page["id"] for page in alike]))
    return rows[:OBJECTS], max(len(rows) - OBJECTS, 0)


def _boxes(drawing, page):
    """The boxes of a page that has an index: (text, width, whether it is walked); its chain of addresses behind it."""
    last = f"-{page['index'] + page['count'] - 1:x}" if page["count"] > 1 else ""
    boxes = [_box(drawing, page, f"{_times(page)} {page['index']:#x}{last}")]
    for edge in drawing.out[page["id"]]:
        if edge["kind"] == "chain":
            shown = [f"{address:#x}" for address in drawing.node[edge["target"]]["addresses"]]
            text = " ".join(shown) if len(shown) <= 4 else f"{shown[0]} ... {shown[-1]} ({len(shown)})"
            boxes.append(_box(drawing, {"id": None}, f"rmap_chain {text}"))
    return boxes


def _order(edge):
    """Which visits of the walk an edge takes, the first and the last if several."""
    first, last = edge["visit"][0][0], edge["visit"][-1][0]
    return str(first) if first == last else f"{first}-{last}"


def _held(drawing, node):
    """Boxes for what an object holds beside its pages, and what to call it: remap records, or slices of a space."""
    if "slices" in node:
        return [_box(drawing, {"id": None}, f"mm {mm}: " + ("none" if start is None else f"{start:#x}"))
                for mm, start in node["slices"].items()], "slices"
    records = [drawing.node[edge["target"]] for edge in drawing.out[node["id"]] if edge["kind"] == "record"]
    return [_box(drawing, {"id": None}, _remap(record)) for record in records], "remaps"


def _remap(record):
    """A remap record: the indices, and where their pages are, as a page (anonmm_remap) or as shifts (cow_context)."""
    indices = f"{record['start']:#x}" + (f"-{record['end'] - 1:x}" if record["end"] - record["start"] > 1 else "")
    if "new" in record:
        return f"{indices} \u2192 {record['new']:#x}"
    return f"{indices} at {', '.join(f'{delta:+#x}' for delta in record['deltas'])}"


def _box(drawing, page, text):
    return text, 0.049 * len(text) + 0.16 + 0.045 * text.count("m"), page["id"] == drawing.walked


def _times(page):
    return page["name"] if page["count"] == 1 else f"{page['name']} \u00d7{page['count']}"


def _wrapped(boxes, room):
    """The boxes in lines that fit into `room` inches, and how many are left out."""
    lines, used = [[]], 0.0
    for box in boxes:
        if lines[-1] and used + box[1] > room:
            lines.append([])
            used = 0.0
        lines[-1].append(box)
        used += box[1]
    return lines[:LINES], sum(map(len, lines[LINES:]))


def _label(node):
    if node["kind"] == "file":
        return node["name"].rsplit("/", 1)[-1]
    label = f"{node['kind']} {node['number']}"
    if node.get("parent", node.get("number")) != node.get("number"):
        label += f", parent {node['parent']}"
    return label + (" (mm gone)" if node.get("dead") else "")


def _number(count, noun):
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


class _Scale:
    """Pages to inches: what any area covers in proportion, gaps cut to a fixed width."""

    def __init__(self, areas, left, right):
        edges = sorted({page for area in areas for page in (area["start"], area["end"])})
        covered = [any(area["start"] <= low and high <= area["end"] for area in areas) for low, high in pairwise(edges)]
        total = sum(high - low for (low, high), inside in zip(pairwise(edges), covered) if inside)
        gaps = covered.count(False)
        gap = min(0.22, (right - left) * 0.3 / gaps) if gaps else 0
        unit = min((right - left - gaps * gap) / max(total, 1), 0.3)
        self.points, x, self.starts = [], left, []
        for number, page in enumerate(edges):
            self.points.append((page, x))
            inside = number < len(covered) and covered[number]
            if inside and not (number and covered[number - 1]):
                self.starts.append((page, x))
            if number < len(covered):
                x += (edges[number + 1] - page) * unit if inside else gap

    def __call__(self, page):
        for (low, x), (high, end) in pairwise(self.points):
            if low <= page <= high:
                return x + (end - x) * (page - low) / (high - low)
        return self.points[0][1]
