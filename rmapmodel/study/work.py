"""Work: what the events of a trace make a design do to its own structures, counted hook by hook."""

import functools

import numpy as np
import pandas as pd

from ..strategies.chains import Chains
from .replay import Options, applied, machine_for

FRAMES = {"mapped_new": (1,), "duplicated": (2,), "copied_on_write": (1, 2), "reused": (1,), "moved": (1,), "unmapped": (1,),
          "swapped_in": (1,), "file_mapped": (1,), "file_unmapped": (1,), "file_moved": (1,)}
"""The hooks that concern pages, and which of their arguments are arrays of frames."""

HOOKS = ("mm_made", "mm_forked", "mm_gone", "linked", "forked", "copied", "moves", "split", "adopted", "adjusted",
         "dropped", "made_nonlinear", "unlinked", "prepared", *FRAMES, "referenced")
"""The hooks by which a machine tells a design what happened (strategies/base.py)."""

COLUMNS = ("calls", "made", "freed", "holds", "file_holds", "pages", "copied", "refused")
"""What is counted for each hook, in this order."""

MERGES = ("compatible", "ends_compatible")
"""What a machine asks a design before it merges areas that are alike."""


def work(trace, strategy, options=None, by=None, after=None):
    """What a design does while a trace runs: one row for each kind of event and hook, with the columns `COLUMNS`.

    The columns `event` and `hook` say which; `by(line, event)` names the kind of an event, which is else its op. `calls`
    counts calls of the hook; `made` and `freed` objects, vmas aside; `holds` of locks of the design's own structures,
    `file_holds` of those of files' sets of vmas; `pages` whose object, index, pointer or chain changed, each once a call; of
    the two questions before a merge `calls` counts those asked and `refused` those denied; the row `copy_early` has the
    pages `copied` before anyone wrote to them. Hooks that another hook calls count as that one. `after(machine)` is called
    after every event. Errors: InputError as replay(). Cost: that of a replay, about a third more.
    """
    by = by or op_of
    machine = machine_for(trace.header, strategy, options or Options())
    book = Book(machine)

    def noted():
        for line, event in trace:
            book.kind = by(line, event)
            yield line, event

    for _ in applied(machine, trace, noted()):
        if after is not None:
            after(machine)
    return book.table()


def op_of(line, event):
    """The op of an event, as a trace spells it."""
    return type(event).__struct_config__.tag


class Book:
    """Notes what a machine's design does from now on, under the `kind` that is set; for a whole trace call work()."""

    def __init__(self, machine):
        self.machine, self.strategy, self.kind, self.current, self.rows = machine, machine.strategy, None, None, {}
        for name in (*HOOKS, *MERGES):
            self._wrap(self.strategy, name, self._asked if name in MERGES else self._told)
        for name, note in (("alloc", self._alloc), ("free", self._free), ("lock", self._lock), ("copied", self._copied)):
            self._wrap(machine.ledger, name, note)
        for chains in (each for each in vars(self.strategy).values() if isinstance(each, Chains)):
            for name in ("add", "remove", "clear"):
                self._wrap(chains, name, functools.partial(self._chained, chains))

    def table(self):
        """What was noted, as the DataFrame of work()."""
        rows = [(*key, *counts.values()) for key, counts in self.rows.items()]
        return pd.DataFrame(rows, columns=["event", "hook", *COLUMNS])

    def totals(self):
        """The sum of each of `COLUMNS` over everything that was noted, as a dict."""
        return {column: sum(counts[column] for counts in self.rows.values()) for column in COLUMNS}

    def _wrap(self, owner, name, note):
        setattr(owner, name, functools.partial(note, name, getattr(owner, name)))

    def _row(self, hook):
        return self.rows.setdefault((self.kind, hook), dict.fromkeys(COLUMNS, 0))

    def _told(self, name, hook, *args):
        if self.current is not None:
            return hook(*args)
        self.current, self.touched = self._row(name), []
        self.current["calls"] += 1
        frames = _frames(name, args)
        before = self._held(frames)
        try:
            hook(*args)
        finally:
            changed = frames[(before != self._held(frames)).any(axis=0)]
            if len(changed) or self.touched:
                self.current["pages"] += len(np.unique(np.concatenate([changed, *self.touched])))
            self.current = None

    def _held(self, frames):
        """What each frame holds for the reverse map: object, index, and the design's own entry for it."""
        own = [each for each in vars(self.strategy).values() if isinstance(each, np.ndarray)]
        return np.stack([_at(each, frames) for each in (self.machine.frames.anchor, self.machine.frames.index, *own)])

    def _asked(self, name, question, *args):
        row = self._row(name)
        row["calls"] += 1
        answer = question(*args)
        row["refused"] += not answer
        return answer

    def _chained(self, chains, name, change, frames, *args):
        self.touched.append(frames[chains.head(frames) != 0] if name == "clear" else frames)
        return change(frames, *args)

    def _alloc(self, name, alloc, kind, count=1):
        self._objects("made", kind, count)
        alloc(kind, count)

    def _free(self, name, free, kind, count=1):
        self._objects("freed", kind, count)
        free(kind, count)

    def _objects(self, column, kind, count):
        if self.current is not None and kind != "vm_area_struct":
            self.current[column] += count

    def _lock(self, name, lock, lock_name, mode, instance=None, nodes=1, count=1):
        if self.current is not None and instance is not None:
            self.current["file_holds" if lock_name == "i_mmap" else "holds"] += count
        lock(lock_name, mode, instance, nodes, count)

    def _copied(self, name, copied, count):
        row = self._row("copy_early")
        row["calls"] += 1
        row["copied"] += count
        copied(count)


def _frames(name, args):
    if name == "referenced":
        return args[0].frames
    return np.concatenate([args[at] for at in FRAMES[name]]) if name in FRAMES else np.zeros(0, np.int32)


def _at(array, frames):
    out = np.zeros(len(frames), np.int64)
    there = frames < len(array)
    out[there] = array[frames[there]]
    return out
