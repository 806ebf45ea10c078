"""The same tables for pytest-benchmark, which keeps each run: `make history`, then `pytest-benchmark compare`."""

import pytest

from benchmarks.__main__ import TABLES, rows


@pytest.mark.parametrize("name", TABLES)
def test_table(benchmark, name):
    found = benchmark.pedantic(lambda: list(rows([name])), rounds=1)
    benchmark.extra_info.update({row.what: row.ratio for row in found})
