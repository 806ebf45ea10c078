"""Compare: one trace under several designs and kernels, as a tidy DataFrame with the truth as the last row."""

import dataclasses

import pandas as pd

from ..cost.ledger import COUNTERS
from ..events import Reclaim, Swapout
from ..strategies import STRATEGIES
from .replay import Options, line_of_peak, replay

SCHEMA = "rmapmodel/compare/1"
TRUTH = "truth"


def compare(trace, strategies=None, kernels=None, options=None, progress=None):
    """Replays a trace under every design and kernel; returns (DataFrame, list of result dicts).

    One row a strategy (and kernel), at their peak where that is said, then the truth; columns are `strategy`, `kernel`,
    `index`, `refused`, `objects` (dict, at each object's peak), `vmas`, `bytes` and `design_bytes` (peaks), `final_vmas`,
    and the counters of `reclaim`. `progress` wraps the list of runs (tqdm). Errors: InputError as replay().
    """
    options = options or Options()
    names = list(strategies or STRATEGIES)
    runs = [(name, kernel) for kernel in (kernels or [options.kernel]) for name in names]
    if options.reclaim == "default":
        own = any(type(event) in (Reclaim, Swapout) for _, event in trace)
        options = dataclasses.replace(options, reclaim="none" if own else "peak")
    if options.reclaim == "peak":
        options = dataclasses.replace(options, reclaim=f"line:{line_of_peak(trace, options, names[0])}")
    rows, results, truth = [], [], None
    for name, kernel in progress(runs) if progress else runs:
        run = replay(trace, name, dataclasses.replace(options, kernel=kernel or options.kernel))
        result = run.result()
        results.append(result)
        rows.append(_row(result))
        truth = truth or _truth(run)
        if run.machine.reclaimed_mappings != result["reclaim"]["mappings"]:
            raise AssertionError(f"{name} finds {result['reclaim']['mappings']} mappings of "
                                 f"{run.machine.reclaimed_mappings} in the page tables")
    return pd.DataFrame([*rows, truth], columns=[*rows[0]]), results


def _row(result):
    return {"strategy": result["strategy"], "kernel": result["kernel"], "index": result["index"],
            "refused": len(result["refused"]), "objects": {
                kind: count for kind, count in result["peak"]["objects"].items() if kind != "vm_area_struct"},
            "vmas": result["peak"]["objects"]["vm_area_struct"], "bytes": result["peak"]["bytes"],
            "design_bytes": result["bytes_design"]["peak"], "final_vmas": result["objects"]["vm_area_struct"],
            **{counter: result["reclaim"][counter] for counter in COUNTERS}}


def _truth(run):
    return {"strategy": TRUTH, "kernel": "", "index": "", "pages": run.machine.ledger.reclaim["pages"],
            "mappings": run.machine.reclaimed_mappings}


def as_json(frame):
    """The comparison as a JSON-ready dict; missing values are null."""
    rows = [{name: None if value is None or value != value else value for name, value in row.items()}
            for row in frame.astype(object).to_dict("records")]
    return {"schema": SCHEMA, "rows": rows}


COLUMNS = (  # heading, unit-bearing name of the column, how it is made
    ("strategy", lambda row: row.strategy), ("kernel", lambda row: row.kernel), ("index", lambda row: row["index"]),
    ("vmas", lambda row: _count(row.vmas)), ("objects", lambda row: _objects(row.objects)),
    ("KiB added", lambda row: "" if pd.isna(row.design_bytes) else f"{row.design_bytes / 1024:.1f}"),
    ("pages", lambda row: _count(row.pages)), ("mappings", lambda row: _count(row.mappings)),
    ("visits", lambda row: _count(row.vmas_examined)), ("per mapping", lambda row: _ratio(row)),
    ("refused", lambda row: _count(row.refused)),
)


def _count(value):
    return "" if pd.isna(value) else f"{int(value)}"


def _ratio(row):
    return "" if pd.isna(row.vmas_examined) or not row.mappings else f"{row.vmas_examined / row.mappings:.2f}"


def _objects(objects):
    return " ".join(f"{kind}:{count}" for kind, count in objects.items()) if isinstance(objects, dict) else ""


def cells(frame, without=()):
    """The comparison as text: (headings, rows of strings)."""
    columns = [(name, make) for name, make in COLUMNS if name not in without]
    return [name for name, _ in columns], [[make(row) for _, make in columns] for _, row in frame.iterrows()]


def as_text(frame, width=None):
    """A plain table with aligned columns; `width` 72 gives the narrow one for a mail (format lkml)."""
    if width is None:
        return aligned(*cells(frame))
    same_kernel = frame.kernel[:-1].nunique() == 1
    left_out = ("index", "objects", "refused") + (("kernel",) if same_kernel else ())
    head, rows = cells(frame, left_out)
    lines = [aligned(head, rows), ""]
    lines += [f"{row.strategy}{'' if same_kernel else ' ' + row.kernel} ({row['index']}): {_objects(row.objects) or '-'}"
              + (f"; {int(row.refused)} refused" if row.refused else "")
              for _, row in frame[:-1].iterrows()]
    if same_kernel:
        lines += ["", f"Rules of kernel {frame.kernel.iloc[0]}. vmas, objects and KiB at their peak; visits: what walks"]
    else:
        lines += ["", "vmas, objects and KiB at their peak; visits: what walks"]
    lines += ["that stop early visit, over all reclaim events."]
    return "\n".join(wrapped for line in lines for wrapped in _wrap(line, width))


def _wrap(line, width):
    while len(line) > width:
        cut = line.rfind(" ", 0, width)
        cut = cut if cut > 0 else width
        yield line[:cut]
        line = "    " + line[cut:].lstrip()
    yield line


def aligned(head, rows):
    """Columns aligned with spaces, numbers to the right."""
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    numeric = [all(row[i] == "" or row[i].replace(".", "", 1).isdigit() for row in rows) and i > 2
               for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(
        row, widths, numeric)).rstrip() for row in table)


def as_markdown(frame):
    """A table in Markdown."""
    head, rows = cells(frame)
    body = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body)


def as_csv(frame):
    """Every column as CSV; `objects` becomes one column a structure."""
    kinds = sorted({kind for objects in frame.objects[:-1] for kind in objects})
    flat = frame.drop(columns="objects")
    for kind in kinds:
        flat[kind] = [objects.get(kind) if isinstance(objects, dict) else None for objects in frame.objects]
    for name in flat.columns:
        if flat[name].dtype.kind in "fO" and name not in ("strategy", "kernel", "index"):
            flat[name] = flat[name].astype("Int64")
    return flat.to_csv(index=False, lineterminator="\n").rstrip("\n")
