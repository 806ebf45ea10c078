"""What each process must read at each address, and who shares which anonymous page: plain dicts, a page at a time.

It is written from contract.md section 2 and knows nothing of rmapmodel.vm: no vmas, no frames, no batches. It executes
legal events only; that an event is legal is the caller's business.
"""

from collections import namedtuple

P = 4096
Cell = namedtuple("Cell", "prot shared file off shows marks")
"""What is mapped at a page: `file` a name or a number (a shared anonymous object) or None, its page `off` there, the
page that remap_file_pages made it show, and those marks that decide what a page holds."""

ADVICE = {"dontfork": ("dontfork", True), "dofork": ("dontfork", False), "wipeonfork": ("wipeonfork", True),
          "keeponfork": ("wipeonfork", False)}


class Page:
    """One anonymous page: what it holds, the (space, page number) entries that lead to it (True: in memory), and
    whether madvise(free) gave it up."""

    def __init__(self, holds):
        self.holds, self.entries, self.lazy = holds, {}, False

    @property
    def mapcount(self):
        return sum(self.entries.values())


class Space:
    """An address space: what is mapped where, the anonymous pages, the break, how many processes use it."""

    def __init__(self, number):
        self.number, self.cells, self.anon, self.brk, self.users = number, {}, {}, None, 0


