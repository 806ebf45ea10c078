"""The data of a figure as a table for a mail: what it keeps of many rows, and how it fits into few columns."""

import csv
import io
import math
import textwrap
import unicodedata

WIDTH = 72  # columns of a mail
CELL = 28  # of them, for a column of text
ROWS = 40  # of a table; one with more is thinned
_ASCII = {"–": "-", "—": "--", "‘": "'", "’": "'", "“": '"', "”": '"', "×": "x", "→": "->", "≤": "<=", "≥": ">=",
          "≠": "!=", "−": "-", "·": "*", "µ": "u", "²": "^2", "³": "^3"}


def excerpt(data):
    """Return (headings, rows, note) of CSV as texts, and in the note what the table leaves out or does not say by itself.

    A table of many rows is laid out with a column for each thing compared, as long as nothing is lost by it; what is
    then still longer is thinned.
    """
    headings, *rows = csv.reader(io.StringIO(data))
    if headings[0] == "" and all(row[0].isdigit() for row in rows):  # where the rows were in a larger table
        headings, rows = headings[1:], [row[1:] for row in rows]
    notes = []
    if len(rows) > ROWS and (wide := side_by_side(headings, rows)):
        headings, rows, note = wide
        notes.append(note)
    kept = thinned(rows, ROWS // 2) if len(rows) > ROWS else rows
    if len(kept) < len(rows):
        notes.append(f"{len(rows) - len(kept)} of {len(rows)} rows are left out: the first, the last, evenly spaced "
                     "ones, and those of the lowest and highest numbers are shown.")
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
    keyed, compared = (list(dict.fromkeys(part)) for part in zip(*cells))
    if len(compared) > ROWS // 2 or 2 * len(keyed) > len(rows):
        return None
    values = {(line, at): [cells[line, name][at] if (line, name) in cells else "" for name in compared]
              for line in keyed for at in told}
    alike = [at for at in told[:-1] if all(len(set(values[line, at])) == 1 for line in keyed)]
    apart = [at for at in told if at not in alike]
    heads = [f"{name} {headings[at]}" if len(apart) > 1 else name for at in apart for name in compared]
    wide = [[*line, *(values[line, at][0] for at in alike), *(cell for at in apart for cell in values[line, at])]
            for line in keyed]
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


def lines(rows):
    """Return the lines of a table whose first row are headings."""
    told = []
    for number, row in enumerate(zip(*map(_cells, zip(*rows)))):
        height = max(map(len, row))
        blank = [[" " * len(cell[0])] * (height - len(cell)) for cell in row]
        cells = [empty + cell if number == 0 else cell + empty for cell, empty in zip(row, blank)]
        told += ["  ".join(parts).rstrip() for parts in zip(*cells)]
    return told


def _cells(column):
    """The cells of a column, each a list of lines of equal length, with a rule under the heading."""
    heading, *cells = column
    right = numbers(cells)
    cells = [[cell] if right else textwrap.wrap(cell, CELL) or [""] for cell in cells]
    words = [word for long in heading.replace("_", " ").split() for word in textwrap.wrap(long, CELL)] or [""]
    width = max(len(text) for text in [*words, *(line for cell in cells for line in cell)])
    head = textwrap.wrap(" ".join(words), max(width, 1)) or [""]
    return [[line.rjust(width) if right else line.ljust(width) for line in cell]
            for cell in [head, ["-" * width], *cells]]


def one_line(text):
    """Return text in one line, without what would move a terminal's cursor.

    >>> one_line("a\\tb\\x1b[2J")
    'a b [2J'
    """
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def ascii_of(text):
    """Return text in one line of ASCII, by common replacements; what has none becomes a question mark.

    >>> ascii_of("2 µs × 10² ≤ 4 ms – né 愛")
    '2 us x 10^2 <= 4 ms - ne ?'
    """
    replaced = "".join(_ASCII.get(char, char) for char in one_line(text))
    plain = "".join(char for char in unicodedata.normalize("NFKD", replaced) if not unicodedata.combining(char))
    return plain.encode("ascii", "replace").decode()
