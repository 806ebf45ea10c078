"""What all tests share: the same examples in every run, and no skip where CI is to run everything."""

import os
import signal
import threading

import hypothesis
import pytest

from tests.report.small import once

# What a shell starts in the background ignores SIGINT and hands that down, also to what the tests mean to interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
# Other examples every time, until it is stopped: HYPOTHESIS_PROFILE=nightly, for tests/strategies/test_lockstep.py.
hypothesis.settings.register_profile("nightly", max_examples=1_000_000, stateful_step_count=100, deadline=None,
                                     print_blob=True)
# To fail soon and not to say how little it takes: tests/mutation/run.py.
hypothesis.settings.register_profile("unshrunk", parent=hypothesis.settings.get_profile("repeatable"),
                                     phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate))
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def _refuse_skip(report):
    # CI installs every tool that a test may need, so a skip there hides a test.
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _refuse_skip((yield))


@pytest.fixture(scope="session")
def report_of_all(tmp_path_factory):
    """(exit status, folder) of a report over all at test scale; the last reads all others, not the few of its own scale."""
    def make(folder):
        from rmapmodel.report import run
        return run(out=folder, scale="test", parameters={"NOTEBOOKS": ""})

    return once(tmp_path_factory, "report-of-all", make)
