"""YAML of strangers: what is read, at which lines, and what is refused in one line instead of running, hanging or growing."""

import itertools

import pytest
import yaml

from rmapmodel import yamlfile
from rmapmodel.errors import InputError

GOOD = """\
a: &numbers [1, 2.5,
  yes]
b:
  c: text
  d: ~
e: *numbers
2004-03-12: {}
"""


@pytest.fixture
def file(tmp_path):
    def make(text):
        path = tmp_path / "f.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return make


def test_the_values_are_those_of_safe_load_and_the_lines_those_of_keys_and_items(file):
    content, lines = yamlfile.read(file(GOOD))
    assert content == yaml.safe_load(GOOD)
    assert lines[("a",)] == 1 and lines[("a", 1)] == 1 and lines[("a", 2)] == 2
    assert lines[("b", "c")] == 4 and lines[("e",)] == 6
    assert yamlfile.read(file("# nothing\n")) == (None, {})


@pytest.mark.parametrize("text, said", [
    ("a: 1\nb: 2\na: 3\n", ":3: a: given twice"),
    ("x:\n  a: 1\n  a: 1\n", ":3: x.a: given twice"),
    ("a: [\n", "not YAML"), ("a: 1\n---\nb: 2\n", "not YAML"), ("a:\n\tb: 1\n", ":2: not YAML"), (b"\x00", "not YAML"),
    (b"\xff", "not UTF-8"),
    ("a: !!python/object/apply:os.system [true]", ":1: the tag"), ("!!set {a}", "the tag"), ("a: !mine 1", "not YAML"),
    ("a: 2004-13-45", "'2004-13-45' is no timestamp"), ("a: !!int x", "'x' is no int"), ("a: !!float ''", "'' is no float"),
    ("? [a]\n: 1\n", "a key is not a single value"),
    ("a: " + "[" * 100_000, "nests too deeply"), ("a: " + "{a: " * 50_000, "nests too deeply"),
    ("\n".join(" " * n + "a:" for n in range(1000)), "nests too deeply"), ("a: &a [*a]", "nests too deeply"),
    ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"{one}: &{one} [{', '.join([f'*{other}'] * 10)}]\n"
                                                       for one, other in zip("bcdefg", "abcdef")), "more than 100,000 values"),
    ("a: 1" + ":1" * 5000, "longer than 4096 characters"), ("#" * (1 << 20) + "\n", "longer than 1 MiB"),
], ids=itertools.count())
def test_what_is_refused(file, text, said):
    with pytest.raises(InputError) as error:
        yamlfile.read(file(text))
    assert said in str(error.value) and str(error.value).startswith(str(file(text)))


def test_what_cannot_be_read(tmp_path):
    for path, said in ((tmp_path / "nowhere", "No such file"), (tmp_path, "Is a directory"), ("/dev/zero", "longer than 1 MiB")):
        with pytest.raises(InputError, match=said):
            yamlfile.read(path)
