"""Notebook 15, and on traces of any kind."""

import gzip
import random
from pathlib import Path

import pytest

from rmapmodel.events import Fork, Header, Mmap, Mprotect, Mremap, Read, Reclaim, Spawn, Write
from rmapmodel.report.collect import failed_check
from rmapmodel.trace.jsonl import write
from tests.notebooks.notebook import NOTEBOOKS, run, told

FAMILY = Path(__file__).parents[1] / "figures" / "family.jsonl"
PAGE, BASE = 4096, 0x10000000
ANONYMOUS = ["private", "anonymous"]


@pytest.mark.parametrize("cwd", [NOTEBOOKS, NOTEBOOKS.parent], ids=["notebooks", "root"])
def test_your_trace(tmp_path, cwd):
    shown = run("15-your-trace", tmp_path, cwd)
    assert set(shown.figures) == {"fig-trace-timeline", "fig-trace-costs", "fig-trace-objects"}
    assert shown.claims["trace-moves-are-rare"]["measured"] == "1 of 1 moves"
    assert not any(map(failed_check, shown.claims.values()))


def mixed(seed):
    """Writes and reads of a few areas of a few processes that fork, without regard to sense."""
    choose = random.Random(seed)
    yield Spawn(1)
    for area in range(4):
        yield Mmap(1, BASE + area * 64 * PAGE, 16 * PAGE, "rw-", ANONYMOUS)
    for child in range(2, 8):
        yield Fork(choose.randrange(1, child), child)
        for _ in range(10):
            addr = BASE + choose.randrange(4) * 64 * PAGE + choose.randrange(16) * PAGE
            yield choose.choice([Read, Write])(choose.randrange(1, child + 1), addr, PAGE)
    yield Reclaim()


TRACES = {
    "one process": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "rw-", ANONYMOUS), Write(1, BASE, 8 * PAGE)],
    "nothing mapped": [Spawn(1)],
    "nothing resident": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "rw-", ANONYMOUS), Fork(1, 2)],
    "only file pages": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "r--", ["private"], "/bin/true"), Read(1, BASE, 8 * PAGE)],
    "only the zero page": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "rw-", ANONYMOUS), Read(1, BASE, 8 * PAGE)],
    "a move of what is alone": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "rw-", ANONYMOUS), Write(1, BASE, 8 * PAGE),
                                Mprotect(1, BASE, PAGE, "r--"),
                                Mremap(1, BASE + PAGE, PAGE, 2 * BASE, 2 * PAGE, ["maymove"])],
    "a crowd": list(mixed(1)),
}


def claims_of(path, **parameters):
    """The claims of the notebook on a trace."""
    shown = told("15-your-trace", TRACE=str(path), **parameters)
    assert len(shown.figures) == 3
    return shown.claims


@pytest.mark.parametrize("kind", TRACES)
def test_your_trace_of_any_kind(kind, tmp_path):
    path = tmp_path / "t.jsonl"
    write(path, Header(version=1, arch="x86_64", kernel="6.12"), TRACES[kind])
    claims = claims_of(path)
    assert claims["trace-every-mapping"]["holds"]
    assert not any(map(failed_check, claims.values()))


def test_your_trace_with_refusals_compressed_and_under_another_kernel(tmp_path, capsys):
    path = tmp_path / "family.jsonl.gz"
    path.write_bytes(gzip.compress(FAMILY.read_bytes(), mtime=0))
    claims = claims_of(path)
    assert claims["trace-every-mapping"]["measured"] == "11 designs, 40 mappings to 44"
    said = capsys.readouterr().out
    # two vmas of two anon_vmas; and one whose offsets would have met those of what was mapped beside it
    assert "anon_vma_chain: line 13, mremap" in said and "shared_space_unique: line 13, mremap" in said
    claims_of(path, KERNEL="2.6.4", POINTS=3)
