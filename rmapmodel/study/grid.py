"""The grid of a sweep: a YAML file that says what is to be replayed, and the tasks that it comes to (docs/sweeps.md)."""

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from ..cost.ledger import COUNTERS
from ..cost.sizes import FIELD
from ..documents import read_lines, shortened
from ..errors import InputError, hint
from ..events import Header
from ..files import sha256
from ..index import make_index
from ..strategies import STRATEGIES, strategy
from ..trace import read as read_trace
from ..trace.workloads import Synthetic, named
from ..vm.kernel import Kernel
from .compare import row_of
from .replay import Options, check_reclaim, kernel_for, machine_for, replay, settled
from .sweeps import repeated_keys

LIMIT = 100_000
"""The most tasks of a sweep."""

SEED = "seed"
"""The parameter that the key `seeds` of a grid gives to the workloads that have it."""


@dataclass(frozen=True)
class Task:
    """One replay of a sweep: of a workload with these parameters, or of a trace with these contents.

    `trace` is the path as the grid gives it, `sha256` that of the file; `index`, `kernel` and `arch` None take what the
    design and the trace bring.
    """

    workload: str | None
    parameters: dict
    trace: str | None
    sha256: str | None
    strategy: str
    index: str | None
    kernel: str | None
    arch: str | None
    reclaim: str

    def key(self, sources):
        """The name of the task's result: SHA-256 of all that it depends on, `sources` being the digest of the programs."""
        text = json.dumps({"sources": sources, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def __str__(self):
        what = self.trace or " ".join([self.workload, *(f"{name}={value}" for name, value in self.parameters.items())])
        where = [self.strategy, self.index and f"index {self.index}", self.kernel and f"kernel {self.kernel}", self.arch]
        return ", ".join([what, *filter(None, where)])

    def run(self, path, max_memory):
        """The row of this task, its trace being at `path`: everything `columns` names but the task's key.

        Raises InputError for a trace that cannot be replayed or has changed, CheckFailed for a design that is wrong.
        """
        if self.trace is None:
            trace = Synthetic(self.workload, **self.parameters)
        elif sha256(path) == self.sha256:
            trace = read_trace(path)
        else:
            raise InputError("is not the file it was when the sweep began", path=path)
        options = settled(trace, Options(self.index, self.arch, self.kernel, max_memory, self.reclaim))
        run = replay(trace, self.strategy, options)
        row = row_of(run.result())
        return {**row.pop("objects"), **row, "workload": self.workload, "trace": self.trace, "arch": run.machine.arch,
                "reclaim": options.reclaim, **{PARAMETER + name: value for name, value in self.parameters.items()},
                "events": run.events, "peak_mappings": run.machine.peak_mappings,
                "repeated_keys": repeated_keys(run.machine), "pages_copied_early": run.machine.ledger.copies}


PARAMETER = "param_"
"""What the columns of parameters begin with: some are called what a measurement is called, such as `pages`."""


@dataclass(frozen=True)
class Grid:
    """What a grid file comes to: its tasks in order, the path of each trace, the kernels named, the bytes a task may take."""

    path: Path
    tasks: list
    traces: dict
    kernels: list
    max_memory: int

    def columns(self):
        """{name: type} of the rows of all tasks, in order; `strategy` is not among them, it names a folder.

        A grid that gets more values, traces or designs keeps its columns.
        """
        columns = {"task": str, "workload": str, "trace": str}
        for task in self.tasks:
            for name, value in task.parameters.items():
                kind = columns.setdefault(PARAMETER + name, type(value))
                columns[PARAMETER + name] = kind if kind is type(value) else float
        structures = [kind for design in STRATEGIES.values() for kind in design.objects]
        return (columns | dict.fromkeys(("index", "kernel", "arch", "reclaim"), str)
                | dict.fromkeys((*MEASURED, *structures), int))


MEASURED = ("events", "refused", "peak_mappings", "vmas", "final_vmas", "bytes", "design_bytes", *COUNTERS,
            "repeated_keys", "pages_copied_early")
"""The numbers of a row; after them come the structures of all designs, each at its peak."""


def read(path, max_memory=4 << 30):
    """The Grid in a YAML file, of which every part was checked; no task has run.

    Raises InputError with file, line and field for what is not as docs/sweeps.md says, and for more than `LIMIT` tasks.
    Cost: every trace is read once for its hash, the first event of every workload is made.
    """
    return _Reader(path).grid(max_memory)


def _arch(name):
    if name not in FIELD:
        raise InputError(f"unknown arch {shortened(name)}{hint(name, FIELD)} (there are {', '.join(FIELD)})")


class _Reader:
    """Reads a grid; where each thing stands is a tuple of keys, as read_lines tells lines by."""

    AXES = {"strategies": strategy, "indexes": make_index, "kernels": Kernel.parse, "archs": _arch, "reclaim": check_reclaim}
    KEYS = ("workloads", "traces", *AXES, "seeds")

    def __init__(self, path):
        self.path = Path(path)
        self.content, self.lines = read_lines(self.path, "the keys " + ", ".join(self.KEYS))
        self.kernels = []

    def refuse(self, reason, *where):
        """Raises the InputError of this file, with the line of the place or of what it is in."""
        line = next((self.lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in self.lines), None)
        names = [str(key)[:60] for key in where if not isinstance(key, int)]
        raise InputError(reason[:1000], path=self.path, line=line, field=".".join(names) or None)

    def checked(self, call, *where):
        """What a call returns; the InputError it raises is one of this file."""
        try:
            return call()
        except InputError as error:
            self.refuse(f"{error.path}: {error.reason}" if where[0] == "traces" else error.reason, *where)

    def grid(self, max_memory):
        for key in self.content:
            if key not in self.KEYS:
                self.refuse(f"a grid has no such key{hint(key, self.KEYS)} (there are {', '.join(self.KEYS)})", key)
        axes = [self.axis(key, check) for key, check in self.AXES.items()]
        axes[0] = axes[0] if "strategies" in self.content else list(STRATEGIES)
        workloads, traces = self.workloads(), self.traces()
        if not workloads and not traces:
            self.refuse("names no workload and no trace")
        designs = math.prod(map(len, axes))
        points = sum(math.prod(map(len, grid.values())) for grid in workloads.values()) + len(traces)
        if designs * points > LIMIT:
            self.refuse(f"comes to {designs * points:,} tasks, of {LIMIT:,} at most; divide it")
        for name, index, kernel, arch, _ in itertools.product(*axes):
            self.checked(lambda: machine_for(Header(version=1), name, Options(index, arch, kernel, max_memory)), "strategies")
        made = [Task(workload, parameters, trace, digest, name, index, kernel, arch,
                     reclaim or ("default" if trace else "none"))
                for workload, parameters, trace, digest in [*self.points(workloads), *traces]
                for name, index, kernel, arch, reclaim in itertools.product(*axes)]
        kernels = dict.fromkeys(self.kernels if axes[2] == [None] else axes[2])
        return Grid(self.path, made, {text: self.beside(text) for _, _, text, _ in traces}, list(kernels), max_memory)

    def mapping(self, value, wanted, *where):
        """The value, which must be a mapping of names."""
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            self.refuse(wanted, *where)
        return value

    def listed(self, value, *where):
        """Yields (place, value) of a list or a single value, which must differ from each other."""
        values = value if isinstance(value, list) else [value]
        if not values:
            self.refuse("the list is empty", *where)
        for place, item in enumerate(values):
            at = (*where, place) if isinstance(value, list) else where
            if isinstance(item, (dict, list)) or item is None:
                self.refuse("a value or a list of values is wanted", *at)
            yield at, item

    def distinct(self, pairs):
        """The values of (place, value) pairs, of which no two may be equal."""
        values = {}
        for at, value in pairs:
            if value in values:
                self.refuse(f"{shortened(value)} is given twice", *at)
            values[value] = None
        return list(values)

    def texts(self, key):
        """Yields (place, text) of what a key holds."""
        for at, text in self.listed(self.content[key], key):
            if not isinstance(text, str):
                self.refuse(f"{shortened(text)} is a {type(text).__name__} to YAML; put quotes around it", *at)
            if not text.isprintable():
                self.refuse(f"{shortened(text)} has characters that cannot be printed", *at)
            yield at, text

    def axis(self, key, check):
        """The values under a key, [None] without it."""
        if key not in self.content:
            return [None]
        values = self.distinct(self.texts(key))
        for at, text in self.texts(key):
            self.checked(lambda: check(text), *at)
        return values

    def workloads(self):
        """{workload: {parameter: values}}, every value checked."""
        given = self.mapping(self.content.get("workloads", {}), "a mapping of workloads to their parameters is wanted", "workloads")
        result = {name: self.parameters(name, parameters) for name, parameters in given.items()}
        if "seeds" in self.content:
            seeded = [name for name in result if SEED in named(name).parameters]
            if not seeded:
                self.refuse(f"no workload of this grid has a parameter {SEED}", "seeds")
            for name in seeded:
                if SEED in result[name]:
                    self.refuse("is given here and by seeds", "workloads", name, SEED)
                result[name][SEED] = self.values(name, SEED, self.content["seeds"], "seeds")
        return result

    def parameters(self, name, given):
        """{parameter: values} of a workload."""
        self.checked(lambda: named(name), "workloads", name)
        given = self.mapping({} if given is None else given, "a mapping of parameters to values or to lists of them is wanted",
                             "workloads", name)
        return {key: self.values(name, key, value, "workloads", name, key) for key, value in given.items()}

    def values(self, name, key, value, *where):
        """The values that a parameter of a workload is given, of its own type."""
        return self.distinct((at, self.checked(lambda: named(name).check({key: item})[key], *at))
                             for at, item in self.listed(value, *where))

    def points(self, workloads):
        """Yields (workload, all its parameters, None, None) for each point of the product, if it can be made."""
        for name, grid in workloads.items():
            for values in itertools.product(*grid.values()):
                point = dict(zip(grid, values))
                try:
                    Synthetic(name, **point)
                except InputError as error:
                    self.refuse(f"{error.reason}, with {' '.join(f'{key}={point[key]}' for key in point)}",
                                "workloads", name, error.field)
                yield name, named(name).check(point), None, None

    def traces(self):
        """[(None, {}, path as given, SHA-256)] of the trace files."""
        if "traces" not in self.content:
            return []
        given = list(self.texts("traces"))
        self.distinct(given)
        self.kernels = [self.checked(lambda: kernel_for(read_trace(self.beside(text)).header, Options()).text, *at)
                        for at, text in given]
        return [(None, {}, text, sha256(self.beside(text))) for _, text in given]

    def beside(self, text):
        """The path that a grid means: from the folder that the grid is in."""
        return Path(self.path.absolute().parent, text)
