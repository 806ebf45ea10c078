"""The notebooks as a reader runs them: whole, at test scale, with plain papermill, and on traces of any kind."""

import gzip
import json
import random
from pathlib import Path

import papermill
import pytest
import yaml

from rmapmodel.events import Fork, Header, Mmap, Mprotect, Mremap, Read, Reclaim, Spawn, Write
from rmapmodel.figures import publish
from rmapmodel.report.collect import as_figure, as_verdict, failed_check, outputs
from rmapmodel.report.parameters import load, source, tags
from rmapmodel.trace.jsonl import write

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FAMILY = Path(__file__).parents[1] / "figures" / "family.jsonl"
PAGE, BASE = 4096, 0x10000000
ANONYMOUS = ["private", "anonymous"]


def run(name, folder, cwd, **parameters):
    """Executes a notebook with papermill alone; returns its figures and its verdict."""
    out = folder / f"{name}.ipynb"
    scales = yaml.safe_load((NOTEBOOKS / "scales.yml").read_text())
    papermill.execute_notebook(NOTEBOOKS / f"{name}.ipynb", out, {**scales[name]["test"], **parameters}, cwd=cwd,
                               progress_bar=False, kernel_name="python3", execution_timeout=120)
    shown = list(outputs(json.loads(out.read_text())))
    figures = {figure.id: figure for figure in map(as_figure, shown) if figure}
    return figures, next(verdict for verdict in map(as_verdict, shown) if verdict)


def by_id(verdict):
    return {claim["id"]: claim for claim in verdict.claims}


def test_mremap(tmp_path):
    figures, verdict = run("01-mremap", tmp_path, NOTEBOOKS)
    assert set(figures) == {f"fig-mremap-{name}" for name in (
        "anonmm", "shared-space", "records", "cow-context", "persistence", "probes", "frequency", "guess")}
    claims = by_id(verdict)
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
        "shared_space and shared_space_unique." in figures["fig-mremap-probes"].caption


def test_mremap_leaves_out_what_was_not_tested(tmp_path):
    _, verdict = run("01-mremap", tmp_path, NOTEBOOKS, SHARED=0.0, POINTS=1)
    assert set(by_id(verdict)) == {"mremap-index-stays", "mremap-pgoff", "mremap-common-case",
                                   "mremap-unique-offsets"}
    assert "These parameters do not test: An address as index misses" in verdict.sentence


def test_shared_address_space(tmp_path):
    figures, verdict = run("05-shared-address-space", tmp_path, NOTEBOOKS.parent)
    assert set(figures) == {f"fig-space-{name}" for name in (
        "exec", "fork", "fault", "mremap", "anonmm", "anon-vma-chain", "reuse", "search", "test-mmap2", "guess")}
    claims = by_id(verdict)
    assert {name: claim["holds"] for name, claim in claims.items()} == {
        "space-index-stays": True, "space-unique-index": False, "space-tree-cannot-help": True,
        "space-tree-test-mmap2": True}
    assert not any(map(failed_check, claims.values()))
    assert claims["space-unique-index"]["measured"] == "8 pages share a key, 0 mappings missed"
    assert claims["space-tree-test-mmap2"]["measured"] == "candidates a mapping: 1 in a tree, 180 on a list"


@pytest.mark.parametrize("cwd", [NOTEBOOKS, NOTEBOOKS.parent], ids=["notebooks", "root"])
def test_your_trace(tmp_path, cwd):
    figures, verdict = run("15-your-trace", tmp_path, cwd)
    assert set(figures) == {"fig-trace-timeline", "fig-trace-costs", "fig-trace-objects"}
    assert by_id(verdict)["trace-moves-are-rare"]["measured"] == "1 of 1 moves"
    assert not any(map(failed_check, verdict.claims))


def mixed(seed):
    """Writes and reads of a few areas of a few processes that fork, without regard to sense."""
    choose = random.Random(seed)
    yield Spawn(1)
    for area in range(4):
        yield Mmap(1, BASE + area * 64 * PAGE, 16 * PAGE, "rw-", ANONYMOUS)
    for child in range(2, 8):
        yield Fork(choose.randrange(1, child), child)
        for _ in range(10):
            addr = BASE + choose.randrange(4) * 64 * PAGE + choose.randrange(16) * PAGE
            yield choose.choice([Read, Write])(choose.randrange(1, child + 1), addr, PAGE)
    yield Reclaim()


TRACES = {
    "one process": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "rw-", ANONYMOUS), Write(1, BASE, 8 * PAGE)],
    "nothing mapped": [Spawn(1)],
    "nothing resident": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "rw-", ANONYMOUS), Fork(1, 2)],
    "only file pages": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "r--", ["private"], "/bin/true"), Read(1, BASE, 8 * PAGE)],
    "only the zero page": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "rw-", ANONYMOUS), Read(1, BASE, 8 * PAGE)],
    "a move of what is alone": [Spawn(1), Mmap(1, BASE, 8 * PAGE, "rw-", ANONYMOUS), Write(1, BASE, 8 * PAGE),
                                Mprotect(1, BASE, PAGE, "r--"),
                                Mremap(1, BASE + PAGE, PAGE, 2 * BASE, 2 * PAGE, ["maymove"])],
    "a crowd": list(mixed(1)),
}


def told(path, monkeypatch, **parameters):
    """Executes the cells of notebook 15 here, without a kernel; returns its claims."""
    shown = []
    monkeypatch.setattr(publish, "_shown", {})
    monkeypatch.setattr(publish, "_display", shown.append)
    names = {}
    for cell in load(NOTEBOOKS / "15-your-trace.ipynb")["cells"]:
        if cell["cell_type"] == "code":
            exec(compile(source(cell), cell["id"], "exec"), names)
        if "parameters" in tags(cell):
            names.update(TRACE=str(path), **parameters)
    assert sum("application/vnd.rmapmodel.figure+json" in each for each in shown) == 3
    return by_id(next(as_verdict({"data": each}) for each in shown if as_verdict({"data": each})))


@pytest.mark.parametrize("kind", TRACES)
def test_your_trace_of_any_kind(kind, tmp_path, monkeypatch):
    path = tmp_path / "t.jsonl"
    write(path, Header(version=1, arch="x86_64", kernel="6.12"), TRACES[kind])
    claims = told(path, monkeypatch)
    assert claims["trace-every-mapping"]["holds"]
    assert not any(map(failed_check, claims.values()))


def test_your_trace_with_refusals_compressed_and_under_another_kernel(tmp_path, monkeypatch, capsys):
    path = tmp_path / "family.jsonl.gz"
    path.write_bytes(gzip.compress(FAMILY.read_bytes(), mtime=0))
    claims = told(path, monkeypatch)
    assert claims["trace-every-mapping"]["measured"] == "11 designs, 40 mappings to 44"
    said = capsys.readouterr().out
    # two vmas of two anon_vmas; and one whose offsets would have met those of what was mapped beside it
    assert "anon_vma_chain: line 13, mremap" in said and "shared_space_unique: line 13, mremap" in said
    told(path, monkeypatch, KERNEL="2.6.4", POINTS=3)
