"""Training input: what is in a batch, and that seed, epoch and index decide it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from siim_kernel.errors import TableError
from siim_kernel.labels import BOXED, NONE, NOT_READ, STUDY_CLASSES
from siim_kernel.learning import pipeline
from siim_kernel.recipes.recipe import Augmentation, Phase, PixelRecipe, Recipe

STRONG = Augmentation(flip=0.5, rotate=20, zoom=0.2, shift=0.1, shear=5, brightness=(0.7, 1.3), contrast=(0.7, 1.3), gamma=(0.7, 1.4))
RECIPE = Recipe(
    name="t",
    about="",
    network="cnn9",
    pixels=PixelRecipe(size=16),
    phases=(Phase(epochs=1, trainable="all", optimizer="adam", learning_rate=1e-3),),
    batch=4,
    augmentation=STRONG,
)
LABELS = ["negative", "typical", "typical", "indeterminate", "atypical", "negative", "typical", "typical", "typical", "typical"]
READINGS = [NONE, BOXED, NOT_READ, BOXED, NONE, NONE, BOXED, NOT_READ, BOXED, BOXED]
DRAW = np.random.default_rng(5)
IMAGES = DRAW.integers(0, 256, (14, 16, 16), dtype=np.uint8)
ROWS = np.array([3, 1, 4, 0, 5, 9, 2, 6, 13, 7])


def films(recipe=RECIPE, balanced=True):
    return pipeline.examples(IMAGES, ROWS, pd.DataFrame({"label": LABELS, "reading": READINGS}), recipe, balanced)


def as_numpy(data):
    return list(data.as_numpy_iterator())


def assert_same(left, right):
    assert len(left) == len(right)
    for (images, targets, weights), (images_too, targets_too, weights_too) in zip(left, right, strict=True):
        np.testing.assert_array_equal(images, images_too)
        for head in targets:
            np.testing.assert_array_equal(targets[head], targets_too[head])
            np.testing.assert_array_equal(weights[head], weights_too[head])


def test_targets_and_weights_of_each_film():
    made = films(balanced=False)
    assert [STUDY_CLASSES[code] for code in made.targets["study"].argmax(axis=1)] == LABELS
    assert (made.targets["study"].sum(axis=1) == 1).all()
    assert made.targets["none"][:, 0].tolist() == [1, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert made.weights["study"].tolist() == [1] * 10  # a film that was not read still teaches its study's class
    assert made.weights["none"].tolist() == [1, 1, 0, 1, 1, 1, 1, 0, 1, 1]
    assert len(made) == 10


def test_class_weights_give_each_class_the_same_sum_in_training_alone():
    recipe = replace(RECIPE, balance="class_weights")
    weights = films(recipe).weights["study"]
    counts = {"negative": 2, "typical": 6, "indeterminate": 1, "atypical": 1}
    np.testing.assert_allclose(weights, [10 / (4 * counts[label]) for label in LABELS], rtol=1e-6)
    assert films(recipe, balanced=False).weights["study"].tolist() == [1] * 10
    assert films(recipe).weights["none"].tolist() == [1, 1, 0, 1, 1, 1, 1, 0, 1, 1]


def test_class_weights_without_films_of_a_class():
    table = pd.DataFrame({"label": ["negative", "negative", "negative", "typical"], "reading": [NONE] * 4})
    made = pipeline.examples(IMAGES, np.arange(4), table, replace(RECIPE, balance="class_weights"), balanced=True)
    np.testing.assert_allclose(made.weights["study"], [2 / 3, 2 / 3, 2 / 3, 2], rtol=1e-6)


def table(*labels, readings=None):
    return pd.DataFrame({"label": labels, "reading": readings or [NONE] * len(labels), "image_label": "none"})


@pytest.mark.parametrize("balance", ["none", "class_weights", "sampling"])
def test_films_without_a_label_are_left_out_and_counted(balance):
    """An external class under `study_label`, an empty cell: neither is the scheme's last class."""
    recipe = replace(RECIPE, balance=balance)
    labelled = ["negative", "typical", "typical", "atypical"]
    given = table("LO", *labelled[:2], "", *labelled[2:], np.nan)
    made = pipeline.examples(IMAGES, np.arange(7), given, recipe, balanced=True)
    assert made.rows.tolist() == [1, 2, 4, 5]
    assert [STUDY_CLASSES[code] for code in made.targets["study"].argmax(axis=1)] == labelled
    assert (len(made), made.left_out) == (4, 3)
    assert {len(values) for values in (*made.targets.values(), *made.weights.values())} == {4}
    alone = pipeline.examples(IMAGES, np.array([1, 2, 4, 5]), table(*labelled), recipe, balanced=True)
    np.testing.assert_array_equal(made.weights["study"], alone.weights["study"])
    assert alone.left_out == 0
    assert pipeline.left_out_lines(recipe, made, alone) == [
        "warning: 3 of 7 films for training have no label of study_label and are left out"
    ]


