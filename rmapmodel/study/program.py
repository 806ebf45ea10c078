"""A program's trace as a notebook is given it: where it lies, and what its costs are against the truth."""

from pathlib import Path

import pandas as pd

from ..errors import InputError
from ..trace.jsonl import read
from .compare import TRUTH

CHECKOUT = Path(__file__).resolve().parents[2]


def locate(name):
    """The path of a trace named from here, from `notebooks/` here, or from `notebooks/` of this checkout.

    So a notebook's default holds wherever the notebook is run. A name that leads nowhere is returned as it is; reading
    it raises the InputError.

    >>> locate("no-such-trace.jsonl").name
    'no-such-trace.jsonl'
    """
    places = [Path(name), Path("notebooks", name), CHECKOUT / "notebooks" / name]
    return next((place for place in places if place.is_file()), places[0])


def recordings():
    """The paths of the recorded programs of data/traces by their names, in the order of these."""
    return {path.name.partition(".")[0]: path for path in sorted((CHECKOUT / "data" / "traces").glob("*.jsonl.*"))}


def recording(name):
    """The path of a recorded program of data/traces by its name, such as `python-pool`; else that of a trace, as locate().

    Raises InputError for a name that is neither.

    >>> recording("python-pool").name
    'python-pool.jsonl.zst'
    """
    known = recordings()
    found = known.get(name) or locate(name)
    if not found.is_file():
        raise InputError(f"no recorded program and no trace is called {name!r}; recorded are {', '.join(known)}")
    return found


SHORT = ("apache2-prefork", "java-g1", "java-zgc", "make-compile", "nginx", "node-workers", "postgresql-pgbench", "python-pool",
         "python-subprocess-threads", "realloc-loop", "redis-bgsave", "shell-pipeline")
"""The recorded programs that replay in about a second or less."""

LOOP = "realloc-loop"
"""The one recording that is of no program people use, but of a loop of realloc, written for the moves it makes."""


def recorded(names=()):
    """Traces of data/traces by their names there without suffix, a dict: those named, or for no names those of `SHORT`.

    Raises InputError for a name that is not there.

    >>> list(recorded(["nginx"])), len(recorded()) == len(SHORT)
    (['nginx'], True)
    """
    return {name: read(recording(name)) for name in names or SHORT}


def against_truth(frame):
    """The rows of a comparison (compare.compare) by strategy: `kib` added at the peak, `visits` and `probes` a mapping.

    `objects` is their number at the peak, vmas aside. Where nothing was mapped, what is counted a mapping is missing.
    """
    rows = frame[frame.strategy != TRUTH].set_index("strategy")
    mappings = rows.mappings.astype(float).where(rows.mappings > 0)
    return pd.DataFrame({"kib": rows.design_bytes / 1024, "visits": rows.vmas_examined / mappings,
                         "probes": rows.ptes_examined / mappings,
                         "objects": [sum(objects.values()) for objects in rows.objects]})


def objects_of(frame):
    """How many of each structure a comparison counts at their peak: a Series by `strategy: structure`."""
    return pd.Series({f"{row.strategy}: {kind}": count for row in frame.itertuples() if row.strategy != TRUTH
                      for kind, count in row.objects.items()}, dtype=float)
