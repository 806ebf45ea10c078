"""Synthetic workloads: the programs that the 2003, 2004 and 2010 arguments were measured with, and our own.

Each is a function that yields events, in the order in which the real program does things, and ends with one `reclaim`
while every process is still there: the programs sleep, and memory pressure comes from elsewhere.
"""

import inspect
import numbers
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, NamedTuple, get_args, get_type_hints

from ..documents import shortened
from ..errors import InputError, hint
from ..events import Brk, Event, Exit, Fork, Header, Mmap, Mprotect, Mremap, Read, Reclaim, Spawn, Swapout, Write

PAGE = 4096
PIDS = 4_194_304  # PID_MAX_LIMIT of a 64-bit kernel
PARENT = 1


class Arch(NamedTuple):
    """An architecture and where its processes map, in bytes: upwards from `base`, below `end`."""

    name: str
    base: int
    end: int


I386 = Arch("i386", 0x40000000, 0xC0000000)  # TASK_UNMAPPED_BASE, where mmap(0) began to search
X86_64 = Arch("x86_64", 0x10000000, 0x7FFFFFFFF000)


class Span(NamedTuple):
    """What a parameter means, with its unit, and the values it may have, ends included."""

    meaning: str
    low: float = 0
    high: float = 1


@dataclass(frozen=True)
class Workload:
    """A registered workload; `kernel` is that of the claim, None for our own, which replay on the default kernel."""

    name: str
    function: Callable[..., Iterator[Event]]
    source: str
    kernel: str | None
    arch: Arch
    parameters: dict[str, tuple[type, object, str]]
    spans: dict[str, Span]

    @property
    def about(self) -> str:
        """The first sentence of the function's docstring."""
        return inspect.getdoc(self.function).splitlines()[0]

    def check(self, values: dict[str, object]) -> dict[str, object]:
        """All parameters, the given values in place of the defaults; raises InputError for an unknown or wrong one."""
        for name in values:
            if name not in self.parameters:
                known = ", ".join(self.parameters)
                raise InputError(f"no such parameter{hint(name, self.parameters)} (it has {known})",
                                 path=self.name, field=name)
        return {name: self._checked(name, values.get(name, default))
                for name, (_, default, _) in self.parameters.items()}

    def _checked(self, name, value):
        kind, low, high = self.parameters[name][0], self.spans[name].low, self.spans[name].high
        if kind is bool:
            if value in (False, True):
                return bool(value)
            wanted = "true or false"
        else:
            accepted = numbers.Real if kind is float else numbers.Integral
            if isinstance(value, accepted) and not isinstance(value, bool) and low <= value <= high:
                return kind(value)
            wanted = f"{'a number' if kind is float else 'an integer'} from {low} to {high}"
        raise InputError(f"{wanted} is wanted, not {shortened(value)}", path=self.name, field=name)


WORKLOADS: dict[str, Workload] = {}


def workload(source: str, kernel: str | None, arch: Arch):
    """Register a function as a workload; its parameters are keyword ones, annotated with a `Span`, with defaults."""
    def register(function):
        hints = get_type_hints(function, include_extras=True)
        signature = inspect.signature(function).parameters
        spans = {name: get_args(hints[name])[1] for name in signature}
        parameters = {name: (get_args(hints[name])[0], signature[name].default, spans[name].meaning)
                      for name in signature}
        name = function.__name__
        WORKLOADS[name] = Workload(name, function, source, kernel, arch, parameters, spans)
        return function
    return register


def named(name: str) -> Workload:
    """The workload of that name; raises InputError with the nearest right name otherwise."""
    if name not in WORKLOADS:
        raise InputError(f"no such workload{hint(name, WORKLOADS)} (there are {', '.join(WORKLOADS)})", path=name)
    return WORKLOADS[name]


