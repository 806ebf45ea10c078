"""Turns what strace (and perf) recorded of real programs into a trace that replays."""

import re
from bisect import bisect_left
from collections import Counter
from heapq import merge
from operator import itemgetter
from typing import NamedTuple
from weakref import WeakKeyDictionary

from .. import events
from ..errors import InputError
from . import perf
from .elf import segments
from .layout import PAGE, Impossible, Layout, takes, up

_LINE = re.compile(r"(?:\[pid +(\d+)(?:<[^>]*>)?\] +|(\d+)(?:<[^>]*>)? +)?(\d+)\.(\d{3,9}) (.*)$")
_ATTACHED = re.compile(r"strace: Process (\d+)(?:<[^>]*>)? attached$")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?(?:0x[0-9a-f]+|\d+)|\?)(.*)$")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)$")
_SUPERSEDED = re.compile(r"\+\+\+ superseded by execve in pid (\d+)")
_SIGNAL_AT = re.compile(r"--- SIG(?:SEGV|BUS) .*si_addr=(0x[0-9a-f]+|NULL)")
_DESCRIPTOR = re.compile(r"(-?\d+)(?:<(.*)>(?:\(deleted\))?)?$")
_DECORATION = re.compile(r"<(.*?)>(?:\(deleted\))?(?: <\d+\.\d+>)?$")
_DEVICE = re.compile(r"<(?:char|block) [\d:]+>$")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CLONE_FLAGS = re.compile(r"flags=([\w|]+)")
_SEGMENT_SIZE = re.compile(r"shm_segsz=(\d+)")

_PID_END = 1 << 31
_SLACK = 5_000  # ns by which the clocks of strace and perf may seem to differ
_PROT = {"PROT_READ": 0, "PROT_WRITE": 1, "PROT_EXEC": 2}
_MMAP_FLAGS = {"MAP_FIXED": "fixed", "MAP_NORESERVE": "noreserve", "MAP_GROWSDOWN": "growsdown", "MAP_STACK": "stack",
               "MAP_LOCKED": "locked"}
_MREMAP_FLAGS = {"MREMAP_MAYMOVE": "maymove", "MREMAP_FIXED": "fixed", "MREMAP_DONTUNMAP": "dontunmap"}
_ADVICE = {f"MADV_{advice.upper()}": advice for advice in events.ADVICE_VMA + events.ADVICE_PAGES}
_ADVICE |= {"MADV_DODUMP": "dodump", "MADV_DOFORK": "dofork"}
_NOT_IN_A_TRACE = {"mlockall", "munlockall", "process_madvise", "map_shadow_stack", "mbind", "io_setup", "modify_ldt"}
_PARTLY_DONE = {  # failures that leave behind what was done before them
    "mprotect": " ENOMEM", "mlock": " ENOMEM", "munlock": " ENOMEM", "madvise": (" ENOMEM", " EINVAL")}
_EFFECT_AT_ENTRY = {"munmap", "madvise", "shmdt", "close", "close_range"}


class Ending(NamedTuple):
    """How a process of a trace ended: `called` and `ended` are when (ns) it entered exit_group and was gone.

    `called` is None if it was killed. `since` counts the events before exit_group, `until` those before its exit event.
    """

    pid: int
    called: int | None
    ended: int
    since: int
    until: int


class _Call:
    """A call in the log: its times (ns), thread, name and parsed fields; `when` is when it takes effect."""

    __slots__ = ("start", "end", "when", "tid", "name", "fields", "done")

    def __init__(self, start, end, tid, name, fields=()):
        self.start, self.end, self.tid, self.name, self.fields = start, end, tid, name, fields
        self.when, self.done = start, False


# -- fields of a call ----------------------------------------------------------------------------------------------


def _number(text):
    return 0 if text == "NULL" else int(text, 0)


def _words(text):
    return text.split("|")


def _prot(text):
    letters = list("---")
    for word in _words(text):
        if word in _PROT:
            letters[_PROT[word]] = "rwx"[_PROT[word]]
    return "".join(letters)


def _path(text):
    text = _DEVICE.sub("", text)
    return text.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")


def _descriptor(text):
    return int(re.match(r"-?\d+", text)[0])


def _range_fields(args, result, tail):
    return _number(args[0]), _number(args[1]), result == -1


