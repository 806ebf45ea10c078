"""The kernel's own merge tests: what they assert, what Linux 6.18.44 did as recorded, and the model, moment by moment.

test_live.py executes them on the kernel that runs here.
"""

import pytest

from rmapmodel.strategies.anon_vma_chain import AnonVmaChainStrategy
from rmapmodel.study.observations import differs, moments, observed, predicted
from rmapmodel.vm.kernel import Kernel
from tests.kernel.merge_scenarios import SCENARIOS, drawn, mapped
from tests.traces import run

KERNELS = ("3.0", "4.19", "5.10", "6.1", "6.11", "6.12", "6.15", "6.16", "6.17", "6.18.7", "6.18.8", "6.18.44", "6.19",
           "7.0")
"""Both sides of each version whose rules decide here, and some in between."""

MPROTECT = {name for name in SCENARIOS if name.startswith("mprotect")}
FORKED = {name for name in SCENARIOS if name.startswith("forked.")}
UNFORKED = {name for name in SCENARIOS if name.startswith("unforked.")}


@pytest.fixture(scope="module")
def observations():
    return {row["scenario"]: row for row in observed("merge")}


def test_every_scenario_is_recorded_as_it_is_written(observations):
    written = {name: (scenario.events, [after for after, _ in scenario.moments]) for name, scenario in SCENARIOS.items()}
    recorded = {name: (row["events"], [moment["after"] for moment in row["moments"]])
                for name, row in observations.items()}
    assert recorded == written, "record again: PYTHONPATH=. python data/observe.py merge DATE"
    assert (len(SCENARIOS), sum(len(scenario.moments) for scenario in SCENARIOS.values())) == (21, 51)
    assert (len(MPROTECT), len(FORKED), len(UNFORKED)) == (5, 4, 4)


@pytest.mark.parametrize("name", SCENARIOS)
def test_linux_did_what_its_test_asserts(observations, name):
    row = observations[name]
    for (_, shown), moment in zip(SCENARIOS[name].moments, row["moments"], strict=True):
        expected = [vma[:3] for vma in shown.vmas(Kernel.parse(row["kernel"]))]
        assert mapped(moment["processes"][str(shown.pid)]["vmas"]) == expected, shown.text


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_model_does_what_linux_did(observations, name):
    row = observations[name]
    assert [len(events) for events, told in moments(row) if predicted(events, row["kernel"]) != told] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_model_does_what_each_version_does(name):
    for kernel in filter(lambda kernel: SCENARIOS[name].exists_on(Kernel.parse(kernel)), KERNELS):
        for after, shown in SCENARIOS[name].moments:
            replayed = run(SCENARIOS[name].events[:after], kernel=kernel)
            vmas = mapped(replayed.result()["processes"][str(shown.pid)]["vmas"])
            touched = [vma.anon is not None for vma in replayed.machine.processes[shown.pid].vmas]
            assert [(*vma, has) for vma, has in zip(vmas, touched)] == shown.vmas(Kernel.parse(kernel)), (kernel, shown)


def test_where_the_rules_changed():
    """kernel-facts 9: what merges from 6.16 on, what the fork limit of 6.18.8 stops, and nothing else."""
    ends = {kernel: {name: scenario.moments[-1][1].vmas(Kernel.parse(kernel)) for name, scenario in SCENARIOS.items()}
            for kernel in KERNELS}
    changed = {new: {name for name in SCENARIOS if ends[old][name] != ends[new][name]}
               for old, new in zip(KERNELS, KERNELS[1:])}
    assert {kernel: names for kernel, names in changed.items() if names} == {
        "6.16": MPROTECT | UNFORKED | FORKED, "6.18.8": FORKED}


@pytest.mark.parametrize("rule, noticed", [("merges_into_untouched", MPROTECT | UNFORKED), ("checks_copied", FORKED)])
def test_the_recording_tells_a_model_without_a_rule(observations, monkeypatch, rule, noticed):
    """6.18.44 with one rule of 6.15, or of 6.18.7."""
    made = AnonVmaChainStrategy.__init__

    def wrong(strategy, *args, **kwargs):
        made(strategy, *args, **kwargs)
        setattr(strategy, rule, False)

    monkeypatch.setattr(AnonVmaChainStrategy, "__init__", wrong)
    assert {name for name, row in observations.items() if differs(row)} == noticed


def test_a_map_is_read_page_by_page():
    assert drawn("|-|rr|WWW|..|x| 107 |w|") == [
        (0, 1, "---", False), (1, 3, "r--", False), (3, 6, "rw-", True), (8, 9, "rwx", False), (107, 108, "rw-", False)]
    with pytest.raises(ValueError):
        drawn("|rw|")
