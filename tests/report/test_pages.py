"""The parts of a page that a whole report does not show."""

import pytest

from rmapmodel.report import pages


def page(*cells, **arguments):
    given = {"name": "01-a", "error": None, "folder": ".", "others": {"01-a", "02-b"}} | arguments
    return pages.notebook_page({"cells": list(cells)}, **given)


def prose(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def code(*outputs, **metadata):
    return {"cell_type": "code", "metadata": metadata, "source": "x", "execution_count": 1, "outputs": list(outputs)}


def shown(**data):
    data = {kind.replace("_", "/"): value for kind, value in data.items()}
    return code({"output_type": "display_data", "metadata": {}, "data": data})


def test_links_to_notebooks_of_the_report_lead_to_their_pages():
    html = page(prose("[b](02-b.ipynb) [part](02-b.ipynb#part) [far](https://example.org/02-b.ipynb) [here](#x)"))
    assert '<a href="02-b.html">b</a>' in html and '<a href="02-b.html#part">part</a>' in html
    assert '<a href="https://example.org/02-b.ipynb">far</a>' in html and '<a href="#x">here</a>' in html


def test_links_that_would_lead_nowhere_go():
    assert "see c\nand data." in page(prose("see [c](03-c.ipynb)\nand [data](../data/README.md)."))


@pytest.mark.parametrize("text, title", [("# 01. *What* `mremap` costs", "01. What mremap costs"), ("none", "name")])
def test_title(text, title):
    assert pages.title({"cells": [prose("## not this\n\n" + text)]}, "name") == title


def test_pictures_are_part_of_the_page():
    assert 'src="data:image/png;base64,iVBO' in page(shown(image_png="iVBORw0KGgo=", text_plain="x"))
    assert 'src="data:image/svg+xml;base64,PHN2' in page(code({
        "output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": ["<svg>", "</svg>"]}}))


def test_a_picture_beside_the_notebook_is_taken_in(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert 'src="data:image/png;base64,iVBORw=="' in page(prose("![a](a.png)"), folder=tmp_path)


def test_what_is_only_text_is_escaped():
    assert "&lt;script&gt;" in page(shown(text_plain="<script>"))
    assert "&lt;script&gt;" in page(code({"output_type": "stream", "name": "stdout", "text": "<script>"}))
    assert "<script>" not in page(prose("x"), name="<script>", error={"cell": None, "text": "<script>"})


def test_markdown_as_output_is_rendered():
    assert "<strong>x</strong>" in page(shown(text_markdown="**x**"))


def test_a_folded_cell_is_folded():
    assert '<details class="source" open>' in page(code())
    assert '<details class="source">' in page(code(jupyter={"source_hidden": True}))


def test_a_cell_that_left_no_traceback_says_why_it_is_the_last():
    assert page(code(), error={"cell": 0, "text": "the kernel died"}).count("the kernel died") == 2


@pytest.mark.parametrize("value, text", [(57600, "57,600"), (1 / 3, "0.3333"), (1234567.8, "1.235e+06"), ("a", "a")])
def test_measured_values_are_readable(value, text):
    assert pages.plain(value) == text
