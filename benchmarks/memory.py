"""Memory a present pte, memory of a stream, and how soon the command answers.

The bounds: 21 bytes a pte, 4 of its entry and 17 of its frame's columns (mapcount, anchor, index, flags); a stream of ten
times the events needs no more memory; Python's own start.
"""

import subprocess
import sys

import numpy as np

from rmapmodel.vm.frames import Frames

from .storms import DESIGN, InAFile, page_touches, range_touches, vma_changes
from .table import Row, seconds_of_program

PEAK = f"""
import sys, time
from rmapmodel.study.replay import replay
from rmapmodel.trace.jsonl import read
peak = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
replay(read(sys.argv[1]), {DESIGN!r})
before, started = peak(), time.process_time()
replay(read(sys.argv[2]), {DESIGN!r})
print(before, peak(), time.process_time() - started)
"""


def rows(scale=1.0, large=False):
    """Bytes a pte, streams of three formats and of two kinds, starts; `scale` shrinks pages and events, `large` streams 10^8 of them."""
    pages = max(2, round(8_000 * scale)) * 512
    bare = 4 + sum(np.dtype(kind).itemsize for kind in Frames.columns.values())
    with InAFile(range_touches(512, 512, 1)) as empty, InAFile(range_touches(pages, 512, 1)) as full:
        before, after, _ = peaks(empty, full)
        yield Row(f"peak memory a present pte, {pages:,} pages in ranges of 512", (after - before) / pages, bare,
                  "bytes", "the columns", "ours <= 24")
        for suffix in (".jsonl", ".jsonl.gz", ".jsonl.zst"):
            events = round((100_000_000 if large and suffix == ".jsonl.zst" else 1_000_000) * scale)
            yield stream(f"{events:,} one-page events", suffix, *(page_touches(n, 1000) for n in (events // 10, events)))
        events = round(20_000 * scale) * 10
        yield stream(f"{events:,} changes of vmas", ".jsonl", *(vma_changes(n) for n in (events // 10, events)))
    bare = seconds_of_program([sys.executable, "-c", "pass"])
    for what, arguments, target in (("import rmapmodel", ["-c", "import rmapmodel"], "ours < 0.3"),
                                    ("rmapmodel --help", ["-m", "rmapmodel", "--help"], "ours < 0.2")):
        yield Row(what, seconds_of_program([sys.executable, *arguments]), bare, "s", "python -c pass", target)


def stream(what, suffix, tenth, events):
    """What a stream of events adds to the memory of one of a tenth of them."""
    with InAFile(tenth, suffix) as short, InAFile(events, suffix) as long:
        before, after, taken = peaks(short, long)
        return Row(f"memory of {what} beyond that of a tenth of them, {suffix}", (after - before) / 2**20,
                   long.stat().st_size / 2**20, "MiB", "the file", "ours < 1", f"({taken:.1f} s, {after / 2**20:.0f} MiB in all)")


def peaks(first, second):
    """The peak memory in bytes after a replay of the first trace and after one of the second too, and its seconds."""
    done = subprocess.run([sys.executable, "-c", PEAK, first, second], check=True, capture_output=True, text=True)
    before, after, taken = done.stdout.split()
    return int(before), int(after), float(taken)
