"""Verify: traces executed on the running kernel and replayed by the model, and what differs, shrunk."""

import platform
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from .. import events as ev
from ..errors import InputError
from ..kernel.observe import executable, observe
from ..trace.memory import InMemory
from ..trace.random_traces import random_trace
from ..vm.kernel import Kernel
from ..vm.vma import PAGE, SHARED
from .replay import Options, Run, line_of_peak, machine_for

STRATEGY = "anon_vma_chain"
EVENTS = 50
"""Events of a random trace."""

OPS = {"sandwich": 6}
"""What is drawn more often than in other random traces."""

MOST_SHRUNK = 5
"""Differences after which random traces are not tried any further: each is shrunk, which takes seconds."""

MOST_UNMEASURED = .01
"""The part of the traces whose object counts may stay unmeasured without the result counting as failed."""

MOST_REFUSED = 20
"""Events of a shortened trace that both may refuse before it is given up as nonsense."""


@dataclass
class Comparison:
    """One trace on both sides: the rows both executed, what differs (kind, lines), and what the measuring took.

    `kind` is "events", "vmas", "pages" or "objects", or None where nothing differs. `counted` is None where this
    machine cannot count objects at all, False where no two executions agreed.
    """

    rows: list
    kind: str | None
    lines: list
    repeats: int = 0
    counted: bool | None = True
    refused: list = field(default_factory=list)


def model(rows, kernel):
    """(result, index of the first event that it finds impossible or refuses, why) of the model."""
    machine = machine_for(ev.Header(version=1, kernel=kernel), STRATEGY, Options())
    for index, (_, event) in enumerate(rows):
        try:
            machine.apply(event)
        except InputError as problem:
            return None, index, problem.reason
        if machine.refused:
            return None, index, machine.refused[0]["reason"]
    return Run(machine, len(rows)).result(pages=True), None, None


def compare(rows, kernel=None, most_refused=None):
    """The Comparison of (line, event) pairs, without those that both refuse; None after `most_refused` of them.

    `kernel` is whose rules the model follows, by default the running one's. Cost: two executions at least.
    """
    kernel = kernel or platform.release()
    rows, refused, executions = list(rows), [], 0
    while True:
        told = observe([event for _, event in rows])
        executions += told["executions"]
        mine, at, why = model(rows, kernel)
        theirs = told["impossible"]["index"] if "impossible" in told else None
        if at != theirs:
            first = min(index for index in (at, theirs) if index is not None)
            who = f"Linux refuses it ({told['impossible']['errno']}), the model does not" if first == theirs else \
                f"the model refuses it ({why}), Linux does not"
            return Comparison(rows[:first + 1], "events", [f"line {rows[first][0]}: {who}"], refused=refused)
        if at is None:
            break
        refused.append((rows[at][0], told["impossible"]["errno"]))
        del rows[at]
        if most_refused is not None and len(refused) > most_refused:
            return None
    needed = 2 * (len(refused) + 1)
    kind, lines = differences(told, mine)
    while kind and executions < 60 + needed:        # two observations must show the same before it is one
        again = observe([event for _, event in rows])
        executions += again["executions"]
        before, (kind, lines) = lines, differences(again, mine)
        told = again
        if lines == before:
            break
    counted = told["objects"] is not None
    return Comparison(rows, kind, lines, max(0, executions - needed), counted or (False if told["countable"] else None),
                      refused)


def differences(told, mine):
    """(kind, lines) of what an observation and a result of the model disagree on, of what was measured; (None, [])."""
    found = {}
    for pid in sorted(told["processes"].keys() | mine["processes"].keys(), key=int):
        theirs, ours = told["processes"].get(pid), mine["processes"].get(pid)
        if theirs is None or ours is None:
            found.setdefault("events", []).append(f"process {pid} lives only {'in the model' if ours else 'on Linux'}")
            continue
        for key, kind, text in (("vmas", "vmas", area), ("pages", "pages", run), ("rss_pages", "pages", str)):
            if theirs[key] is None or theirs[key] == ours[key]:
                continue
            a, b = (value if isinstance(value, list) else [value] for value in (theirs[key], ours[key]))
            lines = found.setdefault(kind, [])
            lines.append(f"process {pid}, {key}:")
            lines += [f"  Linux  {text(value)}" for value in a if value not in b]
            lines += [f"  model  {text(value)}" for value in b if value not in a]
    if told["objects"] is not None and told["objects"] != mine["objects"]:
        lines = found.setdefault("objects", ["objects:"])
        for who, counts in (("Linux", told["objects"]), ("model", mine["objects"])):
            lines.append(f"  {who}  " + ", ".join(f"{counts[name]} {name}" for name in told["objects"]))
    return next(iter(found), None), [line for lines in found.values() for line in lines]


