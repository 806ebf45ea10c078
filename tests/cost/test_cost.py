"""Structure sizes and the ledger."""

import numpy as np
import pytest

from rmapmodel.cost.ledger import Ledger, Walk
from rmapmodel.cost.sizes import lines_of, size_of
from rmapmodel.errors import InputError


@pytest.mark.parametrize("structure, arch, version, size", [
    ("vm_area_struct", "x86_64", (7, 0, 0), 192), ("anon_vma", "x86_64", (7, 0, 0), 104),
    ("anon_vma_chain", "x86_64", (7, 0, 0), 64), ("anon_vma_chain", "x86_64", (2, 6, 34), 48),
    ("anon_vma", "x86_64", (3, 2, 0), 72), ("anon_vma", "i386", (2, 6, 7), 12), ("anon_vma", "x86_64", (2, 6, 20), 24),
    ("anon_vma", "i386", (2, 4, 22), 12),  # older than any: the oldest
    ("vm_area_struct", "i386", (2, 6, 0), 64), ("vm_area_struct", "i386", (2, 6, 8), 84), ("anonmm", "i386", (2, 6, 6), 24),
    ("pte_chain", "i386", (2, 6, 0), 32), ("pte_chain", "x86_64", (2, 6, 0), 64), ("rmap_chain", "i386", (2, 6, 0), 32),
    ("address_space", "x86_64", (6, 18, 0), 192), ("address_space", "i386", (2, 6, 8), 84),
])
def test_sizes_are_those_of_the_nearest_older_kernel(structure, arch, version, size):
    assert size_of(structure, arch, version)[0] == size


def test_slabinfo_goes_before_btf_before_computed():
    assert size_of("anon_vma", "x86_64", (6, 18, 0)) == (104, "slabinfo, 6.18")


def test_a_size_that_no_table_has_is_computed_and_says_so():
    assert size_of("cow_context", "x86_64", (7, 0, 0))[1] == "computed from its fields"
    with pytest.raises(InputError, match="nonsense"):
        size_of("nonsense", "x86_64", (7, 0, 0))


def test_ledger_counts_bytes_and_peaks_between_events():
    ledger = Ledger(("anon_vma",), {"vma": ("pointer", "list_head"), "page": ("int",)}, "x86_64", (7, 0, 0))
    ledger.alloc("anon_vma", 3)
    ledger.alloc("vm_area_struct")
    ledger.sample(mms=1, pages=10)
    ledger.free("anon_vma", 2)
    ledger.sample(mms=1, pages=10)
    assert ledger.alive() == {"vm_area_struct": 1, "anon_vma": 1} and ledger.bytes == 192 + 104
    assert ledger.peak_objects["anon_vma"] == 3 and ledger.peak_bytes == 192 + 312
    assert ledger.design_bytes(1, 10) == 104 + 24 + 40 and ledger.peak_design == 312 + 24 + 40


def test_walk_sorts_and_sums():
    walk = Walk(np.array([5, 9]), np.array([1, 2]))
    walk.found(np.array([9]), 2, np.array([70]))
    walk.found(np.array([5, 9]), 1, np.array([60, 61]))
    walk.examined += 2
    assert [column.tolist() for column in walk.mappings()] == [[5, 9, 9], [1, 1, 2], [60, 61, 70]]
    assert walk.totals()["mappings"] == 3 and walk.totals()["vmas_examined"] == 4


def test_lines():
    assert lines_of("anon_vma", "x86_64", (7, 0, 0)) == 2 and lines_of("anon_vma", "x86_64", (2, 6, 11)) == 1
