"""The figures, values and verdicts that an executed notebook holds, as rmapmodel.figures.publish displayed them."""

import base64
import re
from dataclasses import dataclass

FIGURE = "application/vnd.rmapmodel.figure+json"
VERDICT = "application/vnd.rmapmodel.verdict+json"
VALUES = "application/vnd.rmapmodel.values+json"
LIVE = "application/vnd.rmapmodel.live+json"
OWN = "this model"  # who makes a claim that nobody made before
FIGURE_ID = re.compile("fig-[a-z0-9-]+")


@dataclass(frozen=True)
class Figure:
    """A figure with its files' contents by suffix."""

    id: str
    caption: str
    files: dict


@dataclass(frozen=True)
class Verdict:
    """The claims that a notebook decides, and the sentence that follows from them."""

    claims: list
    sentence: str


def as_figure(output):
    """Return the Figure that an output shows, or None: without an id that can name a file it is an output as any."""
    data = output.get("data", {})
    figure = data.get(FIGURE)
    if figure is None or not FIGURE_ID.fullmatch(figure["id"]):
        return None
    return Figure(figure["id"], figure["caption"], {
        "svg": "".join(data["image/svg+xml"]).encode(),
        "pdf": base64.b64decode(figure["pdf_base64"]),
        "png": base64.b64decode(data["image/png"]),
        "csv": figure["data_csv"].encode(),
    })


def as_verdict(output):
    """Return the Verdict that an output shows, or None."""
    verdict = output.get("data", {}).get(VERDICT)
    return verdict and Verdict(verdict["claims"], verdict["sentence"])


def as_values(output):
    """Return the named values of a sentence that an output shows, or {}."""
    return output.get("data", {}).get(VALUES, {})


def is_live(notebook):
    """Return whether a notebook said that it looked at the machine it ran on (publish.live)."""
    return any(LIVE in output.get("data", {}) for output in outputs(notebook))


def outputs(notebook):
    """Yield every output of a notebook."""
    for cell in notebook["cells"]:
        yield from cell.get("outputs", [])


def people(claim):
    """Return the names of those who made a claim, without what is said of them in brackets; if nobody did, `this model`.

    >>> people({"who": "Ingo Molnar, Rik van Riel and Hugh Dickins"}), people({"who": "Linus Torvalds (his premise)"})
    (['Ingo Molnar', 'Rik van Riel', 'Hugh Dickins'], ['Linus Torvalds'])
    >>> people({})
    ['this model']
    """
    return re.split(r", (?:and )?| and ", re.sub(r" *\(.*?\)", "", claim.get("who") or OWN))


def failed_check(claim):
    """Return whether a claim's measurement came out otherwise than its notebook says (`expected`, which is to hold)."""
    return claim["holds"] != claim.get("expected", True)
