"""The commands of contract.md section 3; each imports what it needs when it runs."""

import argparse
import contextlib
import json
import os
import sys

from . import __version__
from .errors import CheckFailed, InputError, hint

FAILED, BAD_INPUT = 1, 2


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and exit status 2."""

    def error(self, message):
        raise InputError(message)

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[0] if action.option_strings else action.metavar or action.dest
            raise InputError(f"{value!r} is unknown{hint(value, action.choices)} (there are {', '.join(action.choices)})",
                             field=name)


def main(argv=None):
    """Runs a command line; returns the exit status: 0 done, 1 a result that fails its own check, 2 bad input."""
    try:
        args = parser().parse_args(argv)
        status = args.command(args) or 0
        sys.stdout.flush()
        return status
    except InputError as error:
        print(f"rmapmodel: error: {_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except CheckFailed as error:
        print(f"rmapmodel: failed: {_one_line(error)}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except OSError as error:  # a full disk, wherever it is met
        _forget_stdout()
        where = f"{error.filename}: " if error.filename else ""
        print(f"rmapmodel: error: {_one_line(where + (error.strerror or str(error)))}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("rmapmodel: interrupted", file=sys.stderr)
        return 130


def _forget_stdout():
    """Lets go of what could not be printed, which Python would try again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(error):
    text = " ".join(str(error).split())
    return "".join(char if char.isprintable() else "?" for char in text)


def parser():
    """The argument parser of all commands."""
    top = Parser(prog="rmapmodel", description="How each design of Linux's reverse map behaves on a trace.")
    top.add_argument("--version", action="version", version=f"rmapmodel {__version__}")
    commands = top.add_subparsers(dest="name", required=True, metavar="COMMAND")
    _replay(_command(commands, "replay", replay, "run a trace through one design, print the result"))
    _compare(_command(commands, "compare", compare, "one row a design, with the truth as the last row"))
    _explain(_command(commands, "explain", explain, "who maps a page, and how a design finds out"))
    _import(_command(commands, "import", import_, "turn a recording into a trace", common=False))
    _record(_command(commands, "record", record, "record a real program into a trace", common=False))
    _observe(_command(commands, "observe", observe, "execute a trace on the running kernel, print what came of it",
                      common=False))
    _verify(_command(commands, "verify", verify, "hold the model against the running kernel", common=False))
    _generate(_command(commands, "generate", generate, "write a synthetic workload", common=False))
    _sweep(_command(commands, "sweep", sweep, "run a grid of workloads, traces and designs into a dataset", common=False))
    _report(_command(commands, "report", report, "run the notebooks, write the report", common=False))
    _cite(_command(commands, "cite", cite, "print a figure for a write-up, with its data and where it is from",
                   common=False))
    return top


def _command(commands, name, function, about, common=True):
    sub = commands.add_parser(name, help=about, description=about)
    sub.set_defaults(command=function)
    if common:
        sub.add_argument("trace", metavar="TRACE", help="a trace: JSON Lines, plain, .gz or .zst")
        sub.add_argument("--index", help="search structure of both sides: list, prio_tree or interval_tree")
        sub.add_argument("--arch", choices=("i386", "x86_64"), help="structure sizes and address space (default x86_64)")
        sub.add_argument("--kernel", metavar="VERSION", help="as uname -r prints it (default 7.0)")
        _with_max_memory(sub, "refuse traces that need more")
        _with_imports(sub)
    return sub


def _with_max_memory(sub, about):
    sub.add_argument("--max-memory", metavar="SIZE", default="4G", help=f"{about} (default 4G)")


def _with_imports(sub):
    sub.add_argument("--import", dest="modules", metavar="MODULE", action="append", default=[],
                     help="import a module that registers designs; may be repeated")


def _with_reclaim(sub, default):
    sub.add_argument("--reclaim", metavar="WHEN", default=default,
                     help="add reclaim events: none, end, peak or every:N "
                          + ("(default none)" if default == "none" else "(default peak for a trace without any)"))


def _replay(sub):
    sub.add_argument("--strategy", required=True, metavar="NAME")
    sub.add_argument("--pages", action="store_true", help="add each process's resident pages with their mapcount")
    sub.add_argument("--timing", action="store_true", help="add the seconds it took")
    sub.add_argument("--timeline", action="store_true", help="add mappings, bytes and objects after every event")
    sub.add_argument("--costs", action="store_true", help="add locks, lengths of walks and pages copied early")
    sub.add_argument("--json", action="store_true", help="print the result as JSON")
    _with_reclaim(sub, "none")


def _compare(sub):
    sub.add_argument("--strategies", metavar="a,b,...", help="the designs (default: all)")
    sub.add_argument("--kernels", metavar="v,w,...", help="the kernels (default: the one of --kernel)")
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--format", choices=("lkml", "markdown", "csv"), help="print a table for a mail, a page, a sheet")
    _with_reclaim(sub, "default")


