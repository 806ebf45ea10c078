"""`interval_tree`: the augmented red-black tree of 3.7 (mm/interval_tree.c), by start, equals by age.

Kept as a sorted list, which reports what the tree reports. The number of tree nodes a search touches is not that of
one particular red-black tree, but of a balanced one: ceil(log2(n + 1)) down to the first overlapping node, and one for
every further node reported. To put an entry in or take it out passes as many, one beside another entry.
"""

from bisect import bisect_left, bisect_right

import numpy as np

from .base import Index, Node

SPACING = 1 << 60


class IntervalTree(Index):
    """Intervals in the order (start, age); insertion costs O(log n) and a memory move, a search O(log n + hits).

    >>> tree = IntervalTree()
    >>> a, b = tree.insert("a", 5, 9), tree.insert("b", 0, 5)
    >>> list(tree)
    ['b', 'a']
    >>> [(entry, low, high) for _, entry, low, high in tree.search(np.array([5, 7]))]
    [('b', 0, 1), ('a', 0, 2)]
    """

    __slots__ = ("_keys", "_list", "_age")

    def __init__(self):
        super().__init__()
        self._keys, self._list, self._age = [], [], 0

    def __len__(self):
        return len(self._list)

    def insert(self, entry, start, last, head=False):
        """Adds behind all that start at the same page; returns the node (`head` is for lists only)."""
        self.passed += (len(self._list) + 1).bit_length()
        self._age += SPACING
        return self._put(Node(entry, start, last), (start, self._age))

    def insert_after(self, entry, start, last, other):
        """Adds right behind the node `other`, which starts at the same page; returns the node."""
        if start != other.start:
            return self.insert(entry, start, last)
        self.passed += 1
        at = bisect_left(self._keys, other.order) + 1
        if at == len(self._keys) or self._keys[at][0] != start:
            self._age += SPACING
            return self._put(Node(entry, start, last), (start, self._age))
        below, above = other.order[1], self._keys[at][1]
        if above - below < 2:
            self._respace(start)
            below, above = other.order[1], self._keys[at][1]
        return self._put(Node(entry, start, last), (start, (below + above) // 2))

    def insert_before(self, entry, start, last, other):
        """Adds beside `other`: a tree knows only behind."""
        return self.insert_after(entry, start, last, other)

    def remove(self, node):
        """Takes a node out."""
        self.passed += len(self._list).bit_length()
        at = bisect_left(self._keys, node.order)
        del self._keys[at], self._list[at]
        self._view = self._sorted = None

    def move(self, node, start, last):
        """Gives a node another interval: out of the tree, and in again behind its equals."""
        keys = self._keys
        self.passed += 2 * len(keys).bit_length()
        self._age += SPACING
        at, key = bisect_left(keys, node.order), (start, self._age)
        node.start, node.last = start, last
        if (not at or keys[at - 1] < key) and (at + 1 == len(keys) or key < keys[at + 1]):  # where it was
            keys[at] = node.order = key
            self._view = self._sorted = None
        else:
            del keys[at], self._list[at]
            self._put(node, key)

    def nodes_of(self, examined):
        """How many tree nodes a search touched that examined so many entries; arrays work too."""
        return len(self._list).bit_length() + np.maximum(examined - 1, 0)

    def _put(self, node, key):
        at = len(self._keys)
        if at and key < self._keys[-1]:  # else it goes to the end, as most do
            at = bisect_left(self._keys, key)
        self._keys.insert(at, key)
        self._list.insert(at, node)
        node.order = key
        self._view = self._sorted = None
        return node

    def _respace(self, start):
        low, high = bisect_left(self._keys, (start,)), bisect_right(self._keys, (start, float("inf")))
        for at in range(low, high):
            self._age += SPACING
            self._keys[at] = self._list[at].order = (start, self._age)

    def _in_order(self):
        return list(self._list)
