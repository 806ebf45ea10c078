"""The kernel's merge tests as traces: what tools/testing/selftests/mm/merge.c asserts in Linux 6.19, written afresh.

A scenario has the name of the test it stands for; the variants of `merge_with_fork` begin with `forked` or `unforked`.
Each starts from 30 pages without access, over which its areas are mapped: what is left of them are their neighbours.

A `Map` among the events draws one process's vmas as they must be there, page by page: `|` where a vma begins or ends,
`-` no access, `r` read only, `w` writable, `x` also executable, `.` nothing mapped, a number the page where it goes on.
Capitals: the vma has an anon_vma, which the first write gives it and merging passes on.

    before   |-|rrrrr|WWWWW|-------------------|     mprotect makes pages 6 to 10 read only
    after    |-|RRRRRRRRRR|-------------------|

Left out, since a trace has no such event: `handle_uprobe_upon_merged_vma` (a uprobe; the test asserts no range),
`ksm_merge` (PR_SET_MEMORY_MERGE, with which `observe` refuses to run) and, from later versions, mseal.
"""

from dataclasses import dataclass

from rmapmodel.events import Fork, Mmap, Mprotect, Mremap, Munmap, Spawn, Write

PAGE, START, CARVEOUT = 4096, 0x10000000, 30
PROTECTIONS = {"-": "---", "r": "r--", "w": "rw-", "x": "rwx"}
ANON = ["private", "anonymous"]


def area(page, pages, prot="rw-", also=(), pid=1):
    return Mmap(pid, START + page * PAGE, pages * PAGE, prot, [*ANON, "fixed", *also])


def protect(page, pages, prot, pid=1):
    return Mprotect(pid, START + page * PAGE, pages * PAGE, prot)


def write(page, pages=1, pid=1):
    return Write(pid, START + page * PAGE, pages * PAGE)


def unmap(page, pages):
    return Munmap(1, START + page * PAGE, pages * PAGE)


def move(page, pages, to, also=(), pid=1):
    return Mremap(pid, START + page * PAGE, pages * PAGE, START + to * PAGE, pages * PAGE, ["maymove", "fixed", *also])


@dataclass(frozen=True)
class Map:
    """What process `pid` must have mapped where it stands, by the rules of three eras (kernel-facts 9).

    From 6.16 (879bca0a2c4f) an untouched vma takes in a touched one, unless the vma that mprotect changes was inherited
    by fork; from 6.18.8 (3b617fd3d317) also unless the vma that mremap moves was.
    """

    text: str
    until_6_15: str | None = None
    from_6_16_until_6_18_7: str | None = None
    pid: int = 1

    def vmas(self, kernel):
        """(first page, end, protection, touched) of each vma on a `Kernel` from 3.0 on; page 0 is the first of 30."""
        if kernel.since(6, 18, 8):
            return drawn(self.text)
        return drawn((self.from_6_16_until_6_18_7 if kernel.since(6, 16) else self.until_6_15) or self.text)


def drawn(text):
    """The vmas of a map: (first page, end, protection, touched)."""
    page, found = 0, []
    for piece in filter(None, map(str.strip, text.split("|"))):
        if piece.isdigit():
            page = int(piece)
            continue
        kind, = set(piece)
        if kind != ".":
            found.append((page, page + len(piece), PROTECTIONS[kind.lower()], kind.isupper()))
        page += len(piece)
    return found


