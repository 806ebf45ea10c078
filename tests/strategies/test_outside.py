"""Designs from outside the package: where they are loaded from, and what is said of one that cannot be."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from rmapmodel import cli
from rmapmodel.events import Header, Mmap, Read, Spawn, Write
from rmapmodel.figures.diagram import draw
from rmapmodel.figures.structure import objects, structure
from rmapmodel.strategies import STRATEGIES, register
from rmapmodel.strategies.anon_vma import AnonVmaStrategy
from rmapmodel.study.replay import replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

ROOT = Path(__file__).parents[2]
HEAD = ("from rmapmodel.strategies.base import Strategy, register\n"
        "from rmapmodel.strategies.anon_vma import AnonVmaStrategy\n")
GOOD = HEAD + "@register\nclass Mine(AnonVmaStrategy):\n    name = 'mine'\n"
KNOWN = "from rmapmodel.strategies import STRATEGIES; print('mine' in STRATEGIES)"
TRACE = """{"op": "header", "version": 1}
{"op": "spawn", "pid": 1}
{"op": "mmap", "pid": 1, "addr": 4096, "len": 4096, "prot": "rw-", "flags": ["private", "anonymous"]}
{"op": "write", "pid": 1, "addr": 4096, "len": 4096}
"""


def run(folder, *command, path=(), **variables):
    """Runs a Python command line in `folder`, with the checkout and `path` (not the folder) to import from."""
    kept = {name: value for name, value in os.environ.items() if name not in ("RMAPMODEL_IMPORT", "PYTHONPATH")}
    path = os.pathsep.join(map(str, (ROOT, *path)))
    return subprocess.run([sys.executable, "-P", *map(str, command)], cwd=folder, capture_output=True, text=True,
                          env={**kept, "PYTHONPATH": path, **variables})


def design(body, bases="AnonVmaStrategy"):
    return f"{HEAD}@register\nclass Mine({bases}):\n    {body}\n"


@pytest.fixture
def trace(tmp_path):
    (tmp_path / "t.jsonl").write_text(TRACE)
    return "t.jsonl"


@pytest.mark.parametrize("command", [["replay", "--strategy", "mine"], ["compare", "--strategies", "mine"],
                                     ["compare", "--json"], ["explain", "1:4096", "--strategy", "mine"]])
def test_a_module_named_on_the_command_line(tmp_path, trace, command):
    (tmp_path / "mine.py").write_text(GOOD)
    done = run(tmp_path, "-m", "rmapmodel", command[0], trace, *command[1:], "--import", "mine")
    assert done.returncode == 0 and re.search(r"\bmine\b", done.stdout), done.stderr
    assert not re.search(r"\bmine\b", run(tmp_path, "-m", "rmapmodel", command[0], trace, *command[1:]).stdout)


def test_a_module_named_in_the_environment_is_there_for_whoever_looks(tmp_path):
    (tmp_path / "mine.py").write_text(GOOD)
    assert run(tmp_path, "-c", KNOWN).stdout == "False\n"
    assert run(tmp_path, "-c", KNOWN, RMAPMODEL_IMPORT=" mine,").stdout == "True\n"


def test_processes_started_elsewhere_find_it_too(tmp_path):
    (tmp_path / "mine.py").write_text(GOOD)
    (tmp_path / "other").mkdir()
    script = ("import subprocess, sys\nfrom rmapmodel.outside import load_modules\nload_modules(['mine'], '--import')\n"
              f"subprocess.run([sys.executable, '-P', '-c', {KNOWN!r}], cwd='other')")
    assert run(tmp_path, "-c", script).stdout == "True\n"


@pytest.mark.parametrize("first", ["import mine", "from rmapmodel.strategies import STRATEGIES"])
def test_a_design_may_be_imported_before_or_after_the_package(tmp_path, first):
    (tmp_path / "mine.py").write_text(GOOD)
    done = run(tmp_path, "-c", f"{first}\nimport mine\n{KNOWN}", path=[tmp_path], RMAPMODEL_IMPORT="mine")
    assert done.stdout == "True\n", done.stderr


def test_an_entry_point(tmp_path, trace):
    site = tmp_path / "site"
    (site / "mine-1.0.dist-info").mkdir(parents=True)
    (site / "mine-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (site / "mine-1.0.dist-info" / "entry_points.txt").write_text("[rmapmodel.strategies]\nmine = mine\n")
    (site / "mine.py").write_text(GOOD)
    assert run(tmp_path, "-c", KNOWN, path=[site]).stdout == "True\n"
    done = run(tmp_path, "-m", "rmapmodel", "compare", trace, path=[site])
    assert done.returncode == 0 and any(line.startswith("mine ") for line in done.stdout.splitlines()), done.stderr
    files = run(tmp_path, "-c", "from rmapmodel.outside import files; print(files())", path=[site])
    assert files.stdout == f"{ {'mine': str(site / 'mine.py')} }\n"
    (site / "mine.py").write_text("1 / 0")
    done = run(tmp_path, "-m", "rmapmodel", "compare", trace, path=[site])
    assert done.returncode == 2 and done.stderr.startswith(
        "rmapmodel: error: entry point mine: cannot import mine: ZeroDivisionError: "), done.stderr


WRONG = {
    "import nowhere": "cannot import {0}: ModuleNotFoundError: No module named 'nowhere'",
    "def broken(:": "cannot import {0}: SyntaxError: ",
    "raise SystemExit(3)": "cannot import {0}: SystemExit: 3",
    HEAD: "{0} registers no design; is @register missing?",
    HEAD + "register(3)": "{0}: the design 3 is not a subclass of rmapmodel.strategies.base.Strategy",
    design("pass", "Strategy"): "{0}: the design Mine has no name",
    design("pass"): "{0}: the design Mine cannot be named 'anon_vma': that is rmapmodel.strategies.anon_vma.",
    design("name = 'My-Design'"): "{0}: the design Mine cannot be named 'My-Design': a name is lower-case letters, ",
    design("name = 'truth'"): "{0}: the design Mine cannot be named 'truth': ",
    design("name = 'mine'", "Strategy"): "{0}: the design Mine has no walk_anonymous(walk, at, log)",
    design("name, objects, walk = 'mine', ('anon_vma',), 0", "Strategy"):
        "{0}: the design Mine makes objects but has no count_objects()",
    design("name, objects = 'mine', ('thing',)"):
        "{0}: the design Mine makes thing, whose size is not known on i386; give its fields, like "
        "sizes = {{'thing': ('pointer', 'list_head')}}, out of pointer, int, long, list_head, rb_node",
    design("name, embeds = 'mine', {'vma': ('byte',)}"):
        "{0}: the design Mine gives vma the field 'byte'; fields are pointer, int, long, list_head, rb_node",
    design("name, sizes = 'mine', {'thing': ('word',)}"): "{0}: the design Mine gives thing the field 'word'; ",
}


@pytest.mark.parametrize("number, source", list(enumerate(WRONG)))
def test_what_cannot_be_loaded_is_one_line_and_exit_2(tmp_path, trace, monkeypatch, capsys, number, source):
    (tmp_path / f"wrong_{number}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    before = list(STRATEGIES), os.environ.copy()
    assert cli.main(["compare", trace, "--import", f"wrong_{number}"]) == 2
    out, error = capsys.readouterr()
    assert error.startswith(f"rmapmodel: error: --import: {WRONG[source].format(f'wrong_{number}')}")
    assert not out and error.count("\n") == 1
    assert (list(STRATEGIES), os.environ) == before


@pytest.mark.parametrize("command", [["compare", "t.jsonl"], ["replay", "t.jsonl", "--strategy", "anon_vma"],
                                     ["explain", "t.jsonl", "1:0", "--strategy", "anon_vma"], ["report"]])
def test_a_bad_name_in_the_environment_ends_every_command(tmp_path, trace, command):
    done = run(tmp_path, "-m", "rmapmodel", *command, RMAPMODEL_IMPORT="mine")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("rmapmodel: error: RMAPMODEL_IMPORT: cannot import mine: ModuleNotFoundError: "
                           "No module named 'mine'\n")
    assert [path.name for path in tmp_path.iterdir()] == [trace]


def test_a_report_with_a_bad_design_begins_no_work(tmp_path):
    done = run(tmp_path, "-m", "rmapmodel", "report", "15-your-trace", "--import", "mine", "-o", "out")
    assert done.returncode == 2 and done.stderr.startswith("rmapmodel: error: --import: cannot import mine: ")
    assert not list(tmp_path.iterdir())


def test_the_package_itself_imports_no_design(tmp_path):
    script = "import rmapmodel, sys; print(sorted(name for name in sys.modules if name.startswith('rmapmodel')))"
    assert run(tmp_path, "-c", script, RMAPMODEL_IMPORT="nowhere").stdout == "['rmapmodel']\n"


def test_a_class_run_again_takes_its_own_place(monkeypatch):
    monkeypatch.setattr("rmapmodel.strategies.base.STRATEGIES", registered := {})
    made = [register(type("Mine", (AnonVmaStrategy,), {"name": "mine", "__module__": "__main__"})) for _ in range(2)]
    assert registered == {"mine": made[1]}


# -- pictures of a design that no figure knows


@pytest.fixture
def unknown(monkeypatch):
    """A shared_space whose objects no figure knows."""
    cls = type("Unknown", (STRATEGIES["shared_space"],), {"name": "unknown"})
    objects.register(cls, objects.dispatch(object))
    monkeypatch.setitem(STRATEGIES, "unknown", cls)


def moved_family(design):
    """Three processes that share pages, two of which wrote half and moved half; and the page of the last move."""
    trace = InMemory(*generate("mremap_inherited", processes=3, pages=4))
    last = [event for event in trace.events if hasattr(event, "new_addr")][-1]
    return replay(trace, design).machine, (last.pid, last.new_addr)


def test_a_structure_of_it_has_areas_and_pages_and_where_each_walk_leads(unknown):
    machine, page = moved_family("unknown")
    picture = structure(machine, page)
    kinds = Counter(node["kind"] for node in picture["nodes"])
    assert kinds == {"mm_struct": 3, "vm_area_struct": 5, "page": machine.frames.alive}
    edges = Counter(edge["kind"] for edge in picture["edges"])
    assert (edges["vma"], edges["pte"]) == (5, machine.mappings) and edges["member"] > 0
    visits = sorted(visit for edge in picture["edges"] for visit in edge.get("visit", ()))
    assert [order for order, _ in visits] == list(range(1, picture["walk"]["visits"] + 1))
    assert sum(outcome == "maps it" for _, outcome in visits) == picture["walk"]["cost"]["mappings"] == 3
    known, same = moved_family("shared_space")
    assert picture["walk"]["visits"] == structure(known, same)["walk"]["visits"]


def test_file_pages_of_it_hang_off_their_file(unknown):
    events = [Spawn(1), Mmap(1, 1 << 20, 8192, "rw-", ["private"], "/lib/a.so"), Read(1, 1 << 20, 8192),
              Write(1, 1 << 20, 4096)]
    picture = structure(replay(InMemory(Header(version=1), events), "unknown").machine)
    assert [node["name"] for node in picture["nodes"] if node["kind"] == "file"] == ["/lib/a.so"]
    kinds = Counter(edge["kind"] for edge in picture["edges"])
    assert (kinds["mapping"], kinds["member"]) == (1, 2)  # the file page to its file; file and copied page to the area


def test_it_can_be_drawn(unknown):
    for machine, page in (moved_family("unknown"), (replay(InMemory(Header(version=1), []), "unknown").machine, None)):
        draw(structure(machine, page), "a design from outside")
        plt.close("all")
