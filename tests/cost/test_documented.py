"""docs/costs.md names every counter there is, and no other."""

import json
import re
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from rmapmodel.cli import main
from rmapmodel.cost.ledger import COUNTERS
from rmapmodel.events import Exit, Fork, Mmap, Mprotect, Mremap, Read, Reclaim, Spawn, Write
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.replay import TIMELINE, Options, replay, summary
from rmapmodel.trace import write
from tests.traces import in_memory, run

P, A, B, C = 4096, 0x100000, 0x200000, 0x300000
DESIGNS = [name for name, design in STRATEGIES.items() if design.__module__.startswith("rmapmodel.")]
PAGE = (Path(__file__).parents[2] / "docs" / "costs.md").read_text(encoding="utf-8")
SCHEMA = json.loads((files("rmapmodel") / "schemas" / "replay.schema.json").read_text())
EVENTS = [Spawn(1), Mmap(1, A, 4 * P, "rw-", ["private", "anonymous"]), Write(1, A, 4 * P),
          Mmap(1, C, 2 * P, "r--", ["shared"], "f", 0), Read(1, C, 2 * P), Fork(1, 2), Write(2, A, P),
          Mremap(2, A, 2 * P, B, 2 * P, ["maymove", "fixed"]), Mprotect(1, A + P, P, "r--"), Reclaim(), Exit(1)]


def tables(heading):
    """The tables under a heading, each as {first column: the row}."""
    section = re.split(r"^## ", PAGE, flags=re.M)
    text = next(part for part in section if part.startswith(heading + "\n"))
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()[2:]]
        found.append({row[0].strip("`"): row for row in rows})
    return found


@pytest.fixture(scope="module")
def costs():
    return run(EVENTS).costs()


def test_every_counter_of_reclaim_is_documented():
    table, = tables("`reclaim`")
    assert tuple(table) == COUNTERS


@pytest.mark.parametrize("strategy", DESIGNS)
def test_locks_of_walks_are_one_a_page_but_where_the_page_says_otherwise(strategy):
    reclaim = run(EVENTS, strategy).result()["reclaim"]
    # 7 pages, 8 where the move copied one: 2 of the file, the others anonymous; both mms are scanned for 4 of them
    expected = {"cow_context": 2, "page_table_scan": 11, "anonmm_copy": 8}.get(strategy, 7)
    assert reclaim["locks"] == expected and reclaim["pages"] == (8 if strategy == "anonmm_copy" else 7)


def test_every_key_of_costs_is_documented(costs):
    top, lock, lengths, _ = tables("`costs`")
    assert set(top) == set(costs)
    assert all(set(lock) == set(entry) for entry in costs["locks"]) and costs["locks"]
    assert set(lengths) == set(costs["walk_lengths"])


def test_every_value_of_the_timeline_is_documented():
    table, = tables("`timeline`")
    assert tuple(table) == TIMELINE
    entries = replay(in_memory(EVENTS), "anonmm", timeline=True).timeline
    assert {len(entry) for entry in entries} == {len(TIMELINE)}


def test_every_lock_is_documented_with_the_designs_that_take_it():
    rows = tables("`costs`")[3]
    taken = {}
    for name in DESIGNS:
        for kernel in ("2.6.35", "7.0"):
            for entry in run(EVENTS, name, kernel=kernel).costs()["locks"]:
                taken.setdefault(entry["lock"], set()).add(name)
    assert set(taken) == set(rows)
    for lock, designs in taken.items():
        named = set(re.findall(r"`(\w+)`", rows[lock][1]))
        assert designs == (set(DESIGNS) - named if rows[lock][1].startswith("all but") else named), lock


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_results_with_costs_and_timeline_validate_against_the_schema(strategy):
    done = replay(in_memory(EVENTS), strategy, Options(), timeline=True)
    result = json.loads(json.dumps({**done.result(), "costs": done.costs(), "timeline": done.timeline}))
    jsonschema.validate(result, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**result, "costs": {**result["costs"], "more": 1}}, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**result, "timeline": [entry[:4] for entry in result["timeline"]]}, SCHEMA)


def test_the_command_adds_costs_only_when_asked(tmp_path, capsys):
    trace = in_memory(EVENTS)
    path = str(tmp_path / "trace.jsonl")
    write(path, trace.header, EVENTS)

    def printed(*options):
        assert main(["replay", path, "--strategy", "anon_vma_chain", *options]) == 0
        return capsys.readouterr().out

    run_here = run(EVENTS)
    plain, with_costs = printed("--json"), printed("--json", "--costs")
    assert "costs" not in json.loads(plain)
    assert json.loads(with_costs) == {**json.loads(plain), "costs": run_here.costs()}
    text, longer = printed(), printed("--costs")
    assert text == summary(run_here.result()) + "\n"
    assert [line for line in text.splitlines() if line not in longer.splitlines()] == []
    added = [line for line in longer.splitlines() if line not in text.splitlines()]
    root = next(each for each in run_here.costs()["locks"] if (each["lock"], each["mode"]) == ("anon_vma root", "read"))
    assert "anon_vma root".ljust(20) + f" {'read':>12} {root['acquired']:12} {root['longest_hold']:12} " \
        f"{root['instances']:12} {root['busiest']:12}" in added
    assert added[-1] == "pages copied early: 0"
