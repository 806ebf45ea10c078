"""cow_context as drafted: what the branch of 2026 does where the strategy mends it, and what was proposed since.

The draft is mm/cow_context.c of Lorenzo Stoakes' branch project/cow-context at commit a4ac19665445; the hazards are
those that section 2.5 of the reading notes numbers. Its author says of it that it may not work out.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..events import Event, Fork, Mmap, Mremap, Munmap, Read, Spawn, Swapout, Write
from ..strategies.cow_context import CowContextStrategy, Remaps
from ..vm.kernel import DEFAULT, Kernel
from ..vm.machine import Machine

DRAFT = "a4ac19665445540721830ef6014642daddc0eff0"
"""The commit of https://github.com/kernelorg-mirror/linux_kernel_git_ljs_linux that was read."""

PAGE = 4096
A, B, C = 0x10000000, 0x20000000, 0x30000000
ANON, FIXED = ["private", "anonymous"], ["maymove", "fixed"]


class EndsWhenMappedOnce(CowContextStrategy):
    """walk_context: after delta 0 in the first live mm a page that is mapped once is looked for no further."""

    def stays_at_its_context(self, walk, places):
        return walk.mapcount[places] == 0

    def _search(self, walk, places, contexts, log):
        alone = walk.mapcount[places] == 1
        super()._search(walk, places[~alone], contexts, log)
        first = [context for context in contexts if context.mm is not None][:1]
        for context in first if alone.any() else ():
            kept, context.remaps = context.remaps, Remaps()
            super()._search(walk, places[alone], [context], log)
            context.remaps = kept


class PointsToTheReader(CowContextStrategy):
    """do_swap_page of the draft: the faulting mm's context, whoever else may map the page later."""

    def context_of_shared(self, vma):
        return vma.mm.anon


class ChangesWholeRecords(CowContextStrategy):
    """find_and_remap_existing: every record that overlaps what moved gets the new delta, however far it reaches."""

    class new_remaps(Remaps):
        def remove(self, start, end, delta):
            for low, high, deltas in zip(list(self.starts), list(self.ends), list(self.held)):
                if low < end and start < high and delta in deltas:
                    super().remove(low, high, delta)

        def replace(self, start, end, old, new):
            """Puts a delta in place of another in every record that overlaps; says whether there was one."""
            found = [deltas for low, high, deltas in zip(self.starts, self.ends, self.held)
                     if low < end and start < high and old in deltas]
            for deltas in found:
                deltas[new] = deltas.pop(old)
            return bool(found)

    def copied(self, vma, source):
        delta = vma.start - vma.pgoff
        if source.links and delta and vma.mm.anon.remaps.replace(vma.pgoff, vma.pgoff + vma.pages, source.links[2], delta):
            vma.links = (vma.pgoff, vma.pgoff + vma.pages, delta)
        super().copied(vma, source)


class OverwritesOnInsert(CowContextStrategy):
    """__dynarray_append_value: what stands where a new delta belongs is not moved up, so it is lost."""

    class new_remaps(Remaps):
        def add(self, start, end, delta):
            super().add(start, end, delta)
            for low, deltas in zip(self.starts, self.held):
                larger = [each for each in deltas if each > delta]
                if start <= low < end and deltas[delta] == 1 and larger:
                    del deltas[min(larger)]

        def remove(self, start, end, delta):
            if all(delta in deltas for low, deltas in zip(self.starts, self.held) if start <= low < end):
                super().remove(start, end, delta)


class VirtualOffsets(CowContextStrategy):
    """As proposed in June 2026: private file areas have a second offset, by address, for their anonymous pages.

    "add VMA virtual page offset field" and its followers, https://lore.kernel.org/linux-mm/cover.1782745153.git.ljs@kernel.org/
    (read by their titles). Such an area needs a record only once it is moved; areas merge where both offsets continue.
    """

    def offset(self, vma):
        return vma.anon_offset

    def offsets_meet(self, area, vma):
        lower, upper = (vma, area) if vma.end == area.start else (area, vma)
        return not vma.may_hold_anon or lower.anon_offset + lower.pages == upper.anon_offset


class Hazard(NamedTuple):
    """A history that the draft is caught by: what it does there, and the class that does the same."""

    about: str
    draft: type
    events: Callable[[int], list[Event]]


def _area(pages, at=A, pid=1):
    return [Mmap(pid, at, pages * PAGE, "rw-", ANON), Write(pid, at, pages * PAGE)]


def _move(pages, to, pid=1, at=A, also=()):
    return Mremap(pid, at, pages * PAGE, to, pages * PAGE, [*FIXED, *also])


HAZARDS = {
    "moved, one process": Hazard(
        "the search for a page that one mm maps ends before the remap records", EndsWhenMappedOnce,
        lambda pages: [Spawn(1), *_area(pages), _move(pages, B)]),
    "unmapped by the parent": Hazard(
        "the search for a page that one mm maps ends at the first live mm", EndsWhenMappedOnce,
        lambda pages: [Spawn(1), *_area(pages), Fork(1, 2), Munmap(1, A, pages * PAGE)]),
    "read back by a child": Hazard(
        "a page read back from swap points to the reader, and its parent is not below", PointsToTheReader,
        lambda pages: [Spawn(1), *_area(pages), Fork(1, 2), Swapout(), Read(2, A, pages * PAGE), Read(1, A, pages * PAGE)]),
    "half of it moved on": Hazard(
        "a record changes as a whole where half of it was meant", ChangesWholeRecords,
        lambda pages: [Spawn(1), *_area(2 * pages), Fork(1, 2), _move(2 * pages, B, 2),
                       _move(pages, C, 2, B + pages * PAGE, ["dontunmap"])]),
    "two from one place": Hazard(
        "of two distances the larger is overwritten by the smaller", OverwritesOnInsert,
        lambda pages: [Spawn(1), *_area(pages), Fork(1, 2), _move(pages, C, 2), *_area(pages, pid=2), Fork(2, 3),
                       _move(pages, B, 2)]),
}
"""Where the draft loses mappings, found by reading it (none confirmed by its author); `events(pages)` of an area."""


def completeness(design, events):
    """How many mappings the page tables hold at the end of the events, and how many of them walks find.

    `design` is a class of design. Cost: a replay, and a walk for every page.

    >>> hazard = HAZARDS["moved, one process"]
    >>> completeness(hazard.draft, hazard.events(4)), completeness(CowContextStrategy, hazard.events(4))
    ((4, 0), (4, 4))
    """
    kernel = Kernel.parse(DEFAULT)
    machine = Machine(design(kernel), kernel)
    for line, event in enumerate(events, 1):
        machine.apply(event, line)
    held = set(zip(*(column.tolist() for column in machine.truth())))
    found = machine.strategy.walk(machine.resident()).mappings()
    return len(held), len(held & set(zip(*(column.tolist() for column in found))))
