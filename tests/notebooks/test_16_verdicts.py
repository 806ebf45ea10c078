"""Notebook 16, over notebooks that a report left and over those that it runs itself."""

import pytest

from rmapmodel.errors import InputError
from rmapmodel.report.collect import failed_check
from tests.notebooks.executed import ARCANGELI, CLAIMS, OURS, write
from tests.notebooks.notebook import run, told

FIGURES = {"fig-verdicts-people", "fig-verdicts-arguments", "fig-verdicts-guess"}


def rows(figure):
    return figure.files["csv"].decode().splitlines()


def test_verdicts_runs_the_others_and_reads_them(tmp_path):
    shown = run("16-verdicts", tmp_path)
    assert set(shown.figures) == FIGURES
    assert shown.values["arguments"] == 2
    assert not any(map(failed_check, shown.claims.values())), "each claim needs a limit, each that somebody made a source"
    assert "Linus Torvalds,1,0" in rows(shown.figures["fig-verdicts-people"])


def test_verdicts_counts_by_person_and_by_argument(tmp_path):
    shown = run("16-verdicts", tmp_path, EXECUTED=write(tmp_path), NOTEBOOKS=[])
    assert shown.values == {"arguments": 2, "claimed": 4, "people": 3, "hold": 2, "own": 1, "own_hold": 1}
    # of two by Arcangeli one holds, of two by van Riel the one that he made with Dickins
    assert rows(shown.figures["fig-verdicts-people"]) == [
        "person,made,hold", "Andrea Arcangeli,2,1", "Rik van Riel,2,1", "Hugh Dickins,1,1"]
    assert rows(shown.figures["fig-verdicts-arguments"]) == [
        "title,made,hold", "05. Shared-address-space: a title,4,3", "15. Your-trace: a title,1,0"]
    assert shown.sentence == (
        "Of 4 claims 2 hold, made by 3 people, and 1 of these are right in all that was measured of them. In 0 of 2 "
        "arguments everything that was claimed holds.")
    assert [claim["measured"] for claim in shown.claims.values()] == ["5 of 5 claims", "5 of 5 claims", "4 of 4 claims"]


def test_its_explorer_counts_up_to_a_notebook(tmp_path):
    explorer, = told("16-verdicts", EXECUTED=write(tmp_path), NOTEBOOKS=[]).explorers
    explorer.button.click()
    for person, number, hold, made in [("Rik van Riel", 15, 1, 2), ("Rik van Riel", 5, 1, 1), ("Andrea Arcangeli", 5, 1, 2),
                                       ("Hugh Dickins", 15, 1, 1)]:
        explorer.controls["person"].value, explorer.controls["number"].value = person, number
        measured, claims = explorer.shown.value.split("claims that hold")
        assert f"the model measures <b>{hold}</b>" in measured and f"<b>{made}</b>" in claims


def test_the_table_is_by_person_and_leads_to_the_notebook(tmp_path):
    from rmapmodel.report.verdicts import as_markdown, read_claims

    claims, _ = read_claims(write(tmp_path))
    _, _, *lines = as_markdown(claims).splitlines()
    assert [line.split(" | ")[0] for line in lines] == [
        "| Andrea Arcangeli", "| Andrea Arcangeli", "| Hugh Dickins", "| Rik van Riel", "| Rik van Riel", "| this model"]
    assert lines[1] == (r"| Andrea Arcangeli | It is not so | 2 | **does not hold** | at \| 1 | "
                        "[05](05-shared-address-space.ipynb#Verdict) |")
    assert lines[2].startswith(r"| Hugh Dickins | It is a\_b so | three | holds | nowhere | [05]")


def test_it_says_who_is_missing_and_what_is_wrong(tmp_path):
    unlimited = {"id": "f", "claim": "x", "measured": 1, "holds": False, "who": "Ingo Molnar", "when": "2004"}
    folder = write(tmp_path, {"02-two.failed": [], "03-three": [unlimited], **CLAIMS})
    shown = told("16-verdicts", EXECUTED=folder, NOTEBOOKS=[])
    assert shown.sentence.endswith("Missing: 02-two, which did not finish.")
    assert {id: (claim["measured"], claim["holds"]) for id, claim in shown.claims.items()} == {
        "verdicts-as-written": ("5 of 6 claims", False), "verdicts-limited": ("5 of 6 claims", False),
        "verdicts-sourced": ("4 of 5 claims", False)}


@pytest.mark.parametrize("claims", [
    {"14-running-kernel": [{"id": "g", "claim": "y", "measured": 1, "holds": True, **OURS}]},
    {"02-two": [{"id": "h", "claim": "z", "measured": 1, "holds": True, **ARCANGELI}]},
])
def test_one_claim_is_enough(tmp_path, claims):
    shown = told("16-verdicts", EXECUTED=write(tmp_path, claims), NOTEBOOKS=[])
    assert set(shown.figures) == FIGURES and len(shown.explorers) == 1


def test_none_is_not(tmp_path):
    with pytest.raises(InputError, match="no executed notebook with a verdict here"):
        told("16-verdicts", EXECUTED=write(tmp_path, {"02-two.failed": []}), NOTEBOOKS=[])
