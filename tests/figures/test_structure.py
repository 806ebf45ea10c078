"""Structures: what the data of a diagram says, against the machine and the ledger."""

from collections import Counter

import pytest

from rmapmodel.events import Exit, Fork, Header, Mmap, Read, RemapFilePages, Spawn, Swapout, Write
from rmapmodel.figures.diagram import sheet
from rmapmodel.figures.structure import ALL_VMAS, PAGES, PROCESSES, name_of, structure, table, unwalked
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.replay import replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

BASE = 0x10000000
DESIGNS = pytest.mark.parametrize("design", STRATEGIES)
CHAINED = ("pte_chain", "objrmap")
"""The designs in which an anonymous page points to ptes."""
COPIES = ("anonmm_copy",)
"""Those in which mremap copies what it moves and another process maps: what moved has one mapping."""


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
    # the parent's four, two that each child copied; each child copies the shared one of the two it moves
    assert nodes["page"] == machine.frames.alive == 4 + 2 * 2 + 2 * (design in COPIES)
    for kind in ("anon_vma", "anonmm", "address_space", "cow_context", "remap_record"):
        assert nodes[kind] == alive.get(kind, 0)
    for kind in ("pte_chain", "rmap_chain"):
        assert sum(node["count"] for node in picture["nodes"] if node["kind"] == kind) == alive.get(kind, 0)


@DESIGNS
def test_edges_are_mappings_and_memberships(design):
    machine, _ = moved_family(design)
    picture = structure(machine)
    edges = kinds(picture, "edges")
    members = {"page_table_scan": 0, "pte_chain": machine.mappings, "objrmap": machine.mappings,
               "anonmm": 3, "anonmm_copy": 3, "anonmm_remap": 3, "anon_vma": 5, "shared_space": 5,
               "shared_space_unique": 5, "anon_vma_chain": machine.ledger.alive().get("anon_vma_chain"),
               "cow_context": 3}
    assert edges["pte"] == machine.mappings == 12
    assert edges["vma"] == 5
    assert edges["member"] == members[design]
    assert edges["mapping"] == (0 if design in (*CHAINED, "page_table_scan") else machine.frames.alive)
    assert edges["chain"] == {"pte_chain": 2, "objrmap": 2, "anonmm": 1}.get(design, 0)
    # each child moves once: a record for each move, of the family or in the context of the child
    assert edges["record"] == {"anonmm_remap": 2, "cow_context": 2}.get(design, 0)
    assert edges["family"] == (2 if design.startswith("anonmm") else 0)
    assert edges["child"] == (2 if design == "cow_context" else 0)
    assert len(table(picture)) == len(picture["edges"])


@DESIGNS
def test_a_walk_is_numbered_as_it_goes_and_ends_at_every_mapping(design):
    machine, page = moved_family(design)
    picture = structure(machine, page)
    visits = sorted(visit for edge in picture["edges"] for visit in edge.get("visit", ()))
    cost = picture["walk"]["cost"]
    assert [order for order, _ in visits] == list(range(1, picture["walk"]["visits"] + 1))
    assert sum(outcome == "maps it" for _, outcome in visits) == cost["mappings"] == (1 if design in COPIES else 3)
    if design == "page_table_scan":  # what it counts are the ptes it passes, what it visits are page tables
        assert len(visits) == 3 and cost["ptes_examined"] > 3
    else:
        looked_at = "ptes_examined" if design.startswith("anonmm") or design in CHAINED else "vmas_examined"
        assert len(visits) == cost[looked_at]


def test_records_tell_where_pages_went():
    # children 2 and 3 each move the first two of four pages, to places one page beyond the last
    start = BASE // 4096
    family, _ = moved_family("anonmm_remap")
    found = [(node["start"], node["end"], node["new"]) for node in structure(family)["nodes"]
             if node["kind"] == "remap_record"]
    assert sorted(found) == [(start, start + 2, start + 5), (start, start + 2, start + 8)]
    tree, _ = moved_family("cow_context")
    picture = structure(tree)
    held = {node["id"]: (node["start"], node["end"], node["deltas"]) for node in picture["nodes"]
            if node["kind"] == "remap_record"}
    assert {edge["source"]: held[edge["target"]] for edge in picture["edges"] if edge["kind"] == "record"} == {
        "cow_context 2": (start, start + 2, [5]), "cow_context 3": (start, start + 2, [8])}
    texts = [shape.text for shape in sheet(picture, "records").shapes if hasattr(shape, "text")]
    assert f"{start:#x}-{start + 1:x} at +0x5" in texts and "cow_context 2, parent 1" in texts


