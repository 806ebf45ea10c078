"""A notebook as a reader runs it, at test scale: whole, with plain papermill; in a report; or here, which is quicker."""

import ast
import json
import signal
from contextlib import contextmanager
from pathlib import Path

import papermill
import pytest

from rmapmodel.explore.guess import Guess
from rmapmodel.figures import publish, style
from rmapmodel.report.collect import as_figure, as_values, as_verdict, outputs
from rmapmodel.report.parameters import load, source, tags, values

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class Shown:
    """What an executed notebook shows: `figures` by id, `claims` by id, `values` by name, and its `sentence`.

    `explorers` are the widgets themselves, of a notebook that ran in this process.
    """

    def __init__(self, shown, explorers=()):
        self.figures = {figure.id: figure for figure in map(as_figure, shown) if figure}
        verdict = next(verdict for verdict in map(as_verdict, shown) if verdict)
        self.claims, self.sentence = {claim["id"]: claim for claim in verdict.claims}, verdict.sentence
        self.values = {name: value for output in shown for name, value in as_values(output).items()}
        self.explorers = list(explorers)


def at_test_scale(name):
    """The values of all parameters of a notebook at test scale."""
    return values([NOTEBOOKS / f"{name}.ipynb"], {}, scale="test")[name]


def run(name, folder, cwd=NOTEBOOKS, **parameters):
    """Executes a notebook with papermill alone, at test scale but for `parameters`; returns what it shows."""
    out = folder / f"{name}.ipynb"
    papermill.execute_notebook(NOTEBOOKS / f"{name}.ipynb", out, at_test_scale(name) | parameters, cwd=cwd,
                               progress_bar=False, kernel_name="python3", execution_timeout=120)
    return Shown(list(outputs(json.loads(out.read_text()))))


def reported(name, folder):
    """What a notebook shows in the report in a folder."""
    return Shown(list(outputs(load(folder / "notebooks" / f"{name}.ipynb"))))


def told(name, **parameters):
    """Executes the cells of a notebook here, at test scale but for `parameters`; returns what it shows.

    No kernel starts, and figures are laid out but not written, which together is half of the time.
    """
    shown, explorers, names = [], [], {}
    with pytest.MonkeyPatch.context() as patch, _limit(120):
        patch.setattr(publish, "_shown", {})
        patch.setattr(publish, "_display", lambda bundle: shown.append({"data": bundle}))
        patch.setattr(publish, "_saved", _laid_out)
        patch.chdir(NOTEBOOKS)
        for cell in load(f"{name}.ipynb")["cells"]:
            if cell["cell_type"] == "code":
                explorers.append(_executed(cell, names))
            if "parameters" in tags(cell):
                names.update(at_test_scale(name) | parameters)
    return Shown(shown, [value for value in explorers if isinstance(value, Guess)])


def _laid_out(fig, kind, *_, **__):
    if kind == "svg":
        with style.context():
            fig.draw_without_rendering()
    return b""


def _executed(cell, names):
    """Executes a cell; returns the value of its last line, which a kernel would display."""
    body = ast.parse(source(cell), cell["id"])
    last = body.body.pop() if body.body and isinstance(body.body[-1], ast.Expr) else None
    exec(compile(body, cell["id"], "exec"), names)
    return last and eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)


@contextmanager
def _limit(seconds):
    def late(*_):
        raise TimeoutError(f"ran longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
