"""`kill -9` at random moments: nothing half-written has a final name, and the next run gives the bytes it always gives.

`RMAPMODEL_KILLS=N` kills each command N times instead of 4; `-s` prints how many were killed at work.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.report.small import files, paths

ROOT = str(Path(__file__).parents[2])
KILLS = int(os.environ.get("RMAPMODEL_KILLS", 4))
LOG = Path(__file__).parents[1] / "trace" / "logs" / "sh-true-2.strace"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="the counts of slabs and pages need root")
TOKEN = "RMAPMODEL_TEST_OF_KILLS"


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def start(arguments, folder, token):
    return subprocess.Popen([sys.executable, "-m", "rmapmodel", *arguments], cwd=folder, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ROOT, TOKEN: token})


def finish(arguments, folder, token="none"):
    process = start(arguments, folder, token)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    return out


def killed(arguments, folder, after, token):
    """Kills a command after so many seconds; returns whether it was still at work."""
    process = start(arguments, folder, token)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    return process.returncode == -signal.SIGKILL


def left_running(token):
    """The processes that a command started and that are still there after ten seconds."""
    until = time.monotonic() + 10
    while True:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(TOKEN) == token and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.cmdline())
            except psutil.Error:
                continue
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.2)


def moments(seconds, name):
    """Seeded moments within a run that takes so long, the last third of it twice as likely."""
    draw = random.Random(name)
    return [seconds * draw.choice((draw.random(), draw.uniform(0.6, 1.1))) for _ in range(KILLS)]


def whole(folder):
    """The files that have a final name: not those that are being written."""
    return {name: content for name, content in files(folder).items() if not name.split("/")[0].startswith(".")}


@pytest.mark.parametrize("name, arguments", [
    ("generate", ["generate", "fork_server", "-p", "children=300", "-p", "vmas=20", "-o", "out.jsonl.gz"]),
    ("import", ["import", "strace", str(LOG), "-o", "out.jsonl"]),
    ("report", ["report", *paths("01"), "-o", "out"]),
])
def test_killed_while_it_writes(name, arguments, tmp_path):
    began = time.monotonic()
    finish(arguments, tmp_path)
    seconds = time.monotonic() - began
    (tmp_path / "out/timings.json").unlink(missing_ok=True)
    expected = whole(tmp_path)
    at_work = 0
    for number, after in enumerate(moments(seconds, name)):
        folder = tmp_path.parent / f"{tmp_path.name}-{number}"
        folder.mkdir()
        fresh = number % 2 == 0  # else over an earlier result
        if not fresh:
            shutil.copytree(tmp_path, folder, dirs_exist_ok=True)
        at_work += killed(arguments, folder, after, token := f"{os.getpid()}-{name}-{number}")
        assert not left_running(token)
        (folder / "out/timings.json").unlink(missing_ok=True)
        assert whole(folder) == expected or fresh and not whole(folder), after
        finish(arguments, folder)
        (folder / "out/timings.json").unlink(missing_ok=True)
        assert whole(folder) == expected, after
    print(f"kill -9: {name}: {KILLS} times, {at_work} at work, 0 results lost or half-written")


@needs("strace")
def test_record_killed(tmp_path):
    """What a program does is never twice the same to the byte: the next recording is whole, and replays."""
    arguments = ["record", "-o", "out.jsonl", "--", "sh", "-c", "/bin/true; /bin/true"]
    began = time.monotonic()
    finish(arguments, tmp_path)
    at_work, kept = 0, whole(tmp_path)
    for number, after in enumerate(moments(time.monotonic() - began, "record")):
        at_work += killed(arguments, tmp_path, after, token := f"{os.getpid()}-record-{number}")
        assert not left_running(token)
        now = whole(tmp_path)
        assert list(now) == ["out.jsonl"]
        if now != kept:  # it had just been finished
            finish(["replay", "out.jsonl", "--strategy", "anon_vma"], tmp_path)
    finish(arguments, tmp_path)
    finish(["replay", "out.jsonl", "--strategy", "anon_vma"], tmp_path)
    print(f"kill -9: record: {KILLS} times, {at_work} at work, 0 results lost or half-written")


@ROOT_ONLY
@needs("gcc")
def test_observe_killed(tmp_path):
    """It prints, and writes nothing; the processes that execute the trace end with it."""
    finish(["generate", "fork_server", "-p", "children=3", "-p", "vmas=2", "-o", "t.jsonl"], tmp_path)
    arguments = ["observe", "t.jsonl", "--json"]
    began = time.monotonic()
    expected = json.loads(finish(arguments, tmp_path))["processes"]
    at_work, before = 0, files(tmp_path)
    for number, after in enumerate(moments(time.monotonic() - began, "observe")):
        at_work += killed(arguments, tmp_path, after, token := f"{os.getpid()}-observe-{number}")
        assert not left_running(token)
        assert files(tmp_path) == before
    assert json.loads(finish(arguments, tmp_path))["processes"] == expected
    print(f"kill -9: observe: {KILLS} times, {at_work} at work, 0 processes left, 0 results lost")


def test_two_reports_into_one_folder_at_once(tmp_path):
    """One wins, and the other is refused or comes later: never a mixture."""
    commands = [["report", *paths("01"), "-p", f"LABEL={label}", "-o", "out"] for label in ("first", "second")]
    both = [start(command, tmp_path, "two") for command in commands]
    told = [process.communicate(timeout=300)[1].decode() for process in both]
    statuses = [process.returncode for process in both]
    assert sorted(set(statuses)) in ([0], [0, 2]), told
    assert all("another report is being written here" in said for status, said in zip(statuses, told) if status)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    label = manifest["notebooks"]["01-figure"]["parameters"]["LABEL"]
    assert label in ("first", "second")
    executed = (tmp_path / "out/notebooks/01-figure.ipynb").read_text()
    assert f"LABEL = '{label}'" in executed and [path.name for path in tmp_path.iterdir()] == ["out"]
    print("two reports into one folder: 1 pair, 0 mixtures")
