"""What `perf script` says about a recorded program: its page faults, the mappings of exec, and the names of files."""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from typing import NamedTuple

from ..errors import InputError

_LINE = re.compile(r"\s*(?:.*?\s)?(-?\d+)(?:/-?\d+)?\s+(?:\[\d+\]\s+)?(\d+)\.(\d+):\s+(\S.*)$")
_SAMPLE = re.compile(r"(?:\d+\s+)?(\S*fault\S*):\s(.*)$")
_ADDRESS = re.compile(r"address=(?:0x)?([0-9a-f]+).*error_code=(?:0x)?([0-9a-f]+)")
_TWO_ADDRESSES = re.compile(r"\s*([0-9a-f]+)\s+[0-9a-f]+(?:\s|$)")
_MAP = re.compile(r"PERF_RECORD_MMAP2 (\d+)/\d+: \[0x([0-9a-f]+)\((?:0x)?([0-9a-f]+)\) @ (?:0x)?([0-9a-f]+) "
                  r"(?:(\S+:\S+ \d+) \d+|<[0-9a-f]*>)\]: ([r-][w-][x-])[ps] (.+)$")
_EXEC = re.compile(r"PERF_RECORD_COMM exec: .*:(\d+)/\d+$")
_FORK = re.compile(r"PERF_RECORD_FORK\(\d+:(\d+)\):\(\d+:(\d+)\)")
_LOST = re.compile(r"PERF_RECORD_LOST\D*(\d+)")
_REFERENCE = re.compile(r"# reference time: .* = (\d+)\.(\d+) \(TOD\) = (\d+)\.(\d+) ")
_USER_END = 1 << 47  # x86_64: above it is the kernel's, or nothing
_READ, _WRITE, _UNKNOWN = range(3)
_NO_ADDRESS = ("page fault(s) without an address, which perf script -F comm,pid,tid,time,event,addr,ip shows, "
               "or for tracepoints the same with trace")


class Map(NamedTuple):
    """A PERF_RECORD_MMAP2: when (ns), the range of the vma after the call (bytes), and what is mapped."""

    time: int
    start: int
    end: int
    offset: int
    prot: str
    name: str


class Recording:
    """What a perf script file holds; times are ns of CLOCK_REALTIME. 21 bytes a page fault."""

    def __init__(self):
        self.maps, self.execs, self.forks = defaultdict(list), defaultdict(list), defaultdict(list)
        self.times, self.tids, self.addresses, self.kinds = array("q"), array("i"), array("Q"), array("b")
        self.counts = Counter()
        self.kernel = self.arch = self.span = None
        self.knows_writes = False  # whether faults come from exceptions:page_fault_*, which say read or write

    def faults(self):
        """(time in ns, tid, address, whether a write or None) of each page fault, in order of time."""
        for index in sorted(range(len(self.times)), key=self.times.__getitem__):
            kind = self.kinds[index]
            if kind != _UNKNOWN or not self.knows_writes:
                write = None if kind == _UNKNOWN else kind == _WRITE
                yield self.times[index], self.tids[index], self.addresses[index], write

    def window(self, pid, start, end):
        """The mappings that a process made between two times (ns), in order."""
        maps = self.maps.get(pid, ())
        return maps[bisect_left(maps, start, key=_time):bisect_right(maps, end, key=_time)]

    def exec_time(self, pid, start, end):
        """When, between two times (ns), a process passed the point of no return of its exec; None if unseen."""
        times = self.execs.get(pid, ())
        index = bisect_left(times, start)
        return times[index] if index < len(times) and times[index] <= end else None

    def fork(self, tid, start, end):
        """(time in ns, tid of the child) of what a thread forked between two times; None if unseen."""
        forks = self.forks.get(tid, ())
        index = bisect_left(forks, start, key=_time)
        return forks[index] if index < len(forks) and forks[index][0] <= end else None


