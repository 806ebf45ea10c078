"""Structure diagrams: that what is drawn can be read, whatever the design, and says what the data says."""

from itertools import combinations
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest

from rmapmodel.figures.diagram import BOX, INK, OBJECTS, draw, sheet, svg, told
from rmapmodel.figures.sheet import Box, Line, Marker, Sheet, Text, wide
from rmapmodel.figures.structure import PROCESSES, structure, unwalked
from rmapmodel.figures.style import LOOKS, look
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.replay import replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

DESIGNS = pytest.mark.parametrize("design", STRATEGIES)
CHAINED = ("pte_chain", "objrmap")
FAMILIES = pytest.mark.parametrize("processes, pages", [(1, 8), (3, 4), (12, 8), (12, 300), (40, 300)])
TITLE = "A title that says what is to be seen in this picture, and does so at such a length that it takes two lines"


def family(design, processes=3, pages=4):
    """The structure of a family whose children moved half of what they inherited, with the walk of the last page moved."""
    trace = InMemory(*generate("mremap_inherited", processes=processes, pages=pages))
    events = [event for event in trace.events if hasattr(event, "new_addr")]
    page = (events[-1].pid, events[-1].new_addr) if events else (1, 0x10000000)
    return structure(replay(trace, design).machine, page)


def server(design, children, vmas):
    """The structure of a server with many areas, with the walk of a page that all processes map."""
    trace = InMemory(*generate("fork_server", children=children, vmas=vmas, pages=3, written=1))
    return structure(replay(trace, design).machine, (1, 0x10001000))


def texts(drawn):
    return [shape for shape in drawn.shapes if isinstance(shape, Text)]


def extent(text):
    """(left, top, right, bottom) of a text."""
    width = wide(text.text, text.size) * (1.13 if text.weight == "bold" else 1)
    left = text.x - {"left": 0, "center": width / 2, "right": width}[text.ha]
    return left, text.y - 0.5 * text.size / 72, left + width, text.y + 0.5 * text.size / 72


def overlap(one, other):
    """How much of two rectangles is the same, across and down."""
    return min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])


def unreadable(drawn):
    """What is wrong with a sheet: texts too small, off it, over one another, or crossed by a line."""
    shapes = drawn.shapes
    extents = [(text, extent(text)) for text in texts(drawn)]
    for text, (left, top, right, bottom) in extents:
        if text.size < 5:
            yield f"{text.text!r} is too small"
        if min(left, top) < 0 or right > drawn.width or bottom > drawn.height:
            yield f"{text.text!r} leaves the sheet"
    for (one, a), (other, b) in combinations(extents, 2):
        across, down = overlap(a, b)
        if across > 0.015 and down > 0.03:
            yield f"{one.text!r} covers {other.text!r}"
    for place, shape in enumerate(shapes):
        if isinstance(shape, Line):
            hidden = [each for each in shapes[place + 1:] if isinstance(each, Box) and each.face != "none"]
            for text, at in extents:
                if crosses(shape.points, at) and not any(covers(box, text.x, text.y) for box in hidden):
                    yield f"a line crosses {text.text!r}"


def crosses(points, at):
    """Whether one of the pieces of a line, all upright or level, runs through the inside of a rectangle."""
    left, top, right, bottom = at
    inside = left + 0.02, top + 0.02, right - 0.02, bottom - 0.02
    return any(min(overlap((min(x, u), min(y, v), max(x, u), max(y, v)), inside)) >= 0
               for (x, y), (u, v) in zip(points, points[1:]))


def covers(box, x, y):
    return box.x - 0.01 <= x <= box.x + box.width + 0.01 and box.y <= y <= box.y + box.height


@DESIGNS
@FAMILIES
def test_a_family_can_be_read(design, processes, pages):
    picture = family(design, processes, pages)
    for each in (picture, unwalked(picture)):
        drawn = sheet(each, f"{design}: {TITLE}")
        assert not list(unreadable(drawn))
        assert drawn.height < 12


@DESIGNS
@pytest.mark.parametrize("children, vmas", [(2, 8), (11, 8), (39, 40)])
def test_a_server_can_be_read(design, children, vmas):
    drawn = sheet(server(design, children, vmas), design)
    assert not list(unreadable(drawn))
    assert drawn.height < 12


def test_what_cannot_be_read_is_noticed():
    crowded = Sheet(2, 1)
    crowded.add(Text(0.1, 0.5, "below"))
    crowded.add(Text(0.2, 0.5, "above"))
    crowded.add(Text(1.8, 0.2, "too long"))
    crowded.add(Text(0.1, 0.8, "crossed"))
    crowded.add(Line([(0, 0.8), (1, 0.8)]))
    assert sorted(unreadable(crowded)) == ["'below' covers 'above'", "'too long' leaves the sheet",
                                           "a line crosses 'crossed'"]


@DESIGNS
@FAMILIES
def test_the_walk_is_seen(design, processes, pages):
    picture = family(design, processes, pages)
    drawn = sheet(picture, "seen")
    page = picture["walk"]["page"]
    name = page.split()[1]
    black = [box for box in drawn.shapes if isinstance(box, Box) and box.face == INK and box.height == BOX]
    lanes = {edge["source"].split(":")[0] for edge in picture["edges"] if edge["target"] == page and edge["kind"] == "pte"}
    # one cell in each process that maps it, and the box in the row below; wide enough to be seen
    assert len(black) == len(lanes) + 1 and all(box.width > 0.05 for box in black)
    words = [text.text for text in texts(drawn)]
    assert words.count(name) >= len(lanes) and told(picture) in words
    orders = {order for edge in picture["edges"] for order, _ in edge.get("visit", ())}
    told_of = set()
    for word in words:
        first, _, last = word.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            told_of |= {*range(int(first), int(last or first) + 1)}
    assert orders and orders <= told_of


