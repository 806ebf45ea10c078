"""The notebooks that the tests of the report run, and what they read from a report."""

from pathlib import Path

NOTEBOOKS = Path(__file__).parent / "notebooks"


def paths(*numbers):
    """Return the paths of the notebooks with these numbers."""
    return [str(path) for number in numbers for path in NOTEBOOKS.glob(f"{number}-*.ipynb")]


def files(folder):
    """Return {name: content} of all files under a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
