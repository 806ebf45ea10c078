"""Hand-worked cases of `page_table_scan`: kernel-facts section 1, with the rules of 2.4.22 where no other kernel is
named.

In the maps a line is a process, a letter a page, an upper-case letter a copy, `.` a page never touched, brackets a
vma, the number before a bracket its first page. Visits are (present ptes passed, processes in the order they were made
and addresses ascending, up to the page's last mapping; all present ptes; the ptes looked at, the same as passed).
There are no objects but vmas.
"""

from itertools import permutations

import pytest

from rmapmodel.events import CloneVm, Exec, Exit, Fork, Mmap, Read, Spawn, Swapout
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write


def after(events, kernel="2.4.22"):
    return case(events, "page_table_scan", kernel=kernel)


def area(page, count, pid=1):
    return [mmap(pid, page, count), write(pid, page, count)]


def passed(ptes, present):
    """Visits of a page whose last mapping is the `ptes`-th of so many present ptes."""
    return ptes, present, ptes


def test_fork_chain():
    """
        1  10[a b]      2  10[a b]      3  10[A b]

    1 forks 2, 2 forks 3, 3 writes a. The scan passes a b, a b, A b. a: 1st and 3rd. A: 5th. b: 2nd, 4th and 6th.
    """
    end = after([Spawn(1), *area(10, 2), Fork(1, 2), Fork(2, 3), write(3, 10)])
    assert end.objects == {"vm_area_struct": 3}
    assert end.visits(1, 10) == passed(3, 6)
    assert end.visits(3, 10) == passed(5, 6)
    assert end.visits(3, 11) == passed(6, 6)


def test_exec_keeps_the_place_of_a_process():
    """
        before    1  10[a]          2  10[a]      3  10[a]
        after     1  20[x y]        2  10[a]      3  10[a]

    x y, a, a: what 1 maps after exec is still passed first; a ends with the 4th. A thread of 2's mm adds no pass.
    """
    end = after([Spawn(1), *area(10, 1), Fork(1, 2), Fork(1, 3), Exec(1), *area(20, 2), CloneVm(2, 4)])
    assert end.objects == {"vm_area_struct": 3}
    assert end.visits(1, 20) == passed(1, 4)
    assert end.visits(3, 10) == passed(4, 4)


def test_partial_mremap_and_back():
    """
        before    1  10[a b c d]                    2  10[a b c d]
        moved     1  10[a]  13[d]  30[b c]          2  10[a b c d]
        back      1  10[a b c d]                    2  10[a b c d]

    mremap moves ptes and no more (facts 1). Away the scan passes a d b c, a b c d: b 3rd and 6th, d 2nd and 8th. Back
    it passes a b c d twice: b 2nd and 6th, d 4th and 8th. Offsets and history are ignored in merging, with the
    previous area and then the next: one vma again.
    """
    away = [Spawn(1), *area(10, 4), Fork(1, 2), mremap(1, 11, 2, 30)]
    end = after(away)
    assert end.vmas(1) == [(10, 11), (13, 14), (30, 32)]
    assert end.objects == {"vm_area_struct": 4}
    assert (end.visits(1, 30), end.visits(1, 13)) == (passed(6, 8), passed(8, 8))
    assert (end.visits(1, 10), end.visits(1, 31)) == (passed(5, 8), passed(7, 8))
    end = after(away + [mremap(1, 30, 2, 11)])
    assert end.vmas(1) == [(10, 14)]
    assert end.objects == {"vm_area_struct": 2}
    assert (end.visits(1, 11), end.visits(1, 13)) == (passed(6, 8), passed(8, 8))


