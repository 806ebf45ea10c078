"""A figure for a write-up: in every form, from a report that is current, and without one."""

import json
import re
import shutil
from pathlib import Path

import pytest

from rmapmodel.errors import InputError
from rmapmodel.report.cite import FORMS, cite
from rmapmodel.report.collect import Figure
from rmapmodel.report.excerpt import CELL, WIDTH, excerpt, lines, parted
from rmapmodel.report.parameters import values
from rmapmodel.report.registry import Entry, figures, shown
from rmapmodel.report.run import run
from tests.report.small import NOTEBOOKS, paths


@pytest.fixture
def checkout(tmp_path, monkeypatch, report):
    """A folder with three notebooks and the report over them, as the folder one is in."""
    (tmp_path / "notebooks").mkdir()
    for path in paths("01", "02", "03"):
        shutil.copy(path, tmp_path / "notebooks")
    shutil.copytree(report, tmp_path / "reports")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_cell_that_is_no_python_shows_nothing():
    cells = [{"cell_type": "code", "source": text} for text in ("%time show(fig, id='fig-a')", "show(fig, id='fig-b')")]
    assert list(shown({"cells": cells})) == ["fig-b"]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_notebooks_are_not_run_to_know_their_figures(checkout):
    assert {id: path.stem for id, path in figures().items()} == {"fig-cost": "01-figure"}


@pytest.mark.parametrize("form", FORMS)
def test_a_current_report_and_a_run_say_the_same(checkout, capsys, form):
    kept = cite("fig-cost", form)
    assert capsys.readouterr().err == ""
    if form == "lkml":
        shutil.rmtree("reports")
        assert cite("fig-cost", form) == kept
        assert capsys.readouterr().err == "rmapmodel: note: reports has no current fig-cost: running 01-figure\n"
        assert not Path("reports").exists()
    text, failed = kept
    assert "rmapmodel 0.1.0" in text and "reports/figures/fig-cost.csv" in text and failed == []


def stale_source(folder):
    edit(folder / "notebooks/01-figure.ipynb", "The cost grows", "The cost, one sees, grows")


def stale_versions(folder):
    manifest = json.loads((folder / "reports/manifest.json").read_text())
    manifest["versions"]["numpy"] = "1.0"
    (folder / "reports/manifest.json").write_text(json.dumps(manifest))


def changed_data(folder):
    (folder / "reports/figures/fig-cost.csv").write_text("pages,cost\n1,0\n")


def no_report(folder):
    (folder / "reports/manifest.json").write_text("[]")


@pytest.mark.parametrize("change", [stale_source, stale_versions, changed_data, no_report])
def test_a_report_that_is_not_current_is_not_cited(checkout, capsys, monkeypatch, change):
    change(checkout)
    monkeypatch.setattr("rmapmodel.report.registry._computed", lambda paths, given, shared: {
        "fig-cost": entry("pages,cost\n1,9\n")})
    assert "9" in cite("fig-cost", "lkml")[0].split("\n\n")[1]
    assert "running 01-figure" in capsys.readouterr().err


def test_a_report_with_parameters_of_ones_own_is_cited_with_them(checkout, capsys):
    assert run(["01"], {"SIZES": "5,6", "LABEL": "it's <mine>"}) == 0
    text, _ = cite("fig-cost", "lkml")
    assert re.findall(r"^ +([56]) ", text, re.MULTILINE) == ["5", "6"] and "SIZES=5,6" in text
    assert """rmapmodel report 01-figure -p LABEL='it'"'"'s <mine>' -p SIZES=5,6; then""" in " ".join(text.split())
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize("id", ["fig-costs", "cost", "zebra", ""])
def test_an_unknown_figure_is_refused_with_the_nearest_name(checkout, id):
    with pytest.raises(InputError, match=f"no notebook shows a figure '{id}'; did you mean fig-cost?"):
        cite(id, "lkml")


# -- the forms, of figures that are hard to show ----------------------------------------------------------------------


def entry(data, caption="A caption.", failed=()):
    (path,) = map(Path, paths("01"))
    return Entry(Figure("fig-cost", caption, {"csv": data.encode()}), path, values([path], {})["01-figure"], "ab" * 32,
                 list(failed))


LONG = "strategy,event,kib\n" + "".join(f"{name},{event},{event * weight + (event == 777) * 1e4}\n" for name, weight in
                                        (("anon_vma", 0.125), ("pte_chain", 1.0625)) for event in range(1000))
HARD = {
    "nothing": "a,b\n",
    "after a line": "a *b,a [b\n[1,2\n*1,2\n",
    "one column": "strategy\nanonmm\n",
    "wide numbers": ",".join(f"a_long_name_{n}" for n in range(30)) + "\n" + ",".join(["123456789.25"] * 30) + "\n",
    "wide texts": "who,what\n" + "the_longest_of_words_one_can_think_of_" * 5 + "," + "many words " * 30 + "\n",
    "long": LONG,
    "many texts": "name,visits\n" + "".join(f"p{n},{n % 7}\n" for n in range(200)),
    "signs": 'a&b,"50 % | 2^n, $x_1$"\n"{\\~}#","<script> “é” ≤ 10 µs × 2, 愛"\n',
    "control": 'who,"why\x1b[2J"\n"a\nb\tc",\x07\n',
    "missing": "n,kib\n1,\n2,0.333333333\n,1e-9\n",
}


