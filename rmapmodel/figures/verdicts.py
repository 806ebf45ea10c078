"""Pictures of claims: how many hold, and who made them where. A claim that holds is filled, one that does not is hollow."""

from textwrap import shorten

import matplotlib.pyplot as plt
import numpy as np

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


def key(ax):
    """Says below a plot what filled and hollow mean."""
    with context():
        ax.legend([plt.Rectangle((0, 0), 1, 1, **look) for look in (FILLED, HOLLOW)], ["holds", "does not hold"],
                  loc="upper right", bbox_to_anchor=(1, -0.12 - 0.15 / ax.bbox.height * ax.figure.dpi), ncols=2, fontsize=7)


def grid(ax, claims, row, column):
    """Draws each claim as a circle in the cell of its `row` and `column`, columns of `claims`, with rows' sums at the end."""
    rows, columns = (sorted(set(claims[each])) for each in (row, column))
    with context():
        for (down, across), part in claims.groupby([row, column]):
            x, y = columns.index(across), rows.index(down)
            for at, (dx, dy) in zip(sorted(part.holds, reverse=True), _places(len(part))):
                ax.scatter(x + dx, y + dy, s=16, linewidth=0.8, clip_on=False, zorder=2, **(FILLED if at else HOLLOW))
        for y, name in enumerate(rows):
            held = claims.holds[claims[row] == name]
            ax.annotate(f"{held.sum()} of {len(held)}", (len(columns) - 0.4, y), fontsize=7, va="center",
                        annotation_clip=False)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)


def _places(count):
    """Offsets of `count` circles around the middle of a cell, three in a line."""
    lines = -(-count // 3)
    return [((at % 3 - (min(3, count - at // 3 * 3) - 1) / 2) * 0.26, (at // 3 - (lines - 1) / 2) * 0.3)
            for at in range(count)]


def shortened(title, width=60):
    """A notebook's title without what follows its colon, and no longer than `width`.

    >>> shortened("05. One space for all: offsets in place of addresses")
    '05. One space for all'
    """
    return shorten(title.partition(":")[0], width, placeholder="…")


def listed(names):
    """Names as in a sentence.

    >>> listed(["anonmm", "anon_vma", "objrmap"])
    'anonmm, anon_vma and objrmap'
    """
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
