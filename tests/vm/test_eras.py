"""What `--kernel` selects: every boundary between two eras, by what a program sees on either side of it.

The boundaries are those of kernel-facts sections 0, 8, 9, 13 and 14. One test goes through the code for the versions
that it asks about, and fails for one that no case here is about.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

import rmapmodel
from rmapmodel.errors import InputError
from rmapmodel.events import (Brk, Exit, Fork, Madvise, Mlock, Mmap, Mprotect, Mremap, Munlock, Munmap, Read,
                              RemapFilePages, Spawn, Swapout, Write)
from rmapmodel.vm.kernel import Kernel
from tests.traces import run

P = 4096
A, B = 0x100000, 0x200000
ANON = ["private", "anonymous"]
FIXED = ["maymove", "fixed"]
S = Spawn(1)
LAST_MINOR = {2: 6, 3: 19, 4: 20, 5: 19, 6: 19}
"""The last minor version of each major one."""


LAST_WITHOUT = {("kernel.map_stack_is_nohugepage", (6, 8)): "6.7.4", ("anon_vma_chain.counts", (6, 0)): "5.19.6"}
"""The last version without a rule, where later ones of the same stable series have it before the release."""


def before(rule, version):
    """The last version without a rule, as text: of the release before where `version` is the first of its own."""
    if (rule, version) in LAST_WITHOUT:
        return LAST_WITHOUT[rule, version]
    major, minor, patch = (*version, 0, 0)[:3]
    if patch:
        return f"{major}.{minor}.{patch - 1}"
    return f"{major}.{minor - 1}.999" if minor else f"{major - 1}.{LAST_MINOR[major - 1]}.999"


def text(version):
    return ".".join(map(str, version))


def machine(events, strategy, kernel, **options):
    return run(list(events), strategy, kernel=kernel, after=lambda model, count: model.check(), **options).machine


def vmas(events, kernel, strategy="anon_vma_chain", pid=1, **options):
    """(first page, pages) of each vma, pages counted from A."""
    return [(vma.start - A // P, vma.pages) for vma in machine(events, strategy, kernel, **options).mm_of(pid).vmas]


def chain(events, kernel):
    """(vm_area_struct, anon_vma, anon_vma_chain) alive."""
    return tuple(machine(events, "anon_vma_chain", kernel).ledger.alive().values())


def visits(events, kernel, pid, addr, strategy="anon_vma_chain", **options):
    """The pids in the order in which a walk meets their mappings of one page."""
    model, log = machine(events, strategy, kernel, **options), []
    model.strategy.walk(np.array([model.mm_of(pid).table.at(addr // P)], np.int32), log)
    return [visit["pids"][0] for visit in log if visit.get("outcome") == "maps it"]


def locks(events, kernel, strategy):
    """How often each reverse-map lock was taken by the last event."""
    counts = lambda part: {name: each.acquired for name, each in machine(part, strategy, kernel).ledger.locks.items()}
    earlier, later = counts(events[:-1]), counts(events)
    return {name: more for name in later if (more := later[name] - earlier.get(name, 0))}


def refused(events, kernel, strategy="anon_vma_chain"):
    """Whether the last event is impossible; those before it are not."""
    machine(events[:-1], strategy, kernel)
    try:
        machine(events, strategy, kernel)
    except InputError as error:
        assert error.line == len(events)
        return True
    return False


def anon(first=0, pages=2, prot="rw-", pid=1, also=()):
    return Mmap(pid, A + first * P, pages * P, prot, ANON + list(also))


def file(first=0, pages=2, page=0, prot="rw-", kind="shared"):
    return Mmap(1, A + first * P, pages * P, prot, [kind], "f", page * P)


def write(first, pages=1, pid=1):
    return Write(pid, A + first * P, pages * P)


def protect(first, pages, prot, pid=1):
    return Mprotect(pid, A + first * P, pages * P, prot)


def remap(first, pages, to, new_pages=None, pid=1, also=("fixed",)):
    return Mremap(pid, A + first * P, pages * P, A + to * P, (new_pages or pages) * P, ["maymove", *also])


ERAS = []
"""(rule in the code, its version, observation of a kernel, what is seen before, what is seen since)."""


def era(rule, *versions, old, new):
    """Registers an observation of a kernel: `old` with the last version before each of `versions`, `new` from there."""
    def register(observe):
        ERAS.extend((rule, version, observe, old, new) for version in versions)
        return observe
    return register


# -- the machine: kernel-facts 0, 13 and 14


@era("kernel.fork_copies_all_ptes", (2, 6, 14), old=[1, 2], new=[1])
def who_maps_a_shared_page_after_fork(kernel):
    """0.3"""
    return visits([S, file(), write(0), Fork(1, 2)], kernel, 1, A, "anon_vma")


@era("kernel.swap_keeps_exclusive", (5, 19), old=[1, 2, 3], new=[2])
def vmas_that_may_map_what_one_child_read_back(kernel):
    """0.4, 8: a page not known to be exclusive goes to the oldest anon_vma, of which every relative is."""
    events = [S, anon(), write(0), Fork(1, 2), Fork(1, 3), write(0, pid=2), Swapout(2), Read(2, A, P)]
    model = machine(events, "anon_vma_chain", kernel)
    anon_vma = int(model.frames.anchor[model.mm_of(2).table.at(A // P)])
    return [pid for avc in model.strategy.anon_vmas[anon_vma].vmas for pid in avc.vma.mm.users]


@era("kernel.map_stack_is_nohugepage", (6, 8), (6, 7, 5), (6, 6, 17), old=[(0, 4)], new=[(0, 2), (2, 2)])
def map_stack_beside_plain_memory(kernel):
    """14.1"""
    return vmas([S, anon(), anon(2, also=["stack"])], kernel)


@era("kernel.mprotect_drops_account", (6, 7), old=[(0, 2), (2, 2)], new=[(0, 4)])
def untouched_memory_made_read_only_beside_memory_that_always_was(kernel):
    """13.6, 14.2"""
    return vmas([S, anon(), protect(0, 2, "r--"), anon(2, prot="r--")], kernel)


@era("kernel.remove_needs_only_shared", (6, 7), old=True, new=False)
def a_hole_punched_through_a_read_only_mapping(kernel):
    return refused([S, file(prot="r--"), Read(1, A, P), Madvise(1, A, P, "remove")], kernel)


@era("kernel.brk_only_expands", (6, 1), old=[(0, 4)], new=[(0, 2), (2, 2)])
def a_break_that_begins_where_a_mapping_ends(kernel):
    """9 "brk", 14.6: only the vma of the heap itself may grow."""
    return vmas([S, anon(), Brk(1, A + 2 * P), Brk(1, A + 4 * P)], kernel)


@era("kernel.brk_needs_something_to_shrink", (6, 1), old=False, new=True)
def a_break_lowered_over_nothing(kernel):
    return refused([S, Brk(1, A), Brk(1, A + 4 * P), Munmap(1, A + 2 * P, 2 * P), Brk(1, A + 2 * P)], kernel)


@era("kernel.brk_keeps_the_stack_gap", (4, 12), old=False, new=True)
def a_break_255_pages_below_a_stack(kernel):
    return refused([S, anon(300, 1, also=["growsdown"]), Brk(1, A), Brk(1, A + 44 * P)], kernel)


@era("kernel.moves_span_vmas", (6, 17), old=True, new=False)
def a_move_over_two_vmas_and_a_hole(kernel):
    """13.8, 14.9"""
    return refused([S, anon(), anon(3, prot="r--"), remap(0, 5, 100)], kernel)


@era("kernel.growth_merges_next", (6, 0), old=[(0, 4), (4, 2)], new=[(0, 6)])
def growth_in_place_up_to_the_next_area(kernel):
    """14.10"""
    return vmas([S, anon(), anon(4), remap(0, 2, 0, 4, also=())], kernel)


@era("kernel.remap_file_pages_is_emulated", (4, 0), old=[(0, 4)], new=[(0, 2), (2, 2)])
def remapped_file_pages(kernel):
    return vmas([S, file(pages=4), RemapFilePages(1, A, 2 * P, 2)], kernel)


@era("kernel.munmap_splits_outwards", (6, 3), old=[1, 2], new=[2, 1])
def order_of_a_list_after_the_middle_of_the_parents_area_went(kernel):
    """The struct linked first keeps the lower piece; or it goes with the middle, and both pieces are linked anew."""
    return visits([S, anon(0, 4), write(0, 4), Fork(1, 2), Munmap(1, A + P, P)], kernel, 1, A, index="list")


@era("kernel.walks_skip_empty_mms", (2, 6, 15), old=2, new=3)
def ptes_looked_at_past_a_child_without_pages(kernel):
    """0.6: the list of the three vmas, of which child 2's maps nothing any more."""
    events = [S, anon(), write(0), Fork(1, 2), Fork(1, 3), Madvise(2, A, P, "dontneed")]
    model = machine(events, "anon_vma", kernel)
    return int(model.strategy.walk(np.array([model.mm_of(1).table.at(A // P)], np.int32)).ptes[0])


# -- merging: kernel-facts 2, 9 and 14.5


@era("kernel.files_merge", (2, 5), old=[(0, 2), (2, 2)], new=[(0, 4)])
def two_parts_of_a_file_that_continue(kernel):
    return vmas([S, file(), file(2, page=2)], kernel, "pte_chain")


@era("kernel.files_merge", (2, 5), old=[(0, 2), (2, 2)], new=[(0, 4)])
def anonymous_memory_below_its_like(kernel):
    """1: 2.4's mmap merges with what is below it, then with what is above."""
    return vmas([S, anon(2), anon(0)], kernel, "pte_chain")


BECOMES_ALIKE = [S, file(0, prot="r-x", kind="private"), file(2, page=2, prot="r--", kind="private"),
                 protect(0, 2, "r--")]


@era("kernel.merge_procedure", (2, 6, 7), old=[(0, 2), (2, 2)], new=[(0, 4)])
def an_area_that_becomes_like_the_one_above(kernel):
    """2, 9: before "rmap 36" mprotect had a merge of its own, for anonymous memory only."""
    return vmas(BECOMES_ALIKE, kernel, "pte_chain")


@era("kernel.merge_procedure", (2, 6, 7), old=[(0, 2), (2, 2)], new=[(0, 4)])
def parts_of_a_file_moved_together(kernel):
    """1: only anonymous areas merged where mremap moved them."""
    return vmas([S, file(), file(20, page=2), remap(20, 2, 2)], kernel, "pte_chain")


@era("kernel.areas_merge_on_any_change", (2, 6, 7), old=[(0, 1), (1, 1), (2, 2)], new=[(0, 4)])
def locked_and_unlocked_again(kernel):
    return vmas([S, anon(0, 4), Mlock(1, A + P, P), Munlock(1, A + P, P)], kernel, "pte_chain")


FILLER = [S, anon(0), anon(4), write(0), write(4), anon(2)]


@era("kernel.merge_procedure", (6, 1), old=[(0, 4), (4, 2)], new=[(0, 2), (2, 4)])
@era("kernel.merge_procedure", (6, 12), old=[(0, 2), (2, 4)], new=[(0, 4), (4, 2)])
def a_filler_between_two_anon_vmas(kernel):
    """13.5, 14.5: it joins the lower one, or from 6.1 to 6.11 the upper."""
    return vmas(FILLER, kernel)


@era("kernel.merge_procedure", (6, 1), old=[(0, 6)], new=[(0, 2), (2, 4)])
@era("kernel.merge_procedure", (6, 12), old=[(0, 2), (2, 4)], new=[(0, 6)])
def a_filler_between_untouched_and_touched(kernel):
    """14.5: prev is tested with next's anon_vma, and an untouched one joins only what no fork made; see 9 for 3.0."""
    return vmas([S, anon(0), anon(4), write(4), anon(2)], kernel)


@era("kernel.merge_procedure", (6, 12), old=[1, 2], new=[2, 1])
def order_of_a_list_after_a_whole_area_joined_the_one_above(kernel):
    """9, case 8: the struct of the changed area is extended, or (vma_merge_existing_range) that of the next.

        list: parent, child  ->  lower, child, upper (new)  ->  lower, child  or  child, upper
    """
    return visits([S, anon(0, 4), write(0, 4), Fork(1, 2), protect(0, 2, "r--"), protect(0, 2, "rw-")], kernel, 1, A,
                  index="list")


@era("anon_vma_chain.any_null_merges", (3, 0), old=[(0, 4)], new=[(0, 2), (2, 2)])
def new_memory_beside_what_a_child_inherited(kernel):
    """9: chain(neighbour) must be 1."""
    return vmas([S, anon(), write(0), Fork(1, 2), anon(2, pid=2)], kernel, pid=2)


TOUCHED_BESIDE_UNTOUCHED = [S, anon(), write(0), anon(2, prot="rwx"), protect(0, 2, "rwx")]


@era("anon_vma_chain.any_null_merges", (3, 0), old=[(0, 4)], new=[(0, 2), (2, 2)])
@era("anon_vma_chain.merges_into_untouched", (6, 16), old=[(0, 2), (2, 2)], new=[(0, 4)])
def a_touched_area_that_becomes_like_an_untouched_one(kernel):
    """9: "src set, tgt NULL"."""
    return vmas(TOUCHED_BESIDE_UNTOUCHED, kernel)


@era("anon_vma_chain.merges_into_untouched", (6, 16), old=[(-2, 2), (0, 2)], new=[(-2, 4)])
@era("anon_vma_chain.checks_copied", (6, 18, 8), old=[(-2, 4)], new=[(-2, 2), (0, 2)])
def what_a_child_inherited_moved_home_beside_untouched_memory(kernel):
    """9: from 6.16 to 6.18.7 nobody looked at the chain of the area that mremap copies (3b617fd3d317)."""
    events = [S, anon(), write(0, 2), remap(0, 2, 100), Fork(1, 2), anon(-2, pid=2), remap(100, 2, 0, pid=2)]
    return vmas(events, kernel, pid=2)


# -- re-use of anon_vmas and the order of walks: kernel-facts 7, 8 and 14.12

TWICE = [S, anon(), write(0), Fork(1, 2), Exit(1), Fork(2, 3), Exit(2), Fork(3, 4), Exit(3), Fork(4, 5), Fork(4, 6)]
"""1: A1   2: A2   3: A3   4: A2 is used again   5: A3, which nobody uses and which has no child   6: A3 once more?"""


@era("anon_vma_chain.counts", (4, 9, 327), (4, 14, 292), (4, 19, 257), (5, 4, 212), (5, 10, 141), (5, 15, 65),
     (5, 19, 7), (6, 0), old=(3, 3, 9), new=(3, 4, 10))
@era("anon_vma_chain.reuse", (3, 19), old=(3, 6, 14), new=(3, 3, 9))
def an_abandoned_leaf_and_two_children(kernel):
    """8: by degree it could be taken twice (2555283eb40d); before 3.19 every generation has one of its own."""
    return chain(TWICE, kernel)


@era("anon_vma_chain.keeps_sharing", (5, 5), old=(6, 4, 9), new=(6, 2, 7))
@era("anon_vma_chain.keeps_sharing", (5, 7), old=(6, 2, 7), new=(6, 4, 9))
def pieces_of_an_area_in_a_child(kernel):
    """8: 4e4a9eb92133 gave the child's vma the anon_vma of the vma before its parent's."""
    return chain([S, anon(0, 6), write(0, 6), protect(2, 2, "r--"), Fork(1, 2)], kernel)


@era("anon_vma_chain.reverses_on_clone", (7, 0), old=(7, 10, 36), new=(7, 9, 35))
def a_history_with_several_anon_vmas_to_re_use(kernel):
    """14.12: oldest first up to 6.19 (7/10/36 was seen on 6.18.44), newest first and reversed by every clone in 7.0."""
    steps = "1>2 -1 2>3 -3 2>4 4>5 5>6 6>7 6>8 7>9 -8 -9 7>10 4>11 -10 6>12 7>13 -5 -7 -2 12>14 11>15"
    return chain([S, anon(0, 1), write(0), *(Fork(*map(int, step.split(">"))) if ">" in step else Exit(-int(step))
                                             for step in steps.split())], kernel)


@era("anon_vma_chain.shipped_index", (3, 7), old=[1, 2, 3], new=[1, 3, 2])
def order_of_a_walk_past_a_child_that_split_its_area(kernel):
    """8: a list in the order linked; a tree by vm_pgoff, then age. Child 2's piece begins a page higher."""
    return visits([S, anon(), write(0, 2), Fork(1, 2), protect(0, 1, "r--", pid=2), Fork(1, 3)], kernel, 1, A + P)


@era("anon_vma_chain.shipped_index", (3, 7), old=[1, 2, 3], new=[1, 3, 2])
def order_of_a_walk_for_a_page_of_a_file(kernel):
    """7: prio_tree: a tree node's set in the order it came; interval tree: a copy right behind its original."""
    return visits([S, file(), Fork(1, 2), Fork(1, 3), *(Read(pid, A, P) for pid in (1, 2, 3))], kernel, 1, A)


# -- locks: kernel-facts 5, 7 and 8

FORKED_TWICE = [S, anon(), write(0), Fork(1, 2), Fork(2, 3)]
HEAP_GROWN = [S, Brk(1, A), Brk(1, A + P), write(0), Brk(1, A + 2 * P)]


@era("anon_vma.locks_new", (2, 6, 28), old={}, new={("anon_vma", "exclusive"): 1})
def locks_of_a_first_write(kernel):
    """5: a new anon_vma is locked too."""
    return locks([S, anon(), write(0)], kernel, "anon_vma")


@era("anon_vma.end_needs_no_lock", (2, 6, 32), old={("anon_vma", "exclusive"): 1}, new={})
def locks_of_growth_upwards(kernel):
    return locks(HEAP_GROWN, kernel, "anon_vma")


ROOT = ("anon_vma root", "exclusive")


@era("anon_vma_chain.locks_root", (2, 6, 36), old={("anon_vma", "exclusive"): 3}, new={ROOT: 3})
@era("anon_vma_chain.locks_once", (3, 0), old={ROOT: 3}, new={ROOT: 2})
@era("anon_vma_chain.modes", (3, 8), old={ROOT: 2}, new={("anon_vma root", "write"): 2})
def locks_of_a_grandchilds_fork(kernel):
    """8: each anon_vma's own; the root's, for each of two AVCs and the new one; the root's, once for both AVCs."""
    return locks(FORKED_TWICE, kernel, "anon_vma_chain")


@era("anon_vma_chain.trees_follow", (3, 7), old={}, new={ROOT: 1})
def locks_of_growth_upwards_with_a_tree(kernel):
    """8 "Split": 3.7+ takes a vma out of its trees around every change of its range."""
    return locks(HEAP_GROWN, kernel, "anon_vma_chain")


@era("files.modes", (3, 19), old={("i_mmap", "exclusive"): 1}, new={("i_mmap", "write"): 1})
def locks_of_mapping_a_file(kernel):
    return locks([S, file()], kernel, "anon_vma_chain")


# -- the tests


@pytest.mark.parametrize("rule, version, observe, old, new", [
    pytest.param(*case, id=f"{case[0]}-{text(case[1])}-{case[2].__name__}") for case in ERAS])
def test_a_boundary_from_both_sides(rule, version, observe, old, new):
    assert old != new
    assert observe(before(rule, version)) == old
    assert observe(text(version)) == new
    assert observe(text(version) + "-2-generic") == new


def test_a_fix_in_a_stable_series_is_not_in_the_next_series_before_its_own():
    """14.1 and 8: 6.7.4 is newer than 6.6.17 and has not its fix; 5.11 to 5.14 never had that of 5.10.141."""
    apart = {kernel: len(map_stack_beside_plain_memory(kernel))
             for kernel in ("6.6.16", "6.6.17", "6.6.99", "6.7.0", "6.7.4", "6.7.5", "6.8")}
    assert list(apart.values()) == [1, 2, 2, 1, 1, 2, 2]
    anon_vmas = {kernel: an_abandoned_leaf_and_two_children(kernel)[1]
                 for kernel in ("4.9.327", "4.10", "4.14.292", "4.15", "4.19.257", "4.20", "5.4.212", "5.6", "5.10.141",
                                "5.14", "5.15.65", "5.16", "5.19.7", "6.0")}
    assert list(anon_vmas.values()) == [4, 3] * 6 + [4, 4]


def test_a_childs_inherited_area_that_becomes_like_an_untouched_one_stays_apart():
    """9: "unless the changed VMA has chain > 1"; before 3.0 nothing forbids it."""
    events = [S, anon(), write(0), Fork(1, 2), anon(2, prot="rwx", pid=2), protect(0, 2, "rwx", pid=2)]
    seen = [len(vmas(events, kernel, pid=2)) for kernel in ("2.6.39", "3.0", "6.15", "6.16", "6.18.8", "7.0")]
    assert seen == [1, 2, 2, 2, 2, 2]


def test_6_18_8_is_the_first_with_the_check_of_copies_and_6_19_has_it():
    """9: 879bca0a2c4f in 6.16, mended by 3b617fd3d317."""
    seen = [len(what_a_child_inherited_moved_home_beside_untouched_memory(kernel))
            for kernel in ("6.15", "6.16", "6.18.7", "6.18.8", "6.19", "7.0")]
    assert seen == [2, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("strategy, version, kept, events, follows", [
    # below the oldest version of a design its oldest rules hold, above the newest its newest
    ("anon_vma", "2.6.6", [(0, 4)], BECOMES_ALIKE, "pte_chain"),
    ("anon_vma_chain", "2.6.6", [(0, 4)], BECOMES_ALIKE, "pte_chain"),
    ("anon_vma", "6.1", [(0, 4), (4, 2)], FILLER, "anon_vma_chain"),
])
def test_a_design_keeps_the_merge_rules_of_the_versions_that_had_it(strategy, version, kept, events, follows):
    """Contract, section 1; a design without the bound (`follows`) changes there."""
    oldest, newest = {"anon_vma": ("2.6.7", "2.6.33"), "anon_vma_chain": ("2.6.34", "2.6.34")}[strategy]
    assert [vmas(events, kernel, strategy) for kernel in (oldest, newest, version)] == [kept] * 3
    assert vmas(events, version, follows) != kept


BOUNDS = {("anon_vma.merge_kernel", (2, 6, 7)), ("anon_vma.merge_kernel", (2, 6, 33)),
          ("anon_vma_chain.merge_kernel", (2, 6, 34))}
"""Versions of the test above."""

def asked_for():
    """(module.rule, version) of every version that the package's code compares a kernel with."""
    found = set()
    for path in sorted(Path(rmapmodel.__file__).parent.rglob("*.py")):
        for rule, call in version_calls(ast.parse(path.read_text(encoding="utf-8"))):
            values = [eval(ast.unparse(value), {}) for value in call.args]
            versions = values if type(values[0]) is tuple else [tuple(values)]
            found |= {(f"{path.stem}.{rule}", version) for version in versions if version[0] < 1000}
    return found


def version_calls(tree, rule=None):
    """(rule, call) of each `since`, `in_stable`, `between`; rule: the function, or in __init__ what is assigned."""
    for node in ast.iter_child_nodes(tree):
        parts = [(rule, node)]
        if isinstance(node, ast.FunctionDef):
            parts = [(node.name, node)]
        elif isinstance(node, ast.Assign) and rule == "__init__":
            target, value = node.targets[0], node.value
            both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            parts = zip(map(name_of, target.elts), value.elts) if both else [(name_of(target), value)]
        for inside, part in parts:
            if isinstance(part, ast.Call) and name_of(part.func) in ("since", "in_stable", "between") \
                    and not any(isinstance(value, (ast.Name, ast.Starred)) for value in part.args):
                yield inside, part
            yield from version_calls(part, inside)


def name_of(node):
    return getattr(node, "attr", getattr(node, "id", None))


def test_no_version_in_the_code_is_without_a_case():
    asked = asked_for()
    assert ("kernel.files_merge", (2, 5)) in asked and len(asked) > 40
    assert asked == {(rule, version) for rule, version, *_ in ERAS} | BOUNDS


def test_every_rule_of_a_kernel_has_a_case():
    rules = {name for name, value in vars(Kernel).items() if isinstance(value, property)} - {"newer_than_described"}
    assert {f"kernel.{name}" for name in rules} == {rule for rule, *_ in ERAS if rule.startswith("kernel.")}


# -- `uname -r`


@pytest.mark.parametrize("printed, version", [
    ("2.4", (2, 4, 0)), ("2.4.22-ac4", (2, 4, 22)), ("2.6.9-89.ELsmp", (2, 6, 9)), ("2.6.11.12", (2, 6, 11)),
    ("2.6.32-754.el6.x86_64", (2, 6, 32)), ("3.10.0-1160.119.1.el7.x86_64", (3, 10, 0)), ("4.0", (4, 0, 0)),
    ("5.10.0-28-amd64", (5, 10, 0)), ("5.15.167.4-microsoft-standard-WSL2", (5, 15, 167)), ("6.1.0-rc3+", (6, 1, 0)),
    ("6.18.44", (6, 18, 44)), ("6.18.44-fc-v669", (6, 18, 44)), ("6.6.31+rpt-rpi-v8", (6, 6, 31)),
    ("6.12.0-next-20241118", (6, 12, 0)), ("6.8.0-45-generic", (6, 8, 0)), ("7.0.0-rc6", (7, 0, 0)),
    ("6.1-me@home:2", (6, 1, 0)),
])
def test_versions_as_uname_prints_them(printed, version):
    assert Kernel.parse(printed).version == version


@pytest.mark.parametrize("printed", [
    "", "6", "6.", "6.x", "x6.1", "v6.1", " 6.1", "6.1 ", "6.1.2.3 oops", "-6.1", "6.-1", "6,1", "linux", "2.3.99",
    "2.2.26", "1.0",
])
def test_what_is_no_version_or_before_2_4_is_an_error(printed):
    with pytest.raises(InputError) as caught:
        Kernel.parse(printed)
    assert caught.value.field == "kernel"


def test_the_newest_rules_hold_for_what_is_newer():
    """Contract, section 1: those rules, and one line on stderr."""
    assert not Kernel.parse("7.0.99").newer_than_described and Kernel.parse("7.1").newer_than_described
    for rule, version, observe, _, new in ERAS:
        if version == max(each for name, each, look, *_ in ERAS if look is observe):
            assert observe("9.99") == observe("7.0")
