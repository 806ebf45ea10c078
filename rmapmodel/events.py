"""The event: one small record a line of a trace (contract.md section 2), and nothing about what it does."""

from typing import Annotated, Literal, Union

import msgspec
from msgspec import Meta

from .errors import InputError

Pid = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Bytes = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Prot = Annotated[str, Meta(pattern="^[r-][w-][x-]$", max_length=3)]

MMAP_FLAGS = ("private", "shared", "anonymous", "fixed", "noreserve", "growsdown", "stack", "locked", "special")
MREMAP_FLAGS = ("maymove", "fixed", "dontunmap")
ADVICE_VMA = ("dontfork", "dofork", "dontdump", "dodump", "hugepage", "nohugepage", "mergeable", "unmergeable",
              "wipeonfork", "keeponfork", "random", "sequential", "normal")
ADVICE_PAGES = ("dontneed", "free", "pageout", "remove", "populate_read", "populate_write", "cold", "willneed")


class Event(msgspec.Struct, tag_field="op", forbid_unknown_fields=True, omit_defaults=True):
    """One event of a trace; `op` is the tag, addresses and lengths are bytes."""


class Header(Event, tag="header", kw_only=True):
    version: Literal[1]
    page_size: Literal[4096] = 4096
    arch: Literal["x86_64", "i386"] | None = None
    kernel: str | None = None
    source: str | None = None
    missing: list[str] = []


class Spawn(Event, tag="spawn"):
    pid: Pid


class Fork(Event, tag="fork"):
    pid: Pid
    child: Pid


class Vfork(Event, tag="vfork"):
    pid: Pid
    child: Pid


class CloneVm(Event, tag="clone_vm"):
    pid: Pid
    child: Pid


class Exec(Event, tag="exec"):
    pid: Pid


class Exit(Event, tag="exit"):
    pid: Pid


class Mmap(Event, tag="mmap"):
    pid: Pid
    addr: Bytes
    len: Bytes
    prot: Prot
    flags: list[Literal[MMAP_FLAGS]]
    file: str | None = None
    offset: Bytes = 0

    def __post_init__(self):
        flags = self.flags
        if ("private" in flags) == ("shared" in flags):
            raise InputError('either "private" or "shared" is wanted', field="flags")
        if ("anonymous" in flags) == (self.file is not None):
            raise InputError('either "anonymous" or a file is wanted', field="flags")
        if self.offset and self.file is None:
            raise InputError("only a mapping of a file has an offset", field="offset")


class Munmap(Event, tag="munmap"):
    pid: Pid
    addr: Bytes
    len: Bytes


class Mprotect(Event, tag="mprotect"):
    pid: Pid
    addr: Bytes
    len: Bytes
    prot: Prot


class Mremap(Event, tag="mremap"):
    pid: Pid
    addr: Bytes
    len: Bytes
    new_addr: Bytes
    new_len: Bytes
    flags: list[Literal[MREMAP_FLAGS]] = []


class Brk(Event, tag="brk"):
    pid: Pid
    addr: Bytes


class Mlock(Event, tag="mlock"):
    pid: Pid
    addr: Bytes
    len: Bytes


class Munlock(Event, tag="munlock"):
    pid: Pid
    addr: Bytes
    len: Bytes


class Madvise(Event, tag="madvise"):
    pid: Pid
    addr: Bytes
    len: Bytes
    advice: Literal[ADVICE_VMA + ADVICE_PAGES]


class Read(Event, tag="read"):
    pid: Pid
    addr: Bytes
    len: Bytes


class Write(Event, tag="write"):
    pid: Pid
    addr: Bytes
    len: Bytes


class RemapFilePages(Event, tag="remap_file_pages"):
    pid: Pid
    addr: Bytes
    len: Bytes
    pgoff: Bytes


class _Walk(Event):
    pid: Pid | None = None
    addr: Bytes | None = None
    len: Bytes | None = None

    def __post_init__(self):
        if (self.addr is None) != (self.len is None):
            raise InputError("addr and len come together", field="addr" if self.addr is None else "len")
        if self.addr is not None and self.pid is None:
            raise InputError("a range wants the process it lies in", field="pid")


class Reclaim(_Walk, tag="reclaim"):
    """Without `pid` every resident page, with it those of the process, or of its range."""


class Swapout(_Walk, tag="swapout"):
    """As `Reclaim`, and unmaps what it finds."""


EVENTS = (Spawn, Fork, Vfork, CloneVm, Exec, Exit, Mmap, Munmap, Mprotect, Mremap, Brk, Mlock, Munlock, Madvise,
          Read, Write, RemapFilePages, Reclaim, Swapout)
AnyEvent = Union[(Header, *EVENTS)]


def in_words(event: Event) -> str:
    """An event as a line for people: the process, the op, and its keys as in a trace, lengths in pages.

    >>> in_words(Mremap(3, 0x10000, 8192, 0x40000, 8192, ["maymove"]))
    'process 3: mremap addr 0x10000, len 2 pages, new_addr 0x40000, new_len 2 pages, flags maymove'
    """
    values = msgspec.to_builtins(event)
    op, pid = values.pop("op"), values.pop("pid", None)
    keys = ", ".join(f"{key} {_in_words(key, value)}" for key, value in values.items())
    return (f"process {pid}: " if pid else "") + f"{op} {keys}".rstrip()


def _in_words(key, value):
    if key in ("len", "new_len"):
        pages = -(-value // 4096)
        return f"{pages} page" + "s" * (pages != 1)
    if key in ("addr", "new_addr", "offset"):
        return f"{value:#x}"
    return " ".join(value) if isinstance(value, list) else str(value)
