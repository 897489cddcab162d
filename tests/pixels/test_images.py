import cv2
import numpy as np
import pytest
from skimage.exposure import equalize_hist

from siim_kernel.pixels import grey, images
from siim_kernel.pixels.dicom import Film, read_film
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import made

ENDS = (0, 100)


def film(pixels, photometric="MONOCHROME2", **values):
    return Film(pixels, made.dataset(pixels, PhotometricInterpretation=photometric, **values), "", photometric, 0, 0)


def recipe(size=16, **values):
    return PixelRecipe(size=size, **({"percentiles": ENDS} | values))


def test_shrinking_takes_means_of_areas():
    pixels = np.zeros((32, 64), np.uint16)
    pixels[0, 0] = 4000  # one of the 2 x 4 pixels of the first one of the square
    pixels[2:4, 4:8] = 4000
    expected = np.zeros((16, 16))
    expected[0, 0], expected[1, 1] = 255 / 8, 255
    np.testing.assert_array_equal(images.render(film(pixels), recipe()), np.rint(expected))


def test_same_size_is_the_film_itself():
    pixels = made.noisy(16, 16, 0, 255, np.uint8)
    pixels[0, :2] = 0, 255
    np.testing.assert_array_equal(images.render(film(pixels), recipe()), pixels)


def test_enlarging_is_bilinear():
    pixels = np.array([[0, 100], [100, 0]], np.uint16)
    reference = cv2.resize(pixels.astype(np.float32) / 100 * 255, (16, 16), interpolation=cv2.INTER_LINEAR)
    assert np.abs(images.render(film(pixels), recipe()) - reference).max() <= 1


def test_one_side_grows_while_the_other_shrinks():
    # Every second column is white: without means along the columns the square would be striped.
    pixels = np.tile(np.array([0, 1000], np.uint16), (8, 160))
    assert set(np.unique(images.render(film(pixels), recipe()))) <= {127, 128}


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 40000), (40000, 3), (1, 65535), (65535, 1), (17, 16)])
@pytest.mark.parametrize("aspect", ["stretch", "pad"])
def test_films_of_any_shape(shape, aspect):
    pixels = made.noisy(*shape)
    image = images.render(film(pixels), recipe(aspect=aspect))
    assert image.shape == (16, 16)
    assert image.dtype == np.uint8


@pytest.mark.parametrize(("shape", "rows", "columns"), [((64, 32), slice(0, 16), slice(4, 12)), ((32, 64), slice(4, 12), slice(0, 16))])
def test_pad_centres_the_film_on_black(shape, rows, columns):
    pixels = np.full(shape, 1000, np.uint16)
    pixels[:2] = 0
    image = images.render(film(pixels, "MONOCHROME1"), recipe(aspect="pad"))
    outside = np.ones((16, 16), bool)
    outside[rows, columns] = False
    assert image[outside].max() == 0
    assert image[rows, columns].max() > 100


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("values", [{}, {"WindowCenter": 60, "WindowWidth": 70}, {"photometric": "MONOCHROME1"}])
def test_within_one_grey_level_of_scaling_in_floats_first(dtype, values):
    pixels = made.noisy(500, 300, 0, 120, dtype)
    black, white = np.percentile(pixels, (0.5, 99.5))
    if "WindowCenter" in values:
        black, white = max(black, 25), min(white, 94)
    scaled = np.clip((pixels.astype(np.float64) - black) / (white - black), 0, 1) * 255
    scaled = 255 - scaled if "photometric" in values else scaled
    reference = cv2.resize(scaled, (64, 64), interpolation=cv2.INTER_AREA)
    image = images.render(film(pixels, **values), recipe(64, percentiles=(0.5, 99.5)))
    assert np.abs(image - reference).max() <= 1


@pytest.mark.parametrize("padding", [65535, 0])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_does_not_bleed_into_the_film(padding, photometric):
    pixels = np.full((64, 64), padding, np.uint16)
    pixels[10:53, 10:53] = made.smooth(43, 43, 1000, 2000)
    image = images.render(film(pixels, photometric, PixelPaddingValue=padding), recipe())
    # Black by definition: the film as it would be with black around it.
    black = np.zeros((64, 64))
    content = (pixels[10:53, 10:53] - 1000.0) / 1000 * 255
    black[10:53, 10:53] = 255 - content if photometric == "MONOCHROME1" else content
    assert np.abs(image - cv2.resize(black, (16, 16), interpolation=cv2.INTER_AREA)).max() <= 1


