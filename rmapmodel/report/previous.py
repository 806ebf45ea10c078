"""What an earlier report still says: its notebooks are not run again where all that they follow from is as it was."""

import json
from pathlib import Path

from rmapmodel.report import inputs
from rmapmodel.report.folder import SCHEMA
from rmapmodel.report.parameters import EXECUTED, load


def manifest(report):
    """Return the manifest of a report by these versions of the package and what it uses, None where there is none."""
    try:
        told = json.loads((Path(report) / "manifest.json").read_text(encoding="utf-8"))
        return told if told["schema"] == SCHEMA and told["versions"] == inputs.versions() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def executed(name, made_of, report):
    """Return the executed notebook that a report has of the same inputs (inputs.of), None where it has to be run.

    That is so for one that failed, that looked at the machine it ran on, whose file was changed since, and that reads a
    folder of the reader's.
    """
    if EXECUTED in made_of["parameters"] and "others" not in made_of:
        return None
    try:
        told = manifest(report)["notebooks"][name]
        path = Path(report) / "notebooks" / f"{name}.ipynb"
        same = told["key"] == made_of["key"] and not told["error"] and not told["live"] \
            and told["executed"] == inputs.sha256(path.read_bytes())
        return load(path) if same else None
    except (OSError, KeyError, TypeError):
        return None
