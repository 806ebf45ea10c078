"""Two full reports with two machines' worth of settings: minutes, so only `make reliability` runs it.

Small notebooks do the same in every run of the tests (tests/report/test_content.py).
"""

import os

from rmapmodel.report import run
from rmapmodel.report.parameters import find
from tests.report.small import elsewhere, files


def test_two_full_reports_are_the_same_to_the_byte(tmp_path):
    notebooks = find()
    assert run(out=tmp_path / "here") == elsewhere(map(os.path.abspath, notebooks), tmp_path / "there", tmp_path / "home") == 0
    here, there = files(tmp_path / "here"), files(tmp_path / "there")
    assert here.pop("timings.json") and there.pop("timings.json")
    assert sorted(here) == sorted(there)
    assert not [name for name in here if here[name] != there[name]]
    print(f"determinism: 2 reports of {len(notebooks)} notebooks, {len(here)} files, 0 differ")
