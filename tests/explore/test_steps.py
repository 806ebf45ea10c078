"""The step slider: what it shows after each event is what `explain` says, of any trace, and the walk only after a guess."""

import re
import time
from pathlib import Path

import ipywidgets as widgets
import pytest

from rmapmodel.events import Fork, Header, Mmap, Munmap, Spawn, Write
from rmapmodel.explore import steps
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.explain import explain
from rmapmodel.study.steps import walks
from rmapmodel.trace.jsonl import read
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

FAMILY = Path(__file__).parents[1] / "figures" / "family.jsonl"
BASE = 0x10000000
TRACE = InMemory(*generate("mremap_inherited", processes=3, pages=4))
LINES = [line for line, _ in TRACE]


@pytest.fixture(scope="module")
def made():
    return steps.explorer(TRACE, list(STRATEGIES), (1, BASE))


@pytest.fixture
def explorer(made):
    made.answered = False
    made.controls["line"].value, made.controls["design"].value = LINES[-1], "anonmm"
    return made


def visible(html):
    """The texts of what is shown, and the words for who cannot see it."""
    return re.sub(r"<[^>]*?(?:aria-label=\"([^\"]*)\"[^>]*)?>", r" \1 ", html)


def test_before_a_guess_it_shows_the_structures_but_not_the_walk(explorer):
    for line in LINES:
        explorer.controls["line"].value = line
        shown = visible(explorer.shown.value)
        assert f"Line {line}." in shown and "<svg" in explorer.shown.value
        assert "looks at" not in shown and "n-th step" not in shown and "ptes looked at" not in shown
    assert "Page a is to be looked up." in shown
    explorer.button.click()
    assert "You guessed 0; the model measures 9." in visible(explorer.shown.value).replace("  ", "")


@pytest.mark.parametrize("design", STRATEGIES)
def test_after_each_event_it_shows_what_explain_says(explorer, design):
    explorer.button.click()
    explorer.controls["design"].value = design
    for line in LINES[2:]:  # once the page is there
        explorer.controls["line"].value = line
        cost = explain(TRACE, design, 1, BASE, line)["cost"]
        assert f"the model measures <b>{cost['ptes_examined']:,}</b>." in explorer.shown.value
        found, looked = cost["mappings"], cost["ptes_examined"]
        assert f"looks at {looked} pte{'s' * (looked != 1)}, finds {found} mapping{'s' * (found != 1)}." \
            in explorer.shown.value
        for number in (looked, cost["vmas_examined"]):  # in the bars of this design
            assert f"<b>{number:,}</b></td>" in explorer.shown.value


def test_the_table_of_its_static_twin_has_the_same_numbers():
    table = walks(TRACE, (1, BASE)).set_index(["strategy", "line"])
    for design in STRATEGIES:
        for line in LINES:
            row = table.loc[(design, line)]
            if line < 3:
                assert row.isna().all()
                continue
            cost = explain(TRACE, design, 1, BASE, line)["cost"]
            assert (row.visits, row.probes, row.mappings) == \
                (cost["vmas_examined"], cost["ptes_examined"], cost["mappings"])


def test_where_nothing_is_mapped_it_says_so(explorer):
    explorer.button.click()
    explorer.controls["line"].value = 2
    assert "the model measures <b>no page to look up</b>" in explorer.shown.value
    assert f"Process 1 maps no page at {BASE:#x} now." in explorer.shown.value


def test_it_can_be_used_by_keyboard_is_labelled_and_captures_nothing(explorer):
    assert {type(child) for child in explorer.children} == {
        widgets.SelectionSlider, widgets.Dropdown, widgets.BoundedIntText, widgets.HTML, widgets.Button}
    assert all(control.description for control in (*explorer.controls.values(), explorer.guess))
    assert not explorer.controls["line"].continuous_update
    explorer.button.click()
    assert 'role="img" aria-label="anonmm after line' in explorer.shown.value


def test_it_moves_in_a_tenth_of_a_second(explorer):
    big = steps.explorer(InMemory(*generate("mremap_inherited", processes=12, pages=8)), ["cow_context"], (1, BASE))
    for each in (explorer, big):
        each.button.click()
        took = []
        for label, line in each.controls["line"].options:
            began = time.perf_counter()
            each.controls["line"].value = line
            took.append(time.perf_counter() - began)
        assert sorted(took)[len(took) // 2] < 0.1


def test_a_long_trace_has_as_many_stops_as_fit_and_ends_at_its_end(monkeypatch):
    monkeypatch.setattr(steps, "STOPS", 5)
    explorer = steps.explorer(TRACE, ["anon_vma"], (1, BASE))
    assert [line for _, line in explorer.controls["line"].options] == [3, 6, 9, 12]  # of twelve events
    assert "one stop for 3 events" in explorer.shown.value


def test_a_recorded_trace_with_files_and_a_refusal():
    # the child's area that grows meets offsets of what was mapped beside it: notebook 15 counts the same refusal
    explorer = steps.explorer(read(FAMILY), ["shared_space_unique", "anon_vma"], (2, BASE), start=(13, "anon_vma"))
    assert "refuses it" not in explorer.shown.value and "libc.so.6" in explorer.shown.value
    explorer.controls["design"].value = "shared_space_unique"
    assert "shared_space_unique refuses it: " in explorer.shown.value


def test_a_page_that_goes_and_a_process_that_comes():
    events = [Spawn(1), Mmap(1, BASE, 4096, "rw-", ["private", "anonymous"]), Write(1, BASE, 4096), Fork(1, 2),
              Munmap(2, BASE, 4096)]
    explorer = steps.explorer(InMemory(Header(version=1), events), ["anon_vma", "cow_context"], (2, BASE))
    explorer.button.click()
    measured = []
    for line in range(1, 6):
        explorer.controls["line"].value = line
        measured.append(re.search("measures <b>(.*?)</b>", explorer.shown.value)[1])
    assert measured == ["no page to look up"] * 3 + ["2", "no page to look up"]
    with pytest.raises(ValueError, match="without events"):
        steps.explorer(InMemory(Header(version=1), []), ["anon_vma"], (1, BASE))
