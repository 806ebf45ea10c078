"""Page tables: leaves of 512 entries, as in hardware; also used as the page cache of a file."""

import numpy as np

LEAF = 512


class PageTable:
    """A sparse array of page table entries by page number, 4 bytes an entry, 512 entries a leaf."""

    __slots__ = ("leaves", "budget")

    def __init__(self, budget):
        self.leaves, self.budget = {}, budget

    def spans(self, start, end):
        """Yields (page, entries) for each existing leaf's part of [start, end), in order; `entries` is a view."""
        first, last = start // LEAF, (end - 1) // LEAF
        if last - first >= len(self.leaves):
            numbers = sorted(number for number in self.leaves if first <= number <= last)
        else:
            numbers = range(first, last + 1)
        for number in numbers:
            leaf = self.leaves.get(number)
            if leaf is not None:
                base = number * LEAF
                low, high = max(start - base, 0), min(end - base, LEAF)
                yield base + low, leaf[low:high]

    def make(self, start, end):
        """Yields (page, entries) for every part of [start, end), making the leaves that are missing."""
        numbers = range(start // LEAF, (end - 1) // LEAF + 1)
        if len(numbers) > len(self.leaves):
            self.budget.foresee((len(numbers) - len(self.leaves)) * (LEAF * 4 + 200))
        for number in numbers:
            leaf = self.leaves.get(number)
            if leaf is None:
                self.budget.need(LEAF * 4 + 200)
                leaf = self.leaves[number] = np.zeros(LEAF, np.int32)
            base = number * LEAF
            low, high = max(start - base, 0), min(end - base, LEAF)
            yield base + low, leaf[low:high]

    def put(self, pages, entries):
        """Sets the entries at an ascending array of page numbers, making the leaves that are missing; cost O(pages)."""
        numbers = pages // LEAF
        cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(pages)] if len(pages) else [0]
        for low, high in zip(cuts, cuts[1:]):
            base = int(numbers[low]) * LEAF
            for _, leaf in self.make(base, base + LEAF):
                leaf[pages[low:high] - base] = entries[low:high]

    def gather(self, pages):
        """The entries at an ascending array of page numbers, 0 where there is no leaf; cost O(pages)."""
        if not len(pages):
            return np.zeros(0, np.int32)
        first = int(pages[0]) // LEAF
        if int(pages[-1]) // LEAF == first:
            leaf = self.leaves.get(first)
            return np.zeros(len(pages), np.int32) if leaf is None else leaf[pages - first * LEAF]
        out = np.zeros(len(pages), np.int32)
        numbers = pages // LEAF
        cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(pages)]
        for low, high in zip(cuts, cuts[1:]):
            leaf = self.leaves.get(int(numbers[low]))
            if leaf is not None:
                out[low:high] = leaf[pages[low:high] % LEAF]
        return out

    def at(self, page):
        """The entry at one page."""
        leaf = self.leaves.get(page // LEAF)
        return 0 if leaf is None else int(leaf[page % LEAF])

    def drop_empty(self, start, end):
        """Frees the leaves of [start, end) that hold nothing."""
        for number in [n for n in self._numbers(start, end) if not self.leaves[n].any()]:
            del self.leaves[number]
            self.budget.free(LEAF * 4 + 200)

    def _numbers(self, start, end):
        first, last = start // LEAF, (end - 1) // LEAF
        if last - first >= len(self.leaves):
            return [number for number in self.leaves if first <= number <= last]
        return [number for number in range(first, last + 1) if number in self.leaves]

    def clear(self):
        """Frees every leaf."""
        self.budget.free(len(self.leaves) * (LEAF * 4 + 200))
        self.leaves.clear()
