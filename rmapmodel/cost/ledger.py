"""`Ledger`: what a design costs - objects, bytes, visits, locks - counted where they are made."""

import contextlib

import numpy as np

from ..errors import InputError, NoMemory
from .sizes import FIELD, lines_of, size_of

COUNTERS = ("pages", "mappings", "vmas_examined", "vmas_candidates", "index_nodes", "ptes_examined", "locks",
            "pt_locks", "cache_lines")
"""The keys of `reclaim` in a replay (contract section 4)."""


MODES = ("exclusive", "write", "read")
"""How a lock is held: a spinlock, mutex or bit lock; the two modes of an rwsem."""

INSTANCE_MEMORY = 130
"""Estimated bytes this program needs to count the acquisitions of one more instance of a lock."""


class Locking:
    """The acquisitions of a lock in one mode: how many, the longest and the last hold in nodes, how many instances.

    `busiest` is how often the busiest instance was taken; `by_instance` how often each that is not gone.
    """

    __slots__ = ("acquired", "longest_hold", "last_hold", "instances", "busiest", "by_instance")

    def __init__(self):
        self.acquired = self.longest_hold = self.last_hold = self.instances = self.busiest = 0
        self.by_instance = {}


class Ledger:
    """Objects alive by kind, their bytes, their peaks between events, and the sums over all reverse-map walks.

    `kinds` are the structures the design reports besides vm_area_struct; `embeds` the fields it adds to each
    vm_area_struct, mm_struct and page, as {"vma": [...], "mm": [...], "page": [...]} of names in sizes.FIELD; `sizes` the
    fields of structures whose size the design itself gives.
    """

    def __init__(self, kinds, embeds, arch, version, sizes=None):
        self.arch, self.version = arch, version
        self.kinds = ("vm_area_struct", *kinds)
        self.size, self.size_from = {}, {}
        for kind in self.kinds:
            self.size[kind], self.size_from[kind] = size_of(kind, arch, version, (sizes or {}).get(kind))
        self.embedded = {place: sum(FIELD[arch][field] for field in embeds.get(place, ()))
                         for place in ("vma", "mm", "page")}
        self._vma_added = self.embedded["vma"] - self.size["vm_area_struct"]
        self._alive = dict.fromkeys(self.kinds, 0)
        self.bytes = self._made = 0
        self._sampled = 0, 0, 0  # of those made, mms and pages
        self._above_peak = False  # since the last sample, more objects of some kind were alive than the peak says
        self.peak_objects, self.peak_bytes, self.peak_design = dict(self._alive), 0, 0
        self.reclaim = dict.fromkeys(COUNTERS, 0)
        self.locks = {}
        self.walk_lengths = {"early_stop": {}, "full": {}}
        self.copies = 0
        self._until_failure, self.budget = 0, None  # the machine brings its budget

    def fail_at(self, k):
        """Makes the `k`-th allocation from here on fail, once; objects that are made together count one by one."""
        self._until_failure = k

    @property
    def failure_is_due(self):
        """Whether the failure that `fail_at` asked for is still to come."""
        return self._until_failure > 0

    @contextlib.contextmanager
    def unfailing(self):
        """A context of allocations that do not fail: for undoing, which may have to make again what it has freed."""
        until, self._until_failure = self._until_failure, 0
        try:
            yield
        finally:
            self._until_failure = until

    def alloc(self, kind, count=1):
        """Counts `count` new objects of a kind, all or none.

        Raises NoMemory where one was told to fail, InputError for a kind that the design does not declare.
        """
        if kind not in self._alive:
            raise InputError(f"the design makes {kind}, which is not among its objects ({', '.join(self.kinds)})")
        if self._until_failure:
            self._until_failure = max(self._until_failure - count, 0)
            if not self._until_failure:
                raise NoMemory(f"no memory for {kind}")
        alive = self._alive[kind] = self._alive[kind] + count
        if alive > self.peak_objects[kind]:
            self._above_peak = True
        self._made += count
        self.bytes += count * self.size[kind]

    def free(self, kind, count=1):
        """Counts `count` objects of a kind as freed."""
        self._alive[kind] -= count
        self.bytes -= count * self.size[kind]

    def alive(self):
        """Objects alive by kind."""
        return dict(self._alive)

    def design_bytes(self, mms, pages):
        """Bytes the design adds to a kernel without a reverse map, with so many mms and pages in memory."""
        embedded = self.embedded
        return (self.bytes + self._alive["vm_area_struct"] * self._vma_added
                + mms * embedded["mm"] + pages * embedded["page"])

    def sample(self, mms, pages):
        """Notes the state between two events in the peaks, which rise only where something was made."""
        made_then, mms_then, pages_then = self._sampled
        if self._made == made_then and mms <= mms_then and pages <= pages_then:
            return
        self._sampled = self._made, mms, pages
        if self._above_peak:
            self._above_peak = False
            for kind, count in self._alive.items():
                if count > self.peak_objects[kind]:
                    self.peak_objects[kind] = count
        if self.bytes > self.peak_bytes:
            self.peak_bytes = self.bytes
        design = self.design_bytes(mms, pages)
        if design > self.peak_design:
            self.peak_design = design

    def lock(self, name, mode, instance=None, nodes=1, count=1):
        """Counts `count` acquisitions of a lock, each held over at most `nodes` nodes linked, unlinked or visited.

        `mode` is exclusive (spinlock, mutex, bit lock), read or write (rwsem); `instance` the number of the object that
        has the lock, or None where those are pages.
        """
        locking = self.locks.get((name, mode))
        if locking is None:
            locking = self.locks[name, mode] = Locking()
        locking.acquired += count
        locking.last_hold = nodes
        if nodes > locking.longest_hold:
            locking.longest_hold = nodes
        if instance is None:
            return
        taken = locking.by_instance.get(instance)
        if taken is None:
            taken = 0
            locking.instances += 1
            if self.budget is not None:
                self.budget.need(INSTANCE_MEMORY)
        locking.by_instance[instance] = taken = taken + count
        if taken > locking.busiest:
            locking.busiest = taken

    def lock_gone(self, name, instance):
        """Says that the object `instance`, which had this lock, is gone, so that its acquisitions need no memory."""
        for mode in MODES:
            locking = self.locks.get((name, mode))
            if locking is not None and locking.by_instance.pop(instance, None) and self.budget is not None:
                self.budget.free(INSTANCE_MEMORY)

    def hold_on(self, name, mode, nodes):
        """Says that the last acquisition of a lock was held over so many nodes more."""
        locking = self.locks[name, mode]
        locking.last_hold += nodes
        locking.longest_hold = max(locking.longest_hold, locking.last_hold)

    def copied(self, count):
        """Counts pages that a design copied before a write asked for it."""
        self.copies += count

    def walked(self, walk):
        """Adds the walks of one event."""
        for counter, value in walk.totals().items():
            self.reclaim[counter] += value
        for taken in walk.taken:
            self.lock(*taken)
        for kind, lengths in (("early_stop", walk.examined), ("full", walk.candidates)):
            pages_of = self.walk_lengths[kind]
            for length, pages in zip(*(column.tolist() for column in np.unique(lengths, return_counts=True))):
                pages_of[length] = pages_of.get(length, 0) + pages

    def costs(self):
        """Locks by name and mode, pages by the length of their walk, pages copied early (docs/costs.md)."""
        return {
            "locks": [{"lock": name, "mode": mode, "acquired": locking.acquired, "longest_hold": locking.longest_hold,
                       "instances": locking.instances, "busiest": locking.busiest}
                      for (name, mode), locking in sorted(self.locks.items())],
            "walk_lengths": {kind: {str(length): pages for length, pages in sorted(pages_of.items())}
                             for kind, pages_of in self.walk_lengths.items()},
            "pages_copied_early": self.copies}

    def lines(self, structure):
        """Cache lines of a structure that a walk reads."""
        return lines_of(structure, self.arch, self.version)


