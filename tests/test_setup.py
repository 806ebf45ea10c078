"""pyproject.toml, environment.yml and the lock ask for the same; no file names a registry or a machine."""

import gzip
import io
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
import zstandard
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rmapmodel import __version__
from rmapmodel.report import cite

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"matplotlib": "matplotlib-base", "playwright": "playwright-python"}
# A conda spec of this project: a name and a range in the notation that pip shares with conda's MatchSpec.
SPEC = re.compile(r"([a-z0-9-]+)((?:>=|<)[0-9.]+(?:,(?:>=|<)[0-9.]+)*)")


def direct():
    """Return {name: Requirement} of everything pyproject.toml asks for: to build, to run and to test."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [*project["build-system"]["requires"], *project["project"]["dependencies"],
             *(line for extra in project["project"]["optional-dependencies"].values() for line in extra)]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def locked():
    """Return {name: [(Requirement, hashes)]} of requirements.lock."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    result = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            requirement, *hashes = line.split(" --hash=")
            requirement = Requirement(requirement)
            result.setdefault(canonicalize_name(requirement.name), []).append((requirement, hashes))
    return result


def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def test_environment_yml_asks_for_what_pyproject_toml_asks_for():
    specs = [spec for spec in conda()["dependencies"] if isinstance(spec, str) and spec != "pip"]
    python = [spec for spec in specs if spec.startswith("python=")]
    ranges = dict(SPEC.fullmatch(spec).groups() for spec in specs if spec not in python)
    assert ranges == {CONDA_NAMES.get(name, name): ",".join(reversed(str(requirement.specifier).split(",")))
                      for name, requirement in direct().items()}
    assert re.fullmatch(r"python=3\.1[1-3]", *python)


def test_environment_yml_takes_conda_forge_only_and_installs_this_package():
    assert conda()["channels"] == ["conda-forge", "nodefaults"]
    assert conda()["dependencies"][-1] == {"pip": ["-e ."]}


@pytest.mark.parametrize("name", sorted(direct()))
def test_lock_holds_a_version_in_the_range(name):
    assert name in locked(), "run: make lock"
    for requirement, _ in locked()[name]:
        (pin,) = requirement.specifier
        assert pin.operator == "==" and pin.version in direct()[name].specifier, "run: make lock"


def test_lock_is_exact_and_hashed():
    for name, pins in locked().items():
        for requirement, hashes in pins:
            assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), name
            assert hashes and all(re.fullmatch("sha256:[0-9a-f]{64} *", line) for line in hashes), name


def test_what_runs_is_what_the_lock_says():
    for name, pins in locked().items():
        for requirement, _ in pins:
            if requirement.marker is None or requirement.marker.evaluate():
                assert metadata.version(name) in requirement.specifier, f"{name}: run: make setup"
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_console_script_and_version():
    (script,) = metadata.entry_points(group="console_scripts", name="rmapmodel")
    assert script.value == "rmapmodel.cli:main"
    assert metadata.version("rmapmodel") == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_citation_is_of_this_package_and_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["license"] == project["license"]
    assert citation["title"] == f"{project['name']}: {project['description']}"
    assert str(citation["version"]) == project["version"] == __version__
    assert [author["name"] for author in citation["authors"]] == [cite.AUTHOR]


def test_make_help_has_a_sentence_for_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    listed = subprocess.run(["make", "-s", "-C", ROOT, "help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z]+) +[A-Z].*\.$", listed, re.MULTILINE)) == targets


@pytest.mark.parametrize("skip", ["pytest.skip('no tool', allow_module_level=True)",
                                  "def test(): pytest.skip('no tool')"])
@pytest.mark.parametrize("ci, status", [("true", {1, 2}), ("", {0})])
def test_ci_skips_nothing(tmp_path, skip, ci, status):
    (tmp_path / "conftest.py").write_bytes((ROOT / "tests" / "conftest.py").read_bytes())
    (tmp_path / "test_skip.py").write_text(f"import pytest\n{skip}\n")
    (tmp_path / "test_pass.py").write_text("def test_pass(): pass\n")
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra"], cwd=tmp_path,
                          env={**os.environ, "CI": ci}, capture_output=True, text=True)
    assert done.returncode in status and "no tool" in done.stdout


# Written so that this file does not match itself.
MACHINE = re.compile(r"/(?:root|home/[a-z]+|Users/[A-Za-z]+|work|tmp/[a-z]+)/|/opt/w[h]eels")
REGISTRY = re.compile(r"files\.pythonhosted|pypi\.org/simple|registry\.npmjs|conda\.anaconda\.org|deb\.debian\.org")


def repository_files():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def content(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return data.decode(errors="replace")


@pytest.mark.parametrize("what", [REGISTRY, MACHINE], ids=["registry address", "path of a machine"])
def test_no_file_names(what):
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path in repository_files()
             if (match := what.search(content(path)))]
    assert not found


@pytest.mark.parametrize("what, text", [(REGISTRY, "see https://pypi" + ".org/simple/x"), (MACHINE, "in /ro" + "ot/x")])
def test_such_names_would_be_found(what, text):
    assert what.search(text)
