"""Runs notebooks and writes the report over them: pages, figures, verdicts and a manifest."""

import asyncio
import json
import os
import platform
import re
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

from rmapmodel import outside
from rmapmodel.errors import InputError
from rmapmodel.files import hashes, sha256
from rmapmodel.report import collect, pages
from rmapmodel.report.clean import clean, clean_text
from rmapmodel.report.folder import SCHEMA, Folder
from rmapmodel.report.parameters import CHECKOUT, declared, find, load, tags, values
from rmapmodel.report.pool import Job, run_all
from rmapmodel.report.strip import dumps, strip


@dataclass
class Run:
    """One notebook of a report, executed: what the index and the manifest say about it.

    `error` is None or {"cell": index or None, "text", "traceback", "input"}: `input` is what an InputError says, else
    None; `wrong` lists what is wrong though it finished.
    """

    path: Path
    parameters: dict
    notebook: dict
    error: dict | None
    title: str
    figures: list = field(default_factory=list)
    values: dict = field(default_factory=dict)
    verdicts: list = field(default_factory=list)
    wrong: list = field(default_factory=list)

    @property
    def name(self):
        return self.path.stem

    @property
    def file(self):
        return f"{self.name}.failed.ipynb" if self.error else f"{self.name}.ipynb"

    @property
    def claims(self):
        return [claim for verdict in self.verdicts for claim in verdict.claims]


def run(notebooks=None, parameters=None, yaml_file=None, out="reports", jobs=None, *, scale="full", cell_seconds=600,
        notebook_seconds=3600):
    """Run the named notebooks (all without names) and write the report over them to the folder `out`.

    `parameters` are texts by name, as from a command line; they win over `yaml_file`, that over the notebooks' set
    `scale` of scales.yml. Returns 0, or 1 if a notebook failed or a claim's check did. Raises InputError, before any
    work, for whatever is wrong with the arguments, and after it for a value that a notebook refuses; then nothing is
    written.
    """
    paths = find(notebooks)
    given = values(paths, parameters or {}, yaml_file, scale)
    if jobs is not None and jobs < 1:
        raise InputError(f"{jobs} is not a number of notebooks to run at once", path="-j")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    began = time.time()
    with Folder(out) as folder:
        tasks = [_task(path, given[path.stem], folder.scratch) for path in paths]
        _execute(tasks, jobs or cores, folder.scratch, cell_seconds, notebook_seconds)
        runs = [_finished(path, task, given[path.stem], cell_seconds) for path, task in zip(paths, tasks)]
        _refuse_bad_input(runs)
        gather(runs)
        _write(runs, folder.report)
        _write_json(folder.report / "timings.json", {
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
            "seconds": round(time.time() - began, 3),
            "jobs": jobs or cores,
            "notebooks": {task.name: task.attempts for task in tasks},
        })
        folder.publish()
    return _say(runs, Path(out) / "index.html")


def _refuse_bad_input(runs):
    """Raises InputError where what failed is what the reader gave: a parameter's value, or the file it names."""
    for run in runs:
        if run.error and run.error["input"]:
            raise InputError(run.error["input"], path=run.name)


def _say(runs, index):
    """Print what came out, and return the exit status."""
    wrong = [f"{run.name}: {text}" for run in runs for text in ([run.error["text"]] if run.error else []) + run.wrong]
    for traceback in (run.error["traceback"] for run in runs if run.error and run.error["traceback"]):
        print(traceback, file=sys.stderr)
    for line in wrong:
        print(f"rmapmodel: {line}", file=sys.stderr)
    claims = [claim for run in runs for claim in run.claims]
    print(f"{index}: notebooks {len(runs)}, figures {sum(len(run.figures) for run in runs)}, "
          f"claims that hold {sum(claim['holds'] for claim in claims)} of {len(claims)}")
    return 1 if wrong else 0


def _task(path, parameters, scratch):
    """Write the notebook to be executed: a cell after the parameters gives those that differ from their defaults."""
    notebook = strip(load(path))
    defaults = {name: default for name, (_, default) in declared(notebook, path).items()}
    changed = [f"{name} = {value!r}" for name, value in parameters.items() if value != defaults[name]]
    if changed:
        after = 1 + max(i for i, cell in enumerate(notebook["cells"]) if "parameters" in tags(cell))
        notebook["cells"].insert(after, {
            "cell_type": "code", "id": "injected-parameters", "metadata": {"tags": ["injected-parameters"]},
            "source": "\n".join(changed), "execution_count": None, "outputs": [],
        })
    before, executed = scratch / f"{path.stem}.ipynb", scratch / f"{path.stem}.out.ipynb"
    before.write_text(dumps(notebook), encoding="utf-8")
    return Job(path.stem, str(before), str(executed))


