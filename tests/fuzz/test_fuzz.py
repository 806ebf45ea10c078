"""Inputs from strangers, as Hypothesis damages good ones: answered by exit 0, 1 or 2 and one line, whatever comes in.

`RMAPMODEL_FUZZ=N` tries N inputs of each kind instead of 40. `make fuzz` searches with coverage for a guide.
"""

import gzip
import json
import os

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.fuzz.inputs import SEEDS, corpus, try_

EXAMPLES = int(os.environ.get("RMAPMODEL_FUZZ", 40))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

NUMBERS = some.one_of(some.integers(-2, 70), some.integers(0, 1 << 64), some.sampled_from(
    [0x100000, 0x101000, 0x200000, 4096, 8192, (1 << 47) - 4096, (1 << 63) - 1, 1 << 60, 1e99, -1, "0x100000", "0xffffffffffffffff"]))
VALUES = some.one_of(NUMBERS, some.none(), some.booleans(), some.text(max_size=8), some.floats(),
                     some.lists(some.sampled_from(["private", "shared", "anonymous", "fixed", "growsdown", "locked", "x"]), max_size=4))
TOKENS = [b"\x00", b"\xff\xfe", b"\n", b"\r\n", b"{", b"[", b'"', b"NaN", b"1e999", b"-1", b"0x", b"9" * 30, b"<script>", b"\\u0000",
          b"= ?", b" <unfinished ...>", b"<... mmap resumed>", b"+++ killed by SIGKILL +++", b"&a [*a]", b"!!python/object:os.system",
          b"PROT_READ|PROT_WRITE", b"MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED", b"0x7fffffffffffffff", b": :", b"\xe2\x80\xa8"]


@some.composite
def damaged(draw, seed):
    """A good input with bytes changed, cut out, repeated or put in."""
    data = bytearray(seed)
    for _ in range(draw(some.integers(1, 6))):
        at = draw(some.integers(0, max(len(data) - 1, 0)))
        end = min(at + draw(some.integers(0, 40)), len(data))
        what = draw(some.sampled_from(["token", "cut", "repeat", "bytes"]))
        new = {"token": lambda: draw(some.sampled_from(TOKENS)), "cut": lambda: b"", "repeat": lambda: bytes(data[at:end]) * 2,
               "bytes": lambda: draw(some.binary(min_size=1, max_size=8))}[what]()
        data[at:end] = new
    return bytes(data)


@some.composite
def traces(draw):
    """The lines of a good trace in another order, with other values under their keys."""
    lines = [json.loads(line) for line in SEEDS["trace"].splitlines()]
    lines = draw(some.lists(some.sampled_from(lines), min_size=1, max_size=24))
    text = []
    for line in [lines[0] if draw(some.booleans()) else {"op": "spawn", "pid": 1}, *lines]:
        line = dict(line)
        for key in draw(some.lists(some.sampled_from(sorted(line)), max_size=2)):
            line[key] = draw(some.one_of(NUMBERS, VALUES))
        text.append(json.dumps(line))
    return ("\n".join(text) + "\n").encode()


@pytest.mark.parametrize("kind", SEEDS)
def test_a_good_input_is_good(kind):
    assert try_(kind, SEEDS[kind]) == 0


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged(kind):
    statuses = []

    @FUZZ
    @given(damaged(SEEDS[kind]))
    def tried(data):
        statuses.append(try_(kind, data))

    tried()
    print(f"fuzz: {kind}: {len(statuses)} damaged inputs, {statuses.count(0)} taken, {statuses.count(2)} refused, 0 lost")


@pytest.mark.parametrize("packed", ["trace", "gz", "zst"])
def test_other_traces(packed):
    pack = {"trace": bytes, "gz": gzip.compress, "zst": zstandard.compress}[packed]
    statuses = []

    @FUZZ
    @given(traces())
    def tried(data):
        statuses.append(try_(packed, pack(data)))

    tried()
    print(f"fuzz: {packed}: {len(statuses)} other traces, {statuses.count(0)} taken, {statuses.count(2)} refused, 0 lost")


@pytest.mark.parametrize("kind, path", corpus(), ids=[f"{kind}-{path.name}" for kind, path in corpus()])
def test_what_once_failed(kind, path):
    assert try_(kind, path.read_bytes()) in (0, 1, 2)
