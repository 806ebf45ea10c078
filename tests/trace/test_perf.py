import re
import struct
from collections import Counter

import pytest

from rmapmodel import events as ev
from rmapmodel.errors import InputError
from rmapmodel.trace import perf
from rmapmodel.trace.strace import import_recording, import_strace
from tests.trace.test_strace import ANON, LOGS, START, THREAD, at, imported, log

EXEC = """
    x y  10/10 @0.10: PERF_RECORD_COMM exec: x y:10/10
    x y  10/10 @0.20: PERF_RECORD_MMAP2 10/10: [0x7f0000(0x3000) @ 0x7ffffffde000 00:00 0 0]: rw-p [stack]
    x y  10/10 @0.21: PERF_RECORD_MMAP2 10/10: [0x10000(0x6000) @ 0 fe:00 7 0]: r--p /bin/x y
    x y  10/10 @0.22: PERF_RECORD_MMAP2 10/10: [0x12000(0x1000) @ 0x2000 fe:00 7 0]: r-xp /bin/x y
    x y  10/10 @0.23: PERF_RECORD_MMAP2 10/10: [0x15000(0x1000) @ 0x4000 fe:00 7 0]: rw-p /bin/x y
    x y  10/10 @0.24: PERF_RECORD_MMAP2 10/10: [0x16000(0x2000) @ 0x16000 00:00 0 0]: rw-p //anon
    x y  10/10 @0.25: PERF_RECORD_MMAP2 10/10: [0x50000(0x1000) @ 0 00:00 0 0]: r-xp [vdso]
"""
IMAGE = ["spawn 10", "mmap 10 0x7f0000 0x3000 rw- private,anonymous,growsdown", "write 10 0x7f2000 0x1000",
         "mmap 10 0x10000 0x2000 r-- private /bin/x y", "mmap 10 0x12000 0x1000 r-x private /bin/x y 0x2000",
         "mmap 10 0x15000 0x1000 rw- private /bin/x y 0x4000", "mmap 10 0x16000 0x2000 rw- private,anonymous",
         "mmap 10 0x50000 0x1000 r-x private,anonymous,special"]


def script(text):
    """What perf script prints: @n stands for n milliseconds after the first line of the strace log."""
    lines = [line.removeprefix("    ") for line in text.strip("\n").splitlines()]
    return re.sub(r"@([\d.]+)", lambda match: at(match[1]), "\n".join(lines) + "\n")


def traced(tmp_path, calls, samples, image=EXEC):
    """(events after those of exec, missing) of a log whose first line is the execve of process 10."""
    found, missing = imported(tmp_path, log(START + "\n" + calls.strip()), script(image.rstrip() + samples))
    assert found[:len(IMAGE)] == IMAGE
    return found[len(IMAGE):], missing


def tracepoint(when, address, code, tid=10, kind="user"):
    return (f"\n    x y  {tid} [001] @{when}:  exceptions:page_fault_{kind}: "
            f"address={address:#x} ip=0x7f6894723b70 error_code={code:#x}")


def sample(when, address, tid=10):
    return f"\n    x y  {tid}/{tid}  @{when}: page-faults:  {address:16x}     7f68946ae2b2"


def test_exec_maps_what_perf_saw_it_map(tmp_path):
    assert traced(tmp_path, "10 brk(NULL) = 0x9000", "") == (["brk 10 0x9000"], [])


@pytest.mark.parametrize("first, second, end", [
    ("[0x10000(0x6000) @ 0 fe:00 7 0]: r--p", "[0x12000(0x1000) @ 0x2000 fe:00 7 0]: r-xp", 0x12000),
    ("[0x10000(0x6000) @ 0 fe:00 7 0]: r--p", "[0x12000(0x1000) @ 0x1000 fe:00 7 0]: r-xp", 0x12000),
    ("[0x10000(0x6000) @ 0 fe:00 7 0]: r--p", "[0x14000(0x1000) @ 0x1000 fe:00 7 0]: r-xp", 0x12000),
    ("[0x10000(0x6000) @ 0 fe:00 7 0]: r-xp", "[0x11000(0x1000) @ 0 fe:00 7 0]: rw-p", 0x11000),
    ("[0x10000(0x6000) @ 0 fe:00 7 0]: r-xp", "[0x30000(0x1000) @ 0 fe:00 7 0]: rw-p", 0x16000),
])
def test_the_first_mapping_of_an_image_is_cut_to_its_segment(tmp_path, first, second, end):
    path = tmp_path / "perf"
    path.write_text(script(f"""
    x  10/10 @0.10: PERF_RECORD_COMM exec: x:10/10
    x  10/10 @0.21: PERF_RECORD_MMAP2 10/10: {first} /bin/x
    x  10/10 @0.22: PERF_RECORD_MMAP2 10/10: {second} /bin/x
    """))
    (tmp_path / "log").write_text(log(f"{START}\n10 brk(NULL) = 0x9000"))
    maps = [event for event in import_strace(tmp_path / "log", path)[1] if type(event) is ev.Mmap]
    assert (maps[0].addr, maps[0].addr + maps[0].len) == (0x10000, end)


