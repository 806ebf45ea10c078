"""Traces executed on the kernel that runs here, where one may: on Linux on x86_64, as root."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from rmapmodel import cli
from rmapmodel.errors import InputError
from rmapmodel.events import Exec, Fork, Madvise, Mmap, Mremap, Read, Spawn, Swapout, Write
from rmapmodel.strategies.anon_vma_chain import AnonVmaChainStrategy
from rmapmodel.study.observations import here
from rmapmodel.vm.kernel import Kernel
from tests.kernel.merge_scenarios import SCENARIOS, mapped
from tests.traces import in_memory, run

if (platform.system(), platform.machine()) != ("Linux", "x86_64") or os.geteuid():
    pytest.skip("needs root on Linux on x86_64", allow_module_level=True)

from rmapmodel.kernel import observe as kernel  # noqa: E402
from rmapmodel.study import verify as study  # noqa: E402

RUNNING = Kernel.parse(platform.release())
P, A = 4096, 0x10000000
ANON = ["private", "anonymous"]
SCHEMA = json.loads((files("rmapmodel") / "schemas" / "replay.schema.json").read_text())
TREE = (Spawn(1), Mmap(1, A, 8 * P, "rw-", ANON), Write(1, A, 3 * P), Fork(1, 2), Fork(2, 3), Write(3, A, P),
        Mremap(2, A + P, P, A + 16 * P, P, ["maymove"]), Mmap(2, A + 64 * P, P, "r--", ["shared"], "f", P))
countable = pytest.fixture(lambda: kernel.observe([Spawn(1)])["countable"])


def write(path, *events):
    path.write_text("\n".join(study.as_lines(list(enumerate(events, 1)), "6.18")))
    return str(path)


try:
    study.require_sound(platform.release())
    unsound = ""
except InputError as problem:
    unsound = str(problem)
sound = pytest.mark.skipif(bool(unsound), reason=unsound)


@sound
def test_random_traces_agree():
    verdict = study.verify(study.random_traces(60, 5001))
    assert verdict.traces == 60 and not verdict.failed, str(verdict)


@sound
def test_a_notebook_asks_the_kernel_that_runs_here():
    verdict, missing = here(5, 7)
    assert (verdict.traces, verdict.differences) == (5, []) and missing
    assert verdict.contents == study.verify(study.random_traces(5, 7)).contents


def another_procedure(monkeypatch):
    other = "6.12" if RUNNING.merge_procedure == "6.1" else "6.1"
    monkeypatch.setattr(Kernel, "merge_procedure", property(lambda self: other))


def another_condition(monkeypatch):
    """Whether an untouched vma takes in a touched one: not from 3.0 to 6.15."""
    made = AnonVmaChainStrategy.__init__

    def wrong(strategy, *args, **kwargs):
        made(strategy, *args, **kwargs)
        strategy.merges_into_untouched = not RUNNING.since(6, 16)

    monkeypatch.setattr(AnonVmaChainStrategy, "__init__", wrong)


@sound
@pytest.mark.parametrize("fault", [another_procedure, another_condition])
def test_a_merge_rule_of_another_version_is_found_within_200_traces(fault, monkeypatch):
    fault(monkeypatch)
    verdict = study.verify(study.random_traces(200, 1), most=1)
    (_, found, shown), = verdict.differences
    assert len(shown.rows) < len(found.rows) and study.compare(shown.rows).kind == found.kind
    monkeypatch.undo()
    assert study.compare(shown.rows).kind is None


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.may_run_on(RUNNING)])
def test_the_kernels_own_merge_tests_hold(name):
    """At each moment: what the test asserts, and agreement with the model in vmas, pages and objects."""
    for after, shown in SCENARIOS[name].moments:
        events = SCENARIOS[name].events[:after]
        vmas = kernel.observe(events)["processes"][str(shown.pid)]["vmas"]
        assert mapped(vmas) == [vma[:3] for vma in shown.vmas(RUNNING)], shown.text
        found = study.compare(list(enumerate(events, 1)))
        assert (found.kind, found.refused) == (None, []), found.lines


def test_an_observation_is_the_result_of_a_replay(tmp_path, capsys, countable):
    trace = write(tmp_path / "t.jsonl", *TREE)
    assert cli.main(["observe", trace, "--json", "--pages"]) == 0
    told = json.loads(capsys.readouterr().out)
    jsonschema.validate(told, SCHEMA)
    mine = run(TREE, kernel=platform.release()).result(pages=True)
    if kernel.running(TREE).unmapped:
        assert any("map counts" in what for what in told["missing"])
    else:
        assert told["processes"] == mine["processes"]
    assert told["objects"] == (mine["objects"] if countable else {"vm_area_struct": mine["objects"]["vm_area_struct"]})
    assert (told["strategy"], told["kernel"], told["events"], told["refused"]) == ("kernel", platform.release(), 8, [])
    assert cli.main(["observe", trace]) == 0
    assert "not measured: a kernel does not tell bytes_design, peak and reclaim" in capsys.readouterr().out


def test_a_replay_may_not_leave_out_what_only_a_kernel_cannot_tell():
    told = run(TREE).result()
    for key in ("bytes", "bytes_design", "peak", "reclaim"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**told, key: None}, SCHEMA)
        jsonschema.validate({**told, key: None, "strategy": "kernel"}, SCHEMA)


def test_what_the_kernel_itself_maps_is_executed():
    special = Mmap(1, A, 2 * P, "r-x", [*ANON, "special"])
    events = (Spawn(1), special, Mmap(1, A + 2 * P, P, "r-x", ANON), Read(1, A, P), Fork(1, 2), Exec(2))
    found = study.compare(list(enumerate(events, 1)))
    assert (found.kind, found.refused) == (None, [])


@pytest.mark.parametrize("events, says", [
    ((Spawn(1), Swapout()), ":3: swapout: cannot be executed on the running kernel: no swap is used"),
    ((Spawn(1), Madvise(1, A, P, "pageout")), ":3: madvise: cannot be executed on the running kernel: no swap is used"),
    ((Spawn(1), Read(1, A, P)), f":3: read: Linux {platform.release()} refuses it: SIGSEGV")])
def test_what_cannot_be_executed_is_one_line(events, says, tmp_path, capsys):
    trace = write(tmp_path / "t.jsonl", *events)
    assert cli.main(["observe", trace]) == 2
    assert capsys.readouterr().err == f"rmapmodel: error: {trace}{says}\n"


def test_a_nonlinear_mapping_cannot_be_executed(tmp_path, capsys):
    trace = tmp_path / "t.jsonl"
    trace.write_text('{"op":"header","version":1,"kernel":"2.6.4"}\n'
                     '{"op":"remap_file_pages","pid":1,"addr":0,"len":0,"pgoff":0}\n')
    for command in ("observe", "verify"):
        assert cli.main([command, str(trace)]) == 2
        assert "t.jsonl:2: remap_file_pages: cannot be executed" in capsys.readouterr().err


def test_swap_and_ksm_are_refused_where_they_would_spoil_it(monkeypatch, tmp_path):
    touch, mergeable = TREE[:3], (*TREE[:2], Madvise(1, A, P, "mergeable"))
    (tmp_path / "swaps").write_text("Filename\tType\n/dev/sda2 partition\n")
    (tmp_path / "run").write_text("1\n")
    monkeypatch.setattr(kernel, "SWAPS", tmp_path / "swaps")
    assert "processes" in kernel.observe(TREE[:2])
    with pytest.raises(InputError, match="swap is active"):
        kernel.observe(touch)
    monkeypatch.undo()
    monkeypatch.setattr(kernel, "KSM_RUN", tmp_path / "run")
    assert "processes" in kernel.observe(touch)
    with pytest.raises(InputError, match="KSM is active"):
        kernel.observe(mergeable)
    monkeypatch.undo()
    monkeypatch.setattr(kernel, "everything_mergeable", lambda: True)
    with pytest.raises(InputError, match="PR_SET_MEMORY_MERGE"):
        kernel.observe(touch)


def test_merged_caches_are_not_counted(monkeypatch, tmp_path):
    def caches(*partners):
        slabs = Path(tempfile.mkdtemp(dir=tmp_path))
        for name in ("vm_area_struct", "anon_vma", ":A-64"):
            (slabs / name).mkdir()
            (slabs / name / "aliases").write_text(f"{len(partners) if name == ':A-64' else 0}\n")
        for name in ("anon_vma_chain", *partners):
            (slabs / name).symlink_to(":A-64")
        monkeypatch.setattr(kernel, "SLABS", slabs)
        return slabs

    caches("fs_cache", "eventpoll_pwq")
    assert kernel.merged() == {}
    (caches("fs_cache") / ":A-64" / "aliases").write_text("2\n")        # one that no link names
    assert kernel.merged() == {"anon_vma_chain": ["fs_cache"]}
    slabs = caches("fs_cache", "kmalloc-cg-64")
    assert kernel.merged() == {"anon_vma_chain": ["fs_cache", "kmalloc-cg-64"]}
    monkeypatch.setattr(kernel, "_kernels", {})
    for name in ("vm_area_struct", ":A-64"):
        (slabs / name / "slab_size").write_text("192\n")
    told = kernel.result(in_memory(TREE))
    kernel.running(TREE).close()
    assert told["objects"].keys() == {"vm_area_struct"}
    assert any("anon_vma_chain is merged with fs_cache, kmalloc-cg-64" in what for what in told["missing"])


def test_without_root_the_rest_is_given():
    home = Path(tempfile.mkdtemp())
    home.chmod(0o777)
    trace, (ours, theirs) = in_memory(TREE), os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os.environ["XDG_CACHE_HOME"] = str(home)
        try:
            told = kernel.result(trace, pages=True)
        except BaseException as problem:
            told = {"missing": repr(problem)}
        os.write(theirs, json.dumps(told).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours) as pipe:
        told = json.load(pipe)
    os.waitpid(child, 0)
    shutil.rmtree(home)
    jsonschema.validate(told, SCHEMA)
    mine = run(TREE, kernel=platform.release()).result()
    assert {pid: process["vmas"] for pid, process in told["processes"].items()} == {
        pid: process["vmas"] for pid, process in mine["processes"].items()}
    assert {process["rss_pages"] for process in told["processes"].values()} <= {None, 3}
    assert told["objects"] == {"vm_area_struct": mine["objects"]["vm_area_struct"]}
    missing = "\n".join(told["missing"])
    assert "map counts of pages: /proc/kpagecount: Permission denied (root is needed)" in missing
    assert "anon_vma and anon_vma_chain: " in missing and "root is needed" in missing.split("anon_vma_chain: ")[1]


def test_without_a_compiler_one_line_says_so(monkeypatch, tmp_path, capsys):
    trace = write(tmp_path / "t.jsonl", Spawn(1))
    monkeypatch.setattr(kernel, "_kernels", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["observe", trace]) == 2
    assert capsys.readouterr().err == "rmapmodel: error: executing a trace needs a C compiler (gcc), none was found\n"


def started(home):
    """The processes that run a program below `home`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe").startswith(str(home)):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_an_interruption(number, tmp_path):
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-m", "rmapmodel", "verify", "--random", "100000"], env=env,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as verify:
        try:
            deadline = time.monotonic() + 30
            while len(started(tmp_path)) < 3 and time.monotonic() < deadline:
                time.sleep(.01)
            assert started(tmp_path)
            verify.send_signal(number)
            verify.wait(30)
        finally:
            verify.kill()
    assert verify.returncode == (130 if number == signal.SIGINT else -number)
    while started(tmp_path) and time.monotonic() < deadline + 10:
        time.sleep(.02)
    assert started(tmp_path) == []
