"""YAML of strangers: what is read, at which lines, and what is refused in one line instead of running, hanging or growing."""

import itertools

import pytest
import yaml

from rmapmodel.documents import read_lines, read_yaml
from rmapmodel.errors import InputError

GOOD = """\
a: [1, 2.5,
  yes]
b:
  c: text
  d: ~
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
    path = file(GOOD.replace("2004-03-12", "e"))
    content, lines = read_lines(path)
    assert content == read_yaml(path) == yaml.safe_load(path.read_text())
    assert lines == {(): 1, ("a",): 1, ("a", 0): 1, ("a", 1): 1, ("a", 2): 2, ("b",): 3, ("b", "c"): 4, ("b", "d"): 5, ("e",): 6}
    assert read_lines(file("# nothing\n")) == ({}, {})


@pytest.mark.parametrize("text, said", [
    (GOOD, "wants the thing"), ("[1]", "wants the thing"),
    ("a: 1\nb: 2\na: 3\n", ":3: not YAML: the key 'a' is given twice"), ("x:\n  a: 1\n  a: 1\n", ":3: not YAML: the key 'a'"),
    ("a: [\n", "not YAML"), ("a: 1\n---\nb: 2\n", "not YAML"), ("a:\n\tb: 1\n", ":2: not YAML"), (b"\x00", "not YAML"),
    (b"\xff", "not UTF-8"), ("a: &a 1\nb: *a", ":2: not YAML: aliases"), ("a: &a [*a]", "aliases"), ("? [a]\n: 1\n", "not YAML"),
    ("a: !!python/object/apply:os.system [true]", ":1: not YAML"), ("a: !mine 1", "not YAML"), ("a: 2004-13-45", "month"),
    *((f"a: !!{tag}", "not YAML: a value is not of the type its tag says") for tag in ("timestamp x", "float ''", "bool x", "int ''")),
    ("a: !!int x", "not YAML"), ("a: " + "[" * 21 + "]" * 21, "nests too deeply"), ("a: " + "{a: " * 50_000, "nests too deeply"),
    ("\n".join(" " * n + "a:" for n in range(1000)), "nests too deeply"), ("#" * (1 << 20) + "\n", "longer than 1 MiB"),
    ("a: " + "9" * 5000, "not YAML"),
], ids=itertools.count())
def test_what_is_refused(file, text, said):
    with pytest.raises(InputError) as error:
        read_yaml(file(text), "the thing")
    assert said in str(error.value) and str(error.value).startswith(str(file(text)))


def test_what_cannot_be_read(tmp_path):
    for path, said in ((tmp_path / "nowhere", "No such file"), (tmp_path, "Is a directory"), ("/dev/zero", "longer than 1 MiB")):
        with pytest.raises(InputError, match=said):
            read_yaml(path)
