"""Records data/observations: traces executed on the running kernel (root, Linux on x86_64, gcc).

    python data/observe.py COUNT DATE                 writes random-VERSION.jsonl.gz: so many random traces
    PYTHONPATH=. python data/observe.py merge DATE    writes merge-VERSION.jsonl.gz: tests/kernel/merge_scenarios.py

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
from rmapmodel.study.verify import EVENTS, OPS
from rmapmodel.trace.random_traces import random_trace

AGREEING, TRIES = 4, 30


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
            return same[0] if same[0].get("objects") else None
        told = observe(events)
        same = [*same, told] if told == same[0] else [told]
    return None


def written(events):
    """Events as a line holds them."""
    return [json.loads(msgspec.json.encode(event)) for event in events]


def random(count):
    """A line a random trace, until `count` have an observation."""
    seed = 0
    while count:
        seed += 1
        events, first = possible(random_trace(seed, EVENTS, OPS))
        if told := settled(events, first):
            count -= 1
            yield {"seed": seed, "events": written(events), **told}


def merge():
    """A line a scenario, with the observation at each of its moments."""
    from tests.kernel.merge_scenarios import SCENARIOS
    for name, scenario in SCENARIOS.items():
        moments = []
        for after, _ in scenario.moments:
            events = scenario.events[:after]
            told = settled(events, observe(events))
            if told is None:
                raise SystemExit(f"{name}: no {AGREEING} observations in a row agree after {after} events")
            moments.append({"after": after, **told})
        yield {"scenario": name, "events": written(scenario.events), "moments": moments}


def main(what, date):
    name, rows = ("merge", merge()) if what == "merge" else ("random", random(int(what)))
    release, packed = platform.release(), io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="", compresslevel=9) as stream:
        for row in rows:
            row |= {"kernel": release, "observed": date, "executions_agreeing": 2 * AGREEING}
            stream.write(json.dumps(row, separators=(",", ":"), sort_keys=True).encode() + b"\n")
    name = f"{name}-{release.partition('-')[0]}.jsonl.gz"
    (Path(__file__).parent / "observations" / name).write_bytes(packed.getvalue())


if __name__ == "__main__":
    main(*sys.argv[1:])
