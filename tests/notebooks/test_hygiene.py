"""Notebooks are committed in one form, and hold to the rules of their kind; a failure says what mends it."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from rmapmodel.errors import InputError
from rmapmodel.report import registry
from rmapmodel.report.parameters import SCALES, declared, load, source, tags, values
from rmapmodel.report.strip import dumps, strip

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "notebooks", ROOT / "tests" / "report" / "notebooks"]
NOTEBOOKS = sorted(path for folder in FOLDERS for path in folder.glob("*.ipynb"))
DECLARATION = re.compile(r"[A-Z][A-Z0-9_]*: (?:(?:list\[)?(?:int|float|str)\]?|bool) = [^=|]+  # [^=|]+")


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def parameters_cell(notebook):
    """One cell is tagged `parameters`, each line `NAME: type = literal  # sentence`; another cell reads each name."""
    cells = [cell for cell in code(notebook) if "parameters" in tags(cell)]
    if len(cells) != 1:
        yield f"{len(cells)} cells are tagged `parameters`: tag the one with the declarations"
        return
    for line in source(cells[0]).splitlines():
        if not DECLARATION.fullmatch(line):
            yield f"write as `NAME: type = literal  # sentence`, without | and a second =: {line}"
    try:
        names = declared(notebook)
    except InputError as error:
        yield f"parameters cell: {error}"
        return
    read = {node.id for cell in code(notebook) if cell is not cells[0] for node in ast.walk(ast.parse(source(cell)))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    yield from (f"no cell reads the parameter {name}: delete it" for name in names.keys() - read)


def short_cells(notebook):
    """Nine in ten code cells have at most 20 lines."""
    long = [cell["id"] for cell in code(notebook) if len(source(cell).splitlines()) > 20]
    if len(long) > len(code(notebook)) / 10:
        yield f"over 20 lines: move into the package what cells {', '.join(long)} do"


def no_machine_paths(notebook):
    """Nothing names a folder of somebody's machine."""
    for cell in notebook["cells"]:
        if found := re.search(r"/(?:root|home/\w+|Users/\w+|work|tmp)/", source(cell)):
            yield f"{found[0]} exists on one machine only: give a path relative to the checkout"


def calls(notebook, *names):
    """Yield the calls of functions or methods with these names."""
    for cell in code(notebook):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in names:
                yield node


def literal_figure_ids(notebook):
    """Each figure is shown under a literal id."""
    for id in registry.shown(notebook):
        if not re.fullmatch("fig-[a-z0-9-]+", str(id)):
            yield f"{id}: show(fig, id=\"fig-…\", caption=…, data=…) wants a literal id"


def no_capture(notebook):
    """No explorer captures output: it can make the notebook hang when it is run for a report."""
    for call in calls(notebook, "interact", "interact_manual", "interactive", "interactive_output", "Output"):
        yield f"{ast.unparse(call.func)} captures output; set the value of an HTML or Image widget instead"


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def mend(path, found):
    """What a failed rule says: what was found, and the commands with which it is mended."""
    here = path.relative_to(ROOT)
    return "\n".join([*found, f"edit it with: make lab; then run: python -m rmapmodel.report.strip {here}"])


@named(NOTEBOOKS)
@pytest.mark.parametrize("rule", [parameters_cell, short_cells, no_machine_paths, literal_figure_ids, no_capture])
def test_rule(path, rule):
    found = list(rule(load(path)))
    assert not found, mend(path, found)


@named(NOTEBOOKS)
def test_committed_form(path):
    assert path.read_text() == dumps(strip(load(path))), \
        f"run: python -m rmapmodel.report.strip {path.relative_to(ROOT)}"


@named(NOTEBOOKS)
def test_title_begins_with_the_number(path):
    first = load(path)["cells"][0]
    number = int(path.stem.partition("-")[0])
    assert first["cell_type"] == "markdown" and re.match(rf"# +0*{number}\b", source(first)), \
        mend(path, [f"begin the first cell with: # {number:02}. and the title"])


@pytest.mark.parametrize("folder", FOLDERS, ids=["notebooks", "fixtures"])
def test_figure_ids_are_unique(folder):
    where = {}
    for path in sorted(folder.glob("*.ipynb")):
        for id in registry.shown(load(path)):
            assert id not in where, mend(path, [f"{where[id].stem} shows {id}, too: give each figure an id of its own"])
            where[id] = path


def test_scales_fit_the_notebooks():
    scales = yaml.safe_load((FOLDERS[0] / SCALES).read_text()) or {}
    paths = {path.stem: path for path in FOLDERS[0].glob("*.ipynb")}
    assert scales.keys() == paths.keys(), f"give every notebook its sets `test` and `full` in {SCALES}"
    for stem, sets in scales.items():
        assert sets.keys() == {"test", "full"}, f"give {stem} its sets `test` and `full` in {SCALES}"
        for scale in sets:
            values([paths[stem]], {}, scale=scale)


@named(sorted((ROOT / "rmapmodel" / "explore").glob("*.py")))
def test_no_explorer_captures(path):
    assert not list(no_capture(one_cell(path.read_text())))


def one_cell(text, **metadata):
    return {"cells": [{"cell_type": "code", "id": "a", "metadata": metadata, "source": text}]}


@pytest.mark.parametrize("rule, notebook, said", [
    (parameters_cell, one_cell("A: int = 1  # one"), "0 cells are tagged"),
    (parameters_cell, one_cell("A: int = 1", tags=["parameters"]), "write as"),
    (parameters_cell, one_cell("A: int | None = None  # none", tags=["parameters"]), "write as"),
    (parameters_cell, one_cell("A: int = 1  # a = b", tags=["parameters"]), "write as"),
    (parameters_cell, one_cell("A = 1  # one", tags=["parameters"]), "write as"),
    (parameters_cell, one_cell("A: int = 1 + 1  # two", tags=["parameters"]), "is not `NAME"),
    (parameters_cell, one_cell("A: int = 1  # one", tags=["parameters"]), "no cell reads"),
    (short_cells, one_cell("x\n" * 21), "over 20 lines"),
    (no_machine_paths, one_cell("open('/ro" "ot/x')"), "one machine only"),
    (literal_figure_ids, one_cell("show(fig, id=name, caption='', data=d)"), "literal id"),
    (literal_figure_ids, one_cell("figures.show(fig, 'fig-a', '', d)"), "literal id"),
    (literal_figure_ids, one_cell("figures.show(fig, id='Fig A', caption='', data=d)"), "literal id"),
    (no_capture, one_cell("widgets.interact(f, x=3)"), "captures output"),
    (no_capture, one_cell("with Output():\n    pass"), "captures output"),
])
def test_a_broken_rule_is_found(rule, notebook, said):
    assert any(said in line for line in rule(notebook))


def test_outputs_and_counts_are_found():
    notebook = load(FOLDERS[1] / "01-figure.ipynb")
    cell = code(notebook)[0]
    cell["execution_count"] = 3
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    assert json.loads(dumps(notebook)) != strip(notebook)
