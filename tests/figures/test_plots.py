"""Plots: bars as long as their numbers, names that do not cover one another."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from rmapmodel.figures import plots, style


@pytest.fixture
def ax():
    fig, ax = style.subplots(width=style.COLUMN)
    yield ax
    plt.close(fig)


def frame(ends):
    return pd.DataFrame([{"strategy": name, "x": x, "y": x * end} for name, end in ends.items() for x in (0, 1, 2)])


def test_a_curve_is_drawn_in_the_look_of_its_strategy(ax):
    plots.curves(ax, frame({"anonmm": 1, "pte_chain": 2}), "x", "y")
    assert [(line.get_label(), line.get_color(), line.get_marker()) for line in ax.get_lines()] == [
        (name, style.look(name).color, style.look(name).marker) for name in ("anonmm", "pte_chain")]
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [[0, 1, 2], [0, 2, 4]]


@pytest.mark.parametrize("ends", [{"anonmm": 1, "anon_vma": 1, "pte_chain": 1, "shared_space": 1},
                                  {"anonmm": 0, "anon_vma": 100, "pte_chain": 99, "shared_space": 1}])
def test_names_at_the_ends_do_not_cover_one_another(ax, ends):
    plots.curves(ax, frame(ends), "x", "y")
    plots.reference(ax, [0, 2], [0, 0], "truth")
    plots.label_ends(ax)
    ax.figure.draw_without_rendering()
    renderer = ax.figure.canvas.get_renderer()
    boxes = {text.get_text(): Text.get_window_extent(text, renderer) for text in ax.texts}  # without its line
    assert boxes.keys() == {*ends, "truth"}
    assert not any(a.overlaps(b) for a, b in combinations(boxes.values(), 2))


def test_names_keep_the_order_of_the_lines(ax):
    plots.curves(ax, frame({"anonmm": 3, "anon_vma": 1, "pte_chain": 2}), "x", "y")
    plots.label_ends(ax)
    ax.figure.draw_without_rendering()
    renderer = ax.figure.canvas.get_renderer()
    height = {text.get_text(): Text.get_window_extent(text, renderer).y0 for text in ax.texts}
    assert sorted(height, key=height.get) == ["anon_vma", "pte_chain", "anonmm"]


def test_a_key_names_the_highest_first(ax):
    plots.curves(ax, frame({"anonmm": 1, "pte_chain": 2}), "x", "y")
    plots.key(ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["pte_chain", "anonmm"]


def test_bars_are_as_long_as_their_numbers(ax):
    values = pd.Series({"anonmm": 2.0, "pte_chain": np.nan, "anon_vma": 1234.5})
    plots.bars(ax, values)
    assert [bar.get_width() for bar in ax.patches] == [2.0, 0.0, 1234.5]
    assert [text.get_text() for text in ax.texts] == ["2.00", "none", "1,234.50"]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(values.index)


def test_bars_of_nothing(ax):
    plots.bars(ax, pd.Series({"anonmm": np.nan}))
    plots.mark(ax, 1, "truth")
    assert ax.get_xlim()[1] > 1


def test_a_mark_is_inside_the_plot(ax):
    plots.bars(ax, pd.Series({"anonmm": 2.0}))
    plots.mark(ax, 50, "truth")
    assert ax.get_xlim()[1] > 50
    assert [text.get_text() for text in ax.texts][-1] == "truth"


def test_merged_curves_say_how_many_they_stand_for(ax):
    told = plots.merged(ax, frame({"anonmm": 1, "anon_vma": 1, "pte_chain": 2}), "x", "y")
    assert [line.get_label() for line in ax.get_lines()] == ["anonmm + 1", "pte_chain"]
    assert told == "One line stands for anonmm and anon_vma."


def test_panels_write_numbers_as_told():
    fig = plots.bar_panels(pd.DataFrame({"kib": [2.0]}, index=["anonmm"]), "{:.0f} KiB".format, kib=("", "", None))
    assert "2 KiB" in [each.get_text() for each in fig.axes[0].texts]
    plt.close(fig)
