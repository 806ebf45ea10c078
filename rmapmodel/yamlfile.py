"""YAML that people write: what a file holds, as plain values, and the line of each."""

import yaml

from .errors import InputError

BYTES = 1 << 20
VALUES = 100_000
CHARACTERS = 4096
_PLAIN = {yaml.SequenceNode: "tag:yaml.org,2002:seq", yaml.MappingNode: "tag:yaml.org,2002:map"}


def read(path):
    """What a YAML file holds, and the line of each of its values by the tuple of keys and places that lead to it.

    The values are those of yaml.safe_load. Raises InputError, with the line where it is known, for a file that cannot be
    read, is no YAML, gives a key twice, nests too deeply, or is larger than `BYTES`, `VALUES` (those that aliases repeat
    are counted again) and `CHARACTERS` of a value allow.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "a.yaml")
    >>> path.write_text("sizes: [1,\\n  2]\\n")
    16
    >>> read(path)
    ({'sizes': [1, 2]}, {(): 1, ('sizes',): 1, ('sizes', 0): 1, ('sizes', 1): 2})
    """
    loader = None
    try:
        with open(path, "rb") as file:
            text = file.read(BYTES + 1)
        if len(text) > BYTES:
            raise InputError("is longer than 1 MiB", path=path)
        loader = yaml.SafeLoader(text.decode())
        node = loader.get_single_node()
        lines = {}
        return (None if node is None else _Plain(path, loader, lines).value(node, ())), lines
    except OSError as error:
        raise InputError(error.strerror, path=path) from None
    except UnicodeDecodeError:
        raise InputError("not UTF-8", path=path) from None
    except RecursionError:
        raise InputError("nests too deeply", path=path, line=loader and loader.line + 1) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(f"not YAML: {getattr(error, 'problem', None) or error}", path=path,
                         line=mark and mark.line + 1) from None


class _Plain:
    """Makes plain values of YAML nodes, and notes their lines."""

    def __init__(self, path, loader, lines):
        self.path, self.loader, self.lines, self.left = path, loader, lines, VALUES

    def value(self, node, where, line=None):
        line = line or node.start_mark.line + 1
        self.lines[where] = line
        self.left -= 1
        if not self.left:
            self.refuse(f"holds more than {VALUES:,} values", line)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, line)
        if node.tag != _PLAIN[type(node)]:
            self.refuse(f"the tag {node.tag} is not known here", line)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*where, place)) for place, item in enumerate(node.value)]
        mapping = {}
        for name, item in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                self.refuse("a key is not a single value", line)
            key = self.scalar(name, line)
            if key in mapping:
                self.refuse("given twice", line, ".".join(map(str, (*where, key))))
            mapping[key] = self.value(item, (*where, key), line)
        return mapping

    def scalar(self, node, line):
        if len(node.value) > CHARACTERS:
            self.refuse(f"a value is longer than {CHARACTERS} characters", line)
        try:
            return self.loader.construct_object(node)
        except yaml.YAMLError:
            raise
        except Exception:  # such as a month 13: each constructor fails in its own way
            self.refuse(f"{node.value!r} is no {node.tag.rpartition(':')[2]}", line)

    def refuse(self, reason, line, field=None):
        raise InputError(reason, path=self.path, line=line, field=field)
