"""The protocol of a design: what the machine asks a strategy and what it tells it; and the registry of designs.

A strategy finds a frame's mappings from its own structures alone. The machine asks `compatible`, `ends_compatible`,
`new_offset`, `moved_offset`, `can_grow`, `copies_before_move` and `copies_at_swap_in`; everything else tells it what has
just happened. Pages always come as arrays: frames, and beside them the pages (virtual page numbers) at which one mm maps
them.

Where an object cannot be had, `ledger.alloc` raises NoMemory. A hook that lets it through has changed nothing, as far as
any later hook can tell; the machine undoes what it did itself. A hook that tells of an end (`unlinked`, `mm_gone`,
`dropped`, `unmapped`, `file_unmapped`) makes nothing that could fail.
"""

import re

import numpy as np

from ..cost.ledger import Ledger, Walk
from ..cost.sizes import FIELD, size_of
from ..errors import InputError, hint
from ..index import INDEXES, make_index
from ..vm.frames import ANON
from .files import FilePages

STRATEGIES = {}


def register(cls):
    """Registers a design under its `name`; it then appears in every command, table and test.

    Raises InputError for a class that cannot be run as a design, with what it lacks.
    """
    wrong = next(_wrong_with(cls), None)
    if wrong:
        raise InputError(f"the design {getattr(cls, '__qualname__', cls)} {wrong}")
    STRATEGIES[cls.name] = cls
    return cls


def _wrong_with(cls):
    """Yields what keeps a class from being a design."""
    if not (isinstance(cls, type) and issubclass(cls, Strategy)):
        yield "is not a subclass of rmapmodel.strategies.base.Strategy"
        return
    if not isinstance(cls.name, str):
        yield "has no name"
        return
    if not re.fullmatch("[a-z][a-z0-9_]*", cls.name) or cls.name == "truth":
        yield f"cannot be named {cls.name!r}: a name is lower-case letters, digits and _, and not `truth`"
    other = STRATEGIES.get(cls.name, cls)
    if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):  # else a cell run again
        yield f"cannot be named {cls.name!r}: that is {other.__module__}.{other.__qualname__}"
    if cls.walk is Strategy.walk and cls.walk_anonymous is Strategy.walk_anonymous:
        yield "has no walk_anonymous(walk, at, log)"
    if isinstance(cls.objects, str) or not all(isinstance(fields, dict) for fields in (cls.embeds, cls.sizes)):
        yield "must give `objects` as a tuple of names, `embeds` and `sizes` as dicts of tuples of fields"
        return
    if not (isinstance(cls.default_index, tuple) and len(cls.default_index) == 2 and set(cls.default_index) <= set(INDEXES)):
        yield f"must give `default_index` as (anonymous, file), each one of {', '.join(INDEXES)}"
    if set(cls.embeds) - {"vma", "mm", "page"}:
        yield f"embeds fields in {min(set(cls.embeds) - {'vma', 'mm', 'page'})!r}; there are vma, mm and page"
    if cls.objects and cls.census is Strategy.census and cls.count_objects is Strategy.count_objects:
        yield "makes objects but has no count_objects()"
    for place, fields in [*cls.embeds.items(), *cls.sizes.items()]:
        unknown = set(fields) - set(FIELD["x86_64"])
        if unknown:
            yield f"gives {place} the field {min(unknown)!r}; fields are {', '.join(FIELD['x86_64'])}"
    for kind in (kind for kind in cls.objects if kind not in cls.sizes):
        for arch in FIELD:
            try:
                size_of(kind, arch, (0, 0, 0))
            except InputError:
                yield (f"makes {kind}, whose size is not known on {arch}; give its fields, like "
                       f"sizes = {{{kind!r}: ('pointer', 'list_head')}}, out of {', '.join(FIELD[arch])}")


def strategy(name):
    """The design registered as `name`; raises InputError with the nearest right name otherwise."""
    if name not in STRATEGIES:
        raise InputError(f"unknown strategy {name!r}{hint(name, STRATEGIES)} (there are {', '.join(STRATEGIES)})", field="strategy")
    return STRATEGIES[name]


