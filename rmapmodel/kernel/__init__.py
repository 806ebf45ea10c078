"""The real kernel: traces executed on the one that runs here."""

import platform

from ..errors import InputError


def require():
    """Raises InputError where no trace can be executed; to be asked before `observe` is imported."""
    here = f"{platform.system()} on {platform.machine()}"
    if here != "Linux on x86_64":
        raise InputError(f"traces are executed by Linux on x86_64, this is {here}")
