"""The folder of a sweep: every row whole or not there, whatever ends the process, and nothing of another sweep among them."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import parquet

from rmapmodel.errors import InputError
from rmapmodel.study.dataset import LOCK, MANIFEST, Dataset

COLUMNS = {"task": str, "param_moved": float, "exits": bool, "pages": int, "trace": str}
KEYS = {f"{number:064x}": "anonmm" if number % 2 else "anon_vma" for number in range(40)}


def row(key):
    return {"strategy": KEYS[key], "pages": int(key, 16), "exits": True, "param_moved": 0.5, "other": 1}


def opened(out, keys=KEYS, columns=COLUMNS, hashes={"a.py": "1"}):  # noqa: B006  read only
    return Dataset(out, keys, columns, hashes)


def fill(out, keys=KEYS):
    with opened(out) as dataset:
        for key in keys:
            if key not in dataset.done:
                dataset.add(key, row(key))


def contents(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a sweep leaves that was not interrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    fill(out)
    return contents(out)


def test_pandas_reads_it_as_one_table(tmp_path):
    fill(tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out", dtype_backend="numpy_nullable").sort_values("task")
    assert list(frame.columns) == [*COLUMNS, "strategy"] and frame.task.tolist() == sorted(KEYS)
    assert frame.pages.tolist() == list(range(40)) and frame.trace.isna().all() and frame.exits.all()
    assert frame.strategy.tolist() == list(KEYS.values())
    assert list(pd.read_parquet(tmp_path / "out", filters=[("strategy", "==", "anonmm")]).pages) == list(range(1, 40, 2))


def test_what_is_there_is_known_and_left_alone(tmp_path):
    keys = list(KEYS)
    fill(tmp_path / "out", keys[:7])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    with opened(tmp_path / "out") as dataset:
        assert dataset.done == set(keys[:7])
    fill(tmp_path / "out")
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_folder_in_which_nothing_was_finished_is_not_left_behind(tmp_path):
    with opened(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with opened(tmp_path / "mine"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_a_second_sweep_at_a_time_is_refused(tmp_path):
    with opened(tmp_path / "out"):
        with pytest.raises(InputError, match="another sweep is writing here"):
            fill(tmp_path / "out")
    fill(tmp_path / "out")
    assert not (tmp_path / "out" / LOCK).exists()


@pytest.mark.parametrize("other, said", [
    ({"hashes": {"a.py": "2"}}, "made by other sources, a.py among them"),
    ({"hashes": {"a.py": "1", "b.py": "1"}}, "made by other sources, b.py among them"),
    ({"columns": {"task": str}}, "other columns"),
    ({"keys": dict(list(KEYS.items())[:3])}, "no result of this grid"),
])
def test_rows_of_another_sweep_are_not_mixed_with_these(tmp_path, other, said):
    fill(tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match=said), opened(tmp_path / "out", **other):
        pass
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["thesis.tex", "_sweep.json", "a/b", "strategy=anonmm/x.parquet"])
def test_a_strangers_folder_is_refused_and_left_as_it_is(tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(InputError, match="something other than a sweep"):
        fill(tmp_path / "out")
    assert contents(tmp_path / "out") == {name: b"{}"}
    fill(tmp_path / "ours")
    (tmp_path / "ours" / "notes.txt").touch()
    with pytest.raises(InputError, match="holds notes.txt, which is no result of this grid"):
        fill(tmp_path / "ours")


def test_where_no_folder_can_be(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="cannot write here"):
        fill(tmp_path / "out")
    with pytest.raises(InputError, match="cannot write here"):
        fill(tmp_path / "out" / "below")


@pytest.mark.parametrize("last", [0, 1, 9])
def test_a_full_disk_is_told_and_leaves_whole_rows(tmp_path, monkeypatch, whole, last):
    write, left = parquet.write_table, iter(range(last))

    def full(table, file, **how):
        if next(left, None) is None:
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(table, file, **how)

    monkeypatch.setattr(parquet, "write_table", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        fill(tmp_path / "out")
    left_over = contents(tmp_path / "out")
    assert len(left_over) == last + 1 and left_over.items() <= whole.items()
    monkeypatch.undo()
    fill(tmp_path / "out")
    assert contents(tmp_path / "out") == whole


def test_killed_at_any_moment_it_holds_whole_rows_and_the_rest_is_added(tmp_path, whole):
    out, moment = tmp_path / "out", random.Random(1).random
    script = ("import sys; from pathlib import Path; from tests.study.test_dataset import fill; print(flush=True)\n"
              "fill(Path(sys.argv[1]))")
    kills = 0
    while kills < 6 and len(contents(out)) < len(whole):
        writer = subprocess.Popen([sys.executable, "-c", script, out], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
        writer.stdout.read(1)
        time.sleep(moment() * 0.02)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        kills += writer.returncode == -signal.SIGKILL
        there = contents(out)
        named = {name: text for name, text in there.items() if not Path(name).name.startswith(".rmapmodel-")}
        assert named.items() <= whole.items()
    assert kills
    fill(out)
    assert contents(out) == whole


def test_what_a_killed_sweep_left_half_written_is_cleared_away(tmp_path, whole):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".rmapmodel-0").write_text("half a manifest")
    fill(tmp_path / "out")
    assert contents(tmp_path / "out") == whole
    (tmp_path / "out" / "strategy=anonmm" / ".rmapmodel-1").write_text("half a row")
    (tmp_path / "out" / f"strategy=anon_vma/{0:064x}.parquet").unlink()
    fill(tmp_path / "out")
    assert contents(tmp_path / "out") == whole
    assert json.loads(whole[MANIFEST])["columns"]["param_moved"] == "double"
