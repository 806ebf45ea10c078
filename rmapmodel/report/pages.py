"""The pages of a report: HTML that reads without a kernel, without scripts and without a network."""

import base64
import re
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from rmapmodel.report.collect import OWN, as_figure, as_verdict, failed_check, people
from rmapmodel.report.parameters import source, tags
from rmapmodel.report.worker import import_jsonschema

_PICTURES = ("image/svg+xml", "image/png", "image/jpeg")


@cache
def _templates():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True)
    environment.filters.update(plain=plain, slug=slug)
    environment.tests.update(failed_check=failed_check)
    return environment


def plain(value):
    """Return a measured value as text: whole numbers in groups of three, others with four digits.

    >>> plain(57600), plain(0.0312499), plain("none")
    ('57,600', '0.03125', 'none')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def slug(text):
    """Return text as an anchor.

    >>> slug("William Lee Irwin III")
    'william-lee-irwin-iii'
    """
    return re.sub(r"\W+", "-", text.lower()).strip("-")


def heading_id(text):
    """Return the anchor of a heading, as Jupyter makes it.

    >>> heading_id("Guess before you look")
    'Guess-before-you-look'
    """
    return text.strip().replace(" ", "-")


def title(notebook, name):
    """Return the first heading of a notebook, without its marks, or its name."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            heading = re.search(r"^# +(.+)$", source(cell), re.MULTILINE)
            if heading:
                return re.sub(r"[`*]", "", heading[1]).strip()
    return name


def data_uri(kind, content):
    """Return content as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def notebook_page(notebook, name, error, folder, others):
    """Return the page of an executed notebook.

    `error` is None or {"cell": index or None, "text"}; `folder` is where the notebook's own pictures are; links to
    the notebooks named in `others` lead to their pages, other links within the project lead nowhere and go.
    """

    def linked(link):
        stem, _, anchor = link[1].partition(".ipynb")
        return f'<a href="{stem}.html{anchor}">{link[2]}</a>' if stem in others else link[2]

    def markdown(text, attachments=None):
        mistune = _filters().markdown_mistune
        renderer = mistune.IPythonRenderer(escape=False, embed_images=True, path=str(folder), attachments=attachments)
        html = mistune.MarkdownWithMath(renderer=renderer).render(text)
        return Markup(re.sub(r'<a href="(?![a-z]+:|#)([^"]*)"[^>]*>(.*?)</a>', linked, html, flags=re.DOTALL))

    cells = [_cell(cell, markdown) for cell in notebook["cells"]]
    if error and error["cell"] is not None:
        cells[error["cell"]]["failed"] = True
    return _templates().get_template("notebook.html").render(
        name=name, title=title(notebook, name), cells=cells, error=error)


def index_page(runs, versions):
    """Return the entry page over the runs of all notebooks (see rmapmodel.report.run)."""
    return _templates().get_template("index.html").render(
        runs=runs, versions=versions, broken=[run for run in runs if run.error], people=by_person(runs),
        claims=[claim for run in runs for claim in run.claims],
        figures=[(run, figure) for run in runs for figure in run.figures])


def by_person(runs):
    """Return {person: [(run, claim), ...]} by name, this model's own claims last."""
    found = {}
    for run in runs:
        for claim in run.claims:
            for person in people(claim):
                found.setdefault(person, []).append((run, claim))
    return dict(sorted(found.items(), key=lambda each: (each[0] == OWN, each[0])))


def _cell(cell, markdown):
    if cell["cell_type"] != "code":
        return {"kind": "prose", "html": markdown(source(cell), cell.get("attachments"))}
    return {
        "kind": "code",
        "html": Markup(_filters().Highlight2HTML(pygments_lexer="ipython3")(source(cell))),
        "count": cell.get("execution_count"),
        "lines": len(source(cell).splitlines()),
        "folded": cell["metadata"].get("jupyter", {}).get("source_hidden", False),
        "parameters": {"parameters", "injected-parameters"} & set(tags(cell)),
        "outputs": [_output(output, markdown) for output in cell["outputs"]],
    }


@cache
def _filters():
    """Return nbconvert's filters, imported when first needed: they take a second."""
    import_jsonschema()
    from nbconvert import filters

    return filters


def _output(output, markdown):
    kind = output["output_type"]
    if kind == "stream":
        return {"kind": output["name"], "html": Markup(_filters().ansi2html(output["text"]))}
    if kind == "error":
        return {"kind": "error", "html": Markup(_filters().ansi2html("\n".join(output["traceback"])))}
    if figure := as_figure(output):
        return {"kind": "figure", "figure": figure, "image": data_uri("image/svg+xml", figure.files["svg"])}
    if verdict := as_verdict(output):
        return {"kind": "verdict", "verdict": verdict}
    data = {kind: "".join(value) if isinstance(value, list) else value for kind, value in output["data"].items()}
    if "text/html" in data:
        return {"kind": "html", "html": Markup(data["text/html"])}
    for kind in _PICTURES:
        if kind in data:
            content = data[kind].encode() if kind == "image/svg+xml" else base64.b64decode(data[kind])
            return {"kind": "image", "image": data_uri(kind, content)}
    if "text/markdown" in data:
        return {"kind": "html", "html": markdown(data["text/markdown"])}
    return {"kind": "stdout", "html": Markup(_filters().ansi2html(data.get("text/plain", "")))}
