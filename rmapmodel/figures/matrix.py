"""A matrix: a number for each design and each of several situations, darker where it is of another class."""

import matplotlib.pyplot as plt
import numpy as np

from .style import context, look

SHADES = ("#ffffff", "#d9d9d9", "#9a9a9a", "#404040")
"""Grey by class, so that it reads without colour: nothing, and then darker."""


def matrix(ax, values, classes, text="{:,}".format, nothing="·"):
    """Draws a table as cells: rows down, designs across in their colours, each cell's number on the shade of its class.

    `values` is a DataFrame with a column for each design; `classes`, of the same shape, holds 0 (nothing: a dot) to 3.
    """
    with context():
        for (row, column), shade in np.ndenumerate(classes.to_numpy()):
            ax.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=SHADES[shade], edgecolor="white", linewidth=1.2))
            ax.text(column, row, text(values.iat[row, column]) if shade else nothing, ha="center", va="center", fontsize=6.5,
                    color="white" if shade == len(SHADES) - 1 else "black")
        ax.set(xlim=(-0.5, len(values.columns) - 0.5), ylim=(len(values) - 0.5, -0.5))
        ax.set_yticks(range(len(values)), list(values.index))
        ax.set_xticks(range(len(values.columns)), list(values.columns), rotation=35, ha="left", rotation_mode="anchor")
        ax.xaxis.tick_top()
        for label in ax.get_xticklabels():
            label.set_color(look(label.get_text()).color)
        ax.tick_params(length=0)
        ax.grid(False)
        for spine in ax.spines.values():
            spine.set_visible(False)


def legend(ax, names):
    """Names the classes from 1 on, below the matrix."""
    patches = [plt.Rectangle((0, 0), 1, 1, facecolor=SHADES[each], edgecolor="#808080", linewidth=0.5)
               for each in range(1, len(names) + 1)]
    with context():
        ax.legend(patches, names, loc="upper left", bbox_to_anchor=(0.0, -0.01), ncols=len(names), fontsize=7, handlelength=1.2)

