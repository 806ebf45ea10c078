"""`Vma`, a mapped area; the flags that keep areas apart; `File`, what an area may map; `Ranges`, sets of pages."""

from bisect import bisect_left, bisect_right
from functools import cache

from .pagetable import PageTable

PAGE = 4096

READ, WRITE, EXEC, SHARED, ACCOUNT, NORESERVE, LOCKED, GROWSDOWN, NOHUGEPAGE, HUGEPAGE, DONTCOPY, WIPEONFORK, \
    DONTDUMP, MERGEABLE, RAND_READ, SEQ_READ, SPECIAL, NONLINEAR = (1 << bit for bit in range(18))
ACCESS = READ | WRITE | EXEC


@cache
def prot_bits(text):
    """The access bits of a protection written like "rw-"."""
    return (READ if text[0] == "r" else 0) | (WRITE if text[1] == "w" else 0) | (EXEC if text[2] == "x" else 0)


def prot_text(flags):
    """The protection in `flags`, written like "rw-"."""
    return ("r" if flags & READ else "-") + ("w" if flags & WRITE else "-") + ("x" if flags & EXEC else "-")


class Vma:
    """One area of an mm: pages [start, end), flags, the file it maps and the file's page at its start.

    `pgoff` is vm_pgoff: the file's page number, or for private anonymous memory the offset the design gave it.
    `anon_pgoff` is the second offset of a private file area, by address, for designs that key its anonymous pages so.
    `faulted` is the machine's own mark "has had anonymous pages". `anon`, `links` and `file_node` belong to the
    strategy: what new pages point to, the structures that link the vma, its place in the file's index.
    """

    __slots__ = ("mm", "start", "end", "flags", "file", "pgoff", "anon_pgoff", "faulted", "anon", "links", "file_node")

    def __init__(self, mm, start, end, flags, file, pgoff, anon_pgoff):
        self.mm, self.start, self.end, self.flags, self.file = mm, start, end, flags, file
        self.pgoff, self.anon_pgoff = pgoff, anon_pgoff
        self.faulted, self.anon, self.links, self.file_node = False, None, None, None

    @property
    def pages(self):
        """How many pages the area spans."""
        return self.end - self.start

    @property
    def is_anonymous(self):
        """Whether it is private anonymous memory (vma_is_anonymous: no file, and shared memory is a file)."""
        return self.file is None

    @property
    def may_hold_anon(self):
        """Whether pages of it can become anonymous: every private area."""
        return not self.flags & SHARED

    @property
    def anon_offset(self):
        """The offset the design gave the start of this private area: vm_pgoff, or the second one of a file area."""
        return self.pgoff if self.file is None else self.anon_pgoff

    def like(self, mm, start, end):
        """A new vma with these attributes over [start, end) of `mm`, linked nowhere."""
        delta = start - self.start
        return Vma(mm, start, end, self.flags, self.file, self.pgoff + delta, self.anon_pgoff + delta)

    def __repr__(self):
        name = self.file.name if self.file else "anon"
        return f"<vma {self.start:x}-{self.end:x} {prot_text(self.flags)} {name}+{self.pgoff:x}>"


class File:
    """A file, or a shared anonymous object (`shmem`), with its page cache; `index` is the strategy's set of vmas."""

    __slots__ = ("number", "name", "pages", "cache", "shmem", "vmas", "index", "nonlinear")

    def __init__(self, number, name, budget, shmem_pages=None):
        self.number, self.name, self.pages, self.shmem = number, name, shmem_pages, shmem_pages is not None
        self.cache, self.vmas, self.index, self.nonlinear = PageTable(budget), 0, None, None


class Ranges:
    """A set of pages kept as disjoint ascending ranges, each with the line that put it there."""

    __slots__ = ("items",)

    def __init__(self, items=()):
        self.items = list(items)

    def __bool__(self):
        return bool(self.items)

    def add(self, start, end, line):
        """Puts [start, end) into the set, replacing what was there."""
        self.remove(start, end)
        self.items.insert(bisect_left(self.items, (start, end)), (start, end, line))

    def remove(self, start, end):
        """Takes [start, end) out of the set."""
        if not self.items:
            return
        kept = []
        for low, high, line in self.items:
            if high <= start or low >= end:
                kept.append((low, high, line))
                continue
            if low < start:
                kept.append((low, start, line))
            if high > end:
                kept.append((end, high, line))
        self.items = kept

    def within(self, start, end):
        """The (start, end, line) pieces of the set inside [start, end)."""
        if not self.items:
            return []
        return [(max(low, start), min(high, end), line) for low, high, line in self.items if low < end and high > start]


class Mm:
    """An address space: vmas in order of address, the page table, the program break, and who uses it.

    `nonlinear` holds, for pages that remap_file_pages gave another page of their file, that page's number plus one.
    `absent` and `stale` are what refused events would have mapped and unmapped.
    """

    __slots__ = ("number", "table", "vmas", "starts", "users", "brk", "rss", "absent", "stale", "nonlinear", "anon",
                 "parent")

    def __init__(self, number, budget):
        self.number, self.table = number, PageTable(budget)
        self.vmas, self.starts, self.users, self.brk, self.rss = [], [], set(), None, 0
        self.absent, self.stale, self.nonlinear = Ranges(), Ranges(), PageTable(budget)
        self.anon = self.parent = None

    def position(self, page):
        """The position of the first vma that ends above `page`."""
        at = bisect_right(self.starts, page) - 1
        return at if at >= 0 and self.vmas[at].end > page else at + 1

    def find(self, page):
        """The vma that holds `page`, or None."""
        at = bisect_right(self.starts, page) - 1
        return self.vmas[at] if at >= 0 and self.vmas[at].end > page else None

    def around(self, start, end):
        """The vma that ends at or below `start` and the one that starts at or above `end` (None where there is none)."""
        at = bisect_left(self.starts, end)
        below = bisect_right(self.starts, start) - 1
        return (self.vmas[below] if below >= 0 else None), (self.vmas[at] if at < len(self.vmas) else None)

    def overlapping(self, start, end):
        """The vmas that share a page with [start, end), in order."""
        if start >= end:
            return []
        first = bisect_right(self.starts, start)
        if first and self.vmas[first - 1].end > start:
            first -= 1
        return self.vmas[first:bisect_left(self.starts, end, first)]

    def covers(self, start, end):
        """Whether every page of [start, end) lies in a vma."""
        while start < end:
            vma = self.find(start)
            if vma is None:
                return False
            start = vma.end
        return True

    def insert(self, vma):
        """Puts a vma in its place."""
        at = bisect_left(self.starts, vma.start)
        self.vmas.insert(at, vma)
        self.starts.insert(at, vma.start)

    def remove(self, vma):
        """Takes a vma out."""
        at = bisect_left(self.starts, vma.start)
        del self.vmas[at], self.starts[at]

    def before(self, vma):
        """The vma below this one, or None."""
        at = bisect_left(self.starts, vma.start)
        return self.vmas[at - 1] if at else None

    def after(self, vma):
        """The vma above this one, or None."""
        at = bisect_left(self.starts, vma.start) + 1
        return self.vmas[at] if at < len(self.vmas) else None
