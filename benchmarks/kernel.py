"""Against Linux: the same storms by the kernel that runs here (storm.c) and by replay of anon_vma_chain.

The bound: what numpy needs for the page columns alone, a few passes over 20,000 entries a fork and an exit, is a third of
the kernel's time; the rest is Python's for each vma, two AVCs and two tree insertions, about ten microseconds. Moves and
splits touch few pages, and their bound is Python's alone: some twenty calls an event.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from .storms import areas, fork_storm, moves, replayed, splits
from .table import Row


def rows(scale=1.0):
    """The storms; `scale` shrinks what is forked, moved and split."""
    children, areas_moved, pieces = (max(2, round(n * scale)) for n in (200, 1000, 10_000))
    with tempfile.TemporaryDirectory() as folder:
        storm = Path(folder, "storm")
        compiler = shutil.which("gcc") or shutil.which("cc")
        subprocess.run([compiler, "-O2", Path(__file__).with_name("storm.c"), "-o", storm], check=True)

        def linux(*arguments):
            done = subprocess.run([storm, *map(str, arguments)], check=True, capture_output=True)
            return int(done.stdout) / 1e6

        def row(what, target, preparation, events, *arguments):
            preparation, events = list(preparation), list(events)
            # in turn, so that what else the machine does meets both
            taken = [(replayed(preparation, events, runs=1) * 1e3, linux(*arguments)) for _ in range(5)]
            return Row(what, *(min(column) for column in zip(*taken)), "ms", "Linux", target)

        yield row(f"fork storm: {children} children, 64 vmas, 19,968 pages, each writes 100 in a run, all exit",
                  "ratio <= 1", (), fork_storm(children, 64, 312, 100), "fork", children, 64, 312, 100, 0)
        yield row("the same, each writes 100 single pages", None,
                  (), fork_storm(children, 64, 312, 100, single=True), "fork", children, 64, 312, 100, 1)
        for pages in (20, 312):
            yield row(f"{areas_moved:,} mremap moves of areas of {pages} pages", "ratio <= 5",
                      areas(areas_moved, pages), moves(areas_moved, pages), "moves", areas_moved, pages)
        yield row(f"flood of {pieces:,} splits", "ratio <= 20", areas(1, pieces + 1), splits(pieces + 1), "splits", pieces + 1)
