"""A JupyterLab as `make lab` starts it, with user folders of its own, on copies of the notebooks at test scale."""

import json
import os
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil

from rmapmodel.report.parameters import find, injected, load, values
from rmapmodel.report.strip import dumps, strip
from rmapmodel.report.worker import end

ROOT = Path(__file__).parents[2]
# No cell is left out of the page, and nothing asks the reader anything.
SETTINGS = {"notebook-extension/tracker": {"windowingMode": "none"},
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}


class Lab:
    """A running JupyterLab: its address, its token, and the process."""

    def __init__(self, url, token, process):
        self.url, self.token, self.process = url, token, process

    def ask(self, path, token=None, method="GET", **headers):
        """Returns (status, content) of a request, with the token and the headers given."""
        if token is not None:
            headers["Authorization"] = f"token {token}"
        request = urllib.request.Request(self.url + path, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def end_kernels(self):
        """Ends all kernels."""
        for kernel in json.loads(self.ask("api/kernels", self.token)[1]):
            self.ask(f"api/kernels/{kernel['id']}", self.token, "DELETE")


def arguments():
    """What the Makefile gives to jupyter for `make lab`, and for a test: no browser of the user's, any free port."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    printed = subprocess.run(["make", "-n", "lab", "ARGS=--no-browser --port=0"], cwd=ROOT, env=outside,
                             capture_output=True, text=True, check=True).stdout
    return shlex.split(printed.rpartition("/jupyter ")[2].replace("\\\n", " "))


def copy(folder):
    """Copies the notebooks at test scale, beside what they read by relative paths."""
    (folder / "notebooks").mkdir()
    paths = find()
    given = values(paths, {}, scale="test")
    for path in paths:
        notebook = injected(strip(load(path)), given[path.stem])
        (folder / "notebooks" / path.name).write_text(dumps(notebook))
    for name in ("data", "tests"):
        (folder / name).symlink_to(ROOT / name)


@contextmanager
def running(folder):
    """A Lab in a folder, while the context lasts."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        variables[name] = str(folder / name.lower())
        Path(variables[name]).mkdir(mode=0o700)
    variables["PYTHONPATH"] = str(ROOT)
    for name, content in SETTINGS.items():
        setting = folder / "jupyter_config_dir" / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        setting.parent.mkdir(parents=True)
        setting.write_text(json.dumps(content))
    with open(folder / "lab.log", "wb") as log:
        process = subprocess.Popen([Path(sys.executable).with_name("jupyter"), *arguments()], cwd=folder, env=variables,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield _listening(folder, process)
    finally:
        if process.poll() is None:
            end(psutil.Process(process.pid))
            process.wait()


def _listening(folder, process):
    """The Lab of a process, once it answers: it writes down its address and its token a little before."""
    file, until = folder / "jupyter_runtime_dir" / f"jpserver-{process.pid}.json", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        try:
            told = json.loads(file.read_text())
            lab = Lab(told["url"], told["token"], psutil.Process(process.pid))
            lab.ask("api")
            return lab
        except (OSError, ValueError):  # no file yet, half of it, or nobody there
            time.sleep(0.05)
    raise AssertionError((folder / "lab.log").read_text())
