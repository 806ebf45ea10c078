"""A row of the table, and how what stands in it is measured: processor time, the least of a few runs."""

import operator
import resource
import subprocess
import time
from dataclasses import dataclass

COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt}
HEAD = ("what", "this project", "the other", "ratio", "target", "met")


@dataclass(frozen=True)
class Row:
    """What was measured: ours and the other's, in `unit`; `target` like "ratio <= 1" or "ours >= 5e6", or none.

    >>> Row("a storm", 3.0, 2.0, "ms", "Linux", "ratio <= 1").cells
    ('a storm', '3 ms', '2 ms (Linux)', '1.5', 'ratio <= 1', 'no')
    """

    what: str
    ours: float
    other: float
    unit: str
    beside: str
    target: str | None = None
    note: str = ""

    @property
    def ratio(self):
        """Ours, in units of the other."""
        return self.ours / self.other

    @property
    def met(self):
        """Whether the target is met, None where there is none."""
        if self.target is None:
            return None
        subject, compare, bound = self.target.split()
        return COMPARE[compare](getattr(self, subject), float(bound))

    @property
    def cells(self):
        """The row's cells as text, in the order of `HEAD`."""
        ours = f"{number(self.ours)} {self.unit}" + (f" {self.note}" if self.note else "")
        return (self.what, ours, f"{number(self.other)} {self.unit} ({self.beside})", number(self.ratio),
                self.target or "", {True: "yes", False: "no", None: ""}[self.met])


def number(value):
    """A number with three digits that count, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def line(cells):
    """Cells as a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def head():
    """The first two lines of the table."""
    return f"{line(HEAD)}\n{line(['---'] * len(HEAD))}"


def seconds(work, runs=3):
    """Processor seconds that `work()` takes in this process, the least of so many runs."""
    taken = []
    for _ in range(runs):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return min(taken)


def seconds_of_program(command, runs=5):
    """Processor seconds that a program takes, start and end included, the least of so many runs."""
    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    taken = []
    for _ in range(runs):
        before = used()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(used() - before)
    return min(taken)
