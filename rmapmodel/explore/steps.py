"""An explorer that steps through a trace: what a design holds after any event, and how it finds who maps one page."""

import html
from functools import cache

import ipywidgets as widgets

from ..events import in_words
from ..figures.diagram import svg
from ..figures.structure import after, unwalked
from .guess import LABEL, WIDE, Guess, bars, choice, slider

STOPS = 100
"""How many events of a trace the slider stops at; of a longer trace these are spread over it."""


def explorer(trace, designs, page, options=None, start=None):
    """A Guess over the events of any trace and some designs, about the lookup of the page at `page`, a (pid, address).

    The diagram shows a design's structures after the event, and once the reader has guessed the lookup; bars give its
    cost under every design. It begins at `start`, a (line, design), else at the last event and the first design. Cost: a
    replay a design, and for each stop a pass over the page tables; a move then draws in milliseconds. Raises ValueError
    for a trace without events.
    """
    words, skipped = _stops(trace)
    if not words:
        raise ValueError("a trace without events has no steps")
    told = {design: {line: (picture, refused) for line, picture, refused in after(trace, design, words, page, options)}
            for design in designs}
    line, design = start or (max(words), next(iter(designs)))

    @cache
    def drawn(design, line, walked):
        picture, refused = told[design][line]
        seen = svg(picture if walked else unwalked(picture), f"{design} after line {line}")
        return "".join((f"<p><b>Line {line}.</b> {html.escape(words[line])}{skipped}</p>",
                        *(f"<p>{design} refuses it: {html.escape(reason)}.</p>" for reason in refused),
                        "" if picture["walk"] else f"<p>Process {page[0]} maps no page at {page[1]:#x} now.</p>",
                        seen))

    def costs(line):
        return {design: steps[line][0]["walk"]["cost"] for design, steps in told.items() if steps[line][0]["walk"]}

    def answer(line, design):
        here = costs(line)
        if design not in here:
            return "no page to look up", drawn(design, line, True)
        truth = ("truth", here[design]["mappings"])
        shown = [bars([(name, cost[key]) for name, cost in here.items()] + [truth], unit, design)
                 for key, unit in (("ptes_examined", "ptes looked at"), ("vmas_examined", "visits"))]
        return here[design]["ptes_examined"], drawn(design, line, True) + "".join(shown)

    return Guess(
        f"How many page table entries does a lookup of the page at {page[1]:#x} of process {page[0]} look at?",
        widgets.BoundedIntText(0, min=0, max=10**9, description="Your guess", style=LABEL, layout={"width": WIDE}),
        answer, before=lambda line, design: drawn(design, line, False),
        line=slider("After line", words, line), design=choice("Design", designs, design))


def _stops(trace):
    """{line: its event in words} of the lines to stop at, and what to say of those between."""
    lines = [line for line, _ in trace]
    step = -(-len(lines) // STOPS)
    wanted = {*lines[step - 1::step], *lines[-1:]} if lines else {}
    words = {line: in_words(event) for line, event in trace if line in wanted}
    return words, f" (one stop for {step} events)" if step > 1 else ""
