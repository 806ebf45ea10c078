"""Builds the site: the workbook as the report ran it, its figures, the pages of docs/, the designs and the API.

    python docs/build.py    what `make site` runs, into site/: the report is made first where it is not current
"""

import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
import sys
import tempfile
from pathlib import Path

import rmapmodel
from rmapmodel.errors import InputError
from rmapmodel.report import inputs, run
from rmapmodel.report.cite import in_markdown
from rmapmodel.report.collect import FIGURE, VALUES, VERDICT, outputs
from rmapmodel.report.parameters import find, load, source, values
from rmapmodel.report.registry import current
from rmapmodel.report.worker import import_jsonschema
from rmapmodel.strategies import STRATEGIES

DOCS = Path(__file__).resolve().parent
OURS = {FIGURE, VALUES, VERDICT}  # kinds of output that hold for the report what the others show


def build(report, out):
    """Build the site over a report into the folder `out`, in the place of the last; return Sphinx's exit status.

    Nothing is run or loaded from elsewhere. Raises InputError if `out` holds something other than a site.
    """
    import_jsonschema()
    from sphinx.cmd.build import main as sphinx

    out = Path(out).resolve()
    if out.exists() and not (out / "objects.inv").is_file():
        raise InputError("holds something other than a site", path=out)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".partial", dir=out.parent) as scratch:
        pages, doctrees, html = (Path(scratch, name) for name in ("pages", "doctrees", "html"))
        write_pages(Path(report), pages)
        status = sphinx(["-q", "-W", "--keep-going", "-c", str(DOCS), "-d", str(doctrees), str(pages), str(html)])
        if status == 0:
            shutil.rmtree(out, ignore_errors=True)
            os.rename(html, out)
    return status


def write_pages(report, folder):
    """Write what Sphinx reads, in the folders that it has in the checkout, so that links between pages hold."""
    for name in ("docs", "data", "notebooks", "designs", "api"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(report / "figures", folder / "figures")
    for picture in DOCS.glob("*.svg"):
        shutil.copy(picture, folder / "docs")
    (folder / "figures.md").write_text("\n\n".join(["# The figures", *figures(report)]), encoding="utf-8")
    write_designs(folder / "designs")
    write_api(folder / "api")
    pages = {folder / "docs" / path.name: path for path in DOCS.glob("*.md") if path.name != "index.md"}
    pages |= {folder / "index.md": DOCS / "index.md", folder / "data" / "README.md": DOCS.parent / "data" / "README.md"}
    for page in pages:  # before the first link is looked at
        page.touch()
    write_workbook(report, folder / "notebooks")
    for page, path in pages.items():
        page.write_text(linked(path.read_text(encoding="utf-8"), page.parent), encoding="utf-8")


def linked(text, folder):
    """Return Markdown without its links to files that the site does not have; their words stay, and so does code."""

    def kept(found):
        words, target = found.groups()
        return found[0] if words is None or (folder / target.partition("#")[0]).is_file() else words

    return re.sub(r"```.*?```|`[^`\n]*`|(?<!!)\[([^]]*)\]\((?![a-z]+:|#)([^)\s]*)\)", kept, text, flags=re.DOTALL)


def write_workbook(report, folder):
    """The executed notebooks, a page each."""
    executed = sorted((report / "notebooks").glob("*.ipynb"))
    pages = {folder / f"{path.name.removesuffix('.ipynb').removesuffix('.failed')}.ipynb": path for path in executed}
    for page in pages:
        page.touch()
    for page, path in pages.items():
        notebook = load(path)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = linked(source(cell), folder)
        for output in outputs(notebook):
            data = output.get("data", {})
            for kind in OURS & data.keys():
                del data[kind]
            if "text/markdown" in data:  # myst-nb leaves its links as they are
                told = linked("".join(data["text/markdown"]), folder)
                data["text/markdown"] = re.sub(r"(\]\([\w.-]+)\.ipynb", r"\1.html", told)
        page.write_text(json.dumps(notebook), encoding="utf-8")
    write_contents(folder, "The workbook", [page.stem for page in pages])


def figures(report):
    """Yield what the page of all figures says of each."""
    for id, told in json.loads((report / "manifest.json").read_text(encoding="utf-8"))["figures"].items():
        yield (f"## {id}\n\n![{id}](figures/{id}.svg)\n\n{in_markdown(told['caption'])} "
               f"From [{told['notebook']}](notebooks/{told['notebook']}.ipynb); to cite it: `rmapmodel cite {id}`.")


def write_designs(folder):
    """A page for each design, out of its docstrings."""
    for name, design in STRATEGIES.items():
        kept = ", ".join(f"``{kind}``" for kind in design.objects) or "none"
        lines = [name, "=" * len(name), "", f".. automodule:: {design.__module__}", "", f"Its own objects: {kept}.", ""]
        (folder / f"{name}.rst").write_text("\n".join(lines), encoding="utf-8")
    write_contents(folder, "The designs", STRATEGIES)


def write_api(folder):
    """A page for each room of the package, but for the designs, which have pages of their own."""
    apart = {design.__module__ for design in STRATEGIES.values()}
    rooms = [each.name for each in pkgutil.iter_modules(rmapmodel.__path__, "rmapmodel.") if "._" not in each.name]
    for room in rooms:
        inside = pkgutil.iter_modules(getattr(importlib.import_module(room), "__path__", []), f"{room}.")
        parts = [f"{name}\n{'-' * len(name)}\n\n.. automodule:: {name}\n   :ignore-module-all:\n"
                 for name in [room, *(each.name for each in inside)] if name not in apart]
        (folder / f"{room}.rst").write_text("\n".join([room, "=" * len(room), "", *parts]), encoding="utf-8")
    write_contents(folder, "The API", rooms)


def write_contents(folder, heading, names):
    """The page that lists a folder's pages."""
    lines = [f"# {heading}", "", "```{toctree}", ":titlesonly:", "", *names, "```", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")


def main():
    paths, shared = find(), inputs.common()
    full = values(paths, {})
    if not all(current(path, "reports", shared, full[path.stem]) for path in paths) and (status := run()):
        return status
    status = build("reports", "site")
    print("the site was not built" if status else "site/index.html")
    return status


if __name__ == "__main__":
    sys.exit(main())
