"""Ours beside what was printed."""

import dataclasses

import numpy as np
import pytest

from siim_kernel.evaluation import classification, report_data
from siim_kernel.evaluation.intervals import intervals
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.main import SMALL
from tests.evaluation.made_pages import RESAMPLES, UNION, written
from tests.evaluation.made_runs import OPACITY, films, make


def test_the_thesis_figures_stand_beside_ours(tmp_path):
    folder = make(tmp_path / "run")
    page, _ = written(tmp_path, [folder])
    judged = report_data.load([folder])[0].predictions
    found = intervals(judged, RESAMPLES).loc[("accuracy", "overall")]
    ours = f"{found.value * 100:.2f} % ({found.low * 100:.2f} to {found.high * 100:.2f})"
    assert page.row("accuracy, validation") == ["80.17 %", ours]
    assert page.row("accuracy after phase 1, validation") == ["74.96 %", "53.33 %"]
    assert page.row("balanced accuracy, validation")[0] == "75.09 %"
    assert page.row("hit rate of None, validation")[0] == "63.48 %"
    assert page.row("None", "Printed: validation") == ["226", "130"]


def test_recipes_of_the_projects_own_have_no_printed_figures(tmp_path):
    page, _ = written(tmp_path, [make(tmp_path / "run", SMALL)])
    assert "Beside what was printed" not in page.titles


def test_of_the_articles_recipes_its_row_stands_beside_ours(tmp_path):
    page, _ = written(tmp_path, [make(tmp_path / "run", catalogue.by_name("article-vgg19-p"))])
    assert page.row("AUC", "Printed")[0] == ".9842 ± .0036"
    assert page.row("sensitivity", "Printed")[0] == "97.09 ± .39"


def test_a_recipe_that_is_not_the_printed_one_says_what_differs(tmp_path):
    page, words = written(tmp_path, [make(tmp_path / "run")])
    assert "This run's recipe is the printed one." in words
    page, words = written(tmp_path, [make(tmp_path / "other", dataclasses.replace(OPACITY, split="patient", batch=8))])
    (line,) = [line for line in page.warnings if "is not the printed one" in line]
    assert "split: stored 'patient', wanted 'thesis_folder'" in line
    assert "batch: stored 8, wanted 16" in line
    assert "ours of 1 of 2 folds" in words


@pytest.mark.parametrize("name", ["thesis-union", "thesis-competition"])
def test_ours_is_also_scored_on_the_films_of_the_printed_matrix(tmp_path, name):
    """Of 20 films of the final test the matrices have the first 19 by id."""
    everything = films()
    last, recipe = everything[40:], catalogue.by_name(name)
    if name == "thesis-union":
        folder = make(tmp_path / "run", recipe, final=last, skill=0.2)
    else:
        folder = make(tmp_path / "run", recipe, validating=last, skill=0.2)
    page, words = written(tmp_path, [folder])
    judged = report_data.load([folder])[0]
    tested = judged.predictions if name == "thesis-competition" else judged.final_test
    found = intervals(tested.take(np.arange(19)), RESAMPLES)
    row = found.loc[("sensitivity", "None")]
    ours = f"{row.value * 100:.2f} % ({row.low * 100:.2f} to {row.high * 100:.2f})"
    assert page.row("hit rate of None, final test", "Printed and ours")[2] == ours
    assert "ours, on the 19 films of the printed matrix" in words
    counts = classification.confusion(tested.take(np.arange(19)))
    assert page.row("Yes", "Ours: final test, the 19 films of the printed matrix") == [str(count) for count in counts.loc["Yes"]]


def test_another_split_has_another_final_test_than_the_matrix(tmp_path):
    everything = films()
    _, words = written(tmp_path, [make(tmp_path / "run", dataclasses.replace(UNION, split="union"), final=everything[40:])])
    assert "films of the printed matrix" not in words