def _mmap_fields(args, result, tail):
    # a decorated descriptor may hold a comma, so the offset is taken from the end
    fd, decoration = _DESCRIPTOR.match(", ".join(args[4:-1])).groups()
    return (result, _number(args[1]), _prot(args[2]), _words(args[3]), int(fd),
            decoration and _path(decoration), _number(args[-1]))


def _mremap_fields(args, result, tail):
    flags = [_MREMAP_FLAGS[word] for word in _words(args[3]) if word in _MREMAP_FLAGS]
    return _number(args[0]), _number(args[1]), result, _number(args[2]), flags


def _shmctl_fields(args, result, tail):
    match = _SEGMENT_SIZE.search(", ".join(args))
    return (int(args[0]), int(match[1])) if match else None


def _open_fields(args, result, tail):
    return result, _path((_DECORATION.match(tail) or _STRING.search(", ".join(args)))[1])


def _clone_fields(args, result, tail):
    match = _CLONE_FLAGS.search(", ".join(args))
    return result, *_kind_of_birth(set(_words(match[1])) if match else set())


def _kind_of_birth(flags):
    if "CLONE_THREAD" in flags:
        return None, True
    kind = events.Fork if "CLONE_VM" not in flags else events.Vfork if "CLONE_VFORK" in flags else events.CloneVm
    return kind, "CLONE_FILES" in flags


_CALLS = {  # name in the log: (name of the handler, its fields out of arguments, result and what follows it)
    "mmap": ("mmap", _mmap_fields),
    "mmap2": ("mmap", _mmap_fields),
    "old_mmap": ("mmap", _mmap_fields),
    "munmap": ("munmap", _range_fields),
    "mlock": ("mlock", _range_fields),
    "mlock2": ("mlock", _range_fields),
    "munlock": ("munlock", _range_fields),
    "mprotect": ("mprotect", lambda args, result, tail: (
        *_range_fields(args, result, tail), _prot(args[2]), "PROT_GROWSDOWN" in args[2])),
    "madvise": ("madvise", lambda args, result, tail: (
        *_range_fields(args, result, tail), tail.startswith(" EINVAL"), args[2])),
    "mremap": ("mremap", _mremap_fields),
    "brk": ("brk", lambda args, result, tail: (result,)),
    "remap_file_pages": ("remap_file_pages", lambda args, result, tail: [_number(args[n]) for n in (0, 1, 3)]),
    "shmget": ("shmsize", lambda args, result, tail: (result, int(args[1]))),
    "shmctl": ("shmsize", _shmctl_fields),
    "shmat": ("shmat", lambda args, result, tail: (result, int(args[0]), _words(args[2]))),
    "shmdt": ("shmdt", lambda args, result, tail: (_number(args[0]),)),
    "open": ("open", _open_fields),
    "memfd_create": ("open", lambda args, result, tail: (result, "/memfd:" + _path(_STRING.match(args[0])[1]))),
    "dup": ("dup", lambda args, result, tail: (_descriptor(args[0]), result)),
    "fcntl": ("dup", lambda args, result, tail: (_descriptor(args[0]), result) if "F_DUPFD" in args[1] else None),
    "close": ("close", lambda args, result, tail: (_descriptor(args[0]),)),
    "close_range": ("close_range", lambda args, result, tail: (
        (int(args[0]), int(args[1])) if "CLOEXEC" not in args[2] else None)),
    "clone": ("birth", _clone_fields),
    "vfork": ("birth", lambda args, result, tail: (result, *_kind_of_birth({"CLONE_VM", "CLONE_VFORK"}))),
    "execve": ("exec", lambda args, result, tail: ()),
}
_CALLS |= {name: _CALLS[like] for name, like in (
    ("pkey_mprotect", "mprotect"), ("openat", "open"), ("openat2", "open"), ("creat", "open"), ("dup2", "dup"),
    ("dup3", "dup"), ("fcntl64", "fcntl"), ("clone3", "clone"), ("fork", "clone"), ("execveat", "execve"))}


# -- the log -------------------------------------------------------------------------------------------------------


