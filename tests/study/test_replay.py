"""The results of contract section 4, and the tables made of them."""

import json
from importlib.resources import files

import jsonschema
import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Exit, Fork, Header, Mmap, Mremap, Read, Reclaim, Spawn, Write
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study import compare, explain
from rmapmodel.study.replay import Options, line_of_peak, replay, summary
from rmapmodel.trace.random_traces import random_trace
from rmapmodel.trace.workloads import generate
from tests.traces import in_memory, run

P, A, B = 4096, 0x100000, 0x200000
ANON = ["private", "anonymous"]
SCHEMA = json.loads((files("rmapmodel") / "schemas" / "replay.schema.json").read_text())


def events():
    return [Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON), Write(1, A, 4 * P), Fork(1, 2),
            Mremap(2, A, 2 * P, B, 2 * P, ["maymove", "fixed"])]


def test_the_contracts_example():
    """One process, one written page, one reclaim, as contract section 4 shows it."""
    result = run([Spawn(1), Mmap(1, P, P, "rw-", ANON), Write(1, P, P), Reclaim()]).result()
    assert result["index"] == "interval_tree/interval_tree" and result["kernel"] == "7.0"
    assert result["processes"] == {"1": {"vmas": [{"start": 4096, "end": 8192, "prot": "rw-", "shared": False,
                                                   "file": None, "offset": 0}], "rss_pages": 1}}
    assert result["objects"] == {"vm_area_struct": 1, "anon_vma": 1, "anon_vma_chain": 1}
    assert result["bytes"] == {"vm_area_struct": 192, "anon_vma": 104, "anon_vma_chain": 64, "total": 360}
    assert result["peak"] == {"objects": result["objects"], "bytes": 360, "mappings": 1}
    ones = {key: value for key, value in result["reclaim"].items() if key != "cache_lines"}
    assert set(ones.values()) == {1}
    # what the design adds: its objects, a pointer and a list head in the vma, a map count in the page
    assert result["bytes_design"] == {"now": 104 + 64 + 24 + 4, "peak": 196}
    assert result["reclaim"]["cache_lines"] == 1 + 2 + 1 + 2  # page, anon_vma, AVC, vma (cost/cache_lines.csv)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_results_validate_against_the_schema(strategy):
    for seed in range(12):
        trace = in_memory(random_trace(seed, 30, {"swapout": 2, "reclaim": 2, "grow": 0, "move_grow": 0}))
        result = replay(trace, strategy, timeline=True).result(pages=True)
        jsonschema.validate(result, SCHEMA)
        assert result["bytes"]["total"] == sum(n for kind, n in result["bytes"].items() if kind != "total")
        summary(result)


def test_options_win_over_the_header_and_the_header_over_defaults():
    header = Header(version=1, arch="i386", kernel="2.6.11", source="by hand", missing=["2 page faults"])
    plain = replay(in_memory(events(), header), "anon_vma").result()
    assert (plain["arch"], plain["kernel"], plain["missing"]) == ("i386", "2.6.11", ["2 page faults"])
    assert plain["source"] == "by hand" and "source: by hand" in summary(plain)
    jsonschema.validate(plain, SCHEMA)
    assert plain["index"] == "list/prio_tree"
    told = replay(in_memory(events(), header), "anon_vma", Options("interval_tree", "x86_64", "5.10-generic")).result()
    assert (told["arch"], told["kernel"], told["index"]) == ("x86_64", "5.10-generic", "interval_tree/interval_tree")


@pytest.mark.parametrize("strategy, kernel, index", [
    ("page_table_scan", None, "list/list"), ("pte_chain", None, "list/list"), ("objrmap", None, "list/list"),
    ("anonmm", None, "list/list"), ("anonmm_copy", None, "list/list"), ("anonmm_remap", None, "prio_tree/list"),
    ("anon_vma", None, "list/prio_tree"), ("shared_space", None, "prio_tree/prio_tree"),
    ("shared_space_unique", None, "prio_tree/prio_tree"), ("cow_context", None, "list/interval_tree"),
    ("anon_vma_chain", None, "interval_tree/interval_tree"),
    ("anon_vma_chain", "2.6.34", "list/prio_tree"), ("anon_vma_chain", "3.7", "interval_tree/interval_tree")])
