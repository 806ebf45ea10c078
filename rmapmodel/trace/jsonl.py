"""The trace format: one JSON object a line, plain or compressed, read as a stream and written whole or not at all."""

import contextlib
import gzip
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from ..errors import InputError, hint
from ..events import ADVICE_PAGES, ADVICE_VMA, EVENTS, MMAP_FLAGS, MREMAP_FLAGS, AnyEvent, Event, Header
from ..files import BUFFER, replacing

LINE_MAX = 1 << 20  # bytes of a line, its newline not counted
_ZSTD_PIECE = 1 << 10
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 10

_BYTES = ("addr", "len", "new_addr", "new_len", "offset", "pgoff")
_HEX = re.compile("0x[0-9a-fA-F]+")
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)
_CLASSES = {cls.__struct_config__.tag: cls for cls in (Header, *EVENTS)}
_FIELDS = {cls: {field.name: field for field in msgspec.structs.fields(cls)} for cls in _CLASSES.values()}

_decode = msgspec.json.Decoder(AnyEvent).decode
_encode = msgspec.json.Encoder().encode


class Trace:
    """A trace file: its header, and each time it is iterated the pairs (line number, event), read anew as a stream.

    Iterating raises InputError, which names file, line and field, at the first line that is not an event. Memory: one
    line and the buffers, whatever the length of the file; about a microsecond an event.
    """

    __slots__ = ("path", "header")

    def __init__(self, path: Path, header: Header):
        self.path, self.header = path, header

    def __repr__(self):
        return f"Trace({str(self.path)!r})"

    def __iter__(self) -> Iterator[tuple[int, Event]]:
        for number, line in _lines(self.path):
            event = _event(line, self.path, number)
            if type(event) is Header:
                if number == 1:
                    continue
                raise InputError("a header may only be the first line", self.path, number, "op")
            yield number, event


def read(path: str | os.PathLike) -> Trace:
    """The trace in `path`; `.gz` and `.zst` are decompressed, a file without a header line gets the default one.

    Raises InputError if the file cannot be read or its first line is not an event. Cost: one line is read.

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> path = Path(directory.name, "t.jsonl")
    >>> path.write_text('{"op":"spawn","pid":1}\\n{"op":"brk","pid":1,"addr":"0x8000"}\\n')
    60
    >>> list(read(path))
    [(1, Spawn(pid=1)), (2, Brk(pid=1, addr=32768))]
    >>> read(path).header.version
    1
    """
    path = Path(path)
    for number, line in _lines(path):
        first = _event(line, path, number)
        return Trace(path, first if type(first) is Header else Header(version=1))
    return Trace(path, Header(version=1))


def write(path: str | os.PathLike, header: Header | None, events: Iterable[Event]) -> int:
    """Write a trace, compressed as its suffix says, and return the number of events; all of it or nothing.

    The file appears under its name when the last event is written; an exception, KeyboardInterrupt included, leaves
    what was there before. Equal events give equal bytes. Raises InputError if the file cannot be written. Cost: about
    half a microsecond an event, and the compression.

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> path = Path(directory.name, "t.jsonl.gz")
    >>> from rmapmodel.events import Spawn
    >>> write(path, Header(version=1, kernel="2.6.4"), [Spawn(pid=1)])
    1
    >>> list(read(path)), read(path).header.kernel
    ([(2, Spawn(pid=1))], '2.6.4')
    """
    path = Path(path)
    count = 0
    with replacing(path) as file, _compressing(file, path.suffix) as stream:
        if header is not None:
            stream.write(_encode(header) + b"\n")
        for count, event in enumerate(events, 1):
            stream.write(_encode(event) + b"\n")
    return count


def check_writable(path: str | os.PathLike):
    """Raises InputError if a trace could not be written to `path`, before the work that makes it; leaves nothing."""
    with contextlib.suppress(_Undone), replacing(Path(path)):
        raise _Undone


class _Undone(Exception):
    """Ends the block of a file that is not to take its name."""


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a file, never more than 1 MiB and a byte of one in memory."""
    number = 0
    try:
        with _open(path) as stream:
            for number, line in enumerate(iter(partial(stream.readline, LINE_MAX + 1), b""), 1):
                if len(line) > LINE_MAX and not line.endswith(b"\n"):
                    raise InputError("the line is longer than 1 MiB", path, number)
                yield number, line
    except _DAMAGE as error:
        fault = "end too early" if isinstance(error, EOFError) else "are damaged"
        raise InputError(f"the compressed data {fault}", path, number + 1) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from error


def _open(path: Path) -> BinaryIO:
    """The decompressed bytes of a file, buffered."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        reason = "is a directory" if stat.S_ISDIR(status.st_mode) else "a trace is read more than once, from a file"
        raise InputError(f"cannot be read: {reason}", path)
    if path.suffix not in (".gz", ".zst"):
        return open(path, "rb", buffering=BUFFER)
    if not status.st_size:
        raise EOFError
    return io.BufferedReader(gzip.open(path) if path.suffix == ".gz" else _Zstd(open(path, "rb")), BUFFER)


