"""Hand-worked cases of `anonmm_remap`: kernel-facts section 4, the last idea under mremap, and the design's own
docstring.

In the maps a line is a process, a letter a page, an upper-case letter a copy, `.` a page never touched, brackets a
vma, the number before a bracket its first page; `a@1` says that a points to the anonmm of process 1, `list` is the
family in the order of forks and `records` its moves, old range > new. A page's index is where it was first mapped, for
good. A walk goes round the list from the page's own anonmm and looks, in each mm, at the index, then at every address
that the records lead to from there, in turn. Visits are (anonmms passed until all mappings are found, anonmms in the
list, ptes looked at): one whose mm is gone is passed without a look.
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exec, Exit, Fork, Read, Reclaim, Spawn, Swapout
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write


def after(events, **options):
    return case(events, "anonmm_remap", **options)


def area(page, count, pid=1):
    return [mmap(pid, page, count), write(pid, page, count)]


def objects(vmas, anonmms, records=0):
    return {"vm_area_struct": vmas, "anonmm": anonmms, "remap_record": records}


def test_fork_chain_whose_middle_moves():
    """
        1  10[a b]      2  30[a b]      3  10[A b]         list 1 2 3; a@1 b@1 A@3; records 10-12 > 30

    1 forks 2, 2 forks 3, 2 moves, 3 writes a. Nothing is copied and one record is made. a: 1 at 10, and at 30 in vain,
    since one more is wanted; 2 at 10 in vain, at 30: found: 2 visits, 4 ptes. b also goes on to 3: at 11 at once: 5
    ptes. A was first mapped at 10 by 3: 1 visit.
    """
    end = after([Spawn(1), *area(10, 2), Fork(1, 2), Fork(2, 3), mremap(2, 10, 2, 30), write(3, 10)])
    assert end.objects == objects(3, 3, 1)
    assert (end.mapcount(1, 10), end.mapcount(1, 11), end.mapcount(3, 10)) == (2, 3, 1)
    assert end.visits(1, 10) == (2, 3, 4)
    assert end.visits(1, 11) == (3, 3, 5)
    assert end.visits(3, 10) == (1, 3, 1)


def test_partial_mremap_of_shared_pages_and_back():
    """
        before    1  10[a b c d]      2  10[a b c d]                   list 1 2, all @1
        moved     1  10[a b c d]      2  10[a]  13[d]  30[b c]         records 11-13 > 30
        back      1  10[a b c d]      2  10[a b c d]                   records 11-13 > 30, 30-32 > 11
        again     1  10[a b c d]      2  10[a]  13[d]  30[b c]         the same records

    b: 1 at 11, at 30 in vain, 2 at 11 in vain, at 30: 4 ptes. a and d are in no record: 2. Back: records say nothing
    of who moved or when, so 30 is still tried in 1: 3 ptes. The third move is the first again: no new record. Offsets
    are not compared, so the way back leaves one vma.
    """
    away = [Spawn(1), *area(10, 4), Fork(1, 2), mremap(2, 11, 2, 30)]
    end = after(away)
    assert end.vmas(2) == [(10, 11), (13, 14), (30, 32)]
    assert end.objects == objects(4, 2, 1)
    assert (end.visits(2, 30), end.visits(2, 10), end.visits(2, 13)) == ((2, 2, 4), (2, 2, 2), (2, 2, 2))
    back = away + [mremap(2, 30, 2, 11)]
    end = after(back)
    assert end.vmas(2) == [(10, 14)]
    assert end.objects == objects(2, 2, 2)
    assert end.visits(2, 11) == (2, 2, 3)
    end = after(back + [mremap(2, 11, 2, 30)])
    assert end.objects == objects(4, 2, 2)
    assert end.visits(2, 30) == (2, 2, 4)


def test_a_part_of_a_recorded_move_is_recorded_already():
    """
        before    1  10[a b c d]   2  10[a b c d]   3  10[a b c d]         records -
        after     1  10[a b c d]   2  30[a b c d]   3  10[a]  13[d]  31[b c]         records 10-14 > 30

    3 moves b and c as 2 has moved them with the rest: by 20 pages. b: 1 at 11, 31 in vain; 2 at 11 in vain, 31; 3
    likewise: 6 ptes. To another address is another record.
    """
    moved = [Spawn(1), *area(10, 4), Fork(1, 2), Fork(1, 3), mremap(2, 10, 4, 30), mremap(3, 11, 2, 31)]
    end = after(moved)
    assert end.objects == objects(5, 3, 1)
    assert end.visits(3, 31) == (3, 3, 6)
    assert after(moved + [mremap(3, 13, 1, 50)]).objects == objects(5, 3, 2)


def test_a_longer_move_leads_where_the_recorded_one_does_not():
    """
        before    1  10[a b]      2  10[a b]          3  10[a b]         records -
        after     1  10[a b]      2  11[b]  30[a]     3  30[a b]         records 10-11 > 30, 10-12 > 30

    b is found at 31 in 3 through the second record only: 1 and 2 at 11, and at 31 in vain, since more is wanted; 3 at
    11 in vain, 31: 6 ptes.
    """
    end = after([Spawn(1), *area(10, 2), Fork(1, 2), Fork(1, 3), mremap(2, 10, 1, 30), mremap(3, 10, 2, 30)])
    assert end.objects == objects(4, 3, 2)
    assert end.visits(3, 31) == (3, 3, 6)


def test_moves_one_after_another_are_followed_in_turn():
    """
        before    1  10[a b]
        after     1  11[b]  40[a]            records 10-12 > 20, 20-21 > 30, 30-31 > 40, 21-22 > 11

    An index never changes, alone or not: a 10, b 11. a is at the end of 10 > 20 > 30 > 40: the 4th address looked at.
    b: 11 is its index, found at once, whatever 11 > 21 > 11 says.
    """
    end = after([Spawn(1), *area(10, 2), mremap(1, 10, 2, 20), mremap(1, 20, 1, 30), mremap(1, 30, 1, 40),
                 mremap(1, 21, 1, 11)])
    assert end.vmas(1) == [(11, 12), (40, 41)]
    assert end.objects == objects(2, 1, 4)
    assert end.visits(1, 40) == (1, 1, 4)
    assert end.visits(1, 11) == (1, 1, 1)


def test_untouched_memory_moves_without_a_record():
    """
        before    1  10[. .]
        after     1  30[a .]            records -

    There is no page whose index could lead elsewhere; a is first mapped at 30.
    """
    end = after([Spawn(1), mmap(1, 10, 2), mremap(1, 10, 2, 30), write(1, 30)])
    assert end.objects == objects(1, 1)
    assert end.visits(1, 30) == (1, 1, 1)


def test_split_by_mprotect_and_joined_again():
    """
        before    1  10[a b c d e f] rw          2  the same
        split     1  10[a b] rw  12[c d] r  14[e f] rw
        moved     1  10[a b] rw  12[c d] r  34[e f] rw            records 14-16 > 34
        joined    1  10[a b c d] rw  34[e f] rw

    Splits and joins make no record. e: 1 at 14 in vain, 34; 2 at 14: 3 ptes.
    """
    split = [Spawn(1), *area(10, 6), Fork(1, 2), mprotect(1, 12, 2, "r--")]
    end = after(split)
    assert end.vmas(1) == [(10, 12), (12, 14), (14, 16)]
    assert end.objects == objects(4, 2)
    assert [end.visits(1, page) for page in (10, 12, 15)] == [(2, 2, 2)] * 3
    end = after(split + [mremap(1, 14, 2, 34), mprotect(1, 12, 2, "rw-")])
    assert end.vmas(1) == [(10, 14), (34, 36)]
    assert end.objects == objects(3, 2, 1)
    assert end.visits(1, 34) == (2, 2, 3)


def test_hole_left_by_a_move_and_filled():
    """
        before    1  10[a b c]
        moved     1  10[a]  12[c]  30[b]            records 11-12 > 30
        fresh     1  10[a B c]  30[b]               b 11, B 11
        moved in  1  10[a x c]  30[b]               b 11, x 40; records 11-12 > 30, 40-41 > 11

    b and B have one index: b is looked for at 11, where B is, then at 30; B at once. x comes from 40: 40, then 11:
    found; b: 11, 30. Either way three parts join.
    """
    hole = [Spawn(1), *area(10, 3), mremap(1, 11, 1, 30)]
    end = after(hole)
    assert end.vmas(1) == [(10, 11), (12, 13), (30, 31)]
    assert end.objects == objects(3, 1, 1)
    assert end.visits(1, 30) == (1, 1, 2)
    end = after(hole + area(11, 1))
    assert end.vmas(1) == [(10, 13), (30, 31)]
    assert end.objects == objects(2, 1, 1)
    assert (end.visits(1, 30), end.visits(1, 11)) == ((1, 1, 2), (1, 1, 1))
    end = after(hole + [*area(40, 1), mremap(1, 40, 1, 11)])
    assert end.vmas(1) == [(10, 13), (30, 31)]
    assert end.objects == objects(2, 1, 2)
    assert (end.visits(1, 30), end.visits(1, 11)) == ((1, 1, 2), (1, 1, 2))


def test_hole_filled_in_a_relative():
    """
        before    1  10[a b c]        2  10[a b c]             all @1
        after     1  10[a B c]        2  10[a b c]             b@1 11, B@1 11

    1 unmaps b and writes there anew. b: 1 is looked at, where B is, then 2. B: 1 at once.
    """
    end = after([Spawn(1), *area(10, 3), Fork(1, 2), munmap(1, 11, 1), *area(11, 1)])
    assert end.vmas(1) == [(10, 13)]
    assert end.objects == objects(2, 2)
    assert end.visits(2, 11) == (2, 2, 2)
    assert end.visits(1, 11) == (1, 2, 1)


def test_brk_after_fork():
    """
        before    1  20[h i]brk      2  20[h i]brk                       list 1 2
        grown     1  20[h i]brk      2  20[h i j .]brk                   j@2
        after     1  20[h i]brk      2  20[h] 50[i j .]                  j@2; records 21-24 > 50

    The child's heap grows in place on any kernel. When 2 moves the upper part of it, i: 1 at 21, 50 in vain, 2 at 21
    in vain, 50: 4 ptes; j: 2 at 22 in vain, 51.
    """
    grown = [Spawn(1), brk(1, 20), brk(1, 22), write(1, 20, 2), Fork(1, 2), brk(2, 24), write(2, 22)]
    for kernel in ("2.6.4", "7.0"):
        end = after(grown, kernel=kernel)
        assert (end.vmas(1), end.vmas(2)) == ([(20, 22)], [(20, 24)])
        assert end.objects == objects(2, 2)
        assert end.visits(2, 22) == (1, 2, 1)
    end = after(grown + [mremap(2, 21, 3, 50)])
    assert end.objects == objects(3, 2, 1)
    assert end.visits(1, 21) == (2, 2, 4)
    assert end.visits(2, 51) == (1, 2, 2)


def test_copy_on_write_by_one_who_moved():
    """
        before    1  10[a]      2  30[a]            a@1 10; records 10-11 > 30
        after     1  10[a]      2  30[A]            a@1 10, A@2 30

    A is first mapped at 30, which no record leads on from: 1 pte. a is 1's alone at its index: 1 pte.
    """
    end = after([Spawn(1), *area(10, 1), Fork(1, 2), mremap(2, 10, 1, 30), write(2, 30)])
    assert end.objects == objects(2, 2, 1)
    assert end.visits(2, 30) == end.visits(1, 10) == (1, 2, 1)


def test_copy_on_write_by_the_last_owner():
    """
        before    1  10[a]      2  30[a]            a@1 10; records 10-11 > 30
        after                   2  30[a]            list (1) 2

    1 exits, 2 writes a and keeps it, index and all: 1 is passed, 2 looked at at 10 in vain and at 30. page_referenced
    re-points a to 2 but leaves its index: the head stays for its follower, the walk begins with 2 and still needs 2
    ptes.
    """
    last = [Spawn(1), *area(10, 1), Fork(1, 2), mremap(2, 10, 1, 30), Exit(1)]
    frame = after(last).frame(2, 30)
    end = after(last + [write(2, 30)])
    assert end.frame(2, 30) == frame
    assert end.objects == objects(1, 2, 1)
    assert end.visits(2, 30) == (2, 2, 2)
    end = after(last + [write(2, 30), Reclaim()])
    assert end.objects == objects(1, 2, 1)
    assert end.visits(2, 30) == (1, 2, 2)


ANONMMS = {(1, 2): 2, (1, 3): 2, (2, 3): 3, (1,): 1, (2,): 2, (3,): 2, (): 0}
"""Anonmms when these live: their own, and 1's as long as any lives (a and b point to it)."""

