"""Designs from outside the package: entry points, and modules named by `--import` or the environment.

rmapmodel.strategies loads them when it is first imported, so notebooks, tests and worker processes see them too.
"""

import importlib
import importlib.util
import os
import sys
from contextlib import contextmanager
from importlib.metadata import entry_points

from .errors import InputError

GROUP = "rmapmodel.strategies"
"""The group of entry points whose modules register designs."""

VARIABLE = "RMAPMODEL_IMPORT"
"""The environment variable that names modules to import, separated by commas."""


_registering = set()


def load():
    """Imports the modules of the entry points and of the environment; raises InputError for one that fails."""
    for point in _points():
        _import(point.module, f"entry point {point.name}")
    load_modules(named(), VARIABLE)


def load_modules(names, field):
    """Imports modules that register designs, and names them to the processes that this one starts.

    They may lie in the working folder. Raises InputError, its `field` the one given, for a module that cannot be
    imported or registers nothing that could be run.
    """
    if not names:
        return
    with _working_folder() as folder:
        for name in names:
            _import(name, field)
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*named(), *names]))
    # a process in another folder must find what was found in this one
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*filter(None, path), folder]))


def named():
    """The modules that the environment names."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def files():
    """{module: the file it is in, or None} of the modules that load() imports; cost: a search of the path for each."""
    with _working_folder():
        specs = {name: importlib.util.find_spec(name) for name in [*(point.module for point in _points()), *named()]}
    return {name: spec.origin if spec and spec.has_location else None for name, spec in specs.items()}


def _points():
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


def _import(name, field):
    from .strategies.base import STRATEGIES

    # a design that imports the package before it registers is imported already, and has not come so far
    unfinished = getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False)
    known, fresh = len(STRATEGIES), name not in _registering and not unfinished
    try:
        importlib.import_module(name)
    except InputError as error:
        raise InputError(f"{name}: {error}", field=field) from None
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises is bad input
        raise InputError(f"cannot import {name}: {type(error).__name__}: {error}", field=field) from None
    if fresh and len(STRATEGIES) == known and not any(cls.__module__ == name for cls in STRATEGIES.values()):
        raise InputError(f"{name} registers no design; is @register missing?", field=field)
    _registering.add(name)


@contextmanager
def _working_folder():
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield folder
    finally:
        sys.path.remove(folder)
