"""A matrix: a text for each of several situations and designs (or whatever the columns are), on a shade of grey."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ..strategies import STRATEGIES
from .style import context, look

SHADES = (0.0, 0.15, 0.4, 0.75)
"""How dark a class is drawn, from 0 to 1: nothing, and then darker."""


def boxes(ax, texts, shades):
    """Draws a table of texts as a grid of boxes, each as dark as the number from 0 to 1 at its place in `shades`.

    Rows and columns are those of the DataFrame `texts`; columns are named above the boxes.
    """
    rows, columns = texts.shape
    with context():
        for (row, column), text in np.ndenumerate(texts.to_numpy()):
            dark = shades.iat[row, column]
            ax.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=str(1 - dark), edgecolor="white",
                                       linewidth=1.2))
            ax.text(column, row, text, ha="center", va="center", fontsize=6.5, color="white" if dark > 0.5 else "black")
        ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
        ax.set_xticks(range(columns), [str(name).replace(" ", "\n", 1) for name in texts.columns], fontsize=7)
        ax.set_yticks(range(rows), list(texts.index), fontsize=7)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.grid(False)
        ax.spines[:].set_visible(False)


def matrix(ax, values, classes, text="{:,}".format, nothing="·"):
    """Draws a table of numbers in boxes: designs across in their colours, each number on the shade of its class.

    `values` is a DataFrame with a column for each design; `classes`, of the same shape, holds 0 (nothing: a dot) to 3.
    """
    texts = values.astype(object).copy()
    for row, column in np.ndindex(values.shape):
        texts.iat[row, column] = text(values.iat[row, column]) if classes.iat[row, column] else nothing
    boxes(ax, texts, classes.map(lambda each: SHADES[each]))
    _slant(ax, values.columns)


def by_size(ax, table):
    """Draws a table of numbers in boxes, the darker the larger on a scale of logarithms; a missing number is a dash."""
    sizes = np.log1p(table.astype(float).fillna(0).clip(lower=0))
    boxes(ax, table.map(lambda each: "–" if pd.isna(each) else f"{each:,.0f}"), 0.62 * sizes / max(sizes.to_numpy().max(initial=0), 1e-9))
    _slant(ax, table.columns)


def _slant(ax, names):
    """Names the columns aslant, one whose name ends in a design's in its colour."""
    ax.set_xticks(range(len(names)), list(names), rotation=35, ha="left", rotation_mode="anchor")
    for label, name in zip(ax.get_xticklabels(), names):
        design = str(name).split()[-1]
        label.set_color(look(design).color if design in STRATEGIES else "black")


def legend(ax, names):
    """Names the classes from 1 on, below the matrix."""
    patches = [plt.Rectangle((0, 0), 1, 1, facecolor=str(1 - SHADES[each]), edgecolor="#808080", linewidth=0.5)
               for each in range(1, len(names) + 1)]
    with context():
        ax.legend(patches, names, loc="upper left", bbox_to_anchor=(0.0, -0.01), ncols=len(names), fontsize=7, handlelength=1.2)
