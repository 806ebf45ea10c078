"""The model against what a running kernel answered: data/observations, recorded where it could be asked."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import AnyEvent
from rmapmodel.vm.kernel import Kernel
from tests.traces import run

OBSERVED = Path(__file__).parents[2] / "data" / "observations" / "random-6.18.44.jsonl.gz"


@pytest.fixture(scope="module")
def observations():
    with gzip.open(OBSERVED, "rt") as lines:
        return [json.loads(line) for line in lines]


def model(row, kernel):
    events = [msgspec.convert(event, AnyEvent) for event in row["events"]]
    return run(events, "anon_vma_chain", kernel=kernel).result(pages=True)


def test_vmas_pages_and_objects_are_the_kernels(observations):
    assert len(observations) == 300
    for row in observations:
        result = model(row, row["kernel"])
        told = {pid: {key: value for key, value in process.items() if key in ("vmas", "pages", "rss_pages")}
                for pid, process in row["processes"].items()}
        assert result["processes"] == told, row["seed"]
        assert result["objects"] == row["objects"], row["seed"]


@pytest.mark.parametrize("wrong", ["6.15", "6.10", "6.6", "5.10", "2.6.34"])
def test_the_merge_rules_of_another_kernel_are_told_apart(observations, wrong):
    """The observations are strong enough to notice: some trace ends differently under other rules."""
    differing = 0
    for row in observations[:100]:
        try:
            result = model(row, wrong)
        except InputError:
            differing += 1
            continue
        differing += result["objects"] != row["objects"]
    assert differing, f"no observation tells {wrong} from the kernel observed"


def test_another_merge_procedure_is_told_apart(observations, monkeypatch):
    """Not each rule of another version shows at once: the procedure of 6.1 differs where two areas could take in a third."""
    monkeypatch.setattr(Kernel, "merge_procedure", property(lambda kernel: "6.1"))
    assert any(model(row, row["kernel"])["objects"] != row["objects"] for row in observations)
