"""The search structures: what they report, in which order, and how many nodes they touch."""

import random

import numpy as np
import pytest

from rmapmodel.errors import InputError
from rmapmodel.index import INDEXES, make_index
from rmapmodel.index.prio_tree import PrioTree


def reported(index, point):
    return [entry for _, entry, _, _ in index.search(np.array([point]))]


def well_formed(tree):
    """Heap by last page (ties by first) and radix by first, as lib/prio_tree.c keeps them."""
    def visit(node, parent, mask, low, by_size):
        if node is None:
            return 0
        assert node.parent is parent and node.members
        assert all((m.start, m.last) == (node.start, node.last) and m.order is node for m in node.members)
        if parent is not None:
            assert (parent.last, -parent.start) > (node.last, -node.start)
        below = visit(node.left, node, None, None, None) + visit(node.right, node, None, None, None)
        return below + len(node.members)
    assert visit(tree._root, None, None, None, None) == len(tree)


@pytest.mark.parametrize("name", INDEXES)
def test_random_operations_report_what_a_search_of_everything_finds(name):
    for seed in range(60):
        rng, index, nodes = random.Random(seed), make_index(name), []
        for step in range(120):
            roll = rng.random()
            start = rng.randrange(1 << rng.choice([3, 8, 20]))
            last = start + rng.randrange(1 << rng.choice([0, 2, 5]))
            if nodes and roll < .2:
                index.remove(nodes.pop(rng.randrange(len(nodes))))
            elif nodes and roll < .35:
                index.move(rng.choice(nodes), start, last)
            elif nodes and roll < .55:
                other = rng.choice(nodes)
                nodes.append(index.insert_after(step, other.start, other.last, other))
            else:
                nodes.append(index.insert(step, start, last))
            assert len(index) == len(nodes) == len(list(index))
            if name == "prio_tree":
                well_formed(index)
            points = np.sort(np.array([rng.randrange(1 << rng.choice([4, 9, 20])) for _ in range(4)]))
            found = {at: [] for at in range(4)}
            for _, entry, low, high in index.search(points):
                for at in range(low, high):
                    found[at].append(entry)
            for at, point in enumerate(points.tolist()):
                assert sorted(found[at]) == sorted(n.entry for n in nodes if n.start <= point <= n.last)
            assert index.overlaps(points).tolist() == [len(found[at]) for at in range(4)]


def test_list_order_is_that_of_linking():
    rows = make_index("list")
    a = rows.insert("a", 0, 9)
    rows.insert("b", 0, 9, head=True)
    rows.insert_before("c", 0, 9, a)
    rows.insert_after("d", 0, 9, a)
    assert list(rows) == ["b", "c", "a", "d"]
    rows.move(a, 3, 4)
    assert list(rows) == ["b", "c", "a", "d"] and reported(rows, 0) == ["b", "c", "d"]


def test_interval_tree_order_is_start_then_age_and_a_move_is_a_new_birth():
    tree = make_index("interval_tree")
    a, b = tree.insert("a", 5, 9), tree.insert("b", 5, 9)
    tree.insert("c", 0, 9)
    assert list(tree) == ["c", "a", "b"]
    tree.move(a, 5, 9)
    assert list(tree) == ["c", "b", "a"]
    tree.insert_after("d", 5, 9, b)
    assert list(tree) == ["c", "b", "d", "a"]
    for child in range(300):  # a fork server: each child right behind the parent
        tree.insert_after(child, 5, 9, b)
    assert list(tree) == ["c", "b", *reversed(range(300)), "d", "a"]


def test_interval_tree_counts_the_descent_and_each_node_reported():
    tree = make_index("interval_tree")
    for n in range(7):
        tree.insert(n, 0, 9)
    assert tree.nodes_of(np.array([1, 3, 0])).tolist() == [3, 5, 3]


