"""The notebooks that the tests of the report run, and what they read from a report."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

NOTEBOOKS = Path(__file__).parent / "notebooks"


def paths(*numbers):
    """Return the paths of the notebooks with these numbers."""
    return [str(path) for number in numbers for path in NOTEBOOKS.glob(f"{number}-*.ipynb")]


def files(folder):
    """Return {name: content} of all files under a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def once(tmp_path_factory, name, make):
    """Return (what make(folder) returned, the folder): the processes of pytest-xdist share it, the first makes it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.json"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            done.write_text(json.dumps(make(folder)))
    return json.loads(done.read_text()), folder


def elsewhere(notebooks, out, home):
    """Make a report as on another machine: locale, time zone, hash seed, home and cores differ; return its exit status."""
    home.mkdir(parents=True)
    code = "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from rmapmodel.cli import main; sys.exit(main())"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(home), "LC_ALL": "C",
           "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "TMPDIR": str(home), "COLUMNS": "40", "USER": "somebody"}
    done = subprocess.run([sys.executable, "-c", code, "report", *map(str, notebooks), "-o", str(out)], env=env, cwd=home,
                          capture_output=True)
    shutil.rmtree(home)
    return done.returncode


class Loads(HTMLParser):
    """Collects what a page would load, which is anything but the target of a link that one clicks."""

    def __init__(self, text):
        super().__init__()
        self.loaded = [found for found in re.findall(r"url\(([^)]*)\)|@import ([^;]*)", text)]
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "srcset", "data", "poster", "action", "background") or name == "href" and tag != "a":
                self.loaded.append(value)
