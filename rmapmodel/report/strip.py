"""The form in which notebooks are committed: `python -m rmapmodel.report.strip notebooks/*.ipynb` writes it."""

import hashlib
import json
import re
import sys
from pathlib import Path

from rmapmodel.report.parameters import load, source

KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT = ("jupyter", "tags")  # of a cell's metadata: folded cells and the mark of the parameters cell


def strip(notebook):
    """Return a copy as it is committed: no outputs, counts or editor state, an id for each cell, no empty cell.

    >>> strip({"cells": [{"cell_type": "code", "source": "1", "outputs": [1], "execution_count": 4}]})["cells"]
    [{'cell_type': 'code', 'id': '356a192b', 'metadata': {}, 'source': ['1'], 'execution_count': None, 'outputs': []}]
    """
    cells, ids = [], set()
    for cell in notebook["cells"]:
        text = source(cell)
        if not text.strip():
            continue
        stripped = {
            "cell_type": cell["cell_type"],
            "id": _identity(cell, text, ids),
            "metadata": {key: value for key, value in cell.get("metadata", {}).items() if key in KEPT},
            "source": text.rstrip().splitlines(keepends=True),
        }
        if cell["cell_type"] == "code":
            stripped |= {"execution_count": None, "outputs": []}
        elif "attachments" in cell:
            stripped["attachments"] = cell["attachments"]
        cells.append(stripped)
        ids.add(stripped["id"])
    return {"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}


def _identity(cell, text, ids):
    identity = cell.get("id")
    if isinstance(identity, str) and re.fullmatch("[A-Za-z0-9_-]{1,64}", identity) and identity not in ids:
        return identity
    salt = ""
    while (identity := hashlib.sha1((text + salt).encode()).hexdigest()[:8]) in ids:
        salt += "+"
    return identity


def dumps(notebook):
    """Return a notebook as the text that Jupyter itself would write."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(paths):
    """Rewrite the notebooks that are not in the committed form, and name them."""
    for path in map(Path, paths):
        text = dumps(strip(load(path)))
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"stripped {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
