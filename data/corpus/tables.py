"""Makes data/tables/programs.csv, moves.csv, reclaim.csv and memory.csv from the recorded traces.

    python data/corpus/tables.py [-o FOLDER] [PROGRAM...]    all of data/traces, into data/tables

A trace is replayed with the rules of the kernel that its header names. What is counted: rmapmodel.study.corpus.
"""

import argparse
from pathlib import Path

from rmapmodel.study.corpus import NAMES, TABLES, measured, programs


def main():
    """Makes the tables; each takes its name when it is complete."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", dest="folder", type=Path, default=TABLES)
    parser.add_argument("programs", metavar="PROGRAM", nargs="*")
    args = parser.parse_args()
    tables = measured(programs(args.programs or None))
    for name in NAMES:
        unfinished = args.folder / f"{name}.new"
        tables[name].to_csv(unfinished, index=False, lineterminator="\n")
        unfinished.replace(args.folder / f"{name}.csv")


if __name__ == "__main__":
    main()
