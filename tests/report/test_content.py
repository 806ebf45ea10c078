"""What a report over small notebooks holds, twice the same."""

import hashlib
import json
import re
from pathlib import Path

from rmapmodel.report import collect
from rmapmodel.report.run import Run, gather
from tests.report.small import Loads, files, paths


def test_two_runs_give_the_same_bytes_but_for_the_timings(reports):
    one, two = (files(folder) for folder in reports[1:])
    assert one.pop("timings.json") != two.pop("timings.json")
    assert one == two


def test_nothing_else_is_left(report):
    assert sorted(path.name for path in report.parent.iterdir()) == ["one", "two"]


def test_what_a_report_holds(report):
    assert sorted(files(report)) == [
        "figures/fig-cost.csv", "figures/fig-cost.pdf", "figures/fig-cost.png", "figures/fig-cost.svg", "index.html",
        "manifest.json", "notebooks/01-figure.html", "notebooks/01-figure.ipynb",
        "notebooks/02-failing-cell.failed.ipynb", "notebooks/02-failing-cell.html", "notebooks/03-failing-check.html",
        "notebooks/03-failing-check.ipynb", "notebooks/07-over-the-others.html", "notebooks/07-over-the-others.ipynb",
        "timings.json",
    ]


def test_a_failed_cell_and_a_failed_check_end_1(reports):
    assert reports[0] == [1, 1]


def test_a_failed_cell_is_shown_with_its_traceback(report):
    page = (report / "notebooks/02-failing-cell.html").read_text()
    assert "cell 3: ZeroDivisionError: division by zero" in page
    assert "Traceback" in page and "before" in page
    assert "cell 3: ZeroDivisionError" in (report / "index.html").read_text()


def test_the_index_shows_verdicts_then_figures_then_notebooks_then_the_manifest(report):
    index = (report / "index.html").read_text()
    places = [index.index(text) for text in ("the cost grows with &lt;size&gt;", 'src="figures/fig-cost.svg"',
                                             'href="notebooks/01-figure.ipynb"', 'href="manifest.json"')]
    assert places == sorted(places)
    assert "1 of 3 claims hold" in index and "57,600" in index and "Where it stops: at no pages" in index
    assert index.count("check failed") == 1 and index.count("✗ does not hold") == 2


def test_names_and_captions_are_escaped_everywhere(report):
    for page in report.rglob("*.html"):
        assert "<script" not in page.read_text()
    assert "with &lt;angle&gt; brackets &amp; more." in (report / "index.html").read_text()


def test_pages_load_nothing_from_elsewhere(report):
    for page in report.rglob("*.html"):
        for address in Loads(page.read_text()).loaded:
            assert address.startswith("data:") or (page.parent / address).is_file()
        assert "default-src 'none'" in page.read_text()


def test_links_lead_somewhere(report):
    for page in report.rglob("*.html"):
        for address in re.findall(r'<a href="([^"]+)"', page.read_text()):
            if not address.startswith("https://"):
                target, _, anchor = address.partition("#")
                target = page.parent / target if target else page
                assert target.is_file()
                assert not anchor or f'id="{anchor}"' in target.read_text()


def test_nothing_of_the_machine_or_the_clock_is_in_a_report(report):
    for name, content in files(report).items():
        if name != "timings.json":
            assert not re.search(rb"0x7f[0-9a-f]{6}|ipykernel_|\.partial|widget-view|2\d{3}-\d\d-\d\dT", content), name


def test_the_manifest_says_what_went_in(report):
    manifest = json.loads((report / "manifest.json").read_text())
    assert manifest["versions"].keys() >= {"python", "rmapmodel", "numpy", "papermill"}
    assert "events.py" in manifest["package"] and re.fullmatch("[0-9a-f]{64}", manifest["lock"])
    entry = manifest["notebooks"]["01-figure"]
    assert entry["sha256"] == hashlib.sha256(Path(*paths("01")).read_bytes()).hexdigest()
    assert entry["parameters"]["PAGES"] == 4 and entry["seeds"] == {"SEED": 7} and entry["figures"] == ["fig-cost"]
    assert entry["error"] is None and [claim["id"] for claim in entry["claims"]] == ["grows", "free"]
    assert manifest["notebooks"]["02-failing-cell"]["error"] == "cell 3: ZeroDivisionError: division by zero"


def test_executed_notebooks_are_kept_with_their_outputs(report):
    notebook = json.loads((report / "notebooks/02-failing-cell.failed.ipynb").read_text())
    outputs = [output["output_type"] for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert outputs == ["stream", "error"]
    assert not any("papermill" in cell["metadata"] for cell in notebook["cells"])


def test_an_id_that_is_no_file_name_makes_no_file():
    output = {"data": {"application/vnd.rmapmodel.figure+json": {"id": "../../fig-a", "caption": ""}}}
    assert collect.as_figure(output) is None


def test_a_figure_of_two_notebooks_is_an_error(report):
    notebook = json.loads((report / "notebooks/01-figure.ipynb").read_text())
    one, two = (Run(Path(name), {}, notebook, None, "") for name in ("01-figure.ipynb", "11-copy.ipynb"))
    gather([one, two])
    assert one.wrong == [] and len(one.figures) == 1 and two.figures == []
    assert two.wrong == ["figure fig-cost was already shown by 01-figure"]