@pytest.mark.parametrize("offset, here, end", [
    (0x2000, True, 0x12000), (0x2000, False, 0x13000), (0x3000, True, 0x13000)])
def test_the_file_says_where_its_first_segment_ends(tmp_path, offset, here, end):
    """As chromium's: the second segment begins on a page of its own in the file, and a page later in memory."""
    program = tmp_path / "x"
    headers = [(1, 4, 0, 0, 0, 0x1864, 0x1864, 0x1000), (1, 5, offset, 0x3000, 0x3000, 0x1000, 0x1000, 0x1000)]
    program.write_bytes(struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 3, 62, 1, 0x3000, 64, 0, 0, 64, 56, 2,
                                    0, 0, 0) + b"".join(struct.pack("<IIQQQQQQ", *header) for header in headers))
    (tmp_path / "perf").write_text(script(f"""
    x  10/10 @0.10: PERF_RECORD_COMM exec: x:10/10
    x  10/10 @0.21: PERF_RECORD_MMAP2 10/10: [0x10000(0x6000) @ 0 fe:00 7 0]: r--p {program}
    x  10/10 @0.22: PERF_RECORD_MMAP2 10/10: [0x13000(0x1000) @ 0x2000 fe:00 7 0]: r-xp {program}
    """))
    (tmp_path / "log").write_text(log(f"{START}\n10 brk(NULL) = 0x9000"))
    _, found, _ = import_recording(tmp_path / "log", tmp_path / "perf", here=here)
    first = next(event for event in found if type(event) is ev.Mmap)
    assert (first.addr, first.addr + first.len) == (0x10000, end)


def test_names_of_files_come_from_perf_one_for_an_inode(tmp_path):
    assert traced(tmp_path, """
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x20000
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</named/by/strace>, 0) = 0x21000
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</named/by/strace>, 0) = 0x22000
        10 shmat(4, NULL, 0) = 0x30000
        10 wait4(-1, NULL, 0, NULL) = -1 ECHILD (No child processes)
    """, """
    x y 10/10 @1.1: PERF_RECORD_MMAP2 10/10: [0x20000(0x1000) @ 0 fe:00 9 1]: r--s /srv/a b (deleted)
    x y 10/10 @2.1: PERF_RECORD_MMAP2 10/10: [0x21000(0x1000) @ 0 fe:00 8 1]: r--s /srv/a b
    x y 10/10 @4.1: PERF_RECORD_MMAP2 10/10: [0x30000(0x2000) @ 0 00:01 4 0]: rw-s /SYSV00000000 (deleted)""") == (
        ["mmap 10 0x20000 0x1000 r-- shared /srv/a b", "mmap 10 0x21000 0x1000 r-- shared /srv/a b#2",
         "mmap 10 0x22000 0x1000 r-- shared /named/by/strace", "mmap 10 0x30000 0x2000 rw- shared /SYSV4"], [])