def test_split_by_mprotect_and_joined_again():
    """
        before    1  10[a b c d e f] rw
        split     1  10[a b] rw  12[c d] r  14[e f] rw
        head      1  10[a b c d] r  14[e f] rw
        tail      1  10[a b] rw  12[c d] r  14[e] rw  15[f] r        then e too: 12[c d e f] r
        joined    1  10[a b c d e f] rw

    Splits change no pte: the n-th page is the n-th passed. mprotect joins the area that it changed to the one below
    (mprotect_fixup), and at its end the last one with the next (sys_mprotect): a b with c d above; e with c d below
    and f above.
    """
    split = [Spawn(1), *area(10, 6), mprotect(1, 12, 2, "r--")]
    end = after(split)
    assert end.vmas(1) == [(10, 12), (12, 14), (14, 16)]
    assert end.objects == {"vm_area_struct": 3}
    assert [end.visits(1, 10 + n) for n in range(6)] == [passed(n + 1, 6) for n in range(6)]
    assert after(split + [mprotect(1, 10, 2, "r--")]).vmas(1) == [(10, 14), (14, 16)]
    tail = split + [mprotect(1, 15, 1, "r--")]
    assert after(tail).vmas(1) == [(10, 12), (12, 14), (14, 15), (15, 16)]
    assert after(tail + [mprotect(1, 14, 1, "r--")]).vmas(1) == [(10, 12), (12, 16)]
    end = after(split + [mprotect(1, 12, 2, "rw-")])
    assert end.vmas(1) == [(10, 16)]
    assert end.visits(1, 15) == passed(6, 6)


def test_mprotect_of_two_areas_joins_only_what_it_changed():
    """
        before    1  10[a b] rw  12[c d] r  14[e f] rw
        to 14     1  10[a b c d e f] rw
        to 16     1  10[a b c d] rw  14[e f] rw
        7.0       1  10[a b c d e f] rw

    To 14, c d joins a b and then, last of the range, takes in e f. To 16, c d joins a b; e f has its protection
    already, so mprotect_fixup leaves it alone, and it is the last: nothing follows it. From 2.6.7 c d joins both sides
    (merge case 6).
    """
    split = [Spawn(1), *area(10, 6), mprotect(1, 12, 2, "r--")]
    assert after(split + [mprotect(1, 12, 2, "rw-")]).vmas(1) == [(10, 16)]
    for kernel in ("2.4.22", "2.6.6"):
        assert after(split + [mprotect(1, 12, 4, "rw-")], kernel).vmas(1) == [(10, 14), (14, 16)]
    assert after(split + [mprotect(1, 12, 4, "rw-")], "2.6.7").vmas(1) == [(10, 16)]


def test_split_by_munmap():
    """
        before    1  10[a b c]      2  10[a b c]
        after     1  10[a] 12[c]    2  10[a b c]

    One pte less to pass: a c, a b c. b is the 4th, c 2nd and 5th.
    """
    end = after([Spawn(1), *area(10, 3), Fork(1, 2), munmap(1, 11, 1)])
    assert end.vmas(1) == [(10, 11), (12, 13)]
    assert end.objects == {"vm_area_struct": 3}
    assert (end.visits(2, 11), end.visits(2, 12)) == (passed(4, 5), passed(5, 5))


def test_hole_filled_by_a_fresh_area_and_by_one_from_elsewhere():
    """
        before    1  10[a b]  13[d e]  40[x]
        fresh     1  10[a b . d e]  40[x]
        moved     1  10[a b x d e]
        below     1  10[a b]  12[.]  13[d e]  40[x]      when a b is read only

    mmap merges with the previous area, and only then with the next (2.4); from 2.5 with the next alone too. x joins
    both sides. The page never written has no pte: 5 are passed until it is. Then a b C d e x.
    """
    two = [Spawn(1), *area(10, 2), *area(13, 2), *area(40, 1)]
    fresh = two + [mmap(1, 12, 1)]
    assert after(fresh).vmas(1) == [(10, 15), (40, 41)]
    assert after(fresh).visits(1, 13) == passed(3, 5)
    assert after(fresh + [write(1, 12)]).visits(1, 13) == passed(4, 6)
    moved = after(two + [mremap(1, 40, 1, 12)])
    assert moved.vmas(1) == [(10, 15)]
    assert moved.visits(1, 12) == passed(3, 5)
    below = two + [mprotect(1, 10, 2, "r--"), mmap(1, 12, 1)]
    assert after(below).vmas(1) == [(10, 12), (12, 13), (13, 15), (40, 41)]
    assert after(below, "2.6.4").vmas(1) == [(10, 12), (12, 15), (40, 41)]


