"""Reports that succeed, fail, run out of time or are stopped."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rmapmodel.errors import InputError
from rmapmodel.report import pool, run
from tests.report.small import paths


def attempts(out):
    """Return what timings.json says about each notebook."""
    return json.loads((out / "timings.json").read_text())["notebooks"]


def test_parameters_reach_the_notebook_and_good_news_ends_0(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("input.txt").write_text("x")
    Path("{out}").mkdir()
    given = {"SIZES": "5,6", "LABEL": "input.txt", "MEASURED": "4"}
    assert run(paths("01", "03"), given, out="{out}") == 0
    out = tmp_path / "{out}"
    assert (out / "figures/fig-cost.csv").read_text().startswith("pages,cost\n5,")
    entry = json.loads((out / "manifest.json").read_text())["notebooks"]["01-figure"]
    assert entry["inputs"] == {"LABEL": hashlib.sha256(b"x").hexdigest()} and entry["parameters"]["SIZES"] == [5, 6]
    cells = json.loads((out / "notebooks/01-figure.ipynb").read_text())["cells"]
    (injected,) = ("".join(cell["source"]) for cell in cells if cell["id"] == "injected-parameters")
    assert injected == "LABEL = 'input.txt'\nSIZES = [5, 6]"
    printed = capsys.readouterr()
    assert printed.out == "{out}/index.html: notebooks 2, figures 1, claims that hold 2 of 3\n" and printed.err == ""


def test_a_failing_cell_shows_its_traceback_and_ends_1(tmp_path, capsys):
    assert run(paths("02"), out=str(tmp_path / "out")) == 1
    said = capsys.readouterr().err
    assert "return 1 / divisor" in said and "\x1b[" not in said
    assert said.splitlines()[-1] == "rmapmodel: 02-failing-cell: cell 3: ZeroDivisionError: division by zero"
    assert (tmp_path / "out/notebooks/02-failing-cell.failed.ipynb").is_file()


def test_a_value_that_a_notebook_refuses_is_bad_input_and_nothing_is_written(tmp_path):
    cells = [("# 07. A trace that is not there", []), ('TRACE: str = "none.jsonl"  # the trace', ["parameters"]),
             ("from rmapmodel.trace import read\nread(TRACE)", [])]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
        {"cell_type": "code" if number else "markdown", "id": f"c{number}", "metadata": {"tags": tags} if tags else {},
         "source": source, **({"outputs": [], "execution_count": None} if number else {})}
        for number, (source, tags) in enumerate(cells)]}
    (tmp_path / "07-trace.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(InputError, match="07-trace: .*none.jsonl: cannot be read"):
        run([str(tmp_path / "07-trace.ipynb")], {}, out=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_endless_cell_is_interrupted_and_the_others_go_on(tmp_path, capsys):
    assert run(paths("04", "03"), {"MEASURED": "4"}, out=tmp_path / "out", cell_seconds=8) == 1
    assert capsys.readouterr().err == "rmapmodel: 04-endless-cell: cell 2: ran longer than 8 s\n"
    page = (tmp_path / "out/notebooks/04-endless-cell.html").read_text()
    assert "KeyboardInterrupt" in page and "begun" in page
    assert (tmp_path / "out/notebooks/04-endless-cell.failed.ipynb").exists()
    assert (tmp_path / "out/notebooks/03-failing-check.ipynb").exists()
    assert len(attempts(tmp_path / "out")["04-endless-cell"]) == 1


def test_a_deaf_cell_is_killed_tried_again_and_what_it_did_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pool, "GRACE", 3)
    before = set(psutil.Process().children(recursive=True))
    assert run(paths("05"), out=tmp_path / "out", cell_seconds=2) == 1
    reason = "a cell ran longer than 2 s and could not be interrupted"
    assert capsys.readouterr().err == f"rmapmodel: 05-deaf-cell: cell 3: {reason}, twice\n"
    assert [attempt["error"]["again"] for attempt in attempts(tmp_path / "out")["05-deaf-cell"]] == [reason] * 2
    page = (tmp_path / "out/notebooks/05-deaf-cell.html").read_text()
    assert "begun" in page and reason in page
    assert not {process for process in psutil.Process().children(recursive=True) if process.is_running()} - before


def test_a_notebook_that_wants_all_memory_is_named_and_the_others_go_on(tmp_path, capsys):
    cells = [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
             for source in ("print('begun')", "print(open('/proc/self/oom_score_adj').read())", "bytearray(1 << 50)")]
    (tmp_path / "07-hungry.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    assert run([str(tmp_path / "07-hungry.ipynb"), *paths("03")], {"MEASURED": "4"}, out=tmp_path / "out") == 1
    assert "07-hungry: cell 3: MemoryError" in capsys.readouterr().err
    page = (tmp_path / "out/notebooks/07-hungry.html").read_text()
    assert "begun" in page and "1000" in page  # the kernel is the first to go where memory runs out
    assert (tmp_path / "out/notebooks/03-failing-check.ipynb").exists()


def test_a_notebook_has_a_limit_too(tmp_path, capsys):
    assert run(paths("04"), out=tmp_path / "out", notebook_seconds=4) == 1
    assert "the notebook ran longer than 4 s, twice" in capsys.readouterr().err


def test_a_kernel_that_dies_is_tried_again(tmp_path, capsys):
    assert run(paths("06"), out=tmp_path / "out") == 1
    assert "06-dying-kernel: cell 3: DeadKernelError: Kernel died, twice" in capsys.readouterr().err
    assert len(attempts(tmp_path / "out")["06-dying-kernel"]) == 2
    assert "begun" in (tmp_path / "out/notebooks/06-dying-kernel.html").read_text()


def started(out):
    """Return a process that makes a report over an endless notebook, once the endless cell runs, and all it started."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from rmapmodel.report import run; run(sys.argv[1:2], out=sys.argv[2])",
         *paths("04"), out], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    finished = out.parent / f".{out.name}.partial" / "scratch" / "04-endless-cell.out.ipynb.cells"
    until = time.monotonic() + 60
    while not finished.exists() or not finished.read_text():  # the parameters cell has run
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    return process, psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_report_that_is_stopped_leaves_no_process_and_nothing_half_written(tmp_path, number):
    process, family = started(tmp_path / "out")
    assert len(family) >= 2
    with pytest.raises(InputError, match="another report is being written here"):
        run(paths("03"), out=tmp_path / "out")
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert not (tmp_path / "out").exists()
    if number == signal.SIGINT:
        assert not list(tmp_path.iterdir())
    assert run(paths("03"), {"MEASURED": "4"}, out=tmp_path / "out") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
