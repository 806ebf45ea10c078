import gzip
import itertools
import json
import os
import resource
import tracemalloc
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import jsonschema
import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmapmodel import events
from rmapmodel.errors import InputError
from rmapmodel.events import Brk, Fork, Header, Mmap, Reclaim, Spawn, Swapout, Write
from rmapmodel.trace import jsonl, read, write

SCHEMA = json.loads(files("rmapmodel").joinpath("schemas/trace.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SPAWN = '{"op":"spawn","pid":1}'
MMAP = '{"op":"mmap","pid":1,"addr":4096,"len":4096,"prot":"rw-",%s}'


def trace(tmp_path, *lines, name="t.jsonl"):
    path = tmp_path / name
    path.write_bytes(b"".join(line.encode() + b"\n" if isinstance(line, str) else line for line in lines))
    return path


def fault(path):
    """The message of the error that reading the whole trace raises."""
    with pytest.raises(InputError) as caught:
        list(read(path))
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path))
    return message.removeprefix(str(path))


@contextmanager
def unprivileged():
    """Root may read and write anything, so act as nobody."""
    mine = os.geteuid()
    os.seteuid(65534 if mine == 0 else mine)
    try:
        yield
    finally:
        os.seteuid(mine)


def test_reads_header_and_numbered_events(tmp_path):
    path = trace(tmp_path, '{"op":"header","version":1,"kernel":"2.6.4","missing":["a"]}', SPAWN,
                 '{"op":"fork","pid":1,"child":2}')
    result = read(path)
    assert result.path == path
    assert result.header == Header(version=1, kernel="2.6.4", missing=["a"])
    assert list(result) == [(2, Spawn(1)), (3, Fork(1, 2))]


def test_each_iteration_starts_anew(tmp_path):
    result = read(trace(tmp_path, SPAWN, '{"op":"exit","pid":1}'))
    assert list(result) == list(result)
    assert [(first, second) for (first, _), (second, _) in zip(result, result)] == [(1, 1), (2, 2)]


def test_without_header_the_default_one(tmp_path):
    assert read(trace(tmp_path, SPAWN)).header == Header(version=1)
    assert list(read(trace(tmp_path, SPAWN))) == [(1, Spawn(1))]


def test_empty_file_has_no_events(tmp_path):
    assert list(read(trace(tmp_path))) == []


def test_last_line_may_lack_its_newline_and_lines_may_end_in_crlf(tmp_path):
    path = trace(tmp_path, SPAWN.encode() + b"\r\n" + b'{"op":"exit","pid":1}')
    assert [number for number, _ in read(path)] == [1, 2]


def test_hex_strings_in_byte_fields(tmp_path):
    path = trace(tmp_path, MMAP % '"flags":["shared"],"file":"0x12","offset":"0x1000"',
                 '{"op":"brk","pid":1,"addr":"0x7FFFffffFFFFffff"}',
                 r'{"op":"brk","pid":1,"addr":"\u0030x10"}')
    assert [event for _, event in read(path)] == [
        Mmap(1, 4096, 4096, "rw-", ["shared"], "0x12", 4096), Brk(1, 2**63 - 1), Brk(1, 16)]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_round_trip(tmp_path, suffix):
    made = [Spawn(1), Mmap(1, 4096, 8192, "rw-", ["private"], "/lib/ü", 4096), Write(1, 4096, 1), Reclaim(),
            Swapout(1, 4096, 4096)]
    header = Header(version=1, arch="i386", kernel="2.6.4", source="x", missing=["y"])
    path = tmp_path / f"t.jsonl{suffix}"
    assert write(path, header, iter(made)) == len(made)
    assert [event for _, event in read(path)] == made
    assert read(path).header == header
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_equal_events_give_equal_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{name}.jsonl{suffix}" for name in "ab"]
    for path in paths:
        write(path, Header(version=1), [Write(1, i * 4096, 4096) for i in range(1000)])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_gz_holds_neither_time_nor_name(tmp_path):
    write(tmp_path / "secret.gz", None, [Spawn(1)])
    head = (tmp_path / "secret.gz").read_bytes()[:10]
    assert head[3] == 0 and head[4:8] == bytes(4)


def test_without_header_none_is_written(tmp_path):
    write(tmp_path / "t.jsonl", None, [Spawn(1)])
    assert (tmp_path / "t.jsonl").read_text() == SPAWN + "\n"


