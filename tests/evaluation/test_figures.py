"""Figures: each has a text alternative that says its numbers, and is drawn without a complaint, whatever its names."""

import warnings

import numpy as np
import pandas as pd
import pytest

from siim_kernel.evaluation import figures, pages

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
