"""Operations against what each design's description says it does, counted by hand."""

import pytest

from rmapmodel.events import Header, Mmap, Read, RemapFilePages, Spawn
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.moves import away_from_index, away_from_offset
from rmapmodel.study.operations import AREA, COUNTS, KINDS, MOVES, OPERATIONS, WORK, Scene, grows, measure, operate, table
from rmapmodel.study.replay import Options, replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.vm.vma import PAGE

DESIGNS = pytest.mark.parametrize("design", STRATEGIES)


def did(design, name, processes=3, pages=4, **scene):
    """(objects, holds, pages, copied) of one operation."""
    counts = operate(name, design, Scene(processes, pages, **scene))
    return tuple(counts[key] for key in WORK)


@pytest.mark.parametrize("moved", [False, True])
@DESIGNS
def test_a_scene_is_sound_and_alike_where_it_moved(design, moved):
    scene = Scene(3, 4, moved, others=2)
    machine = replay(InMemory(Header(version=1), scene.events), design).machine
    machine.check()
    at = {(vma.start, vma.end) for vma in machine.mm_of(3).vmas}
    assert at == {(vma.start, vma.end) for vma in
                  replay(InMemory(Header(version=1), Scene(3, 4, others=2).events), design).machine.mm_of(3).vmas}


@pytest.mark.parametrize("design, name, work", [
    # by mm: an object and the family's list at fork and exit, a chain and its address for each shared page that moves
    ("anonmm", "fork", (1, 1, 0, 0)), ("anonmm", "exit", (1, 1, 0, 0)), ("anonmm", "split", (0, 0, 0, 0)),
    ("anonmm", "move", (4, 0, 4, 0)), ("anonmm", "move half", (2, 0, 2, 0)), ("anonmm", "munmap", (0, 0, 0, 0)),
    # a copy is written when it is made and again when it moves
    ("anonmm_copy", "move", (0, 0, 8, 4)), ("anonmm_copy", "split", (0, 0, 0, 0)),
    ("anonmm_remap", "move", (1, 1, 0, 0)), ("cow_context", "move", (1, 1, 0, 0)),
    # by vma: heap, stack and area at fork; both parts of a split in one hold; the copy and the source of a move
    ("anon_vma", "fork", (0, 3, 0, 0)), ("anon_vma", "split", (0, 1, 0, 0)), ("anon_vma", "move", (0, 2, 0, 0)),
    ("anon_vma", "mmap apart", (0, 0, 0, 0)), ("anon_vma", "first write", (1, 1, 1, 0)), ("anon_vma", "further write", (0, 0, 1, 0)),
    ("shared_space", "mmap apart", (0, 1, 0, 0)), ("shared_space", "first write", (0, 0, 1, 0)),
    # a forked vma has two AVCs: the fork of it makes three and an anon_vma, in two holds, for each of three vmas
    ("anon_vma_chain", "fork", (12, 6, 0, 0)), ("anon_vma_chain", "split", (2, 2, 0, 0)), ("anon_vma_chain", "move", (4, 2, 0, 0)),
    ("pte_chain", "fork", (0, 0, 6, 0)), ("pte_chain", "move", (0, 0, 4, 0)), ("pte_chain", "munmap half", (0, 0, 2, 0)),
    ("page_table_scan", "fork", (0, 0, 0, 0)), ("page_table_scan", "move", (0, 0, 0, 0)),
])
def test_what_an_operation_makes_a_design_do(design, name, work):
    assert did(design, name) == work