class _Log:
    """The calls of a strace log that matter to memory, and who lived when."""

    def __init__(self, path, watch):
        self.calls, self.counts, self.signals = [], Counter(), {}
        self.first_seen, self.live, self.span = {}, set(), None
        self._announced, self._unfinished, self._quits = set(), {}, {}
        self._returned = None  # the call of the line before: it ended before this line's time
        self._broken = ""
        self._main = None  # the thread that lines without a pid speak of
        for line in perf.text_lines(path, watch):
            self._take(line)
        if self.span is None:
            raise InputError("no line of it is like one of strace -f -ttt", path)
        self.calls += self._quits.values()

    def name_main(self, recording):
        """Give the thread of lines without a pid its number: that of a [pid N] line, else of perf's exec, else 1."""
        if self._main is None and recording:
            for call in self.calls:
                if call.tid == 0 and call.name == "exec":
                    self._main = next((pid for pid in recording.execs
                                       if recording.exec_time(pid, call.start, call.end)), None)
                    break
        main = self._main or 1
        for call in self.calls:
            call.tid = call.tid or main
        if 0 in self.first_seen:
            self.first_seen.setdefault(main, self.first_seen.pop(0))
        self.signals = {(tid or main, page): times for (tid, page), times in self.signals.items()}

    def _take(self, line):
        if match := _ATTACHED.search(line):
            self._announced.add(int(match[1]))
            self._broken += line[:match.start()]
            return
        line, self._broken = self._broken + line, ""
        match = _LINE.match(line)
        if not match or int(match[1] or match[2] or 1) not in range(1, _PID_END):
            if line.strip() and not line.startswith("strace: "):
                self._misunderstood()
            return
        time = perf.nanoseconds(match[3], match[4])
        tid = self._thread(match[1] or match[2])
        self.span = (self.span or (time,))[0], time
        if self._returned:
            self._returned.end = time
            self._returned = None
        if tid not in self.live:
            self.live.add(tid)
            self.first_seen[tid] = time
        if not self._body(time, tid, match[5]):
            self._misunderstood()

    def _thread(self, text):
        if text is None:
            return next(iter(self.live)) if len(self.live) == 1 else 0
        tid = int(text)
        if 0 in self.live and tid not in self._announced and self._main is None:
            self._main = tid
            self.live.add(tid)
            self.live.discard(0)
            self._rename(0, tid)
        return tid

    def _rename(self, old, new):
        for table in (self._unfinished, self._quits, self.first_seen):
            if old in table:
                table[new] = table.pop(old)

    def _body(self, time, tid, text):
        if text.startswith("+++ "):
            return self._status(time, tid, text)
        if text.startswith("--- "):
            if match := _SIGNAL_AT.match(text):
                self.signals.setdefault((tid, _number(match[1]) // PAGE), []).append(time)
            return True
        if text.endswith("<unfinished ...>"):
            self._unfinished[tid] = time, text.removesuffix("<unfinished ...>").removesuffix(" ")
            return True
        start, whole = time, True
        if match := _RESUMED.match(text):
            if tid not in self._unfinished:
                return match[1] not in _CALLS
            start, begun = self._unfinished.pop(tid)
            text, whole = begun + match[2], False
        match = _CALL.match(text)
        return bool(match) and self._call(start, time, tid, whole, *match.groups())

    def _status(self, time, tid, text):
        if match := _SUPERSEDED.match(text):
            self._quits.pop(tid, None)
            old = int(match[1])
            if old in self._unfinished:
                self._unfinished[tid] = self._unfinished.pop(old)
            self.live.discard(old)
        else:
            self._quits.pop(tid, None)
            self._unfinished.pop(tid, None)
            self.calls.append(_Call(time, time, tid, "killed" if text.startswith("+++ killed") else "died"))
            self.live.discard(tid)
        return True

    def _call(self, start, end, tid, whole, name, args, result, tail):
        if name == "exit_group" and "ERESTART" not in tail:  # else a signal came first
            self.calls.append(_Call(start, start, tid, "leaving"))
        if name in ("exit", "exit_group"):
            self._quits[tid] = _Call(start, end, tid, "died" if name == "exit" else "quit")
            return True
        lazily = name == "mlock2" and "MLOCK_ONFAULT" in args
        if (name in _NOT_IN_A_TRACE or lazily) and not result.startswith("-"):
            self.counts[f"{name} call(s), which a trace has no event for"] += 1
        if name not in _CALLS or result == "?" or lazily:
            return True
        name, parser = _CALLS[name]
        if result.startswith("-") and not tail.startswith(_PARTLY_DONE.get(name, "no such error")):
            return True
        try:
            result = _number(result)
            fields = parser(args.strip().split(", "), result, tail)
        except (ValueError, IndexError, TypeError, AttributeError):  # cut short, or not strace's
            return False
        if fields is not None:
            call = _Call(start, end, tid, name, fields)
            if whole:
                self._returned = call
            elif name not in _EFFECT_AT_ENTRY:
                call.when = end
            if name == "birth":
                self._announced.add(result)
            self.calls.append(call)
        return True

    def _misunderstood(self):
        self.counts["line(s) of strace not understood"] += 1


# -- when each call took effect ------------------------------------------------------------------------------------


def _schedule(log, recording, here):
    """The calls in the order of their effect, and between them the mappings that perf saw exec make."""
    calls, images = [], []
    for call in log.calls:
        if call.name == "exec":
            images += _place_exec(call, recording, here)
        elif call.name == "mremap" and call.when != call.start:
            calls.append(_Call(call.start, call.start, call.tid, "begun", (call,)))
        if call.name != "birth" or _place_birth(call, log, recording):
            calls.append(call)
    calls += images
    calls.sort(key=lambda call: (call.when, call.name not in ("birth", "exec")))
    return calls


def _place_exec(call, recording, here):
    call.when = call.end
    if recording is None:
        return []
    seen = recording.exec_time(call.tid, call.start - _SLACK, call.end + _SLACK)
    maps = recording.window(call.tid, seen or call.start, call.end)
    if seen or maps:
        call.when = seen or maps[0].time
    call.fields = (len(maps),)
    return [_Call(each.time, each.time, call.tid, "image", (each,)) for each in _without_tails(maps, here)]


def _without_tails(maps, here):
    """The first mapping of an ELF image is reported as long as the whole image; cut it to its own segment."""
    seen = set()
    for index, each in enumerate(maps):
        if each.name.startswith("/") and each.name not in seen:
            seen.add(each.name)
            inner = next((m for m in maps[index + 1:] if m.name == each.name and each.start < m.start < each.end), None)
            if inner:
                told = segments(each.name) if here else []
                each = each._replace(end=min(inner.start, _segment_end(each, inner, told)))
        yield each


def _segment_end(first, second, told):
    """Where the first segment ends: as its file says if it has the second where perf saw it, else by a guess."""
    if len(told) > 1 and told[1].offset // PAGE * PAGE == second.offset:
        return first.start + up(told[0].address % PAGE + told[0].length)  # fs/binfmt_elf.c:elf_load
    # where the second segment does not follow on, its first page of the file usually holds the end of the first too
    follows = first.start + second.offset - first.offset
    return follows if follows == second.start else follows + PAGE


def _place_birth(call, log, recording):
    """Sets when the child began to live, and its thread; False for a child that strace did not follow."""
    child, *kind = call.fields
    fork = recording and recording.fork(call.tid, call.start - _SLACK, call.end + _SLACK)
    if fork and fork[1] in log.first_seen:
        call.when, child = fork
    elif child in log.first_seen:
        seen = log.first_seen[child]
        call.when = min(call.end, seen) if seen >= call.start else call.end
    else:
        log.counts["process(es) or thread(s) that strace did not follow"] += 1
        return False
    call.fields = (child, *kind)
    return True


def _failed_faults(signals, recording):
    """The page faults, as {(tid, time)}, that ended in SIGSEGV or SIGBUS: the last at its page before the signal."""
    last = {}
    for time, tid, address, _ in recording.faults() if recording and signals else ():
        times = signals.get((tid, address // PAGE), ())
        index = bisect_left(times, time)
        if index < len(times):
            last[tid, times[index]] = time
    return {(tid, time) for (tid, _), time in last.items()}


# -- from calls to events ------------------------------------------------------------------------------------------


class _Process:
    """A process: its threads, and its table of file names by descriptor."""

    __slots__ = ("pid", "threads", "files", "begun", "left")

    def __init__(self, pid, files=None):
        self.pid, self.threads, self.files = pid, {pid}, {} if files is None else files
        self.left = None  # when the first thread called exit_group, and the number of events before
        self.begun = []  # mremap calls that may have taken effect, though they have not returned


class _Importer:
    """Takes calls and page faults in order, and keeps the events that a replay can do."""

    def __init__(self, log, recording, here):
        self.log, self.recording, self.here, self.counts = log, recording, here, log.counts
        self.layout, self.events, self.endings = Layout(), [], []
        self.threads, self.ended, self.segments = {}, set(), {}
        self.descriptors = self.memfds = 0
        self.failed = _failed_faults(log.signals, recording)
        self.touched = WeakKeyDictionary()  # mm: {page: index of the write event that may turn out to be a read}

    def run(self):
        calls = ((call.when, call) for call in _schedule(self.log, self.recording, self.here))
        faults = self.recording.faults() if self.recording else ()
        for item in merge(calls, faults, key=itemgetter(0)):
            if len(item) == 4:
                self._fault(*item)
            else:
                self._carry_out(item[1])

    def _carry_out(self, call):
        handler = getattr(self, "_" + call.name)
        if call.done:
            return
        call.done = True
        try:
            if call.name in ("exec", "leaving", "died", "killed", "quit"):
                handler(call)
            else:
                handler(self._process(call.tid), call, *call.fields)
        except Impossible as reason:
            self.counts[f"{call.name} call(s) left out: {reason}"] += 1

    def _process(self, tid):
        if tid not in self.threads:
            self.counts["process(es) that already ran when the recording began: what they had mapped is unknown"] += 1
            self._begin(tid)
        return self.threads[tid]

    def _begin(self, pid):
        self.threads[pid] = _Process(pid)
        self._emit(events.Spawn(pid))

    def _emit(self, event):
        try:
            self.layout.apply(event)
        except Impossible as reason:
            self.counts[f"{_NOUNS.get(type(event)) or _tag(event) + ' call(s)'} left out: {reason}"] += 1
            return False
        self.events.append(event)
        if self.touched:
            self._forget(event)
        return True

    # -- processes

    def _birth(self, process, call, child, kind, shares_files):
        if child in self.threads:
            self.counts["process(es) or thread(s) whose end the log does not show"] += 1
            self._died_thread(child, call.when)
        if kind is None:
            self.threads[child] = process
            process.threads.add(child)
        elif self._emit(kind(process.pid, child)):
            self.threads[child] = _Process(child, process.files if shares_files else dict(process.files))

    def _exec(self, call):
        if call.tid not in self.threads:
            self._begin(call.tid)
        else:
            process = self.threads[call.tid]
            self._emit(events.Exec(process.pid))
            for tid in process.threads:
                del self.threads[tid]
            self.threads[process.pid] = _Process(process.pid, dict(process.files))
        if not (call.fields and call.fields[0]):
            self.counts["execve call(s) whose own mappings are unknown"] += 1

    def _image(self, process, call, seen):
        space = self.layout.space(process.pid)
        flags, file, offset = ["private"], None, 0
        if seen.name == "[stack]":
            if any("growsdown" in area.flags for area in space.areas):
                return
            flags += ["anonymous", "growsdown"]
        elif seen.name.startswith("["):
            flags += ["anonymous", "special"]
        elif seen.name == "//anon":
            flags += ["anonymous"]
        else:
            file, offset = seen.name, seen.offset
        if space.within(seen.start, seen.end):
            flags.append("fixed")
        self._emit(events.Mmap(process.pid, seen.start, seen.end - seen.start, seen.prot, flags, file, offset))
        if seen.name == "[stack]":
            # execve writes the arguments there itself, without a page fault
            self._emit(events.Write(process.pid, seen.end - PAGE, PAGE))

    def _leaving(self, call):
        process = self.threads.get(call.tid)
        if process and process.left is None:
            process.left = call.when, len(self.events)

    def _killed(self, call):
        """A fatal signal; one that came while exit_group was held, before it did anything, kept it from being called."""
        if call.tid in self.threads:
            self.threads[call.tid].left = None
        self._died(call)

    def _died(self, call):
        if call.tid in self.threads:
            self._died_thread(call.tid, call.when)

    def _died_thread(self, tid, when):
        process = self.threads.pop(tid)
        process.threads.discard(tid)
        self.ended.add(tid)
        if not process.threads:
            called, since = process.left or (None, len(self.events))
            self.endings.append(Ending(process.pid, called, when, since, len(self.events)))
            self._emit(events.Exit(process.pid))

    def _quit(self, call):
        if call.tid in self.threads:
            for tid in list(self.threads[call.tid].threads):
                self._died_thread(tid, call.end)

    # -- page faults

    def _fault(self, time, tid, address, write):
        page = address // PAGE
        if tid not in self.threads:
            self.counts["page fault(s) of processes that had ended"] += tid in self.ended
        elif (tid, time) in self.failed:
            return
        elif write is None:
            self._guess(self.threads[tid].pid, page * PAGE)
        else:
            self._emit((events.Write if write else events.Read)(self.threads[tid].pid, page * PAGE, PAGE))

    def _guess(self, pid, page):
        """A fault in a private writable area is a write; when the same page faults again, the first was a read."""
        space = self.layout.space(pid)
        area = space.at(page) or space.around(page)[1]
        if area is None or not area.private_writable:
            self._emit(events.Read(pid, page, PAGE))
            return
        touched = self.touched.setdefault(space, {})
        earlier = touched.pop(page, None)
        if earlier is not None and area.prot != "-w-":
            self.events[earlier] = events.Read(self.events[earlier].pid, page, PAGE)
        if self._emit(events.Write(pid, page, PAGE)) and earlier is None:
            touched[page] = len(self.events) - 1

    def _forget(self, event):
        """After an event that makes pages fault anew, the next fault says nothing about the one before."""
        kind = type(event)
        if kind in (events.Read, events.Write, events.Spawn, events.Exec, events.Exit, events.Mlock, events.Munlock):
            return
        touched = self.touched.get(self.layout.space(event.pid))
        if touched and kind in (events.Fork, events.Brk):
            touched.clear()
        elif touched and hasattr(event, "len"):
            end = event.addr + event.len
            few = event.len < len(touched) * PAGE
            for page in range(event.addr, end, PAGE) if few else [page for page in touched if event.addr <= page < end]:
                touched.pop(page, None)

    # -- mappings

    def _mmap(self, process, call, address, length, prot, words, fd, decoration, offset):
        flags = [_MMAP_FLAGS[word] for word in words if word in _MMAP_FLAGS]
        shared = not {"MAP_SHARED", "MAP_SHARED_VALIDATE"}.isdisjoint(words)
        file = None
        if "MAP_ANONYMOUS" not in words:
            file = self._file_name(process, call, address, fd, decoration, offset == 0 and "fixed" not in flags)
        if file == "/dev/zero":
            file = None
        if "MAP_HUGETLB" in words:
            self.counts["mapping(s) of huge pages, taken as ordinary ones"] += 1
        if "fixed" not in flags:
            self._clear(process, address, length)
        flags = ["shared" if shared else "private", *(["anonymous"] if file is None else []), *flags]
        event = events.Mmap(process.pid, address, length, prot, flags, file, 0 if file is None else offset)
        if self._emit(event) and "MAP_POPULATE" in words and prot != "---":
            touch = events.Write if prot[1] == "w" and not shared else events.Read
            self._emit(touch(process.pid, address, length))

    def _file_name(self, process, call, address, fd, decoration, fresh):
        if self.recording:
            for seen in self.recording.window(process.pid, call.start - _SLACK, call.end + _SLACK):
                if seen.start <= address < seen.end and not seen.name.startswith(("[", "//")):
                    return seen.name
        known = process.files.get(fd)
        if decoration and not (known or "").startswith("/memfd:"):
            return decoration
        if known is None or (fresh and known.startswith("fd:")):
            self.descriptors += 1
            known = process.files[fd] = f"fd:{fd}#{self.descriptors}"
        self.counts["mapping(s) of files known only by their descriptor"] += known.startswith("fd:")
        return known

    def _clear(self, process, address, length):
        """Linux found this range free: what the picture still has there is unmapped."""
        for call in process.begun[:]:
            if address < call.fields[0] + call.fields[1] and call.fields[0] < address + length:
                self._carry_out(call)
        if length and self.layout.space(process.pid).within(address, address + length):
            self.counts["range(s) that Linux found free and the recording did not: unmapped first"] += 1
            self._emit(events.Munmap(process.pid, address, length))

    def _munmap(self, process, call, address, length, failed):
        self._emit(events.Munmap(process.pid, address, length))

    def _mprotect(self, process, call, address, length, failed, prot, grows_down):
        space = self.layout.space(process.pid)
        area = space.at(address)
        if grows_down and area and "growsdown" in area.flags:
            address, length = area.start, length + address - area.start
        self._by_runs(process, call, address, length, failed,
                      lambda start, size: events.Mprotect(process.pid, start, size, prot))

    def _mlock(self, process, call, address, length, failed):
        self._by_runs(process, call, address, length, failed,
                      lambda start, size: events.Mlock(process.pid, start, size))

    def _munlock(self, process, call, address, length, failed):
        self._by_runs(process, call, address, length, failed,
                      lambda start, size: events.Munlock(process.pid, start, size))

    def _by_runs(self, process, call, address, length, failed, event):
        """A call that Linux carried out where something is mapped: up to the first hole if it failed."""
        start, end = address // PAGE * PAGE, up(address + length)
        space = self.layout.space(process.pid)
        runs = space.runs(start, end)
        whole = runs == [[start, end]]
        if failed and whole:  # mlock fails, but locks, where it cannot touch; else ENOMEM means that nothing was done
            untouchable = any(not area.accessible or area.shm for area in space.within(start, end))
            runs = runs if call.name == "mlock" and untouchable else []
        elif failed:
            runs = [run for run in runs[:1] if run[0] == start]
        elif not whole and start < end:
            self.counts[f"{call.name} call(s) over addresses that no known mapping covers: done where one does"] += 1
        for low, high in runs:
            self._emit(event(low, high - low))

    def _madvise(self, process, call, address, length, failed, refused, word):
        advice, space = _ADVICE.get(word), self.layout.space(process.pid)
        if advice is None:
            self.counts[f"madvise call(s) with {word}, which a trace has no event for"] += not failed
            return
        end = address + up(length)
        if refused:  # it stopped at memory that the advice is not for
            end = next((area.start for area in space.within(address, end) if not takes(area, advice)), address)
        elif advice.startswith("populate"):
            self._by_runs(process, call, address, length, failed,
                          lambda start, size: events.Madvise(process.pid, start, size, advice))
            return
        elif failed and space.covers(address, end):
            return
        if end > address:
            self._emit(events.Madvise(process.pid, address, end - address, advice))

    def _begun(self, process, _, call):
        process.begun.append(call)

    def _mremap(self, process, call, address, length, new, new_length, flags):
        if call in process.begun:
            process.begun.remove(call)
        space = self.layout.space(process.pid)
        end = address + up(length)
        if "fixed" not in flags:
            grown = new if new != address else end
            self._clear(process, grown, max(0, new + new_length - grown))
        areas = space.within(address, end)
        if self.recording is None and any(area.maybe_accounted for area in areas):
            self.counts["mremap call(s) left out: whether it is one mapping depends on page faults"] += 1
            return
        if "fixed" not in flags or up(length) != up(new_length) or not areas or areas[0].start != address:
            self._emit(events.Mremap(process.pid, address, length, new, new_length, flags))
            return
        for area in areas:  # each vma moves by itself (mm/mremap.c:remap_move), which older kernels can replay too
            size = area.end - area.start
            self._emit(events.Mremap(process.pid, area.start, size, area.start + new - address, size, flags))

    def _brk(self, process, call, now):
        brk = self.layout.space(process.pid).brk
        if brk is not None:
            self._clear(process, up(brk), max(0, up(now) - up(brk)))
        if now != brk:
            self._emit(events.Brk(process.pid, now))

    def _remap_file_pages(self, process, call, address, length, pgoff):
        self._emit(events.RemapFilePages(process.pid, address, length, pgoff))

    def _shmsize(self, process, call, number, size):
        self.segments[number] = size

    def _shmat(self, process, call, address, number, words):
        size = self.segments.get(number)
        if size is None and self.recording:
            seen = self.recording.window(process.pid, call.start - _SLACK, call.end + _SLACK)
            size = next((each.end - each.start for each in seen if each.start == address), None)
        if size is None:
            self.counts["shmat call(s) of segments whose size is unknown"] += 1
            return
        prot = ("r-" if "SHM_RDONLY" in words else "rw") + ("x" if "SHM_EXEC" in words else "-")
        flags = ["shared", "fixed"] if "SHM_REMAP" in words else ["shared"]
        if "SHM_REMAP" not in words:
            self._clear(process, address, size)
        self._emit(events.Mmap(process.pid, address, size, prot, flags, f"/SYSV{number}"))

    def _shmdt(self, process, call, address):
        space = self.layout.space(process.pid)
        first = space.at(address)
        for area in list(space.areas):
            if first and area.file == first.file and area.offset == area.start - address:
                self._emit(events.Munmap(process.pid, area.start, area.end - area.start))

    # -- descriptors

    def _open(self, process, call, fd, name):
        if name.startswith("/memfd:"):
            self.memfds += 1
            name += f"#{self.memfds}"
        process.files[fd] = name

    def _dup(self, process, call, old, new):
        if old in process.files:
            process.files[new] = process.files[old]
        else:
            process.files.pop(new, None)

    def _close(self, process, call, fd):
        process.files.pop(fd, None)

    def _close_range(self, process, call, first, last):
        for fd in [fd for fd in process.files if first <= fd <= last]:
            del process.files[fd]


_NOUNS = {events.Read: "page fault(s)", events.Write: "page fault(s)", events.Fork: "fork(s)"}


def _tag(event):
    return type(event).__struct_config__.tag


# -- the whole -----------------------------------------------------------------------------------------------------


def import_strace(log_path, perf_path=None, watch=iter):
    """The header and the list of events of what strace, and perf if given, recorded; such a trace always replays.

    `log_path` is the output of `strace -f -ttt -e trace=%memory,%process` (more calls are welcome), `perf_path` that of
    `perf script --show-mmap-events --show-task-events`. What cannot be reconciled is left out, counted and named in
    the header's `missing`; `watch` wraps the lines of each file while they are read (tqdm). Raises InputError if a file
    cannot be read or is of another kind. Cost: 10 to 20 microseconds a line, and a few hundred bytes of memory a call or
    event.
    """
    return import_recording(log_path, perf_path, watch)[:2]


def import_recording(log_path, perf_path=None, watch=iter, here=False):
    """As import_strace, and third the `Ending` of each process in the order of its exit event; same errors and cost.

    `here` says that the recorded files are this machine's, so that those which exec mapped can be asked for their segments.
    """
    log = _Log(log_path, watch)
    recording = perf.read(perf_path, watch) if perf_path is not None else None
    if recording and (recording.span[0] > log.span[1] or recording.span[1] < log.span[0]):
        log.counts["recording(s) by perf, whose times are not those of strace (perf record -k CLOCK_REALTIME)"] += 1
        recording = None
    log.name_main(recording)
    importer = _Importer(log, recording, here)
    importer.run()
    header = events.Header(version=1, source=_source(recording), missing=_missing(importer.counts, recording),
                           arch=recording and recording.arch, kernel=recording and recording.kernel)
    firsts, joined = [], []
    for first, event in _joined(importer.events):
        firsts.append(first)
        joined.append(event)
    return header, joined, [each._replace(since=bisect_left(firsts, each.since), until=bisect_left(firsts, each.until))
                            for each in importer.endings]


def _missing(counts, recording):
    found = [f"{number} {text.replace('(s)', '' if number == 1 else 's').replace('(es)', '' if number == 1 else 'es')}"
             for text, number in (counts + (recording.counts if recording else Counter())).items() if number]
    if recording is None:
        return ["page faults: they come from perf", *found]
    return ["pages touched without a page fault of their own: those that execve wrote below the top page of the "
            "stack, and those mapped around a page of a file that faulted", *found]


def _source(recording):
    if recording is None:
        return "strace"
    if not recording.times:
        return "strace and perf, which shows no page faults"
    if recording.knows_writes:
        return "strace and perf; read or write of a page fault as exceptions:page_fault_* says"
    return ("strace and perf; read or write of a page fault guessed: in a private writable area a write, the first of "
            "two at one page a read, elsewhere a read")


def _joined(found):
    """Yields (index of its first part, event); touches of ascending neighbour pages by one process become one event."""
    first = last = None
    for index, event in enumerate(found):
        if (type(event) is type(last) and type(event) in (events.Read, events.Write) and event.pid == last.pid
                and event.addr == last.addr + last.len):
            last = type(last)(last.pid, last.addr, last.len + event.len)
            continue
        if last is not None:
            yield first, last
        first, last = index, event
    if last is not None:
        yield first, last
