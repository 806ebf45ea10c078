"""`anonmm`: one object per mm, linked per exec family; moved shared pages carry chains of addresses."""

import numpy as np

from .base import register
from .chains import Chains
from .families import AnonMmFamilies

ADDRESSES = 7
"""Slots of an rmap_chain; slot 0 of the first holds the map count (anobjrmap 5/6, 20 March 2003)."""

COUNT = np.int64(1) << 62
"""Stands for the map count in that slot."""


@register
class AnonMmStrategy(AnonMmFamilies):
    """Hugh Dickins' "anobjrmap" of 20 March 2003, with 5/6 "rechained": the design that the thread calls anonmm.

    A page points to the anonmm of the mm that first mapped it; its index is its virtual address. It is looked for at
    that address in every mm of the family. A vma carries nothing. Where mremap moves a page that others map too, the
    new address goes into a chain of addresses that hangs off the page until nothing maps it any more.
    [kernel-facts section 4]
    """

    name = "anonmm"
    objects = ("anonmm", "rmap_chain")

    def __init__(self, kernel, index=None, arch="x86_64"):
        super().__init__(kernel, index, arch)
        self.chains = Chains(ADDRESSES, lambda count: self.ledger.alloc("rmap_chain", count),
                             lambda count: self.ledger.free("rmap_chain", count))

    def attach(self, machine):
        super().attach(machine)
        self.chains.attach(machine.budget)

    def unmapped(self, mm, frames, pages):
        self.chains.clear(frames[(self.frames.mapcount[frames] == 0) & (self.frames.anchor[frames] != 0)])
        super().unmapped(mm, frames, pages)

    def moved(self, vma, frames, old_pages, new_pages):
        alone = (self.frames.mapcount[frames] == 1) & (self.chains.head(frames) == 0)
        self.frames.index[frames[alone]] = new_pages[alone]
        self.note_address(frames[~alone], new_pages[~alone])

    def brought_elsewhere(self, vma, frames, pages):
        self.note_address(frames, pages)

    def note_address(self, frames, pages):
        """Chains an address to each page unless it is the index or in the chain already."""
        new = self.frames.index[frames] != pages
        for at, values in self.chains.values(frames):
            new[at[values == pages[at]]] = False
        frames, pages = frames[new], pages[new]
        first = frames[self.chains.head(frames) == 0]
        self.chains.add(first, np.full(len(first), COUNT))
        self.chains.add(frames, pages.astype(np.int64))

    def elsewhere(self, walk, at):
        """Every chained address, in the chain's order."""
        elements, _ = self.chains.lengths(walk.frames[at])
        walk.lines[at] += elements * self.ledger.lines("rmap_chain")
        chained = []
        for places, values in self.chains.values(walk.frames[at]):
            address = values != COUNT
            if address.any():
                chained.append((places[address], values[address]))
        return chained

    def count_objects(self):
        return {**super().count_objects(), "rmap_chain": self.chains.census()}
