"""How a notebook hands a figure, a sentence or a verdict to its reader, and to the report: as outputs that carry all of it."""

import base64
import html
import io
import numbers
import re

import matplotlib.pyplot as plt
import pandas as pd
from IPython import get_ipython
from IPython.display import display

from rmapmodel.figures import style

_CLAIM = {"id": True, "who": False, "when": False, "claim": True, "source": False, "measured": True, "holds": True,
          "expected": False, "where_it_stops": False}  # and whether it is required
_shown = {}


def show(fig, id, caption, data):
    """Display a matplotlib figure under its id, with its caption and the DataFrame it was drawn from, and close it.

    The output carries the figure as SVG, PDF and PNG and the data as CSV, the same bytes in every run. Raises
    ValueError if the id is not `fig-` and lower-case letters, digits and hyphens, or if another cell has shown it.

    >>> fig, ax = style.subplots()
    >>> show(fig, "fig-nothing", "An empty plot.", pd.DataFrame({"x": [1]}))
    fig-nothing: An empty plot.
    """
    if not re.fullmatch("fig-[a-z0-9-]+", id):
        raise ValueError(f"{id!r}: a figure's id is fig- and lower-case letters, digits and hyphens")
    cell, run = _cell()
    if id in _shown and (_shown[id][0] != cell or _shown[id][1] == run):
        raise ValueError(f"{id!r}: this figure was already shown")
    _shown[id] = cell, run
    svg = _saved(fig, "svg", id, Date=None, Creator=None)
    pdf = _saved(fig, "pdf", id, CreationDate=None, Creator=None, Producer=None)
    png = _saved(fig, "png", id, Software=None)
    plt.close(fig)
    counted = isinstance(data.index, pd.RangeIndex) and data.index.name is None
    csv = data.to_csv(index=not counted, lineterminator="\n")
    image = base64.b64encode(svg).decode()
    _display({
        "application/vnd.rmapmodel.figure+json": {
            "id": id, "caption": caption, "data_csv": csv, "pdf_base64": base64.b64encode(pdf).decode(),
        },
        "image/svg+xml": svg.decode(),
        "image/png": base64.b64encode(png).decode(),
        "text/html": f'<figure id="{id}" style="margin:0"><img src="data:image/svg+xml;base64,{image}" alt="">'
                     f"<figcaption><b>{id}.</b> {html.escape(caption)}</figcaption></figure>",
        "text/plain": f"{id}: {caption}",
    })


def _display(bundle):
    if get_ipython() is None:
        print(bundle["text/plain"])
    else:
        display(bundle, raw=True)


def _cell():
    """Return what tells this cell from others and this run of it from others: a cell may be run again by hand."""
    shell = get_ipython()
    if shell is None:
        return None, None
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return parent.get("metadata", {}).get("cellId", shell.execution_count), shell.execution_count


def _saved(fig, kind, salt, **metadata):
    content = io.BytesIO()
    with style.context(), plt.rc_context({"svg.hashsalt": salt}):
        fig.savefig(content, format=kind, dpi=150, metadata=metadata)
    return content.getvalue()


_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")  # a name out of a trace is shown, whatever it looks like


def say(text, **values):
    """Display Markdown with measured values in it, and store each under its name for the report and for tests.

    `text` is a format string (see str.format) of the names in `values`: numbers or texts. Raises ValueError for a value
    of another kind, KeyError for a name that has none.

    >>> say("{found:,} of {mappings:,} mappings found.", found=999, mappings=1000)
    999 of 1,000 mappings found.
    """
    values = {name: _plain(value) for name, value in values.items()}
    for name, value in values.items():
        if not isinstance(value, (str, numbers.Real)):
            raise ValueError(f"{name} is {value!r}, not a number or text")
    told = text.format(**values)
    shown = {name: _MARKUP.sub("&lt;", value) if isinstance(value, str) else value for name, value in values.items()}
    _display({"application/vnd.rmapmodel.values+json": values, "text/markdown": text.format(**shown), "text/plain": told})


def live(what):
    """Display that `what` is of this machine at this moment, so that the report runs the notebook again every time.

    >>> live("What follows")
    What follows is of this machine, now: it may come out otherwise elsewhere, or next time.
    """
    _display({"application/vnd.rmapmodel.live+json": {"what": what},
              "text/plain": f"{what} is of this machine, now: it may come out otherwise elsewhere, or next time."})


def verdict(claims, sentence):
    """Display the claims a notebook decides, each a mapping, and the sentence that follows from them.

    A claim has `id`, `claim`, `measured` and `holds`, and may have `who`, `when`, `source` and `where_it_stops`. One
    that the notebook's prose says does not hold has `expected: False`; the report fails where `holds` is not as
    expected. Raises ValueError for a claim of another form.

    >>> verdict([{"id": "copies", "claim": "fork copies every vma", "measured": 3, "holds": True}], "So it does.")
    holds: fork copies every vma (measured: 3)
    So it does.
    """
    claims = [_claim(claim) for claim in claims]
    lines = [f"{_holds(claim)}: {claim['claim']} (measured: {claim['measured']})" for claim in claims] + [sentence]
    rows = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(str(text))}</td>"
                         for text in (claim["claim"], claim.get("who", ""), claim["measured"], _holds(claim))) + "</tr>"
        for claim in claims)
    _display({
        "application/vnd.rmapmodel.verdict+json": {"claims": claims, "sentence": sentence},
        "text/html": f"<table><tr><th>claim</th><th>who</th><th>measured</th><th>verdict</th></tr>{rows}</table>"
                     f"<p>{html.escape(sentence)}</p>",
        "text/plain": "\n".join(lines),
    })


def _holds(claim):
    return "holds" if claim["holds"] else "does not hold"


def _claim(claim):
    unknown, missing = claim.keys() - _CLAIM.keys(), {key for key in _CLAIM if _CLAIM[key]} - claim.keys()
    if unknown or missing:
        raise ValueError(f"claim {claim.get('id')!r}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    plain = {key: _plain(value) for key, value in claim.items()}
    for key in ("holds", "expected"):
        if not isinstance(plain.get(key, True), bool):
            raise ValueError(f"claim {plain['id']!r}: {key} is {plain[key]!r}, not true or false")
    if not isinstance(plain["measured"], (str, numbers.Real)):
        raise ValueError(f"claim {plain['id']!r}: measured is {plain['measured']!r}, not a number or text")
    return plain


def _plain(value):
    """A numpy value as Python's own."""
    return value.item() if hasattr(value, "item") else value
