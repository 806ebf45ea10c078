"""`sweep` as a command, on this machine's cores and on a Dask cluster: whatever is killed, every task comes out once.

`RMAPMODEL_KILLS=N` kills the command N times instead of 4.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import distributed
import psutil
import pytest
import yaml

from rmapmodel import cli, outside
from rmapmodel.errors import InputError
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study import cluster, sources

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
EXAMPLE, READING = (re.search(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1] for kind in ("yaml", "python"))
KILLS = int(os.environ.get("RMAPMODEL_KILLS", 4))
GRID = {"workloads": {"fork_server": {"children": list(range(1, 13)), "vmas": 2}}, "strategies": ["counted", "anon_vma_chain"]}
COUNTED = '''"""A design that notes in a file which task begins in which process, and takes its time."""

import os
import time

from distributed import get_worker

from rmapmodel.strategies.anon_vma import AnonVmaStrategy
from rmapmodel.strategies.base import register


@register
class Counted(AnonVmaStrategy):
    name = "counted"

    def __init__(self, *args):
        super().__init__(*args)
        try:
            task = get_worker().get_current_task()
        except ValueError:
            return  # the command looks at the designs before it begins
        with open(os.environ["COUNTED"], "a") as file:
            file.write(f"{task} {os.getpid()}\\n")
        time.sleep(0.2)
'''
FAULTY = '''from rmapmodel.strategies.anon_vma import AnonVmaStrategy
from rmapmodel.strategies.base import register


@register
class Raising(AnonVmaStrategy):
    name = "raising"

    def forked(self, vma, parent_vma):
        raise ZeroDivisionError("in a fork")


@register
class Wrong(AnonVmaStrategy):
    name = "wrong"

    def walk_anonymous(self, walk, at, log):
        pass
'''


class Place:
    """A folder with a grid and a design from outside the package, and what the tasks there noted."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "log"
        (folder / "grid.yaml").write_text(yaml.safe_dump(GRID))
        (folder / "counted.py").write_text(COUNTED)
        self.log.touch()

    def sweep(self, *options):
        """A sweep of the grid into the folder `out`, as a process."""
        return start([sys.executable, "-P", "-m", "rmapmodel", "sweep", "grid.yaml", "-o", "out", "--import", "counted",
                      *options], self.folder, COUNTED=str(self.log))

    def results(self):
        """{key: (bytes, time of change)} of the rows."""
        return {path.stem: (path.read_bytes(), path.stat().st_mtime_ns) for path in (self.folder / "out").rglob("*.parquet")}

    def begun(self):
        """[(key, pid)] of the tasks of the design that began."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(task.removeprefix("rmapmodel-"), int(pid)) for task, pid in lines]


def start(command, folder, **variables):
    kept = {name: value for name, value in os.environ.items() if name not in ("RMAPMODEL_IMPORT", "PYTHONPATH")}
    return subprocess.Popen([*map(str, command)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True, env={**kept, "PYTHONPATH": str(ROOT), **variables})


def contents(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def until(condition, process=None, seconds=120):
    """Waits for a condition, as long as a process runs if one is given; returns what it came to."""
    limit = time.monotonic() + seconds
    while not (met := condition()) and (process is None or process.poll() is None):
        assert time.monotonic() < limit
        time.sleep(0.01)
    return met


def ended(processes):
    """Whether these psutil.Processes are gone soon."""
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted sweep leaves, on the cores of this machine, and how long it took."""
    place, began = Place(tmp_path_factory.mktemp("whole")), time.monotonic()
    sweep = place.sweep()
    out, err = sweep.communicate(timeout=120)
    assert (sweep.returncode, out, err) == (0, "out: 24 tasks, 0 done before, 24 now\n", "")
    assert len(place.begun()) == 12 and os.getpid() not in {pid for _, pid in place.begun()}
    return SimpleNamespace(contents=contents(place.folder / "out"), seconds=time.monotonic() - began)


