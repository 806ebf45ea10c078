"""The second mechanism over the events of a program, and what a recorded one says of it."""

import pytest

from rmapmodel.events import Exit, Fork, Header, Mmap, Mremap, Read, Spawn, Write
from rmapmodel.study.moves import chained_addresses, moves
from rmapmodel.study.program import recording
from rmapmodel.study.replay import Options, replay
from rmapmodel.study.second import SECOND, chains, copies, lifetime, over_time
from rmapmodel.trace.jsonl import read
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

PAGE, BASE, AWAY = 4096, 0x10000000, 0x20000000


def trace(*events):
    return InMemory(Header(version=1), [Spawn(1), Mmap(1, BASE, 4 * PAGE, "rw-", ["private", "anonymous"]),
                                        Write(1, BASE, 4 * PAGE), Fork(1, 2), *events])


def move(pid, addr, new_addr, pages=2):
    return Mremap(pid, addr, pages * PAGE, new_addr, pages * PAGE, ["maymove"])


def part(events, name="anonmm"):
    return over_time(events, [name])


def test_a_chain_lives_from_the_move_to_the_last_mapping():
    events = trace(move(2, BASE, AWAY), Exit(2), Read(1, BASE, PAGE), Exit(1))
    rows = part(events)
    assert rows.objects.tolist() == [0, 0, 0, 0, 2, 2, 2, 0]
    assert rows.processes.tolist() == [1, 1, 1, 2, 2, 1, 1, 0]
    assert lifetime(rows, events, {2}) == {"first": 5, "last": 7, "movers_gone": 6}
    assert lifetime(rows, events, {1, 2})["movers_gone"] is None


def test_what_never_was_has_no_lifetime():
    events = trace(move(2, BASE, AWAY))
    assert lifetime(part(trace()), trace(), ()) is None
    assert set(over_time(events).groupby("strategy").objects.max().to_dict().items()) == {
        ("objrmap", 4), ("anonmm", 2), ("anonmm_remap", 1), ("cow_context", 1)}
    assert set(SECOND) == {"objrmap", "anonmm", "anonmm_remap", "cow_context"}


def test_copies_early_and_in_all():
    # of the two pages that move one is written later; one that stays is written, too
    events = trace(move(2, BASE, AWAY), Write(2, AWAY, PAGE), Write(2, BASE + 2 * PAGE, PAGE))
    assert copies(events, "anonmm") == (0, 2)
    assert copies(events, "anonmm_copy") == (2, 3)


def test_chains_of_a_family():
    assert chains(trace()) == {"anonymous": 4, "alone": 0, "all_pages": 4, "anonymous_only": 4}
    files = [Mmap(1, AWAY, 3 * PAGE, "r--", ["shared"], "file"), Read(1, AWAY, 3 * PAGE)]
    both = InMemory(Header(version=1), [Spawn(1), *files, Fork(1, 2)])
    assert chains(both, Options(kernel="2.5.62")) == {"anonymous": 0, "alone": 0, "all_pages": 3, "anonymous_only": 0}


@pytest.mark.parametrize("moved, chained", [(1, 3), (5, 15)])
def test_chained_addresses(moved, chained):
    machine = replay(InMemory(*generate("mremap_repeated", processes=2, pages=3, moves=moved)), "anonmm").machine
    assert chained_addresses(machine) == chained


def test_the_recorded_pool_needs_chains_and_wastes_copies():
    pool = read(recording("python-pool"))
    met = moves(pool, "anonmm_copy")
    assert met.copied.sum() == 324 == copies(pool, "anonmm_copy")[0]
    # nine of the pages copied early are among those that anonmm has copied in the end
    assert copies(pool, "anonmm_copy")[1] - copies(pool, "anonmm")[1] == 324 - 9


def test_a_recording_is_found_by_name_or_path():
    assert recording("apache2-prefork").name == "apache2-prefork.jsonl.gz"
    assert recording("../tests/figures/family.jsonl").is_file()
