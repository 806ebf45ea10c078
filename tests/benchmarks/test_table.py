"""`make bench`: each table at a small scale, what its target says, and the page that shows it."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.__main__ import PAGE, PLACE, TABLES, rows
from benchmarks.growth import sizes
from benchmarks.storms import fork_storm, replayed, vma_changes
from benchmarks.table import Row
from rmapmodel.study.replay import replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.events import Header

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", TABLES)
def test_each_table_is_measured(name):
    if name == "kernel" and not (shutil.which("gcc") or shutil.which("cc")):
        pytest.skip("no C compiler")
    found = list(rows([name], 0.002))
    assert len(found) > 1 and len({row.what for row in found} | {row.beside for row in found}) > len(found)
    for row in found:
        assert row.ours >= 0 and row.other > 0 and len(row.cells) == len(table.HEAD)
        assert (row.met is None) == (row.target is None)


@pytest.mark.parametrize("target, met", [("ratio <= 1.5", True), ("ratio < 1.5", False), ("ours >= 4", False), (None, None)])
def test_a_target_is_about_the_ratio_or_about_ours(target, met):
    row = Row("a storm", 3.0, 2.0, "ms", "Linux", target)
    assert row.met is met and row.cells[-1] == {True: "yes", False: "no", None: ""}[met]


def test_a_time_is_the_least_of_the_runs(monkeypatch):
    clock = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])
    monkeypatch.setattr(table.time, "process_time", lambda: next(clock))
    assert table.seconds(lambda: None) == 2.0


def test_the_storm_has_the_events_it_names():
    run = replay(InMemory(Header(version=1), fork_storm(3, 2, 8, 4)), "anon_vma_chain")
    assert run.events == 1 + 2 * 2 + 3 + 3 + 4 and not run.machine.processes
    assert run.machine.peak_mappings == 4 * 2 * 8 and run.machine.frames.alive == 0
    single = replay(InMemory(Header(version=1), fork_storm(3, 2, 8, 4, single=True)), "anon_vma_chain")
    assert single.events == run.events + 3 * 3
    assert replayed((), fork_storm(1, 1, 1, 1), runs=1) > 0


def test_changes_of_vmas_split_merge_and_leave_nothing():
    seen = []
    replay(InMemory(Header(version=1), vma_changes(8)), "anon_vma_chain",
           after=lambda machine, _: seen.append(len(machine.mm_of(1).vmas)))
    assert seen == [0, *[1, 1, 2, 1, 0] * 2]


def test_sizes_are_powers_of_ten_up_to_the_greatest():
    assert sizes(10, 100_000) == [10, 100, 1000, 10_000, 100_000] and sizes(10, 250) == [10, 100, 250]


def test_the_page_shows_a_table_that_was_printed():
    text = PAGE.read_text(encoding="utf-8")
    printed = PLACE.search(text)[0]
    assert table.head() in printed and re.search(r"^\d{4}-\d\d-\d\d, .* cores, Linux ", printed, re.MULTILINE)
    shown = [line.split(" | ") for line in printed.splitlines() if line.startswith("| ")][2:]
    assert len(shown) > 30 and all(len(cells) == len(table.HEAD) for cells in shown)


def test_what_a_benchmark_is_bound_by_is_said():
    for name in TABLES:
        assert re.search("[Bb]ound", ast.get_docstring(ast.parse((ROOT / f"benchmarks/{name}.py").read_text()))), name