@pytest.mark.parametrize("design", ["page_table_scan", "pte_chain", "objrmap", "anon_vma", "shared_space", "anon_vma_chain"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_moved_memory_is_worked_on_like_any_other(design, name):
    there, moved = (operate(name, design, Scene(3, 4, moved)) for moved in (False, True))
    apart = name == "mmap above it" and design in ("anon_vma", "shared_space")
    assert moved == {**there, "vmas": there["vmas"] + apart}


def test_chains_make_lookups_of_moved_memory_longer():
    # three processes: the index and one chained address are looked at in each, of four pages
    there, moved = (operate("lookup", "anonmm", Scene(3, 4, moved))["probes"] for moved in (False, True))
    others = 2 * 3  # heap and stack, mapped by three
    assert (there, moved) == (others + 4 * 3, others + 4 * 3 * 2)


def test_a_lone_process_owns_what_it_moves():
    assert did("anonmm", "move", processes=1) == (0, 0, 4, 0) == did("anonmm_copy", "move", processes=1)


def test_measures_and_what_grows():
    rows = measure(2, 4, strategies=["anonmm", "anon_vma", "pte_chain"], options=Options(kernel="2.6.11"))
    assert len(rows) == 3 * len(OPERATIONS) and set(COUNTS) < set(rows.columns)
    assert (rows.work == rows[list(WORK)].sum(axis=1)).all()
    once, many, long = (table(measure(*size, strategies=["anonmm", "anon_vma", "pte_chain"]), "work")
                        for size in ((2, 4), (4, 4), (2, 8)))
    areas = table(measure(2, 4, others=2, strategies=["anonmm", "anon_vma", "pte_chain"]), "work")
    classes = grows(once, [many, areas], long)
    assert classes.loc["fork"].to_dict() == {"anonmm": 1, "anon_vma": 2, "pte_chain": 3}
    # where anonmm moves back to the index nothing is chained
    assert [classes.loc[name].to_list() for name in MOVES] == [[3, 1, 3], [3, 1, 3], [0, 1, 3]]
    assert classes.loc["split"].to_list() == [0, 1, 0]


@pytest.mark.parametrize("kind", KINDS)
@DESIGNS
def test_everybody_maps_every_page_of_every_kind(design, kind):
    machine = replay(InMemory(Header(version=1), Scene(3, 4, moved=True, kind=kind).events), design).machine
    machine.check()
    assert [machine.mm_of(pid).rss for pid in (1, 2, 3)] == [6, 6, 6]


@pytest.mark.parametrize("name", MOVES)
@DESIGNS
def test_a_file_moves_with_nothing_but_links(design, name):
    counts = operate(name, design, Scene(3, 4, kind="shared file"))
    moved = {"move half": 2}.get(name, 4)
    assert (counts["objects"], counts["pages"], counts["copied"]) == (0, moved if design == "pte_chain" else 0, 0)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("fork", "swap out", "swap in", "stack grows", "brk")])
def test_the_proposal_links_anonymous_memory_as_a_file_is_linked(name):
    file, memory = (operate(name, "shared_space", Scene(3, 4, kind=kind)) for kind in ("shared file", "anonymous"))
    others = 2 * (name == "exit")  # heap and stack are anonymous in both
    if name not in ("first write", "further write", "copy on write"):  # which write a page of their own
        assert memory["holds"] - others == file["file_holds"] and memory["pages"] == file["pages"] == 0


def test_how_a_file_and_its_private_copies_lie():
    moved = {kind: replay(InMemory(Header(version=1), Scene(2, 4, moved=True, kind=kind).events), "anonmm").machine for kind in KINDS}
    assert {kind: away_from_offset(machine) for kind, machine in moved.items()} == dict.fromkeys(KINDS, 0)
    assert {kind: away_from_index(machine) for kind, machine in moved.items()} == {
        "anonymous": 4, "shared file": 0, "private file": 0, "written private file": 4}
    turned = [Spawn(1), Mmap(1, AREA, 4 * PAGE, "rw-", ["shared"], "file"), Read(1, AREA, 4 * PAGE), RemapFilePages(1, AREA, PAGE, 3)]
    assert away_from_offset(replay(InMemory(Header(version=1, kernel="2.6.11"), turned), "anon_vma").machine) == 1
