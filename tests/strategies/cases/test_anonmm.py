"""Hand-worked cases of `anonmm`: kernel-facts section 4, its version of March 2003 ("rechained").

In the maps a line is a process, a letter a page, an upper-case letter a copy, `.` a page never touched, brackets a
vma, the number before a bracket its first page; `a@1` says that a points to the anonmm of process 1. A page's index is
the page number at which it was first mapped, unless a move alone changed it. `list` is the family in the order of
forks; a walk goes round it from the page's own anonmm. Visits are (anonmms passed until all mappings are found,
anonmms in the list, ptes looked at): an anonmm whose mm is gone is passed without a look at a pte (contract section 4;
facts 4, walk 4).
"""

from itertools import permutations

import numpy as np
import pytest

from rmapmodel.events import Exec, Exit, Fork, Read, Reclaim, Spawn, Swapout
from rmapmodel.strategies.anonmm import COUNT
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write


def after(events, **options):
    return case(events, "anonmm", **options)


def area(page, count, pid=1):
    return [mmap(pid, page, count), write(pid, page, count)]


def objects(vmas, anonmms, chains=0):
    return {"vm_area_struct": vmas, "anonmm": anonmms, "rmap_chain": chains}


def test_fork_chain():
    """
        before    1  10[a b]
        after     1  10[a b]   2  10[a b]   3  10[A b]   4  10[A b]        list 1 2 3 4; a@1 b@1 A@3

    1 forks 2, 2 forks 3, 3 writes a, 3 forks 4. One anonmm a fork, whoever forks (facts 4, event 2). a has two
    mappings, found in 1 and 2. A points to 3, the mm of the write: found there and in 4, the next younger. b is in all
    four.
    """
    end = after([Spawn(1), *area(10, 2), Fork(1, 2), Fork(2, 3), write(3, 10), Fork(3, 4)])
    assert end.objects == objects(4, 4)
    assert end.visits(1, 10) == (2, 4, 2)
    assert end.visits(3, 10) == (2, 4, 2)
    assert end.visits(1, 11) == (4, 4, 4)


def test_fork_chain_whose_middle_is_gone():
    """
        before    1  10[a b]   2  10[a B]   3  10[a B]   4  10[a B]        list 1 2 3 4; a@1 b@1 B@2
        after     1  10[a b]                3  10[a B]   4  10[a B]        list 1 (2) 3 4

    2 writes b and forks 3, which forks 4; then 2 exits. B keeps 2's anonmm (facts 4, event 3): still four. B: 2
    passed, then 3 and 4: 3 visits, 2 ptes. a: 1, the dead 2, 3, 4: 4 visits, 3 ptes. page_referenced changes nothing:
    only the version of May 2004 moves B on to a live mm (page_referenced_anon of anobjrmap 4/6 has no such step).
    """
    events = [Spawn(1), *area(10, 2), Fork(1, 2), write(2, 11), Fork(2, 3), Fork(3, 4), Exit(2)]
    end = after(events)
    assert end.objects == objects(3, 4)
    assert end.visits(3, 11) == (3, 4, 2)
    assert end.visits(1, 10) == (4, 4, 3)
    end = after(events + [Reclaim()])
    assert end.objects == objects(3, 4)
    assert end.visits(3, 11) == (3, 4, 2)


def test_exec_in_the_middle_of_a_chain_starts_a_family():
    """
        before    1  10[a]   2  10[a]   3  10[a]        list 1 2 3
        after     1  10[a]   2  10[x]   3  10[a]        lists 1 3 and 2'

    2's anonmm has no pages: it goes with its mm, and exec makes a head of a new family (facts 4, events 1 and 3). x at
    the address of a is never looked at for a: 2 visits of a list of 2; x: 1 of 1.
    """
    end = after([Spawn(1), *area(10, 1), Fork(1, 2), Fork(2, 3), Exec(2), *area(10, 1, pid=2)])
    assert end.objects == objects(3, 3)
    assert end.visits(1, 10) == (2, 2, 2)
    assert end.visits(2, 10) == (1, 1, 1)


