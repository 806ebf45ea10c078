"""Records data/observations: random traces executed on the running kernel (root, Linux on x86_64, gcc).

    python data/observe.py COUNT DATE    writes data/observations/random-VERSION.jsonl.gz

An observation counts only when four in a row agree, each of which already is two executions with equal object counts:
other work on the machine can disturb the counts of /proc/slabinfo.
"""

import gzip
import io
import json
import platform
import sys
from pathlib import Path

import msgspec

from rmapmodel.kernel import observe as kernel
from rmapmodel.trace.random_traces import random_trace

LENGTH, AGREEING, TRIES = 50, 4, 30


def observe(events):
    """What is kept of an observation."""
    told = kernel.observe(events)
    return {key: told[key] for key in ("processes", "objects", "impossible", "unsupported") if key in told}


def possible(events):
    """The events without those that the kernel refuses, and the first observation of what is left."""
    while True:
        told = observe(events)
        bad = told.get("impossible") or told.get("unsupported")
        if not bad:
            return events, told
        del events[bad["index"]]


def settled(events, first):
    """An observation that came AGREEING times in a row, or None."""
    same = [first]
    for _ in range(TRIES):
        if len(same) == AGREEING:
            return same[0] if same[0]["objects"] else None
        told = observe(events)
        same = [*same, told] if told == same[0] else [told]
    return None


def main(count, date):
    rows, seed, release = [], 0, platform.release()
    while len(rows) < count:
        seed += 1
        events, first = possible(random_trace(seed, LENGTH))
        told = settled(events, first)
        if told:
            rows.append({"seed": seed, "kernel": release, "observed": date, "executions_agreeing": 2 * AGREEING,
                         "events": [json.loads(msgspec.json.encode(event)) for event in events], **told})
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="", compresslevel=9) as stream:
        for row in rows:
            stream.write(json.dumps(row, separators=(",", ":"), sort_keys=True).encode() + b"\n")
    name = f"random-{release.partition('-')[0]}.jsonl.gz"
    (Path(__file__).parent / "observations" / name).write_bytes(packed.getvalue())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
