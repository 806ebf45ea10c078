"""`objrmap`: file pages through the file's vmas, anonymous pages by pte_chain; Dave McCracken's patch of 2003."""

import numpy as np

from ..cost.ledger import Walk
from ..errors import NoMemory
from .base import Strategy, register
from .files import FilePages
from .pte_chain import PteChainStrategy


@register
class ObjrmapStrategy(PteChainStrategy):
    """Dave McCracken's "partial object-based rmap" of February 2003 (2.5.62; kernel-facts section 3).

    An anonymous page is as in pte_chain. A page of a file only counts its mappings, in the word that points to the
    chain in others, and is found through the file's two lists of vmas, i_mmap and i_mmap_shared. Where a nonlinear
    area maps a page its index does not tell the address: such a page is given a chain like an anonymous one, which
    it keeps until nothing maps it (page_convert_anon, 61050000.1049405305@baldur.austin.ibm.com).
    """

    name = "objrmap"
    walks_files = True
    walk = Strategy.walk

    def __init__(self, kernel, index=None, arch="x86_64"):
        super().__init__(kernel, index, arch)
        self.files = FilePages(self, sweeps=False)
        self.converted = np.zeros(0, np.bool_)

    # -- pages of files

    def is_chained(self, frames):
        """Which page cache frames have been converted."""
        if len(self.converted) < len(self.frames.mapcount):
            more = len(self.frames.mapcount) - len(self.converted)
            self.machine.budget.need(more)
            self.converted = np.concatenate([self.converted, np.zeros(more, np.bool_)])
        return self.converted[frames]

    def file_mapped(self, vma, frames, pages):
        astray = self.frames.index[frames] != vma.pgoff + pages - vma.start
        fresh = np.unique(frames[astray & ~self.is_chained(frames)]) if astray.any() else frames[:0]
        try:
            if len(fresh):
                self.convert(fresh, vma.mm, pages)
            chained = self.is_chained(frames)
            if chained.any():
                self.add(vma.mm, frames[chained], pages[chained])
        except NoMemory:
            self.chains.clear(fresh)
            self.direct[fresh], self.converted[fresh] = 0, False
            raise

    def convert(self, frames, mm, new):
        """page_convert_anon: chains the mappings of page cache frames, found through the file, but for `new` pages of `mm`."""
        walk = Walk(frames, self.frames.mapcount[frames])
        self.files.walk(walk, np.arange(len(frames)), None)
        self.converted[frames] = True
        found, owner, pages = walk.mappings()
        old = (owner != mm.number) | ~np.isin(pages, new)
        for number in np.unique(owner[old]).tolist():
            rows = old & (owner == number)
            self.add(self.machine.mms[number], found[rows], pages[rows])

    def file_unmapped(self, mm, frames, pages):
        chained = self.is_chained(frames)
        self.drop(mm, frames[chained], pages[chained])
        self.converted[frames[self.frames.mapcount[frames] == 0]] = False

    def file_moved(self, vma, frames, old_pages, new_pages):
        chained = self.is_chained(frames)
        self.moved(vma, frames[chained], old_pages[chained], new_pages[chained])

    def walk_files(self, walk, at, log):
        chained = self.is_chained(walk.frames[at])
        if chained.any():
            self.walk_anonymous(walk, at[chained], log)
        if not chained.all():
            self.files.walk(walk, at[~chained], log)
