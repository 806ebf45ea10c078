"""Kernel memory: what processes, page tables and pte_chains take; on i386 they must lie in low memory."""

from bisect import bisect_left
from typing import NamedTuple

import pandas as pd

from ..cost.sizes import FIELD, size_of
from ..vm.vma import PAGE
from .published import figures

MIB, GIB = 1 << 20, 1 << 30

LOWMEM = 896 * MIB
"""Low memory with the usual 3:1 split of i386: a GiB less the 128 MiB of vmalloc (include/asm-i386/page.h@2.6)."""

PROCESS = {
    "i386": {"kernel stack": 8192, "task_struct": 1280, "sighand_struct": 1408, "signal_struct": 384,
             "files_struct": 512, "fs_struct": 64, "mm_struct": 640, "tables": 3 * PAGE},
    "x86_64": {"kernel stack": 16384, "task_struct": 5888, "sighand_struct": 2112, "signal_struct": 1152,
               "files_struct": 704, "fs_struct": 64, "mm_struct": 1600, "tables": 3 * PAGE},
}
"""Bytes that each process takes, whatever it maps, without vmas and open files.

THREAD_SIZE; slabs, of a 2.6.13 on an i686 (slabinfo in 435FD223.70904@mid.email-server.info, 26 October 2005) and of a
6.18.44 on x86_64; and a page table each for its program, its libraries and its stack.
"""


class Build(NamedTuple):
    """How a kernel was built: architecture, bytes of a pte (8 with PAE), whether page tables may be in high memory."""

    arch: str
    pte: int = 8
    highpte: bool = False

    def page_tables(self, mapped):
        """Bytes of page tables, without directories, for a contiguous range of `mapped` bytes.

        >>> Build("i386", pte=4).page_tables(2 * GIB) // MIB, Build("i386", pte=8).page_tables(2 * GIB) // MIB
        (2, 4)
        """
        return -(-mapped // (PAGE // self.pte * PAGE)) * PAGE

    def directories(self):
        """Bytes of page directories, at least: one page; with PAE three and a small one; on x86_64 three levels."""
        return PAGE if self.pte == 4 else 3 * PAGE + (32 if self.arch == "i386" else 0)

    def process_bytes(self, mapped):
        """Kernel memory of a process that has touched a contiguous range of `mapped` bytes, at least."""
        fixed = dict(PROCESS[self.arch])
        tables = self.page_tables(mapped) + fixed.pop("tables")
        return sum(fixed.values()) + self.directories() + (0 if self.highpte else tables)

    def room(self, ram):
        """Memory that the kernel can use, of a machine with `ram` bytes: without mem_map, its array of page structures.

        >>> Build("i386").room(16 * GIB) // MIB
        736
        """
        version = (2, 6, 5) if self.arch == "i386" else (6, 18, 0)
        mem_map = ram // PAGE * size_of("page", self.arch, version)[0]
        return max(0, (min(ram, LOWMEM) if self.arch == "i386" else ram) - mem_map)


BUILDS = {"i386": Build("i386"), "i386, HIGHPTE": Build("i386", highpte=True), "x86_64": Build("x86_64")}
"""Builds by name; those of i386 are with PAE, as a machine with more than 4 GiB must be."""


def slots(line, wide):
    """Pte addresses in a pte_chain element of one cache line; `wide` where they have 64 bits (PAE with HIGHPTE).

    >>> slots(32, wide=False), slots(128, wide=True)
    (7, 15)
    """
    return (line - FIELD["i386"]["long"]) // (8 if wide else FIELD["i386"]["pointer"])


def chain_bytes(mappings, line, wide=False):
    """Bytes of the pte_chain elements of a page that so many ptes map; a single one is pointed to directly.

    >>> [chain_bytes(mappings, 32) for mappings in (1, 2, 7, 8)]
    [0, 32, 32, 64]
    """
    return -(-mappings // slots(line, wide)) * line if mappings > 1 else 0


CHAINS = {"links of 8 bytes": lambda tasks: 8 * tasks,
          "lines of 32": lambda tasks: chain_bytes(tasks, 32),
          "lines of 128": lambda tasks: chain_bytes(tasks, 128),
          "lines of 32 (HIGHPTE)": lambda tasks: chain_bytes(tasks, 32, wide=True),
          "lines of 128 (HIGHPTE)": lambda tasks: chain_bytes(tasks, 128, wide=True)}
"""Bytes of pte_chains of a page that so many tasks map, by what a chain is made of.

Links of one pte each (2.5.27 to 2.5.3x, and the figure of the thread), or elements of a cache line (32 bytes on a
Pentium III, 128 on a Pentium 4), with pte addresses of 64 bits where page tables are in high memory.
"""


def segment_bytes(chain, tasks, mapped):
    """Bytes of the pte_chains of a segment of `mapped` bytes that so many tasks map whole; `chain` is a name of CHAINS.

    >>> round(segment_bytes("links of 8 bytes", 100, 2.7 * GIB) / GIB, 2)
    0.53
    """
    return mapped / PAGE * CHAINS[chain](tasks)


def tasks_that_fill(room, chain, mapped, build):
    """The fewest tasks whose pte_chains of a segment, page tables and structures exceed `room` bytes.

    `chain` None counts no chains, `build` None nothing but them.
    """
    def full(tasks):
        chains = segment_bytes(chain, tasks, mapped) if chain else 0
        return chains + (build.process_bytes(int(mapped)) * tasks if build else 0) > room

    return bisect_left(range(1 << 30), True, key=full)


def build_for(chain):
    """The build of BUILDS that a kind of chain belongs to."""
    return BUILDS["i386, HIGHPTE" if "HIGHPTE" in chain else "i386"]


def filled(mapped, rooms):
    """How many tasks that map a segment fill low memory: a row for each kind of chain and each of the `rooms`.

    `rooms` are {name of a split: bytes}. Columns `chains`, `split`, and the tasks by chains `alone`, and
    `with page tables` and each task's own structures.
    """
    return pd.DataFrame([{"chains": chain, "split": split, "alone": tasks_that_fill(room, chain, mapped, None),
                          "with page tables": tasks_that_fill(room, chain, mapped, build_for(chain))}
                         for chain in CHAINS for split, room in rooms.items()])


def segment_structures(gib, tasks):
    """What structures take for segments of so many GiB that so many tasks map: `structure`, `gib`, `tasks`, `mib`.

    The kinds of chains; page tables with PAE; and the tree node that objrmap puts into each vma (F221).
    """
    rows = []
    for each in gib:
        for count in tasks:
            taken = {**{chain: segment_bytes(chain, count, each * GIB) for chain in CHAINS},
                     "page tables (PAE)": count * BUILDS["i386"].page_tables(int(each * GIB)),
                     "tree nodes (F221)": count * figures()["F221"].value}
            rows += [(name, each, count, size / MIB) for name, size in taken.items()]
    return pd.DataFrame(rows, columns=["structure", "gib", "tasks", "mib"])
