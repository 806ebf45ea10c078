"""Records data/observations/walks-VERSION.jsonl.gz: how many vmas a real kernel's reverse-map walks visit.

    apt-get install qemu-system-x86 gcc dpkg; apt-get download linux-image-6.1.0-50-amd64
    python data/walks/record.py linux-image-6.1.0-50-amd64_*.deb DATE

Boots the kernel of a Debian package in qemu (software emulation, one processor, two NUMA nodes); init.c, linked
statically, is all there is in the initramfs. The guest executes the cases below with real processes. To probe a page,
it moves it to the other node: move_pages makes one walk that stops once the page is unmapped (it calls
try_to_migrate_one for each vma) and one that does not stop early (remove_migration_pte). Kprobe events on both,
compared with the page's own frame, say which vmas were visited, in which order. Nothing is written but the
observations. Cost: two minutes of one processor, 1 GiB of memory.
"""

import errno
import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from rmapmodel import events as ev
from rmapmodel.trace import random_traces
from rmapmodel.trace.workloads import generate

HERE = Path(__file__).parent
PAGE = 4096
AREA, NEW, HEAP, AWAY = 0x10000000, 0x20000000, 0x30000000, 0x50000000
WORKLOAD = 0x40000000   # where the workloads of an i386 process begin to map
FILE_FD = 100
MINUTES = 20
SYSCALL = {"mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "mremap": 25, "madvise": 28, "mlock": 149,
           "munlock": 150, "remap_file_pages": 216}
MAP = {"private": 2, "shared": 1, "anonymous": 0x20, "fixed": 0x10, "noreserve": 0x4000, "growsdown": 0x100,
       "stack": 0x20000, "locked": 0x2000}
MAP_FIXED_NOREPLACE = 0x100000
REMAP = {"maymove": 1, "fixed": 2, "dontunmap": 4}
ADVICE = {"normal": 0, "random": 1, "sequential": 2, "willneed": 3, "dontneed": 4, "free": 8, "remove": 9,
          "dontfork": 10, "dofork": 11, "mergeable": 12, "unmergeable": 13, "hugepage": 14, "nohugepage": 15,
          "dontdump": 16, "dodump": 17, "wipeonfork": 18, "keeponfork": 19, "cold": 20, "populate_read": 22,
          "populate_write": 23}


class Probe(msgspec.Struct):
    """Not an event: look at the page at `addr` of `pid`."""

    pid: int
    addr: int


class ProbeAll(msgspec.Struct):
    """Not an event: look at every resident frame between these addresses, each once."""

    low: int
    high: int


# The cases: lists of events and probes


def anonymous(pid, addr, pages, prot="rw-", *flags):
    """A private anonymous mapping."""
    return ev.Mmap(pid, addr, pages * PAGE, prot, ["private", "anonymous", *flags])


def at(page, base=AREA):
    """The address of a page of the area."""
    return base + page * PAGE


