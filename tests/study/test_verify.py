"""Verify: what differs between kernel and model is told and shrunk; the docs say what random traces hold."""

import re
from collections import Counter
from pathlib import Path

import pytest

from rmapmodel import cli
from rmapmodel.errors import InputError
from rmapmodel.events import CloneVm, Exit, Fork, Madvise, Mmap, Mremap, Read, Spawn, Write
from rmapmodel.study import verify as study
from rmapmodel.trace import read

P, A = 4096, 0x10000000
ANON = ["private", "anonymous"]
DOC = Path(__file__).parents[2] / "docs" / "running-kernel.md"


def rows(*events):
    return list(enumerate(events, 1))


@pytest.fixture
def kernel(monkeypatch):
    """A kernel that follows the model of 6.18, but for what `wrong(told, events)` changes in its answer."""
    def install(wrong, release="6.18.44"):
        def observe(events):
            told, at, why = study.model(rows(*events), release)
            if told is None:
                return {"impossible": {"index": at, "errno": "EINVAL"}, "executions": 1, "countable": True}
            counts = {name: told["objects"][name] for name in ("vm_area_struct", "anon_vma", "anon_vma_chain")}
            answer = {"processes": told["processes"], "objects": counts, "executions": 2, "countable": True}
            return wrong(answer, events) or answer

        monkeypatch.setattr(study, "observe", observe)
        monkeypatch.setattr(study.platform, "release", lambda: release)
    return install


def test_agreement_is_a_verdict_without_differences(kernel):
    kernel(lambda told, events: None)
    verdict = study.verify(study.random_traces(3, 1))
    assert (verdict.traces, verdict.differences, verdict.failed, verdict.repeats) == (3, [], False, 0)
    assert "3 traces on Linux 6.18.44: no difference in vmas, pages and objects" in str(verdict)


@pytest.mark.parametrize("release, other", [("6.12", "6.11"), ("6.16", "6.15"), ("6.18.8", "6.18.7")])
def test_a_merge_rule_of_another_version_is_found_within_200_traces(kernel, release, other):
    """Each pair differs in one merge rule: the order of neighbours, what untouched vmas take in, the fork limit."""
    kernel(lambda told, events: None, release)
    verdict = study.verify(study.random_traces(200, 1), other, most=1)
    (_, found, shown), = verdict.differences
    assert len(shown.rows) < len(found.rows)
    assert study.compare(shown.rows, other).kind == found.kind and study.compare(shown.rows, release).kind is None


def two_writers(told, events):
    """Counts one chain too many as soon as a forked process has written."""
    children = {event.child for event in events if isinstance(event, Fork)}
    if any(isinstance(event, Write) and event.pid in children for event in events):
        told["objects"]["anon_vma_chain"] += 1


def test_a_difference_is_shrunk_to_a_trace_that_can_be_pasted(kernel, capsys, tmp_path):
    kernel(two_writers)
    assert cli.main(["verify", "--random", "200", "--seed", "1"]) == 1
    printed = capsys.readouterr().out
    short = re.search(r"that differ \((\d+) events\):\n((?:\{.*\n)+)", printed)
    lines = short[2].splitlines()
    assert [re.search('"op":"([a-z]+)"', line)[1] for line in lines] == ["header", "spawn", "mmap", "fork", "write"]
    assert int(short[1]) == len(lines) - 1
    assert "objects differ" in printed and "Linux  " in printed and f"{study.MOST_SHRUNK} with a difference" in printed
    (tmp_path / "t.jsonl").write_text(short[2])
    assert cli.main(["verify", str(tmp_path / "t.jsonl")]) == 1


def test_forks_between_cause_and_effect_are_shrunk_away(kernel):
    kernel(lambda told, events: told["objects"].update(anon_vma=9) if any(
        isinstance(event, Madvise) and event.addr == A for event in events) else None)
    advice = Madvise(3, A, P, "dontneed")
    found = study.compare(rows(Spawn(1), Mmap(1, A, P, "rw-", ANON), Fork(1, 2), Fork(2, 3), advice))
    short = study.shrunk(found)
    assert [type(event).__name__ for _, event in short.rows] == ["Spawn", "Madvise"]
    assert short.rows[1][1].pid == 1


@pytest.mark.parametrize("key, kind, change", [
    ("vmas", "vmas", lambda value: value[:-1]), ("pages", "pages", lambda value: [[A, 1, 2]]),
    ("rss_pages", "pages", lambda value: value + 1)])
def test_what_differs_in_a_process_is_told(kernel, key, kind, change):
    kernel(lambda told, events: told["processes"]["1"].update({key: change(told["processes"]["1"][key])}))
    found = study.compare(rows(Spawn(1), Mmap(1, A, P, "rw-", ANON), Write(1, A, P)))
    assert found.kind == kind and f"process 1, {key}:" in found.lines[0] and len(found.lines) in (2, 3)


def test_a_process_of_one_side_only_differs(kernel):
    kernel(lambda told, events: {**told, "processes": {}})
    assert study.compare(rows(Spawn(1))).lines == ["process 1 lives only in the model"]


def test_events_impossible_on_one_side_only_differ(kernel, monkeypatch):
    kernel(lambda told, events: {"impossible": {"index": 1, "errno": "ENOMEM"}, "executions": 1, "countable": True})
    found = study.compare(rows(Spawn(1), Mmap(1, A, P, "rw-", ANON), Exit(1)))
    assert (found.kind, len(found.rows)) == ("events", 2)
    assert found.lines == ["line 2: Linux refuses it (ENOMEM), the model does not"]
    monkeypatch.setattr(study, "observe", lambda events: {"processes": {}, "executions": 1, "countable": False})
    assert "the model refuses it (" in study.compare(rows(Spawn(1), Read(1, A, P))).lines[0]