def _explain(sub):
    sub.add_argument("page", metavar="PID:ADDR", help="a process and an address, as in 1:0x7f0000001000")
    sub.add_argument("--until", type=_positive("--until", "a line number"), metavar="LINE", help="stop after this line of the trace")
    sub.add_argument("--strategy", required=True, metavar="NAME")
    sub.add_argument("--json", action="store_true", help="print JSON")


def _import(sub):
    kinds = sub.add_subparsers(dest="kind", required=True, metavar="FORMAT")
    strace = kinds.add_parser("strace", help="a log of strace -f -ttt -e trace=%%memory,%%process")
    strace.add_argument("log", metavar="LOG")
    strace.add_argument("--perf", metavar="PERF_SCRIPT", help="perf script output of the same run")
    strace.add_argument("-o", dest="output", metavar="TRACE", help="where the trace goes (default: LOG.jsonl)")


def _record(sub):
    sub.add_argument("-o", dest="output", metavar="TRACE", required=True, help="where the trace goes")
    sub.add_argument("--scrub", action="store_true", help="replace paths by pseudonyms, and leave the command out")
    _with_max_memory(sub, "refuse to compare what needs more")
    sub.add_argument("program", metavar="-- COMMAND", nargs=argparse.REMAINDER, help="the program and its arguments")


def _observe(sub):
    sub.add_argument("trace", metavar="TRACE", help="a trace: JSON Lines, plain, .gz or .zst")
    sub.add_argument("--pages", action="store_true", help="add each process's resident pages with their mapcount")
    sub.add_argument("--json", action="store_true", help="print the result as JSON")


def _verify(sub):
    sub.add_argument("traces", metavar="TRACE", nargs="*", help="traces: JSON Lines, plain, .gz or .zst")
    sub.add_argument("--random", metavar="N", type=_positive("--random"), help="N random traces instead")
    sub.add_argument("--seed", metavar="S", type=_positive("--seed"), help="seed of the first random trace (default 1)")


def _generate(sub):
    sub.add_argument("workload", metavar="WORKLOAD", nargs="?")
    sub.add_argument("--list", action="store_true", help="name the workloads, their parameters and defaults")
    sub.add_argument("-p", dest="parameters", metavar="key=value", action="append", default=[])
    sub.add_argument("-o", dest="output", metavar="TRACE")


def _sweep(sub):
    sub.add_argument("grid", metavar="GRID", help="what to run, YAML (docs/sweeps.md)")
    sub.add_argument("-o", dest="output", metavar="DIR", help="the dataset (default: sweeps/ and the name of GRID)")
    sub.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster, as in tcp://host:8786 (default: the cores here)")
    _with_max_memory(sub, "fail tasks that need more")
    _with_imports(sub)


def _report(sub):
    sub.add_argument("notebooks", metavar="NOTEBOOK", nargs="*", help="a path or a name (default: all of notebooks/)")
    sub.add_argument("-p", dest="parameters", metavar="key=value", action="append", default=[])
    sub.add_argument("-y", dest="yaml", metavar="FILE", help="parameters of several notebooks, YAML")
    sub.add_argument("-o", dest="output", metavar="DIR", default="reports")
    sub.add_argument("-j", dest="jobs", metavar="N", type=_positive("-j", "a positive number of notebooks"), help="notebooks at a time (default: the cores)")
    _with_imports(sub)


def _cite(sub):
    sub.add_argument("figure", metavar="FIGURE", help="its id, as in fig-space-mremap")
    sub.add_argument("--format", choices=("lkml", "markdown", "latex", "bibtex"), default="lkml",
                     help="for a mail (default), a page, a paper, its references")
    _with_imports(sub)


# -- values ----------------------------------------------------------------------------------------------------------


def _positive(field, what="a positive integer"):
    """A converter of an option's text to a positive integer of at most 18 digits."""
    def convert(text):
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text)):
            raise InputError(f"{text[:60]!r} is not {what}", field=field)
        return int(text)

    return convert


def memory_size(text):
    """Bytes of a size such as 512M or 4G; raises InputError for anything else.

    >>> memory_size("512M")
    536870912
    """
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not (number.isascii() and number.isdigit() and len(number) <= 18 and int(number)) or unit not in units:
        raise InputError(f"{text[:60]!r} is not a size like 512M or 4G", field="--max-memory")
    return int(number) * units[unit]


def _options(args):
    from .study.replay import Options, kernel_for

    _load_designs(args.modules)
    if args.kernel and getattr(args, "kernels", None):
        raise InputError("--kernel and --kernels do not go together")
    options = Options(args.index, args.arch, args.kernel, memory_size(args.max_memory), getattr(args, "reclaim", "none"))
    header = _trace(args.trace).header
    _note_newer(_listed(args, "kernels") or [kernel_for(header, options).text])
    return options


