"""The recorded programs of data/traces, and the tables that are made of them."""

import csv
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from rmapmodel.study import corpus
from rmapmodel.study.replay import replay
from rmapmodel.trace import read
from tests.strategies.test_agreement import TRACES as CHECKED

DATA = Path(__file__).parents[2] / "data"
SCRIPT = DATA / "corpus" / "tables.py"
TRACES = {path.name.split(".")[0]: path for path in sorted((DATA / "traces").glob("*.jsonl*"))}
SMALL = ("nginx", "realloc-loop")


def table(name, folder=DATA / "tables"):
    with open(folder / f"{name}.csv", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("program", [name for name, path in TRACES.items() if path not in CHECKED])
def test_the_model_accepts_all_that_a_program_did(program):
    trace = read(TRACES[program])
    run = replay(trace, "anon_vma_chain")
    assert run.events == sum(1 for _ in trace)
    assert not run.machine.refused and not run.machine.processes
    assert not any(run.machine.ledger.alive().values())


def test_each_program_was_recorded_twice_and_every_process_agreed_with_its_maps():
    runs = defaultdict(list)
    for row in table("recordings"):
        runs[row["program"]].append(row["run"])
        assert int(row["agreeing"]) == int(row["exit_group"]) > 0 and row["unread"] == "0", row
    assert len(runs) >= 12 and set(TRACES) <= set(runs)
    assert all(found == ["1", "2"] for found in runs.values())


def test_a_committed_trace_is_the_first_recording_and_small():
    first = {row["program"]: row for row in table("recordings") if row["run"] == "1"}
    for program in TRACES:
        size = TRACES[program].stat().st_size
        assert size == int(first[program]["bytes"]) <= 600_000, program


def test_the_tables_hold_every_trace_and_come_out_the_same_again(tmp_path):
    subprocess.run([sys.executable, SCRIPT, "-o", tmp_path, *SMALL], check=True)
    for name in corpus.NAMES:
        committed = table(name)
        assert list(dict.fromkeys(row["program"] for row in committed)) == list(TRACES)
        assert table(name, tmp_path) == [row for row in committed if row["program"] in SMALL]


def test_moves_of_memory_shared_since_a_fork_come_out_the_same_again():
    row = corpus.what_moves_meet(read(TRACES["python-pool"]))
    assert {"program": "python-pool", **{name: str(value) for name, value in row.items()}} in table("moves")
    assert row["moves_of_fork_shared"] > 0
