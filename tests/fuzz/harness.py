"""Searches one kind of input with coverage for a guide: `make fuzz KINDS="trace yaml" SECONDS=600` (atheris, libFuzzer).

What fails is written to tests/fuzz/corpus/KIND, where the tests keep trying it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.inputs import CORPUS, SEEDS


def search(kind, arguments):
    """Fuzzes in this process, until libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["rmapmodel"]):
        from tests.fuzz.inputs import try_
        try_(kind, SEEDS[kind])  # imports, instrumented, what the command imports when it runs

    atheris.Setup([sys.argv[0], *arguments], lambda data: try_(kind, data) and None)
    atheris.Fuzz()


def main(kinds, seconds):
    """Fuzzes each kind for so many seconds in a process of its own; returns 1 if one found something."""
    found = []
    for kind in kinds:
        kept = CORPUS / kind
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as seeds:
            Path(seeds, "good").write_bytes(SEEDS[kind])
            done = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.harness", "--search", kind, seeds, str(kept), f"-artifact_prefix={kept}/",
                 f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-timeout=25", "-print_final_stats=1", "-verbosity=0"],
                capture_output=True, text=True)
        runs = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        print(f"fuzz: {kind}: {(runs or ['?'])[0]} inputs in {seconds} s, {'something found' if done.returncode else '0 lost'}",
              flush=True)
        if done.returncode:
            found.append(kind)
            print(done.stderr[-3000:], flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    if sys.argv[1] == "--search":
        search(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(sys.argv[2:] or list(SEEDS), int(sys.argv[1])))
