"""Any parameter of any notebook may be changed: it ends, and gives its verdict.

A notebook's own test runs it with papermill; here its cells run in this process, once for each parameter.
"""

import pytest

from rmapmodel.report.parameters import EXECUTED, declared, load
from rmapmodel.strategies import STRATEGIES
from tests.notebooks.executed import write
from tests.notebooks.notebook import NOTEBOOKS, at_test_scale, told

# What else a text can be, by the parameter's name; names of designs need no entry.
TEXTS = {
    "ARCH": ["i386", "x86_64"],
    "KERNEL": ["6.12", "2.6.7"],
    "TRACE": ["../data/traces/nginx.jsonl.zst", "../tests/figures/family.jsonl"],
}


def changed(name, value):
    """Another value that a reader might give to a parameter."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value // 2 if value >= 8 else value + 1
    if isinstance(value, float):
        return (value + 1) / 2 if value < 1 else value / 2
    if isinstance(value, list):
        return value[:-1] if len(value) > 1 else [changed(name, item) for item in value]
    others = [each for each in TEXTS.get(name, STRATEGIES if value in STRATEGIES else ()) if each != value]
    assert others, f"say in TEXTS which other value {name} may take"
    return others[0]


PARAMETERS = [(path.stem, name) for path in sorted(NOTEBOOKS.glob("*.ipynb")) for name in declared(load(path))]


@pytest.mark.parametrize("notebook, name", PARAMETERS, ids=[f"{stem}-{name}" for stem, name in PARAMETERS])
def test_a_changed_parameter_still_gives_a_verdict(notebook, name, tmp_path):
    value = at_test_scale(notebook)[name]
    shown = told(notebook, **{name: write(tmp_path) if name == EXECUTED else changed(name, value)})
    assert shown.claims and shown.sentence and shown.explorers and shown.figures


@pytest.mark.parametrize("name, value, other", [
    ("PAGES", 40, 20), ("POINTS", 3, 4), ("SHARED", 0.5, 0.75), ("SHARED", 1.0, 0.5), ("DEEP", False, True),
    ("KERNEL", "", "6.12"), ("KERNEL", "6.12", "2.6.7"), ("ARCH", "i386", "x86_64"), ("SIZES", [1, 2], [1]), ("SIZES", [8], [4]),
    ("DESIGN", "anonmm", "page_table_scan"),
])
def test_another_value(name, value, other):
    assert changed(name, value) == other


def test_a_text_of_unknown_choice_is_refused():
    with pytest.raises(AssertionError, match="say in TEXTS"):
        changed("FLAVOUR", "sweet")
