"""Hand-worked cases of `objrmap`: kernel-facts section 3 for file pages, section 2 for anonymous ones; rules of 2.6.4
where no other kernel is named.

In the maps a line is a process, a capital letter a page of the file, a small one an anonymous page, digits tell copies
apart, `.` a page not mapped, brackets a vma, the number before a bracket its first page. `lists` are i_mmap (private
mappings) and i_mmap_shared, in the order they are walked. Visits of a file page are (vmas passed until all mappings
are found, vmas on both lists, ptes looked at: only where the page lies in the vma's range); of an anonymous page its
ptes.
"""

from itertools import permutations

import pytest

from rmapmodel.events import Exit, Fork, Mmap, Read, RemapFilePages, Spawn
from tests.strategies.cases.case import P, brk, case, mmap, mprotect, mremap, munmap, write


def after(events, kernel="2.6.4"):
    return case(events, "objrmap", kernel=kernel)


def of_file(pid, page, count, offset=0, sharing="shared"):
    """A mapping of the file from its page `offset`, not touched."""
    return Mmap(pid, page * P, count * P, "rw-", [sharing], "f", offset * P)


def read(pid, page, count=1):
    return Read(pid, page * P, count * P)


def area(page, count, pid=1):
    return [mmap(pid, page, count), write(pid, page, count)]


def objects(vmas, chains=0):
    return {"vm_area_struct": vmas, "pte_chain": chains}


def test_fork_chain_of_a_private_mapping():
    """
        before    1  10[F g]                                                  lists 1 |
        after     1  10[F g]      2  10[F g]      3  10[F g3]                 lists 3 2 1 |

    1 reads F and writes the next page, forks 2, 2 forks 3, 3 writes g. A child's vma goes in just before its parent's
    (facts 3). F has no chain and is in all three. g is anonymous: its element has the ptes of 1 and 2; g3 is direct.
    """
    end = after([Spawn(1), of_file(1, 10, 2, sharing="private"), read(1, 10), write(1, 11), Fork(1, 2), Fork(2, 3),
                 write(3, 11)])
    assert end.objects == objects(3, 1)
    assert end.visits(1, 10) == (3, 3, 3)
    assert end.visits(1, 11) == (2, 2, 2)
    assert end.visits(3, 11) == (1, 1, 1)


def test_fork_chain_of_a_shared_mapping_and_where_the_walk_stops():
    """
        1  10[F .] 20[a]      2  10[. .] 20[a]      3  10[. G] 20[a]          lists | 3 2 1

    1 reads F and forks 2, 2 forks 3, 3 reads G. From 2.6.14 fork leaves out the ptes of an area without anonymous
    pages (facts 0.3), so F is 1's alone and last: 3 and 2 are looked at in vain. G is 3's alone and first. 2.6.4
    copies F: all three map it.
    """
    events = [Spawn(1), of_file(1, 10, 2), read(1, 10), *area(20, 1), Fork(1, 2), Fork(2, 3), read(3, 11)]
    end = after(events, "2.6.14")
    assert end.objects == objects(6, 1)
    assert end.mapcount(1, 10) == 1
    assert end.visits(1, 10) == (3, 3, 3)
    assert end.visits(3, 11) == (1, 3, 1)
    old = after(events)
    assert old.mapcount(1, 10) == 3
    assert old.visits(1, 10) == (3, 3, 3)
    assert old.visits(3, 11) == (1, 3, 1)


def test_private_list_first_then_the_shared_one():
    """
        1  10[F] private      2  10[F] shared      3  10[.] private, of page 4      lists 1 3 | 2

    F: 1 hit, 3 out of range, 2 hit: 3 visits, 2 ptes. While 2 has not read it, F is found in 1 and the walk stops: 1.
    """
    maps = [Spawn(1), Spawn(2), Spawn(3), of_file(2, 10, 1), of_file(1, 10, 1, sharing="private"),
            of_file(3, 10, 1, 4, sharing="private"), read(1, 10)]
    assert after(maps).visits(1, 10) == (1, 3, 1)
    end = after(maps + [read(2, 10)])
    assert end.objects == objects(3)
    assert end.visits(1, 10) == (3, 3, 2)


def test_each_page_of_many_windows_walks_past_the_others():
    """
        1  10[F]  20[G]  30[H]          pages 0, 1 and 2 of the file          lists | 10 20 30

    Every vma of the file is on the list, whatever part it maps (facts 3, worst case): F is in the 1st, G in the 2nd, H
    in the 3rd, and a pte is looked at only where the range fits.
    """
    end = after([Spawn(1), *(of_file(1, 10 + 10 * n, 1, n) for n in range(3)), read(1, 10), read(1, 20), read(1, 30)])
    assert [end.visits(1, page) for page in (10, 20, 30)] == [(1, 3, 1), (2, 3, 1), (3, 3, 1)]


