"""Search structures over sets of vmas: each reports exactly the entries the original would, in its order."""

from ..errors import InputError, hint
from .interval_tree import IntervalTree
from .linked_list import LinkedList
from .prio_tree import PrioTree

INDEXES = {"list": LinkedList, "prio_tree": PrioTree, "interval_tree": IntervalTree}
WORD = {"i386": 32, "x86_64": 64}


def make_index(name, arch="x86_64"):
    """An empty index of that name; raises InputError for an unknown one."""
    if name not in INDEXES:
        raise InputError(f"unknown index {name!r}{hint(name, INDEXES)} (there are {', '.join(INDEXES)})", field="index")
    return PrioTree(WORD[arch]) if name == "prio_tree" else INDEXES[name]()
