"""Runs the tasks of a sweep on a Dask cluster: one that is there, or one with a worker for each core of this machine."""

import logging
import re
import signal
import socket
import threading
import traceback
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from pathlib import Path

import dask
from dask.system import CPU_COUNT
from distributed import CancelledError, Client, LocalCluster, as_completed, get_worker
from distributed.scheduler import KilledWorker, NoWorkerError
from distributed.utils import LoopRunner

from .. import outside
from ..errors import CheckFailed, InputError
from . import sources
from .dataset import Dataset

IN_FLIGHT = 1000
"""Tasks that the scheduler knows at a time, which bounds its memory and ours."""

TIMEOUT = 10
"""Seconds until a scheduler that does not answer is given up."""

HERE = "127.0.0.1"
"""Where a cluster of this machine listens, its scheduler's HTTP server too, at ports that are free."""

WITHOUT = 60
"""Seconds that a cluster of this machine may be without a worker, one having died while it was started."""

_programs, _folder = None, None  # in a worker: what bring() has brought there last, and where its files are
_lock = threading.Lock()


@dataclass(frozen=True)
class Programs:
    """What results depend on: the hashes of the package's files, and the modules of designs from outside, whose files
    ({path: contents}) are taken to every worker."""

    modules: list
    files: dict
    hashes: dict

    @property
    def digest(self):
        """One SHA-256 of all hashes."""
        return sources.digest(self.hashes)


def our_programs():
    """The Programs of this process."""
    files = outside.contents()
    return Programs(outside.modules(), files, sources.of(files))


def bring(programs, dask_worker=None):
    """In a worker: takes in the designs, in place of those of another sweep.

    Raises InputError if the worker has other sources of this package, or cannot import a design.
    """
    global _programs, _folder
    worker = dask_worker or get_worker()
    with _lock:
        if _programs == programs:
            return
        if changed := sources.changed(sources.of(programs.files), programs.hashes):
            raise InputError(f"the worker {worker.address} has other sources than here, {changed} among them")
        if _programs:
            outside.forget(_programs.modules, _folder)
        _programs, _folder = None, Path(worker.local_directory, f"rmapmodel-{programs.digest}")
        for name, contents in programs.files.items():
            path = _folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
        outside.import_from(_folder, programs.modules)
        _programs = programs


def execute(task, path, max_memory, programs):
    """In a worker: the row of a task, or the exception that says why there is none."""
    try:
        bring(programs)
        return task.run(path, max_memory)
    except (InputError, CheckFailed) as error:
        return error
    except Exception:
        return RuntimeError(traceback.format_exc())


def run(grid, out, scheduler=None, watched=None, note=print):
    """Runs the tasks of a grid that the dataset in the folder `out` lacks, and adds their results.

    Returns how many results were there before, and [(task, exception)] of the tasks that failed. `scheduler` is the
    address of a Dask cluster; `watched` wraps an iterator and its length (tqdm); `note` is told what keeps it waiting.
    Raises InputError, before any work, for an address where no scheduler answers, for workers with other sources, and for
    what Dataset refuses; and when a result cannot be written or the scheduler is lost.
    """
    ours = our_programs()
    digest = ours.digest
    tasks = {task.key(digest): task for task in grid.tasks}
    with _silent_logs(), ExitStack() as stack:
        client = stack.enter_context(_connected(scheduler)) if scheduler is not None else None
        strategies = {key: task.strategy for key, task in tasks.items()}
        dataset = stack.enter_context(Dataset(out, strategies, grid.columns(), ours.hashes))
        before = len(dataset.done)
        waiting = [key for key in tasks if key not in dataset.done]
        if not waiting:
            return before, []
        client = client or stack.enter_context(_local(min(CPU_COUNT, len(waiting))))
        if scheduler and not client.scheduler_info()["workers"]:
            note(f"{scheduler} has no workers yet; waiting for them")
        _prepare(client, ours)
        # the designs are a task too, whose result dask takes to the workers that need it, and makes again where it is lost
        taken = client.submit(lambda: ours, key=f"rmapmodel-programs-{digest}")

        def submit(key):
            task = tasks[key]
            path = task.trace and str(grid.traces[task.trace])
            return client.submit(execute, task, path, grid.max_memory, taken, key=f"rmapmodel-{key}")

        failed = {}
        outcomes = _outcomes(client, submit, waiting)
        for key, outcome in watched(outcomes, len(waiting)) if watched else outcomes:
            if isinstance(outcome, dict):
                dataset.add(key, outcome)
            else:
                failed[key] = outcome
        return before, [(tasks[key], failed[key]) for key in waiting if key in failed]


