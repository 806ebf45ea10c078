"""The structures that designs keep beside an index, against plain dictionaries: chains, coverage, remap records."""

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from rmapmodel.strategies.chains import Chains
from rmapmodel.strategies.cow_context import Remaps
from rmapmodel.strategies.shared_space_unique import Coverage
from rmapmodel.vm.budget import Budget

RANGES = some.tuples(some.integers(0, 30), some.integers(1, 8)).map(lambda pair: (pair[0], sum(pair)))


def overlay(ranges):
    """How many of the ranges lie over each number."""
    return Counter(at for start, end in ranges for at in range(start, end))


@given(some.lists(some.tuples(RANGES, some.booleans()), max_size=20), RANGES, some.integers(1, 12))
def test_coverage(changes, window, length):
    taken, ranges = Coverage(), []
    for (start, end), adds in changes:
        if adds or not ranges:
            ranges.append((start, end))
            taken.add(start, end, 1)
        else:
            taken.add(*ranges.pop(start % len(ranges)), -1)
    over = overlay(ranges)
    assert all(taken.is_free(low, low + length) == (not any(over[at] for at in range(low, low + length))) for low in range(40))
    low, high = window
    fits = [at for at in range(low, high - length + 1) if not any(over[each] for each in range(at, at + length))]
    assert taken.first_fit(low, high, length) == (fits[0] if fits else None)
    changes_at = [at for at in range(1, 41) if over[at] != over[at - 1]]
    assert taken.cuts == [0, *changes_at]  # no piece is cut without need
    if not over:
        assert (taken.cuts, taken.count) == ([0], [0])


@given(some.lists(some.tuples(RANGES, some.sampled_from([-3, 5, 9]), some.booleans()), max_size=20))
def test_remap_records(changes):
    remaps, areas = Remaps(), []
    for (start, end), delta, adds in changes:
        if adds or not areas:
            areas.append((start, end, delta))
            needed = len(remaps) + remaps.needed(start, end)
            remaps.add(start, end, delta)
            assert len(remaps) == needed
        else:
            remaps.remove(*areas.pop(start % len(areas)))
    expected = defaultdict(Counter)
    for start, end, delta in areas:
        for at in range(start, end):
            expected[at][delta] += 1
    held = {at: Counter(deltas) for low, high, deltas in zip(remaps.starts, remaps.ends, remaps.held)
            for at in range(low, high)}
    assert held == expected
    assert all(high <= low for high, low in zip(remaps.ends, remaps.starts[1:]))
    assert len(remaps) == len(remaps.starts) and all(remaps.held)
    points = np.arange(3, 38, 2)
    asked = [(delta, int(at)) for delta, part in remaps.deltas(points) for at in points[part]]
    assert asked == sorted((delta, at) for at in points.tolist() for delta in expected.get(at, ()))


def test_remap_records_are_as_few_as_the_areas_that_made_them():
    """One area, one record; a second over its middle makes three; when it goes the cuts stay."""
    remaps = Remaps()
    remaps.add(0, 12, 7)
    assert len(remaps) == 1
    remaps.add(4, 8, 5)
    assert [(low, high, sorted(held)) for low, high, held in zip(remaps.starts, remaps.ends, remaps.held)] \
        == [(0, 4, [7]), (4, 8, [5, 7]), (8, 12, [7])]
    remaps.remove(4, 8, 5)
    remaps.remove(0, 12, 7)
    assert len(remaps) == 0


@given(some.lists(some.tuples(some.integers(0, 3), some.booleans()), max_size=60), some.integers(1, 4))
def test_chains(changes, width):
    """Only the first element of a chain has free slots; a removal fills the hole with the first element's lowest slot."""
    alive = Counter()
    chains = Chains(width, lambda count: alive.update(elements=count), lambda count: alive.subtract(elements=count))
    chains.attach(Budget(1 << 30))
    held, made = defaultdict(list), 0
    for frame, adds in changes:
        if adds or not held[frame]:
            made += 1
            held[frame].append(made)
            chains.add(np.array([frame]), np.array([made]))
        else:
            chains.remove(np.array([frame]), np.array([held[frame].pop(made % len(held[frame]))]))
    frames = np.arange(4)
    found = defaultdict(list)
    for at, values in chains.values(frames):
        for place, value in zip(at.tolist(), values.tolist()):
            found[place].append(value)
    assert {frame: sorted(values) for frame, values in found.items()} \
        == {frame: sorted(values) for frame, values in held.items() if values}
    elements, values = chains.lengths(frames)
    assert values.tolist() == [len(held[frame]) for frame in frames.tolist()]
    assert elements.tolist() == [-(-len(held[frame]) // width) for frame in frames.tolist()]
    assert alive["elements"] == chains.census() == elements.sum()
    chains.clear(frames)
    assert alive["elements"] == chains.census() == 0
