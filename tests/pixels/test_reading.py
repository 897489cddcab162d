import os
import re

import numpy as np
import pandas as pd
import pytest

from siim_kernel.errors import DicomError
from siim_kernel.pixels import images, imagesets, reading, workers
from siim_kernel.pixels.building import build
from siim_kernel.pixels.dicom import read_film
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import made

RECIPES = (PixelRecipe(size=16), PixelRecipe(size=24, aspect="pad", equalise=True))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """30 films as (image, path); every tenth is none."""
    folder = tmp_path_factory.mktemp("films")
    found = []
    for number in range(30):
        path = folder / f"i{number:02}.dcm"
        if number % 10 == 9:
            path.write_bytes(b"no film at all")
        else:
            made.write(path, made.noisy(20 + number, 30, seed=number), PatientID=f"p{number}", PhotometricInterpretation="MONOCHROME1")
        found.append((path.stem, str(path)))
    return found


def test_squares_and_facts_of_one_film(films):
    squares, facts = reading.read_squares(films[3][1], RECIPES)
    film = read_film(films[3][1])
    for square, recipe in zip(squares, RECIPES, strict=True):
        np.testing.assert_array_equal(square, images.render(film, recipe))
    assert facts == {
        "patient": "p3",
        "rows": 23,
        "columns": 30,
        "photometric": "MONOCHROME1",
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "size_bytes": os.path.getsize(films[3][1]),
        "crc32": f"{film.crc32:08x}",
    }
    with pytest.raises(DicomError, match="not a DICOM file"):
        reading.read_squares(films[9][1], RECIPES)


def test_a_stream_keeps_order_gives_reasons_and_the_bytes_of_an_image_set(films, tmp_path):
    read = list(reading.stream(films, RECIPES, workers=2))
    assert [(film.image, film.path) for film in read] == films
    assert [film.reason for film in read if film.reason] == ["not a DICOM file"] * 3
    assert [film.image for film in read if film.reason] == ["i09", "i19", "i29"]
    assert all(film.squares == () and film.facts is None for film in read if film.reason)
    table = pd.DataFrame(films, columns=["image", "path"]).assign(study="s", series="r", split="test")
    build(table, tmp_path, RECIPES)
    for place, recipe in enumerate(RECIPES):
        opened = imagesets.open_set(imagesets.folder_of(tmp_path, recipe), recipe)
        squares = [film.squares[place] for film in read if not film.reason]
        np.testing.assert_array_equal(np.stack(squares), opened.images)
        assert list(opened.table["rows"]) == [film.facts["rows"] for film in read if not film.reason]


def test_one_worker_and_two_give_the_same(films):
    one, two = (list(reading.stream(films[:12], RECIPES, workers)) for workers in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert (first.image, first.facts, first.reason) == (second.image, second.facts, second.reason)
        for square, other in zip(first.squares, second.squares, strict=True):
            np.testing.assert_array_equal(square, other)


def test_a_stream_looks_ahead_only_so_far(films):
    asked = []

    def counted():
        for film in films:
            asked.append(film)
            yield film

    stream = reading.stream(counted(), RECIPES[:1], workers=1)
    assert asked == []
    most = [len(asked) - done for done, _ in enumerate(stream)]
    assert max(most) <= workers.AHEAD
    assert most[0] == workers.AHEAD  # it does look ahead
    assert len(asked) == len(most) == 30


def test_a_stream_can_be_left(films):
    stream = reading.stream(films, RECIPES[:1], workers=1)
    assert next(stream).image == "i00"
    stream.close()


def test_no_films_no_stream():
    assert list(reading.stream([], RECIPES)) == []


class Fatal:
    """A path on which the process that opens it dies, as one does in a decoder that crashes."""

    def __fspath__(self):
        os._exit(11)


def test_a_film_that_kills_its_process_costs_itself_alone(films):
    deadly = [*films[:3], ("deadly", Fatal()), *films[3:8], ("deadly too", Fatal()), *films[10:13]]
    read = list(reading.stream(deadly, RECIPES[:1], workers=2))
    assert [film.image for film in read] == [image for image, _ in deadly]
    lost = {film.image: film.reason for film in read if film.reason}
    assert set(lost) == {"deadly", "deadly too"}
    assert all("the process that read it died" in reason for reason in lost.values())


def test_a_fault_of_this_package_costs_the_film_and_says_so(films, monkeypatch):
    def faulty(film, recipes):
        raise IndexError("list index out of range")

    monkeypatch.setattr(reading.images, "render_all", faulty)
    read = reading.read(films[0], RECIPES)
    assert read.squares == ()
    assert re.fullmatch(
        r"a fault of siim-kernel, please report it: IndexError: list index out of range \(test_reading\.py line \d+\)", read.reason
    )
