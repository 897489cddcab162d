"""The films of a split out of tables and image sets, and the command that parts them and says who is where."""

import re
import zlib

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from siim_kernel import cli, kernels
from siim_kernel.competition import gathering, splits, tables
from siim_kernel.errors import ImageSetError, RecipeError, TableError
from siim_kernel.labels import EXTERNAL_CLASSES
from siim_kernel.pixels import dicom, imagesets
from siim_kernel.recipes.recipe import PixelRecipe
from tests.competition import radiography

PIXELS = PixelRecipe(size=32)
runner = CliRunner()


@pytest.fixture(scope="module")
def place(phantom, tmp_path_factory):
    """Image sets of the made competition and of an external database that has three of its films, one a test film.

    `tables` has the competition's tables alone.
    """
    out = tmp_path_factory.mktemp("place")
    (out / "tables").mkdir()
    for name in (tables.IMAGE_TABLE, tables.STUDY_TABLE):
        (out / "tables" / name).write_bytes((phantom / "competition" / name).read_bytes())
    kernels.build_images(phantom / "competition", out / "competition", [PIXELS], workers=2)  # train and test
    opened = imagesets.open_set(out / "competition")
    database = radiography.make(out / "database", 12, masks=False)
    for path in database.rglob("images/*.png"):  # links to one film
        path.unlink()
        radiography.write(path, seed=zlib.crc32(path.stem.encode()), side=32)
    rows = [*np.flatnonzero(opened.table["split"] == "train")[:2], np.flatnonzero(opened.table["split"] == "test")[0]]
    for number, row in enumerate(rows, start=1):
        cv2.imwrite(str(database / "COVID" / "images" / f"COVID-{number}.png"), opened.images[row])
    kernels.build_external(database, out / "external", [PIXELS], workers=1, say=str)
    return out


@pytest.fixture(scope="module")
def training(phantom):
    return tables.read_training(phantom / "competition").images


def open_all(folders):
    return [imagesets.open_set(folder) for folder in folders]


def folds(*arguments):
    return runner.invoke(cli.app, ["folds", *map(str, arguments)])


def test_the_tables_alone(place, training):
    films = gathering.gather(place / "tables")
    assert films.table.image.tolist() == training.image.tolist()
    assert set(films.table.source) == {"competition"}
    assert set(films.table.patient) == {""}
    assert (films.duplicates, films.remarks) == (None, ())


def test_patients_come_from_the_image_set_and_no_header_is_read(phantom, place, training, monkeypatch):
    monkeypatch.setattr(dicom, "read_header", None)
    films = gathering.gather(phantom / "competition", open_all([place / "competition"]))
    assert films.table.patient.tolist() == training.patient.tolist()
    assert gathering.gather(phantom / "competition", headers=False).table.patient.eq("").all()


def test_patients_come_from_the_headers_where_nothing_else_tells(phantom, training):
    assert gathering.gather(phantom / "competition").table.patient.tolist() == training.patient.tolist()


def test_a_csv_of_patients_goes_before_the_image_set(place, training, tmp_path):
    known = training.image[:3]
    pd.DataFrame({"patientid": "other", "studyid": "s", "imageid": known}).to_csv(tmp_path / "p.csv", index=False)
    films = gathering.gather(place / "tables", open_all([place / "competition"]), tmp_path / "p.csv")
    assert films.table.patient.tolist() == ["other"] * 3 + training.patient.tolist()[3:]
    assert len(films.remarks) == 1
    assert films.remarks[0].startswith(f"{len(training) - 3} images have no patient in")


def test_a_union_has_the_films_of_all_sources_and_their_duplicates(place, training):
    films = gathering.gather(place / "tables", open_all([place / "external", place / "competition"]))
    assert films.table.source.value_counts().to_dict() == {"competition": len(training), "radiography": 48}
    assert films.table.label[films.table.source == "radiography"].value_counts().to_dict() == dict.fromkeys(EXTERNAL_CLASSES, 12)
    assert films.table.image[: len(training)].tolist() == training.image.tolist()
    source = dict(zip(films.table.image, films.table.source, strict=True))
    assert {name for group in films.duplicates for name in group} <= set(source)  # the set's test films are not parted
    between = [group for group in films.duplicates if len({source[name] for name in group}) > 1]
    opened = imagesets.open_set(place / "competition").table
    first = opened.image[opened.split == "train"][:2]
    assert {frozenset(group) for group in between} >= {frozenset(pair) for pair in zip(first, ("COVID-1", "COVID-2"), strict=True)}
    assert films.remarks == ()


