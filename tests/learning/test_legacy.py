"""What Keras 3 ignores or keeps only as legacy, and what stands here in its place: the same meaning."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from siim_kernel.learning import fitting, pipeline
from siim_kernel.recipes.recipe import Augmentation, Phase
from siim_kernel.recipes.thesis import AUGMENTATION_A, AUGMENTATION_B, AUGMENTATION_C

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


def drawn(augmentation, count=4000):
    """What the legacy class draws for each transformation: a dict of arrays."""
    generator = legacy(augmentation)
    draws = [generator.get_random_transform((SIZE, SIZE, 1), seed=number) for number in range(count)]
    return {name: np.array([draw[name] for draw in draws], dtype=object) for name in draws[0]}


@pytest.mark.parametrize("augmentation", [AUGMENTATION_A, AUGMENTATION_B, AUGMENTATION_C], ids="ABC")
def test_the_ranges_are_those_of_the_legacy_class(augmentation):
    found = drawn(augmentation)
    for axis in ("zx", "zy"):
        values = found[axis].astype(float)
        np.testing.assert_allclose([values.min(), values.max()], [1 - augmentation.zoom, 1 + augmentation.zoom], atol=2e-3)
    assert abs(np.corrcoef(found["zx"].astype(float), found["zy"].astype(float))[0, 1]) < 0.1, "each axis has a zoom of its own"
    assert augmentation.zoom_axes == "apart"
    shear = found["shear"].astype(float)
    np.testing.assert_allclose([shear.min(), shear.max()], [-augmentation.shear, augmentation.shear], atol=1e-3)
    for axis in ("tx", "ty"):
        values = found[axis].astype(float) / SIZE
        np.testing.assert_allclose([values.min(), values.max()], [-augmentation.shift, augmentation.shift], atol=2e-3)
    for name, share in (("flip_horizontal", augmentation.flip), ("flip_vertical", augmentation.vertical_flip)):
        assert abs(found[name].astype(float).mean() - share) < 0.03
    if augmentation.brightness != (1.0, 1.0):
        values = found["brightness"].astype(float)
        np.testing.assert_allclose([values.min(), values.max()], augmentation.brightness, atol=2e-3)
    assert legacy(augmentation).fill_mode == augmentation.fill == "nearest"


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


@pytest.mark.parametrize(
    ("augmentation", "shares", "transform"),
    [
        (Augmentation(flip=0.5), {"flip": 0.2}, {"flip_horizontal": True}),
        (Augmentation(vertical_flip=0.5), {"topple": 0.2}, {"flip_vertical": True}),
        (Augmentation(zoom=0.1, zoom_axes="apart"), {"zoom": 1.0, "zoom_down": 0.0}, {"zx": 1.1, "zy": 0.9}),
        (Augmentation(shift=0.1), {"right": 1.0, "down": 0.25}, {"tx": 0.1 * SIZE, "ty": -0.05 * SIZE}),
        (Augmentation(brightness=(0.8, 1.1)), {"bright": 0.0}, {"brightness": 0.8}),
    ],
    ids=["flip", "vertical flip", "zoom", "shift", "brightness"],
)
def test_each_transformation_is_the_legacy_one(augmentation, shares, transform):
    """The legacy class maps output to input: its zoom of 1.1 shrinks, its shift of +x moves to the left, as a mirror of ours."""
    image = smooth()
    ours = pipeline.augment(image, replace(augmentation, fill="nearest"), Drawn(**shares))
    inverse = dict(transform)
    for name in ("zx", "zy"):
        if name in inverse:
            inverse[name] = 1 / inverse[name]
    for name in ("tx", "ty"):
        if name in inverse:
            inverse[name] = -inverse[name]
    theirs = ImageDataGenerator().apply_transform(image[..., np.newaxis].astype(np.float32), inverse)[..., 0]
    inner = slice(8, -8)  # both interpolate linearly; they treat the border's half pixel apart
    np.testing.assert_allclose(ours[inner, inner], theirs[inner, inner], atol=1.5)