@pytest.mark.parametrize("name", HARD)
def test_a_mail_is_plain_and_narrow(name):
    text = FORMS["lkml"](entry(HARD[name], caption="“50 µs” → 2×, " + "as_long_as_a_word_can_be" * 9))
    assert text.isascii() and max(map(len, text.splitlines())) <= WIDTH
    assert '"50 us" -> 2x' in text and not re.search(r"[ \t]$", text, re.MULTILINE)
    for part in ("Parameters: PAGES=4, SHARE=0.5", "rmapmodel 0.1.0, notebook 01-figure, key of its inputs abababababababab",
                 "rmapmodel report 01-figure; then reports/figures/fig-cost.csv"):
        assert part in " ".join(text.split())


@pytest.mark.parametrize("width", range(1, CELL + 1))
def test_tables_are_narrow_whatever_the_width_of_their_columns(width):
    for cell in ("x" * width, "7" * width):
        data = ",".join(["a"] * 80) + "\n" + ",".join([cell] * 80) + "\n"
        widths = [max(map(len, lines(part))) for part in parted(*excerpt(data)[:2])]
        assert max(widths) <= WIDTH and min(widths[:-1]) + 2 + width > WIDTH


@pytest.mark.parametrize("form", FORMS)
def test_what_would_move_a_cursor_is_gone(form):
    assert not re.search(r"[^\n -~]", FORMS[form](entry(HARD["control"], caption="red \x1b[31m\ntext")))


def test_every_number_of_a_wide_table_is_in_the_mail():
    wide = ",".join(f"n{n}" for n in range(40)) + "\n" + "".join(
        ",".join(str(100 * row + n) for n in range(40)) + "\n" for row in range(3))
    found = re.findall(r"\b\d+\b", "\n".join(FORMS["lkml"](entry(wide)).split("\n\n")[1:-1]))
    assert {int(number) for number in found} >= {100 * row + n for row in range(3) for n in range(40)}


def test_a_table_of_many_rows_has_a_column_for_each_design_and_says_what_it_leaves_out():
    headings, rows, note = excerpt(LONG)
    assert headings == ["event", "anon_vma", "pte_chain"]
    kept = [int(row[0]) for row in rows]
    assert kept[0] == 0 and kept[-1] == 999 and 777 in kept and 20 <= len(kept) <= 24
    assert dict(zip(kept, (row[1:] for row in rows)))[777] == ["10097.125", "10825.5625"]
    assert note.startswith("Under each strategy: kib. " f"{1000 - len(kept)} of 1000 rows are left out: ")


def test_a_short_table_is_whole_and_long_decimals_are_said_to_be_rounded():
    assert excerpt("kernel,kib\n6.18,1\n7.0,2\n") == (["kernel", "kib"], [["6.18", "1"], ["7.0", "2"]], "")
    assert excerpt("kib\n0.333333333\n12.5\n") == (["kib"], [["0.333"], ["12.500"]], "Long decimals are rounded.")
    assert excerpt(",kib\n17,1\n4,2\n")[:2] == (["kib"], [["1"], ["2"]])


@pytest.mark.parametrize("name", HARD)
def test_latex_has_no_sign_that_means_something_to_it(name):
    text = FORMS["latex"](entry(HARD[name], caption="50 % of a_b & {c} #1 ~ 2^n \\ $x$ < é"))
    assert text.isascii() and text.count(r"\begin{table}") == text.count(r"\end{table}") == 1
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") > 0
    assert r"\caption{50 \% of a\_b \& \{c\} \#1 \textasciitilde{} 2\textasciicircum{}n \textbackslash{} \$x\$" in text
    lines = text.splitlines()
    columns = None
    for line in lines[1:]:
        line = re.sub(r"\\[a-zA-Z]+|\\[^\\a-zA-Z]", "", line.replace(r"\\", " "))
        assert line.count("{") == line.count("}") and not re.search(r"[%$#_^~\\]", line)
        if form := re.fullmatch(r"\{tabular\}\{((?:[lr]|p\{4cm\})+)\}", line):
            columns = len(form[1].replace("{4cm}", ""))
        elif "&" in line:
            assert line.count("&") == columns - 1
    assert not re.search(r"\\\\\s*[\[*]", text)


@pytest.mark.parametrize("name", HARD)
def test_markdown_has_cells_of_one_row_in_one_line(name):
    text = FORMS["markdown"](entry(HARD[name], caption="a | b <c> *d*"))
    assert text.startswith(r"**fig-cost.** a \| b \<c> \*d\*")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_bibtex_is_an_entry():
    text = FORMS["bibtex"](entry("a\n1\n", caption="Cost, of {a}: by size. And more."))
    assert text.startswith("@misc{rmapmodel:fig-cost,\n  author = {{The rmapmodel authors}},\n")
    assert r"title = {{fig-cost: Cost, of \{a\}}}," in text and "year" not in text
    assert text.endswith(",\n}") and text.count("{") == text.count("}")


@pytest.mark.parametrize("form", FORMS)
def test_a_failed_check_of_the_notebook_is_said(form):
    assert re.search("Failed checks: (a|it-grows), b", FORMS[form](entry("a\n1\n", failed=["it-grows", "b"])))
