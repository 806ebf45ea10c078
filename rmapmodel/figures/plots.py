"""Plots of tidy DataFrames: a line or a bar for each strategy, written on directly, against a reference."""

import matplotlib.ticker
import numpy as np

from .style import context, line, look, subplots

REFERENCE = {"color": "#555555", "linewidth": 1.0, "linestyle": (0, (1, 1.6))}


def curves(ax, frame, x, y, **kwargs):
    """Draws column `y` over column `x`, a line in its look for each `strategy` of the frame, to be named afterwards."""
    with context():
        for name, part in frame.groupby("strategy", sort=False):
            ax.plot(part[x], part[y], **{**line(name), "clip_on": False, **kwargs})


def merged(ax, frame, x, y):
    """Draws curves() of once(), each named with how many more it stands for; returns the sentence for the caption."""
    groups = _alike(frame, x, y)
    rest, told = once(frame, x, y)
    before = len(ax.get_lines())
    curves(ax, rest, x, y)
    for drawn, names in zip(ax.get_lines()[before:], groups):
        drawn.set_label(names[0] + (f" + {len(names) - 1}" if len(names) > 1 else ""))
    return told


def once(frame, x, y):
    """A frame without the designs whose `y` over `x` is that of an earlier one, and a caption's sentence that says so.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"strategy": ["a", "a", "b", "b", "c", "c"], "x": [0, 1] * 3, "y": [5, 6, 5, 6, 5, 7]})
    >>> rest, told = once(frame, "x", "y")
    >>> list(rest.strategy), told
    (['a', 'a', 'c', 'c'], 'One line stands for a and b.')
    """
    groups = _alike(frame, x, y)
    several = [f"{', '.join(names[:-1])} and {names[-1]}" for names in groups if len(names) > 1]
    told = f"One line stands for {'; one for '.join(several)}." if several else ""
    return frame[frame.strategy.isin([names[0] for names in groups])], told


def _alike(frame, x, y):
    """The designs of a frame, those with the same `y` over `x` together, in the order of the first of each."""
    lines, alike = frame.pivot(index=x, columns="strategy", values=y).round(9), {}
    for name in dict.fromkeys(frame.strategy):
        alike.setdefault(tuple(lines[name]), []).append(name)
    return list(alike.values())


def panel(ax, frame, x, y, heading, against=None, **settings):
    """Draws curves() from zero under a heading, against a level `(name, value)`; `settings` go to the axes."""
    curves(ax, frame, x, y)
    if against:
        name, value = against
        reference(ax, [frame[x].min(), frame[x].max()], [value, value], name)
    title(ax, heading)
    ax.set(**{"ylim": (0, None), **settings})


def reference(ax, x, y, label):
    """Draws what the designs are measured against (the truth, or doing nothing) as a dotted line without markers."""
    ax.plot(x, y, label=label, zorder=1.5, **REFERENCE)


def title(ax, text):
    """Writes what an axes shows above it, from its left edge."""
    ax.set_title(text, loc="left", fontsize=8.5)


def phase(ax, x, label, ha="left"):
    """Marks where something begins on the x axis, named at the top beside the mark; with `ha="right"`, to its left."""
    ax.axvline(x, color=REFERENCE["color"], linewidth=0.6, zorder=1)
    ax.annotate(label, (x, 1), (-3 if ha == "right" else 3, -2), xycoords=("data", "axes fraction"),
                textcoords="offset points", fontsize=7, color=REFERENCE["color"], va="top", ha=ha)


def integers(axis):
    """Lets an axis that counts have whole numbers only."""
    axis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))


def thousands(axis):
    """Writes the numbers of an axis in groups of three."""
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))


def doublings(ax, most):
    """Lets an x axis run from 0 over 1, 2, 4 ... to `most`, each as far from the next as from the one before."""
    ax.set_xscale("symlog", base=2, linthresh=1)
    ax.set_xticks([0, *(2 ** step for step in range(most.bit_length()))])
    ax.xaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
    ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())


def label_ends(*axes, at=-1, size=7):
    """Names each labelled line at its right end, the names apart from one another where lines end together.

    `at` is the point of the line that is named, the last by default. Call it last: it fixes the limits of the axes.
    """
    for ax in axes:
        _label_ends(ax, at, size)


