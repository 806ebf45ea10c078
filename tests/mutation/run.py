"""Mutation testing of rmapmodel/index, vm and strategies: how many small breakages do the quick tests notice?

cosmic-ray makes the mutants (mutants.py says which), in a copy of the tree; this script draws a random sample, runs
the tests for each in a process forked after numpy and pytest are loaded, and fails when under 90 % are killed or when a
survivor is not explained in survivors.yml. `make mutation ARGS="--folder index --sample 60"`; results in
reports/mutation/FOLDER.json.
"""

import argparse
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path("tests/mutation")

# What runs for a mutant of each folder, until the first failure; what finds most soonest goes first.
QUICK = ["tests/strategies/test_rules.py", "tests/strategies/test_designs.py", "tests/strategies/test_anon_vma_chain.py",
         "tests/strategies/test_cow_context.py", "tests/strategies/test_swap.py", "tests/cost/test_cost.py"]
MORE = ["tests/strategies/cases", "tests/strategies/test_structures.py", "tests/strategies/test_nonlinear.py",
        "tests/cost/test_costs.py"]
TESTS = {
    "index": ["tests/index", *QUICK, "tests/strategies/cases", "tests/mutation/agreement.py"],
    "vm": ["tests/vm", *QUICK, *MORE, "tests/mutation/agreement.py", "tests/kernel/test_observations.py"],
    "strategies": [*QUICK, *MORE, "tests/vm", "tests/mutation/agreement.py", "tests/cost/test_documented.py"],
}
WANTED = 0.90
MEMORY = 4 << 30
PASSED, FAILED, INTERRUPTED = 0, 1, 2
WRONG_TREE = 90


