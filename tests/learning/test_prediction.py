"""Predictions: means over mirrors, runs and images, and the same from a DICOM as from an image set."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from siim_kernel import runs
from siim_kernel.errors import RunError
from siim_kernel.learning import networks, prediction
from siim_kernel.pixels import building, imagesets
from siim_kernel.recipes.recipe import PixelRecipe
from tests.learning import made as tiny
from tests.pixels import made as dicoms


class Stub:
    """A network whose study probabilities are read off the left column of each square."""

    def __init__(self, none=True):
        self.none, self.shapes = none, []

    def predict_on_batch(self, squares):
        self.shapes.append(squares.shape)
        assert squares.dtype == np.uint8
        study = squares[:, :4, 0, 0].astype(np.float32) / 100
        return {"study": study} | ({"none": squares[:, 4:5, 0, 0].astype(np.float32) / 100} if self.none else {})


def squares(left, right):
    """[1, 5, 5] with these left and right columns."""
    made = np.zeros((1, 5, 5), np.uint8)
    made[0, :, 0], made[0, :, -1] = left, right
    return made


LEFT, RIGHT = [10, 20, 30, 40, 90], [40, 40, 10, 10, 30]


def test_flip_average_is_the_mean_of_both_views():
    plain = prediction.predict_squares(Stub(), squares(LEFT, RIGHT), flip_average=False)
    np.testing.assert_allclose(plain, [[0.1, 0.2, 0.3, 0.4, 0.9]], atol=1e-7)
    mean = prediction.predict_squares(Stub(), squares(LEFT, RIGHT), flip_average=True)
    np.testing.assert_allclose(mean, [[0.25, 0.3, 0.2, 0.25, 0.6]], atol=1e-7)


def test_without_a_none_head_none_is_negative():
    mean = prediction.predict_squares(Stub(none=False), squares(LEFT, RIGHT), flip_average=True)
    np.testing.assert_allclose(mean, [[0.25, 0.3, 0.2, 0.25, 0.25]], atol=1e-7)


def test_rows_of_a_set_come_in_their_order_in_batches():
    images = np.stack([squares([i, 0, 0, 0, i], [0] * 5)[0] for i in range(9)])
    model, rows = Stub(), np.array([7, 0, 3, 3, 8])
    found = prediction.predict_set(model, images, rows, replace(tiny.CNN9, batch=2))
    np.testing.assert_allclose(found[:, 0], rows / 100, atol=1e-7)
    assert [shape[0] for shape in model.shapes] == [2, 2, 1]
    assert prediction.predict_set(model, images, np.array([], int), tiny.CNN9).shape == (0, 5)


def test_a_studys_probabilities_are_the_mean_of_its_images():
    images = pd.DataFrame(
        [("a", 0.2, 0.3, 0.4, 0.1, 0.5), ("b", 0.4, 0.1, 0.2, 0.3, 0.5), ("c", 1, 0, 0, 0, 1)], columns=["image", *prediction.PREDICTED]
    )
    means = prediction.study_means(images, pd.Series({"a": "s", "b": "s", "c": "t", "unread": "u"}))
    np.testing.assert_allclose(means.loc["s"], [0.3, 0.2, 0.3, 0.2])
    np.testing.assert_allclose(means.loc["t"], [1, 0, 0, 0])
    assert list(means.index) == ["s", "t"]


def store_run(folder, recipe, model=None, fold=0):
    """A finished run without a training: fresh weights of the recipe's network, or of another."""
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(recipe.seed + fold)
    (model or networks.build(networks.without_imagenet(recipe))).save_weights(folder / runs.WEIGHTS)
    for name in (runs.FOLDS, runs.OUT_OF_FOLD, runs.HISTORY):
        (folder / name).write_text("")
    runs.save(folder, recipe, fold, {"priors": dict.fromkeys(prediction.PREDICTED, 0.2), "prior_boxes": []})
    return runs.load(folder)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Seven films as DICOMs: DataFrame image, study, series, split, path."""
    folder = tmp_path_factory.mktemp("films")
    rows = []
    for number in range(7):
        pixels = dicoms.noisy(40 + number, 60, 0, 4095, seed=number)
        path = dicoms.write(folder / f"f{number}.dcm", pixels, PhotometricInterpretation=f"MONOCHROME{1 + number % 2}")
        rows.append((f"f{number}", f"s{number // 2}", "x", "test", str(path)))
    return pd.DataFrame(rows, columns=["image", "study", "series", "split", "path"])


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """Two recipes of different pixels, networks and batches."""
    folder = tmp_path_factory.mktemp("runs")
    first = replace(tiny.CNN9, batch=3)
    second = replace(tiny.CNN9, name="other", batch=2, flip_average=True, pixels=PixelRecipe(size=24, aspect="pad"))
    return [store_run(folder / "first", first), store_run(folder / "second", second)]


def test_a_film_gets_the_same_from_its_dicom_as_from_an_image_set(films, two_runs, tmp_path):
    expected = []
    for run in two_runs:
        built = building.build(films, tmp_path / run.recipe.name, [run.recipe.pixels], workers=1)
        opened = imagesets.open_set(built.folders[0], run.recipe.pixels)
        assert opened.table["image"].tolist() == films["image"].tolist()
        expected.append(prediction.predict_set(prediction.load_model(run), opened.images, np.arange(7), run.recipe))
    progress = []
    found = prediction.predict_films(zip(films["image"], films["path"], strict=True), two_runs, workers=2, progress=progress.append)
    assert found.not_read == ()
    assert found.images["image"].tolist() == films["image"].tolist()
    assert found.images["rows"].tolist() == [40, 41, 42, 43, 44, 45, 46]
    assert set(found.images["columns"]) == {60}
    np.testing.assert_allclose(found.images[list(prediction.PREDICTED)], np.mean(expected, axis=0), atol=1e-6)
    assert not np.allclose(expected[0], expected[1], atol=1e-3)  # the mean is of two
    assert progress == list(range(1, 8))


def test_films_that_cannot_be_read_are_listed_and_cost_no_other(films, two_runs, tmp_path):
    (tmp_path / "text.dcm").write_text("no film")
    asked = [
        ("bad", str(tmp_path / "text.dcm")),
        *zip(films["image"][:3], films["path"][:3], strict=True),
        ("gone", str(tmp_path / "gone.dcm")),
    ]
    found = prediction.predict_films(asked, two_runs[:1])
    assert found.images["image"].tolist() == ["f0", "f1", "f2"]
    assert [(image, path) for image, path, _ in found.not_read] == [
        ("bad", str(tmp_path / "text.dcm")),
        ("gone", str(tmp_path / "gone.dcm")),
    ]
    assert all(reason for _, _, reason in found.not_read)
    whole = prediction.predict_films(zip(films["image"], films["path"], strict=True), two_runs[:1])
    np.testing.assert_allclose(found.images[list(prediction.PREDICTED)], whole.images[list(prediction.PREDICTED)][:3], atol=1e-6)


def test_no_films_no_rows(two_runs):
    found = prediction.predict_films([], two_runs[:1])
    assert len(found.images) == 0
    assert found.not_read == ()


def text(path):
    path.write_text("no weights")


def of_narrow_xception(path):
    networks.build(tiny.NARROW).save_weights(path)


def of_another_size(path):
    networks.build(replace(tiny.CNN9, pixels=PixelRecipe(size=32))).save_weights(path)


def of_fewer_heads(path):
    networks.build(replace(tiny.CNN9, heads=("study",), loss_weights=(1.0,))).save_weights(path)


def legacy(path):
    from tests.imagenet_weights import write_legacy

    write_legacy(networks.build(tiny.CNN9), path)


@pytest.mark.parametrize("write", [text, of_narrow_xception, of_another_size, of_fewer_heads, legacy])
def test_weights_of_another_network_are_refused(two_runs, tmp_path, write):
    folder = tmp_path / "run"
    run = store_run(folder, tiny.CNN9)
    run.weights.unlink()
    write(run.weights)
    with pytest.raises(RunError, match="do not fit its recipe tiny") as caught:
        prediction.load_model(run)
    assert str(folder) in str(caught.value)


def test_devices_are_named():
    assert prediction.devices()
