"""The model's reverse-map walks against a real kernel's, as data/walks/record.py recorded them."""

import gzip
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rmapmodel.events import AnyEvent, Header
from rmapmodel.index.interval_tree import IntervalTree
from rmapmodel.strategies.anon_vma_chain import AnonVmaChainStrategy
from rmapmodel.study.replay import Options, machine_for
from rmapmodel.vm.frames import FIRST
from rmapmodel.vm.vma import ACCESS, PAGE

OBSERVED = Path(__file__).parents[2] / "data" / "observations" / "walks-6.1.176.jsonl.gz"
AREA, NEW, HEAP = 0x10000000, 0x20000000, 0x30000000    # of data/walks/record.py: fork_server


@pytest.fixture(scope="module")
def observations():
    with gzip.open(OBSERVED, "rt") as lines:
        return [json.loads(line) for line in lines]


def replayed(row, kernel=None):
    """Yields (probe, machine) when the machine has executed the events before the probe; (None, machine) at the end."""
    machine = machine_for(Header(version=1), "anon_vma_chain", Options(kernel=kernel or row["kernel"]))
    done = 0
    for probe in row["probes"]:
        for event in row["events"][done:probe["after"]]:
            machine.apply(msgspec.convert(event, AnyEvent))
        done = probe["after"]
        yield probe, machine
    for event in row["events"][done:]:
        machine.apply(msgspec.convert(event, AnyEvent))
    yield None, machine


def visited(probe):
    """(pid, start) of each vma of the observed walk that does not stop early."""
    return [(pid + i, start) for pid, n, start in probe["visits"] for i in range(n)]


def walked(machine, probe):
    """(examined, candidates, visits up to the last mapping) of the model's walk for the page that was probed."""
    frame = machine.processes[probe["pid"]].table.at(probe["addr"] // PAGE)
    log = []
    walk = machine.strategy.walk(np.array([frame]), log)
    visits = [(pid, visit["start"]) for visit in log if visit["visits"] == "vm_area_struct" for pid in visit["pids"]]
    return int(walk.examined[0]), int(walk.candidates[0]), visits


def observed(probe):
    return probe["examined"], probe["candidates"], visited(probe)[:probe["examined"]]


def differs(rows, kernel=None):
    """Whether the model answers a probe of these rows otherwise than the kernel did."""
    return any(probe and walked(machine, probe) != observed(probe)
               for row in rows for probe, machine in replayed(row, kernel))


def test_every_walk_visits_the_vmas_that_the_kernel_visited_in_its_order(observations):
    probes = 0
    for row in observations:
        for probe, machine in replayed(row):
            if probe is None:
                assert not machine.refused
                continue
            probes += 1
            assert walked(machine, probe) == observed(probe), (row["case"], row["parameters"], probe)
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


def test_what_the_kernel_visits_for_each_origin_of_a_page(observations):
    """Fork servers without exits, of 1 to 200 children: visits with early stop and without."""
    sizes = []
    for row in observations:
        if row["case"] != "fork_server" or row["parameters"]["ended"]:
            continue
        everyone = row["parameters"]["children"] + 1
        sizes.append(everyone - 1)
        for probe in row["probes"]:
            cost, child = (probe["examined"], probe["candidates"]), probe["pid"] > 1
            if probe["addr"] in (AREA, HEAP):  # shared since before the fork
                assert cost == (everyone, everyone)
            elif probe["addr"] == AREA + PAGE:  # copied in a child; the parent keeps the old one
                assert cost == ((1, 1) if child else (1, everyone))
            elif probe["addr"] == AREA + 2 * PAGE and not child:  # copied by the parent, into its old anon_vma
                assert cost == (1, everyone)
            elif probe["addr"] in (AREA + 4 * PAGE, NEW, HEAP + PAGE, HEAP + 2 * PAGE, HEAP + 3 * PAGE):
                assert cost == (1, 1)  # new in a child, in any vma
    assert sizes == [1, 2, 3, 5, 10, 20, 50, 100, 150, 200]


@pytest.mark.parametrize("wrong, case", [("6.18", "random_events"), ("5.18", "fork_tree"), ("3.18", "fork_tree"),
                                         ("2.6.34", "fork_server")])
def test_the_rules_of_another_kernel_are_told_apart(observations, wrong, case):
    assert differs([row for row in observations if row["case"] == case], wrong)


@pytest.mark.parametrize("owner, method, wrong, case", [
    (AnonVmaChainStrategy, "reused", lambda *_: None, "fork_tree"),
    (AnonVmaChainStrategy, "may_reuse", lambda *_: False, "fork_tree"),
    (AnonVmaChainStrategy, "reinsert", lambda *_: None, "split_flood"),
    (IntervalTree, "insert_after", lambda tree, entry, start, last, _: tree.insert(entry, start, last), "windows")],
    ids=["reused", "may_reuse", "reinsert", "insert_after"])
def test_a_fault_in_the_model_is_noticed(observations, monkeypatch, owner, method, wrong, case):
    monkeypatch.setattr(owner, method, wrong)
    assert differs([row for row in observations if row["case"] == case])
