"""The memory a trace may take, estimated before it is taken."""

from ..errors import InputError


class Budget:
    """Bytes this program may use for a trace; `need` raises InputError before the limit is passed."""

    __slots__ = ("limit", "used")

    def __init__(self, limit):
        self.limit, self.used = limit, 0

    def need(self, size):
        """Takes `size` bytes."""
        self.foresee(size)
        self.used += size

    def foresee(self, size):
        """Says that `size` bytes will be needed one by one: raises now what would be raised then."""
        if self.used + size > self.limit:
            raise InputError(f"needs more memory than --max-memory allows ({self.limit} bytes)")

    def free(self, size):
        """Gives `size` bytes back."""
        self.used -= size
