"""Makes data/tables/programs.csv, moves.csv and reclaim.csv from recorded traces.

    python data/corpus/tables.py [-o FOLDER] [TRACE...]    all of data/traces, into data/tables

A trace is replayed with the rules of the kernel that its header names. Rows are in the order of the traces' names.
"""

import argparse
import csv
from pathlib import Path

from rmapmodel.study.compare import TRUTH, compare
from rmapmodel.study.moves import moves
from rmapmodel.study.replay import Options, applied, line_of_peak, machine_for
from rmapmodel.trace import read
from rmapmodel.vm.frames import ANON

DATA = Path(__file__).parents[1]
PROGRAMS = ("program", "processes", "most_at_once", "events", "most_mappings", "shared_anonymous_pages")
DESIGNS = ("anonmm", "anonmm_copy", "anon_vma", "shared_space", "anon_vma_chain")
MOVES = ("program", "mremaps", "moves", "moves_of_anonymous", "moves_of_fork_shared", "moved_anonymous_pages",
         "moved_fork_shared_pages")
RECLAIM = ("program", "strategy", "refused", "pages", "mappings", "visits", "ptes", "locks", "cache_lines",
           "visits_per_mapping")
MEMORY = 24 << 30


def programs_row(trace):
    """A row of programs.csv: how large a trace is; the last column counts anonymous pages with several mappings at the peak."""
    options, shared, best, most, pids = Options(max_memory=MEMORY), 0, -1, 0, set()
    peak = line_of_peak(trace, options, "anon_vma_chain")
    machine = machine_for(trace.header, "anon_vma_chain", options)
    for line, _ in applied(machine, trace):
        pids |= machine.processes.keys()
        most, best = max(most, len(machine.processes)), max(best, machine.mappings)
        if line == peak:
            resident = machine.resident()
            shared = int(((machine.frames.flags[resident] & ANON != 0) & (machine.frames.mapcount[resident] > 1)).sum())
    return program(trace), len(pids), most, sum(1 for _ in trace), best, shared


def moves_row(trace):
    """A row of moves.csv: what the moves of a trace met, under today's design; what it refused is not counted."""
    rows = moves(trace, "anon_vma_chain", Options(max_memory=MEMORY))
    moved = rows[rows.moved.astype(bool) & ~rows.refused.astype(bool)]
    return (program(trace), len(rows), len(moved), int((moved.anonymous > 0).sum()), int((moved.shared > 0).sum()),
            int(moved.anonymous.sum()), int(moved.shared.sum()))


def reclaim_rows(trace):
    """The rows of reclaim.csv, one a design: a reclaim of all pages after the line of most mappings.

    anonmm_copy has more pages than the others: those that it copied early.
    """
    frame, _ = compare(trace, DESIGNS, options=Options(reclaim="peak", max_memory=MEMORY))
    for row in frame[frame.strategy != TRUTH].itertuples():
        yield (program(trace), row.strategy, int(row.refused), int(row.pages), int(row.mappings), int(row.vmas_examined),
               int(row.ptes_examined), int(row.locks), int(row.cache_lines), f"{row.vmas_examined / row.mappings:.3f}")


def program(trace):
    """The name of the recorded program."""
    return Path(trace.path).name.split(".")[0]


def write(path, heading, rows):
    """Writes a table under its name when it is complete."""
    unfinished = path.with_suffix(".new")
    with open(unfinished, "w", newline="") as output:
        csv.writer(output, lineterminator="\n").writerows([heading, *rows])
    unfinished.replace(path)


def main():
    """Makes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", dest="folder", type=Path, default=DATA / "tables")
    parser.add_argument("traces", metavar="TRACE", nargs="*", type=Path)
    args = parser.parse_args()
    paths = sorted(args.traces or DATA.joinpath("traces").glob("*.jsonl*"), key=lambda path: path.name)
    write(args.folder / "programs.csv", PROGRAMS, [programs_row(read(path)) for path in paths])
    write(args.folder / "moves.csv", MOVES, [moves_row(read(path)) for path in paths])
    write(args.folder / "reclaim.csv", RECLAIM, [row for path in paths for row in reclaim_rows(read(path))])


if __name__ == "__main__":
    main()
