"""What several tests share: traces in memory, and a machine with its design."""

from rmapmodel.events import Header
from rmapmodel.study.replay import Options, replay
from rmapmodel.trace.memory import InMemory


def in_memory(events, header=None):
    """A trace of these events."""
    return InMemory(header or Header(version=1), events, "memory")


def run(events, strategy="anon_vma_chain", after=None, **options):
    """The Run of a list of events."""
    return replay(in_memory(events), strategy, Options(**options), after=after)
