"""A trace that is held in memory: what a replay reads, without a file."""

from collections.abc import Callable, Iterable, Iterator

from ..events import Event, Header


class InMemory:
    """A header and events, iterated like trace.jsonl.Trace as pairs (line number, event); the first event is line 1.

    Memory: the events, which may be iterated as often as wanted.

    >>> from .workloads import generate
    >>> trace = InMemory(*generate("fork_chain", depth=1))
    >>> [(line, type(event).__name__) for line, event in trace][-2:]
    [(6, 'Exit'), (7, 'Reclaim')]
    >>> len(trace), trace.header.arch
    (7, 'x86_64')
    """

    __slots__ = ("path", "header", "rows")

    def __init__(self, header: Header, events: Iterable[Event], name: str = "a trace in memory"):
        self.path, self.header, self.rows = name, header, tuple(enumerate(events, 1))

    def __len__(self):
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, Event]]:
        return iter(self.rows)

    @property
    def events(self) -> list[Event]:
        """The events without their lines."""
        return [event for _, event in self.rows]

    def where(self, wanted: Callable[[Event], bool]) -> "InMemory":
        """The same trace without the events that are not `wanted`; what is left keeps its line numbers.

        >>> from .workloads import generate
        >>> whole = InMemory(*generate("fork_chain", depth=1))
        >>> [line for line, _ in whole.where(lambda event: type(event).__name__ != "Write")]
        [1, 2, 4, 6, 7]
        """
        part = InMemory(self.header, (), self.path)
        part.rows = tuple(row for row in self.rows if wanted(row[1]))
        return part