def test_partial_mremap_and_back():
    """
        before    1  10[F G H I]                                              lists | 10
        moved     1  10[F]  13[I]  30[G H]                                    lists | 10 30 13
        back      1  10[F]  11[G H]  13[I]                                    lists | 10 13 11        (7.0: 10[F G H I])

    The copy at 30 goes to the tail, then munmap splits at 11, the new struct above, and that at 13, the new struct
    below, which goes. G: 10 out of range, 30 hit. I is in the third. A moved area of a file never merges before 2.6.7
    (facts 1 and 2: mremap joins anonymous areas only), so the way back leaves three, 11 the newest. On 7.0 offsets
    continue and they are one.
    """
    away = [Spawn(1), of_file(1, 10, 4), read(1, 10, 4), mremap(1, 11, 2, 30)]
    back = away + [mremap(1, 30, 2, 11)]
    end = after(away)
    assert end.vmas(1) == [(10, 11), (13, 14), (30, 32)]
    assert end.objects == objects(3)
    assert [end.visits(1, page) for page in (10, 30, 13)] == [(1, 3, 1), (2, 3, 1), (3, 3, 1)]
    end = after(back)
    assert end.vmas(1) == [(10, 11), (11, 13), (13, 14)]
    assert [end.visits(1, page) for page in (10, 13, 11)] == [(1, 3, 1), (2, 3, 1), (3, 3, 1)]
    end = after(back, "7.0")
    assert end.vmas(1) == [(10, 14)]
    assert end.visits(1, 11) == (1, 1, 1)


def test_partial_mremap_of_anonymous_pages_and_back():
    """
        before    1  10[a b c]                  2  10[a b c]
        moved     1  10[a]  12[c]  30[b]        2  10[a b c]
        back      1  10[a b c]                  2  10[a b c]

    As in pte_chain: remove and add, one element a page throughout, and anonymous areas join wherever they come from.
    """
    away = [Spawn(1), *area(10, 3), Fork(1, 2), mremap(1, 11, 1, 30)]
    assert after(away).objects == objects(4, 3)
    assert after(away).visits(1, 30) == (2, 2, 2)
    end = after(away + [mremap(1, 30, 1, 11)])
    assert end.vmas(1) == [(10, 13)]
    assert end.objects == objects(2, 3)


def test_split_by_mprotect_and_joined_again():
    """
        before    1  10[F G H I J K] rw              2  the same              lists | 2 1
        split     1  10[F G] rw  12[H I] r  14[J K] rw                        lists | 2 12 10 14
        joined    1  10[F G H I J K] rw              (not before 2.6.7)       lists | 2 10

    mprotect splits at 12, the new struct below, then at 14, the new one above, both to the tail; the old one stays in
    its place in the middle. All six are mapped in 2 too. F: 2, 12 out of range, 10: 3 visits. H: 2, 12: 2. J: all 4.
    mprotect never joins areas of a file in 2.6.4; in 2.6.7 10 grows over both others (case 6): J: 2 visits.
    """
    split = [Spawn(1), of_file(1, 10, 6), read(1, 10, 6), Fork(1, 2), mprotect(1, 12, 2, "r--")]
    joined = split + [mprotect(1, 12, 2, "rw-")]
    end = after(split)
    assert end.objects == objects(4)
    assert [end.visits(1, page) for page in (10, 12, 14)] == [(3, 4, 2), (2, 4, 2), (4, 4, 2)]
    end = after(joined)
    assert end.vmas(1) == [(10, 12), (12, 14), (14, 16)]
    assert end.visits(1, 14) == (4, 4, 2)
    end = after(joined, "2.6.7")
    assert end.vmas(1) == [(10, 16)]
    assert end.objects == objects(2)
    assert end.visits(1, 14) == (2, 2, 2)


def test_hole_filled_with_the_page_that_fits_and_with_another():
    """
        before    1  10[F G]  13[I J]                                         lists | 10 13
        fitting   1  10[F G H I J]                                            lists | 10
        another   1  10[F G]  12[M]  13[I J]          M is page 7             lists | 10 13 12

    Areas of one file join where their offsets are contiguous (facts 2, VMA merge), so page 2 fills the hole and page 7
    does not: M is in the third vma. Two anonymous areas join over a hole whatever filled it.
    """
    hole = [Spawn(1), of_file(1, 10, 5), read(1, 10, 5), munmap(1, 12, 1)]
    assert after(hole).visits(1, 13) == (2, 2, 1)
    end = after(hole + [of_file(1, 12, 1, 2), read(1, 12)])
    assert end.vmas(1) == [(10, 15)]
    assert end.visits(1, 14) == (1, 1, 1)
    end = after(hole + [of_file(1, 12, 1, 7), read(1, 12)])
    assert end.vmas(1) == [(10, 12), (12, 13), (13, 15)]
    assert [end.visits(1, page) for page in (10, 13, 12)] == [(1, 3, 1), (2, 3, 1), (3, 3, 1)]
    assert after([Spawn(1), *area(10, 2), *area(13, 2), *area(40, 1), mremap(1, 40, 1, 12)]).vmas(1) == [(10, 15)]