def mapped(vmas):
    """(first page, end, protection) of each vma of a replay or an observation; page 0 is the first of the 30."""
    return [((vma["start"] - START) // PAGE, (vma["end"] - START) // PAGE, vma["prot"]) for vma in vmas]


class Scenario:
    """The events of a scenario, and its moments: (how many events came before, the Map)."""

    def __init__(self, *steps):
        self.events, self.moments = [Spawn(1), Mmap(1, START, CARVEOUT * PAGE, "---", ANON)], []
        for step in steps:
            if isinstance(step, Map):
                self.moments.append((len(self.events), step))
            else:
                self.events.append(step)

    @property
    def keeps_source(self):
        """Whether it moves pages away from a vma that stays (MREMAP_DONTUNMAP)."""
        return any(isinstance(event, Mremap) and "dontunmap" in event.flags for event in self.events)

    def exists_on(self, kernel):
        """Whether that `Kernel` knows the calls: MREMAP_DONTUNMAP came with 5.7 (e346b3813067)."""
        return kernel.since(5, 7) or not self.keeps_source

    def may_run_on(self, kernel):
        """Whether to execute it there.

        From 6.16 to 6.18.7 such a move beside untouched memory left pages pointing to a freed anon_vma (mended by
        61f67c230a5e), which nobody's machine should suffer.
        """
        return self.exists_on(kernel) and not (self.keeps_source and kernel.since(6, 16) and not kernel.since(6, 18, 8))


# A vma that mprotect makes like its untouched neighbours

UNACCOUNTED = ["noreserve"]
"""Keeps VM_ACCOUNT, which mprotect takes only from untouched areas, out of it."""

SCENARIOS = {
    "mprotect_unfaulted_left": Scenario(
        area(1, 10, also=UNACCOUNTED), protect(1, 5, "r--"), write(6),
        Map("|-|rrrrr|WWWWW|-------------------|"),
        protect(6, 5, "r--"),
        Map("|-|RRRRRRRRRR|-------------------|", until_6_15="|-|rrrrr|RRRRR|-------------------|")),
    "mprotect_unfaulted_right": Scenario(
        area(1, 10, also=UNACCOUNTED), protect(6, 5, "r--"), write(1),
        Map("|-|WWWWW|rrrrr|-------------------|"),
        protect(1, 5, "r--"),
        Map("|-|RRRRRRRRRR|-------------------|", until_6_15="|-|RRRRR|rrrrr|-------------------|")),
    "mprotect_unfaulted_both": Scenario(
        area(2, 9, also=UNACCOUNTED), protect(2, 3, "r--"), protect(8, 3, "r--"), write(5),
        Map("|--|rrr|WWW|rrr|-------------------|"),
        protect(5, 3, "r--"),
        Map("|--|RRRRRRRRR|-------------------|", until_6_15="|--|rrr|RRR|rrr|-------------------|")),
    "mprotect_faulted_left_unfaulted_right": Scenario(
        area(2, 9, also=UNACCOUNTED), protect(8, 3, "r--"), write(2), protect(2, 3, "r--"),
        Map("|--|RRR|WWW|rrr|-------------------|"),
        protect(5, 3, "r--"),
        Map("|--|RRRRRRRRR|-------------------|", until_6_15="|--|RRRRRR|rrr|-------------------|")),
    "mprotect_unfaulted_left_faulted_right": Scenario(
        area(2, 9, also=UNACCOUNTED), protect(2, 3, "r--"), write(5), protect(8, 3, "r--"),
        Map("|--|rrr|WWW|RRR|-------------------|"),
        protect(5, 3, "r--"),
        Map("|--|RRRRRRRRR|-------------------|", until_6_15="|--|rrr|RRRRRR|-------------------|")),

    # What a child inherited joins nothing untouched, neither as what takes in nor as what is taken in, though the
    # child has copied every page

    "forked_target_vma": Scenario(
        area(1, 5), write(1), Fork(1, 2), write(1, 5, pid=2),
        Map("|-|WWWWW|------------------------|", pid=2),
        area(6, 5, pid=2),
        Map("|-|WWWWW|wwwww|-------------------|", pid=2)),
    "forked_source_vma": Scenario(
        area(1, 5, also=UNACCOUNTED), write(1), Fork(1, 2), write(1, 5, pid=2),
        area(6, 5, "rwx", UNACCOUNTED, pid=2),
        Map("|-|WWWWW|xxxxx|-------------------|", pid=2),
        protect(1, 5, "rwx", pid=2),
        Map("|-|XXXXX|xxxxx|-------------------|", pid=2)),

    # An untouched vma that mremap moves beside touched ones: it takes the offset of where it comes to

    "mremap_unfaulted_to_faulted": Scenario(
        area(1, 5), area(7, 5), move(7, 5, 1007), write(1),
        Map("|-|WWWWW|-|.....|------------------| 1007 |wwwww|"),
        move(1007, 5, 6),
        Map("|-|WWWWWWWWWW|.|------------------|")),
    "mremap_unfaulted_behind_faulted": Scenario(
        area(6, 5), area(14, 5), move(14, 5, 1014), write(6),
        Map("|------|WWWWW|---|.....|-----------| 1014 |wwwww|"),
        move(1014, 5, 1),
        Map("|-|WWWWWWWWWW|---|.....|-----------|")),
    "mremap_unfaulted_between_faulted": Scenario(       # the upper one was touched elsewhere: its offset does not fit
        area(1, 5), area(7, 5), area(14, 5), move(14, 5, 2014), move(7, 5, 1007), write(1), write(2014),
        Map("|-|WWWWW|-|.....|--|.....|-----------| 1007 |wwwww| 2014 |WWWWW|"),
        move(2014, 5, 11),
        Map("|-|WWWWW|-|....|WWWWW|...|-----------| 1007 |wwwww|"),
        move(1007, 5, 6),
        Map("|-|WWWWWWWWWW|WWWWW|...|-----------|")),
    "mremap_unfaulted_between_faulted_unfaulted": Scenario(
        area(1, 5), area(7, 5), area(14, 5), move(14, 5, 2014), move(7, 5, 1007), write(1), move(2014, 5, 11),
        Map("|-|WWWWW|-|....|wwwww|...|-----------| 1007 |wwwww|"),
        move(1007, 5, 6),
        Map("|-|WWWWWWWWWWWWWWW|...|-----------|")),
    "mremap_unfaulted_between_correctly_placed_faulted": Scenario(
        area(1, 15), write(1), unmap(6, 5), area(20, 5),
        Map("|-|WWWWW|.....|WWWWW|----|wwwww|-----|"),
        move(20, 5, 6),
        Map("|-|WWWWWWWWWWWWWWW|----|.....|-----|")),

    # Parts of one touched vma that come home, in every order

    "mremap_correct_placed_faulted": Scenario(
        area(1, 15), write(1), move(11, 5, 2011), move(6, 5, 1006),
        Map("|-|WWWWW|..........|--------------| 1006 |WWWWW| 2011 |WWWWW|"),
        move(1006, 5, 6),
        Map("|-|WWWWWWWWWW|.....|--------------| 2011 |WWWWW|"),
        move(1, 5, 1001),
        Map("|-|.....|WWWWW|.....|--------------| 1001 |WWWWW| 2011 |WWWWW|"),
        move(1001, 5, 1),
        Map("|-|WWWWWWWWWW|.....|--------------| 2011 |WWWWW|"),
        move(1, 5, 1001), move(2011, 5, 11),
        Map("|-|.....|WWWWWWWWWW|--------------| 1001 |WWWWW|"),
        move(1001, 5, 1),
        Map("|-|WWWWWWWWWWWWWWW|--------------|"),
        move(6, 5, 1006),
        Map("|-|WWWWW|.....|WWWWW|--------------| 1006 |WWWWW|"),
        move(1006, 5, 6),
        Map("|-|WWWWWWWWWWWWWWW|--------------|"),
        move(11, 5, 1011),
        Map("|-|WWWWWWWWWW|.....|--------------| 1011 |WWWWW|"),
        move(1011, 5, 11),
        Map("|-|WWWWWWWWWWWWWWW|--------------|")),
}


# A touched vma that mremap moves home, beside untouched ones mapped meanwhile; it comes from [20, 23), where a vma
# without an anon_vma stays. Once by the process that touched it, once by its child.


def with_and_without_fork(name, made, moved, before, to, apart, joined):
    """Adds both variants: `made` by the first process; `moved` and the last move, to page `to`, by it or its child."""
    for variant, pid in (("unforked", 1), ("forked", 2)):
        after = Map(joined, until_6_15=apart) if pid == 1 else Map(apart, from_6_16_until_6_18_7=joined, pid=pid)
        SCENARIOS[f"{variant}.{name}"] = Scenario(
            *made, *[Fork(1, 2)] * (pid == 2), *moved(pid), Map(before, pid=pid),
            move(20, 3, to, ["dontunmap"], pid), after)


with_and_without_fork(
    "mremap_faulted_to_unfaulted_prev",
    made=[area(4, 3), write(4)],
    moved=lambda pid: [move(4, 3, 20, pid=pid), area(1, 3, pid=pid)],
    before="|-|www|...|-------------|WWW|-------|", to=4,
    apart="|-|www|WWW|-------------|www|-------|",
    joined="|-|WWWWWW|-------------|www|-------|")
with_and_without_fork(
    "mremap_faulted_to_unfaulted_next",
    made=[area(1, 3), write(1)],
    moved=lambda pid: [move(1, 3, 20, pid=pid), area(4, 3, pid=pid)],
    before="|-|...|www|-------------|WWW|-------|", to=1,
    apart="|-|WWW|www|-------------|www|-------|",
    joined="|-|WWWWWW|-------------|www|-------|")
with_and_without_fork(
    "mremap_faulted_to_unfaulted_prev_unfaulted_next",
    made=[area(4, 3), write(4)],
    moved=lambda pid: [move(4, 3, 20, pid=pid), area(1, 3, pid=pid), area(7, 3, pid=pid)],
    before="|-|www|...|www|----------|WWW|-------|", to=4,
    apart="|-|www|WWW|www|----------|www|-------|",
    joined="|-|WWWWWWWWW|----------|www|-------|")
with_and_without_fork(      # the moved part and the next one have one anon_vma, in the child too: they always join
    "mremap_faulted_to_unfaulted_prev_faulted_next",
    made=[area(4, 6), write(4)],
    moved=lambda pid: [move(4, 3, 20, pid=pid), area(1, 3, pid=pid)],
    before="|-|www|...|WWW|----------|WWW|-------|", to=4,
    apart="|-|www|WWWWWW|----------|www|-------|",
    joined="|-|WWWWWWWWW|----------|www|-------|")
