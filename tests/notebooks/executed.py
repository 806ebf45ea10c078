"""Executed notebooks as a report leaves them, written by hand: their verdicts alone."""

import json

from rmapmodel.report.collect import VERDICT

ARCANGELI = {"who": "Andrea Arcangeli", "when": "2004-03-12", "source": "https://example.org/1", "where_it_stops": "at | 1"}
RIEL = {"who": "Rik van Riel", "when": "2010-01", "source": "https://example.org/2", "where_it_stops": "nowhere"}
BOTH = {**RIEL, "who": "Rik van Riel and Hugh Dickins"}
OURS = {"who": "this model", "where_it_stops": "here"}

CLAIMS = {
    "05-shared-address-space": [
        {"id": "a", "claim": "It is so", "measured": 1, "holds": True, **ARCANGELI},
        {"id": "b", "claim": "It is not so", "measured": 2, "holds": False, "expected": False, **ARCANGELI},
        {"id": "c", "claim": "It is a_b so", "measured": "three", "holds": True, **BOTH},
    ],
    "15-your-trace": [
        {"id": "d", "claim": "All is found", "measured": 4, "holds": True, **OURS},
        {"id": "e", "claim": "It always is", "measured": 0.5, "holds": False, "expected": False, **RIEL},
    ],
}


def notebook(title, claims, cells=()):
    """A notebook with a heading that showed these claims as its verdict."""
    output = {"output_type": "display_data", "metadata": {}, "data": {VERDICT: {"claims": claims, "sentence": "So it is."}}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}"}, *cells,
        {"cell_type": "code", "id": "verdict", "metadata": {}, "source": "", "execution_count": 1, "outputs": [output]}]}


def write(folder, claims=CLAIMS):
    """Writes executed notebooks into a folder, a {stem: claims} each, and returns its path."""
    for stem, made in claims.items():
        number, _, words = stem.partition("-")
        title = f"{number}. {words.capitalize()}: a title"
        (folder / f"{stem}.ipynb").write_text(json.dumps(notebook(title, made)))
    return str(folder)
