"""Runs notebooks in a few long-lived worker processes, with limits on time and one more try where the tools failed."""

import asyncio
import json
import os
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import psutil

from rmapmodel.report.worker import end

GRACE = 30  # seconds from a cell's limit, when it is interrupted, until it is taken for hung and killed


@dataclass
class Job:
    """One notebook to run, from `source` to `output`, in the folder `cwd` or in this one, and then how that went.

    `error` is None or {"cell", "name", "value"} of the failed cell or {"cell", "again"}, the reason for which the tools
    failed and the last cell begun; `attempts` are what timings.json says.
    """

    name: str
    source: str
    output: str
    cwd: str | None = None
    error: dict | None = None
    attempts: list = field(default_factory=list)


def environment(scratch):
    """Return the variables of the workers: nobody's own settings may change what a notebook shows."""
    dropped = ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "MATPLOTLIBRC", "MPLBACKEND", "PYTHONSTARTUP")
    own = {name: value for name, value in os.environ.items() if name not in dropped}
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        folder = scratch / name.lower()
        folder.mkdir(exist_ok=True)
        own[name] = str(folder)
    # One thread each: sums come out alike on every machine, and the notebooks share the cores.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return own | threads | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}


class _Worker:
    def __init__(self, process, log):
        self.process, self.log = process, log

    @classmethod
    async def start(cls, variables, log):
        with open(log, "wb") as stderr:
            # A session of its own, so that Ctrl-C reaches it through us alone.
            return cls(await asyncio.create_subprocess_exec(
                sys.executable, "-c", "from rmapmodel.report.worker import main; main()", env=variables,
                start_new_session=True, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
            ), log)

    @property
    def alive(self):
        return self.process.returncode is None

    async def end(self):
        if self.alive:
            end(psutil.Process(self.process.pid))
            await self.process.wait()

    async def run(self, job, cell_seconds, notebook_seconds, starting, advance):
        """Run a job and return its error; the worker is dead afterwards if a limit was reached."""
        until = time.monotonic() + notebook_seconds
        cell = None
        request = {"source": job.source, "output": job.output, "cwd": job.cwd, "seconds": cell_seconds}
        try:
            async with AsyncExitStack() as kernel_starts:
                await kernel_starts.enter_async_context(starting)
                self.process.stdin.write(json.dumps(request).encode() + b"\n")
                while True:
                    limit = min(until - time.monotonic(), cell_seconds + GRACE)
                    line = await asyncio.wait_for(self.process.stdout.readline(), max(limit, 0))
                    await kernel_starts.aclose()
                    if not line:
                        raise ConnectionError
                    event = json.loads(line)
                    if event["event"] == "done":
                        return event["error"] and {"cell": cell, **event["error"]}
                    cell = event["cell"]
                    advance(job.name, cell)
        except TimeoutError:
            await self.end()
            if time.monotonic() >= until:
                return {"cell": cell, "again": f"the notebook ran longer than {notebook_seconds} s"}
            return {"cell": cell, "again": f"a cell ran longer than {cell_seconds} s and could not be interrupted"}
        except ConnectionError:
            await self.end()
            said = self.log.read_text(errors="replace").strip().splitlines()
            return {"cell": cell, "again": "the process that ran the notebook died", "said": said[-1] if said else ""}


async def run_all(jobs, workers, scratch, cell_seconds, notebook_seconds, advance):
    """Run the jobs, `workers` at a time, setting `error` and `attempts` of each.

    `advance(name, cell)` is called as a cell begins, with None as a notebook ends. On cancellation no process is left.
    """
    pending = list(jobs)
    variables = environment(scratch)
    starting = asyncio.Lock()  # kernels that start together can race for ports

    async def slot(number):
        worker = None
        try:
            while pending:
                job = pending.pop(0)
                for _ in range(2):
                    if worker is None or not worker.alive:
                        worker = await _Worker.start(variables, scratch / f"worker{number}.log")
                    began = time.monotonic()
                    job.error = await worker.run(job, cell_seconds, notebook_seconds, starting, advance)
                    job.attempts.append({"seconds": round(time.monotonic() - began, 3), "error": job.error})
                    if job.error is None or "again" not in job.error:
                        break
                advance(job.name, None)
        finally:
            if worker is not None:
                await worker.end()

    async with asyncio.TaskGroup() as slots:
        for number in range(min(workers, len(jobs))):
            slots.create_task(slot(number))