def some(pids):
    """The first, one in the middle and the last."""
    return sorted({pids[0], pids[len(pids) // 2], pids[-1]})


def fork_server(children, ended=0):
    """A server and its children: pages of every origin, seen from several processes.

    Page 0 stays shared, 1 is copied by every child, 2 by the parent only, 3 by half of the children, 4 is not there
    before the forks. `ended`: every how many-th child has exited when the pages are looked at (0: none).
    """
    pids = list(range(2, 2 + children))
    yield ev.Spawn(1)
    yield anonymous(1, AREA, 8)
    yield ev.Write(1, AREA, 4 * PAGE)
    yield ev.Brk(1, HEAP)
    yield ev.Brk(1, at(2, HEAP))
    yield ev.Write(1, HEAP, PAGE)
    for pid in pids:
        yield ev.Fork(1, pid)
    yield ev.Write(1, at(2), PAGE)
    for pid in pids:
        yield ev.Write(pid, at(1), PAGE)
        if pid % 2:
            yield ev.Write(pid, at(3), PAGE)
        yield ev.Write(pid, at(4), PAGE)
        yield anonymous(pid, NEW, 2)
        yield ev.Write(pid, NEW, PAGE)
        yield ev.Brk(pid, at(4, HEAP))
        yield ev.Write(pid, at(1, HEAP), 3 * PAGE)      # of the inherited vma, and of what brk added behind it
    for pid in pids:
        if ended and pid % ended == 0:
            yield ev.Exit(pid)
    pids = [pid for pid in pids if not (ended and pid % ended == 0)]
    for pid in [1, *some(pids)]:
        for page in range(5) if pid > 1 else range(4):
            yield Probe(pid, at(page))
    yield Probe(1, HEAP)
    for pid in some(pids):
        yield Probe(pid, NEW)
        for page in range(4):
            yield Probe(pid, at(page, HEAP))


def untouched_heap(children):
    """brk grows a heap that was untouched at the fork, so that the inherited vma itself is extended."""
    pids = list(range(2, 2 + children))
    yield from (ev.Spawn(1), ev.Brk(1, HEAP), ev.Brk(1, at(2, HEAP)))
    for pid in pids:
        yield ev.Fork(1, pid)
    for pid in [1, *pids]:
        yield ev.Brk(pid, at(6, HEAP))
        yield ev.Write(pid, HEAP, 6 * PAGE)
    for pid in [1, *some(pids)]:
        yield Probe(pid, HEAP)
        yield Probe(pid, at(5, HEAP))


def split_flood(pieces, children, before):
    """An area is split into a page each, before or after the forks; then some pages are written again."""
    pids = list(range(2, 2 + children))
    forks = [ev.Fork(1, pid) for pid in pids]
    splits = [ev.Mprotect(1, at(page), PAGE, "r--") for page in range(0, pieces, 2)]
    yield from (ev.Spawn(1), anonymous(1, AREA, pieces), ev.Write(1, AREA, pieces * PAGE))
    yield from splits + forks if before else forks + splits
    for pid in pids[::2]:
        for page in range(1, pieces, 6):
            yield ev.Write(pid, at(page), PAGE)
    for pid in [1, *(some(pids) if pids else ())]:
        for page in sorted({0, 1, pieces // 2, pieces - 1}):
            yield Probe(pid, at(page))


def children_split(pieces, children):
    """Each child splits what it inherited, at other places than its siblings."""
    pids = list(range(2, 2 + children))
    yield from (ev.Spawn(1), anonymous(1, AREA, pieces), ev.Write(1, AREA, pieces * PAGE))
    for pid in pids:
        yield ev.Fork(1, pid)
        for page in range(pid % 5, pieces, 5):
            yield ev.Mprotect(pid, at(page), PAGE, "r--")
        yield ev.Write(pid, at((pid + 1) % 5), PAGE)
    for pid in [1, *some(pids)]:
        for page in range(0, min(pieces, 6)):
            yield Probe(pid, at(page))


def moved_pieces(pieces, children, dontunmap):
    """Each process moves every third page away; with `dontunmap` what is left behind is written again."""
    pids = list(range(1, 2 + children))
    yield from (ev.Spawn(1), anonymous(1, AREA, pieces), ev.Write(1, AREA, pieces * PAGE))
    for pid in pids[1:]:
        yield ev.Fork(1, pid)
    for pid in pids:
        for page in range(pid % 3, pieces, 3):
            flags = ["maymove", "fixed"] + ["dontunmap"] * dontunmap
            yield ev.Mremap(pid, at(page), PAGE, at(2 * page, AWAY), PAGE, flags)
            if dontunmap and page % 2:
                yield ev.Write(pid, at(page), PAGE)
    for pid in some(pids):
        for page in range(min(pieces, 9)):
            gone = page % 3 == pid % 3
            if gone:
                yield Probe(pid, at(2 * page, AWAY))
            if not gone or dontunmap and page % 2:
                yield Probe(pid, at(page))


def workload(name, pages, pids, **parameters):
    """A workload of `rmapmodel generate`; then `pages` of its area are written and looked at in `pids`."""
    _, events = generate(name, **parameters)
    yield from (event for event in events if not isinstance(event, ev.Reclaim))
    places = [(pid, at(page, WORKLOAD)) for pid in pids for page in pages]
    yield from (ev.Write(*place, PAGE) for place in places)
    yield from (Probe(*place) for place in places)


def windows(vmas, pages, step, forks, descending):
    """A file mapped by many small vmas that overlap in it, `step` pages from one to the next, then nested forks."""
    yield ev.Spawn(1)
    for i in range(vmas):
        offset = (vmas - 1 - i if descending else i) * step
        yield ev.Mmap(1, at(i * (pages + 1)), pages * PAGE, "rw-", ["shared"], "data", offset * PAGE)
    for nested in range(forks):
        for pid in range(1, 1 + (1 << nested)):
            yield ev.Fork(pid, pid + (1 << nested))
    for pid in range(1, 1 + (1 << forks)):
        for i in range(pid % 3, vmas, 3):
            yield ev.Write(pid, at(i * (pages + 1)), pages * PAGE)
    for pid in some(range(1, 1 + (1 << forks))):
        for i in some(range(pid % 3, vmas, 3)):
            for page in sorted({0, pages // 2, pages - 1}):
                yield Probe(pid, at(i * (pages + 1) + page))


def private_windows(vmas, pages, children):
    """Private mappings of one file: pages read from it, and pages copied in a child."""
    pids = list(range(2, 2 + children))
    yield ev.Spawn(1)
    for i in range(vmas):
        yield ev.Mmap(1, at(i * (pages + 1)), pages * PAGE, "rw-", ["private"], "data", i * PAGE)
        yield ev.Read(1, at(i * (pages + 1)), pages * PAGE)
    yield ev.Write(1, at(pages + 1), PAGE)
    for pid in pids:
        yield ev.Fork(1, pid)
        yield ev.Write(pid, at(1), PAGE)
        yield ev.Write(pid, at(pages + 2), PAGE)
    for pid in [1, *some(pids)]:
        for page in (1, pages + 1, pages + 2):
            yield Probe(pid, at(page))
    yield Probe(1, AREA)
    yield Probe(1, at((vmas - 1) * (pages + 1)))


def fork_chain(depth, exits, writes):
    """Each child forks the next; parents exit at once or stay; `writes` pages of the four are written in each."""
    yield from (ev.Spawn(1), anonymous(1, AREA, 5), ev.Write(1, AREA, 4 * PAGE))
    for pid in range(2, 2 + depth):
        yield ev.Fork(pid - 1, pid)
        if exits:
            yield ev.Exit(pid - 1)
        for page in range(writes):
            yield ev.Write(pid, at(page), PAGE)
        if pid in (2, 3, 5) or pid == depth + 1:
            for seen in ([pid] if exits else sorted({1, pid // 2 + 1, pid})):
                for page in range(4):
                    yield Probe(seen, at(page))
    yield ev.Write(depth + 1, at(4), PAGE)
    yield Probe(depth + 1, at(4))


def fork_tree(seed, processes):
    """A random tree of forks, writes and exits over one area, looked at from every process that is left."""
    draw, alive, born = random.Random(seed), [1], 1
    yield from (ev.Spawn(1), anonymous(1, AREA, 6), ev.Write(1, AREA, 6 * PAGE))
    while born < processes:
        what = draw.random()
        pid = draw.choice(alive)
        if what < .45:
            born += 1
            alive.append(born)
            yield ev.Fork(pid, born)
        elif what < .8:
            yield ev.Write(pid, at(draw.randrange(6)), PAGE)
        elif len(alive) > 1:
            alive.remove(pid)
            yield ev.Exit(pid)
    yield ProbeAll(AREA, at(6))


def random_events(seed):
    """A random trace of 60 events, none of exec, vfork and clone_vm; every resident frame is looked at at its end."""
    yield from random_traces.random_trace(seed, 60, {"exec": 0, "clone_vm": 0, "vfork": 0, "fork": 14})
    low = random_traces.BASE * PAGE
    yield ProbeAll(low, low + (random_traces.WINDOW + 32) * PAGE)
    yield ProbeAll((random_traces.STACK - 64) * PAGE, random_traces.STACK * PAGE)


def cases():
    """Every case: the function that makes it, and its parameters."""
    for children in (1, 2, 3, 5, 10, 20, 50, 100, 150, 200):
        for ended in (0, 2, 3) if children > 1 else (0,):
            yield fork_server, {"children": children, "ended": ended}
    for children in (1, 4, 40):
        yield untouched_heap, {"children": children}
    for pieces in (2, 10, 100, 400):
        for children in (0, 1, 8, 40):
            for before in (True, False) if children else (True,):
                yield split_flood, {"pieces": pieces, "children": children, "before": before}
    for pieces, children in ((6, 1), (20, 3), (60, 12), (200, 6)):
        yield children_split, {"pieces": pieces, "children": children}
        for dontunmap in (False, True):
            yield moved_pieces, {"pieces": pieces, "children": children, "dontunmap": dontunmap}
    yield workload, {"name": "test_mmap", "cache_pages": 4000, "pages": [0, 1, 500, 1799, 3599], "pids": [1]}
    yield workload, {"name": "test_mmap2", "cache_pages": 1000, "forks": 5, "pages": [0, 1, 100, 449, 899],
                     "pids": [1, 9, 20]}
    yield workload, {"name": "test_mmap3", "cache_pages": 3000, "forks": 3, "pages": [0, 1, 100, 1349, 2699],
                     "pids": [5, 2]}
    yield workload, {"name": "rmap_test_3", "vmas": 1000, "passes": 1, "pages": [1, 7, 8, 3500, 7000], "pids": [1, 2]}
    for forks in (0, 1, 3, 5):
        for descending in (True, False):
            for vmas, pages, step in ((60, 8, 1), (40, 4, 4), (30, 6, 0)):
                yield windows, {"vmas": vmas, "pages": pages, "step": step, "forks": forks, "descending": descending}
    for vmas, pages, children in ((5, 4, 2), (200, 4, 5), (20, 16, 40)):
        yield private_windows, {"vmas": vmas, "pages": pages, "children": children}
    for depth in (1, 2, 3, 5, 10, 30, 100):
        for exits in (False, True):
            for writes in (0, 1, 3):
                yield fork_chain, {"depth": depth, "exits": exits, "writes": writes}
    for seed in range(1, 41):
        yield fork_tree, {"seed": seed, "processes": 4 + seed}
    for seed in range(1, 401):
        yield random_events, {"seed": seed}


# What the guest is told


def pages_of(event):
    """The page-aligned range of a touch."""
    return event.addr & -PAGE, event.addr + event.len + PAGE - 1 & -PAGE


def command(event, brk_begun, files):
    """An event as a line of the guest's command file (init.c: execute)."""
    op = type(event).__struct_config__.tag
    if op == "spawn":
        return f"s {event.pid:x}"
    if op == "fork":
        return f"f {event.pid:x} {event.child:x}"
    if op == "exit":
        return f"x {event.pid:x}"
    if op in ("read", "write"):
        low, high = pages_of(event)
        return f"{op[0]} {event.pid:x} {low:x} {high:x}"
    if op == "brk" and not brk_begun:
        return f"b {event.pid:x} {event.addr:x}"
    prot = sum(bit for letter, bit in zip("rwx", (1, 2, 4)) if letter in getattr(event, "prot", ""))
    if op == "mmap":
        bits = sum(MAP[flag] for flag in set(event.flags)) | (0 if "fixed" in event.flags else MAP_FIXED_NOREPLACE)
        fd = -1 if event.file is None else FILE_FD + files.setdefault(event.file, len(files))
        args = event.addr, event.len, prot, bits, fd & (1 << 64) - 1, event.offset
    elif op == "mprotect":
        args = event.addr, event.len, prot
    elif op == "mremap":
        flags = sum(REMAP[flag] for flag in set(event.flags))
        flags |= REMAP["fixed"] if event.new_addr != event.addr else 0
        args = event.addr, event.len, event.new_len, flags if flags & 6 else 0, event.new_addr
    elif op == "madvise":
        args = event.addr, event.len, ADVICE[event.advice]
    elif op == "remap_file_pages":
        args = event.addr, event.len, 0, event.pgoff, 0
    else:
        args = (event.addr, event.len) if op != "brk" else (event.addr,)
    answer = {"mmap": event.addr, "brk": event.addr, "mremap": getattr(event, "new_addr", 0)}.get(op, 0)
    return " ".join(["c", *(f"{word:x}" for word in (event.pid, SYSCALL[op], answer, *args))])


def compiled(number, steps):
    """A case as lines for the guest."""
    yield f"n {number:x}"
    brk, files = set(), {}
    for step in steps:
        if isinstance(step, Probe):
            yield f"p {step.pid:x} {step.addr:x}"
        elif isinstance(step, ProbeAll):
            yield f"a {step.low:x} {step.high:x}"
        else:
            yield command(step, step.pid in brk, files)
            if isinstance(step, ev.Brk):
                brk.add(step.pid)
            elif isinstance(step, ev.Fork) and step.pid in brk:
                brk.add(step.child)


def initramfs(init, commands):
    """A cpio archive (newc) of these files."""
    packed = io.BytesIO()
    console = ("dev/console", 0o020600, b"", 5, 1)
    entries = [("dev", 0o040755, b"", 0, 0), console, ("init", 0o100755, init, 0, 0),
               ("cases", 0o100644, commands, 0, 0), ("TRAILER!!!", 0, b"", 0, 0)]
    for inode, (name, mode, content, major, minor) in enumerate(entries, 1):
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name) + 1, 0)
        packed.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        packed.write(bytes(-packed.tell() % 4) + content)
        packed.write(bytes(-packed.tell() % 4))
    return packed.getvalue()


def boot(package, commands, scratch):
    """Boots the package's kernel with these commands, and returns the lines that the guest wrote."""
    subprocess.run(["dpkg", "-x", package, scratch / "package"], check=True)
    kernel, = (scratch / "package" / "boot").glob("vmlinuz-*")
    subprocess.run(["gcc", "-O2", "-Wall", "-static", HERE / "init.c", "-o", scratch / "init"], check=True)
    (scratch / "initramfs").write_bytes(initramfs((scratch / "init").read_bytes(), commands.encode()))
    memory = [word for node in (0, 1) for word in (
        "-object", f"memory-backend-ram,id=m{node},size=512M", "-numa", f"node,nodeid={node},memdev=m{node}")]
    subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "qemu64", "-smp", "1", "-m", "1G", *memory,
         "-nodefaults", "-no-reboot", "-display", "none", "-kernel", kernel, "-initrd", scratch / "initramfs",
         "-serial", f"file:{scratch / 'console'}", "-serial", f"file:{scratch / 'told'}", "-append",
         "console=ttyS0 nokaslr norandmaps numa_balancing=disable transparent_hugepage=never panic=-1 quiet"],
        check=True, timeout=60 * MINUTES, stdin=subprocess.DEVNULL)
    lines = (scratch / "told").read_text().splitlines()
    if not lines or lines[-1] != "done":
        raise SystemExit(f"the guest did not finish: {lines[-1:]}\n" + (scratch / "console").read_text()[-2000:])
    return lines


# What it told


def visits(text):
    """The vmas of one walk, in order: (pid, start)."""
    return [(int(pid), int(start, 16)) for pid, _, start in (word.partition(":") for word in text.split())]


def runs(walk):
    """A walk as [pid, n, start]: n processes, counted up from pid, each with its vma that starts there."""
    result = []
    for pid, start in walk:
        if result and result[-1][0] + result[-1][1] == pid and result[-1][2] == start:
            result[-1][1] += 1
        else:
            result.append([pid, 1, start])
    return result


def heard(lines):
    """The kernel's release and version, the probes of each case, and the cases of which it refused an event."""
    _, release, *built = lines[0].split()
    version = re.search(r"Debian (\d+\.\d+\.\d+)", " ".join(built)).group(1)
    probes, refused, number = {}, set(), None
    for line in lines[1:-1]:
        kind, _, rest = line.partition(" ")
        if kind == "n":
            number = int(rest)
            probes[number] = []
        elif kind == "e":
            refused.add(number)
        elif kind == "p":
            place, early, full = rest.split("|")
            pid, addr, error, stray = place.split()
            probes[number].append((int(pid), int(addr, 16), int(error), int(stray), visits(early), visits(full)))
        else:
            raise SystemExit(f"the guest said: {line}")
    return release, version, probes, refused


def observation(steps, probes):
    """Events, probes with the number of events before each, and the pages that could not be moved."""
    events, seen, unmoved, left = [], [], [], list(probes)
    for step in steps:
        if not isinstance(step, (Probe, ProbeAll)):
            events.append(json.loads(msgspec.json.encode(step)))
            continue
        for pid, addr, error, stray, early, full in left[:1] if isinstance(step, Probe) else left:
            if error == -errno.ENOENT:      # follow_page finds no page where no access is allowed
                unmoved.append([pid, addr])
                continue
            if error or stray or early != full[:len(early)] or any(visited < 0 for visited, _ in full):
                raise SystemExit(f"page {addr:#x} of {pid}: {error=} {stray=} {early=} {full=}")
            seen.append({"after": len(events), "pid": pid, "addr": addr, "examined": len(early),
                         "candidates": len(full), "visits": runs(full)})
        left = left[1:] if isinstance(step, Probe) else []
    return {"events": events, "probes": seen, "unmoved": unmoved}


def main(package, date):
    plans = [(make.__name__, parameters, list(make(**parameters))) for make, parameters in cases()]
    commands = "".join(line + "\n" for number, plan in enumerate(plans) for line in compiled(number, plan[2]))
    with tempfile.TemporaryDirectory() as scratch:
        release, version, probes, refused = heard(boot(package, commands, Path(scratch)))
    rows = []
    for number, (name, parameters, steps) in enumerate(plans):
        if number not in refused:
            rows.append({"case": name, "parameters": parameters, "kernel": version, "release": release,
                         "observed": date, **observation(steps, probes[number])})
        elif name != "random_events":
            raise SystemExit(f"the kernel refused an event of {name} {parameters}")
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="", compresslevel=9) as stream:
        for row in rows:
            stream.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    target = HERE.parent / "observations" / f"walks-{version}.jsonl.gz"
    target.with_suffix(".part").write_bytes(packed.getvalue())
    os.replace(target.with_suffix(".part"), target)
    print(f"{len(rows)} cases, {sum(len(row['probes']) for row in rows)} walks; {len(refused)} random traces left out")


if __name__ == "__main__":
    main(*sys.argv[1:])
