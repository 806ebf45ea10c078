"""Kernel memory by hand, and pte_chains by the model."""

import pytest

from rmapmodel.events import Fork, Mmap, Spawn, Write
from rmapmodel.study.lowmem import BUILDS, GIB, MIB, PROCESS, Build, chain_bytes, tasks_that_fill
from tests.traces import run

PAGE, A = 4096, 0x100000


def test_a_process_that_maps_nothing():
    # 8192 stack, 1280 + 1408 + 384 + 512 + 64 + 640 of slabs, three page tables, three directories and 32 bytes on top
    assert BUILDS["i386"].process_bytes(0) == 8192 + 4288 + 3 * PAGE + 3 * PAGE + 32
    assert BUILDS["i386, HIGHPTE"].process_bytes(0) == 8192 + 4288 + 3 * PAGE + 32
    assert sum(PROCESS["i386"].values()) - PROCESS["i386"]["tables"] == 8192 + 4288


@pytest.mark.parametrize("build, mapped, tables", [
    (Build("i386", pte=4), 4 * MIB, 1), (Build("i386", pte=4), 4 * MIB + 1, 2), (Build("i386"), 4 * MIB, 2),
    (Build("x86_64"), 2 * GIB, 1024)])
def test_page_tables(build, mapped, tables):
    assert build.page_tables(mapped) == tables * PAGE
    assert build.process_bytes(mapped) - build.process_bytes(0) == tables * PAGE


def test_room_is_what_mem_map_leaves():
    assert BUILDS["i386"].room(GIB) == 896 * MIB - (1 << 18) * 40
    assert BUILDS["i386"].room(512 * MIB) == 512 * MIB - (1 << 17) * 40
    assert BUILDS["i386"].room(128 * GIB) == 0  # mem_map alone is larger than low memory
    assert BUILDS["x86_64"].room(16 * GIB) == 16 * GIB - (1 << 22) * 64


def test_tasks_that_fill():
    # a page: 8 bytes a task, and what a process takes
    assert tasks_that_fill(16, "links of 8 bytes", PAGE, None) == 3
    assert tasks_that_fill(31, "lines of 32", PAGE, None) == 2 and tasks_that_fill(32, "lines of 32", PAGE, None) == 8
    each = BUILDS["i386"].process_bytes(PAGE)
    assert tasks_that_fill(10 * each, None, PAGE, BUILDS["i386"]) == 11
    assert tasks_that_fill(10 * each, "links of 8 bytes", PAGE, BUILDS["i386"]) == 10
    assert tasks_that_fill(0, None, PAGE, BUILDS["i386"]) == 1


@pytest.mark.parametrize("mappings", [1, 2, 7, 8, 14, 15, 30])
def test_chains_are_those_of_the_model(mappings):
    events = [Spawn(1), Mmap(1, A, PAGE, "rw-", ["private", "anonymous"]), Write(1, A, PAGE),
              *(Fork(1, pid) for pid in range(2, mappings + 1))]
    assert run(events, "pte_chain", arch="i386").result()["bytes"]["pte_chain"] == chain_bytes(mappings, 32)
