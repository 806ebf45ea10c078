"""The model's reverse-map walks against a real kernel's, as data/walks/record.py recorded them."""

import pytest

from rmapmodel.index.interval_tree import IntervalTree
from rmapmodel.strategies.anon_vma_chain import AnonVmaChainStrategy
from rmapmodel.study.observations import ORIGINS, differs, fork_servers, observed, replayed, seen, told_apart, walked, walks
from rmapmodel.vm.frames import FIRST
from rmapmodel.vm.vma import ACCESS, PAGE


@pytest.fixture(scope="module")
def observations():
    return observed("walks")


def test_every_walk_visits_the_vmas_that_the_kernel_visited_in_its_order(observations):
    probes = 0
    for row in observations:
        for probe, machine in replayed(row):
            if probe is None:
                assert not machine.refused
                continue
            probes += 1
            assert walked(machine, probe) == seen(probe), (row["case"], row["parameters"], probe)
    assert len(observations) == 392 and probes == 7399


def test_the_guest_found_every_frame_that_the_model_has(observations):
    """Where it looked at all there is; what it could not move lies where no access is allowed."""
    without_access = 0
    for row in observations:
        if row["case"] not in ("random_events", "fork_tree"):
            assert not row["unmoved"]
            continue
        *_, (_, machine) = replayed(row)
        tables = {pid: mm.table for pid, mm in machine.processes.items()}
        places = [(probe["pid"], probe["addr"]) for probe in row["probes"]]
        for pid, addr in row["unmoved"]:
            assert not machine.processes[pid].find(addr // PAGE).flags & ACCESS, row["parameters"]
            without_access += 1
        seen = {int(tables[pid].at(addr // PAGE)) for pid, addr in [*places, *map(tuple, row["unmoved"])]}
        there = {int(entry) for mm in machine.processes.values() for vma in mm.vmas
                 for _, entries in mm.table.spans(vma.start, vma.end) for entry in entries if entry >= FIRST}
        assert seen == there, row["parameters"]
    assert without_access == 84


def test_what_the_kernel_visits_for_each_origin_of_a_page():
    """Fork servers without exits, of 1 to 200 children: visits with early stop and without."""
    found = walks(fork_servers())
    assert sorted(set(found.processes - 1)) == [1, 2, 3, 5, 10, 20, 50, 100, 150, 200]
    for _, page in found.dropna(subset="origin").iterrows():
        everyone = page.processes
        assert (page.examined, page.candidates) == {
            "shared by all": (everyone, everyone), "left to the parent": (1, everyone),
            "copied by the parent": (1, everyone)}.get(page.origin, (1, 1))
        assert page.mappings == (everyone if page.origin == "shared by all" else 1)
    assert set(found.origin.dropna()) == set(ORIGINS) and found.alike.all()


@pytest.mark.parametrize("wrong, case", [("6.18", "random_events"), ("5.18", "fork_tree"), ("3.18", "fork_tree"),
                                         ("2.6.34", "fork_server")])
def test_the_rules_of_another_kernel_are_told_apart(observations, wrong, case):
    assert told_apart([row for row in observations if row["case"] == case], [wrong])[wrong]


@pytest.mark.parametrize("owner, method, wrong, case", [
    (AnonVmaChainStrategy, "reused", lambda *_: None, "fork_tree"),
    (AnonVmaChainStrategy, "may_reuse", lambda *_: False, "fork_tree"),
    (AnonVmaChainStrategy, "reinsert", lambda *_: None, "split_flood"),
    (IntervalTree, "insert_after", lambda tree, entry, start, last, _: tree.insert(entry, start, last), "windows")],
    ids=["reused", "may_reuse", "reinsert", "insert_after"])
def test_a_fault_in_the_model_is_noticed(observations, monkeypatch, owner, method, wrong, case):
    monkeypatch.setattr(owner, method, wrong)
    assert any(differs(row) for row in observations if row["case"] == case)
