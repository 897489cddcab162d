"""What a training is made of besides a recipe: sources, splits, a start; and what is refused."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from siim_kernel import kernels, runs
from siim_kernel.competition import checking, tables
from siim_kernel.errors import ImageSetError, RecipeError
from siim_kernel.labels import SCHEMES
from siim_kernel.pixels import imagesets
from siim_kernel.recipes.catalogue import by_name
from siim_kernel.recipes.recipe import PixelRecipe

UNION = replace(
    by_name("thesis-union"),
    name="union",
    network="cnn9",
    weights="",
    top=(),
    pixels=PixelRecipe(size=16),
    phases=(replace(by_name("thesis-union").phases[0], epochs=1, trainable="all"),),
)
AFTER = replace(UNION, name="after", sources=("competition",), labels="label_opacity", split="thesis_continued", start="union")


@pytest.fixture(scope="module")
def sets(phantom, tmp_path_factory):
    """Folders of image sets: of the made competition's training films, and of a made external database."""
    out = tmp_path_factory.mktemp("sets")
    database = out / "database"
    for name in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        (database / name / "images").mkdir(parents=True)
        for number in range(1, 5):
            square = np.random.default_rng(len(name) * 10 + number).integers(0, 255, (20, 20), np.uint8)
            cv2.imwrite(str(database / name / "images" / f"{name}-{number}.png"), square)
        pd.DataFrame({"FILE NAME": [f"{name}-{number}" for number in range(1, 5)]}).to_excel(
            database / f"{name}.metadata.xlsx", index=False
        )
    kernels.build_images(phantom / "competition", out / "competition", [UNION.pixels], split="train", workers=2)
    kernels.build_external(database, out / "radiography", [UNION.pixels], workers=1, say=silent)
    return out


@pytest.fixture(scope="module")
def union(phantom, sets, tmp_path_factory):
    """The run of the union, and what was said."""
    lines = []
    images = [sets / "radiography", sets / "competition"]  # in any order
    (run,) = kernels.train(UNION, images, phantom / "competition", tmp_path_factory.mktemp("union"), say=lines.append)
    return run, lines


def silent(line):
    pass


def test_the_thesis_union_trains_on_external_films_alone_and_says_so(phantom, union):
    run, lines = union
    predicted = pd.read_csv(run.folder / runs.OUT_OF_FOLD, dtype=str)
    films = tables.read_training(phantom / "competition", headers=False).images
    final = pd.read_csv(run.folder / runs.FINAL_TEST, dtype=str)
    assert len(final) == len(films) - int(0.8 * len(films))
    assert set(final["image"]) <= set(films["image"])
    assert any("no film of source competition is in training" in line for line in lines) == (len(predicted) >= len(films) - len(final)), (
        "only where a fifth of the union holds the whole competition"
    )
    np.testing.assert_allclose(np.array(run.study_of_labels).sum(axis=1), 1)
    assert run.none_of_labels == [1, 0]
    assert 0 < run.priors["typical"] < 1
    assert json.loads((run.folder / runs.RECORD).read_text())["split"]["final_test_images"] == len(final)


def test_a_union_needs_each_of_its_sources(phantom, sets, tmp_path):
    with pytest.raises(ImageSetError, match="recipe union needs an image set of the source radiography"):
        kernels.train(UNION, [sets / "competition"], phantom / "competition", tmp_path, say=silent)


def test_a_run_of_two_labels_writes_a_legal_submission(phantom, union, tmp_path):
    run, _ = union
    predicted = kernels.predict(phantom / "competition", [run.folder], tmp_path / "submission.csv", workers=1)
    assert not predicted.not_read
    assert checking.check(tmp_path / "submission.csv", phantom / "competition" / tables.SAMPLE).ok


