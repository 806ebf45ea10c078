"""Hand-worked cases of `anonmm_copy`: kernel-facts section 4, mremap as of May 2004 ("rmap 11").

In the maps a line is a process, a letter a page, an upper-case letter a copy, `.` a page never touched, brackets a
vma, the number before a bracket its first page; `a@1` says that a points to the anonmm of process 1, `list` is the
family in the order of forks. A walk goes round it from the page's own anonmm and looks at one address, the page's
index, in each. Visits are (anonmms passed until all mappings are found, anonmms in the list, ptes looked at): one
whose mm is gone is passed without a look.
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exit, Fork, Read, Reclaim, Spawn, Swapout
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write


def after(events, **options):
    return case(events, "anonmm_copy", **options)


def area(page, count, pid=1):
    return [mmap(pid, page, count), write(pid, page, count)]


def objects(vmas, anonmms):
    return {"vm_area_struct": vmas, "anonmm": anonmms}


def copies(end):
    """Pages copied because they could not be moved while shared."""
    return end.machine.ledger.copies


def test_fork_chain_whose_middle_moves():
    """
        before    1  10[a]      2  10[a]      3  10[a]            list 1 2 3; a@1
        after     1  10[a]      2  30[A]      3  10[a]            a@1 A@2

    a is shared, so 2 copies it before it moves (facts 4, mremap 2004): one copy, index 30, 2's own. a is left to 1 and
    3: 1 hit, 2 looked at in vain, 3 hit. A: 2's own anonmm first.
    """
    end = after([Spawn(1), *area(10, 1), Fork(1, 2), Fork(2, 3), mremap(2, 10, 1, 30)])
    assert end.objects == objects(3, 3)
    assert copies(end) == 1
    assert (end.mapcount(1, 10), end.mapcount(2, 30)) == (2, 1)
    assert end.visits(1, 10) == (3, 3, 3)
    assert end.visits(2, 30) == (1, 3, 1)


def test_partial_mremap_of_shared_pages_and_back():
    """
        before    1  10[a b c d]      2  10[a b c d]                   list 1 2, all @1
        moved     1  10[a b c d]      2  10[a]  13[d]  30[B C]         B@2 30, C@2 31
        back      1  10[a b c d]      2  10[a B C d]                   B@2 11, C@2 12

    b and c are copied, a and d stay shared. Back, B and C are alone: their index is set, nothing is copied; and what
    was copied does not become shared again. B is found in 2 at once; b in 1 at once; a in both.
    """
    away = [Spawn(1), *area(10, 4), Fork(1, 2), mremap(2, 11, 2, 30)]
    end = after(away)
    assert end.vmas(2) == [(10, 11), (13, 14), (30, 32)]
    assert end.objects == objects(4, 2)
    assert copies(end) == 2
    assert (end.visits(2, 30), end.visits(1, 11), end.visits(2, 10)) == ((1, 2, 1), (1, 2, 1), (2, 2, 2))
    end = after(away + [mremap(2, 30, 2, 11)])
    assert end.vmas(2) == [(10, 14)]
    assert end.objects == objects(2, 2)
    assert copies(end) == 2
    assert (end.visits(2, 11), end.visits(1, 11), end.visits(2, 13)) == ((1, 2, 1), (1, 2, 1), (2, 2, 2))
    assert (end.mapcount(1, 11), end.mapcount(2, 11)) == (1, 1)


def test_only_the_shared_pages_of_a_moved_range_are_copied():
    """
        before    1  10[a b c .]      2  10[a B c .]            a@1 c@1 B@2
        after     1  10[a b c .]      2  30[A B C .]            A@2 B@2 C@2

    2 has written b before it moves: B is its own, and takes its index 31 along. a and c are copied: 2. The page never
    touched has nothing to copy. b in 1 has been alone since, and moves without a copy too.
    """
    moved = [Spawn(1), mmap(1, 10, 4), write(1, 10, 3), Fork(1, 2), write(2, 11), mremap(2, 10, 4, 30)]
    end = after(moved)
    assert end.objects == objects(2, 2)
    assert copies(end) == 2
    assert [end.visits(2, page) for page in (30, 31, 32)] == [(1, 2, 1)] * 3
    end = after(moved + [mremap(1, 10, 4, 50)])
    assert copies(end) == 2
    assert end.visits(1, 51) == (1, 2, 1)


def test_moved_before_fork_nothing_is_copied():
    """
        before    1  10[a b]
        after     1  30[a b]      2  30[a b]            a@1 30, b@1 31

    mapcount 1: the index is set, and after the fork both map a at it.
    """
    end = after([Spawn(1), *area(10, 2), mremap(1, 10, 2, 30), Fork(1, 2)])
    assert copies(end) == 0
    assert end.objects == objects(2, 2)
    assert end.visits(2, 30) == (2, 2, 2)


def test_split_by_mprotect_and_joined_again():
    """
        before    1  10[a b c d e f] rw          2  the same
        split     1  10[a b] rw  12[c d] r  14[e f] rw
        joined    1  10[a b c d e f] rw

    Nothing but the vmas changes (facts 4, event 6), and nothing is copied: no page changes its address.
    """
    split = [Spawn(1), *area(10, 6), Fork(1, 2), mprotect(1, 12, 2, "r--")]
    end = after(split)
    assert end.vmas(1) == [(10, 12), (12, 14), (14, 16)]
    assert end.objects == objects(4, 2)
    assert [end.visits(1, page) for page in (10, 12, 15)] == [(2, 2, 2)] * 3
    end = after(split + [mprotect(1, 12, 2, "rw-")])
    assert end.vmas(1) == [(10, 16)]
    assert end.objects == objects(2, 2)
    assert copies(end) == 0


def test_hole_filled_by_a_page_from_elsewhere():
    """
        before    1  10[a b]  13[d e]  40[x]         2  10[a b]  13[d e]  40[x]         all @1
        after     1  10[a b X d e]                   2  10[a b]  13[d e]  40[x]         X@1 12, x@1 40

    Offsets are not compared: X joins both sides. x was shared, so X is a copy, of 1's own; x is 2's alone but still
    @1: 1 is looked at in vain (nothing at 40), then 2. A hole filled with fresh memory joins alike and copies nothing.
    """
    hole = [Spawn(1), *area(10, 2), *area(13, 2), *area(40, 1), Fork(1, 2)]
    end = after(hole + [mremap(1, 40, 1, 12)])
    assert end.vmas(1) == [(10, 15)]
    assert end.objects == objects(4, 2)
    assert copies(end) == 1
    assert end.visits(1, 12) == (1, 2, 1)
    assert end.visits(2, 40) == (2, 2, 2)
    end = after(hole + area(12, 1))
    assert end.vmas(1) == [(10, 15), (40, 41)]
    assert copies(end) == 0
    assert end.visits(1, 12) == (1, 2, 1)


def test_hole_left_by_a_shared_page_and_written():
    """
        before    1  10[a b c]                   2  10[a b c]         all @1
        hole      1  10[a]  12[c]                2  10[a b c]
        filled    1  10[a B c]                   2  10[a b c]         b@1 11, B@1 11

    Two pages have one anonmm and one index. b: 1 is looked at, where B is, then 2. B: 1 at once.
    """
    end = after([Spawn(1), *area(10, 3), Fork(1, 2), munmap(1, 11, 1), *area(11, 1)])
    assert end.vmas(1) == [(10, 13)]
    assert end.objects == objects(2, 2)
    assert end.visits(2, 11) == (2, 2, 2)
    assert end.visits(1, 11) == (1, 2, 1)


def test_brk_after_fork():
    """
        before    1  20[h i]brk      2  20[h i]brk                         list 1 2
        grown     1  20[h i]brk      2  20[h i j .]brk                     j@2
        after                        2  20[h i j .]brk    3  20[h i j .]brk     list (1) 2 3

    The child's heap grows in place on any kernel. 3 inherits j: 2 and 3. h is @1, whose mm is gone: passed, then 2, 3.
    """
    grown = [Spawn(1), brk(1, 20), brk(1, 22), write(1, 20, 2), Fork(1, 2), brk(2, 24), write(2, 22)]
    for kernel in ("2.6.4", "7.0"):
        end = after(grown, kernel=kernel)
        assert (end.vmas(1), end.vmas(2)) == ([(20, 22)], [(20, 24)])
        assert end.objects == objects(2, 2)
        assert end.visits(2, 22) == (1, 2, 1)
    end = after(grown + [Fork(2, 3), Exit(1)])
    assert end.objects == objects(2, 3)
    assert end.visits(3, 22) == (2, 3, 2)
    assert end.visits(3, 20) == (3, 3, 2)


def test_copy_on_write_and_move_by_the_last_owner():
    """
        before    1  10[a]      2  10[a]
        after                   2  30[a]            a@1 30; list (1) 2

    1 exits; 2 is the last to map a: it writes and keeps it, and moves it without a copy. May 2004 does not re-point a
    re-used page (facts 4, event 7): 1's anonmm stays for it, passed before 2. page_referenced re-points it to 2; the
    head stays for its follower, but the walk begins with 2.
    """
    last = [Spawn(1), *area(10, 1), Fork(1, 2), Exit(1)]
    frame = after(last).frame(2, 10)
    events = last + [write(2, 10), mremap(2, 10, 1, 30)]
    end = after(events)
    assert end.frame(2, 30) == frame
    assert copies(end) == 0
    assert end.objects == objects(1, 2)
    assert end.visits(2, 30) == (2, 2, 1)
    end = after(events + [Reclaim()])
    assert end.objects == objects(1, 2)
    assert end.visits(2, 30) == (1, 2, 1)


LEFT = {(1, 2): 2, (1, 3): 3, (2, 3): 3, (1,): 1, (2,): 2, (3,): 3, (): 0}
"""Anonmms when these live: their own, 1's as long as any lives (a points to it), 2's as long as 3 lives (B does)."""

VISITS = {(1, 2): (1, 2, 1), (1, 3): (2, 3, 1), (2, 3): (2, 3, 2), (2,): (1, 2, 1), (3,): (2, 3, 1)}
"""Of B, from 2's anonmm through 3's; 2's is passed without a pte when its mm is gone."""


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_exit_in_every_order(order):
    """
        1  10[a b]      2  10[a] 30[B]      3  10[a] 30[B]            list 1 2 3; a@1 b@1 B@2 30

    1 forks 2, 2 moves b and so copies it, 2 forks 3. a holds 1's anonmm, B 2's while 3 maps it (facts 4, event 3).
    """
    events = [Spawn(1), *area(10, 2), Fork(1, 2), mremap(2, 11, 1, 30), Fork(2, 3)]
    assert after(events).objects == objects(5, 3)
    assert after(events).visits(2, 30) == (2, 3, 2)
    alive = {1, 2, 3}
    for pid in order:
        events.append(Exit(pid))
        alive.remove(pid)
        end, left = after(events), tuple(sorted(alive))
        assert end.objects == objects(sum(1 if each == 1 else 2 for each in left), LEFT[left])
        assert copies(end) == 1
        for each in alive - {1}:
            assert end.visits(each, 30) == VISITS[left]