class Oracle:
    """The spaces by pid, what the pages of files hold, and the sizes of shared anonymous objects."""

    def __init__(self, nonlinear, moves_span_areas):
        self.nonlinear, self.moves_span_areas = nonlinear, moves_span_areas
        self.spaces, self.held, self.size = {}, {}, {}
        self.line, self.numbers = 0, 0

    def apply(self, event, line):
        """Executes a legal event; its writes leave `line`."""
        self.line = line
        getattr(self, type(event).__name__.lower())(event)

    def number(self):
        self.numbers += 1
        return self.numbers

    # -- entries

    def reads(self, space, page):
        """What a load from a page would see."""
        if page in space.anon:
            return space.anon[page].holds
        cell = space.cells[page]
        return self.held.get((cell.file, cell.shows), 0)

    def enter(self, space, page, target, resident=True):
        space.anon[page] = target
        target.entries[space.number, page] = resident

    def drop(self, space, page):
        """Takes an entry out; returns whether it was in memory."""
        target = space.anon.pop(page, None)
        return target.entries.pop((space.number, page)) if target is not None else True

    def touch(self, space, page, write):
        """A fault: what the page holds stays as it was."""
        target = space.anon.get(page)
        if target is not None:
            target.entries[space.number, page] = True
        if not write or space.cells[page].shared:
            return
        if target is not None and len(target.entries) == 1:
            target.lazy = False
            return
        holds = self.reads(space, page)
        self.drop(space, page)
        self.enter(space, page, Page(holds))

    def populate(self, space, start, end):
        for page in range(start, end):
            cell = space.cells.get(page)
            if cell and cell.prot != "---" and not (cell.file in self.size and cell.off >= self.size[cell.file]):
                self.touch(space, page, cell.prot[1] == "w")

    def unmap(self, space, start, end):
        for page in range(start, end):
            if space.cells.pop(page, None):
                self.drop(space, page)

    def change(self, event, change):
        """Replaces the cells of the event's range by `change(cell)`; returns the space and the pages."""
        space = self.spaces[event.pid]
        pages = [page for page in range(event.addr // P, -(-(event.addr + event.len) // P)) if page in space.cells]
        for page in pages:
            space.cells[page] = change(space.cells[page])
        return space, pages

    # -- processes

    def join(self, pid, space):
        self.spaces[pid] = space
        space.users += 1

    def leave(self, pid):
        space = self.spaces.pop(pid)
        space.users -= 1
        if not space.users:
            for page in list(space.anon):
                self.drop(space, page)

    def spawn(self, event):
        self.join(event.pid, Space(self.number()))

    def fork(self, event):
        parent, child = self.spaces[event.pid], Space(self.number())
        child.brk = parent.brk
        for page, cell in parent.cells.items():
            if "dontfork" in cell.marks:
                continue
            child.cells[page] = cell._replace(marks=cell.marks - {"locked"})
            if page in parent.anon and "wipeonfork" not in cell.marks:
                target = parent.anon[page]
                self.enter(child, page, target, target.entries[parent.number, page])
        self.join(event.child, child)

    def vfork(self, event):
        self.join(event.child, self.spaces[event.pid])

    clonevm = vfork

    def exec(self, event):
        self.leave(event.pid)
        self.spawn(event)

    def exit(self, event):
        self.leave(event.pid)

    # -- areas

    def mmap(self, event):
        space, start, pages = self.spaces[event.pid], event.addr // P, -(-event.len // P)
        self.unmap(space, start, start + pages)
        shared, file, off = "shared" in event.flags, event.file, event.offset // P
        if shared and file is None:
            file = self.number()
            self.size[file] = pages
        marks = frozenset(event.flags) & {"locked", "special", "growsdown"}
        for i in range(pages):
            at = off + i if file is not None else 0
            space.cells[start + i] = Cell(event.prot, shared, file, at, at, marks)
        if "locked" in marks:
            self.populate(space, start, start + pages)

    def munmap(self, event):
        self.unmap(self.spaces[event.pid], event.addr // P, -(-(event.addr + event.len) // P))

    def mprotect(self, event):
        was = dict(self.spaces[event.pid].cells)
        space, pages = self.change(event, lambda cell: cell._replace(prot=event.prot))
        for page in pages:  # mprotect_fixup: what is locked and becomes writable is faulted in
            old = was[page]
            if "locked" in old.marks and old.prot[1] != "w" and event.prot[1] == "w" and not old.shared:
                self.touch(space, page, True)

    def tail(self, space, last, start, pages):
        """Maps the continuation of a cell."""
        if pages <= 0:
            return
        for i in range(pages):
            off = last.off + i + 1 if last.file is not None else 0
            space.cells[start + i] = last._replace(off=off, shows=off)
        if "locked" in last.marks:
            self.populate(space, start, start + pages)

    def mremap(self, event):
        space, start, new = self.spaces[event.pid], event.addr // P, event.new_addr // P
        old_len, new_len = -(-event.len // P), -(-event.new_len // P)
        if not old_len:
            first = space.cells[start]
            self.unmap(space, new, new + new_len)
            return self.tail(space, first._replace(off=first.off - 1), new, new_len)
        if new_len < old_len:
            self.unmap(space, start + new_len, start + old_len)
        last = space.cells.get(start + old_len - 1)
        if new == start:
            return self.tail(space, last, start + old_len, new_len - old_len)
        kept = min(old_len, new_len)
        if not (self.moves_span_areas and old_len == new_len):
            self.unmap(space, new, new + new_len)
        for i in range(kept):
            cell = space.cells.get(start + i)
            if cell is None:
                continue
            self.unmap(space, new + i, new + i + 1)
            space.cells[new + i] = cell
            target = space.anon.get(start + i)
            if target is not None:
                self.enter(space, new + i, target, self.drop(space, start + i))
            if "dontunmap" in event.flags:
                space.cells[start + i] = cell._replace(marks=cell.marks - {"locked"})
            else:
                del space.cells[start + i]
        self.tail(space, last, new + old_len, new_len - old_len)

    def brk(self, event):
        space = self.spaces[event.pid]
        if space.brk is None:
            space.brk = event.addr
            return
        old, new = -(-space.brk // P), -(-event.addr // P)
        space.brk = event.addr
        self.unmap(space, new, old)
        for page in range(old, new):
            space.cells[page] = Cell("rw-", False, None, 0, 0, frozenset())

    def mlock(self, event):
        space, pages = self.change(event, lambda cell: cell if "special" in cell.marks else
                                   cell._replace(marks=cell.marks | {"locked"}))
        self.populate(space, pages[0], pages[-1] + 1)

    def munlock(self, event):
        self.change(event, lambda cell: cell._replace(marks=cell.marks - {"locked"}))

    def remapfilepages(self, event):
        space = self.spaces[event.pid]
        for i in range(event.len // P):
            page, shows = event.addr // P + i, event.pgoff + i
            cell = space.cells[page]
            space.cells[page] = cell._replace(shows=shows) if self.nonlinear else \
                cell._replace(off=shows, shows=shows, marks=cell.marks & {"locked"})

    # -- pages

    def madvise(self, event):
        def change(cell):
            mark, on = ADVICE.get(event.advice, (None, False))
            return cell._replace(marks=cell.marks | {mark} if on else cell.marks - {mark})

        space, pages = self.change(event, change)
        for page in pages:
            target = space.anon.get(page)
            if event.advice == "dontneed":
                self.drop(space, page)
            elif event.advice == "remove":
                self.held.pop((space.cells[page].file, space.cells[page].off), None)
            elif event.advice in ("populate_read", "populate_write"):
                self.touch(space, page, event.advice == "populate_write")
            elif event.advice == "free" and target is not None:
                if not target.entries[space.number, page]:
                    self.drop(space, page)
                elif len(target.entries) == 1:  # madvise_free_pte_range: shared and in the swap cache it is left alone
                    target.lazy = True
        if event.advice == "pageout":
            self.page_out(target for page in pages for target in [space.anon.get(page)]
                          if target is not None and target.entries[space.number, page] and target.mapcount == 1)

    def read(self, event):
        self.access(event, False)

    def write(self, event):
        self.access(event, True)

    def access(self, event, write):
        space, page = self.spaces[event.pid], event.addr // P
        if page not in space.cells:  # below a stack
            above = min(other for other in space.cells if other > page)
            for grown in range(page, above):
                space.cells[grown] = space.cells[above]
        for page in self.change(event, lambda cell: cell)[1]:
            self.touch(space, page, write)
            if write and page in space.anon:
                space.anon[page].holds = self.line
            elif write:
                self.held[space.cells[page].file, space.cells[page].shows] = self.line

    def reclaim(self, event):
        pass

    def swapout(self, event):
        spaces = self.spaces.values() if event.pid is None else [self.spaces[event.pid]]
        start, end = (0, 1 << 60) if event.addr is None else (event.addr // P, -(-(event.addr + event.len) // P))
        self.page_out({id(target): target for space in spaces for page, target in space.anon.items()
                       if start <= page < end and target.entries[space.number, page]}.values())

    def page_out(self, targets):
        spaces = {space.number: space for space in self.spaces.values()}
        for target in list(targets):
            here = [entry for entry, resident in target.entries.items() if resident]
            if any("locked" in spaces[number].cells[page].marks for number, page in here):
                continue
            for number, page in here:
                if target.lazy:
                    self.drop(spaces[number], page)
                else:
                    target.entries[number, page] = False
