"""Inputs meant to take all memory or all time: each in a process of its own, held to a second or ten times a good input.

Every one is under 10 MB as it comes and runs with --max-memory 512M; none may take 1 GB. `-s` prints what each took.
"""

import gzip
import json
import os
import subprocess
import sys
import zlib

import pytest
import zstandard

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPAWN = b'{"op":"spawn","pid":1}\n'
AREA = b'{"op":"mmap","pid":1,"addr":"0x100000","len":%s,"prot":"rw-","flags":["private","anonymous"]}\n'
NOTEBOOK = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}


def good(size):
    """A trace of about so many bytes in which nothing is wrong: forks that exit."""
    pair = b'{"op":"fork","pid":1,"child":2}\n{"op":"exit","pid":2}\n'
    return SPAWN + pair * (size // len(pair))


def fork_bomb(pids):
    return SPAWN + AREA % b"4096" + b"".join(b'{"op":"fork","pid":%d,"child":%d}\n' % (n // 2 + 1, n + 2) for n in range(pids))


def writes(size):
    return SPAWN + AREA % str(size).encode() + b'{"op":"write","pid":1,"addr":"0x100000","len":%d}\n' % size


def bomb(compressor, byte, size):
    piece = byte * (1 << 20)
    return b"".join([*(compressor.compress(piece) for _ in range(size >> 20)), compressor.flush()])


def nested(opening, closing, depth):
    return opening * depth + closing * depth


def log(*lines):
    return b"".join(b"1 1700000000.%06d %s\n" % (n, line) for n, line in enumerate(lines))


CASES = {  # name: (what the file is called, its bytes, exit status, what is said)
    "an mmap of 2^60 bytes": ("t.jsonl", lambda: SPAWN + AREA % str(1 << 60).encode(), 2, "beyond user memory"),
    "a write of 2^46 bytes": ("t.jsonl", lambda: writes(1 << 46), 2, "--max-memory"),
    "a write of 2^40 bytes": ("t.jsonl", lambda: writes(1 << 40), 2, "--max-memory"),
    "a fork bomb of 10^6 pids": ("t.jsonl.gz", lambda: gzip.compress(fork_bomb(10 ** 6), 1), 2, "--max-memory"),
    "5,000 files with long names": ("t.jsonl.gz", lambda: gzip.compress(SPAWN + b"".join(
        (AREA % b"4096").replace(b'"anonymous"]', b'"noreserve"],"file":"%d%s"' % (n, b"x" * 200_000))
        + b'{"op":"munmap","pid":1,"addr":"0x100000","len":4096}\n' for n in range(5_000)), 1), 2, "--max-memory"),
    "a bomb of gzip": ("t.jsonl.gz", lambda: bomb(zlib.compressobj(9, wbits=31), b"\x00", 1 << 30), 2, "longer than 1 MiB"),
    "a bomb of zstd": ("t.jsonl.zst", lambda: bomb(zstandard.ZstdCompressor().compressobj(), b" ", 1 << 30), 2, "longer than 1 MiB"),
    "a bomb of blank lines": ("t.jsonl.gz", lambda: bomb(zlib.compressobj(6, wbits=31), b"\n", 1 << 28), 2, "the line is blank"),
    "a line of 100 MB": ("t.jsonl", lambda: SPAWN + b'{"op":"' + b"x" * (100 << 20), 2, "longer than 1 MiB"),
    "deep JSON": ("t.jsonl", lambda: nested(b"[", b"]", 400_000), 2, "nests too deeply"),
    "NaN": ("t.jsonl", lambda: SPAWN + AREA % b"NaN", 2, "not JSON"),
    "an infinite length": ("t.jsonl", lambda: SPAWN + AREA % b"1e999", 2, "t.jsonl:2"),
    "an integer of a megabyte": ("t.jsonl", lambda: SPAWN + AREA % (b"9" * 1_000_000), 2, "t.jsonl:2"),
    "a key given twice": ("t.jsonl", lambda: b'{"op":"spawn","pid":1,"pid":2}\n', 0, ""),  # the last one counts, as in JSON
    "an address that wraps": ("t.jsonl", lambda: SPAWN + (AREA % b"8192").replace(b"0x100000", b"0xfffffffffffff000"), 2, "addr"),
    "a length that wraps": ("t.jsonl", lambda: SPAWN + AREA % b'"0x7fffffffffffffff"', 2, "len"),
    "an offset that wraps": ("t.jsonl", lambda: SPAWN + (AREA % b"4096").replace(
        b'"anonymous"]', b'"noreserve"],"file":"f","offset":9223372036854771712'), 0, ""),  # files have no end
    "a pid used again": ("t.jsonl", lambda: SPAWN + b'{"op":"fork","pid":1,"child":2}\n' * 2, 2, "already exists"),
    "a touch after exit": ("t.jsonl", lambda: SPAWN + AREA % b"4096" + b'{"op":"exit","pid":1}\n{"op":"read","pid":1,"addr":"0x100000","len":1}\n',
                           2, "does not exist"),
    "a file called <script>": ("t.jsonl", lambda: SPAWN + (AREA % b"4096").replace(
        b'"anonymous"]', b'"noreserve"],"file":"<script>alert(1)</script>"'), 0, ""),
    "a strace line of 100 MB": ("log", lambda: log(b"brk(NULL) = 0x1000") + b"1 1700000001.0 " + b"x" * (100 << 20), None, ""),
    "strace: 200,000 processes": ("log", lambda: b"".join(
        b"%d 1700000000.000001 brk(NULL) = 0x1000\n" % n for n in range(1, 200_000)), None, ""),
    "strace: 10^5 unfinished calls": ("log", lambda: b"".join(
        b"%d 1700000000.000001 mmap(NULL, 4096 <unfinished ...>\n" % n for n in range(1, 100_000)), None, ""),
    "strace: brk of 2^60": ("log", lambda: log(b"brk(NULL) = 0x1000", b"brk(0x1000000000000000) = 0x1000000000000000"), None, ""),
    "a perf line of 100 MB": ("log.perf", lambda: b"sh 1 1700000000.000001: " + b"x" * (100 << 20), None, ""),
    "perf: 10^5 threads": ("log.perf", lambda: b"".join(
        b"sh %d 1700000000.%06d: PERF_RECORD_FORK(%d:%d):(%d:%d)\n" % (n, n, n + 1, n + 1, n, n) for n in range(1, 100_000)), None, ""),
    "deep YAML": ("p.yml", lambda: nested(b"[", b"]", 100_000), 2, "nests too deeply"),
    "YAML that makes much of little": ("p.yml", lambda: b"a0: &a0 [x, x]\n" + b"".join(
        b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60)), 2, "aliases are not read"),
    "YAML with a key twice": ("p.yml", lambda: b"'01-figure': {PAGES: 3, PAGES: 4}\n", 2, "given twice"),
    "YAML that would be code": ("p.yml", lambda: b"'01-figure': !!python/object/apply:os.system ['touch pwned']\n", 2, "not YAML"),
    "YAML with NaN": ("p.yml", lambda: b"'01-figure': {SHARE: .nan}\n", 2, "declared type float"),
    "YAML of 9 MB": ("p.yml", lambda: b"a: [" + b"1, " * 3_000_000 + b"1]", 2, "longer than 1 MiB"),
    "YAML of one long number": ("p.yml", lambda: b"'01-figure': {PAGES: " + b"9" * 100_000 + b"}", 2, "not YAML"),
    "a notebook that is deep": ("n.ipynb", lambda: nested(b"[", b"]", 400_000), 2, "not a Jupyter notebook"),
    "a notebook whose source is a number": ("n.ipynb", lambda: json.dumps(
        {**NOTEBOOK, "cells": [{"cell_type": "code", "metadata": {}, "source": 3}]}).encode(), 2, "not a Jupyter notebook"),
    "a notebook of deep parameters": ("n.ipynb", lambda: json.dumps({**NOTEBOOK, "cells": [
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "A: list[int] = " + "[" * 5000}]}).encode(), 2, "not Python"),
}


def command(name):
    if name == "log":
        return ["import", "strace", name]
    if name == "log.perf":
        return ["import", "strace", os.path.join(ROOT, "tests/trace/logs/sh-true-2.strace"), "--perf", name, "-o", "t.jsonl"]
    if name == "p.yml":
        return ["report", os.path.join(ROOT, "tests/report/notebooks/01-figure.ipynb"), "-y", name]
    if name == "n.ipynb":
        return ["report", name]
    return ["replay", name, "--strategy", "anon_vma_chain", "--max-memory", "512M"]


LAUNCH = """
import json, resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "rmapmodel", *sys.argv[1:]], capture_output=True, errors="replace")
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, done.stderr, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10]))
"""


def measured(arguments, folder):
    """(exit status, stderr, processor seconds, bytes at the peak) of a command in a folder.

    A small process starts it: Linux counts what the starter of a program has in memory as the program's peak.
    """
    told = subprocess.run([sys.executable, "-c", LAUNCH, *arguments], cwd=folder, stdout=subprocess.PIPE, check=True,
                          env={**os.environ, "PYTHONPATH": ROOT}, timeout=300)
    return json.loads(told.stdout)


@pytest.fixture(scope="module")
def pace(tmp_path_factory):
    """Processor seconds that a good trace of 1 MB takes here, and a trace of nothing."""
    folder = tmp_path_factory.mktemp("good")
    taken = []
    for size in (0, 1 << 20):
        (folder / "t.jsonl").write_bytes(good(size))
        status, said, seconds, _ = measured(command("t.jsonl"), folder)
        assert status == 0, said
        taken.append(seconds)
    return taken


@pytest.mark.parametrize("case", CASES)
def test_hostile(case, tmp_path, pace):
    name, make, expected, part = CASES[case]
    data = make()
    (tmp_path / name).write_bytes(data)
    status, said, seconds, peak = measured(command(name), tmp_path)
    print(f"hostile: {case}: exit {status}, {seconds:.1f} s, {peak >> 20} MiB at the peak")
    assert status == expected if expected is not None else status in (0, 2), said
    assert "Traceback" not in said and part in said
    if status:
        assert said.startswith("rmapmodel: error: ") and said.count("\n") == 1 and len(said) < 1500
    assert peak < 1 << 30
    bare, for_a_megabyte = pace
    assert seconds < 10 * (bare + for_a_megabyte * len(data) / (1 << 20)) + 2, "ten times what a good input takes"
    assert not (tmp_path / "pwned").exists() and not (tmp_path / "reports").exists()


def test_good_inputs_of_ten_megabytes_fit(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(good(2 << 20))
    status, said, _, peak = measured(command("t.jsonl"), tmp_path)
    assert status == 0 and peak < 1 << 30, said
