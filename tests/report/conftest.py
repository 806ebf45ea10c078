"""Two reports that several tests look at, and a site."""

import subprocess
import sys
from pathlib import Path

import pytest

from rmapmodel.report import run
from tests.report.small import elsewhere, once, paths


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Two reports over the same notebooks after their exit statuses: here, two at once; and elsewhere, one at a time."""

    def make(folder):
        notebooks = paths("01", "02", "03", "07")
        return [run(notebooks, out=folder / "one", jobs=2), elsewhere(notebooks, folder / "two", folder / "home")]

    statuses, folder = once(tmp_path_factory, "reports", make)
    return statuses, folder / "one", folder / "two"


@pytest.fixture
def report(reports):
    return reports[1]


@pytest.fixture(scope="session")
def site(reports, tmp_path_factory):
    """(exit status, what was said, folder) of the site over the first of the reports."""

    def make(out):
        done = subprocess.run([sys.executable, "-c", "import sys; from docs.build import build; sys.exit(build(*sys.argv[1:]))",
                               reports[1], out], cwd=Path(__file__).parents[2], capture_output=True, text=True)
        return done.returncode, done.stderr

    said, folder = once(tmp_path_factory, "site", make)
    return *said, folder
