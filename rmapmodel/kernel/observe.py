"""Execute a trace on the running Linux kernel, and read what came of it out of /proc.

Every pid of the trace is a real process (worker.c), every fork a real fork, so that ancestry is real. What is touched
outside those processes, and how the counts are taken: docs/running-kernel.md.
"""

import array
import atexit
import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import platform
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

from .. import events as ev
from ..errors import InputError

PAGE = 4096
TASK_SIZE = 0x7FFFFFFFF000
BASES = (0x6A5A00000000, 0x2A5A00000000, 0x4A5A00000000, 0x0A5A00000000, 0x7A5A00000000)
WORKER_SIZE = 64 << 20
CACHES = ("vm_area_struct", "anon_vma", "anon_vma_chain")
# What may share a cache with one of CACHES: unmapping and touching memory neither makes nor frees one of these.
INDIFFERENT = {"fs_cache", "eventpoll_pwq"}
SLABS = Path("/sys/kernel/slab")
SWAPS, KSM_RUN = Path("/proc/swaps"), Path("/sys/kernel/mm/ksm/run")
FLAGS = "-O2 -static -nostdlib -nostartfiles -ffreestanding -fno-stack-protector -fPIE -no-pie -fcf-protection=none " \
        "-fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noexecstack"
COMMAND, REPLY = struct.Struct("<10Q"), struct.Struct("<qQQ")
OP_SYSCALL, OP_READ, OP_WRITE, OP_CLONE, OP_EXEC, OP_EXIT, OP_CLEAR, OP_BRK = range(8)
MMAP, MPROTECT, MUNMAP, BRK, MREMAP, MADVISE, MLOCK, MUNLOCK, REMAP_FILE = 9, 10, 11, 12, 25, 28, 149, 150, 216
CLONE_VM, SIGCHLD = 0x100, 17
MAP = {"private": 2, "shared": 1, "anonymous": 0x20, "fixed": 0, "noreserve": 0x4000, "growsdown": 0x100,
       "stack": 0x20000, "locked": 0x2000}
MAP_FIXED, MAP_FIXED_NOREPLACE = 0x10, 0x100000
REMAP = {"maymove": 1, "fixed": 2, "dontunmap": 4}
ADVICE = {"normal": 0, "random": 1, "sequential": 2, "willneed": 3, "dontneed": 4, "free": 8, "remove": 9,
          "dontfork": 10, "dofork": 11, "mergeable": 12, "unmergeable": 13, "hugepage": 14, "nohugepage": 15,
          "dontdump": 16, "dodump": 17, "wipeonfork": 18, "keeponfork": 19, "cold": 20, "populate_read": 22,
          "populate_write": 23}
PRESENT, PFN = 1 << 63, (1 << 55) - 1
KPF_ZERO_PAGE = 1 << 24
SCAN_ARG = struct.Struct("<QQQQQQQQQQQQ")
PAGEMAP_SCAN, PAGE_IS_PRESENT, PAGE_IS_PFNZERO = 0xC0606610, 1 << 3, 1 << 5
REGIONS = 64
PR_GET_MEMORY_MERGE = 68
MAPS = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (...)(.) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+)")


TOUCHES = (ev.Read, ev.Write, ev.Mlock, ev.RemapFilePages)


class Impossible(Exception):
    """Linux refused an event."""


class Unsupported(Exception):
    """An event that cannot be executed here."""


class Dead(Exception):
    """A worker went away without being asked to."""