def test_prio_tree_keeps_equal_intervals_on_one_node():
    """Order: the tree's node, then its vm_set, new members last; beside a member, right behind it."""
    tree = make_index("prio_tree")
    a = tree.insert("a", 4, 7)
    b = tree.insert_after("b", 4, 7, a)
    c = tree.insert_after("c", 4, 7, a)
    tree.insert_after("d", 4, 7, b)
    assert reported(tree, 5) == ["a", "b", "d", "c"]
    tree.remove(a)
    assert reported(tree, 5) == ["b", "d", "c"]
    tree.remove(c)
    assert reported(tree, 5) == ["b", "d"]


def test_prio_tree_visits_few_nodes_for_a_stab():
    """Molnar's mappings: 4096 one-page intervals; height is bounded by the index bits (thread.md 2.6)."""
    tree = make_index("prio_tree", "i386")
    for n in range(4096):
        tree.insert(n, 4095 - n, 4095 - n)
    points = np.arange(4096)
    search = tree.search(points)
    assert sum(high - low for _, _, low, high in search) == 4096
    assert search.nodes_touched(None).max() <= 13


def test_prio_tree_shape_of_a_worked_example():
    """Inserted by hand after lib/prio_tree.c: the larger heap index above, radix bits below.

        (0,7)            index bits 3: bit 2 of the first page decides below the root
        /    \\
     (1,2)  (4,6)        1 = 001, 4 = 100
             \\
             (6,6)       6 = 110: bit 2 right of the root, bit 1 right of (4,6)
    """
    tree = make_index("prio_tree")
    for start, last in ((1, 2), (4, 6), (0, 7), (6, 6)):
        tree.insert((start, last), start, last)
    assert shape(tree._root) == ((0, 7), ((1, 2), None, None), ((4, 6), None, ((6, 6), None, None)))
    assert list(tree) == [(0, 7), (1, 2), (4, 6), (6, 6)]
    search = tree.search(np.array([2, 6]))
    assert [entry for _, entry, _, _ in search] == [(0, 7), (1, 2), (4, 6), (6, 6)]
    assert search.nodes_touched(None).tolist() == [2, 3]


def shape(node):
    """(interval, left, right) of a tree node, or None."""
    return node and ((node.start, node.last), shape(node.left), shape(node.right))


@pytest.mark.parametrize("tree, bits, word", [
    (make_index("prio_tree", "i386"), 6, 32), (make_index("prio_tree"), 7, 64), (PrioTree(), 7, 64)],
    ids=["i386", "x86_64", "default"])
def test_prio_tree_splits_by_size_from_the_top_bit_of_a_word_when_the_radix_is_used_up(tree, bits, word):
    """All start at page 0, the largest first: `bits` levels by radix, then one for each bit of the size, all of them
    left while the bit is 0. The node at depth word + 1 is the first where two that come to it differ."""
    for last in reversed(range(1 << bits)):
        tree.insert(last, 0, last)
    at, depth = tree._root, 0
    while at.right is None:
        at, depth = at.left, depth + 1
    assert (depth, at.last) == (word + 1, (1 << bits) - word - 2)
    assert at.right.last == at.last - 1  # size 11...101 has the bit set, the sizes with 0 there come later
    found = reported(tree, 1)
    assert sorted(found) == list(range(1, 1 << bits))


def test_prio_tree_starts_with_one_index_bit_again_once_it_was_emptied():
    """INIT_PRIO_TREE_ROOT in prio_tree_remove: index_bits 1, so bit 0 of the first page decides below the root."""
    for tree in (make_index("prio_tree"), emptied()):
        tree.insert("a", 0, 1)
        tree.insert("b", 1, 1)
        assert shape(tree._root) == ((0, 1), None, ((1, 1), None, None))


def emptied():
    tree = make_index("prio_tree")
    tree.remove(tree.insert("gone", 100, 200))
    return tree


def test_prio_tree_visits_but_does_not_report_what_misses_the_point():
    """(3,5) is left of the root and its heap index reaches page 2, so prio_tree_next goes there; it starts above 2."""
    tree = make_index("prio_tree")
    tree.insert("root", 0, 7)
    tree.insert("above", 3, 5)
    search = tree.search(np.array([2]))
    assert [entry for _, entry, _, _ in search] == ["root"]
    assert search.nodes_touched(None).tolist() == [2]


