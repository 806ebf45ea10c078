"""A matrix says every number, and is darker where it is larger."""

import matplotlib.pyplot as plt
import pandas as pd

from rmapmodel.figures import style
from rmapmodel.figures.matrix import matrix

NUMBERS = pd.DataFrame({"anonmm": [0, 3], "7.0 anon_vma": [30, float("nan")]}, index=["few", "many"])


def test_numbers_names_and_shades():
    fig, ax = style.subplots()
    matrix(ax, NUMBERS)
    assert [text.get_text() for text in ax.texts] == ["0", "30", "3", "–"]
    shades = ax.images[0].get_array()
    assert shades[0, 0] == shades[1, 1] == 1 > shades[1, 0] > shades[0, 1]
    names = [tick.label2 for tick in ax.xaxis.get_major_ticks()]
    assert [(name.get_text(), name.get_color()) for name in names] == [
        (name, style.look(design).color) for name, design in (("anonmm", "anonmm"), ("7.0 anon_vma", "anon_vma"))]
    plt.close(fig)


def test_nothing_but_zeros_is_white():
    fig, ax = style.subplots()
    matrix(ax, NUMBERS * 0)
    assert (ax.images[0].get_array() == 1).all()
    plt.close(fig)
