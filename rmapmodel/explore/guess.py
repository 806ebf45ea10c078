"""`Guess`: an explorer that asks for a guess before it shows a number, and bars of HTML to show it with."""

import html

import ipywidgets as widgets

from ..figures.style import look

LABEL, WIDE = {"description_width": "14em"}, "36em"


class Guess(widgets.VBox):
    """Controls, a question, a guess, and the answer once the reader has guessed; then it follows the controls.

    `answer(**values)` is called with the value of each of the `controls` and returns (measured, html): the number or
    word that the question asks for, and what to show beside it. It must be quick (under 100 ms): look numbers up that
    were computed before. `guess` is a widget with a `value`. `before(**values)` returns what to show until the reader has
    guessed. Nothing is captured: a callback sets the value of an HTML widget, so that a notebook with it also ends when
    it is run for a report.

    >>> explorer = Guess("How many?", widgets.BoundedIntText(), lambda n: (n * n, f"{n} squared"),
    ...                  n=widgets.IntSlider(value=3, continuous_update=False))
    >>> explorer.answered, "9" in explorer.shown.value
    (False, False)
    >>> explorer.button.click()
    >>> explorer.answered, "9" in explorer.shown.value
    (True, True)
    """

    def __init__(self, question, guess, answer, /, *, before=None, **controls):
        self.guess, self.answer, self.before, self.controls, self.answered = guess, answer, before, controls, False
        self.button = widgets.Button(description="Show the answer", tooltip="Show what the model measures")
        self.shown = widgets.HTML()
        for control in controls.values():
            control.observe(self._follow, "value")
        self.button.on_click(self._reveal)
        self._follow(None)
        super().__init__([*controls.values(), widgets.HTML(f"<b>{question}</b>"), guess, self.button, self.shown])

    def _reveal(self, _):
        self.answered = True
        self._follow(None)

    def _follow(self, _):
        values = {name: control.value for name, control in self.controls.items()}
        if not self.answered:
            self.shown.value = ("<p><i>Set the controls, guess, then press the button.</i></p>"
                                + (self.before(**values) if self.before else ""))
        else:
            measured, text = self.answer(**values)
            self.shown.value = (f"<p>You guessed {html.escape(plain(self.guess.value))}; the model measures "
                                f"<b>{html.escape(plain(measured))}</b>.</p>{text}")


def plain(value):
    """A measured value as text: whole numbers in groups of three, others with two places.

    >>> plain(57600), plain(16.5151), plain("anonmm")
    ('57,600', '16.52', 'anonmm')
    """
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def slider(label, values, value):
    """A slider over `values` (labels for the reader are their plain text), at `value`; moves by arrow keys."""
    return widgets.SelectionSlider(options=[(plain(each), each) for each in values], value=value, description=label,
                                   continuous_update=False, style=LABEL, layout={"width": WIDE})


def choice(label, values, value=None):
    """A drop-down list over `values`, at `value` or the first."""
    return widgets.Dropdown(options=list(values), value=value or list(values)[0], description=label, style=LABEL,
                            layout={"width": WIDE})


def number(label, highest):
    """A box for a number from 0 to `highest`."""
    return widgets.BoundedFloatText(0, min=0, max=highest, description=label, style=LABEL, layout={"width": WIDE})


def bars(values, unit, mark=None):
    """HTML of a horizontal bar for each (name, value), `mark` in bold; names of strategies have their colour."""
    highest = max([value for _, value in values], default=0) or 1
    rows = "".join(
        f"<tr><td style='text-align:right;padding-right:.6em'>{_bold(name, name == mark)}</td><td style='width:22em'>"
        f"<div style='background:{look(name).color};height:.9em;width:{100 * value / highest:.1f}%'></div></td>"
        f"<td style='text-align:right;padding-left:.6em'>{_bold(plain(value), name == mark)}</td></tr>"
        for name, value in values)
    return f"<table>{rows}<tr><td></td><td></td><td style='text-align:right'>{html.escape(unit)}</td></tr></table>"


def _bold(text, wanted):
    text = html.escape(text)
    return f"<b>{text}</b>" if wanted else text
