"""What each design does at each event, by hand and against its ledger."""

import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Header, Mmap, Mremap, Read, Spawn, Swapout, Write
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.added import COLUMNS, added, family, neighbours
from rmapmodel.study.replay import Options, replay
from rmapmodel.trace.memory import InMemory

OPTIONS = Options(arch="i386", kernel="2.6.7")
DESIGNS = pytest.mark.parametrize("name", STRATEGIES)
CHILDREN, AREAS, PAGES = 3, 2, 10


def by_op(name, **changes):
    rows = added(family(CHILDREN, AREAS, PAGES, **changes), name, OPTIONS)
    assert list(rows.columns) == list(COLUMNS)
    return rows.groupby("op")[list(COLUMNS[3:])].sum()


@DESIGNS
def test_it_adds_up_to_what_the_ledger_has(name):
    trace = family(CHILDREN, AREAS, PAGES)
    rows, run = added(trace, name, OPTIONS), replay(trace, name, OPTIONS)
    ledger = run.machine.ledger
    objects = sum(count for kind, count in ledger.alive().items() if kind != "vm_area_struct")
    assert rows.made.sum() - rows.freed.sum() == objects
    assert rows.vmas.sum() == ledger.alive()["vm_area_struct"]
    assert rows.bytes.sum() == run.result()["bytes_design"]["now"]
    assert rows.copied.sum() == ledger.copies and rows.refused.sum() == 0


def test_2_4_does_nothing():
    assert not by_op("page_table_scan")[["made", "freed", "pages", "locks", "copied", "bytes"]].any(axis=None)


@DESIGNS
def test_a_word_for_every_pte_that_comes_or_goes(name):
    """A child inherits 2 * 10 private pages and 20 of the segment; its exit unmaps as many."""
    counted = by_op(name)
    expected = 0 if name == "page_table_scan" else CHILDREN * 2 * AREAS * PAGES
    assert counted.pages["fork"] == counted.pages["exit"] == expected


def test_mremap():
    """Each child moves an area of 10 pages, of which 5 are still shared."""
    words = {name: by_op(name).pages["mremap"] / CHILDREN for name in STRATEGIES}
    assert words == {**dict.fromkeys(STRATEGIES, 0), "pte_chain": 10, "objrmap": 10, "anonmm": 10,
                     # 5 pages lose a mapping, 5 copies are new, 10 get their index
                     "anonmm_copy": 20}
    made = {name: by_op(name).made["mremap"] for name in STRATEGIES}
    # 5 chains that all three children share; a record for the family; one for each context; two AVCs for each new vma.
    # pte_chain: of the 5 shared pages the first child's move frees and makes no element (4 mappings fit in one)
    assert {name: count for name, count in made.items() if count} == {
        "anonmm": 5, "anonmm_remap": 1, "anon_vma_chain": 2 * CHILDREN, "cow_context": CHILDREN}


def test_a_moved_file_mapping_is_news_to_chains_alone():
    base, away = 0x40000000, 0x60000000
    size = 3 * 4096
    trace = InMemory(Header(version=1), [Spawn(1), Mmap(1, base, size, "rw-", ["shared"], "f"), Write(1, base, size),
                                         Mremap(1, base, size, away, size, ["maymove"])])
    words = {name: added(trace, name, OPTIONS).pages.iloc[-1] for name in STRATEGIES}
    assert words == {**dict.fromkeys(STRATEGIES, 0), "pte_chain": 3}


def test_a_word_for_each_page_that_is_read_back():
    base = 0x40000000
    trace = InMemory(Header(version=1), [Spawn(1), Mmap(1, base, 3 * 4096, "rw-", ["private", "anonymous"]),
                                         Write(1, base, 3 * 4096), Swapout(), Read(1, base, 3 * 4096)])
    for name in STRATEGIES:
        words = added(trace, name, OPTIONS).pages.tolist()
        assert words == ([0] * 5 if name == "page_table_scan" else [0, 0, 3, 3, 3])


def test_nothing_written_and_all_written():
    assert by_op("anonmm_copy", written=0.0).copied["mremap"] == CHILDREN * PAGES
    assert by_op("anonmm_copy", written=1.0).copied["mremap"] == 0


def test_neighbours_by_a_move():
    one = {name for name in STRATEGIES if added(neighbours(), name, OPTIONS).vmas.sum() == 1}
    assert one == {"page_table_scan", "pte_chain", "objrmap", "anonmm", "anonmm_copy", "anonmm_remap"}
    refused = {name for name in STRATEGIES if added(neighbours(), name, OPTIONS).refused.sum()}
    assert refused == set(STRATEGIES) - one


@pytest.mark.parametrize("areas, pages", [(129, 1024), (1, 1025)])
def test_areas_that_do_not_fit(areas, pages):
    family(1, 128, 1024)
    with pytest.raises(InputError):
        family(1, areas, pages)
