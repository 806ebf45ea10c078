"""Figures and verdicts as outputs: the same bytes in every run, and one look for each strategy."""

import base64
import io
import itertools
import re
import zlib

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rmapmodel.figures import publish, style
from rmapmodel.report import collect

DATA = pd.DataFrame({"pages": [1, 2], "cost": [0.1, 1 / 3]})


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, as outputs of a notebook; each test begins with no figure shown."""
    outputs = []
    monkeypatch.setattr(publish, "_shown", {})
    monkeypatch.setattr(publish, "_display",
                        lambda bundle: outputs.append({"output_type": "display_data", "data": bundle}))
    return outputs


def draw():
    figure, axes = style.subplots(height=2)
    axes.plot(DATA["pages"], DATA["cost"], **style.line("anon_vma"))
    axes.set_title("Title, $n^2$")
    axes.fill_between([1, 2], [0, 1], hatch="//")
    return figure


def test_the_report_finds_what_is_shown(shown):
    publish.show(draw(), "fig-a", "A caption.", DATA)
    figure = collect.as_figure(shown[0])
    assert (figure.id, figure.caption) == ("fig-a", "A caption.")
    assert figure.files["csv"] == b"pages,cost\n1,0.1\n2,0.3333333333333333\n"
    assert figure.files["svg"].startswith(b"<?xml") and figure.files["pdf"].startswith(b"%PDF")
    assert Image.open(io.BytesIO(figure.files["png"])).width == style.PAGE * 150
    assert shown[0]["data"]["text/plain"] == "fig-a: A caption."
    assert collect.as_verdict(shown[0]) is None


def test_a_figure_has_the_same_bytes_again_and_no_dates_or_programs(shown, monkeypatch):
    publish.show(draw(), "fig-a", "", DATA)
    monkeypatch.setattr(publish, "_shown", {})
    with plt.rc_context({"savefig.facecolor": "red", "svg.fonttype": "none", "pdf.compression": 0}):
        publish.show(draw(), "fig-a", "", DATA)
    one, two = (collect.as_figure(output).files for output in shown)
    assert one == two
    assert not re.search(b"Date|Creat|Matplotlib|<text", one["svg"])
    assert not re.search(b"/(Creat|Mod|Producer)", one["pdf"])
    assert Image.open(io.BytesIO(one["png"])).info.keys() <= {"dpi"}


def test_an_index_that_says_something_is_part_of_the_data(shown):
    publish.show(draw(), "fig-a", "", DATA.set_index("pages"))
    publish.show(draw(), "fig-b", "", DATA.rename(index={0: "x", 1: "y"}))
    first_lines = [collect.as_figure(output).files["csv"].splitlines()[0] for output in shown]
    assert first_lines == [b"pages,cost", b",pages,cost"]


def test_a_figure_is_closed(shown):
    figure = draw()
    publish.show(figure, "fig-a", "", DATA)
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize("id", ["a", "fig-", "fig-A", "fig_a", "fig-a/../b", "fig-a\n", ""])
def test_a_bad_id_is_refused(shown, id):
    with pytest.raises(ValueError, match="a figure's id is"):
        publish.show(draw(), id, "", DATA)
    assert not shown


def test_an_id_is_shown_once(shown):
    publish.show(draw(), "fig-a", "", DATA)
    with pytest.raises(ValueError, match="already shown"):
        publish.show(draw(), "fig-a", "", DATA)


def test_a_cell_may_be_run_again_by_hand(shown, monkeypatch):
    for cell, run in (("one", 1), ("one", 2)):
        monkeypatch.setattr(publish, "_cell", lambda: (cell, run))
        publish.show(draw(), "fig-a", "", DATA)
    monkeypatch.setattr(publish, "_cell", lambda: ("two", 3))
    with pytest.raises(ValueError, match="already shown"):
        publish.show(draw(), "fig-a", "", DATA)


def test_the_report_finds_a_sentences_values(shown):
    publish.say("{missed:,} of {all:,} missed", missed=np.int64(1000), all=4000.5)
    assert collect.as_values(shown[0]) == {"missed": 1000, "all": 4000.5}
    assert type(collect.as_values(shown[0])["missed"]) is int
    assert shown[0]["data"]["text/markdown"] == "1,000 of 4,000.5 missed"
    with pytest.raises(ValueError, match="missed is"):
        publish.say("{missed}", missed=[1])
    with pytest.raises(KeyError):
        publish.say("{missed}", found=1)


CLAIM = {"id": "c", "claim": "all <b>is</b> well", "measured": 3, "holds": True}


def test_the_report_finds_a_verdict(shown):
    publish.verdict([{**CLAIM, "measured": np.float64(0.5), "holds": np.bool_(False), "expected": False}], "So & so.")
    verdict = collect.as_verdict(shown[0])
    assert verdict.claims == [{**CLAIM, "measured": 0.5, "holds": False, "expected": False}]
    assert type(verdict.claims[0]["measured"]) is float and verdict.claims[0]["holds"] is False
    assert verdict.sentence == "So & so." and not collect.failed_check(verdict.claims[0])
    assert "<b>is" not in shown[0]["data"]["text/html"] and "So &amp; so." in shown[0]["data"]["text/html"]


@pytest.mark.parametrize("change, said", [
    ({"hold": True}, "unknown \\['hold'\\]"), ({"holds": 1}, "holds is 1"), ({"holds": None}, "holds is None"),
    ({"measured": [1]}, "measured is \\[1\\]"), ({"expected": "no"}, "expected is 'no'"),
])
def test_a_claim_of_another_form_is_refused(shown, change, said):
    with pytest.raises(ValueError, match=said):
        publish.verdict([{**CLAIM, **change}], "")


@pytest.mark.parametrize("missing", CLAIM)
def test_a_claim_that_lacks_something_is_refused(shown, missing):
    with pytest.raises(ValueError, match=f"missing \\['{missing}'\\]"):
        publish.verdict([{key: value for key, value in CLAIM.items() if key != missing}], "")


STRATEGIES = ("page_table_scan pte_chain objrmap anonmm anonmm_copy anonmm_remap anon_vma shared_space "
              "shared_space_unique anon_vma_chain cow_context").split()


def test_every_strategy_of_the_contract_has_a_look_of_its_own():
    assert list(style.LOOKS) == STRATEGIES
    assert len({look.color for look in style.LOOKS.values()}) == len(STRATEGIES)
    assert len({look.marker for look in style.LOOKS.values()}) == len(STRATEGIES), "in grey, markers tell them apart"


def test_designs_from_outside_have_looks_of_their_own(monkeypatch):
    outside = [f"design_{number}" for number in range(len(style.SPARE))]
    monkeypatch.setattr("rmapmodel.strategies.STRATEGIES", dict.fromkeys([*STRATEGIES, *outside]))
    looks = [*style.LOOKS.values(), *map(style.look, outside)]
    assert len(set(looks)) == len({look.marker for look in looks}) == len({look.color for look in looks}) == len(looks)
    assert looks[len(STRATEGIES):] == [style.look(name) for name in outside]


def test_a_look_from_outside_depends_on_its_name_alone(monkeypatch):
    monkeypatch.setattr("rmapmodel.strategies.STRATEGIES", {})
    alone = style.look("of_my_own")
    monkeypatch.setattr("rmapmodel.strategies.STRATEGIES", dict.fromkeys(STRATEGIES))
    assert style.look("of_my_own") == alone
    assert alone == style.SPARE[zlib.crc32(b"of_my_own") % len(style.SPARE)]


# How the three kinds of colour blindness see linear RGB (Machado, Oliveira and Fernandes, 2009, severity 1).
SIGHT = {
    "usual": np.eye(3),
    "protanopia": np.array([[.1523, 1.0526, -.2049], [.1145, .7863, .0992], [-.0039, -.0481, 1.0520]]),
    "deuteranopia": np.array([[.3673, .8606, -.2280], [.2801, .6725, .0474], [-.0118, .0429, .9689]]),
    "tritanopia": np.array([[1.2555, -.0767, -.1788], [-.0784, .9308, .1476], [.0047, .6914, .3039]]),
}
TO_XYZ = np.array([[.4124, .3576, .1805], [.2126, .7152, .0722], [.0193, .1192, .9505]])


def linear(color):
    rgb = np.array(mpl.colors.to_rgb(color))
    return np.where(rgb <= .04045, rgb / 12.92, ((rgb + .055) / 1.055) ** 2.4)


def lab(rgb):
    ratio = TO_XYZ @ np.clip(rgb, 0, 1) / np.array([.9505, 1, 1.089])
    x, y, z = np.where(ratio > .008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_can_be_told_apart(sight):
    seen = {name: lab(SIGHT[sight] @ linear(look.color)) for name, look in [*style.LOOKS.items(), *enumerate(style.SPARE)]}
    for one, two in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[two]) >= 15, (one, two)


def test_colours_stand_out_from_white():
    for name, look in [*style.LOOKS.items(), *enumerate(style.SPARE)]:
        assert 1.05 / ((TO_XYZ @ linear(look.color))[1] + .05) >= 3, name


def test_a_users_settings_change_nothing():
    with plt.rc_context({"font.size": 30, "axes.grid": False}):
        with style.context():
            assert mpl.rcParams["font.size"] == 8 and mpl.rcParams["axes.grid"]
        assert mpl.rcParams["font.size"] == 30


def test_a_bundle_can_be_stored_in_a_notebook(shown):
    publish.show(draw(), "fig-a", "", DATA)
    data = shown[0]["data"]
    assert all(isinstance(value, (str, dict)) for value in data.values())
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")


def test_a_name_that_looks_like_markup_is_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(publish, "_display", shown.append)
    publish.say("`{n}` files like {name}, {n} < 3", name="<script>alert(1)</script>", n=2)
    assert shown[0]["text/markdown"] == "`2` files like &lt;script>alert(1)&lt;/script>, 2 < 3"
    assert shown[0]["application/vnd.rmapmodel.values+json"]["name"] == "<script>alert(1)</script>"
