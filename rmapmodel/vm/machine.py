"""`Machine`: processes, address spaces, page tables and frames, executing events exactly as Linux would.

It is the truth: it owns the page tables, so it knows which (mm, address) pairs map a frame. It asks the strategy only
what a kernel built that way would ask, and tells it what happened (strategies/base.py).
"""

import numpy as np

from .. import events
from ..errors import InputError, NoMemory
from . import access, processes, reclaim, syscalls
from .budget import Budget
from .frames import FIRST, Frames, Swap
from .kernel import DEFAULT, Kernel
from .merge import Merger
from .pagetable import LEAF
from .vma import PAGE, SHARED, File, Mm, prot_text

TASK_SIZE = {"x86_64": (1 << 47) - 4096, "i386": 3 << 30}
"""Bytes of user addresses (arch/x86/include/asm/page_64_types.h; 3 GiB of the default i386 split)."""

VMA_MEMORY = 700
MM_MEMORY = 2500
"""Estimated bytes this program needs for a vma with what a design links to it, and for an mm."""

FILE_MEMORY, REFUSAL_MEMORY = 1500, 500
"""The same for a file with its indexes (its name comes on top), and for a refused event with what it left undone."""


class Machine:
    """Executes events for one design.

    `strategy` is a Strategy, `kernel` a Kernel, `arch` "x86_64" or "i386", `max_memory` bytes; `contents` keeps what each
    page holds. Errors: InputError with `field` set for an event that Linux would refuse, or that needs more than
    `max_memory`; NoMemory for one that an allocation failed (`Ledger.fail_at`), which leaves what Linux leaves.
    """

    def __init__(self, strategy, kernel=None, arch="x86_64", max_memory=4 << 30, contents=False):
        self.strategy, self.kernel, self.arch = strategy, kernel or Kernel.parse(DEFAULT), arch
        self.budget = Budget(max_memory)
        self.ledger = strategy.ledger
        self.frames, self.swap = Frames(self.budget, contents), Swap(self.budget, contents)
        self.task_pages = TASK_SIZE[arch] // 4096
        self.processes, self.mms, self.files, self.file_numbers = {}, {}, {}, {}
        self.mappings = self.peak_mappings = 0
        self.refused, self.line = [], None
        self.changed = []  # arrays of the page table entries that the last event made, moved or cleared
        self.stacks_left_out = set()  # lines of refused events that would have mapped what grows downwards
        self.reclaimed_mappings = 0
        self._numbers = {"mm": 0, "file": 0}
        self.ledger.budget = self.budget
        strategy.attach(self)
        self.merger = Merger(self)

    def apply(self, event, line=None):
        """Executes one event; `line` is its line in the trace, for the list of refused events."""
        self.line = line
        if self.changed:
            self.changed = []
        HANDLERS[type(event)](self, event)
        if self.mappings > self.peak_mappings:
            self.peak_mappings = self.mappings

    # -- processes and address spaces --------------------------------------------------------------------------------

    def mm_of(self, pid):
        """The mm of a live process; raises InputError for another pid."""
        mm = self.processes.get(pid)
        if mm is None:
            raise InputError(f"process {pid} does not exist", field="pid")
        return mm

    def new_mm(self, parent=None):
        """An empty mm, made by exec or by fork of `parent`; raises NoMemory, and makes none."""
        self.budget.need(MM_MEMORY)
        mm = Mm(self._number("mm"), self.budget)
        self.mms[mm.number] = mm
        try:
            if parent is None:
                self.strategy.mm_made(mm)
            else:
                self.strategy.mm_forked(mm, parent)
        except NoMemory:
            self.drop_mm(mm)
            raise
        return mm

    def drop_mm(self, mm):
        """Forgets an mm that has no vmas left."""
        del self.mms[mm.number]
        self.budget.free(MM_MEMORY)

    def _number(self, kind):
        self._numbers[kind] += 1
        return self._numbers[kind]

    def file(self, name):
        """The file of that name."""
        file = self.files.get(name)
        if file is None:
            file = self.files[name] = self._file(name, None)
        return file

    def shmem(self, pages):
        """A new shared anonymous object of that many pages."""
        return self._file(None, pages)

    def _file(self, name, pages):
        self.budget.need(FILE_MEMORY + len(name or ""))
        file = File(self._number("file"), name, self.budget, pages)
        self.file_numbers[file.number] = file
        return file

    # -- vmas --------------------------------------------------------------------------------------------------------

    def add_vma(self, vma):
        """Counts and inserts a vma that did not merge, before the strategy links it."""
        self.ledger.alloc("vm_area_struct")
        self.budget.need(VMA_MEMORY)
        vma.mm.insert(vma)
        if vma.file is not None:
            vma.file.vmas += 1

    def forget(self, vma):
        """Unlinks a vma that already left its mm, and frees it (and a shared anonymous object with its last vma)."""
        self.strategy.unlinked(vma)
        self._free_vma(vma)

    def take_back(self, vma):
        """Frees a vma that `add_vma` inserted and the strategy had no memory to link."""
        vma.mm.remove(vma)
        self._free_vma(vma)

    def _free_vma(self, vma):
        self.ledger.free("vm_area_struct")
        self.budget.free(VMA_MEMORY)
        if vma.file is not None:
            vma.file.vmas -= 1
            self.put_file(vma.file)

    def put_file(self, file):
        """Frees a shared anonymous object that no vma maps (any more)."""
        if file.shmem and not file.vmas:
            for _, entries in file.cache.spans(0, 1 << 52):
                self.frames.give(entries[entries >= FIRST])
            file.cache.clear()
            if self.file_numbers.pop(file.number, None):
                self.budget.free(FILE_MEMORY)
                self.strategy.files.gone(file)

    # -- the truth ---------------------------------------------------------------------------------------------------

    @property
    def touched(self):
        """Arrays of the frames that the last event mapped, unmapped or moved; with repetitions."""
        return [entries[entries >= FIRST] for entries in self.changed]

    def resident(self, pid=None, start=None, end=None):
        """The frames mapped in a range, in a process, or anywhere, each once, ascending; without the zero page."""
        if pid is not None:
            return self.resident_of(self.mm_of(pid), start, end)
        return self._frames_in(entries for mm in self.mms.values() for entries in mm.table.leaves.values())

    def resident_of(self, mm, start=None, end=None):
        """The frames that an mm maps, in pages [start, end) or anywhere, each once, ascending."""
        if start is None:
            return self._frames_in(mm.table.leaves.values())
        return self._frames_in(entries for _, entries in mm.table.spans(start, end)) if start < end \
            else np.zeros(0, np.int32)

    def _frames_in(self, spans):
        found = np.zeros(self.frames.used, np.bool_)
        for entries in spans:
            found[entries[entries >= FIRST]] = True
        return np.flatnonzero(found).astype(np.int32)

    def truth(self, frames=None):
        """All (frame, mm number, page) triples of the page tables as three arrays, sorted by frame, mm and page.

        `frames` restricts it to those; cost: one pass over every page table.
        """
        leaves = [(mm.number, number * LEAF, leaf) for mm in self.mms.values() for number, leaf in mm.table.leaves.items()]
        if not leaves:
            return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64)
        owner, base, entries = zip(*leaves)
        entries = np.concatenate(entries)
        at = np.flatnonzero(entries >= FIRST)
        frame = entries[at]
        if frames is not None:
            wanted = np.zeros(self.frames.used, np.bool_)
            wanted[frames] = True
            kept = wanted[frame]
            at, frame = at[kept], frame[kept]
        leaf = at // LEAF
        mm, page = np.array(owner, np.int32)[leaf], np.array(base, np.int64)[leaf] + at % LEAF
        order = np.lexsort((page, mm, frame))
        return frame[order], mm[order], page[order]

    def contents(self, mm):
        """What an mm's page table leads to, as arrays: pages, and the line of the event that wrote each last, 0 for none.

        Present pages, swapped ones and the zero page, in address order; of a machine with `contents`.
        """
        pages, held = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for page, entries in mm.table.spans(0, self.task_pages):
            at = np.flatnonzero(entries)
            pages.append(page + at)
            held.append(entries[at])
        held = np.concatenate(held)
        stamps, present, swapped = np.zeros(len(held), np.int32), held >= FIRST, held < 0
        stamps[present] = self.frames.stamp[held[present]]
        stamps[swapped] = self.swap.stamp[-held[swapped]]
        return np.concatenate(pages), stamps

    def runs(self, mm):
        """Runs [first page, pages, mapcount] of resident pages of equal mapcount, in address order."""
        runs = []
        for number in sorted(mm.table.leaves):
            leaf = mm.table.leaves[number]
            at = np.flatnonzero(leaf >= FIRST)
            if not len(at):
                continue
            counts = self.frames.mapcount[leaf[at]]
            cuts = [0, *(np.flatnonzero((np.diff(at) != 1) | (np.diff(counts) != 0)) + 1).tolist(), len(at)]
            for low, high in zip(cuts, cuts[1:]):
                page, count = int(at[low]) + number * 512, int(counts[low])
                if runs and runs[-1][0] + runs[-1][1] == page and runs[-1][2] == count:
                    runs[-1][1] += high - low
                else:
                    runs.append([page, high - low, count])
        return runs

    def areas(self, mm):
        """The mm's vmas as /proc/PID/maps would show them (contract section 4)."""
        out = []
        for vma in mm.vmas:
            file = vma.file
            area = {"start": vma.start * PAGE, "end": vma.end * PAGE, "prot": prot_text(vma.flags),
                    "shared": bool(vma.flags & SHARED), "file": file.name if file else None,
                    "offset": vma.pgoff * PAGE if file else 0}
            if file is not None and file.shmem:
                area["shmem"] = True
            out.append(area)
        return out

    # -- refusals ----------------------------------------------------------------------------------------------------

    def refuse(self, op, reason, because=None):
        """Notes an event, or a part of one, that this design's kernel refuses; `because` is the line it follows from."""
        self.budget.need(REFUSAL_MEMORY)
        self.refused.append({"line": self.line, "op": op, "reason": reason, "because": because})

    def check(self, frames=None):
        """Raises AssertionError unless page tables, mapcounts, the strategy's walk and its objects agree.

        Every resident frame; with `frames` only those, and not the objects. Cost: one pass over the page tables, one walk
        a frame, and without `frames` one pass over the design's structures.
        """
        frame, mm, page = self.truth(frames)
        checked, counts = np.unique(frame, return_counts=True)
        assert (self.frames.mapcount[checked] == counts).all(), "mapcounts differ from the page tables"
        found = self.strategy.walk(checked).mappings()
        for name, truth, walked in zip(("frame", "mm", "page"), (frame, mm, page), found):
            assert len(truth) == len(walked), f"the walk finds {len(walked)} mappings of {len(truth)}"
            assert (truth == walked).all(), f"the walk finds another {name} than the page tables hold"
        if frames is not None:
            return
        assert self.mappings == len(frame), "the count of mappings differs from the page tables"
        numbers, present = np.unique(mm, return_counts=True)
        rss = dict(zip(numbers.tolist(), present.tolist()))
        assert all(each.rss == rss.get(number, 0) for number, each in self.mms.items()), "rss differs from the page table"
        census, counted = self.strategy.census(), self.ledger.alive()
        assert census == counted, f"objects counted {counted}, found in the structures {census}"


HANDLERS = {
    events.Spawn: processes.spawn, events.Fork: processes.fork, events.Vfork: processes.share,
    events.CloneVm: processes.share, events.Exec: processes.exec_, events.Exit: processes.exit_,
    events.Mmap: syscalls.mmap, events.Munmap: syscalls.munmap, events.Mprotect: syscalls.mprotect,
    events.Mremap: syscalls.mremap, events.Brk: syscalls.brk, events.Mlock: syscalls.mlock,
    events.Munlock: syscalls.munlock, events.Madvise: syscalls.madvise, events.Read: access.read,
    events.Write: access.write, events.RemapFilePages: syscalls.remap_file_pages,
    events.Reclaim: reclaim.reclaim, events.Swapout: reclaim.swapout,
}
