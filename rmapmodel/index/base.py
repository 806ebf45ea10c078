"""What the indexes share: nodes with a key interval, and a search for many points at once."""

import numpy as np


class Node:
    """An entry's place in an index: its interval [start, last] of page numbers, both included."""

    __slots__ = ("entry", "start", "last", "prev", "next", "order")

    def __init__(self, entry, start, last):
        self.entry, self.start, self.last = entry, start, last
        self.prev = self.next = self.order = None


class Search:
    """One search for each of an ascending array of points, all at the same time.

    Iterating yields (position, entry, low, high) in the order of the structure: `entry` overlaps points[low:high] and is
    the position-th entry of all (a prio_tree says 0: it counts what it touches itself). Whoever iterates stops the
    search for a point by writing the position into `ended`, which holds -1 until then.
    """

    def __init__(self, index, points):
        self.index, self.points = index, points
        self.ended = np.full(len(points), -1, np.int64)

    def __iter__(self):
        nodes, starts, lasts = self.index.view()
        low = self.points.searchsorted(starts)
        high = self.points.searchsorted(lasts, "right")
        hits = (high > low).nonzero()[0]
        for position, a, b in zip(hits.tolist(), low[hits].tolist(), high[hits].tolist()):
            yield position, nodes[position].entry, a, b

    def nodes_touched(self, examined):
        """Nodes touched for each point, where `examined` entries were."""
        return self.index.nodes_of(examined)


class Index:
    """A set of intervals. `insert` puts a node behind its equals, `insert_after` beside another, `remove` takes it out.

    `ordered` says whether a search reports only overlapping entries (a tree) or meets every one (a list). `passed` is
    how many nodes all insertions and removals so far have passed to find the place, the new or old node among them.
    """

    __slots__ = ("passed", "_view", "_sorted")
    ordered = True

    def __init__(self):
        self.passed = 0
        self._view = self._sorted = None

    def _changed(self):
        self._view = self._sorted = None

    def view(self):
        """(nodes, starts, lasts) in search order; cost O(n) after a change, else O(1)."""
        if self._view is None:
            nodes = self._in_order()
            count = len(nodes)
            self._view = (nodes, np.fromiter((node.start for node in nodes), np.int64, count),
                          np.fromiter((node.last for node in nodes), np.int64, count))
        return self._view

    def search(self, points):
        """A Search for ascending points."""
        return Search(self, points)

    def overlaps(self, points):
        """How many entries overlap each of the `points`; cost O(points log n), after a change O(n log n) more."""
        if self._sorted is None:
            _, starts, lasts = self.view()
            self._sorted = np.sort(starts), np.sort(lasts)
        starts, lasts = self._sorted
        return starts.searchsorted(points, "right") - lasts.searchsorted(points)

    def __iter__(self):
        return (node.entry for node in self.view()[0])
