"""Any parameter of any notebook may be changed: it ends, and gives its verdict.

A notebook's own test runs it with papermill; here its cells run in this process, once for each parameter.
"""

import pytest

from rmapmodel.index import INDEXES
from rmapmodel.report.parameters import EXECUTED, declared, load
from rmapmodel.strategies import STRATEGIES
from tests.notebooks.executed import write
from tests.notebooks.notebook import NOTEBOOKS, at_test_scale, told

# What a text may be instead: another of a group with it.
KERNELS = ["6.12", "2.6.7"]
TRACES = ["../data/traces/nginx.jsonl.zst", "../tests/figures/family.jsonl"]
RECORDINGS = ["realloc-loop", *sorted(path.name.partition(".")[0] for path in (NOTEBOOKS.parent / "data/traces").iterdir())]
GROUPS = [["i386", "x86_64"], RECORDINGS, list(STRATEGIES), list(INDEXES)]


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
    if name.startswith("KERNEL"):
        group = KERNELS
    elif ".jsonl" in value:
        group = TRACES
    else:
        group = next((group for group in GROUPS if value in group), ())
    others = [each for each in group if each != value]
    assert others, f"say in GROUPS what {name} may be besides {value!r}"
    return others[0]


PARAMETERS = [(path.stem, name) for path in sorted(NOTEBOOKS.glob("*.ipynb")) for name in declared(load(path))]


@pytest.mark.filterwarnings("error:constrained_layout not applied")  # a figure whose parts do not fit
@pytest.mark.parametrize("notebook, name", PARAMETERS, ids=[f"{stem}-{name}" for stem, name in PARAMETERS])
def test_a_changed_parameter_still_gives_a_verdict(notebook, name, tmp_path):
    value = at_test_scale(notebook)[name]
    other = write(tmp_path) if name == EXECUTED else changed(name, value)
    assert other != value
    shown = told(notebook, **{name: other})
    assert shown.claims and shown.sentence and shown.explorers and shown.figures


@pytest.mark.parametrize("name, value, other", [
    ("PAGES", 40, 20), ("POINTS", 3, 4), ("SHARED", 0.5, 0.75), ("SHARED", 1.0, 0.5), ("DEEP", False, True),
    ("KERNEL", "", "6.12"), ("KERNEL", "6.12", "2.6.7"), ("ARCH", "i386", "x86_64"), ("SIZES", [1, 2], [1]), ("SIZES", [8], [4]),
    ("DESIGN", "anonmm", "page_table_scan"), ("INDEX", "list", "prio_tree"), ("PROGRAMS", ["nginx"], ["realloc-loop"]),
    ("TRACE", "../data/traces/nginx.jsonl.zst", "../tests/figures/family.jsonl"),
])
def test_another_value(name, value, other):
    assert changed(name, value) == other


def test_a_text_of_unknown_choice_is_refused():
    with pytest.raises(AssertionError, match="say in GROUPS"):
        changed("FLAVOUR", "sweet")
