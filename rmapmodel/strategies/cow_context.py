"""`cow_context`: an object per mm in a tree that mirrors fork, remaps kept on the side; Lorenzo Stoakes, 2026."""

from bisect import bisect_left, bisect_right

import numpy as np

from ..errors import NoMemory
from ..vm.frames import ANON, EXCLUSIVE
from ..vm.vma import PAGE
from .base import Strategy, register


class Remaps:
    """The remap records of a context: disjoint ranges of page indices, and the deltas of the areas that hold them.

    A delta is an area's start less its offset, in pages. It counts the areas that recorded it: while two areas merge,
    both hold the same range.

    >>> remaps = Remaps()
    >>> remaps.add(0, 8, 100), remaps.add(4, 8, 20), remaps.remove(4, 8, 100), len(remaps)
    (None, None, None, 2)
    >>> list(remaps.deltas(np.array([2, 5])))
    [(20, slice(1, 2, None)), (100, slice(0, 1, None))]
    """

    def __init__(self):
        self.starts, self.ends, self.held = [], [], []

    def __len__(self):
        return len(self.starts)

    def _cut(self, at):
        """Splits the record that holds `at` in its middle, and returns the place of the first that starts there or above."""
        place = bisect_left(self.starts, at)
        if place and self.ends[place - 1] > at:
            self._put(place, at, self.ends[place - 1], dict(self.held[place - 1]))
            self.ends[place - 1] = at
        return place

    def _put(self, place, start, end, deltas):
        self.starts.insert(place, start)
        self.ends.insert(place, end)
        self.held.insert(place, deltas)

    def needed(self, start, end):
        """How many records more there will be when one of [start, end) is added."""
        more, place = 0, bisect_right(self.ends, start)
        for edge in (start, end):  # a record that holds an edge in its middle is cut there
            at = bisect_right(self.starts, edge) - 1
            more += at >= 0 and self.starts[at] < edge < self.ends[at]
        while start < end:
            inside = place < len(self.starts) and self.starts[place] < end
            more += start < (self.starts[place] if inside else end)
            start, place = (self.ends[place] if inside else end), place + 1
        return more

    def add(self, start, end, delta):
        """Records that an area with this delta holds indices [start, end): fills the gaps, joins what is there."""
        place = self._cut(start)
        self._cut(end)
        while start < end:
            next = self.starts[place] if place < len(self.starts) else end
            if start < next:
                self._put(place, start, min(next, end), {delta: 1})
            else:
                self.held[place][delta] = self.held[place].get(delta, 0) + 1
            start, place = self.ends[place], place + 1

    def remove(self, start, end, delta):
        """Forgets an area with this delta that held indices [start, end)."""
        place = self._cut(start)
        self._cut(end)
        while place < len(self.starts) and self.starts[place] < end:
            deltas = self.held[place]
            deltas[delta] -= 1
            if not deltas[delta]:
                del deltas[delta]
            if deltas:
                place += 1
            else:
                del self.starts[place], self.ends[place], self.held[place]

    def deltas(self, points):
        """Yields (delta, slice of the ascending `points` in a record that holds it), by delta."""
        first = bisect_right(self.starts, int(points[0])) - 1 if len(points) else len(self.starts)
        found = []
        for place in range(max(first, 0), len(self.starts)):
            if self.starts[place] > points[-1]:
                break
            low, high = np.searchsorted(points, (self.starts[place], self.ends[place])).tolist()
            if low < high:
                found += [(delta, slice(low, high)) for delta in self.held[place]]
        return iter(sorted(found, key=lambda each: (each[0], each[1].start)))


class Context:
    """The object that pages point to: an mm, its place in the tree, how many pages point here, and its remap records."""

    __slots__ = ("number", "mm", "parent", "children", "pages", "remaps")

    def __init__(self, number, mm, parent, remaps):
        self.number, self.mm, self.parent, self.pages, self.remaps = number, mm, parent, 0, remaps
        self.children = {}

    @property
    def references(self):
        """What keeps it alive: its mm, its children, and each page that points to it."""
        return (self.mm is not None) + len(self.children) + self.pages

    def below(self):
        """Itself, then its descendants, each behind its own, the youngest child first (traverse_contexts)."""
        order, stack = [], [(self, False)]
        while stack:
            context, done = stack.pop()
            if done:
                order.append(context)
            else:
                stack.append((context, True))
                stack += [(child, False) for child in context.children.values()]
        return [self, *order[:-1]]

    def root(self):
        """The context of the exec that the family descends from."""
        context = self
        while context.parent is not None:
            context = context.parent
        return context


