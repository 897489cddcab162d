"""Training of a fold: what is learnt from, what is stored, and what is refused."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from siim_kernel import runs
from siim_kernel.competition import priors
from siim_kernel.errors import ImageSetError, RecipeError, RunError, TableError
from siim_kernel.labels import BOXED, NONE, STUDY_CLASSES
from siim_kernel.learning import fitting, networks, prediction, training
from siim_kernel.recipes.recipe import Phase, PixelRecipe
from tests.learning import made


def silent(line):
    pass


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return made.material(tmp_path_factory.mktemp("sets") / "16", made.CNN9.pixels)


@pytest.fixture(scope="module")
def narrow_material(tmp_path_factory):
    return made.material(tmp_path_factory.mktemp("sets") / "32", made.NARROW.pixels)


@pytest.fixture(scope="module")
def trained(material, tmp_path_factory):
    """A finished run of fold 1 of cnn9, three epochs."""
    recipe = replace(made.CNN9, phases=(replace(made.ALL, epochs=3),), flip_average=True)
    return training.train_fold(recipe, material, made.folds(material), 1, tmp_path_factory.mktemp("runs") / "fold-1", say=silent)


def weights_of(run):
    return prediction.load_model(run).get_weights()


def same(left, right):
    return all(np.array_equal(one, other) for one, other in zip(left, right, strict=True))


def test_join_finds_each_films_square_and_fills_what_the_tables_lack(tmp_path):
    films = made.table(8)
    opened = made.image_set(tmp_path / "set", films, made.CNN9.pixels)
    shuffled = films.iloc[[5, 2, 7, 0]].reset_index(drop=True)
    shuffled["patient"] = ["", "known", "", ""]
    shuffled["rows"] = pd.array([pd.NA, 77, pd.NA, pd.NA], dtype="Int64")
    joined = training.join(opened, shuffled)
    assert joined.rows.tolist() == [5, 2, 7, 0]
    assert joined.table["image"].tolist() == ["i005", "i002", "i007", "i000"]
    assert joined.table["patient"].tolist() == ["p001", "known", "p001", "p000"]
    assert joined.table["rows"].tolist() == [100, 77, 100, 100]
    assert joined.table["columns"].tolist() == [200] * 4
    assert joined.left_out == ()


def test_films_that_the_set_lacks_are_named(tmp_path):
    films = made.table(8)
    opened = made.image_set(tmp_path / "set", films.drop(index=[1, 6]).reset_index(drop=True), made.CNN9.pixels)
    joined = training.join(opened, films)
    assert joined.left_out == ("i001", "i006")
    assert joined.table["image"].tolist() == ["i000", "i002", "i003", "i004", "i005", "i007"]
    assert joined.rows.tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ImageSetError, match="none of the 8 training images"):
        training.join(opened, films.assign(image=[f"x{i}" for i in range(8)]))


def test_a_run_holds_what_its_validation_films_got(trained, material):
    stored = pd.read_csv(trained.folder / runs.OUT_OF_FOLD)
    folds = made.folds(material)
    validating = folds["fold"].to_numpy() == 1
    assert stored["image"].tolist() == folds["imageid"][validating].tolist()
    assert (stored["fold"] == 1).all()
    assert not set(stored["patient"]) & set(material.table["patient"][~validating])
    assert stored["label"].tolist() == material.table["label"][validating].tolist()
    np.testing.assert_allclose(stored[list(STUDY_CLASSES)].sum(axis=1), 1, atol=1e-5)
    again = prediction.predict_set(prediction.load_model(trained), material.images.images, material.rows[validating], trained.recipe)
    np.testing.assert_allclose(stored[list(prediction.PREDICTED)], again, atol=1e-6)
    pd.testing.assert_frame_equal(pd.read_csv(trained.folder / runs.FOLDS), folds)


def test_history_has_a_row_an_epoch(trained):
    history = pd.read_csv(trained.folder / runs.HISTORY)
    assert history["epoch"].tolist() == [1, 2, 3]
    assert {"phase", "loss", "val_loss", "study_loss", "none_loss", "val_study_accuracy"} <= set(history)
    assert np.isfinite(history.to_numpy(float)).all()
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]  # the greys tell the class


def test_priors_are_of_the_training_part_alone(tmp_path, material):
    films = material.table.copy()
    folds = made.folds(material)
    validating = folds["fold"].to_numpy() == 1
    learnt = films[~validating]
    # All validation films say something else: nothing of it may show.
    films.loc[validating, "label"] = "atypical"
    films.loc[validating, "reading"] = BOXED
    films.loc[validating, "boxes"] = pd.Series([((0.0, 0.0, 200.0, 100.0),)] * validating.sum(), index=films.index[validating])
    run = training.train_fold(made.CNN9, replace(material, table=films), folds, 1, tmp_path / "run", say=silent)
    assert run.priors == priors.class_priors(learnt)
    assert run.priors[NONE] != priors.class_priors(films)[NONE]
    assert np.allclose(run.prior_boxes, [[0.05, 0.2, 0.25, 0.8, 1.0]])


def test_the_record_says_what_was_trained_on_what(trained, material):
    assert trained.fold == 1
    assert trained.record["split"]["training_images"] + trained.record["split"]["validation_images"] == len(material.table)
    assert trained.record["training"]["epochs"] == 3
    assert trained.record["training"]["steps_per_epoch"] == 2
    assert trained.record["training"]["parameters"] == prediction.load_model(trained).count_params()


def test_a_finished_run_is_returned_as_it_is(trained, material):
    before = {path.name: path.stat().st_mtime_ns for path in trained.folder.iterdir()}
    again = training.train_fold(trained.recipe, material, made.folds(material), 1, trained.folder, say=pytest.fail)
    assert again == trained
    assert {path.name: path.stat().st_mtime_ns for path in trained.folder.iterdir()} == before


def another_fold(recipe, material, folds):
    return recipe, material, folds, 0


def other_folds(recipe, material, folds):
    return recipe, material, folds.assign(fold=np.arange(len(folds)) % 2), 1


def other_labels(recipe, material, folds):
    return recipe, replace(material, table=material.table.assign(label="typical")), folds, 1


def another_recipe(recipe, material, folds):
    return replace(recipe, seed=1), material, folds, 1


@pytest.mark.parametrize("change", [another_fold, other_folds, other_labels, another_recipe])
def test_a_folder_with_another_run_is_refused(trained, material, change):
    recipe, material, folds, fold = change(trained.recipe, material, made.folds(material))
    with pytest.raises(RunError, match=str(trained.folder)):
        training.train_fold(recipe, material, folds, fold, trained.folder, say=silent)


def test_a_damaged_run_is_not_taken_for_finished(trained, material, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "run")
    with open(tmp_path / "run" / runs.WEIGHTS, "ab") as file:
        file.write(b"x")
    with pytest.raises(RunError, match="has changed"):
        training.train_fold(trained.recipe, material, made.folds(material), 1, tmp_path / "run", say=silent)


def test_an_unfinished_run_is_trained_anew_and_another_seed_gives_other_weights(trained, material, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "run")
    (tmp_path / "run" / runs.RECORD).unlink()
    (tmp_path / "run" / runs.WEIGHTS).write_bytes(b"half a file")
    run = training.train_fold(trained.recipe, material, made.folds(material), 1, tmp_path / "run", say=silent)
    assert same(weights_of(run), weights_of(trained))
    other = training.train_fold(replace(trained.recipe, seed=1), material, made.folds(material), 1, tmp_path / "other", say=silent)
    assert not same(weights_of(other), weights_of(trained))


def test_the_image_set_must_be_of_the_recipe(material, tmp_path):
    recipe = replace(made.CNN9, pixels=PixelRecipe(size=16, equalise=True))
    with pytest.raises(ImageSetError, match="equalise: stored False, wanted True"):
        training.train_fold(recipe, material, made.folds(material), 0, tmp_path / "run", say=silent)
    assert not (tmp_path / "run").exists()


def test_a_fold_needs_films_on_both_sides(material, tmp_path):
    folds = made.folds(material)
    with pytest.raises(TableError, match="fold 2 has 0 of 24 films; there are the folds 0, 1"):
        training.train_fold(made.CNN9, material, folds, 2, tmp_path / "run", say=silent)
    with pytest.raises(TableError, match="fold 0 has 24 of 24"):
        training.train_fold(made.CNN9, material, folds.assign(fold=0), 0, tmp_path / "run", say=silent)


def test_folds_in_another_order_are_refused(material, tmp_path):
    with pytest.raises(TableError, match="in their order"):
        training.train_fold(made.CNN9, material, made.folds(material).iloc[::-1], 0, tmp_path / "run", say=silent)


def test_a_recipe_from_imagenet_needs_its_file(material, tmp_path):
    recipe = replace(made.CNN9, weights="imagenet")
    with pytest.raises(RecipeError, match="none are given"):
        training.train_fold(recipe, material, made.folds(material), 0, tmp_path / "run", say=silent)
    assert not (tmp_path / "run" / runs.RECORD).exists()


@pytest.mark.slow
def test_two_phases_and_the_same_seed_gives_the_same_weights(narrow_material, tmp_path, monkeypatch):
    seen = []

    def watch(model, recipe, part):
        seen.append((part, [array.copy() for array in model.get_layer(networks.BACKBONE).get_weights()]))
        original(model, recipe, part)

    original = networks.set_trainable
    monkeypatch.setattr(networks, "set_trainable", watch)
    lines = []
    folds = made.folds(narrow_material)
    recipe = replace(made.NARROW, keep="last", balance="sampling")
    first = training.train_fold(recipe, narrow_material, folds, 0, tmp_path / "first", say=lines.append)
    (_, built), (head, start), (both, after_head), _ = seen
    assert (head, both) == ("head", "all")
    assert same(start, built)
    assert same(after_head, start)  # the head phase left the backbone alone
    assert not same(prediction.load_model(first).get_layer(networks.BACKBONE).get_weights(), after_head)
    history = pd.read_csv(first.folder / runs.HISTORY)
    assert history[["phase", "epoch"]].to_numpy().tolist() == [[1, 1], [2, 2]]
    assert [line.split(":")[0] for line in lines] == ["phase 1 (head) epoch 1", "phase 2 (all) epoch 2"]

    second = training.train_fold(recipe, narrow_material, folds, 0, tmp_path / "second", say=silent)
    assert same(weights_of(first), weights_of(second))
    assert (first.folder / runs.OUT_OF_FOLD).read_bytes() == (second.folder / runs.OUT_OF_FOLD).read_bytes()


def validation_losses(monkeypatch, losses):
    """Lets fit report these validation losses, epoch by epoch; gives the weights that the model had at the end of each."""
    weights, losses = [], iter(losses)

    class Pretend(fitting.Epochs):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = next(losses)
            weights.append(self.model.get_weights())
            super().on_epoch_end(epoch, logs)

    monkeypatch.setattr(fitting, "Epochs", Pretend)
    return weights


TWO_BY_TWO = replace(made.CNN9, phases=(replace(made.ALL, epochs=2),) * 2)


@pytest.mark.parametrize(
    ("keep", "losses", "kept"),
    [("best", (0.9, 0.5, 0.8, 0.6), 1), ("best", (0.9, 0.8, 0.4, 0.7), 2), ("last", (0.9, 0.5, 0.8, 0.6), 3)],
)
def test_the_kept_weights_are_those_of_the_best_epoch_or_the_last(material, tmp_path, monkeypatch, keep, losses, kept):
    weights = validation_losses(monkeypatch, losses)
    run = training.train_fold(replace(TWO_BY_TWO, keep=keep), material, made.folds(material), 0, tmp_path / "run", say=silent)
    assert len(weights) == 4
    assert [same(weights_of(run), each) for each in weights] == [number == kept for number in range(4)]


def test_patience_ends_a_phase_and_the_next_goes_on(material, tmp_path, monkeypatch):
    weights = validation_losses(monkeypatch, [0.5, 0.6, 0.7, 0.4])
    recipe = replace(made.CNN9, phases=(replace(made.ALL, epochs=9, patience=2), made.ALL))
    run = training.train_fold(recipe, material, made.folds(material), 0, tmp_path / "run", say=silent)
    history = pd.read_csv(run.folder / runs.HISTORY)
    assert history[["phase", "epoch"]].to_numpy().tolist() == [[1, 1], [1, 2], [1, 3], [2, 4]]
    assert same(weights_of(run), weights[3])


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_training_that_diverges_is_a_clear_error(material, tmp_path, keep):
    steep = Phase(epochs=3, trainable="all", optimizer="sgd", learning_rate=1e30)
    lines = []
    with pytest.raises(RunError, match="phase 1 is not finite in epoch 1; lower the learning rate"):
        training.train_fold(
            replace(made.CNN9, phases=(steep, steep), keep=keep), material, made.folds(material), 0, tmp_path / "run", say=lines.append
        )
    assert len(lines) == 1  # nothing is learnt after it, so nothing is trained
    assert not (tmp_path / "run" / runs.RECORD).exists()


def test_a_training_that_diverges_late_keeps_its_best_weights(material, tmp_path, monkeypatch):
    weights = validation_losses(monkeypatch, [0.5, float("nan")])
    run = training.train_fold(TWO_BY_TWO, material, made.folds(material), 0, tmp_path / "run", say=silent)
    assert len(weights) == 2
    assert same(weights_of(run), weights[0])


def test_a_network_of_one_head_trains(material, tmp_path):
    recipe = replace(made.CNN9, heads=("study",), loss_weights=(1.0,), balance="class_weights")
    run = training.train_fold(recipe, material, made.folds(material), 0, tmp_path / "run", say=silent)
    stored = pd.read_csv(run.folder / runs.OUT_OF_FOLD)
    np.testing.assert_array_equal(stored["none"], stored["negative"])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "nadam", "rmsprop"])
def test_the_optimizer_is_the_recipes(optimizer):
    phase = Phase(epochs=1, trainable="all", optimizer=optimizer, learning_rate=0.25, momentum=0.75)
    found = fitting.optimizer(phase)
    assert type(found).__name__.lower() == optimizer
    assert float(found.learning_rate) == 0.25
    if optimizer in ("sgd", "rmsprop"):
        assert found.momentum == 0.75


def test_mixed_precision_needs_a_gpu_and_the_record_says_what_was_used(trained):
    assert trained.record["training"]["dtype"] == "float32"
    assert keras.config.dtype_policy().name == "float32"
    assert json.loads((trained.folder / runs.RECORD).read_text())["training"]["devices"]


@pytest.mark.slow
def test_real_imagenet_weights_train(imagenet_weights, tmp_path):
    recipe = replace(
        made.NARROW,
        network="xception",
        weights="imagenet",
        batch_norm="kept",
        pixels=PixelRecipe(size=71),
        keep="last",
    )
    material = made.material(tmp_path / "set", recipe.pixels, count=16)
    run = training.train_fold(recipe, material, made.folds(material), 0, tmp_path / "run", imagenet_weights, say=silent)
    started = networks.build(recipe, imagenet_weights).get_layer(networks.BACKBONE)
    ended = prediction.load_model(run).get_layer(networks.BACKBONE)
    pairs = zip(started.weights, ended.weights, strict=True)
    moved = {old.path.split("/")[-1] for old, new in pairs if not np.array_equal(old.numpy(), new.numpy())}
    assert moved == {"kernel", "depthwise_kernel", "pointwise_kernel"}
