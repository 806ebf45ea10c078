"""A notebook over the others reads what they found: in a report, from a folder, or by running them."""

import json
import shutil

import pytest

from rmapmodel.errors import InputError
from rmapmodel.report import inputs, run
from rmapmodel.report.cite import cite
from rmapmodel.report.registry import current
from rmapmodel.report.verdicts import read_claims
from tests.notebooks.executed import notebook
from tests.report.small import NOTEBOOKS, paths


def entry(report):
    return json.loads((report / "manifest.json").read_text())["notebooks"]["07-over-the-others"]


def test_it_runs_when_the_others_are_done_and_is_told_who_failed(report):
    assert entry(report)["values"] == {"found": "grows, free, four", "unfinished": "02-failing-cell"}


def test_it_is_told_no_folder_of_this_machine(report):
    assert entry(report)["parameters"] == {"EXECUTED": "."}


def test_a_reader_finds_again_what_it_found(report, monkeypatch):
    monkeypatch.chdir(report / "notebooks")
    claims, failed = read_claims(".")
    assert [claim["id"] for claim in claims] == ["grows", "free", "four"] and failed == ["02-failing-cell"]
    assert claims[0]["notebook"] == "01-figure" and claims[0]["title"].startswith("01. ")


@pytest.mark.parametrize("names, ids", [(["01"], ["grows", "free"]), (["03-failing-check"], ["four"])])
def test_some_of_the_notebooks(report, names, ids):
    claims, failed = read_claims(report / "notebooks", names)
    assert [claim["id"] for claim in claims] == ids and failed == []


def test_a_folder_the_reader_names_is_taken_instead(report, tmp_path):
    folder = str(report / "notebooks")
    assert run(paths("01", "07"), {"EXECUTED": folder}, out=tmp_path / "out") == 0
    assert entry(tmp_path / "out")["values"]["found"] == "grows, free, four"


def test_alone_it_runs_the_others(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    for name in ("01-figure", "02-failing-cell", "03-failing-check", "07-over-the-others"):
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", tmp_path / "notebooks")
    (tmp_path / "notebooks" / "scales.yml").write_text("03-failing-check: {test: {MEASURED: 4}, full: {MEASURED: 5}}")
    monkeypatch.chdir(tmp_path)
    assert run(["07"], out=tmp_path / "out") == 0
    assert entry(tmp_path / "out")["values"] == {"found": "grows, free, four", "unfinished": "02-failing-cell"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notebooks", "out"]
    (claim,), _ = read_claims(names=["03"])
    assert claim["measured"] == 4


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with two notebooks, as the folder one is in."""
    (tmp_path / "notebooks").mkdir()
    for name in ("01-figure", "07-over-the-others"):
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_report_of_it_is_current_as_long_as_what_it_read(checkout):
    path, shared = checkout / "notebooks" / "07-over-the-others.ipynb", inputs.common()
    full = {"EXECUTED": ""}
    assert run(out="reports") == 0
    assert current(path, "reports", shared) and current(path, "reports", shared, full)
    assert run(parameters={"PAGES": "5"}, out="other") == 0
    assert current(path, "other", shared) and not current(path, "other", shared, full)
    assert run(["07"], out="alone") == 0
    assert not current(path, "alone", shared)  # at test scale, of whatever notebooks there were
    other = path.with_name("01-figure.ipynb")
    other.write_text(other.read_text().replace("The cost grows", "The cost, one sees, grows"))
    assert not current(path, "reports", shared)


def test_to_cite_it_all_is_run(checkout, capsys):
    path = checkout / "notebooks" / "07-over-the-others.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][-1]["source"] = [
        "import pandas as pd\nfrom rmapmodel.figures import style\nfrom rmapmodel.figures.publish import show\n"
        'show(style.subplots()[0], id="fig-over", caption="Claims.", data=pd.DataFrame(claims)[["id", "holds"]])']
    path.write_text(json.dumps(notebook))
    text, failed = cite("fig-over", "lkml")
    assert capsys.readouterr().err.endswith("running 01-figure 07-over-the-others\n")
    assert "grows" in text and "Find it: rmapmodel report; then" in text and failed == []


def test_notebooks_over_the_others_are_no_others(tmp_path):
    parameters = {"cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "outputs": [],
                  "execution_count": 1, "source": 'EXECUTED: str = ""  # a folder'}
    claims = [{"id": "own", "claim": "x", "measured": 1, "holds": True}]
    (tmp_path / "16-own.ipynb").write_text(json.dumps(notebook("16. Own", claims, [parameters])))
    (tmp_path / "01-other.ipynb").write_text(json.dumps(notebook("01. Other", claims)))
    assert [claim["notebook"] for claim in read_claims(tmp_path)[0]] == ["01-other"]


@pytest.mark.parametrize("names, said", [([], "with a verdict here"), (["01"], "no executed notebook 01 here")])
def test_a_folder_without_executed_notebooks_is_refused(tmp_path, names, said):
    with pytest.raises(InputError, match=said):
        read_claims(tmp_path, names)


def test_a_name_that_no_notebook_has_is_refused():
    with pytest.raises(InputError, match="no such notebook"):
        read_claims(names=["99"])
