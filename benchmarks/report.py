"""The whole report beside its floor, which bounds it: as many kernels started, and the same cells run by plain processes, on as many cores.

The floor has the imports, the model's work, the figures and the ending of every notebook in it, and nothing of what
runs notebooks or makes a report of them: the messages of each cell, the checks of what came out, the pages.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyter_client.manager import start_new_kernel

from rmapmodel.report import run
from rmapmodel.report.parameters import EXECUTED, find, injected, load, source, values
from rmapmodel.report.pool import environment
from rmapmodel.report.strip import strip

from .table import Row

PLAIN = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in sys.stdin.read().split("\\0"):
    shell.run_cell(cell).raise_error()
"""


def made_in(folder, paths, scale):
    """Seconds that a report takes, whatever it says."""
    began = time.monotonic()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        run(list(map(str, paths)), out=folder, scale=scale)
    return time.monotonic() - began


def rows(scale=1.0):
    """The report at full scale; with `scale` below 1 of a fraction of the notebooks, at the scale of the tests."""
    paths, cores = find(), len(os.sched_getaffinity(0))
    paths, scale = (paths, "full") if scale >= 1 else (paths[:max(1, round(scale * len(paths)))], "test")
    given = values(paths, {}, scale=scale)
    with tempfile.TemporaryDirectory() as folder:
        made, scratch = Path(folder, "report"), Path(folder, "scratch")
        scratch.mkdir()
        ours = made_in(made, paths, scale)
        variables = environment(scratch)

        def bare(path):
            parameters = given[path.stem] | ({EXECUTED: str(made / "notebooks")} if EXECUTED in given[path.stem] else {})
            cells = [source(cell) for cell in injected(strip(load(path)), parameters)["cells"] if cell["cell_type"] == "code"]
            manager, client = start_new_kernel(kernel_name="python3", env=variables, stderr=subprocess.DEVNULL)
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            subprocess.run([sys.executable, "-c", PLAIN], input="\0".join(cells), text=True, check=True, cwd=path.parent,
                           env=variables, stdout=subprocess.DEVNULL)

        began = time.monotonic()
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(bare, paths))
        yield Row(f"the report: {len(paths)} notebooks at {scale} scale on {cores} cores", ours, time.monotonic() - began, "s",
                  "kernel starts, imports and the cells alone", "ratio <= 1.5")
        yield Row("the same report again, when nothing has changed", made_in(made, paths, scale), ours, "s", "the first time")
