"""Notebook 05 at test scale."""

from rmapmodel.report.collect import failed_check

from tests.notebooks.notebook import NOTEBOOKS, run


def test_shared_address_space(tmp_path):
    shown = run("05-shared-address-space", tmp_path, NOTEBOOKS.parent)
    assert set(shown.figures) == {f"fig-space-{name}" for name in (
        "exec", "fork", "fault", "mremap", "anonmm", "anon-vma-chain", "reuse", "search", "test-mmap2", "guess")}
    claims = shown.claims
    assert {name: claim["holds"] for name, claim in claims.items()} == {
        "space-index-stays": True, "space-unique-index": False, "space-tree-cannot-help": True,
        "space-tree-test-mmap2": True}
    assert not any(map(failed_check, claims.values()))
    assert claims["space-unique-index"]["measured"] == "8 pages share a key, 0 mappings missed"
    assert claims["space-tree-test-mmap2"]["measured"] == "candidates a mapping: 1 in a tree, 180 on a list"
