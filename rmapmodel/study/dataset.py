"""The dataset of a sweep: a folder with one Parquet file a finished task, each of them whole, named after its task."""

import contextlib
import json
import os
from pathlib import Path

import pyarrow
from pyarrow import parquet

from ..errors import InputError
from ..files import PARTIAL, lock, replacing
from . import sources

SCHEMA = "rmapmodel/sweep/1"
MANIFEST = "_sweep.json"
LOCK = f"{PARTIAL}lock"
_SMALL = {"use_dictionary": False, "write_statistics": False, "store_schema": False, "compression": "none"}
_TYPES = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}


class Dataset:
    """A context in which results are added to the folder `out`; `done` are the keys of those that it holds.

    `strategies` are those of all tasks by key, `columns` {name: type} of their rows, `hashes` {file: SHA-256} of the
    programs that make them. Raises InputError if the folder cannot be written, is in use by another sweep, or holds
    anything else than results of these tasks.
    """

    def __init__(self, out, strategies, columns, hashes):
        self.out = Path(out)
        self.names = {key: f"strategy={strategy}/{key}.parquet" for key, strategy in strategies.items()}
        self.schema = pyarrow.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
        self.manifest = {"schema": SCHEMA, "sources": hashes,
                         "columns": {name: str(kind) for name, kind in zip(self.schema.names, self.schema.types)}}

    def __enter__(self):
        try:
            self._made = not self.out.exists()
            self.out.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.out / LOCK)
        except BlockingIOError:
            raise InputError("another sweep is writing here", path=self.out) from None
        except OSError as error:
            raise InputError(f"cannot write here: {error.strerror}", path=self.out) from None
        try:
            self.done = self._found()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        (self.out / LOCK).unlink(missing_ok=True)
        if self._made:
            with contextlib.suppress(OSError):  # it is empty if no task was finished
                self.out.rmdir()
        os.close(self._lock)

    def _found(self):
        """The keys of the results in the folder, rid of what a killed sweep left half-written."""
        if not all(path.name.startswith(PARTIAL) for path in self.out.iterdir()):
            self._compare()
        files = {path.relative_to(self.out).as_posix(): path for path in self.out.rglob("*") if not path.is_dir()}
        partial = [name for name, path in files.items() if path.name.startswith(PARTIAL)]
        done = {key for key, name in self.names.items() if name in files}
        strangers = {*files} - {*partial} - {MANIFEST} - {self.names[key] for key in done}
        if strangers:
            raise InputError(f"holds {min(strangers)}, which is no result of this grid; name another folder", path=self.out)
        for name in partial:
            if name != LOCK:
                files[name].unlink()
        return done

    def _compare(self):
        """Refuses a folder that was not begun by this grid's programs and with its columns."""
        try:
            begun = json.loads((self.out / MANIFEST).read_text())
            theirs, columns = begun["sources"], begun["columns"]
            ours = begun["schema"] == SCHEMA and isinstance(theirs, dict)
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise InputError("holds something other than a sweep; name another folder", path=self.out)
        if changed := sources.changed(theirs, self.manifest["sources"]):
            raise InputError(f"was made by other sources, {changed} among them; name another folder", path=self.out)
        if columns != self.manifest["columns"]:
            raise InputError("was made by a grid of other columns; name another folder", path=self.out)

    def add(self, key, row):
        """Writes the row of a finished task as one file, whole or not at all; raises InputError if that fails."""
        path = self.out / self.names[key]
        values = {name: [row.get(name)] for name in self.schema.names} | {"task": [key]}
        if not self.done:  # first of all: it says whose folder this is
            with replacing(self.out / MANIFEST) as file:
                file.write(json.dumps(self.manifest, indent=1).encode() + b"\n")
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", path=path) from None
        with replacing(path) as file:
            parquet.write_table(pyarrow.table(values, self.schema), file, **_SMALL)
        self.done.add(key)
