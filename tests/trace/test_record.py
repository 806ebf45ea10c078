"""Real programs, recorded: each process that called exit_group has the vmas in the model that its own maps showed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmapmodel import events as ev
from rmapmodel.cli import main
from rmapmodel.errors import InputError
from rmapmodel.study.recorded import agreement
from rmapmodel.trace import read
from rmapmodel.trace import record as recorder
from rmapmodel.trace.record import record
from rmapmodel.trace.scrub import scrub
from rmapmodel.trace.strace import Ending, import_recording

_WANTED = [tool for tool in ("strace", "perf") if not shutil.which(tool)] + ["root"] * (os.geteuid() != 0)
recording = pytest.mark.skipif(bool(_WANTED), reason=f"to record a program takes {', '.join(_WANTED)}")

_FORKS_AND_MOVES = """
import mmap, os, threading
area = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area[:] = bytes([1]) * len(area)
between = mmap.mmap(-1, 4096)
if not os.fork():
    area.resize(8 << 20)
    area[4 << 20] = 1
    os._exit(0)
os.wait()
thread = threading.Thread(target=area.resize, args=(4096,))
thread.start()
thread.join()
"""
_THREADS_THAT_STILL_RUN = """
import mmap, os, threading, time
def churn():
    while True:
        mmap.mmap(-1, 40960, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)[0] = 1
for _ in range(3):
    threading.Thread(target=churn, daemon=True).start()
