"""Compare: one trace under several designs and kernels, as a tidy DataFrame with the truth as the last row."""

import dataclasses
import textwrap

import pandas as pd

from ..cost.ledger import COUNTERS
from ..strategies import STRATEGIES
from .replay import Options, line_of_peak, replay, settled

SCHEMA = "rmapmodel/compare/1"
TRUTH = "truth"


def compare(trace, strategies=None, kernels=None, options=None, progress=None):
    """Replays a trace under every design and kernel; returns (DataFrame, list of result dicts).

    One row a strategy (and kernel), then the truth: one row, or one a kernel where they differ. Columns: `strategy`,
    `kernel`, `index`, `refused`, `objects` (dict, at each object's peak), `vmas`, `bytes` and `design_bytes` (peaks),
    `final_vmas`, and the counters of `reclaim`. `progress` wraps the list of runs (tqdm). Errors: InputError and
    CheckFailed as replay().
    """
    options = settled(trace, options or Options(reclaim="default"))
    names = list(strategies or STRATEGIES)
    runs = [(name, kernel) for kernel in (kernels or [options.kernel]) for name in names]
    rows, results, truths, peaks = [], [], {}, {}
    for name, kernel in progress(runs) if progress else runs:
        chosen = dataclasses.replace(options, kernel=kernel)
        if options.reclaim == "peak":
            if kernel not in peaks:
                peaks[kernel] = line_of_peak(trace, chosen, names[0])
            chosen = dataclasses.replace(chosen, reclaim="none", reclaim_after=peaks[kernel])
        run = replay(trace, name, chosen)
        result = run.result()
        results.append(result)
        rows.append(row_of(result))
        # what a design refused is not in its own page tables: the truth is that of the run that refused least
        if kernel not in truths or len(result["refused"]) < truths[kernel][0]:
            truths[kernel] = len(result["refused"]), _truth(run)
    truths = [truth for _, truth in truths.values()]
    if all((truth["pages"], truth["mappings"]) == (truths[0]["pages"], truths[0]["mappings"]) for truth in truths):
        truths = [{**truths[0], "kernel": ""}]
    return pd.DataFrame([*rows, *truths], columns=[*rows[0]]), results


def row_of(result):
    """The row of a table that one replay's result makes: its columns are told at compare()."""
    return {"strategy": result["strategy"], "kernel": result["kernel"], "index": result["index"],
            "refused": len(result["refused"]), "objects": {
                kind: count for kind, count in result["peak"]["objects"].items() if kind != "vm_area_struct"},
            "vmas": result["peak"]["objects"]["vm_area_struct"], "bytes": result["peak"]["bytes"],
            "design_bytes": result["bytes_design"]["peak"], "final_vmas": result["objects"]["vm_area_struct"],
            **{counter: result["reclaim"][counter] for counter in COUNTERS}}


def _truth(run):
    return {"strategy": TRUTH, "kernel": run.machine.kernel.text, "index": "", "pages": run.machine.ledger.reclaim["pages"],
            "mappings": run.machine.reclaimed_mappings}


def as_json(frame):
    """The comparison as a JSON-ready dict; missing values are null."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in frame.astype(object).to_dict("records")]
    return {"schema": SCHEMA, "rows": rows}


def _plain(value):
    if isinstance(value, (str, dict)):
        return value
    return None if pd.isna(value) else int(value)


COLUMNS = {  # heading: how a cell is made of a row
    "strategy": lambda row: row.strategy,
    "kernel": lambda row: row.kernel,
    "index": lambda row: row["index"],
    "objects": lambda row: _objects(row.objects),
    "vmas": lambda row: _count(row.vmas),
    "KiB added": lambda row: "" if pd.isna(row.design_bytes) else f"{row.design_bytes / 1024:.1f}",
    "pages": lambda row: _count(row.pages),
    "mappings": lambda row: _count(row.mappings),
    "visits": lambda row: _count(row.vmas_examined),
    "per mapping": lambda row: _ratio(row),
    "refused": lambda row: _count(row.refused),
}
WORDS = ("strategy", "kernel", "index", "objects")
MAIL = {"strategy": "strategy", "kernel": "kernel", "vmas": "vmas", "KiB added": "KiB", "mappings": "mappings",
        "visits": "visits", "per mapping": "per map"}
"""The columns of a table for a mail, and their shorter headings."""


def _count(value):
    return "" if pd.isna(value) else f"{int(value)}"


def _ratio(row):
    return "" if pd.isna(row.vmas_examined) or not row.mappings else f"{row.vmas_examined / row.mappings:.2f}"


def _objects(objects):
    return " ".join(f"{kind}:{count}" for kind, count in objects.items()) if isinstance(objects, dict) else ""


def _cells(frame, columns):
    return [[COLUMNS[name](row) for name in columns] for _, row in frame.iterrows()]


def _aligned(columns, headings, rows, gap="  "):
    table = [headings, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    return [gap.join(cell.ljust(width) if name in WORDS else cell.rjust(width)
                     for name, cell, width in zip(columns, row, widths)).rstrip() for row in table]


def as_text(frame, width=None):
    """A plain table with aligned columns; `width` 72 gives the narrow one for a mail (format lkml)."""
    if width is None:
        columns = list(COLUMNS)
        return "\n".join(_aligned(columns, columns, _cells(frame, columns)))
    kernels = list(frame.kernel[frame.strategy != TRUTH].unique())
    columns = [name for name in MAIL if name != "kernel" or len(kernels) > 1]
    lines = _aligned(columns, [MAIL[name] for name in columns], _cells(frame, columns), gap=" ")
    lines.append("")
    for _, row in frame[frame.strategy != TRUTH].iterrows():
        name = row.strategy if len(kernels) == 1 else f"{row.strategy} on {row.kernel}"
        refused = f"; {int(row.refused)} events refused" if row.refused else ""
        lines += _wrap(f"{name} ({row['index']}): {_objects(row.objects) or 'no objects'}{refused}", width)
    rules = f"Rules of kernel {kernels[0]}. " if len(kernels) == 1 else ""
    lines += ["", *_wrap(f"{rules}vmas, objects and KiB (added by the design) are peaks; visits are what reverse-map walks "
                         f"that stop at the last mapping visit, over all reclaim events.", width, indent="")]
    return "\n".join(lines)


def _wrap(text, width, indent="    "):
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


def as_markdown(frame):
    """A table in Markdown."""
    body = [list(COLUMNS), ["---"] * len(COLUMNS), *_cells(frame, COLUMNS)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body)


def as_csv(frame):
    """Every column as CSV; `objects` becomes one column a structure."""
    kinds = sorted({kind for objects in frame.objects.dropna() for kind in objects})
    flat = frame.drop(columns="objects")
    for kind in kinds:
        flat[kind] = [objects.get(kind) if isinstance(objects, dict) else None for objects in frame.objects]
    for name in flat.columns:
        if flat[name].dtype.kind in "fO" and name not in ("strategy", "kernel", "index"):
            flat[name] = flat[name].astype("Int64")
    return flat.to_csv(index=False, lineterminator="\n").rstrip("\n")
