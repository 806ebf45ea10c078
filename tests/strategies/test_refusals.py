"""After a refusal a design goes on: what the refused event left behind is in nobody's way (contract section 2)."""

from rmapmodel.events import Mmap, Mremap, Spawn, Write
from tests.traces import run

P = 4096
A, B = 0x100000, 0x200000


def test_growth_in_place_over_what_a_refused_move_left_there():
    """The move is refused for want of offsets, so page 2 stays; for the traced kernel it is gone, and its place free."""
    machine = run([Spawn(1), Mmap(1, A, 8 * P, "rw-", ["private", "anonymous"]), Write(1, A, 8 * P),
                   Mremap(1, A + 2 * P, P, B, 2 * P, ["maymove"]), Mremap(1, A, 2 * P, A, 3 * P)],
                  "shared_space_unique").machine
    assert [(refused["line"], refused["op"]) for refused in machine.refused] == [(4, "mremap")]
    assert len(machine.areas(machine.processes[1])) == 1
    assert not machine.processes[1].table.at(A // P + 2)
    machine.check()
