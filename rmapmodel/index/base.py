"""What the indexes share: nodes with a key interval, and the view a search works on."""

import numpy as np


class Node:
    """An entry's place in an index: its interval [start, last] of page numbers, both included."""

    __slots__ = ("entry", "start", "last", "prev", "next", "order")

    def __init__(self, entry, start, last):
        self.entry, self.start, self.last = entry, start, last
        self.prev = self.next = self.order = None


class Index:
    """A set of intervals. `insert` puts a node behind its equals, `insert_after` beside another, `remove` takes it out.

    `scan(points)` yields what a search for each of the ascending `points` meets, in the order of the structure.
    """

    ordered = False
    """Whether a search reports only overlapping entries (a tree) or meets every one (a list)."""

    def __init__(self):
        self._view = None

    def _changed(self):
        self._view = None

    def view(self):
        """(nodes, starts, lasts) in search order; cost O(n) after a change, else O(1)."""
        if self._view is None:
            nodes = self._in_order()
            count = len(nodes)
            self._view = (nodes, np.fromiter((node.start for node in nodes), np.int64, count),
                          np.fromiter((node.last for node in nodes), np.int64, count))
        return self._view

    def scan(self, points):
        """Yields (position, entry, low, high): `entry` overlaps points[low:high] and is the position-th of all."""
        nodes, starts, lasts = self.view()
        low = np.searchsorted(points, starts, "left")
        high = np.searchsorted(points, lasts, "right")
        hits = np.flatnonzero(high > low)
        for position, a, b in zip(hits.tolist(), low[hits].tolist(), high[hits].tolist()):
            yield position, nodes[position].entry, a, b

    def overlaps(self, points):
        """How many entries overlap each of the `points`; cost O((n + points) log n)."""
        _, starts, lasts = self.view()
        return np.searchsorted(np.sort(starts), points, "right") - np.searchsorted(np.sort(lasts), points, "left")

    def __iter__(self):
        return (node.entry for node in self.view()[0])