def test_films_that_stand_in_no_image_set_are_said(place, training):
    films = gathering.gather(place / "tables", open_all([place / "external"]))
    assert len(films.table) == len(training) + 48
    assert films.remarks == (f"{len(training)} films are in no image set, the first is {training.image[0]}",)


def test_image_sets_that_do_not_go_together(place, tmp_path):
    with pytest.raises(ImageSetError, match="image ids stand in more than one set"):
        gathering.gather(place / "tables", open_all([place / "competition"] * 2))
    kernels.build_external(place / "database", tmp_path, [PixelRecipe(size=16)], workers=1, say=str)
    with pytest.raises(ImageSetError, match="was made by another pixel recipe: size"):
        gathering.gather(place / "tables", open_all([place / "competition", tmp_path]))


# The command.


@pytest.mark.parametrize("way", splits.WAYS)
def test_each_way_from_the_tables_alone(place, training, tmp_path, way):
    training.rename(columns={"patient": "patientid", "study": "studyid", "image": "imageid"}).to_csv(tmp_path / "patients.csv")
    done = folds(place / "tables", tmp_path / "folds.csv", "--split", way, "--n-folds", "2", "--patients", tmp_path / "patients.csv")
    assert done.exit_code == 0, done.output
    made = pd.read_csv(tmp_path / "folds.csv", dtype={"imageid": str})
    assert made.imageid.tolist() == training.image.tolist()
    assert made.fold.tolist() == splits.make_split(training, way, 2).tolist()
    said = [int(number) for number in re.findall(r"^fold (\d+) validates:$", done.output, re.MULTILINE)]
    assert said == [*splits.validating(way, 2)]
    assert "no film is in validation" not in done.output
    assert "duplicates were not compared" in done.output
    assert ("parts the films of several sources" in done.output) == (way in splits.OF_SOURCES)


def test_patients_that_a_way_needs_and_nobody_knows(place, tmp_path):
    done = folds(place / "tables", tmp_path / "folds.csv", "--split", "thesis_final_test", "--n-folds", "2")
    assert isinstance(done.exception, TableError)
    assert "images is not known" in str(done.exception)


def test_the_flaw_of_the_union_of_the_thesis_is_seen(place, tmp_path):
    images = "--images", place / "competition", "--images", place / "external"
    done = folds(place / "tables", tmp_path / "wrong.csv", "--split", "thesis_union", *images)
    assert done.exit_code == 0, done.output
    assert "! no film of source" in done.output or "share a patient with training" in done.output
    done = folds(place / "tables", tmp_path / "right.csv", "--split", "union", "--n-folds", 2, *images)
    assert done.exit_code == 0, done.output
    assert "share a" not in done.output
    assert "fold 1 validates:" in done.output
    made = pd.read_csv(tmp_path / "right.csv", index_col="imageid").fold
    assert set(made) == {-1, 0, 1}
    assert "COVID-1" in made.index


def test_the_options_that_there_were(phantom, place, tmp_path):
    done = folds(phantom / "competition", tmp_path / "folds.csv", "--images", place / "competition", "--n-folds", 3)
    assert done.exit_code == 0, done.output
    assert "groups of duplicate images: " in done.output
    assert "validates" not in done.output
    assert set(pd.read_csv(tmp_path / "folds.csv").fold) == {0, 1, 2}
    done = folds(place / "tables", tmp_path / "study.csv", "--group", "study", "--seed", 3)
    assert done.exit_code == 0, done.output
    assert "duplicate images were not compared (no --images)" in done.output


def test_ways_that_there_are_not(place, tmp_path):
    done = folds(place / "nowhere", tmp_path / "folds.csv", "--split", "thesis")  # said before a film is read
    assert isinstance(done.exception, RecipeError)
    assert f"no split is called 'thesis'; there are {', '.join(splits.WAYS)}" in str(done.exception)
    assert folds(place / "tables", tmp_path / "folds.csv", "--split", "image", "--group", "study").exit_code == 2
    assert not (tmp_path / "folds.csv").exists()
