"""Figures: each has a text alternative that says its numbers, and is drawn without a complaint, whatever its names."""

import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from siim_kernel.evaluation import figures, pages, report_figures

PHONE = 358  # CSS pixels of a figure on a phone of 390
GREYS = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
HOSTILE = r"$\frac{<b>&$" + 60 * "x"


def counts(*names):
    return pd.Series(range(1, len(names) + 1), index=names)


MADE = {
    "bars": lambda: figures.bars(counts("negative", "typical"), "Films"),
    "grouped bars": lambda: figures.bars(pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=["x", "y"]), "Films"),
    "empty bars": lambda: figures.bars(counts(), "Films"),
    "hostile bars": lambda: figures.bars(counts(HOSTILE, ""), HOSTILE),
    "histogram": lambda: figures.histogram({"rows": [1, 2, 3], "columns": [4, 5, 6]}, "Sides", "pixels"),
    "histogram of one value": lambda: figures.histogram([512, 512, np.nan], "Sides", "pixels"),
    "empty histogram": lambda: figures.histogram([], "Sides", "pixels"),
    "places": lambda: figures.places(np.eye(12), "Boxes"),
    "no places": lambda: figures.places(np.zeros((12, 12)), "Boxes"),
    "sheet": lambda: figures.sheet([figures.Film(GREYS, "typical", [(1, 1, 3, 3)])] * 6, "Films"),
    "empty sheet": lambda: figures.sheet([]),
    "before and after": lambda: figures.before_after({"before": GREYS, "after": 255 - GREYS}, HOSTILE),
}


@pytest.mark.parametrize("name", MADE)
def test_drawn_without_a_complaint_and_said_in_words(name):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=r"siim_kernel|matplotlib\.(figure|layout|axes|text)")
        warnings.filterwarnings("error", message=".*constrained_layout.*")
        part = figures.picture(MADE[name]())
        page = pages.render("t", [pages.Section("s", (part,))])
    assert len(part.alt) > 12
    assert page.count("<svg") == 1
    assert "<b>" not in page


@pytest.mark.parametrize("name", MADE)
def test_every_text_is_legible_on_a_phone(name):
    figure = MADE[name]()
    width = figure.get_figwidth() * 96
    factor = min(1, PHONE / width) if width <= pages.LARGEST else 1  # a larger one scrolls
    sizes = [text.get_fontsize() * 4 / 3 * factor for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes, default=11) > 10.5


def test_films_nobody_read_are_not_called_films_without_boxes():
    said = figures.alternative(figures.sheet([figures.Film(GREYS, "a", None), figures.Film(GREYS, "b", [])]))
    assert said == "Sheet of 2 films, . a (no boxes known); b (no boxes)."


def test_alternatives_hold_the_numbers():
    said = {name: figures.alternative(made()) for name, made in MADE.items()}
    assert said["bars"] == "Bar chart, Films. negative 1; typical 2."
    assert said["grouped bars"] == "Bar chart, Films. a: x 1; y 2. b: x 3; y 4."
    assert said["histogram"] == ("Histogram, Sides. pixels: rows: 3 values from 1 to 3, median 2. columns: 3 values from 4 to 6, median 5.")
    assert "typical (1 box)" in said["sheet"]
    assert "before: mean grey 126" in said["before and after"]


def test_a_sheet_draws_each_box_where_it_is():
    film = figures.Film(GREYS, "typical", [(1, 2, 3, 6)])
    axes = figures.sheet([film]).axes[0]
    [box] = axes.patches
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((1, 2), 2, 4)
    assert axes.get_title() == "typical"


def test_settings_of_the_process_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.bars(counts("a"), "t")
    pages.render("t", [pages.Section("s", (figures.picture(figures.bars(counts("a"), "t")),))])
    assert dict(matplotlib.rcParams) == before


POINTS = pd.DataFrame(
    {"point": ["highest probability", "threshold 0.5", "Youden"], "sensitivity": [0.5, 0.5, 0.7], "specificity": [0.8, 0.8, 0.7]}
).assign(threshold=0.5, ppv=0.6, npv=0.9)
CURVE = pd.DataFrame({"specificity": [1.0, 0.8, 0.0], "sensitivity": [0.0, 0.5, 1.0]})


def test_two_points_at_one_place_of_the_roc_are_both_seen():
    [axes] = report_figures.roc({"Yes": CURVE}, {"Yes": POINTS}, {"Yes": ".741"}).axes
    ring, square = (line for line in axes.lines if line.get_xydata().tolist() == [[1 - 0.8, 0.5]])
    assert (ring.get_marker(), ring.get_markerfacecolor(), square.get_marker()) == ("o", "none", "s")
    assert ring.get_markersize() > 1.5 * square.get_markersize()


def test_alternatives_of_a_report_hold_the_numbers():
    counts = pd.DataFrame([[3, 1], [0, 0]], index=["None", "Yes"], columns=["None", "Yes"])
    rates = counts.div([4, np.nan], axis=0)
    history = pd.DataFrame({"fold": [0, 0], "phase": [1, 1], "epoch": [1, 2], "loss": [1.0, 0.5], "validation_loss": [1.2, 0.75]})
    bins = pd.DataFrame({"confidence": [0.1, np.nan], "hits": [0.25, np.nan], "films": [4, 0]})
    hits = pd.DataFrame({"value": [0.5], "low": [0.4], "high": [0.6]}, index=["Yes"])
    said = [
        report_figures.confusion(rates, counts, "Films"),
        report_figures.learning_curves(history, "loss", "Loss"),
        report_figures.roc({"Yes": CURVE}, {"Yes": POINTS}, {"Yes": ".741"}),
        report_figures.reliability(bins, "Yes"),
        report_figures.hit_rates({"one": hits, "two": hits}),
    ]
    assert [figures.alternative(figure).replace("\xa0", " ") for figure in said] == [
        "Confusion matrix, Films. True None, 4 films: said 75 % None, 25 % Yes. True Yes, 0 films.",
        "Line chart, Loss: loss over 2 epochs. training: from 1.000 to .500. validation: from 1.200 to .750.",
        "ROC curves. Yes: AUC .741; at the highest probability: sensitivity .500, specificity .800; at threshold 0.5: sensitivity .500, "
        "specificity .800; at Youden's threshold: sensitivity .700, specificity .700.",
        "Reliability diagram, Yes. .100 said, .250 so (4 films).",
        "Line chart, Hit rates from one run to the next. Yes: one .500 (.400 to .600); two .500 (.400 to .600).",
    ]
