"""Grids: the tasks one comes to, what each is named after, and what is refused before any of them runs."""

import dataclasses
import itertools
import shutil
from pathlib import Path

import pytest

from rmapmodel.errors import InputError
from rmapmodel.files import sha256
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study import grid as grids
from rmapmodel.study.replay import Options, replay
from rmapmodel.study.sweeps import repeated_keys
from rmapmodel.trace import read
from rmapmodel.trace.workloads import WORKLOADS, Synthetic

FAMILY = Path(__file__).parents[1] / "figures" / "family.jsonl"
GRID = """\
workloads:
  fork_server:
    children: [1, 2]
    vmas: 3
  mremap_inherited: {processes: 2, pages: 4, moved: [0, 1]}
  rmap_test_2: {vmas: 2, pages: 2, children: 2}
traces: family.jsonl
strategies: [anon_vma, anonmm]
indexes: [list, interval_tree]
kernels: ["2.6.10", "7.0"]
reclaim: end
seeds: [1, 2, 3]
"""


@pytest.fixture
def made(tmp_path):
    """The grid in a text, in a folder with a trace."""
    shutil.copy(FAMILY, tmp_path)

    def make(text):
        (tmp_path / "g.yaml").write_text(text)
        return grids.read(tmp_path / "g.yaml")
    return make


def test_the_product(made):
    grid = made(GRID)
    points = {(task.workload, task.trace, *task.parameters.items()) for task in grid.tasks}
    assert len(points) == 2 + 2 + 3 + 1 and len(grid.tasks) == len(points) * 2 * 2 * 2
    assert {task.parameters["seed"] for task in grid.tasks if task.workload == "rmap_test_2"} == {1, 2, 3}
    assert all(set(task.parameters) == set(WORKLOADS[task.workload].parameters) for task in grid.tasks if task.workload)
    assert {type(task.parameters["moved"]) for task in grid.tasks if task.workload == "mremap_inherited"} == {float}
    for name, values in (("strategy", ["anon_vma", "anonmm"]), ("index", ["list", "interval_tree"]),
                         ("kernel", ["2.6.10", "7.0"]), ("reclaim", ["end"]), ("arch", [None])):
        assert list(dict.fromkeys(getattr(task, name) for task in grid.tasks)) == values
    assert grid.tasks == made(GRID).tasks


def test_what_is_left_out_is_as_without_options(made):
    grid = made("workloads: {fork_server: }\ntraces: [family.jsonl]\n")
    assert [task.strategy for task in grid.tasks] == [*STRATEGIES, *STRATEGIES]
    assert {(task.index, task.kernel, task.arch) for task in grid.tasks} == {(None, None, None)}
    assert [grid.tasks[0].reclaim, grid.tasks[-1].reclaim] == ["none", "default"]
    assert grid.kernels == ["6.12"]  # the header's


def test_a_row_is_what_a_replay_says(made):
    grid = made("workloads: {rmap_test_2: {vmas: 2, pages: 2, children: 2}}\ntraces: [family.jsonl]\nstrategies: anon_vma_chain\n")
    for task, trace, options in zip(grid.tasks, (Synthetic(grid.tasks[0].workload, **grid.tasks[0].parameters), read(FAMILY)),
                                    (Options(), Options(reclaim="peak"))):
        run = replay(trace, "anon_vma_chain", options)
        result, row = run.result(), task.run(FAMILY, 1 << 30)
        assert set(row) >= {"workload", "trace", "strategy", "index", "kernel", "arch", "reclaim", *grids.MEASURED}
        assert {name: row[name] for name in ("events", "kernel", "arch", "index")} == {
            name: result[name] for name in ("events", "kernel", "arch", "index")}
        assert {name: row[name] for name in result["reclaim"]} == result["reclaim"]
        assert (row["refused"], row["peak_mappings"], row["bytes"]) == (
            len(result["refused"]), result["peak"]["mappings"], result["peak"]["bytes"])
        assert row["anon_vma_chain"] == result["peak"]["objects"]["anon_vma_chain"]
        assert row["repeated_keys"] == repeated_keys(run.machine) and row["reclaim"] == options.reclaim
    assert row["trace"] == "family.jsonl" and row["workload"] is None


def test_a_task_is_named_after_all_it_depends_on(made, tmp_path):
    grid = made(GRID)
    keys = {task.key("sources") for task in grid.tasks}
    assert len(keys) == len(grid.tasks) and not keys & {task.key("other sources") for task in grid.tasks}
    task = next(task for task in grid.tasks if task.trace)
    for change in ({"strategy": "x"}, {"index": None}, {"kernel": None}, {"arch": "i386"}, {"reclaim": "peak"}, {"trace": "y"},
                   {"sha256": "0"}, {"parameters": {"a": 1}}):
        assert dataclasses.replace(task, **change).key("sources") != task.key("sources")
    before = task.key("sources")
    with open(tmp_path / "family.jsonl", "a") as file:
        file.write('{"op":"exit","pid":1}\n')
    assert before not in {task.key("sources") for task in grids.read(tmp_path / "g.yaml").tasks}
    with pytest.raises(InputError, match="is not the file it was"):
        task.run(tmp_path / "family.jsonl", 1 << 30)
    assert sha256(FAMILY) == task.sha256


