"""Replay: one trace through one strategy, to the result of contract section 4."""

import contextlib
import dataclasses
import gc
from dataclasses import dataclass, field

from ..errors import CheckFailed, InputError
from ..events import Reclaim, Swapout
from ..strategies import strategy as named_strategy
from ..vm.kernel import DEFAULT, Kernel
from ..vm.machine import Machine
from ..vm.vma import PAGE

SCHEMA = "rmapmodel/replay/1"

COLLECTED = 50_000
"""Objects made between two looks for cycles, 700 elsewhere; a vma with its links is a dozen, some kilobytes."""

TIMELINE = ("line", "mappings", "bytes", "design_bytes", "objects")
"""What each entry of a timeline holds, in this order (docs/costs.md)."""


@dataclass
class Options:
    """How a trace is replayed: `None` takes the trace header's word, then the default. `max_memory` in bytes.

    `reclaim` is none, end, peak, every:N or default (for compare: the trace's own, else peak); `reclaim_after` adds one
    reclaim event after that line of the trace.
    """

    index: str | None = None
    arch: str | None = None
    kernel: str | None = None
    max_memory: int = 4 << 30
    reclaim: str = "none"
    reclaim_after: int | None = None


@dataclass
class Run:
    """A machine that has executed a trace, what was noted on the way, and the trace's own `source` and `missing`.

    `timeline` holds a tuple of the values named in `TIMELINE` after each event, where it was asked for.
    """

    machine: Machine
    events: int = 0
    source: str | None = None
    missing: list = field(default_factory=list)
    timeline: list = field(default_factory=list)

    def result(self, pages=False):
        """The result as contract section 4 defines it; `pages` adds the runs of resident pages."""
        machine = self.machine
        strategy, ledger = machine.strategy, machine.ledger
        objects = ledger.alive()
        sizes = {kind: count * ledger.size[kind] for kind, count in objects.items()}
        processes = {}
        for pid in sorted(machine.processes):
            mm = machine.processes[pid]
            processes[str(pid)] = {"vmas": machine.areas(mm), "rss_pages": mm.rss}
            if pages:
                processes[str(pid)]["pages"] = [[page * PAGE, n, count] for page, n, count in machine.runs(mm)]
        return {
            "schema": SCHEMA, "strategy": strategy.name, "index": strategy.index, "arch": machine.arch,
            "kernel": machine.kernel.text, "page_size": PAGE, "events": self.events, "refused": machine.refused,
            "missing": self.missing, **({"source": self.source} if self.source else {}), "processes": processes, "objects": objects,
            "bytes": {**sizes, "total": ledger.bytes},
            "bytes_design": {"now": ledger.design_bytes(len(machine.mms), machine.frames.alive),
                             "peak": ledger.peak_design},
            "peak": {"objects": dict(ledger.peak_objects), "bytes": ledger.peak_bytes,
                     "mappings": machine.peak_mappings},
            "reclaim": dict(ledger.reclaim),
        }

    def costs(self):
        """What `reclaim` does not say: locks by name and mode, lengths of walks, pages copied early (docs/costs.md)."""
        return self.machine.ledger.costs()


def machine_for(header, strategy, options):
    """A machine for a trace with this header: options win over the header, the header over the defaults."""
    arch = options.arch or header.arch or "x86_64"
    kernel = kernel_for(header, options)
    design = named_strategy(strategy)(kernel, options.index, arch)
    return Machine(design, kernel, arch, options.max_memory)


def kernel_for(header, options):
    """The Kernel of a replay: the option's, else the header's, else the default; InputError names the header's line."""
    try:
        return Kernel.parse(options.kernel or header.kernel or DEFAULT)
    except InputError as error:
        if not options.kernel:
            error.line = 1
        raise


def replay(trace, strategy, options=None, after=None, timeline=False):
    """Runs a trace through a strategy and returns the Run; cost: that of the events and of the walks asked for.

    `trace` has `.path`, `.header` and yields (line, event). `after(machine, count)` is called after every event.
    Errors: InputError naming the file, line and field of an impossible event; CheckFailed if the walks found other
    mappings than the page tables hold.
    """
    options = options or Options()
    try:
        machine = machine_for(trace.header, strategy, options)
    except InputError as error:
        error.path = trace.path if error.line else None
        raise
    run = Run(machine, source=trace.header.source, missing=list(trace.header.missing))
    ledger, frames, mms = machine.ledger, machine.frames, machine.mms
    with collected_seldom():
        for line, _ in applied(machine, trace, with_reclaim(trace, options, strategy)):
            if line is not None:
                run.events += 1
            ledger.sample(len(mms), frames.alive)
            if timeline:
                run.timeline.append((line, machine.mappings, ledger.bytes,
                                     ledger.design_bytes(len(mms), frames.alive), ledger.alive()))
            if after is not None:
                after(machine, run.events)
    found, truth = ledger.reclaim["mappings"], machine.reclaimed_mappings
    if found != truth:
        raise CheckFailed(f"{strategy} finds {found} mappings of the {truth} in the page tables")
    return run


