"""A full disk (a small tmpfs, so for root only): a clear error, exit 2, and what was there is intact."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.small import files, paths

ROOT = str(Path(__file__).parents[2])
LOG = Path(__file__).parents[1] / "trace" / "logs" / "sh-true-2.strace"


@pytest.fixture
def small(tmp_path):
    """A function that mounts a tmpfs of so many KiB and returns its folder."""
    mounted = []

    def mount(size):
        folder = tmp_path / "small"
        folder.mkdir()
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder],
                                          capture_output=True).returncode:
            pytest.skip("a tmpfs cannot be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def run(arguments, folder, **options):
    return subprocess.run([sys.executable, "-m", "rmapmodel", *arguments], cwd=folder, stderr=subprocess.PIPE, text=True,
                          timeout=300, env={**os.environ, "PYTHONPATH": ROOT}, **options)


@pytest.mark.parametrize("name, arguments, room", [
    ("generate", ["generate", "fork_server", "-p", "children=300", "-o", "kept.jsonl"], 16),
    ("import", ["import", "strace", str(LOG), "-o", "kept.jsonl"], 0),
    ("record", ["record", "-o", "kept.jsonl", "--", "true"], 0),
    ("report", ["report", *paths("01"), "-o", "out"], 400),
    ("report with no room at all", ["report", *paths("01"), "-o", "out"], 0),
])
def test_a_full_disk(name, arguments, room, small):
    folder = small(4096)
    earlier = folder / ("out/manifest.json" if "out" in arguments else "kept.jsonl")
    earlier.parent.mkdir(exist_ok=True)
    earlier.write_text('{"schema": "rmapmodel/report/1"}')
    before = files(folder)
    fill(folder)
    if room:
        os.truncate(folder / "filler", os.path.getsize(folder / "filler") - room * 1024)
    done = run(arguments, folder, stdout=subprocess.DEVNULL)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("rmapmodel: error: ") and "space" in last and "Traceback" not in done.stderr, done.stderr
    (folder / "filler").unlink()
    assert files(folder) == before
    done = run(arguments, folder, stdout=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    print(f"full disk: {name}: 1 time, 0 results lost")


def test_what_is_printed_may_meet_a_full_disk():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as full:
        done = run(["generate", "--list"], ROOT, stdout=full)
    assert (done.returncode, done.stderr) == (2, "rmapmodel: error: No space left on device\n")
