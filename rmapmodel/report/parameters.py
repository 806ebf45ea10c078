"""Which notebooks a report runs, what parameters they declare, and the values a run gives to them."""

import ast
import json
import math
from pathlib import Path

from rmapmodel.documents import read_yaml, shortened
from rmapmodel.errors import InputError, hint

SCALES = "scales.yml"
EXECUTED = "EXECUTED"  # the parameter of a notebook that reads what the others found; see verdicts.py
CHECKOUT = Path(__file__).resolve().parents[2]
_SCALARS = {"int": int, "float": float, "str": str, "bool": bool}
TYPES = {**_SCALARS, **{f"list[{name}]": (list, kind) for name, kind in _SCALARS.items() if kind is not bool}}


def notebook_folder():
    """Return where notebooks named without a path are: `notebooks/` here, else in the checkout of this package."""
    here = Path("notebooks")
    return here if here.is_dir() else CHECKOUT / "notebooks"


def find(names=None):
    """Return the paths of the named notebooks (a path, a stem, or the number it begins with), all without names.

    Raises InputError for a name that is no notebook, or of more than one.
    """
    known = sorted(notebook_folder().glob("*.ipynb"))
    if not names:
        if not known:
            raise InputError("no notebooks here", path=notebook_folder())
        return known
    found = [_find(name, known) for name in names]
    stems = [path.stem for path in found]
    for path in found:
        if stems.count(path.stem) > 1:
            raise InputError("given twice, or two notebooks of one name", path=path)
    return found


def _find(name, known):
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name)
    stem = name.removesuffix(".ipynb")
    matching = [path for path in known if stem in (path.stem, path.stem.partition("-")[0])]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise InputError("is the beginning of " + " and ".join(path.stem for path in matching), path=name)
    stems = [path.stem for path in known]
    raise InputError(f"no such notebook{hint(stem, stems)} (there are: {', '.join(stems) or 'none'})", path=name)


def load(path):
    """Return the notebook at `path` as plain JSON.

    Raises InputError if it cannot be read or is no notebook of format 4.
    """
    try:
        notebook = json.loads(Path(path).read_text(encoding="utf-8"))
        if notebook["nbformat"] == 4 and all(map(_is_cell, notebook["cells"])):
            return notebook
    except OSError as error:
        raise InputError(error.strerror, path=path) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise InputError("not a Jupyter notebook of format 4", path=path)


def _is_cell(cell):
    lines, metadata = cell["source"], cell.get("metadata", {})
    code = cell["cell_type"] == "code"
    return (cell["cell_type"] in ("code", "markdown", "raw")
            and (isinstance(lines, str) or isinstance(lines, list) and all(isinstance(line, str) for line in lines))
            and isinstance(metadata, dict) and isinstance(metadata.get("tags", []), list)
            and (not code or isinstance(cell.get("outputs", []), list)))


def source(cell):
    """Return the text of a cell, which a notebook file may hold as a string or as a list of lines."""
    return "".join(cell["source"])


def tags(cell):
    """Return the tags of a cell."""
    return cell.get("metadata", {}).get("tags", [])


def declared(notebook, path=None):
    """Return {name: (type name, default)} of the cell tagged `parameters`.

    Raises InputError where a line is not `NAME: type = literal` with a type of `TYPES`.

    >>> declared({"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]},
    ...                      "source": "PAGES: int = 5  # pages a vma"}]})
    {'PAGES': ('int', 5)}
    """
    parameters = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and "parameters" in tags(cell):
            try:
                lines = ast.parse(source(cell)).body
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise InputError(f"the parameters cell is not Python: {getattr(error, 'msg', error)}", path=path) from None
            parameters.update(_declaration(line, path) for line in lines)
    return parameters


def names_read(notebook):
    """Return the names that cells other than `parameters` read; None where a cell is no Python, so that it is not known."""
    found = set()
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code" or "parameters" in tags(cell):
            continue
        try:
            tree = ast.parse(source(cell))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return found


def _declaration(line, path):
    wanted = "a line of the parameters cell is not `NAME: type = literal`"
    if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
        raise InputError(f"{wanted}: {ast.unparse(line)}", path=path)
    name, kind = line.target.id, ast.unparse(line.annotation)
    if kind not in TYPES:
        raise InputError(f"a type {kind}; known are {', '.join(TYPES)}", path=path, field=name)
    try:
        default = ast.literal_eval(line.value)
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise InputError(f"{wanted}: {ast.unparse(line)}", path=path, field=name) from None
    return name, (kind, _typed(default, kind, path, name))


