import os

import cv2
import numpy as np
import pytest

from siim_kernel.errors import ImageSetError
from siim_kernel.pixels import images, pictures, reading
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import made

RECIPE = PixelRecipe(size=24)


def write(path, pixels):
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def grey():
    return np.random.default_rng(5).integers(0, 256, (20, 30), np.uint8)


def test_a_grey_png_is_its_stored_values(tmp_path, grey):
    film = pictures.read_picture(write(tmp_path / "a.png", grey))
    np.testing.assert_array_equal(film.pixels, grey)
    assert (film.photometric, film.transfer_syntax, film.header.keys()) == ("MONOCHROME2", "", {}.keys())
    assert film.size_bytes == os.path.getsize(tmp_path / "a.png")


def test_colours_become_grey_and_16_bits_stay(tmp_path, grey):
    colour = np.dstack([grey, grey // 2, grey // 3])
    read = pictures.read_picture(write(tmp_path / "colour.png", colour)).pixels
    assert np.abs(read.astype(int) - cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)).max() <= 1
    transparent = np.dstack([grey, grey, grey, grey // 9])
    np.testing.assert_array_equal(pictures.read_picture(write(tmp_path / "transparent.png", transparent)).pixels, grey)
    deep = grey.astype(np.uint16) * 16
    read = pictures.read_picture(write(tmp_path / "deep.png", deep)).pixels
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, deep)


def test_the_content_decides_what_is_black_and_white(tmp_path, grey):
    """A film that uses a part of its bits looks as the same film that uses them all, and as the DICOM."""
    shallow, deep = grey // 4 + 40, (grey // 4).astype(np.uint16) * 64
    squares = [
        reading.read_squares(write(tmp_path / name, pixels), [RECIPE])[0][0] for name, pixels in (("a.png", shallow), ("b.PNG", deep))
    ]
    film = made.film(tmp_path / "c.dcm", (grey // 4).astype(np.uint16), BitsStored=12)
    for square in squares:
        np.testing.assert_array_equal(square, images.render(film, RECIPE))
    assert squares[0].min() < 20
    assert squares[0].max() > 235


def test_the_facts_of_a_picture(tmp_path, grey):
    _, facts = reading.read_squares(write(tmp_path / "a.jpeg", grey), [RECIPE])
    assert facts["patient"] == facts["transfer_syntax"] == ""
    assert (facts["rows"], facts["columns"], facts["photometric"]) == (20, 30, "MONOCHROME2")
    assert facts["size_bytes"] == os.path.getsize(tmp_path / "a.jpeg")
    assert len(facts["crc32"]) == 8


def test_files_that_are_wrong_have_a_reason(tmp_path, grey):
    png, jpg = (write(tmp_path / name, grey).read_bytes() for name in ("a.png", "a.jpg"))
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    cases = {
        "empty.png": (b"", "an empty file"),
        "page.png": (b"<html>404</html>", "neither a PNG nor a JPG file"),
        "film.png": (b"\0" * 128 + b"DICM", "neither a PNG nor a JPG file"),
        "cut.png": (png[:-15], "the file is cut short"),
        "cut.jpg": (jpg[:-15], "the file is cut short"),
        "header.png": (png[:40] + png[-12:], "the picture cannot be decoded: it is damaged"),
        "flipped.png": (bytes(flipped), "the picture cannot be decoded: it is damaged"),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageSetError, match=reason):
            pictures.read_picture(tmp_path / name)
        read = reading.read((name, tmp_path / name), [RECIPE])
        assert (read.squares, read.reason) == ((), reason)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("folder.png", "pipe.png"):
        with pytest.raises(ImageSetError, match="a folder or device, not a file"):
            pictures.read_picture(tmp_path / name)
    with pytest.raises(ImageSetError, match="the file cannot be read: No such file"):
        pictures.read_picture(tmp_path / "nowhere.png")
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(ImageSetError, match="are more than any film has"):
        pictures.read_picture(tmp_path / "huge.png")


def test_a_jpg_under_the_name_of_a_png_is_read_by_its_content(tmp_path, grey):
    write(tmp_path / "a.jpg", grey).rename(tmp_path / "b.png")
    assert pictures.read_picture(tmp_path / "b.png").pixels.shape == (20, 30)


def test_memory_that_is_short_is_no_fault_of_the_film(tmp_path, grey, monkeypatch):
    def imdecode(*_):
        error = cv2.error("no memory")
        error.code = cv2.Error.StsNoMem
        raise error

    monkeypatch.setattr(cv2, "imdecode", imdecode)
    with pytest.raises(MemoryError):
        reading.read(("a", write(tmp_path / "a.png", grey)), [RECIPE])


def test_what_is_a_picture_by_its_name():
    assert all(map(pictures.is_picture, ("a.png", "b/c.JPG", "d.Jpeg")))
    assert not any(map(pictures.is_picture, ("a.dcm", "png", "._a.png", "a.png.part", "a.gif")))


def test_real_pictures_become_squares_of_full_contrast(real_data):
    files = sorted((real_data / "cxr" / "images").iterdir())[::12]
    assert {path.suffix for path in files} == {".png", ".jpg"}
    for path in files:
        (square,), facts = reading.read_squares(path, [RECIPE])
        assert square.shape == (24, 24)
        assert facts["rows"] > 100
        assert square.max() - square.min() > 150, path.name
