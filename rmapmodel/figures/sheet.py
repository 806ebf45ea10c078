"""A sheet of shapes, placed in inches from its top left corner: a matplotlib Figure for a report, SVG for a widget."""

import html
from functools import cache
from typing import NamedTuple

from matplotlib.font_manager import findfont, get_font
from matplotlib.markers import MarkerStyle
from matplotlib.patches import FancyBboxPatch
from matplotlib.path import Path

from .style import context, subplots

INCH = 72  # points
ANCHORS = {"left": "start", "center": "middle", "right": "end"}
LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}


class Sheet:
    """Shapes in the order of their `z`, then in that in which they were added.

    >>> sheet = Sheet(2.0, 0.4)
    >>> sheet.add(Text(0.1, 0.2, "a < b"))
    >>> "a &lt; b" in sheet.svg("one text"), sheet.figure().get_size_inches().tolist()
    (True, [2.0, 0.4])
    """

    def __init__(self, width, height=0.0):
        self.width, self.height, self._shapes = width, height, []

    def add(self, shape, z=0):
        """Adds a Text, Box, Line or Marker."""
        self._shapes.append((z, shape))

    @property
    def shapes(self):
        """The shapes, the lowest first."""
        return [shape for _, shape in sorted(self._shapes, key=lambda each: each[0])]

    def figure(self):
        """A matplotlib Figure of the sheet."""
        fig, ax = subplots(width=self.width, height=self.height)
        fig.set_layout_engine("none")
        ax.set(position=(0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        ax.axis("off")
        with context():
            for z, shape in enumerate(self.shapes, 1):
                shape.onto(ax, z)
        return fig

    def svg(self, label):
        """The sheet as an <svg> element that stands by itself, `label` its words for who cannot see it.

        Letters are text in DejaVu Sans, or the reader's own. Cost: a millisecond or two, where a figure takes hundreds.
        """
        label, width, height = html.escape(label), _pt(self.width), _pt(self.height)
        shapes = "".join(shape.element() for shape in self.shapes)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" viewBox="0 0 {width} {height}" '
                f'width="{width}pt" height="{height}pt" style="max-width:100%;height:auto;background:white" fill="none" '
                f'font-family="DejaVu Sans, Verdana, sans-serif"><title>{label}</title>{shapes}</svg>')


class Text(NamedTuple):
    """Text whose middle is at `y`; `size` in points."""

    x: float
    y: float
    text: str
    size: float = 7.2
    color: str = "black"
    ha: str = "left"
    weight: str = "normal"
    style: str = "normal"

    def onto(self, ax, z):
        ax.text(self.x, self.y, self.text, fontsize=self.size, color=self.color, ha=self.ha, va="center",
                weight=self.weight, style=self.style, zorder=z)

    def element(self):
        # the middle of capitals and digits is 0.36 of the letters' size above the line they stand on
        return (f'<text x="{_pt(self.x)}" y="{_pt(self.y + 0.36 * self.size / INCH)}" font-size="{self.size:g}" '
                f'fill="{self.color}" text-anchor="{ANCHORS[self.ha]}" font-weight="{self.weight}" '
                f'font-style="{self.style}">{html.escape(self.text)}</text>')


class Box(NamedTuple):
    """A rectangle; `line` is the width of its edge, `dashes` those of a dash and a gap, in points."""

    x: float
    y: float
    width: float
    height: float
    face: str = "white"
    edge: str = "black"
    line: float = 0.8
    dashes: tuple | None = None
    radius: float = 0.0

    def onto(self, ax, z):
        style = f"round,pad=0,rounding_size={self.radius}" if self.radius else "square,pad=0"
        ax.add_patch(FancyBboxPatch((self.x, self.y), self.width, self.height, style, facecolor=self.face,
                                    edgecolor=self.edge, linewidth=self.line,
                                    linestyle=_linestyle(self.dashes, self.line), zorder=z))

    def element(self):
        return (f'<rect x="{_pt(self.x)}" y="{_pt(self.y)}" width="{_pt(self.width)}" height="{_pt(self.height)}" '
                f'rx="{_pt(self.radius)}" fill="{self.face}"{_stroke(self.edge, self.line, self.dashes)}/>')


class Line(NamedTuple):
    """A line through points (x, y)."""

    points: list
    color: str = "black"
    line: float = 0.7
    dashes: tuple | None = None

    def onto(self, ax, z):
        ax.plot(*zip(*self.points), color=self.color, linewidth=self.line, solid_capstyle="butt",
                linestyle=_linestyle(self.dashes, self.line), zorder=z)

    def element(self):
        points = " ".join(f"{_pt(x)},{_pt(y)}" for x, y in self.points)
        return f'<polyline points="{points}"{_stroke(self.color, self.line, self.dashes)}/>'


class Marker(NamedTuple):
    """One of matplotlib's markers, `size` points wide."""

    x: float
    y: float
    marker: str
    size: float
    face: str
    edge: str
    line: float = 0.8

    def onto(self, ax, z):
        ax.plot([self.x], [self.y], marker=self.marker, markersize=self.size, markerfacecolor=self.face,
                markeredgecolor=self.edge, markeredgewidth=self.line, zorder=z)

    def element(self):
        filled = self.face if MarkerStyle(self.marker).is_filled() else "none"
        return (f'<path d="{_outline(self.marker)}" fill="{filled}"{_stroke(self.edge, self.line / self.size, None)} '
                f'transform="translate({_pt(self.x)} {_pt(self.y)}) scale({self.size:g} {-self.size:g})"/>')


def wide(text, size):
    """The width in inches of a text, `size` in points.

    >>> round(wide("anon_vma", 7.2), 2)
    0.52
    """
    return sum(map(_advance, text)) * size / INCH


@cache
def _advance(character):
    """The width of a character whose size is 1."""
    font = get_font(findfont("DejaVu Sans"))
    font.set_size(100, INCH)
    return font.load_char(ord(character)).linearHoriAdvance / 65536 / 100


@cache
def _outline(marker):
    """The path of a marker 1 wide around the origin, in SVG's letters."""
    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform())
    return "".join(LETTERS[code] + ("" if code == Path.CLOSEPOLY else " ".join(f"{each:.3g}" for each in points))
                   for points, code in path.iter_segments(simplify=False))


def _linestyle(dashes, line):
    """Dashes as matplotlib wants them, in widths of the line."""
    return "-" if dashes is None else (0, tuple(each / line for each in dashes))


def _stroke(color, line, dashes):
    dashed = "" if dashes is None else f' stroke-dasharray="{" ".join(f"{each:g}" for each in dashes)}"'
    return f' stroke="{color}" stroke-width="{line:.3g}"{dashed}'


def _pt(inches):
    return f"{inches * INCH:.1f}".removesuffix(".0")
