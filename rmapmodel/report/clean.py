"""What a run leaves in a notebook that differs from run to run or machine to machine, taken out."""

import os
import re
import tempfile

from rmapmodel.report.parameters import CHECKOUT, tags
from rmapmodel.report.strip import KEPT, KERNEL

# Object addresses in a repr, and the file that ipykernel says a cell is, process id included.
_ADDRESS = re.compile(r"((?:<|&lt;)[^<>\n]*? at )0x[0-9a-f]+")
_CELL_FILE = re.compile(re.escape(tempfile.gettempdir()) + r"/ipykernel_\d+/\d+\.py")
# Where this checkout is, as Python says it and as IPython's tracebacks do.
_PLACE = f"{CHECKOUT}{os.sep}"
_HERE = re.compile("|".join(rf"(?<![\w.~-]){re.escape(place)}" for place in (
    _PLACE, _PLACE.replace(os.path.expanduser("~") + os.sep, "~/", 1))))
_STYLED = re.compile(r'<table id="(T_[0-9a-f]+)"')  # the random name that pandas gives to a styled table
_WIDGET = "application/vnd.jupyter.widget-view+json"
_ERROR_MARKER = "papermill-error-cell-tag"


def clean_text(text):
    """Return text without object addresses and without this checkout's path.

    >>> clean_text("<Machine at 0x7f01>, page at 0x1000")
    '<Machine at 0x…>, page at 0x1000'
    """
    return _HERE.sub("", _CELL_FILE.sub("cell", _ADDRESS.sub(r"\g<1>0x…", text)))


def clean(notebook):
    """Clean an executed notebook in place: times, widgets, random names, split streams, addresses and paths."""
    notebook.update(metadata=KERNEL, nbformat_minor=5)
    notebook["cells"] = [cell for cell in notebook["cells"] if _ERROR_MARKER not in tags(cell)]
    for cell in notebook["cells"]:
        cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key in KEPT}
        if cell["cell_type"] == "code":
            shown = [output for output in cell["outputs"] if _WIDGET not in output.get("data", {})]
            cell["outputs"] = [_output(output, f"T_{cell['id']}_{n}") for n, output in enumerate(_joined(shown))]


def _output(output, name):
    if output["output_type"] == "stream":
        output["text"] = clean_text(output["text"])
    elif output["output_type"] == "error":
        output["evalue"] = clean_text(output["evalue"])
        output["traceback"] = [clean_text(line) for line in output["traceback"]]
    else:
        output["data"] = {kind: clean_text("".join(value)) if kind.startswith("text/") else value
                          for kind, value in output["data"].items()}
        if styled := _STYLED.search(output["data"].get("text/html", "")):
            output["data"]["text/html"] = output["data"]["text/html"].replace(styled[1], name)
    return output


def _joined(outputs):
    """Join streams as the clock split and mixed them: between two displays, stdout is one output, then stderr."""
    result, streams = [], {}
    for output in [*outputs, None]:
        if output is not None and output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + "".join(output["text"])
            continue
        result += [{"output_type": "stream", "name": name, "text": streams[name]}
                   for name in ("stdout", "stderr") if name in streams]
        streams = {}
        result.append(output)
    return result[:-1]
