"""A hand-worked case: a few events replayed through one design with every check, and exact questions about the end."""

import numpy as np

from rmapmodel.events import Brk, Mmap, Mprotect, Mremap, Munmap, Write
from tests.traces import run

P = 4096
"""Bytes of a page; the makers of events below take pages, not bytes."""


class Case:
    """What is left after the events; the processes are those that live then, pages are page numbers."""

    def __init__(self, machine):
        self.machine, self.strategy = machine, machine.strategy

    @property
    def objects(self):
        """Objects alive by kind, by the names of contract section 1, vm_area_struct included."""
        return self.machine.ledger.alive()

    def vmas(self, pid):
        """The vmas of a process as (start page, end page), end excluded."""
        return [(vma.start, vma.end) for vma in self.machine.mm_of(pid).vmas]

    def offsets(self, pid):
        """The offset that the design gave the start of each vma, beside `vmas`."""
        return [vma.anon_offset for vma in self.machine.mm_of(pid).vmas]

    def frame(self, pid, page):
        """The frame that the process maps at a page; fails where none is mapped."""
        frame = self.machine.mm_of(pid).table.at(page)
        assert frame > 1, f"process {pid} maps no frame at page {page}"
        return frame

    def mapcount(self, pid, page):
        """How many (mm, address) pairs map the frame that the process maps at a page."""
        return int(self.machine.frames.mapcount[self.frame(pid, page)])

    def visits(self, pid, page):
        """(examined, candidates, ptes) of one reverse-map walk of the frame there, which changes no structure."""
        walk = self.strategy.walk(np.array([self.frame(pid, page)], np.int32))
        return int(walk.examined[0]), int(walk.candidates[0]), int(walk.ptes[0])


def case(events, strategy, **options):
    """The Case at the end of the events, with the machine's full check after each; options as of study.replay."""
    return Case(run(events, strategy, after=lambda machine, count: machine.check(), **options).machine)


def mmap(pid, page, pages, prot="rw-"):
    """Private anonymous memory of so many pages."""
    return Mmap(pid, page * P, pages * P, prot, ["private", "anonymous"])


def munmap(pid, page, pages):
    """Unmaps pages."""
    return Munmap(pid, page * P, pages * P)


def mprotect(pid, page, pages, prot):
    """Changes the protection of pages."""
    return Mprotect(pid, page * P, pages * P, prot)


def mremap(pid, page, pages, new):
    """Moves pages to the page `new`, whatever is there."""
    return Mremap(pid, page * P, pages * P, new * P, pages * P, ["maymove", "fixed"])


def brk(pid, page):
    """Sets the program break to a page."""
    return Brk(pid, page * P)


def write(pid, page, pages=1):
    """Touches pages by a write."""
    return Write(pid, page * P, pages * P)