def _note_newer(kernels):
    from .vm.kernel import NEWEST, Kernel

    for text in dict.fromkeys(kernels):
        if Kernel.parse(text).newer_than_described:
            print(f"rmapmodel: note: kernel {text} is newer than any described here; the rules of "
                  f"{'.'.join(map(str, NEWEST))} are used", file=sys.stderr)


def _listed(args, name):
    """The names of a comma-separated option, or None where it was not given."""
    text = getattr(args, name, None)
    if text is None:
        return None
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise InputError(f"{text!r} has an empty name", field=f"--{name}")
    if len(set(names)) < len(names):
        raise InputError(f"{text!r} names one twice", field=f"--{name}")
    return names


def _load_designs(modules):
    from .outside import load_modules
    from .strategies import STRATEGIES  # noqa: F401  loads the designs of entry points and of the environment

    load_modules(modules, "--import")


def _pairs(parameters):
    pairs = {}
    for text in parameters:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"{text!r} is not key=value", field="-p")
        if key in pairs:
            raise InputError(f"{key} is given twice", field="-p")
        pairs[key] = value
    return pairs


def _watched(items, unit, total=None):
    """The items, with a progress bar when they take more than two seconds and stderr is a terminal."""
    from tqdm import tqdm

    return tqdm(items, total=total, delay=2, leave=False, unit=f" {unit}", disable=not sys.stderr.isatty())


class WatchedTrace:
    """A trace that shows its progress each time it is read."""

    def __init__(self, trace):
        self.path, self.header, self._trace = trace.path, trace.header, trace

    def __iter__(self):
        return iter(_watched(self._trace, "events"))


def _trace(path):
    from .trace import read

    return read(path)


# -- commands --------------------------------------------------------------------------------------------------------


def replay(args):
    """Runs a trace through one design and prints the result."""
    import time

    from .study.replay import replay as run_trace
    from .study.replay import summary

    options = _options(args)
    began = time.perf_counter()
    trace = _trace(args.trace)
    run = run_trace(WatchedTrace(trace), args.strategy, options, timeline=args.timeline)
    seconds = time.perf_counter() - began
    result = run.result(pages=args.pages)
    if args.timeline:
        result["timeline"] = run.timeline
    if args.costs:
        result["costs"] = run.costs()
    if args.timing:
        result["timing"] = {"seconds": seconds}
    print(json.dumps(result) if args.json else summary(result))


def compare(args):
    """Prints one row a design, with the truth as the last row."""
    from .strategies import strategy
    from .study import compare as study

    options = _options(args)
    names = _listed(args, "strategies")
    for name in names or ():
        strategy(name)
    frame, _ = study.compare(_trace(args.trace), names, _listed(args, "kernels"), options,
                             lambda runs: _watched(runs, "runs"))
    if args.json:
        print(json.dumps(study.as_json(frame)))
    else:
        forms = {None: study.as_text, "lkml": lambda table: study.as_text(table, 72), "markdown": study.as_markdown,
                 "csv": study.as_csv}
        print(forms[args.format](frame))


def explain(args):
    """Prints who maps a page and each visit of the walk that finds out."""
    from .study import explain as study

    options = _options(args)
    pid, colon, address = args.page.partition(":")
    try:
        pid, address = int(pid), int(address, 0)
    except ValueError:
        colon = ""
    if not colon or pid < 1 or address < 0:
        raise InputError(f"{args.page[:60]!r} is not PID:ADDR, like 1:0x10000000", field="PID:ADDR")
    told = study.explain(WatchedTrace(_trace(args.trace)), args.strategy, pid, address, args.until, options)
    print(json.dumps(told) if args.json else study.as_text(told))
    if told["wrong"]:
        raise CheckFailed(f"{args.strategy} finds other mappings of this page than the page tables hold")


def import_(args):
    """Turns strace's log, with perf's page faults where given, into a trace."""
    from .trace import write
    from .trace.strace import import_strace

    header, events = import_strace(args.log, args.perf, lambda lines: _watched(lines, "lines"))
    output = args.output or f"{args.log}.jsonl"
    count = write(output, header, events)
    print(f"{output}: {count} events")
    for line in header.missing:
        print(f"  missing: {line}")


