"""The notebooks at test scale, as the report over all of them shows them."""

import pytest

from tests.notebooks.notebook import reported


@pytest.fixture(scope="session")
def of_report(report_of_all):
    """What a notebook of that name shows in the report over all."""
    return lambda name: reported(name, report_of_all[1])
