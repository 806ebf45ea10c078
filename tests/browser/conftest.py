"""A browser for each module of tests, and a JupyterLab for all in a process."""

import pytest

from tests.browser.chromium import launched
from tests.browser.lab import copy, running


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    copy(folder)
    with running(folder) as lab:
        yield lab
