"""What a kernel's age decides, apart from the design: `Kernel` answers by name, `--kernel` chooses it."""

import re
from dataclasses import dataclass

from ..errors import InputError

OLDEST = (2, 4)
NEWEST = (7, 0)
DEFAULT = "7.0"


@dataclass(frozen=True)
class Kernel:
    """A kernel version and the rules of memory management that follow from it.

    >>> Kernel.parse("6.18.44-generic").moves_span_vmas
    True
    >>> Kernel.parse("2.6.4").fork_copies_all_ptes
    True
    """

    text: str
    version: tuple

    @classmethod
    def parse(cls, text):
        """The kernel that `uname -r` prints as `text`; raises InputError when it is unparsable or before 2.4."""
        match = re.match(r"^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,6})(?:\.[\w.+~-]*)?)?(?:-\S*|[+~_][\w.+~-]*)?$", text or "")
        if not match:
            raise InputError(f"{text!r} is not a kernel version like 6.18.44 or 2.6.4-rc2", field="kernel")
        version = tuple(int(part) for part in match.groups(default="0"))
        if version < OLDEST:
            raise InputError(f"{text} is older than 2.4, the oldest kernel described", field="kernel")
        return cls(text, version)

    def since(self, *version):
        """Whether this kernel is `version` or newer."""
        return self.version >= version

    def in_stable(self, *releases):
        """Whether this is one of the stable `releases` (major, minor, patch) or a later one of the same series."""
        return any(self.version[:2] == release[:2] and self.version >= release for release in releases)

    def between(self, oldest, newest):
        """This kernel, or the nearest one from `oldest` to `newest` (versions of three numbers)."""
        version = min(max(self.version, oldest), newest)
        return self if version == self.version else Kernel(".".join(map(str, version)), version)

    @property
    def newer_than_described(self):
        """Whether the rules used are those of an older kernel, the newest described."""
        return self.version[:2] > NEWEST

    @property
    def merge_procedure(self):
        """Which procedure of vm/merge.py applies (kernel-facts 9 and 14.5)."""
        if not self.since(2, 6, 7):
            return "2.4"
        if not self.since(6, 1):
            return "2.6.7"
        return "6.1" if not self.since(6, 12) else "6.12"

    @property
    def files_merge(self):
        """Whether areas of one file merge at all: 2.4's can_vma_merge refuses any file or shared area."""
        return self.since(2, 5)

    @property
    def fork_copies_all_ptes(self):
        """Whether fork copies the ptes of vmas without anonymous pages ("lazy page table copies", 2.6.14)."""
        return not self.since(2, 6, 14)

    @property
    def walks_skip_empty_mms(self):
        """Whether a walk passes over an mm without resident pages before it looks at a pte (page_referenced_one, 2.6.11;
        gone with 2.6.15, from general knowledge)."""
        return not self.since(2, 6, 15)

    @property
    def swap_keeps_exclusive(self):
        """Whether a swap entry remembers that its page was exclusive (include/linux/swapops.h, 5.19)."""
        return self.since(5, 19)

    @property
    def map_stack_is_nohugepage(self):
        """Whether MAP_STACK sets VM_NOHUGEPAGE (c4608d1bf7c6: 6.8, and stable 6.7.5 and 6.6.17; kernel-facts 14.1)."""
        return self.since(6, 8) or self.in_stable((6, 7, 5), (6, 6, 17))

    @property
    def mprotect_drops_account(self):
        """Whether mprotect takes VM_ACCOUNT from an untouched area made read-only (mprotect_fixup, 6.7)."""
        return self.since(6, 7)

    @property
    def brk_only_expands(self):
        """Whether brk may grow only the vma that ends at the old break (mm/mmap.c:do_brk_flags, 6.1)."""
        return self.since(6, 1)

    @property
    def areas_merge_on_any_change(self):
        """Whether mlock and madvise merge as mprotect does (vma_merge as the single engine, 2.6.7)."""
        return self.since(2, 6, 7)

    @property
    def brk_needs_something_to_shrink(self):
        """Whether brk refuses to shrink where nothing is mapped (mm/mmap.c:brk, 6.1)."""
        return self.since(6, 1)

    @property
    def brk_keeps_the_stack_gap(self):
        """Whether brk stays 256 pages away from a growsdown vma (vm_start_gap, 4.12)."""
        return self.since(4, 12)

    @property
    def remove_needs_only_shared(self):
        """Whether madvise(remove) works on shared areas that may not be written now (vma_is_shared_maywrite, 6.7)."""
        return self.since(6, 7)

    @property
    def growth_merges_next(self):
        """Whether mremap's growth in place may swallow the next vma (mm/mremap.c, 6.0; before, vma_adjust alone)."""
        return self.since(6, 0)

    @property
    def moves_span_vmas(self):
        """Whether a move of equal length to a fixed address may span vmas (mm/mremap.c:remap_move, 6.17)."""
        return self.since(6, 17)

    @property
    def remap_file_pages_is_emulated(self):
        """Whether remap_file_pages makes vmas instead of a nonlinear mapping (4.0)."""
        return self.since(4, 0)

    @property
    def munmap_splits_outwards(self):
        """Whether munmap keeps the old struct for the middle it removes (mm/vma.c:vms_gather_munmap_vmas, 6.3); before,
        the removed middle is the new struct (mm/mmap.c:do_munmap, 2.6.11)."""
        return self.since(6, 3)
