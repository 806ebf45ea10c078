"""Which notebooks a report runs, what parameters they declare, and the values a run gives to them."""

import ast
import json
import math
from pathlib import Path

from rmapmodel import yamlfile
from rmapmodel.errors import InputError

SCALES = "scales.yml"
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
    raise InputError(f"no such notebook; there are: {', '.join(path.stem for path in known) or 'none'}", path=name)


def load(path):
    """Return the notebook at `path` as plain JSON.

    Raises InputError if it cannot be read or is no notebook of format 4.
    """
    try:
        notebook = json.loads(Path(path).read_text(encoding="utf-8"))
        if notebook["nbformat"] == 4 and all(cell["cell_type"] in ("code", "markdown", "raw")
                                             for cell in notebook["cells"]):
            return notebook
    except OSError as error:
        raise InputError(error.strerror, path=path) from None
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError("not a Jupyter notebook of format 4", path=path)


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
            except SyntaxError as error:
                raise InputError(f"the parameters cell is not Python: {error.msg}", path=path) from None
            parameters.update(_declaration(line, path) for line in lines)
    return parameters


def _declaration(line, path):
    wanted = "a line of the parameters cell is not `NAME: type = literal`"
    if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
        raise InputError(f"{wanted}: {ast.unparse(line)}", path=path)
    name, kind = line.target.id, ast.unparse(line.annotation)
    if kind not in TYPES:
        raise InputError(f"a type {kind}; known are {', '.join(TYPES)}", path=path, field=name)
    try:
        default = ast.literal_eval(line.value)
    except ValueError:
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
    raise InputError(f"{value!r} is not of the declared type {kind}", path=path, field=name)


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
        raise InputError(f"{text!r} is not of the declared type {kind}", path=path, field=name) from None


def read_yaml(path):
    """Return the mapping that a YAML file holds.

    Raises InputError if it cannot be read, is no YAML, or no mapping.
    """
    content, _ = yamlfile.read(path)
    return {} if content is None else _mapping(content, "a mapping of notebooks to parameters", path)


def _mapping(value, what, path, field=None):
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"wants {what}", path=path, field=field)
    return value


def values(paths, texts, yaml_file=None, scale="full"):
    """Return {stem: {parameter: value}}: the defaults under the set `scale` of scales.yml, the YAML file and `texts`.

    Raises InputError for a name that no chosen notebook declares, or a value of another type.
    """
    types, result = {}, {}
    for path in paths:
        parameters = declared(load(path), path)
        types[path.stem] = {name: kind for name, (kind, _) in parameters.items()}
        result[path.stem] = {name: default for name, (_, default) in parameters.items()}

    def give(stem, mapping, where):
        for name, value in _mapping(mapping, "a mapping of parameters to values", where, stem).items():
            if name not in types[stem]:
                raise InputError(f"{stem} declares no such parameter", path=where, field=name)
            result[stem][name] = _typed(value, types[stem][name], where, name)

    for path in paths:
        scales = path.parent / SCALES
        if scales.is_file():
            sets = _mapping(read_yaml(scales).get(path.stem, {}), "the sets `test` and `full`", scales, path.stem)
            give(path.stem, sets.get(scale, {}), scales)
    if yaml_file is not None:
        known = sorted({*paths, *notebook_folder().glob("*.ipynb")})
        for key, mapping in read_yaml(yaml_file).items():
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
            raise InputError(f"no chosen notebook declares this parameter; declared are: {', '.join(known) or 'none'}",
                             path="-p", field=name)
        for stem in declaring:
            result[stem][name] = from_text(text, types[stem][name], "-p", name)
    return result
