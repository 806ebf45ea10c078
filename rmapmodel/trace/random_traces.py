"""Random traces in one small window: legal events whose neighbours often become mergeable, from a seed.

The generator keeps only what each page is, no vmas; a few of its events (growth over what Linux kept as several vmas)
may still be impossible, about one in two thousand.
"""

import random
from collections import namedtuple

from .. import events as ev

P = 4096
BASE, WINDOW = 0x10000, 96              # pages
STACK = BASE + WINDOW + 1024            # growsdown mappings live here, far from the rest
BRK = BASE + WINDOW - 24                # inside the window, so brk meets other mappings
Page = namedtuple("Page", "shared file off obj prot locked grows nofork flags")

WEIGHTS = {
    "mmap": 14, "mmap_fixed": 5, "munmap": 6, "mprotect": 12, "shrink": 2, "grow": 4, "move": 9, "move_grow": 3,
    "dontunmap": 2, "dup": 1, "brk": 4, "mlock": 2, "munlock": 1, "swapout": 0, "reclaim": 0, "advice": 6, "advice_pages": 3, "read": 7,
    "write": 18, "stack": 2, "stack_touch": 3, "remap_file_pages": 1, "spawn": 1, "fork": 9, "clone_vm": 1, "vfork": 1,
    "exec": 2, "exit": 5, "undo": 16, "sandwich": 0,
}
ADVICE = {"dontfork": 2, "dofork": 2, "dontdump": 2, "dodump": 2, "nohugepage": 1, "hugepage": 1, "mergeable": 1,
          "unmergeable": 1, "wipeonfork": 2, "keeponfork": 2, "random": 1, "sequential": 1, "normal": 1}
INVERSE = {"dontfork": "dofork", "dontdump": "dodump", "wipeonfork": "keeponfork", "random": "normal",
           "sequential": "normal", "mergeable": "unmergeable"}


class Mm:
    """What each page of an address space is, the break, and what could be put back."""

    def __init__(self):
        self.pages, self.brk, self.undo, self.users = {}, None, [], 1