def test_tracepoints_say_read_or_write_and_neighbours_become_one_touch(tmp_path):
    found, missing = traced(
        tmp_path, f"10 mmap(NULL, 20480, {ANON}) = 0x20000\n10 munmap(0x20000, 4096) = 0",
        tracepoint(0.5, 0x12345, 0x14) + tracepoint(0.6, 0x7f0ff8, 6, kind="kernel") + tracepoint(0.7, 0x7eefff, 6)
        + tracepoint(1.2, 0x20010, 4) + tracepoint(1.3, 0x20020, 7) + tracepoint(1.4, 0x21000, 6)
        + tracepoint(1.5, 0x22000, 6) + tracepoint(1.6, 0x23000, 4) + tracepoint(1.7, 0xffff888000000000, 0))
    assert found == ["read 10 0x12000 0x1000", "write 10 0x7f0000 0x1000", "write 10 0x7ee000 0x1000",
                     "mmap 10 0x20000 0x5000 rw- private,anonymous", "read 10 0x20000 0x1000",
                     "write 10 0x20000 0x3000", "read 10 0x23000 0x1000", "munmap 10 0x20000 0x1000"]
    assert missing == []


def test_page_faults_that_say_neither_are_guessed(tmp_path):
    calls = f"""
        10 mmap(NULL, 20480, {ANON}) = 0x20000
        10 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x30000
        10 madvise(0x20000, 4096, MADV_DONTNEED) = 0
        10 fork() = 11
        11 exit_group(0) = ?
    """
    samples = "".join(sample(when, address) for when, address in (
        (2.1, 0x20000), (2.2, 0x21000), (2.3, 0x23000), (2.4, 0x21008), (2.5, 0x30000), (2.6, 0x13000), (2.7, 0x12000),
        (3.1, 0x20000), (3.2, 0x23000), (5.2, 0x20000)))
    found, missing = traced(tmp_path, calls, samples)
    assert found[2:] == ["write 10 0x20000 0x1000", "read 10 0x21000 0x1000", "read 10 0x23000 0x1000",
                         "write 10 0x21000 0x1000", "read 10 0x30000 0x1000", "read 10 0x12000 0x1000",
                         "madvise 10 0x20000 0x1000 dontneed", "write 10 0x20000 0x1000", "write 10 0x23000 0x1000",
                         "fork 10 11", "exit 11", "write 10 0x20000 0x1000"]
    assert missing == ["1 page fault left out: no mapping covers the address"]


def test_only_processes_of_the_log_are_taken(tmp_path):
    found, missing = traced(tmp_path, "10 brk(NULL) = 0x9000\n10 +++ exited with 0 +++", """
    strace  9/9 @0.90: PERF_RECORD_MMAP2 9/9: [0x90000(0x1000) @ 0 fe:00 9 1]: r--s /usr/bin/strace
    """.rstrip() + tracepoint(0.9, 0x12000, 6, tid=9) + tracepoint(2.5, 0x12000, 4))
    assert found == ["brk 10 0x9000", "exit 10"]
    assert missing == ["1 page fault of processes that had ended"]


def test_what_ended_in_a_signal_touched_nothing(tmp_path):
    found, missing = traced(tmp_path, """
        10 --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x7d0010} ---
        10 --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_ACCERR, si_addr=0x12000} ---
        10 --- SIGBUS {si_signo=SIGBUS, si_code=BUS_ADRERR, si_addr=NULL} ---
    """, tracepoint(0.9, 0x7d0010, 6) + tracepoint(1.4, 0x12008, 4) + tracepoint(1.5, 0x12000, 7)
        + tracepoint(2.5, 0, 6))
    assert (found, missing) == (["read 10 0x12000 0x1000"], [])


def test_perf_says_when_a_child_or_thread_began_and_when_exec_took_effect(tmp_path):
    found, missing = traced(tmp_path, f"""
        10 mmap(NULL, 8192, {ANON}) = 0x20000
        10 fork( <unfinished ...>
        12 brk(NULL) = 0x9000
        10 <... fork resumed>) = 11
        10 clone(child_stack=0x7f, flags={THREAD}) = 13
        10 brk(NULL) = 0x9000
        13 execve("/bin/z", ["z"], 0x7f <unfinished ...>
        10 +++ superseded by execve in pid 13 +++
        10 <... execve resumed>) = 0
    """, tracepoint(1.5, 0x20000, 6) + "\n    x 10/10 @2.5: PERF_RECORD_FORK(12:12):(10:10)"
        + tracepoint(2.6, 0x20000, 7, tid=12) + "\n    x 10/10 @5.1: PERF_RECORD_FORK(10:13):(10:10)"
        + tracepoint(5.2, 0x21000, 6, tid=13) + tracepoint(7.2, 0x21000, 4, tid=13)
        + "\n    z 10/10 @7.5: PERF_RECORD_COMM exec: z:10/10"
        + "\n    z 10/10 @7.6: PERF_RECORD_MMAP2 10/10: [0x21000(0x1000) @ 0 <00aabb>]: r-xp /bin/z"
        + tracepoint(7.7, 0x21000, 0x14))
    assert found == ["mmap 10 0x20000 0x2000 rw- private,anonymous", "write 10 0x20000 0x1000", "fork 10 12",
                     "write 12 0x20000 0x1000", "brk 12 0x9000", "write 10 0x21000 0x1000", "brk 10 0x9000",
                     "read 10 0x21000 0x1000", "exec 10", "mmap 10 0x21000 0x1000 r-x private /bin/z",
                     "read 10 0x21000 0x1000"]
    assert missing == []