@register
class CowContextStrategy(Strategy):
    """Lorenzo Stoakes' "scalable CoW" as in his branch project/cow-context of 2026 (modern-rmap section 2), made complete.

    A page points to the context of the mm that first mapped, copied or re-used it; its index is its linear offset in the
    vma. Contexts form a tree by fork; one lives while its mm, a child or a page refers to it. A vma carries nothing; a
    touched one whose start is not its offset (moved memory, a private file area) has a remap record in its mm's context.
    A walk visits the page's context and all below it, looks in each mm at the index itself, and then at what the records
    say of that index; only vmas with the delta looked for count. Areas merge where their offsets continue each other.

    The draft loses mappings where this model does not: it ends the walk of a page that one mm maps before the records
    are asked, wherever that mm is; here only a page marked exclusive, which is always at its own context, ends there,
    and the records are asked. It points a page read back from swap to the reader's context; here, as in
    anon_vma, one not known to be the reader's own goes to the family's oldest. Its records change as a whole where part of
    one was meant, and a smaller delta overwrites a larger; here not. It records a private file area when it is forked, here
    when it gets its first anonymous page. [tests/strategies/test_cow_context.py]
    """

    name = "cow_context"
    objects = ("cow_context", "remap_record")
    embeds = {"mm": ("pointer",), "page": ("int", "pointer")}
    new_remaps = Remaps

    def attach(self, machine):
        super().attach(machine)
        self.contexts, self.made = {}, 0

    # -- address spaces: mm_init_cow_context, dup_cow_context, drop_cow_context

    def mm_made(self, mm):
        self._new(mm, None)

    def mm_forked(self, child, parent):
        self._new(child, parent.anon)
        self._lock_children(parent.anon)
        parent.anon.children[child.anon.number] = child.anon

    def _new(self, mm, parent):
        self.ledger.alloc("cow_context")
        self.made += 1
        mm.anon = self.contexts[self.made] = Context(self.made, mm, parent, self.new_remaps())

    def _lock_children(self, context):
        self.ledger.lock("cow_context list_write_lock", "exclusive", context.number)

    def mm_gone(self, mm):
        mm.anon.mm = None
        self._put(mm.anon)

    def _put(self, context):
        """Frees a context without references, and its parents in turn (__put_cow_context)."""
        while context is not None and not context.references:
            del self.contexts[context.number]
            self.ledger.free("cow_context")
            for name in ("cow_context list_write_lock", "cow_context remap_mt"):
                self.ledger.lock_gone(name, context.number)
            if context.parent is not None:
                self._lock_children(context.parent)
                del context.parent.children[context.number]
            context = context.parent

    # -- vmas: only what is not where its offsets say is recorded (should_track_remap)

    def offset(self, vma):
        """The index of the page at a vma's start: vm_pgoff, a file's offset in a private file area."""
        return vma.pgoff

    def track(self, *vmas):
        """Records touched vmas that are not at their offsets, in place of what was recorded of them before; all or none."""
        before = [vma.links for vma in vmas]
        try:
            for vma in vmas:
                index = self.offset(vma)
                delta = vma.start - index
                self._record(vma, (index, index + vma.pages, delta) if vma.faulted and delta else None)
        except NoMemory:
            with self.ledger.unfailing():
                for vma, record in zip(vmas, before):
                    self._record(vma, record)
            raise

    def forget(self, vma):
        """Forgets what is recorded of a vma."""
        self._record(vma, None)

    def _record(self, vma, wanted):
        if wanted == vma.links:
            return
        context, remaps = vma.mm.anon, vma.mm.anon.remaps
        if vma.links is not None:
            before = len(remaps)
            remaps.remove(*vma.links)
            vma.links = None
            self.ledger.free("remap_record", before - len(remaps))
            self._lock_remaps(context)
        if wanted is not None:
            self.ledger.alloc("remap_record", remaps.needed(*wanted[:2]))
            remaps.add(*wanted)
            vma.links = wanted
            self._lock_remaps(context)

    def _lock_remaps(self, context):
        self.ledger.lock("cow_context remap_mt", "exclusive", context.number)

    def prepared(self, vma):
        self.track(vma)

    def forked(self, vma, parent_vma):
        self.track(vma)
        super().forked(vma, parent_vma)

    def copied(self, vma, source):
        self.track(vma)
        super().copied(vma, source)

    def split(self, new, vma, old):
        self.track(new, vma)
        super().split(new, vma, old)

    def adopted(self, survivor, donor):
        self.track(survivor)

    def adjusted(self, vma, adjacent=None):
        self.track(*(each for each in (vma, adjacent) if each is not None))
        super().adjusted(vma, adjacent)

    def dropped(self, vma):
        self.forget(vma)

    def unlinked(self, vma):
        self.forget(vma)
        super().unlinked(vma)

    # -- pages: each holds a reference of its context

    def mapped_new(self, vma, frames, pages):
        self.frames.index[frames] = pages - vma.start + self.offset(vma)
        self.point(frames, vma.mm.anon)

    def point(self, frames, context):
        """Points pages that point nowhere to a context."""
        self.frames.anchor[frames] = context.number
        context.pages += len(frames)

    def unpoint(self, frames):
        """Drops the references that pages hold."""
        numbers, counts = np.unique(self.frames.anchor[frames], return_counts=True)
        self.frames.anchor[frames] = 0
        for number, count in zip(numbers.tolist(), counts.tolist()):
            self.contexts[number].pages -= count
            self._put(self.contexts[number])

    def reused(self, vma, frames, pages):
        """folio_move_anon_rmap: a page that its last owner writes to moves to the writer's context."""
        self.unpoint(frames)
        self.point(frames, vma.mm.anon)

    def unmapped(self, mm, frames, pages):
        self.unpoint(frames[(self.frames.mapcount[frames] == 0) & (self.frames.anchor[frames] != 0)])

    def swapped_in(self, vma, frames, pages, exclusive):
        fresh = self.frames.anchor[frames] == 0
        self.frames.index[frames[fresh]] = pages[fresh] - vma.start + self.offset(vma)
        self.point(frames[fresh & exclusive], vma.mm.anon)
        self.point(frames[fresh & ~exclusive], self.context_of_shared(vma))

    def context_of_shared(self, vma):
        """Where a page goes that is read back from swap and may be others' too."""
        return vma.mm.anon.root()

    # -- the walk: cow_context_walk; under RCU, without a lock

    def walk_anonymous(self, walk, at, log):
        for number, places in self.groups(walk.frames[at]):
            places, context = at[places], self.contexts[number]
            own = self.stays_at_its_context(walk, places)
            if own.any():
                self._search(walk, places[own], [context], log)
            if not own.all():
                self._search(walk, places[~own], context.below(), log)

    def stays_at_its_context(self, walk, places):
        """Which frames are not looked for below the context they point to."""
        return (self.frames.flags[walk.frames[places]] & EXCLUSIVE) != 0

    def _search(self, walk, places, contexts, log):
        index, wanted = self.frames.index[walk.frames[places]], walk.mapcount[places]
        found = np.zeros(len(places), np.int64)
        walk.candidates[places] += len(contexts)
        for context in contexts:
            active = found < wanted
            if active.any():
                walk.examined[places] += active
                walk.nodes[places] += active
                walk.lines[places] += active * self.ledger.lines("cow_context")
                if context.mm is None:
                    self._log(log, context, active, None, "its mm is gone")
                else:
                    self._look(walk, places, context, slice(0, len(places)), active, 0, index, found, log)
            for delta, part in context.remaps.deltas(index):
                walk.candidates[places[part]] += 1
                active = found < wanted
                walk.examined[places[part]] += active[part]
                walk.nodes[places[part]] += active[part]
                walk.lines[places[part]] += active[part] * self.ledger.lines("remap_record")
                self._look(walk, places, context, part, active, delta, index, found, log)

    def _look(self, walk, places, context, part, active, delta, index, found, log):
        """walk_context_remap: the vmas of one mm at index + delta, of which those count that have this delta."""
        which = np.arange(part.start, part.stop)[active[part]]
        if not len(which):
            return
        pages, mm, met, hits = index[which] + delta, context.mm, False, False
        for vma in mm.overlapping(max(int(pages[0]), 0), int(pages[-1]) + 1):
            low, high = np.searchsorted(pages, (vma.start, vma.end)).tolist()
            if low == high:
                continue
            inside = which[low:high]
            walk.lines[places[inside]] += self.ledger.lines("vm_area_struct")
            if vma.start - self.offset(vma) != delta:
                continue
            met = True
            walk.ptes[places[inside]] += 1
            walk.pt_locks[places[inside]] += 1
            frames = walk.frames[places[inside]]
            hit = mm.table.gather(pages[low:high]) == frames
            walk.found(frames[hit], mm.number, pages[low:high][hit])
            found[inside[hit]] += 1
            hits |= bool(hit.any())
        self._log(log, context, active[part], int(pages[0]),
                  "maps it" if hits else "does not map it" if met else f"no area with delta {delta}")

    def _log(self, log, context, active, page, outcome):
        if log is not None and active.any():
            mm = context.mm
            log.append({"visits": "cow_context", "number": context.number, "outcome": outcome,
                        **({} if mm is None else {"mm": mm.number, "pids": sorted(mm.users), "address": page * PAGE})})

    def count_objects(self):
        anonymous = (self.frames.flags[:self.frames.used] & ANON) != 0
        pointed = set(self.frames.anchor[:self.frames.used][anonymous].tolist()) - {0}
        held = {mm.anon for mm in self.machine.mms.values()} | {self.contexts[number] for number in pointed}
        for context in list(held):
            while context.parent is not None:
                context = context.parent
                held.add(context)
        return {"cow_context": len(held), "remap_record": sum(len(context.remaps) for context in held)}
