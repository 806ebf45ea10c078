"""Notebook 01 at test scale."""

from tests.notebooks.notebook import run


def test_mremap(of_report):
    shown = of_report("01-mremap")
    assert set(shown.figures) == {f"fig-mremap-{name}" for name in (
        "anonmm", "shared-space", "records", "cow-context", "persistence", "probes", "frequency", "guess")}
    claims = shown.claims
    assert len(claims) == 8 and all(claim["holds"] for claim in claims.values())
    # seven children each move ten shared pages, whose chains take two elements of seven slots
    assert claims["mremap-breaks-the-index"]["measured"] == "70 mappings missed without chains, 70 moved"
    assert claims["mremap-overhead-persists"]["measured"].startswith("1,280 of 1,280 bytes")
    assert claims["mremap-copy"]["measured"].startswith(
        "70 pages copied, 0 mappings away from their index, 0 bytes left")
    # beside the offsets of the half that each child moved lie those of the half that stayed
    assert claims["mremap-unique-offsets"]["measured"] == "7 of 7 growths refused"
    assert claims["mremap-unique-offsets"]["where_it_stops"].endswith("shared_space refuses 0")
    assert "One line stands for pte_chain, objrmap, anonmm_copy, anon_vma_chain and cow_context; one for anon_vma, " \
        "shared_space and shared_space_unique." in shown.figures["fig-mremap-probes"].caption


def test_mremap_leaves_out_what_was_not_tested(tmp_path):
    shown = run("01-mremap", tmp_path, SHARED=0.0, POINTS=1)
    assert set(shown.claims) == {"mremap-index-stays", "mremap-pgoff", "mremap-common-case",
                                   "mremap-unique-offsets"}
    assert "These parameters do not test: An address as index misses" in shown.sentence
