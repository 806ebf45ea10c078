"""`prio_tree`: Rajesh Venkatasubramanian's radix priority search tree, 2.6.7 to 3.6 (lib/prio_tree.c, mm/prio_tree.c).

A heap by the last page of an interval, a radix tree by its first; intervals that are equal share one tree node and hang
on its list (vm_set). Shape, order and nodes visited are the original's.
"""

import numpy as np

from .base import Index, Node, Search


class _TreeNode:
    """One interval of the tree; `members` are its nodes: the one that stands in the tree, then its vm_set in order."""

    __slots__ = ("start", "last", "left", "right", "parent", "members")

    def __init__(self, start, last):
        self.start, self.last, self.members = start, last, []
        self.left = self.right = self.parent = None


class PrioTree(Index):
    """Intervals in a radix priority search tree for words of `word` bits; height at most index bits + word bits.

    `passed` counts the nodes that an insertion compares, and those through which a removal sinks.

    >>> tree = PrioTree()
    >>> a, b = tree.insert("a", 5, 9), tree.insert("b", 0, 5)
    >>> [(entry, low, high) for _, entry, low, high in tree.search(np.array([5, 7]))]
    [('a', 0, 2), ('b', 0, 1)]
    """

    def __init__(self, word=64):
        super().__init__()
        self._word, self._root, self._bits, self._count = word, None, 1, 0

    def __len__(self):
        return self._count

    # -- members

    def insert(self, entry, start, last, head=False):
        """Adds an interval; behind all equal ones; returns the node (`head` is for lists only)."""
        return self._put(Node(entry, start, last))

    def insert_after(self, entry, start, last, other):
        """Adds an interval beside the equal `other` (vma_prio_tree_add): right behind it, or last if it is in the tree."""
        at = other.order
        if (start, last) != (at.start, at.last):
            return self.insert(entry, start, last)
        node = Node(entry, start, last)
        self.passed += 1
        place = at.members.index(other)
        at.members.insert(place + 1 if place else len(at.members), node)
        node.order = at
        self._count += 1
        self._changed()
        return node

    def remove(self, node):
        """Takes a node out; the first of its vm_set takes a tree node's place."""
        at = node.order
        at.members.remove(node)
        self.passed += 1
        if not at.members:
            self._unlink(at)
        self._count -= 1
        self._changed()

    def move(self, node, start, last):
        """Gives a node another interval: removed, and inserted again."""
        self.remove(node)
        node.start, node.last = start, last
        self._put(node)

    def search(self, points):
        """A Search for ascending points."""
        return _PrioSearch(self, points)

    def _put(self, node):
        new = _TreeNode(node.start, node.last)
        at = self._link(new)
        at.members.append(node)
        node.order = at
        self._count += 1
        self._changed()
        return node

    # -- the tree

    @property
    def height(self):
        """Levels of the tree; cost O(nodes)."""
        levels, row = 0, [self._root] if self._root else []
        while row:
            levels, row = levels + 1, [child for node in row for child in (node.left, node.right) if child]
        return levels

    def _link(self, node):
        """prio_tree_insert: returns the node that stands for this interval, `node` or one that is there already."""
        self.passed += 1
        if self._root is None or node.last >> self._bits:
            return self._expand(node)
        wanted, at, mask, by_size = node, self._root, 1 << self._bits - 1, False
        while True:
            self.passed += 1
            if (at.start, at.last) == (node.start, node.last):
                # only a newcomer can meet its equal: what is carried down was in the tree
                return at
            if at.last < node.last or at.last == node.last and at.start > node.start:
                self._replace(at, node)
                at, node = node, at
            bits = node.last - node.start if by_size else node.start
            side = "right" if bits & mask else "left"
            below = getattr(at, side)
            if below is None:
                node.left = node.right = None
                node.parent = at
                setattr(at, side, node)
                return wanted
            at, mask = below, mask >> 1
            if not mask:
                mask, by_size = 1 << self._word - 1, True

    def _expand(self, node):
        """prio_tree_expand: more index bits; for every step beyond the first the old root goes into a left chain."""
        chain = []
        if node.last >> self._bits:
            self._bits += 1
        while node.last >> self._bits:
            self._bits += 1
            if self._root is not None:
                bits, root = self._bits, self._root
                self._unlink(root)
                self._bits = bits  # removing the last node of the tree must not shrink it again
                chain.append(root)
        if self._root is not None:
            chain.append(self._root)
        above = node
        node.left = node.right = node.parent = None
        for each in chain:
            if each is not self._root:
                each.left = each.right = None
            above.left, each.parent = each, above
            above = each
        self._root = node
        return node

    def _replace(self, old, new):
        """prio_tree_replace: `new` takes the place of `old`."""
        new.left, new.right, new.parent = old.left, old.right, old.parent
        for child in (new.left, new.right):
            if child is not None:
                child.parent = new
        if old.parent is None:
            self._root = new
        elif old.parent.left is old:
            old.parent.left = new
        else:
            old.parent.right = new

    def _unlink(self, node):
        """prio_tree_remove: sink to a leaf along the larger heap, then move each node on the path up one place."""
        at = node
        while at.left is not None or at.right is not None:
            self.passed += 1
            if at.right is None or at.left is not None and at.left.last >= at.right.last:
                at = at.left
            else:
                at = at.right
        if at.parent is None:
            self._root, self._bits = None, 1
            return
        if at.parent.right is at:
            at.parent.right = None
        else:
            at.parent.left = None
        while at is not node:
            above = at.parent
            self._replace(above, at)
            at = above

    def _in_order(self):
        nodes, stack = [], [self._root]
        while stack:
            at = stack.pop()
            if at is not None:
                nodes += at.members
                stack += (at.right, at.left)
        return nodes


class _PrioSearch(Search):
    """prio_tree_first and prio_tree_next for many points: pre-order, pruned by heap on both sides, by radix on the right."""

    def __init__(self, index, points):
        super().__init__(index, points)
        self._touched = np.zeros(len(points), np.int64)

    def __iter__(self):
        root, points, ended = self.index._root, self.points, self.ended
        # each entry: a tree node, the points [low, high) that come to it, the radix bit it is split by, and the smallest
        # radix possible below it; bit 0 stands for the levels that split by size
        stack = [(root, 0, int(points.searchsorted(root.last, "right")), 1 << self.index._bits - 1, 0)] if root else []
        while stack:
            at, low, high, mask, least = stack.pop()
            if low == high:
                continue
            self._touched[low:high] += ended[low:high] < 0
            first = low + int(points[low:high].searchsorted(at.start))
            last = low + int(points[low:high].searchsorted(at.last, "right"))
            for place, member in enumerate(at.members):
                if first < last:
                    if place:
                        self._touched[first:last] += ended[first:last] < 0
                    yield 0, member.entry, first, last
            if at.right is not None:
                smallest = least | mask
                a = low + int(points[low:high].searchsorted(smallest))
                b = low + int(points[low:high].searchsorted(at.right.last, "right"))
                stack.append((at.right, a, max(a, b), mask >> 1, smallest))
            if at.left is not None:
                b = low + int(points[low:high].searchsorted(at.left.last, "right"))
                stack.append((at.left, low, b, mask >> 1, least))

    def nodes_touched(self, examined):
        return self._touched