def test_slices_are_those_of_the_processes_shown():
    machine, _ = moved_family("shared_space_unique")
    space, = (node for node in structure(machine)["nodes"] if node["kind"] == "address_space")
    size = machine.strategy.slice
    assert space["slices"] == {1: 0, 2: size, 3: 2 * size}


def test_a_dead_generation_still_links_the_living():
    events = [Spawn(1), Mmap(1, BASE, 4096, "rw-", ["private", "anonymous"]), Write(1, BASE, 4096),
              Fork(1, 2), Fork(2, 3), Exit(2)]
    picture = structure(replay(InMemory(Header(version=1), events), "cow_context").machine)
    parents = {node["number"]: (node["parent"], node["dead"]) for node in picture["nodes"]
               if node["kind"] == "cow_context"}
    # the middle one finds nothing and holds no page: it is counted, not drawn
    assert parents == {1: (1, False), 3: (2, False)} and picture["more"]["cow_context"] == 1


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
    # the page walked; the parent's four stretches, two copied stretches of each child; what moves is copied makes it
    # three of the parent's and three of each child
    assert len(pages) == 1 + (3 + 2 * 3 if design in COPIES else 4 + 2 * 2)
    assert all(node["name"].isupper() == (node["count"] > 1) for node in pages)
    assert [node["count"] for node in pages if node["id"] == picture["walk"]["page"]] == [1]
    assert sum(edge["pages"] for edge in picture["edges"] if edge["kind"] == "pte") == machine.mappings


def visits(picture):
    """How many visits of the walk the edges show, and how many are counted where something is left out."""
    places = [node[place] for node in picture["nodes"] if node["kind"] == "mm_struct" for place in ("left_out", "before")]
    on_edges = [visit for edge in picture["edges"] for visit in edge.get("visit", ())]
    hits = sum(outcome == "maps it" for _, outcome in on_edges) + sum(place["found"] for place in places)
    return len(on_edges) + sum(place["visits"] for place in places), hits


@DESIGNS
def test_processes_beyond_the_limit_are_counted(design):
    machine, page = moved_family(design, processes=30)
    picture = structure(machine, page)
    assert kinds(picture)["mm_struct"] == PROCESSES
    assert picture["more"]["mm_struct"] == 30 - PROCESSES
    assert kinds(picture)["vm_area_struct"] + picture["more"]["vm_area_struct"] == 59
    shown = {node["id"] for node in picture["nodes"]}
    assert all({edge["source"], edge["target"]} <= shown for edge in picture["edges"])
    assert visits(picture) == (picture["walk"]["visits"], picture["walk"]["cost"]["mappings"])


@DESIGNS
def test_a_process_in_the_middle_is_shown_if_its_page_is_walked(design):
    machine, _ = moved_family(design, processes=30)
    mm = machine.mm_of(17)
    picture = structure(machine, (17, mm.vmas[-1].start * 4096))
    numbers = [node["number"] for node in picture["nodes"] if node["kind"] == "mm_struct"]
    assert numbers == [*range(1, 10), 17, 29, 30]
    between = {node["number"]: node["before"]["mm_struct"] for node in picture["nodes"] if node["kind"] == "mm_struct"}
    assert {number: count for number, count in between.items() if count} == {17: 7, 29: 11}
    walked = {edge["source"] for edge in picture["edges"] if edge["target"] == picture["walk"]["page"]}
    assert f"vma 17:{mm.vmas[-1].start:x}" in walked
    assert visits(picture) == (picture["walk"]["visits"], picture["walk"]["cost"]["mappings"])


@DESIGNS
def test_areas_beyond_the_limit_are_counted_and_that_of_the_page_walked_is_shown(design):
    trace = InMemory(*generate("fork_server", children=11, vmas=40, pages=2, written=1))
    machine = replay(trace, design).machine
    last = machine.mm_of(1).vmas[-1]
    picture = structure(machine, (1, last.start * 4096))
    assert kinds(picture)["vm_area_struct"] == ALL_VMAS == 24
    areas = Counter(node["mm"] for node in picture["nodes"] if node["kind"] == "vm_area_struct")
    left = {node["number"]: node["left_out"]["vm_area_struct"] for node in picture["nodes"] if node["kind"] == "mm_struct"}
    assert all(areas[number] + left[number] == 40 for number in left) and picture["more"]["vm_area_struct"] == 12 * 38
    assert f"vma 1:{last.start:x}" in {node["id"] for node in picture["nodes"]}
    shown = sum(node["count"] for node in picture["nodes"] if node["kind"] == "page")
    assert shown + picture["more"]["page"] == machine.frames.alive


