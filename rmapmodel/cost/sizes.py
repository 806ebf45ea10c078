"""How large the kernel's structures are, and which of their cache lines a walk reads; tables ship with the package."""

import csv
from functools import lru_cache
from importlib.resources import files

from ..errors import InputError

LINE = {"i386": 32, "x86_64": 64}
"""Bytes of a cache line, by architecture (contract section 4)."""

FIELD = {  # bytes of what a design embeds in vma, mm or page
    "i386": {"pointer": 4, "int": 4, "long": 4, "list_head": 8, "rb_node": 12},
    "x86_64": {"pointer": 8, "int": 4, "long": 8, "list_head": 16, "rb_node": 24},
}

_BEST = {"slabinfo": 2, "BTF": 1, "computed": 0}

# A size the table lacks, computed from the fields named: (structure, fields)
_COMPUTED = {"cow_context": ("pointer", "pointer", "list_head", "list_head", "int", "int", "pointer", "pointer"),
             "remap_record": ("long", "long", "long", "pointer")}


@lru_cache
def _table(name):
    with (files(__package__) / name).open(encoding="utf-8", newline="") as source:
        return tuple(csv.DictReader(source))


def _version(text):
    return tuple(int(part) for part in (text.split(".") + ["0"])[:3])


def size_of(structure, arch, version, fields=None):
    """(bytes, how known) of a structure: slabinfo before BTF before computed, of the nearest version not newer.

    Where no row is old enough the oldest is used; `fields` (names of FIELD) win over the table. Errors: InputError for
    a structure that no table names.

    >>> size_of("anon_vma", "x86_64", (7, 0, 0))
    (104, 'slabinfo, 6.18')
    >>> size_of("anonmm", "i386", (2, 6, 4))
    (24, 'computed, 2.6.6-bk')
    """
    rows = [row for row in _table("structure_sizes.csv") if row["structure"] == structure and row["arch"] == arch
            and row["cache_line"] in ("", str(LINE[arch]))]
    if fields or not rows:
        if not fields and structure not in _COMPUTED:
            raise InputError(f"no size is known for the structure {structure} on {arch}")
        fields = fields or _COMPUTED[structure]
        return sum(FIELD[arch][field] for field in fields), "computed from its fields"
    since = {id(row): _version(row["since"]) for row in rows}
    old = [row for row in rows if since[id(row)] <= version]
    if old:
        best = max(old, key=lambda row: (since[id(row)], _BEST[row["how_known"]]))
    else:
        best = min(rows, key=lambda row: (since[id(row)], -_BEST[row["how_known"]]))
    return int(best["bytes"]), f"{best['how_known']}, {best['kernel_version']}"


def lines_of(structure, arch, version):
    """How many cache lines of a structure a walk reads (cache_lines.csv), in the nearest version not newer."""
    rows = [row for row in _table("cache_lines.csv") if row["structure"] == structure and row["arch"] == arch]
    if not rows:
        return 1
    old = [row for row in rows if _version(row["since"]) <= version] or rows[:1]
    return int(max(old, key=lambda row: _version(row["since"]))["lines"])