def test_partial_mremap_of_shared_pages_and_back():
    """
        before    1  10[a b c d]      2  10[a b c d]                     list 1 2, all @1
        moved     1  10[a b c d]      2  10[a]  13[d]  30[b c]           b 11 -> {30}, c 12 -> {31}
        back      1  10[a b c d]      2  10[a b c d]                     the same chains

    b and c are shared, so their new addresses go into a chain each, two elements (facts 4, mremap 2003). b: in 1 the
    index 11 hits and 30 is tried since one more is wanted; in 2 11 misses and 30 hits: 2 visits, 4 ptes. Moved back,
    11 is the index and nothing is chained, but 30 and 31 stay: stale addresses pile up. Then b: 11 and 30 in 1, 11 in
    2: 3 ptes. Offsets are not compared, so the three parts are one vma again.
    """
    shared = [Spawn(1), *area(10, 4), Fork(1, 2), mremap(2, 11, 2, 30)]
    moved = after(shared)
    assert moved.vmas(2) == [(10, 11), (13, 14), (30, 32)]
    assert moved.objects == objects(4, 2, 2)
    assert moved.visits(2, 30) == (2, 2, 4)
    assert moved.visits(2, 10) == (2, 2, 2)
    back = after(shared + [mremap(2, 30, 2, 11)])
    assert back.vmas(2) == [(10, 14)]
    assert back.objects == objects(2, 2, 2)
    assert back.visits(2, 11) == (2, 2, 3)
    assert back.visits(2, 10) == (2, 2, 2)


def test_partial_mremap_of_pages_alone_and_a_fork_after_it():
    """
        before    1  10[a b c d]
        moved     1  10[a]  13[d]  30[b c]                       b 30, c 31
        forked    1  the same       2  10[a]  13[d]  30[b c]

    mapcount 1 and no chain: the index changes instead (facts 4, mremap 2003). After the fork both map b at its index.
    """
    moved = [Spawn(1), *area(10, 4), mremap(1, 11, 2, 30)]
    assert after(moved).objects == objects(3, 1)
    assert after(moved).visits(1, 30) == (1, 1, 1)
    end = after(moved + [Fork(1, 2)])
    assert end.objects == objects(6, 2)
    assert end.visits(2, 30) == (2, 2, 2)


def test_a_chain_stays_with_the_last_mapping_and_goes_after_it():
    """
        before    1  10[a]      2  30[a]                 a 10 -> {30}
        after                   2  50[a]                 a 10 -> {30 50}
        unmapped                2  (nothing)

    1 exits: one mapping is left, but the chain is freed at a count of 0 only. While there is one a move appends to it
    (facts 4, mremap 2003); the address 30, which is chained, is not appended twice. a@1: the dead 1 is passed, then 2:
    2 visits. 1's anonmm is the head: without a page it still stays for its follower 2, and goes with it.
    """
    events = [Spawn(1), *area(10, 1), Fork(1, 2), mremap(2, 10, 1, 30), Exit(1)]
    end = after(events)
    assert end.objects == objects(1, 2, 1)
    assert end.visits(2, 30) == (2, 2, 2)
    events += [mremap(2, 30, 1, 50)]
    end = after(events)
    assert end.objects == objects(1, 2, 1)
    assert end.visits(2, 50)[:2] == (2, 2)
    assert after(events + [mremap(2, 50, 1, 30)]).objects == objects(1, 2, 1)
    assert after(events + [munmap(2, 50, 1)]).objects == objects(0, 2)
    assert after(events + [Exit(2)]).objects == objects(0, 0)


def test_an_address_is_chained_once_and_an_element_takes_six_at_first():
    """
        1  10[a]      2  30[a]  40[a]  30[a] ...          a 10 -> {30 40}
        1  10[a]      2  30 .. 90[a]                      a 10 -> {30 40 50 60 70 80} {90}

    2 moves a to and fro eight times: two addresses, one element. Slot 0 of the first element holds the map count
    (facts 4, mremap 2003), so it has room for six addresses; the seventh makes another element.
    """
    shared = [Spawn(1), *area(10, 1), Fork(1, 2), mremap(2, 10, 1, 30)]
    assert after(shared + [mremap(2, 30, 1, 40), mremap(2, 40, 1, 30)] * 4).objects == objects(2, 2, 1)
    moves = [mremap(2, page, 1, page + 10) for page in range(30, 90, 10)]
    assert after(shared + moves[:5]).objects == objects(2, 2, 1)
    assert after(shared + moves).objects == objects(2, 2, 2)