def test_empty_image_labels_are_left_out():
    given = table("negative", "typical", "typical").assign(image_label=["none", "opacity", ""])
    recipe = replace(RECIPE, labels="image_label", heads=("study",), loss_weights=(1.0,))
    made = pipeline.examples(IMAGES, np.arange(3), given, recipe, balanced=False)
    assert made.targets["study"].tolist() == [[1, 0], [0, 1]]
    assert pipeline.left_out_lines(recipe, made, made) == [
        f"warning: 1 of 3 films for {side} have no label of image_label and are left out" for side in ("training", "validation")
    ]


def test_no_film_with_a_label_is_an_error():
    with pytest.raises(TableError, match="none of the 2 films has a label of the scheme study_label, whose labels are negative, typical"):
        pipeline.examples(IMAGES, np.arange(2), table("LO", "NORMAL"), RECIPE, balanced=True)


def test_only_the_recipes_heads_have_targets():
    made = films(replace(RECIPE, heads=("study",), loss_weights=(1.0,)))
    assert set(made.targets) == set(made.weights) == {"study"}


def test_an_epochs_order_is_a_permutation_that_seed_and_epoch_decide():
    codes = np.zeros(50, int)
    first = pipeline.epoch_order(1, 0, codes, "none")
    assert sorted(first) == list(range(50))
    np.testing.assert_array_equal(first, pipeline.epoch_order(1, 0, codes, "none"))
    assert (first != pipeline.epoch_order(1, 1, codes, "none")).any()
    assert (first != pipeline.epoch_order(2, 0, codes, "none")).any()


def test_sampling_draws_each_class_equally_often():
    codes = np.repeat([0, 1, 3], [3000, 900, 100])  # one class has no film
    drawn = np.bincount(codes[pipeline.epoch_order(1, 0, codes, "sampling")], minlength=4)
    assert drawn.sum() == 4000
    np.testing.assert_allclose(drawn[[0, 1, 3]] / 4000, 1 / 3, atol=0.03)
    assert drawn[2] == 0


def test_an_epoch_covers_every_film_in_uint8_and_fills_its_last_batch_with_its_first_films():
    plain = replace(RECIPE, augmentation=Augmentation())
    made = films(plain)
    for epoch in range(2):
        batches = as_numpy(pipeline.training_data(made, plain, epoch, epoch + 1))
        assert [images.shape for images, _, _ in batches] == [(4, 16, 16, 1)] * 3
        assert len(batches) == pipeline.steps(made, plain)
        order = pipeline.epoch_order(plain.seed, epoch, made.targets["study"].argmax(axis=1), "none")
        assert sorted(order) == list(range(10))
        order = np.concatenate([order, order[:2]])
        images = np.concatenate([images for images, _, _ in batches])
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images[..., 0], IMAGES[ROWS[order]])  # no augmentation: byte for byte
        for head in ("study", "none"):
            np.testing.assert_array_equal(np.concatenate([targets[head] for _, targets, _ in batches]), made.targets[head][order])
            np.testing.assert_array_equal(np.concatenate([weights[head] for _, _, weights in batches]), made.weights[head][order])


def test_fewer_films_than_a_batch_fill_it_again_and_again():
    recipe = replace(RECIPE, batch=32)
    (batch,) = as_numpy(pipeline.training_data(films(recipe), recipe, 0, 1))
    assert len(batch[0]) == 32


@pytest.mark.parametrize("balance", ["none", "sampling"])
def test_a_training_that_goes_on_sees_what_it_would_have_seen(balance):
    recipe = replace(RECIPE, balance=balance)
    made = films(recipe)
    whole = as_numpy(pipeline.training_data(made, recipe, 0, 3))
    assert_same(whole[6:], as_numpy(pipeline.training_data(made, recipe, 2, 3)))
    assert_same(whole[3:], as_numpy(pipeline.training_data(made, recipe, 1, 3)))
    assert (whole[0][0] != whole[3][0]).any()  # epochs differ
    other = as_numpy(pipeline.training_data(made, replace(recipe, seed=7), 0, 1))
    assert (whole[0][0] != other[0][0]).any()