def test_each_design_searches_as_it_shipped(strategy, kernel, index):
    assert run(events(), strategy, kernel=kernel).result()["index"] == index


def test_reclaim_is_added_where_asked():
    pages = lambda when: run(events() + [Exit(2)], reclaim=when).result()["reclaim"]["pages"]
    assert (pages("none"), pages("end"), pages("peak"), pages("every:2")) == (0, 4, 4, 0 + 4 + 4)
    assert line_of_peak(in_memory(events()), Options(), "anon_vma") == 4
    for bad in ("sometimes", "every:", "every:0", "every:x"):
        with pytest.raises(InputError):
            pages(bad)


def test_errors_name_file_line_and_field():
    with pytest.raises(InputError, match=r"^memory:2: addr: "):
        run([Spawn(1), Write(1, A, P)])


def test_peaks_are_of_the_states_between_events():
    run_ = run(events() + [Exit(2), Exit(1)])
    result = run_.result()
    assert result["objects"]["vm_area_struct"] == 0 and result["peak"]["objects"]["vm_area_struct"] == 3
    assert result["peak"]["mappings"] == 8 and result["bytes_design"]["now"] == 0


def test_molnars_second_program_makes_1800_candidates_a_mapping_on_a_list():
    """thread.md 2.6, scaled by ten: as many candidates for each mapping as the process has vmas."""
    for kernel, ratio in (("2.6.4", 180), ("2.6.14", 180 * 32)):
        trace = in_memory(generate("test_mmap2", cache_pages=200)[1])
        result = replay(trace, "anon_vma", Options("list", None, kernel)).result()
        assert result["objects"]["vm_area_struct"] == 5760
        assert result["reclaim"]["vmas_candidates"] == ratio * result["reclaim"]["mappings"] > 0


# -- compare


def test_compare_ends_with_the_truth_and_agrees_with_it():
    frame, results = compare.compare(in_memory(events()), options=Options(reclaim="default"))
    assert list(frame.strategy) == [*STRATEGIES, "truth"]
    assert set(frame.mappings) == {8} and len(results) == len(STRATEGIES)
    assert frame.set_index("strategy").loc["anonmm", "objects"] == {"anonmm": 2, "rmap_chain": 2}


def test_compare_keeps_the_traces_own_reclaim_and_takes_several_kernels():
    trace = in_memory(events() + [Reclaim(1, A, P), Exit(2)])
    frame, _ = compare.compare(trace, ["anon_vma"], ["2.6.11", "6.1"], Options(reclaim="default"))
    assert list(frame.mappings) == [2, 2, 2] and list(frame.kernel) == ["2.6.11", "6.1", ""]


def test_forms_of_the_table():
    frame, _ = compare.compare(in_memory(events()), options=Options(reclaim="default"))
    mail = compare.as_text(frame, 72)
    assert mail.isascii() and max(map(len, mail.splitlines())) <= 72
    assert compare.as_text(frame).splitlines()[-1].startswith("truth")
    assert compare.as_markdown(frame).count("\n") == len(STRATEGIES) + 2
    assert compare.as_csv(frame).splitlines()[0].startswith("strategy,kernel,index")
    told = json.loads(json.dumps(compare.as_json(frame), allow_nan=False))
    assert told["rows"][-1]["strategy"] == "truth" and told["rows"][-1]["vmas"] is None


def test_the_truth_is_told_for_each_kernel_where_it_differs():
    shared = [Spawn(1), Mmap(1, A, 4 * P, "rw-", ["shared"], "f", 0), Write(1, A, 4 * P), Fork(1, 2), Reclaim()]
    frame, _ = compare.compare(in_memory(shared), ["anon_vma"], ["2.6.4", "7.0"], Options(reclaim="default"))
    assert list(frame.strategy) == ["anon_vma", "anon_vma", "truth", "truth"] and list(frame.mappings) == [8, 4, 8, 4]