def test_columns_stay_when_a_grid_grows(made):
    small = made("workloads: {fork_server: {children: 1}}\nstrategies: anon_vma\n").columns()
    assert small == made("workloads: {fork_server: {vmas: [1, 2]}}\ntraces: family.jsonl\nindexes: list\n").columns()
    assert small["param_children"] is int and small["kernel"] is str and small["anon_vma_chain"] is int
    assert "param_moved" not in small


@pytest.mark.parametrize("text, said", [
    ("", "names no workload"), ("[1]", "wants the keys workloads, "), ("1: 2", "wants the keys"), ("workloads: {}", "names no workload"),
    ("\nworkload: {}", ":2: workload: a grid has no such key; did you mean workloads?"),
    ("workloads:\n  fork_servr:", ":2: workloads.fork_servr: no such workload; did you mean fork_server?"),
    ("workloads: [fork_server]", ":1: workloads: a mapping"), ("workloads: {fork_server: 3}", "workloads.fork_server: a mapping"),
    ("workloads:\n  fork_server:\n    childern: 3", ":3: workloads.fork_server.childern: no such parameter; did you mean children?"),
    ("workloads:\n  fork_server:\n    children:\n      - 3\n      - -3", ":5: workloads.fork_server.children: an integer from 0"),
    ("workloads: {fork_server: {children: [1.5]}}", "an integer from 0"), ("workloads: {fork_server: {children: x}}", "not 'x'"),
    ("workloads: {fork_server: {children: yes}}", "not True"), ("workloads: {fork_server: {children: }}", "a value or a list"),
    ("workloads: {fork_server: {children: [[1]]}}", "a value or a list"), ("workloads: {fork_server: {children: []}}", "empty"),
    ("workloads: {mremap_inherited: {moved: .nan}}", "a number from 0 to 1 is wanted, not nan"),
    ("workloads: {mremap_inherited: {moved: [0.5, .inf]}}", "not inf"),
    ("workloads: {mremap_inherited: {moved: [1, 1.0]}}", "1.0 is given twice"),
    ("workloads: {fork_server: {vmas: 1, vmas: 2}}", ":1: not YAML: the key 'vmas' is given twice"),
    ("workloads: {page_origins: {children: 2, keeper: [1, 9]}}", "page_origins.keeper: there are 2 children, with children=2 keeper=9"),
    ("workloads: {rmap_test_1: {vmas: 500000, pages: 500000}}", "an i386 process has room"),
    ("workloads: {fork_server: }\nstrategies: [anonmm,\n anon_vam]", ":3: strategies: unknown strategy 'anon_vam'; did you mean anon_vma?"),
    ("workloads: {fork_server: }\nstrategies: [anonmm, anonmm]", "strategies: 'anonmm' is given twice"),
    ("workloads: {fork_server: }\nindexes: prio_tre", ":2: indexes: unknown index 'prio_tre'; did you mean prio_tree?"),
    ("workloads: {fork_server: }\nkernels: [2.6.7, 6.10]", "6.1 is a float to YAML; put quotes around it"),
    ("workloads: {fork_server: }\nkernels: '2.2'", "older than 2.4"), ("workloads: {fork_server: }\nkernels: x", "not a kernel version"),
    ("workloads: {fork_server: }\narchs: x86-64", "archs: unknown arch 'x86-64'; did you mean x86_64?"),
    ("workloads: {fork_server: }\nreclaim: every:0", "N must be a positive integer"),
    ("workloads: {fork_server: }\nseeds: 1", "seeds: no workload of this grid has a parameter seed"),
    ("workloads: {rmap_test_2: {seed: 1}}\nseeds: 1", ":1: workloads.rmap_test_2.seed: is given here and by seeds"),
    ("workloads: {rmap_test_2: }\nseeds: [1, a]", ":2: seeds: an integer"),
    ("traces: [no.jsonl]", ":1: traces: "), ("traces: .", "is a directory"), ("traces: g.yaml", "not JSON"),
    ('traces: ["a\\0b"]', "characters that cannot be printed"), ('traces: ["\\ud800"]', "characters that cannot be printed"),
    ("traces: [family.jsonl, family.jsonl]", "given twice"),
    ("workloads: {rmap_test_2: }\nseeds: [%s]" % ",".join(map(str, range(10_000))), "comes to 110,000 tasks, of 100,000 at most"),
], ids=itertools.count())
def test_what_is_refused(made, tmp_path, text, said):
    with pytest.raises(InputError) as error:
        made(text)
    assert said in str(error.value) and str(error.value).startswith(str(tmp_path / "g.yaml"))