def test_a_recipe_starts_from_the_run_it_names(phantom, sets, union, tmp_path):
    run, _ = union
    arguments = (AFTER, [sets / "competition"], phantom / "competition")
    with pytest.raises(RecipeError, match="starts from the weights of union: train that first"):
        kernels.train(*arguments, tmp_path / "none", say=silent)
    (begun,) = kernels.train(*arguments, tmp_path / "runs", start=run.folder, say=silent)
    with pytest.raises(RecipeError, match="starts from union, .* is a run of after"):
        kernels.train(*arguments, tmp_path / "other", start=begun.folder, say=silent)
    with pytest.raises(RecipeError, match="starts from no other run"):
        kernels.train(replace(AFTER, start=""), *arguments[1:], tmp_path / "needless", start=run.folder, say=silent)
    still = replace(AFTER, phases=(replace(AFTER.phases[0], learning_rate=1e-12),))
    (same,) = kernels.train(still, *arguments[1:], tmp_path / "still", start=run.folder, say=silent)
    from siim_kernel.learning import prediction

    films = tables.read_training(phantom / "competition").images.set_index("image")
    before, now = (pd.read_csv(each.folder / runs.FOLDS).set_index("imageid")["fold"] for each in (run, same))
    learnt = set(before.index[before == 1])
    validating = now.index[now == 0]
    people = set(films["patient"].reindex(sorted(learnt)).dropna()) - {""}
    found = same.record["start"]
    assert (found["recipe"], found["fold"], found["weights"]) == ("union", 0, run.record["files"][runs.WEIGHTS])
    assert found["validation_films_learnt"] == len(learnt & set(validating))
    assert found["validation_films_sharing_a_patient"] == films["patient"].reindex(validating).isin(people).sum()
    assert found["final_test_films_learnt"] == 0
    for left, right in zip(prediction.load_model(run).weights, prediction.load_model(same).weights, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)


def test_a_start_that_learnt_what_validates_is_named(phantom, sets, tmp_path):
    images, competition = [sets / "competition"], phantom / "competition"
    first = replace(AFTER, name="union", start="", split="image", n_folds=2)
    (begun,) = kernels.train(first, images, competition, tmp_path / "begun", fold=0, say=silent)
    lines = []
    (run,) = kernels.train(AFTER, images, competition, tmp_path / "after", start=begun.folder, say=lines.append)
    before, now = (pd.read_csv(each.folder / runs.FOLDS).set_index("imageid")["fold"] for each in (begun, run))
    count = (before.reindex(now.index[now == 0]) == 1).sum()
    assert count > 0
    assert run.record["start"]["validation_films_learnt"] == count
    assert f"warning: of the start union: {count} validation films learnt" in lines


def test_a_run_keeps_its_split_report_and_what_it_says_of_its_training_films(phantom, union):
    run, lines = union
    stored = run.record["split_report"]
    assert set(stored) <= set(lines)
    assert not any("not compared" in line for line in stored)
    folds = pd.read_csv(run.folder / runs.FOLDS)
    learnt = pd.read_csv(run.folder / runs.TRAINING_FILMS)
    assert set(learnt["image"]) == set(folds["imageid"][folds["fold"] == 1])
    assert list(learnt.columns) == list(pd.read_csv(run.folder / runs.OUT_OF_FOLD).columns)
    np.testing.assert_allclose(learnt[list(SCHEMES[run.recipe.labels].labels)].sum(axis=1), 1, atol=1e-5)


def test_the_split_that_was_asked_for_is_stored(phantom, sets, tmp_path):
    recipe = replace(AFTER, name="parted", start="", split="patient")
    (run,) = kernels.train(recipe, [sets / "competition"], phantom / "competition", tmp_path, split="image", n_folds=3, fold=1, say=silent)
    assert (run.recipe.split, run.recipe.n_folds) == ("image", 3)
    (run,) = kernels.train(recipe, [sets / "competition"], phantom / "competition", tmp_path / "thesis", split="thesis", say=silent)
    assert run.recipe.split == "thesis_folder"
    with pytest.raises(RecipeError, match="split is one of"):
        kernels.train(recipe, [sets / "competition"], phantom / "competition", tmp_path, split="hospital", say=silent)


def test_films_without_any_patient_are_said_to_be_ungrouped(phantom, sets, tmp_path):
    folder = tmp_path / "set"
    kernels.build_images(phantom / "competition", folder, [UNION.pixels], split="train", workers=1)
    table = pd.read_csv(folder / imagesets.TABLE, dtype=str, keep_default_na=False).assign(patient="")
    table.to_csv(folder / imagesets.TABLE, index=False)
    imagesets.write_sums(folder)
    lines = []
    recipe = replace(AFTER, name="ungrouped", start="", split="patient", n_folds=2)
    (run,) = kernels.train(recipe, [folder], phantom / "competition", tmp_path / "runs", fold=0, say=lines.append)
    assert any(line.startswith("warning: no patient is known") for line in lines)
    folds = pd.read_csv(run.folder / runs.FOLDS, dtype={"imageid": str})
    films = tables.read_training(phantom / "competition", headers=False).images
    study = films.set_index("image")["study"].reindex(folds["imageid"]).to_numpy()
    assert run.recipe.split == "study"
    assert (folds.assign(study=study).groupby("study")["fold"].nunique() == 1).all()
