"""Explorers: nothing is told before a guess, and what is told then is what the package computes."""

import time

import ipywidgets as widgets
import pandas as pd
import pytest

from rmapmodel.explore import program, table
from rmapmodel.explore.guess import Guess, bars, plain
from rmapmodel.study.compare import compare
from rmapmodel.study.program import against_truth
from rmapmodel.study.replay import Options, replay
from rmapmodel.study.sweeps import costs, sweep
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate


def inherited(moved, shared):
    return InMemory(*generate("mremap_inherited", processes=5, pages=20, moved=moved, shared=shared))


def family(processes, areas):
    return InMemory(*generate("fork_server", children=processes - 1, vmas=areas, pages=1, written=1))


@pytest.fixture(scope="module")
def explorers():
    moves = sweep(inherited, {"moved": [0.0, 0.5], "shared": [0.5, 1.0]})
    moves["probes_per_mapping"], moves["kib"] = moves.probes / moves.mappings, moves.design_bytes / 1024
    searches = sweep(family, {"processes": [1, 8], "areas": [2, 4]}, ["shared_space"]).assign(index="prio_tree")
    searches["visits_per_mapping"] = searches.visits / searches.mappings
    frame, _ = compare(inherited(0.5, 0.5), options=Options(reclaim="default"))
    return {"mremap": lambda: table.explorer(
                "How many ptes?", moves, {"strategy": "Design", "moved": "Moved", "shared": "Shared"},
                {"probes_per_mapping": "ptes a mapping", "kib": "KiB added"}),
            "space": lambda: table.explorer(
                "How many vmas?", searches, {"processes": "Processes", "areas": "Areas", "index": "Index"},
                {"visits_per_mapping": "visits a mapping"}, by="index", reference=("truth", 1.0), start={"processes": 8}),
            "program": lambda: program.explorer(against_truth(frame))}


@pytest.mark.parametrize("name", ["mremap", "space", "program"])
def test_nothing_is_told_before_a_guess(explorers, name):
    explorer = explorers[name]()
    said = explorer.shown.value
    for control in explorer.controls.values():
        control.index = (control.index + 1) % len(control.options)
    assert explorer.shown.value == said and not any(letter.isdigit() for letter in said)
    explorer.button.click()
    assert "You guessed" in explorer.shown.value


@pytest.mark.parametrize("name", ["mremap", "space", "program"])
def test_it_can_be_used_by_keyboard_and_captures_nothing(explorers, name):
    explorer = explorers[name]()
    kinds = {type(child) for child in explorer.children}
    assert kinds <= {widgets.SelectionSlider, widgets.Dropdown, widgets.BoundedFloatText, widgets.HTML, widgets.Button}
    for control in (*explorer.controls.values(), explorer.guess):
        assert control.description
        assert not getattr(control, "continuous_update", False)


@pytest.mark.parametrize("name", ["mremap", "space", "program"])
def test_it_moves_in_a_tenth_of_a_second(explorers, name):
    explorer = explorers[name]()
    explorer.button.click()
    control = list(explorer.controls.values())[-1]
    took = []
    for _ in range(5):
        began = time.perf_counter()
        control.index = (control.index + 1) % len(control.options)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.1


def test_mremap_tells_what_a_replay_measures(explorers):
    explorer = explorers["mremap"]()
    explorer.button.click()
    for moved, shared, design in (0.5, 0.5, "anonmm"), (0.5, 1.0, "anonmm"), (0.0, 1.0, "anon_vma"):
        explorer.controls["moved"].value, explorer.controls["shared"].value = moved, shared
        explorer.controls["strategy"].value = design
        measured = costs(replay(inherited(moved, shared), design))
        assert f"<b>{plain(measured['probes'] / measured['mappings'])}</b>.</p>" in explorer.shown.value
        assert plain(measured["design_bytes"] / 1024) in explorer.shown.value


def test_space_tells_what_a_replay_measures(explorers):
    explorer = explorers["space"]()
    explorer.button.click()
    for processes, areas in (8, 2), (1, 4):
        explorer.controls["processes"].value, explorer.controls["areas"].value = processes, areas
        measured = costs(replay(family(processes, areas), "shared_space", Options(index="prio_tree")))
        assert f"<b>{plain(measured['visits'] / measured['mappings'])}</b>.</p>" in explorer.shown.value


def test_program_names_the_cheapest(explorers):
    explorer = explorers["program"]()
    explorer.button.click()
    frame, _ = compare(inherited(0.5, 0.5), options=Options(reclaim="default"))
    costs = against_truth(frame)
    assert f"<b>{costs.kib.idxmin()}</b>.</p>" in explorer.shown.value
    explorer.controls["rate"].value = 1024
    price = costs.kib + 1024 * costs.visits
    assert f"<b>{' and '.join(price.index[price == price.min()])}</b>.</p>" in explorer.shown.value
    assert plain(price["anonmm"]) in explorer.shown.value


def test_program_tells_of_a_trace_without_lookups():
    explorer = program.explorer(pd.DataFrame({"kib": [2.0, 1.0], "visits": [None, None]}, index=["anonmm", "anon_vma"]))
    explorer.button.click()
    explorer.controls["rate"].value = 4
    assert "<b>anon_vma</b>.</p>" in explorer.shown.value and "2.00" in explorer.shown.value


def test_bars_escape_and_mark():
    told = bars([("<b>", 0), ("anonmm", 1000)], "ptes", "anonmm")
    assert "&lt;b&gt;" in told and "<b>1,000</b>" in told and "width:100.0%" in told


def test_a_guess_follows_its_controls_once_made():
    explorer = Guess("?", widgets.BoundedFloatText(), lambda n: (n, ""), n=widgets.Dropdown(options=[1, 2]))
    explorer.guess.value = 7
    explorer.button.click()
    explorer.controls["n"].value = 2
    assert "You guessed 7.00; the model measures <b>2</b>" in explorer.shown.value


def test_a_table_begins_where_told_and_says_what_it_lacks():
    frame = pd.DataFrame({"processes": [1, 8, 8], "index": ["list", "list", "tree"], "visits": [1.0, 8.0, 2.0]})
    explorer = table.explorer("?", frame, {"processes": "Processes", "index": "Index"}, {"visits": "visits"}, by="index",
                              start={"processes": 8, "index": "tree"}, reference=("truth", 1.0))
    explorer.button.click()
    assert "measures <b>2.00</b>" in explorer.shown.value and "truth" in explorer.shown.value
    explorer.controls["processes"].value = 1
    assert "measures <b>nothing at this point</b>" in explorer.shown.value and "tree" not in explorer.shown.value
