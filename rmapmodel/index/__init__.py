"""Search structures over sets of vmas: each reports exactly the entries the original would, in its order."""

from ..errors import InputError
from .interval_tree import IntervalTree
from .linked_list import LinkedList

INDEXES = {"list": LinkedList, "interval_tree": IntervalTree}


def make_index(name):
    """An empty index of that name; raises InputError for an unknown one."""
    if name not in INDEXES:
        raise InputError(f"unknown index {name!r}; there are {', '.join(INDEXES)}", field="index")
    return INDEXES[name]()