time.sleep(0.05)
os._exit(7)
"""
_SPAWNS = "import os; os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0); os.execv('/bin/true', ['true'])"

PROGRAMS = {  # (command, how it ends, processes that call exit_group, processes killed)
    "a pipeline and a subshell": (["sh", "-c", "ls / | wc > /dev/null; (exit 3)"], "exited with 3", 4, 0),
    "fork, mremap, a thread": ([sys.executable, "-c", _FORKS_AND_MOVES], "exited with 0", 2, 0),
    "threads that still run": ([sys.executable, "-c", _THREADS_THAT_STILL_RUN], "exited with 7", 1, 0),
    "posix_spawn and exec": ([sys.executable, "-c", _SPAWNS], "exited with 0", 2, 0),
    "one that is killed": (["sh", "-c", "sleep 100 & kill $!; wait; kill -KILL $$"], "killed by SIGKILL", 0, 2),
    "one that outlives it": (["sh", "-c", "setsid sleep 0.3 & exit 0"], "exited with 0", 2, 0)}


@recording
@pytest.mark.parametrize("name", PROGRAMS)
def test_each_process_agrees_with_its_own_maps(name):
    command, status, reached, killed = PROGRAMS[name]
    recorded = record(command)
    found = agreement("t.jsonl", recorded.header, recorded.events, recorded.endings)
    assert not found.differences
    assert (recorded.status, found.reached, found.unread, found.killed) == (status, reached, 0, killed)
    assert found.agree == reached
    assert any(type(event) is ev.Write for event in recorded.events)


@recording
def test_without_tracepoints_the_faults_come_from_the_software_event(monkeypatch):
    monkeypatch.setattr(recorder, "_EVENTS", ((("-e", "no_such:tracepoint"), ""), recorder._EVENTS[1]))
    recorded = record(["/bin/true"])
    found = agreement("t.jsonl", recorded.header, recorded.events, recorded.endings)
    assert (found.reached, found.agree) == (1, 1)
    assert "guessed" in recorded.header.source
    assert any(type(event) is ev.Write for event in recorded.events)


def _run(tmp_path, *words, **options):
    temporary = tmp_path / "tmp"
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-m", "rmapmodel", "record", *words], stderr=subprocess.PIPE,
                            env={**os.environ, "TMPDIR": str(temporary)}, **options)


@recording
def test_the_streams_are_the_programs_and_no_name_stays_after_scrub(tmp_path):
    secret = tmp_path / "sesame"
    secret.mkdir()
    shutil.copy("/bin/cat", secret / "meow")
    output = tmp_path / "t.jsonl"
    run = _run(tmp_path, "-o", str(output), "--scrub", "--", str(secret / "meow"), "-", stdin=subprocess.PIPE,
               stdout=subprocess.PIPE)
    out, err = run.communicate(b"hello\n")
    assert (run.returncode, out) == (0, b"hello\n")
    assert b"exited with 0" in err and b"1 of 1 processes that called exit_group agree" in err
    text = output.read_text()
    maps = Path("/proc/self/maps").read_text().split()
    parts = {part for path in (str(secret / "meow"), shutil.which("cat"), *maps) if path.startswith("/")
             for part in Path(path).parts[1:]} - {"lib"}
    assert {"sesame", "meow", "libc.so.6", "usr"} <= parts
    assert [part for part in parts if f"/{part}/" in text or f'/{part}"' in text or "sesame" in text] == []
    assert {event.file for _, event in read(output) if type(event) is ev.Mmap} >= {None, "/file-1", "/lib-1.so"}
    assert os.listdir(tmp_path / "tmp") == []


@recording
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_program_and_its_tracers_and_leaves_nothing(tmp_path, number):
    script = "trap '' INT; setsid sleep 1000 & echo $! $$ >pids.new; mv pids.new pids; while :; do sleep 1000; done"
    run = _run(tmp_path, "-o", "t.jsonl", "--", "sh", "-c", script, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while not (tmp_path / "pids").exists() and time.monotonic() < until:
            time.sleep(0.02)
        pids = (tmp_path / "pids").read_text().split()
        tracer = Path(f"/proc/{pids[1]}/status").read_text().split("TracerPid:")[1].split()[0]
    finally:
        run.send_signal(number)
        _, err = run.communicate(timeout=20)
    assert (run.returncode, err.splitlines()[-1]) == (130, b"rmapmodel: interrupted")
    assert sorted(os.listdir(tmp_path)) == ["pids", "tmp"]
    assert os.listdir(tmp_path / "tmp") == []
    assert [pid for pid in (*pids, tracer) if _runs(pid)] == []


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("have, says", [
    ((), r"strace and perf not found \(Debian: apt-get install strace linux-perf\)"),
    (("strace",), r"perf not found \(Debian: apt-get install linux-perf\)"),
    (("perf",), r"strace not found \(Debian: apt-get install strace\)")])
def test_a_tool_that_is_missing_is_named_with_its_package(tmp_path, monkeypatch, have, says):
    for tool in have:
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=says):
        record(["/bin/true"])


def test_perf_that_may_not_record_is_an_error_that_names_the_setting(tmp_path, monkeypatch):
    for tool in ("strace", "perf"):
        (tmp_path / tool).write_text("#!/bin/sh\necho $0 $* >>$0.calls\necho No permission >&2\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(InputError, match=r"perf may not record page faults: No permission; perf_event_paranoid is"):
        record(["/bin/true"])
    calls = (tmp_path / "perf.calls").read_text()
    assert "exceptions:page_fault_user" in calls.splitlines()[0] and "-e page-faults" in calls.splitlines()[1]
    assert not (tmp_path / "strace.calls").exists()


@pytest.mark.parametrize("words, says", [
    (["-o", "t"], "record wants a command"), (["-o", "t", "--"], "record wants a command"),
    (["-o", "none/t", "--", "true"], "none/t: cannot be written"), (["--", "true"], "-o")])
def test_bad_words_are_one_line_and_nothing_runs(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert main(["record", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("rmapmodel: error: ") and says in err and err.count("\n") == 1
    assert os.listdir() == []


# -- the comparison, without a recording -----------------------------------------------------------------------------

_MAPS = (b"00100000-00102000 rw-p 00000000 00:00 0 \n"
         b"00200000-00201000 r-xp 00001000 fe:00 77                         /lib/x y.so (deleted)\n"
         b"00300000-00301000 rw-s 00000000 00:01 5                          /dev/zero (deleted)\n"
         b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]\n")
_EVENTS = [
    ev.Spawn(1),
    ev.Mmap(1, 0x100000, 0x2000, "rw-", ["private", "anonymous"]),
    ev.Mmap(1, 0x200000, 0x1000, "r-x", ["private"], "/lib/x y.so#2", 0x1000),
    ev.Mmap(1, 0x300000, 0x1000, "rw-", ["shared", "anonymous"]),
    ev.Munmap(1, 0x101000, 0x1000),
    ev.Exit(1)]
_HEADER = ev.Header(version=1, kernel="6.18")


@pytest.mark.parametrize("since, agrees", [(1, True), (4, True), (5, False)])
def test_it_agrees_at_any_moment_from_exit_group_on(since, agrees):
    found = agreement("t", _HEADER, _EVENTS, [(Ending(1, 10, 20, since, 5), _MAPS)])
    assert (found.reached, found.agree, bool(found.differences)) == (1, agrees, not agrees)


@pytest.mark.parametrize("old, new", [
    (b"00102000 rw-p", b"00103000 rw-p"), (b"00100000-", b"000ff000-"), (b"rw-p", b"r--p"), (b"rw-s", b"rw-p"),
    (b"00001000 fe", b"00002000 fe"), (b"x y.so", b"z.so"), (b"/dev/zero", b"/dev/one"),
    (b"00:00 0 \n", b"00:00 6 /a\n"), (b"ffffffffff600000-ffffffffff601000", b"00400000-00401000"),
    (_MAPS[:42], b"")])
def test_a_difference_in_one_vma_is_named(old, new):
    maps = _MAPS.replace(old, new, 1)
    assert maps != _MAPS
    found = agreement("t", _HEADER, _EVENTS, [(Ending(1, 10, 20, 4, 4), maps)])
    assert (found.reached, found.agree, [pid for pid, _ in found.differences]) == (1, 0, [1])
    assert "process 1: the model has " in str(found)


def test_what_was_killed_or_not_read_is_counted_apart():
    found = agreement("t", _HEADER, _EVENTS, [(Ending(1, None, 20, 5, 5), None), (Ending(1, 10, 20, 5, 5), None)])
    assert (found.reached, found.agree, found.unread, found.killed) == (1, 0, 1, 1)
    assert str(found).splitlines() == ["0 of 1 processes that called exit_group agree with their own maps",
                                       "not compared: 1, whose maps could not be read", "killed: 1"]


def test_the_log_says_how_each_process_ended(tmp_path):
    (tmp_path / "log").write_text("""\