def _typed(value, kind, path, name):
    """Return a value from Python or YAML if it is of the declared type (an int does for a float)."""
    if kind.startswith("list["):
        if isinstance(value, list):
            return [_typed(item, kind[5:-1], path, name) for item in value]
    elif kind == "float":
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    elif type(value) is _SCALARS[kind]:
        return value
    raise InputError(f"{shortened(value)} is not of the declared type {kind}", path=path, field=name)


def from_text(text, kind, path=None, name=None):
    """Return the value that a command line's text means for a declared type; a list is separated by commas.

    Raises InputError if it means none.

    >>> from_text("1,2", "list[int]"), from_text("true", "bool"), from_text("0x10", "int")
    ([1, 2], True, 16)
    """
    if kind.startswith("list["):
        return [from_text(item, kind[5:-1], path, name) for item in text.split(",")] if text else []
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        value = int(text, 0) if kind == "int" else _SCALARS[kind](text)
        return _typed(value, kind, path, name)
    except (KeyError, ValueError):
        raise InputError(f"{shortened(text)} is not of the declared type {kind}", path=path, field=name) from None


def injected(notebook, parameters):
    """Return a notebook whose cell after the declarations gives the `parameters` that differ from their defaults."""
    defaults = declared(notebook)
    changed = [f"{name} = {value!r}" for name, value in parameters.items() if value != defaults[name][1]]
    if not changed:
        return notebook
    after = 1 + max(i for i, cell in enumerate(notebook["cells"]) if "parameters" in tags(cell))
    cell = {"cell_type": "code", "id": "injected-parameters", "metadata": {"tags": ["injected-parameters"]},
            "source": "\n".join(changed), "execution_count": None, "outputs": []}
    return {**notebook, "cells": [*notebook["cells"][:after], cell, *notebook["cells"][after:]]}


def _mapping(value, what, path, field=None):
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"wants {what}", path=path, field=field)
    return value


def values(paths, texts, yaml_file=None, scale="full"):
    """Return {stem: {parameter: value}}: the defaults under the set `scale` of scales.yml, the YAML file and `texts`.

    Raises InputError for a name that no chosen notebook declares, or a value of another type.
    """
    types, result, read = {}, {}, {}
    for path in paths:
        notebook = load(path)
        parameters, read[path.stem] = declared(notebook, path), names_read(notebook)
        types[path.stem] = {name: kind for name, (kind, _) in parameters.items()}
        result[path.stem] = {name: default for name, (_, default) in parameters.items()}

    def require_read(stem, name, where):
        if read[stem] is not None and name not in read[stem]:
            raise InputError(f"no cell of {stem} reads this parameter, so it would do nothing", path=where, field=name)

    def give(stem, mapping, where):
        for name, value in _mapping(mapping, "a mapping of parameters to values", where, stem).items():
            if name not in types[stem]:
                raise InputError(f"{stem} declares no such parameter{hint(name, types[stem])}", path=where, field=name)
            require_read(stem, name, where)
            result[stem][name] = _typed(value, types[stem][name], where, name)

    for path in paths:
        scales = path.parent / SCALES
        if scales.is_file():
            sets = _mapping(read_yaml(scales).get(path.stem, {}), "the sets `test` and `full`", scales, path.stem)
            give(path.stem, sets.get(scale, {}), scales)
    if yaml_file is not None:
        known = sorted({*paths, *notebook_folder().glob("*.ipynb")})
        for key, mapping in read_yaml(yaml_file, "a mapping of notebooks to parameters").items():
            try:
                stem = _find(key, known).stem
            except InputError as error:
                raise InputError(error.reason, path=yaml_file, field=key) from None
            if stem in types:
                give(stem, mapping, yaml_file)
    for name, text in texts.items():
        declaring = [stem for stem in types if name in types[stem]]
        if not declaring:
            known = sorted({name for names in types.values() for name in names})
            raise InputError(f"no chosen notebook declares this parameter{hint(name, known)} "
                             f"(declared are: {', '.join(known) or 'none'})", path="-p", field=name)
        for stem in declaring:
            require_read(stem, name, "-p")
            result[stem][name] = from_text(text, types[stem][name], "-p", name)
    return result