# -- explain


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_explain_names_every_visit_and_mapping(strategy):
    told = explain.explain(in_memory(events()), strategy, 1, A + 5)
    # mremap of process 2 copied what it moved: its page is another
    mapped = [{"pids": [1], "address": A}, {"pids": [2], "address": B}][:1 if strategy == "anonmm_copy" else 2]
    assert told["state"] == "mapped" and told["page"]["mapcount"] == len(mapped)
    assert told["mappings"] == mapped
    visited = [visit for visit in told["visits"] if "outcome" in visit]
    assert sum(visit["outcome"] == "maps it" for visit in visited) == len(mapped)
    text = explain.as_text(told)
    assert f"mapped {'once' if len(mapped) == 1 else '2 times'}" in text and text.count("*") >= len(mapped) + 1
    # ptes and nothing, or an index: A is page 0x100, the first of its area
    unindexed = strategy in ("page_table_scan", "pte_chain", "objrmap")
    assert told["page"]["index"] == (None if unindexed else 0x100)
    assert ("no index" if unindexed else "index 0x100") in text


def test_explain_tells_of_each_design_what_its_walk_passes():
    def visits(strategy):
        told = explain.as_text(explain.explain(in_memory(events()), strategy, 1, A))
        return [line.strip() for line in told.splitlines() if line.strip()[:2].rstrip(".").isdigit()]

    # process 1 has four pages, process 2 the same four, two of them at their new place
    assert visits("page_table_scan") == ["1. page table of pid 1 with 4 present ptes: maps it",
                                         "2. page table of pid 2 with 4 present ptes: maps it"]
    # the family's record says that the address may have become B; it is tried in every mm
    assert visits("anonmm_remap") == [f"1. anonmm #1 of pid 1 at {A:#x}: maps it",
                                      f"2. anonmm #1 of pid 1 at {B:#x}: does not map it",
                                      f"3. anonmm #2 of pid 2 at {A:#x}: does not map it",
                                      f"4. anonmm #2 of pid 2 at {B:#x}: maps it"]
    # the child's own record: tried in the child only
    assert visits("cow_context") == [f"1. cow_context #1 of pid 1 at {A:#x}: maps it",
                                     f"2. cow_context #2 of pid 2 at {A:#x}: no area with delta 0",
                                     f"3. cow_context #2 of pid 2 at {B:#x}: maps it"]


def test_explain_on_a_list_shows_what_is_passed():
    told = explain.explain(in_memory(events()), "anon_vma", 1, A + 3 * P, options=Options(index="list"))
    vmas = [visit["outcome"] for visit in told["visits"] if visit["visits"] == "vm_area_struct"]
    assert vmas == ["maps it", "out of range", "maps it"]  # newest first: the piece split off last, the moved, the parent


def test_explain_in_a_crowd_shows_what_matters():
    many = [Spawn(1)] + [Mmap(1, A + 2 * n * P, P, "r--", ["shared"], "f", n * P) for n in range(100)]
    told = explain.explain(in_memory(many + [Read(1, A, P)]), "anon_vma", 1, A, options=Options(index="list"))
    assert len(told["map"]) == 1 + 2 + 1 and told["map"][-1].endswith("98 areas that do not map it")
    forks = [Mmap(1, A, P, "rw-", ANON), Write(1, A, P)] + [Fork(1, pid) for pid in range(2, 102)]
    text = explain.as_text(explain.explain(in_memory([Spawn(1)] + forks), "anon_vma", 1, A))
    assert "... and 62 more visits" in text


def test_explain_says_what_a_wrong_walk_misses(monkeypatch):
    monkeypatch.setattr(STRATEGIES["anon_vma"], "forked", lambda self, vma, parent_vma: None)
    family = [Spawn(1), Mmap(1, A, P, "rw-", ANON), Write(1, A, P), Fork(1, 2)]
    told = explain.explain(in_memory(family), "anon_vma", 1, A)
    assert told["wrong"] == [f"not found: {A:#x} of pid 2"] and f"not found: {A:#x} of pid 2" in explain.as_text(told)
    assert explain.explain(in_memory(family), "anonmm", 1, A)["wrong"] == []


def test_explain_until_a_line_and_pages_that_are_not_there():
    assert explain.explain(in_memory(events()), "anonmm", 1, A, until=3)["page"]["mapcount"] == 1
    assert explain.explain(in_memory(events()), "anonmm", 1, A, until=2)["state"] == "not present"
    for pid, address in ((3, A), (1, 0)):
        with pytest.raises(InputError):
            explain.explain(in_memory(events()), "anonmm", pid, address)
