"""`anonmm_remap`: anonmm, with a tree of remap records per family that every walk consults."""

import numpy as np

from .base import register
from .families import AnonMmFamilies
from .pte_chain import first_of_each


class Remap:
    """A record that pages [start, end) were moved to `new` by some mm of the family (struct anon_remap_address)."""

    __slots__ = ("start", "end", "new")

    def __init__(self, start, end, new):
        self.start, self.end, self.new = start, end, new


@register
class AnonMmRemapStrategy(AnonMmFamilies):
    """Rajesh Venkatasubramanian's sketch of 12 March 2004 (Pine.GSO.4.58.0403121548530.2624): "just an academic solution".

    A page points to the anonmm of the mm that first mapped it; its index is the virtual address there and never changes.
    A vma carries nothing. Each mremap that moves touched memory adds a record {old range, new start} to a prio_tree of the
    family. A walk asks the tree where the page's index may have gone, and where those addresses may have gone in turn, and
    looks at every one in every mm. Nothing tells when a record is of no more use: it lives as long as the family.
    The sketch does not speak of swap: here a page that two mms bring back at different addresses gets a record of its own.
    """

    name = "anonmm_remap"
    objects = ("anonmm", "remap_record")
    sizes = {"remap_record": ("long", "long", "long", "pointer", "pointer", "pointer")}
    default_index = ("prio_tree", "list")

    def attach(self, machine):
        super().attach(machine)
        self.remaps = {}  # the records of each family that has some

    # -- records

    def moves(self, vma, start, end, new):
        if vma.faulted:
            self.record(vma.mm.anon.family, start, end, new)

    def brought_elsewhere(self, vma, frames, pages):
        family, index = vma.mm.anon.family, self.frames.index[frames]
        known = index == pages
        for which, other in self.reach(family, index):
            known[which[other == pages[which]]] = True
        for old, new in zip(index[~known].tolist(), pages[~known].tolist()):
            self.record(family, old, old + 1, new)

    def record(self, family, start, end, new):
        """Records a move unless a record says the same already."""
        if family not in self.remaps:
            self.remaps[family] = self.make_index()
        records = self.remaps[family]
        for _, known, _, _ in records.search(np.array([start])):
            if end <= known.end and known.new - known.start == new - start:
                return
        self.ledger.alloc("remap_record")
        records.insert(Remap(start, end, new), start, end - 1)
        self.lock(family)

    def family_gone(self, family):
        self.ledger.free("remap_record", len(self.remaps.pop(family, ())))

    # -- the walk

    def elsewhere(self, walk, at):
        family = self.anonmms[int(self.frames.anchor[walk.frames[at[0]]])].family
        touched = np.zeros(len(at), np.int64)
        levels = self.reach(family, self.frames.index[walk.frames[at]], touched)
        walk.nodes[at] += touched
        walk.lines[at] += touched * self.ledger.lines("remap_record")
        return levels

    def reach(self, family, index, touched=None):
        """Every page that the records lead to from each of `index`: a list of (positions, pages), nearest first.

        No position stands twice in one of its arrays. Adds the nodes visited to `touched`. Cost: one search of the tree
        for each array of pages reached.
        """
        tree, levels = self.remaps.get(family), []
        which, pages = np.arange(len(index)), index
        seen = {*zip(which.tolist(), pages.tolist())}
        while tree is not None and len(which):
            order = np.argsort(pages, kind="stable")
            which, pages = which[order], pages[order]
            looking, hits, found = tree.search(pages), np.zeros(len(pages), np.int64), []
            for _, record, low, high in looking:
                hits[low:high] += 1
                found += zip(which[low:high].tolist(), (pages[low:high] + (record.new - record.start)).tolist())
            if touched is not None:
                np.add.at(touched, which, looking.nodes_touched(hits if tree.ordered else np.full_like(hits, len(tree))))
            fresh = [pair for pair in dict.fromkeys(found) if pair not in seen]
            seen.update(fresh)
            which, pages = np.array(fresh, np.int64).reshape(-1, 2).T
            levels += [(which[part], pages[part]) for part in first_of_each(which)]
        return levels

    def count_objects(self):
        families = {mm.anon.family for mm in self.machine.mms.values()} | {each.family for each in self.anonmms.values()}
        return {**super().count_objects(), "remap_record": sum(len(self.remaps.get(family, ())) for family in families)}