def record(args):
    """Records a real program into a trace, and holds each of its processes against its own maps."""
    import shlex

    import msgspec

    from .study.recorded import agreement
    from .trace import jsonl
    from .trace.record import record as run_program
    from .trace.scrub import scrub

    command = args.program[args.program[:1] == ["--"]:]
    if not command:
        raise InputError("record wants a command: rmapmodel record -o TRACE -- COMMAND...")
    max_memory = memory_size(args.max_memory)
    jsonl.check_writable(args.output)
    recorded = run_program(command, lambda lines: _watched(lines, "lines"))
    header, events = recorded.header, recorded.events
    if args.scrub:
        events = scrub(events)
    else:
        header = msgspec.structs.replace(header, source=f"{header.source}; command: {shlex.join(command)}")
    count = jsonl.write(args.output, header, events)
    told = [f"{args.output}: {count} events; the program {recorded.status}",
            *(f"  missing: {line}" for line in recorded.header.missing)]
    print(*told, sep="\n", file=sys.stderr)  # stdout is the program's
    found = agreement(args.output, recorded.header, _watched(recorded.events, "events"), recorded.endings, max_memory)
    print(found, file=sys.stderr)
    return FAILED if found.differences else 0


def observe(args):
    """Executes a trace on the running kernel and prints what it says of it."""
    from .kernel import require

    require()
    from .kernel import observe as kernel

    from .study.replay import pages_of

    told = kernel.result(_trace(args.trace), args.pages)
    print(json.dumps(told) if args.json else "\n".join([kernel.summary(told), *pages_of(told["processes"])]))


def verify(args):
    """Observes and replays traces, and prints what differs."""
    import platform

    from .kernel import require

    if bool(args.traces) == bool(args.random) or args.seed and not args.random:
        raise InputError("verify wants traces, or --random N [--seed S]")
    require()
    from .study import verify as study

    if args.random:
        study.require_sound(platform.release())
    named = study.random_traces(args.random, args.seed or 1) if args.random else study.moments(map(_trace, args.traces))
    verdict = study.verify(named, watched=lambda items: _watched(items, "traces", args.random))
    if args.random:
        print(*study.table(verdict.contents), "", sep="\n")
    else:
        print(*(f"{name}, line {line}: refused by both ({why})\n" for name, line, why in verdict.refused), sep="", end="")
    print(verdict)
    return FAILED if verdict.failed else 0


def generate(args):
    """Writes a synthetic workload, or lists them."""
    from .trace import workloads, write

    if args.list:
        if args.workload or args.parameters or args.output:
            raise InputError("--list goes alone")
        print(_listing(workloads.WORKLOADS))
        return
    if not args.workload or not args.output:
        raise InputError("generate wants a WORKLOAD and -o TRACE (or --list)")
    header, events = workloads.generate(args.workload, **workloads.parse_params(args.parameters))
    count = write(args.output, header, _watched(events, "events"))
    print(f"{args.output}: {count} events")


def _listing(workloads):
    lines = []
    for name, workload in workloads.items():
        lines += [f"{name}: {workload.about}", f"    {workload.source}",
                  f"    kernel of the claim: {workload.kernel or 'any'}; arch {workload.arch.name}"]
        lines += [f"    -p {key}={default}  ({kind.__name__}) {meaning}"
                  for key, (kind, default, meaning) in workload.parameters.items()]
    return "\n".join(lines)


def sweep(args):
    """Runs the tasks of a grid that its dataset lacks."""
    from pathlib import Path

    from .study import grid as grids

    _load_designs(args.modules)
    grid = grids.read(args.grid, memory_size(args.max_memory))
    _note_newer(grid.kernels)
    try:
        from .study import cluster
    except ImportError as error:
        raise InputError(f"{error}; sweeps need pip install 'rmapmodel[sweep]'") from None
    output = args.output or Path("sweeps", grid.path.stem)
    before, failed = cluster.run(grid, output, args.scheduler, lambda runs, total: _watched(runs, "tasks", total),
                                 lambda text: print(f"rmapmodel: note: {text}", file=sys.stderr))
    print(f"{output}: {len(grid.tasks)} tasks, {before} done before, {len(grid.tasks) - before - len(failed)} now")
    if failed:
        task, error = failed[0]
        lines = str(error).strip().splitlines()
        if len(lines) > 1:
            print(*lines, sep="\n", file=sys.stderr)  # a traceback
        kind = InputError if all(isinstance(each, InputError) for _, each in failed) else CheckFailed
        raise kind(f"{len(failed)} of {len(grid.tasks)} tasks failed, the first: {task}: {lines[-1]}")


def report(args):
    """Runs the notebooks and writes the report."""
    from .report import run

    _load_designs(args.modules)
    return run(args.notebooks or None, _pairs(args.parameters), args.yaml, args.output, args.jobs)


def cite(args):
    """Prints a figure's caption, data and provenance; runs its notebook where the report is not current."""
    from .report.cite import cite as report

    _load_designs(args.modules)
    text, failed = report(args.figure, args.format)
    print(text)
    return FAILED if failed else 0
