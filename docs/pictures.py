"""Makes the README's pictures anew: figures of the notebooks at full scale, each with the key of its inputs.

    python docs/pictures.py    what `make pictures` runs: from reports/ where it is current, else their notebooks are run
"""

import sys
from pathlib import Path

from rmapmodel import outside
from rmapmodel.report.registry import look_up

PICTURES = {"structures": "fig-space-mremap", "probes": "fig-mremap-probes", "program": "fig-trace-costs"}
FOLDER = Path(__file__).parent


def stamp(id, key):
    """The last line of a picture, by which a test sees whether it is older than its inputs."""
    return f"<!-- {id} of inputs with the key {key}; made by: make pictures -->\n"


def main():
    if outside.files():
        sys.exit(f"the README's pictures are without designs from outside: unset {outside.VARIABLE}")
    entries = look_up(list(PICTURES.values()), full=True)
    for name, id in PICTURES.items():
        picture = FOLDER / f"{name}.svg"
        picture.write_text(entries[id].figure.files["svg"].decode() + stamp(id, entries[id].key), encoding="utf-8")
        print(picture.relative_to(FOLDER.parent))


if __name__ == "__main__":
    main()