def test_the_example_of_the_page(tmp_path, monkeypatch, capsys):
    (tmp_path / "data" / "traces").mkdir(parents=True)
    shutil.copy(ROOT / "data" / "traces" / "nginx.jsonl.zst", tmp_path / "data" / "traces")
    (tmp_path / "grid.yaml").write_text(EXAMPLE)
    monkeypatch.chdir(tmp_path)
    watched = []
    monkeypatch.setattr(cli, "_watched", lambda items, unit, total: watched.append((unit, total)) or items)
    assert int(re.search(r"runs (\d+) tasks", PAGE)[1]) == 24
    for said in ("24 tasks, 0 done before, 24 now", "24 tasks, 24 done before, 0 now"):
        assert cli.main(["sweep", "grid.yaml"]) == 0
        assert capsys.readouterr() == (f"sweeps/grid: {said}\n", "")
    assert os.listdir("sweeps") == ["grid"] and watched == [("tasks", 24)]
    lines = READING.strip().splitlines()
    names = {}
    exec("\n".join(lines[:-1]), names)
    frame, table = names["frame"], eval(lines[-1], names)
    assert table.shape == (3, 3) and (table["anon_vma"] > 0).all()
    for column in re.findall("^\\| (`.*?) \\|", PAGE.partition("| columns |")[2], re.MULTILINE):
        first, *_ = re.findall("`([a-z_]+)(?:…)?`", column)
        assert [name for name in frame.columns if name.startswith(first)], column
    assert frame.task.is_unique and not frame.refused.any() and (frame.pages > 0).all()


def test_killed_at_any_moment_it_goes_on_and_nothing_is_lost_or_done_twice(place, whole):
    moment, cut = random.Random(2), []
    for round in range(KILLS):
        if len(place.results()) == 24:
            shutil.rmtree(place.folder / "out")
        before, begun = place.results(), len(place.begun())
        sweep = place.sweep()
        if round:
            until(lambda: len(place.results()) > len(before), sweep)
            time.sleep(moment.uniform(0, 0.2))
        else:
            time.sleep(whole.seconds * moment.uniform(0, 0.4))
        workers = psutil.Process(sweep.pid).children(recursive=True) if sweep.poll() is None else []
        sweep.kill()
        sweep.communicate()
        assert ended(workers)
        assert place.results().items() >= before.items()
        assert not {key for key, _ in place.begun()[begun:]} & set(before)
        cut.append(len(place.results()))
    before = place.results()
    assert any(0 < rows < 24 for rows in cut), cut
    sweep = place.sweep()
    out, err = sweep.communicate(timeout=120)
    assert (sweep.returncode, out, err) == (0, f"out: 24 tasks, {len(before)} done before, {24 - len(before)} now\n", "")
    assert contents(place.folder / "out") == whole.contents
    print(f"kill -9: sweep: {KILLS} times, {sum(0 < rows < 24 for rows in cut)} among the tasks, 0 results lost or made twice")


@contextmanager
def running(*arguments, folder, log):
    """A process of Dask's own command, until the block ends."""
    with open(log, "wb") as file:
        process = subprocess.Popen([Path(sys.executable).with_name("dask"), *arguments], cwd=folder, stdout=file, stderr=file,
                                   env={**os.environ, "PYTHONPATH": str(ROOT), "COUNTED": str(log.parent / "log")})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def dask(tmp_path, workers):
    """(address, worker processes) of a cluster whose processes run in a folder of their own."""
    elsewhere, told = tmp_path / "elsewhere", tmp_path / "scheduler.json"
    elsewhere.mkdir()
    with running("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", told,
                 folder=elsewhere, log=tmp_path / "scheduler.log") as scheduler:
        until(lambda: told.exists() and told.read_text(), scheduler)
        address = json.loads(told.read_text())["address"]
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", elsewhere)
        with (running("worker", address, *options, folder=elsewhere, log=tmp_path / "worker-1.log") as one,
              running("worker", address, *options, folder=elsewhere, log=tmp_path / "worker-2.log") as two):
            yield address, (one, two)[:workers]


def test_a_result_that_is_here_is_not_asked_for_again(monkeypatch):
    kept, made = [], {}

    def as_completed(*args, **kwargs):
        kept.append(distributed.as_completed(*args, **kwargs))
        return kept[0]

    monkeypatch.setattr(cluster, "as_completed", as_completed)
    with cluster._silent_logs(), cluster._local(1) as client:
        def submit(key):
            made[key] = client.submit(str.upper, key, key=f"rmapmodel-{key}")
            return made[key]

        outcomes = cluster._outcomes(client, submit, ["a", "b"])
        first, _ = next(outcomes)
        until(lambda: f"rmapmodel-{first}" not in client.futures)
        until(kept[0].has_ready)
        (second,) = {"a", "b"} - {first}
        made[second]._state.lose()  # what dask does when the worker that holds it dies
        assert next(outcomes) == (second, second.upper())
        until(lambda: not client.futures)
        assert not list(outcomes)