def test_the_header_relates_another_clock_to_the_wall_clock(tmp_path):
    header = "\n".join(["# os release : 6.18.44", "# arch : x86_64",
                        f"# reference time: 2023-11-14 22:13:20.000 = {at(0)} (TOD) = 100.000000000 (monotonic)", ""])
    text = header + re.sub(r"17000000(\d\d)\.", lambda match: f"{100 + int(match[1])}.", script(EXEC))
    (tmp_path / "log").write_text(log(f"{START}\n10 brk(NULL) = 0x9000"))
    (tmp_path / "perf").write_text(text)
    found, events = import_strace(tmp_path / "log", tmp_path / "perf")
    assert (found.kernel, found.arch, len(events)) == ("6.18.44", "x86_64", len(IMAGE) + 1)
    assert imported(tmp_path, log(f"{START}\n10 brk(NULL) = 0x9000"), text.replace(" (TOD)", ""))[1] == [
        "1 recording by perf, whose times are not those of strace (perf record -k CLOCK_REALTIME)",
        "1 execve call whose own mappings are unknown"]


def test_a_log_without_pids_takes_the_pid_from_the_exec_that_perf_saw(tmp_path):
    text = re.sub("(?m)^10 ", "", log(f"{START}\n10 brk(NULL) = 0x9000"))
    assert imported(tmp_path, text, script(EXEC)) == ([*IMAGE, "brk 10 0x9000"], [])


def test_what_is_not_understood_is_counted_and_another_file_is_an_error(tmp_path):
    found, missing = traced(tmp_path, "10 brk(NULL) = 0x9000", """
    x y  10/10 @1.1: cycles:  7f68946ae2b2
    x y  10/10 @1.2: PERF_RECORD_LOST lost 3
    something else
    """.rstrip())
    assert missing == ["1 sample of perf that are not page faults", "3 events that perf lost",
                       "1 line of perf script not understood"]
    for content in (None, "", "what is this\n"):
        path = tmp_path / "other"
        if content is not None:
            path.write_text(content)
        with pytest.raises(InputError, match="cannot be read|no line of it is like"):
            perf.read(path)


@pytest.mark.parametrize("name, form, faults, unknown", [
    ("sh-true", "tracepoints", 112, 0), ("sh-true", "tracepoints-F", 112, 0),
    ("sh-true-2", "page-faults-F", 108, 0), ("sh-true-2", "page-faults", 0, 113)])
def test_recordings_of_a_shell_and_its_child(name, form, faults, unknown):
    header, found = import_strace(LOGS / f"{name}.strace", LOGS / f"{name}.{form}.perf")
    kinds = Counter(type(event) for event in found)
    assert kinds[ev.Read] + kinds[ev.Write] - 2 * (not faults) == faults
    assert (kinds[ev.Spawn], kinds[ev.Vfork], kinds[ev.Exec], kinds[ev.Exit], kinds[ev.Mmap]) == (1, 1, 1, 2, 41)
    assert [line.split(",")[0] for line in header.missing[1:]] == (
        [f"{unknown} page faults without an address"] if unknown else [])
    files = {event.file for event in found if type(event) is ev.Mmap}
    assert {"/usr/bin/dash", "/usr/bin/true", "/etc/ld.so.cache", "/usr/lib/x86_64-linux-gnu/libc.so.6"} <= files


def test_both_forms_of_one_recording_say_the_same():
    plain, fields = (import_strace(LOGS / "sh-true.strace", LOGS / f"sh-true.{form}.perf")
                     for form in ("tracepoints", "tracepoints-F"))
    assert plain == fields
