"""Records a real program: runs it under strace and perf, and makes a trace of what they saw.

Just before a process ends, its own /proc/PID/maps is read: a seccomp filter makes exit_group wait until it has been.
"""

import contextlib
import errno
import fcntl
import os
import platform
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from .strace import Ending, import_recording

_CALLS = "%memory,%process,open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,memfd_create,shmget,shmctl"
_LAUNCH = Path(__file__).with_name("launch.py")
# With the tracepoints, which take this clock only, perf says which faults are reads and which are writes.
_EVENTS = (
    (("-e", "exceptions:page_fault_user", "-e", "exceptions:page_fault_kernel", "-k", "CLOCK_MONOTONIC"),
     "comm,pid,tid,time,event,trace"),
    (("-e", "page-faults", "-k", "CLOCK_REALTIME"), "comm,pid,tid,time,event,addr,ip"))
_BUFFERS = 256 << 20  # bytes, of all processors together
_PATIENCE = 3  # seconds for the recorded program to end by itself when record is interrupted
_PERF_STARTS = 30  # seconds
_RECEIVE, _SEND, _ID_VALID = 0xC0502100, 0xC0182101, 0x40082102  # include/uapi/linux/seccomp.h:SECCOMP_IOCTL_NOTIF_*
_CONTINUE = 1
_DEATH = re.compile(r"^(\d+) +[\d.]+ \+\+\+ (exited with \d+|killed by \w+(?: \(core dumped\))?) \+\+\+$", re.MULTILINE)


class Snapshot(NamedTuple):
    """What /proc/PID/maps of a process said when it had called exit_group, at `time` (ns of CLOCK_REALTIME)."""

    time: int
    maps: bytes


class Recorded(NamedTuple):
    """A recorded program: its trace, how each process ended and what its maps said then, and how the command ended.

    `endings` holds an (Ending, bytes or None) for each process; None where it was killed, or its maps were not read.
    """

    header: object
    events: list
    endings: list[tuple[Ending, bytes | None]]
    status: str


def record(command, watch=iter):
    """Runs a command (a list of words) under strace and perf until it and all that it started have ended.

    Its standard streams, working directory and environment are the caller's. `watch` wraps the lines of the recordings
    while they are read. Raises InputError if a tool is missing or may not do its work; on any exception,
    KeyboardInterrupt included, what was started is ended and nothing is left behind. Cost: every system call of the
    program stops it twice.
    """
    strace, perf = _tools(command)
    with _ended_like_ctrl_c(), tempfile.TemporaryDirectory(prefix="rmapmodel-record-") as folder:
        log, script = Path(folder, "strace"), Path(folder, "perf")
        with _Run([strace, "-f", "-q", "--absolute-timestamps=format:unix,precision:ns", "-e", f"trace={_CALLS}",
                   "-o", str(log), "--", *command]) as run:
            fields = _start_perf(run, perf, folder)
            run.go()
            run.serve()
            _stop_perf(run, folder)
        if not log.exists() or not log.stat().st_size:
            raise InputError(f"strace could not run the program{_setting('yama/ptrace_scope')}")
        _print_perf(perf, folder, fields, script)
        header, events, endings = import_recording(log, script, watch, here=True)
        status = _status(log)
    return Recorded(header, events, _paired(endings, run.snapshots), status)


def _tools(command):
    if platform.system() != "Linux" or platform.machine() != "x86_64" or sys.maxsize < 1 << 32:
        raise InputError("a program is recorded on Linux, x86_64")
    found = {tool: shutil.which(tool) for tool in ("strace", "perf")}
    missing = [tool for tool in found if not found[tool]]
    if missing:
        packages = " ".join({"strace": "strace", "perf": "linux-perf"}[tool] for tool in missing)
        raise InputError(f"{' and '.join(missing)} not found (Debian: apt-get install {packages})")
    if not shutil.which(command[0]):
        raise InputError(f"{command[0]}: no such program")
    return found["strace"], found["perf"]


