"""`anon_vma` by hand: kernel-facts section 5, with the rules of 2.6.11, the kernel whose source that section cites.

The maps: a line a process, pages as letters (a capital is a copy the process made), vmas in brackets behind the page
they start at, `@` the vm_pgoff where it is not the address. An anon_vma is written as its list from the head, `pid`
or `pid.page` a vma. A walk meets every entry up to the page's last mapping (examined) or all (candidates), and looks
at a pte only where the index lies in the vma's range (0.1).
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exit, Fork, Madvise, Spawn
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write

A, X = 256, 512


def anon_vma(events, kernel="2.6.11"):
    return case(events, "anon_vma", kernel=kernel)


def area(pages):
    return [Spawn(1), mmap(1, A, pages), write(1, A, pages)]


def test_fork_chain_keeps_one_anon_vma_and_lists_the_youngest_first():
    """
        before  1 A[abcd]                 list 1
        after   1 A[abcd]                 list 4, 3, 2, 1
                2 A[Bbcd]  copied a, then forked 3
                3 A[Cbcd]  copied B, then forked 4
                4 A[Dbcd]  copied C

    Fork links the child's vma at the head and allocates nothing (section 5, Fork): 4 vmas, 1 anon_vma. A copy points
    to the same anon_vma (COW), so each is sought from the head: D is in the 1st vma, C in the 2nd, B in the 3rd, a in
    the 4th; each vma passed has the index in its range and costs one look at a pte. Page b is mapped by all four.
    """
    events = area(4)
    for pid in (1, 2, 3):
        events += [Fork(pid, pid + 1), write(pid + 1, A)]
    c = anon_vma(events)
    assert c.objects == {"vm_area_struct": 4, "anon_vma": 1}
    assert [c.vmas(pid) for pid in (1, 2, 3, 4)] == [[(A, A + 4)]] * 4
    assert [c.visits(pid, A) for pid in (4, 3, 2, 1)] == [(1, 4, 1), (2, 4, 2), (3, 4, 3), (4, 4, 4)]
    assert c.mapcount(1, A + 1) == 4 and c.visits(1, A + 1) == (4, 4, 4)


THERE = area(4) + [mremap(1, A + 1, 2, X)]


def test_partial_mremap_makes_three_vmas_of_one_anon_vma():
    """
        before  1 A[abcd]                              list A
        after   1 A[a]  A+3[d]  ...  X[bc]@A+1         list A+3, X, A

    copy_vma links the copy at the head, with offset A+1 since the source was touched (mremap 1 and 4): X, A.
    Unmapping the old range (6) splits twice: at A+1 the part above is new and goes to the head; at A+3, inside that,
    the part below is new (do_munmap), is removed again, and the part above stays. So A+3, X, A. No page was touched:
    b keeps index A+1 and is found as X + (A+1) - (A+1). Page a is in the 3rd vma, b in the 2nd, d in the 1st; only
    one range fits each.
    """
    c = anon_vma(THERE)
    assert c.objects == {"vm_area_struct": 3, "anon_vma": 1}
    assert c.vmas(1) == [(A, A + 1), (A + 3, A + 4), (X, X + 2)]
    assert (c.visits(1, A), c.visits(1, X), c.visits(1, A + 3)) == ((3, 3, 1), (2, 3, 1), (1, 3, 1))


def test_partial_mremap_undone_is_one_vma_again():
    """
        before  1 A[a]  A+3[d]  ...  X[bc]@A+1
        after   1 A[abcd]

    At the destination the offset A+1 continues A and is continued by A+3, the anon_vma is the same: case 1 of
    vma_merge, the lower vma grows over both and the upper one goes; then the source goes too. 1 vma, 1 anon_vma, 1
    visit.
    """
    c = anon_vma(THERE + [mremap(1, X, 2, A + 1)])
    assert c.objects == {"vm_area_struct": 1, "anon_vma": 1}
    assert c.vmas(1) == [(A, A + 4)]
    assert c.visits(1, A + 2) == (1, 1, 1)


def test_moved_back_to_another_place_it_stays_apart():
    """
        before  1 A[a]  A+3[d]  ...  X[bc]@A+1
        after   1 A[a]  A+3[d]A+4[bc]@A+1

    d ends at offset A+4, bc starts at A+1: not contiguous, no merge; the copy is linked at the head, and the source, a
    whole vma, is unlinked: list A+4, A+3, A.
    """
    c = anon_vma(THERE + [mremap(1, X, 2, A + 4)])
    assert c.objects == {"vm_area_struct": 3, "anon_vma": 1}
    assert c.vmas(1) == [(A, A + 1), (A + 3, A + 4), (A + 4, A + 6)]
    assert (c.visits(1, A + 4), c.visits(1, A + 3), c.visits(1, A)) == ((1, 3, 1), (2, 3, 1), (3, 3, 1))


def test_hole_left_by_a_move_is_filled_and_an_index_repeats():
    """
        before  1 A[a]  A+3[d]  ...  X[bc]@A+1           list A+3, X, A
        after   1 A[aefd]       ...  X[bc]@A+1           list X, A

    mmap asks with offset A+1 (its address) and no anon_vma: it fits A and A+3, which share theirs, so case 1: A grows,
    A+3 goes. Page e now has index A+1 as b has: b is in the 1st vma; for e the 1st vma is looked at in vain.
    """
    c = anon_vma(THERE + [mmap(1, A + 1, 2), write(1, A + 1, 2)])
    assert c.objects == {"vm_area_struct": 2, "anon_vma": 1}
    assert c.vmas(1) == [(A, A + 4), (X, X + 2)]
    assert (c.visits(1, X), c.visits(1, A + 1), c.visits(1, A)) == ((1, 2, 1), (2, 2, 2), (2, 2, 1))


def test_untouched_memory_takes_its_offset_from_the_new_address():
    """
        before  1 A[....]
        after   1 X[.....]   the 5th page mapped behind it

    No anon_vma yet, so copy_vma sets vm_pgoff to X (mremap 2) and the neighbour at X+4 continues it; no write, no
    anon_vma.
    """
    c = anon_vma([Spawn(1), mmap(1, A, 4), mremap(1, A, 4, X), mmap(1, X + 4, 1)])
    assert c.objects == {"vm_area_struct": 1, "anon_vma": 0}
    assert c.vmas(1) == [(X, X + 5)]


SPLIT = area(4) + [mprotect(1, A + 1, 1, "r--"), Fork(1, 2)]


def test_splits_are_inherited_piece_by_piece():
    """
        before  1 A[abcd]                     list 1
        split   1 A[a]A+1[b]A+2[cd]           list 1.A+2, 1.A, 1.A+1      b is r--
        after   2 A[a]A+1[b]A+2[cd]           list 2.A+2, 2.A+1, 2.A, 1.A+2, 1.A, 1.A+1

    mprotect_fixup splits at the start with the new vma below, then at the end with the new one above; both go to the
    head, the original struct stays b's. fork goes by address, each copy to the head. Page b: 2.A+1 is 2nd, 1.A+1 is
    6th; page d: 1st and 4th; page a: 3rd and 5th. Two ranges fit each. 6 vmas, 1 anon_vma.
    """
    c = anon_vma(SPLIT)
    assert c.objects == {"vm_area_struct": 6, "anon_vma": 1}
    assert c.vmas(2) == c.vmas(1) == [(A, A + 1), (A + 1, A + 2), (A + 2, A + 4)]
    assert (c.visits(1, A + 1), c.visits(1, A + 3), c.visits(1, A)) == ((6, 6, 2), (4, 6, 2), (5, 6, 2))


def test_pieces_rejoin_in_the_child_too():
    """
        before  1 A[a]A+1[b]A+2[cd]   2 A[a]A+1[b]A+2[cd]
        after   1 A[a]A+1[b]A+2[cd]   2 A[abcd]            list 2, 1.A+2, 1.A, 1.A+1

    All six share one anon_vma, so mprotect back in the child is case 6: its lowest piece grows, the others go. This
    era knows no forked vmas (find_mergeable_anon_vma: no restriction). Page b is in the 1st and the 4th, d in 1st and
    2nd.
    """
    c = anon_vma(SPLIT + [mprotect(2, A + 1, 1, "rw-")])
    assert c.objects == {"vm_area_struct": 4, "anon_vma": 1}
    assert c.vmas(2) == [(A, A + 4)] and len(c.vmas(1)) == 3
    assert (c.visits(2, A + 1), c.visits(2, A + 3)) == ((4, 4, 2), (2, 4, 2))


def test_filler_between_two_anon_vmas_joins_the_lower():
    """
        before  1 A[ab]  A+4[ef]        two anon_vmas: not touching, so nothing to share
        after   1 A[ab..]A+4[ef]

    Each neighbour fits the filler, but their anon_vmas differ, so not case 1; prev is tried first: case 2.
    """
    apart = [Spawn(1), mmap(1, A, 2), mmap(1, A + 4, 2), write(1, A, 2), write(1, A + 4, 2)]
    assert anon_vma(apart).objects == {"vm_area_struct": 2, "anon_vma": 2}
    c = anon_vma(apart + [mmap(1, A + 2, 2)])
    assert c.objects == {"vm_area_struct": 2, "anon_vma": 2}
    assert c.vmas(1) == [(A, A + 4), (A + 4, A + 6)]


def test_filler_joins_an_untouched_and_a_touched_neighbour():
    """
        before  1 A[..]  A+4[ef]        one anon_vma, the upper vma's
        after   1 A[....ef]             the same

    One of the two has none, so all three join (case 1); the lower vma grows and takes the upper one's anon_vma over.
    """
    c = anon_vma([Spawn(1), mmap(1, A, 2), mmap(1, A + 4, 2), write(1, A + 4, 2), mmap(1, A + 2, 2), write(1, A)])
    assert c.objects == {"vm_area_struct": 1, "anon_vma": 1}
    assert c.vmas(1) == [(A, A + 6)]
    assert c.visits(1, A) == c.visits(1, A + 5) == (1, 1, 1)


def test_touched_area_that_becomes_like_an_untouched_one():
    """
        before  1 A[..]A+2[cd]      rw-, rwx
        after   1 A[..cd]           one of the two has no anon_vma: case 7, the survivor takes the other's over
    """
    c = anon_vma([Spawn(1), mmap(1, A, 2), mmap(1, A + 2, 2, "rwx"), write(1, A + 2, 2), mprotect(1, A + 2, 2, "rw-")])
    assert c.objects == {"vm_area_struct": 1, "anon_vma": 1}
    assert c.vmas(1) == [(A, A + 4)]
    assert c.visits(1, A + 3) == (1, 1, 1)


def test_boundary_between_two_pieces_moves():
    """
        before  1 A[ab]A+2[cd]      rw-, r--      list A, A+2: the split made the lower piece new, at the head
        up      1 A[abc]A+3[d]      case 5: c becomes like the piece below
        down    1 A[a]A+1[bcd]      case 4: b becomes like the piece above

    No vma comes or goes, no place in the list changes, the ranges follow: c is in the 1st, then in the 2nd.
    """
    halves = area(4) + [mprotect(1, A + 2, 2, "r--")]
    up = anon_vma(halves + [mprotect(1, A + 2, 1, "rw-")])
    down = anon_vma(halves + [mprotect(1, A + 1, 1, "r--")])
    assert up.objects == down.objects == {"vm_area_struct": 2, "anon_vma": 1}
    assert up.vmas(1) == [(A, A + 3), (A + 3, A + 4)] and down.vmas(1) == [(A, A + 1), (A + 1, A + 4)]
    assert (up.visits(1, A + 2), up.visits(1, A + 3)) == ((1, 2, 1), (2, 2, 1))
    assert (down.visits(1, A), down.visits(1, A + 1)) == ((1, 2, 1), (2, 2, 1))


def test_middle_shares_the_anon_vma_of_the_next_before_the_previous():
    """
        before  1 A[ab]A+2[..]A+4[ef]   rw-, rwx, rw-; anon_vmas: p of A, q of A+4
        after   1 A[ab]A+2[cd]A+4[ef]   p: A      q: A+2, A+4

    find_mergeable_anon_vma ignores r, w, x and asks the next vma first; the newcomer goes to the head of its list.
    """
    c = anon_vma([Spawn(1), mmap(1, A, 2), mmap(1, A + 2, 2, "rwx"), mmap(1, A + 4, 2), write(1, A, 2),
                  write(1, A + 4, 2), write(1, A + 2, 2)])
    assert c.objects == {"vm_area_struct": 3, "anon_vma": 2}
    assert (c.visits(1, A), c.visits(1, A + 2), c.visits(1, A + 4)) == ((1, 1, 1), (1, 2, 1), (2, 2, 1))


@pytest.mark.parametrize("kernel", ["2.6.11", "7.0"])
def test_heap_grown_after_fork_stays_one_vma(kernel):
    """
        before  1 A[abc]              2 A[abc]
        after   1 A[abcfg]            2 A[abcde]         list 2, 1

    brk asks with no anon_vma: compatible with any (section 9, 2.6.7 - 2.6.39), whatever kernel the rest follows.
    d and f have the same index: d is in the 1st vma; f in the 2nd, after a look into the 1st.
    """
    heap = [Spawn(1), brk(1, A), brk(1, A + 3), write(1, A, 3), Fork(1, 2)]
    c = anon_vma(heap + [brk(2, A + 5), write(2, A + 3, 2), brk(1, A + 5), write(1, A + 3, 2)], kernel)
    assert c.objects == {"vm_area_struct": 2, "anon_vma": 1}
    assert c.vmas(1) == c.vmas(2) == [(A, A + 5)]
    assert (c.visits(2, A + 3), c.visits(1, A + 3)) == ((1, 2, 1), (2, 2, 2))


def test_last_owner_keeps_the_page_and_its_place():
    """
        before  1 A[ab]   2 A[ab]     list 2, 1
        after   1 A[Ab]   2 A[ab]     1 wrote first and got the copy; then 2, alone with a, wrote it in place

    Before 2.6.34 re-use does nothing to the page (0.4): a is the frame it was. Both point to the one anon_vma: a is in
    the 1st vma, the copy in the 2nd after a look into the 1st.
    """
    before = area(2) + [Fork(1, 2)]
    c = anon_vma(before + [write(1, A), write(2, A)])
    assert c.objects == {"vm_area_struct": 2, "anon_vma": 1}
    assert c.frame(2, A) == anon_vma(before).frame(2, A) != c.frame(1, A)
    assert c.mapcount(2, A) == c.mapcount(1, A) == 1
    assert (c.visits(2, A), c.visits(1, A)) == ((1, 2, 1), (2, 2, 2))


def test_mm_without_resident_pages_is_passed():
    """
        before  1 A[ab]   2 A[ab]         list 2, 1
        after   1 A[ab]   2 A[..]         2 dropped its pages (madvise dontneed) and has none left

    2's vma is still first on the list and in range, but no pte is looked at in an mm without pages (0.6; Walk, step 2).
    One page back in 2, at another index, and a is looked for there in vain.
    """
    dropped = area(2) + [Fork(1, 2), Madvise(2, A * P, 2 * P, "dontneed")]
    assert anon_vma(dropped).visits(1, A) == (2, 2, 1)
    c = anon_vma(dropped + [write(2, A + 1)])
    assert c.visits(1, A) == (2, 2, 2)
    assert c.objects == {"vm_area_struct": 2, "anon_vma": 1}


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_exit_in_every_order(order):
    """
        before  1 A[ab]   2 A[Bb]   3 A[Cb]       list 3, 2, 1: 1 forked 2, 2 forked 3
        after each exit: the same without the dead

    Unlinking a vma frees the anon_vma only when the list is empty (Exit), so it is there until the last exit, whoever
    that is. With n left, b is mapped by all: n visits. The first page of a survivor is found after those younger.
    """
    events = area(2) + [Fork(1, 2), write(2, A), Fork(2, 3), write(3, A)]
    for gone in range(3):
        c = anon_vma(events + [Exit(pid) for pid in order[:gone]])
        left = sorted(order[gone:], reverse=True)
        n = len(left)
        assert c.objects == {"vm_area_struct": n, "anon_vma": 1}
        for place, pid in enumerate(left, 1):
            assert c.visits(pid, A) == (place, n, place)
            assert c.mapcount(pid, A + 1) == n and c.visits(pid, A + 1) == (n, n, n)
    assert anon_vma(events + [Exit(pid) for pid in order]).objects == {"vm_area_struct": 0, "anon_vma": 0}


def test_unmapping_the_last_vma_of_the_first_process_leaves_the_anon_vma_to_the_child():
    """
        before  1 A[abcd]         2 A[abcd]
        after   1                 2 A[a]A+3[d]     list 2.A+3, 2.A

    munmap of all of 1, of the middle of 2: do_munmap splits at A+1 with the new part above, at A+3 with the new part
    below, which goes. d in the 1st vma, a in the 2nd.
    """
    c = anon_vma(area(4) + [Fork(1, 2), munmap(1, A, 4), munmap(2, A + 1, 2)])
    assert c.objects == {"vm_area_struct": 2, "anon_vma": 1}
    assert c.vmas(1) == [] and c.vmas(2) == [(A, A + 1), (A + 3, A + 4)]
    assert (c.visits(2, A + 3), c.visits(2, A)) == ((1, 2, 1), (2, 2, 1))