def test_several_compressed_members_are_one_trace(tmp_path):
    line = SPAWN.encode() + b"\n"
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    frame = zstandard.ZstdCompressor().compress(line)
    for suffix, data in (("gz", gzip.compress(line) * 3), ("zst", frame + skippable + frame * 2)):
        path = tmp_path / f"t.{suffix}"
        path.write_bytes(data)
        assert [number for number, _ in read(path)] == [1, 2, 3]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_truncated_compression_at_every_byte(tmp_path, suffix):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    write(whole, None, [Write(1, i * 4096, 4096) for i in range(100)])
    data = whole.read_bytes()
    for size in range(len(data)):
        cut.write_bytes(data[:size])
        # gzip's magic number is two bytes: the first alone could be anything
        assert fault(cut).endswith("are damaged" if (suffix, size) == (".gz", 1) else "end too early")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damaged_compression(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"this is no compressed file")
    assert "the compressed data are damaged" in fault(path)
    write(path, None, [Write(1, i * 4096, 4096) for i in range(100)])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    fault(path)


@pytest.mark.parametrize("line, message", [
    ('{"op":"frok","pid":1}', 'op: unknown op "frok"; did you mean fork?'),
    ('{"op":"zzz"}', 'op: unknown op "zzz"'),
    ('{"op":7}', "op: a string is wanted, not 7"),
    ('{"pid":1}', "op: missing"),
    ('{"op":"spawn","pid":1,"pit":1}', 'pit: spawn has no such key; did you mean pid?'),
    ('{"op":"spawn","pid":1,"a\\nb":1}', "a\\nb: spawn has no such key"),
    ('{"op":"fork","pid":1}', "child: missing, fork wants it"),
    ('{"op":"spawn","pid":0}', "pid: a number from 1 to 2**31-1 is wanted, not 0"),
    ('{"op":"spawn","pid":2147483648}', "pid: a number from 1 to 2**31-1 is wanted, not 2147483648"),
    ('{"op":"spawn","pid":"0x1"}', 'pid: an integer is wanted, not "0x1"'),
    ('{"op":"spawn","pid":true}', "pid: an integer is wanted, not true"),
    ('{"op":"spawn","pid":1.0}', "pid: an integer is wanted, not a float"),
    ('{"op":"brk","pid":1,"addr":4096.0}', 'addr: an integer or "0x…" string is wanted, not a float'),
    ('{"op":"brk","pid":1,"addr":"4096"}', 'addr: an integer or "0x…" string is wanted, not "4096"'),
    ('{"op":"brk","pid":1,"addr":"0xg"}', 'addr: an integer or "0x…" string is wanted, not "0xg"'),
    ('{"op":"brk","pid":1,"addr":null}', 'addr: an integer or "0x…" string is wanted, not null'),
    ('{"op":"brk","pid":1,"addr":{}}', 'addr: an integer or "0x…" string is wanted, not an object'),
    ('{"op":"brk","pid":1,"addr":-1}', "addr: a number from 0 to 2**63-1 is wanted, not -1"),
    ('{"op":"brk","pid":1,"addr":9223372036854775808}',
     "addr: a number from 0 to 2**63-1 is wanted, not 9223372036854775808"),
    ('{"op":"brk","pid":1,"addr":"0x8000000000000000"}',
     "addr: a number from 0 to 2**63-1 is wanted, not 9223372036854775808"),
    ('{"op":"mprotect","pid":1,"addr":0,"len":1,"prot":"rwx "}',
     'prot: a string like "rw-" is wanted, not "rwx "'),
    ('{"op":"mprotect","pid":1,"addr":0,"len":1,"prot":"rw-\\n"}',
     'prot: a string like "rw-" is wanted, not "rw-\\n"'),
    ('{"op":"madvise","pid":1,"addr":0,"len":1,"advice":"fre"}', "advice: one of dontfork, "),
    ('{"op":"mremap","pid":1,"addr":0,"len":1,"new_addr":0,"new_len":1,"flags":["private"]}',
     'flags: a list out of maymove, fixed, dontunmap is wanted, not ["private"]'),
    (MMAP % '"flags":"private"', "flags: a list out of private, shared, "),
    (MMAP % '"flags":["private","shared","anonymous"]', 'flags: either "private" or "shared" is wanted'),
    (MMAP % '"flags":["anonymous"]', 'flags: either "private" or "shared" is wanted'),
    (MMAP % '"flags":["shared"]', 'flags: either "anonymous" or a file is wanted'),
    (MMAP % '"flags":["shared","anonymous"],"file":"f"', 'flags: either "anonymous" or a file is wanted'),
    (MMAP % '"flags":["shared","anonymous"],"offset":"0x1000"', "offset: only a mapping of a file has an offset"),
    (MMAP % '"flags":["shared"],"file":3', "file: a string is wanted, not 3"),
    ('{"op":"reclaim","addr":0,"len":1}', "pid: a range wants the process it lies in"),
    ('{"op":"swapout","pid":1,"addr":0}', "len: addr and len come together"),
    ('{"op":"reclaim","pid":1,"len":0}', "addr: addr and len come together"),
    ("[1]", "an object {…} is wanted, not [1]"),
    ("7", "an object {…} is wanted, not 7"),
    ('"' + "x" * 100 + '"', 'an object {…} is wanted, not "' + "x" * 58 + "…"),
    ("", "the line is blank"),
    (" \t\r", "the line is blank"),
    ("{", "not JSON: "),
    (SPAWN + SPAWN, "not JSON: "),
    ("# comment", "not JSON: "),
    ('{"op":"brk","pid":1,"addr":NaN}', "not JSON: "),
    ('{"op":"brk","pid":1,"addr":0x10}', "not JSON: "),
    ('{"a":' + "[" * 100_000, "not JSON"),
    (b'{"op":"mmap","file":"\xff"}\n', "not UTF-8 at byte 22"),
    (b"\x1f\x8b\x08\n", "not UTF-8 at byte 2"),
    ('{"op":"header","version":1}', "op: a header may only be the first line"),
    ('{"op":"header","version":2}', "version: version 1 is wanted, not 2"),
])
def test_a_wrong_line_is_named_with_its_field(tmp_path, line, message):
    assert fault(trace(tmp_path, SPAWN, line)).startswith(f":2: {message}")