class Generator:
    """Draws events and follows what they do to each page."""

    def __init__(self, seed, ops=None, processes=6):
        self.r = random.Random(seed)
        self.weights = {**WEIGHTS, **(ops or {})}
        self.most = processes
        self.mms, self.events, self.next, self.objs = {}, [], 1, 0
        self.size = {}

    # small choices

    def pick(self, weights):
        return self.r.choices(list(weights), list(weights.values()))[0]

    def length(self):
        return self.r.choice((1, 1, 2, 2, 3, 4, 4, 4, 8, 8, 12))

    def edges(self, mm):
        """Pages where something begins or ends."""
        result = {page for page in mm.pages if BASE <= page < BASE + WINDOW and self.differs(mm, page)}
        result |= {page + 1 for page in mm.pages if BASE <= page < BASE + WINDOW and page + 1 not in mm.pages}
        return sorted(result)

    @staticmethod
    def differs(mm, page):
        """Does another kind of memory begin here?"""
        a, b = mm.pages.get(page - 1), mm.pages[page]
        return a is None or a._replace(off=0) != b._replace(off=0) or (b.file or b.obj) and a.off + 1 != b.off

    def start(self, mm):
        edges = self.edges(mm)
        roll = self.r.random()
        if edges and roll < .5:
            return self.r.choice(edges)
        return BASE + (self.r.randrange(WINDOW // 4) * 4 if roll < .85 else self.r.randrange(WINDOW))

    def span(self, mm):
        start = self.start(mm)
        length = self.length()
        if self.r.random() < .25:       # end at an edge
            ends = [edge for edge in self.edges(mm) if 0 < edge - start <= 12]
            if ends:
                length = self.r.choice(ends) - start
        return start, max(1, min(length, BASE + WINDOW - start))

    def run(self, mm, uniform=True, want=lambda page: True):
        """A part of what is mapped, of one kind if `uniform`; None if nothing fits."""
        for _ in range(8):
            if not mm.pages:
                return None
            start, length = self.span(mm)
            if start not in mm.pages:
                inside = [page for page in mm.pages if BASE <= page < BASE + WINDOW]
                if not inside:
                    return None
                start = self.r.choice(inside)
                while self.r.random() < .8 and start - 1 in mm.pages and not self.differs(mm, start):
                    start -= 1
            n = 0
            while n < length and start + n in mm.pages and want(mm.pages[start + n]) and not (
                    uniform and n and self.differs(mm, start + n)):
                n += 1
            if n:
                if uniform and self.r.random() < .5:    # the whole of it
                    while start + n in mm.pages and n < 16 and not self.differs(mm, start + n) \
                            and want(mm.pages[start + n]):
                        n += 1
                return start, n
        return None

    @staticmethod
    def free(mm, start, n):
        return all(start + i not in mm.pages for i in range(n))

    # events

    def add(self, event):
        self.events.append(event)

    def process(self):
        return self.r.choice(list(self.mms))

    def do(self, op):
        if not self.mms or op == "spawn":
            if len(self.mms) < self.most:
                self.add(ev.Spawn(self.next))
                self.mms[self.next] = Mm()
                self.next += 1
            return
        pid = self.process()
        return getattr(self, op)(pid, self.mms[pid])

    def clone(self, pid, mm):
        new = Mm()
        new.pages = {page: what._replace(locked=False) for page, what in mm.pages.items() if not what.nofork}
        new.brk, new.undo = mm.brk, list(mm.undo)
        return new

    def swapout(self, pid, mm):
        self.add(ev.Swapout(*self.r.choice(((), (pid,)))))

    def reclaim(self, pid, mm):
        self.add(ev.Reclaim(*self.r.choice(((), (pid,)))))

    def fork(self, pid, mm):
        if len(self.mms) >= self.most:
            return
        self.add(ev.Fork(pid, self.next))
        self.mms[self.next] = self.clone(pid, mm)
        self.next += 1

    def sharing(self, kind, pid, mm):
        if len(self.mms) >= self.most:
            return
        self.add(kind(pid, self.next))
        self.mms[self.next] = mm
        mm.users += 1
        self.next += 1

    def vfork(self, pid, mm):
        self.sharing(ev.Vfork, pid, mm)

    def clone_vm(self, pid, mm):
        self.sharing(ev.CloneVm, pid, mm)

    def exec(self, pid, mm):
        if len(self.mms) < 2:
            return
        self.add(ev.Exec(pid))
        mm.users -= 1
        self.mms[pid] = Mm()

    def exit(self, pid, mm):
        if len(self.mms) < 2:
            return
        self.add(ev.Exit(pid))
        mm.users -= 1
        del self.mms[pid]

    def mapped(self, pid, mm, start, n, fixed):
        kind = self.pick({"anon": 10, "shmem": 1, "file": 3, "shfile": 2})
        prot = self.pick({"rw-": 12, "r--": 3, "---": 1, "r-x": 1, "rwx": .5})
        flags = ["shared" if kind.startswith("sh") else "private"]
        file, off, obj = None, 0, None
        if kind in ("file", "shfile"):
            file = self.r.choice(("a", "a", "a", "b"))
            off = start - BASE + (0 if self.r.random() < .75 else self.r.randrange(8)) + 16
        else:
            flags.append("anonymous")
        if kind == "shmem":
            self.objs += 1
            obj = self.objs
            self.size[obj] = n
        locked = False
        if self.r.random() < .04:
            flags.append("noreserve")
        if self.r.random() < .03:
            flags.append("stack")
        if self.r.random() < .03 and n <= 8:
            flags.append("locked")
            locked = True
        if fixed:
            flags.append("fixed")
        self.add(ev.Mmap(pid, start * P, n * P, prot, flags, file, off * P))
        extra = tuple(sorted(set(flags) & {"noreserve", "stack"}))
        for i in range(n):
            mm.pages[start + i] = Page(kind.startswith("sh"), file, off + i if file or obj else 0, obj, prot, locked,
                                       False, False, extra)

    def mmap(self, pid, mm):
        for _ in range(6):
            start, n = self.span(mm)
            while n and not self.free(mm, start, n):
                n -= 1
            if n:
                return self.mapped(pid, mm, start, n, False)

    def mmap_fixed(self, pid, mm):
        self.mapped(pid, mm, *self.span(mm), True)

    def sandwich(self, pid, mm):
        """Two mappings, touched or not, and then what lies between them: the merge rules of ages differ in this."""
        start, n = self.span(mm)
        n = max(n, 3)
        if start + n > BASE + WINDOW or not self.free(mm, start, n):
            return
        low = self.r.randrange(1, n - 1)
        high = self.r.randrange(low + 1, n)
        file = self.r.choice((None, None, "a"))
        flags = ["private"] if file else ["private", "anonymous"]
        for a, b in ((0, low), (high, n), (low, high)):
            self.add(ev.Mmap(pid, (start + a) * P, (b - a) * P, "rw-", list(flags), file, (16 + a) * P if file else 0))
            for i in range(a, b):
                mm.pages[start + i] = Page(False, file, 16 + i if file else 0, None, "rw-", False, False, False, ())
            if a != low and self.r.random() < .6:
                self.add(ev.Write(pid, (start + a) * P, P))

    def munmap(self, pid, mm):
        start, n = self.span(mm)
        gone = [mm.pages.pop(start + i, None) for i in range(n)]
        self.add(ev.Munmap(pid, start * P, n * P))
        if all(gone) and len({page._replace(off=0) for page in gone}) == 1 and not gone[0].obj and not gone[0].grows:
            page = gone[0]
            flags = ["shared" if page.shared else "private"] + ([] if page.file else ["anonymous"]) + list(page.flags)
            mm.undo.append(("mmap", start, n, page, flags))

    def mprotect(self, pid, mm):
        where = self.run(mm, uniform=self.r.random() < .8)
        if not where:
            return
        start, n = where
        prot = self.pick({"r--": 6, "rw-": 8, "---": 2, "r-x": 1, "rwx": .5})
        old = {mm.pages[start + i].prot for i in range(n)}
        self.add(ev.Mprotect(pid, start * P, n * P, prot))
        for i in range(n):
            mm.pages[start + i] = mm.pages[start + i]._replace(prot=prot)
        if len(old) == 1 and old != {prot}:
            mm.undo.append(("mprotect", start, n, old.pop()))

    def shrink(self, pid, mm):
        where = self.run(mm, uniform=False)
        if not where or where[1] < 2:
            return
        start, n = where
        keep = self.r.randrange(1, n)
        self.add(ev.Mremap(pid, start * P, n * P, start * P, keep * P, ["maymove"] if self.r.random() < .5 else []))
        for i in range(keep, n):
            del mm.pages[start + i]

    def tail(self, mm, what, i):
        return what._replace(off=what.off + i if what.file or what.obj else 0)

    def grow(self, pid, mm):
        where = self.run(mm)
        if not where:
            return
        start, n = where
        while start + n in mm.pages and not self.differs(mm, start + n):
            n += 1
        room = 0
        while room < 8 and start + n + room not in mm.pages and start + n + room < BASE + WINDOW:
            room += 1
        if not room:
            return
        more = self.r.randint(1, room) if self.r.random() < .6 else room
        self.add(ev.Mremap(pid, start * P, n * P, start * P, (n + more) * P, ["maymove"] if self.r.random() < .5 else []))
        last = mm.pages[start + n - 1]
        for i in range(more):
            mm.pages[start + n + i] = self.tail(mm, last, i + 1)

    def target(self, mm, start, n, size):
        for _ in range(10):
            to = self.start(mm) - (size if self.r.random() < .3 else 0)
            if BASE <= to and to + size <= BASE + WINDOW and (to + size <= start or start + n <= to):
                return to
        return None

    def move(self, pid, mm, back=None):
        if back:
            start, n, to = back
        else:
            where = self.run(mm, uniform=self.r.random() < .75)
            if not where:
                return
            start, n = where
            if self.r.random() < .1:        # over a hole
                n = min(n + self.length(), BASE + WINDOW - start)
            to = self.target(mm, start, n, n)
            if to is None:
                return
            for _ in range(4):              # rather to somewhere free, so that it can come back
                if self.free(mm, to, n):
                    break
                to = self.target(mm, start, n, n) or to
        old = [mm.pages.pop(start + i, None) for i in range(n)]
        self.add(ev.Mremap(pid, start * P, n * P, to * P, n * P, ["maymove", "fixed"]))
        for i, what in enumerate(old):
            if what:
                mm.pages[to + i] = what._replace(grows=False)
        if not back and all(old):
            mm.undo.append(("move", to, n, start))

    def move_grow(self, pid, mm):
        where = self.run(mm)
        if not where:
            return
        start, n = where
        size = max(1, n + self.r.randint(-2, 4))
        if size < n and self.r.random() < .5:
            size = n + 1
        to = self.target(mm, start, n, size)
        if to is None:
            return
        fixed = size <= n or not self.free(mm, to, size) or self.r.random() < .5
        old = [mm.pages.pop(start + i) for i in range(n)]
        self.add(ev.Mremap(pid, start * P, n * P, to * P, size * P, ["maymove"] + ["fixed"] * fixed))
        for i in range(size):
            mm.pages[to + i] = old[i] if i < n else self.tail(mm, old[-1], i - n + 1)

    def dontunmap(self, pid, mm):
        where = self.run(mm, want=lambda page: not page.obj and not page.locked)
        if not where:
            return
        start, n = where
        to = self.target(mm, start, n, n)
        if to is None:
            return
        self.add(ev.Mremap(pid, start * P, n * P, to * P, n * P, ["maymove", "fixed", "dontunmap"]))
        for i in range(n):
            mm.pages[to + i] = mm.pages[start + i]

    def dup(self, pid, mm):
        where = self.run(mm, want=lambda page: page.shared)
        if not where:
            return
        start, n = where
        to = self.target(mm, start, n, n)
        if to is None:
            return
        self.add(ev.Mremap(pid, start * P, 0, to * P, n * P, ["maymove", "fixed"]))
        first = mm.pages[start]
        for i in range(n):
            mm.pages[to + i] = self.tail(mm, first, i)

    def brk(self, pid, mm):
        if mm.brk is None:
            mm.brk = BRK * P
            return self.add(ev.Brk(pid, mm.brk))
        old = -(-mm.brk // P)
        new = BRK + self.r.randrange(16)
        if new > old:
            while new > old and not self.free(mm, old, new - old + 1):
                new -= 1
        mm.brk = new * P - (self.r.randrange(P) if new > BRK and self.r.random() < .2 else 0)
        self.add(ev.Brk(pid, mm.brk))
        for page in range(new, old):
            mm.pages.pop(page, None)
        for page in range(old, new):
            mm.pages[page] = Page(False, None, 0, None, "rw-", False, False, False, ())

    def mlock(self, pid, mm):
        where = self.run(mm, uniform=False, want=lambda p: p.prot != "---" and (not p.obj or p.off < self.size[p.obj]))
        if where:
            start, n = where
            self.add(ev.Mlock(pid, start * P, n * P))
            for i in range(n):
                mm.pages[start + i] = mm.pages[start + i]._replace(locked=True)
            mm.undo.append(("munlock", start, n))

    def munlock(self, pid, mm, where=None):
        where = where or self.run(mm, uniform=False)
        if where:
            start, n = where
            self.add(ev.Munlock(pid, start * P, n * P))
            for i in range(n):
                mm.pages[start + i] = mm.pages[start + i]._replace(locked=False)

    def advice(self, pid, mm, back=None):
        if back:
            start, n, advice = back
        else:
            advice = self.pick(ADVICE)
            only = (lambda p: not p.shared and not p.file) if advice == "wipeonfork" else lambda p: True
            where = self.run(mm, uniform=self.r.random() < .7, want=only)
            if not where:
                return
            start, n = where
        self.add(ev.Madvise(pid, start * P, n * P, advice))
        for i in range(n):
            page = mm.pages.get(start + i)
            if page:
                if advice in ("dontfork", "dofork"):
                    page = page._replace(nofork=advice == "dontfork")
                else:
                    page = page._replace(flags=tuple(sorted((set(page.flags) | {advice}) - {
                        k for k, v in INVERSE.items() if v == advice} - set(INVERSE.values()))))
                mm.pages[start + i] = page
        if not back and advice in INVERSE:
            mm.undo.append(("advice", start, n, INVERSE[advice]))

    def advice_pages(self, pid, mm):
        advice = self.pick({"dontneed": 4, "free": 2, "remove": 1, "populate_read": 2, "populate_write": 2, "cold": 1,
                            "willneed": 1})
        fits = {"dontneed": lambda p: not p.locked, "free": lambda p: not (p.locked or p.shared or p.file),
                "remove": lambda p: p.shared and not p.locked and "w" in p.prot,
                "populate_read": lambda p: "r" in p.prot and self.inside(p),
                "populate_write": lambda p: "w" in p.prot and self.inside(p), "cold": lambda p: not p.locked,
                "willneed": lambda p: p.file}[advice]
        where = self.run(mm, uniform=False, want=fits)
        if where:
            self.add(ev.Madvise(pid, where[0] * P, where[1] * P, advice))

    def inside(self, page):
        return not page.obj or page.off < self.size[page.obj]

    def touch(self, kind, need, pid, mm):
        where = self.run(mm, uniform=False, want=lambda p: set(need) & set(p.prot) and self.inside(p))
        if where:
            self.add(kind(pid, where[0] * P, where[1] * P))

    def read(self, pid, mm):
        self.touch(ev.Read, "rx", pid, mm)

    def write(self, pid, mm):
        self.touch(ev.Write, "w", pid, mm)

    def stack(self, pid, mm):
        if any(page > BASE + WINDOW for page in mm.pages):
            return
        n = self.r.choice((1, 2, 4))
        self.add(ev.Mmap(pid, (STACK - n) * P, n * P, "rw-", ["private", "anonymous", "growsdown"]))
        for page in range(STACK - n, STACK):
            mm.pages[page] = Page(False, None, 0, None, "rw-", False, True, False, ())

    def stack_touch(self, pid, mm):
        pages = [page for page in mm.pages if page > BASE + WINDOW]
        if not pages:
            return
        low = min(pages)
        new = low - self.r.choice((0, 1, 1, 2, 3))
        kind = self.r.choice((ev.Read, ev.Write, ev.Write))
        if new < BASE + WINDOW + 400:
            return
        self.add(kind(pid, new * P, P))
        for page in range(new, low):
            mm.pages[page] = mm.pages[low]

    def remap_file_pages(self, pid, mm):
        where = self.run(mm, want=lambda p: p.shared and p.file and "r" in p.prot)
        if where:
            start, n = where
            pgoff = self.r.randrange(40)
            self.add(ev.RemapFilePages(pid, start * P, n * P, pgoff))
            for i in range(n):
                mm.pages[start + i] = mm.pages[start + i]._replace(off=pgoff + i)

    def undo(self, pid, mm):
        """Put back what an earlier event changed, if it still can be."""
        if not mm.undo:
            return self.do("mprotect")
        what, start, n, *rest = mm.undo.pop(self.r.randrange(len(mm.undo)) if self.r.random() < .5 else -1)
        whole = all(start + i in mm.pages for i in range(n))
        if what == "mmap" and self.free(mm, start, n):
            page, flags = rest
            self.add(ev.Mmap(pid, start * P, n * P, page.prot, [f for f in flags if f in ev.MMAP_FLAGS], page.file,
                             page.off * P if page.file else 0))
            for i in range(n):
                mm.pages[start + i] = page._replace(off=page.off + i if page.file else 0, locked=False, nofork=False)
        elif what == "mprotect" and whole:
            self.add(ev.Mprotect(pid, start * P, n * P, rest[0]))
            for i in range(n):
                mm.pages[start + i] = mm.pages[start + i]._replace(prot=rest[0])
        elif what == "move" and whole and self.free(mm, rest[0], n):
            self.move(pid, mm, (start, n, rest[0]))
        elif what == "munlock" and whole:
            self.munlock(pid, mm, (start, n))
        elif what == "advice" and whole:
            self.advice(pid, mm, (start, n, rest[0]))

    def trace(self, n):
        while len(self.events) < n:
            self.do(self.pick(self.weights) if len(self.events) > 3 else self.r.choice(("mmap", "write")))
        return self.events[:n]


def random_trace(seed, n=30, ops=None, processes=6):
    """A list of `n` events; equal arguments give equal events. `ops` overrides some of WEIGHTS; at most `processes` live.

    >>> type(random_trace(1)[0]).__name__
    'Spawn'
    """
    return Generator(seed, ops, processes).trace(n)
