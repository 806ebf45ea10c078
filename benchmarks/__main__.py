"""`make bench`: every table as one, row by row as it is measured; exit status 0, whatever is met or not.

    python -m benchmarks [--only kernel,growth] [--scale 0.1] [--large] [--write]

`--large` adds a stream of a hundred million events (ten minutes); `--write` puts the table, the machine and the date into
docs/performance.md.
"""

import argparse
import datetime
import importlib
import inspect
import platform
import re
from pathlib import Path

from . import table

TABLES = ("kernel", "throughput", "growth", "libraries", "memory", "report")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PLACE = re.compile("(<!-- table -->\n).*(<!-- end -->)", re.DOTALL)


def rows(only=TABLES, scale=1.0, large=False):
    """The rows of the tables named."""
    for name in only:
        function = importlib.import_module(f"{__package__}.{name}").rows
        more = {"large": True} if large and "large" in inspect.signature(function).parameters else {}
        yield from function(scale, **more)


def machine():
    """The machine and the day, in a line."""
    processor = re.search("model name\\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = len(re.findall("^processor", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    return (f"{datetime.date.today()}, {processor[1] if processor else platform.machine()}, {cores} cores, "
            f"Linux {platform.release()}, Python {platform.python_version()}")


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="make bench", description="Speed, beside something measured in the same run.")
    parser.add_argument("--only", type=lambda text: text.split(","), default=TABLES, help=",".join(TABLES))
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of every size")
    parser.add_argument("--large", action="store_true", help="a stream of 10^8 events")
    parser.add_argument("--write", action="store_true", help="write the table to docs/performance.md")
    args = parser.parse_args()
    lines = [machine(), "", *table.head().splitlines()]
    print(*lines, sep="\n")
    for row in rows(args.only, args.scale, args.large):
        lines.append(table.line(row.cells))
        print(lines[-1], flush=True)
    if args.write:
        PAGE.write_text(PLACE.sub(lambda found: found[1] + "\n".join(lines) + "\n" + found[2], PAGE.read_text()))


if __name__ == "__main__":
    main()