def test_split_by_mprotect_and_joined_again():
    """
        before    1  10[a b c d e f] rw          2  the same
        split     1  10[a b] rw  12[c d] r  14[e f] rw
        joined    1  10[a b c d e f] rw

    A page is looked for at its address, not in a vma (facts 4, event 6): nothing changes but the vmas.
    """
    split = [Spawn(1), *area(10, 6), Fork(1, 2), mprotect(1, 12, 2, "r--")]
    end = after(split)
    assert end.vmas(1) == [(10, 12), (12, 14), (14, 16)]
    assert end.objects == objects(4, 2)
    assert [end.visits(1, page) for page in (10, 12, 15)] == [(2, 2, 2)] * 3
    end = after(split + [mprotect(1, 12, 2, "rw-")])
    assert end.vmas(1) == [(10, 16)]
    assert end.objects == objects(2, 2)


def test_hole_filled_by_a_fresh_area_and_by_one_from_elsewhere():
    """
        before    1  10[a b]  12[c]  13[d e]      2  the same         all @1
        hole      1  10[a b]  13[d e]             2  10[a b c d e]
        fresh     1  10[a b C d e]                2  10[a b c d e]    C@1 at the index of c
        moved     1  10[a b x d e]                2  10[a b c d e]    x 12, once at 40

    A written hole brings a page at an index that another page has. c is looked for in 1, where C is, then found in 2:
    2 visits; C is found in 1 at once. x moved in from 40 joins both sides, since offsets are not compared; it is alone
    and takes the index 12.
    """
    hole = [Spawn(1), *area(10, 5), Fork(1, 2), munmap(1, 12, 1)]
    end = after(hole)
    assert end.vmas(1) == [(10, 12), (13, 15)]
    assert end.objects == objects(3, 2)
    assert end.visits(2, 12) == (2, 2, 2)
    for fill in (area(12, 1), [*area(40, 1), mremap(1, 40, 1, 12)]):
        end = after(hole + fill)
        assert end.vmas(1) == [(10, 15)]
        assert end.objects == objects(2, 2)
        assert end.visits(1, 12) == (1, 2, 1)
        assert end.visits(2, 12) == (2, 2, 2)


def test_brk_after_fork():
    """
        before    1  20[h i]brk      2  20[h i]brk                                  list 1 2
        grown     1  20[h i]brk      2  20[h i j k]brk                              j@2 k@2
        after     1  20[h i]brk                           3  20[h i j K]brk         list 1 (2) 3; K@3

    A vma carries nothing, so the child's heap grows in place (facts 4, event 6). j is 2's alone, but it stays @2 when
    3 has inherited it and 2 is gone: passed 2, found in 3: 2 visits of 3, 1 pte. K is 3's copy: 1 visit. h: 1, (2), 3.
    """
    grown = [Spawn(1), brk(1, 20), brk(1, 22), write(1, 20, 2), Fork(1, 2), brk(2, 24),
             write(2, 22, 2)]
    end = after(grown)
    assert (end.vmas(1), end.vmas(2)) == ([(20, 22)], [(20, 24)])
    assert end.objects == objects(2, 2)
    assert end.visits(2, 22) == (1, 2, 1)
    end = after(grown + [Fork(2, 3), write(3, 23), Exit(2)])
    assert end.objects == objects(2, 3)
    assert end.visits(3, 22) == (2, 3, 1)
    assert end.visits(3, 23) == (1, 3, 1)
    assert end.visits(1, 20) == (3, 3, 2)