def _outcomes(client, submit, keys):
    """Yields (key, what execute returned or dask raised) as tasks end."""
    waiting = iter(keys)
    running = as_completed([submit(key) for key in islice(waiting, IN_FLIGHT)], client.loop, with_results=True,
                           raise_errors=False)
    for future, outcome in running:
        future.release()  # what is here is not made again when the worker that made it dies
        if isinstance(outcome, tuple):  # of an exception, as sys.exc_info() gives it
            outcome = outcome[1]
        if isinstance(outcome, KilledWorker):
            outcome = CheckFailed("the workers that ran it died, perhaps for want of memory")
        if isinstance(outcome, (CancelledError, NoWorkerError)):
            lost = "workers" if isinstance(outcome, NoWorkerError) else "scheduler"
            raise InputError(f"the {lost} of the Dask cluster ended; the same command goes on with what is not done")
        for key in islice(waiting, 1):
            running.add(submit(key))
        yield future.key.removeprefix("rmapmodel-"), outcome


class _Client(Client):
    def __del__(self):
        """Nothing: one that could not connect would wait for itself, and all others are closed where they were made."""


@contextmanager
def _connected(address):
    if not (parts := re.fullmatch(r"(tcp|tls)://(?:\[([^]]+)\]|([^:/]+)):(\d{1,5})", address)):
        raise InputError(f"{address!r} is not an address like tcp://host:8786", field="--scheduler")
    try:
        # a connection of our own first: dask repeats one that is refused, and waits without end for one that is silent
        with socket.create_connection((parts[2] or parts[3], int(parts[4])), TIMEOUT) as greeted:
            if parts[1] == "tcp":
                greeted.recv(1)
        client = _Client(address, timeout=TIMEOUT, set_as_default=False)
    except Exception as error:  # dask raises whatever what answered makes it raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"no Dask scheduler answers at {address}: {reason}", field="--scheduler") from None
    with client:
        yield client


@contextmanager
def _local(workers):
    with (dask.config.set({"distributed.scheduler.no-workers-timeout": f"{WITHOUT} s",
                           "distributed.scheduler.allowed-failures": 1}),
          _loop_deaf_to_interrupts() as loop,
          LocalCluster(n_workers=0, threads_per_worker=1, host=HERE, dashboard_address=f"{HERE}:0", loop=loop,
                       scheduler_kwargs={"dashboard": False}, silence_logs=logging.CRITICAL) as cluster,
          _Client(cluster, set_as_default=False) as client):
        cluster.scale(workers)  # dask can neither restart nor close a worker that is being started, so wait before both
        try:
            with suppress(TimeoutError):
                client.wait_for_workers(workers, WITHOUT)
            yield client
        finally:
            with suppress(TimeoutError):
                client.wait_for_workers(workers, TIMEOUT)


@contextmanager
def _loop_deaf_to_interrupts():
    """An event loop in a thread that blocks SIGINT; so do the processes it starts, and Ctrl-C is for this one alone."""
    resource_tracker.ensure_running()  # when it starts its process it unblocks SIGINT
    runner = LoopRunner()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        runner.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield runner.loop
    finally:
        runner.stop()


def _prepare(client, programs):
    """Brings the programs to the workers that are there, so that what is wrong is known before any work."""
    try:
        client.run_on_scheduler(sources.package)  # it takes tasks apart, so it must be able to import them
        answers = client.run(bring, programs, on_error="return")
    except Exception as error:
        raise InputError(f"the Dask scheduler cannot import this package: {error}") from None
    for worker, error in answers.items():
        if isinstance(error, InputError):
            raise error
        if isinstance(error, Exception) and not isinstance(error, OSError):  # that is of a worker which has just gone
            raise InputError(f"the worker {worker} cannot be made ready: {type(error).__name__}: {error}")


@contextmanager
def _silent_logs():
    """Without what Dask logs of workers that come and go: what matters to a sweep is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
