"""Plots of points: where they lie, how large they are, and what is named."""

import numpy as np
import pandas as pd

from rmapmodel.figures import points, style


def test_predictions_lie_over_counts_and_grow_with_their_number():
    fig, ax = style.subplots()
    points.diagonal(ax, [1, 1, 1, 4, 5], [1, 1, 1, 6, None], "mine")
    points.diagonal(ax, [2], [3], "other", filled=False)
    mine, other = ax.collections
    assert mine.get_offsets().tolist() == [[1, 1], [4, 6]] and other.get_offsets().tolist() == [[2, 3]]
    large, small = mine.get_sizes()
    assert large > small
    points.key(ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mine", "equal", "other"]


def test_a_row_has_a_marker_for_each_value_but_none_for_nothing():
    table = pd.DataFrame({"anonmm": [1.0, 0.0, 300.0], "anon_vma": [2.0, np.nan, 5.0]}, index=["first", "second", "last"])
    fig, ax = style.subplots()
    points.rows(ax, table, {name: style.look(name) for name in table}, ("truth", 1))
    drawn = {line.get_label(): line for line in ax.get_lines() if line.get_label() in table}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second", "last"]
    assert list(drawn["anonmm"].get_ydata()) == [2, 1, 0] and np.isnan(drawn["anonmm"].get_xdata()[1])
    assert drawn["anon_vma"].get_marker() == style.look("anon_vma").marker
    assert [text.get_text() for text in ax.texts] == ["truth"] and ax.get_xscale() == "log"