10 1.000001 brk(NULL) = 0x9000
10 1.000002 clone(child_stack=NULL, flags=SIGCHLD) = 11
11 1.000003 brk(NULL) = 0x9000
10 1.000004 exit_group(0 <unfinished ...>
11 1.000005 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000
10 1.000006 <... exit_group resumed>) = ? ERESTARTSYS (To be restarted)
10 1.000007 exit_group(0) = ?
11 1.000008 +++ killed by SIGKILL +++
10 1.000009 +++ exited with 0 +++
""")
    _, events, endings = import_recording(tmp_path / "log")
    assert endings == [Ending(11, None, 1_000_008_000, 4, 4), Ending(10, 1_000_007_000, 1_000_009_000, 4, 5)]
    assert events[4:] == [ev.Exit(11), ev.Exit(10)]


def test_a_signal_that_kills_while_exit_group_is_held_kept_it_from_being_called(tmp_path):
    (tmp_path / "log").write_text("""\
10 1.000001 clone(child_stack=NULL, flags=CLONE_VM|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD) = 11
11 1.000002 exit_group(0 <unfinished ...>
10 1.000003 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---
11 1.000004 <... exit_group resumed>) = ?
11 1.000005 +++ killed by SIGTERM +++
10 1.000006 +++ killed by SIGTERM +++
""")
    assert import_recording(tmp_path / "log")[2] == [Ending(10, None, 1_000_006_000, 1, 1)]


def test_pseudonyms_are_stable_and_keep_the_kind():
    names = ["/srv/ann/a.out", "/usr/lib/libc.so.6", "/srv/ann/a.out", "/memfd:ann#1", "/SYSV17", "/dev/shm/ann", None,
             "/usr/lib/libc.so.6#2", "fd:3#1"]
    made = [ev.Mmap(1, 0, 4096, "r--", ["private"] if name else ["private", "anonymous"], name) for name in names]
    assert [event.file for event in scrub(made)] == [
        "/file-1", "/lib-1.so", "/file-1", "/memfd-1", "/sysv-1", "/shm-1", None, "/lib-2.so", "fd:3#1"]
    assert [event.file for event in made] == names
