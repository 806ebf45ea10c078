"""The registry of figures: which notebook shows each, and what it shows, from a current report or run for the purpose."""

import ast
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rmapmodel.errors import CheckFailed, InputError, hint
from rmapmodel.report import inputs, previous
from rmapmodel.report.collect import Figure, failed_check
from rmapmodel.report.parameters import EXECUTED, find, load, source, values
from rmapmodel.report.run import executed


@dataclass(frozen=True)
class Entry:
    """A figure and where it is from: the path of its notebook, the parameters, the key of its inputs.

    `failed` are the ids of the notebook's claims whose check failed.
    """

    figure: Figure
    path: Path
    parameters: dict
    key: str
    failed: list

    @property
    def csv(self):
        return self.figure.files["csv"].decode()


def shown(notebook):
    """Yield the id of each figure that a notebook's cells show, None where it is not a literal; nothing is run.

    A cell that is no Python, as with IPython's own commands, is passed over.
    """
    for cell in notebook["cells"]:
        try:
            tree = ast.parse(source(cell) if cell["cell_type"] == "code" else "")
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "show":
                yield next((item.value.value for item in node.keywords
                            if item.arg == "id" and isinstance(item.value, ast.Constant)), None)


def figures():
    """Return {id: path of the notebook that shows it} of all notebooks; cost: each is read."""
    return {id: path for path in find() for id in shown(load(path)) if id}


def look_up(ids, report="reports", full=False):
    """Return the Entry of each figure named: from the report if its inputs are what they were, else computed.

    A report counts with the parameters it was made with, with `full` only at full scale. Says on stderr what has to be
    computed. Raises InputError for an unknown id, CheckFailed if a notebook does not finish or leaves a figure out.
    """
    where = figures()
    for id in ids:
        if id not in where:
            raise InputError(f"no notebook shows a figure {id!r}{hint(id, where, at_all=True)}")
    paths = sorted({where[id] for id in ids})
    given, shared = values(paths, {}), inputs.common()
    found = {}
    for path in paths:
        if told := current(path, report, shared, given[path.stem] if full else None):
            found |= _kept(path, told, Path(report))
    missing = sorted({where[id] for id in ids if id not in found})
    if any(EXECUTED in given[path.stem] for path in missing):  # they are run with all that they read
        missing = find()
        given = values(missing, {})
    if missing:
        print(f"rmapmodel: note: {report} has no current {' '.join(id for id in ids if id not in found)}: "
              f"running {' '.join(path.stem for path in missing)}", file=sys.stderr)
        found |= _computed(missing, given, shared)
    for id in ids:
        if id not in found:
            raise CheckFailed(f"{where[id].stem} did not show {id}, though it finished")
    return {id: found[id] for id in ids}


def current(path, report, shared, parameters=None):
    """Return what a report's manifest says of a notebook, None unless that is what the notebook would give now.

    Asks for the parameters the report was made with or, where given, for these; `shared` is inputs.common().
    """
    try:
        manifest = previous.manifest(report)
        told = manifest["notebooks"][path.stem]
        read = [path.with_name(f"{stem}.ipynb") for stem in told.get("others", ())]
        wanted = values(read, {}) if parameters else {}
        others = {each.stem: current(each, report, shared, wanted.get(each.stem))["key"] for each in read}
        same = not told["error"] and parameters in (None, told["parameters"] | ({EXECUTED: ""} if others else {})) \
            and (EXECUTED in told["parameters"]) == bool(others) \
            and told["key"] == inputs.of(path, told["parameters"], shared, others)["key"]
        return {**told, "figures": {id: manifest["figures"][id] for id in told["figures"]}} if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no report, one of another version, or one that lacks or has an older one of what this notebook reads


def _kept(path, told, report):
    """The entries by id of what `current` told; none where one of their files was changed."""
    try:
        return {id: Entry(_figure(id, figure, report), path, told["parameters"], told["key"], _failed(told["claims"]))
                for id, figure in told["figures"].items()}
    except (OSError, ValueError):
        return {}


def _figure(id, told, report):
    files = {suffix: (report / "figures" / f"{id}.{suffix}").read_bytes() for suffix in told["sha256"]}
    if told["sha256"] != {suffix: inputs.sha256(content) for suffix, content in files.items()}:
        raise ValueError(f"{id} is not as it was made")
    return Figure(id, told["caption"], files)


def _computed(paths, given, shared):
    with tempfile.TemporaryDirectory() as scratch:
        runs, _ = executed(paths, given, Path(scratch), shared)
    for run in runs:
        if run.error:
            raise CheckFailed(f"{run.name} did not finish: {run.error['text']}")
    return {figure.id: Entry(figure, run.path, run.parameters, run.inputs["key"], _failed(run.claims))
            for run in runs for figure in run.figures}


def _failed(claims):
    return [claim["id"] for claim in claims if failed_check(claim)]
