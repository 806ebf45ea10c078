"""What differs from run to run is taken out of an executed notebook, and nothing else."""

import tempfile

import pytest

from rmapmodel.report.clean import clean, clean_text
from rmapmodel.report.parameters import CHECKOUT


@pytest.mark.parametrize("text, left", [
    ("<a.B object at 0x7f00a0>", "<a.B object at 0x…>"),
    ("&lt;function f at 0x7f00a0&gt;", "&lt;function f at 0x…&gt;"),
    ("vma at 0x1000 <td>page at 0x2000</td>", "vma at 0x1000 <td>page at 0x2000</td>"),
    (f"{CHECKOUT}/rmapmodel/x.py:3: UserWarning", "rmapmodel/x.py:3: UserWarning"),
    (f"in '{CHECKOUT}/x' or /elsewhere{CHECKOUT}/x", f"in 'x' or /elsewhere{CHECKOUT}/x"),
    (f"{tempfile.gettempdir()}/ipykernel_123/456.py:3: UserWarning", "cell:3: UserWarning"),
])
def test_text(text, left):
    assert clean_text(text) == left


def stream(name, text):
    return {"output_type": "stream", "name": name, "text": text}


def code(outputs, **metadata):
    return {"cell_type": "code", "id": "a", "metadata": metadata, "source": "", "outputs": outputs}


def test_streams_are_joined_between_displays():
    shown = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": ["<o at 0xab>"]}}
    notebook = {"metadata": {}, "cells": [code([
        stream("stderr", "e1"), stream("stdout", ["o1\n", "o2"]), stream("stderr", "e2"), shown, stream("stdout", "o3"),
    ])]}
    clean(notebook)
    assert notebook["cells"][0]["outputs"] == [
        stream("stdout", "o1\no2"), stream("stderr", "e1e2"), {**shown, "data": {"text/plain": "<o at 0x…>"}},
        stream("stdout", "o3"),
    ]


def test_widgets_times_and_papermills_marks_go():
    widget = {"output_type": "display_data", "metadata": {},
              "data": {"application/vnd.jupyter.widget-view+json": {"model_id": "random"}, "text/plain": "HTML()"}}
    marker = {"cell_type": "markdown", "id": "r", "metadata": {"tags": ["papermill-error-cell-tag"]}, "source": "x"}
    notebook = {"metadata": {"papermill": {"duration": 1.2}, "widgets": {}}, "nbformat_minor": 4,
                "cells": [marker, code([widget], execution={"t": 1}, papermill={"duration": 3}, tags=["parameters"])]}
    clean(notebook)
    assert notebook["cells"] == [code([], tags=["parameters"])]
    assert notebook["metadata"].keys() == {"kernelspec", "language_info"}
