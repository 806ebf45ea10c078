"""Two reports that several tests look at."""

import fcntl
import json
import os

import pytest

from rmapmodel.report import run
from tests.report.small import paths


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Two reports over the same notebooks, run both at once and one after the other, after their exit statuses.

    The processes of pytest-xdist share them: the first that needs them makes them.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    one, two, done = folder / "reports" / "one", folder / "reports" / "two", folder / "statuses.json"
    with open(folder / "reports.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            done.write_text(json.dumps([run(paths("01", "02", "03", "07"), out=out, jobs=jobs)
                                        for out, jobs in ((one, 2), (two, 1))]))
    return json.loads(done.read_text()), one, two


@pytest.fixture
def report(reports):
    return reports[1]
