import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siim_kernel.pixels import boxes, images
from siim_kernel.pixels.dicom import Film
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import made

BOX = [[10, 20, 40, 60]]
coordinate = st.integers(-2000, 20000).map(lambda quarters: quarters / 4)
some_boxes = st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=5)
side = st.integers(1, 5000)
recipes = st.builds(PixelRecipe, size=st.integers(16, 1024), aspect=st.sampled_from(["stretch", "pad"]))


def test_scale_shift_clip_flip_exactly():
    np.testing.assert_array_equal(boxes.scale(BOX, 2, 0.5), [[20, 10, 80, 30]])
    np.testing.assert_array_equal(boxes.shift(BOX, -10, 5), [[0, 25, 30, 65]])
    np.testing.assert_array_equal(boxes.clip([[-3.6, -1, 200, 50], [150, 10, 160, 20]], 100, 40), [[0, 0, 100, 40], [100, 10, 100, 20]])
    np.testing.assert_array_equal(boxes.flip(BOX, 100), [[60, 20, 90, 60]])
    np.testing.assert_array_equal(boxes.area([[0, 0, 3, 4], [5, 5, 5, 9], [5, 5, 1, 9]]), [12, 0, 0])


def test_arguments_are_left_as_they_were():
    given_boxes = np.array(BOX, float)
    for change in (
        lambda b: boxes.scale(b, 2, 2),
        lambda b: boxes.clip(b, 5, 5),
        lambda b: boxes.flip(b, 9),
        lambda b: boxes.shift(b, 1, 1),
    ):
        change(given_boxes)
        np.testing.assert_array_equal(given_boxes, BOX)


def test_flip_is_that_of_the_pixels():
    image = np.zeros((8, 10), int)
    image[2:5, 1:4] = 1
    xmin, ymin, xmax, ymax = boxes.flip([[1, 2, 4, 5]], 10)[0].astype(int)
    mirrored = image[:, ::-1]
    assert mirrored[ymin:ymax, xmin:xmax].all()
    assert mirrored.sum() == (xmax - xmin) * (ymax - ymin)


def test_iou_exactly():
    first = [[0, 0, 10, 10], [0, 0, 1, 1]]
    second = [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 4], [0, 0, 0.5, 1]]
    np.testing.assert_allclose(boxes.iou(first, second), [[1, 1 / 3, 0, 0.04, 0.005], [0.01, 0, 0, 0, 0.5]], rtol=1e-12)


def test_iou_of_boxes_without_an_area():
    found = boxes.iou([[5, 5, 5, 5], [8, 8, 2, 2]], [[5, 5, 5, 5], [0, 0, 10, 10]])
    np.testing.assert_array_equal(found, np.zeros((2, 2)))


def test_no_boxes():
    assert boxes.iou([], BOX).shape == (0, 1)
    assert boxes.iou(BOX, []).shape == (1, 0)
    recipe = PixelRecipe(size=16)
    for result in (boxes.scale([], 2, 2), boxes.clip((), 1, 1), boxes.flip(np.zeros((0, 4)), 9), boxes.to_square([], 5, 5, recipe)):
        assert result.shape == (0, 4)


@pytest.mark.parametrize("wrong", [[1, 2, 3, 4], [[1, 2, 3]], [[[1, 2, 3, 4]]]])
def test_what_is_no_list_of_boxes(wrong):
    with pytest.raises(ValueError, match=r"boxes are \[N, 4\]"):
        boxes.clip(wrong, 9, 9)


def test_placement_exactly():
    stretch, pad = PixelRecipe(size=100), PixelRecipe(size=100, aspect="pad")
    assert boxes.placement(400, 200, stretch) == (0, 0, 100, 100)
    assert boxes.placement(400, 200, pad) == (25, 0, 50, 100)
    assert boxes.placement(200, 400, pad) == (0, 25, 100, 50)
    assert boxes.placement(30, 30, pad) == (0, 0, 100, 100)
    assert boxes.placement(5000, 1, pad) == (49, 0, 1, 100)


def test_to_square_exactly():
    np.testing.assert_array_equal(boxes.to_square(BOX, 400, 200, PixelRecipe(size=100)), [[5, 5, 20, 15]])
    np.testing.assert_array_equal(boxes.to_square(BOX, 400, 200, PixelRecipe(size=100, aspect="pad")), [[27.5, 5, 35, 15]])


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
@pytest.mark.parametrize("shape", [(480, 320), (320, 480)])
def test_a_box_in_the_square_holds_what_it_holds_in_the_film(aspect, shape):
    pixels = np.zeros(shape, np.uint16)
    pixels[80:200, 40:160] = 1000
    recipe = PixelRecipe(size=96, aspect=aspect, percentiles=(0, 100))
    image = images.render(Film(pixels, made.dataset(pixels), "", "MONOCHROME2", 0, 0), recipe)
    bright = np.argwhere(image > 127)
    (ymin, xmin), (ymax, xmax) = bright.min(axis=0), bright.max(axis=0) + 1
    found = boxes.to_square([[40, 80, 160, 200]], *shape, recipe)
    np.testing.assert_allclose(found, [[xmin, ymin, xmax, ymax]], atol=0.51)


@given(some_boxes, side, side, recipes)
def test_to_the_square_and_back(given_boxes, rows, columns, recipe):
    there = boxes.to_square(given_boxes, rows, columns, recipe)
    np.testing.assert_allclose(boxes.from_square(there, rows, columns, recipe), boxes.as_boxes(given_boxes), rtol=1e-9, atol=1e-6)


@given(side, side, recipes)
def test_the_whole_film_is_its_placement(rows, columns, recipe):
    left, top, width, height = boxes.placement(rows, columns, recipe)
    found = boxes.to_square([[0, 0, columns, rows]], rows, columns, recipe)
    np.testing.assert_allclose(found, [[left, top, left + width, top + height]], atol=1e-9)
    assert left >= 0
    assert top >= 0
    assert left + width <= recipe.size
    assert top + height <= recipe.size
    assert recipe.size in (width, height)


@given(some_boxes, side)
def test_flip_twice_is_nothing(given_boxes, width):
    np.testing.assert_allclose(boxes.flip(boxes.flip(given_boxes, width), width), boxes.as_boxes(given_boxes), atol=1e-9)


@given(some_boxes, some_boxes, side)
def test_iou_is_symmetric_and_survives_flip_and_scale(first, second, width):
    found = boxes.iou(first, second)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(found, boxes.iou(second, first).T)
    np.testing.assert_allclose(boxes.iou(boxes.flip(first, width), boxes.flip(second, width)), found, atol=1e-6)


@given(some_boxes, side, side)
def test_clip_stays_inside_and_is_done_once(given_boxes, width, height):
    clipped = boxes.clip(given_boxes, width, height)
    np.testing.assert_array_equal(boxes.clip(clipped, width, height), clipped)
    assert (clipped >= 0).all()
    assert (clipped <= (width, height, width, height)).all()
