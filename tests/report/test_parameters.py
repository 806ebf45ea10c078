"""Which notebooks a report takes, what it lets be said about their parameters, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest

from rmapmodel.errors import InputError
from rmapmodel.report import run
from rmapmodel.report.parameters import declared, find, from_text, load, values

NOTEBOOKS = Path(__file__).parent / "notebooks"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with two notebooks, as the folder one is in."""
    (tmp_path / "notebooks").mkdir()
    for name in ("01-figure", "02-failing-cell"):
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stems(names):
    return [path.stem for path in find(names)]


@pytest.mark.parametrize("name", ["01", "01-figure", "01-figure.ipynb", "notebooks/01-figure.ipynb"])
def test_a_notebook_is_named_by_number_stem_or_path(checkout, name):
    assert stems([name]) == ["01-figure"]


def test_without_names_all_notebooks_run(checkout):
    assert stems(None) == ["01-figure", "02-failing-cell"]


@pytest.mark.parametrize("names, said", [
    (["03"], r"no such notebook \(there are: 01-figure, 02-failing-cell\)"),
    (["0"], "no such notebook"),
    (["elsewhere/01-figure.ipynb"], "no such notebook"),
    (["01", "01-figure"], "given twice"),
])
def test_wrong_names_are_refused(checkout, names, said):
    with pytest.raises(InputError, match=said):
        find(names)


def test_a_number_of_two_notebooks_is_refused(checkout):
    shutil.copy(NOTEBOOKS / "03-failing-check.ipynb", "notebooks/01-other.ipynb")
    with pytest.raises(InputError, match="01-figure and 01-other"):
        find(["01"])


def test_no_notebooks_at_all_is_refused(checkout):
    shutil.rmtree("notebooks")
    Path("notebooks").mkdir()
    with pytest.raises(InputError, match="no notebooks here"):
        find()


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"nbformat": 3, "cells": []}', '{"nbformat": 4, "cells": [1]}'])
def test_what_is_no_notebook_is_refused(checkout, text):
    Path("notebooks/01-figure.ipynb").write_text(text)
    with pytest.raises(InputError, match="not a Jupyter notebook of format 4"):
        load("notebooks/01-figure.ipynb")


def test_values_win_in_the_order_command_line_yaml_scale_default(checkout):
    Path("notebooks/scales.yml").write_text("01-figure: {test: {PAGES: 10, SEED: 10, LABEL: scale}, full: {PAGES: 99}}")
    Path("more.yml").write_text("'01': {SEED: 20, LABEL: yaml}\n02-failing-cell: {DIVISOR: 5}\n")
    given = values(find(["01"]), {"LABEL": "line"}, "more.yml", scale="test")["01-figure"]
    assert given == {"PAGES": 10, "SHARE": 0.5, "LABEL": "line", "DEEP": False, "SIZES": [1, 2, 3], "SEED": 20}
    assert values(find(["01"]), {})["01-figure"]["PAGES"] == 99


def test_a_name_on_the_command_line_goes_to_the_notebooks_that_declare_it(checkout):
    given = values(find(), {"DIVISOR": "3"})
    assert given["02-failing-cell"] == {"DIVISOR": 3} and "DIVISOR" not in given["01-figure"]


@pytest.mark.parametrize("text, kind, value", [
    ("7", "int", 7), ("0x1000", "int", 4096), ("1_000", "int", 1000), ("1e3", "float", 1000.0), ("2", "float", 2.0),
    ("a=b, c", "str", "a=b, c"), ("True", "bool", True), ("false", "bool", False), ("1,2", "list[int]", [1, 2]),
    ("a,b", "list[str]", ["a", "b"]), ("", "list[str]", []), (".5", "list[float]", [0.5]),
])
def test_text_of_a_type(text, kind, value):
    assert from_text(text, kind) == value and type(from_text(text, kind)) is type(value)


@pytest.mark.parametrize("text, kind", [
    ("", "int"), ("1.5", "int"), ("x", "float"), ("nan", "float"), ("inf", "float"), ("yes", "bool"),
    ("1,x", "list[int]"),
])
def test_text_of_another_type_is_refused(text, kind):
    with pytest.raises(InputError, match="is not of the declared type"):
        from_text(text, kind, "-p", "NAME")


@pytest.mark.parametrize("arguments, said", [
    ({"parameters": {"PAGE": "3"}}, "-p: PAGE: no chosen notebook declares .* DEEP, DIVISOR, LABEL, PAGES"),
    ({"notebooks": ["02"], "parameters": {"PAGES": "3"}}, "-p: PAGES: no chosen notebook declares"),
    ({"parameters": {"PAGES": "many"}}, "-p: PAGES: 'many' is not of the declared type int"),
    ({"yaml_file": "none.yml"}, "none.yml: No such file"),
    ({"yaml_file": "broken.yml"}, "broken.yml:2: not YAML"),
    ({"yaml_file": "list.yml"}, "list.yml: wants a mapping of notebooks"),
    ({"yaml_file": "binary.yml"}, "binary.yml: not UTF-8"),
    ({"yaml_file": "flat.yml"}, "flat.yml: 01-figure: wants a mapping of parameters"),
    ({"yaml_file": "unknown.yml"}, "unknown.yml: 09: no such notebook"),
    ({"yaml_file": "name.yml"}, "name.yml: PAGE: 01-figure declares no such parameter"),
    ({"yaml_file": "type.yml"}, "type.yml: PAGES: True is not of the declared type int"),
    ({"yaml_file": "item.yml"}, "item.yml: SIZES: '2' is not of the declared type int"),
    ({"jobs": 0}, "-j: 0 is not a number"),
    ({"notebooks": ["03"]}, "03: no such notebook"),
])
def test_bad_arguments_are_refused_before_any_work(checkout, arguments, said):
    for name, text in {
        "broken": "a:\n  - b: [", "list": "- 1", "flat": "01-figure: 3", "unknown": "'09': {}",
        "name": "'01': {PAGE: 3}", "type": "'01': {PAGES: true}", "item": "'01': {SIZES: [1, '2']}",
    }.items():
        Path(f"{name}.yml").write_text(text)
    Path("binary.yml").write_bytes(b"\xff\xfe\x00")
    before = sorted(checkout.iterdir())
    with pytest.raises(InputError, match=said):
        run(**arguments)
    assert sorted(checkout.iterdir()) == before


@pytest.mark.parametrize("line, said", [
    ("A = 1", "is not `NAME: type = literal`: A = 1"), ("A: int", "is not `NAME"), ("import os", "is not `NAME"),
    ("A: int = 2 * 3", "is not `NAME"), ("A: dict = {}", "A: a type dict"), ("A: int = 'x'", "A: 'x' is not of"),
    ("A: int = (", "is not Python"),
])
def test_a_parameters_cell_that_cannot_be_read_is_refused(line, said):
    with pytest.raises(InputError, match=said):
        declared({"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": [line]}]})


def test_what_papermill_sees_is_what_the_report_sees():
    from papermill import inspect_notebook

    path = NOTEBOOKS / "01-figure.ipynb"
    assert {name: each["inferred_type_name"] for name, each in inspect_notebook(path).items()} == \
        {name: kind for name, (kind, _) in declared(json.loads(path.read_text())).items()}
