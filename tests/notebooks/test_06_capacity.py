"""Notebook 06 at test scale, and where a machine or a family is another."""

import pytest

from rmapmodel.report.collect import failed_check

from tests.notebooks.notebook import run

FIGURES = {f"fig-capacity-{name}" for name in ("slices", "users", "first", "growth", "family", "guess")}


@pytest.fixture(scope="module")
def shown(of_report):
    return of_report("06-capacity")


def test_claims(shown):
    assert set(shown.figures) == FIGURES
    claims = shown.claims
    assert {name: claim["holds"] for name, claim in claims.items()} == {
        "capacity-2-to-the-42": False, "capacity-more-than-enough": False, "capacity-page-size-processes": True,
        "capacity-memory-first": False, "capacity-users": True, "capacity-no-allocator": True,
        "capacity-merges": True, "capacity-slices-come-back": False, "capacity-programs": True}
    assert not any(map(failed_check, claims.values()))
    # 2^32 pages of 4 KiB; slices of 2^20 pages
    assert claims["capacity-2-to-the-42"]["measured"] == "17,592,186,044,416 bytes, 4 times that"
    assert claims["capacity-page-size-processes"]["measured"] == "process 4,097 is the first that gets nothing"
    assert claims["capacity-users"]["measured"] == "3,404 of 7,500 get nothing"  # 7500 - 4096
    assert claims["capacity-users"]["where_it_stops"] == "packed, 7,500 of them fit into 2^44 bytes, 2,048 into 2^42"
    # tests/study/test_capacity.py has the table by rows
    assert claims["capacity-no-allocator"]["measured"] == (
        "slices: 30 of 56 refused; first fit: 45 of 56 refused; widest gap: 22 of 56 refused; "
        "never twice: 45 of 56 refused")
    assert claims["capacity-merges"]["measured"] == "17 vmas with slices, 9 with a search key"
    assert claims["capacity-programs"]["measured"] == "77 of 318 growths"  # realloc-loop alone


def test_values(shown):
    values = shown.values
    # 736 MiB / 4096 slices are 46 pages each: 37088 bytes of a process's own leave 36 page tables of 2 MiB
    assert values["crossing"] == 72 and values["small"] == (736 << 20) // (37088 + 4096)
    assert (values["few"], values["generation"], values["alive"]) == (64, 65, 2)
    assert values["slices_64"] == 1 << 28 and values["five"] == 1 << 19
    assert "One line stands for search key, slices and widest gap; one for first fit and never twice." \
        in shown.figures["fig-capacity-family"].caption


def test_with_other_parameters(tmp_path):
    """So few users that no slice is missing, a machine so large that its mem_map leaves no low memory, no programs."""
    shown = run("06-capacity", tmp_path, USERS=40, GIB=0.5, GROWING=1, CHILDREN=1, PROGRAMS=[], RAM=128)
    assert set(shown.figures) == FIGURES
    assert "capacity-users" not in shown.claims and "These parameters do not test" in shown.sentence
    memory = shown.claims["capacity-memory-first"]
    assert memory["holds"] and not failed_check(memory) and shown.values["small"] == 0
    assert not any(map(failed_check, shown.claims.values()))