def copy_tree(to):
    """What the tests need, copied; only the copy is ever mutated."""
    for name in ("rmapmodel", "tests", "data", "docs"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", to)


class Child:
    """One run of the tests in a copy of the tree, forked from this process; `seconds` limits its processor time."""

    running = set()

    def __init__(self, tree, tests, seconds, log, write_bytecode=False):
        self.began, self.limit = time.monotonic(), 10 * seconds
        self.pid = os.fork()
        if not self.pid:
            status = FAILED  # whatever a mutant makes pytest itself end with
            try:
                status = self._test(tree, tests, seconds, log, write_bytecode)
            finally:
                os._exit(status)
        Child.running.add(self.pid)

    @staticmethod
    def _test(tree, tests, seconds, log, write_bytecode):
        import pytest
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 2))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.environ["HYPOTHESIS_PROFILE"] = "unshrunk"
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        sys.dont_write_bytecode = not write_bytecode
        for each in tests:  # one after the other: most mutants fall before the rest need be collected
            status = pytest.main(["-q", "-x", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist",
                                  "--durations=0", each])
            if status:
                break
        loaded = sys.modules.get("rmapmodel")
        sys.stdout.flush()
        if loaded is not None and not loaded.__file__.startswith(str(tree)):
            return WRONG_TREE
        return int(status)

    def ended(self):
        """None while it runs, else the exit status, or minus the signal that ended it."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            Child.running.remove(pid)
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - self.began > self.limit:
            os.killpg(self.pid, signal.SIGKILL)
        return None


def outcome(status):
    if status == PASSED:
        return "survived"
    if status in (FAILED, INTERRUPTED):
        return "killed"
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "timeout"
    if status < 0:
        return "killed"
    raise SystemExit(f"the tests could not be run: exit status {status}")


def wilson(hits, total, z=1.959964):
    """The 95 % Wilson interval of a rate."""
    rate, spread = hits / total, z * z / total
    middle, half = rate + spread / 2, z * math.sqrt(rate * (1 - rate) / total + spread / total / 4)
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def baseline(tree, tests, log):
    """Runs the tests unmutated, which must pass; returns seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = Child(tree, tests, 600, log, write_bytecode=True)
    while (status := child.ended()) is None:
        time.sleep(0.02)
    if status:
        print(log.read_text()[-3000:])
        raise SystemExit(f"the tests fail without a mutant: exit status {status}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_mutants(mutants, trees, tests, seconds, logs):
    """Sets `outcome` and `seconds` of each mutant, running one in each of the trees at a time."""
    waiting, running, free = list(reversed(mutants)), [], list(trees)
    done = 0
    while waiting or running:
        while waiting and free:
            mutant, tree = waiting.pop(), free.pop()
            target = tree / mutant["file"]
            target.write_text(mutant["text"])
            # the time of last change is what Python compares: no bytecode of the unmutated file has this one
            os.utime(target, (1, 1))
            running.append((Child(tree, tests, seconds, logs / f"{tree.name}.log"), mutant, tree))
        time.sleep(0.01)
        for each in list(running):
            child, mutant, tree = each
            status = child.ended()
            if status is None:
                continue
            mutant["outcome"], mutant["seconds"] = outcome(status), round(time.monotonic() - child.began, 2)
            mutant["last"] = (logs / f"{tree.name}.log").read_text(errors="replace")[-400:]
            shutil.copy2(ROOT / mutant["file"], tree / mutant["file"])
            running.remove(each)
            free.append(tree)
            done += 1
            if done % 20 == 0:
                print(f"  {done} of {len(mutants)}", file=sys.stderr, flush=True)


def identity(mutant):
    return tuple(mutant[key] for key in ("file", "function", "nth", "was", "now"))


def explained():
    """{identity: why} of survivors.yml."""
    import yaml
    rows = yaml.safe_load((ROOT / HERE / "survivors.yml").read_text()) or []
    return {identity({"nth": 0, **row}): row["why"] for row in rows if row.get("why")}


def folder_report(folder, options, work):
    """Runs one folder; returns its results, and whether it is as it should be."""
    tests = [path for path in TESTS[folder] if (ROOT / path).exists()]
    drawn = json.loads(subprocess.run([options.tool, ROOT / HERE / "mutants.py", ROOT, f"rmapmodel/{folder}",
                                       str(options.sample), str(options.seed)], check=True, capture_output=True).stdout)
    mutants = drawn.pop("mutants")
    trees = [work / f"{folder}-{n}" for n in range(options.jobs)]
    for tree in trees:
        copy_tree(tree)
    log = work / "baseline.log"
    seconds = max(baseline(tree, tests, log) for tree in trees)
    print(f"rmapmodel/{folder}: {drawn['population']} mutants, {len(mutants)} "
          f"{'are all of them' if len(mutants) + drawn['not_compiled'] == drawn['population'] else 'drawn'} "
          f"(seed {options.seed}); left out: {drawn['excluded'] or 'none'}; the tests take {seconds:.1f} s", flush=True)
    run_mutants(mutants, trees, tests, 3 * seconds + 5, work)
    baseline(trees[0], tests, log)
    count = {kind: sum(mutant["outcome"] == kind for mutant in mutants) for kind in ("killed", "timeout", "survived")}
    hits = count["killed"] + count["timeout"]
    low, high = wilson(hits, len(mutants))
    print(f"  killed {count['killed']}, by time limit {count['timeout']}, survived {count['survived']}: "
          f"{hits / len(mutants):.1%}, 95 % interval {low:.1%} to {high:.1%} (Wilson), "
          f"{sum(mutant['seconds'] for mutant in mutants) / len(mutants):.1f} s a mutant")
    reasons = explained()
    left = [mutant for mutant in mutants if mutant["outcome"] == "survived"]
    unexplained = [mutant for mutant in left if identity(mutant) not in reasons]
    for mutant in unexplained:
        print(f"  not explained: {mutant['file']}:{mutant['line']} in {mutant['function']}\n"
              f"    - {mutant['was']}\n    + {mutant['now']}")
    sound = not unexplained and hits >= WANTED * len(mutants)
    keep = ("file", "function", "nth", "line", "operator", "was", "now", "outcome", "seconds", "last")
    return {"folder": folder, "seed": options.seed, **drawn, "sample": len(mutants), **count,
            "rate": round(hits / len(mutants), 4), "interval": [round(low, 4), round(high, 4)], "tests": tests,
            "survivors": [{**{key: mutant[key] for key in keep if key not in ("last", "outcome")},
                           "why": reasons.get(identity(mutant))} for mutant in left],
            "mutants": [{key: mutant[key] for key in keep} for mutant in mutants]}, sound


def stop(*_):
    """Ends the children, and by way of SystemExit removes the copies of the tree."""
    for pid in Child.running:
        os.kill(pid, signal.SIGKILL)
    sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", required=True, help="a Python that has cosmic-ray")
    parser.add_argument("--folder", action="append", choices=list(TESTS), help="default: all")
    parser.add_argument("--sample", type=int, default=400, help="mutants drawn a folder")
    parser.add_argument("--seed", type=int, default=2004)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "mutation", help="folder of the results")
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # loaded once, before the forks
    import gzip, hypothesis.strategies, msgspec, numpy.random, pytest, yaml, zstandard  # noqa: E401, F401
    sound = True
    options.out.mkdir(parents=True, exist_ok=True)
    for folder in options.folder or TESTS:
        with tempfile.TemporaryDirectory(prefix="mutation-") as work:
            result, good = folder_report(folder, options, Path(work).resolve())
        (options.out / f"{folder}.json").write_text(json.dumps(result, indent=1) + "\n")
        sound &= good
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
