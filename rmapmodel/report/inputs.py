"""What a notebook's outputs follow from, hashed: a report is current where the keys of its inputs have not changed."""

import hashlib
import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path

from rmapmodel import files, outside
from rmapmodel.report.parameters import CHECKOUT, load
from rmapmodel.report.strip import dumps, strip


def common():
    """Return what all notebooks depend on: hashes of the `package`'s files, the `lock`, the `imports` and the `data`.

    `imports` are the modules that register designs from outside, each with the package it begins; what else they
    import is not seen. Cost: reads all these files.
    """
    lock = CHECKOUT / "requirements.lock"
    return {
        "package": files.hashes(CHECKOUT / "rmapmodel"),
        "lock": files.sha256(lock) if lock.exists() else None,
        "imports": {name: file and _module(Path(file)) for name, file in outside.files().items()},
        "data": files.hashes(CHECKOUT / "data"),
    }


def of(path, parameters, shared=None, others=None):
    """Return what one notebook depends on: its `sha256`, `parameters`, the `inputs` they name, and the `key` of it all.

    The key is another where any of this has changed, or any of `shared`, which is common() where it is not given. Cells
    are taken as they are committed: outputs that an editor saved with them are no input. Of the parameters' values those
    are hashed that are the name of a file, or a list of them. `others` are the keys of the notebooks that it reads.
    """
    named = {name: _named(value, path.parent) for name, value in parameters.items()}
    own = {"sha256": sha256(dumps(strip(load(path))).encode()), "parameters": parameters,
           "inputs": {name: found for name, found in named.items() if found}}
    if others:
        own["others"] = others
    return {**own, "key": _digest([shared or common(), own])}


def sha256(content):
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def versions():
    """Return the versions of Python, this package and its direct dependencies."""
    names = [re.match(r"[\w.-]+", line)[0] for line in metadata.requires("rmapmodel") or () if "extra ==" not in line]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in ("rmapmodel", *names)}}


def _digest(content):
    return sha256(json.dumps(content, sort_keys=True).encode())


def _named(value, folder):
    """The hash of the file that a parameter's value names, a list of them for a list; empty where it names none."""
    if isinstance(value, list):
        return [found for item in value if (found := _named(item, folder))]
    places = (Path(value), folder / value, CHECKOUT / value) if isinstance(value, str) else ()
    return next((files.sha256(place) for place in places if os.path.isfile(place)), None)


def _module(file):
    return _digest(files.hashes(file.parent)) if file.name == "__init__.py" else files.sha256(file)