class Walk:
    """The reverse-map walks over an array of frames: what each cost, and every mapping found.

    Per frame: `examined` what a walk visits that stops once all mappings are found, `candidates` what one visits that
    does not stop, `nodes` index nodes touched, `ptes` page table entries looked at, `locks`, `pt_locks`, `lines` cache
    lines. One entry in each of these arrays belongs to the frame at the same place of `frames`.
    """

    PARTS = ("examined", "candidates", "nodes", "ptes", "locks", "pt_locks", "lines")

    def __init__(self, frames, mapcount):
        self.frames, self.mapcount = frames, mapcount
        for part in self.PARTS:
            setattr(self, part, np.zeros(len(frames), np.int64))
        self._found, self.taken = [], []

    def lock(self, at, name, mode, instance=None, nodes=1):
        """Notes one acquisition of a lock for each of the frames at `at`, held over `nodes` (an array beside `at`)."""
        if len(at):
            self.locks[at] += 1
            self.taken.append((name, mode, instance, int(np.max(nodes)), len(at)))

    def found(self, frames, mm_number, pages):
        """Notes mappings of `frames` at `pages` of one mm (`mm_number` an int or an array)."""
        if np.isscalar(mm_number):
            mm_number = np.full(len(frames), mm_number, np.int32)
        self._found.append((frames, mm_number, pages))

    def found_one(self, frame, mm_number, page):
        """Notes one mapping."""
        self._found.append(((frame,), (mm_number,), (page,)))

    def mappings(self):
        """All mappings found: arrays of frame, mm number and page, sorted by frame, mm and page."""
        if not self._found:
            return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64)
        frame, mm, page = (np.concatenate(column) for column in zip(*self._found))
        order = np.lexsort((page, mm, frame))
        return frame[order].astype(np.int32), mm[order].astype(np.int32), page[order].astype(np.int64)

    def totals(self):
        """The counters of contract section 4, summed over the frames."""
        mappings = sum(len(part[0]) for part in self._found)
        sums = [int(getattr(self, part).sum()) for part in self.PARTS]
        return dict(zip(COUNTERS, (len(self.frames), mappings, *sums)))