@DESIGNS
def test_file_pages_hang_off_their_file(design):
    events = [Spawn(1), Mmap(1, BASE, 8192, "rw-", ["private"], "/lib/a.so"), Read(1, BASE, 8192), Write(1, BASE, 4096),
              Mmap(1, BASE + 16384, 4096, "rw-", ["shared", "anonymous"]), Write(1, BASE + 16384, 4096), Fork(1, 2)]
    picture = structure(replay(InMemory(Header(version=1), events), design).machine)
    names = sorted(node["name"] for node in picture["nodes"] if node["kind"] == "file")
    assert names == ([] if design in ("pte_chain", "page_table_scan") else ["/lib/a.so", "shmem 2"])
    assert sheet(picture, "files").shapes


def nonlinear(design):
    """Page 3 of a file of four mapped at the first place of its area, too, by remap_file_pages of 2.6.11."""
    events = [Spawn(1), Mmap(1, BASE, 4 * 4096, "rw-", ["shared"], "/data"), Read(1, BASE, 4 * 4096),
              RemapFilePages(1, BASE, 4096, 3)]
    picture = structure(replay(InMemory(Header(version=1, kernel="2.6.11"), events), design).machine, (1, BASE))
    assert sheet(picture, "nonlinear").shapes
    return picture


def test_objrmap_chains_a_page_that_a_nonlinear_area_maps():
    picture = nonlinear("objrmap")
    walked = picture["walk"]["page"]
    leads = {edge["source"]: edge["kind"] for edge in picture["edges"] if edge["kind"] in ("mapping", "chain")}
    # pages 1 and 2 are where the file's area says; page 3, at the places of 0 and of itself, has a chain of two ptes
    assert leads.pop(walked) == "chain" and list(leads.values()) == ["mapping", "mapping"]
    assert sum((edge["kind"], edge["source"]) == ("member", f"pte_chain of {walked}") for edge in picture["edges"]) == 2
    assert picture["walk"]["cost"]["mappings"] == 2


@pytest.mark.parametrize("design", ["anonmm", "anon_vma"])
def test_a_file_finds_its_nonlinear_areas(design):
    picture = nonlinear(design)
    members = [edge for edge in picture["edges"] if edge["kind"] == "member" and edge["source"] == "file 1"]
    # anon_vma has it on the list that is swept when all else failed, anonmm tries the chained addresses in its mm
    assert len(members) == 1
    assert [outcome for _, outcome in members[0]["visit"]][-1] == "maps it" and picture["walk"]["cost"]["mappings"] == 2


@DESIGNS
def test_a_dead_mm_and_an_empty_machine_can_be_drawn(design):
    events = [Spawn(1), Mmap(1, BASE, 8192, "rw-", ["private", "anonymous"]), Write(1, BASE, 8192), Fork(1, 2), Exit(1)]
    for count in (0, len(events)):
        assert sheet(structure(replay(InMemory(Header(version=1), events[:count]), design).machine), "little").shapes


def test_marks_are_runs():
    events = [Spawn(1), Mmap(1, BASE, 100 * 4096, "rw-", ["private", "anonymous"]), Write(1, BASE, 4 * 4096),
              Read(1, BASE + 4 * 4096, 80 * 4096), Swapout(1, BASE, 2 * 4096)]
    picture = structure(replay(InMemory(Header(version=1), events), "anon_vma").machine)
    area, = (node for node in picture["nodes"] if node["kind"] == "vm_area_struct")
    assert area["marks"] == [(BASE // 4096, 2, "s"), (BASE // 4096 + 4, 80, "z")]


@DESIGNS
def test_before_its_walk_a_structure_says_only_which_page(design):
    machine, page = moved_family(design, processes=30)
    picture = structure(machine, page)
    bare = unwalked(picture)
    assert bare["walk"] == {"page": picture["walk"]["page"], "visits": 0, "cost": None}
    assert visits(bare) == (0, 0) and visits(picture)[0] > 0
    assert [{key: edge[key] for key in edge if key != "visit"} for edge in picture["edges"]] == bare["edges"]
    assert unwalked(structure(machine))["walk"] is None


def test_names_are_letters_in_order():
    assert [name_of(frame) for frame in (2, 27, 28, 2 + 26 + 26 * 26)] == ["a", "z", "aa", "aaa"]
