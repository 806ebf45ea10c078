"""The README's pictures: it shows each, and none is older than what it was made of."""

from pathlib import Path

import pytest

from docs.pictures import PICTURES, stamp
from rmapmodel.report import inputs
from rmapmodel.report.parameters import load, values
from rmapmodel.report.registry import shown

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name, id", PICTURES.items())
def test_a_picture_is_no_older_than_its_inputs(name, id):
    path = next(path for path in (ROOT / "notebooks").glob("*.ipynb") if id in shown(load(path)))
    key = inputs.of(path, values([path], {})[path.stem], {**inputs.common(), "imports": {}})["key"]
    assert (ROOT / "docs" / f"{name}.svg").read_text(encoding="utf-8").endswith("</svg>\n" + stamp(id, key)), \
        f"docs/{name}.svg is older than the package, the lock, the data or {path.name}: run: make pictures"


def test_the_readme_shows_the_pictures_and_says_which_they_are():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, id in PICTURES.items():
        assert f"](docs/{name}.svg)" in readme and f"`{id}`" in readme, f"show docs/{name}.svg, which is {id}"
    assert len(PICTURES) == 3