def test_render_all_is_render_for_each():
    pixels = made.noisy(90, 70)
    recipes = [recipe(16), recipe(32, aspect="pad", equalise=True), recipe(64, percentiles=(1, 90)), recipe(128), recipe(16)]
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        this = film(pixels, photometric, PixelPaddingValue=5)
        for one, image in zip(recipes, images.render_all(this, recipes), strict=True):
            assert image.tobytes() == images.render(this, one).tobytes()
    assert images.render_all(film(pixels), []) == []


def test_threads_do_not_change_bytes():
    pixels = made.noisy(1500, 1100)
    threads = cv2.getNumThreads()
    try:
        made_by = []
        for number in (1, 2, 4):
            cv2.setNumThreads(number)
            made_by.append(images.render(film(pixels), recipe(257, equalise=True)).tobytes())
    finally:
        cv2.setNumThreads(threads)
    assert made_by[0] == made_by[1] == made_by[2]


def test_film_is_left_as_it_was():
    pixels = made.noisy()
    before = pixels.copy()
    images.render(film(pixels, PixelPaddingValue=3), recipe(equalise=True))
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("percentiles", [(0, 1e-9), (99.999999, 100), (50, 50.000001)])
def test_absurd_percentiles(percentiles):
    for pixels in (made.smooth(), np.full((9, 30), 700, np.uint16), made.noisy(1, 1), made.noisy(1, 2)):
        for photometric in ("MONOCHROME1", "MONOCHROME2"):
            with np.errstate(all="raise", under="ignore"):
                image = images.render(film(pixels, photometric), recipe(percentiles=percentiles))
            assert image.shape == (16, 16)
            assert (image.max() > 0) == (pixels.min() < pixels.max())


def test_constant_film_is_black():
    for aspect in ("stretch", "pad"):
        for equalise in (False, True):
            assert images.render(film(np.full((9, 30), 700, np.uint16)), recipe(aspect=aspect, equalise=equalise)).max() == 0


# --- equalisation


def test_equalisation_is_that_of_skimage_on_the_small_square():
    pixels = made.noisy(64, 64) ** 2 // 4096
    plain = images.render(film(pixels), recipe(32))
    equalised = images.render(film(pixels), recipe(32, equalise=True))
    np.testing.assert_array_equal(equalised, np.rint(equalize_hist(plain) * 255).astype(np.uint8))
    assert equalised.std() > plain.std()


def test_equalisation_exactly():
    image = np.array([[10, 10, 20, 30]], np.uint8)
    np.testing.assert_array_equal(images.equalise(image), np.rint([[127.5, 127.5, 191.25, 255]]))
    content = np.array([[True, False, True, True]])
    np.testing.assert_array_equal(images.equalise(image, content), np.rint([[85, 0, 170, 255]]))


def test_bars_are_black_and_out_of_the_histogram():
    pixels = made.noisy(64, 32)
    padded = images.render(film(pixels), recipe(32, aspect="pad", equalise=True))
    assert padded[:, :8].max() == padded[:, 24:].max() == 0
    inside = grey.to_bytes(images.resize(grey.greys(film(pixels), ENDS), 16, 32))
    np.testing.assert_array_equal(padded[:, 8:24], images.equalise(inside))


def test_padding_of_the_film_is_black_and_out_of_the_histogram():
    pixels = np.full((64, 64), 65535, np.uint16)
    pixels[16:48, 16:48] = made.noisy(32, 32)
    this = film(pixels, PixelPaddingValue=65535)
    equalised = images.render(this, recipe(32, equalise=True))
    inside = images.render(this, recipe(32))[8:24, 8:24]
    np.testing.assert_array_equal(equalised[8:24, 8:24], images.equalise(inside))
    equalised[8:24, 8:24] = 0
    assert equalised.max() == 0


# --- real films


@pytest.mark.real
def test_real_films_render(real_data):
    for path in sorted((real_data / "dicom" / "rebuilt-rsna").glob("*.dcm")):
        image = images.render(read_film(path), recipe(128, percentiles=(0.5, 99.5)))
        assert 40 < image.mean() < 215, path.name
        assert image.min() == 0, path.name
        assert image.max() > 240, path.name


@pytest.mark.real
def test_real_film_and_its_inverse(real_data):
    folder = real_data / "dicom" / "chest"
    plain = read_film(folder / "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm")
    inverse = read_film(folder / "Fake_MONOHR1.dcm")
    sum_of_both = images.render(plain, recipe(64)).astype(int) + images.render(inverse, recipe(64))
    assert np.abs(sum_of_both - 255).max() <= 1
