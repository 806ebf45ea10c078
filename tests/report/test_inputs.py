"""The key of a notebook's inputs: another if any of them has changed, and only then."""

import json
import shutil
from pathlib import Path

import pytest

from rmapmodel import outside
from rmapmodel.report import inputs
from rmapmodel.report.parameters import load, values
from tests.report.small import paths


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of everything that a key is made of, with a notebook that has the name of a file for a parameter."""
    for name in ("rmapmodel/vm/machine.py", "rmapmodel/cost/sizes.csv", "data/traces/a.jsonl", "requirements.lock",
                 "outside/mine.py", "outside/own/__init__.py", "outside/own/parts.py", "trace.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
    shutil.copy(*paths("01"), tmp_path / "01-figure.ipynb")
    monkeypatch.setattr(inputs, "CHECKOUT", tmp_path)
    monkeypatch.setattr(outside, "files", lambda: {"mine": str(tmp_path / "outside/mine.py"), "builtin": None,
                                                   "own": str(tmp_path / "outside/own/__init__.py")})
    return tmp_path


def key(checkout, **parameters):
    notebook = checkout / "01-figure.ipynb"
    given = values([notebook], {"LABEL": "trace.jsonl"})["01-figure"]
    return inputs.of(notebook, {**given, **parameters})["key"]


@pytest.mark.parametrize("name", [
    "rmapmodel/vm/machine.py", "rmapmodel/cost/sizes.csv", "rmapmodel/vm/new.py", "data/traces/a.jsonl", "data/new.csv",
    "requirements.lock", "outside/mine.py", "outside/own/__init__.py", "outside/own/parts.py", "trace.jsonl"])
def test_a_changed_or_added_file_changes_the_key(checkout, name):
    before = key(checkout)
    assert key(checkout) == before
    (checkout / name).write_text("as it was not")
    assert key(checkout) != before


@pytest.mark.parametrize("name", ["rmapmodel/vm/machine.py", "data/traces/a.jsonl", "requirements.lock", "trace.jsonl"])
def test_a_file_that_is_gone_changes_the_key(checkout, name):
    before = key(checkout)
    (checkout / name).unlink()
    assert key(checkout) != before


def test_a_renamed_file_changes_the_key(checkout):
    before = key(checkout)
    (checkout / "data/traces/a.jsonl").rename(checkout / "data/traces/b.jsonl")
    assert key(checkout) != before


def test_parameters_change_the_key(checkout):
    assert key(checkout) != key(checkout, PAGES=5)
    names = {"SIZES": ["none", "trace.jsonl"]}  # as a list of files' names would be
    before = key(checkout, **names)
    (checkout / "trace.jsonl").write_text("as it was not")
    assert key(checkout, **names) != before


def test_the_notebooks_source_changes_the_key_but_not_what_an_editor_saved_with_it(checkout):
    before, path = key(checkout), checkout / "01-figure.ipynb"
    notebook = load(path)
    cell = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    cell |= {"execution_count": 3, "outputs": [{"output_type": "stream", "name": "stdout", "text": "x"}]}
    path.write_text(json.dumps(notebook))
    assert key(checkout) == before
    cell["source"] = "".join(cell["source"]) + "\n"
    path.write_text(json.dumps(notebook))
    assert key(checkout) == before
    cell["source"] += "1 + 1"
    path.write_text(json.dumps(notebook))
    assert key(checkout) != before


def test_what_is_compiled_is_no_input(checkout):
    before = key(checkout)
    (checkout / "rmapmodel/__pycache__").mkdir()
    (checkout / "rmapmodel/__pycache__/machine.pyc").touch()
    assert key(checkout) == before


def test_a_parameter_that_names_no_file_is_a_text(checkout):
    for text in ("", ".", "\0", "x" * 5000):
        assert inputs.of(checkout / "01-figure.ipynb", {"LABEL": text})["inputs"] == {}


def test_a_report_holds_the_keys(report):
    manifest = json.loads((report / "manifest.json").read_text())
    entry = manifest["notebooks"]["01-figure"]
    assert entry["key"] == inputs.of(Path(*paths("01")), entry["parameters"])["key"]
    figure = manifest["figures"]["fig-cost"]
    assert figure == {
        "caption": "Cost by size, with <angle> brackets & more.", "notebook": "01-figure", "key": entry["key"],
        "parameters": entry["parameters"], "data": "figures/fig-cost.csv", "sha256": {
            suffix: inputs.sha256((report / "figures" / f"fig-cost.{suffix}").read_bytes())
            for suffix in ("svg", "pdf", "png", "csv")}}