def test_a_worker_of_a_cluster_is_killed_and_nothing_is_lost_or_done_twice(place, whole):
    with dask(place.folder, 2) as (address, (one, two)):
        sweep = place.sweep("--scheduler", address)
        both = {one.pid, two.pid}

        def one_has_gone_on():
            begun, done = place.begun(), place.results()
            its = [key for key, pid in begun if pid == one.pid]
            return {pid for _, pid in begun} == both and begun[-1][1] == one.pid and its[:-1] and its[-2] in done

        until(one_has_gone_on, sweep)
        done = place.results()
        time.sleep(0.1)  # until the scheduler knows that they are here
        one.kill()
        out, err = sweep.communicate(timeout=120)
        told = err.replace(f"rmapmodel: note: {address} has no workers yet; waiting for them\n", "")
        assert (sweep.returncode, out, told) == (0, "out: 24 tasks, 0 done before, 24 now\n", "")
        begun = place.begun()
        counts = Counter(key for key, _ in begun)
        assert len(counts) == 12 and {pid for _, pid in begun} == both
        assert all(counts[key] == 1 for key in counts if key in done)
        again = {key for key, count in counts.items() if count > 1}
        assert again <= {key for key, pid in begun if pid == one.pid} and all(counts[key] == 2 for key in again)
        assert place.results().items() >= done.items()
        assert contents(place.folder / "out") == whole.contents
        assert not list((place.folder / "elsewhere").glob("counted.py"))

        # what fails is told, the rest comes out; by the worker that is left, which gets another design in place of the first
        (place.folder / "faulty.py").write_text(FAULTY)
        (place.folder / "cut.jsonl").write_text('{"op":"spawn","pid":1}\n{"op":"spawn","pid":1}\n')
        for grid, status, said in (
                ({"workloads": {"fork_server": {}}, "strategies": ["raising", "wrong", "anonmm"]}, 1,
                 r"Traceback (.*\n)+ZeroDivisionError: in a fork\nrmapmodel: failed: 2 of 3 tasks failed, the first: fork_server "
                 "children=.*, raising: ZeroDivisionError: in a fork\n"),
                ({"workloads": {"fork_server": {}}, "traces": ["cut.jsonl"], "strategies": ["anonmm"]}, 2,
                 r"rmapmodel: error: 1 of 2 tasks failed, the first: cut.jsonl, anonmm: .*cut.jsonl:2: pid: .*\n")):
            (place.folder / "g.yaml").write_text(yaml.safe_dump(grid, sort_keys=False))
            shutil.rmtree(place.folder / "o", ignore_errors=True)
            done = subprocess.run([sys.executable, "-P", "-m", "rmapmodel", "sweep", "g.yaml", "-o", "o", "--scheduler", address,
                                   "--import", "faulty"], cwd=place.folder, capture_output=True, text=True,
                                  env={**os.environ, "PYTHONPATH": str(ROOT)})
            assert done.returncode == status and re.fullmatch(said, done.stderr), done.stderr
            assert [path.parent.name for path in (place.folder / "o").rglob("*.parquet")] == ["strategy=anonmm"]


def test_it_listens_on_this_machine_alone_and_ctrl_c_ends_everything(place):
    sweep = place.sweep()
    until(lambda: len(place.results()) > 2, sweep)
    workers = psutil.Process(sweep.pid).children(recursive=True)
    open_to = {end.laddr.ip for process in (psutil.Process(sweep.pid), *workers) for end in process.net_connections()
               if end.status == psutil.CONN_LISTEN}
    assert open_to == {"127.0.0.1"}
    os.killpg(sweep.pid, signal.SIGINT)
    assert sweep.communicate(timeout=60) == ("", "rmapmodel: interrupted\n") and sweep.returncode == 130
    assert len(workers) > 1 and ended(workers)
    assert {path.name for path in (place.folder / "out").iterdir()} <= {"_sweep.json", "strategy=counted", "strategy=anon_vma_chain"}


