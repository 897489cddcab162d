"""Predictions: means over mirrors, runs and images, and the same from a DICOM as from an image set."""

import json
import math
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from siim_kernel import clock, runs
from siim_kernel.errors import RunError
from siim_kernel.learning import networks, plan, prediction
from siim_kernel.pixels import building, imagesets, reading
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
    np.testing.assert_allclose(mean, [[0.25, 0.3, 0.2, 0.25]], atol=1e-7)
    rule = [np.array(value) for value in tiny.RULE.values()]
    np.testing.assert_allclose(prediction.to_predicted(mean, *rule), [[0.25, 0.3, 0.2, 0.25, 0.25]], atol=1e-7)


def test_labels_are_shared_out_among_the_study_classes_and_none():
    """Two labels, the second of three classes in shares of .5, .3 and .2; then a `none` of its own."""
    rule = np.array([[1, 0, 0, 0], [0, 0.5, 0.3, 0.2]]), np.array([1.0, 0.0])
    np.testing.assert_allclose(prediction.to_predicted(np.array([[0.4, 0.6]]), *rule), [[0.4, 0.3, 0.18, 0.12, 0.4]])
    np.testing.assert_allclose(prediction.to_predicted(np.array([[0.4, 0.6, 0.9]]), *rule), [[0.4, 0.3, 0.18, 0.12, 0.9]])


def test_rows_of_a_set_come_in_their_order_in_batches():
    images = np.stack([squares([i, 0, 0, 0, i], [0] * 5)[0] for i in range(9)])
    model, rows = Stub(), np.array([7, 0, 3, 3, 8])
    found = prediction.predict_set(model, images, rows, replace(tiny.CNN9, batch=2))
    np.testing.assert_allclose(found[:, 0], rows / 100, atol=1e-7)
    assert [shape[0] for shape in model.shapes] == [2, 2, 1]
    assert prediction.predict_set(model, images, np.array([], int), tiny.CNN9).shape == (0, 5)


def store_run(folder, recipe, model=None, fold=0):
    """A finished run without a training: fresh weights of the recipe's network, or of another."""
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(recipe.seed + fold)
    (model or networks.build(networks.without_imagenet(recipe))).save_weights(folder / runs.WEIGHTS)
    for name in (runs.FOLDS, runs.OUT_OF_FOLD, runs.HISTORY):
        (folder / name).write_text("")
    runs.save(folder, recipe, fold, {"priors": dict.fromkeys(prediction.PREDICTED, 0.2), "prior_boxes": [], **tiny.RULE})
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
    assert progress == [3, 6, 7]  # batches of the larger recipe


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