def area(vma):
    name = "shmem" if vma.get("shmem") else vma["file"] or "anonymous"
    return f"{vma['start']:#x}-{vma['end']:#x} {vma['prot']}{'s' if vma['shared'] else 'p'} {vma['offset']:#x} {name}"


def run(pages):
    return f"{pages[0]:#x} {pages[1]} pages mapped {pages[2]} times"


def shrunk(found, kernel=None, watched=lambda sizes: sizes):
    """The Comparison of the shortest trace found that still differs in the same kind.

    No event of it can be left out, no touch halved, no fork left out whose child's events would become its parent's.

    Delta debugging with the kernel as judge (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing
    input", 2002). Cost: some hundred executions for 50 events.
    """
    size = len(found.rows)
    for _ in watched(range(len(found.rows).bit_length() + 1)):
        size = max(1, size // 2)
        at, shorter = 0, False
        while at < len(found.rows):
            rest = living(found.rows[:at] + found.rows[at + size:])
            smaller = compare(rest, kernel, MOST_REFUSED) if rest else None
            if smaller and smaller.kind == found.kind:
                found, shorter = smaller, True
            else:
                at += size
        while size == 1 and shorter:
            at, shorter = 0, False
            while at < len(found.rows):
                tried = (compare(living(rest), kernel, MOST_REFUSED) for rest in without(found.rows, at))
                smaller = next((each for each in tried if each and each.kind == found.kind), None)
                if smaller:
                    found, shorter = smaller, True
                else:
                    at += 1
    return found


def without(rows, at):
    """The rows without one of them; also with half of a touch, and with the events of a child as its parent's."""
    rest, (line, event) = rows[:at] + rows[at + 1:], rows[at]
    yield rest
    if isinstance(event, (ev.Read, ev.Write)) and event.len > PAGE:
        half = event.len // PAGE // 2 * PAGE or PAGE
        for addr, size in ((event.addr, half), (event.addr + half, event.len - half)):
            yield rows[:at] + [(line, msgspec.structs.replace(event, addr=addr, len=size))] + rows[at + 1:]
    if isinstance(event, (ev.Fork, ev.Vfork, ev.CloneVm)):
        yield [(line, msgspec.structs.replace(each, pid=event.pid)
                if getattr(each, "pid", None) == event.child else each) for line, each in rest]


def living(rows):
    """The rows without the events of processes that do not exist."""
    live, kept = set(), []
    for row in rows:
        event = row[1]
        pid = getattr(event, "pid", None)
        if pid is not None and (pid in live) == isinstance(event, ev.Spawn):
            continue
        live.add(getattr(event, "child", pid))
        if isinstance(event, ev.Exit):
            live.discard(pid)
        kept.append(row)
    return kept


def as_lines(rows, kernel):
    """The rows as a trace that can be pasted into a file."""
    header = ev.Header(version=1, kernel=kernel)
    return [msgspec.json.encode(event).decode() for event in (header, *(event for _, event in rows))]


def require_sound(release):
    """Raises InputError for a kernel, as `uname -r` prints it, that random traces could damage.

    From 6.16 to 6.18.7 a move of touched memory beside untouched memory leaves pages that point to a freed anon_vma
    (mended by 61f67c230a5e).
    """
    kernel = Kernel.parse(release)
    if (6, 16) <= kernel.version < (6, 18, 8):
        raise InputError(f"random traces are not executed on Linux {release}: from 6.16 to 6.18.7 a move of memory that "
                         "they make can leave pages that point to a freed anon_vma")


def random_traces(count, seed):
    """(name, rows) of `count` random traces; the first has this seed, each next one the next number."""
    for number in range(seed, seed + count):
        yield f"random trace of seed {number}", list(enumerate(random_trace(number, EVENTS, OPS), 1))


def moments(traces):
    """(name, rows) of each trace up to its end and up to its moment of most mappings: a recording ends with nothing."""
    for trace in traces:
        rows = executable(trace)
        yield f"{trace.path}, at its end", rows
        header = ev.Header(version=1, kernel=platform.release())
        try:
            peak = line_of_peak(InMemory(header, [event for _, event in rows]), Options(), STRATEGY)
        except InputError:
            continue        # the comparison at the end says what is impossible
        if peak and peak < len(rows):
            yield f"{trace.path}, at line {rows[peak - 1][0]}", rows[:peak]


@dataclass
class Verdict:
    """What came of a verification; `failed` says whether the model counts as disagreeing with the kernel."""

    traces: int = 0
    repeats: int = 0
    uncounted: int = 0
    uncountable: bool = False
    refused: list = field(default_factory=list)
    differences: list = field(default_factory=list)
    contents: Counter = field(default_factory=Counter)

    @property
    def failed(self):
        return bool(self.differences) or self.uncounted > MOST_UNMEASURED * self.traces

    def __str__(self):
        lines = []
        for name, found, shown in self.differences:
            lines += [f"{name}: {found.kind} differ", *found.lines,
                      f"the shortest trace that shows {shown.kind} that differ ({len(shown.rows)} events):", *as_lines(shown.rows, platform.release()), *shown.lines, ""]
        what = "vmas and pages (objects cannot be counted here)" if self.uncountable else "vmas, pages and objects"
        count = len(self.differences)
        lines += [f"{self.traces} traces on Linux {platform.release()}: "
                  + (f"{count} with a difference" if count else f"no difference in {what}"),
                  f"events refused by both and left out: {len(self.refused)}; "
                  f"executions repeated because two disagreed: {self.repeats}; traces whose objects stayed unmeasured: {self.uncounted}"]
        return "\n".join(lines)


def verify(named, kernel=None, watched=lambda items: items, most=MOST_SHRUNK):
    """The Verdict on (name, rows) pairs, after at most `most` differences; `kernel` as in `compare`."""
    verdict = Verdict()
    for name, rows in watched(named):
        found = compare(rows, kernel)
        verdict.traces += 1
        verdict.repeats += found.repeats
        verdict.uncounted += found.counted is False
        verdict.uncountable |= found.counted is None
        verdict.refused += [(name, line, why) for line, why in found.refused]
        if found.kind:
            verdict.differences.append((name, found, shrunk(found, kernel)))
            if len(verdict.differences) == most:
                break
        else:
            verdict.contents += contents(found.rows, kernel or platform.release())
    return verdict


def table(counts):
    """Counts by name as the lines of a markdown table."""
    return ["| event | times |", "|---|---|", *(f"| {name} | {counts[name]:,} |" for name in sorted(counts))]


def possible(rows, kernel):
    """The rows without those that the model of that kernel refuses."""
    rows = list(rows)
    while (at := model(rows, kernel)[1]) is not None:
        del rows[at]
    return rows


def contents(rows, kernel):
    """How often each kind of event is in rows, as docs/running-kernel.md lists them; InputError if one is refused."""
    machine = machine_for(ev.Header(version=1, kernel=kernel), STRATEGY, Options())
    count, parent, moved = Counter(), {}, set()
    for _, event in rows:
        count.update(kinds(event, machine, parent, moved))
        machine.apply(event)
        if machine.refused:
            raise InputError(machine.refused[0]["reason"])
    return count


def kinds(event, machine, parent, moved):
    """What an event is called in the list, before it is applied; `parent` and `moved` remember forks and moves."""
    op = type(event).__struct_config__.tag
    if isinstance(event, ev.Mmap):
        yield f"mmap, {'shared' if 'shared' in event.flags else 'private'} {'file' if event.file else 'anonymous'}"
        yield from ["mmap fixed"] * ("fixed" in event.flags)
    elif isinstance(event, ev.Madvise):
        yield "madvise of pages" if event.advice in ev.ADVICE_PAGES else "madvise of the vma"
    elif isinstance(event, ev.Mremap):
        yield from moves(event, machine, moved)
    elif isinstance(event, ev.Fork):
        yield "fork by a child" if event.pid in parent else "fork by the first"
        parent[event.child] = event.pid
    elif isinstance(event, ev.Exit):
        alive = machine.processes
        child = any(parent.get(pid) == event.pid for pid in alive)
        words = {(True, True): "parent and child alive", (True, False): "parent alive",
                 (False, True): "child alive", (False, False): "neither alive"}
        yield "exit, " + words[parent.get(event.pid) in alive, child]
    else:
        yield op


def moves(event, machine, moved):
    start, end = event.addr // PAGE, -(-(event.addr + event.len) // PAGE)
    vma = machine.processes[event.pid].find(start)
    if not event.len:
        yield "mremap, duplicate of shared memory"
    elif event.addr == event.new_addr:
        yield "mremap, shrink" if event.new_len < event.len else "mremap, grow in place"
    elif (event.new_addr, event.addr, event.len) in moved:
        yield "mremap, move back"
    elif "dontunmap" in event.flags:
        yield "mremap, dontunmap"
    elif vma is None or vma.end < end:
        yield "mremap, move of several vmas"
    else:
        yield "mremap, move of a whole vma" if (vma.start, vma.end) == (start, end) else "mremap, move of a part"
    if event.addr != event.new_addr and event.len and vma is not None:
        of = "file" if vma.file and not vma.file.shmem else "anonymous"
        yield f"mremap, of {'shared' if vma.flags & SHARED else 'private'} {of} memory to another address"
        moved.add((event.addr, event.new_addr, event.len))