VISITS = {(1, 2): (2, 2, 4), (1, 3): (2, 2, 4), (2, 3): (3, 3, 4), (1,): (1, 1, 1), (2,): (2, 2, 2), (3,): (2, 2, 2)}
"""Of b: 1 at 11, and 30 in vain if more is wanted; 2 and 3 at 11 in vain and at 30; a dead 1 is passed, no pte."""


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_exit_in_every_order(order):
    """
        1  10[a b]      2  10[a] 30[b]      3  10[a] 30[b]            list 1 2 3; all @1; records 11-12 > 30

    1 forks 2, 2 moves b and forks 3. The record is the family's: nothing tells that 2 and 3 were the only ones to need
    it, so it lives as long as anyone does, even 1 alone.
    """
    events = [Spawn(1), *area(10, 2), Fork(1, 2), mremap(2, 11, 1, 30), Fork(2, 3)]
    assert after(events).objects == objects(5, 3, 1)
    assert after(events).visits(1, 11) == (3, 3, 6)
    alive = {1, 2, 3}
    for pid in order:
        events.append(Exit(pid))
        alive.remove(pid)
        end, left = after(events), tuple(sorted(alive))
        assert end.objects == objects(sum(1 if each == 1 else 2 for each in left), ANONMMS[left], 1 if left else 0)
        for each in left:
            assert end.visits(each, 11 if each == 1 else 30) == VISITS[left]