class Clock:
    """Seconds that pass only when something says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def deadline(self, at):
        return SimpleNamespace(left=lambda: at - self.now)


class Slow:
    """A network that takes seconds of a clock for a batch and says always the same."""

    def __init__(self, clock, seconds, study):
        self.clock, self.seconds, self.study, self.shapes = clock, seconds, study, []

    def predict_on_batch(self, squares):
        self.clock.now += self.seconds
        self.shapes.append(squares.shape)
        return {"study": np.tile(np.float32([self.study, 0, 0, 1 - self.study]), (len(squares), 1))}


LOADING = 5.0


@pytest.fixture
def slow(monkeypatch):
    """A function: predicts 100 films in batches of 8 by two networks that want mirrors, each view 8 s a batch, until a deadline."""
    time, size = Clock(), tiny.CNN9.pixels.size
    models = {name: Slow(time, 8.0, study) for name, study in (("first", 0.2), ("second", 0.6))}

    def place(run):
        time.now += LOADING
        return models[run.recipe.name]

    def stream(films, recipes, workers):
        for image, path in films:
            if image == "i010":
                yield reading.Read(image, path, reason="broken")
            else:
                yield reading.Read(image, path, (np.zeros((size, size), np.uint8),), {"rows": 10, "columns": 20})

    monkeypatch.setattr(prediction, "monotonic", time)
    monkeypatch.setattr(prediction, "place_model", place)
    monkeypatch.setattr(prediction.reading, "stream", stream)
    stored = [SimpleNamespace(recipe=replace(tiny.CNN9, name=name, flip_average=True), **tiny.RULE) for name in models]
    films = [(f"i{number:03d}", f"p{number:03d}") for number in range(100)]

    def predict(at, **more):
        found = prediction.predict_films(films, stored, deadline=time.deadline(at), **more)
        everybody = [*found.images["image"], *(image for image, _, _ in found.not_read)]
        assert sorted(everybody) == [image for image, _ in films]  # each film once
        return found

    predict.clock, predict.models = time, models
    return predict


FULL = 2 * LOADING + 13 * 4 * 8  # two networks loaded, 13 batches, four views


def test_without_a_limit_every_network_sees_every_film_in_batches_of_one_shape(slow):
    found = slow(math.inf)
    assert (found.fewer, found.not_read) == (0, (("i010", "p010", "broken"),))
    assert slow.clock.now == FULL
    np.testing.assert_allclose(found.images["negative"], 0.4, atol=1e-7)
    size = tiny.CNN9.pixels.size
    assert {shape for model in slow.models.values() for shape in model.shapes} == {(8, size, size, 1)}  # the last batch is filled up


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8, 0.95])
def test_short_of_time_all_films_are_seen_by_fewer_and_the_deadline_holds(slow, share):
    found = slow(share * FULL)
    assert [reason for _, _, reason in found.not_read] == ["broken"]
    assert 0 < found.fewer <= 99
    assert 0.8 * share * FULL < slow.clock.now <= share * FULL
    assert set(found.images["negative"].round(6)) <= {0.2, 0.4, 0.333333}  # of one network, or of two with equal weight


def test_a_mirror_more_does_not_outweigh_another_network(slow):
    found = slow(0.95 * FULL)
    assert set(found.images["negative"].round(6)) <= {0.2, 0.4}


def test_films_that_the_time_did_not_reach_say_so(slow):
    found = slow(60.0)
    assert slow.clock.now <= 60.0
    lost = [image for image, _, reason in found.not_read if reason == plan.NO_TIME]
    assert 50 < len(lost) < 100
    assert max(found.images["image"]) < min(lost)  # those at the front were predicted


def test_a_view_that_would_end_too_late_is_not_begun(slow):
    time, size = slow.clock, tiny.CNN9.pixels.size
    stored = [SimpleNamespace(recipe=replace(tiny.CNN9, name=name), **tiny.RULE) for name in slow.models]
    reads = [reading.Read("a", "", (np.zeros((size, size), np.uint8),), {"rows": 10, "columns": 20})]
    ensemble = prediction.Ensemble(stored, 8, time.deadline(100.0))
    assert ensemble.look(reads, 0)[1] == 2
    for left, views in ((16.5, 2), (16.0, 1), (8.5, 1), (8.0, 0), (-1.0, 0)):
        time.now = 100.0 - left
        assert ensemble.look(reads, 0)[1] == views
        assert time.now == 100.0 - left + 8.0 * views
    assert ensemble.look(reads, 0)[0] is None


@pytest.mark.parametrize(("at", "loaded"), [(0.0, 0), (-100.0, 0), (4.0, 1)])
def test_a_deadline_that_passed_before_the_first_film(slow, at, loaded):
    found = slow(at)
    assert len(found.images) == 0
    assert {reason for _, _, reason in found.not_read} == {plan.NO_TIME}
    assert slow.clock.now == loaded * LOADING
    assert found.images.dtypes["none"] == np.float64


def test_loading_networks_does_not_take_the_time_of_the_films(slow):
    found = slow(19.0)  # the second would be begun after 5 s, more than a quarter
    assert slow.models["second"].shapes == []
    assert slow.clock.now == LOADING + 8.0
    assert (len(found.images), found.fewer) == (8, 8)
    np.testing.assert_allclose(found.images["negative"], 0.2, atol=1e-7)


def test_what_is_known_is_handed_out_now_and_then(slow, monkeypatch):
    monkeypatch.setattr(prediction, "KEEP_EVERY", 100.0)
    kept = []
    found = slow(math.inf, keep=kept.append)
    assert [len(each.images) for each in kept] == [23, 55, 87]  # a batch takes 32 s, loading 10
    for each in kept:
        assert [reason for _, _, reason in each.not_read] == ["broken"] + [plan.NOT_YET] * (99 - len(each.images))
        pd.testing.assert_frame_equal(each.images, found.images[: len(each.images)])


def test_a_film_that_hangs_does_not_hold_up_the_end(slow, monkeypatch):
    released = threading.Event()

    def stream(films, recipes, workers):
        for image, path in films[:20]:
            yield reading.Read(image, path, (np.zeros((16, 16), np.uint8),), {"rows": 10, "columns": 20})
        released.wait(60)

    monkeypatch.setattr(prediction.reading, "stream", stream)
    monkeypatch.setattr(prediction, "place_model", lambda run: Slow(Clock(), 0.0, 0.2))
    films = [(f"i{number:03d}", "") for number in range(30)]
    recipe = replace(tiny.CNN9, name="first")
    found = prediction.predict_films(films, [SimpleNamespace(recipe=recipe, **tiny.RULE)], deadline=clock.after(1 / 3600))
    assert not released.is_set()
    assert len(found.images) == 20  # the four of the unfinished batch too
    assert found.not_read == tuple((image, "", plan.NO_TIME) for image, _ in films[20:])
    released.set()


SEVERAL = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from siim_kernel import runs
from siim_kernel.learning import prediction
run = runs.load(sys.argv[1])
split = prediction.place_model(run)
one = prediction.load_model(run)
squares = np.random.default_rng(0).integers(0, 256, (5, run.recipe.pixels.size, run.recipe.pixels.size), np.uint8)
devices = [model.weights[0].value.device[-5:] for _, model in split._models]
found = [prediction.predict_squares(model, squares, True).tolist() for model in (split, one)]
few = [prediction.predict_squares(model, squares[:1], True).tolist() for model in (split, one)]
print(json.dumps([devices, found, few]))
"""


@pytest.mark.slow
def test_two_devices_share_each_batch_and_say_the_same(two_runs):
    done = subprocess.run([sys.executable, "-c", SEVERAL, two_runs[1].folder], capture_output=True, text=True, check=True)
    devices, found, few = json.loads(done.stdout.splitlines()[-1])
    assert devices == ["CPU:0", "CPU:1"]
    np.testing.assert_allclose(*found, atol=1e-6)
    np.testing.assert_allclose(*few, atol=1e-6)


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
    with pytest.raises(RunError, match=r"\(recipe tiny\) do not fit the network") as caught:
        prediction.load_model(run)
    assert str(folder) in str(caught.value)


def test_devices_are_named():
    assert prediction.devices()
