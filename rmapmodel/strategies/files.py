"""How file pages are found: through the file's own set of vmas (i_mmap), shared by all designs that do it alike."""

import numpy as np

from ..index.base import Search
from ..vm.frames import FIRST
from ..vm.vma import NONLINEAR, PAGE, SHARED
from .search import search

CLUSTER = 32
"""Pages of a nonlinear vma that are swept at a time (CLUSTER_SIZE, mm/rmap.c@2.6.11)."""


class FilePages:
    """The vmas of each file in an index of the strategy's kind, keyed by page of the file.

    With `list` there are two, i_mmap of private and i_mmap_shared of shared mappings, searched in this order
    (mm/rmap.c:page_referenced_file@2.6.6-bk). Nonlinear vmas stand on a list of their own, swept when all else failed
    (mm/rmap.c:try_to_unmap_file@2.6.11), unless the design has another way (`sweeps` false).
    """

    def __init__(self, strategy, sweeps=True):
        self.strategy, self.sweeps = strategy, sweeps
        # i_shared_sem, i_mmap_lock, i_mmap_mutex; from 3.19 i_mmap_rwsem (c8c06efa8b55), read by walks (3dec0ba0be6a)
        self.modes = ("write", "read") if strategy.kernel.since(3, 19) else ("exclusive", "exclusive")

    def _tree(self, vma):
        file = vma.file
        if file.index is None:
            kind = self.strategy.file_index
            file.index = tuple(self.strategy.make_index(kind) for _ in range(2 if kind == "list" else 1))
            file.nonlinear = self.strategy.make_index("list")
        if vma.flags & NONLINEAR and self.sweeps:
            return file.nonlinear
        return file.index[-1] if vma.flags & SHARED else file.index[0]

    def link(self, vma, parent_vma=None):
        """Puts a vma into its file's set: beside its original at fork, else behind its equals."""
        if vma.file is not None:
            self._insert(vma, parent_vma)
            self._lock(vma, 1)

    def split(self, new, vma):
        """Puts `new` into its file's set and follows the change of `vma`, in one hold (mm/mmap.c:vma_adjust@2.6.11)."""
        if vma.file is not None:
            self._insert(new)
            self._follow(vma)
            self._lock(vma, 2)

    def _lock(self, vma, nodes):
        if self.strategy.walks_files:
            self.strategy.ledger.lock("i_mmap", self.modes[0], vma.file.number, nodes)

    def _insert(self, vma, parent_vma=None):
        tree, start, last = self._tree(vma), vma.pgoff, vma.pgoff + vma.pages - 1
        # dup_mmap puts a nonlinear copy at the tail from 3.7, with the interval tree (vma_nonlinear_insert)
        if parent_vma is None or tree is vma.file.nonlinear and self.strategy.file_index == "interval_tree":
            node = tree.insert(vma, start, last)
        elif self.strategy.file_index == "list":
            # kernel/fork.c:dup_mmap, 2.5 to March 2004: list_add_tail beside the parent, that is just before it
            node = tree.insert_before(vma, start, last, parent_vma.file_node[1])
        else:
            node = tree.insert_after(vma, start, last, parent_vma.file_node[1])
        vma.file_node = (tree, node)

    def adjust(self, vma, adjacent=None):
        """Follows a change of a vma's range (or of its boundary to an adjacent vma), or its becoming nonlinear."""
        if vma.file is not None:
            if adjacent is not None:
                self._follow(adjacent)
            self._follow(vma)
            self._lock(vma, 1 if adjacent is None else 2)

    def _follow(self, vma):
        tree, node = vma.file_node
        if self._tree(vma) is not tree:
            tree.remove(node)
            self._insert(vma)
        else:
            tree.move(node, vma.pgoff, vma.pgoff + vma.pages - 1)

    def unlink(self, vma):
        """Takes a vma out of its file's set."""
        if vma.file is not None:
            tree, node = vma.file_node
            tree.remove(node)
            vma.file_node = None
            if not self.strategy.merged_away(vma):
                self._lock(vma, 1)
            elif self.strategy.walks_files:
                self.strategy.ledger.hold_on("i_mmap", self.modes[0], 1)

    def gone(self, file):
        """A file that no vma maps any more is freed."""
        self.strategy.ledger.lock_gone("i_mmap", file.number)

    def walk(self, walk, at, log):
        """Finds the mappings of page cache frames; cost as search()."""
        strategy = self.strategy
        space, vma_lines = strategy.ledger.lines("address_space"), strategy.ledger.lines("vm_area_struct")
        for number, places in strategy.groups(walk.frames[at]):
            places = at[places]
            file = strategy.machine.file_numbers[number]
            if log is not None:
                log.append({"visits": "address_space", "file": file.name,
                            "index": int(strategy.frames.index[walk.frames[places[0]]])})
            tree = file.index[0] if len(file.index) == 1 else InTurn(file.index)
            _, nodes, found = search(strategy, walk, places, tree, _of_file, log)
            walk.lines[places] += space + nodes * vma_lines
            unfinished = places[found < walk.mapcount[places]]
            if len(unfinished) and len(file.nonlinear):
                self._sweep_nonlinear(walk, unfinished, file, log)
            walk.lock(places, "i_mmap", self.modes[1], number, walk.nodes[places])

    def _sweep_nonlinear(self, walk, places, file, log):
        # mm/rmap.c:try_to_unmap_file@2.6.11: the first cluster of every vma, then the second of every vma ...; the kernel
        # unmaps whatever it meets there until it has removed as many ptes as the page has, and page_referenced finds none
        frames = walk.frames[places]
        sweep, present, hits = self._clusters(file, frames)
        passed = np.concatenate([[0], np.cumsum(present)])
        last = np.zeros(len(places), np.int64)
        for rank, which, number, pages in hits:
            walk.found(frames[which], number, pages)
            np.maximum.at(last, which, rank + 1)
        walk.examined[places] += last
        walk.candidates[places] += len(sweep)
        walk.nodes[places] += last
        walk.ptes[places] += passed[last]
        walk.pt_locks[places] += last
        walk.lines[places] += last * self.strategy.ledger.lines("vm_area_struct")
        if log is not None:
            for rank, (cluster, vma) in enumerate(sweep[:int(last[0])]):
                start = vma.start + cluster * CLUSTER
                log.append({"visits": "nonlinear vm_area_struct", "mm": vma.mm.number, "pids": sorted(vma.mm.users),
                            "start": start * PAGE, "end": min(start + CLUSTER, vma.end) * PAGE,
                            "outcome": "maps it" if any(hit[0] == rank for hit in hits) else "does not map it"})

    def _clusters(self, file, frames):
        """The (cluster, vma) pairs in the order swept, the present ptes of each, and (rank, positions, mm, pages) found."""
        vmas = [vma for vma in file.nonlinear if vma.mm.rss]
        sweep = sorted(((cluster, order) for order, vma in enumerate(vmas) for cluster in range(-(-vma.pages // CLUSTER))))
        by_frame, present, hits = np.argsort(frames), [], []
        for rank, (cluster, order) in enumerate(sweep):
            vma, count = vmas[order], 0
            start = vma.start + cluster * CLUSTER
            for page, entries in vma.mm.table.spans(start, min(start + CLUSTER, vma.end)):
                at = np.flatnonzero(entries >= FIRST)
                count += len(at)
                place = np.minimum(np.searchsorted(frames[by_frame], entries[at]), len(frames) - 1)
                hit = frames[by_frame][place] == entries[at]
                if hit.any():
                    hits.append((rank, by_frame[place[hit]], vma.mm.number, page + at[hit]))
            present.append(count)
        return [(cluster, vmas[order]) for cluster, order in sweep], present, hits


class InTurn:
    """Lists searched one after another as if they were one."""

    ordered = False

    def __init__(self, trees):
        self.trees = trees

    def __len__(self):
        return sum(len(tree) for tree in self.trees)

    def __iter__(self):
        for tree in self.trees:
            yield from tree

    def search(self, points):
        """A search of each list in turn, positions counted through."""
        return SearchInTurn(self, points)

    def nodes_of(self, examined):
        """One node for each entry examined."""
        return examined


class SearchInTurn(Search):
    """A search of lists one after another."""

    def __iter__(self):
        before = 0
        for tree in self.index.trees:
            for position, entry, low, high in tree.search(self.points):
                yield before + position, entry, low, high
            before += len(tree)


def _of_file(vma):
    return vma, vma.pgoff
