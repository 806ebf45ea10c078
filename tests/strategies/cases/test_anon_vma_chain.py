"""`anon_vma_chain` by hand: kernel-facts section 8, merging by section 9, both as `--kernel` selects them.

The maps: a line a process, pages as letters (a capital is a copy the process made), vmas in brackets behind the page
they start at, `@` the vm_pgoff where it is not the address. `A1{1,2}` is an anon_vma and the vmas linked to it, in
the order of its tree (vm_pgoff, then insertion; a list before 3.7): one AVC an entry. A walk meets those that overlap
the index.
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exit, Fork, Spawn
from tests.strategies.cases.case import brk, case, mmap, mprotect, mremap, munmap, write

A, X = 256, 512


def chained(events, kernel="7.0"):
    return case(events, "anon_vma_chain", kernel=kernel)


def counts(vmas, anon_vmas, chains):
    return {"vm_area_struct": vmas, "anon_vma": anon_vmas, "anon_vma_chain": chains}


def area(pages):
    return [Spawn(1), mmap(1, A, pages), write(1, A, pages)]


def test_fork_chain_of_four_living_generations():
    """
        before  1 A[abcd]   A1{1}
        after   1 A[abcd]   A1{1,2,3,4}
                2 A[Bbcd]   A2{2,3,4}     each copied the first page before it forked
                3 A[Cbcd]   A3{3,4}
                4 A[Dbcd]   A4{4}

    Depth d holds d+1 AVCs: 1 + 2 + 3 + 4 = 10, and one anon_vma each. A copy points to its maker's own anon_vma,
    where the maker is the oldest entry: found at the first visit, out of those who descend from it. b is still in A1,
    mapped by all.
    """
    events = area(4)
    for pid in (1, 2, 3):
        events += [Fork(pid, pid + 1), write(pid + 1, A)]
    c = chained(events)
    assert c.objects == counts(4, 4, 10)
    assert [c.visits(pid, A) for pid in (1, 2, 3, 4)] == [(1, 4, 1), (1, 3, 1), (1, 2, 1), (1, 1, 1)]
    assert c.mapcount(4, A + 1) == 4 and c.visits(4, A + 1) == (4, 4, 4)


def test_star_of_three():
    """
        before  1 A[ab]     A1{1}
        after   1 A[ab]     A1{1,2,3,4}
                2 A[Bb]     A2{2}
                3 A[ab]     A3{3}
                4 A[ab]     A4{4}

    N + 1 = 4 anon_vmas, 2N + 1 = 7 AVCs. B: 1 visit. b: all 4. a is mapped by 1, 3 and 4: the walk meets 2 in vain, 4
    looks.
    """
    c = chained(area(2) + [Fork(1, 2), Fork(1, 3), Fork(1, 4), write(2, A)])
    assert c.objects == counts(4, 4, 7)
    assert (c.visits(2, A), c.visits(1, A + 1)) == ((1, 1, 1), (4, 4, 4))
    assert c.mapcount(1, A) == 3 and c.visits(1, A) == (4, 4, 4)


@pytest.mark.parametrize("kernel, objects, of_5, of_6", [
    ("2.6.34", counts(3, 6, 14), (1, 1, 1), (1, 1, 1)),
    ("3.18", counts(3, 6, 14), (1, 1, 1), (1, 1, 1)),
    ("3.19", counts(3, 3, 9), (2, 3, 2), (3, 3, 3)),
    ("5.18", counts(3, 3, 9), (2, 3, 2), (3, 3, 3)),
    ("5.15.65", counts(3, 4, 10), (2, 3, 2), (1, 1, 1)),
    ("6.0", counts(3, 4, 10), (2, 3, 2), (1, 1, 1)),
    ("7.0", counts(3, 4, 10), (2, 3, 2), (1, 1, 1)),
])
def test_which_dead_ancestors_anon_vma_a_child_takes(kernel, objects, of_5, of_6):
    """
        before  1 -> 2 -> 3 -> 4, each parent gone after its fork; then 4 forks 5 and 6, which copy a
        after   4 A[a]    5 A[E]    6 A[F]

    Without re-use (to 3.18): A1 to A4 stay linked to 4, which has 4 AVCs; 5 and 6 have 4 + 1 each: 6 anon_vmas, 14
    AVCs. E and F are alone in theirs. Degree (3.19): A2 has degree 1 (for its child A3) once 2 is gone: 4 takes it;
    A3 has degree 0 once 3 is gone: 5 takes it, now 1, still below 2, so 6 takes it as well (the defect): 3 anon_vmas,
    3 processes with 3 AVCs. A3{4,5,6}: E second, F third. Counters (6.0, stable of Sep 2022): 4 takes A2 (active 0,
    children 1), 5 takes A3 (0, 0), which is then active: 6 gets a new one: 4 anon_vmas, 3 + 3 + 4 AVCs. A3{4,5,6}: E
    second of 3; F alone.
    """
    events = area(1)
    for pid in (1, 2, 3):
        events += [Fork(pid, pid + 1), Exit(pid)]
    c = chained(events + [Fork(4, 5), Fork(4, 6), write(5, A), write(6, A)], kernel)
    assert c.objects == objects
    assert (c.visits(5, A), c.visits(6, A)) == (of_5, of_6)


@pytest.mark.parametrize("kernel", ["5.4", "7.0"])
def test_ancestor_with_two_children_is_taken_only_when_one_is_gone(kernel):
    """
        before  1 -> 2 -> 3, and 2 -> 4; 2 exits
        after   3 forks 5, with 4 alive or dead

    2's anon_vma A2 has the children A3 and A4 (degree 2 without its own vma). With 4 alive it is not taken: 5 gets
    one of its own, behind A3, A2, A1: 5 anon_vmas, 1 + 3 + 3 + 4 AVCs. With 4 gone A4 is freed and A2 has one child:
    5 takes it: 3 anon_vmas, 1 + 3 + 3 AVCs.
    """
    events = area(1) + [Fork(1, 2), Fork(2, 3), Fork(2, 4), Exit(2)]
    assert chained(events + [Fork(3, 5)], kernel).objects == counts(4, 5, 11)
    assert chained(events + [Exit(4), Fork(3, 5)], kernel).objects == counts(3, 3, 7)


@pytest.mark.parametrize("kernel, own", [("3.18", 6), ("5.4", 2), ("6.0", 2), ("6.19", 2), ("7.0", 3)])
def test_which_of_several_candidates_is_taken(kernel, own):
    """
        before  1 -> 2 -> 3 -> 4 -> 5, all alive: anon_vmas 1 to 5;  then 2, 3, 4 exit
        after   5 forks 6

    2, 3 and 4 qualify (no vma, one child each; degree 1), 1 does not (its vma lives). Up to 6.19 the oldest is
    visited first: 2. In 7.0 the source's list is read forward and the copy is its reverse, with the child's own put
    in front: [1], [2 1], [3 1 2], [4 2 1 3], [5 3 1 2 4]: behind 5, its own, comes 3. Before 3.19 it is a sixth one.
    """
    events = area(1) + [Fork(pid, pid + 1) for pid in (1, 2, 3, 4)] + [Exit(2), Exit(3), Exit(4), Fork(5, 6)]
    c = chained(events, kernel)
    assert c.machine.mm_of(6).vmas[0].anon.number == own
    assert c.objects == (counts(3, 6, 1 + 5 + 6) if own == 6 else counts(3, 5, 1 + 5 + 5))


CHILD_MOVED = area(4) + [Fork(1, 2), mremap(2, A + 1, 2, X)]


def test_partial_mremap_in_a_child_copies_every_avc():
    """
        before  1 A[abcd]                            A1{1,2}              A2{2}
        after   1 A[abcd]                            A1{1,2.A,2.X,2.A+3}  A2{2.A,2.X,2.A+3}
                2 A[a]  A+3[d]  ...  X[bc]@A+1

    The copy, and the piece that unmapping the middle splits off, take the child's 2 AVCs each: 1 + 3 * 2 = 7. b has
    index A+1: in A1 the whole vma of 1 (offset A) and X (offset A+1) overlap it.
    """
    c = chained(CHILD_MOVED)
    assert c.objects == counts(4, 2, 7)
    assert c.vmas(2) == [(A, A + 1), (A + 3, A + 4), (X, X + 2)]
    assert c.mapcount(2, X) == 2 and c.visits(2, X) == (2, 2, 2)


def test_page_written_before_or_after_the_move_is_found_at_once():
    """
        1 A[abcd]    2 A[a]  A+3[d]  X[BC]@A+1     B copied before the move, C after: both in A2, offset of X fits
    """
    c = chained(area(4) + [Fork(1, 2), write(2, A + 1), mremap(2, A + 1, 2, X), write(2, X + 1)])
    assert c.visits(2, X) == c.visits(2, X + 1) == (1, 1, 1)
    assert c.visits(1, A + 1) == (1, 2, 1)


@pytest.mark.parametrize("kernel", ["2.6.34", "3.0", "6.16", "7.0"])
def test_partial_mremap_undone_rejoins_in_a_child_too(kernel):
    """
        before  2 A[a]  A+3[d]  ...  X[bc]@A+1
        after   2 A[abcd]                       A1{1,2}  A2{2}

    Equal pointers always merge, also in forked children (section 9): three pieces become one, 1 + 2 AVCs.
    """
    c = chained(CHILD_MOVED + [mremap(2, X, 2, A + 1)], kernel)
    assert c.objects == counts(2, 2, 3)
    assert c.vmas(2) == [(A, A + 4)]
    assert c.visits(2, A + 1) == (2, 2, 2)


def test_hole_filled_in_a_child_is_a_vma_of_its_own():
    """
        before  2 A[a]      A+3[d]  ...  X[bc]@A+1
        after   2 A[a]A+1[ef]A+3[d] ...  X[bc]@A+1      A3{2.A+1}

    The neighbours have 2 AVCs, so mmap does not join them (3.0) and find_mergeable_anon_vma does not share theirs: a
    new root, 1 AVC more. e and b have the same index but no anon_vma in common.
    """
    filled = CHILD_MOVED + [mmap(2, A + 1, 2)]
    assert chained(filled).objects == counts(5, 2, 7)
    c = chained(filled + [write(2, A + 1, 2)])
    assert c.objects == counts(5, 3, 8)
    assert c.vmas(2) == [(A, A + 1), (A + 1, A + 3), (A + 3, A + 4), (X, X + 2)]
    assert (c.visits(2, A + 1), c.visits(2, X)) == ((1, 1, 1), (2, 2, 2))


def test_hole_filled_in_a_process_that_never_forked_closes():
    """
        before  1 A[a]  A+3[d]  ...  X[bc]@A+1      A1{A,X,A+3}
        after   1 A[aefd]       ...  X[bc]@A+1      A1{A,X}

    One AVC each and equal anon_vmas: prev, filler and next become one. e and b have index A+1: the vma at offset A
    comes before X at offset A+1, so e is found first and b second.
    """
    c = chained(area(4) + [mremap(1, A + 1, 2, X), mmap(1, A + 1, 2), write(1, A + 1, 2)])
    assert c.objects == counts(2, 1, 2)
    assert c.vmas(1) == [(A, A + 4), (X, X + 2)]
    assert (c.visits(1, A + 1), c.visits(1, X)) == ((1, 2, 1), (2, 2, 2))


@pytest.mark.parametrize("kernel, visits", [("3.6", [(2, 3, 1), (1, 3, 1), (3, 3, 1)]), ("3.7", [(1, 1, 1)] * 3)])
def test_split_pieces_stand_on_a_list_and_lie_apart_in_a_tree(kernel, visits):
    """
        before  1 A[abcd]              A1{A}
        after   1 A[a]A+1[b]A+2[cd]    A1{A+1, A, A+2}    b is r--; list order

    The struct that was there ends up b's; the pieces below and above are new, each one more AVC: at the list's tail
    before 3.7. A list is passed entry by entry, though only one range fits; a tree yields that one.
    """
    c = chained(area(4) + [mprotect(1, A + 1, 1, "r--")], kernel)
    assert c.objects == counts(3, 1, 3)
    assert [c.visits(1, A), c.visits(1, A + 1), c.visits(1, A + 3)] == visits


def test_boundary_between_two_pieces_moves():
    """
        before  1 A[ab]A+2[cd]      rw-, r--
        up      1 A[abc]A+3[d]      c becomes like the piece below
        down    1 A[a]A+1[bcd]      b becomes like the piece above

    No vma comes or goes; both change their intervals in A1's tree, so each page keeps one candidate.
    """
    halves = area(4) + [mprotect(1, A + 2, 2, "r--")]
    up = chained(halves + [mprotect(1, A + 2, 1, "rw-")])
    down = chained(halves + [mprotect(1, A + 1, 1, "r--")])
    assert up.objects == down.objects == counts(2, 1, 2)
    assert up.vmas(1) == [(A, A + 3), (A + 3, A + 4)] and down.vmas(1) == [(A, A + 1), (A + 1, A + 4)]
    assert {c.visits(1, A + page) for c in (up, down) for page in range(4)} == {(1, 1, 1)}


SPLIT = area(4) + [mprotect(1, A + 1, 1, "r--"), Fork(1, 2)]


def test_pieces_split_before_a_fork_rejoin_only_in_the_parent():
    """
        before  1 A[a]A+1[b]A+2[cd]   A1{1.A, 2.A, 1.A+1, 2.A+1, 1.A+2, 2.A+2}
                2 A[a]A+1[b]A+2[cd]   A2{2.A}  A3{2.A+1}  A4{2.A+2}
        after   1 A[abcd]             A1{2.A, 1, 2.A+1, 2.A+2}
                2 as before, now rw-

    fork gives each piece an anon_vma of its own and 2 AVCs: 1 + 3 anon_vmas, 3 + 3 * 2 AVCs. mprotect back: different
    pointers in the child, nothing joins; the same in the parent: 1 vma, 1 + 6 AVCs. Growing, the parent's vma leaves
    its tree and comes back behind its equal 2.A (14.13): its page a, after the child's copy, is found second; of b,
    at offset A against A+1, it is the first.
    """
    c = chained(SPLIT)
    assert c.objects == counts(6, 4, 9)
    assert c.visits(1, A + 1) == (2, 2, 2)
    c = chained(SPLIT + [mprotect(2, A + 1, 1, "rw-"), mprotect(1, A + 1, 1, "rw-"), write(2, A, 2)])
    assert c.vmas(1) == [(A, A + 4)] and c.vmas(2) == [(A, A + 1), (A + 1, A + 2), (A + 2, A + 4)]
    assert c.objects == counts(4, 4, 7)
    assert (c.visits(1, A), c.visits(1, A + 1)) == ((2, 2, 2), (1, 2, 1))
    assert c.visits(2, A) == c.visits(2, A + 1) == (1, 1, 1)


@pytest.mark.parametrize("kernel, vmas", [
    ("2.6.39", [(A, A + 6)]), ("3.0", [(A, A + 4), (A + 4, A + 6)]), ("7.0", [(A, A + 4), (A + 4, A + 6)])])
def test_memory_mapped_beside_an_inherited_area(kernel, vmas):
    """
        before  1 A[abcd]   2 A[abcd]
        after   2 A[abcdef] to 2.6.39; A[abcd]A+4[ef] from 3.0     (ef untouched)

    3.0 asks that the neighbour has exactly one AVC; the child's has two.
    """
    c = chained(area(4) + [Fork(1, 2), mmap(2, A + 4, 2)], kernel)
    assert c.vmas(2) == vmas
    assert c.objects == counts(1 + len(vmas), 2, 3)


@pytest.mark.parametrize("kernel, vmas", [
    ("2.6.39", [(A, A + 4)]), ("3.0", [(A, A + 2), (A + 2, A + 4)]), ("6.15", [(A, A + 2), (A + 2, A + 4)]),
    ("6.16", [(A, A + 4)]), ("7.0", [(A, A + 4)])])
def test_touched_area_that_becomes_like_an_untouched_one(kernel, vmas):
    """
        before  1 A[..]A+2[cd]      rw-, rwx
        after   1 A[..cd]           from 3.0 to 6.15 still A[..]A+2[cd]

    The changed vma has an anon_vma, the neighbour none: an empty chain is "not singular" from 3.0 to 6.15; from 6.16
    only the changed vma's chain counts, 1. The survivor takes its anon_vma over with one cloned AVC: 1 AVC whatever
    happens.
    """
    c = chained([Spawn(1), mmap(1, A, 2), mmap(1, A + 2, 2, "rwx"), write(1, A + 2, 2), mprotect(1, A + 2, 2, "rw-")],
                kernel)
    assert c.vmas(1) == vmas
    assert c.objects == counts(len(vmas), 1, 1)
    assert c.visits(1, A + 2) == (1, 1, 1)


@pytest.mark.parametrize("kernel, joined", [("2.6.39", True), ("3.0", False), ("6.16", False), ("7.0", False)])
def test_inherited_area_that_becomes_like_an_untouched_one(kernel, joined):
    """
        before  1 A+2[cd]   2 A[..]A+2[cd]      cd rwx, inherited; 2 mapped the other, rw-, and makes cd rw-
        after   2 A[..cd] to 2.6.39; as before from 3.0

    As above, but the changed vma has 2 AVCs, which 6.16 and later refuse too.
    """
    c = chained([Spawn(1), mmap(1, A + 2, 2, "rwx"), write(1, A + 2, 2), Fork(1, 2), mmap(2, A, 2),
                 mprotect(2, A + 2, 2, "rw-")], kernel)
    assert c.vmas(2) == ([(A, A + 4)] if joined else [(A, A + 2), (A + 2, A + 4)])
    assert c.objects == counts(2 if joined else 3, 2, 3)


@pytest.mark.parametrize("kernel, joined", [
    ("2.6.39", True), ("3.0", False), ("6.15", False), ("6.16", True), ("6.18.7", True), ("6.18.8", False),
    ("6.19", False), ("7.0", False)])
def test_inherited_area_moved_back_beside_an_untouched_one(kernel, joined):
    """
        before  1 A[abcd]   2 A[.]  A+3[d]  ...  X[bc]@A+1     2 replaced its a by an untouched page
        after   2 A[.bcd]      (to 2.6.39, and 6.16 to 6.18.7: nobody asks how long the moved vma's chain is)
            or  2 A[.]A+1[bcd]

    d has the moved vma's own anon_vma, so the right side always joins. The left has none: any NULL merges to 2.6.39;
    not singular from 3.0; joined again from 6.16; from 6.18.8 refused since the moved vma has 2 AVCs. Joined, the
    lower vma takes over the 2 AVCs: 1 + 2 either way. b: 1 and 2.
    """
    c = chained(CHILD_MOVED + [munmap(2, A, 1), mmap(2, A, 1), mremap(2, X, 2, A + 1)], kernel)
    assert c.vmas(2) == ([(A, A + 4)] if joined else [(A, A + 1), (A + 1, A + 4)])
    assert c.objects == counts(2 if joined else 3, 2, 3)
    assert c.visits(2, A + 1) == (2, 2, 2)


HEAP = [Spawn(1), brk(1, A), brk(1, A + 3), write(1, A, 3)]


@pytest.mark.parametrize("kernel, vmas, objects", [
    ("2.6.39", [(A, A + 5)], counts(2, 2, 3)),
    ("3.0", [(A, A + 3), (A + 3, A + 5)], counts(3, 3, 4)),
    ("7.0", [(A, A + 3), (A + 3, A + 5)], counts(3, 3, 4))])
def test_heap_grown_after_fork_is_two_vmas(kernel, vmas, objects):
    """
        before  1 A[abc]   2 A[abc]              A1{1,2}  A2{2}
        after   2 A[abcde] to 2.6.39; A[abc]A+3[de] from 3.0, A3{2.A+3}

    The heap of a child has 2 AVCs: since 3.0 what brk adds does not join it, and its first write shares no anon_vma
    (the neighbour's chain is not 1): 1 anon_vma and 1 AVC more. d is alone where it is.
    """
    c = chained(HEAP + [Fork(1, 2), brk(2, A + 5), write(2, A + 3)], kernel)
    assert c.vmas(2) == vmas
    assert c.objects == objects
    assert (c.visits(2, A + 3), c.visits(2, A)) == ((1, 1, 1), (2, 2, 2))


def test_second_heap_vma_grows_and_is_inherited():
    """
        before  1 A[abc]   2 A[abc]A+3[de]
        after   1 A[abcdef]                A1{1,2,3}       1's own chain is 1: it grows in place
                2 A[abc]A+3[def]           A2{2,3}  A3{2.A+3,3.A+3}
                3 A[abc]A+3[def]           A4{3}    A5{3.A+3}

    AVCs: 1; 2 + 1; 3 + 2. a: all three. The child's d, inherited by 3, is in A3: two. The parent's d is in A1, where
    only its own vma reaches index A+3: one.
    """
    c = chained(HEAP + [Fork(1, 2), brk(2, A + 5), write(2, A + 3, 2), brk(2, A + 6), brk(1, A + 6), write(1, A + 3),
                        Fork(2, 3)])
    assert c.objects == counts(5, 5, 9)
    assert c.vmas(1) == [(A, A + 6)] and c.vmas(2) == c.vmas(3) == [(A, A + 3), (A + 3, A + 6)]
    assert (c.visits(3, A), c.visits(3, A + 3), c.visits(1, A + 3)) == ((3, 3, 3), (2, 2, 2), (1, 1, 1))


@pytest.mark.parametrize("kernel, vmas", [("6.0", [(A - 2, A + 2)]), ("6.1", [(A - 2, A), (A, A + 2)])])
def test_brk_only_expands_the_heap_from_6_1(kernel, vmas):
    """
        before  1 A-2[yz]            an ordinary mapping that ends where the heap starts
        after   1 A-2[yz..]          to 6.0;  A-2[yz]A[..] from 6.1, which looks for the vma to expand above start_brk
    """
    c = chained([Spawn(1), mmap(1, A - 2, 2), write(1, A - 2, 2), brk(1, A), brk(1, A + 2)], kernel)
    assert c.vmas(1) == vmas
    assert c.objects == counts(len(vmas), 1, 1)


def test_last_owner_takes_the_page_to_its_own_anon_vma():
    """
        before  2 A[Bb]   3 A[ab]       A1{2,3}  A2{2}  A3{3}     1, who made a, is gone; 2 copied it
        after   2 A[Bb]   3 A[ab]       3 wrote a: no copy, but a moves from A1 to A3 (0.4, from 2.6.34)

    A1 stays while 2 and 3 are linked to it: 3 anon_vmas, 4 AVCs. Before, a is found behind 2, second; after, alone.
    """
    before = area(2) + [Fork(1, 2), Fork(1, 3), Exit(1), write(2, A)]
    first, last = chained(before), chained(before + [write(3, A)])
    assert first.objects == last.objects == counts(2, 3, 4)
    assert first.mapcount(3, A) == 1 and first.frame(3, A) == last.frame(3, A)
    assert (first.visits(3, A), last.visits(3, A)) == ((2, 2, 2), (1, 1, 1))
    assert last.visits(3, A + 1) == (2, 2, 2)


LEFT = {  # who is alive: objects
    (1, 2, 3): counts(3, 3, 6), (2, 3): counts(2, 3, 5), (1, 3): counts(2, 3, 4), (1, 2): counts(2, 2, 3),
    (1,): counts(1, 1, 1), (2,): counts(1, 2, 2), (3,): counts(1, 3, 3), (): counts(0, 0, 0),
}


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_exit_in_every_order(order):
    """
        before  1 A[ab]   A1{1,2,3}
                2 A[Bb]   A2{2,3}      1 forked 2, 2 forked 3
                3 A[Cb]   A3{3}
        after each exit: its AVCs are gone (1, 2 or 3 of them), and the anon_vmas that nobody is linked to any more

    3 is linked to all three, 2 to A1 and A2: with 3 alive none goes; with 2 but not 3, A3 goes; with 1 alone A2 too.
    An ancestor's anon_vma stays, empty of its own vma (Exit). b is in A1: as many visits as are left. B is in A2,
    also linked to by 3; C in A3. The maker of a page is the oldest entry, so the first.
    """
    events = area(2) + [Fork(1, 2), write(2, A), Fork(2, 3), write(3, A)]
    for gone in range(4):
        c = chained(events + [Exit(pid) for pid in order[:gone]])
        left = tuple(sorted(order[gone:]))
        assert c.objects == LEFT[left]
        linked = {1: len(left), 2: len(set(left) & {2, 3}), 3: 1}
        for pid in left:
            assert c.visits(pid, A) == (1, linked[pid], 1)
            assert c.visits(pid, A + 1) == (len(left),) * 3