class Strategy:
    """A design without a reverse map for anonymous pages; a real one overrides what it needs.

    `kernel` is a vm.kernel.Kernel, `index` a name of rmapmodel.index.INDEXES for both sides or None for what the design
    shipped with. Class attributes: `name`; `objects`, the structures it makes; `sizes`, the fields of those that the
    tables of rmapmodel.cost lack, by name; `embeds`, the fields it adds to each vma, mm and page; `default_index`, its
    (anonymous, file) search structures; `walks_files`, whether it finds file pages through the file's vmas: the lock of
    these is a cost of no other design.
    """

    name = None
    objects = ()
    sizes = {}
    embeds = {}
    default_index = ("list", "interval_tree")
    walks_files = True

    def __init__(self, kernel, index=None, arch="x86_64"):
        self.kernel, self.arch = kernel, arch
        self.anon_index, self.file_index = (index, index) if index else self.shipped_index()
        self.make_index(self.anon_index), self.make_index(self.file_index)
        self.ledger = Ledger(self.objects, self.embeds, arch, kernel.version, self.sizes)
        self.machine = self.frames = None
        self.files = FilePages(self)

    def make_index(self, name=None):
        """An empty search structure: the anonymous side's, or the one named."""
        return make_index(name or self.anon_index, self.arch)

    def shipped_index(self):
        """The (anonymous, file) search structures the design was proposed or shipped with in this kernel."""
        return self.default_index

    @property
    def index(self):
        """The search structures in use, as `anonymous/file`."""
        return f"{self.anon_index}/{self.file_index}"

    def merge_kernel(self, kernel):
        """The kernel whose merge rules hold: the one given, for a design that was never tied to some."""
        return kernel

    def attach(self, machine):
        """The machine that this strategy now serves."""
        self.machine, self.frames = machine, machine.frames

    # -- asked: vmas ------------------------------------------------------------------------------------------------

    def compatible(self, area, vma):
        """Whether the anonymous side lets `area` (vm.merge.Area) join the touching `vma`: offsets and objects."""
        return self.offsets_meet(area, vma) and self.objects_agree(area, vma)

    def ends_compatible(self, prev, next):
        """Whether `prev` and `next`, each compatible with what lies between them, may become one vma."""
        return True

    def offsets_meet(self, area, vma):
        """Whether the anonymous offsets of `area` and `vma` continue each other (file offsets are the machine's)."""
        if not area.is_anonymous:
            return True
        lower, upper = (vma, area) if vma.end == area.start else (area, vma)
        return lower.pgoff + lower.pages == upper.pgoff

    def objects_agree(self, area, vma):
        """Whether the anonymous objects of `area` and `vma` let them be one vma."""
        return True

    def new_offset(self, mm, start, end):
        """The offset of new private memory at pages [start, end), or None when none is left.

        It is vm_pgoff of anonymous memory; of a file area, whose vm_pgoff is the file's, it is `anon_pgoff`.
        """
        return start

    def moved_offset(self, vma, start, end, new, length):
        """The offset, as of `new_offset`, that pages [start, end) of private `vma` have at their new place `new`.

        `length` is the length there, in pages; None when it cannot have so many offsets. mm/mremap.c:copy_vma:
        untouched memory takes its offset from the new address, touched memory keeps its own.
        """
        return vma.anon_offset + start - vma.start if vma.faulted else new

    def can_grow(self, vma, pages, downwards=False):
        """Whether private `vma` has offsets to grow by so many pages, upwards or as a stack does."""
        return True

    # -- asked: pages -----------------------------------------------------------------------------------------------

    def copies_before_move(self, vma, frames, pages):
        """Which of the anonymous frames that mremap is about to move from `vma` must be copied first; None for none."""
        return None

    def copies_at_swap_in(self, vma, frames, pages):
        """Which of the frames just read back from swap into `vma` must be copied at once; None for none."""
        return None

    def follows_moves(self):
        """Whether the design has a say in what mremap moves, or keeps what that changes: else it is told nothing of pages."""
        return not (getattr(self.moved, "__func__", None) is Strategy.moved
                    and getattr(self.file_moved, "__func__", None) is Strategy.file_moved
                    and getattr(self.copies_before_move, "__func__", None) is Strategy.copies_before_move)

    # -- told: address spaces and vmas ------------------------------------------------------------------------------

    def mm_made(self, mm):
        """An mm was made by exec."""

    def mm_forked(self, child, parent):
        """An mm was made by fork; its vmas follow, each as `forked`."""

    def mm_gone(self, mm):
        """The last user of an mm left; its vmas and pages are gone."""

    def linked(self, vma):
        """A new vma is in place (mmap, brk)."""
        self.files.link(vma)

    def forked(self, vma, parent_vma):
        """fork copied `parent_vma` as `vma`."""
        self.files.link(vma, parent_vma)

    def copied(self, vma, source):
        """mremap made `vma` as the new place of part of `source`."""
        self.files.link(vma)

    def moves(self, vma, start, end, new):
        """mremap is about to move what pages [start, end) of private `vma` hold to page `new` of the same mm."""

    def split(self, new, vma, old):
        """`new` was split off `vma`; `old` is the (start, end, pgoff, anon_pgoff) that `vma` had."""
        self.files.split(new, vma)

    def adopted(self, survivor, donor):
        """`survivor`, which had no anonymous pages, is about to take in a range with those of `donor`."""

    def adjusted(self, vma, adjacent=None):
        """`vma` changed its range; with `adjacent`, the boundary between the two moved."""
        self.files.adjust(vma, adjacent)

    def dropped(self, vma):
        """mremap moved every page of `vma` away and left it in place (MREMAP_DONTUNMAP)."""

    def made_nonlinear(self, vma):
        """remap_file_pages made `vma` nonlinear."""
        self.files.adjust(vma)

    def unlinked(self, vma):
        """`vma` is gone: unmapped, merged away, or its mm ended; its pages went before it."""
        self.files.unlink(vma)

    def prepared(self, vma):
        """`vma` is about to get its first anonymous page (anon_vma_prepare)."""

    # -- told: pages ------------------------------------------------------------------------------------------------

    def mapped_new(self, vma, frames, pages):
        """New anonymous frames were mapped in `vma`."""

    def duplicated(self, mm, parent, frames, pages):
        """fork mapped anonymous frames of the mm `parent` in `mm` too."""

    def copied_on_write(self, vma, old, new, pages):
        """`vma` maps `new` frames in place of shared anonymous `old` ones."""
        self.mapped_new(vma, new, pages)
        self.unmapped(vma.mm, old, pages)

    def reused(self, vma, frames, pages):
        """`vma`, the last to map these anonymous frames, wrote to them and keeps them."""

    def moved(self, vma, frames, old_pages, new_pages):
        """mremap moved the ptes of anonymous frames to `vma`."""

    def unmapped(self, mm, frames, pages):
        """Ptes of anonymous frames are gone; those with mapcount 0 are freed next, or stay on swap."""

    def swapped_in(self, vma, frames, pages, exclusive):
        """Frames read back from swap were mapped in `vma`; `exclusive` marks those known to be its own."""

    def file_mapped(self, vma, frames, pages):
        """Page cache frames were mapped in `vma`."""

    def file_unmapped(self, mm, frames, pages):
        """Ptes of page cache frames are gone."""

    def file_moved(self, vma, frames, old_pages, new_pages):
        """mremap moved the ptes of page cache frames to `vma`."""

    # -- the reverse map --------------------------------------------------------------------------------------------

    def walk(self, frames, log=None):
        """The reverse-map walks over an ascending array of mapped frames, as a cost.ledger.Walk.

        `log`, a list, receives a dict for each visit in order, for one frame only (the command `explain`).
        """
        walk = Walk(frames, self.frames.mapcount[frames])
        anonymous = (self.frames.flags[frames] & ANON) != 0
        walk.lines += self.ledger.lines("page")
        if anonymous.any():
            self.walk_anonymous(walk, np.flatnonzero(anonymous), log)
        if not anonymous.all():
            self.walk_files(walk, np.flatnonzero(~anonymous), log)
        return walk

    def walk_anonymous(self, walk, at, log):
        """Fills in `walk` at the places `at`, which hold anonymous frames."""
        raise TypeError(f"{self.name} has no walk for anonymous pages")

    def walk_files(self, walk, at, log):
        """Fills in `walk` at the places `at`, which hold page cache frames."""
        self.files.walk(walk, at, log)

    def referenced(self, walk):
        """What page_referenced leaves behind in the design's structures after these walks."""

    def census(self):
        """Objects by kind, found by going through the structures; equals ledger.alive() at all times."""
        mms = self.machine.mms.values()
        return {"vm_area_struct": sum(len(mm.vmas) for mm in mms), **self.count_objects()}

    def count_objects(self):
        """The design's own objects by kind, found by going through its structures."""
        return {}

    # -- tools for the designs --------------------------------------------------------------------------------------

    @staticmethod
    def merged_away(vma):
        """Whether an unlinked `vma` was swallowed by a neighbour, as part of that one's change of range."""
        return vma.mm.find(vma.start) is not None

    def groups(self, frames):
        """Yields (anchor, positions): the frames that point to the same object, ascending by index within it."""
        anchor, index = self.frames.anchor[frames], self.frames.index[frames]
        order = np.lexsort((index, anchor))
        ordered = anchor[order]
        cuts = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(order)]
        for low, high in zip(cuts, cuts[1:]):
            yield int(ordered[low]), order[low:high]
