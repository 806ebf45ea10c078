"""Merging: what becomes of a try, counted by hand; and histories that every design gets right."""

import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Fork, Header, Mmap, Mprotect, Mremap, Munmap, Spawn, Write
from rmapmodel.strategies import STRATEGIES
from rmapmodel.strategies.anon_vma import AnonVmaStrategy
from rmapmodel.study.eras import releases, shipped, spans
from rmapmodel.study.merging import BY_DESIGN, JOINED, fewest, left_by_histories, merging, reasons
from rmapmodel.study.program import SHORT, recorded
from rmapmodel.study.replay import Options, replay
from rmapmodel.trace.histories import HISTORIES, history
from rmapmodel.trace.memory import InMemory

P, A, B = 4096, 0x10000000, 0x20000000
ANON = ["private", "anonymous"]


def told(events, design="anon_vma_chain", kernel="7.0"):
    return merging(InMemory(Header(version=1), [Spawn(1), *events]), design, Options(kernel=kernel))


def area(page, prot="rw-", pages=1, pid=1):
    return Mmap(pid, A + page * P, pages * P, prot, ANON)


def write(page, pages=1, pid=1):
    return Write(pid, A + page * P, pages * P)


def move(page, to, pages=1, new_pages=None):
    return Mremap(1, A + page * P, pages * P, to, (new_pages or pages) * P, ["maymove", "fixed"])


TOUCHED = [area(0), write(0)]


@pytest.mark.parametrize("events, tries", [
    ([area(0), area(1)], {("new", JOINED): 1}),
    ([area(0), area(2)], {}),  # nothing touches
    ([area(0), area(1, "r--")], {("new", "flags"): 1}),
    ([area(0), Mmap(1, A + P, P, "rw-", ["private"], "f")], {("new", "file"): 1}),
    ([Mmap(1, A + page * P, P, "rw-", ["private"], "f", 3 * page * P) for page in (0, 1)], {("new", "file"): 1}),
    # a filler between two objects joins the lower, and the upper is refused
    ([*TOUCHED, area(2), write(2), area(1)], {("new", JOINED): 1, ("new", "two objects"): 1}),
    ([*TOUCHED, Mmap(1, B, P, "rw-", ANON), Write(1, B, P), Mremap(1, B, P, A + P, P, ["maymove", "fixed"])],
     {("moved", "offset"): 1}),
    ([*TOUCHED, Fork(1, 2), area(1, pid=2)], {("new", "forked"): 1}),
    ([*TOUCHED, Fork(1, 2), area(1)], {("new", JOINED): 1}),
    # in place it grows over nothing, and meets the one behind
    ([*TOUCHED, area(2), Mremap(1, A, P, A, 2 * P)], {("grown", JOINED): 1}),
    ([*TOUCHED, area(2, "r--"), Mremap(1, A, P, A, 2 * P)], {("grown", "flags"): 1}),
    # its upper half becomes like the page behind, not like the lower half
    ([area(0, pages=2), area(2, "r--"), Mprotect(1, A + P, P, "r--")], {("new", "flags"): 1, ("changed", JOINED): 1}),
])
def test_what_becomes_of_a_try(events, tries):
    assert told(events).tries == tries


@pytest.mark.parametrize("kernel, reason", [("2.6.39", JOINED), ("3.0", "untouched neighbour"), ("6.15", "untouched neighbour"),
                                            ("6.16", JOINED)])
def test_the_mistake_of_3_0_is_told_from_what_a_fork_left(kernel, reason):
    events = [area(0), area(1, "rwx"), write(1), Mprotect(1, A + P, P, "rw-")]
    assert told(events, kernel=kernel).tries == {("new", "flags"): 1, ("changed", reason): 1}
    inherited = [area(0), area(1, "rwx"), write(1), Fork(1, 2), Mprotect(2, A + P, P, "rw-")]
    kinds = {"2.6.39": JOINED, "3.0": "forked", "6.15": "forked", "6.16": "forked"}
    assert told(inherited, kernel=kernel).tries["changed", kinds[kernel]] == 1


