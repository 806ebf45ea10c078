"""A notebook as a reader runs it: whole, with plain papermill, at test scale."""

import json
from pathlib import Path

import papermill
import yaml

from rmapmodel.report.collect import as_figure, as_values, as_verdict, outputs

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class Shown:
    """What an executed notebook shows: `figures` by id, `claims` by id, `values` by name, and its `sentence`."""

    def __init__(self, notebook):
        shown = list(outputs(notebook))
        self.figures = {figure.id: figure for figure in map(as_figure, shown) if figure}
        verdict = next(verdict for verdict in map(as_verdict, shown) if verdict)
        self.claims, self.sentence = {claim["id"]: claim for claim in verdict.claims}, verdict.sentence
        self.values = {name: value for output in shown for name, value in as_values(output).items()}


def run(name, folder, cwd=NOTEBOOKS, **parameters):
    """Executes a notebook with papermill alone, at test scale but for `parameters`; returns what it shows."""
    out = folder / f"{name}.ipynb"
    scales = yaml.safe_load((NOTEBOOKS / "scales.yml").read_text())
    papermill.execute_notebook(NOTEBOOKS / f"{name}.ipynb", out, {**scales[name]["test"], **parameters}, cwd=cwd,
                               progress_bar=False, kernel_name="python3", execution_timeout=120)
    return Shown(json.loads(out.read_text()))