def test_exec_leaves_the_records_to_the_family():
    """
        before    1  10[a]      2  30[a]                   list 1 2; records 10-11 > 30
        2 execs   1  10[a]      2  10[x]                   lists 1 and 2'; records of 1's family only
        1 execs                 2  10[x]      1  -         lists 1' and 2'

    x at 10 is of another family: 30 is not looked at. When 1 has left too the first family is gone, and its record.
    """
    events = [Spawn(1), *area(10, 1), Fork(1, 2), mremap(2, 10, 1, 30), Exec(2), *area(10, 1, pid=2)]
    end = after(events)
    assert end.objects == objects(2, 2, 1)
    assert (end.visits(1, 10), end.visits(2, 10)) == ((1, 1, 1), (1, 1, 1))
    assert after(events + [Exec(1)]).objects == objects(1, 2)


def test_read_back_from_swap_at_two_addresses():
    """
        before    1  10[a]      2  10[a]
        out       1  10[-]      2  30[-]                   records 10-11 > 30
        2 first   1  10[a]      2  30[a]                   a@2 30; records 10-11 > 30, 30-31 > 10
        1 first   1  10[a]      2  30[a]                   a@1 10; records 10-11 > 30

    Who reads a back first gives it its index. From 30 no record leads to 10, so the page gets one when 1 brings it
    there; from 10 one leads to 30. Walks: 2 at 30 and 10, 1 at 30 and 10; or 1 at 10 and 30, 2 at 10 and 30: 4 ptes
    both.
    """
    out = [Spawn(1), *area(10, 1), Fork(1, 2), Swapout(), mremap(2, 10, 1, 30)]
    assert after(out).objects == objects(2, 2, 1)
    end = after(out + [Read(2, 30 * P, P), Read(1, 10 * P, P)])
    assert end.objects == objects(2, 2, 2)
    assert end.visits(1, 10) == (2, 2, 4)
    end = after(out + [Read(1, 10 * P, P), Read(2, 30 * P, P)])
    assert end.objects == objects(2, 2, 1)
    assert end.visits(1, 10) == (2, 2, 4)


