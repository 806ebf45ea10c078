"""Families: what forks leave behind. Locks that many lookups share, objects that outlive their process."""

from collections import Counter

import numpy as np
import pandas as pd

from ..vm.frames import ANON
from .replay import Options, applied, machine_for, replay


def lock_load(machine):
    """How the reverse-map locks of one lookup of every resident anonymous page are spread, as a dict.

    `lookups` and the `visits` they make; `locks`, different ones taken; of the busiest one `busiest`, the lookups that
    take it, and `held`, the visits made while it is held. Where the locks are the pages' own, each lookup takes another.
    Zeros for a design that takes none. Cost: a walk an object.

    >>> from ..trace.memory import InMemory
    >>> from ..trace.workloads import generate
    >>> family = InMemory(*generate("thousand_children", children=3, pages=2))
    >>> lock_load(replay(family, "anon_vma").machine)
    {'lookups': 8, 'visits': 20, 'locks': 1, 'busiest': 8, 'held': 20}
    """
    resident = machine.resident()
    pages = resident[machine.frames.flags[resident] & ANON != 0]
    taken, held, visits = Counter(), Counter(), 0
    anchors = machine.frames.anchor[pages]
    for anchor in np.unique(anchors):
        walk = machine.strategy.walk(pages[anchors == anchor])
        visits += int(walk.examined.sum())
        for name, _, instance, _, count in walk.taken:
            if instance is None:
                taken.update({(name, anchor, page): 1 for page in range(count)})
                held.update({(name, anchor, page): int(walk.examined.max()) for page in range(count)})
                continue
            taken[name, instance] += count
            held[name, instance] += int(walk.examined.sum())
    busiest, count = max(taken.items(), key=lambda each: each[1], default=(None, 0))
    return {"lookups": len(pages), "visits": visits, "locks": len(taken), "busiest": count, "held": held[busiest]}


def growth(trace, strategy, options=None):
    """What is alive after each event: a row for each, `event` from 1, a column for each structure, and `owners`.

    `owners` is the most processes that put their new pages into one object, where the design has objects by vma.
    Cost: a replay, and one pass over the vmas for each event.
    """
    owners = []
    run = replay(trace, strategy, options, timeline=True, after=lambda machine, _: owners.append(_owners(machine)))
    alive = pd.DataFrame([objects for *_, objects in run.timeline])
    return alive.assign(owners=owners).set_index(pd.RangeIndex(1, len(alive) + 1, name="event")).reset_index()


def _owners(machine):
    mms = {}
    for mm in machine.mms.values():
        for vma in mm.vmas:
            if vma.anon is not None:
                mms.setdefault(id(vma.anon), set()).add(mm.number)
    return max(map(len, mms.values()), default=0)


def attached(trace, every=50, options=None):
    """How many vmas have how many AVCs under anon_vma_chain: a Series by that number, summed over samples.

    A sample is taken after every so many events. Cost: a replay, and one pass over the vmas for each sample.
    """
    counts = Counter()

    def sample(machine, number):
        if number % every == 0:
            counts.update(len(vma.links or ()) for mm in machine.mms.values() for vma in mm.vmas)
    replay(trace, "anon_vma_chain", options, after=sample)
    return pd.Series(counts, dtype="int64").sort_index()


def by_event(trace, strategy, options=None):
    """What each kind of event costs a design: a row for each op, with `events`, `objects` and `locks`.

    `objects` are those of the design it made, less those it freed; `locks` the acquisitions of reverse-map locks, those
    of file pages left out. Cost: a replay. Errors: InputError as replay().

    >>> from ..trace.memory import InMemory
    >>> from ..trace.workloads import generate
    >>> family = InMemory(*generate("fork_server", children=3, vmas=5, pages=1, written=0))
    >>> by_event(family, "anon_vma_chain").loc["Fork"].to_dict()
    {'events': 3, 'objects': 45, 'locks': 30}
    """
    machine = machine_for(trace.header, strategy, options or Options())
    rows, before = {}, _spent(machine)
    for _, event in applied(machine, trace):
        after = _spent(machine)
        rows.setdefault(type(event).__name__, Counter()).update(
            events=1, objects=after[0] - before[0], locks=after[1] - before[1])
        before = after
    return pd.DataFrame(rows, index=["events", "objects", "locks"]).T


def _spent(machine):
    alive, locks = machine.ledger.alive(), machine.ledger.locks
    return (sum(alive.values()) - alive["vm_area_struct"],
            sum(each.acquired for (name, _), each in locks.items() if name != "i_mmap"))


def unshared(trace, every=50, options=None):
    """Of the anon_vmas and AVCs of anon_vma_chain, the share whose whole tree is one process's: a Series by structure.

    What a design that makes them at the first fork, or at the moment they are shared, could leave out. Averaged over
    samples, one after every so many events; missing where there never were any. Cost: a replay, and one pass over the
    vmas for each sample.
    """
    alone, all_ = Counter(), Counter()

    def sample(machine, number):
        if number % every:
            return
        mms, objects = {}, {}
        for mm in machine.mms.values():
            for vma in mm.vmas:
                for avc in vma.links or ():
                    root = avc.anon_vma.root
                    mms.setdefault(root, set()).add(mm.number)
                    objects.setdefault(root, (set(), []))[0].add(avc.anon_vma)
                    objects[root][1].append(avc)
        for root, made in objects.items():
            sizes = dict(zip(("anon_vma", "anon_vma_chain"), map(len, made)))
            all_.update(sizes)
            if len(mms[root]) == 1:
                alone.update(sizes)
    replay(trace, "anon_vma_chain", options, after=sample)
    return pd.Series({kind: alone[kind] / all_[kind] if all_[kind] else np.nan for kind in ("anon_vma", "anon_vma_chain")})