@contextlib.contextmanager
def collected_seldom():
    """Lets Python look for cycles at every `COLLECTED` new objects: most are part of the structures, and stay."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECTED, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def applied(machine, trace, pairs=None):
    """Executes a trace (or the `pairs` of line and event) on a machine and yields each pair when it is done.

    Errors: InputError naming the file, line and field of an impossible event.
    """
    for line, event in trace if pairs is None else pairs:
        try:
            machine.apply(event, line)
        except InputError as error:
            error.path, error.line = trace.path, line
            raise
        yield line, event


def with_reclaim(trace, options, strategy):
    """The trace's (line, event) pairs, with the reclaim events that `options.reclaim` adds (line None)."""
    where, peak = options.reclaim, options.reclaim_after
    every = check_reclaim(where)
    if where == "none" and peak is None:
        return trace
    if where == "peak":
        peak = line_of_peak(trace, options, strategy)
    return _interspersed(trace, where, peak, every)


def _interspersed(trace, where, peak, every):
    count = 0
    for line, event in trace:
        yield line, event
        count += 1
        if line == peak or every and count % every == 0:
            yield None, Reclaim()
    if where == "end":
        yield None, Reclaim()


def settled(trace, options):
    """The options with `reclaim` none or peak in place of default; cost: it reads the trace up to its first reclaim."""
    if options.reclaim != "default":
        return options
    own = any(type(event) in (Reclaim, Swapout) for _, event in trace)
    return dataclasses.replace(options, reclaim="none" if own else "peak")


def check_reclaim(where):
    """The N of `every:N`, 0 of another value that `reclaim` may have; raises InputError for any other."""
    if not where.startswith("every:"):
        if where not in ("none", "end", "peak", "default"):
            raise InputError(f"{where!r} is not none, end, peak or every:N", field="reclaim")
        return 0
    number = where.removeprefix("every:")
    if not (number.isascii() and number.isdigit() and int(number)):
        raise InputError(f"{where!r}: N must be a positive integer", field="reclaim")
    return int(number)


def line_of_peak(trace, options, strategy):
    """The line after which the most (mm, address) pairs are mapped for the first time, found by a run of its own."""
    best, at = -1, None
    machine = machine_for(trace.header, strategy, options)
    for line, _ in applied(machine, trace):
        if machine.mappings > best:
            best, at = machine.mappings, line
    return at


def summary(result):
    """A replay's result as lines for a terminal."""
    peak, reclaim = result["peak"], result["reclaim"]
    lines = [f"{result['strategy']} ({result['index']}), {result['arch']}, kernel {result['kernel']}: "
             f"{result['events']} events, {len(result['processes'])} processes at the end", "",
             f"{'structure':20} {'at the end':>12} {'bytes':>12} {'at its peak':>12}"]
    for kind, count in result["objects"].items():
        lines.append(f"{kind:20} {count:12} {result['bytes'][kind]:12} {peak['objects'][kind]:12}")
    lines += ["", f"added by the design: {result['bytes_design']['now']} bytes, {result['bytes_design']['peak']} at the "
                  f"peak; mappings at the peak: {peak['mappings']}"]
    if reclaim["pages"]:
        lines += ["", f"reclaim walked {reclaim['pages']} pages with {reclaim['mappings']} mappings"]
        lines += [f"  {name.replace('_', ' '):16} {reclaim[name]:14} {reclaim[name] / reclaim['mappings']:12.2f} a mapping"
                  for name in reclaim if name not in ("pages", "mappings")]
    if "costs" in result:
        lines += _costs(result["costs"])
    lines += pages_of(result["processes"])
    if "timeline" in result:
        columns = TIMELINE[:-1]
        lines += ["", " ".join(f"{name.replace('_', ' '):>12}" for name in columns)]
        lines += [" ".join(f"{'-' if value is None else value:>12}" for value in moment[:-1]) for moment in result["timeline"]]
    if "timing" in result:
        lines += ["", f"took {result['timing']['seconds']:.3f} s"]
    if "source" in result:
        lines += ["", f"source: {result['source']}"]
    for what in result["refused"]:
        follows = f" (follows from line {what['because']})" if what["because"] else ""
        lines.append(f"refused: line {what['line']} {what['op']}: {what['reason']}{follows}")
    lines += [f"not in the recording: {what}" for what in result["missing"]]
    return "\n".join(lines)


def pages_of(processes):
    """The runs of resident pages that a result was asked to hold, as lines for a terminal."""
    lines = []
    for pid, process in processes.items():
        lines += [f"process {pid}: {pages} pages at {address:#x}, each mapped {mapcount} times"
                  for address, pages, mapcount in process.get("pages", ())]
    return ["", *lines] if lines else []


def _costs(costs):
    lines = ["", f"{'lock':20} {'mode':>12} {'acquired':>12} {'longest hold':>12} {'instances':>12} {'busiest':>12}"]
    lines += [f"{each['lock']:20} {each['mode']:>12} {each['acquired']:12} {each['longest_hold']:12} "
              f"{each['instances'] or '-':>12} {each['busiest'] or '-':>12}" for each in costs["locks"]]
    for kind, pages in costs["walk_lengths"].items():
        lines += ["", f"{'places visited':20} {'pages':>12}   {kind.replace('_', ' ')} walk"]
        lines += [f"{length:>20} {count:12}" for length, count in pages.items()]
    return [*lines, "", f"pages copied early: {costs['pages_copied_early']}"]
