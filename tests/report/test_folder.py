"""The folder of a report is replaced as a whole, by one process at a time, and nobody's files are touched."""

import json
import os

import pytest

from rmapmodel.errors import InputError
from rmapmodel.report.folder import SCHEMA, Folder


def report(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"schema": SCHEMA}))
    (folder / "index.html").write_text(text)


def publish(out, text):
    with Folder(out) as folder:
        report(folder.report, text)
        folder.publish()


def test_a_report_is_made_with_its_parents_and_then_replaced(tmp_path):
    out = tmp_path / "a" / "b"
    for text in ("one", "two"):
        publish(out, text)
        assert (out / "index.html").read_text() == text
    assert list(out.parent.iterdir()) == [out]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    publish(tmp_path / "out", "one")
    assert (tmp_path / "out" / "index.html").exists()


def test_what_was_there_stays_when_the_work_fails(tmp_path):
    out = tmp_path / "out"
    publish(out, "one")
    with pytest.raises(RuntimeError), Folder(out) as folder:
        report(folder.report, "half")
        raise RuntimeError
    assert (out / "index.html").read_text() == "one"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("manifest", [None, "{}", "[]", "not JSON", '{"schema": "another/1"}'])
def test_a_strangers_folder_is_refused(tmp_path, manifest):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    if manifest is not None:
        (tmp_path / "out" / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match="holds something other than a report"):
        publish(tmp_path / "out", "one")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"


def test_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        publish(tmp_path / "out", "one")
    with pytest.raises(InputError, match="cannot write here"):
        publish(tmp_path / "out" / "below", "one")


def test_a_mount_point_is_refused():
    with pytest.raises(InputError, match="mount point"):
        publish("/", "one")


def test_a_second_report_into_the_same_folder_is_refused(tmp_path):
    with Folder(tmp_path / "out") as folder:
        with pytest.raises(InputError, match="another report is being written here"):
            publish(tmp_path / "out", "two")
        with Folder(tmp_path / "other"):
            pass
        report(folder.report, "one")
        folder.publish()
    assert (tmp_path / "out" / "index.html").read_text() == "one"


def test_what_a_killed_report_left_is_cleared_away(tmp_path):
    left = tmp_path / ".out.partial"
    for name in ("report", "scratch"):
        (left / name).mkdir(parents=True)
        (left / name / "half").touch()
    (left / "lock").touch()
    publish(tmp_path / "out", "one")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["index.html", "manifest.json"]
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_old_report_comes_back_when_publishing_was_cut_short(tmp_path):
    out = tmp_path / "out"
    publish(out, "old")
    (tmp_path / ".out.partial").mkdir()
    os.rename(out, tmp_path / ".out.partial" / "old")
    with Folder(out):
        assert (out / "index.html").read_text() == "old"