@pytest.mark.parametrize("keys, message", [
    ('"version":2', "version: version 1 is wanted, not 2"),
    ('"page_size":4096', "version: missing, header wants it"),
    ('"version":1,"page_size":8192', "page_size: 4096 is wanted, not 8192"),
    ('"version":1,"arch":"arm"', 'arch: "x86_64" or "i386" is wanted, not "arm"'),
    ('"version":1,"kernel":2.6', "kernel: a string is wanted, not a float"),
    ('"version":1,"missing":"x"', 'missing: a list of strings is wanted, not "x"'),
    ('"version":1,"colour":"x"', "colour: header has no such key"),
])
def test_a_wrong_header_is_an_error_at_once(tmp_path, keys, message):
    path = trace(tmp_path, '{"op":"header",%s}' % keys)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value) == f"{path}:1: {message}"


def test_events_before_a_wrong_line_are_read(tmp_path):
    seen = []
    with pytest.raises(InputError):
        for number, _ in read(trace(tmp_path, SPAWN, SPAWN, "{")):
            seen.append(number)
    assert seen == [1, 2]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_line_has_at_most_a_mebibyte(tmp_path, suffix):
    compress = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[suffix]
    padding = b" " * (jsonl.LINE_MAX - len(SPAWN))
    path = tmp_path / f"t{suffix}"
    for data in (SPAWN.encode() + padding + b"\n" + SPAWN.encode(), SPAWN.encode() + padding):
        path.write_bytes(compress(data))
        assert next(iter(read(path))) == (1, Spawn(1))
    path.write_bytes(compress(SPAWN.encode() + b"\n" + SPAWN.encode() + padding + b" \n"))
    assert fault(path) == ":2: the line is longer than 1 MiB"


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_an_endless_line_is_not_read_whole(tmp_path, suffix):
    compress = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[suffix]
    path = tmp_path / f"t{suffix}"
    path.write_bytes(compress(b" " * (128 << 20)))
    tracemalloc.start()
    assert fault(path) == ":1: the line is longer than 1 MiB"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_memory_does_not_grow_with_the_trace(tmp_path):
    peaks = []
    for count in (1_000, 100_000):
        write(tmp_path / "t.jsonl", None, (Write(1, i * 4096, 4096) for i in range(count)))
        tracemalloc.start()
        for _ in read(tmp_path / "t.jsonl"):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000


def test_files_that_cannot_be_read(tmp_path):
    assert fault(tmp_path / "none.jsonl") == ": cannot be read: No such file or directory"
    assert fault(tmp_path) == ": cannot be read: is a directory"
    os.mkfifo(tmp_path / "pipe")
    assert fault(tmp_path / "pipe") == ": cannot be read: a trace is read more than once, from a file"


def test_without_permission(tmp_path):
    path = trace(tmp_path, SPAWN)
    path.chmod(0)
    tmp_path.chmod(0o500)
    with unprivileged():
        assert fault(path) == ": cannot be read: Permission denied"
        with pytest.raises(InputError, match="t.jsonl: cannot be written: Permission denied"):
            write(path, None, [Spawn(1)])