def _execute(tasks, workers, scratch, cell_seconds, notebook_seconds):
    total = sum(cell["cell_type"] == "code" for task in tasks for cell in load(task.source)["cells"])
    with tqdm(total=total, unit="cell", delay=2, disable=None, leave=False) as bar:

        def advance(name, cell):
            bar.set_postfix_str(name, refresh=False)
            bar.update(cell is not None)

        asyncio.run(run_all(tasks, workers, scratch, cell_seconds, notebook_seconds, advance))


def _finished(path, task, parameters, cell_seconds):
    """Return the Run of a task, from the cells that finished where papermill could not save the notebook."""
    executed = Path(task.output)
    if executed.exists():
        notebook = load(executed)
    else:
        notebook = load(task.source)
        finished = Path(task.output + ".cells")
        for line in finished.read_text(encoding="utf-8").splitlines() if finished.exists() else ():
            index, cell = json.loads(line)
            notebook["cells"][index] = cell
    clean(notebook)
    return Run(path, parameters, notebook, _error(task.error, notebook, cell_seconds), pages.title(notebook, path.stem))


def _error(error, notebook, cell_seconds):
    if error is None:
        return None
    if "again" in error:
        text = error["again"] + ", twice"
    elif error["name"] == "KeyboardInterrupt":
        text = f"ran longer than {cell_seconds} s"
    else:
        text = clean_text(f"{error['name']}: {error['value']}").splitlines()[0]
    if error["cell"] is not None:
        text = f"cell {sum(cell['cell_type'] == 'code' for cell in notebook['cells'][:error['cell'] + 1])}: {text}"
    raised = "again" not in error and error["name"] != "KeyboardInterrupt"
    return {"cell": error["cell"], "text": text, "traceback": _traceback(notebook, error["cell"]) if raised else "",
            "input": error["value"] if raised and error["name"] == "InputError" else None}


def _traceback(notebook, cell):
    """The traceback that a cell ended with, as plain text; empty where there is none."""
    outputs = notebook["cells"][cell].get("outputs", ()) if cell is not None else ()
    lines = [line for output in outputs if output["output_type"] == "error" for line in output["traceback"]]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def gather(runs):
    """Give each run its figures, values and verdicts, and note what is wrong with them."""
    shown = {}
    for run in runs:
        for output in collect.outputs(run.notebook):
            figure, verdict = collect.as_figure(output), collect.as_verdict(output)
            if figure and figure.id in shown:
                run.wrong.append(f"figure {figure.id} was already shown by {shown[figure.id]}")
            elif figure:
                shown[figure.id] = run.name
                run.figures.append(figure)
            for name, value in collect.as_values(output).items():
                if run.values.setdefault(name, value) != value:
                    run.wrong.append(f"two values are called {name}: {run.values[name]} and {value}")
            if verdict:
                run.verdicts.append(verdict)
        run.wrong += [f"claim {claim['id']}: check failed, measured {claim['measured']}"
                      for claim in run.claims if collect.failed_check(claim)]


def _write(runs, report):
    (report / "notebooks").mkdir()
    (report / "figures").mkdir()
    names = {run.name for run in runs}
    for run in runs:
        (report / "notebooks" / run.file).write_text(dumps(run.notebook), encoding="utf-8")
        (report / "notebooks" / f"{run.name}.html").write_text(
            pages.notebook_page(run.notebook, run.name, run.error, run.path.parent, names), encoding="utf-8")
        for figure in run.figures:
            for suffix, content in figure.files.items():
                (report / "figures" / f"{figure.id}.{suffix}").write_bytes(content)
    versions = _versions()
    (report / "index.html").write_text(pages.index_page(runs, versions), encoding="utf-8")
    _write_json(report / "manifest.json", _manifest(runs, versions))


def _manifest(runs, versions):
    package = CHECKOUT / "rmapmodel"
    lock = CHECKOUT / "requirements.lock"
    return {
        "schema": SCHEMA,
        "versions": versions,
        "package": hashes(package),
        "lock": sha256(lock) if lock.exists() else None,
        "imports": {name: file and sha256(file) for name, file in outside.files().items()},
        "data": hashes(CHECKOUT / "data"),
        "notebooks": {run.name: {
            "sha256": sha256(run.path),
            "parameters": run.parameters,
            "seeds": {name: value for name, value in run.parameters.items() if "SEED" in name.upper()},
            "inputs": {name: sha256(path) for name, value in run.parameters.items() if isinstance(value, str)
                       for path in (CHECKOUT / value, run.path.parent / value, Path(value)) if path.is_file()},
            "error": run.error and run.error["text"],
            "figures": [figure.id for figure in run.figures],
            "values": run.values,
            "claims": run.claims,
        } for run in runs},
    }


def _versions():
    """Return the versions of Python, this package and its direct dependencies."""
    names = [re.match(r"[\w.-]+", line)[0] for line in metadata.requires("rmapmodel") or () if "extra ==" not in line]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in ("rmapmodel", *names)}}


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
