"""Pictures of claims: how many hold, and who made them where. A claim that holds is filled, one that does not is hollow."""

import re
from textwrap import shorten

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.transforms import ScaledTranslation

from .plots import integers
from .style import context

FILLED = {"facecolor": "#2f4b6e", "edgecolor": "#2f4b6e"}
HOLLOW = {"facecolor": "white", "edgecolor": "#2f4b6e"}


def tally(ax, counts):
    """Draws a bar for each row of `counts`, the claims that hold (`hold`) filled and the rest of those `made` hollow."""
    places = np.arange(len(counts))[::-1]
    hold, made = counts.hold.to_numpy(), counts.made.to_numpy()
    with context():
        for left, width, look in ((0, hold, FILLED), (hold, made - hold, HOLLOW)):
            ax.barh(places, width, left=left, height=0.6, linewidth=0.8, zorder=2, **look)
        for place, good, all_of in zip(places, hold, made):
            ax.annotate(f"{good} of {all_of}", (all_of, place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    ax.set_yticks(places, list(counts.index))
    ax.set(xlim=(0, max(made.max(initial=0) * 1.12, 1)), xlabel="claims")
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    integers(ax.xaxis)


def key(fig):
    """Says below the plots what filled and hollow mean."""
    with context():
        fig.legend([plt.Rectangle((0, 0), 1, 1, **look) for look in (FILLED, HOLLOW)], ["holds", "does not hold"],
                   loc="outside lower right", ncols=2, fontsize=7)


def grid(ax, claims, row, column):
    """Draws each claim as a circle in the cell of its `row` and `column`, columns of `claims`, with rows' sums at the end."""
    rows, columns = (sorted(set(claims[each])) for each in (row, column))
    with context():
        for (down, across), part in claims.groupby([row, column]):
            for holds, (right, up) in zip(sorted(part.holds, reverse=True), _places(len(part))):
                shift = ScaledTranslation(right / 72, up / 72, ax.figure.dpi_scale_trans)
                ax.scatter(columns.index(across), rows.index(down), s=16, linewidth=0.8, clip_on=False, zorder=2,
                           transform=ax.transData + shift, **(FILLED if holds else HOLLOW))
        for y, name in enumerate(rows):
            held = claims.holds[claims[row] == name]
            ax.annotate(f"{held.sum()} of {len(held)}", (1, y), (4, 0), xycoords=("axes fraction", "data"),
                        textcoords="offset points", fontsize=7, va="center")
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)


def _places(count):
    """Points by which each of `count` circles is off the middle of its cell, three in a line."""
    lines = -(-count // 3)
    return [(6.0 * (at % 3 - (min(3, count - at // 3 * 3) - 1) / 2), 6.0 * ((lines - 1) / 2 - at // 3)) for at in range(count)]


def shortened(title, width=48):
    """A notebook's title up to its colon or question mark, and no longer than `width`.

    >>> shortened("05. One space for all: offsets in place of addresses"), shortened("08. Fundamental? What is looked for")
    ('05. One space for all', '08. Fundamental?')
    """
    return shorten(re.match(r"[^:?]*\??", title)[0], width, placeholder="…")
