import random
import re
from pathlib import Path

import msgspec
import pytest

from rmapmodel import events as ev
from rmapmodel.errors import InputError
from rmapmodel.trace import read, write
from rmapmodel.trace.layout import Impossible, Layout
from rmapmodel.trace.strace import import_strace

LOGS = Path(__file__).parent / "logs"
TRACES = sorted((Path(__file__).parents[2] / "data" / "traces").glob("*.jsonl.gz"))
THREAD = "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM"


def at(milliseconds):
    return f"1700000000.{round(float(milliseconds) * 1000):06d}"


def log(text):
    """A strace log: line n of `text`, which begins with a pid, is stamped n milliseconds."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return "".join(f"{pid} {at(n)} {rest}\n" for n, (pid, rest) in enumerate(line.split(" ", 1) for line in lines))


def shown(event):
    """An event as one line: addresses and lengths in hex, what has its default value left out."""
    words = []
    for field in msgspec.structs.fields(event):
        value = getattr(event, field.name)
        if value and (field.required or value != field.default) or value == 0 and field.required:
            hexadecimal = isinstance(value, int) and field.name not in ("pid", "child", "pgoff")
            words.append(hex(value) if hexadecimal else ",".join(value) if isinstance(value, list) else str(value))
    return " ".join([type(event).__struct_config__.tag, *words])


def imported(tmp_path, text, perf=None):
    """(events as lines, what is missing but for the sentences that always stand) of a log; the events replay."""
    path = tmp_path / "log"
    path.write_text(text)
    perf_path = None
    if perf is not None:
        perf_path = tmp_path / "perf"
        perf_path.write_text(perf)
    header, found = import_strace(path, perf_path)
    layout = Layout()
    for event in found:
        layout.apply(event)
    write(tmp_path / "t.jsonl", header, found)
    assert [event for _, event in read(tmp_path / "t.jsonl")] == found
    assert header.missing[0].startswith(("page faults: they come from perf", "pages touched without"))
    return [shown(event) for event in found], header.missing[1:]


START = '10 execve("/bin/x", ["x"], 0x7ffc0 /* 3 vars */) = 0'
NO_IMAGE = "1 execve call whose own mappings are unknown"
ANON = "PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0"
FIXED = "PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0"

CASES = {
    "brk: the start, growth, a refused growth": ("""
        10 brk(NULL) = 0x5000
        10 brk(0x8000) = 0x8000
        10 brk(0xffff00000000) = 0x8000
        10 brk(0x6000) = 0x6000
    """, ["brk 10 0x5000", "brk 10 0x8000", "brk 10 0x6000"], []),
    "flags of mmap; mmap2; a length is kept as given": (f"""
        10 mmap(NULL, 5000, PROT_READ|PROT_EXEC, MAP_SHARED|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0) = 0x10000
        10 mmap2(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_STACK|MAP_GROWSDOWN, -1, 0) = 0x20000
        10 mmap(0x10000, 4096, {FIXED}) = 0x10000
        10 mmap(0x30000, 4096, PROT_WRITE, MAP_PRIVATE|MAP_FIXED_NOREPLACE|MAP_ANONYMOUS|MAP_LOCKED, -1, 0) = 0x30000
    """, ["mmap 10 0x10000 0x1388 r-x shared,anonymous,noreserve",
          "mmap 10 0x20000 0x1000 --- private,anonymous,stack,growsdown",
          "mmap 10 0x10000 0x1000 rw- private,anonymous,fixed",
          "mmap 10 0x30000 0x1000 -w- private,anonymous,locked"], []),
    "MAP_POPULATE touches: private writable memory as a write, other as a read, PROT_NONE not": ("""
        10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_POPULATE, -1, 0) = 0x10000
        10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS|MAP_POPULATE, -1, 0) = 0x20000
        10 mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_POPULATE, -1, 0) = 0x30000
    """, ["mmap 10 0x10000 0x2000 rw- private,anonymous", "write 10 0x10000 0x2000",
          "mmap 10 0x20000 0x2000 rw- shared,anonymous", "read 10 0x20000 0x2000",
          "mmap 10 0x30000 0x2000 --- private,anonymous"], []),
    "failed calls leave nothing": (f"""
        10 mmap(NULL, 4096, {ANON}) = -1 ENOMEM (Cannot allocate memory)
        10 munmap(0x1, 4096) = -1 EINVAL (Invalid argument)
        10 openat(AT_FDCWD, "no = 3", O_RDONLY) = -1 ENOENT (No such file or directory)
        10 clone(child_stack=NULL, flags=SIGCHLD) = -1 EAGAIN (Resource temporarily unavailable)
        10 execve("/none", [], 0x0) = -1 ENOENT (No such file or directory)
        10 mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE) = -1 EFAULT (Bad address)
        10 mmap(NULL, 4096, {ANON}) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
    """, [], []),
    "ENOMEM for a hole: mprotect and mlock up to it, madvise everywhere; without a hole nothing was done": (f"""
        10 mmap(NULL, 8192, {ANON}) = 0x10000
        10 mmap(NULL, 8192, {ANON}) = 0x14000
        10 mprotect(0x10000, 24576, PROT_READ) = -1 ENOMEM (Cannot allocate memory)
        10 mlock(0x14000, 16384) = -1 ENOMEM (Cannot allocate memory)
        10 munlock(0x12000, 8192) = -1 ENOMEM (Cannot allocate memory)
        10 madvise(0x10000, 24576, MADV_DONTDUMP) = -1 ENOMEM (Cannot allocate memory)
        10 mprotect(0x14000, 8192, PROT_NONE) = -1 ENOMEM (Cannot allocate memory)
        10 madvise(0x14000, 8192, MADV_DONTFORK) = -1 ENOMEM (Cannot allocate memory)
        10 mlock(0x14000, 8192) = -1 ENOMEM (Cannot allocate memory)
    """, ["mmap 10 0x10000 0x2000 rw- private,anonymous", "mmap 10 0x14000 0x2000 rw- private,anonymous",
          "mprotect 10 0x10000 0x2000 r--", "mlock 10 0x14000 0x2000", "madvise 10 0x10000 0x6000 dontdump"], []),
    "mlock of memory that allows no access fails and locks": ("""
        10 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000
        10 mlock(0x10000, 4096) = -1 ENOMEM (Cannot allocate memory)
    """, ["mmap 10 0x10000 0x1000 --- private,anonymous", "mlock 10 0x10000 0x1000"], []),
    "EINVAL of madvise: what came before the memory that it is not for was done": (f"""
        10 mmap(NULL, 8192, {ANON}) = 0x10000
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x12000
        10 madvise(0x10000, 12288, MADV_WIPEONFORK) = -1 EINVAL (Invalid argument)
        10 madvise(0x10000, 4096, 0x7b /* MADV_??? */) = -1 EINVAL (Invalid argument)
    """, ["mmap 10 0x10000 0x2000 rw- private,anonymous", "mmap 10 0x12000 0x1000 r-- shared,anonymous",
          "madvise 10 0x10000 0x2000 wipeonfork"], []),
    "mremap: growth in place, a move, a shrink, DONTUNMAP, a duplicate": (f"""
        10 mmap(NULL, 8192, {ANON}) = 0x10000
        10 mremap(0x10000, 8192, 16384, MREMAP_MAYMOVE) = 0x10000
        10 mremap(0x10000, 16384, 20480, MREMAP_MAYMOVE) = 0x40000
        10 mremap(0x40000, 20480, 4096, 0) = 0x40000
        10 mremap(0x40000, 4096, 4096, MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_DONTUNMAP, 0x50000) = 0x50000
        10 mmap(NULL, 8192, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x60000
        10 mremap(0x60000, 0, 8192, MREMAP_MAYMOVE) = 0x70000
    """, ["mmap 10 0x10000 0x2000 rw- private,anonymous", "mremap 10 0x10000 0x2000 0x10000 0x4000 maymove",
          "mremap 10 0x10000 0x4000 0x40000 0x5000 maymove", "mremap 10 0x40000 0x5000 0x40000 0x1000",
          "mremap 10 0x40000 0x1000 0x50000 0x1000 maymove,fixed,dontunmap",
          "mmap 10 0x60000 0x2000 r-- shared,anonymous", "mremap 10 0x60000 0x0 0x70000 0x2000 maymove"], []),
    "mremap over several mappings and holes: each by itself, what lies under a hole stays": (f"""
        10 mmap(NULL, 4096, {ANON}) = 0x10000
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x12000
        10 mmap(NULL, 16384, {ANON}) = 0x20000
        10 mremap(0x10000, 16384, 16384, MREMAP_MAYMOVE|MREMAP_FIXED, 0x20000) = 0x20000
        10 mprotect(0x20000, 16384, PROT_READ) = 0
    """, ["mmap 10 0x10000 0x1000 rw- private,anonymous", "mmap 10 0x12000 0x1000 r-- shared,anonymous",
          "mmap 10 0x20000 0x4000 rw- private,anonymous", "mremap 10 0x10000 0x1000 0x20000 0x1000 maymove,fixed",
          "mremap 10 0x12000 0x1000 0x22000 0x1000 maymove,fixed", "mprotect 10 0x20000 0x4000 r--"], []),
    "mremap of once writable memory depends on page faults": (f"""
        10 mmap(NULL, 8192, {ANON}) = 0x10000
        10 mprotect(0x10000, 8192, PROT_READ) = 0
        10 mremap(0x10000, 8192, 16384, MREMAP_MAYMOVE) = 0x20000
    """, ["mmap 10 0x10000 0x2000 rw- private,anonymous", "mprotect 10 0x10000 0x2000 r--"],
        ["1 mremap call left out: whether it is one mapping depends on page faults"]),
    "advice, locks, growsdown protection, nonlinear mappings, pkey": ("""
        10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_GROWSDOWN, -1, 0) = 0x10000
        10 madvise(0x10000, 8192, MADV_NOHUGEPAGE) = 0
        10 madvise(0x10000, 4096, MADV_DONTNEED) = 0
        10 madvise(0x10000, 8192, MADV_POPULATE_WRITE) = 0
        10 mlock2(0x10000, 4096, 0) = 0
        10 munlock(0x10000, 4096) = 0
        10 pkey_mprotect(0x11000, 4096, PROT_READ|PROT_WRITE|PROT_EXEC|PROT_GROWSDOWN, -1) = 0
        10 mmap(NULL, 8192, PROT_READ, MAP_SHARED, 9</srv/a, b>, 0x1000) = 0x20000
        10 remap_file_pages(0x20000, 4096, 0, 7, 0) = 0
    """, ["mmap 10 0x10000 0x2000 rw- private,anonymous,growsdown", "madvise 10 0x10000 0x2000 nohugepage",
          "madvise 10 0x10000 0x1000 dontneed", "madvise 10 0x10000 0x2000 populate_write",
          "mlock 10 0x10000 0x1000", "munlock 10 0x10000 0x1000", "mprotect 10 0x10000 0x2000 rwx",
          "mmap 10 0x20000 0x2000 r-- shared /srv/a, b 0x1000", "remap_file_pages 10 0x20000 0x1000 7"], []),
    "what a trace has no event for": (f"""
        10 mmap(NULL, 8192, {ANON}) = 0x10000
        10 madvise(0x10000, 8192, MADV_COLLAPSE) = 0
        10 madvise(0x10000, 8192, MADV_COLLAPSE) = 0
        10 mlockall(MCL_CURRENT) = 0
        10 mlock2(0x10000, 4096, MLOCK_ONFAULT) = 0
        10 mmap(NULL, 2097152, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB, -1, 0) = 0x200000
    """, ["mmap 10 0x10000 0x2000 rw- private,anonymous", "mmap 10 0x200000 0x200000 r-- private,anonymous"],
        ["1 mlockall call, which a trace has no event for", "1 mlock2 call, which a trace has no event for",
         "2 madvise calls with MADV_COLLAPSE, which a trace has no event for",
         "1 mapping of huge pages, taken as ordinary ones"]),
    "names of files: open, dup, fcntl, close, decorations, descriptors only": ("""
        10 openat(AT_FDCWD, "/srv/a\\303\\244", O_RDONLY) = 3
        10 dup2(3, 7) = 7
        10 fcntl(7, F_DUPFD_CLOEXEC, 20) = 20
        10 fcntl(7, F_GETFD) = 0
        10 close(3) = 0
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 20, 0) = 0x10000
        10 openat(AT_FDCWD</srv>, "b", O_RDONLY) = 3</srv/b>
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0x2000) = 0x20000
        10 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 8</dev/zero<char 1:5>>, 0) = 0x30000
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 9, 0) = 0x40000
        10 mmap(0x41000, 4096, PROT_READ, MAP_SHARED|MAP_FIXED, 9, 0x1000) = 0x41000
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 9, 0) = 0x50000
        10 memfd_create("m", 0) = 4
        10 memfd_create("m", 0) = 5
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</memfd:m>(deleted), 0) = 0x60000
        10 close_range(0, 100, 0) = 0
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 20, 0) = 0x70000
    """, ["mmap 10 0x10000 0x1000 r-- shared /srv/aä", "mmap 10 0x20000 0x1000 r-- shared /srv/b 0x2000",
          "mmap 10 0x30000 0x1000 r-- private,anonymous", "mmap 10 0x40000 0x1000 r-- shared fd:9#1",
          "mmap 10 0x41000 0x1000 r-- shared,fixed fd:9#1 0x1000", "mmap 10 0x50000 0x1000 r-- shared fd:9#2",
          "mmap 10 0x60000 0x1000 r-- shared /memfd:m#1", "mmap 10 0x70000 0x1000 r-- shared fd:20#3"],
        ["4 mappings of files known only by their descriptor"]),
    "System V segments: the size from shmget or shmctl, else unknown": ("""
        10 shmget(IPC_PRIVATE, 8000, IPC_CREAT|0600) = 5
        10 shmat(5, NULL, 0) = 0x10000
        10 shmctl(6, IPC_STAT, {shm_perm={uid=0, gid=0}, shm_segsz=4096, shm_nattch=1}) = 0
        10 shmat(6, NULL, SHM_RDONLY) = 0x20000
        10 shmdt(0x10000) = 0
        10 shmat(7, NULL, 0) = 0x30000
    """, ["mmap 10 0x10000 0x1f40 rw- shared /SYSV5", "mmap 10 0x20000 0x1000 r-- shared /SYSV6",
          "munmap 10 0x10000 0x2000"], ["1 shmat call of segments whose size is unknown"]),
    "unfinished and resumed, in the forms of several versions": (f"""
        10 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f0) = 11
        10 mmap(NULL, 4096,  <unfinished ...>
        11 brk(NULL <unfinished ...>
        10 <... mmap resumed>{ANON}) = 0x10000
        11 <... brk resumed>) = 0x5000
        10 munmap(0x10000, 4096 <unfinished ...>
        11 wait4(-1,  <unfinished ...>
        10 <... munmap resumed> ) = 0
        11 <... wait4 resumed> 0x7ffc, 0, NULL) = ? ERESTARTSYS (To be restarted)
        11 <... futex resumed>) = 0
        11 +++ killed by SIGKILL (core dumped) +++
    """, ["fork 10 11", "mmap 10 0x10000 0x1000 rw- private,anonymous", "brk 11 0x5000",
          "munmap 10 0x10000 0x1000", "exit 11"], []),
    "threads are their process, which ends once": (f"""
        10 clone3({{flags={THREAD}, child_tid=0x7f, stack=0x7, stack_size=0x7}} => {{parent_tid=[11]}}, 88) = 11
        11 mmap(NULL, 4096, {ANON}) = 0x10000
        10 exit(0) = ?
        11 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
        12 munmap(0x10000, 4096) = 0
        11 <... clone resumed>) = 12
        12 exit_group(0) = ?
        12 +++ exited with 0 +++
        11 exit_group(0) = ?
        11 +++ exited with 0 +++
        10 +++ exited with 0 +++
    """, ["mmap 10 0x10000 0x1000 rw- private,anonymous", "fork 10 12", "munmap 12 0x10000 0x1000", "exit 12",
          "exit 10"], []),
    "posix_spawn: the child runs before its parent's call returns": (f"""
        10 mmap(NULL, 4096, {ANON}) = 0x10000
        10 clone3({{flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=0x7f, stack_size=0x9000}} <unfinished ...>
        11 mmap(NULL, 4096, {ANON}) = 0x20000
        11 execve("/bin/y", ["y"], 0x7f /* 2 vars */ <unfinished ...>
        10 <... clone3 resumed>, 88) = 11
        10 munmap(0x20000, 4096) = 0
        11 <... execve resumed>) = 0
        11 brk(NULL) = 0x7000
        11 exit_group(0) = ?
        11 +++ exited with 0 +++
    """, ["mmap 10 0x10000 0x1000 rw- private,anonymous", "vfork 10 11", "mmap 11 0x20000 0x1000 rw- private,anonymous",
          "munmap 10 0x20000 0x1000", "exec 11", "brk 11 0x7000", "exit 11"],
        ["2 execve calls whose own mappings are unknown"]),
    "vfork, clone of an mm, fork": ("""
        10 vfork() = 11
        11 +++ exited with 0 +++
        10 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|SIGCHLD) = 12
        12 openat(AT_FDCWD, "/srv/shared", O_RDONLY) = 3
        10 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x10000
        10 fork() = 13
        13 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x20000
        10 close(3) = 0
        13 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x30000
    """, ["vfork 10 11", "exit 11", "clone_vm 10 12", "mmap 10 0x10000 0x1000 r-- shared /srv/shared", "fork 10 13",
          "mmap 13 0x20000 0x1000 r-- shared /srv/shared", "mmap 13 0x30000 0x1000 r-- shared /srv/shared"], []),
    "execve by a thread: the leader's number goes on, with one mm": (f"""
        10 clone(child_stack=0x7f, flags={THREAD}) = 11
        10 clone(child_stack=0x7f, flags={THREAD}) = 12
        10 exit(0) = ?
        11 execve("/bin/y", ["y"], 0x7f <unfinished ...>
        12 +++ exited with 0 +++
        10 +++ superseded by execve in pid 11 +++
        10 <... execve resumed>) = 0
        10 brk(NULL) = 0x7000
        10 +++ exited with 0 +++
    """, ["exec 10", "brk 10 0x7000", "exit 10"], ["2 execve calls whose own mappings are unknown"]),
    "exit_group without a line about the death (strace -qq)": ("""
        10 fork() = 11
        11 exit_group(1) = ?
        10 brk(NULL) = 0x5000
        10 exit_group(0) = ?
    """, ["fork 10 11", "exit 11", "brk 10 0x5000", "exit 10"], []),
    "processes that strace did not follow; one that ran already; a pid used twice": ("""
        10 fork() = 99
        20 brk(NULL) = 0x5000
        10 fork() = 11
        11 brk(NULL) = 0x6000
        11 +++ exited with 0 +++
        10 fork() = 11
        11 +++ exited with 0 +++
    """, ["spawn 20", "brk 20 0x5000", "fork 10 11", "brk 11 0x6000", "exit 11", "fork 10 11", "exit 11"],
        ["1 process or thread that strace did not follow",
         "1 process that already ran when the recording began: what they had mapped is unknown"]),
    "what Linux found free is free": (f"""
        10 mmap(NULL, 8192, {ANON}) = 0x10000
        10 mmap(NULL, 8192, {ANON}) = 0x11000
        10 mprotect(0x11000, 16384, PROT_READ) = 0
        10 munmap(0x50001, 4096) = 0
    """, ["mmap 10 0x10000 0x2000 rw- private,anonymous", "munmap 10 0x11000 0x2000",
          "mmap 10 0x11000 0x2000 rw- private,anonymous", "mprotect 10 0x11000 0x2000 r--"],
        ["1 range that Linux found free and the recording did not: unmapped first",
         "1 mprotect call over addresses that no known mapping covers: done where one does",
         "1 munmap call left out: its address is not page aligned"]),
    "a move that has not returned has freed its old place for another thread": (f"""
        10 clone(child_stack=0x7f, flags={THREAD}) = 11
        10 mmap(NULL, 4096, {ANON}) = 0x10000
        10 mremap(0x10000, 4096, 8192, MREMAP_MAYMOVE <unfinished ...>
        11 mmap(NULL, 4096, {ANON}) = 0x10000
        10 <... mremap resumed>) = 0x20000
    """, ["mmap 10 0x10000 0x1000 rw- private,anonymous", "mremap 10 0x10000 0x1000 0x20000 0x2000 maymove",
          "mmap 10 0x10000 0x1000 rw- private,anonymous"], []),
    "lines that nobody understands are counted": (f"""
        10 mmap(NULL, 4096
        10 mmap(0x10000) = 0x10000
        10 mremap(, , , ) = 0x1
        10 mmap(NULL, 4096, {ANON}) = 0x10000 <0.000012>
        10 <... mmap resumed>) = 0x20000
        10 --- SIGCHLD {{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11}} ---
    """, ["mmap 10 0x10000 0x1000 rw- private,anonymous"], ["4 lines of strace not understood"]),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub(r"\W+", "-", case))
def test_a_log_becomes_these_events(tmp_path, case):
    text, expected, expected_missing = CASES[case]
    found, missing = imported(tmp_path, log(START + "\n" + text.strip()))
    assert found == ["spawn 10", *expected]
    if not any("own mappings are unknown" in line for line in expected_missing):
        missing.remove(NO_IMAGE)
    assert missing == expected_missing


def test_without_pids_a_log_is_of_one_process(tmp_path):
    text = log(f"{START}\n10 brk(NULL) = 0x5000\n10 exit_group(0) = ?\n10 +++ exited with 0 +++")
    text = re.sub("(?m)^10 ", "", text)
    assert imported(tmp_path, text)[0] == ["spawn 1", "brk 1 0x5000", "exit 1"]


def test_the_form_on_stderr_shows_pids_only_while_there_are_several(tmp_path):
    text = f"""
        {at(0)} execve("/bin/sh", ["sh"], 0x7f /* 3 vars */) = 0
        {at(1)} clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLDstrace: Process 31 attached
        , child_tidptr=0x7f0) = 31
        [pid    31] {at(2)} brk(NULL <unfinished ...>
        [pid    30] {at(3)} brk(NULLstrace: Process 32 attached
         <unfinished ...>
        [pid    31] {at(4)} <... brk resumed>) = 0x5000
        [pid    30] {at(5)} <... brk resumed>) = 0x6000
        output of the program itself
        [pid    30] {at(6)} clone(child_stack=NULL, flags=SIGCHLD) = 32
        [pid    32] {at(7)} +++ exited with 0 +++
        [pid    30] {at(8)} +++ exited with 0 +++
        {at(9)} brk(0x7000) = 0x7000
        {at(10)} +++ exited with 0 +++
    """
    text = "\n".join(line.removeprefix("        ") for line in text.strip("\n").splitlines())
    found, missing = imported(tmp_path, text)
    assert found == ["spawn 30", "fork 30 31", "brk 31 0x5000", "brk 30 0x6000", "fork 30 32", "exit 32", "exit 30",
                     "brk 31 0x7000", "exit 31"]
    assert missing == ["1 line of strace not understood", NO_IMAGE]


@pytest.mark.parametrize("content, reason", [
    (None, "cannot be read: No such file"),
    ("", "no line of it is like one of strace -f -ttt"),
    ("execve(\"/bin/x\") = 0\n", "no line of it is like one of strace -f -ttt"),
    ("\0\xff{}" * 1000, "no line of it is like one of strace -f -ttt"),
])
def test_another_kind_of_file_is_an_error(tmp_path, content, reason):
    path = tmp_path / "log"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=reason):
        import_strace(path)
    with pytest.raises(InputError, match="Is a directory"):
        import_strace(tmp_path)


def damaged(lines, rng):
    """The lines with one in twenty dropped, doubled, cut, misspelt or moved."""
    found = []
    for line in lines:
        kind, place = rng.randrange(100), rng.randrange(max(1, len(line)))
        line = line[:place] if kind == 0 else line[:place] + chr(rng.randrange(32, 127)) + line[place + 1:] \
            if kind == 1 else line
        found.extend([line] * (0 if kind == 2 else 2 if kind == 3 else 1))
        if kind == 4 and len(found) > 5:
            found[-5], found[-1] = found[-1], found[-5]
    return "\n".join(found) + "\n"


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_log_never_crashes_and_still_replays(tmp_path, seed):
    rng = random.Random(seed)
    name = rng.choice(["sh-true", "calls"])
    if name == "calls":
        lines, perf = log(START + "".join(case[0].rstrip() for case in CASES.values())).splitlines(), None
    else:
        lines = (LOGS / "sh-true.strace").read_text().splitlines()
        perf = damaged((LOGS / "sh-true.tracepoints.perf").read_text().splitlines(), rng)
    imported(tmp_path, damaged(lines, rng), perf)


MAP = "mmap 1 0x10000 0x4000 rw- private,anonymous"
IMPOSSIBLE = [
    ([], ev.Fork(1, 1), "already exists"),
    ([], ev.Exec(2), "does not exist"),
    ([], ev.Exit(2), "does not exist"),
    ([], ev.Mmap(1, 0x10, 1, "r--", ["private", "anonymous"]), "not page aligned"),
    ([], ev.Mmap(1, 0x10000, 0, "r--", ["private", "anonymous"]), "length is 0"),
    ([], ev.Mmap(1, 1 << 47, 1, "r--", ["private", "anonymous"]), "not in user memory"),
    ([], ev.Mmap(1, 0x10000, 1, "r--", ["private", "growsdown"], "/a"), "grows down"),
    ([(0x10000, 1, "r-x", "special")], ev.Mremap(1, 0x10000, 0x1000, 0x20000, 0x2000, ["maymove"]), "special"),
    ([(0x10000, 1, "rw-")], ev.Mmap(1, 0x10000, 1, "r--", ["private", "anonymous"]), "another mapping is there"),
    ([(0x10000, 1, "rw-"), (0x12000, 1, "rw-")], ev.Mprotect(1, 0x10000, 0x3000, "r--"), "part of the range"),
    ([(0x10000, 1, "r--")], ev.Write(1, 0x10000, 1), "protection forbids"),
    ([(0x10000, 1, "-w-")], ev.Read(1, 0x10000, 1), "protection forbids"),
    ([(0x10000, 1, "rw-")], ev.Read(1, 0x10fff, 2), "no mapping covers"),
    ([(0x200000, 1, "rw-", "growsdown"), (0x10000, 0x100, "rw-")], ev.Read(1, 0x20f000, 1), "no mapping covers"),
    ([(0x210000, 1, "rw-", "growsdown"), (0x10000, 0x100, "rw-")], ev.Read(1, 0x20f000, 1), "no room"),
    ([(0x10000, 1, "rw-", "shared")], ev.Madvise(1, 0x10000, 0x1000, "wipeonfork"), "not private anonymous"),
    ([(0x10000, 1, "rw-", "locked")], ev.Madvise(1, 0x10000, 0x1000, "dontneed"), "locked"),
    ([(0x10000, 1, "rw-", "locked")], ev.Madvise(1, 0x10000, 0x1000, "free"), "locked"),
    ([(0x10000, 1, "rw-"), (0x12000, 1, "rw-")], ev.Mremap(1, 0x10000, 0x3000, 0x20000, 0x4000, ["maymove"]),
     "not one mapping"),
    ([(0x10000, 2, "rw-")], ev.Mremap(1, 0x10000, 0x1000, 0x10000, 0x3000), "in the way"),
    ([(0x10000, 2, "rw-")], ev.Mremap(1, 0x10000, 0x2000, 0x20000, 0x2000), "needs maymove"),
    ([(0x10000, 2, "rw-")], ev.Mremap(1, 0x10000, 0x2000, 0x11000, 0x2000, ["maymove", "fixed"]), "overlap"),
    ([(0x10000, 2, "rw-")], ev.Mremap(1, 0x10000, 0, 0x20000, 0x2000, ["maymove"]), "only a shared mapping"),
    ([(0x10000, 2, "rw-"), (0x20000, 1, "rw-")], ev.Mremap(1, 0x10000, 0x2000, 0x20000, 0x2000, ["maymove"]),
     "at the new address"),
    ([(0x10000, 2, "rw-")], ev.RemapFilePages(1, 0x10000, 0x2000, 3), "not shared"),
]


@pytest.mark.parametrize("maps, event, reason", IMPOSSIBLE, ids=[f"{n}" for n in range(len(IMPOSSIBLE))])
def test_an_impossible_event_is_refused_and_changes_nothing(maps, event, reason):
    layout = Layout()
    layout.apply(ev.Spawn(1))
    for start, pages, prot, *flags in maps:
        private = [] if "shared" in flags else ["private"]
        layout.apply(ev.Mmap(1, start, pages * 4096, prot, [*private, "anonymous", *flags]))
    before = list(layout.space(1).areas)
    with pytest.raises(Impossible, match=reason):
        layout.apply(event)
    assert layout.space(1).areas == before


def test_a_shared_object_ends_where_its_mmap_ended():
    layout = Layout()
    for event in (ev.Spawn(1), ev.Mmap(1, 0x10000, 0x2000, "rw-", ["shared", "anonymous"]),
                  ev.Mremap(1, 0x10000, 0x2000, 0x20000, 0x4000, ["maymove"]), ev.Write(1, 0x20000, 0x2000)):
        layout.apply(event)
    with pytest.raises(Impossible, match="ends before it"):
        layout.apply(ev.Write(1, 0x21000, 0x2000))
    layout.apply(ev.Munmap(1, 0x20000, 0x1000))
    layout.apply(ev.Read(1, 0x21000, 0x1000))


def test_a_stack_grows_to_the_page_touched_and_a_child_gets_what_fork_gives():
    layout = Layout()
    for event in (ev.Spawn(1), ev.Mmap(1, 0x200000, 0x1000, "rw-", ["private", "anonymous", "growsdown"]),
                  ev.Read(1, 0x1f0000, 1), ev.Mmap(1, 0x10000, 0x3000, "rw-", ["private", "anonymous"]),
                  ev.Madvise(1, 0x10000, 0x1000, "dontfork"), ev.Mlock(1, 0x11000, 0x1000), ev.Brk(1, 0x20000),
                  ev.Brk(1, 0x20001), ev.Fork(1, 2), ev.Brk(2, 0x20000)):
        layout.apply(event)
    assert [(area.start, area.end, sorted(area.flags)) for area in layout.space(2).areas] == [
        (0x11000, 0x12000, ["account"]), (0x12000, 0x13000, ["account"]),
        (0x1f0000, 0x201000, ["account", "growsdown"])]
    assert [(area.start, area.end) for area in layout.space(1).areas] == [
        (0x10000, 0x11000), (0x11000, 0x12000), (0x12000, 0x13000), (0x20000, 0x21000), (0x1f0000, 0x201000)]


@pytest.fixture(scope="module", params=TRACES, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def committed(request):
    return request.param


def test_at_least_four_programs_are_committed():
    assert {"shell-pipeline", "python-subprocess-threads", "make-compile", "apache2-prefork"} <= {
        path.name.removesuffix(".jsonl.gz") for path in TRACES}


def test_a_committed_trace_is_small_and_possible_from_end_to_end(committed):
    assert committed.stat().st_size < 3_000_000
    trace, layout, kinds = read(committed), Layout(), set()
    for _, event in trace:
        layout.apply(event)
        kinds.add(type(event))
    assert not layout.processes, "every process of it ends"
    assert {ev.Spawn, ev.Exit, ev.Mmap, ev.Munmap, ev.Mprotect, ev.Brk, ev.Read, ev.Write} <= kinds
    assert kinds & {ev.Fork, ev.Vfork}
    assert trace.header.kernel.startswith("6.18") and trace.header.arch == "x86_64"
    assert "exceptions:page_fault" in trace.header.source and trace.header.missing


def test_a_committed_trace_names_no_person_and_no_machine(committed):
    assert committed.read_bytes()[3:8] == bytes(5), "neither a name nor a time in the gzip header"
    names = {event.file for _, event in read(committed) if type(event) is ev.Mmap and event.file}
    assert all(name.startswith(("/usr/", "/etc/", "/dev/", "/srv/demo/", "/tmp/", "/memfd:")) for name in names)
