"""What is made once for all processes of pytest-xdist."""

import fcntl
import os


def once(tmp_path_factory, name, make):
    """Returns the folder `name` of this session, filled by `make(folder)` in the first process that needs it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder
