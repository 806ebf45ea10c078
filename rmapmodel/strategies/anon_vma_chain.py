"""`anon_vma_chain`: an anon_vma per process and vma, linked to its ancestors', Linux 2.6.34 to today."""

from ..errors import NoMemory
from ..vm.vma import ACCESS
from .base import Strategy, register
from .search import search


AVC_MEMORY = 330
"""Estimated bytes this program needs for an AVC and its place in a tree."""


class AnonVma:
    """The object that pages point to: a set of AVCs, a parent, and the counts that decide on re-use."""

    __slots__ = ("number", "vmas", "parent", "root", "degree", "num_children", "num_active_vmas")

    def __init__(self, number, vmas, parent=None):
        self.number, self.vmas = number, vmas
        self.parent, self.root = (self, self) if parent is None else (parent, parent.root)
        self.degree, self.num_children, self.num_active_vmas = 1, 0, 0


class AnonVmaChain:
    """An AVC: links one vma with one anon_vma, and is the vma's node in the anon_vma's tree."""

    __slots__ = ("vma", "anon_vma", "node")

    def __init__(self, vma, anon_vma):
        self.vma, self.anon_vma, self.node = vma, anon_vma, None


@register
class AnonVmaChainStrategy(Strategy):
    """Rik van Riel's design of January 2010 (commit 5beb49305251, 2.6.34), as it has been changed since.

    A page points to an anon_vma; its index is its linear offset in the vma. Each process that inherits a touched vma
    gets an anon_vma of its own for the pages it will copy, and an anon_vma_chain (AVC) to every ancestor's anon_vma, whose
    pages it may still map. A vma carries the pointer `anon_vma`, where its new pages go, and the list of its AVCs,
    newest first. `vma.links` is that list, as the kernel's same_vma list reads from the head.
    """

    name = "anon_vma_chain"
    objects = ("anon_vma", "anon_vma_chain")
    embeds = {"vma": ("pointer", "list_head"), "page": ("int",)}

    def __init__(self, kernel, index=None, arch="x86_64"):
        super().__init__(kernel, index, arch)
        since = kernel.since
        self.any_null_merges = not since(3, 0)
        self.merges_into_untouched = since(6, 16)
        self.checks_copied = since(6, 18, 8)
        # 2555283eb40d: 6.0, and stable releases of September 2022 (their numbers from general knowledge)
        counts = since(6, 0) or kernel.in_stable((4, 9, 327), (4, 14, 292), (4, 19, 257), (5, 4, 212), (5, 10, 141),
                                                 (5, 15, 65), (5, 19, 7))
        self.reuse = "counters" if counts else "degree" if since(3, 19) else None
        self.keeps_sharing = since(5, 5) and not since(5, 7)
        self.reverses_on_clone = since(7, 0)
        # 012f18004da3 (2.6.36); 3.0 takes it once for all AVCs of a vma (bb4aa39676f7, eee2acbae955), and vma_adjust no
        # longer for a split (5f70b962ccc2); rwsem: 5a505085f043, 4fc3f1d66b1e (3.8)
        self.locks_root, self.locks_once = since(2, 6, 36), since(3, 0)
        self.modes = ("write", "read") if since(3, 8) else ("exclusive", "exclusive")
        self.trees_follow = since(3, 7)  # bf181b9f9d8d: a vma's range is changed with its AVCs out of their trees
        self.range_locked = False

    def shipped_index(self):
        return ("interval_tree", "interval_tree") if self.kernel.since(3, 7) else ("list", "prio_tree")

    def merge_kernel(self, kernel):
        """The design's merge rules are those of the kernels that had it."""
        return kernel.between((2, 6, 34), (1 << 30, 0, 0))

    def attach(self, machine):
        super().attach(machine)
        self.anon_vmas, self.made = {}, 0

    # -- merging: mm/vma.c:is_mergeable_anon_vma (kernel-facts section 9)

    def objects_agree(self, area, vma):
        mine, theirs = area.origin.anon if area.origin else None, vma.anon
        if mine is theirs:
            return True
        if mine is not None and theirs is not None:
            return False
        if self.any_null_merges:
            return True
        if not self.merges_into_untouched:
            return len(vma.links or ()) == 1
        if theirs is not None:
            return not is_fork_child(vma)
        return not is_fork_child(area.middle) and not (self.checks_copied and is_fork_child(area.copied))

    def ends_compatible(self, prev, next):
        return prev.anon is None or next.anon is None or prev.anon is next.anon

    # -- the structures

    def new_anon_vma(self, parent=None):
        """A new anon_vma, a root unless it has a parent."""
        self.ledger.alloc("anon_vma")
        self.made += 1
        anon = self.anon_vmas[self.made] = AnonVma(self.made, self.make_index(), parent)
        return anon

    def lock(self, anon_vma, avcs=1):
        """One hold of an anon_vma's lock, which is its root's where that guards all (mm/rmap.c:anon_vma_lock)."""
        if self.locks_root:
            self.ledger.lock("anon_vma root", self.modes[0], anon_vma.root.number, avcs)
        else:
            self.ledger.lock("anon_vma", "exclusive", anon_vma.number, avcs)

    def lock_all(self, avcs):
        """The holds to link or unlink these AVCs of one vma: one for each, or one for all (lock_anon_vma_root)."""
        if self.locks_once:
            self.lock(avcs[0].anon_vma, len(avcs))
        else:
            for avc in avcs:
                self.lock(avc.anon_vma)

    def chain(self, vma, anon_vma, head=False):
        """Links a vma to an anon_vma with a new AVC, first in the vma's list."""
        self.ledger.alloc("anon_vma_chain")
        self.machine.budget.need(AVC_MEMORY)
        avc = AnonVmaChain(vma, anon_vma)
        avc.node = anon_vma.vmas.insert(avc, vma.pgoff, vma.pgoff + vma.end - vma.start - 1, head)
        if vma.links is None:
            vma.links = [avc]
        else:
            vma.links.insert(0, avc)
        return avc

    def clone(self, vma, source, for_fork=False):
        """Links `vma` to every anon_vma of `source` (mm/rmap.c:anon_vma_clone); oldest first up to 6.19.

        7.0 allocates along the source and links backwards through the copy, so it goes newest first, and every clone
        reverses the list.
        """
        order = source.links if self.reverses_on_clone else reversed(source.links)
        self.lock_all(source.links)
        vma.links = []
        try:
            for avc in order:
                self.chain(vma, avc.anon_vma)
                if for_fork and vma.anon is None and avc.anon_vma is not source.anon and self.may_reuse(avc.anon_vma):
                    vma.anon = avc.anon_vma
        except NoMemory:  # enomem_failure; cleanup_partial_anon_vmas in 7.0
            vma.anon = None
            self.unlink_all(vma)
            raise
        if vma.anon is not None:
            vma.anon.degree += 1
            vma.anon.num_active_vmas += 1

    def may_reuse(self, anon_vma):
        """Whether a fork's child may use an ancestor's anon_vma as its own (kernel-facts section 8)."""
        if self.reuse == "counters":
            return anon_vma.num_active_vmas == 0 and anon_vma.num_children < 2
        return self.reuse == "degree" and anon_vma.degree < 2

    # -- vmas

    def prepared(self, vma):
        """The first write fault: mm/rmap.c:__anon_vma_prepare."""
        anon = self.mergeable_anon_vma(vma)
        made = anon is None
        if made:
            anon = self.new_anon_vma()
            anon.num_children += 1  # a root is its own parent
        try:
            self.chain(vma, anon, head=True)
        except NoMemory:
            if made:
                self.put(anon)
            raise
        vma.anon = anon
        self.lock(anon)
        anon.degree += 1
        anon.num_active_vmas += 1

    def mergeable_anon_vma(self, vma):
        """The anon_vma of a touching neighbour that never forked, next before prev (find_mergeable_anon_vma)."""
        after, before = vma.mm.after(vma), vma.mm.before(vma)
        for near, lower, upper in ((after, vma, after), (before, before, vma)):
            if near is not None and near.anon is not None and len(near.links) == 1 and lower.end == upper.start \
                    and not (lower.flags ^ upper.flags) & ~ACCESS and lower.file is upper.file \
                    and lower.pgoff + lower.pages == upper.pgoff:
                return near.anon
        return None

    def forked(self, vma, parent_vma):
        """mm/rmap.c:anon_vma_fork: the parent's AVCs, then an anon_vma of its own unless one can be re-used."""
        if vma.faulted:
            if self.keeps_sharing:
                # 4e4a9eb92133: meant the child's previous vma, took the parent's, whose anon_vma is the parent's own
                before = parent_vma.mm.before(parent_vma)
                if before is not None and before.anon is parent_vma.anon:
                    vma.anon = parent_vma.anon
            self.clone(vma, parent_vma, for_fork=True)
            if vma.anon is None:
                try:
                    self.own_anon_vma(vma, parent_vma.anon)
                except NoMemory:
                    self.unlink_all(vma)
                    raise
        super().forked(vma, parent_vma)

    def own_anon_vma(self, vma, parent):
        """Gives a forked vma an anon_vma below its parent's."""
        anon = self.new_anon_vma(parent)
        try:
            self.chain(vma, anon)
        except NoMemory:
            self.put(anon)
            raise
        parent.num_children += 1
        parent.degree += 1
        anon.num_active_vmas = 1
        vma.anon = anon
        self.lock(anon)

    def duplicate(self, vma, source):
        """Gives a piece or a copy of `source` the same anon_vma and AVCs."""
        if source.anon is not None:
            vma.anon = source.anon
            self.clone(vma, source)

    def copied(self, vma, source):
        self.duplicate(vma, source)
        super().copied(vma, source)

    def split(self, new, vma, old):
        self.duplicate(new, vma)
        if vma.anon is not None and self.locks_root and (not self.locks_once or self._needs_lock(vma)):
            self._lock_range(vma)
        self.reinsert(vma)
        super().split(new, vma, old)

    def adopted(self, survivor, donor):
        self.duplicate(survivor, donor)

    def adjusted(self, vma, adjacent=None):
        """mm/mmap.c:vma_adjust: one hold; what is merged away after it is unlinked in a hold of its own."""
        first, second = (vma, adjacent) if vma.anon is not None else (adjacent, None)
        self.range_locked = first is not None and first.anon is not None and self.locks_root \
            and (adjacent is not None or self._needs_lock(vma))
        if self.range_locked:
            self._lock_range(first, second)
        self.reinsert(vma)
        if adjacent is not None:
            self.reinsert(adjacent)
        super().adjusted(vma, adjacent)

    def _needs_lock(self, vma):
        # "When changing only vma->vm_end, we don't really need anon_vma lock", until there were trees
        return self.trees_follow or vma.links[0].node.start != vma.pgoff

    def _lock_range(self, vma, adjacent=None):
        # without trees the AVCs stay where they are, and each vma is one node
        nodes = len(vma.links) if self.trees_follow else 1
        if adjacent is not None and adjacent.anon is not None:
            nodes += len(adjacent.links) if self.trees_follow else 1
        self.lock(vma.anon, nodes)

    def reinsert(self, vma):
        """Takes every AVC of a vma out of its tree and puts it in again for the vma's new range."""
        for avc in vma.links or ():
            avc.anon_vma.vmas.move(avc.node, vma.pgoff, vma.pgoff + vma.pages - 1)

    def dropped(self, vma):
        self.leave(vma)

    def unlinked(self, vma):
        if vma.anon is not None and self.locks_root and not self.range_locked and self.merged_away(vma):
            # the survivor of which only the end changed: a neighbour that goes takes the lock all the same
            self.range_locked = True
            self._lock_range(vma)
        self.leave(vma)
        super().unlinked(vma)

    def leave(self, vma):
        """mm/rmap.c:unlink_anon_vmas: newest to oldest; anon_vmas left without a vma are freed afterwards."""
        if vma.anon is None:
            return
        self.lock_all(vma.links)
        vma.anon.num_active_vmas -= 1
        vma.anon.degree -= 1
        vma.anon = None
        self.unlink_all(vma)

    def unlink_all(self, vma):
        """Takes a vma's AVCs out of their trees and frees them, and then the anon_vmas that are left without one."""
        emptied = []
        for avc in vma.links:
            anon = avc.anon_vma
            anon.vmas.remove(avc.node)
            avc.node = None  # whose entry it is: Python frees at once what is in no circle
            if not len(anon.vmas):
                anon.parent.num_children -= 1
                anon.parent.degree -= 1
                emptied.append(anon)
        self.ledger.free("anon_vma_chain", len(vma.links))
        self.machine.budget.free(AVC_MEMORY * len(vma.links))
        vma.links = None
        for anon in emptied:
            self.put(anon)

    def put(self, anon_vma):
        """Frees an anon_vma that nothing is linked to."""
        del self.anon_vmas[anon_vma.number]
        if anon_vma.root is anon_vma or not self.locks_root:
            self.ledger.lock_gone("anon_vma root" if self.locks_root else "anon_vma", anon_vma.number)
        anon_vma.parent = anon_vma.root = None  # a root is its own
        self.ledger.free("anon_vma")

    # -- pages

    def mapped_new(self, vma, frames, pages):
        shift = vma.pgoff - vma.start
        self.frames.set_anchor(frames, vma.anon.number, pages + shift if shift else pages)

    def reused(self, vma, frames, pages):
        """mm/rmap.c:page_move_anon_rmap: the page now belongs to the writer's own anon_vma."""
        self.frames.anchor[frames] = vma.anon.number

    def swapped_in(self, vma, frames, pages, exclusive):
        """A page not known to be the process's own goes to the oldest anon_vma (__page_set_anon_rmap)."""
        fresh = self.frames.anchor[frames] == 0
        self.frames.index[frames[fresh]] = pages[fresh] - vma.start + vma.pgoff
        self.frames.anchor[frames[fresh]] = self.root(vma).number
        self.frames.anchor[frames[fresh & exclusive]] = vma.anon.number

    def root(self, vma):
        """The oldest anon_vma a vma is linked to."""
        return vma.anon.root

    # -- the walk: mm/rmap.c:rmap_walk_anon

    def walk_anonymous(self, walk, at, log):
        anon_lines, avc_lines = self.ledger.lines("anon_vma"), self.ledger.lines("anon_vma_chain")
        vma_lines = self.ledger.lines("vm_area_struct")
        for number, places in self.groups(walk.frames[at]):
            places = at[places]
            if log is not None:
                log.append({"visits": "anon_vma", "number": number,
                            "index": int(self.frames.index[walk.frames[places[0]]])})
            anon = self.anon_vmas[number]
            examined, nodes, _ = search(self, walk, places, anon.vmas, _of_chain, log)
            if self.locks_root:
                walk.lock(places, "anon_vma root", self.modes[1], anon.root.number, nodes)
                if anon.root is not anon:
                    walk.lines[places] += self.ledger.lines("anon_vma_root")
            else:
                walk.lock(places, "anon_vma", "exclusive", number, nodes)
            walk.lines[places] += anon_lines + nodes * avc_lines + examined * vma_lines

    def count_objects(self):
        chains = [avc for mm in self.machine.mms.values() for vma in mm.vmas for avc in vma.links or ()]
        return {"anon_vma": len({id(avc.anon_vma) for avc in chains}), "anon_vma_chain": len(chains)}


def is_fork_child(vma):
    """Whether a vma may hold pages of ancestors: it has an anon_vma and not exactly one AVC (vma_is_fork_child, 7.0)."""
    return vma is not None and vma.anon is not None and len(vma.links) != 1


def _of_chain(avc):
    return avc.vma, avc.vma.pgoff
