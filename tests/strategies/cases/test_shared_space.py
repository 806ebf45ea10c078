"""`shared_space` by hand: kernel-facts section 6, reading f1, merging by section 5 without the test of anon_vmas.

The maps: a line a process, pages as letters (a capital is a copy the process made), vmas in brackets behind the page
they start at, `@` the offset in the space where it is not the address. S{1,2} is the space of an exec and, where they
overlap the index in question, its vmas in the order of the priority search tree (section 7): pre-order, the larger last
offset nearer the root, then the smaller first; equal intervals on one list, a fork's copy behind its original.
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exec, Exit, Fork, Mmap, Spawn
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write

A, X = 256, 512


def shared(events, kernel="2.6.11", **options):
    return case(events, "shared_space", kernel=kernel, **options)


def counts(vmas, spaces):
    return {"vm_area_struct": vmas, "address_space": spaces}


def area(pages):
    return [Spawn(1), mmap(1, A, pages), write(1, A, pages)]


def test_fork_chain_shares_one_space():
    """
        before  1 A[abcd]      S{1}
        after   1 A[abcd]      S{1,2,3,4}
                2 A[Bbcd]      each copied the first page before it forked
                3 A[Cbcd]
                4 A[Dbcd]

    fork allocates nothing. All four vmas have the same interval: a tree node and its vm_set. 2 goes behind 1 as the
    set's head, 3 right behind 2, 4 right behind 3. All copies have index A, so D is met after three looks in vain; b
    by all.
    """
    events = area(4)
    for pid in (1, 2, 3):
        events += [Fork(pid, pid + 1), write(pid + 1, A)]
    c = shared(events)
    assert c.objects == counts(4, 1)
    assert [c.visits(pid, A) for pid in (1, 2, 3, 4)] == [(1, 4, 1), (2, 4, 2), (3, 4, 3), (4, 4, 4)]
    assert c.mapcount(1, A + 1) == 4 and c.visits(1, A + 1) == (4, 4, 4)


def test_order_of_the_family_is_that_of_the_vm_set():
    """
        1 forks 2 and 3 and 4, then 2 forks 5          S{1,2,5,3,4}; each child copied its page

    vma_prio_tree_add: a copy of the tree node goes to the tail of its set (2, 3, 4), one of a set member right behind
    it (5 behind 2).
    """
    c = shared(area(1) + [Fork(1, 2), Fork(1, 3), Fork(1, 4), Fork(2, 5)] + [write(pid, A) for pid in (2, 3, 4, 5)])
    assert c.objects == counts(5, 1)
    assert [c.visits(pid, A)[0] for pid in (1, 2, 5, 3, 4)] == [1, 2, 3, 4, 5]
    assert {c.visits(pid, A)[1] for pid in (1, 2, 3, 4, 5)} == {5}


THERE = area(4) + [mremap(1, A + 1, 2, X)]


def test_partial_mremap_keeps_every_index():
    """
        before  1 A[abcd]                      S{A}
        after   1 A[a]  A+3[d]  ...  X[bc]@A+1

    vm_start changes, the offset does not (6.3). The three intervals [A], [A+1,A+2], [A+3] do not overlap, so each page
    has one candidate. Undone, the offsets continue each other and all is one vma again.
    """
    c = shared(THERE)
    assert c.objects == counts(3, 1)
    assert c.vmas(1) == [(A, A + 1), (A + 3, A + 4), (X, X + 2)]
    assert c.visits(1, A) == c.visits(1, X) == c.visits(1, X + 1) == c.visits(1, A + 3) == (1, 1, 1)
    c = shared(THERE + [mremap(1, X, 2, A + 1)])
    assert c.objects == counts(1, 1)
    assert c.vmas(1) == [(A, A + 4)]
    assert c.visits(1, A + 2) == (1, 1, 1)


def test_hole_left_by_a_move_is_filled_and_an_index_repeats():
    """
        before  1 A[a]  A+3[d]  ...  X[bc]@A+1
        after   1 A[aefd]       ...  X[bc]@A+1       S{A,X} for A+1 and A+2

    The new area's offset is its address, which A continues to and A+3 continues: one vma [A,A+3]. It reaches further
    than X's [A+1,A+2], so it is the root: e is met first, b second after a look in vain. This is Arcangeli's
    objection: b can never join its neighbours again, since they are taken.
    """
    c = shared(THERE + [mmap(1, A + 1, 2), write(1, A + 1, 2)])
    assert c.objects == counts(2, 1)
    assert c.vmas(1) == [(A, A + 4), (X, X + 2)]
    assert (c.visits(1, A + 1), c.visits(1, X), c.visits(1, A)) == ((1, 2, 1), (2, 2, 2), (1, 1, 1))


def test_filler_joins_whatever_was_touched_apart():
    """
        before  1 A[ab]  A+4[ef]
        after   1 A[ab..ef]

    anon_vma keeps the two apart; here both point to one space, only offsets count.
    """
    c = shared([Spawn(1), mmap(1, A, 2), mmap(1, A + 4, 2), write(1, A, 2), write(1, A + 4, 2), mmap(1, A + 2, 2)])
    assert c.objects == counts(1, 1)
    assert c.vmas(1) == [(A, A + 6)]
    assert c.visits(1, A + 4) == (1, 1, 1)


def test_moved_beside_a_stranger_it_does_not_merge():
    """
        before  1 A[ab]  ...  X[cd]
        after   1 A[ab]A+2[cd]@X

    The file analogy: offsets A+2 and X do not continue each other. No candidate overlaps another.
    """
    c = shared([Spawn(1), mmap(1, A, 2), mmap(1, X, 2), write(1, A, 2), write(1, X, 2), mremap(1, X, 2, A + 2)])
    assert c.objects == counts(2, 1)
    assert c.vmas(1) == [(A, A + 2), (A + 2, A + 4)]
    assert c.visits(1, A + 2) == (1, 1, 1)


def test_child_moves_what_it_inherited():
    """
        before  1 A[abcd]   2 A[abcd]                S{1,2}
        after   1 A[abcd]   2 X[aBcd]@A              S{1,2}, B copied

    The vma at X is linked behind its equals, the old one is then unlinked: 2 is still behind 1. a: both. B: second.
    b: first.
    """
    c = shared(area(4) + [Fork(1, 2), mremap(2, A, 4, X), write(2, X + 1)])
    assert c.objects == counts(2, 1)
    assert c.vmas(2) == [(X, X + 4)]
    assert (c.visits(2, X), c.visits(2, X + 1), c.visits(1, A + 1)) == ((2, 2, 2), (2, 2, 2), (1, 2, 1))


SPLIT = area(4) + [mprotect(1, A + 1, 1, "r--"), Fork(1, 2)]


def test_splits_do_not_lengthen_a_walk():
    """
        before  1 A[abcd]
        after   1 A[a]A+1[b]A+2[cd]     each piece an interval of its own
                2 A[a]A+1[b]A+2[cd]     each behind its original

    6 vmas, 1 space; the tree yields the two that hold the index.
    """
    c = shared(SPLIT)
    assert c.objects == counts(6, 1)
    assert c.visits(1, A) == c.visits(1, A + 1) == c.visits(1, A + 3) == (2, 2, 2)


def test_boundary_between_two_pieces_moves():
    """
        before  1 A[ab]A+2[cd]      rw-, r--
        up      1 A[abc]A+3[d]      case 5: c becomes like the piece below
        down    1 A[a]A+1[bcd]      case 4: b becomes like the piece above

    Both intervals in the tree follow, so each page keeps one candidate.
    """
    halves = area(4) + [mprotect(1, A + 2, 2, "r--")]
    up = shared(halves + [mprotect(1, A + 2, 1, "rw-")])
    down = shared(halves + [mprotect(1, A + 1, 1, "r--")])
    assert up.objects == down.objects == counts(2, 1)
    assert up.vmas(1) == [(A, A + 3), (A + 3, A + 4)] and down.vmas(1) == [(A, A + 1), (A + 1, A + 4)]
    assert {c.visits(1, A + page) for c in (up, down) for page in range(4)} == {(1, 1, 1)}


def test_pieces_rejoin_in_the_child():
    """
        before  1 A[a]A+1[b]A+2[cd]   2 the same
        after   1 A[a]A+1[b]A+2[cd]   2 A[abcD]         D copied

    Case 6 in the child: 4 vmas. Its interval [A,A+3] reaches as far as 1's [A+2,A+3] and starts lower: the root. So D
    is met first, and d second after a look in vain; b, which is read-only in 1, in both.
    """
    c = shared(SPLIT + [mprotect(2, A + 1, 1, "rw-"), write(2, A + 3)])
    assert c.objects == counts(4, 1)
    assert c.vmas(2) == [(A, A + 4)]
    assert (c.visits(2, A + 3), c.visits(1, A + 3), c.visits(2, A + 1)) == ((1, 2, 1), (2, 2, 2), (2, 2, 2))


@pytest.mark.parametrize("kernel", ["2.6.11", "7.0"])
def test_heap_grown_after_fork_stays_one_vma(kernel):
    """
        before  1 A[abc]     2 A[abc]          S{1,2}
        middle  1 A[abc]     2 A[abcde]        S{2,1}: [A,A+4] reaches further than [A,A+2]
        after   1 A[abcfg]   2 A[abcde]        S{2,1}: 1 comes to 2's interval and goes behind it

    The offset is the address, so it continues the inherited ones. d alone has A+3 at first; then f has it too.
    """
    heap = [Spawn(1), brk(1, A), brk(1, A + 3), write(1, A, 3), Fork(1, 2), brk(2, A + 5), write(2, A + 3, 2)]
    c = shared(heap, kernel)
    assert c.objects == counts(2, 1)
    assert c.vmas(2) == [(A, A + 5)]
    assert (c.visits(2, A + 3), c.visits(2, A)) == ((1, 1, 1), (2, 2, 2))
    c = shared(heap + [brk(1, A + 5), write(1, A + 3, 2)], kernel)
    assert c.vmas(1) == c.vmas(2) == [(A, A + 5)]
    assert (c.visits(2, A + 3), c.visits(1, A + 3)) == ((1, 2, 1), (2, 2, 2))


def test_last_owner_keeps_the_page():
    """
        before  1 A[ab]   2 A[ab]     S{1,2}
        after   1 A[Ab]   2 A[ab]     1 wrote first and got the copy; then 2, alone with a, wrote it in place

    Nothing is done to a (COW 0): the same space, the same index. The copy is met first, a second.
    """
    before = area(2) + [Fork(1, 2)]
    c = shared(before + [write(1, A), write(2, A)])
    assert c.objects == counts(2, 1)
    assert c.frame(2, A) == shared(before).frame(2, A) != c.frame(1, A)
    assert (c.visits(1, A), c.visits(2, A)) == ((1, 2, 1), (2, 2, 2))


def test_exec_leaves_the_family_for_a_space_of_its_own():
    """
        before  1 A[ab]   2 A[ab]        S{1,2}
        after   1 A[ab]   2 A[e]         S{1}  T{2}     2 called exec, mapped, wrote

    e has index A as a has, but in another space: one candidate each. S goes with 1, T with 2.
    """
    events = area(2) + [Fork(1, 2), Exec(2), mmap(2, A, 1), write(2, A)]
    c = shared(events)
    assert c.objects == counts(2, 2)
    assert c.visits(1, A) == c.visits(2, A) == (1, 1, 1)
    assert shared(events + [Exit(1)]).objects == counts(1, 1)
    assert shared(events + [Exit(1), Exit(2)]).objects == counts(0, 0)


def test_copies_of_a_private_file_are_keyed_by_address():
    """
        before  1 A[AB]lib+0   X[CD]lib+2         file offsets 0 and 2, offsets in the space A and X
        after   1 A[AB]lib+0A+2[CD]lib+2          offsets in the space still A and X

    Every private vma is in the space (f1). The file offsets continue each other, the second offsets do not: apart.
    """
    maps = [Mmap(1, at * P, 2 * P, "rw-", ["private"], "lib", offset * P) for at, offset in ((A, 0), (X, 2))]
    c = shared([Spawn(1), *maps, write(1, A, 2), write(1, X, 2), mremap(1, X, 2, A + 2)])
    assert c.objects == counts(2, 1)
    assert c.vmas(1) == [(A, A + 2), (A + 2, A + 4)]
    assert c.visits(1, A) == c.visits(1, A + 2) == (1, 1, 1)


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_exit_in_every_order(order):
    """
        before  1 A[ab]   2 A[Bb]   3 A[Cb]       S{1,2,3}: 1 forked 2, 2 forked 3
        after each exit: the same without the dead; the first of the set takes a tree node's place

    The space lives until the last mm of the family is gone, whichever that is (also if the exec's own went first). b is
    mapped by all n left; the first page of a survivor is met after those older.
    """
    events = area(2) + [Fork(1, 2), write(2, A), Fork(2, 3), write(3, A)]
    for gone in range(4):
        c = shared(events + [Exit(pid) for pid in order[:gone]])
        left = sorted(order[gone:])
        n = len(left)
        assert c.objects == counts(n, 1 if n else 0)
        for place, pid in enumerate(left, 1):
            assert c.visits(pid, A) == (place, n, place)
            assert c.visits(pid, A + 1) == (n, n, n)


def test_mm_without_a_vma_keeps_the_space():
    """
        before  1 A[ab]   2 A[ab]
        after   1 A[ab]   2             2 unmapped all: the space is its mm's, not its vmas'; then 1 exits
    """
    events = area(2) + [Fork(1, 2), munmap(2, A, 2)]
    assert shared(events).objects == counts(1, 1)
    assert shared(events + [Exit(1)]).objects == counts(0, 1)
