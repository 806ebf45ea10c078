"""An explorer over a table of measurements, such as a sweep: what is measured at the point that the reader sets."""

from .guess import Guess, bars, choice, number, slider


def explorer(question, frame, controls, measures, by="strategy", start=None, reference=None):
    """A Guess over a tidy DataFrame with one row for each combination of the columns named by `controls`.

    `controls` are {column: label}: a slider for a column of numbers, a list for any other; they begin at the values of
    `start`, else at the first of the table. `measures` are {column: unit}; the question asks for the first, bars show each
    for every value of the column `by` at that point, and `reference`, a (name, value), beside the first. A point that
    the table lacks has no bar.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"pages": [1, 1, 2, 2], "strategy": ["anonmm", "anon_vma"] * 2, "visits": [1.0, 2.0, 3.0, 4.0]})
    >>> told = explorer("How many visits?", frame, {"strategy": "Design", "pages": "Pages"}, {"visits": "visits"})
    >>> told.button.click()
    >>> told.controls["pages"].value = 2
    >>> "<b>3.00</b>.</p>" in told.shown.value
    True
    """
    keys, asked = list(controls), next(iter(measures))
    rows = frame.set_index(keys)[list(measures)]
    values = {column: rows[column].to_dict() for column in measures}
    names = list(dict.fromkeys(frame[by]))

    def point(chosen):
        key = tuple(chosen[column] for column in keys)
        return key if len(keys) > 1 else key[0]

    def answer(**chosen):
        at = {name: point(chosen | {by: name}) for name in names}
        shown = ""
        for column, unit in measures.items():
            each = [(name, values[column][key]) for name, key in at.items() if key in values[column]]
            shown += bars(each + [reference] * (reference is not None and column == asked), unit, chosen[by])
        return values[asked].get(point(chosen), "nothing at this point"), shown

    return Guess(question, number("Your guess", 1e12), answer, **{
        column: _control(label, frame[column], (start or {}).get(column)) for column, label in controls.items()})


def _control(label, column, start):
    if column.dtype.kind in "iuf":
        values = sorted(set(column.tolist()))
        return slider(label, values, values[0] if start is None else start)
    return choice(label, dict.fromkeys(column), start)
