"""Hand-worked cases of `pte_chain`: kernel-facts section 2; visits are ptes on the chain (contract section 4).

In the maps a line is a process, a letter a page, an upper-case letter a copy, `.` a page never touched, brackets a
vma, the number before a bracket its first page. A walk visits exactly the ptes of the page, so examined = candidates =
ptes = mapcount everywhere; an element has NRPTE = (64 - 8) / 8 = 7 slots on x86_64.
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exit, Fork, Read, Reclaim, Spawn, Swapout
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write


def after(events, **options):
    return case(events, "pte_chain", **options)


def area(page, count, pid=1):
    return [mmap(pid, page, count), write(pid, page, count)]


def test_fork_chain():
    """
        before    1  10[a b]
        after     1  10[a b]      2  10[a b]      3  10[A b]      4  10[A b]

    1 forks 2, 2 forks 3, 3 writes a, 3 forks 4. The second mapping of a page takes its element, a later one a slot of
    it (facts 2, add 3 and 5): a has 1, 2 and, after 3's write took its pte off, 2 slots; b 4; the copy A is direct in
    3 and takes an element when 4 comes. Elements: a, A and b, one each.
    """
    events = [Spawn(1), *area(10, 2), Fork(1, 2), Fork(2, 3), write(3, 10)]
    end = after(events)
    assert end.objects == {"vm_area_struct": 3, "pte_chain": 2}
    assert end.visits(1, 10) == (2, 2, 2)
    assert end.visits(3, 10) == (1, 1, 1)
    end = after(events + [Fork(3, 4)])
    assert end.objects == {"vm_area_struct": 4, "pte_chain": 3}
    assert end.visits(1, 10) == end.visits(4, 10) == (2, 2, 2)
    assert end.visits(4, 11) == (4, 4, 4)
    assert [end.vmas(pid) for pid in (1, 2, 3, 4)] == [[(10, 12)]] * 4


def test_an_exit_out_of_a_full_element_empties_the_newest():
    """
        before    1 2 .. 8  10[a] each        a: [8] -> [7 6 5 4 3 2 1]
        after     7 of them                   a: [7 slots]

    The eighth mapping finds the head full and makes a new one, with one slot used (facts 2, add 4). Whoever exits
    then, its slot is overwritten by the head's only one, and the head is freed (remove 2): one element, 7 ptes. The
    eighth to come again needs a second element again.
    """
    eight = [Spawn(1), *area(10, 1)] + [Fork(1, pid) for pid in range(2, 9)]
    assert after(eight).objects == {"vm_area_struct": 8, "pte_chain": 2}
    assert after(eight).visits(5, 10) == (8, 8, 8)
    for pid in (1, 4, 8):
        end = after(eight + [Exit(pid)])
        assert end.objects == {"vm_area_struct": 7, "pte_chain": 1}
        assert end.visits(2, 10) == (7, 7, 7)
    assert after(eight + [Exit(4), Fork(2, 4)]).objects == {"vm_area_struct": 8, "pte_chain": 2}


def test_partial_mremap_of_shared_pages_and_back():
    """
        before    1  10[a b c d e f]                        2  10[a b c d e f]
        moved     1  10[a b]  14[e f]  30[c d]              2  10[a b c d e f]
        back      1  10[a b c d e f]                        2  10[a b c d e f]

    A move is remove and add for each pte (facts 2, events): the chain keeps one slot between the two, so each of the
    six pages has its one element throughout. An area at 30 says nothing of where it came from: anonymous offsets are
    not compared (facts 2, VMA merge), so the way back joins all three parts: 4 vmas while away, 2 before and after.
    """
    shared = [Spawn(1), *area(10, 6), Fork(1, 2)]
    away = after(shared + [mremap(1, 12, 2, 30)])
    assert away.vmas(1) == [(10, 12), (14, 16), (30, 32)]
    assert away.objects == {"vm_area_struct": 4, "pte_chain": 6}
    assert away.visits(1, 30) == away.visits(2, 12) == (2, 2, 2)
    back = after(shared + [mremap(1, 12, 2, 30), mremap(1, 30, 2, 12)])
    assert back.vmas(1) == [(10, 16)]
    assert back.objects == {"vm_area_struct": 2, "pte_chain": 6}
    assert back.visits(1, 12) == (2, 2, 2)


def test_partial_mremap_of_pages_alone_needs_no_element():
    """
        before    1  10[a b c d]
        moved     1  10[a]  13[d]  30[b c]

    A direct pointer is cleared and set again (facts 2, remove 1 and add 2): no element. A fork then counts both parts.
    """
    moved = [Spawn(1), *area(10, 4), mremap(1, 11, 2, 30)]
    assert after(moved).objects == {"vm_area_struct": 3, "pte_chain": 0}
    assert after(moved).visits(1, 30) == (1, 1, 1)
    end = after(moved + [Fork(1, 2)])
    assert end.vmas(2) == [(10, 11), (13, 14), (30, 32)]
    assert end.objects == {"vm_area_struct": 6, "pte_chain": 4}


def test_split_by_mprotect_and_joined_again():
    """
        before    1  10[a b c d e f] rw          2  the same
        split     1  10[a b] rw  12[c d] r  14[e f] rw
        joined    1  10[a b c d e f] rw

    Chains do not know vmas (facts 2, events): six elements throughout, two ptes a page. The pieces are alike again
    when the middle is, and nothing else keeps them apart. mprotect in 2.6.4 joins the whole of an area to its
    predecessor too.
    """
    shared = [Spawn(1), *area(10, 6), Fork(1, 2)]
    split = shared + [mprotect(1, 12, 2, "r--")]
    for kernel in ("7.0", "2.6.4"):
        end = after(split, kernel=kernel)
        assert end.vmas(1) == [(10, 12), (12, 14), (14, 16)]
        assert end.objects == {"vm_area_struct": 4, "pte_chain": 6}
        assert [end.visits(1, page) for page in (10, 12, 15)] == [(2, 2, 2)] * 3
        end = after(split + [mprotect(1, 12, 2, "rw-")], kernel=kernel)
        assert end.vmas(1) == [(10, 16)]
        assert end.objects == {"vm_area_struct": 2, "pte_chain": 6}


def test_split_by_munmap_inside_a_shared_area():
    """
        before    1  10[a b c]      2  10[a b c]
        after     1  10[a] 12[c]    2  10[a b c]

    munmap takes one pte off b's chain; a chain of one pte stays a chain (facts 2, invariants): 3 elements, until
    page_referenced finds it alone and makes it direct: 2.
    """
    events = [Spawn(1), *area(10, 3), Fork(1, 2), munmap(1, 11, 1)]
    end = after(events)
    assert end.vmas(1) == [(10, 11), (12, 13)]
    assert end.objects == {"vm_area_struct": 3, "pte_chain": 3}
    assert end.visits(2, 11) == (1, 1, 1)
    assert after(events + [Reclaim()]).objects == {"vm_area_struct": 3, "pte_chain": 2}


def test_hole_filled_by_a_fresh_area_and_by_one_from_elsewhere():
    """
        before    1  10[a b]  13[d e]               40[x]
        fresh     1  10[a b . d e]                  40[x]
        moved     1  10[a b x d e]

    mmap into the hole at 12 joins both sides (merge case 1). So does x, whose first address was 40: what a moved area
    was before counts for nothing (facts 2: anonymous offsets are not compared). Read only protection keeps it apart.
    """
    two = [Spawn(1), *area(10, 2), *area(13, 2), *area(40, 1)]
    assert after(two).objects == {"vm_area_struct": 3, "pte_chain": 0}
    fresh = after(two + [mmap(1, 12, 1)])
    assert fresh.vmas(1) == [(10, 15), (40, 41)]
    other = after(two + [mmap(1, 12, 1, "r--")])
    assert other.vmas(1) == [(10, 12), (12, 13), (13, 15), (40, 41)]
    moved = after(two + [mremap(1, 40, 1, 12)])
    assert moved.vmas(1) == [(10, 15)]
    assert moved.visits(1, 12) == (1, 1, 1)


def test_brk_after_fork():
    """
        before    1  18[a b] 20[h i]brk       2  18[a b] 20[h i]brk           (2.6.4: 18[a b h i])
        after     1  the same                 2  18[a b] 20[h i j .]brk       (2.6.4: 18[a b h i j .])

    The break starts at 20, right above a mapping of equal flags. From 6.1 brk grows only a vma of the heap, so the
    first growth makes one; before, it merges as mmap does (facts 14.6, and 9). A child's heap grows in one vma on any
    kernel: vmas carry nothing that could forbid it (facts 2). j is of the child alone; a, b, h and i have an element
    each.
    """
    heap = [Spawn(1), *area(18, 2), brk(1, 20), brk(1, 22), write(1, 20, 2), Fork(1, 2)]
    grown = heap + [brk(2, 24), write(2, 22)]
    end = after(grown)
    assert end.vmas(1) == [(18, 20), (20, 22)]
    assert end.vmas(2) == [(18, 20), (20, 24)]
    assert end.objects == {"vm_area_struct": 4, "pte_chain": 4}
    assert end.visits(2, 20) == (2, 2, 2)
    assert end.visits(2, 22) == (1, 1, 1)
    old = after(grown, kernel="2.6.4")
    assert (old.vmas(1), old.vmas(2)) == ([(18, 22)], [(18, 24)])
    assert old.objects == {"vm_area_struct": 2, "pte_chain": 4}


def test_copy_on_write_by_the_last_owner():
    """
        before    1  10[a]      2  10[a]      3  10[a]
        after                   2  10[a]

    1 and 3 exit: one slot is left in a's element, which stays (facts 2, invariants). 2 writes: the page has one
    mapping, so 2 keeps it, and re-use has no effect on the map (facts 0.4). page_referenced makes the chain of one
    direct.
    """
    last = [Spawn(1), *area(10, 1), Fork(1, 2), Fork(1, 3), Exit(1), Exit(3)]
    frame = after(last).frame(2, 10)
    end = after(last + [write(2, 10)])
    assert end.frame(2, 10) == frame
    assert end.objects == {"vm_area_struct": 1, "pte_chain": 1}
    assert end.visits(2, 10) == (1, 1, 1)
    assert after(last + [write(2, 10), Reclaim()]).objects == {"vm_area_struct": 1, "pte_chain": 0}


def test_copy_on_write_by_one_who_is_not_the_last():
    """
        before    1  10[a]      2  10[a]
        after     1  10[a]      2  10[A]

    2 takes its pte off a's chain and gets A, direct (facts 2, COW fault). a's chain of one stays, and when 1 writes it
    keeps a.
    """
    events = [Spawn(1), *area(10, 1), Fork(1, 2), write(2, 10)]
    end = after(events)
    assert end.objects == {"vm_area_struct": 2, "pte_chain": 1}
    assert end.visits(1, 10) == end.visits(2, 10) == (1, 1, 1)
    assert end.frame(1, 10) != end.frame(2, 10)
    assert after(events + [write(1, 10)]).objects == {"vm_area_struct": 2, "pte_chain": 1}


LEFT = {(1, 2): 3, (1, 3): 3, (2, 3): 2, (1,): 2, (2,): 2, (3,): 2, (): 0}
"""Elements when these live."""


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_exit_in_every_order(order):
    """
        1  10[a b]      2  10[a B]      3  10[a B]

    1 forks 2, 2 writes b, 2 forks 3. Elements: a (1, 2, 3), B (2, 3); b has had one since 2's fork: a chain of one of
    1. An element lives as long as any pte of its page: a's to the end, b's with 1, B's while 2 or 3 live.
    """
    events = [Spawn(1), *area(10, 2), Fork(1, 2), write(2, 11), Fork(2, 3)]
    assert after(events).objects == {"vm_area_struct": 3, "pte_chain": 3}
    alive = {1, 2, 3}
    for pid in order:
        events.append(Exit(pid))
        alive.remove(pid)
        end = after(events)
        assert end.objects == {"vm_area_struct": len(alive), "pte_chain": LEFT[tuple(sorted(alive))]}
        for left in alive:
            assert end.visits(left, 10) == (len(alive),) * 3
            assert end.mapcount(left, 11) == (1 if left == 1 else len(alive - {1}))


def test_swapped_out_and_back_in_either_order():
    """
        before    1  10[a]      2  10[a]
        out       1  10[-]      2  10[-]
        back      1  10[a]      2  10[a]

    try_to_unmap releases slot after slot, and with the last the element (facts 2, unmap). Back comes an add for each:
    direct for the first, an element for the second, whoever that is.
    """
    out = [Spawn(1), *area(10, 1), Fork(1, 2), Swapout()]
    assert after(out).objects == {"vm_area_struct": 2, "pte_chain": 0}
    for first, second in ((1, 2), (2, 1)):
        assert after(out + [Read(first, 10 * P, P)]).objects == {"vm_area_struct": 2, "pte_chain": 0}
        end = after(out + [Read(first, 10 * P, P), Read(second, 10 * P, P)])
        assert end.objects == {"vm_area_struct": 2, "pte_chain": 1}
        assert end.visits(1, 10) == (2, 2, 2)