def test_read_back_from_swap_where_two_records_lead():
    """
        before    1  10[-]      2  10[-]
        moved     1  10[-]      2  30[-]                   records 10-11 > 20, 20-21 > 30
        after     1  10[a]      2  30[a]                   a@1 10; the same records

    1 reads a first; 2 brings it to 30, where 10 leads by way of 20: no record more. 1 at 10, 20 and 30, since one more
    is wanted; 2 at 10 and 20 in vain, 30: 6 ptes.
    """
    end = after([Spawn(1), *area(10, 1), Fork(1, 2), Swapout(), mremap(2, 10, 1, 20), mremap(2, 20, 1, 30),
                 Read(1, 10 * P, P), Read(2, 30 * P, P)])
    assert end.objects == objects(2, 2, 2)
    assert end.visits(1, 10) == (2, 2, 6)


def test_read_back_from_swap_where_it_was_makes_no_record():
    """
        before    1  10[-]      2  10[-]
        after     1  10[a]      2  10[a]                   a@2 10; records -

    1 brings a to its index: 2 and, round the list, 1 at 10.
    """
    end = after([Spawn(1), *area(10, 1), Fork(1, 2), Swapout(), Read(2, 10 * P, P), Read(1, 10 * P, P)])
    assert end.objects == objects(2, 2)
    assert end.visits(1, 10) == (2, 2, 2)