def generate(name: str, **params) -> tuple[Header, Iterator[Event]]:
    """The header and the events of a workload, every parameter checked before the first event is made.

    Raises InputError for an unknown workload or parameter, a wrong type, or a value out of range. Memory: none to
    speak of, the events are made as they are asked for. Equal parameters give equal events.

    >>> header, events = generate("test_mmap2", cache_pages=20, forks=1)
    >>> header.kernel, header.arch
    ('2.6.4', 'i386')
    >>> [type(event).__name__ for event in events][-3:]
    ['Write', 'Fork', 'Reclaim']
    """
    chosen = named(name)
    values = chosen.check(params)
    try:
        events = chosen.function(**values)
        first = next(events)
    except InputError as error:
        raise InputError(error.reason, path=name, field=error.field) from None
    command = " ".join(["rmapmodel generate", name, *(f"-p {key}={value}" for key, value in values.items())])
    header = Header(version=1, arch=chosen.arch.name, kernel=chosen.kernel, source=f"{chosen.source}; {command}")
    return header, chain([first], events)


class Synthetic:
    """A workload as a trace that is made anew each time it is iterated, as pairs (line number, event) from line 1.

    Raises InputError as `generate` does. Memory: none to speak of.

    >>> trace = Synthetic("fork_chain", depth=1)
    >>> [(line, type(event).__name__) for line, event in trace][-2:]
    [(6, 'Exit'), (7, 'Reclaim')]
    """

    __slots__ = ("path", "header", "parameters")

    def __init__(self, name: str, **parameters):
        self.path, self.parameters = name, parameters
        self.header, _ = generate(name, **parameters)

    def __iter__(self) -> Iterator[tuple[int, Event]]:
        return enumerate(generate(self.path, **self.parameters)[1], 1)


def parse_params(pairs: Iterable[str]) -> dict[str, int | float | bool | str]:
    """The parameters written as `key=value`; raises InputError for another form and for a key given twice.

    >>> parse_params(["pages=1_000", "moved=0.5", "exits=no"])
    {'pages': 1000, 'moved': 0.5, 'exits': False}
    """
    params = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise InputError(f"key=value is wanted, not {pair!r}", field="-p")
        if key in params:
            raise InputError("given twice", field=key)
        params[key] = _value(text)
    return params


