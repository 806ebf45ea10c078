"""The folder a report is written into: whole or not at all, by one process at a time, never over somebody's files."""

import contextlib
import json
import os
import shutil
from pathlib import Path

from rmapmodel.errors import InputError
from rmapmodel.files import lock

SCHEMA = "rmapmodel/report/1"


class Folder:
    """A context in which `report` is the new report and `scratch` a place for the rest, both in a folder beside `out`.

    `publish()` puts the new report in the place of the old one. Raises InputError if `out` cannot be written, holds
    something other than a report, or is being written by another process.
    """

    def __init__(self, out):
        self.out = Path(out).resolve()
        self.work = self.out.parent / f".{self.out.name}.partial"
        self.report, self.scratch, self._old = self.work / "report", self.work / "scratch", self.work / "old"

    def __enter__(self):
        try:
            self._refuse_strangers()
            self._lock = self._take()
            self._empty()
            for folder in (self.report, self.scratch):
                folder.mkdir()
        except OSError as error:
            raise InputError(f"cannot write here: {error.strerror}", path=self.out) from None
        return self

    def __exit__(self, *_):
        self._empty()
        os.unlink(self.work / "lock")
        with contextlib.suppress(OSError):  # the next process may already be in it
            os.rmdir(self.work)
        os.close(self._lock)

    def _refuse_strangers(self):
        if os.path.ismount(self.out):
            raise InputError("a report cannot replace a mount point; name a folder in it", path=self.out)
        if self.out.exists() and not self.out.is_dir():
            raise InputError("is a file", path=self.out)
        if self.out.is_dir() and any(self.out.iterdir()):
            try:
                ours = json.loads((self.out / "manifest.json").read_text())["schema"] == SCHEMA
            except (OSError, ValueError, KeyError, TypeError):
                ours = False
            if not ours:
                raise InputError("holds something other than a report; name another folder", path=self.out)

    def _take(self):
        """Return the open lock file; the kernel frees it however this process ends."""
        while True:
            self.work.mkdir(parents=True, exist_ok=True)
            try:
                return lock(self.work / "lock")
            except FileNotFoundError:
                continue  # its last owner has just removed the folder
            except BlockingIOError:
                raise InputError("another report is being written here", path=self.out) from None

    def _empty(self):
        if self._old.exists() and not self.out.exists():
            os.rename(self._old, self.out)  # publish was cut short between its two renames
        for path in (self.report, self.scratch, self._old):
            shutil.rmtree(path, ignore_errors=True)

    def publish(self):
        """Put the report under its final name, in the place of the previous one."""
        if self.out.exists():
            os.rename(self.out, self._old)
        os.rename(self.report, self.out)
