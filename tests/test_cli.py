"""The commands of contract section 3: what they print, what they refuse, and with which exit status."""

import gzip
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from rmapmodel import cli

SPAWN = '{"op":"spawn","pid":1}\n'
MAP = '{"op":"mmap","pid":1,"addr":"0x100000","len":16384,"prot":"rw-","flags":["private","anonymous"]}\n'
WRITE = '{"op":"write","pid":1,"addr":"0x100000","len":8192}\n'
FORK = '{"op":"fork","pid":1,"child":2}\n'
GOOD = SPAWN + MAP + WRITE + FORK


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(GOOD)
    return str(path)


def call(capsys, *args):
    """(exit status, standard output, standard error) of a command."""
    try:
        status = cli.main([str(arg) for arg in args])
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys, *args):
    status, out, err = call(capsys, *args)
    assert status == 2 and not out, (status, out, err)
    assert err.startswith("rmapmodel: error: ") and err.count("\n") == 1, err
    return err


def test_replay(capsys, trace):
    status, out, _ = call(capsys, "replay", trace, "--strategy", "anon_vma_chain", "--json", "--pages")
    told = json.loads(out)
    assert status == 0 and told["events"] == 4 and "timing" not in told
    assert told["processes"]["2"]["pages"] == [[0x100000, 2, 2]]
    assert json.loads(call(capsys, "replay", trace, "--strategy", "anon_vma", "--json", "--timing")[1])["timing"]["seconds"] > 0
    assert len(json.loads(call(capsys, "replay", trace, "--strategy", "anon_vma", "--json", "--timeline")[1])["timeline"]) == 4
    assert "anon_vma_chain" in call(capsys, "replay", trace, "--strategy", "anon_vma_chain")[1]
    assert call(capsys, "replay", trace, "--strategy", "anonmm", "--reclaim", "end")[0] == 0


def test_compare_and_explain(capsys, trace):
    status, out, _ = call(capsys, "compare", trace)
    assert status == 0 and out.splitlines()[-1].split() == ["truth", "2", "4"]
    assert len(json.loads(call(capsys, "compare", trace, "--json")[1])["rows"]) == 11 + 1  # the designs and the truth
    assert call(capsys, "compare", trace, "--strategies", "anonmm,anon_vma", "--kernels", "2.6.11,7.0", "--format", "csv")[
        1].count("\n") == 6
    assert "mapped 2 times" in call(capsys, "explain", trace, "2:0x101000", "--strategy", "anonmm")[1]
    assert json.loads(call(capsys, "explain", trace, "1:1048576", "--strategy", "anonmm", "--until", "3", "--json")[1])[
        "page"]["mapcount"] == 1


def test_generate(capsys, tmp_path):
    assert "test_mmap2" in call(capsys, "generate", "--list")[1]
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst"):
        assert call(capsys, "generate", "fork_server", "-p", "children=2", "-p", "vmas=2", "-o", tmp_path / name)[0] == 0
        assert call(capsys, "compare", tmp_path / name)[0] == 0


def test_import_strace(capsys, tmp_path):
    log = tmp_path / "log"
    log.write_text("1 1700000000.000001 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n"
                   "1 1700000001.000000 exit_group(0) = ?\n1 1700000001.000100 +++ exited with 0 +++\n")
    status, out, _ = call(capsys, "import", "strace", log, "-o", tmp_path / "t.jsonl")
    assert status == 0 and "events" in out
    assert call(capsys, "compare", tmp_path / "t.jsonl")[0] == 0


def test_newer_kernel_than_described_is_a_note_on_stderr(capsys, trace):
    status, out, err = call(capsys, "replay", trace, "--strategy", "anon_vma_chain", "--kernel", "9.3.1", "--json")
    assert status == 0 and json.loads(out)["kernel"] == "9.3.1"
    assert err.count("\n") == 1 and "9.3.1" in err and "7.0" in err


@pytest.mark.parametrize("args, part", [
    (["--strategy", "anonvma"], "did you mean anon_vma"), (["--strategy", "anon_vma", "--index", "hash"], "hash"),
    (["--strategy", "anon_vma", "--kernel", "banana"], "banana"), (["--strategy", "anon_vma", "--kernel", "2.2.1"], "2.2.1"),
    (["--strategy", "anon_vma", "--arch", "vax"], "vax"), (["--strategy", "anon_vma", "--max-memory", "lots"], "lots"),
    (["--strategy", "anon_vma", "--max-memory", "4K"], "max-memory"), (["--strategy", "anon_vma", "--reclaim", "line:3"], "reclaim"),
    (["--strategy", "anon_vma", "--import", "no_such_module"], "no_such_module"), ([], "--strategy"),
    (["--strategy", "anon_vma", "--nonsense"], "--nonsense"),
])
def test_wrong_options_are_one_line_and_exit_2(capsys, trace, args, part):
    assert part in refused(capsys, "replay", trace, *args)


