"""Observations of running kernels: what counts as a difference, and what is said where no kernel can be asked."""

import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Fork
from rmapmodel.study import observations


@pytest.mark.parametrize("why", ["traces are executed by Linux on x86_64, this is Linux on aarch64", "no C compiler"])
def test_a_machine_that_cannot_be_asked_says_why(why, monkeypatch):
    def refuse():
        raise InputError(why)

    monkeypatch.setattr(observations, "require", refuse)
    assert observations.here(3) == (None, [why])
    assert observations.here(0) == (None, ["no trace was asked for"])


def test_a_row_of_each_kind_that_was_tampered_with_differs():
    for name in observations.NAMES:
        row = observations.observed(name)[2]
        assert not observations.differs(row)
        if name == "walks":
            row["probes"][0]["candidates"] += 1
        else:
            moment = row.get("moments", [row])[-1]
            moment["objects"]["anon_vma"] += 1
        assert observations.differs(row)


def test_what_the_model_refuses_counts_as_different():
    row = observations.observed("random")[0]
    row["events"].append(Fork(77, 78))
    assert observations.predicted(row["events"], row["kernel"]) is None and observations.differs(row)
    row = observations.observed("walks")[0]
    row["events"].append(Fork(77, 78))
    assert observations.differs(row)


def test_designs_and_rules_are_counted_apart():
    rows = observations.observed("random")[:10]
    told = observations.agreeing(rows, ["anon_vma_chain", "anonmm_copy"])
    assert told.loc["anon_vma_chain"].to_dict() == {"vmas": 10, "pages": 10, "of": 10}
    assert told.pages["anonmm_copy"] < 10  # it copies what moves
    counts = observations.objects(rows)
    assert (counts.counted == counts.predicted).all() and len(counts) == 30
    assert set(observations.told_apart(rows, ["6.12", "6.18.44"])) == {"6.12", "6.18.44"}
    assert observations.told_apart(rows, ["6.12", "6.18.44"])["6.18.44"] == 0


def test_walks_of_a_design_that_was_not_asked_are_counted_too():
    rows = observations.fork_servers(5)[-1:]
    walks = observations.walks(rows, ["anon_vma_chain", "anonmm"])
    copies = walks[walks.origin == "copied in a child"].groupby("strategy").model_candidates.max()
    assert copies.to_dict() == {"anon_vma_chain": 1, "anonmm": 6}
    assert walks[walks.strategy == "anon_vma_chain"].alike.all()
