"""What others published: the numbers of data/published/figures.csv by their id."""

import csv
from functools import cache
from typing import NamedTuple

from .program import CHECKOUT

FILE = CHECKOUT / "data" / "published" / "figures.csv"


class Published(NamedTuple):
    """One published number: when, where and of what; `value` is a float in `unit`, or text where it is no number."""

    id: str
    date: str
    source_title: str
    source_url: str
    benchmark: str
    machine: str
    scheme: str
    metric: str
    value: float | str
    unit: str
    note: str


@cache
def figures():
    """All published numbers, a dict of Published by id. Cost: the file is read once.

    >>> figures()["F006"].value, figures()["F006"].unit
    (32.0, 'bytes')
    """
    with FILE.open(encoding="utf-8", newline="") as source:
        return {row["id"]: Published(**{**row, "value": _number(row["value"])}) for row in csv.DictReader(source)}


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text
