"""What Keras 3 ignores or keeps only as legacy, and what stands here in its place: the same meaning."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from siim_kernel.learning import fitting, pipeline
from siim_kernel.recipes.augmentations import AUGMENTATION_A, AUGMENTATION_B, AUGMENTATION_C
from siim_kernel.recipes.recipe import Augmentation, Phase

SIZE = 64


def test_the_learning_rate_decays_as_it_did_in_older_versions():
    """Keras before 2.11: lr * 1 / (1 + decay * iterations), step by step."""
    phase = Phase(epochs=1, trainable="all", optimizer="sgd", learning_rate=0.2, momentum=0.9, decay=0.001)
    weight = keras.Variable(np.zeros(1, np.float32))
    optimizer = fitting.optimizer(phase)
    optimizer.build([weight])
    for step in range(400):
        assert float(optimizer.learning_rate) == pytest.approx(0.2 / (1 + 0.001 * step), rel=1e-6)
        optimizer.apply_gradients([(np.zeros(1, np.float32), weight)])


def legacy(augmentation):
    """ImageDataGenerator with the thesis's arguments for a recipe's augmentation."""
    arguments = {
        "horizontal_flip": augmentation.flip > 0,
        "vertical_flip": augmentation.vertical_flip > 0,
        "zoom_range": augmentation.zoom,
        "shear_range": augmentation.shear,
        "width_shift_range": augmentation.shift,
        "height_shift_range": augmentation.shift,
    }
    if augmentation.brightness != (1.0, 1.0):
        arguments["brightness_range"] = list(augmentation.brightness)
    return ImageDataGenerator(**arguments)


def drawn(augmentation, count=2000):
    """What the legacy class draws for each transformation: a dict of arrays."""
    generator = legacy(augmentation)
    draws = [generator.get_random_transform((SIZE, SIZE, 1), seed=number) for number in range(count)]
    return {name: np.array([draw[name] for draw in draws], dtype=object) for name in draws[0]}


def ours(augmentation, count=2000):
    """What `pipeline.augment` does to films, measured on ramps and a grey, by the legacy class's names: a dict of arrays.

    A ramp to the right shows from which column each pixel comes, one downwards from which row: source = matrix @ pixel + shift.
    """
    rows, columns = np.mgrid[:SIZE, :SIZE]
    ramps = [(60 + 2 * each).astype(np.uint8) for each in (columns, rows)]
    inner = (slice(10, -10), slice(10, -10))
    centre = (SIZE - 1) / 2
    pixels = np.column_stack([columns[inner].ravel() - centre, rows[inner].ravel() - centre, np.ones(columns[inner].size)])
    # A shear of 0.05 degrees is less than the steps of 1/32 pixel in which films are interpolated: a hundred times as much is seen.
    plain, found = replace(augmentation, brightness=(1.0, 1.0), shear=100 * augmentation.shear), []
    for number in range(count):
        moved = [pipeline.augment(ramp, plain, np.random.default_rng(number))[inner] for ramp in ramps]
        sources = np.column_stack([(each.ravel().astype(float) - 60) / 2 - centre for each in moved])
        (xx, yx), (xy, yy), shift = np.linalg.lstsq(pixels, sources, rcond=None)[0]
        assert abs(yx) < 2e-3, "rows stay level"
        grey = pipeline.augment(np.full((SIZE, SIZE), 200, np.uint8), augmentation, np.random.default_rng(number))[0, 0]
        shear = np.arctan(-xy / yy)
        found.append((abs(xx), abs(yy / np.cos(shear)), np.rad2deg(shear) / 100, *shift, xx < 0, yy < 0, grey / 200))
    names = ("zx", "zy", "shear", "tx", "ty", "flip_horizontal", "flip_vertical", "brightness")
    return dict(zip(names, np.array(found).T, strict=True))


@pytest.mark.parametrize("augmentation", [AUGMENTATION_A, AUGMENTATION_B, AUGMENTATION_C], ids="ABC")
def test_our_films_change_within_the_ranges_of_the_legacy_class(augmentation):
    theirs, found = drawn(augmentation), ours(augmentation, 600)
    assert legacy(augmentation).fill_mode == augmentation.fill == "nearest"
    if augmentation.brightness == (1.0, 1.0):
        theirs["brightness"] = np.ones(1)
    exact = {"zx": 8e-3, "zy": 8e-3, "shear": 4e-3, "tx": 0.5, "ty": 0.5, "brightness": 0.012}  # shear in degrees, shifts in pixels
    for name, tolerance in exact.items():
        values = theirs[name].astype(float)
        np.testing.assert_allclose(
            [found[name].min(), found[name].mean(), found[name].max()],
            [values.min(), values.mean(), values.max()],
            atol=tolerance,
            err_msg=name,
        )
    for name in ("flip_horizontal", "flip_vertical"):
        assert abs(found[name].mean() - theirs[name].astype(float).mean()) < 0.07, name
    for values in (found, theirs):
        assert abs(np.corrcoef(values["zx"].astype(float), values["zy"].astype(float))[0, 1]) < 0.15, "each axis has a zoom of its own"


class Drawn:
    """A numpy Generator that gives these numbers."""

    def __init__(self, **shares):
        names = ("flip", "turn", "zoom", "right", "down", "shear", "bright", "contrast", "gamma", "topple", "zoom_down")
        self.values = np.array([shares.get(name, 1.0 if name in ("flip", "topple") else 0.5) for name in names])

    def random(self, count):
        assert count == len(self.values)
        return self.values


def smooth(size=SIZE):
    rows, columns = np.mgrid[:size, :size] / size
    return np.rint(120 + 80 * np.sin(5 * rows + 1) * np.cos(4 * columns)).astype(np.uint8)


def assert_same_image(augmentation, shares, transform, image=None):
    """Both interpolate linearly, ours in steps of 1/32 pixel and rounded once, theirs cut off to whole greys up to twice."""
    image = smooth() if image is None else image
    mine = pipeline.augment(image, replace(augmentation, fill="nearest"), Drawn(**shares))
    theirs = ImageDataGenerator().apply_transform(image[..., np.newaxis].astype(np.float32), transform)[..., 0]
    inner = slice(2, -2)
    np.testing.assert_allclose(mine[inner, inner], theirs[inner, inner], atol=2.1)


@pytest.mark.parametrize(
    ("augmentation", "shares", "transform"),
    [
        (Augmentation(flip=0.5), {"flip": 0.2}, {"flip_horizontal": True}),
        (Augmentation(vertical_flip=0.5), {"topple": 0.2}, {"flip_vertical": True}),
        (Augmentation(zoom=0.1, zoom_axes="apart"), {"zoom": 1.0, "zoom_down": 0.0}, {"zx": 1.1, "zy": 0.9}),
        (Augmentation(shift=0.1), {"right": 1.0, "down": 0.25}, {"tx": 0.1 * SIZE, "ty": -0.05 * SIZE}),
        (Augmentation(shear=8), {"shear": 1.0}, {"shear": 8.0}),
        (Augmentation(rotate=10), {"turn": 1.0}, {"theta": 10.0}),
        (Augmentation(brightness=(0.8, 1.1)), {"bright": 0.0}, {"brightness": 0.8}),
    ],
    ids=["flip", "vertical flip", "zoom", "shift", "shear", "rotation", "brightness"],
)
def test_each_transformation_is_the_legacy_one(augmentation, shares, transform):
    assert_same_image(augmentation, shares, transform)


EVERYTHING = Augmentation(flip=0.5, vertical_flip=0.5, rotate=10, zoom=0.2, zoom_axes="apart", shift=0.1, shear=10, brightness=(0.8, 1.1))


@pytest.mark.parametrize("seed", range(12))
def test_all_transformations_together_are_the_legacy_ones_in_their_order(seed):
    generator = legacy(EVERYTHING)
    generator.rotation_range = EVERYTHING.rotate
    transform = generator.get_random_transform((SIZE, SIZE, 1), seed=seed)

    def share(value, low, high):
        return (value - low) / (high - low)

    reach = EVERYTHING.shift * SIZE
    shares = {
        "flip": 0.0 if transform["flip_horizontal"] else 1.0,
        "topple": 0.0 if transform["flip_vertical"] else 1.0,
        "turn": share(transform["theta"], -10, 10),
        "shear": share(transform["shear"], -10, 10),
        "zoom": share(transform["zx"], 0.8, 1.2),
        "zoom_down": share(transform["zy"], 0.8, 1.2),
        "right": share(transform["tx"], -reach, reach),
        "down": share(transform["ty"], -reach, reach),
        "bright": share(transform["brightness"], 0.8, 1.1),
    }
    assert_same_image(EVERYTHING, shares, transform)


def test_the_legacy_class_calls_its_function_after_the_changes():
    """So equalisation would undo a change of brightness there; here films are equalised first, which the recipes remark."""
    seen = []
    generator = ImageDataGenerator(brightness_range=[0.5, 0.5], preprocessing_function=lambda image: seen.append(image.max()) or image)
    next(generator.flow(np.full((1, 8, 8, 3), 200.0), batch_size=1))
    assert seen == [100.0]
