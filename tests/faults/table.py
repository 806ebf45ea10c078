"""Prints the table of docs/reliability.md from what the tests count: `make reliability` (arguments go to pytest)."""

import re
import subprocess
import sys

TESTS = ["tests/strategies/test_no_memory.py", "tests/fuzz", "tests/faults", "tests/study/test_sweep_command.py",
         "tests/test_wrong_use.py", "-o", "python_files=test_*.py full_*.py"]  # the second pattern: what takes minutes
ROWS = {  # row: (how a line of the tests begins, the number in it that is summed, None to count the lines)
    "inputs damaged by Hypothesis": (r"fuzz: \w+: (\d+) (?:damaged inputs|other traces)", "tests/fuzz/test_fuzz"),
    "inputs meant to take all memory or time": (r"hostile: ()", "tests/fuzz/test_hostile"),
    "allocations that fail, in all designs": (r"allocation failure: \w+: (\d+)", "tests/strategies/test_no_memory"),
    "`kill -9` of `generate`, `import`, `report`, `record`, `observe`, `sweep`": (
        r"kill -9: \w+: (\d+)", "tests/(?:faults/test_interruption|study/test_sweep_command)"),
    "reports started into one folder at once, pairs": (r"two reports into one folder: (\d+)", "tests/faults/test_interruption"),
    "commands on a full disk": (r"full disk: .*: (\d+) time", "tests/(?:faults/test_full_disk|study/test_sweep_command)"),
    "files of two full reports with other settings": (r"determinism: .* (\d+) files", "tests/faults/full_determinism"),
}


def main(arguments):
    """Runs the tests and prints a row for each kind of fault; returns pytest's exit status."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-s", "-rf", "-p", "no:randomly", *TESTS, *arguments],
                          capture_output=True, text=True)
    print("| tried | times | lost |\n|---|--:|--:|")
    for row, (pattern, tests) in ROWS.items():
        found = re.findall(pattern, done.stdout)
        failed = len(set(re.findall(rf"^FAILED ({tests}\S*)", done.stdout, re.MULTILINE)))
        times = sum(int(number or 1) for number in found)
        print(f"| {row} | {f'{times:,}' if found else 'not run'} | {failed if found else '-'} |")
    peaks = [int(size) for size in re.findall(r"hostile: .* (\d+) MiB at the peak", done.stdout)]
    seconds = [float(each) for each in re.findall(r"hostile: .* (\d+\.\d) s,", done.stdout)]
    if peaks:
        print(f"\nThe most that one of the {len(peaks)} took: {max(peaks)} MiB, {max(seconds)} s of a processor.")
    print(done.stdout.splitlines()[-1], file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
