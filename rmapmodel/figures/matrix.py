"""A table as a figure: a number in every cell, the darker the larger, so that a pattern is seen before it is read."""

import numpy as np

from .style import LOOKS, look


def matrix(ax, table, text="{:,.0f}".format, least=0, fontsize=7):
    """Draws a DataFrame of numbers, rows downwards, column names on top; returns nothing.

    A cell is white at `least` or below and, on a scale of logarithms, dark grey at the largest number; a missing number
    is a dash. A column whose name ends in that of a design is named in its colour.
    """
    values = table.to_numpy(float)
    beyond = np.log1p(np.clip(np.nan_to_num(values, nan=least) - least, 0, None))
    shade = 1 - 0.62 * beyond / max(beyond.max(initial=0), 1e-9)
    ax.imshow(shade, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, "–" if np.isnan(value) else text(value), ha="center", va="center", fontsize=fontsize,
                color="white" if shade[row, column] < 0.5 else "black")
    ax.set_xticks(range(len(table.columns)), list(table.columns), rotation=45, ha="left", rotation_mode="anchor",
                  fontsize=fontsize)
    ax.set_yticks(range(len(table.index)), list(table.index), fontsize=fontsize)
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    for tick, name in zip(ax.xaxis.get_major_ticks(), table.columns):
        design = str(name).split()[-1]
        tick.label2.set_color(look(design).color if design in LOOKS else "black")
    ax.set_xticks(np.arange(1, len(table.columns)) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, len(table.index)) - 0.5, minor=True)
    ax.grid(False)
    ax.grid(True, which="minor", color="white", linewidth=1)
    ax.tick_params(which="minor", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
