"""Plots of points: what was predicted against what was counted, and a row of values for each of many things."""

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from .plots import REFERENCE, thousands
from .style import context


def diagonal(ax, counted, predicted, label, color="black", filled=True):
    """Draws predictions over counts, a point where they meet, larger the more of them meet there.

    Pairs of which one is missing are left out. A dotted diagonal, drawn once, is where both are equal.
    """
    pairs = np.array([counted, predicted], float)
    (x, y), times = np.unique(pairs[:, ~np.isnan(pairs).any(axis=0)], axis=1, return_counts=True)
    look = {"color": color, "marker": "o" if filled else "s"}
    with context():
        ax.scatter(x, y, (5 if filled else 16) + 4 * np.log2(times), facecolor=color if filled else "none",
                   edgecolor=color, linewidth=0.8, marker=look["marker"], zorder=3 if filled else 2, clip_on=False)
        ax.plot([], [], label=label, linestyle="none", markersize=4, markerfacecolor=color if filled else "none", **look)
    if not any(line.get_label() == "equal" for line in ax.get_lines()):
        ax.axline((1, 1), slope=1, label="equal", zorder=1, **REFERENCE)


def rows(ax, table, looks, reference=None):
    """Draws a row for each index of a table, with a marker for each of its columns at the value; 0 and missing have none.

    `looks` are a style.Look for each column; `reference`, a (name, value), is a dotted line across all rows. The first
    row is on top. The axis is logarithmic.
    """
    places = np.arange(len(table))[::-1]
    with context():
        ax.hlines(places, 0, 1, transform=ax.get_yaxis_transform(), color="#eeeeee", linewidth=0.8, zorder=0)
        for column, look in looks.items():
            ax.plot(table[column].where(table[column] > 0), places, label=column, color=look.color, marker=look.marker,
                    linestyle="none", markersize=5, markerfacecolor="none" if look.linestyle != "-" else look.color)
    if reference:
        name, value = reference
        ax.axvline(value, zorder=1, **REFERENCE)
        ax.annotate(name, (value, 1), (0, 1), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=7,
                    color=REFERENCE["color"], va="bottom", ha="center")
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(places, list(table.index))
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.set_ylim(-0.7, len(table) - 0.3)
    thousands(ax.xaxis)


def key(ax, **where):
    """Names what an axes shows, inside it at the upper left, or where a legend's arguments say."""
    with context():
        ax.legend(**{"loc": "upper left", "handletextpad": 0.3, "borderaxespad": 0.1, "fontsize": 7, **where})