def text_lines(path, watch):
    """Yields the lines of a text file through `watch`, without their ends; InputError if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in watch(file):
                yield line.rstrip("\n")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from error


def read(path, watch=iter):
    """Reads `perf script --show-mmap-events --show-task-events`, plain or with -F; times become wall-clock times.

    `watch` wraps the lines while they are read. Raises InputError if the file cannot be read or no line of it is like one
    of perf script. A line that is not
    understood is counted. Cost: about ten microseconds a line.
    """
    recording = Recording()
    reader = _Reader(recording)
    for line in text_lines(path, watch):
        reader.take(line)
    if recording.span is None:
        raise InputError("no line of it is like one of perf script", path)
    for times in (*recording.maps.values(), *recording.execs.values(), *recording.forks.values()):
        times.sort()
    return recording


class _Reader:
    """Takes the lines of a file one by one."""

    def __init__(self, recording):
        self.to = recording
        self.clock_offset = 0  # ns from perf's clock to CLOCK_REALTIME
        self.files, self.generations = {}, Counter()

    def take(self, line):
        if line.startswith("#"):
            return self._header(line)
        match = _LINE.match(line)
        if not match or len(match[1]) > 9 or len(match[2]) > 10:
            if line.strip():
                self.to.counts["line(s) of perf script not understood"] += 1
            return None
        time = nanoseconds(match[2], match[3])
        if not time:  # what perf makes up about the time before it began
            return None
        time += self.clock_offset
        first, last = self.to.span or (time, time)
        self.to.span = min(first, time), max(last, time)
        if match[4].startswith("PERF_RECORD_"):
            return self._record(time, match[4])
        return self._sample(time, int(match[1]), match[4])

    def _header(self, line):
        words = line.split()
        if line.startswith("# os release :"):
            self.to.kernel = words[-1]
        elif line.startswith("# arch :"):
            self.to.arch = {"x86_64": "x86_64", "i386": "i386", "i586": "i386", "i686": "i386"}.get(words[-1])
        elif match := _REFERENCE.match(line):
            self.clock_offset = nanoseconds(match[1], match[2]) - nanoseconds(match[3], match[4])

    def _record(self, time, text):
        if match := _MAP.match(text):
            start, size, offset = (int(match[group], 16) for group in (2, 3, 4))
            name = self._file_name(match[7], match[5])
            self.to.maps[int(match[1])].append(Map(time, start, start + size, offset, match[6], name))
        elif match := _EXEC.match(text):
            self.to.execs[int(match[1])].append(time)
        elif match := _FORK.match(text):
            self.to.forks[int(match[2])].append((time, int(match[1])))
        elif match := _LOST.match(text):
            self.to.counts["event(s) that perf lost"] += int(match[1])

    def _file_name(self, name, inode):
        """One name for one inode: a file that took an earlier one's name is told apart by a number."""
        name = name.removesuffix(" (deleted)")
        if inode is None or not name.startswith("/") or name.startswith("//"):
            return name
        if (name, inode) not in self.files:
            self.generations[name] += 1
            number = self.generations[name]
            self.files[name, inode] = name if number == 1 else f"{name}#{number}"
        return self.files[name, inode]

    def _sample(self, time, tid, text):
        match = _SAMPLE.match(text)
        if not match:
            self.to.counts["sample(s) of perf that are not page faults"] += 1
            return
        address, kind = _address(match[1], match[2])
        if address is None:
            self.to.counts[_NO_ADDRESS] += 1
        elif address < _USER_END:
            self.to.times.append(time)
            self.to.tids.append(tid)
            self.to.addresses.append(address)
            self.to.kinds.append(kind)
            self.to.knows_writes |= kind != _UNKNOWN


def _address(event, text):
    # error_code bit 1 is X86_PF_WRITE (arch/x86/include/asm/trap_pf.h)
    if match := _ADDRESS.search(text):
        return int(match[1], 16), _WRITE if int(match[2], 16) & 2 else _READ
    match = None if "page_fault" in event else _TWO_ADDRESSES.match(text)
    return (int(match[1], 16), _UNKNOWN) if match else (None, _UNKNOWN)


def nanoseconds(seconds, fraction):
    """A time given as the digits before and after the point, in ns."""
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))


def _time(record):
    return record[0]
