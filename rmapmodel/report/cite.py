"""A figure for a write-up: its caption, data and provenance for a mail, a page, a paper or its list of references."""

import csv
import io
import math
import re
import shlex
import textwrap
import unicodedata

from rmapmodel import __version__
from rmapmodel.report import inputs
from rmapmodel.report.parameters import values
from rmapmodel.report.registry import look_up

AUTHOR = "The rmapmodel authors"
WIDTH = 72  # columns of a mail
CELL = 28  # of them, for a column of text
ROWS = 40  # of a table; one with more is thinned
_ASCII = {"–": "-", "—": "--", "‘": "'", "’": "'", "“": '"', "”": '"', "×": "x", "→": "->", "≤": "<=", "≥": ">=", "≠": "!=",
          "−": "-", "·": "*", "µ": "u", "²": "^2", "³": "^3"}
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
          ">": r"\textgreater{}", "|": r"\textbar{}", **{char: "\\" + char for char in "&%$#_{}"}}


def cite(id, form, report="reports"):
    """Return (text, ids of the notebook's claims whose check failed) of a figure, in one of FORMS.

    Uses the report and raises what registry.look_up raises.
    """
    entry = look_up([id], report)[id]
    return FORMS[form](entry), entry.failed


# -- what all forms say ----------------------------------------------------------------------------------------------


def provenance(entry):
    """Return {what: text} of where a figure is from and where it is found."""
    path, id = entry.path, entry.figure.id
    full = values([path], {})[path.stem]
    given = {name: f"{name}={shlex.quote(spelled(entry.parameters[name]))}" for name in full}
    changed = [f"-p {text}" for name, text in given.items() if entry.parameters[name] != full[name]]
    told = {
        "Parameters": ", ".join(given.values()) or "none",
        "Version": f"rmapmodel {__version__}, notebook {path.stem}, key of its inputs {entry.key[:16]}",
        "Find it": f"{' '.join(['rmapmodel report', path.stem, *changed])}; then reports/figures/{id}.csv, .svg, .pdf, .png",
        "SHA-256 of the data": inputs.sha256(entry.figure.files["csv"]),
    }
    return told | ({"Failed checks": ", ".join(entry.failed)} if entry.failed else {})


