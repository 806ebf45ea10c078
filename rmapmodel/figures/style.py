"""One look for each strategy in every figure, and one set of sizes: readable in grey, and by the colour-blind."""

from typing import NamedTuple

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
_NEW = [Look(color, marker, (0, (1, 1))) for color, marker in (("#7f7f7f", "X"), ("#000000", "p"), ("#5551b3", "8"))]

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
    """Return the Look of a strategy; designs from outside the package share a few spare ones.

    >>> look("anon_vma").marker
    's'
    """
    return LOOKS.get(strategy) or _NEW[sum(map(ord, strategy)) % len(_NEW)]


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
