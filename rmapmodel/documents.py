"""Documents from strangers: YAML read as plain values, never as code, and never more than it looks like."""

import reprlib

import yaml

from .errors import InputError

LONGEST, DEEPEST = 1 << 20, 20
"""Bytes of a YAML file, and how deep it may nest."""

_UNTOLD = (LookupError, TypeError, AttributeError)
"""What the constructors of PyYAML raise for a tag that does not fit, as in `!!timestamp x`."""


class _Plain(yaml.SafeLoader):
    """Scalars, lists and mappings whose keys are given once; no aliases, which make much out of little."""

    def __init__(self, text):
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=self.peek_event().start_mark)
        if self.depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem="nests too deeply", problem_mark=self.peek_event().start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise yaml.MarkedYAMLError(problem=f"the key {shortened(key.value)} is given twice",
                                               problem_mark=key.start_mark)
                keys.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path, what="a mapping"):
    """The mapping of names to values that a YAML file holds, {} for an empty one; `what` it is, for errors.

    Raises InputError, with the line where one is to blame, for a file that cannot be read or is longer than 1 MiB; and
    for what is no YAML, no mapping, has an alias or a key given twice, or nests more than 20 deep.
    """
    return read_lines(path, what)[0]


def read_lines(path, what="a mapping"):
    """What read_yaml returns, and {keys that lead to a value, places in lists among them: line of that key or value}.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("sizes: [1,\\n  2]\\n"), file.flush()
    ...     read_lines(file.name)
    ({'sizes': [1, 2]}, {(): 1, ('sizes',): 1, ('sizes', 0): 1, ('sizes', 1): 2})
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise InputError("longer than 1 MiB", path=path)
        loader = _Plain(text)
        node = loader.get_single_node()
        lines = dict(_lines(node, ())) if node else {}
        content = loader.construct_document(node) if node else None
    except OSError as error:
        raise InputError(error.strerror, path=path) from None
    except UnicodeDecodeError:
        raise InputError("not UTF-8", path=path) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, *_UNTOLD) as error:
        mark = getattr(error, "problem_mark", None)
        reason = "a value is not of the type its tag says" if isinstance(error, _UNTOLD) else error
        raise InputError(f"not YAML: {getattr(error, 'problem', None) or reason}", path=path,
                         line=mark and mark.line + 1) from None
    if content is None:
        return {}, lines
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"wants {what}", path=path)
    return content, lines


def _lines(node, where):
    """Yields (where, line) of a node and of all in it."""
    yield where, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _lines(item, (*where, place))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _lines(value, (*where, key.value))
                yield (*where, key.value), key.start_mark.line + 1


def shortened(value):
    """A value as an error shows it, however long it is.

    >>> shortened([1, 2]), len(shortened("x" * 1000))
    ('[1, 2]', 60)
    """
    try:
        text = repr(value[:60]) if isinstance(value, str) else reprlib.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = "a number too long to show"
    return text if len(text) <= 60 else text[:59] + "…"
