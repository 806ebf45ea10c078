"""Structure diagrams: what the data says against the machine and the ledger, and that what is drawn can be read."""

from collections import Counter
from itertools import combinations

import matplotlib.pyplot as plt
import pytest
from matplotlib.patches import Circle

from rmapmodel.events import Exit, Fork, Header, Mmap, Read, Spawn, Write
from rmapmodel.figures.diagram import OBJECTS, draw
from rmapmodel.figures.structure import PAGES, PROCESSES, name_of, structure, table
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.replay import replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

BASE = 0x10000000
DESIGNS = pytest.mark.parametrize("design", STRATEGIES)


def moved_family(design, processes=3, pages=4):
    """A family whose children wrote half and moved half, and the page of the last move."""
    trace = InMemory(*generate("mremap_inherited", processes=processes, pages=pages))
    last = [event for event in trace.events if hasattr(event, "new_addr")][-1]
    return replay(trace, design).machine, (last.pid, last.new_addr)


def kinds(picture, of="nodes"):
    return Counter(each["kind"] for each in picture[of])


@DESIGNS
def test_nodes_are_what_the_ledger_counts(design):
    machine, _ = moved_family(design)
    picture = structure(machine)
    nodes, alive = kinds(picture), machine.ledger.alive()
    assert nodes["mm_struct"] == len(machine.mms) == 3
    assert nodes["vm_area_struct"] == alive["vm_area_struct"] == 5
    assert nodes["page"] == machine.frames.alive == 8
    for kind in ("anon_vma", "anonmm", "address_space"):
        assert nodes[kind] == alive.get(kind, 0)
    for kind in ("pte_chain", "rmap_chain"):
        assert sum(node["count"] for node in picture["nodes"] if node["kind"] == kind) == alive.get(kind, 0)


@DESIGNS
def test_edges_are_mappings_and_memberships(design):
    machine, _ = moved_family(design)
    picture = structure(machine)
    edges = kinds(picture, "edges")
    members = {"anon_vma": 5, "anon_vma_chain": machine.ledger.alive().get("anon_vma_chain"), "anonmm": 3,
               "pte_chain": machine.mappings, "shared_space": 5}
    assert edges["pte"] == machine.mappings == 12
    assert edges["vma"] == 5
    assert edges["member"] == members[design]
    assert edges["mapping"] == (0 if design == "pte_chain" else 8)
    assert edges["chain"] == {"pte_chain": 2, "anonmm": 1}.get(design, 0)
    assert len(table(picture)) == len(picture["edges"])


@DESIGNS
def test_a_walk_is_numbered_as_it_goes_and_ends_at_every_mapping(design):
    machine, page = moved_family(design)
    picture = structure(machine, page)
    visits = sorted(visit for edge in picture["edges"] for visit in edge.get("visit", ()))
    cost = picture["walk"]["cost"]
    assert [order for order, _ in visits] == list(range(1, picture["walk"]["visits"] + 1))
    assert sum(outcome == "maps it" for _, outcome in visits) == cost["mappings"] == 3
    looked_at = "ptes_examined" if design in ("anonmm", "pte_chain") else "vmas_examined"
    assert len(visits) == cost[looked_at]


def test_a_walk_wants_a_mapped_page():
    machine, _ = moved_family("anon_vma")
    with pytest.raises(ValueError, match="maps no page"):
        structure(machine, (1, BASE + (64 << 20)))


@DESIGNS
def test_pages_beyond_the_limit_stand_together(design):
    machine, page = moved_family(design, pages=400)
    picture = structure(machine, page)
    pages = [node for node in picture["nodes"] if node["kind"] == "page"]
    assert sum(node["count"] for node in pages) == machine.frames.alive > PAGES
    assert len(pages) == 9  # the page walked; the parent's four stretches; two copied stretches of each child
    assert all(node["name"].isupper() == (node["count"] > 1) for node in pages)
    assert [node["count"] for node in pages if node["id"] == picture["walk"]["page"]] == [1]
    assert sum(edge["pages"] for edge in picture["edges"] if edge["kind"] == "pte") == machine.mappings