def built(base):
    """The worker, linked at `base`: compiled at first use."""
    source = Path(__file__).with_name("worker.c")
    key = hashlib.sha256(source.read_bytes() + FLAGS.encode() + hex(base).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rmapmodel"
    target = cache / f"worker-{key}"
    if not target.exists():
        compiler = shutil.which(os.environ.get("CC") or "gcc") or shutil.which("cc")
        if not compiler:
            raise InputError("executing a trace needs a C compiler (gcc), none was found")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            out = Path(scratch) / "worker"
            made = subprocess.run([compiler, *FLAGS.split(), f"-Wl,-Ttext-segment={base:#x}", source, "-o", out],
                                  capture_output=True, text=True)
            if made.returncode:
                raise InputError(f"{compiler} cannot make what executes a trace: {made.stderr.strip()}")
            os.replace(out, target)
    return target


def merged():
    """Which of CACHES share their slabs with others whose objects come and go with a trace, as the kernel names them.

    `aliases` of a cache counts the others; the links beside it name them.
    """
    links = {}
    for entry in SLABS.iterdir():
        if entry.is_symlink():
            links.setdefault(os.readlink(entry), set()).add(entry.name)
    found = {}
    for name in CACHES:
        others = links.get(os.readlink(SLABS / name), set()) - {name} if (SLABS / name).is_symlink() else set()
        if others - INDIFFERENT or len(others) != int((SLABS / name / "aliases").read_text()):
            found[name] = sorted(others)
    return found


def frames_are_told():
    """Whether /proc/PID/pagemap tells frame numbers (CAP_SYS_ADMIN), which else read as 0."""
    page = ctypes.create_string_buffer(b"x")
    with open("/proc/self/pagemap", "rb", 0) as pagemap:
        entry = os.pread(pagemap.fileno(), 8, ctypes.addressof(page) // PAGE * 8)
    return bool(int.from_bytes(entry, "little") & PFN)


class Process:
    """The far end of one worker's channel."""

    def __init__(self, channel, name):
        self.channel, self.name, self.pid, self.mm, self.slot = channel, name, None, None, 0

    def send(self, op, nr=0, args=(), keep=(0, 0), fd=None):
        message = COMMAND.pack(op, nr, *(tuple(a & (1 << 64) - 1 for a in args) + (0,) * 6)[:6], *keep)
        try:
            if fd is None:
                self.channel.send(message)
            else:
                socket.send_fds(self.channel, [message], [fd])
        except OSError as problem:
            raise Dead(f"process {self.name} is gone") from problem

    def reply(self):
        message = self.channel.recv(REPLY.size)
        if len(message) != REPLY.size:
            raise Dead(f"process {self.name} is gone")
        return REPLY.unpack(message)

    def call(self, *args, **kwargs):
        self.send(*args, **kwargs)
        return self.reply()[0]

    def gone(self):
        """Wait for its end: the channel is closed after the mm was torn down."""
        with contextlib.suppress(OSError):
            while self.channel.recv(REPLY.size):
                pass
        self.channel.close()


class Mm:
    """What has to be remembered of an address space: who uses it, on which stack slots, and whether brk has begun."""

    def __init__(self):
        self.users, self.slots, self.brk = set(), {0}, False


class Kernel:
    """Executes traces, one after the other, with the children of one clean process."""

    def __init__(self, base=BASES[0]):
        self.owner = os.getpid()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.server = Process(ours, "server")
        self.files, self.names, self.live = {}, {}, {}
        self.counts, self.shrinks, self.uncounted = (), (), None
        self.kpagecount = self.kpageflags = self.unmapped = None
        with theirs:
            self.child = subprocess.Popen(["/bin/sh", "-c", 'exec "$0" 3<&0 </dev/null', built(base)], stdin=theirs,
                                          start_new_session=True, env={})
        atexit.register(self.close)
        _, self.low, self.high = self.server.reply()
        self.server.pid = self.child.pid
        for limit in (resource.RLIMIT_STACK, resource.RLIMIT_MEMLOCK):
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(self.child.pid, limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        resource.prlimit(self.child.pid, resource.RLIMIT_CORE, (0, 0))
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]    # a channel a process, a descriptor a file
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        # so that a machine that runs out of memory ends the workers and nothing else
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.child.pid}/oom_score_adj").write_text("1000")
        try:
            if found := merged():
                name, others = next(iter(found.items()))
                self.uncounted = f"the slab cache {name} is merged with {', '.join(others) or 'others'}"
            else:
                self.counts = [os.open(SLABS / name / "objects", os.O_RDONLY | os.O_CLOEXEC) for name in CACHES]
                self.shrinks = [os.open(SLABS / name / "shrink", os.O_WRONLY | os.O_CLOEXEC) for name in CACHES]
        except OSError as problem:
            self.uncounted = unreadable(problem)
        try:
            self.kpagecount = os.open("/proc/kpagecount", os.O_RDONLY | os.O_CLOEXEC)
            self.kpageflags = os.open("/proc/kpageflags", os.O_RDONLY | os.O_CLOEXEC)
            if not frames_are_told():
                self.unmapped = "/proc/PID/pagemap tells no frames (CAP_SYS_ADMIN is needed)"
        except OSError as problem:
            self.unmapped = unreadable(problem)

    def close(self):
        """End every process that was started, and wait for it."""
        atexit.unregister(self.close)
        if self.owner != os.getpid():
            return
        if self.child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        for process in (*self.live.values(), self.server):
            process.channel.close()
        for fd in (*self.files.values(), *self.counts, *self.shrinks, self.kpagecount, self.kpageflags):
            if fd is not None:
                os.close(fd)
        self.live, self.files, self.counts, self.shrinks = {}, {}, (), ()

    # events

    def born(self, parent, name, flags, mm):
        """Have `parent` clone itself."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child = Process(ours, name)
        child.slot = next(i for i in range(511) if i not in mm.slots) if flags & CLONE_VM else 0
        with theirs:
            pid = parent.call(OP_CLONE, 0, (flags | SIGCHLD, child.slot), fd=theirs.fileno())
        if pid < 0:
            ours.close()
            raise InputError(f"this machine starts no further process ({errno.errorcode.get(-pid, -pid)})")
        child.pid, child.mm = pid, mm
        mm.users.add(name)
        mm.slots.add(child.slot)
        self.live[name] = child
        child.reply()

    def leave(self, process):
        process.mm.users.discard(process.name)
        process.mm.slots.discard(process.slot)

    def file(self, name):
        if name not in self.files:
            fd = os.memfd_create("rmapmodel", os.MFD_CLOEXEC)
            os.ftruncate(fd, 1 << 62)
            self.files[name] = fd
            self.names[os.fstat(fd).st_ino] = name
        return self.files[name]

    @staticmethod
    def check(ret, expected=None):
        if -1000 > ret > -2000:
            raise Impossible(signal.Signals(-ret - 1000).name)
        if -4096 < ret < 0:
            raise Impossible(errno.errorcode.get(-ret, str(-ret)))
        if expected is not None and ret != expected:
            raise Impossible(f"returned {ret:#x}")
        return ret

    def execute(self, event):
        if type(event) in (ev.Header, ev.Reclaim):
            return
        if isinstance(event, ev.Swapout):
            raise Unsupported("swapout needs swap")
        if isinstance(event, ev.Spawn):
            if event.pid in self.live:
                raise Impossible("EEXIST")
            return self.born(self.server, event.pid, 0, Mm())
        if event.pid not in self.live:
            raise Impossible("ESRCH")
        getattr(self, type(event).__name__.lower())(self.live[event.pid], event)

    def fork(self, process, event):
        if event.child in self.live:
            raise Impossible("EEXIST")
        mm = Mm()
        mm.brk = process.mm.brk
        self.born(process, event.child, 0, mm)

    def clonevm(self, process, event):
        if event.child in self.live:
            raise Impossible("EEXIST")
        self.born(process, event.child, CLONE_VM, process.mm)

    vfork = clonevm

    def exec(self, process, event):
        self.check(process.call(OP_EXEC))
        self.leave(process)
        process.mm, process.slot = Mm(), 0
        process.mm.users.add(process.name)

    def exit(self, process, event):
        process.send(OP_EXIT)
        process.gone()
        self.leave(process)
        del self.live[event.pid]

    @staticmethod
    def prot(text):
        return sum(bit for letter, bit in zip("rwx", (1, 2, 4)) if letter in text)

    def mmap(self, process, event):
        flags = event.flags
        bits = sum(MAP[flag] for flag in set(flags) - {"special"})
        bits |= MAP_FIXED if "fixed" in flags else MAP_FIXED_NOREPLACE
        fd = None
        if "special" in flags:      # a file of its own never merges, as what the kernel itself maps never does
            bits &= ~MAP["anonymous"]
            fd = self.file(("special", len(self.files)))
        elif event.file is None:
            bits |= MAP["anonymous"]
        else:
            fd = self.file(event.file)
        keep = (event.addr, event.addr + (event.len + PAGE - 1 & -PAGE)) if "locked" in flags else (0, 0)
        ret = process.call(OP_SYSCALL, MMAP, (event.addr, event.len, self.prot(event.prot), bits, -1, event.offset),
                           keep, fd)
        self.check(ret, event.addr)

    def munmap(self, process, event):
        self.check(process.call(OP_SYSCALL, MUNMAP, (event.addr, event.len)))

    def mprotect(self, process, event):
        self.check(process.call(OP_SYSCALL, MPROTECT, (event.addr, event.len, self.prot(event.prot))))

    def mremap(self, process, event):
        flags = sum(REMAP[flag] for flag in set(event.flags))
        moves = event.new_addr != event.addr
        if moves and "maymove" not in event.flags:
            raise Impossible("EINVAL")
        if not moves and "fixed" not in event.flags and "dontunmap" not in event.flags:
            flags = 0       # the trace says that it stayed: do not let it move
        elif "fixed" not in event.flags and "dontunmap" not in event.flags:
            end = event.new_addr + (event.new_len + PAGE - 1 & -PAGE)
            if any(vma["start"] < end and event.new_addr < vma["end"] for vma in self.vmas(process)):
                raise Impossible("EEXIST")
            flags |= REMAP["fixed"]
        ret = process.call(OP_SYSCALL, MREMAP, (event.addr, event.len, event.new_len, flags, event.new_addr))
        self.check(ret, event.new_addr)

    def brk(self, process, event):
        if process.mm.brk:
            if process.call(OP_SYSCALL, BRK, (event.addr,)) != event.addr:
                raise Impossible("ENOMEM")
        else:
            self.check(process.call(OP_BRK, 0, (event.addr,)))
            process.mm.brk = True

    def mlock(self, process, event):
        start, end = event.addr & -PAGE, event.addr + event.len + PAGE - 1 & -PAGE
        ret = process.call(OP_SYSCALL, MLOCK, (event.addr, event.len), (start, end))
        if ret in (-errno.ENOMEM, -errno.EAGAIN) and self.covered(process, start, end):
            return      # all of it is locked; what allows no access could not be touched
        self.check(ret)

    def munlock(self, process, event):
        self.check(process.call(OP_SYSCALL, MUNLOCK, (event.addr, event.len)))

    def covered(self, process, start, end):
        for vma in self.vmas(process):
            if vma["start"] <= start < vma["end"]:
                start = vma["end"]
        return start >= end

    def madvise(self, process, event):
        if event.advice == "pageout":
            raise Unsupported("pageout needs swap")
        keep = (event.addr, event.addr + event.len) if event.advice == "populate_read" else (0, 0)
        ret = process.call(OP_SYSCALL, MADVISE, (event.addr, event.len, ADVICE[event.advice]), keep)
        if ret != -errno.ENOMEM or event.advice.startswith("populate"):     # ENOMEM: done, but for the holes
            self.check(ret)

    def read(self, process, event):
        start, end = event.addr & -PAGE, event.addr + event.len + PAGE - 1 & -PAGE
        self.check(process.call(OP_READ, 0, (start, end), (start, end)))

    def write(self, process, event):
        self.check(process.call(OP_WRITE, 0, (event.addr & -PAGE, event.addr + event.len + PAGE - 1 & -PAGE)))

    def remapfilepages(self, process, event):
        keep = (event.addr, event.addr + event.len)
        self.check(process.call(OP_SYSCALL, REMAP_FILE, (event.addr, event.len, 0, event.pgoff, 0), keep))

    # what came of it

    def vmas(self, process):
        """The process's vmas as the contract writes them, the worker's own left out."""
        with open(f"/proc/{process.pid}/maps") as lines:
            text = lines.read()
        result = []
        for line in text.splitlines():
            start, end, prot, share, offset, _, inode = MAPS.match(line).groups()
            start, end, inode = int(start, 16), int(end, 16), int(inode)
            if self.low <= start < self.high or start >= TASK_SIZE:
                continue
            file = self.names.get(inode)
            special = isinstance(file, tuple)
            vma = {"start": start, "end": end, "prot": prot, "shared": share == "s", "file": None if special else file,
                   "offset": int(offset, 16) if inode and not special else 0, "special": special}
            if inode and inode not in self.names:
                vma["shmem"] = True
            result.append(vma)
        return result

    @staticmethod
    def regions(fd, start, end):
        """(start, end) of what is present in a range, the zero page left out; OSError before Linux 6.7.

        Source: PAGEMAP_SCAN, Documentation/admin-guide/mm/pagemap.rst; it asks for no privilege.
        """
        regions = array.array("Q", [0] * 3 * REGIONS)
        while start < end:
            arg = bytearray(SCAN_ARG.pack(SCAN_ARG.size, 0, start, end, 0, regions.buffer_info()[0], REGIONS, 0,
                                          PAGE_IS_PFNZERO, PAGE_IS_PRESENT | PAGE_IS_PFNZERO, 0, PAGE_IS_PRESENT))
            found = fcntl.ioctl(fd, PAGEMAP_SCAN, arg)
            for i in range(found):
                yield regions[3 * i], regions[3 * i + 1]
            start = SCAN_ARG.unpack(arg)[4] if found == REGIONS else end

    def frames(self, fd, start, end):
        """(address, frame) of each present page of a range, the zero page left out."""
        for low in range(start, end, PAGE << 12):
            entries = array.array("Q", os.pread(fd, (min(end, low + (PAGE << 12)) - low) // PAGE * 8, low // PAGE * 8))
            for i, entry in enumerate(entries):
                if entry & PRESENT and not self.word(self.kpageflags, entry & PFN) & KPF_ZERO_PAGE:
                    yield low + i * PAGE, entry & PFN

    @staticmethod
    def word(fd, frame):
        return int.from_bytes(os.pread(fd, 8, frame * 8), "little")

    def pages(self, process, vmas):
        """(rss_pages, runs of equal mapcount), the zero page left out; None for what cannot be read here."""
        runs = []
        fd = os.open(f"/proc/{process.pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            ranges = [(vma["start"], vma["end"]) for vma in vmas]
            with contextlib.suppress(OSError):
                ranges = [region for start, end in ranges for region in self.regions(fd, start, end)]
                if self.unmapped:
                    return sum(end - start for start, end in ranges) // PAGE, None
            if self.unmapped:
                return None, None
            for addr, frame in (page for start, end in ranges for page in self.frames(fd, start, end)):
                count = self.word(self.kpagecount, frame)
                if runs and runs[-1][0] + runs[-1][1] * PAGE == addr and runs[-1][2] == count:
                    runs[-1][1] += 1
                else:
                    runs.append([addr, 1, count])
        finally:
            os.close(fd)
        return sum(n for _, n, _ in runs), runs

    def count(self):
        """Live objects of each cache, of the whole machine."""
        for fd in self.shrinks:
            os.pwrite(fd, b"1", 0)
        return [int(os.pread(fd, 64, 0).split()[0]) for fd in self.counts]

    def steady(self):
        """Two counts in a row that agree; None where other processes are too busy."""
        last = self.count()
        for _ in range(6):
            last, before = self.count(), last
            if last == before:
                return last
        return None

    def objects(self, vmas):
        """What disappears when every process drops what the trace made; None where others disturbed the count.

        That `vmas` of them must be vm_area_structs is known from /proc/PID/maps, and shows most disturbances.
        """
        before = self.steady()
        for process in self.live.values():
            process.send(OP_CLEAR)
        for process in self.live.values():
            process.reply()
        after = self.steady()
        if before and after and before[0] - after[0] == vmas:
            return dict(zip(CACHES, (b - a for b, a in zip(before, after))))
        return None

    def run(self, events, objects=True):
        try:
            for index, event in enumerate(events):
                try:
                    self.execute(event)
                except Impossible as problem:
                    return {"impossible": {"index": index, "errno": str(problem)}}
                except Unsupported as problem:
                    return {"unsupported": {"index": index, "why": str(problem)}}
            result, sizes = {"processes": {}}, {}
            for name, process in sorted(self.live.items()):
                vmas = self.vmas(process)
                entry = result["processes"][str(name)] = {"vmas": vmas}
                counted = [vma for vma in vmas if not vma.pop("special")]   # what the kernel maps itself is not resident
                entry["rss_pages"], entry["pages"] = self.pages(process, counted)
                sizes[process.mm] = len(vmas)
            result["areas"] = sum(sizes.values())
            result["objects"] = self.objects(result["areas"]) if objects and self.counts else None
            return result
        except OSError as problem:
            raise InputError(f"the trace cannot be executed on this machine: {problem}") from problem
        except Dead as problem:
            raise InputError(f"{problem} (killed from outside, or for want of memory)") from problem
        finally:
            self.reset()

    def reset(self):
        """End the trace's processes and forget its files."""
        for process in self.live.values():
            with contextlib.suppress(Dead):
                process.send(OP_EXIT)
        for process in self.live.values():
            process.gone()
        for fd in self.files.values():
            os.close(fd)
        self.live, self.files, self.names = {}, {}, {}


_kernels = {}


def unreadable(problem):
    root = "" if os.geteuid() == 0 else " (root is needed)"
    return f"{problem.filename}: {problem.strerror}{root}"


def everything_mergeable():
    """Whether this process, and so those it starts, has PR_SET_MEMORY_MERGE."""
    return ctypes.CDLL(None).prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1


def refuse(events):
    """Raises InputError where this machine would spoil what the trace does."""
    touched = any(isinstance(event, TOUCHES) or isinstance(event, ev.Mmap) and "locked" in event.flags
                  or isinstance(event, ev.Madvise) and event.advice.startswith("populate") for event in events)
    if touched and SWAPS.exists() and len(SWAPS.read_text().splitlines()) > 1:
        raise InputError(f"swap is active ({SWAPS}) and may take pages that the trace touches: swapoff -a first")
    if everything_mergeable():
        raise InputError("every area of this process is mergeable (PR_SET_MEMORY_MERGE), and so would be the trace's")
    if KSM_RUN.exists() and int(KSM_RUN.read_text()) == 1 and any(
            isinstance(event, ev.Madvise) and event.advice == "mergeable" for event in events):
        raise InputError(f"KSM is active ({KSM_RUN}) and may merge pages that the trace makes mergeable")


@contextlib.contextmanager
def alone():
    """One execution at a time on this machine, since all count the same caches."""
    with open(Path(tempfile.gettempdir()) / f"rmapmodel-observe-{os.getuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base_for(events):
    """Where the workers' own image keeps clear of every address of the trace."""
    spans = []
    for event in events:
        for addr, size in (("addr", "len"), ("new_addr", "new_len")):
            if getattr(event, addr, None) is not None:
                low = getattr(event, addr)
                spans.append((low - (1 << 24), low + (getattr(event, size, None) or 0)))
    for base in BASES:
        if not any(low < base + WORKER_SIZE and base < high for low, high in spans):
            return base
    raise InputError("the trace leaves no room for the program that executes it")


def running(events):
    """The Kernel that executes `events`: one a process and base, started at first use."""
    base = base_for(events)
    if (os.getpid(), base) not in _kernels:
        try:
            _kernels[os.getpid(), base] = Kernel(base)
        except Dead as problem:
            raise InputError(f"what executes a trace does not start here: {problem}") from problem
    return _kernels[os.getpid(), base]


def observe(events, objects=True, tries=60):
    """Execute `events` (of rmapmodel.events) and return processes and objects as `replay --json --pages` does.

    Instead, an event that Linux refuses gives {"impossible": {"index", "errno"}}, one that cannot be executed here
    {"unsupported": {"index", "why"}}. The trace is executed until two executions agree on the objects, at most `tries`
    times; then "objects" is None. "executions" says how many there were. Raises InputError where this machine cannot
    execute it. Cost: about 7 ms an execution of 50 events.
    """
    events = [event for event in events]
    refuse(events)
    seen = []
    while True:
        with alone():
            kernel = running(events)
            try:
                result = kernel.run(events, objects)
            except BaseException:
                kernel.close()
                _kernels.clear()
                raise
        seen.append(result.get("objects"))
        agreed = seen[-1] in seen[:-1] and seen[-1] is not None
        if not objects or not kernel.counts or "processes" not in result or agreed or len(seen) >= tries:
            break
    if not agreed and "processes" in result and kernel.counts:
        result["objects"] = None
    return {**result, "executions": len(seen), "countable": bool(kernel.counts)}


def executable(trace):
    """The (line, event) pairs of a trace; raises InputError naming the line of an event that cannot be executed."""
    nonlinear = trace.header.kernel and int(trace.header.kernel.split(".")[0]) < 4
    rows = []
    for line, event in trace:
        why = None
        if isinstance(event, ev.Swapout) or isinstance(event, ev.Madvise) and event.advice == "pageout":
            why = "cannot be executed on the running kernel: no swap is used"
        elif nonlinear and isinstance(event, ev.RemapFilePages):
            why = f"cannot be executed on the running kernel: it has no nonlinear mappings as {trace.header.kernel} had"
        if why:
            raise InputError(why, trace.path, line, type(event).__struct_config__.tag)
        rows.append((line, event))
    return rows


def result(trace, pages=False):
    """What the running kernel makes of a trace, as contract section 4 defines it; `missing` names what it cannot tell.

    Raises InputError naming the file and the line of an event that Linux refuses or that cannot be executed.
    """
    rows = executable(trace)
    events = [event for _, event in rows]
    told = observe(events)
    if "impossible" in told:
        line, event = rows[told["impossible"]["index"]]
        raise InputError(f"Linux {platform.release()} refuses it: {told['impossible']['errno']}", trace.path, line,
                         type(event).__struct_config__.tag)
    kernel = running(events)
    missing = [*trace.header.missing, "a kernel does not tell bytes_design, peak and reclaim"]
    processes = told["processes"]
    if kernel.unmapped:
        missing.append(f"map counts of pages: {kernel.unmapped}")
    for process in processes.values():
        if not pages or process["pages"] is None:
            del process["pages"]
    if any(process["rss_pages"] is None for process in processes.values()):
        missing.append("rss_pages: without root only from Linux 6.7")
    counts = told["objects"]
    if counts is None:
        missing.append("anon_vma and anon_vma_chain: " + (
            kernel.uncounted or f"no two of {told['executions']} executions agree on the slab counts"))
        counts = {"vm_area_struct": told["areas"]}
    try:
        sizes = {name: count * int((SLABS / name / "slab_size").read_text()) for name, count in counts.items()}
        sizes["total"] = sum(sizes.values())
    except OSError as problem:
        sizes = None
        missing.append(f"bytes: {unreadable(problem)}")
    return {
        "schema": "rmapmodel/replay/1", "strategy": "kernel", "index": "interval_tree/interval_tree", "arch": "x86_64",
        "kernel": platform.release(), "page_size": PAGE, "events": len(rows), "refused": [], "missing": missing,
        **({"source": trace.header.source} if trace.header.source else {}), "processes": processes, "objects": counts,
        "bytes": sizes, "bytes_design": None, "peak": None, "reclaim": None,
    }


def summary(told):
    """An observation as lines for a terminal."""
    lines = [f"Linux {told['kernel']}, {told['arch']}: {told['events']} events, "
             f"{len(told['processes'])} processes at the end", "", f"{'structure':20} {'at the end':>12}"]
    lines += [f"{kind:20} {count:12}" for kind, count in told["objects"].items()]
    lines += ["", f"{'process':20} {'vmas':>12} {'rss pages':>12}"]
    lines += [f"{pid:20} {len(process['vmas']):12} {'-' if process['rss_pages'] is None else process['rss_pages']:>12}"
              for pid, process in told["processes"].items()]
    return "\n".join([*lines, "", *(f"not measured: {what}" for what in told["missing"])])
