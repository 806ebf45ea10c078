"""Short random traces through every design, index and era: the quick part of tests/strategies/test_agreement.py.

Not named test_*: pytest collects it only where it is named, as run.py does.
"""

import pytest

from rmapmodel.events import Exit
from rmapmodel.index import INDEXES
from rmapmodel.strategies import STRATEGIES
from rmapmodel.trace.random_traces import random_trace
from tests.strategies.test_agreement import KERNELS, SWAPPING, checked, machine


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_walks_agree_and_nothing_is_left(strategy):
    for seed in range(18):
        model = machine(strategy, kernel=KERNELS[seed % len(KERNELS)], index=(None, *INDEXES)[seed % 4])
        checked(model, random_trace(seed, 40, SWAPPING))
        for pid in list(model.processes):
            model.apply(Exit(pid))
        assert not any(model.ledger.alive().values()), seed
        assert model.swap.alive == 0 and model.mappings == 0 and not model.mms, seed
        assert not model.frames.mapcount.any(), seed
