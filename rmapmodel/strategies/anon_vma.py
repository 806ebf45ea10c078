"""`anon_vma`: per-vma tracking, Linux 2.6.7 to 2.6.33."""

from ..vm.vma import ACCESS
from .base import Strategy, register
from .search import search


class AnonVma:
    """The object that pages point to: the set of vmas that may map them."""

    __slots__ = ("number", "vmas")

    def __init__(self, number, vmas):
        self.number, self.vmas = number, vmas


@register
class AnonVmaStrategy(Strategy):
    """Andrea Arcangeli's design, "anon_vma RFC2" of 11 March 2004, merged as Hugh Dickins' rmap 39 and 40 (2.6.7).

    A page points to an anon_vma; its index is its linear offset in the vma, vm_pgoff + (address - start). An anon_vma is
    a list of the vmas that may map its pages: those that inherited one another by fork or split. A vma carries a pointer
    to its anon_vma and a list node. Nothing is done to pages when areas move: the moved vma keeps its vm_pgoff.
    """

    name = "anon_vma"
    objects = ("anon_vma",)
    embeds = {"vma": ("pointer", "list_head"), "page": ("int",)}
    default_index = ("list", "prio_tree")

    def __init__(self, kernel, index=None, arch="x86_64"):
        super().__init__(kernel, index, arch)
        self.locks_new = kernel.since(2, 6, 28)  # d9d332e0874f: also where nobody else can know the anon_vma yet
        self.end_needs_no_lock = kernel.since(2, 6, 32)  # 252c5f94d944: vma_adjust, where only vm_end changes
        self.importer, self.locked = None, False

    def merge_kernel(self, kernel):
        """The design's merge rules are those of the kernels that had it."""
        return kernel.between((2, 6, 7), (2, 6, 33))

    def attach(self, machine):
        super().attach(machine)
        self.anon_vmas, self.made = {}, 0

    # -- merging: mm/mmap.c:is_mergeable_anon_vma, 2.6.11

    def objects_agree(self, area, vma):
        mine = area.origin.anon if area.origin else None
        return mine is None or vma.anon is None or mine is vma.anon

    def ends_compatible(self, prev, next):
        return prev.anon is None or next.anon is None or prev.anon is next.anon

    # -- vmas

    def prepared(self, vma):
        """The first write fault: a neighbour's anon_vma if the two could be one vma but for r, w, x; else a new one."""
        anon = self.mergeable_anon_vma(vma)
        locks = anon is not None or self.locks_new
        if anon is None:
            self.ledger.alloc("anon_vma")
            self.made += 1
            anon = self.anon_vmas[self.made] = AnonVma(self.made, self.make_index())
        if locks:
            self.lock(anon.number)
        self.join(vma, anon)

    def mergeable_anon_vma(self, vma):
        """The anon_vma of a touching neighbour to share, next before prev (mm/mmap.c:find_mergeable_anon_vma)."""
        for near, lower, upper in ((vma.mm.after(vma), vma, vma.mm.after(vma)),
                                   (vma.mm.before(vma), vma.mm.before(vma), vma)):
            if near is not None and near.anon is not None and lower.end == upper.start \
                    and not (lower.flags ^ upper.flags) & ~ACCESS and lower.file is upper.file \
                    and lower.pgoff + lower.pages == upper.pgoff:
                return near.anon
        return None

    def join(self, vma, anon):
        """Links a vma at the head of an anon_vma's list."""
        vma.anon = anon
        vma.links = anon.vmas.insert(vma, vma.pgoff, vma.pgoff + vma.pages - 1, head=True)

    def lock(self, number, vmas=1):
        """One hold of an anon_vma's lock, over so many of its vmas."""
        self.ledger.lock("anon_vma", "exclusive", number, vmas)

    def leave(self, vma):
        """Unlinks a vma; the last one frees the anon_vma (mm/rmap.c:anon_vma_unlink)."""
        anon = vma.anon
        anon.vmas.remove(vma.links)
        vma.anon = vma.links = None
        if not len(anon.vmas):
            del self.anon_vmas[anon.number]
            self.ledger.lock_gone("anon_vma", anon.number)
            self.ledger.free("anon_vma")

    def forked(self, vma, parent_vma):
        if vma.faulted:
            self.lock(parent_vma.anon.number)
            self.join(vma, parent_vma.anon)
        super().forked(vma, parent_vma)

    def copied(self, vma, source):
        if source.anon is not None:
            self.lock(source.anon.number)
            self.join(vma, source.anon)
        super().copied(vma, source)

    def split(self, new, vma, old):
        if vma.anon is not None:
            self.lock(vma.anon.number, 2)
            self.join(new, vma.anon)
            vma.anon.vmas.move(vma.links, vma.pgoff, vma.pgoff + vma.pages - 1)
        super().split(new, vma, old)

    def adopted(self, survivor, donor):
        self.join(survivor, donor.anon)
        self.importer = survivor

    def adjusted(self, vma, adjacent=None):
        """mm/mmap.c:vma_adjust: with what was adopted before it, and merged away after it, one hold of the lock."""
        vmas = [each for each in (vma, adjacent) if each is not None and each.anon is not None]
        imports = any(each is self.importer for each in vmas)
        self.locked = bool(vmas) and (imports or adjacent is not None or not self.end_needs_no_lock
                                      or vma.links.start != vma.pgoff)
        if self.locked:
            self.lock(vmas[0].anon.number, len(vmas) + imports)
        self.importer = None
        for each in vmas:
            each.anon.vmas.move(each.links, each.pgoff, each.pgoff + each.pages - 1)
        super().adjusted(vma, adjacent)

    def dropped(self, vma):
        if vma.anon is not None:
            self.lock(vma.anon.number)
            self.leave(vma)

    def unlinked(self, vma):
        if vma.anon is not None:
            if not self.merged_away(vma):
                self.lock(vma.anon.number)
            elif self.locked:
                self.ledger.hold_on("anon_vma", "exclusive", 1)
            else:
                # the survivor, of which only the end changed, and this one
                self.locked = True
                self.lock(vma.anon.number, 2)
            self.leave(vma)
        super().unlinked(vma)

    # -- pages: only a page's first mapping sets where it points

    def mapped_new(self, vma, frames, pages):
        self.frames.set_anchor(frames, vma.anon.number, pages - vma.start + vma.pgoff)

    def swapped_in(self, vma, frames, pages, exclusive):
        fresh = self.frames.anchor[frames] == 0
        self.mapped_new(vma, frames[fresh], pages[fresh])

    # -- the walk: mm/rmap.c:page_referenced_anon and try_to_unmap_anon, 2.6.11

    def walk_anonymous(self, walk, at, log):
        anon_lines, vma_lines = self.ledger.lines("anon_vma"), self.ledger.lines("vm_area_struct")
        for number, places in self.groups(walk.frames[at]):
            places = at[places]
            if log is not None:
                log.append({"visits": "anon_vma", "number": number,
                            "index": int(self.frames.index[walk.frames[places[0]]])})
            _, nodes, _ = search(self, walk, places, self.anon_vmas[number].vmas, lambda vma: (vma, vma.pgoff), log)
            walk.lock(places, "anon_vma", "exclusive", number, nodes)
            walk.lines[places] += anon_lines + nodes * vma_lines

    def count_objects(self):
        return {"anon_vma": len({id(vma.anon) for mm in self.machine.mms.values() for vma in mm.vmas if vma.anon})}
