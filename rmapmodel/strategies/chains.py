"""Chains hanging off pages: linked elements of a fixed number of slots, for many pages at once."""

import numpy as np

from ..vm.frames import Pool


class Elements(Pool):
    """Chain elements: the next element of the same page, and how many slots are filled."""

    columns = {"next": np.int32, "filled": np.int32}


class Chains:
    """For each page a chain of elements with `width` slots; only the first may be partly empty, filled from the end.

    Values are positive integers. All methods take arrays of different frames. `alloc` and `free` are told how many
    elements were made and freed.
    """

    def __init__(self, width, alloc, free):
        self.width, self._alloc, self._free = width, alloc, free
        self.elements = Elements(1, None)
        self.slots = np.zeros((0, width), np.int64)
        self._head = np.zeros(0, np.int32)

    def attach(self, budget):
        """The memory budget that elements are charged to."""
        self.elements.budget = budget

    def head(self, frames):
        """The first element of each frame's chain, 0 where there is none."""
        if len(frames) and frames.max() >= len(self._head):
            self._head = np.concatenate([self._head, np.zeros(int(frames.max()) * 2 - len(self._head) + 64, np.int32)])
        return self._head[frames]

    def add(self, frames, values):
        """Puts one value on each frame's chain, in a new first element where that is full."""
        head, elements = self.head(frames), self.elements
        full = head == 0
        full[~full] = elements.filled[head[~full]] == self.width
        count = int(full.sum())
        if count:
            self._alloc(count)
            new = elements.take(count)
            if len(self.slots) < len(elements.next):
                self.elements.budget.need((len(elements.next) - len(self.slots)) * self.width * 8)
                grown = np.zeros((len(elements.next), self.width), np.int64)
                grown[:len(self.slots)] = self.slots
                self.slots = grown
            elements.next[new] = head[full]
            self._head[frames[full]] = new
            head = self._head[frames]
        elements.filled[head] += 1
        self.slots[head, self.width - elements.filled[head]] = values

    def remove(self, frames, values):
        """Takes one value off each frame's chain: the first element's lowest used slot fills its place.

        mm/rmap.c:page_remove_rmap, 2.6.5: a linear search from the first element; returns the most elements searched.
        """
        elements, searched = self.elements, 0
        at, current = np.arange(len(frames)), self.head(frames)
        while len(at):
            searched += 1
            equal = self.slots[current] == values[at][:, None]
            hit = equal.any(axis=1)
            if hit.any():
                where = np.flatnonzero(hit)
                head = self._head[frames[at[where]]]
                lowest = self.width - elements.filled[head]
                self.slots[current[where], equal[where].argmax(axis=1)] = self.slots[head, lowest]
                self.slots[head, lowest] = 0
                elements.filled[head] -= 1
                empty = elements.filled[head] == 0
                self._head[frames[at[where[empty]]]] = elements.next[head[empty]]
                self._give(head[empty])
            at, current = at[~hit], elements.next[current[~hit]]
            at, current = at[current != 0], current[current != 0]
        return searched

    def clear(self, frames):
        """Frees the whole chain of each frame."""
        current = self.head(frames)
        if len(frames):
            self._head[frames] = 0
        current = current[current != 0]
        while len(current):
            following = self.elements.next[current]
            self.slots[current] = 0
            self._give(current)
            current = following[following != 0]

    def values(self, frames):
        """Yields (positions, values) slot by slot, first element first: every value of each frame's chain once."""
        at, current = np.arange(len(frames)), self.head(frames)
        at, current = at[current != 0], current[current != 0]
        while len(at):
            for slot in range(self.width):
                value = self.slots[current, slot]
                held = value != 0
                if held.any():
                    yield at[held], value[held]
            current = self.elements.next[current]
            at, current = at[current != 0], current[current != 0]

    def lengths(self, frames):
        """(elements, values) of each frame's chain, two arrays."""
        elements, values = np.zeros(len(frames), np.int64), np.zeros(len(frames), np.int64)
        at, current = np.arange(len(frames)), self.head(frames)
        while len(at):
            at, current = at[current != 0], current[current != 0]
            elements[at] += 1
            values[at] += self.elements.filled[current]
            current = self.elements.next[current]
        return elements, values

    def census(self):
        """How many elements hang off pages, found by following every chain."""
        count, current = 0, self._head[self._head != 0]
        while len(current):
            count += len(current)
            current = self.elements.next[current]
            current = current[current != 0]
        return count

    def _give(self, elements):
        if len(elements):
            self._free(len(elements))
            self.elements.give(elements)
