"""Files that appear whole or not at all, locks that end with their process, and hashes of what files hold."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import InputError

BUFFER = 1 << 17
PARTIAL = ".rmapmodel-"
"""How the names of files begin that have no final name yet; a process that was killed leaves them behind."""


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A new file that takes the name `path` when the block ends, and is gone when it fails.

    Raises InputError if it cannot be written.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with replacing(Path(folder.name, "a")) as file:
    ...     written, there = file.write(b"x"), os.path.exists(Path(folder.name, "a"))
    >>> there, Path(folder.name, "a").read_bytes()
    (False, b'x')
    """
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f"{PARTIAL}{secrets.token_hex(8)}")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            kind = "a directory" if os.path.isdir(path) else "not a regular file"
            raise InputError(f"cannot be written: is {kind}", path)
        try:
            with open(temporary, "xb", buffering=BUFFER) as file:
                yield file
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", path) from error


def lock(path: str | os.PathLike) -> int:
    """The open file at `path`, made if need be, which no other process has locked; unlink it, then close it.

    The kernel frees the lock however this process ends. Raises BlockingIOError while another process holds it, and
    FileNotFoundError if the folder is not there.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass  # its last owner has just unlinked it
        except BlockingIOError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's contents, read a piece at a time."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder by its path there, caches of Python left out."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts}