def test_copy_on_write_by_the_last_owner():
    """
        before    1  10[a]   2  10[A]   3  10[A]        list 1 2 3; a@1 A@2
        after                           3  10[A]        list (1) (2) 3

    Before, the walk for A passes the dead 2 and finds it in 3: 2 visits, 1 pte. 3 writes A as its last owner and keeps
    it: A turns to 3's anonmm (page_turn_rmap, anobjrmap 4/6, 20 March 2003), its index stays; 2's goes with its last
    page, 1's stays as the head of 3's: two. The walk begins with 3: 1 visit.
    """
    events = [Spawn(1), *area(10, 1), Fork(1, 2), write(2, 10), Fork(2, 3), Exit(1), Exit(2)]
    before = after(events)
    assert before.objects == objects(1, 3)
    assert before.visits(3, 10) == (2, 3, 1)
    end = after([*events, write(3, 10)])
    assert end.frame(3, 10) == before.frame(3, 10)
    assert end.objects == objects(1, 2)
    assert end.visits(3, 10) == (1, 2, 1)


def test_a_page_with_a_chain_keeps_its_index_though_one_mm_maps_it():
    """
        before    1  10[a]   2  20[a]         1 exits: a is mapped once, its chain {20} stays
        after                2  21[a]         chain {20 21}, index 10

    "If the page has no chain and count is 1, set index" (facts 4): it has one, so the new address is chained too.
    """
    end = after([Spawn(1), *area(10, 1), Fork(1, 2), mremap(2, 10, 1, 20), Exit(1), mremap(2, 20, 1, 21)])
    frame = np.array([end.frame(2, 21)])
    assert int(end.machine.frames.index[frame[0]]) == 10
    chained = [int(values[0]) for _, values in end.machine.strategy.chains.values(frame)]
    assert sorted(value for value in chained if value != COUNT) == [20, 21]
    assert end.visits(2, 21) == (2, 2, 3)  # the dead 1; in 2 at 10, at 20, and at 21


LEFT = {(1, 2): 2, (1, 3): 3, (2, 3): 3, (1,): 1, (2,): 2, (3,): 3, (): 0}
"""Anonmms when these live: their own, 1's as long as any lives (a points to it), 2's as long as 3 lives (B does)."""

VISITS = {(1, 2): (2, 2, 2), (1, 3): (3, 3, 2), (2, 3): (3, 3, 2), (1,): (1, 1, 1), (2,): (2, 2, 1), (3,): (3, 3, 1)}
"""Of a, from 1's anonmm through the list: a dead one is passed without a pte."""


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_exit_in_every_order(order):
    """
        1  10[a b]      2  10[a B]      3  10[a B]        list 1 2 3; a@1 b@1 B@2

    1 forks 2, 2 writes b and forks 3. An anonmm outlives its mm while pages point to it, the head while any other
    lives (facts 4, event 3): a holds 1's, B 2's while 3 maps it.
    """
    events = [Spawn(1), *area(10, 2), Fork(1, 2), write(2, 11), Fork(2, 3)]
    assert after(events).objects == objects(3, 3)
    assert after(events).visits(1, 10) == (3, 3, 3)
    alive = {1, 2, 3}
    for pid in order:
        events.append(Exit(pid))
        alive.remove(pid)
        end, left = after(events), tuple(sorted(alive))
        assert end.objects == objects(len(left), LEFT[left])
        for each in left:
            assert end.visits(each, 10) == VISITS[left]


def test_a_walk_goes_past_the_head_after_swap():
    """
        before    1  10[a]   2  10[a]   3  10[-]        list 1 2 3; a@2

    1 writes a and forks 2 and 3; all of it is swapped out; 2 reads it back first, so a points to 2; then 1. After 3,
    which does not map it, the walk goes round to 1: "does not stop at the head" (facts 4, walk 4): 2, 3, 1: 3 visits,
    3 looks; 3's mm has a page of its own, else it would be passed without one.
    """
    out = [Spawn(1), *area(10, 1), Fork(1, 2), Fork(1, 3), Swapout(), Read(2, 10 * P, P), Read(1, 10 * P, P)]
    assert after(out + area(40, 1, pid=3)).visits(1, 10) == (3, 3, 3)
    assert after(out).visits(1, 10) == (3, 3, 2)
