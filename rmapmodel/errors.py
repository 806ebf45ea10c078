"""The two exceptions a command shows as one line: bad input (exit status 2) and a result that fails its own check (1)."""

from difflib import get_close_matches


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


def nearest(word, known):
    """What an error says after a wrong name: the right one that is most like it, or nothing.

    >>> nearest("anon_vam", ["anonmm", "anon_vma"]), nearest("x", ["anonmm"])
    (', perhaps anon_vma', '')
    """
    close = get_close_matches(str(word), known, n=1)
    return f", perhaps {close[0]}" if close else ""
