"""Eras: the releases of Linux, and the reverse map of anonymous memory that each shipped with."""

from ..vm.kernel import Kernel

_LAST_MINOR = {3: 19, 4: 20, 5: 19, 6: 19}


def releases(oldest="2.6.0", newest="7.0"):
    """The releases from one to another as text, ascending: 2.6.0 to 2.6.39, 3.0 to 6.19, 7.0.

    >>> releases("2.6.38", "3.1")
    ['2.6.38', '2.6.39', '3.0', '3.1']
    """
    every = [f"2.6.{patch}" for patch in range(40)]
    every += [f"{major}.{minor}" for major, last in _LAST_MINOR.items() for minor in range(last + 1)] + ["7.0"]
    low, high = Kernel.parse(oldest).version, Kernel.parse(newest).version
    return [text for text in every if low <= Kernel.parse(text).version <= high]


def shipped(kernel):
    """The design that mainline Linux of this version had for anonymous memory.

    2.6.7's merge window had anonmm for a while, but no release did.

    >>> [shipped(kernel) for kernel in ("2.4.22", "2.6.4", "2.6.33", "7.0")]
    ['page_table_scan', 'pte_chain', 'anon_vma', 'anon_vma_chain']
    """
    version = Kernel.parse(kernel).version
    designs = {(2, 6, 34): "anon_vma_chain", (2, 6, 7): "anon_vma", (2, 5, 27): "pte_chain"}
    return next((name for since, name in designs.items() if version >= since), "page_table_scan")


def spans(kernels, within):
    """Runs of neighbouring releases, of a list, as texts like `3.0 to 6.15`; `within` are those that belong to a run.

    >>> spans(["2.6.39", "3.0", "3.1", "3.2"], ["3.0", "3.1"])
    ['3.0 to 3.1']
    """
    runs = []
    for at, kernel in enumerate(kernels):
        if kernel in within:
            if runs and runs[-1][1] == at - 1:
                runs[-1][1] = at
            else:
                runs.append([at, at])
    return [kernels[low] if low == high else f"{kernels[low]} to {kernels[high]}" for low, high in runs]
