"""A figure for a write-up: its caption, data and provenance for a mail, a page, a paper or its list of references."""

import re
import shlex
import textwrap

from rmapmodel import __version__
from rmapmodel.report import inputs
from rmapmodel.report.excerpt import CELL, WIDTH, ascii_of, excerpt, lines, numbers, one_line, parted
from rmapmodel.report.parameters import EXECUTED, values
from rmapmodel.report.registry import look_up

AUTHOR = "The rmapmodel authors"
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
          ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "*": "{*}",
          **{char: "\\" + char for char in "&%$#_{}"}}  # brackets and stars mean something after a line


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
    changed = [f"-p {text}" for name, text in given.items() if name != EXECUTED and entry.parameters[name] != full[name]]
    command = " ".join(["rmapmodel report", *([] if EXECUTED in full else [path.stem]), *changed])
    told = {
        "Parameters": ", ".join(given.values()) or "none",
        "Version": f"rmapmodel {__version__}, notebook {path.stem}, key of its inputs {entry.key[:16]}",
        "Find it": f"{command}; then reports/figures/{id}.csv, .svg, .pdf, .png",
        "SHA-256 of the data": inputs.sha256(entry.csv.encode()),
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


# -- the forms -------------------------------------------------------------------------------------------------------


def as_mail(entry):
    """Plain ASCII of at most WIDTH columns, for a mail to a kernel list."""
    headings, rows, note = excerpt(entry.csv)
    origin = [line for what, told in provenance(entry).items() for line in wrapped(f"{what}: {told}", "    ")]
    caption = wrapped(f"{entry.figure.id}: {entry.figure.caption}")
    parts = [caption, *map(lines, parted(headings, rows)), wrapped(note), origin]
    return "\n\n".join("\n".join(part) for part in parts if part)


def wrapped(text, indent=""):
    return textwrap.wrap(ascii_of(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def as_markdown(entry):
    """A table in Markdown, between the caption and where it is from."""
    headings, rows, note = excerpt(entry.csv)
    rule = ["--:" if numbers(column) else "---" for column in zip(*rows)] or ["---"] * len(headings)
    head, *body = ("| " + " | ".join(map(in_markdown, row)) + " |" for row in [headings, *rows])
    origin = [f"- {what}: {in_markdown(told)}" for what, told in provenance(entry).items()]
    caption = f"**{entry.figure.id}.** {in_markdown(entry.figure.caption)}"
    parts = [[caption], [head, f"|{'|'.join(rule)}|", *body], [note], origin]
    return "\n\n".join("\n".join(part) for part in parts if any(part))


def in_markdown(text):
    r"""Return text as a line of Markdown that shows it.

    >>> print(in_markdown("a_b <c>"))
    a\_b \<c>
    """
    return re.sub(r"([\\`*_|<\[\]])", r"\\\1", one_line(text))


def as_latex(entry):
    """A table environment of LaTeX that needs no package."""
    headings, rows, note = excerpt(entry.csv)
    told = [rf"% the picture instead: \includegraphics[width=\linewidth]{{{entry.figure.id}.pdf}}", r"\begin{table}",
            r"\centering\footnotesize", rf"\caption{{{in_latex(entry.figure.caption)}}}", rf"\label{{{entry.figure.id}}}"]
    for head, *body in parted(headings, rows):
        columns = ["r" if numbers(cells) else "l" if max(map(len, cells)) <= CELL else "p{4cm}"
                   for _, *cells in zip(head, *body)]
        words = (map(in_latex, heading.replace("_", " ").split()) for heading in head)
        stacked = [r"\shortstack{" + r"\\".join(heading) + "}" for heading in words]
        told += [rf"\begin{{tabular}}{{{''.join(columns)}}}", r"\hline", " & ".join(stacked) + r" \\", r"\hline",
                 *(" & ".join(map(in_latex, row)) + r" \\" for row in body), r"\hline", r"\end{tabular}\par\medskip"]
    origin = [f"{what}: {text}." for what, text in provenance(entry).items()]
    return "\n".join([*told, r"\raggedright\scriptsize", *map(in_latex, filter(None, [note, *origin])), r"\end{table}"])


def in_latex(text):
    r"""Return text as a line of LaTeX that shows it.

    >>> print(in_latex("50 % of a_b ≤ 3"))
    50 \% of a\_b \textless{}= 3
    """
    return "".join(_LATEX.get(char, char) for char in ascii_of(text))


def as_bibtex(entry):
    """An entry of a list of references."""
    title, *_ = re.split(r"(?<=[.:;]) ", entry.figure.caption)
    fields = {
        "author": AUTHOR,
        "title": f"{entry.figure.id}: {title.rstrip('.:;')}",
        "howpublished": f"Figure of rmapmodel {__version__}, notebook {entry.path.stem}",
        "note": " ".join(f"{what}: {told}." for what, told in provenance(entry).items()),
    }
    return "\n".join([f"@misc{{rmapmodel:{entry.figure.id},",
                      *(f"  {name} = {{{{{in_latex(told)}}}}}," for name, told in fields.items()), "}"])


FORMS = {"lkml": as_mail, "markdown": as_markdown, "latex": as_latex, "bibtex": as_bibtex}
