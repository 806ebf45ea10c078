"""Each kind of input that comes from strangers: how to read one, and a good one to begin from.

`try_` runs the code that a command runs on such an input and returns the exit status the command would have; whatever
else happens (a traceback, several lines) is raised. It is what Hypothesis, atheris and the kept corpus all go through.
"""

import contextlib
import gzip
import io
import json
import os
import tempfile
from pathlib import Path

import zstandard

from rmapmodel import cli
from rmapmodel.strategies import STRATEGIES

CORPUS = Path(__file__).parent / "corpus"
LOGS = Path(__file__).parents[1] / "trace" / "logs"
REPORTS = Path(__file__).parents[1] / "report" / "notebooks"
TRACE = b"".join(json.dumps(event).encode() + b"\n" for event in (
    {"op": "header", "version": 1, "page_size": 4096, "arch": "x86_64", "kernel": "6.1", "source": "s", "missing": []},
    {"op": "spawn", "pid": 1}, {"op": "brk", "pid": 1, "addr": "0x8000"}, {"op": "brk", "pid": 1, "addr": 65536},
    {"op": "mmap", "pid": 1, "addr": "0x100000", "len": 16384, "prot": "rw-", "flags": ["private", "anonymous"]},
    {"op": "mmap", "pid": 1, "addr": "0x200000", "len": 8192, "prot": "rwx", "flags": ["shared"], "file": "f", "offset": 4096},
    {"op": "write", "pid": 1, "addr": "0x100000", "len": 8192}, {"op": "read", "pid": 1, "addr": "0x200000", "len": 1},
    {"op": "fork", "pid": 1, "child": 2}, {"op": "mprotect", "pid": 2, "addr": "0x101000", "len": 4096, "prot": "r--"},
    {"op": "mremap", "pid": 2, "addr": "0x100000", "len": 4096, "new_addr": "0x300000", "new_len": 4096, "flags": ["maymove"]},
    {"op": "madvise", "pid": 1, "addr": "0x100000", "len": 4096, "advice": "dontneed"}, {"op": "swapout"},
    {"op": "mlock", "pid": 1, "addr": "0x100000", "len": 4096}, {"op": "munlock", "pid": 1, "addr": "0x100000", "len": 4096},
    {"op": "vfork", "pid": 1, "child": 3}, {"op": "exec", "pid": 3}, {"op": "reclaim", "pid": 1},
    {"op": "munmap", "pid": 1, "addr": "0x101000", "len": 4096}, {"op": "exit", "pid": 2}))
YAML = b"# parameters\n'01-figure': {PAGES: 3, SHARE: 0.25, LABEL: 'x', DEEP: true, SIZES: [1, 2]}\n"
GRID = b"""workloads:
  fork_server: {children: [1, 2], vmas: 3}
  rmap_test_2: {vmas: 2, pages: 2, children: 1}
  mremap_inherited: {moved: [0.5, 1], processes: 2, pages: 4}
strategies: [anon_vma, anonmm]
indexes: [list]
kernels: ["2.6.10", "7.0"]
archs: x86_64
reclaim: [end, every:3]
seeds: [1, 2]
"""

SEEDS = {
    "trace": TRACE, "gz": gzip.compress(TRACE, mtime=0), "zst": zstandard.compress(TRACE),
    "strace": (LOGS / "sh-true.strace").read_bytes(), "perf": (LOGS / "sh-true-2.page-faults.perf").read_bytes()[:8000],
    "yaml": YAML, "grid": GRID, "notebook": (REPORTS / "01-figure.ipynb").read_bytes(),
}
NAMES = {"trace": "t.jsonl", "gz": "t.jsonl.gz", "zst": "t.jsonl.zst", "strace": "log", "perf": "log.perf",
         "yaml": "p.yml", "grid": "g.yaml", "notebook": "09-strange.ipynb"}


def command(kind, path, strategy="anon_vma_chain"):
    """The command line that reads an input of this kind at `path`."""
    if kind == "strace":
        return ["import", "strace", path, "-o", f"{path}.jsonl"]
    if kind == "perf":
        return ["import", "strace", str(LOGS / "sh-true-2.strace"), "--perf", path, "-o", f"{path}.jsonl"]
    if kind == "yaml":
        return ["report", str(REPORTS / "01-figure.ipynb"), "-y", path, "-o", f"{path}.report"]
    if kind == "grid":
        return ["sweep", path, "-o", f"{path}.sweep"]
    if kind == "notebook":
        return ["report", path, "-o", f"{path}.report"]
    return ["replay", path, "--strategy", strategy, "--max-memory", "64M", "--reclaim", "end"]


def try_(kind, data, strategy=None):
    """The exit status of reading `data`; raises AssertionError for an answer that is not one line, or what else is raised.

    Notebooks are read, their parameters given and their page made, not run: what their code does is its own affair. Of
    grids the tasks are made and named.
    """
    strategy = strategy or list(STRATEGIES)[len(data) % len(STRATEGIES)]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = os.path.join(folder, NAMES[kind])
        Path(path).write_bytes(data)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _nothing_runs():
            status = cli.main(command(kind, path, strategy))
        assert status in (0, 1, 2), status
        said = err.getvalue()
        if status:
            assert said.startswith("rmapmodel: ") and said.count("\n") == 1 and len(said) < 2000, said[:500]
        elif kind in ("strace", "perf") and kind in NAMES:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                replayed = cli.main(["replay", f"{path}.jsonl", "--strategy", strategy])
            assert replayed == 0 or "needs more memory" in err.getvalue(), err.getvalue()
        left = sorted(os.listdir(folder))
        assert all(name in (NAMES[kind], f"{NAMES[kind]}.jsonl") for name in left), left
    return status


@contextlib.contextmanager
def _nothing_runs():
    """Replaces the run of a report's notebooks by the reading of them, that of a grid's tasks by their naming."""
    from rmapmodel.report import pages, parameters
    from rmapmodel.report.strip import dumps, strip

    def only_read(names, given, yaml_file, out, jobs):
        paths = parameters.find(names)
        parameters.values(paths, given, yaml_file)
        for path in paths:
            notebook = strip(parameters.load(path))
            dumps(notebook)
            pages.notebook_page(notebook, path.stem, None, path.parent, set())

    import rmapmodel.report as report
    from rmapmodel.study import cluster

    kept, report.run = (report.run, cluster.run), only_read
    cluster.run = lambda grid, *_: (len({task.key("") for task in grid.tasks}), grid.columns() and [])
    try:
        yield
    finally:
        report.run, cluster.run = kept


def corpus():
    """(kind, path) of every input that once was not answered as the contract says."""
    return [(path.parent.name, path) for path in sorted(CORPUS.glob("*/*"))]
