"""The claims of executed notebooks, for a notebook about all others.

Such a notebook declares the parameter EXECUTED, a folder with executed notebooks, empty by default. A report runs it when
the others are done, in the folder where they lie, and gives it that folder: `.`, the same in every report.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rmapmodel.errors import InputError
from rmapmodel.report import collect
from rmapmodel.report.pages import plain, title
from rmapmodel.report.parameters import EXECUTED, declared, find, load

_REPORT = "import json, sys; from rmapmodel.report import run; run(**json.loads(sys.argv[1]))"


def read_claims(folder="", names=()):
    """Return (claims, failed) of the notebooks in `folder`, or of those here, run at test scale, where it is empty.

    `names` (numbers or stems) chooses some of them. A claim is what verdict() was given, with the `notebook`, its `title`
    and the `people` who made it; `failed` names the notebooks that did not finish. Raises InputError for a name or a
    folder that has none. Cost: without a folder, a report.
    """
    if folder:
        return _read(folder, names)
    chosen = [str(path) for path in find(names) if EXECUTED not in declared(load(path))]
    with tempfile.TemporaryDirectory() as scratch:
        arguments = {"notebooks": chosen, "scale": "test", "out": f"{scratch}/report"}
        # a process of its own: a kernel's event loop runs already, and a report needs one
        made = subprocess.run([sys.executable, "-c", _REPORT, json.dumps(arguments)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        if made.returncode:
            raise InputError((made.stderr.strip().splitlines() or ["the report did not finish"])[-1])
        return _read(f"{scratch}/report/notebooks", ())


def _read(folder, names):
    claims, failed, unmet = [], [], set(names)
    for path in sorted(Path(folder).glob("*.ipynb")):
        stem, notebook = path.stem.removesuffix(".failed"), load(path)
        own = {stem, stem.partition("-")[0]}
        if EXECUTED in declared(notebook) or names and not own & set(names):
            continue
        unmet -= own
        if stem != path.stem:
            failed.append(stem)
        for verdict in filter(None, map(collect.as_verdict, collect.outputs(notebook))):
            claims += [{**claim, "notebook": stem, "title": title(notebook, stem), "people": collect.people(claim)}
                       for claim in verdict.claims]
    if unmet or not claims:
        raise InputError(f"no executed notebook {', '.join(sorted(unmet)) or 'with a verdict'} here", path=folder)
    return claims, failed


def as_markdown(claims):
    """Return a table of claims by person in Markdown: what each claimed, whether it held, where it stops, the notebook."""
    rows = ["| who | claim | measured | verdict | where it stops | notebook |", "|---|---|---|---|---|---|"]
    for person, claim in sorted(((person, claim) for claim in claims for person in claim["people"]), key=_place):
        told = [person, claim["claim"], plain(claim["measured"]), claim.get("where_it_stops", "")]
        who, what, measured, limit = (re.sub(r"([\\|<*_`])", r"\\\1", text) for text in told)
        verdict = "holds" if claim["holds"] else "**does not hold**"
        link = f"[{claim['notebook'].partition('-')[0]}]({claim['notebook']}.ipynb#Verdict)"
        rows.append(f"| {who} | {what} | {measured} | {verdict} | {limit} | {link} |")
    return "\n".join(rows)


def _place(made):
    person, claim = made
    return person == collect.OWN, person, claim["notebook"]
