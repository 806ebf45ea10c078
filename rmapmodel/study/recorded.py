"""Recorded programs against their own maps: whether the model has the vmas that /proc/PID/maps showed at the end."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

from .replay import Options, applied, machine_for

_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-])([ps]) ([0-9a-f]+) \S+ (\d+)(?: +(.*))?$")
_USER_END = 1 << 47  # the [vsyscall] page above it belongs to no process
_OCTAL = re.compile(r"\\([0-7]{3})")
_SHARED_ANONYMOUS = "/dev/zero"
_ANY_FILE = re.compile(r"fd:-?\d+#\d+$")  # what the importer calls a file that it knows by its descriptor only


class Seen(NamedTuple):
    """A vma as a line of /proc/PID/maps shows it; `file` is None for memory without one, `offset` 0 then."""

    start: int
    end: int
    prot: str
    shared: bool
    file: str | None
    offset: int

    def __str__(self):
        what = self.file or "anonymous"
        return (f"{self.start:x}-{self.end:x} {self.prot}{'s' if self.shared else 'p'} {what}"
                + (f" at {self.offset:#x}" if self.file else ""))


@dataclass
class Agreement:
    """How many processes called exit_group, agree with their maps then, had none read, or were killed instead.

    `differences` holds (pid, what differs first) for each that does not agree.
    """

    reached: int = 0
    agree: int = 0
    unread: int = 0
    killed: int = 0
    differences: list = field(default_factory=list)

    def __str__(self):
        lines = [f"{self.agree} of {self.reached} processes that called exit_group agree with their own maps"]
        lines += [f"not compared: {self.unread}, whose maps could not be read"] * bool(self.unread)
        lines += [f"killed: {self.killed}"] * bool(self.killed)
        return "\n".join([*lines, *(f"process {pid}: {differs}" for pid, differs in self.differences)])


class _Compared:
    """A process whose maps were read; it must have had these vmas after `since` events, or later, up to `until`."""

    def __init__(self, ending, maps):
        self.pid, self.since, self.until = ending.pid, ending.since, ending.until
        self.theirs, self.difference = seen(maps), None

    def agrees(self, machine):
        self.difference = first_difference(machine.areas(machine.processes[self.pid]), self.theirs)
        return self.difference is None


class _Numbered:
    """Events with the numbers of the lines that they have in the trace's file, below its header."""

    def __init__(self, path, events):
        self.path, self.events = path, events

    def __iter__(self):
        return enumerate(self.events, 2)


def agreement(path, header, events, endings, max_memory=4 << 30):
    """Replays a recording with today's design on the kernel it was made on, and compares each process at its end.

    `endings` holds an (Ending, maps or None) for each process, as trace.record gives them. A process whose other
    threads still ran while its maps were read agrees if it had these vmas at any moment between its exit_group
    and its end.
    `path` is for messages, `max_memory` is in bytes. Raises
    InputError as replay() does. Cost: that of a replay, and of one comparison a process.
    """
    found, arriving = Agreement(), defaultdict(list)
    for ending, maps in endings:
        found.killed += ending.called is None
        found.reached += ending.called is not None
        if maps is not None:
            arriving[ending.since].append(_Compared(ending, maps))
        elif ending.called is not None:
            found.unread += 1
    machine = machine_for(header, "anon_vma_chain", Options(max_memory=max_memory))
    trace = _Numbered(path, events)

    def compared():
        waiting, changed = [], None
        for index, (line, event) in enumerate(trace):
            waiting = [each for each in waiting
                       if machine.processes[each.pid] is not changed or not each.agrees(machine)]
            waiting += [each for each in arriving[index] if not each.agrees(machine)]
            found.differences += [(each.pid, each.difference) for each in waiting if each.until == index]
            waiting = [each for each in waiting if each.until != index]
            yield line, event
            changed = machine.processes.get(event.pid)

    for _ in applied(machine, trace, compared()):
        pass
    found.agree = found.reached - found.unread - len(found.differences)
    return found


def seen(maps):
    """The vmas that the bytes of a /proc/PID/maps file show.

    >>> seen(b"7f0000000000-7f0000002000 r-xp 00001000 fe:00 77   /lib/x.so (deleted)\\n")[0].file
    '/lib/x.so'
    """
    found = []
    for line in maps.decode(errors="surrogateescape").splitlines():
        start, end, prot, sharing, offset, inode, name = _LINE.match(line).groups()
        if int(start, 16) < _USER_END:
            file = _name(name or "", int(inode)) if int(inode) or (name or "").startswith("/") else None
            found.append(Seen(int(start, 16), int(end, 16), prot, sharing == "s", file, int(offset, 16) if file else 0))
    return found


def _name(name, inode):
    if name.startswith("[anon_shmem:"):
        return _SHARED_ANONYMOUS
    if name.startswith("/SYSV"):
        return f"/SYSV{inode}"  # shm_inode_number is the segment's id (ipc/shm.c)
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), name.removesuffix(" (deleted)"))


def first_difference(areas, theirs):
    """What differs first between a machine's areas and what maps showed, as text; None if nothing does."""
    for area, other in zip_longest(areas, theirs):
        mine = area and Seen(area["start"], area["end"], area["prot"], area["shared"],
                             _SHARED_ANONYMOUS if area.get("shmem") else area["file"], area["offset"])
        if mine is None or other is None or not _same(mine, other):
            return f"the model has {mine or 'no more'}, its maps showed {other or 'no more'}"
    return None


def _same(mine, other):
    if mine[:4] != other[:4] or mine.offset != other.offset:
        return False
    if mine.file is None or other.file is None:
        return mine.file is other.file
    # the importer tells files of one name apart by a number
    return mine.file == other.file or mine.file.rpartition("#")[0] == other.file or bool(_ANY_FILE.match(mine.file))