def _value(text):
    words = {"true": True, "yes": True, "false": False, "no": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _fit(pages, arch, field):
    """Raise InputError unless a process of this architecture has room for that many pages."""
    room = (arch.end - arch.base) // PAGE
    if pages > room:
        raise InputError(f"the areas need {pages} pages, an {arch.name} process has room for {room}", field=field)


Cache = Annotated[int, Span("pages of the file; nine tenths of them are mapped", 2, 500_000)]
Forks = Annotated[int, Span("nested forks, each of which doubles the number of processes", 0, 16)]
Vmas = Annotated[int, Span("areas that the parent maps", 1, 500_000)]
VmaPages = Annotated[int, Span("pages of each area", 1, 500_000)]
Pages = Annotated[int, Span("pages of the area", 1, 2**31)]
Children = Annotated[int, Span("children that the parent forks", 0, PIDS - 1)]
Passes = Annotated[int, Span("passes that each child makes", 0, 1_000_000)]


@workload("test-mmap.c, Ingo Molnar, 9 March 2004, https://lore.kernel.org/lkml/20040309105226.GA2863@elte.hu/",
          "2.6.4", I386)
def test_mmap(*, cache_pages: Cache = 20000) -> Iterator[Event]:
    """One process maps a file in /dev/shm page by page, backwards, and writes every page.

    The program maps the window in one piece, then puts a one-page MAP_SHARED|MAP_FIXED mapping over each of its pages
    in ascending order, file page `window - i` at page i, so that no two neighbours merge. It writes a byte of each
    right after mapping it, and sleeps. The write(2) that fills the file before maps nothing and is left out. Cost: two
    events a page.

    >>> [event.offset // PAGE for event in test_mmap(cache_pages=4) if isinstance(event, Mmap)]
    [0, 3, 2, 1]
    """
    return _test_mmap(cache_pages, 0)


@workload("test-mmap2.c, Ingo Molnar, 9 March 2004, https://lore.kernel.org/lkml/20040309110233.GA3819@elte.hu/",
          "2.6.4", I386)
def test_mmap2(*, cache_pages: Cache = 2000, forks: Forks = 5) -> Iterator[Event]:
    """A tenth of test_mmap's pages, mapped and written alike; then five nested forks make 32 processes.

    Each fork() of the program is executed by every process that those before it made; here in the order of the pids.
    Cost: two events a page, one a process.

    >>> [(event.pid, event.child) for event in test_mmap2(cache_pages=2, forks=2) if isinstance(event, Fork)]
    [(1, 2), (1, 3), (2, 4)]
    """
    return _test_mmap(cache_pages, forks)


@workload("test-mmap3.c, Ingo Molnar, 9 March 2004, https://lore.kernel.org/lkml/20040309193338.GA15865@elte.hu/",
          "2.6.4", I386)
def test_mmap3(*, cache_pages: Cache = 20000, forks: Forks = 5) -> Iterator[Event]:
    """The pages of test_mmap and the processes of test_mmap2: 18000 mappings in each of 32.

    Cost: two events a page, one a process.

    >>> sum(isinstance(event, Fork) for event in test_mmap3(cache_pages=20))
    31
    """
    return _test_mmap(cache_pages, forks)


def _test_mmap(cache_pages, forks):
    window = cache_pages * 9 // 10
    data, name = I386.base, f"/dev/shm/cache{PARENT}"
    yield Spawn(PARENT)
    yield Mmap(PARENT, data, window * PAGE, "rw-", ["shared"], name)
    for i in range(window):
        yield Mmap(PARENT, data + i * PAGE, PAGE, "rw-", ["shared", "fixed"], name, (window - i) * PAGE)
        yield Write(PARENT, data + i * PAGE, PAGE)
    for nested in range(forks):
        processes = 1 << nested
        yield from (Fork(pid, pid + processes) for pid in range(PARENT, PARENT + processes))
    yield Reclaim()


_RMAP_TEST = ("rmap-test.c, Andrew Morton, https://www.kernel.org/pub/linux/kernel/people/mbligh/tools/rmap-test.c, "
              "run {} in https://lore.kernel.org/lkml/20030405040614.66511e1e.akpm@digeo.com/ of 5 April 2003")


@workload(_RMAP_TEST.format("-l -i 10 -n 100 -s 600 -t 100"), "2.5.66", I386)
def rmap_test_1(*, vmas: Vmas = 100, pages: VmaPages = 600, children: Children = 100,
                passes: Passes = 10) -> Iterator[Event]:
    """100 children write all pages of 100 inherited mappings of a file, in order, ten times.

    Read in rmap-test.c: main() maps a page for the number of its children, shared and anonymous; then the file,
    `vmas` (-n) times `pages` (-s) pages, MAP_SHARED, leaving out a page of the file after each; writes every page;
    writes that number; forks the children (-t), who map nothing themselves; and waits, its own mappings in place, so
    that one process more than -t maps each page. Inferred: that mmap(0) puts each mapping right behind the one before,
    as kernels of the time did, and that the children take turns, a pass each; in truth they run at once. The reclaim
    comes after the last pass (-i), before the children exit. -v only prints, msync changes no mapping.
    Raises InputError if the mappings do not fit into an i386 process. Cost: vmas * (2 + children * passes) events.

    >>> events = list(rmap_test_1(vmas=2, pages=3, children=1, passes=1))
    >>> [(event.offset // PAGE, event.len // PAGE) for event in events if isinstance(event, Mmap) and event.file]
    [(0, 3), (4, 3)]
    """
    return _rmap_test(vmas, pages, children, passes, _linear)


@workload(_RMAP_TEST.format("-vv -V 2 -r -i 1 -n 100 -s 600 -t 100"), "2.5.66", I386)
def rmap_test_2(*, vmas: Vmas = 100, pages: VmaPages = 600, children: Children = 100, passes: Passes = 1,
                vmas_to_do: Annotated[int, Span("a pass writes this many times `pages` pages", 0, 500_000)] = 2,
                seed: Annotated[int, Span("seed of the random choices", 0, 2**63 - 1)] = 1) -> Iterator[Event]:
    """100 children each write 1200 random pages of 100 inherited mappings of a file.

    As rmap_test_1, but in a pass (-i) a child chooses `vmas_to_do` (-V) times `pages` times a mapping and a page of
    it, and writes that. The program seeds rand() with pid and time; here one generator with `seed` serves all.
    Raises InputError if the mappings do not fit into an i386 process. Cost: children * passes * vmas_to_do * pages
    events.

    >>> events = list(rmap_test_2(vmas=5, pages=3, children=4, passes=1, vmas_to_do=2))
    >>> sum(isinstance(event, Write) and event.pid != PARENT for event in events)
    24
    """
    choose = random.Random(seed).randrange

    def touches(addresses):
        for _ in range(vmas_to_do * pages):
            yield addresses[choose(vmas)] + choose(pages) * PAGE, PAGE
    return _rmap_test(vmas, pages, children, passes, touches)


@workload(_RMAP_TEST.format("-v -l -i 10 -n 10000 -s 7 -t 1"), "2.5.66", I386)
def rmap_test_3(*, vmas: Vmas = 10000, pages: VmaPages = 7, children: Children = 1,
                passes: Passes = 10) -> Iterator[Event]:
    """One child writes all pages of 10000 inherited mappings of a file, in order, ten times.

    As rmap_test_1. Raises InputError if the mappings do not fit into an i386 process. Cost: vmas * (2 + children *
    passes) events.

    >>> sum(isinstance(event, Mmap) for event in rmap_test_3(passes=0))
    10001
    """
    return _rmap_test(vmas, pages, children, passes, _linear)


def _rmap_test(vmas, pages, children, passes, touches):
    _fit(1 + vmas * pages, I386, "vmas")
    counter, size = I386.base, pages * PAGE
    areas = range(counter + PAGE, counter + PAGE + vmas * size, size)
    pids = range(PARENT + 1, PARENT + 1 + children)
    yield Spawn(PARENT)
    yield Mmap(PARENT, counter, PAGE, "rw-", ["shared", "anonymous"])
    for i, addr in enumerate(areas):
        yield Mmap(PARENT, addr, size, "rw-", ["shared"], "foo", i * (size + PAGE))
    yield from (Write(PARENT, addr, size) for addr in areas)
    yield Write(PARENT, counter, PAGE)
    yield from (Fork(PARENT, pid) for pid in pids)
    for _ in range(passes):
        for pid in pids:
            yield from (Write(pid, addr, length) for addr, length in touches(areas))
    yield Reclaim()


def _linear(areas):
    return ((addr, areas.step) for addr in areas)


@workload("example of 5beb49305251 (mm: change anon_vma linking to fix multi-process server scalability issue), "
          "Rik van Riel, January 2010, https://git.kernel.org/linus/5beb49305251e5669852ed541e8e2f2f7696c53e",
          "2.6.33", X86_64)
def thousand_children(*, children: Children = 1000, pages: Pages = 1000) -> Iterator[Event]:
    """A parent writes 1000 anonymous pages and forks 1000 children, each of which writes them all.

    Before 2.6.34 a million pages, each mapped once, then hang off one anon_vma with 1001 vmas. All children are forked
    before the first of them writes. Cost: two events a child, children * pages pages when replayed.

    >>> [type(event).__name__ for event in thousand_children(children=2, pages=1)]
    ['Spawn', 'Mmap', 'Write', 'Fork', 'Fork', 'Write', 'Write', 'Reclaim']
    """
    size = pages * PAGE
    pids = range(PARENT + 1, PARENT + 1 + children)
    yield from _written_area(pages)
    yield from (Fork(PARENT, pid) for pid in pids)
    yield from (Write(pid, X86_64.base, size) for pid in pids)
    yield Reclaim()


@workload("our own: a prefork server", None, X86_64)
def fork_server(*, children: Children = 64, vmas: Vmas = 200, pages: VmaPages = 16,
                written: Annotated[int, Span("pages of each area that a child writes", 0, 500_000)] = 4,
                ) -> Iterator[Event]:
    """A parent fills many private anonymous areas and forks children that each write the first pages of every area.

    A page is left free between areas, so that none merge. All children are forked before the first of them writes.
    Raises InputError if `written` exceeds `pages` or the areas do not fit. Cost: vmas * (2 + children) events.

    >>> [event.len // PAGE for event in fork_server(children=1, vmas=2, pages=8, written=3) if isinstance(event, Write)]
    [8, 8, 3, 3]
    """
    if written > pages:
        raise InputError(f"a child can write no more than the {pages} pages of an area, not {written}", field="written")
    _fit(vmas * (pages + 1), X86_64, "vmas")
    step = (pages + 1) * PAGE
    areas = range(X86_64.base, X86_64.base + vmas * step, step)
    pids = range(PARENT + 1, PARENT + 1 + children)
    yield Spawn(PARENT)
    for addr in areas:
        yield _anonymous(addr, pages)
        yield Write(PARENT, addr, pages * PAGE)
    yield from (Fork(PARENT, pid) for pid in pids)
    if written:
        yield from (Write(pid, addr, written * PAGE) for pid in pids for addr in areas)
    yield Reclaim()


@workload("our own: Martin Bligh's comparison of anonmm and anon_vma stood without swap; one with it was to follow and is not "
          "found, https://lore.kernel.org/lkml/24560000.1080143798@%5B10.10.2.4%5D/ of 24 March 2004", None, X86_64)
def swap_pressure(*, children: Children = 32, pages: Pages = 500,
                  written: Annotated[int, Span("pages that each child writes, from the start of the area", 0, 500_000)] = 100,
                  back: Annotated[int, Span("pages that each process reads back in a round", 1, 500_000)] = 50,
                  rounds: Annotated[int, Span("times that everything is swapped out", 1, 10_000)] = 10) -> Iterator[Event]:
    """A parent and its children under memory pressure: all is swapped out, each reads some pages back, again and again.

    In each round the pages read back are the next ones of the area, which begins again at its end. Raises InputError if
    `written` or `back` exceeds `pages`. Cost: rounds * (2 + children) events.

    >>> [type(event).__name__ for event in swap_pressure(children=1, pages=4, written=2, back=2, rounds=1)]
    ['Spawn', 'Mmap', 'Write', 'Fork', 'Write', 'Swapout', 'Read', 'Read', 'Reclaim']
    """
    for field, value in (("written", written), ("back", back)):
        if value > pages:
            raise InputError(f"a process has {pages} pages, not {value}", field=field)
    area = _written_area(pages)
    pids = range(PARENT, PARENT + 1 + children)
    yield from area
    yield from (Fork(PARENT, pid) for pid in pids[1:])
    if written:
        yield from (Write(pid, X86_64.base, written * PAGE) for pid in pids[1:])
    for turn in range(rounds):
        yield Swapout()
        first = turn * back % (pages - back + 1)
        yield from (Read(pid, X86_64.base + first * PAGE, back * PAGE) for pid in pids)
    yield Reclaim()


@workload("our own, after Andrea Arcangeli's \"mremap doesn't work\", 12 March 2004, quoted in "
          "https://lore.kernel.org/lkml/Pine.LNX.4.44.0403120736420.3576-100000@chimarrao.boston.redhat.com/",
          None, X86_64)
def mremap_inherited(*, processes: Annotated[int, Span("processes, the parent included", 1, PIDS)] = 32,
                     pages: Pages = 1000,
                     moved: Annotated[float, Span("fraction of the area that each child moves")] = 0.5,
                     shared: Annotated[float, Span("fraction of the pages that no child writes")] = 0.5,
                     ) -> Iterator[Event]:
    """A parent fills an area; each child writes a part of what it inherited, then moves a part with mremap.

    The first round(pages * moved) pages move, each child's to a place of its own. Of the moved pages as of the others
    the first round(n * shared) stay shared; a child writes the rest before it moves anything. All children are forked
    before the first of them writes. Raises InputError if the places do not fit. Cost: four events a child.

    >>> [(event.addr < event.new_addr, event.flags) for event in mremap_inherited(processes=2) if type(event) is Mremap]
    [(True, ['maymove', 'fixed'])]
    """
    moving = round(pages * moved)
    _fit(pages + 1 + (processes - 1) * (moving + 1), X86_64, "processes")
    base = X86_64.base
    parts = [(base, moving), (base + moving * PAGE, pages - moving)]
    target = base + (pages + 1) * PAGE
    pids = range(PARENT + 1, PARENT + processes)
    yield from _written_area(pages)
    yield from (Fork(PARENT, pid) for pid in pids)
    for pid in pids:
        for start, size in parts:
            keep = round(size * shared)
            if keep < size:
                yield Write(pid, start + keep * PAGE, (size - keep) * PAGE)
        if moving:
            yield Mremap(pid, base, moving * PAGE, target, moving * PAGE, ["maymove", "fixed"])
            target += (moving + 1) * PAGE
    yield Reclaim()


@workload("our own, after \"a large chain of stale addresses\", Hugh Dickins' comment in anobjrmap 5/6, 20 March 2003, "
          "https://lore.kernel.org/lkml/Pine.LNX.4.44.0303202316020.2743-100000@localhost.localdomain/", None, X86_64)
def mremap_repeated(*, processes: Annotated[int, Span("processes, the parent included", 1, PIDS)] = 4,
                    pages: Pages = 64, moves: Annotated[int, Span("times that each child moves the area", 0, 1_000_000)] = 16,
                    places: Annotated[int, Span("places of its own that a child moves to before it comes back", 1, 1_000_000)]
                    = 1_000_000) -> Iterator[Event]:
    """Each child moves the whole area that it inherited, again and again, and nobody writes.

    In each round every child moves once: to the next of its places and after the last of them back to where the area was
    inherited, so that with as many places as moves no address repeats, and with one it goes out and back. Raises
    InputError if the places do not fit. Cost: an event a move.

    >>> [event.new_addr for event in mremap_repeated(processes=2, pages=1, moves=3, places=1) if type(event) is Mremap]
    [268443648, 268435456, 268443648]
    """
    places, step = min(places, max(1, moves)), (pages + 1) * PAGE
    _fit((pages + 1) * (1 + (processes - 1) * places), X86_64, "processes")
    pids = range(PARENT + 1, PARENT + processes)
    yield from _written_area(pages)
    yield from (Fork(PARENT, pid) for pid in pids)

    def place(child, turn):
        """Where a child has the area after so many moves; place 0 is where it was inherited."""
        at = turn % (places + 1)
        return X86_64.base + step * (at and child * places + at)

    for turn in range(moves):
        yield from (Mremap(pid, place(child, turn), pages * PAGE, place(child, turn + 1), pages * PAGE, ["maymove", "fixed"])
                    for child, pid in enumerate(pids))
    yield Reclaim()


@workload("our own, after Daniel Forrest, Repeated fork() causes SLAB to grow without bound, August 2012, "
          "https://lore.kernel.org/lkml/20120816024610.GA5350@evergreen.ssec.wisc.edu/", None, X86_64)
def fork_chain(*, depth: Annotated[int, Span("generations of children", 0, PIDS - 1)] = 100,
               exits: Annotated[bool, Span("whether a parent exits once its child has written")] = True,
               pages: Pages = 16) -> Iterator[Event]:
    """A process forks a child that writes the inherited pages and forks the next, generation after generation.

    Each child writes every page while its parent still lives, so that each page is copied; with `exits` the parent
    exits then. Cost: three events a generation.

    >>> [type(event).__name__ for event in fork_chain(depth=1)][3:]
    ['Fork', 'Write', 'Exit', 'Reclaim']
    """
    yield from _written_area(pages)
    for pid in range(PARENT, PARENT + depth):
        yield Fork(pid, pid + 1)
        yield Write(pid + 1, X86_64.base, pages * PAGE)
        if exits:
            yield Exit(pid)
    yield Reclaim()


@workload("our own, after Konstantin Khlebnikov's bound on anon_vmas, commit 7a3ef208e662 (mm: prevent endless growth of anon_vma "
          "hierarchy), https://git.kernel.org/linus/7a3ef208e662f4b63d43a23f61a64a129c525bbc", None, X86_64)
def fork_tree(*, forks: Annotated[int, Span("forks in all", 0, PIDS - 1)] = 100,
              alive: Annotated[int, Span("most processes at a time", 2, PIDS)] = 16,
              pages: Annotated[int, Span("pages of the area", 1, 500_000)] = 6,
              seed: Annotated[int, Span("seed of the random choices", 0, 2**63 - 1)] = 1) -> Iterator[Event]:
    """Processes that inherit one area fork, write a page of it or exit, at random, until so many were forked.

    A fork is drawn 45 times of 100, a write 35, an exit 20; a fork with `alive` processes there and an exit of the last
    one are not done. Cost: about two events a fork.

    >>> events = list(fork_tree(forks=20, alive=4))
    >>> sum(isinstance(event, Fork) for event in events)
    20
    """
    draw, living, born = random.Random(seed), [PARENT], PARENT
    yield from _written_area(pages)
    while born <= forks:
        what, pid = draw.random(), draw.choice(living)
        if what < 0.45 and len(living) < alive:
            born += 1
            living.append(born)
            yield Fork(pid, born)
        elif 0.45 <= what < 0.8:
            yield Write(pid, X86_64.base + draw.randrange(pages) * PAGE, PAGE)
        elif what >= 0.8 and len(living) > 1:
            living.remove(pid)
            yield Exit(pid)
    yield Reclaim()


@workload("our own, after the flood of splits that Michel Lespinasse's bf181b9f9d8d (October 2012) is about, "
          "https://git.kernel.org/linus/bf181b9f9d8dfbba58b23441ad60d0bc33806d64", None, X86_64)
def split_flood(*, pieces: Annotated[int, Span("vmas that the area is split into, a page each", 1, 2**31)] = 2000,
                children: Children = 32) -> Iterator[Event]:
    """A parent fills an area, makes every other page of it read-only, and forks children that inherit the pieces.

    The pieces share what the whole area hung off; each page lies in one of them. Cost: half an event a piece, one a
    child.

    >>> [(event.addr - X86_64.base) // PAGE for event in split_flood(pieces=6) if isinstance(event, Mprotect)]
    [1, 3, 5]
    """
    yield from _written_area(pieces)
    yield from (Mprotect(PARENT, X86_64.base + page * PAGE, PAGE, "r--") for page in range(1, pieces, 2))
    yield from (Fork(PARENT, pid) for pid in range(PARENT + 1, PARENT + 1 + children))
    yield Reclaim()


@workload("our own, after the four kinds of page that 2.9 of the project's record of the thread tells apart; Andrea Arcangeli, "
          "13 March 2004, https://lore.kernel.org/lkml/20040313173348.GI30940@dualathlon.random/", None, X86_64)
def page_origins(*, children: Children = 31,
                 pages: Annotated[int, Span("pages of each origin in a process", 1, 100_000)] = 1,
                 keeper: Annotated[int, Span("the child that keeps the first part, 1 is the eldest", 1, PIDS - 1)] = 1,
                 ) -> Iterator[Event]:
    """Pages of every origin in one family: shared since before fork, copied in a child, of a new area, of a grown heap.

    The parent writes a heap of three parts; each child copies the second, maps and writes an area, and grows its heap by
    a fourth part. All children but the `keeper` copy the first part too. PAGE_ORIGINS says where what lies. All are
    forked before the first of them writes. Raises InputError if there is no such child. Cost: six events a child.

        parent    [0 1 2]             0: left to two    2: shared by all    1 in the parent: left to it
        child     [0 1'2 3]   [8]     1': copied        3: of the grown heap               8: of a new area

    >>> kinds = [type(event).__name__ for event in page_origins(children=1)]
    >>> " ".join(kinds)
    'Spawn Brk Brk Write Fork Write Mmap Write Brk Write Reclaim'
    """
    if keeper > max(1, children):
        raise InputError(f"there are {children} children", field="keeper")
    part = pages * PAGE
    heap, area = X86_64.base, X86_64.base + 8 * part
    pids = range(PARENT + 1, PARENT + 1 + children)
    yield from (Spawn(PARENT), Brk(PARENT, heap), Brk(PARENT, heap + 3 * part), Write(PARENT, heap, 3 * part))
    yield from (Fork(PARENT, pid) for pid in pids)
    for pid in pids:
        yield Write(pid, heap + part, part)
        yield Mmap(pid, area, part, "rw-", ["private", "anonymous"])
        yield from (Write(pid, area, part), Brk(pid, heap + 4 * part), Write(pid, heap + 3 * part, part))
        if pid != PARENT + keeper:
            yield Write(pid, heap, part)
    yield Reclaim()


PAGE_ORIGINS = {
    "shared by all": (PARENT, 2), "left to two": (PARENT, 0), "left to the parent": (PARENT, 1),
    "copied in a child": (PARENT + 1, 1), "new area of a child": (PARENT + 1, 8), "grown heap of a child": (PARENT + 1, 3)}
"""Where page_origins has the pages of each origin: (pid, part); `children` from pid on have theirs at the same place."""


def _written_area(pages):
    """The parent starts, maps one private anonymous area and writes all of it."""
    yield Spawn(PARENT)
    yield _anonymous(X86_64.base, pages)
    yield Write(PARENT, X86_64.base, pages * PAGE)


def _anonymous(addr, pages):
    return Mmap(PARENT, addr, pages * PAGE, "rw-", ["private", "anonymous"])
