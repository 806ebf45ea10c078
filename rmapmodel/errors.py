"""What a command shows as one line: bad input (exit status 2), a result that fails its own check (1); and ENOMEM."""

from difflib import get_close_matches


def hint(word, known, at_all=False):
    """What to add to an error about an unknown name: the nearest right one, where one is near (or `at_all`).

    >>> hint("frok", ["spawn", "fork"]), hint("x", ["fork"])
    ('; did you mean fork?', '')
    """
    near = get_close_matches(str(word)[:100], list(map(str, known)), 1, 0 if at_all else 0.6)
    return f"; did you mean {near[0]}?" if near else ""


class InputError(Exception):
    """Bad input: names the file, the line and the field where that is known.

    >>> print(InputError("mmap wants a length", path="t.jsonl", line=3, field="len"))
    t.jsonl:3: len: mmap wants a length
    """

    def __init__(self, reason, path=None, line=None, field=None):
        super().__init__(reason)
        self.reason, self.path, self.line, self.field = reason, path, line, field

    def __str__(self):
        where = str(self.path) if self.path is not None else ""
        if self.line is not None:
            where += f":{self.line}" if where else f"line {self.line}"
        return ": ".join(part for part in (where, self.field, self.reason) if part)


class CheckFailed(Exception):
    """A result that disagrees with the page tables: a fault of a design, not of the input."""


class NoMemory(Exception):
    """An allocation failed, as `Ledger.fail_at` told it to: the event ended with ENOMEM and left its structures sound."""
