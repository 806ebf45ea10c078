"""Notebook 14 at test scale: some of the recorded traces, few rules, small families."""

import pytest

from rmapmodel.study import observations
from tests.notebooks.notebook import run


@pytest.fixture(scope="module")
def shown(of_report):
    return of_report("14-running-kernel")


def test_running_kernel(shown):
    assert set(shown.figures) == {f"fig-kernel-{name}" for name in (
        "objects", "walks", "rules", "designs", "origins", "guess")}
    claims = shown.claims
    assert len(claims) == 8 and all(claim["holds"] for claim in claims.values())
    rows = {name: observations.observed(name)[::15] for name in observations.NAMES}
    assert claims["kernel-random"]["measured"] == f"{len(rows['random'])} of 20 traces on Linux 6.18.44"
    assert claims["kernel-merge"]["measured"] == f"{len(rows['merge'])} of 2 traces on Linux 6.18.44"
    probes = sum(len(row["probes"]) for row in rows["walks"])
    assert claims["kernel-walks"]["measured"] == f"{probes} of {probes} walks on Linux 6.1.176"
    # twenty children with a copy each, found at once, and the page left to the parent, which all 21 may map
    assert shown.values["average"] == pytest.approx((20 * 1 + 21) / 21)
    assert claims["kernel-child-copy"]["where_it_stops"].startswith("a page left to the parent: 21 visits")
    assert "kernel-here" not in claims and "not test" not in shown.sentence


def test_few_traces_and_no_other_rules_leave_claims_out(tmp_path):
    shown = run("14-running-kernel", tmp_path, EVERY=200, RULES=["6.18.44"], CHILDREN=1)
    assert {"kernel-can-fail", "kernel-one-design", "kernel-split-flood"}.isdisjoint(shown.claims)
    assert all(claim["holds"] for claim in shown.claims.values())
    assert "These parameters do not test: Each observation tells" in shown.sentence and "Floods of splits" in shown.sentence


def test_observing_here_is_a_claim_where_it_can_be_done(tmp_path):
    claims = run("14-running-kernel", tmp_path, EVERY=200, CHILDREN=1, OBSERVE=2).claims
    assert ("kernel-here" in claims) == (observations.here(1)[0] is not None)
    assert all(claim["holds"] for claim in claims.values())