def test_what_both_refuse_is_left_out_and_named(kernel, tmp_path, capsys):
    kernel(lambda told, events: None)
    found = study.compare(rows(Spawn(1), Read(1, A, P), Mmap(1, A, P, "rw-", ANON)))
    assert (found.kind, found.refused, [line for line, _ in found.rows]) == (None, [(2, "EINVAL")], [1, 3])
    (tmp_path / "t.jsonl").write_text('{"op":"spawn","pid":1}\n{"op":"exit","pid":3}\n')
    assert cli.main(["verify", str(tmp_path / "t.jsonl")]) == 0
    assert "t.jsonl, at its end, line 2: refused by both (EINVAL)" in capsys.readouterr().out


def test_an_event_the_model_refuses_counts_before_a_later_impossible_one():
    """Growth over two vmas is refused and gone on from; the touch behind it is then impossible."""
    grown = rows(Spawn(1), Mmap(1, A, P, "rw-", ANON), Mmap(1, A + P, P, "r--", ANON),
                 Mremap(1, A, 2 * P, A, 3 * P), Read(1, A + 9 * P, P))
    assert study.model(grown, "6.18.44")[1] == 3


def test_a_disturbance_is_not_a_difference(kernel):
    asked = Counter()

    def once(told, events):
        asked["times"] += 1
        if asked["times"] == 1:
            told["objects"]["anon_vma"] += 1

    kernel(once)
    found = study.compare(rows(Spawn(1), Mmap(1, A, P, "rw-", ANON)))
    assert (found.kind, found.repeats, found.counted) == (None, 2, True)


def test_more_than_one_in_a_hundred_without_counts_fails(kernel):
    kernel(lambda told, events: {**told, "objects": None} if Exit in map(type, events) else None)
    few = [("t", rows(Spawn(1), Exit(1)))]
    many = [("t", rows(Spawn(1)))] * 99
    assert not study.verify(few + many).failed
    assert study.verify(few * 2 + many).failed


def test_a_machine_that_cannot_count_says_so_and_agrees_in_the_rest(kernel):
    kernel(lambda told, events: {**told, "objects": None, "countable": False})
    verdict = study.verify([("t", rows(Spawn(1)))])
    assert not verdict.failed and "vmas and pages (objects cannot be counted here)" in str(verdict)


def test_a_recording_is_also_compared_where_it_has_most_mappings(kernel, tmp_path):
    kernel(lambda told, events: None)
    trace = tmp_path / "t.jsonl"
    trace.write_text('{"op":"spawn","pid":1}\n{"op":"mmap","pid":1,"addr":4096,"len":4096,"prot":"rw-",'
                     '"flags":["private","anonymous"]}\n{"op":"write","pid":1,"addr":4096,"len":1}\n'
                     '{"op":"exit","pid":1}\n')
    assert [(name.split(", ")[1], len(part)) for name, part in study.moments([read(trace)])] == [
        ("at its end", 4), ("at line 3", 3)]


@pytest.mark.parametrize("arguments", [[], ["--random", "0"], ["--random", "x"], ["--seed", "1"],
                                       ["t", "--random", "1"], ["missing.jsonl"]])
def test_wrong_arguments_are_one_line(arguments, capsys):
    assert cli.main(["verify", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", [["observe", "t.jsonl"], ["verify", "--random", "1"]])
def test_other_machines_are_told_in_one_line(command, monkeypatch, capsys):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert cli.main(command) == 2
    assert capsys.readouterr().err.endswith("is Linux on aarch64\n")


def test_the_docs_say_what_the_random_traces_hold():
    counts = Counter()
    for _, trace in study.random_traces(2000, 1):
        try:
            counts += study.contents(trace, "6.18.44")
        except InputError:      # some event is impossible
            counts += study.contents(study.possible(trace, "6.18.44"), "6.18.44")
    told = re.findall(r"^\| ([a-z_, ]+) \| ([\d,]+) \|$", DOC.read_text(), re.M)
    assert told == [(name, f"{counts[name]:,}") for name in sorted(counts)]


def test_events_are_counted_by_what_they_do():
    named = study.contents(rows(
        Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON), Mremap(1, A, P, A + 8 * P, P, ["maymove"]),
        Mremap(1, A + 8 * P, P, A, P, ["maymove"]), Fork(1, 2), Fork(2, 3), CloneVm(3, 4), Exit(2), Exit(4),
        Exit(1)), "6.18")
    assert named == {
        "spawn": 1, "mmap, private anonymous": 1, "mremap, move of a part": 1, "mremap, move back": 1,
        "mremap, of private anonymous memory to another address": 2, "fork by the first": 1, "fork by a child": 1,
        "clone_vm": 1, "exit, parent and child alive": 1, "exit, neither alive": 2}


@pytest.mark.parametrize("release, refused", [("6.15.9", False), ("6.16.0-rc1", True), ("6.18.7-arch1", True), ("6.18.8", False),
                                              ("6.19", False), ("7.0", False)])
def test_random_traces_are_not_made_for_kernels_that_they_could_damage(release, refused):
    if refused:
        with pytest.raises(InputError, match="freed anon_vma"):
            study.require_sound(release)
    else:
        study.require_sound(release)
