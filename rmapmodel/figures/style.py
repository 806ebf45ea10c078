"""One look for each strategy in every figure, and one set of sizes: readable in grey, and by the colour-blind."""

from typing import NamedTuple
from zlib import crc32

import matplotlib as mpl
import matplotlib.pyplot as plt

COLUMN, PAGE = 3.4, 7.0  # inches: a column and the width of a page


class Look(NamedTuple):
    """How a strategy is drawn; the marker and the line tell it apart without colour."""

    color: str
    marker: str
    linestyle: str | tuple


# The colours keep a distance of 15 in CIELAB with each common colour blindness, and a contrast of 3 with white.
LOOKS = {
    "page_table_scan": Look("#7f7f7f", "x", ":"),
    "pte_chain": Look("#000000", "o", "-"),
    "objrmap": Look("#980506", "h", "--"),
    "anonmm": Look("#5551b3", "^", "-"),
    "anonmm_copy": Look("#6390ff", "v", "--"),
    "anonmm_remap": Look("#4a0555", "<", "-."),
    "anon_vma": Look("#ff3e13", "s", "-"),
    "shared_space": Look("#267b43", "D", "-"),
    "shared_space_unique": Look("#2c3d32", "d", "--"),
    "anon_vma_chain": Look("#c77ac2", "P", (0, (6, 1))),
    "cow_context": Look("#9f9730", "*", (0, (3, 1, 1, 1))),
}
# Looks for designs from outside the package, with the same distances from those above and from one another.
SPARE = [Look(color, marker, (0, (1, 1))) for color, marker in (
    ("#8800f0", ">"), ("#804880", "X"), ("#4800a0", "p"), ("#f800e8", "8"), ("#38a858", "+"), ("#600000", "1"),
    ("#302038", "2"), ("#780088", "|"))]

RC = {
    "font.family": "DejaVu Sans",  # matplotlib brings it along, so letters are alike on every machine
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "pdf.fonttype": 3,
}


def look(strategy):
    """Return the Look of a strategy.

    One from outside the package gets a spare one by its name, the next free where two designs of a run want the same;
    beyond eight of them looks repeat.

    >>> look("anon_vma").marker
    's'
    """
    if strategy in LOOKS:
        return LOOKS[strategy]
    from ..strategies import STRATEGIES

    given = {}
    for name in sorted({*STRATEGIES, strategy} - LOOKS.keys()):
        at = crc32(name.encode())
        while len(given) < len(SPARE) and at % len(SPARE) in given.values():
            at += 1
        given[name] = at % len(SPARE)
    return SPARE[given[strategy]]


def line(strategy):
    """Return the keyword arguments with which `Axes.plot` draws a strategy.

    >>> line("pte_chain")
    {'color': '#000000', 'marker': 'o', 'linestyle': '-', 'label': 'pte_chain'}
    """
    return {**look(strategy)._asdict(), "label": strategy}


def context():
    """Return a context (or decorator) in which matplotlib has this package's settings and none of the user's."""
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    return mpl.rc_context(defaults | RC)


def subplots(*, width=PAGE, height=3.0, **arguments):
    """Return a figure and its axes as `plt.subplots` does, `width` (COLUMN or PAGE) by `height` inches."""
    with context():
        return plt.subplots(figsize=(width, height), **arguments)
