"""`shared_space_unique` by hand: kernel-facts section 6, reading f2, on i386: slices of 4 GiB in 2^44 bytes.

The maps: a line a process, pages as letters (a capital is a copy the process made), vmas in brackets behind the page
they start at, `@` the offset in the space where it is not the address; S is the pages of a slice, so `@S+X` is X in
slice 1. The exec's process has slice 0; fork takes the lowest free one. Where two vmas hold an index they are met in
the order of the priority search tree, a fork's copy behind its original (as in test_shared_space.py).
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exit, Fork, Mmap, Mremap, Spawn
from tests.strategies.cases.case import Case, P, brk, case, mmap, mprotect, mremap, munmap, write
from tests.traces import run

A, X, Y = 256, 512, 768
S = (4 << 30) // P


def unique(events, kernel="2.6.11"):
    return case(events, "shared_space_unique", kernel=kernel, arch="i386")


def counts(vmas, spaces):
    return {"vm_area_struct": vmas, "address_space": spaces}


def area(pages):
    return [Spawn(1), mmap(1, A, pages), write(1, A, pages)]


def grow(pid, page, pages, new_pages):
    return Mremap(pid, page * P, pages * P, page * P, new_pages * P, [])


def test_fork_chain_repeats_inherited_offsets_and_no_others():
    """
        before  1 A[ab]
        after   1 A[ab]  X[e]            2 and 3 copied the first page before they forked, and all map X at the end
                2 A[Bb]  X[f]@S+X
                3 A[Cb]  X[g]@2S+X

    Copies keep the inherited key: a, B, C are at index A, met in the order 1, 2, 3; b by all. e, f and g are new areas,
    each in its process's slice: one candidate, where f1 has three.
    """
    events = area(2) + [Fork(1, 2), write(2, A), Fork(2, 3), write(3, A)]
    for pid in (1, 2, 3):
        events += [mmap(pid, X, 1), write(pid, X)]
    c = unique(events)
    assert c.objects == counts(6, 1)
    assert [c.offsets(pid) for pid in (1, 2, 3)] == [[A, X], [A, S + X], [A, 2 * S + X]]
    assert [c.visits(pid, A) for pid in (1, 2, 3)] == [(1, 3, 1), (2, 3, 2), (3, 3, 3)]
    assert c.visits(1, A + 1) == (3, 3, 3)
    assert [c.visits(pid, X) for pid in (1, 2, 3)] == [(1, 1, 1)] * 3


def test_slice_is_free_again_when_its_mm_and_the_areas_in_it_are_gone():
    """
        2, forked by 1, has slice 1 and maps X[e]@S+X; 3, forked by 2, has slice 2 and inherits it; then 2 exits

        a) 1 forks 4: slice 1 is still in 3's vma; 4 gets slice 3
        b) 3 unmaps X first: nothing is in slice 1; 4 gets it
        c) a), then 3 unmaps X: 1's next child, 5, gets slice 1

    Seen by where the newborn's Y lies.
    """
    events = area(1) + [Fork(1, 2), mmap(2, X, 1), write(2, X), Fork(2, 3), Exit(2)]
    born = [Fork(1, 4), mmap(4, Y, 1)]
    assert unique(events).offsets(3) == [A, S + X]
    assert unique(events + born).offsets(4) == [A, 3 * S + Y]
    assert unique(events + [munmap(3, X, 1)] + born).offsets(4) == [A, S + Y]
    assert unique(events + born + [munmap(3, X, 1), Fork(1, 5), mmap(5, Y, 1)]).offsets(5) == [A, S + Y]


THERE = area(4) + [mremap(1, A + 1, 2, X)]


def test_partial_mremap_keeps_its_offsets_and_is_undone():
    """
        before  1 A[abcd]
        after   1 A[a]  A+3[d]  ...  X[bc]@A+1
        undone  1 A[abcd]
    """
    c = unique(THERE)
    assert c.objects == counts(3, 1)
    assert c.vmas(1) == [(A, A + 1), (A + 3, A + 4), (X, X + 2)] and c.offsets(1) == [A, A + 3, A + 1]
    assert c.visits(1, A) == c.visits(1, X) == c.visits(1, A + 3) == (1, 1, 1)
    c = unique(THERE + [mremap(1, X, 2, A + 1)])
    assert c.objects == counts(1, 1)
    assert c.vmas(1) == [(A, A + 4)] and c.visits(1, A + 1) == (1, 1, 1)


def test_hole_left_by_a_move_is_filled_with_the_lowest_free_offsets():
    """
        before  1 A[a]            A+3[d]  ...  X[bc]@A+1
        after   1 A[a]A+1[ef]@0   A+3[d]  ...  X[bc]@A+1
        then    1 A[a]A+1[gh]@2   A+3[d]  ...  X[bc]@A+1  Y[ef]@0

    The filler's own numbers A+1, A+2 are bc's: it takes 0, 1, the lowest of slice 0, and joins nobody. Moved to Y, ef
    keeps them; the next filler gets 2, 3. No index repeats, so every page has one candidate; the price is a vma each.
    """
    filled = THERE + [mmap(1, A + 1, 2), write(1, A + 1, 2)]
    c = unique(filled)
    assert c.objects == counts(4, 1)
    assert c.offsets(1) == [A, 0, A + 3, A + 1]
    assert c.visits(1, A + 1) == c.visits(1, X) == (1, 1, 1)
    c = unique(filled + [mremap(1, A + 1, 2, Y), mmap(1, A + 1, 2), write(1, A + 1, 2)])
    assert c.objects == counts(5, 1)
    assert c.vmas(1) == [(A, A + 1), (A + 1, A + 3), (A + 3, A + 4), (X, X + 2), (Y, Y + 2)]
    assert c.offsets(1) == [A, 2, A + 3, A + 1, 0]
    assert c.visits(1, Y) == c.visits(1, A + 1) == c.visits(1, X) == (1, 1, 1)


def test_move_undone_over_the_filler():
    """
        before  1 A[a]A+1[ef]@0A+3[d]  ...  X[bc]@A+1
        after   1 A[abcd]                               the fixed target is unmapped first; offsets continue
    """
    c = unique(THERE + [mmap(1, A + 1, 2), write(1, A + 1, 2), mremap(1, X, 2, A + 1)])
    assert c.objects == counts(1, 1)
    assert c.vmas(1) == [(A, A + 4)] and c.offsets(1) == [A]


def test_hole_that_was_unmapped_is_filled_and_closes():
    """
        before  1 A[abcd]   2 A[abcd]
        after   1 A[a..d]   2 A[a]A+1[..]@S+A+1A+3[d]      both unmapped bc and mapped it again

    While 2 holds A+1, A+2 they are not free: so 2 unmaps first. Then 1 gets its own numbers and closes; 2, whose new
    areas are of slice 1, does not.
    """
    c = unique(area(4) + [Fork(1, 2), munmap(2, A + 1, 2), munmap(1, A + 1, 2), mmap(1, A + 1, 2), mmap(2, A + 1, 2)])
    assert c.objects == counts(4, 1)
    assert c.vmas(1) == [(A, A + 4)]
    assert c.vmas(2) == [(A, A + 1), (A + 1, A + 3), (A + 3, A + 4)] and c.offsets(2) == [A, S + A + 1, A + 3]


def test_hole_in_the_parent_that_a_child_still_fills_takes_other_offsets():
    """
        before  1 A[abcd]               2 A[abcd]
        after   1 A[a]A+1[..]@0A+3[d]   2 A[abcd]        1 unmapped bc and mapped it again: 2 holds A+1, A+2

    b, in 2 only: one candidate; a: both.
    """
    c = unique(area(4) + [Fork(1, 2), munmap(1, A + 1, 2), mmap(1, A + 1, 2)])
    assert c.objects == counts(4, 1)
    assert c.vmas(1) == [(A, A + 1), (A + 1, A + 3), (A + 3, A + 4)] and c.offsets(1) == [A, 0, A + 3]
    assert (c.visits(2, A + 1), c.visits(1, A)) == ((1, 1, 1), (2, 2, 2))


def test_splits_in_parent_and_child():
    """
        before  1 A[abcd]               2 A[abcd]
        split   1 A[a]A+1[b]A+2[cd]     2 the same, by fork
        joined  1 A[a]A+1[b]A+2[cd]     2 A[abcD]        D copied; 2's [A,A+3] is nearer the root than 1's [A+2,A+3]

    Pieces of one area have offsets that continue each other: they rejoin in a child too. D first, d second.
    """
    split = area(4) + [mprotect(1, A + 1, 1, "r--"), Fork(1, 2)]
    c = unique(split)
    assert c.objects == counts(6, 1)
    assert c.visits(1, A) == c.visits(1, A + 1) == c.visits(1, A + 3) == (2, 2, 2)
    c = unique(split + [mprotect(2, A + 1, 1, "rw-"), write(2, A + 3)])
    assert c.objects == counts(4, 1)
    assert c.vmas(2) == [(A, A + 4)]
    assert (c.visits(2, A + 3), c.visits(1, A + 3)) == ((1, 2, 1), (2, 2, 2))


@pytest.mark.parametrize("kernel", ["2.6.11", "7.0"])
def test_heap_grown_after_fork_is_two_vmas_in_the_child_and_three_in_its_child(kernel):
    """
        before  1 A[abc]     2 A[abc]
        after   1 A[abcfg]                                     A+3 was free: the parent's heap stays one
                2 A[abc]A+3[dei]@S+A+3                         grew twice, the second time into its own
                3 A[abc]A+3[dei]@S+A+3A+6[k]@2S+A+6            forked by 2, grew once

    f is at A+3, d at S+A+3: no index but the inherited ones repeats. d: 2 and 3. k: alone.
    """
    c = unique([Spawn(1), brk(1, A), brk(1, A + 3), write(1, A, 3), Fork(1, 2), brk(2, A + 5), write(2, A + 3, 2),
                brk(1, A + 5), write(1, A + 3, 2), brk(2, A + 6), Fork(2, 3), brk(3, A + 7), write(3, A + 6)], kernel)
    assert c.objects == counts(6, 1)
    assert [c.vmas(pid) for pid in (1, 2, 3)] == [
        [(A, A + 5)], [(A, A + 3), (A + 3, A + 6)], [(A, A + 3), (A + 3, A + 6), (A + 6, A + 7)]]
    assert c.offsets(3) == [A, S + A + 3, 2 * S + A + 6]
    assert (c.visits(1, A + 3), c.visits(2, A + 3), c.visits(3, A + 6)) == ((1, 1, 1), (2, 2, 2), (1, 1, 1))
    assert c.visits(1, A) == (3, 3, 3)


def test_inherited_area_grows_only_where_the_next_offsets_are_free():
    """
        before  1 A[ab]     2 A[ab]
        a)      1 A[abcd]   2 A[ab]         1 mapped A+2; 2's mremap to 4 pages is refused: A+2, A+3 are 1's
        b)      1 A[ab]     2 A[ab..]       nobody has them
    """
    before = area(2) + [Fork(1, 2)]
    c = unique(before + [mmap(1, A + 2, 2), grow(2, A, 2, 4)])
    assert [refused["op"] for refused in c.machine.refused] == ["mremap"]
    assert c.objects == counts(2, 1)
    assert c.vmas(1) == [(A, A + 4)] and c.vmas(2) == [(A, A + 2)]
    c = unique(before + [grow(2, A, 2, 4), write(2, A + 2, 2)])
    assert not c.machine.refused
    assert c.vmas(2) == [(A, A + 4)] and c.visits(2, A + 2) == (1, 1, 1)


def test_last_owner_keeps_the_page():
    """
        before  1 A[ab]   2 A[ab]
        after   1 A[Ab]   2 A[ab]     1 wrote first and got the copy; then 2, alone with a, wrote it in place

    The copy has the index of a (f2: copies are not re-keyed): met first, in 1; a second.
    """
    before = area(2) + [Fork(1, 2)]
    c = unique(before + [write(1, A), write(2, A)])
    assert c.objects == counts(2, 1)
    assert c.frame(2, A) == unique(before).frame(2, A) != c.frame(1, A)
    assert (c.visits(1, A), c.visits(2, A)) == ((1, 2, 1), (2, 2, 2))


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_exit_in_every_order(order):
    """
        before  1 A[ab] X[e]     2 A[Bb] X[f]@S+X     3 A[Cb] X[f]@S+X
                1 forked 2; 2 mapped X and forked 3; then 1 mapped X
        after each exit: the same without the dead

    The space lives as long as a mm of the family. b: as many visits as are left; the first page of a survivor is met
    behind those older. e: alone. f: 2 and 3, as many as are left of them.
    """
    events = area(2) + [Fork(1, 2), write(2, A), mmap(2, X, 1), write(2, X), Fork(2, 3), write(3, A), mmap(1, X, 1),
                        write(1, X)]
    for gone in range(4):
        c = unique(events + [Exit(pid) for pid in order[:gone]])
        left = sorted(order[gone:])
        n = len(left)
        assert c.objects == counts(2 * n, 1 if n else 0)
        for place, pid in enumerate(left, 1):
            assert c.visits(pid, A) == (place, n, place)
            assert c.visits(pid, A + 1) == (n, n, n)
            sharers = 1 if pid == 1 else len(set(left) & {2, 3})
            assert c.visits(pid, X) == (sharers, sharers, sharers)


def test_4096_processes_and_no_more():
    """
        1 has slice 0, its 4095 children slices 1 to 4095: 2^32 pages in all
        the next child has none and can map nothing new

    pid n has slice n - 1: when 7 is gone, the next child has slice 6. (Checked at the end only: a check after every
    fork would take minutes.)
    """
    full = [Spawn(1), *(Fork(1, pid) for pid in range(2, 4098)), mmap(4096, X, 1), mmap(4097, X, 1)]
    c = Case(run(full, "shared_space_unique", arch="i386").machine)
    c.machine.check()
    assert [refused["op"] for refused in c.machine.refused] == ["mmap"]
    assert c.offsets(4096) == [4095 * S + X] and c.vmas(4097) == []
    c = Case(run(full + [Exit(7), Fork(1, 7), mmap(7, X, 1)], "shared_space_unique", arch="i386").machine)
    assert c.offsets(7) == [6 * S + X]


def test_a_stack_grows_only_into_offsets_that_nobody_holds():
    """
        before   1  X-2[m n]  X[s]         the two pages below the stack move to Y, and keep their offsets
        after    1  X[s]  Y@X-2[m n]       the stack's page X - 1 would need offset X - 1: refused, and what follows

    A second stack at A has nothing below it, and grows.
    """
    stack = ["private", "anonymous", "growsdown"]
    c = unique([Spawn(1), Mmap(1, X * P, P, "rw-", stack), mmap(1, X - 2, 2), write(1, X - 2, 2),
                mremap(1, X - 2, 2, Y), write(1, X - 1),
                Mmap(1, A * P, P, "rw-", stack), write(1, A - 1), write(1, X - 1)])
    assert [(refused["line"], refused["op"], refused["because"]) for refused in c.machine.refused] \
        == [(6, "write", None), (9, "write", 6)]
    assert c.vmas(1) == [(A - 1, A + 1), (X, X + 1), (Y, Y + 2)]
    assert c.offsets(1) == [A - 1, X, X - 2]
