"""What several tests share: traces in memory, and a machine with its design."""

from rmapmodel.events import Header
from rmapmodel.study.replay import Options, replay


class InMemory:
    """A trace that never was a file."""

    path = "memory"

    def __init__(self, events, header=None):
        self.events, self.header = list(events), header or Header(version=1)

    def __iter__(self):
        return iter(enumerate(self.events, 1))


def run(events, strategy="anon_vma_chain", after=None, **options):
    """The Run of a list of events."""
    return replay(InMemory(events), strategy, Options(**options), after=after)
