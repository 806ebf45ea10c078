"""prio_tree against its definition: what the tree of 2.6.11's lib/prio_tree.c looks like is decided by its entries alone.

A node is the entry with the greatest last page of those below it, of equal ones the one that starts first; the others
go left or right by a bit of their start, from the top bit of the index bits down, and when these are used up by a bit of
their size, from the top bit of a word down. Expanding keeps this: older entries have 0 in the new bits. [kernel-facts 7]
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from rmapmodel.index.prio_tree import PrioTree

WORD = 8
INTERVALS = some.tuples(some.integers(0, 40), some.sampled_from([0, 0, 1, 2, 3, 5, 8, 60])).map(
    lambda pair: (pair[0], sum(pair)))
POINTS = np.arange(0, 105, 3)


class Shape:
    """A node of the tree by definition: its interval, and what is left and right of it by the bit `mask`.

    `least` is the smallest start possible below it, which right of it is `smallest`; `by_size` says what the bit is of.
    """

    def __init__(self, intervals, mask, least, by_size=False):
        self.interval = min(intervals, key=lambda each: (-each[1], each[0]))
        self.smallest, self.by_size = least | mask, by_size
        sides = {False: [], True: []}
        for each in intervals:
            if each != self.interval:
                bits = each[1] - each[0] if by_size else each[0]
                sides[bool(bits & mask)].append(each)
        deeper = (mask >> 1, by_size) if mask > 1 or by_size else (1 << WORD - 1, True)
        self.left, self.right = (Shape(side, deeper[0], self.smallest if right else least, deeper[1]) if side else None
                                 for right, side in sides.items())

    def preorder(self):
        return [self.interval, *(interval for child in (self.left, self.right) if child for interval in child.preorder())]

    def touched(self, point, members):
        """Nodes a stab visits: this one, the members of its set where it is reported, and what cannot be ruled out."""
        start, last = self.interval
        count = 1 + (members[self.interval] - 1 if start <= point <= last else 0)
        if self.left and self.left.interval[1] >= point:
            count += self.left.touched(point, members)
        if self.right and self.right.interval[1] >= point and (self.by_size or self.smallest <= point):
            count += self.right.touched(point, members)
        return count


class Kept:
    """A prio_tree and, beside it, its entries by interval in the order their sets must have."""

    def __init__(self):
        self.tree, self.sets, self.bits, self.made = PrioTree(WORD), {}, 1, 0

    def insert(self, interval, beside=None):
        while interval[1] >> self.bits:
            self.bits += 1
        self.made += 1
        place = len(self.sets.get(interval, ()))
        if beside is None:
            node = self.tree.insert(self.made, *interval)
        else:
            node = self.tree.insert_after(self.made, *interval, beside[1])
            members = self.sets.get(interval, [])
            if beside in members and members.index(beside):
                place = members.index(beside) + 1
        self.sets.setdefault(interval, []).insert(place, (self.made, node))

    def remove(self, number):
        interval, place = self.nth(number)
        self.tree.remove(self.sets[interval].pop(place)[1])
        if not self.sets[interval]:
            del self.sets[interval]
        if not self.sets:
            self.bits = 1

    def move(self, number, to):
        interval, place = self.nth(number)
        entry = self.sets[interval][place]
        alone = sum(map(len, self.sets.values())) == 1
        self.tree.move(entry[1], *to)
        self.sets[interval].remove(entry)
        if not self.sets[interval]:
            del self.sets[interval]
        if alone:
            self.bits = 1
        while to[1] >> self.bits:
            self.bits += 1
        self.sets.setdefault(to, []).append(entry)

    def nth(self, number):
        every = [(interval, place) for interval, members in self.sets.items() for place in range(len(members))]
        return every[number % len(every)]

    def check(self):
        assert len(self.tree) == sum(map(len, self.sets.values()))
        shape = Shape(list(self.sets), 1 << self.bits - 1, 0) if self.sets else None
        order = [entry for interval in (shape.preorder() if shape else ()) for entry, _ in self.sets[interval]]
        assert list(self.tree) == order
        search = self.tree.search(POINTS)
        found = [(entry, low, high) for _, entry, low, high in search]
        expected = []
        for interval in shape.preorder() if shape else ():
            low, high = np.searchsorted(POINTS, interval[0]), np.searchsorted(POINTS, interval[1], "right")
            expected += [(entry, low, high) for entry, _ in self.sets[interval] if low < high]
        assert found == expected
        members = {interval: len(entries) for interval, entries in self.sets.items()}
        touched = [shape.touched(point, members) if shape and shape.interval[1] >= point else 0 for point in POINTS.tolist()]
        assert search.nodes_touched(None).tolist() == touched


CHANGES = some.lists(some.tuples(some.sampled_from(["insert", "insert", "insert", "beside", "move", "remove"]), INTERVALS,
                                 some.integers(0, 99)), max_size=25)


@given(CHANGES)
def test_shape_order_and_nodes_touched(changes):
    kept = Kept()
    for what, interval, number in changes:
        if what == "insert" or not kept.sets:
            kept.insert(interval)
        elif what == "beside":
            like, place = kept.nth(number)
            # a copy made by fork has its original's interval; once in three tries another, as after a change
            kept.insert(interval if number % 3 == 0 else like, kept.sets[like][place])
        elif what == "move":
            kept.move(number, interval)
        else:
            kept.remove(number)
        kept.check()


def test_a_walk_that_ended_touches_nothing_more():
    """Points 5 and 6, three equal intervals over both: 6 ends at the first entry, 5 at the second."""
    tree = PrioTree()
    for entry in "abc":
        tree.insert(entry, 4, 7)
    search = tree.search(np.array([5, 6]))
    assert search.ended.tolist() == [-1, -1]
    for _, entry, low, high in search:
        assert (low, high) == (0, 2)
        search.ended[1] = max(search.ended[1], 0)
        if entry == "b":
            search.ended[0] = 3
    assert search.nodes_touched(None).tolist() == [2, 1]


def test_the_index_bits_of_the_root_grow_and_are_forgotten_with_the_last_entry():
    """The bits decide which starts a right subtree may hold: with 7 bits [64, 64] is on the right, with more on the left."""
    tree = PrioTree(WORD)
    root, high = tree.insert("root", 0, 127), tree.insert("high", 64, 64)
    assert high.order is root.order.right
    wide = tree.insert("wide", 0, 255)
    assert root.order is wide.order.left and high.order is root.order.right
    for node in (root, high, wide):
        tree.remove(node)
    small, one = tree.insert("small", 0, 1), tree.insert("one", 1, 1)
    assert one.order is small.order.right  # one bit again