@DESIGNS
def test_one_look_throughout(design):
    color, marker, _ = look(design)
    for picture in (family(design), server(design, 11, 8)):
        marks = [shape for shape in sheet(picture, "look").shapes if isinstance(shape, Marker) and shape.edge != "none"]
        assert {(mark.marker, mark.edge) for mark in marks} == {(marker, color)}
        assert {mark.face for mark in marks} <= {color, "white"}


@DESIGNS
def test_a_marker_or_a_number_for_each_membership(design):
    picture = family(design)
    drawn = sheet(picture, "drawn")
    legend = next(shape.y for shape in drawn.shapes if isinstance(shape, Text) and shape.text == "walked") - 0.2
    dots = sum(isinstance(shape, Marker) and shape.edge != "none" and shape.y < legend for shape in drawn.shapes) - 1
    numbers = [text for text in texts(drawn) if text.text.replace("-", "").isdigit()]
    # pages that hold the same ptes share a row
    members = {(edge["source"] if "chain" in edge["source"] else "direct", edge["target"]) if design in CHAINED
               else (edge["source"], edge["target"]) for edge in picture["edges"] if edge["kind"] == "member"}
    assert dots + len(numbers) == len(members)
    assert len(numbers) == sum("visit" in edge for edge in picture["edges"])


LEGEND = {"page, mapped once", "mapped more often", "walked"}


@pytest.mark.parametrize("design, more", [
    ("anonmm", {"same family"}),
    ("anonmm_remap", {"same family", "remap record: indices, and where or how far they went"}),
    ("anon_vma", {"no pte to look at"}),
    ("anon_vma_chain", {"found by the object", "link to an ancestor's object"}),
    ("shared_space_unique", {"found by the object", "slice of offsets of an mm, from its first"}),
    ("cow_context", {"remap record: indices, and where or how far they went"}),
    ("pte_chain", {"holds the pte here"}),
    ("page_table_scan", set())])
def test_the_legend_is_in_each_picture_and_has_what_is_in_it(design, more):
    words = {text.text for text in texts(sheet(family(design), "legend"))}
    assert LEGEND | more | {"n-th step of the walk: maps the page"} <= words
    others = {"same family", "link to an ancestor's object", "holds the pte here", "on swap", "zero page",
              "pages that lie alike", "slice of offsets of an mm, from its first"} - more
    assert not others & words


def test_what_is_left_out_is_said():
    drawn = sheet(family("anon_vma", processes=40), "many")
    words = [text.text for text in texts(drawn)]
    # 28 of 40 children are between; each has two areas, one of which the walk finds the page in
    between = f"... {40 - PROCESSES} processes with 56 areas between; the walk makes 56 visits there, 28 find the page"
    assert between in words
    assert any(word.startswith("Not drawn: 28 processes, 56 areas") for word in words)


def test_more_objects_than_fit_are_counted_and_that_of_the_walk_is_kept():
    trace = InMemory(*generate("mremap_inherited", processes=30, pages=40))
    machine = replay(trace, "pte_chain").machine
    picture = structure(machine, (29, machine.mm_of(29).vmas[0].end * 4096 - 4096), processes=30)
    words = [text.text for text in texts(sheet(picture, "many"))]
    assert sum(word in ("page", "pages") for word in words) == OBJECTS
    assert any("rows of objects or pages" in word for word in words)
    black = [shape for shape in sheet(picture, "many").shapes if isinstance(shape, Box) and shape.face == INK]
    assert any(box.height == BOX for box in black)


@DESIGNS
def test_svg_is_the_same_drawing(design):
    picture = family(design)
    told_svg = svg(picture, "a < b")
    tree = ElementTree.fromstring(told_svg)
    tags = [element.tag.rpartition("}")[2] for element in tree.iter()]
    shapes = sheet(picture, "a < b").shapes
    for kind, tag in ((Text, "text"), (Box, "rect"), (Line, "polyline"), (Marker, "path")):
        assert tags.count(tag) == sum(isinstance(shape, kind) for shape in shapes)
    assert tree.get("aria-label") == f"a < b. {told(picture)}"
    # many of them can stand in one page
    assert " id=" not in told_svg and "<style" not in told_svg and "<script" not in told_svg


@pytest.mark.parametrize("design", LOOKS)
def test_a_marker_in_svg_has_the_outline_of_the_figure(design):
    mark = Marker(1, 1, look(design).marker, 10, "white", "black", 1)
    element = ElementTree.fromstring(mark.element())
    numbers = [float(number) for number in element.get("d").translate(str.maketrans("MLQCZ", "     ")).split()]
    assert len(numbers) >= 4 and max(map(abs, numbers)) <= 0.75  # as wide as it should be, about its middle


def test_widths_are_those_that_matplotlib_draws():
    fig = draw(family("anonmm"), "widths")
    fig.set_dpi(1200)  # at few dots letters are set on whole ones
    renderer = fig.canvas.get_renderer()
    for text in fig.axes[0].texts:
        if text.get_weight() == "normal":
            drawn = text.get_window_extent(renderer).width / fig.dpi
            assert abs(drawn - wide(text.get_text(), text.get_size())) < 0.02 + 0.01 * drawn
    plt.close(fig)