def test_a_full_disk_ends_it_with_the_rows_before_in_place(place, whole):
    mounts = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount", "--propagation", "private"]
    if subprocess.run([*mounts, "true"], capture_output=True).returncode:
        pytest.skip("needs a mount namespace")
    script = ("mkdir out && mount -t tmpfs -o size=64k none out && "
              f"{sys.executable} -P -m rmapmodel sweep grid.yaml -o out/s --import counted; echo $?; cp -r out/s left")
    done = start([*mounts, "sh", "-c", script], place.folder, COUNTED=str(place.log))
    out, err = done.communicate(timeout=120)
    assert out == "2\n" and re.fullmatch(r"rmapmodel: error: out/s/.*: cannot be written: No space left on device\n", err), err
    left = contents(place.folder / "left")
    assert 1 < len(left) < len(whole.contents) and left.items() <= whole.contents.items()
    print("full disk: sweep: 1 time, 0 results lost")


@pytest.mark.parametrize("address, said", [
    ("banana", "is not an address"), ("", "is not an address"), ("inproc://1/2", "is not an address"), ("tcp://127.0.0.1", "is not"),
    ("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1: Connection refused"),
    ("tcp://a..b:1", "no Dask scheduler answers"), ("tcp://127.0.0.1:99999", "no Dask scheduler answers"),
])
def test_an_address_where_no_scheduler_answers(tmp_path, monkeypatch, capsys, address, said):
    (tmp_path / "g.yaml").write_text("workloads: {fork_server: }")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", "g.yaml", "--scheduler", address]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("rmapmodel: error: --scheduler: ") and said in err and err.count("\n") == 1
    assert os.listdir() == ["g.yaml"]


@pytest.mark.parametrize("grid, options, said", [
    ("workloads: {fork_server: {childern: 1}}", [], "g.yaml:1: workloads.fork_server.childern: no such parameter; did you mean children?"),
    ("", [], "g.yaml: names no workload"), ("workloads: {fork_server: }", ["--max-memory", "x"], "--max-memory"),
    ("workloads: {fork_server: }", ["--import", "no_such"], "--import"), ("workloads: {fork_server: }", ["-o", "g.yaml"], "g.yaml: "),
])
def test_bad_input_is_one_line_before_any_work(tmp_path, monkeypatch, capsys, grid, options, said):
    (tmp_path / "g.yaml").write_text(grid)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", "g.yaml", *options]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith(f"rmapmodel: error: {said}") and err.count("\n") == 1
    assert os.listdir() == ["g.yaml"]


def test_a_worker_takes_designs_in_the_place_of_older_ones_and_refuses_other_sources(tmp_path):
    worker = SimpleNamespace(address="tcp://127.0.0.1:2", local_directory=tmp_path)
    text = COUNTED.replace("counted", "brought")

    def programs(text, hashes={}):  # noqa: B006  read only
        files = {"brought/__init__.py": b"", "brought/design.py": text.encode()}
        return cluster.Programs(["brought.design"], files, {**sources.of(files), **hashes})

    path = list(sys.path)
    try:
        cluster.bring(programs(text), worker)
        first = STRATEGIES["brought"]
        cluster.bring(programs(text), worker)
        assert STRATEGIES["brought"] is first
        cluster.bring(programs(text.replace("0.2", "0.3")), worker)
        assert STRATEGIES["brought"] is not first and len(sys.path) == len(path) + 1
        with pytest.raises(InputError, match="worker tcp://127.0.0.1:2 has other sources than here, rmapmodel/vm/vma.py among them"):
            cluster.bring(programs(text, {"rmapmodel/vm/vma.py": "0"}), worker)
        with pytest.raises(InputError, match="cannot import brought.design: SyntaxError"):
            cluster.bring(programs("?"), worker)
        cluster.bring(cluster.Programs([], {}, sources.of({})), worker)
        assert "brought" not in STRATEGIES and "brought.design" not in sys.modules
    finally:
        outside.forget(["brought.design"])
        sys.path[:] = path


def test_a_design_is_sent_as_its_file_or_as_its_package(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("1")
    (tmp_path / "many" / "below").mkdir(parents=True)
    for name in ("__init__.py", "design.py", "below/more.py", "data.csv"):
        (tmp_path / "many" / name).write_text("2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RMAPMODEL_IMPORT", "one, many.design, rmapmodel.strategies.anonmm")
    assert outside.contents() == {"one.py": b"1", **{f"many/{name}": b"2" for name in ("__init__.py", "design.py", "below/more.py")}}
    for name in ("sys", "no_such"):
        monkeypatch.setenv("RMAPMODEL_IMPORT", name)
        with pytest.raises(InputError, match=f"{name} is in no file"):
            outside.contents()
