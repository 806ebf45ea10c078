"""How file pages are found: through the file's own set of vmas (i_mmap), shared by all designs that do it alike."""

import numpy as np

from ..index.base import Search
from ..vm.frames import FIRST
from ..vm.vma import NONLINEAR, PAGE, SHARED
from .search import search


class FilePages:
    """The vmas of each file in an index of the strategy's kind, keyed by page of the file.

    With `list` there are two, i_mmap of private and i_mmap_shared of shared mappings, searched in this order
    (mm/rmap.c:page_referenced_file@2.6.6-bk). Nonlinear vmas stand on a list of their own, swept when all else failed
    (mm/rmap.c:try_to_unmap_file@2.6.11).
    """

    def __init__(self, strategy):
        self.strategy = strategy

    def _tree(self, vma):
        file = vma.file
        if file.index is None:
            kind = self.strategy.file_index
            file.index = tuple(self.strategy.make_index(kind) for _ in range(2 if kind == "list" else 1))
            file.nonlinear = self.strategy.make_index("list")
        if vma.flags & NONLINEAR:
            return file.nonlinear
        return file.index[-1] if vma.flags & SHARED else file.index[0]

    def link(self, vma, parent_vma=None):
        """Puts a vma into its file's set: beside its original at fork, else behind its equals."""
        if vma.file is None:
            return
        tree, start, last = self._tree(vma), vma.pgoff, vma.pgoff + vma.pages - 1
        if parent_vma is None:
            node = tree.insert(vma, start, last)
        elif self.strategy.file_index == "list":
            # kernel/fork.c:dup_mmap, 2.5 to March 2004: list_add_tail beside the parent, that is just before it
            node = tree.insert_before(vma, start, last, parent_vma.file_node[1])
        else:
            node = tree.insert_after(vma, start, last, parent_vma.file_node[1])
        vma.file_node = (tree, node)

    def adjust(self, vma):
        """Follows a change of a vma's range, or its becoming nonlinear."""
        if vma.file is None:
            return
        tree, node = vma.file_node
        if self._tree(vma) is not tree:
            tree.remove(node)
            self.link(vma)
        else:
            tree.move(node, vma.pgoff, vma.pgoff + vma.pages - 1)

    def unlink(self, vma):
        """Takes a vma out of its file's set."""
        if vma.file is not None:
            tree, node = vma.file_node
            tree.remove(node)
            vma.file_node = None

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

    def _sweep_nonlinear(self, walk, places, file, log):
        # the index does not tell the address: every present pte of every nonlinear vma is looked at
        frames = walk.frames[places]
        order = np.argsort(frames)
        for vma in file.nonlinear:
            walk.examined[places] += 1
            walk.candidates[places] += 1
            if log is not None:
                log.append({"visits": "nonlinear vm_area_struct", "mm": vma.mm.number, "pids": sorted(vma.mm.users),
                            "start": vma.start * PAGE, "end": vma.end * PAGE, "outcome": "swept"})
            for page, entries in vma.mm.table.spans(vma.start, vma.end):
                present = np.flatnonzero(entries >= FIRST)
                walk.ptes[places] += len(present)
                walk.pt_locks[places] += 1
                at = np.searchsorted(frames[order], entries[present])
                hit = at < len(frames)
                hit[hit] = frames[order][at[hit]] == entries[present][hit]
                walk.found(entries[present][hit], vma.mm.number, page + present[hit])


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
