"""Each notebook in a real JupyterLab: all cells run, and its explorer tells what the package computes."""

import re
import time
from dataclasses import dataclass

import ipywidgets as widgets
import pytest
from playwright.sync_api import expect

from rmapmodel.report.parameters import find, load
from tests.browser.chromium import needed
from tests.notebooks.notebook import told

pytestmark = needed

BUTTON = "Show the answer"
SECOND = 1000  # Playwright counts milliseconds

expect.set_options(timeout=30 * SECOND)


@pytest.fixture
def page(browser, lab):
    """An empty page; all kernels end with it."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60 * SECOND)
    yield page
    context.close()
    lab.end_kernels()


def opened(page, lab, name):
    """Opens a notebook, in a workspace of its own, and waits for its kernel."""
    page.goto(f"{lab.url}lab/workspaces/{name.partition('-')[0]}/tree/notebooks/{name}.ipynb?token={lab.token}")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()


def run_all(page):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".jp-CodeCell .jp-InputPrompt", has_text=re.compile(r"\[.\]")).first.wait_for()


def wait_until_run(page):
    """Waits until no cell waits; after an error the others do not run."""
    expect(page.locator(".jp-InputPrompt", has_text="[*]")).to_have_count(0, timeout=240 * SECOND)
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()


@dataclass
class Press:
    """A key pressed at a slider, the number of it among the explorer's, what the explorer then shows, and its seconds."""

    slider: int
    key: str
    shown: str
    took: float


def presses(explorer):
    """Moves each slider of an explorer until what it tells changes; returns how."""
    sliders = [control for control in explorer.controls.values() if isinstance(control, widgets.SelectionSlider)]
    moves = []
    for number, control in enumerate(sliders):
        before, step = explorer.shown.value, 1 if control.index + 1 < len(control.options) else -1
        while explorer.shown.value == before and 0 <= control.index + step < len(control.options):
            began = time.process_time()
            control.index += step
            took = time.process_time() - began
            moves.append(Press(number, "ArrowRight" if step > 0 else "ArrowLeft", explorer.shown.value, took))
    return moves


@pytest.mark.parametrize("path", find(), ids=lambda path: path.stem)
def test_all_cells_run_and_the_explorer_follows_its_sliders(page, lab, path):
    opened(page, lab, path.stem)
    run_all(page)
    computed = told(path.stem)
    wait_until_run(page)
    errors = page.locator('[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]')
    assert errors.all_inner_texts() == []
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
    # one more than are committed, where test scale gives parameters
    cells = len([cell for cell in load(path)["cells"] if cell["cell_type"] == "code"])
    assert prompts == [f"[{number}]:" for number in range(1, len(prompts) + 1)] and len(prompts) in (cells, cells + 1)

    assert computed.explorers, "end a cell with a Guess"
    shown = page.locator(".widget-vbox").filter(has=page.get_by_role("button", name=BUTTON))
    expect(shown).to_have_count(len(computed.explorers))
    for number, explorer in enumerate(computed.explorers):
        follow(page, shown.nth(number), explorer)


def follow(page, box, explorer):
    """Does with an explorer in the page what is done with the same one here, and compares what they tell."""
    answer = box.locator(".widget-html-content").last
    expect(answer).to_have_text(text_of(page, explorer.shown.value))
    box.get_by_role("button", name=BUTTON).click()
    explorer.button.click()
    asked = explorer.shown.value
    expect(answer).to_have_text(text_of(page, asked))
    moves = presses(explorer)
    assert any(press.shown != asked for press in moves), "no slider of the explorer changes what it tells"
    assert min(press.took for press in moves) < 0.1, "let the explorer look up what was computed before"
    for press in moves:
        box.locator(".noUi-handle").nth(press.slider).focus()
        page.keyboard.press(press.key)
        expect(answer).to_have_text(text_of(page, press.shown))


def text_of(page, html):
    """The text of HTML, as the browser sees it."""
    return page.evaluate("html => new DOMParser().parseFromString(html, 'text/html').body.textContent", html)
