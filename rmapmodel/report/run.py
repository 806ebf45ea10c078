"""Runs notebooks and writes the report over them: pages, figures, verdicts and a manifest."""

import asyncio
import json
import os
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from rmapmodel.errors import InputError
from rmapmodel.report import collect, inputs, pages, previous
from rmapmodel.report.clean import clean, clean_text
from rmapmodel.report.folder import SCHEMA, Folder
from rmapmodel.report.parameters import EXECUTED, find, injected, load, values
from rmapmodel.report.pool import Job, run_all
from rmapmodel.report.strip import dumps, strip


@dataclass
class Run:
    """One notebook of a report, executed: what the index and the manifest say about it.

    `error` is None or {"cell": index or None, "text", "traceback", "input"}: `input` is what an InputError says, else
    None; `inputs` is what it was made of (inputs.of); `wrong` lists what is wrong though it finished.
    """

    path: Path
    parameters: dict
    notebook: dict
    error: dict | None
    title: str
    inputs: dict = field(default_factory=dict)
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
    `scale` of scales.yml. What `out` has of the same inputs is not run again. Returns 0, or 1 if a notebook failed or a claim's check did. Raises InputError, before any
    work, for whatever is wrong with the arguments, and after it for a value that a notebook refuses; then nothing is
    written.
    """
    paths = find(notebooks)
    given = values(paths, parameters or {}, yaml_file, scale)
    if jobs is not None and jobs < 1:
        raise InputError(f"{jobs} is not a number of notebooks to run at once", path="-j")
    jobs = jobs or _cores()
    began = time.time()
    with Folder(out) as folder:
        shared = inputs.common()
        runs, attempts = executed(paths, given, folder.scratch, shared, jobs, cell_seconds, notebook_seconds, out)
        _write(runs, shared, folder.report)
        _write_json(folder.report / "timings.json", {
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
            "seconds": round(time.time() - began, 3),
            "jobs": jobs,
            "notebooks": attempts,
        })
        folder.publish()
    kept = [name for name, tried in attempts.items() if not tried]
    if kept:
        print(f"rmapmodel: note: not run again, as nothing they follow from has changed: {' '.join(kept)}", file=sys.stderr)
    return _say(runs, Path(out) / "index.html")


def executed(paths, given, scratch, shared, jobs=None, cell_seconds=600, notebook_seconds=3600, report=None):
    """Run notebooks with the parameters `given` by stem, in the folder `scratch`; return (Runs, attempts by stem).

    Those that read what the others found come last, in the folder where that lies, and are given it: `.`, the same in
    every report. `shared` is inputs.common() of the moment, `report` a folder whose notebooks are taken where they are of
    the same inputs, without an attempt. Raises InputError where what failed is what the reader gave:
    a parameter's value, or the file it names.
    """
    last = [path for path in paths if given[path.stem].get(EXECUTED) == ""]
    first = [path for path in paths if path not in last]
    beside = scratch / "executed"
    beside.mkdir()
    runs, attempts = {}, {}

    def execute(wave, given, report, cwd=None, others=None):
        made_of = {path: inputs.of(path, given[path.stem], shared, others) for path in wave}  # before a file is changed
        kept = {path: previous.executed(path.stem, own, report) for path, own in made_of.items()}
        tasks = {path: _task(path, given[path.stem], scratch, cwd) for path in wave if not kept[path]}
        _execute(list(tasks.values()), jobs or _cores(), scratch, cell_seconds, notebook_seconds)
        for path, own in made_of.items():
            run = _finished(path, tasks[path], own, cell_seconds) if path in tasks else _run(path, own, kept[path])
            runs[path], attempts[run.name] = run, tasks[path].attempts if path in tasks else []
            (beside / run.file).write_text(dumps(run.notebook), encoding="utf-8")
            if run.error and run.error["input"]:
                raise InputError(run.error["input"], path=run.name)

    execute(first or last, given, report)
    if first and last:
        told = {path.stem: given[path.stem] | {EXECUTED: "."} for path in last}
        again = None if any(attempts.values()) else report  # a notebook that failed has the key of one that did not
        execute(last, told, again, str(beside), {run.name: run.inputs["key"] for run in runs.values()})
    runs = [runs[path] for path in paths]
    gather(runs)
    return runs, attempts


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


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


def _task(path, parameters, scratch, cwd):
    """Write the notebook to be executed, in the folder `cwd` or in this one."""
    before, executed = scratch / f"{path.stem}.ipynb", scratch / f"{path.stem}.out.ipynb"
    before.write_text(dumps(injected(strip(load(path)), parameters)), encoding="utf-8")
    return Job(path.stem, str(before), str(executed), cwd)


def _execute(tasks, workers, scratch, cell_seconds, notebook_seconds):
    total = sum(cell["cell_type"] == "code" for task in tasks for cell in load(task.source)["cells"])
    with tqdm(total=total, unit="cell", delay=2, disable=None, leave=False) as bar:

        def advance(name, cell):
            bar.set_postfix_str(name, refresh=False)
            bar.update(cell is not None)

        asyncio.run(run_all(tasks, workers, scratch, cell_seconds, notebook_seconds, advance))


def _finished(path, task, own, cell_seconds):
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
    return _run(path, own, notebook, _error(task.error, notebook, cell_seconds))


def _run(path, own, notebook, error=None):
    return Run(path, own["parameters"], notebook, error, pages.title(notebook, path.stem), own)


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


def _write(runs, shared, report):
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
    versions = inputs.versions()
    (report / "index.html").write_text(pages.index_page(runs, versions), encoding="utf-8")
    _write_json(report / "manifest.json", _manifest(runs, shared, versions))


def _manifest(runs, shared, versions):
    return {
        "schema": SCHEMA,
        "versions": versions,
        **shared,
        "notebooks": {run.name: {
            **run.inputs,
            "seeds": {name: value for name, value in run.parameters.items() if "SEED" in name.upper()},
            "error": run.error and run.error["text"],
            "executed": inputs.sha256(dumps(run.notebook).encode()),
            "live": collect.is_live(run.notebook),
            "figures": [figure.id for figure in run.figures],
            "values": run.values,
            "claims": run.claims,
        } for run in runs},
        "figures": {figure.id: {
            "caption": figure.caption,
            "notebook": run.name,
            "parameters": run.parameters,
            "data": f"figures/{figure.id}.csv",
            "sha256": {suffix: inputs.sha256(content) for suffix, content in figure.files.items()},
            "key": run.inputs["key"],
        } for run in runs for figure in run.figures},
    }


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
