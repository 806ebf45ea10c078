"""`page_table_scan`: no reverse map, Linux 2.4: a page's mappings are found by scanning page tables."""

import numpy as np

from ..cost.ledger import Walk
from ..vm.frames import ZERO
from .base import Strategy, register


@register
class PageTableScanStrategy(Strategy):
    """Linux 2.4's mm/vmscan.c:swap_out: process by process, area by area, pte by pte, until the page's mappings are met.

    A page, an area and an mm carry nothing for it, and nothing is done when pages are mapped, copied, moved or unmapped:
    mremap moves ptes and that is all. Anonymous areas merge whatever their offsets and history. The kernel scans with a
    cursor for any page it can free; here the scan looks for one page from the first process on. [kernel-facts section 1]
    """

    name = "page_table_scan"
    default_index = ("list", "list")
    walks_files = False

    def offsets_meet(self, area, vma):
        return True

    def mms_in_order(self):
        """The mms in the order their processes were made, each once."""
        return list(dict.fromkeys(self.machine.processes.values()))

    def walk(self, frames, log=None):
        """Every present pte is passed, processes in the order they were made, until the last mapping was.

        The kernel takes mmlist_lock to pick an mm and its page_table_lock to scan it. Cost: one pass over all page tables.
        """
        walk = Walk(frames, self.frames.mapcount[frames])
        walk.lines += self.ledger.lines("page")
        passed = areas = 0
        wanted = np.zeros(self.frames.used, np.bool_)
        wanted[frames] = True
        left = walk.mapcount.copy()
        for mm in self.mms_in_order():
            looking = np.flatnonzero(left > 0)
            walk.pt_locks[looking] += 1
            walk.lock(looking, "mmlist_lock", "exclusive", None, np.ones(len(looking), np.int64))
            starts = np.array([vma.start for vma in mm.vmas])
            before, maps = passed, False
            for number in sorted(mm.table.leaves):
                leaf = mm.table.leaves[number]
                at = np.flatnonzero(leaf >= ZERO)
                hit = np.flatnonzero(wanted[leaf[at]])
                found, pages = leaf[at[hit]], number * len(leaf) + at[hit]
                walk.found(found, mm.number, pages)
                places = np.searchsorted(frames, found)
                # the last mapping of a frame decides: later ones overwrite earlier ones
                walk.examined[places] = passed + hit + 1
                walk.nodes[places] = areas + np.searchsorted(starts, pages, "right")
                np.subtract.at(left, places, 1)
                passed += len(at)
                maps |= len(hit) > 0
            areas += len(mm.vmas)
            if log is not None and len(looking):
                log.append({"visits": "page table", "mm": mm.number, "pids": sorted(mm.users), "ptes": passed - before,
                            "outcome": "maps it" if maps else "does not map it"})
        walk.candidates += passed
        walk.ptes += walk.examined
        walk.lines += walk.nodes * self.ledger.lines("vm_area_struct") + walk.pt_locks * self.ledger.lines("mm_struct")
        return walk