def test_brk_after_fork():
    """
        before    1  18[a b h i]brk      2  18[a b h i]brk
        after     1  18[a b h i]brk      2  18[a b h i j .]brk

    brk merges with the previous area (facts 1), before the fork and after it; on 7.0 the heap's first growth makes an
    area of its own (facts 14.6). j is the 9th pte, after 1's four and 2's own four; i the 4th and 8th.
    """
    heap = [Spawn(1), *area(18, 2), brk(1, 20), brk(1, 22), write(1, 20, 2), Fork(1, 2), brk(2, 24), write(2, 22)]
    end = after(heap)
    assert (end.vmas(1), end.vmas(2)) == ([(18, 22)], [(18, 24)])
    assert end.objects == {"vm_area_struct": 2}
    assert (end.visits(2, 22), end.visits(2, 21)) == (passed(9, 9), passed(8, 9))
    new = after(heap, "7.0")
    assert (new.vmas(1), new.vmas(2)) == ([(18, 20), (20, 22)], [(18, 20), (20, 24)])
    assert new.visits(2, 22) == passed(9, 9)


def test_copy_on_write_by_the_last_owner():
    """
        before    1  10[a b]      2  10[a b]      3  10[a b]
        after     1  10[a B]                      3  10[a b]

    1 writes b while others have it, 2 exits, 3 writes b: the last to map it keeps it (facts 0.4). a B, a b: a is 1st
    and 3rd, B 2nd, b 4th.
    """
    events = [Spawn(1), *area(10, 2), Fork(1, 2), Fork(1, 3), write(1, 11), Exit(2)]
    frame = after(events).frame(3, 11)
    end = after(events + [write(3, 11)])
    assert end.frame(3, 11) == frame != end.frame(1, 11)
    assert end.objects == {"vm_area_struct": 2}
    assert end.visits(1, 10) == passed(3, 4)
    assert (end.visits(1, 11), end.visits(3, 11)) == (passed(2, 4), passed(4, 4))


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_exit_in_every_order(order):
    """
        1  10[a b]      2  10[a B]      3  10[a B]

    1 forks 2, 2 writes b, 2 forks 3. With k alive there are 2k ptes. a is the first of each process: its last is 2k -
    1. B is the second of the last process that is not 1: 2k. b is the second of 1, who comes first: 2.
    """
    events = [Spawn(1), *area(10, 2), Fork(1, 2), write(2, 11), Fork(2, 3)]
    alive = {1, 2, 3}
    for pid in order:
        events.append(Exit(pid))
        alive.remove(pid)
        end, ptes = after(events), 2 * len(alive)
        assert end.objects == {"vm_area_struct": len(alive)}
        for left in alive:
            assert end.visits(left, 10) == passed(ptes - 1, ptes)
            assert end.visits(left, 11) == passed(2 if left == 1 else ptes, ptes)


def test_zero_pages_are_passed_and_swap_entries_are_not():
    """
        before    1  10[a b 0 d]
        after     1  10[- b 0 d]

    The page that was only read is the zero page (facts 0.2): its pte is present, and passed as any (facts 1, step 4); a is
    swapped out. Present: b, the zero page, d.
    """
    events = [Spawn(1), mmap(1, 10, 4), write(1, 10, 2), Read(1, 12 * P, P), write(1, 13), Swapout(1, 10 * P, P)]
    end = after(events)
    assert (end.visits(1, 11), end.visits(1, 13)) == (passed(1, 3), passed(3, 3))


def test_file_pages_are_passed_alike_and_fork_copies_them():
    """
        1  10[F G] shared file  20[a]          2.4.22: 2  10[F G] 20[a]          7.0: 2  10[. .] 20[a]

    2.4 copies every pte at fork: F G a, F G a: F 1st and 4th, a 3rd and 6th. 7.0 skips the area without anonymous
    pages (facts 0.3): F G a, a: F 1st, a 3rd and 4th.
    """
    events = [Spawn(1), Mmap(1, 10 * P, 2 * P, "rw-", ["shared"], "f"), Read(1, 10 * P, 2 * P), *area(20, 1),
              Fork(1, 2)]
    old, new = after(events), after(events, "7.0")
    assert (old.visits(1, 10), old.visits(1, 20)) == (passed(4, 6), passed(6, 6))
    assert (new.visits(1, 10), new.visits(1, 20)) == (passed(1, 4), passed(4, 4))
    assert old.objects == new.objects == {"vm_area_struct": 4}