def test_swap_entries_move_and_the_second_to_read_back_copies():
    """
        before    1  10[a]      2  10[a]
        out       1  10[-]      2  30[-]
        2 first   1  10[A]      2  30[a]            a@2 30, A@1 10
        1 first   1  10[a]      2  30[A]            a@1 10, A@2 30

    A swap entry is no page to copy: it just moves. Who reads first sets the index to its address; the other finds the
    page with another index and copies at once (facts 4, 2004-05): one copy either way, each with its own page.
    """
    out = [Spawn(1), *area(10, 1), Fork(1, 2), Swapout(), mremap(2, 10, 1, 30)]
    assert copies(after(out)) == 0
    reads = [Read(2, 30 * P, P), Read(1, 10 * P, P)]
    for order in (reads, reads[::-1]):
        assert copies(after(out + order[:1])) == 0
        end = after(out + order)
        assert copies(end) == 1
        assert end.objects == objects(2, 2)
        assert (end.mapcount(1, 10), end.mapcount(2, 30)) == (1, 1)
        assert end.visits(1, 10) == end.visits(2, 30) == (1, 2, 1)


def test_swap_entries_read_back_where_they_were_stay_shared():
    """
        before    1  10[a]      2  10[a]
        after     1  10[a]      2  10[a]            a@2 10

    2 moves its entry to 30 and back: the address is the index again when 1 reads a too. From 2, then round to 1.
    """
    end = after([Spawn(1), *area(10, 1), Fork(1, 2), Swapout(), mremap(2, 10, 1, 30), mremap(2, 30, 1, 10),
                 Read(2, 10 * P, P), Read(1, 10 * P, P)])
    assert copies(end) == 0
    assert end.visits(1, 10) == (2, 2, 2)