def test_interval_tree_puts_an_entry_beside_another_only_where_both_start_alike():
    """Insertion compares starts (mm/interval_tree.c): an entry that starts elsewhere goes behind its own equals."""
    tree = make_index("interval_tree")
    a, b = tree.insert("a", 0, 9), tree.insert("b", 5, 9)
    tree.insert_after("c", 5, 9, a)
    tree.insert_after("d", 0, 9, b)
    assert list(tree) == ["a", "d", "b", "c"]


def test_an_early_end_stops_the_count():
    tree = make_index("prio_tree")
    for start, last in ((0, 7), (1, 6), (2, 5)):
        tree.insert((start, last), start, last)
    search = tree.search(np.array([3]))
    for _, entry, _, _ in search:
        search.ended[0] = 0
        break
    assert search.nodes_touched(None).tolist() == [1]


def test_list_inserts_at_the_tail_unless_told_otherwise():
    rows = make_index("list")
    a, b = rows.insert("a", 0, 9), rows.insert("b", 0, 9)
    rows.insert("c", 3, 4, head=True)
    rows.insert("d", 5, 5)
    assert list(rows) == ["c", "a", "b", "d"]
    rows.remove(b)
    rows.insert_before("e", 0, 9, a)
    assert list(rows) == ["c", "e", "a", "d"]


@pytest.mark.parametrize("name", INDEXES)
def test_an_empty_index_reports_nothing_and_touches_nothing(name):
    used = make_index(name)
    used.remove(used.insert("gone", 3, 9))
    for index in (make_index(name), used):
        search = index.search(np.array([0, 5]))
        assert list(search) == [] and list(index) == [] and len(index) == 0
        assert index.overlaps(np.array([0, 5])).tolist() == [0, 0]
        assert np.broadcast_to(search.nodes_touched(np.zeros(2, np.int64)), 2).tolist() == [0, 0]


@pytest.mark.parametrize("name", INDEXES)
def test_a_search_has_ended_for_no_point_at_first(name):
    assert make_index(name).search(np.array([0, 5])).ended.tolist() == [-1, -1]


@pytest.mark.parametrize("name, positions", [("list", [0, 2]), ("interval_tree", [1, 2]), ("prio_tree", [0, 0])])
def test_positions_count_all_entries_in_search_order_but_not_in_a_prio_tree(name, positions):
    index = make_index(name)
    for entry, start, last in (("a", 5, 9), ("b", 0, 2), ("c", 5, 6)):
        index.insert(entry, start, last)
    assert [(position, entry) for position, entry, _, _ in index.search(np.array([5]))] == [*zip(positions, "ac")]


def test_interval_tree_knows_no_before():
    """vma_interval_tree_insert_after is all there is (mm/interval_tree.c): a copy goes behind its original."""
    tree = make_index("interval_tree")
    a = tree.insert("a", 5, 9)
    tree.insert("b", 5, 9)
    tree.insert_before("c", 5, 9, a)
    assert list(tree) == ["a", "c", "b"]


def test_prio_tree_touches_each_member_of_a_vm_set():
    """vma_prio_tree_next goes from the tree node through its vm_set: three equal intervals are three nodes."""
    tree = make_index("prio_tree")
    for entry in "abc":
        tree.insert(entry, 4, 7)
    search = tree.search(np.array([3, 5, 8]))
    assert [row for row in search] == [(0, entry, 1, 2) for entry in "abc"]
    assert search.nodes_touched(None).tolist() == [1, 3, 0]  # page 3 is below the root's interval, 8 above its heap


def test_an_early_end_stops_the_count_for_its_point_alone():
    """The other point goes on: over a vm_set of three, and over three tree nodes one below the other."""
    for intervals in (((4, 7), (4, 7), (4, 7)), ((0, 7), (1, 6), (2, 5))):
        tree = make_index("prio_tree")
        for start, last in intervals:
            tree.insert((start, last), start, last)
        search = tree.search(np.array([4, 5]))
        for _, entry, _, _ in search:
            search.ended[0] = 0
        assert search.nodes_touched(None).tolist() == [1, 3]


