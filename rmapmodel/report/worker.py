"""A long-lived process that runs notebooks with papermill: a JSON request a line on stdin, JSON events on stdout.

A request is {"source", "output", "cwd", "seconds"}. The events are {"event": "cell", "cell": index} as each cell
begins and one {"event": "done", "error": ...} at the end: None, a failed cell's {"cell", "name", "value"}, or {"again":
reason} where the tools failed and not the notebook. Each finished cell is also kept in `output` + ".cells", so that
something is left to show when the process or its kernel is killed.
"""

import contextlib
import json
import os
import queue
import sys
import threading

import psutil


def end(process):
    """Kill a process and all it started, kernels in sessions of their own included."""
    try:
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            pass


def _requests():
    """Yield the requests; when the asking process is gone, end this one with its kernel, whatever it is doing."""
    lines = queue.SimpleQueue()

    def read():
        for line in sys.stdin:
            lines.put(line)
        end(psutil.Process())

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield json.loads(lines.get())


def import_jsonschema():
    """Import jsonschema, which nbformat needs, without a grammar of addresses that takes a second to build."""
    sys.modules.setdefault("rfc3987_syntax", None)
    import jsonschema  # noqa: F401

    if sys.modules["rfc3987_syntax"] is None:
        del sys.modules["rfc3987_syntax"]


def _execute(request, tell):
    from papermill import PapermillExecutionError, execute_notebook

    with open(request["output"] + ".cells", "w", encoding="utf-8") as finished:

        def keep(cell, cell_index, **_):
            finished.write(json.dumps([cell_index, cell]) + "\n")
            finished.flush()

        try:
            execute_notebook(
                # papermill formats its paths, so braces are doubled
                request["source"].replace("{", "{{").replace("}", "}}"),
                request["output"].replace("{", "{{").replace("}", "}}"),
                kernel_name="python3",
                cwd=request["cwd"],
                progress_bar=False,
                request_save_on_cell_execute=False,
                execution_timeout=request["seconds"],
                interrupt_on_timeout=True,
                iopub_timeout=60,
                on_cell_execute=lambda cell, cell_index: tell(event="cell", cell=cell_index),
                on_cell_executed=keep,
            )
        except PapermillExecutionError as error:
            return {"cell": error.cell_index, "name": error.ename, "value": str(error.evalue)[:2000]}
        except Exception as error:  # the kernel died or did not start, or an answer of it was lost
            return {"again": f"{type(error).__name__}: {error}".splitlines()[0][:2000]}
    return None


def main():
    """Serve requests until stdin ends."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory runs out, a notebook goes, and neither the report nor a neighbour
    os.environ["COLUMNS"] = "80"  # tracebacks are as wide as the terminal that the report is made from
    channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not get among the events
    import_jsonschema()
    import matplotlib.font_manager  # noqa: F401  makes the font cache once, before kernels that would talk about it

    def tell(**event):
        channel.write(json.dumps(event) + "\n")

    for request in _requests():
        tell(event="done", error=_execute(request, tell))
