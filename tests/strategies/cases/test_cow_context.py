"""`cow_context` by hand: modern-rmap section 2 and the draft's mm/cow_context.c, with what the strategy mends.

The maps: a line a process, pages as letters (a capital is a copy the process made), vmas in brackets behind the page
they start at, `@` the vm_pgoff where it is not the address. C1 is the context of process 1; a remap record reads
[first index, last]{where it is shown}. A walk goes from the page's context through all below it: first itself, then
each behind its own children, the youngest child first (traverse_contexts). Each context is a visit at delta 0, dead
ones too, and each delta recorded for the index another (2.3). Only a vma with the delta looked for costs a look at a
pte. A page marked exclusive is sought in its own context alone.
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exec, Exit, Fork, Mmap, Spawn
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write

A, X, Y = 256, 512, 768


def context(events, kernel="7.0"):
    return case(events, "cow_context", kernel=kernel)


def counts(vmas, contexts, records):
    return {"vm_area_struct": vmas, "cow_context": contexts, "remap_record": records}


def area(pages):
    return [Spawn(1), mmap(1, A, pages), write(1, A, pages)]


def test_fork_chain_is_a_chain_of_contexts():
    """
        before  1 A[abcd]    C1
        after   1 A[abcd]    C1 - C2 - C3 - C4
                2 A[BbGd]    each copied the first page before it forked; then 2 copied c, 4 copied d
                3 A[Cbcd]
                4 A[DbcH]

    One context a fork, nothing a vma. Order below C1: C1, C4, C3, C2. Neither a, B nor C is marked exclusive since its
    maker forked: each is sought below its context, whose mm is the first. D is exclusive: one context. b: all four. c
    is in 1, 4, 3: three visits; d in 1, 3, 2: four, 4 in vain.
    """
    events = area(4)
    for pid in (1, 2, 3):
        events += [Fork(pid, pid + 1), write(pid + 1, A)]
    c = context(events + [write(2, A + 2), write(4, A + 3)])
    assert c.objects == counts(4, 4, 0)
    assert [c.visits(pid, A) for pid in (1, 2, 3, 4)] == [(1, 4, 1), (1, 3, 1), (1, 2, 1), (1, 1, 1)]
    assert (c.visits(1, A + 1), c.visits(1, A + 2), c.visits(1, A + 3)) == ((4, 4, 4), (3, 4, 3), (4, 4, 4))


def test_walk_goes_through_the_tree_youngest_child_first():
    """
        C1 -+- C2 -+- C4          1 forked 2 and 3, then 2 forked 4 and 5
            |      +- C5          order below C1: C1, C3, C5, C4, C2
            +- C3

    1 A[abc]; a is left in 1 and 4, b in 1 and 2, c in 1 and 5; the others copied them. So 4, 5 and 3 visits.
    """
    copies = [write(pid, A + page) for page, kept in enumerate((4, 2, 5)) for pid in (2, 3, 4, 5) if pid != kept]
    c = context(area(3) + [Fork(1, 2), Fork(1, 3), Fork(2, 4), Fork(2, 5), *copies])
    assert c.objects == counts(5, 5, 0)
    assert [c.mapcount(1, A + page) for page in range(3)] == [2, 2, 2]
    assert [c.visits(1, A + page) for page in range(3)] == [(4, 5, 4), (5, 5, 5), (3, 5, 3)]
    assert c.visits(3, A) == (1, 1, 1)


def test_dead_generations_stay_and_are_visited():
    """
        before  1 -> 2 -> 3 -> 4 -> 5, each parent gone after its fork; nobody wrote
        after   5 A[a]       C1 - C2 - C3 - C4 - C5, only C5 with an mm

    A child refers to its parent (2.1), so none goes (2.5, hazard 5). a points to C1: C1 is dead, then comes C5, which
    maps it; C4, C3, C2 would follow. Written by 5, its last owner, it moves to C5 and is exclusive; the contexts stay.
    """
    events = area(1)
    for pid in (1, 2, 3, 4):
        events += [Fork(pid, pid + 1), Exit(pid)]
    c = context(events)
    assert c.objects == counts(1, 5, 0)
    assert c.visits(5, A) == (2, 5, 1)
    c = context(events + [write(5, A)])
    assert c.objects == counts(1, 5, 0)
    assert c.visits(5, A) == (1, 1, 1)


THERE = area(4) + [mremap(1, A + 1, 2, X)]


def test_partial_mremap_makes_a_record():
    """
        before  1 A[abcd]
        after   1 A[a]  A+3[d]  ...  X[bc]@A+1        C1: [A+1,A+2]{X}

    a and d are where their index says, and no record speaks of them. b: at delta 0 there is no vma, then the record.
    """
    c = context(THERE)
    assert c.objects == counts(3, 1, 1)
    assert c.vmas(1) == [(A, A + 1), (A + 3, A + 4), (X, X + 2)]
    assert (c.visits(1, A), c.visits(1, A + 3), c.visits(1, X)) == ((1, 1, 1), (1, 1, 1), (2, 2, 1))


def test_partial_mremap_further_on_and_undone():
    """
        before  1 A[a]  A+3[d]  ...  X[bc]@A+1        C1: [A+1,A+2]{X}
        on      1 A[a]  A+3[d]  ...  Y[bc]@A+1        C1: [A+1,A+2]{Y}
        undone  1 A[abcd]                             C1: none

    The old delta gives way to the new one; at delta 0 the record goes, and the offsets continue: one vma.
    """
    on = THERE + [mremap(1, X, 2, Y)]
    assert context(on).objects == counts(3, 1, 1)
    assert context(on).visits(1, Y + 1) == (2, 2, 1)
    c = context(on + [mremap(1, Y, 2, A + 1)])
    assert c.objects == counts(1, 1, 0)
    assert c.vmas(1) == [(A, A + 4)]
    assert c.visits(1, A + 1) == (1, 1, 1)


CHILD_MOVED = area(4) + [Fork(1, 2), mremap(2, A + 1, 2, X)]


def test_partial_mremap_in_a_child_is_inherited():
    """
        before  1 A[abcd]   2 A[a] A+3[d] X[bc]@A+1                              C2: [A+1,A+2]{X}
        after   1 A[abcd]   2 A[a] A+3[d] X[bc]@A+1   3 the same, forked by 2    C3: [A+1,A+2]{X} too

    b before: C1, C2 at delta 0 without a vma, C2 at X: 3 visits, 2 ptes. After: C1, C3 and X, C2 and X: 5 and 3.
    a: C1, C3, C2. Then 2 moves home: its record goes and its pieces join; 3's stays: C1, C3 and X, C2: 4 and 3.
    """
    c = context(CHILD_MOVED)
    assert c.objects == counts(4, 2, 1)
    assert c.visits(1, A + 1) == (3, 3, 2)
    c = context(CHILD_MOVED + [Fork(2, 3)])
    assert c.objects == counts(7, 3, 2)
    assert (c.visits(1, A + 1), c.visits(1, A)) == ((5, 5, 3), (3, 3, 3))
    c = context(CHILD_MOVED + [Fork(2, 3), mremap(2, X, 2, A + 1)])
    assert c.objects == counts(5, 3, 1)
    assert c.vmas(2) == [(A, A + 4)] and c.vmas(3) == [(A, A + 1), (A + 3, A + 4), (X, X + 2)]
    assert c.visits(1, A + 1) == (4, 4, 3)


def test_page_alone_in_a_moved_area_is_found():
    """
        1 A[abcd]   2 A[a] A+3[d] X[Bc]@A+1        C2: [A+1,A+2]{X}; 2 copied b at X

    B is exclusive, of C2: at delta 0 no vma, then the record. The draft ends the walk before the records (2.5, hazard
    1). b is left to 1 alone but not marked so: C1 at once; C2 and its record would follow.
    """
    c = context(CHILD_MOVED + [write(2, X)])
    assert c.visits(2, X) == (2, 2, 1)
    assert c.visits(1, A + 1) == (1, 3, 1)


def test_hole_left_by_a_move_is_filled_and_an_index_has_three_places():
    """
        before  1 A[a]  A+3[d]  ...  X[bc]@A+1
        after   1 A[aefd]       ...  X[bc]@A+1                C1: [A+1,A+2]{X}
        then    1 A[aghd]  ...  X[bc]@A+1  Y[ef]@A+1          C1: [A+1,A+2]{X,Y}

    Only offsets decide: the filler's is its address, all three become one vma. e: at delta 0. b: there in vain, then X.
    ef moves to Y: one record more would have the same range, so the delta joins it. Filled again, g: delta 0; b: in
    vain, then X; e: twice in vain, then Y. The deltas are sorted.
    """
    filled = THERE + [mmap(1, A + 1, 2), write(1, A + 1, 2)]
    c = context(filled)
    assert c.objects == counts(2, 1, 1)
    assert c.vmas(1) == [(A, A + 4), (X, X + 2)]
    assert (c.visits(1, A + 1), c.visits(1, X)) == ((1, 2, 1), (2, 2, 2))
    c = context(filled + [mremap(1, A + 1, 2, Y), mmap(1, A + 1, 2), write(1, A + 1, 2)])
    assert c.objects == counts(3, 1, 1)
    assert c.vmas(1) == [(A, A + 4), (X, X + 2), (Y, Y + 2)]
    assert (c.visits(1, A + 1), c.visits(1, X), c.visits(1, Y)) == ((1, 3, 1), (2, 3, 2), (3, 3, 3))


def test_place_left_by_a_move_is_taken_by_another_moved_area():
    """
        before  1 A[abcd]                          Y[gh]
        after   1 A[a]A+1[gh]@YA+3[d]  X[bc]@A+1             C1: [A+1,A+2]{X} [Y,Y+1]{A+1}

    b: at delta 0 there is a vma, but its delta is A+1-Y: passed without a look at a pte (walk_context_remap); then X.
    g: Y is empty, then A+1.
    """
    c = context(THERE + [mmap(1, Y, 2), write(1, Y, 2), mremap(1, Y, 2, A + 1)])
    assert c.objects == counts(4, 1, 2)
    assert c.vmas(1) == [(A, A + 1), (A + 1, A + 3), (A + 3, A + 4), (X, X + 2)]
    assert c.visits(1, X) == c.visits(1, A + 1) == (2, 2, 1)


def test_boundary_between_two_moved_pieces_moves():
    """
        before  1 X[ab]@A X+2[cd]@A+2      rw-, r--     C1: [A,A+1]{X} [A+2,A+3]{X}
        after   1 X[abc]@A X+3[d]@A+3                   C1: [A,A+1]{X} [A+2]{X} [A+3]{X}

    First the lower piece's range is recorded anew: its own record went, [A,A+1] fills the gap, and at A+2 the other's
    is cut in two and joined; then the upper piece leaves both halves and comes back to [A+3]. c and d: delta 0, then
    X.
    """
    c = context(area(4) + [mremap(1, A, 4, X), mprotect(1, X + 2, 2, "r--"), mprotect(1, X + 2, 1, "rw-")])
    assert c.objects == counts(2, 1, 3)
    assert c.vmas(1) == [(X, X + 3), (X + 3, X + 4)]
    assert c.visits(1, X + 2) == c.visits(1, X + 3) == (2, 2, 1)


def test_filler_joins_what_was_touched_apart_and_what_was_inherited():
    """
        before  1 A[ab]  A+4[ef]     2 the same
        after   1 A[ab..ef]          2 A[ab..ef]

    Nothing of a vma names a family, so only offsets keep areas apart (2.5, point 7).
    """
    c = context([Spawn(1), mmap(1, A, 2), mmap(1, A + 4, 2), write(1, A, 2), write(1, A + 4, 2), Fork(1, 2),
                 mmap(1, A + 2, 2), mmap(2, A + 2, 2)])
    assert c.objects == counts(2, 2, 0)
    assert c.vmas(1) == c.vmas(2) == [(A, A + 6)]
    assert c.visits(2, A + 5) == (2, 2, 2)


def test_splits_of_what_was_not_moved_cost_nothing():
    """
        before  1 A[abcd]                2 A[abcd]
        after   1 A[a]A+1[b]A+2[cd]      2 A[abcd]       no record; rejoined by mprotect back: 1 vma
    """
    split = area(4) + [Fork(1, 2), mprotect(1, A + 1, 1, "r--")]
    c = context(split)
    assert c.objects == counts(4, 2, 0)
    assert c.visits(1, A + 1) == c.visits(1, A) == (2, 2, 2)
    assert context(split + [mprotect(1, A + 1, 1, "rw-")]).objects == counts(2, 2, 0)


def test_splits_of_a_moved_area_split_its_record_for_good():
    """
        before  1 X[abcd]@A                              C1: [A,A+3]{X}
        split   1 X[a]@A X+1[b]@A+1 X+2[cd]@A+2          C1: [A]{X} [A+1]{X} [A+2,A+3]{X}
        joined  1 X[abcd]@A                              C1: the same three
        forked  2 X[abcd]@A                              C2: [A,A+3]{X}
        home    1 A[abcd]                                C1: none

    Each piece records its own range. Joined, the survivor's wider range fills gaps and is put into the records that
    are there (add_overlapping_remap): none of them grows. A child's is new, one range. c: delta 0 in vain (no vma),
    then X.
    """
    split = area(4) + [mremap(1, A, 4, X), mprotect(1, X + 1, 1, "r--")]
    c = context(split)
    assert c.objects == counts(3, 1, 3)
    assert c.visits(1, X + 2) == (2, 2, 1)
    joined = split + [mprotect(1, X + 1, 1, "rw-")]
    c = context(joined)
    assert c.objects == counts(1, 1, 3)
    assert c.vmas(1) == [(X, X + 4)] and c.visits(1, X + 2) == (2, 2, 1)
    forked = joined + [Fork(1, 2)]
    c = context(forked)
    assert c.objects == counts(2, 2, 4)
    assert c.visits(1, X + 2) == (4, 4, 2)
    assert context(forked + [mremap(1, X, 4, A)]).objects == counts(2, 2, 1)


def test_unmapping_part_of_a_moved_area_cuts_its_record():
    """
        before  1 X[abcd]@A                C1: [A,A+3]{X}
        after   1 X[a]@A  X+3[d]@A+3       C1: [A]{X} [A+3]{X}       then new memory at A, untouched

    a: no vma at delta 0, then X. With A mapped again, a pte is looked at there first, in vain.
    """
    cut = area(4) + [mremap(1, A, 4, X), munmap(1, X + 1, 2)]
    c = context(cut)
    assert c.objects == counts(2, 1, 2)
    assert c.visits(1, X) == c.visits(1, X + 3) == (2, 2, 1)
    c = context(cut + [mmap(1, A, 1)])
    assert c.objects == counts(3, 1, 2)
    assert (c.visits(1, X), c.visits(1, X + 3)) == ((2, 2, 2), (2, 2, 1))


@pytest.mark.parametrize("kernel", ["2.6.11", "7.0"])
def test_heap_grown_after_fork_stays_one_vma(kernel):
    """
        before  1 A[abc]      2 A[abc]
        after   1 A[abcfg]    2 A[abcde]

    brk's offset is the address, and continues. d and f, never shared, are exclusive: one context each. a: C1, C2.
    """
    heap = [Spawn(1), brk(1, A), brk(1, A + 3), write(1, A, 3), Fork(1, 2)]
    c = context(heap + [brk(2, A + 5), write(2, A + 3, 2), brk(1, A + 5), write(1, A + 3, 2)], kernel)
    assert c.objects == counts(2, 2, 0)
    assert c.vmas(1) == c.vmas(2) == [(A, A + 5)]
    assert (c.visits(2, A + 3), c.visits(1, A + 3), c.visits(1, A)) == ((1, 1, 1), (1, 1, 1), (2, 2, 2))


def test_last_owner_takes_the_page_to_its_context():
    """
        before  1 A[Ab]   2 A[ab]     C1 - C2; 1 wrote a first and got the copy
        after   1 A[Ab]   2 A[ab]     2, alone with a, wrote it in place: from C1 to C2, exclusive (2.2)

    Before, a is sought below C1: 1's pte in vain, then 2's. The copy is C1's, exclusive.
    """
    before = area(2) + [Fork(1, 2), write(1, A)]
    first, last = context(before), context(before + [write(2, A)])
    assert first.objects == last.objects == counts(2, 2, 0)
    assert first.mapcount(2, A) == 1 and first.frame(2, A) == last.frame(2, A)
    assert (first.visits(2, A), last.visits(2, A)) == ((2, 2, 2), (1, 1, 1))
    assert first.visits(1, A) == last.visits(1, A) == (1, 1, 1)


def test_last_owner_in_a_moved_area():
    """
        before  1 A[abcd]   2 A[a] A+3[d] X[bc]@A+1        C2: [A+1,A+2]{X}; then 1 exits
        after   2 wrote b in place: from C1 to C2

    Before: C1 is dead, C2 has no vma at delta 0, then X: 3 visits, 1 pte. After: C2 at delta 0, then X. C1 stays, as
    C2's parent.
    """
    before = CHILD_MOVED + [Exit(1)]
    first, last = context(before), context(before + [write(2, X)])
    assert first.objects == last.objects == counts(3, 2, 1)
    assert (first.visits(2, X), last.visits(2, X)) == ((3, 3, 1), (2, 2, 1))


def test_copies_of_one_file_page_share_a_record():
    """
        1 A[E.]lib+0   X[F.]lib+0       both private: index 0 is the file's; C1: [0,1]{A,X}

    A private file area is never at its offset (2.5), so each has a delta, recorded once it is touched, not by a fork
    before. E: delta 0 (no vma at page 0), A. F: 0, A in vain, X. A fork after makes the same record in C2: [0,1]{A,X}
    again.
    """
    maps = [Spawn(1)] + [Mmap(1, at * P, 2 * P, "rw-", ["private"], "lib", 0) for at in (A, X)]
    assert context(maps + [Fork(1, 2)]).objects == counts(4, 2, 0)
    touched = maps + [write(1, A), write(1, X)]
    assert context(touched + [Fork(1, 2)]).objects == counts(4, 2, 2)
    c = context(touched)
    assert c.objects == counts(2, 1, 1)
    assert (c.visits(1, A), c.visits(1, X)) == ((2, 3, 1), (3, 3, 2))


def test_exec_begins_a_tree_of_its_own():
    """
        before  1 A[a]   2 A[a]     C1 - C2
        after   1 A[a]   2 A[e]     C1     C3, without a parent; C2 went with its mm

    a is still sought below C1, where nothing is left but C1.
    """
    c = context(area(1) + [Fork(1, 2), Exec(2), mmap(2, A, 1), write(2, A)])
    assert c.objects == counts(2, 2, 0)
    assert c.visits(1, A) == c.visits(2, A) == (1, 1, 1)


LEFT = {  # who is alive: contexts, visits of b
    (1, 2, 3): (3, (3, 3, 3)), (2, 3): (3, (3, 3, 2)), (1, 3): (3, (2, 3, 2)), (1, 2): (2, (2, 2, 2)),
    (1,): (1, (1, 1, 1)), (2,): (2, (2, 2, 1)), (3,): (3, (2, 3, 1)), (): (0, None),
}


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_exit_in_every_order(order):
    """
        before  1 A[ab]   2 A[Bb]   3 A[Cb]       C1 - C2 - C3: 1 forked 2, 2 forked 3
        after each exit: a context without an mm stays while it has a child

    With 3 alive all three stay; with 2 but not 3, C3 goes; with 1 alone C2 too, whichever of 2 and 3 went first (the
    last put goes up to the parents). b is sought below C1 in the order C1, C3, C2; a dead one is a visit without a
    pte, and the walk ends with the last mapping. a is found in C1; B in C2, above C3; C is exclusive.
    """
    events = area(2) + [Fork(1, 2), write(2, A), Fork(2, 3), write(3, A)]
    for gone in range(4):
        c = context(events + [Exit(pid) for pid in order[:gone]])
        left = tuple(sorted(order[gone:]))
        contexts, visits = LEFT[left]
        assert c.objects == counts(len(left), contexts, 0)
        own = {1: (1, contexts, 1), 2: (1, 1 + (3 in left), 1), 3: (1, 1, 1)}
        for pid in left:
            assert c.visits(pid, A + 1) == visits
            assert c.visits(pid, A) == own[pid]
