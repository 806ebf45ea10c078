"""Page tables: leaves of 512 entries, as in hardware; also used as the page cache of a file."""

from itertools import islice

import numpy as np

LEAF = 512

BATCH = 128
"""Leaves whose entries `held` joins: what numpy then works on stays in a processor's cache."""


class PageTable:
    """A sparse array of page table entries by page number, 4 bytes an entry, 512 entries a leaf."""

    __slots__ = ("leaves", "budget")

    def __init__(self, budget):
        self.leaves, self.budget = {}, budget

    def spans(self, start, end):
        """The (page, entries) of each existing leaf's part of [start, end), in order; `entries` is a view."""
        first, last = start // LEAF, (end - 1) // LEAF
        if first != last:
            return self._spans(first, last, start, end)
        leaf = self.leaves.get(first)
        return () if leaf is None else ((start, leaf[start - first * LEAF:end - first * LEAF]),)

    def _spans(self, first, last, start, end):
        if last - first >= len(self.leaves):
            numbers = sorted(number for number in self.leaves if first <= number <= last)
        else:
            numbers = range(first, last + 1)
        for number in numbers:
            leaf = self.leaves.get(number)
            if leaf is not None:
                base = number * LEAF
                if first < number < last:
                    yield base, leaf
                else:
                    low, high = max(start - base, 0), min(end - base, LEAF)
                    yield base + low, leaf[low:high]

    def make(self, start, end):
        """The (page, entries) of every leaf's part of [start, end), making the leaves that are missing."""
        first, last = start // LEAF, (end - 1) // LEAF
        if first != last:
            return self._make(range(first, last + 1), start, end)
        return ((start, self._leaf(first)[start - first * LEAF:end - first * LEAF]),)

    def _make(self, numbers, start, end):
        if len(numbers) > len(self.leaves):
            self.budget.foresee((len(numbers) - len(self.leaves)) * (LEAF * 4 + 200))
        for number in numbers:
            base = number * LEAF
            low, high = max(start - base, 0), min(end - base, LEAF)
            yield base + low, self._leaf(number)[low:high]

    def _leaf(self, number):
        leaf = self.leaves.get(number)
        if leaf is None:
            self.budget.need(LEAF * 4 + 200)
            leaf = self.leaves[number] = np.zeros(LEAF, np.int32)
        return leaf

    def held(self, start, end):
        """The (pages, entries) arrays of what is not 0 in [start, end), ascending, `BATCH` leaves at a time."""
        first, last = start // LEAF, (end - 1) // LEAF
        if first != last:
            return self._held(self._spans(first, last, start, end))
        leaf = self.leaves.get(first)
        if leaf is None:
            return ()
        entries = leaf[start - first * LEAF:end - first * LEAF]
        at = entries.nonzero()[0]
        return ((at + start, entries[at].astype(np.intp)),) if len(at) else ()

    def _held(self, spans):
        while batch := list(islice(spans, BATCH)):
            first, parts = zip(*batch)
            entries = np.concatenate(parts, dtype=np.intp)
            at = entries.nonzero()[0]
            if not len(at):
                continue
            if first[-1] + len(parts[-1]) - first[0] == len(entries):
                pages = at + first[0]
            else:
                lengths = np.array([len(part) for part in parts])
                pages = np.repeat(np.array(first) - np.cumsum(lengths) + lengths, lengths)[at] + at
            yield pages, entries if len(at) == len(entries) else entries.take(at)

    def take(self, start, end):
        """Yields what `held` returns, and empties each part when the caller is done with it."""
        for pages, entries in self.held(start, end):
            yield pages, entries
            self.clear(pages.item(0), pages.item(-1) + 1)

    def move(self, start, end, shift):
        """Moves what [start, end) holds by `shift` pages, to where nothing is; returns views of where entries are now."""
        moved = []
        for page, entries in list(self.spans(start, end)):
            if not np.count_nonzero(entries):
                continue
            number, low = divmod(page + shift, LEAF)
            there = self._leaf(number)[low:low + len(entries)]
            fits = len(there)
            there[:] = entries[:fits]
            moved.append(there)
            if fits < len(entries):
                there = self._leaf(number + 1)[:len(entries) - fits]
                there[:] = entries[fits:]
                moved.append(there)
            entries[:] = 0
            if not np.count_nonzero(self.leaves[page // LEAF]):
                self._drop(page // LEAF)
        return moved

    def store(self, pages, entries):
        """Puts entries at an ascending array of page numbers, making the leaves that are missing; cost O(pages)."""
        low = 0
        while low < len(pages):
            number = int(pages[low]) // LEAF
            high = int(pages.searchsorted((number + 1) * LEAF))
            self._leaf(number)[pages[low:high] - number * LEAF] = entries[low:high]
            low = high

    def copy(self, source, start, end):
        """Copies what another table holds in [start, end), making the leaves that are missing."""
        for page, entries in source.spans(start, end):
            if np.count_nonzero(entries):
                number, at = divmod(page, LEAF)
                self._leaf(number)[at:at + len(entries)] = entries

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
        return 0 if leaf is None else leaf.item(page % LEAF)

    def _drop(self, number):
        del self.leaves[number]
        self.budget.free(LEAF * 4 + 200)

    def _numbers(self, start, end):
        first, last = start // LEAF, (end - 1) // LEAF
        if first == last:
            return (first,) if first in self.leaves else ()
        if last - first >= len(self.leaves):
            return [number for number in self.leaves if first <= number <= last]
        return [number for number in range(first, last + 1) if number in self.leaves]

    def clear(self, start=0, end=1 << 62):
        """Empties [start, end), all of it by default, and frees the leaves that then hold nothing."""
        for number in self._numbers(start, end):
            base, leaf = number * LEAF, self.leaves[number]
            leaf[max(start - base, 0):end - base] = 0
            if start <= base and base + LEAF <= end or not np.count_nonzero(leaf):
                self._drop(number)
