"""The thesis's recipes, every number against tables typed from the thesis's text."""

import csv
from pathlib import Path

import numpy as np
import pytest

from siim_kernel.labels import SCHEMES
from siim_kernel.recipes.article import ARTICLE
from siim_kernel.recipes.thesis import THESIS

DATA = Path(__file__).parent.parent / "data"


def typed_rows(name):
    with open(DATA / name, newline="") as file:
        return list(csv.DictReader(file))


TYPED = {row["id"]: row for row in typed_rows("thesis_recipes.csv")}
SETTINGS = {row["id"]: row for row in typed_rows("thesis_settings.csv")}
MATRICES = typed_rows("thesis_matrices.csv")

each = pytest.mark.parametrize("published", THESIS, ids=lambda published: published.id)


def test_there_are_fourteen_with_names_of_their_own():
    assert [published.id for published in THESIS] == list(TYPED)
    assert len(THESIS) == 14
    names = [published.recipe.name for published in (*THESIS, *ARTICLE)]
    assert len(set(names)) == len(names)


def number(text):
    return float(text) if text else None


@each
def test_every_number_is_the_typed_one(published):
    typed, recipe = TYPED[published.id], published.recipe
    augmentation = recipe.augmentation
    assert published.section == typed["section"]
    assert (recipe.network, recipe.weights, recipe.labels) == (typed["network"], typed["weights"], typed["scheme"])
    assert recipe.top == tuple(typed["top"].split())
    assert recipe.pixels.equalise == (typed["equalise"] == "yes")
    assert (recipe.scaling, recipe.split) == (typed["scaling"], typed["split"])
    for name in ("flip", "vertical_flip", "zoom", "shift", "shear"):
        assert getattr(augmentation, name) == float(typed[name]), name
    assert augmentation.brightness == (float(typed["brightness_low"]), float(typed["brightness_high"]))
    assert (augmentation.rotate, augmentation.contrast, augmentation.gamma) == (0, (1, 1), (1, 1))
    phases = 2 if typed["phase2_trainable"] else 1
    assert len(recipe.phases) == phases
    for index, phase in enumerate(recipe.phases, start=1):
        told = {name.removeprefix(f"phase{index}_"): value for name, value in typed.items() if name.startswith(f"phase{index}_")}
        assert (phase.trainable, phase.optimizer) == (told["trainable"], told["optimizer"])
        assert phase.learning_rate == float(told["rate"])
        assert (phase.epochs, phase.patience) == (int(told["epochs"]), int(told["patience"]))
        assert (phase.momentum, phase.decay) == (float(told.get("momentum", 0)), float(told.get("decay", 0)))
    accuracies = [value for value in map(number, (typed["accuracy1"], typed["accuracy2"])) if value is not None]
    assert list(published.accuracy) == accuracies
    assert published.final_test == number(typed["final_test"])
    assert published.loss == number(typed["loss"])


@each
def test_its_settings_are_the_typed_ones(published):
    typed, recipe = SETTINGS[published.id], published.recipe
    assert (recipe.pixels.size, recipe.batch, recipe.loss) == (int(typed["size"]), int(typed["batch"]), typed["loss"])
    assert (recipe.dropout, recipe.keep) == (float(typed["dropout"]), typed["keep"])
    assert (recipe.heads, recipe.sources) == (tuple(typed["heads"].split()), tuple(typed["sources"].split()))
    starts = {other.recipe.name: other.id for other in THESIS}
    assert starts.get(recipe.start, "") == typed["start"]
    assert published.inferred == tuple(typed["inferred"].split())


@each
def test_its_matrices_and_hit_rates_are_the_typed_ones(published):
    typed = [row for row in MATRICES if row["id"] == published.id]
    assert len(published.matrices) == len(typed)
    rates = []
    for matrix, row in zip(published.matrices, typed, strict=True):
        assert (matrix.films, matrix.phase, " ".join(matrix.labels)) == (row["films"], int(row["phase"]), row["labels"])
        assert matrix.rows == tuple(tuple(map(int, cells.split())) for cells in row["rows"].split("/"))
        if row["hit_rates"]:
            rates.append((row["films"], int(row["phase"]), tuple(map(int, row["hit_rates"].split()))))
    assert published.hit_rates == tuple(rates)


@each
def test_what_all_have_in_common(published):
    """What every recipe of the thesis leaves at the library's default, and the form of its augmentation."""
    recipe = published.recipe
    zoomed = recipe.augmentation.zoom > 0
    assert zoomed == (published.id != "6.5")
    assert recipe.augmentation.zoom_axes == ("apart" if zoomed else "together")
    assert recipe.augmentation.fill == ("nearest" if zoomed else "black")
    assert (recipe.batch_norm, recipe.balance, recipe.mixed_precision, recipe.flip_average) == ("trained", "none", False, False)
    assert (recipe.pixels.aspect, recipe.pixels.percentiles, recipe.loss_weights) == ("stretch", (0.5, 99.5), (1.0,))


@each
def test_how_films_are_resized_is_remarked(published):
    assert ("nearest" in published.remark) == published.recipe.pixels.equalise
    assert ("bilinearly" in published.remark) == (published.recipe.split == "thesis_array")


@pytest.mark.parametrize(
    ("published", "matrix"),
    [(published, matrix) for published in THESIS for matrix in published.matrices],
    ids=lambda value: getattr(value, "id", None),
)
def test_printed_matrices_give_the_printed_accuracies_and_hit_rates(published, matrix):
    rows = np.array(matrix.rows)
    assert set(matrix.labels) == set(SCHEMES[published.recipe.labels].labels)
    assert rows.shape == (len(matrix.labels),) * 2
    printed = published.final_test if matrix.films == "final test" else published.accuracy[max(0, matrix.phase - 1)]
    assert round(100 * rows.trace() / rows.sum(), 2) == printed
    for films, phase, rates in published.hit_rates:
        if (films, phase) == (matrix.films, matrix.phase):
            assert np.round(100 * rows.diagonal() / rows.sum(axis=1)).astype(int).tolist() == list(rates)


def test_every_typed_row_is_of_a_recipe():
    ids = {published.id for published in THESIS}
    assert {row["id"] for row in MATRICES} <= ids
    assert set(SETTINGS) == set(TYPED) == ids


def test_continuations_start_from_a_recipe_that_there_is():
    names = {published.recipe.name for published in THESIS}
    assert {published.recipe.start for published in THESIS} - {""} <= names
