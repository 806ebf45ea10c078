"""The model against what a running kernel answered: data/observations, recorded where it could be asked."""

import pytest

from rmapmodel.study.observations import differs, observed, told_apart
from rmapmodel.vm.kernel import Kernel


@pytest.fixture(scope="module")
def observations():
    return observed("random")


def test_vmas_pages_and_objects_are_the_kernels(observations):
    assert len(observations) == 300
    assert [row["seed"] for row in observations if differs(row)] == []


@pytest.mark.parametrize("wrong", ["6.15", "6.10", "6.6", "5.10", "2.6.34"])
def test_the_merge_rules_of_another_kernel_are_told_apart(observations, wrong):
    """The observations are strong enough to notice: some trace ends differently under other rules."""
    assert told_apart(observations[:100], [wrong])[wrong], f"no observation tells {wrong} from the kernel observed"


def test_another_merge_procedure_is_told_apart(observations, monkeypatch):
    """Not each rule of another version shows at once: the procedure of 6.1 differs where two areas could take in a third."""
    monkeypatch.setattr(Kernel, "merge_procedure", property(lambda kernel: "6.1"))
    assert any(map(differs, observations))