def _label_ends(ax, at, size):
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())
    ax.figure.draw_without_rendering()
    ends = sorted(((ax.transData.transform(each.get_xydata()[at])[1] * 72 / ax.figure.dpi, place, each)
                   for place, each in enumerate(_named(ax))), key=lambda end: end[:2])
    bottom = ax.bbox.y0 * 72 / ax.figure.dpi
    for (height, _, each), place in zip(ends, _apart([height for height, *_ in ends], size * 1.25, bottom)):
        point, shift = each.get_xydata()[at], place - height
        ax.annotate(each.get_label(), point, (11, shift), textcoords="offset points", fontsize=size,
                    color=each.get_color(), va="center", annotation_clip=False, arrowprops=None if abs(shift) < 1 else {
                        "arrowstyle": "-", "color": each.get_color(), "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3,
                        "relpos": (0, 0.5)})


def key(ax):
    """Names the labelled lines beside the plot, the one with the highest peak on top: for lines that cross often."""
    lines = sorted(_named(ax), key=lambda each: -max(each.get_ydata()))
    with context():
        ax.legend(lines, [each.get_label() for each in lines], labelcolor="linecolor", loc="center left",
                  bbox_to_anchor=(1.0, 0.5), handlelength=2.6, fontsize=7)


def _named(ax):
    return [each for each in ax.get_lines() if not each.get_label().startswith("_") and len(each.get_xdata())]


def _apart(heights, gap, floor=float("-inf")):
    """Places as near to the ascending `heights` as can be, at least `gap` apart, none below `floor`.

    >>> _apart([0.0, 1.0, 10.0], 3.0)
    [-1.0, 2.0, 10.0]
    >>> _apart([0.0, 1.0, 10.0], 3.0, 0.0)
    [0.0, 3.0, 10.0]
    """
    clusters = []  # [sum of the wanted places of the lowest member, members]
    for height in heights:
        clusters.append([height, 1])
        while len(clusters) > 1 and _lowest(clusters[-2]) + gap * clusters[-2][1] > _lowest(clusters[-1]):
            total, count = clusters.pop()
            clusters[-1][0] += total - gap * clusters[-1][1] * count
            clusters[-1][1] += count
    places = [_lowest(cluster) + gap * number for cluster in clusters for number in range(cluster[1])]
    return [max(place, floor + gap * number) for number, place in enumerate(places)]


def _lowest(cluster):
    return cluster[0] / cluster[1]


def bars(ax, values, text=None, color=None):
    """Draws a horizontal bar for each strategy (or, in one `color`, each name) of a Series, its number at the end.

    `text` makes the number's text; without it whole numbers are written as such, others with two places.
    """
    text = text or ("{:,.0f}" if values.dtype.kind in "iu" else "{:,.2f}").format
    places = np.arange(len(values))[::-1]
    numbers = values.fillna(0).to_numpy(float)
    ax.barh(places, numbers, height=0.6, color=color or [look(name).color for name in values.index], zorder=2)
    for place, number in zip(places, values):
        ax.annotate(text(number) if number == number else "none", (number if number == number else 0, place), (3, 0),
                    textcoords="offset points", va="center", fontsize=7, zorder=4,
                    bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"})
    ax.set_yticks(places, list(values.index))
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.set_xlim(0, max(numbers.max(initial=0) * 1.15, 1e-9))
    thousands(ax.xaxis)


def mark(ax, x, label):
    """Marks a reference value on the x axis of a bar chart, named above the bars."""
    if x > ax.get_xlim()[1]:
        ax.set_xlim(0, x * 1.15)
    ax.axvline(x, zorder=3, **REFERENCE)
    ax.annotate(label, (x, 1), (3, 1), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=7,
                color=REFERENCE["color"], va="bottom", ha="left" if x < ax.get_xlim()[1] / 2 else "right")


def bar_panels(table, text=None, **panels):
    """A figure with a panel of bars() for each column of a table of strategies, side by side; returns it.

    A panel is column=(heading, label of the x axis, reference or None), a reference being (name, value); `text` writes
    the numbers.
    """
    fig, axes = subplots(height=0.6 + 0.27 * len(table), ncols=len(panels), sharey=True)
    for ax, (column, (heading, label, against)) in zip(np.atleast_1d(axes), panels.items()):
        bars(ax, table[column], text)
        if against:
            mark(ax, against[1], against[0])
        title(ax, heading + "\n")
        ax.set(xlabel=label)
    return fig
