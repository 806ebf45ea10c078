"""The walk over vmas that every object-based design shares: compute the address, look at the pte, stop when done."""

import numpy as np

from ..vm.vma import PAGE


def search(strategy, walk, at, tree, place, log=None):
    """Searches `tree` for the frames at the places `at` of `walk`, which are ascending by index.

    `place(entry)` gives (vma, offset): the vma and the offset of its start in the tree's key space. A walk that stops
    early ends with the frame's last mapping; one that does not visits every entry (a list) or every overlapping one (a
    tree). The lock that is held meanwhile is the caller's to count. Cost: a handful of numpy calls for each entry that
    overlaps a frame still looked for. Returns arrays beside `at`: entries examined, nodes touched, mappings found
    (numbers where all are alike).
    """
    frames = walk.frames[at]
    points = strategy.frames.index[frames]
    if len(tree) == 1 and log is None and _found_in_only(walk, at, tree, place, frames, points):
        return 1, 1, 1
    wanted = walk.mapcount[at]
    count = len(at)
    found, seen, spared = np.zeros((3, count), np.int64)
    skips_empty = strategy.kernel.walks_skip_empty_mms
    looking = tree.search(points)
    ended, left = looking.ended, count
    entries = looking if log is None else _logged(tree, looking, place, log)
    for position, entry, low, high in entries:
        vma, offset = place(entry)
        shift, table, number = vma.start - offset, vma.mm.table, vma.mm.number
        if high - low == 1:
            if ended[low] >= 0:
                continue
            seen[low] += 1
            if skips_empty and not vma.mm.rss:
                spared[low] += 1
                note(log, vma, None, "no page resident")
                continue
            page = int(points[low]) + shift
            hit = table.at(page) == frames[low]
            if hit:
                walk.found_one(frames[low], number, page)
                found[low] += 1
                if found[low] >= wanted[low]:
                    ended[low] = position
                    left -= 1
            note(log, vma, page, "maps it" if hit else "does not map it")
        else:
            active = (ended[low:high] < 0).nonzero()[0] + low
            if not len(active):
                continue
            seen[active] += 1
            if skips_empty and not vma.mm.rss:
                spared[active] += 1
                continue
            pages = points[active] + shift
            hit = table.gather(pages) == frames[active]
            if hit.any():
                done = active[hit]
                walk.found(frames[done], number, pages[hit])
                found[done] += 1
                done = done[found[done] >= wanted[done]]
                ended[done] = position
                left -= len(done)
        if not left:
            break
    walk.ptes[at] += seen - spared
    walk.pt_locks[at] += seen - spared
    if tree.ordered:
        examined, candidates = seen, tree.overlaps(points)
    else:
        examined, candidates = np.where(ended >= 0, ended + 1, len(tree)), len(tree)
    nodes = looking.nodes_touched(examined)
    walk.examined[at] += examined
    walk.candidates[at] += candidates
    walk.nodes[at] += nodes
    return examined, nodes, found


def _found_in_only(walk, at, tree, place, frames, points):
    """The walk where one vma is all there is and maps every page: most walks; False if it is not so."""
    vma, offset = place(next(iter(tree)))
    if points[0] < offset or points[-1] >= offset + vma.pages:
        return False
    pages = points + (vma.start - offset)
    if (vma.mm.table.gather(pages) != frames).any() or (walk.mapcount[at] != 1).any():
        return False
    walk.found(frames, vma.mm.number, pages)
    for part in (walk.examined, walk.candidates, walk.nodes, walk.ptes, walk.pt_locks):
        part[at] += 1
    return True


def _logged(tree, looking, place, log):
    """The search for one point, which also logs the entries of a list that it passes without a look at a pte."""
    entries, passed = iter(tree), 0
    for position, entry, low, high in looking:
        if not tree.ordered:
            for _ in range(position - passed):
                note(log, place(next(entries))[0], None, "out of range")
            next(entries)
            passed = position + 1
        yield position, entry, low, high


def note(log, vma, page, outcome):
    """Logs the visit of a vma, and the page of it that was looked at or None, for the command `explain`."""
    if log is None:
        return
    log.append({"visits": "vm_area_struct", "mm": vma.mm.number, "pids": sorted(vma.mm.users),
                "start": vma.start * PAGE, "end": vma.end * PAGE,
                "address": None if page is None else page * PAGE, "outcome": outcome})