@pytest.mark.parametrize("text, part", [
    ("{", ":1:"), ("[]\n", ":1:"), ("\n", ":1:"), ('{"op":"dance","pid":1}\n', "dance"), ('{"op":"spawn"}\n', "pid"),
    ('{"op":"spawn","pid":1,"x":2}\n', "x"), ('{"op":"spawn","pid":"1"}\n', "pid"), (SPAWN + SPAWN, ":2: pid"),
    (SPAWN + WRITE, ":2: addr"), (SPAWN + MAP.replace("16384", "0"), ":2: len"), (SPAWN + MAP.replace("0x100000", "0x100001"),
                                                                                ":2: addr"),
    (SPAWN + MAP.replace("rw-", "wr-"), ":2: prot"), (SPAWN + MAP.replace('"private",', ""), ":2: flags"),
    ('{"op":"header","version":2}\n', "version"), (SPAWN + '{"op":"header","version":1}\n', ":2:"),
    ('{"op":"read","pid":1,"addr":1e99,"len":1}\n', "addr"), ('{"op":"read","pid":1,"addr":-1,"len":1}\n', "addr"),
    (SPAWN + '{"op":"read","pid":1,"addr":"0x1", "len":' + "9" * 30 + "}\n", "len"), ("x" * (1 << 21), ":1:"),
])
@pytest.mark.parametrize("command", [["replay", "--strategy", "anon_vma"], ["compare"]], ids=["replay", "compare"])
def test_bad_traces_are_one_line_and_exit_2(capsys, tmp_path, command, text, part):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    said = refused(capsys, *command, path)
    assert str(path) in said and part in said


def test_unreadable_traces(capsys, tmp_path, trace):
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(GOOD.encode() * 100)[:40])
    (tmp_path / "not.zst").write_bytes(b"not zstd")
    (tmp_path / "bytes.jsonl").write_bytes(b'{"op":"\xff"}\n')
    for name in ("nowhere.jsonl", "cut.jsonl.gz", "not.zst", "bytes.jsonl", "."):
        assert name in refused(capsys, "replay", tmp_path / name, "--strategy", "anon_vma") or name == "."
    for args in (["explain", trace, "1", "--strategy", "anonmm"], ["explain", trace, "x:y", "--strategy", "anonmm"],
                 ["explain", trace, "7:0x100000", "--strategy", "anonmm"], ["explain", trace, "1:0", "--strategy", "anonmm"],
                 ["explain", trace, "1:0x100000", "--strategy", "anonmm", "--until", "0"], ["compare", trace, "--kernels", "x"],
                 ["compare", trace, "--strategies", "anonmm,nope"], ["import", "strace", tmp_path / "nowhere"], [], ["dance"]):
        refused(capsys, *args)


@pytest.mark.parametrize("args", [["nothing"], ["fork_server", "-p", "children"], ["fork_server", "-p", "kids=3"], [],
                                  ["fork_server", "-p", "children=x"], ["fork_server", "-p", "children=-1"]])
def test_generate_refuses_and_leaves_nothing(capsys, tmp_path, args):
    refused(capsys, "generate", *args, "-o", tmp_path / "t.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_whole_or_not_there(capsys, tmp_path):
    refused(capsys, "generate", "fork_server", "-o", tmp_path / "no" / "t.jsonl")
    (tmp_path / "kept.jsonl").write_text("before")
    refused(capsys, "generate", "fork_server", "-p", "written=99", "-o", tmp_path / "kept.jsonl")
    assert (tmp_path / "kept.jsonl").read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_designs_from_outside_the_package(tmp_path, trace):
    (tmp_path / "mine.py").write_text(
        "from rmapmodel.strategies import register\nfrom rmapmodel.strategies.anon_vma import AnonVmaStrategy\n"
        "@register\nclass Mine(AnonVmaStrategy):\n    name = 'mine'\n")
    done = subprocess.run([sys.executable, "-m", "rmapmodel", "compare", trace, "--import", "mine", "--strategies", "mine"],
                          cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()}, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[1].startswith("mine"), done.stderr


def test_cite(capsys, tmp_path, monkeypatch):
    assert "did you mean fig-mremap-probes?" in refused(capsys, "cite", "fig-mremap-probe", "--format", "lkml")
    assert "--format" in refused(capsys, "cite", "fig-mremap-probes", "--format", "word")
    entry = SimpleNamespace(failed=["a-claim"])
    monkeypatch.setattr("rmapmodel.report.cite.look_up", lambda ids, report: dict.fromkeys(ids, entry))
    monkeypatch.setattr("rmapmodel.report.cite.FORMS", {"lkml": lambda entry: "a table", "latex": lambda entry: "another"})
    assert call(capsys, "cite", "fig-mremap-probes") == (1, "a table\n", "")
    entry.failed.clear()
    assert call(capsys, "cite", "fig-mremap-probes", "--format", "latex") == (0, "another\n", "")


def test_results_do_not_depend_on_hash_seed_locale_or_run(trace):
    outs = set()
    for seed, locale in (("0", "C"), ("1", "C.UTF-8"), ("2", "C")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": "Asia/Tokyo"}
        outs.add(subprocess.run([sys.executable, "-m", "rmapmodel", "compare", trace, "--json"], env=env, cwd=os.getcwd(),
                                capture_output=True, check=True).stdout)
    assert len(outs) == 1


def test_help_and_version(capsys):
    assert call(capsys, "--version") == (0, "rmapmodel 0.1.0\n", "")
    for command in ("", "replay", "compare", "explain", "import", "generate", "report", "cite"):
        status, out, err = call(capsys, *command.split(), "--help")
        assert status == 0 and out and not err
