"""Origins of pages: means over all owners, fits and their kinds, and a real kernel's walks."""

import pytest

from rmapmodel.study.origins import WALKS, fits, formula, growth, origins, recorded_walks
from rmapmodel.trace.workloads import PAGE_ORIGINS


@pytest.fixture(scope="module")
def walks():
    return origins([2, 3, 5], pages=2, strategies=["pte_chain", "anonmm", "anon_vma", "anon_vma_chain"])


def test_a_row_for_each_size_design_and_origin(walks):
    assert len(walks) == 3 * 4 * len(PAGE_ORIGINS)
    truth = walks[walks.strategy == "anonmm"].set_index(["origin", "processes"]).mappings
    assert [truth["shared by all", size] for size in (2, 3, 5)] == [2, 3, 5]
    assert [truth["left to two", size] for size in (2, 3, 5)] == [2, 2, 2]
    assert walks[~walks.origin.isin(["shared by all", "left to two"])].mappings.eq(1).all()


def test_means_are_over_the_pages_of_all_children(walks):
    at = walks[walks.processes == 5].set_index(["strategy", "origin"])
    # the list begins with the youngest: its copy is the first visited, the eldest's the fourth
    assert at.examined["anon_vma", "copied in a child"] == (1 + 2 + 3 + 4) / 4
    assert at.candidates["anon_vma", "copied in a child"] == 5
    assert at.examined["anonmm", "copied in a child"] == at.candidates["pte_chain", "copied in a child"] == 1


def test_the_keeper_decides_what_a_walk_in_the_order_of_forks_visits():
    rows = [origins([5], strategies=["anonmm"], keeper=keeper) for keeper in (1, 2, 4)]
    assert [row.set_index("origin").examined["left to two"] for row in rows] == [2, 3, 5]


def test_fits_tell_what_must_grow(walks):
    judged = fits(walks).set_index(["strategy", "origin", "walk"])
    assert judged.kind["anonmm", "shared by all", "full"] == "fundamental"
    assert judged.kind["anonmm", "new area of a child", "full"] == "artefact"
    assert judged.kind["anonmm", "new area of a child", "early_stop"] == "constant"
    assert str(judged.growth["anon_vma", "grown heap of a child", "early_stop"]) == "0.5N"
    assert set(judged.index.get_level_values("walk")) == set(WALKS)
    assert max(fit.residual for fit in judged.growth) == 0


@pytest.mark.parametrize("costs, mappings, kind", [
    ([2, 2, 2], [1, 1, 1], "constant"), ([2, 4, 8], [2, 4, 8], "fundamental"), ([4, 8, 16], [2, 4, 8], "artefact"),
    ([1, 2, 4], [2, 4, 8], "fundamental")])
def test_growth_is_judged_by_the_mappings(costs, mappings, kind):
    assert growth([2, 4, 8], costs, mappings).kind == kind


def test_what_is_no_line_shows_in_the_residual():
    assert growth([1, 2, 3], [1, 4, 9], [1, 1, 1]).residual > 0.5
    assert growth([3], [7], [1]) == (0.0, 7.0, 0.0, "constant")


def test_formulas():
    assert [formula(*line) for line in ((2.5, 3), (1, -1), (0, 24.5), (-1, 0))] == ["2.5N + 3", "N − 1", "24.5", "−N"]


def test_the_model_walks_as_the_recorded_kernel_did():
    rows = recorded_walks()
    assert len(rows) == 192 and set(rows.kernel) == {"6.1.176"}
    assert sorted(set(rows.processes)) == [2, 3, 4, 6, 11, 21, 51, 101, 151, 201]
    assert (rows.candidates == rows.model_candidates).all() and (rows.examined == rows.model_examined).all()
    # what an origin is called is what the page tables say
    alone = rows[rows.origin != "shared by all"]
    assert (alone.mappings == 1).all()
    shared = rows[rows.origin == "shared by all"]
    assert (shared.mappings == shared.processes).all()
    left = rows[rows.origin == "left to the parent"]
    assert (left.candidates == left.processes).all() and (left.examined == 1).all() and len(left) == 10
