"""Page frames and swap slots as parallel numpy arrays: never an object a page."""

import numpy as np

NONE, ZERO, FIRST = 0, 1, 2
"""Values of a page table entry: nothing, the shared zero page, the first real frame; a swap entry is -slot."""

ANON, EXCLUSIVE, LAZYFREE = 1, 2, 4
"""Bits of `Frames.flags`: anonymous; known to be mapped by one mm only (PG_anon_exclusive); madvise(free)d."""

ONE = np.int32(1)
"""One of a column's own type: with a Python int `ufunc.at` takes fifty times as long."""


def place(numbers):
    """`numbers`, or the one number: to write one entry of a column numpy needs a tenth of what it needs with an array."""
    return numbers.item() if len(numbers) == 1 else numbers


class Pool:
    """Numbers handed out from arrays that grow by doubling; freed numbers are used again, last freed first.

    They are handed out as numpy's own kind of index: another kind takes microseconds more a call.
    """

    columns = {}

    def __init__(self, first, budget):
        self.budget, self.used = budget, first
        self._first = first
        self._free = []
        self._free_count = self._capacity = 0
        for name, dtype in self.columns.items():
            setattr(self, name, np.zeros(0, dtype))

    @property
    def alive(self):
        """How many are handed out and not freed."""
        return self.used - self._first - self._free_count

    def take(self, n):
        """An array of `n` numbers whose columns are all zero; cost O(n); raises InputError over the memory budget."""
        if self._free and len(self._free[-1]) == n:
            self._free_count -= n
            return self._free.pop().astype(np.intp, copy=False)
        parts, need = [], n
        while need and self._free:
            batch = self._free.pop()
            if len(batch) > need:
                self._free.append(batch[need:])
                batch = batch[:need]
            self._free_count -= len(batch)
            need -= len(batch)
            parts.append(batch)
        if need:
            self._grow(self.used + need)
            parts.append(np.arange(self.used, self.used + need))
            self.used += need
        taken = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.intp)
        return taken.astype(np.intp, copy=False)

    def give(self, numbers):
        """Frees the numbers, each once, and clears their columns; the array is the pool's from now on."""
        if len(numbers):
            at = place(numbers)
            for name in self.columns:
                getattr(self, name)[at] = 0
            self._free.append(numbers if len(numbers) == 1 else np.asarray(numbers, np.int32))
            self._free_count += len(numbers)

    def _grow(self, size):
        capacity = self._capacity
        if size <= capacity:
            return
        new = max(size, capacity + min(capacity, 1 << 20), 1024)
        row = sum(np.dtype(dtype).itemsize for dtype in self.columns.values())
        self.budget.need((new - capacity) * row)
        self._capacity = new
        for name, dtype in self.columns.items():
            grown = np.zeros(new, dtype)
            grown[:capacity] = getattr(self, name)
            setattr(self, name, grown)


class Frames(Pool):
    """Page frames: how often mapped, what the page points to (`anchor`, the strategy's number), its index, flags.

    With `contents` also `stamp`, the line of the event that wrote the page last, 0 before the first.
    """

    columns = {"mapcount": np.int32, "anchor": np.int32, "index": np.int64, "flags": np.uint8}
    stamp = None

    def __init__(self, budget, contents=False):
        if contents:
            self.columns = {**self.columns, "stamp": np.int32}
        super().__init__(FIRST, budget)
        self.slot = np.zeros(0, np.int32)

    def set_anchor(self, frames, anchor, index):
        """Makes `frames` point to one object, at the places `index` in it, an array beside them."""
        at = place(frames)
        self.anchor[at] = anchor
        self.index[at] = place(index)

    def slots(self):
        """The swap slot of each frame that is in the swap cache, else 0; made when swap is first used."""
        if len(self.slot) < len(self.mapcount):
            self.slot = np.concatenate([self.slot, np.zeros(len(self.mapcount) - len(self.slot), np.int32)])
        return self.slot

    def swap_slots(self, frames):
        """The swap slot of each of `frames`, 0 where it has none."""
        return self.slots()[frames] if len(self.slot) else np.zeros(len(frames), np.int32)

    def copy(self, old, new):
        """Gives `new` frames the contents of the `old` ones, where contents are kept."""
        if self.stamp is not None:
            self.stamp[new] = self.stamp[old]

    def map(self, frames):
        """Counts one more mapping of each of the `frames`, which may repeat."""
        np.add.at(self.mapcount, frames, ONE)

    def unmap(self, frames):
        """Counts one mapping less of each of the `frames`, which may repeat."""
        np.subtract.at(self.mapcount, frames, ONE)


class Swap(Pool):
    """Swap slots: how many page table entries refer to each, the frame of its page if in memory, and exclusiveness.

    With `contents` also `stamp`, as of Frames.
    """

    columns = {"count": np.int32, "frame": np.int32, "exclusive": np.bool_}

    def __init__(self, budget, contents=False):
        if contents:
            self.columns = {**self.columns, "stamp": np.int32}
        super().__init__(1, budget)
