"""Matrices: each cell's number on the shade of its class, each design in its colour; axes that double."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from rmapmodel.figures import plots, style
from rmapmodel.figures.matrix import SHADES, boxes, by_size, legend, matrix


@pytest.fixture
def ax():
    fig, ax = style.subplots(width=style.COLUMN)
    yield ax
    plt.close(fig)


GREYS = [to_hex(str(1 - shade)) for shade in SHADES]


def test_each_text_stands_in_a_box_as_dark_as_told(ax):
    texts = pd.DataFrame({"shared by all": ["N", "1"], "copied": ["1", "N"]}, index=["anonmm", "pte_chain"])
    boxes(ax, texts, pd.DataFrame([[0.1, 0.9], [0.1, 0.1]], texts.index, texts.columns))
    assert [(text.get_text(), text.get_position(), text.get_color()) for text in ax.texts] == [
        ("N", (0, 0), "black"), ("1", (1, 0), "white"), ("1", (0, 1), "black"), ("N", (1, 1), "black")]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["anonmm", "pte_chain"]


def test_cells_are_what_the_table_says(ax):
    values = pd.DataFrame({"anonmm": [0, 1200], "anon_vma": [3, 4]}, index=["fork", "move"])
    classes = pd.DataFrame({"anonmm": [0, 3], "anon_vma": [1, 2]}, index=values.index)
    matrix(ax, values, classes)
    at = {(text.get_position(), text.get_text(), text.get_color()) for text in ax.texts}
    assert at == {((0, 0), "·", "black"), ((1, 0), "3", "black"), ((0, 1), "1,200", "white"), ((1, 1), "4", "black")}
    shades = {patch.get_xy(): to_hex(patch.get_facecolor()) for patch in ax.patches}
    assert shades == {(-0.5, -0.5): GREYS[0], (0.5, -0.5): GREYS[1], (-0.5, 0.5): GREYS[3], (0.5, 0.5): GREYS[2]}
    assert [(label.get_text(), label.get_color()) for label in ax.get_xticklabels()] == [
        (name, style.look(name).color) for name in values]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fork", "move"]


def test_a_larger_number_is_darker_a_missing_one_a_dash(ax):
    numbers = pd.DataFrame({"anonmm": [0, 3], "7.0 anon_vma": [30, float("nan")], "else": [0, 0]}, index=["few", "many"])
    by_size(ax, numbers)
    assert [text.get_text() for text in ax.texts] == ["0", "30", "0", "3", "–", "0"]
    grey = {patch.get_xy(): patch.get_facecolor()[0] for patch in ax.patches}
    assert grey[-0.5, -0.5] == grey[0.5, 0.5] == 1 > grey[-0.5, 0.5] > grey[0.5, -0.5]
    assert [(label.get_text(), label.get_color()) for label in ax.get_xticklabels()] == [
        ("anonmm", style.look("anonmm").color), ("7.0 anon_vma", style.look("anon_vma").color), ("else", "black")]


def test_nothing_but_zeros_is_white(ax):
    by_size(ax, pd.DataFrame({"anonmm": [0, 0]}))
    assert {patch.get_facecolor()[:3] for patch in ax.patches} == {(1.0, 1.0, 1.0)}


def test_the_legend_names_the_classes_in_use(ax):
    legend(ax, ["always", "with pages"])
    shown = ax.get_legend()
    assert [text.get_text() for text in shown.get_texts()] == ["always", "with pages"]
    assert [to_hex(patch.get_facecolor()) for patch in shown.get_patches()] == GREYS[1:3]


@pytest.mark.parametrize("most, ticks", [(0, [0]), (1, [0, 1]), (5, [0, 1, 2, 4]), (64, [0, 1, 2, 4, 8, 16, 32, 64])])
def test_an_axis_of_doublings(ax, most, ticks):
    plots.doublings(ax, most)
    assert ax.get_xticks().tolist() == ticks