@DESIGNS
def test_processes_beyond_the_limit_are_counted(design):
    machine, page = moved_family(design, processes=30)
    picture = structure(machine, page)
    assert kinds(picture)["mm_struct"] == PROCESSES
    assert picture["more"]["mm_struct"] == 30 - PROCESSES
    assert kinds(picture)["vm_area_struct"] + picture["more"]["vm_area_struct"] == 59
    shown = {node["id"] for node in picture["nodes"]}
    assert all({edge["source"], edge["target"]} <= shown for edge in picture["edges"])


@DESIGNS
def test_file_pages_hang_off_their_file(design):
    events = [Spawn(1), Mmap(1, BASE, 8192, "rw-", ["private"], "/lib/a.so"), Read(1, BASE, 8192), Write(1, BASE, 4096),
              Mmap(1, BASE + 16384, 4096, "rw-", ["shared", "anonymous"]), Write(1, BASE + 16384, 4096), Fork(1, 2)]
    picture = structure(replay(InMemory(Header(version=1), events), design).machine)
    names = sorted(node["name"] for node in picture["nodes"] if node["kind"] == "file")
    assert names == ([] if design == "pte_chain" else ["/lib/a.so", "shmem 2"])
    draw(picture, "files")
    plt.close("all")


@DESIGNS
def test_a_dead_mm_and_an_empty_machine_can_be_drawn(design):
    events = [Spawn(1), Mmap(1, BASE, 8192, "rw-", ["private", "anonymous"]), Write(1, BASE, 8192), Fork(1, 2), Exit(1)]
    for count in (0, len(events)):
        draw(structure(replay(InMemory(Header(version=1), events[:count]), design).machine), "little is left")
        plt.close("all")


def test_names_are_letters_in_order():
    assert [name_of(frame) for frame in (2, 27, 28, 2 + 26 + 26 * 26)] == ["a", "z", "aa", "aaa"]


@DESIGNS
def test_the_drawing_has_a_dot_for_each_membership(design):
    machine, page = moved_family(design)
    picture = structure(machine, page)
    fig = draw(picture, "drawn")
    axes = fig.axes[0]
    dots = sum(isinstance(patch, Circle) for patch in axes.patches)
    numbers = [text for text in axes.texts if text.get_text().replace("-", "").isdigit()]
    rows = {(edge["source"] if "chain" in edge["source"] else "direct", edge["target"]) if design == "pte_chain"
            else (edge["source"], edge["target"]) for edge in picture["edges"] if edge["kind"] == "member"}
    assert dots + len(numbers) >= len(rows)
    assert len(numbers) == sum("visit" in edge for edge in picture["edges"])
    plt.close(fig)


@DESIGNS
@pytest.mark.parametrize("processes, pages", [(3, 4), (12, 4), (12, 300), (40, 300)])
def test_no_label_covers_another(design, processes, pages):
    machine, page = moved_family(design, processes, pages)
    fig = draw(structure(machine, page), f"{design}: a title that says what is to be seen in this picture")
    renderer = fig.canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in fig.axes[0].texts if text.get_text()]
    width, height = fig.bbox.width, fig.bbox.height
    for label, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, f"{label!r} leaves the figure"
    for (one, a), (other, b) in combinations(boxes, 2):
        across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 1.5 or down < 1.5, f"{one!r} covers {other!r}"
    plt.close(fig)


def test_more_objects_than_fit_are_counted():
    machine, page = moved_family("pte_chain", processes=30, pages=40)
    fig = draw(structure(machine, page, processes=30), "many")
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert any("Not drawn" in text for text in texts)
    assert sum(text in ("page", "pages") for text in texts) == OBJECTS
    plt.close(fig)
