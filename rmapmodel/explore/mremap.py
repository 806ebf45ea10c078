"""The explorer of notebook 01: what a lookup reads when inherited memory has moved."""

from .guess import Guess, bars, choice, number, slider


def explorer(costs, moved, shared):
    """A Guess over a sweep of `mremap_inherited`: probes a mapping of each design, at a point of the sweep.

    `costs` is a DataFrame with the columns `moved`, `shared`, `strategy`, `probes_per_mapping` and `kib` (KiB that the
    design adds); `moved` and `shared` are the values at which the sliders begin.
    """
    table = costs.set_index(["moved", "shared", "strategy"])[["probes_per_mapping", "kib"]]
    probes, kib = table.probes_per_mapping.to_dict(), table.kib.to_dict()
    names = list(dict.fromkeys(costs.strategy))

    def answer(design, moved, shared):
        at = {name: (moved, shared, name) for name in names}
        return probes[at[design]], (bars([(name, probes[at[name]]) for name in names], "ptes read a mapping", design)
                                    + bars([(name, kib[at[name]]) for name in names], "KiB added", design))

    return Guess(
        "How many page table entries does a lookup of this design read for each mapping that it finds?",
        number("Your guess", 1e9), answer, design=choice("Design", names, "anonmm" if "anonmm" in names else None),
        moved=slider("Fraction each child moves", sorted(set(costs.moved)), moved),
        shared=slider("Fraction still shared", sorted(set(costs.shared)), shared))
