"""Merging: each time a kernel tries to make one vma of two, who refused and why; and how many vmas there could be.

A try is a range that is new, moved, changed or growing, and a neighbour that it touches. The kernel itself refuses
where flags or files differ, the design where its offsets or its objects do.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import pandas as pd

from ..strategies import STRATEGIES
from ..trace.histories import HISTORIES, history
from ..vm.frames import ANON
from ..vm.machine import Machine
from ..vm.merge import Merger
from ..vm.vma import SPECIAL
from .replay import Options, applied, kernel_for, machine_for

JOINED = "joined"
BY_KERNEL = ("flags", "file")
BY_DESIGN = ("offset", "two objects", "untouched neighbour", "forked")
"""Why a try is refused, in the order of the tests: by any kernel, or for the sake of the reverse map.

`flags`: protection or another flag differs, or one of them never merges. `file`: another file or another place of it,
or a kernel that merges no files. `offset`: the anonymous offsets do not continue each other. `two objects`: both have
an object, and not the same. `untouched neighbour`: one has none and is refused all the same. `forked`: one has none,
and the other one's is a fork's.
"""


@dataclass
class Merging:
    """What became of all tries of a replay.

    `tries` counts them by (kind, reason): kind is new (mmap, brk), moved, changed (mprotect, mlock, madvise) or grown
    (mremap in place), reason one of the above or `joined`. `splits` of vmas; `shared`, how many of the tries refused
    for the reverse map's sake were of memory with a page that another process maps too; `peak_vmas` of all processes
    together; `machine` as it ended.
    """

    machine: Machine
    tries: Counter = field(default_factory=Counter)
    splits: int = 0
    shared: int = 0
    peak_vmas: int = 0

    def count(self, *reasons):
        """How many tries ended so.

        >>> Merging(None, Counter({("new", "joined"): 3, ("moved", "offset"): 2})).count(*BY_DESIGN)
        2
        """
        return sum(count for (_, reason), count in self.tries.items() if reason in reasons)


class Watcher(Merger):
    """A Merger that notes each try in a Merging and decides nothing."""

    def __init__(self, machine, noted):
        super().__init__(machine)
        self.noted, self.tried = noted, None
        machine.strategy.ends_compatible = partial(self._ends, machine.strategy.ends_compatible)

    def _ends(self, compatible, prev, next):
        """A range that fits both its neighbours joins only one of them where those do not fit each other."""
        if compatible(prev, next):
            return True
        kind, area, vma = self.tried
        self.noted.tries[kind, JOINED] -= 1
        self._note(kind, "two objects", prev, next)
        return False

    def _joins_below(self, area, prev):
        return self._tried(area, prev, super()._joins_below(area, prev))

    def _joins_above(self, area, next):
        return self._tried(area, next, super()._joins_above(area, next))

    def _tried(self, area, vma, joins):
        if vma is not None and vma is not area.grown and (vma.end == area.start or vma.start == area.end):
            kind = "changed" if area.middle else "moved" if area.copied else "grown" if area.grown else "new"
            self.tried = kind, area, vma
            self._note(kind, JOINED if joins else self._reason(area, vma), area.origin, vma)
        return joins

    def _reason(self, area, vma):
        if area.flags != vma.flags or area.flags & SPECIAL:
            return "flags"
        lower, upper = (vma, area) if vma.end == area.start else (area, vma)
        if not self._alike(area, vma) or area.file is not None and lower.pgoff + lower.pages != upper.pgoff:
            return "file"
        if not self.strategy.offsets_meet(area, vma):
            return "offset"
        mine = area.origin.anon if area.origin else None
        if mine is not None and vma.anon is not None:
            return "two objects"
        touched = vma if vma.anon is not None else area.origin
        return "forked" if len(touched.links) > 1 else "untouched neighbour"

    def _note(self, kind, reason, *vmas):
        self.noted.tries[kind, reason] += 1
        if reason in BY_DESIGN:
            self.noted.shared += any(map(self._shares_pages, filter(None, vmas)))

    def _shares_pages(self, vma):
        frames = self.machine.frames
        resident = self.machine.resident_of(vma.mm, vma.start, vma.end)
        return bool(((frames.flags[resident] & ANON != 0) & (frames.mapcount[resident] > 1)).any())

    def split(self, vma, at, new_below):
        self.noted.splits += 1
        return super().split(vma, at, new_below)


def merging(trace, strategy, options=None):
    """Replays a trace under a design, given by name or as a class that need not be registered, and returns the Merging.

    Cost: a replay. Errors: InputError as replay().

    >>> from ..trace.histories import history
    >>> told = merging(history("holes filled, touched", 4), "anon_vma")
    >>> told.count(JOINED), told.count(*BY_DESIGN), told.tries["new", "two objects"], told.peak_vmas, fewest(told.machine)
    (2, 1, 1, 2, 1)
    """
    machine = _machine(trace, strategy, options or Options())
    noted = Merging(machine)
    machine.merger = Watcher(machine, noted)
    for _ in applied(machine, trace):
        machine.ledger.sample(len(machine.mms), machine.frames.alive)
    noted.tries, noted.peak_vmas = +noted.tries, machine.ledger.peak_objects["vm_area_struct"]
    return noted


def left_by_histories(pieces, kernels, strategies=None):
    """What each history of trace.histories leaves, a row for each number of pieces, kernel and design.

    Columns `kernel`, `history`, `pieces`, `strategy`; `vmas` of all processes at the end, how many that is `beyond` the
    fewest possible, and the tries `refused` for the reverse map's sake. Cost: about two milliseconds a row.

    >>> left_by_histories([4], ["7.0"], ["anon_vma"]).set_index("history").beyond["holes filled, touched"]
    np.int64(1)
    """
    rows = []
    for kernel, count, name in product(kernels, pieces, HISTORIES):
        trace = history(name, count)
        for strategy in strategies or STRATEGIES:
            told = merging(trace, strategy, Options(kernel=kernel))
            vmas = told.machine.ledger.alive()["vm_area_struct"]
            rows.append((kernel, name, count, strategy, vmas, vmas - fewest(told.machine), told.count(*BY_DESIGN)))
    return pd.DataFrame(rows, columns=["kernel", "history", "pieces", "strategy", "vmas", "beyond", "refused"])


def _machine(trace, strategy, options):
    if isinstance(strategy, str):
        return machine_for(trace.header, strategy, options)
    kernel, arch = kernel_for(trace.header, options), options.arch or trace.header.arch or "x86_64"
    return Machine(strategy(kernel, options.index, arch), kernel, arch, options.max_memory)


def fewest(machine):
    """How many vmas all processes would have if every two that touch and are alike to any kernel were one.

    Alike are areas with the same flags, of the same file at continuing places. Cost: one pass over the vmas.
    """
    return sum(len(mm.vmas) - sum(map(_alike, mm.vmas, mm.vmas[1:])) for mm in machine.mms.values())


def _alike(lower, upper):
    return (lower.end == upper.start and lower.flags == upper.flags and not lower.flags & SPECIAL
            and lower.file is upper.file and (lower.file is None or lower.pgoff + lower.pages == upper.pgoff))


def reasons(told):
    """A row for each trace and design of a dict {(trace's name, design): Merging}, a column for each way a try ended.

    >>> reasons({("t", "anonmm"): Merging(None, Counter({("new", "joined"): 3}))})["joined"].tolist()
    [3]
    """
    return pd.DataFrame([{"trace": trace, "strategy": design, **{
        reason: each.count(reason) for reason in (JOINED, *BY_KERNEL, *BY_DESIGN)}}
        for (trace, design), each in told.items()])
