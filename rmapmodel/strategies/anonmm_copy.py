"""`anonmm_copy`: anonmm, with a private copy for whoever moves a shared page."""

from .base import register
from .families import AnonMmFamilies


@register
class AnonMmCopyStrategy(AnonMmFamilies):
    """Linus Torvalds' simplification of 13 March 2004, as Hugh Dickins built it in "rmap 11 mremap moves" (2.6.6-bk).

    A page points to the anonmm of the mm that first mapped it; its index is its virtual address, the same in every mm
    that maps it. A vma carries nothing. mremap gives a page that one mm maps its new index; one that is shared it copies
    first, an early copy on write. Swap entries just move: a page read back at another address than its index is
    copied at once. [kernel-facts section 4; the patch: 200405222204.i4MM4Yr12483@mail.osdl.org]
    """

    name = "anonmm_copy"

    def copies_before_move(self, vma, frames, pages):
        """mremap_move_anon_rmap: only a page with one mapping can take its new address along."""
        return self.frames.mapcount[frames] > 1

    def copies_at_swap_in(self, vma, frames, pages):
        """mremap_moved_anon_rmap: the page has another address already."""
        return self.frames.index[frames] != pages

    def moved(self, vma, frames, old_pages, new_pages):
        self.frames.index[frames] = new_pages