def test_prio_tree_beside_an_interval_that_differs_is_a_plain_insertion():
    """vma_prio_tree_add is for equal intervals only. (5,7) ends as (4,7) does and starts above it, so it stays below
    the root; above (4,6), which is carried down: bit 2 of 4 and 5 is right of the root, bit 1 of 4 left of (5,7)."""
    tree = make_index("prio_tree")
    a = tree.insert("a", 4, 7)
    tree.insert_after("b", 4, 6, a)
    tree.insert_after("c", 5, 7, a)
    assert shape(tree._root) == ((4, 7), None, ((5, 7), ((4, 6), None, None), None))
    assert len(tree) == 3 and reported(tree, 6) == ["a", "c", "b"]


def tree_of(*intervals, word=64):
    tree = PrioTree(word)
    for start, last in intervals:
        tree.insert((start, last), start, last)
        well_formed(tree)
    return tree


def test_prio_tree_expands_by_one_bit():
    """prio_tree_expand: the old tree becomes the left child as it is; then bit 1 decides below the root."""
    assert shape(tree_of((0, 1), (1, 1), (2, 3), (2, 2))._root) == (
        (2, 3), ((0, 1), None, ((1, 1), None, None)), ((2, 2), None, None))


def test_prio_tree_expands_by_two_bits():
    """For the second bit the root is taken out, its larger child (1,1) takes its place, the rest hangs left of it."""
    assert shape(tree_of((0, 1), (0, 0), (1, 1), (4, 7), (5, 5))._root) == (
        (4, 7), ((0, 1), ((1, 1), ((0, 0), None, None), None), None), ((5, 5), None, None))


def test_prio_tree_expands_by_more_bits_than_it_has_nodes():
    """Each further bit takes another root out, in a chain to the left; the tree is used up before the bits are, which
    still come to four: bit 3 decides below the root."""
    assert shape(tree_of((0, 1), (1, 1), (0, 15), (8, 9))._root) == (
        (0, 15), ((0, 1), ((1, 1), None, None), None), ((8, 9), None, None))


def test_prio_tree_starts_with_the_bits_that_its_first_interval_needs():
    """200 needs eight bits, so bit 7 decides below the root: 150 right, 20 left."""
    assert shape(tree_of((100, 200), (150, 160), (20, 30))._root) == (
        (100, 200), ((20, 30), None, None), ((150, 160), None, None))


def test_prio_tree_splits_by_size_and_not_by_the_last_page():
    """Words of four bits, all start at page 6 = 0110: left, right, right, left by radix to (6,11); then by size, four
    bits again: 4 = 0100 left, of (6,10) 3 = 0011 left, of (6,9) 2 = 0010 right, 1 and 0 left."""
    by_size = ((6, 10), ((6, 9), ((6, 7), ((6, 6), None, None), None), ((6, 8), None, None)), None)
    by_radix = ((6, 14), None, ((6, 13), None, ((6, 12), ((6, 11), by_size, None), None)))
    assert shape(tree_of(*((6, last) for last in range(15, 5, -1)), word=4)._root) == ((6, 15), by_radix, None)


def test_unknown_index():
    with pytest.raises(InputError, match="hash"):
        make_index("hash")


@pytest.mark.parametrize("name", INDEXES)
def test_an_empty_index_is_searched_in_vain(name):
    index = make_index(name)
    for _ in range(2):
        assert len(index) == 0 and list(index) == [] and reported(index, 0) == []
        assert index.overlaps(np.array([0, 5])).tolist() == [0, 0]
        index.remove(index.insert("gone", 0, 5))


@pytest.mark.parametrize("name", INDEXES)
def test_a_search_begins_with_no_point_ended(name):
    index = make_index(name)
    index.insert("a", 0, 9)
    assert index.search(np.array([1, 2, 3])).ended.tolist() == [-1, -1, -1]


