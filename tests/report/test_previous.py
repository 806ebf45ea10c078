"""What a report has of the same inputs is not run again; whatever has changed is."""

import json
import os
import shutil
from pathlib import Path

import pytest

from rmapmodel.report import inputs, previous, run
from rmapmodel.report.parameters import find, values
from tests.report.small import files, once

NOTEBOOKS = Path(__file__).parent / "notebooks"
BOTH = {"01-figure", "07-over-the-others"}


@pytest.fixture
def checkout(tmp_path, monkeypatch, tmp_path_factory):
    """A folder with a report over a notebook and one that reads what that found."""

    def make(folder):
        (folder / "notebooks").mkdir(parents=True)
        for name in BOTH:
            shutil.copy(NOTEBOOKS / f"{name}.ipynb", folder / "notebooks")
        os.chdir(folder)
        return run()

    monkeypatch.chdir(tmp_path)
    status, folder = once(tmp_path_factory, "made-before", make)
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "checkout"))
    assert status == 0 and tried() == BOTH
    return Path.cwd()


def tried():
    """Which notebooks the last report ran."""
    notebooks = json.loads(Path("reports/timings.json").read_text())["notebooks"]
    return {name for name, attempts in notebooks.items() if attempts}


def kept(**parameters):
    """Whether the report would keep the first notebook."""
    path = find()[0]
    return bool(previous.executed(path.stem, inputs.of(path, values([path], {})[path.stem] | parameters), "reports"))


def changed(path, *lines):
    """Appends lines to a notebook's last cell."""
    notebook = json.loads(path.read_text())
    notebook["cells"][-1]["source"] = [*notebook["cells"][-1]["source"], *("\n" + line for line in lines)]
    path.write_text(json.dumps(notebook))


def test_what_is_as_it_was_is_kept_to_the_byte(checkout, capsys):
    before = files(checkout / "reports")
    assert run() == 0 and tried() == set()
    assert "not run again, as nothing they follow from has changed: 01-figure 07-over-the-others\n" in capsys.readouterr().err
    after = files(checkout / "reports")
    assert before.pop("timings.json") != after.pop("timings.json")
    assert before == after


@pytest.mark.parametrize("part", ["package", "lock", "imports", "data"])
def test_what_all_depend_on_runs_them_again(checkout, monkeypatch, part):
    common = inputs.common
    assert kept()
    monkeypatch.setattr(inputs, "common", lambda: common() | {part: "another"})
    assert not kept()


def test_other_versions_run_them_again(checkout, monkeypatch):
    versions = inputs.versions
    monkeypatch.setattr(inputs, "versions", lambda: versions() | {"numpy": "0"})
    assert not kept()


def test_a_parameter_runs_its_notebook_and_who_reads_it_again(checkout):
    assert not kept(PAGES=5)
    assert run(parameters={"PAGES": "5"}) == 0 and tried() == BOTH


def test_a_changed_notebook_runs_alone(checkout):
    changed(checkout / "notebooks/07-over-the-others.ipynb", "1 + 1")
    assert run() == 0 and tried() == {"07-over-the-others"}


def test_a_changed_output_is_made_again_and_so_is_one_that_is_gone(checkout):
    path = checkout / "reports/notebooks/01-figure.ipynb"
    made = path.read_text()
    path.write_text(made.replace("The cost grows", "The cost falls"))
    assert not kept()
    path.unlink()
    assert run() == 0 and tried() == BOTH and path.read_text() == made


def test_what_failed_is_run_again(checkout):
    shutil.copy(NOTEBOOKS / "02-failing-cell.ipynb", checkout / "notebooks")
    for _ in range(2):
        assert run() == 1 and tried() == {"02-failing-cell", "07-over-the-others"}


def test_what_looked_at_this_machine_is_run_again(checkout):
    changed(checkout / "notebooks/01-figure.ipynb", "from rmapmodel.figures import publish", 'publish.live("It")')
    assert run(["01"]) == 0 and not kept()


def test_a_folder_of_the_readers_may_have_changed(checkout):
    shutil.copytree("reports/notebooks", "mine")
    for _ in range(2):
        assert run(["07"], {"EXECUTED": "mine"}) == 0 and tried() == {"07-over-the-others"}
