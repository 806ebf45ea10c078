"""Two reports that several tests look at."""

import json

import pytest

from rmapmodel.report import run
from tests.once import once
from tests.report.small import paths


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Two reports over the same notebooks, run both at once and one after the other, after their exit statuses."""

    def make(folder):
        statuses = [run(paths("01", "02", "03", "07"), out=folder / "reports" / name, jobs=jobs)
                    for name, jobs in (("one", 2), ("two", 1))]
        (folder / "statuses.json").write_text(json.dumps(statuses))

    folder = once(tmp_path_factory, "two-reports", make)
    return json.loads((folder / "statuses.json").read_text()), folder / "reports" / "one", folder / "reports" / "two"


@pytest.fixture
def report(reports):
    return reports[1]