def test_a_list_takes_new_entries_at_its_tail_and_tells_their_places():
    rows = make_index("list")
    for entry in "abc":
        rows.insert(entry, 0, 9)
    assert list(rows) == ["a", "b", "c"]
    rows.insert("far", 20, 29)
    rows.insert("d", 5, 9)
    assert [(position, entry) for position, entry, _, _ in rows.search(np.array([6]))] \
        == [(0, "a"), (1, "b"), (2, "c"), (4, "d")]
    assert rows.nodes_of(np.array([1, 5])).tolist() == [1, 5]


def test_interval_tree_takes_a_copy_beside_its_original_or_as_a_newcomer():
    tree = make_index("interval_tree")
    a = tree.insert("a", 5, 9)
    tree.insert("b", 5, 9)
    tree.insert_before("before", 5, 9, a)  # a tree knows only behind
    assert list(tree) == ["a", "before", "b"]
    tree.insert_after("elsewhere", 3, 9, a)
    tree.insert_after("shorter", 5, 6, a)  # the start alone decides
    assert list(tree) == ["elsewhere", "a", "shorter", "before", "b"]
    assert [(position, entry) for position, entry, _, _ in tree.search(np.array([8]))] \
        == [(0, "elsewhere"), (1, "a"), (3, "before"), (4, "b")]


def test_searches_see_every_change():
    """The views kept between searches go with each change."""
    for name in INDEXES:
        index, point = make_index(name), np.array([5])
        nodes = [index.insert(entry, 4, 6) for entry in "ab"]
        for change in (lambda: index.move(nodes[0], 8, 9), lambda: index.insert("c", 5, 5),
                       lambda: index.insert_after("d", 4, 6, nodes[1]), lambda: index.remove(nodes[1])):
            before = reported(index, 5), index.overlaps(point)[0], len(index)
            change()
            assert (reported(index, 5), index.overlaps(point)[0], len(index)) != before
            assert index.overlaps(point)[0] == len(reported(index, 5))


def changes(index, *steps):
    """What `passed` grows by at each step, a function of the index."""
    grown = []
    for step in steps:
        before = index.passed
        step(index)
        grown.append(index.passed - before)
    return grown


def test_a_list_passes_only_what_it_links_and_unlinks():
    rows = make_index("list")
    a = rows.insert("a", 0, 9)
    assert changes(rows, lambda t: t.insert("b", 5, 5), lambda t: t.insert_before("c", 0, 9, a),
                   lambda t: t.insert_after("d", 0, 9, a), lambda t: t.move(a, 3, 4), lambda t: t.remove(a)) == [1, 1, 1, 0, 1]


def test_an_interval_tree_passes_the_height_of_a_balanced_one():
    tree = make_index("interval_tree")
    nodes = [tree.insert(n, n, n) for n in range(7)]
    assert tree.passed == 1 + 2 + 2 + 3 * 4
    assert changes(tree, lambda t: t.insert_after("a", 6, 6, nodes[6]), lambda t: t.insert("b", 8, 8),
                   lambda t: t.move(nodes[0], 9, 9), lambda t: t.remove(nodes[1])) == [1, 4, 4 + 4, 4]


def test_a_prio_tree_passes_the_path_down_and_the_path_a_removed_node_sinks():
    """The worked example: (0,7) above all, (1,2) left, (4,6) right with (6,6) below it."""
    tree = make_index("prio_tree")
    assert changes(tree, *(lambda t, i=i: t.insert(i, *i) for i in ((1, 2), (4, 6), (0, 7), (6, 6)))) == [1, 1, 2, 3]
    assert tree.height == 3
    root = tree._root.members[0]
    assert changes(tree, lambda t: t.insert_after("a", 0, 7, root), lambda t: t.insert("b", 0, 7)) == [1, 2]
    left, right = tree._root.left.members[0], tree._root.right.members[0]
    # a leaf sinks nowhere; (4,6) sinks below (6,6); the root's place goes to the next of its set
    assert changes(tree, lambda t: t.remove(left), lambda t: t.remove(right), lambda t: t.remove(root)) == [1, 2, 1]
    assert tree.height == 2 and make_index("prio_tree").height == 0
