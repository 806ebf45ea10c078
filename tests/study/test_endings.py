"""What moves leave after each ending, against cases that can be counted by hand."""

import pytest

from rmapmodel.events import Reclaim
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.endings import ENDINGS, Family, endings
from rmapmodel.study.replay import replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

CHAIN, RECORD, COUNT, COW_RECORD = 64, 48, 4, 32  # bytes on x86_64


def moved(moves=3, processes=3, pages=5):
    return InMemory(*generate("mremap_repeated", processes=processes, pages=pages, moves=moves))


def left(name, **arguments):
    return endings(moved(**arguments), [name]).set_index("ending")


def test_a_family_knows_where_everybody_is():
    family = Family(moved(moves=1, processes=3, pages=5))
    step = 6 * 4096
    assert family.places == {1: family.home, 2: family.home + step, 3: family.home + 2 * step}
    assert family.length == 5 * 4096
    assert Family(moved(moves=0)).movers == {2: family.home, 3: family.home}


def test_chains_end_with_the_page():
    rows = left("anonmm")  # six addresses and the count fill one element
    assert set(rows.left[list(ENDINGS)[:8]]) == {5 * CHAIN}
    assert rows.left["all is swapped out"] == rows.left["everyone exits"] == 0
    assert rows.left["... and read back"] == 5 * CHAIN
    assert (left("anonmm", moves=4).left["nothing more"], left("anonmm", moves=4).left["... and read back"]) == (
        2 * 5 * CHAIN, 5 * CHAIN)
    assert (rows.pages == 0).all()


def test_records_of_a_family_end_with_it():
    rows = left("anonmm_remap")
    assert set(rows.left.drop(["movers move back", "everyone exits"])) == {6 * RECORD}
    assert rows.left["movers move back"] == 8 * RECORD and rows.left["everyone exits"] == 0


def test_records_of_a_process_end_with_the_area():
    rows = left("cow_context")
    gone = {"movers move back", "movers unmap it", "movers exec", "movers exit", "everyone exits"}
    assert set(rows.left[list(gone)]) == {0} and set(rows.left.drop(gone)) == {2 * COW_RECORD}


def test_copies_end_with_the_mover():
    rows = left("anonmm_copy")
    assert rows.pages["nothing more"] == rows.pages["movers move back"] == 2 * 5
    assert rows.left["nothing more"] == 2 * 5 * COUNT
    # one mover's copy takes the place of the page that the parent gave up
    assert rows.pages["only movers are left"] == 5
    assert set(rows.pages[["movers write all of it", "movers unmap it", "movers exec", "movers exit"]]) == {0}


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"anonmm", "anonmm_copy", "anonmm_remap", "cow_context"}))
def test_moves_of_whole_areas_leave_nothing_else(name):
    rows = left(name)
    assert (rows[["left", "pages"]] == 0).all(axis=None)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_lookup_holds_after_every_ending(name, ending):
    trace = moved().where(lambda event: not isinstance(event, Reclaim))
    machine = replay(InMemory(trace.header, [*trace.events, *ENDINGS[ending](Family(trace))]), name).machine
    machine.check()
