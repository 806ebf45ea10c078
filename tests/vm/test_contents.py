"""What pages hold, in a machine that keeps contents."""

import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Exit, Fork, Madvise, Mmap, Read, RemapFilePages, Spawn, Swapout, Write
from rmapmodel.strategies import strategy
from rmapmodel.vm.kernel import Kernel
from rmapmodel.vm.machine import Machine
from tests.traces import run

P, A = 4096, 0x100000
ANON = ["private", "anonymous"]


def contents(*events, pid=1):
    kernel = Kernel.parse("7.0")
    machine = Machine(strategy("anon_vma_chain")(kernel), kernel, contents=True)
    for line, event in enumerate(events, 1):
        machine.apply(event, line)
    pages, stamps = machine.contents(machine.processes[pid])
    return dict(zip((pages - A // P).tolist(), stamps.tolist()))


START = (Spawn(1), Mmap(1, A, 3 * P, "rw-", ANON), Read(1, A, P), Write(1, A + P, 2 * P), Fork(1, 2))


def test_zero_pages_copies_and_swap():
    assert contents(*START) == {0: 0, 1: 4, 2: 4}
    assert contents(*START, Write(2, A + P, P)) == {0: 0, 1: 4, 2: 4}
    assert contents(*START, Write(2, A + P, P), pid=2) == {0: 0, 1: 6, 2: 4}
    assert contents(*START, Swapout()) == {0: 0, 1: 4, 2: 4}
    assert contents(*START, Swapout(), Read(1, A, 3 * P), Write(2, A + P, P), pid=2) == {0: 0, 1: 8, 2: 4}


def test_a_private_copy_holds_what_the_file_held_then():
    maps = (Spawn(1), Mmap(1, A, P, "rw-", ["private"], "f", 0), Mmap(1, A + P, P, "rw-", ["shared"], "f", 0))
    written = (*maps, Write(1, A + P, P))
    assert contents(*written, Read(1, A, P)) == {0: 4, 1: 4}
    assert contents(*written, Madvise(1, A, P, "populate_write"), Write(1, A + P, P)) == {0: 4, 1: 6}
    assert contents(*written, Read(1, A, P), Madvise(1, A + P, P, "remove"), Read(1, A, 2 * P)) == {0: 0, 1: 0}


def test_free_leaves_a_page_alone_that_others_have_on_swap():
    """mm/madvise.c:madvise_free_pte_range: a page in the swap cache is marked only if its slot can be freed."""
    maps = (Spawn(1), Mmap(1, A, P, "rw-", ANON), Write(1, A, P))
    freed = (Madvise(1, A, P, "free"), Exit(2), Swapout())
    assert contents(*maps, Fork(1, 2), Exit(2), Madvise(1, A, P, "free"), Swapout()) == {}
    assert contents(*maps, Fork(1, 2), Swapout(), Read(1, A, P), *freed) == {0: 3}


def test_remove_of_a_nonlinear_mapping_is_refused():
    """mm/madvise.c:madvise_remove, 2.6.16 to 3.19: EINVAL for VM_LOCKED and VM_NONLINEAR."""
    events = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ["shared"], "f", 0), RemapFilePages(1, A, P, 1),
              Madvise(1, A, P, "remove")]
    run(events, kernel="4.0")
    with pytest.raises(InputError):
        run(events, kernel="3.10")
