"""The corpus: what is counted in a trace, on traces small enough to count by hand."""

import pandas as pd
import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Brk, Exec, Exit, Fork, Mmap, Mprotect, Mremap, Munmap, Read, Spawn, Vfork, Write
from rmapmodel.study import corpus
from tests.traces import in_memory

P, A, AWAY = 4096, 0x10000000, 0x50000000
ANON = ["private", "anonymous"]


def moving(writes):
    """A parent of four pages whose child moves three of them, one of which it has copied, and then `writes` so many."""
    return in_memory([
        Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON), Write(1, A, 4 * P), Fork(1, 2), Write(2, A, P),
        Mremap(2, A, 3 * P, AWAY, 3 * P, ["maymove"]), *[Write(2, AWAY + P, writes * P)] * bool(writes), Exit(2), Exit(1)])


def test_splits_and_merges_are_told_from_growth():
    trace = in_memory([
        Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON), Mmap(1, A + 4 * P, P, "rw-", ANON),       # merged into the one below
        Mprotect(1, A, P, "r--"), Mprotect(1, A, P, "rw-"),                                 # split, merged again
        Munmap(1, A + P, P),                                                                # split twice: a hole inside
        Mremap(1, A + 2 * P, 3 * P, A + 2 * P, 4 * P),                                      # grows in place
        Mmap(1, AWAY, P, "rw-", [*ANON, "growsdown"]), Write(1, AWAY - 2 * P, P),           # a stack grows
        Brk(1, 0x60000000), Brk(1, 0x60001000), Brk(1, 0x60002000),                         # the second is merged
        Vfork(1, 2), Exec(2), Exit(2), Exit(1)])
    row = corpus.what_happens(trace, peak=9)
    assert row == {"processes": 2, "most_at_once": 2, "events": 16, "forks": 0, "vforks": 1, "execs": 1, "splits": 3,
                   "merges": 3, "most_mappings": 1, "anonymous_pages": 1, "shared_anonymous_pages": 0}


def test_moves_meet_what_is_shared():
    row = corpus.what_moves_meet(moving(0))
    assert row == {"mremaps": 1, "moves": 1, "moves_of_anonymous": 1, "moves_of_fork_shared": 1,
                   "moved_anonymous_pages": 3, "moved_fork_shared_pages": 2}


@pytest.mark.parametrize("writes, anyway", [(0, 0), (1, 1), (2, 2)])
def test_early_copies_are_told_from_those_that_writes_would_have_made(writes, anyway):
    tables = corpus.measured({"t": moving(writes)})
    memory = tables["memory"].set_index("strategy")
    assert memory.copied_by_moves["anonmm_copy"] == 2
    assert memory.copied["anonmm"] == 1 + writes and memory.copied["anonmm_copy"] == 3
    assert 2 - (memory.copied["anonmm_copy"] - memory.copied["anonmm"]) == anyway
    assert memory.made_by_moves["anonmm"] == 2 and memory.made_by_moves["anon_vma"] == 0
    assert memory.added_bytes["page_table_scan"] == memory.objects["page_table_scan"] == 0


def test_a_pass_over_anonymous_pages_alone():
    trace = in_memory([
        Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Write(1, A, 2 * P), Mmap(1, AWAY, 3 * P, "r--", ["private"], "f"),
        Read(1, AWAY, 3 * P), Fork(1, 2), Exit(2), Exit(1)])
    tables = corpus.measured({"t": trace}, moments=4)
    peak = tables["reclaim"].set_index("strategy").loc["anon_vma_chain"]
    # fork maps the anonymous pages again; the file's are left to be faulted in
    assert (peak.pages, peak.mappings, peak.anonymous_pages, peak.anonymous_mappings) == (5, 7, 2, 4)
    assert peak.anonymous_visits == 4 and peak.visits == 7 and peak.refused == 0
    moments = tables["moments"]
    at = moments[moments.strategy == "anon_vma_chain"].set_index("percent").anonymous_mappings.to_dict()
    assert at == {50: 2, 75: 4} and not moments.duplicated(["program", "strategy", "percent"]).any()


def test_what_differs_from_the_tables_is_told(monkeypatch):
    tables = {name: corpus.table(name) for name in corpus.NAMES}
    assert corpus.disagreements(tables) == []
    at = tables["moves"].index[tables["moves"].program == "python-pool"][0]
    tables["moves"].loc[at, "moves_of_fork_shared"] = 17
    outside = tables["memory"].iloc[:1].assign(strategy="new_design", added_bytes=-1)
    tables["memory"] = pd.concat([tables["memory"], outside])
    assert corpus.disagreements(tables) == ["moves, python-pool, moves_of_fork_shared: 17, not 18"]


@pytest.mark.parametrize("names, says", [(["emacs"], "no program 'emacs' was recorded; there are apache2"),
                                         ([], "no program is named")])
def test_unknown_programs_are_refused(names, says):
    with pytest.raises(InputError, match=says):
        corpus.programs(names)