def test_refusals_of_shared_memory_are_told_from_others():
    apart = [*TOUCHED, area(2), write(2)]
    assert told([*apart, area(1)]).shared == 0
    assert told([*apart, Fork(1, 2), area(1)]).shared == 1  # the filler meets the inherited page above
    assert told([*apart, Fork(1, 2), write(0), write(2), area(1)]).shared == 0  # copied by the parent meanwhile


def test_splits_and_peaks():
    noted = told([area(0, pages=3), Munmap(1, A + P, P), Munmap(1, A, 3 * P)])
    assert (noted.splits, noted.peak_vmas, fewest(noted.machine)) == (2, 2, 0)


@pytest.mark.parametrize("design", STRATEGIES)
@pytest.mark.parametrize("name", HISTORIES)
def test_watching_changes_nothing(name, design):
    watched = merging(history(name, 6), design)
    plain = replay(history(name, 6), design)
    assert watched.machine.ledger.alive() == plain.machine.ledger.alive()
    watched.machine.check()
    assert fewest(watched.machine) <= watched.machine.ledger.alive()["vm_area_struct"]


def test_what_histories_leave_by_hand():
    """Eight pieces. Filled holes leave a vma for each area that was touched apart, moves one for each piece."""
    rows = left_by_histories([8], ["7.0"]).set_index(["history", "strategy"]).beyond
    free = ["page_table_scan", "pte_chain", "objrmap", "anonmm", "anonmm_copy", "anonmm_remap"]
    assert (rows.loc[:, free] == 0).all()
    losses = {name: rows[name][rows[name] > 0].to_dict() for name in HISTORIES}
    assert {name: lost for name, lost in losses.items() if lost} == {
        "forked heap": {"shared_space_unique": 1, "anon_vma_chain": 1},
        "holes filled, touched": {"anon_vma": 3, "anon_vma_chain": 3},
        "reserve and commit": {"anon_vma": 3, "anon_vma_chain": 3},
        "split before fork": {"anon_vma_chain": 7},
        "moved together, touched": dict.fromkeys(
            ["anon_vma", "shared_space", "shared_space_unique", "anon_vma_chain", "cow_context"], 7),
        "moved together, untouched": {"shared_space": 7, "shared_space_unique": 7}}


def test_neighbours_that_do_not_share_an_object_stay_apart():
    class WithoutSharing(AnonVmaStrategy):
        def mergeable_anon_vma(self, vma):
            return None

    made_alike = history("touched, then made alike", 8)
    assert [merging(made_alike, design).machine.ledger.alive()["vm_area_struct"]
            for design in ("anon_vma", WithoutSharing)] == [1, 8]


def test_reasons_is_a_table_of_all_tries():
    noted = told([*TOUCHED, area(2), write(2), area(1)])
    row = reasons({("t", "anon_vma_chain"): noted}).iloc[0]
    assert (row.trace, row.strategy, row.joined, row["two objects"]) == ("t", "anon_vma_chain", 1, 1)
    assert row[list(BY_DESIGN)].sum() == noted.count(*BY_DESIGN) == 1


def test_what_shipped_changes_with_three_releases():
    designs = [shipped(kernel) for kernel in releases()]
    assert [kernel for kernel, one, next in zip(releases()[1:], designs, designs[1:]) if one != next] == ["2.6.7", "2.6.34"]
    assert shipped("2.5.26") == "page_table_scan" and shipped("2.5.27") == "pte_chain"


def test_spans_are_runs_of_neighbours():
    assert spans(["a", "b", "c", "d"], ["a", "b", "d"]) == ["a to b", "d"]
    assert spans(["a", "b"], []) == []


def test_recorded_programs_are_found_by_name():
    assert recorded(["nginx"])["nginx"].header.arch == "x86_64"
    assert tuple(recorded()) == SHORT and len(recorded(["git-gc", "nginx"])) == 2
    with pytest.raises(InputError, match="realloc-loop"):
        recorded(["ngin"])