def test_plain_data_is_in_order_and_as_it_is():
    made = films(balanced=False)
    batches = as_numpy(pipeline.plain_data(made, RECIPE))
    assert [len(images) for images, _, _ in batches] == [4, 4, 4]
    np.testing.assert_array_equal(np.concatenate([images for images, _, _ in batches])[:10, ..., 0], IMAGES[ROWS])
    np.testing.assert_array_equal(np.concatenate([targets["study"] for _, targets, _ in batches])[:10], made.targets["study"])


def test_what_fills_the_last_batch_does_not_count_and_the_mean_is_that_of_the_films():
    made = films(balanced=False)
    batches = as_numpy(pipeline.plain_data(made, RECIPE))
    for head in ("study", "none"):
        weights = np.concatenate([weights[head] for _, _, weights in batches])
        np.testing.assert_array_equal(weights[10:], 0)
        np.testing.assert_allclose(weights[:10], made.weights[head] * 1.2)
        values = np.arange(12.0)
        assert np.mean(values * weights) == pytest.approx(np.mean(values[:10] * made.weights[head]), rel=1e-6)


def draw():
    return np.random.default_rng(0)


def test_augmentation_depends_on_the_draw_alone():
    image = IMAGES[0].copy()
    first = pipeline.augment(image, STRONG, draw())
    np.testing.assert_array_equal(first, pipeline.augment(image, STRONG, draw()))
    np.testing.assert_array_equal(image, IMAGES[0])  # and leaves its input alone
    assert first.dtype == np.uint8
    assert first.shape == (16, 16)
    assert (first != pipeline.augment(image, STRONG, np.random.default_rng(1))).any()


@pytest.mark.parametrize("side", [2, 5, 16])
def test_flip_is_the_exact_mirror(side):
    image = np.random.default_rng(2).integers(0, 256, (side, side), dtype=np.uint8)
    np.testing.assert_array_equal(pipeline.augment(image, Augmentation(flip=1.0), draw()), image[:, ::-1])
    np.testing.assert_array_equal(pipeline.augment(image, Augmentation(), draw()), image)


def test_flip_happens_as_often_as_the_recipe_says():
    image = np.arange(4, dtype=np.uint8).reshape(2, 2)
    shared = np.random.default_rng(0)
    flipped = sum((pipeline.augment(image, Augmentation(flip=0.25), shared) != image).any() for _ in range(2000))
    assert 420 < flipped < 580


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (Augmentation(brightness=(1.5, 1.5)), [[0, 75], [150, 255]]),
        (Augmentation(brightness=(0.5, 0.5)), [[0, 25], [50, 100]]),
        (Augmentation(contrast=(2.0, 2.0)), [[0, 12], [112, 255]]),  # about the mean, 87.5
        (Augmentation(gamma=(2.0, 2.0)), [[0, 10], [39, 157]]),  # 255 * (g / 255) ** 2
        (Augmentation(gamma=(0.5, 0.5)), [[0, 113], [160, 226]]),
    ],
)
def test_greys_change_exactly(augmentation, expected):
    image = np.array([[0, 50], [100, 200]], np.uint8)
    assert pipeline.augment(image, augmentation, draw()).tolist() == expected


def test_shift_moves_by_up_to_its_share_and_black_comes_in():
    image = np.full((100, 100), 200, np.uint8)
    shared = np.random.default_rng(0)
    lost = []
    for _ in range(200):
        moved = pipeline.augment(image, Augmentation(shift=0.1), shared)
        lost.append((moved == 0).all(axis=0).sum())
        assert (moved[50, 50], moved.max()) == (200, 200)
    assert 8 <= max(lost) <= 10


def test_zoom_scales_about_the_centre():
    image = np.zeros((101, 101), np.uint8)
    image[30:71, 30:71] = 255
    sides = {int(np.sqrt((pipeline.augment(image, Augmentation(zoom=0.2), np.random.default_rng(i)) > 127).sum())) for i in range(100)}
    assert 33 <= min(sides) <= 35  # 41 / 1.2: the square shows 1.2 of the side
    assert 49 <= max(sides) <= 52  # 41 / 0.8


def test_rotation_keeps_the_centre_and_the_size_of_a_disc():
    y, x = np.mgrid[0:101, 0:101] - 50
    image = np.where((np.hypot(x, y) < 40) & (y < 0), 255, 0).astype(np.uint8)
    turned = pipeline.augment(image, Augmentation(rotate=30.0), np.random.default_rng(4))
    assert (turned != image).any()
    assert abs(int((turned > 127).sum()) - int((image > 127).sum())) < 60
    assert (turned[np.hypot(x, y) > 42] == 0).all()
