"""Wrong use is refused before any work, by one line that names what is right: every command, by a table of cases."""

import json
from pathlib import Path

import pytest

from rmapmodel import cli

GOOD = "".join(f"{line}\n" for line in (
    '{"op":"spawn","pid":1}',
    '{"op":"mmap","pid":1,"addr":"0x100000","len":16384,"prot":"rw-","flags":["private","anonymous"]}',
    '{"op":"write","pid":1,"addr":"0x100000","len":8192}'))
CELL = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
NOTEBOOK = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
    {**CELL, "id": "a", "metadata": {"tags": ["parameters"]},
     "source": "PAGES: int = 4  # pages\nUNUSED: int = 1  # nothing\nSIZES: list[float] = [1.0]  # sizes"},
    {**CELL, "id": "b", "source": "print(PAGES, SIZES)"}]}
DESIGN = ["--strategy", "anon_vma"]

CASES = [
    # commands and options
    ("replya t.jsonl", "did you mean replay?"), ("", "COMMAND"), ("import strce log", "did you mean strace?"),
    ("replay t.jsonl", "--strategy"), ("replay", "TRACE"), ("replay t.jsonl --strategy anon_vma --nonsense", "--nonsense"),
    ("replay t.jsonl t.jsonl --strategy anon_vma", "t.jsonl"),
    # designs, indexes, architectures, versions
    ("replay t.jsonl --strategy anonvma", "did you mean anon_vma?"),
    ("replay t.jsonl --strategy Anon_Vma", "did you mean anon_vma?"),
    ("compare t.jsonl --strategies anonmm,anon_vma_chian", "did you mean anon_vma_chain?"),
    ("compare t.jsonl --strategies anonmm,anonmm", "names one twice"), ("compare t.jsonl --strategies anonmm,", "empty name"),
    ("explain t.jsonl 1:0x100000 --strategy cow_contex", "did you mean cow_context?"),
    ("replay t.jsonl --strategy anon_vma --index interval_three", "did you mean interval_tree?"),
    ("compare t.jsonl --index lists", "did you mean list?"),
    ("replay t.jsonl --strategy anon_vma --arch x86-64", "did you mean x86_64?"),
    ("replay t.jsonl --strategy anon_vma --kernel 2.6.x", "not a kernel version"),
    ("replay t.jsonl --strategy anon_vma --kernel 2.2.1", "older than 2.4"),
    ("compare t.jsonl --kernels 7.0,", "empty name"), ("compare t.jsonl --kernels 7.0,six", "not a kernel version"),
    ("compare t.jsonl --kernel 7.0 --kernels 6.1", "do not go together"),
    ("compare t.jsonl --format lkm", "did you mean lkml?"), ("compare t.jsonl --json --format csv", "not allowed with"),
    # numbers
    *((f"replay t.jsonl --strategy anon_vma --max-memory {size}", "--max-memory")
      for size in ("0", "-1G", "1.5G", "4X", "²", "9" * 5000, "nan")),
    *((f"replay t.jsonl --strategy anon_vma --reclaim {when}", "reclaim") for when in ("ends", "every:0", "every:x", "every:²")),
    *((f"explain t.jsonl 1:0x100000 --strategy anon_vma --until {line}", "--until") for line in ("0", "-3", "x", "²", "99")),
    *((f"explain t.jsonl {page} --strategy anon_vma", "PID:ADDR")
      for page in ("1", "x:0x100000", "1:", "0:0x100000", "1:-4096", "2:0x100000", "1:0x900000", "1:" + "9" * 5000)),
    # designs from outside
    ("replay t.jsonl --strategy anon_vma --import no_such_module", "no_such_module"),
    ("replay t.jsonl --strategy anon_vma --import json", "registers no design"),
    # recordings
    ("import strace nowhere.log", "nowhere.log"), ("import strace t.jsonl", "no line of it"),
    ("import strace log --perf nowhere.perf", "nowhere.perf"),
    ("record -o out.jsonl", "wants a command"), ("record -o out.jsonl -- no-such-program-here", "no such program"),
    ("record -- true", "-o"), ("record -o no/such/folder/out.jsonl -- true", "cannot be written"),
    ("record -o out.jsonl --max-memory x -- true", "--max-memory"),
    ("observe nowhere.jsonl", "nowhere.jsonl"), ("verify", "wants traces"), ("verify t.jsonl --random 3", "wants traces"),
    ("verify --random 0", "--random"), ("verify --random 3 --seed x", "--seed"), ("verify t.jsonl --seed 3", "wants traces"),
    # workloads
    ("generate fork_serve -o out.jsonl", "did you mean fork_server?"), ("generate fork_server", "-o TRACE"),
    ("generate -o out.jsonl", "WORKLOAD"), ("generate --list -o out.jsonl", "--list goes alone"),
    ("generate --list -p children=3", "--list goes alone"),
    *((f"generate fork_server -p {pair} -o out.jsonl", said) for pair, said in (
        ("childre=3", "did you mean children?"), ("children", "key=value"), ("=3", "key=value"), ("children=", "integer"),
        ("children=x", "integer"), ("children=-1", "from 0"), ("children=1e99", "integer"), ("children=nan", "integer"),
        ("children=true", "integer"), ("children=" + "9" * 5000, "integer"), ("children=2 -p children=3", "given twice"))),
    # reports
    ("report 77", "no such notebook"), ("report 01-not", "did you mean 01-note?"), ("report 01 01-note", "given twice"),
    ("report 01 -p PAGE=3", "did you mean PAGES?"), ("report 01 -p pages=3", "declares this parameter"),
    ("report 01 -p PAGES", "key=value"), ("report 01 -p PAGES=1 -p PAGES=2", "given twice"),
    ("report 01 -p PAGES=many", "declared type int"), ("report 01 -p PAGES=1.5", "declared type int"),
    ("report 01 -p PAGES=" + "9" * 5000, "declared type int"), ("report 01 -p SIZES=1,nan", "declared type float"),
    ("report 01 -p UNUSED=2", "it would do nothing"), ("report 01 -y nowhere.yml", "nowhere.yml"),
    ("report 01 -y page.yml", "did you mean PAGES?"), ("report 01 -y unused.yml", "it would do nothing"),
    ("report 01 -y note.yml", "did you mean 01-note?"), ("report 01 -j 0", "-j"), ("report 01 -j ²", "-j"),
    ("report 01 -o t.jsonl", "is a file"), ("report 01 -o full", "something other than a report"),
    ("cite fig-not-there", "did you mean fig-"), ("cite fig-shown --format words", "unknown"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.jsonl").write_text(GOOD)
    Path("log").write_text("1 1700000000.000001 brk(NULL) = 0x1000\n")
    Path("notebooks").mkdir()
    Path("notebooks/01-note.ipynb").write_text(json.dumps(NOTEBOOK))
    Path("notebooks/02-shows.ipynb").write_text(json.dumps(
        {**NOTEBOOK, "cells": [{**CELL, "id": "c", "source": "show(fig, id='fig-shown', caption='', data=None)"}]}))
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("precious")
    Path("page.yml").write_text("'01': {PAGE: 3}")
    Path("unused.yml").write_text("'01': {UNUSED: 3}")
    Path("note.yml").write_text("01-not: {PAGES: 3}")
    return tmp_path


@pytest.mark.parametrize("line, said", CASES, ids=[line[:60] for line, _ in CASES])
def test_wrong_use_is_one_line_and_leaves_no_trace(folder, capsys, line, said):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert cli.main(line.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("rmapmodel: error: ") and printed.err.count("\n") == 1
    assert said in printed.err and len(printed.err) < 1000
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("option, shown", [("--pages", "2 pages at 0x100000, each mapped 1 times"),
                                           ("--timeline", "design bytes"), ("--timing", "took "), ("--costs", "acquired")])
def test_an_option_of_replay_shows_without_json_too(folder, capsys, option, shown):
    assert cli.main(["replay", "t.jsonl", *DESIGN, option]) == 0
    assert shown in capsys.readouterr().out
