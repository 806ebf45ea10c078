"""docs/write-a-strategy.md: its code blocks are a design and its test, run from outside the package as it says."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rmapmodel.report import collect
from rmapmodel.strategies.base import Strategy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "write-a-strategy.md").read_text(encoding="utf-8")
NAME = "anon_vma_global"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TESTS = [block for block in BLOCKS if block.startswith("# test_my_design.py\n")]
DESIGN = "\n".join(block for block in BLOCKS if block not in TESTS)


def run(folder, *command, **variables):
    """Runs a Python command line in `folder`, where the checkout's package can be imported."""
    return subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **variables})


def properties(folder, tests):
    """Runs the property tests that every design passes on the design in `folder`."""
    return run(ROOT, "-m", "pytest", "-q", "-l", "-p", "no:cacheprovider", "tests/strategies/test_agreement.py", "-k",
               f"{NAME} and ({tests})", RMAPMODEL_IMPORT="my_design", PYTHONPATH=f"{ROOT}{os.pathsep}{folder}")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_design.py").write_text(DESIGN)
    (tmp_path / "test_my_design.py").write_text(*TESTS)
    return tmp_path


def test_the_page_is_short_and_its_design_is_one_file_of_under_a_hundred_lines():
    assert DESIGN.startswith("# my_design.py\n")
    assert len([line for line in DESIGN.splitlines() if line.strip()]) < 100
    assert len(PAGE.splitlines()) <= 260


def test_the_page_names_every_hook():
    tools = {"make_index", "shipped_index", "index", "attach", "groups", "merged_away", "follows_moves"}
    hooks = {name for name in vars(Strategy) if not name.startswith("_") and callable(getattr(Strategy, name))} - tools
    table = PAGE.partition("## The hooks")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {name for row in rows for name in re.findall("`(.*?)`", row)}
    assert named == hooks


def test_its_test_passes(folder):
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_design.py")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_compare_has_its_row(folder):
    done = run(folder, "-m", "rmapmodel", "compare", ROOT / "data" / "traces" / "shell-pipeline.jsonl.gz", "--json",
               "--import", "my_design")
    assert done.returncode == 0, done.stderr
    rows = {row["strategy"]: row for row in json.loads(done.stdout)["rows"]}
    ours, truth, fine = rows[NAME], rows["truth"], rows["anon_vma"]
    assert ours["mappings"] == truth["mappings"] > 0 and ours["pages"] == truth["pages"]
    # the mail: fewer objects than anon_vma, and areas scanned that have nothing to do with the page
    assert 0 < ours["objects"][NAME] < fine["objects"]["anon_vma"]
    assert ours["vmas_candidates"] > fine["vmas_candidates"]
    assert ours["design_bytes"] > 0


def test_its_bytes_are_those_of_the_mail(folder):
    """Twelve bytes a vma, on i386 (thread.md F215 and the mail); 12 for a spinlock and a list_head."""
    script = ("import my_design\nfrom rmapmodel.strategies import strategy\nfrom rmapmodel.vm.kernel import Kernel\n"
              "ledger = strategy('anon_vma_global')(Kernel.parse('2.6.4'), arch='i386').ledger\n"
              "print(ledger.size['anon_vma_global'], ledger.embedded)")
    assert run(folder, "-c", script).stdout == "12 {'vma': 12, 'mm': 4, 'page': 4}\n"


def test_the_property_tests_include_it(folder):
    done = properties(folder, "random_traces or nothing_is_left")
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


def test_a_line_left_out_fails_them_as_the_page_says(folder):
    line = re.search(r"Leave\s+out\s+`(.*?)`\s+in\s+`split`", PAGE)[1]
    assert DESIGN.count(f"            {line}\n") == 1
    (folder / "my_design.py").write_text(DESIGN.replace(f"            {line}\n", ""))
    done = properties(folder, "random_traces")
    assert done.returncode == 1 and re.search(r"the walk finds \d+ mappings of \d+", done.stdout), done.stdout
    for word in ("seed", "kernel", "event"):
        assert re.search(rf"^ *{word} += ", done.stdout, re.MULTILINE), word


def test_a_report_shows_it_and_names_its_module(folder):
    done = run(folder, "-m", "rmapmodel", "report", "15-your-trace", "-p", f"TRACE={ROOT}/tests/figures/family.jsonl",
               "--import", "my_design", "-o", "out", "-j", "1")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert manifest["imports"] == {"my_design": hashlib.sha256(DESIGN.encode()).hexdigest()}
    notebook = json.loads((folder / "out" / "notebooks" / "15-your-trace.ipynb").read_text())
    shown = "".join(str(output.get("text", "")) for output in collect.outputs(notebook))
    assert NAME in shown
    assert f"\n{NAME}," in (folder / "out" / "figures" / "fig-trace-costs.csv").read_text()