class _Zstd(io.RawIOBase):
    """The contents of a zstd file, frame after frame; a frame that ends too early raises EOFError.

    zstandard's own stream_reader takes a truncated frame for the end of the file. Small pieces are decompressed at a
    time because one byte of zstd may stand for a hundred kilobytes.
    """

    def __init__(self, file):
        self._file, self._frame, self._ready = file, None, memoryview(b"")

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self._ready:
            piece = self._file.read(_ZSTD_PIECE)
            if not piece:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._ready = memoryview(self._decompress(piece))
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _decompress(self, piece):
        contents = b""
        while piece:
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            contents += self._frame.decompress(piece)
            piece = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        return contents

    def close(self):
        self._file.close()
        super().close()


def _compressing(file: BinaryIO, suffix: str):
    """A context whose writes reach `file` compressed as the suffix says; neither time nor name of the file goes in."""
    if suffix == ".gz":
        return gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0)
    if suffix == ".zst":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).stream_writer(file, closefd=False)
    return file


def _event(line: bytes, path: Path, number: int) -> Event:
    """The event of a line; the decoder's fast path takes all but hex numbers and errors."""
    try:
        if b'"0x' not in line:
            try:
                return _decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass
        return _careful(line)
    except InputError as error:
        raise InputError(error.reason, path, number, error.field) from None


def _careful(line: bytes) -> Event:
    """The event of a line, its hex strings converted; raises InputError with what is wrong, in plain words."""
    try:
        if not line.decode().strip():
            raise InputError("the line is blank")
        record = msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start + 1}") from None
    except RecursionError:
        raise InputError("not JSON that ends: it nests too deeply") from None
    except msgspec.MsgspecError as error:
        raise InputError(f"not JSON: {str(error).removeprefix('JSON is malformed: ')}") from None
    if not isinstance(record, dict):
        raise InputError(f"an object {{…}} is wanted, not {_shown(record)}")
    if "op" not in record:
        raise InputError("missing", field="op")
    op = record.pop("op")
    if not isinstance(op, str):
        raise InputError(f"a string is wanted, not {_shown(op)}", field="op")
    if op not in _CLASSES:
        raise InputError(f"unknown op {_shown(op)}{hint(op, _CLASSES)}", field="op")
    for name in _BYTES:
        value = record.get(name)
        if isinstance(value, str) and _HEX.fullmatch(value):
            record[name] = int(value, 16)
    try:
        return msgspec.convert(record, _CLASSES[op])
    except msgspec.ValidationError:
        raise _complaint(op, record) from None


def _complaint(op: str, record: dict) -> InputError:
    """What makes the keys of a record no event of kind `op`: one too many, one too few, or a value."""
    fields = _FIELDS[_CLASSES[op]]
    for name in record:
        if name not in fields:
            return InputError(f"{op} has no such key{hint(name, fields)}", field=_shown(name).strip('"'))
    for name, field in fields.items():
        if field.required and name not in record:
            return InputError(f"missing, {op} wants it", field=name)
    name = next(name for name in record if not _fits(record[name], fields[name].type))
    return InputError(f"{_wanted(op, name, record[name])} is wanted, not {_shown(record[name])}", field=name)


def _fits(value, kind) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _wanted(op: str, name: str, value) -> str:
    number = type(value) is int
    if name in _BYTES:
        return "a number from 0 to 2**63-1" if number else 'an integer or "0x…" string'
    if name in ("pid", "child"):
        return "a number from 1 to 2**31-1" if number else "an integer"
    if name == "flags":
        return f"a list out of {', '.join(MMAP_FLAGS if op == 'mmap' else MREMAP_FLAGS)}"
    return {"prot": 'a string like "rw-"', "advice": f"one of {', '.join(ADVICE_VMA + ADVICE_PAGES)}",
            "version": "version 1", "page_size": "4096", "arch": '"x86_64" or "i386"',
            "missing": "a list of strings"}.get(name, "a string")


def _shown(value) -> str:
    """A value as an error message shows it: short, on one line, or only its kind where that is what is wrong."""
    if isinstance(value, float):
        return "a float"
    if isinstance(value, dict):
        return "an object"
    text = json.dumps(value, ensure_ascii=not str(value).isprintable())
    return text if len(text) <= 60 else text[:59] + "…"
