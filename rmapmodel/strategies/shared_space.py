"""`shared_space`: one address_space per exec, shared across fork: the proposal that started the project."""

from .base import Strategy, register
from .search import search


class Space:
    """The address_space of an exec and all its descendants by fork: the set of their private vmas."""

    __slots__ = ("number", "vmas", "mms")

    def __init__(self, number, vmas):
        self.number, self.vmas, self.mms = number, vmas, 0


@register
class SharedSpaceStrategy(Strategy):
    """Rik van Riel's proposal of 12 March 2004 (Pine.LNX.4.44.0403120736420.3576-100000), reading f1.

    A page points to the address_space of the mm that first mapped it; its index is its offset in that space, as a file
    page's is in its file, and is a search key only: several pages may carry the same. Every private vma carries
    its offset there (vm_pgoff; a private file area needs a second one, here the page number of its address) and a tree
    node; an mm carries a pointer to the space. mremap changes vm_start and vm_end, nothing else.
    [kernel-facts section 6]
    """

    name = "shared_space"
    objects = ("address_space",)
    embeds = {"vma": ("pointer", "pointer", "pointer", "pointer", "long"), "mm": ("pointer",), "page": ("int",)}
    default_index = ("prio_tree", "prio_tree")
    space = Space

    def attach(self, machine):
        super().attach(machine)
        self.spaces, self.made = {}, 0

    # -- address spaces

    def mm_made(self, mm):
        self.ledger.alloc("address_space")
        self.made += 1
        mm.anon = self.spaces[self.made] = self.space(self.made, self.make_index())
        mm.anon.mms = 1

    def mm_forked(self, child, parent):
        child.anon = parent.anon
        child.anon.mms += 1

    def mm_gone(self, mm):
        mm.anon.mms -= 1
        if not mm.anon.mms:
            del self.spaces[mm.anon.number]
            self.ledger.lock_gone("address_space", mm.anon.number)
            self.ledger.free("address_space")

    # -- merging: offsets must continue each other, in both offsets of a private file area; the object is always the same

    def offsets_meet(self, area, vma):
        if not vma.may_hold_anon:
            return True
        lower, upper = (vma, area) if vma.end == area.start else (area, vma)
        return lower.anon_offset + lower.pages == upper.anon_offset

    def moved_offset(self, vma, start, end, new, length):
        """The offset stays, of untouched memory too: only vm_start and vm_end change."""
        return vma.anon_offset + start - vma.start

    # -- vmas

    def link(self, vma, beside=None):
        """Puts a private vma into its space, at fork right behind its original."""
        if vma.may_hold_anon:
            tree, start, last = vma.mm.anon.vmas, vma.anon_offset, vma.anon_offset + vma.pages - 1
            vma.links = tree.insert(vma, start, last) if beside is None \
                else tree.insert_after(vma, start, last, beside.links)

    def follow(self, vma):
        """Follows a change of a vma's range."""
        if vma.links is not None:
            vma.mm.anon.vmas.move(vma.links, vma.anon_offset, vma.anon_offset + vma.pages - 1)

    def lock(self, vma, vmas=1):
        """One hold of the lock of a private vma's space, over so many of its vmas; its mode is that of a file's."""
        if vma.may_hold_anon:
            self.ledger.lock("address_space", self.files.modes[0], vma.mm.anon.number, vmas)

    def linked(self, vma):
        self.lock(vma)
        self.link(vma)
        super().linked(vma)

    def forked(self, vma, parent_vma):
        self.lock(vma)
        self.link(vma, parent_vma)
        super().forked(vma, parent_vma)

    def copied(self, vma, source):
        self.lock(vma)
        self.link(vma)
        super().copied(vma, source)

    def split(self, new, vma, old):
        self.lock(vma, 2)
        self.link(new)
        self.follow(vma)
        super().split(new, vma, old)

    def adjusted(self, vma, adjacent=None):
        self.lock(vma, 1 if adjacent is None else 2)
        self.follow(vma)
        if adjacent is not None:
            self.follow(adjacent)
        super().adjusted(vma, adjacent)

    def unlinked(self, vma):
        if vma.links is not None:
            if self.merged_away(vma):
                self.ledger.hold_on("address_space", self.files.modes[0], 1)
            else:
                self.lock(vma)
            vma.mm.anon.vmas.remove(vma.links)
            vma.links = None
        super().unlinked(vma)

    # -- pages

    def mapped_new(self, vma, frames, pages):
        self.frames.set_anchor(frames, vma.mm.anon.number, pages - vma.start + vma.anon_offset)

    def swapped_in(self, vma, frames, pages, exclusive):
        fresh = self.frames.anchor[frames] == 0
        self.mapped_new(vma, frames[fresh], pages[fresh])

    # -- the walk: as for a file

    def walk_anonymous(self, walk, at, log):
        space_lines, vma_lines = self.ledger.lines("address_space"), self.ledger.lines("vm_area_struct")
        for number, places in self.groups(walk.frames[at]):
            places = at[places]
            if log is not None:
                log.append({"visits": "address_space", "number": number,
                            "index": int(self.frames.index[walk.frames[places[0]]])})
            _, nodes, _ = search(self, walk, places, self.spaces[number].vmas, lambda vma: (vma, vma.anon_offset), log)
            walk.lock(places, "address_space", self.files.modes[1], number, nodes)
            walk.lines[places] += space_lines + nodes * vma_lines

    def count_objects(self):
        return {"address_space": len({id(mm.anon) for mm in self.machine.mms.values()})}