def spelled(value):
    """Return a parameter's value as the command line takes it.

    >>> spelled([1, 2]), spelled(True), spelled(0.5)
    ('1,2', 'true', '0.5')
    """
    if isinstance(value, list):
        return ",".join(map(spelled, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def table(entry):
    """Return (headings, rows, note) of a figure's data as texts, and what the table does not show or say by itself.

    A table of many rows is laid out with a column for each thing compared, as long as nothing is lost by it; what is
    then still longer is thinned.
    """
    headings, *rows = csv.reader(io.StringIO(entry.figure.files["csv"].decode()))
    if headings[0] == "" and all(row[0].isdigit() for row in rows):  # where the rows were in a larger table
        headings, rows = headings[1:], [row[1:] for row in rows]
    notes = []
    if len(rows) > ROWS and (wide := side_by_side(headings, rows)):
        headings, rows, note = wide
        notes.append(note)
    kept = thinned(rows, ROWS // 2) if len(rows) > ROWS else rows
    if len(kept) < len(rows):
        notes.append(f"{len(rows) - len(kept)} of {len(rows)} rows are left out: the first, the last, evenly spaced ones, "
                     "and those of the lowest and highest numbers are shown.")
    columns = [list(column) for column in zip(*kept)]
    short = [shortened(column) for column in columns]
    if short != columns:
        notes.append("Long decimals are rounded.")
    return headings, [list(row) for row in zip(*short)], " ".join(notes)


def side_by_side(headings, rows):
    """Return (headings, rows, note) of a table with the rows of each text beside one another, None where that loses any.

    The first columns of numbers that tell the rows of a text apart remain its first, and then what all texts have alike.

    >>> side_by_side(["n", "design", "kib"], [["1", "a", "7"], ["1", "b", "8"]])
    (['n', 'a', 'b'], [['1', '7', '8']], 'Under each design: kib.')
    """
    numeric = [numbers(column) for column in zip(*rows)]
    texts, others = ([at for at, number in enumerate(numeric) if number == kind] for kind in (False, True))
    for count in range(1, len(others)):
        keys, told = others[:count], others[count:]
        cells = {(tuple(row[at] for at in keys), ", ".join(row[at] for at in texts if row[at])): row for row in rows}
        if len(cells) == len(rows):
            break
    else:
        return None
    lines, compared = (list(dict.fromkeys(part)) for part in zip(*cells))
    if len(compared) > ROWS // 2 or 2 * len(lines) > len(rows):
        return None
    values = {(line, at): [cells[line, name][at] if (line, name) in cells else "" for name in compared]
              for line in lines for at in told}
    alike = [at for at in told[:-1] if all(len(set(values[line, at])) == 1 for line in lines)]
    apart = [at for at in told if at not in alike]
    heads = [f"{name} {headings[at]}" if len(apart) > 1 else name for at in apart for name in compared]
    wide = [[*line, *(values[line, at][0] for at in alike), *(cell for at in apart for cell in values[line, at])]
            for line in lines]
    note = f"Under each {' and '.join(headings[at] for at in texts)}: {', '.join(headings[at] for at in apart)}."
    return [headings[at] for at in keys + alike] + heads, wide, note


def thinned(rows, count):
    """Return `count` of the rows, evenly spaced with the first and the last, and those of each column's extremes.

    >>> thinned([["1"], ["2"], ["9"], ["3"], ["4"], ["5"]], 2)
    [['1'], ['9'], ['5']]
    """
    kept = {round(step * (len(rows) - 1) / (count - 1)) for step in range(count)}
    for column in zip(*rows):
        if numbers(column) and any(column):
            measured = [(float(cell), at) for at, cell in enumerate(column) if cell]
            kept |= {min(measured)[1], max(measured)[1]}
    return [rows[at] for at in sorted(kept)]


def numbers(column):
    """Return whether all cells of a column are finite numbers or empty."""
    try:
        return all(not cell or math.isfinite(float(cell)) for cell in column)
    except ValueError:
        return False


def shortened(column):
    """Return a column whose decimals are long rounded to some digits of its smallest number, another as it is.

    >>> shortened(["142.578125", "0.5"]), shortened(["6.18", "7.0"])
    (['142.58', '0.50'], ['6.18', '7.0'])
    """
    if not numbers(column) or all(len(cell.partition(".")[2]) <= 4 for cell in column):
        return list(column)
    sizes = [math.floor(math.log10(abs(float(cell)))) for cell in column if cell and float(cell)] or [0]
    digits = max(min(3 - min(sizes), 4 - max(sizes)), -min(sizes), 0)
    return [cell and (f"{float(cell):.{digits}f}" if digits <= 6 else f"{float(cell):.3g}") for cell in column]


# -- the forms -------------------------------------------------------------------------------------------------------


def as_mail(entry):
    """Plain ASCII of at most WIDTH columns, for a mail to a kernel list."""
    headings, rows, note = table(entry)
    origin = [line for what, told in provenance(entry).items() for line in _wrapped(f"{what}: {told}", "    ")]
    parts = [_wrapped(f"{entry.figure.id}: {entry.figure.caption}"), *map(_lines, parted(headings, rows)), _wrapped(note), origin]
    return "\n\n".join("\n".join(part) for part in parts if part)


def ascii_of(text):
    """Return text in ASCII, by common replacements; what has none becomes a question mark.

    >>> ascii_of("2 µs × 10² ≤ 4 ms – né 愛")
    '2 us x 10^2 <= 4 ms - ne ?'
    """
    replaced = "".join(_ASCII.get(char, char) for char in text)
    plain = "".join(char for char in unicodedata.normalize("NFKD", replaced) if not unicodedata.combining(char))
    return plain.encode("ascii", "replace").decode()


def _wrapped(text, indent=""):
    return textwrap.wrap(ascii_of(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def parted(headings, rows):
    """Return tables that together show all rows, each a list of rows, first the headings, that fit into a mail.

    Columns that do not fit go into further tables, beside the first columns or, where those are wide, the rows' numbers.
    """
    columns = list(zip(*[map(ascii_of, row) for row in [headings, *rows]]))
    if _width(columns) <= WIDTH:
        return [list(zip(*columns))]
    keys = next((at for at, column in enumerate(columns) if numbers(column[1:])), 0) or 1
    if _width(columns[:keys]) > WIDTH // 2:
        keys, columns = 1, [("row", *map(str, range(1, len(rows) + 1))), *columns]
    first, others, tables = columns[:keys], columns[keys:], []
    while others:
        fit = max(count for count in range(1, len(others) + 1) if count == 1 or _width(first + others[:count]) <= WIDTH)
        tables.append([row for row in zip(*first, *others[:fit]) if any(row[keys:])])
        others = others[fit:]
    return tables


def _width(columns):
    return sum(len(_cells(column)[0][0]) for column in columns) + 2 * (len(columns) - 1)


def _lines(rows):
    """The lines of a table; the first row are headings."""
    lines = []
    for number, row in enumerate(zip(*map(_cells, zip(*rows)))):
        height = max(map(len, row))
        blank = [[" " * len(cell[0])] * (height - len(cell)) for cell in row]
        cells = [empty + cell if number == 0 else cell + empty for cell, empty in zip(row, blank)]
        lines += ["  ".join(parts).rstrip() for parts in zip(*cells)]
    return lines


def _cells(column):
    """The cells of a column, each a list of lines of equal length, with a rule under the heading."""
    heading, *cells = column
    right = numbers(cells)
    cells = [[cell] if right else textwrap.wrap(cell, CELL) or [""] for cell in cells]
    words = [word for long in heading.replace("_", " ").split() for word in textwrap.wrap(long, CELL)] or [""]
    width = max(len(text) for text in [*words, *(line for cell in cells for line in cell)])
    head = textwrap.wrap(" ".join(words), max(width, 1)) or [""]
    return [[line.rjust(width) if right else line.ljust(width) for line in cell] for cell in [head, ["-" * width], *cells]]


def as_markdown(entry):
    """A table in Markdown, between the caption and where it is from."""
    headings, rows, note = table(entry)
    rule = ["--:" if numbers(column) else "---" for column in zip(*rows)] or ["---"] * len(headings)
    lines = ["| " + " | ".join(map(_in_markdown, row)) + " |" for row in [headings, *rows]]
    lines.insert(1, "|" + "|".join(rule) + "|")
    origin = [f"- {what}: {_in_markdown(told)}" for what, told in provenance(entry).items()]
    parts = [[f"**{entry.figure.id}.** {_in_markdown(entry.figure.caption)}"], lines, [note], origin]
    return "\n\n".join("\n".join(part) for part in parts if any(part))


def _in_markdown(text):
    return re.sub(r"([\\`*_|<\[\]])", r"\\\1", text)


def as_latex(entry):
    """A table environment of LaTeX that needs no package."""
    headings, rows, note = table(entry)
    lines = [rf"% the picture instead: \includegraphics[width=\linewidth]{{{entry.figure.id}.pdf}}", r"\begin{table}",
             r"\centering\footnotesize", rf"\caption{{{in_latex(entry.figure.caption)}}}", rf"\label{{{entry.figure.id}}}"]
    for head, *body in parted(headings, rows):
        columns = "".join("r" if numbers(column) else "l" for column in zip(*body))
        stacked = [r"\shortstack{" + r"\\".join(map(in_latex, heading.replace("_", " ").split())) + "}" for heading in head]
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\hline", " & ".join(stacked) + r" \\", r"\hline",
                  *(" & ".join(map(in_latex, row)) + r" \\" for row in body), r"\hline", r"\end{tabular}\par\medskip"]
    origin = [f"{what}: {told}." for what, told in provenance(entry).items()]
    return "\n".join([*lines, r"\raggedright\scriptsize", *map(in_latex, filter(None, [note, *origin])), r"\end{table}"])


def in_latex(text):
    r"""Return text as LaTeX that shows it.

    >>> print(in_latex("50 % of a_b ≤ 3"))
    50 \% of a\_b \textless{}= 3
    """
    return "".join(_LATEX.get(char, char) for char in ascii_of(text))


def as_bibtex(entry):
    """An entry of a list of references."""
    title, *_ = re.split(r"(?<=[.:;]) ", entry.figure.caption)
    note = " ".join(f"{what}: {told}." for what, told in provenance(entry).items() if what != "Made by")
    fields = {
        "author": AUTHOR, "title": f"{entry.figure.id}: {title.rstrip('.:;')}",
        "howpublished": f"Figure of rmapmodel {__version__}, notebook {entry.path.stem}", "note": note,
    }
    lines = [f"  {name} = {{{{{in_latex(told)}}}}}," for name, told in fields.items()]
    return "\n".join([f"@misc{{rmapmodel:{entry.figure.id},", *lines, "}"])


FORMS = {"lkml": as_mail, "markdown": as_markdown, "latex": as_latex, "bibtex": as_bibtex}