def test_places_that_cannot_be_written(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, reason in ((tmp_path / "none" / "t.jsonl", "No such file or directory"), (tmp_path, "is a directory"),
                         (tmp_path / "pipe", "is not a regular file"), (Path("/dev/full"), "is not a regular file")):
        with pytest.raises(InputError, match=f"{path}: cannot be written: {reason}"):
            write(path, None, [Spawn(1)])


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_full_disk_leaves_nothing(tmp_path, suffix):
    size = 0 if suffix else 200_000
    path = tmp_path / f"t{suffix}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(InputError, match="cannot be written: File too large"):
            write(path, None, (Write(1, i * 4096, 4096) for i in range(10_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, InputError, RuntimeError, MemoryError])
def test_an_exception_leaves_what_was_there(tmp_path, suffix, kind):
    def broken():
        yield from (Write(1, i * 4096, 4096) for i in range(10_000))
        raise kind("stop")
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"before")
    with pytest.raises(kind):
        write(path, Header(version=1), broken())
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_under_the_final_name_while_writing(tmp_path):
    path = tmp_path / "t.jsonl"

    def watching():
        yield Spawn(1)
        assert not path.exists()
    assert write(path, None, watching()) == 1


def test_a_link_stays_a_link(tmp_path):
    link, path = tmp_path / "link.jsonl", tmp_path / "t.jsonl"
    link.symlink_to(path)
    write(link, None, [Spawn(1)])
    assert link.is_symlink() and path.read_text() == SPAWN + "\n"


def test_new_files_have_the_mode_of_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "t.jsonl", None, [])
    finally:
        os.umask(old)
    assert (tmp_path / "t.jsonl").stat().st_mode & 0o777 == 0o640


def test_schema_is_valid_and_describes_every_op():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    kinds = {cls.__struct_config__.tag: cls for cls in (Header, *events.EVENTS)}
    assert [ref["$ref"].removeprefix("#/$defs/") for ref in SCHEMA["oneOf"]] == list(kinds)
    for op, cls in kinds.items():
        fields = msgspec.structs.fields(cls)
        assert list(SCHEMA["$defs"][op]["properties"]) == ["op", *(field.name for field in fields)]
        assert SCHEMA["$defs"][op]["required"] == ["op", *(field.name for field in fields if field.required)]
        assert SCHEMA["$defs"][op]["properties"]["op"] == {"const": op}


VALUES = {
    "pid": st.sampled_from([1, 2**31 - 1, 0, 2**31, "0x1", None, True, -1]),
    "number": st.sampled_from([0, 4096, 2**63 - 1, 2**63, -1, "0x0", "0x10", "0x7fffffffffffffff",
                               "0x8000000000000000", "0x" + "0" * 20 + "1", "0x", "16", "0XF", None, True, [], 1.5]),
    "prot": st.sampled_from(["rw-", "---", "rwx", "wr-", "rw", "rw-x", 7, None]),
    "flags": st.lists(st.sampled_from([*events.MMAP_FLAGS[:4], "maymove", "dontunmap", "other", 1]), max_size=3),
    "advice": st.sampled_from(["free", "dontfork", "none", 1]),
    "file": st.sampled_from(["f", "0xf", "", None, 1]),
    "version": st.sampled_from([1, 2, "1"]), "page_size": st.sampled_from([4096, 8192]),
    "arch": st.sampled_from(["i386", "x86_64", "arm", None]), "missing": st.sampled_from([[], ["x"], [1], None]),
    "kernel": st.sampled_from(["2.6.4", None, 2]), "source": st.sampled_from(["x", None, 2]),
}
VALUES |= {name: VALUES["number"] for name in ("addr", "len", "new_addr", "new_len", "offset", "pgoff")}
VALUES["child"] = VALUES["pid"]


@st.composite
def records(draw):
    """Something like an event: the right keys more often than not, values on both sides of every bound."""
    cls = draw(st.sampled_from((Header, *events.EVENTS)))
    record = {"op": draw(st.sampled_from([cls.__struct_config__.tag] * 9 + ["none"]))}
    for field in msgspec.structs.fields(cls):
        if draw(st.integers(0, 9)) < (9 if field.required else 5):
            record[field.name] = draw(VALUES[field.name])
    if draw(st.integers(0, 19)) == 0:
        record[draw(st.sampled_from(["child", "extra"]))] = 1
    return record


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(records())
def test_schema_and_reader_accept_the_same_lines(tmp_path_factory, record):
    path = tmp_path_factory.getbasetemp() / "line.jsonl"
    path.write_text(json.dumps(record))
    try:
        read(path)
        accepted = True
    except InputError as error:
        assert error.line == 1 and error.field is not None
        accepted = False
    assert accepted == VALIDATOR.is_valid(record), record


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60))
def test_any_bytes_give_events_or_one_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes.jsonl"
    path.write_bytes(data)
    try:
        list(itertools.islice(read(path), 100))
    except InputError as error:
        assert error.line >= 1