def test_brk_after_fork():
    """
        before    1  20[h i]brk      2  20[h i]brk
        after     1  20[h i]brk      2  20[h i j .]brk

    The heap is anonymous: an element each for h and i, which both map, j direct; the vma grows on any kernel.
    """
    heap = [Spawn(1), brk(1, 20), brk(1, 22), write(1, 20, 2), Fork(1, 2), brk(2, 24), write(2, 22)]
    for kernel in ("2.6.4", "7.0"):
        end = after(heap, kernel)
        assert (end.vmas(1), end.vmas(2)) == ([(20, 22)], [(20, 24)])
        assert end.objects == objects(2, 2)
        assert (end.visits(2, 20), end.visits(2, 22)) == ((2, 2, 2), (1, 1, 1))


def test_copy_on_write_by_the_last_owner():
    """
        before    1  10[F]     2  10[F]     3  10[F] shared                    lists 2 1 | 3
        written   1  10[f1]    2  10[f2]    3  10[F]
        after                  2  10[f2]    3  10[F]    4  10[f1]              lists 2 4 | 3

    1 and 2 map the file privately, 3 shared. A page of the page cache is copied by every private writer, 2 though no
    other private mapping is left of it too. Then F is 3's alone: 2 and 1 fit and are looked at first. 1 forks 4 (put
    just before 1) and exits; 4 writes f1 as its last owner and keeps it, on a chain of one. F: 2, 4, 3.
    """
    events = [Spawn(1), Spawn(3), of_file(1, 10, 1, sharing="private"), read(1, 10), of_file(3, 10, 1), read(3, 10),
              Fork(1, 2), write(1, 10), write(2, 10)]
    end = after(events)
    assert end.objects == objects(3)
    assert end.visits(3, 10) == (3, 3, 3)
    assert end.visits(1, 10) == end.visits(2, 10) == (1, 1, 1)
    last = events + [Fork(1, 4), Exit(1)]
    frame = after(last).frame(4, 10)
    end = after(last + [write(4, 10)])
    assert end.frame(4, 10) == frame
    assert end.objects == objects(3, 1)
    assert end.visits(4, 10) == (1, 1, 1)
    assert end.visits(3, 10) == (3, 3, 3)


LEFT = {(1, 2): 2, (1, 3): 2, (2, 3): 1, (1,): 1, (2,): 1, (3,): 1, (): 0}
"""Elements when these live: g's with 1, g2's while 2 or 3 live; F never has one."""


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_exit_in_every_order(order):
    """
        1  10[F g]      2  10[F g2]      3  10[F g2]                           lists 3 2 1 |

    1 reads F, writes the next page and forks 2; 2 writes g and forks 3. All who live map F, and their vmas are the
    list: k visits of k. g has had an element since 2's fork, g2 since 3's; each stays with its page's last pte.
    """
    events = [Spawn(1), of_file(1, 10, 2, sharing="private"), read(1, 10), write(1, 11), Fork(1, 2), write(2, 11),
              Fork(2, 3)]
    assert after(events).objects == objects(3, 2)
    alive = {1, 2, 3}
    for pid in order:
        events.append(Exit(pid))
        alive.remove(pid)
        end = after(events)
        assert end.objects == objects(len(alive), LEFT[tuple(sorted(alive))])
        for left in alive:
            assert end.visits(left, 10) == (len(alive),) * 3
            assert end.visits(left, 11) == ((1, 1, 1) if left == 1 else (len(alive - {1}),) * 3)


def test_a_page_mapped_nonlinearly_gets_a_chain():
    """
        before    1  10[F G H]                                                lists | 10
        after     1  10[H G H]

    remap_file_pages shows page 2 of the file at 10. H's index leads to 12 only, so H is given a chain of both ptes,
    one element; G is where its index says: one vma. When 12 is unmapped the chain of one stays.
    """
    events = [Spawn(1), of_file(1, 10, 3), read(1, 10, 3), RemapFilePages(1, 10 * P, P, 2)]
    end = after(events)
    assert end.objects == objects(1, 1)
    assert end.frame(1, 10) == end.frame(1, 12)
    assert end.visits(1, 10) == (2, 2, 2)
    assert end.visits(1, 11) == (1, 1, 1)
    assert after(events + [munmap(1, 12, 1)]).objects == objects(1, 1)
    end = after(events + [munmap(1, 12, 1), munmap(1, 10, 1), of_file(1, 20, 1, 2), read(1, 20)])
    assert end.objects == objects(2)
    assert end.visits(1, 20) == (2, 2, 1)