@contextlib.contextmanager
def _ended_like_ctrl_c():
    """SIGTERM and SIGHUP raise KeyboardInterrupt in the block, so that they too end what was started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _setting(name):
    """The value of a kernel setting that may forbid it, to be appended to an error."""
    with contextlib.suppress(OSError):
        return f"; {name.replace('/', '.')} is {Path('/proc/sys/kernel', name).read_text().strip()}"
    return ""


# -- the program ---------------------------------------------------------------------------------------------------


class _Run:
    """A program under strace, held until `go`, and the perf that watches it; leaving the block ends what still runs.

    It is in a session of its own: programs that signal their process group do not reach perf, nor the caller.
    """

    def __init__(self, command):
        self.command, self.perf, self.perf_channel, self.snapshots = command, None, None, defaultdict(list)

    def __enter__(self):
        self.channel, theirs = socket.socketpair()
        with theirs:
            theirs.set_inheritable(True)
            self.strace = subprocess.Popen([sys.executable, "-ISB", str(_LAUNCH), str(theirs.fileno()), *self.command],
                                           start_new_session=True, close_fds=False)
        try:
            self.ended = os.pidfd_open(self.strace.pid)
            told, descriptors, _, _ = socket.recv_fds(self.channel, 256, 1)
            if not descriptors:
                raise InputError("exit_group cannot be held to read the maps of a process before it ends: "
                                 f"{told.decode() or 'the launcher ended'}")
            self.listener = descriptors[0]
        except BaseException:
            self.strace.kill()
            self.strace.wait()
            raise
        return self

    def go(self):
        self.channel.send(b"\0")

    def serve(self, seconds=None):
        """Read the maps of every process at its exit_group and let it go on, until strace ends; False if it did not."""
        until = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        poll.register(self.ended, select.POLLIN)
        while True:
            left = None if until is None else max(0, until - time.monotonic()) * 1000
            ready = dict(poll.poll(left))
            if ready.get(self.listener, 0) & select.POLLIN:
                self._answer()
            elif self.ended in ready:
                return True
            elif until is not None and time.monotonic() >= until:
                return False

    def _answer(self):
        request = bytearray(80)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, request)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # it was killed meanwhile
                return
            raise
        number, thread = struct.unpack_from("=QI", request)
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{thread}/maps").read_bytes()
            group = int(re.search(rb"^Tgid:\s+(\d+)", Path(f"/proc/{thread}/status").read_bytes(), re.MULTILINE)[1])
            fcntl.ioctl(self.listener, _ID_VALID, struct.pack("=Q", number))  # else the number may be another's by now
            self.snapshots[group].append(Snapshot(time.time_ns(), maps))
        with contextlib.suppress(FileNotFoundError):
            fcntl.ioctl(self.listener, _SEND, bytearray(struct.pack("=QqiI", number, 0, 0, _CONTINUE)))

    def __exit__(self, kind, error, trace):
        try:
            if self.strace.poll() is None:
                self._end()
        finally:
            if self.perf and self.perf.poll() is None:
                self.end_perf()
            self.channel.close()
            os.close(self.ended)
            os.close(self.listener)

    def end_perf(self):
        self.perf.kill()
        self.perf.wait()
        self.perf_channel.close()

    def _end(self):
        """End the program as Ctrl-C in a terminal would, and kill what has not ended soon; a second one kills now."""
        self.channel.close()  # if it still waits there, it ends
        try:
            self._signal(signal.SIGINT)
            if self.serve(_PATIENCE):
                return
        except KeyboardInterrupt:
            pass
        while not self.serve(0.1):
            self._signal(signal.SIGKILL)

    def _signal(self, number):
        """Send a signal to every process that strace traces."""
        tracer = f"TracerPid:\t{self.strace.pid}\n"
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    process = os.pidfd_open(int(entry.name))
                    try:
                        if tracer in Path(entry.path, "status").read_text():
                            signal.pidfd_send_signal(process, number)
                    finally:
                        os.close(process)


# -- perf ----------------------------------------------------------------------------------------------------------


def _start_perf(run, perf, folder):
    """Starts perf on the held process, with the best events that it may have; returns the fields to print them with."""
    for events, fields in _EVENTS:
        buffers = ("-m", _buffers()) if os.geteuid() == 0 else ()
        command = (perf, "record", "-q", "-B", "-N", "-c", "1", "-d", *events, *buffers, "-p", str(run.strace.pid))
        if _started(run, command, folder):
            return fields
    said = Path(folder, "perf.err").read_text(errors="replace").split()
    raise InputError(f"perf may not record page faults: {' '.join(said)[:300]}{_setting('perf_event_paranoid')}")


def _started(run, command, folder):
    run.perf_channel, perfs = socket.socketpair()
    with perfs, open(Path(folder, "perf.err"), "wb") as said:
        number = perfs.fileno()
        run.perf = subprocess.Popen(
            [*command, "-o", str(Path(folder, "perf.data")), f"--control=fd:{number},{number}"],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=_perf_environment(), pass_fds=(number,),
            start_new_session=True)
    run.perf_channel.settimeout(_PERF_STARTS)
    with contextlib.suppress(OSError):
        run.perf_channel.send(b"ping\n")
        if run.perf_channel.recv(16).startswith(b"ack"):
            return True
    run.end_perf()
    return False


def _perf_environment():
    return {**os.environ, "PERF_CONFIG": os.devnull}


def _buffers():
    each = _BUFFERS // (os.cpu_count() or 1)
    return f"{min(128, max(1, 1 << (each >> 20).bit_length() - 1))}M"


def _stop_perf(run, folder):
    with contextlib.suppress(OSError):  # it also ends by itself when the last process has
        run.perf_channel.send(b"stop\n")
    if run.perf.wait():
        said = Path(folder, "perf.err").read_text(errors="replace").split()
        raise InputError(f"perf record failed: {' '.join(said)[:300]}")


def _print_perf(perf, folder, fields, script):
    with open(script, "wb") as output:
        printed = subprocess.run(
            [perf, "script", "-i", str(Path(folder, "perf.data")), "--header", "--ns", "-F", fields,
             "--show-mmap-events", "--show-task-events", "--show-lost-events"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, env=_perf_environment())
    if printed.returncode:
        said = [line for line in printed.stderr.decode(errors="replace").splitlines() if "Ignoring" not in line]
        raise InputError(f"perf script failed: {' '.join(said)[:300]}")


# -- what they saw -------------------------------------------------------------------------------------------------


def _status(log):
    """How the process ended that the command itself became, in strace's words."""
    text = log.read_text(errors="replace")
    first = text.split(maxsplit=1)[0]
    return next((ended for pid, ended in reversed(_DEATH.findall(text)) if pid == first), "not known")


def _paired(endings, snapshots):
    """Each ending with the last maps that were read of that process after it had called exit_group."""
    paired = []
    for ending in endings:
        maps = None
        if ending.called is not None:
            maps = next((each.maps for each in reversed(snapshots.get(ending.pid, ()))
                         if ending.called <= each.time <= ending.ended), None)
        paired.append((ending, maps))
    return paired
