"""What is written in notebooks and pages: no measured number is typed into it, and no figure cited that nobody shows."""

import ast
import re
from difflib import get_close_matches

import pytest

from rmapmodel.report import registry
from rmapmodel.report.parameters import load, source
from tests.notebooks.test_hygiene import NOTEBOOKS, ROOT, calls, mend, named, one_cell

# What a number in prose may be, and where it may stand; each is taken out before a digit is looked for.
MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
UNIT = (r"\s*(?:%|percent\b|times\b|[kMGT]?i?B\b|bytes?\b|[nmµu]?s\b|(?:micro|milli)?seconds?\b|minutes?\b|hours?\b|days?\b|"
        r"(?:pages?|frames?|ptes?|vmas?|mms?|areas?|mappings?|visits?|probes?|process(?:es)?|children|objects?|slots?|records?|"
        r"walks?|lookups?|locks?|lines?|events?|calls?|moves?)\b)")
MAY_BE_TYPED = re.compile("|".join(f"(?:{pattern})" for pattern in (
    r"```.*?```", r"`[^`]*`", r"(?:\A|\n\n)(?: {4}.*(?:\n|\Z))+",  # code
    r"\[[^\]]*\]\([^)]*\)", r"https?://\S+",  # links
    r"^#+ +\d+\. ", r"^ *\d+\.(?= )",  # the numbers of headings and of lists
    r"[Nn]otebooks? \d\d(?:(?:, | and | to |, and )\d\d)*",
    rf"(?:\d{{1,2}}(?:(?:, | and | to )\d{{1,2}})* )?{MONTH}(?: \d{{4}})?", r"\b\d\d?:\d\d\b", r"\b\d{4}-\d\d(?:-\d\d)?\b",
    rf"\b(?:19[89]|20[0-4])\d\b(?!{UNIT})",
    r"\b[2-7]\.\d{1,2}\.\d+(?:-\w+)*",  # kernels: 2.6.7-rc1, and 6.1 where no unit follows
    rf"\b[2-7]\.\d{{1,2}}(?:-\w+)*(?!\.?\d)(?!{UNIT}| an? | each )",
    r"\b4 KiB\b", r"\b[14] GiB\b", r"\b2\^\d+", r"\b\d:\d\b", r"\b(?:32|64)[- ]bits?\b(?: and on 64)?",  # what machines define,
    r"\b[Pp]rocess(?:es)? \d+(?:(?:, | and )\d+)*(?= [a-z'])|\bpid \d+", rf"\b[012]\b(?![.,:]?\d)(?!{UNIT})",  # the text itself,
    r"\b[0-9a-f]{12,40}\b",  # commits,
    r"[\w.,%]*\d(?:[^.;()]|\.\d){0,60}\((?:[FM]\d+(?:(?:, | and |-)[FM]?\d+)*[;,)]|\[[^]]*\]\(http)",  # and what others
    r"(?<![\w.])[A-Za-z_]\w*(?:[-./]\w+)*",  # a name with digits in it: test-mmap2, x86_64
)), re.MULTILINE | re.DOTALL)


def prose(notebook):
    """Yield (id of a cell, text) of what is typed to be read: Markdown, and what stands around the values of a say()."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            yield cell["id"], source(cell)
        else:
            for call in calls({"cells": [cell]}, "say"):
                texts = [node for text in call.args for node in ast.walk(text)
                         if isinstance(node, ast.Constant) and isinstance(node.value, str)]
                texts.sort(key=lambda node: (node.lineno, node.col_offset))
                yield cell["id"], re.sub(r"\{[^}]*\}", "x", "".join(node.value for node in texts))


def typed_numbers(notebook):
    """Yield each number that is typed into prose, with what mends it: measured ones reach it through a stored name."""
    for id, text in prose(notebook):
        left = MAY_BE_TYPED.sub(lambda match: " " * len(match[0]), text)
        for number in re.finditer(r"\S*\d\S*", left):
            typed = text[number.start():].splitlines()[0][:30]
            yield (f"cell {id}: {typed!r} is typed: let a cell write it, say(\"... {{name:,}} ...\", name=value), or, where "
                   "others published it, give its id after it, as in 86.91 s (F162)")


@named(NOTEBOOKS)
def test_no_measured_number_is_typed(path):
    found = list(typed_numbers(load(path)))
    assert not found, mend(path, found)


def dangling(text, known):
    """Yield what is wrong with each figure that a text cites and that no notebook shows."""
    for id in re.findall(r"\bfig-[a-z0-9]+(?:-[a-z0-9]+)*", text):
        if id not in known:
            near = get_close_matches(id, known, n=1, cutoff=0)
            yield f"no notebook shows {id}; perhaps {near[0]} is meant, which shows: rmapmodel cite {near[0]}"


@pytest.fixture(scope="module")
def known():
    return [id for path in sorted((ROOT / "notebooks").glob("*.ipynb")) for id in registry.shown(load(path))]


@pytest.mark.parametrize("path", [path for pattern in ("*.md", "docs/**/*.md", "data/**/*.md", "notebooks/*.ipynb")
                                  for path in sorted(ROOT.glob(pattern))], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_citation_dangles(path, known):
    found = list(dangling(path.read_text(), known))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", [
    "# 07. A title", "1. first\n2. second", "On 12 March 2004, in May 2004, on 12 and 13 March, in 2010 and by 2026-01-02",
    "Linux 2.4, 2.6.7-rc1, from 6.17 on, 2.6.34 to today", "notebooks 01, 05 and 15", "see [42](15-your-trace.ipynb)",
    "`42`", "It is:\n\n    rmapmodel -p PAGES=42\n\nso", "pages of 4 KiB, 2^42 bytes, 32 bits", "test-mmap2 on x86_64",
    "it took 86.91 s (F162), others 3.5 and 4.5 s (F1, F2)", 'found "about 1-3%" of them ([mail](https://example.org/3))',
    "Process 3 moves what processes 1 and 2 share", "in 965f55dea0e3", "n + 1 of them, or 0", "with the list of 2004 each is",
])
def test_numbers_that_may_be_typed(text):
    assert not list(typed_numbers({"cells": [{"cell_type": "markdown", "id": "a", "source": text}]}))


@pytest.mark.parametrize("text", ["42 bytes.", "1.5 times as much", "32 children", "3.5 visits", "57,600 of them",
                                  "0 mappings", "2 GB", "3.5 a mapping", "50% are shared", "1998 pages", "86.91 s. (F162)"])
@pytest.mark.parametrize("before", ["It is ", "## ", "- some\n    "])
def test_a_typed_number_is_found(before, text):
    (found,) = typed_numbers({"cells": [{"cell_type": "markdown", "id": "a", "source": before + text}]})
    assert found.startswith(f"cell a: {text!r} is typed: let a cell write it, say(")


def test_a_number_typed_beside_values_is_found():
    assert not list(typed_numbers(one_cell("say('{n:,} of {all:.2f}, in ' + where, n=42, all=43)")))
    assert len(list(typed_numbers(one_cell("say('{n:,} of ' + '42', n=42)")))) == 1


def test_a_dangling_citation_is_found():
    assert not list(dangling("`fig-a-b`: [fig-a](x#fig-a), fig-…", {"fig-a-b", "fig-a"}))
    assert list(dangling("see fig-probe.", {"fig-probes", "fig-a"})) == [
        "no notebook shows fig-probe; perhaps fig-probes is meant, which shows: rmapmodel cite fig-probes"]
