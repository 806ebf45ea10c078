"""The programs that a sweep's results depend on, by hash: this package's, and those of designs from outside."""

import hashlib
import json
from functools import cache
from pathlib import Path

from ..files import hashes

UNRELATED = ("kernel", "figures", "explore", "report", "cli.py", "__main__.py")
"""Rooms of the package from which nothing reaches a replay's result."""


@cache
def package():
    """{file: SHA-256} of the files of this package that a replay's result may depend on, as they were when first asked."""
    files = hashes(Path(__file__).parents[1])
    return {f"rmapmodel/{name}": digest for name, digest in files.items() if name.partition("/")[0] not in UNRELATED}


def of(files):
    """{file: SHA-256} of the package's files and of `files`, the {path: contents} of designs from outside."""
    return package() | {name: hashlib.sha256(text).hexdigest() for name, text in sorted(files.items())}


def digest(hashes):
    """One SHA-256 of a mapping of files to hashes.

    >>> digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})
    True
    """
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def changed(one, other):
    """The first file whose hash differs between two mappings, or None.

    >>> changed({"a": "1", "b": "2"}, {"a": "1"})
    'b'
    """
    return min((name for name in {*one, *other} if one.get(name) != other.get(name)), default=None)
