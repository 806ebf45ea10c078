"""Every design finds exactly the ptes that map each page, after every event (the model's main invariant)."""

from pathlib import Path

import numpy as np
import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Exit
from rmapmodel.index import INDEXES
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.replay import Options, machine_for
from rmapmodel.trace import read
from rmapmodel.trace.random_traces import random_trace
from tests.traces import in_memory

TRACES = [Path(__file__).parents[2] / "data" / "traces" / name for name in (  # tests/trace/test_corpus.py has the others
    "apache2-prefork.jsonl.gz", "make-compile.jsonl.gz", "python-subprocess-threads.jsonl.gz", "shell-pipeline.jsonl.gz",
    "nginx.jsonl.zst", "perl-workers.jsonl.zst")]
SWAPPING = {"swapout": 3, "reclaim": 3}
KERNELS = ("7.0", "6.18.44", "6.10", "6.5", "3.10", "2.6.34", "2.6.20", "2.6.4", "2.4.22")


def machine(strategy, **options):
    return machine_for(in_memory([]).header, strategy, Options(**options))


def checked(machine, events):
    """Applies events until one is impossible, checking after each; returns how many were applied."""
    for count, event in enumerate(events):
        try:
            machine.apply(event, count + 1)
        except InputError:
            return count
        machine.check()
    return len(events)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_walks_agree_with_the_page_tables_on_200_random_traces(strategy):
    applied = 0
    for seed in range(200):
        kernel = KERNELS[seed % len(KERNELS)]
        index = (None, *INDEXES)[seed // len(KERNELS) % 4]
        model = machine(strategy, kernel=kernel, index=index)
        applied += checked(model, random_trace(seed, 40, SWAPPING))
    assert applied > 5000  # most events were possible


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_is_left_when_all_processes_are_gone(strategy):
    for seed in range(1000, 1040):
        model = machine(strategy)
        checked(model, random_trace(seed, 40, SWAPPING))
        for pid in list(model.processes):
            model.apply(Exit(pid))
        assert not any(model.ledger.alive().values()), seed
        assert model.swap.alive == 0 and model.mappings == 0 and not model.mms, seed
        assert not model.frames.mapcount.any(), seed
        cached = sum(int((leaf != 0).sum()) for file in model.files.values() for leaf in file.cache.leaves.values())
        assert model.frames.alive == cached, seed


def test_designs_agree_on_what_is_mapped_how_often():
    """Where designs end with different vmas, the pages are still the same (design.md, "The two halves")."""
    for seed in range(2000, 2040):
        seen = {}
        for strategy in STRATEGIES:
            model = machine(strategy)
            applied = checked(model, random_trace(seed, 40, {**SWAPPING, "grow": 0, "move_grow": 0}))
            assert not model.ledger.copies or strategy == "anonmm_copy"
            if not model.ledger.copies:  # early copies change how often a page is mapped; tests/strategies/test_lockstep.py
                seen[strategy] = applied, {pid: model.runs(mm) for pid, mm in model.processes.items()}
        assert all(value == seen["anon_vma_chain"] for value in seen.values()), seed


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name.split(".")[0])
def test_recorded_programs(path, strategy):
    """After every event up to 500; beyond, every ten events for the frames they touched, and in full every 1,000 events."""
    trace = read(path)
    model = machine_for(trace.header, strategy, Options())
    touched = []
    for count, (line, event) in enumerate(trace, 1):
        model.apply(event, line)
        touched += model.touched
        if count <= 500 or count % 1000 == 0:
            model.check()
        elif touched and count % 10 == 0:
            frames = np.unique(np.concatenate(touched))
            model.check(frames[model.frames.mapcount[frames] > 0])
            touched = []
    model.check()
