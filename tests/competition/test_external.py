"""The COVID-19 Radiography Database: read without losing a row, built, and compared with other sources."""

import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from siim_kernel import cli, kernels
from siim_kernel.competition import external, external_metadata
from siim_kernel.errors import ImageSetError, MountError, TableError
from siim_kernel.labels import EXTERNAL_CLASSES
from siim_kernel.pixels import imagesets
from siim_kernel.recipes import catalogue, main
from siim_kernel.recipes.recipe import PixelRecipe
from tests.competition import radiography

CHECKOUT = Path(__file__).resolve().parents[2]
runner = CliRunner()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The database with three films of each class."""
    return radiography.make(tmp_path_factory.mktemp("published") / "COVID-19_Radiography_Dataset", 3)


@pytest.fixture
def database(published, tmp_path):
    """One that a test may change."""
    return shutil.copytree(published, tmp_path / "COVID-19_Radiography_Dataset")


@pytest.mark.slow
def test_the_whole_database_joins_with_no_row_lost(tmp_path):
    found = external.read(radiography.make(tmp_path / "deeper" / "database", radiography.PUBLISHED).parent)
    assert found.problems == ()
    assert found.counts == {"covid_19": 3616, "LO": 6012, "NORMAL": 10192, "VIRALNEU": 1345}
    assert len(found.images) == found.images.image.nunique() == 21165
    assert (found.images.url != "").all()  # each found its row, those of Normal too
    assert set(found.images.url[found.images["class"] == "NORMAL"]) == {"https://example.org/NORMAL"}


def test_a_row_says_what_is_known_of_a_film(published):
    found = external.read(published)
    assert found.problems == ()
    assert found.folder == published
    assert tuple(found.counts) == EXTERNAL_CLASSES
    assert found.images.image.tolist() == [f"{title}-{number}" for title, *_ in radiography.CLASSES for number in (1, 2, 3)]
    assert found.images.iloc[-1].to_dict() == {
        "image": "Viral Pneumonia-3",
        "study": "Viral Pneumonia-3",
        "series": "",
        "class": "VIRALNEU",
        "split": "train",
        "path": str(published / "Viral Pneumonia/images/Viral Pneumonia-3.png"),
        "file": "Viral Pneumonia/images/Viral Pneumonia-3.png",
        "url": "https://example.org/Viral Pneumonia",
    }


@pytest.mark.parametrize("above", ["", "one", "one/two", "one/two/three"])
@pytest.mark.parametrize("inner", ["", "images", "Images"])
def test_layouts(tmp_path, above, inner):
    place = radiography.make(tmp_path / "mount" / above, 2, inner)
    found = external.read(tmp_path / "mount")
    assert (found.folder, found.problems) == (place, ())
    assert set(found.counts.values()) == {2}


def test_a_database_four_folders_deep_is_not_looked_for(tmp_path):
    radiography.make(tmp_path / "mount/one/two/three/four", 1)
    with pytest.raises(MountError, match="mount holds no class folder .*; found there: one/"):
        external.read(tmp_path / "mount")


@pytest.mark.parametrize(
    "folders", [("covid", "LUNG OPACITY", "normal", "Viral_Pneumonia"), ("COVID-19", "Lung-Opacity", "NORMAL", "ViralPneumonia")]
)
@pytest.mark.parametrize("heading", ["File Name", "file_name", " FILE  NAME ", "FileName"])
def test_letter_case_blanks_and_underscores(database, folders, heading):
    for (title, _, _, _), folder in zip(radiography.CLASSES, folders, strict=True):
        (database / title).rename(database / "renamed")
        (database / "renamed").rename(database / folder)
        (database / f"{title}.metadata.xlsx").unlink()
        name = folder.upper().replace("_", " ")
        radiography.metadata(
            database / f"{name}.METADATA.XLSX", [f" {title.upper().replace('_', ' ')} -{number}.PNG" for number in (1, 2, 3)], heading
        )
    for path in sorted(database.rglob("images/*-2.png")):
        path.rename(path.with_name(path.stem.lower() + ".PNG"))
    found = external.read(database)
    assert found.problems == ()
    assert set(found.counts.values()) == {3}
    assert (found.images.url != "").all()
    assert "normal-2" in set(found.images.image)


def test_what_does_not_match_is_named_and_every_file_kept(database):
    names = [f"Normal-{number}" for number in range(20, 27)]
    radiography.metadata(database / "Normal.metadata.xlsx", ["NORMAL-1", "normal-1", "NORMAL-2", *names, "", "Normal 2"])
    (database / "COVID.metadata.xlsx").unlink()
    (database / "Tuberculosis").mkdir()
    (database / "Normal" / "more").mkdir()
    (database / "Normal" / "images" / "list.txt").write_text("")
    for dropping in (".DS_Store", "._Normal-1.png", "~$Normal.png"):
        (database / "Normal" / "images" / dropping).write_text("")
    shutil.copy(database / "Normal.metadata.xlsx", database / "Normal.metadata (1).xlsx")
    shutil.copy(database / "Normal.metadata.xlsx", database / "Other.xlsx")
    found = external.read(database)
    assert found.problems == (
        "1 folders are of no class and are not read: Tuberculosis",
        "2 files and folders are no films and are not read: Normal/more, Normal/images/list.txt",
        "class COVID has no COVID.metadata.xlsx: where its films come from is not known",
        "2 rows of Normal.metadata.xlsx name a film again (the first counts): normal-1, Normal 2",
        "1 rows of Normal.metadata.xlsx name no film",
        "2 tables are of no class, or a second one, and are not read: Other.xlsx, Normal.metadata (1).xlsx",
        "4 files have no row in the metadata (they are kept): COVID/images/COVID-1.png, COVID/images/COVID-2.png, "
        "COVID/images/COVID-3.png, Normal/images/Normal-3.png",
        "7 rows of the metadata have no file: Normal-20, Normal-21, Normal-22, Normal-23, Normal-24, ...",
    )
    assert set(found.counts.values()) == {3}
    assert found.images.url[found.images.image == "Normal-3"].tolist() == [""]


def test_masks_are_left_alone(published):
    assert not found_in(published, "masks")


def found_in(folder, word):
    return [file for file in external.read(folder).images.file if word in file]


def test_a_database_of_fewer_classes_names_those_that_lack(database):
    shutil.rmtree(database / "Normal")
    found = external.read(database)
    assert found.problems == ("1 classes have no film here: Normal",)
    assert found.counts == {"covid_19": 3, "LO": 3, "NORMAL": 0, "VIRALNEU": 3}
    assert found.lines() == ["warning: 1 classes have no film here: Normal", f"{database}: 3 covid_19, 3 LO, 0 NORMAL, 3 VIRALNEU"]
    shutil.rmtree(database / "COVID")
    (database / "COVID" / "masks").mkdir(parents=True)
    found = external.read(database)
    assert found.problems[0] == "2 classes have no film here: COVID, Normal"
    assert found.problems[1:] == ("3 rows of the metadata have no file: COVID-1, COVID-2, COVID-3",)
    assert len(found.images) == 6


def test_the_first_release(tmp_path):
    for folder, name in (("COVID-19", "COVID-19"), ("NORMAL", "NORMAL"), ("Viral Pneumonia", "Viral Pneumonia")):
        (tmp_path / folder).mkdir()
        for number in (1, 2):
            radiography.write(tmp_path / folder / f"{name} ({number}).png", number)
        table = f"{name}.matadata.xlsx" if folder == "Viral Pneumonia" else f"{name}.metadata.xlsx"
        radiography.metadata(tmp_path / table, [f"{name}({number})" for number in (1, 2)])
    found = external.read(tmp_path)
    assert found.problems == ("1 classes have no film here: Lung_Opacity",)
    assert found.images.image.tolist() == [f"{name} ({n})" for name in ("COVID-19", "NORMAL", "Viral Pneumonia") for n in (1, 2)]
    assert (found.images.url != "").all()


def test_no_film_at_all_is_an_error(database):
    for title, *_ in radiography.CLASSES:
        shutil.rmtree(database / title / "images")
    with pytest.raises(MountError, match=r"holds no PNG or JPG file in its class folders; found there: COVID.metadata.xlsx, COVID/, Lung"):
        external.read(database)


def test_folders_that_are_no_database(tmp_path, database):
    for place in (tmp_path / "nowhere", database / "README.md.txt"):
        with pytest.raises(MountError, match="is no folder; give that of the COVID-19 Radiography Database"):
            external.read(place)
    with pytest.raises(MountError, match=r"holds no class folder .*; found there: images/, masks/"):
        external.read(database / "COVID")
    shutil.copytree(database, tmp_path / "second")
    with pytest.raises(MountError, match="holds the database more than once: .*second; name one of them"):
        external.read(tmp_path)


def test_one_name_for_two_films_of_a_class_is_refused(database):
    (database / "normal").mkdir()
    with pytest.raises(MountError, match="two folders of the class NORMAL: Normal and normal; remove one"):
        external.read(database)
    (database / "normal").rmdir()
    shutil.copy(database / "Normal" / "images" / "Normal-1.png", database / "Normal" / "NORMAL-1.PNG")
    with pytest.raises(TableError, match=r"one name, two films: .*NORMAL-1.PNG and .*images/Normal-1.png; remove the one"):
        external.read(database)


def test_films_of_two_classes_with_one_name_get_the_class_before_their_ids(database):
    names = {"COVID": ("1", "2", "only"), "Lung_Opacity": ("1", "x-1-1", "x-11"), "Normal": ("1", "2", "X-1-1"), "Viral Pneumonia": "123"}
    for number, (title, stems) in enumerate(names.items()):
        for old, stem in enumerate(stems, start=1):
            (database / title / "images" / f"{title}-{old}.png").unlink()
            radiography.write(database / title / "images" / f"{stem}.png", 10 * number + old)
        radiography.metadata(database / f"{title}.metadata.xlsx", stems)
    found = external.read(database)
    assert found.images.image.tolist() == [
        "COVID-1", "COVID-2", "only", "Lung_Opacity-1", "Lung_Opacity-x-1-1", "x-11", "Normal-1", "Normal-2", "Normal-X-1-1",
        "Viral Pneumonia-1", "Viral Pneumonia-2", "3",
    ]  # fmt: skip
    assert (found.images.url != "").all()
    assert found.problems == (
        "9 files have the name of another film (their ids have the class before it): COVID/images/1.png, COVID/images/2.png, "
        "Lung_Opacity/images/1.png, Lung_Opacity/images/x-1-1.png, Normal/images/1.png, ...",
    )
    assert found.classes["Normal-2"] == "NORMAL"
    assert found.images.study.equals(found.images.image)


def test_an_id_made_with_its_class_that_another_file_has_already(database):
    for title in ("COVID", "Normal"):
        radiography.write(database / title / "images" / "1.png", 7)
    found = external.read(database)
    files = dict(zip(found.images.image, found.images.file, strict=True))
    assert (files["COVID-1"], files["COVID-COVID-1"]) == ("COVID/images/1.png", "COVID/images/COVID-1.png")
    assert len(files) == len(found.images) == 14


# Re-uploads.


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "val", "Test")])
def test_a_database_in_parts(tmp_path, names):
    for number, name in enumerate(names):
        radiography.make(tmp_path / "mount" / "data" / name, number + 1)
        if number:
            for path in (tmp_path / "mount" / "data" / name).rglob("images/*.png"):
                path.rename(path.with_stem(path.stem.replace("-", f"-{number}")))
        for path in (tmp_path / "mount" / "data" / name).glob("*.xlsx"):
            path.unlink()
    for title, *_ in radiography.CLASSES:
        stems = [path.stem for path in (tmp_path / "mount").rglob(f"images/{title}-*.png")]
        radiography.metadata(tmp_path / "mount" / "data" / f"{title}.metadata.xlsx", stems)
    found = external.read(tmp_path / "mount")
    assert found.problems == ()
    assert found.folder == tmp_path / "mount" / "data"
    assert set(found.counts.values()) == {sum(range(1, len(names) + 1))}
    assert f"{names[0]}/COVID/images/COVID-1.png" in set(found.images.file)
    assert set(found.images.split) == {"train"}
    assert (found.images.url != "").all()


def test_names_that_repeat_between_parts(tmp_path):
    for name in ("train", "test"):
        radiography.make(tmp_path / name, 1)
        radiography.write(tmp_path / name / "COVID" / f"{name}.png", 5)
    found = external.read(tmp_path)
    assert found.images.image[found.images["class"] == "covid_19"].tolist() == [
        "COVID-test-COVID-1",
        "test",
        "COVID-train-COVID-1",
        "train",
    ]
    assert len(found.images) == found.images.image.nunique() == 10
    assert (found.images.url == "").sum() == 2  # train.png and test.png


def test_parts_with_metadata_of_their_own(tmp_path):
    for number, name in enumerate(("train", "test")):
        radiography.make(tmp_path / name, 2)
        for path in (tmp_path / name).rglob("images/*.png"):
            path.rename(path.with_stem(path.stem.replace("-", f"-{number}")))
        for title, *_ in radiography.CLASSES:
            radiography.metadata(tmp_path / name / f"{title}.metadata.xlsx", [f"{title}-{number}{film}" for film in (1, 2)])
    found = external.read(tmp_path)
    assert found.problems == ()
    assert len(found.images) == 16
    assert (found.images.url != "").all()


@pytest.mark.parametrize("inner", ["train", "COVID", "covid-19", "test/images", "COVID/images"])
def test_class_folders_with_one_more_level(database, inner):
    (database / "COVID" / "images").rename(database / "moved")
    (database / "COVID" / inner).parent.mkdir(parents=True, exist_ok=True)
    (database / "moved").rename(database / "COVID" / inner)
    found = external.read(database)
    assert found.problems == ()
    assert set(found.counts.values()) == {3}
    assert f"COVID/{inner}/COVID-1.png" in set(found.images.file)


def test_films_and_masks_in_trees_of_their_own(database, tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "other" / name).mkdir(parents=True)
        for title, *_ in radiography.CLASSES:
            (database / title / name).rename(tmp_path / "other" / name / title)
    for path in database.glob("*.xlsx"):
        path.rename(tmp_path / "other" / path.name)
    found = external.read(tmp_path / "other")
    assert found.problems == ()
    assert found.images.file.iloc[0] == "COVID/COVID-1.png"
    assert len(found.images) == 12


# The metadata.


@pytest.mark.parametrize(
    "name",
    ["{} metadata.xlsx", "{}_metadata.xlsx", "{}-Metadata.XLSX", "{}.METADATA.xlsx", "{}metadata.xlsx", "{}.xlsx", "{}.metadata(1).xlsx"],
)
def test_workbooks_under_other_names(database, name):
    for title, *_ in radiography.CLASSES:
        (database / f"{title}.metadata.xlsx").rename(database / name.format(title.replace(" ", "_").upper()))
    found = external.read(database)
    assert found.problems == ()
    assert (found.images.url != "").all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("COVID-1.png", "COVID 1"), ("COVID-1", "covid_1.PNG"), ("COVID (1)", "COVID-1.jpeg"), ("Lung_Opacity-12", "LungOpacity 12 "),
        ("x-1-1", "X_1.1"), ("a.b-2", "AB2"),
    ],
)  # fmt: skip
def test_names_that_mean_one_film(one, other):
    assert external_metadata.key(one) == external_metadata.key(other)


@pytest.mark.parametrize(("one", "other"), [("x-1-1", "x-11"), ("COVID-1", "COVID-01"), ("COVID-1", "COVID-1 (1)"), ("a1", "b1")])
def test_names_that_mean_two_films(one, other):
    assert external_metadata.key(one) != external_metadata.key(other)


@pytest.mark.parametrize("content", ["nothing", "text", "cut", "zip", "html"])
def test_a_broken_workbook_is_a_clear_error(database, tmp_path, content):
    path = database / "Lung_Opacity.metadata.xlsx"
    whole = path.read_bytes()
    shutil.make_archive(tmp_path / "other", "zip", database / "COVID")
    contents = {"nothing": b"", "text": b"FILE NAME,URL\n", "cut": whole[: len(whole) // 2], "html": b"<html>404</html>"}
    path.write_bytes(contents.get(content, (tmp_path / "other.zip").read_bytes()))
    with pytest.raises(TableError, match=r"Lung_Opacity.metadata.xlsx cannot be read as an Excel workbook: .*; download it again"):
        external.read(database)


def test_a_workbook_without_names(database):
    pd.DataFrame({"NAME": ["a"], "URL": ["b"]}).to_excel(database / "COVID.metadata.xlsx", index=False)
    with pytest.raises(TableError, match=r"COVID.metadata.xlsx lacks the column FILE NAME; it has NAME, URL"):
        external.read(database)


def test_numbers_and_missing_columns_in_a_workbook(database):
    for number in (1, 2, 3):
        (database / "COVID" / "images" / f"COVID-{number}.png").rename(database / "COVID" / "images" / f"{number}.png")
    pd.DataFrame({"FILE NAME": [1, 2, 3]}).to_excel(database / "COVID.metadata.xlsx", index=False)
    found = external.read(database)
    assert found.problems == ()
    assert found.images.image.tolist()[:3] == ["1", "2", "3"]
    assert set(found.images.url[:3]) == {""}


# Building.


@pytest.fixture
def mixed(database):
    """The database with films of each kind that its sources have, and three that cannot be read."""
    images = database / "COVID" / "images"
    grey = np.random.default_rng(9).integers(0, 256, (40, 30), np.uint8)
    cv2.imwrite(str(images / "COVID-4.png"), np.dstack([grey] * 3))
    cv2.imwrite(str(images / "COVID-5.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(images / "COVID-6.JPG"), grey)
    cv2.imwrite(str(images / "COVID-7.png"), grey)
    (images / "COVID-8.png").write_bytes((images / "COVID-7.png").read_bytes()[:-20])
    (images / "COVID-9.png").write_bytes(b"<html>404</html>")
    (images / "COVID-10.png").write_bytes(b"")
    return database


def test_build_by_the_command_line(mixed, tmp_path):
    arguments = ["build-images", str(mixed.parent), str(tmp_path / "set"), "--external", "--size", "16", "--workers", "1", "--verify"]
    done = subprocess.run([sys.executable, "-m", "siim_kernel.cli", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "warning: 7 files have no row in the metadata (they are kept): COVID/images/COVID-10.png" in done.stderr
    assert "not read: COVID-8 (COVID/images/COVID-8.png): the file is cut short" in done.stderr
    assert "every file is as it was written" in done.stdout
    assert "Traceback" not in done.stderr
    opened = imagesets.open_set(tmp_path / "set", PixelRecipe(size=16))
    table = opened.table.set_index("image")
    assert table["class"].value_counts().to_dict() == {"covid_19": 7, "LO": 3, "NORMAL": 3, "VIRALNEU": 3}
    alike = {"source": "radiography", "series": "", "patient": "", "split": "train", "photometric": "MONOCHROME2", "transfer_syntax": ""}
    assert {name: set(table[name]) for name in alike} == {name: {value} for name, value in alike.items()}
    assert (table.study == table.index).all()
    assert table.loc["COVID-4", ["rows", "columns"]].tolist() == [40, 30]
    squares = dict(zip(opened.table.image, opened.images, strict=True))
    np.testing.assert_array_equal(squares["COVID-4"], squares["COVID-7"])  # equal colours are grey
    np.testing.assert_array_equal(squares["COVID-5"], squares["COVID-7"])  # 16 bits by their content
    listed = pd.read_csv(tmp_path / "set" / "not_read.csv")
    assert listed.values.tolist() == [
        ["COVID-10", "COVID/images/COVID-10.png", "an empty file"],
        ["COVID-8", "COVID/images/COVID-8.png", "the file is cut short"],
        ["COVID-9", "COVID/images/COVID-9.png", "neither a PNG nor a JPG file"],
    ]


def test_an_interrupted_build_goes_on_and_a_finished_one_stays(published, tmp_path):
    pixels = [PixelRecipe(size=16, equalise=True), PixelRecipe(size=24, aspect="pad")]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kernels.build_external(published, tmp_path / "set", pixels, workers=1, progress=stop, say=str)
    done = []
    kernels.build_external(published, tmp_path / "set", pixels, workers=1, progress=lambda *now: done.append(now), say=str)
    assert done == [(12, 12)]  # the first eight were there
    built = kernels.build_external(published, tmp_path / "set", pixels, workers=1, progress=lambda *now: done.append(now), say=str)
    assert (built.images, len(done)) == (12, 1)
    kernels.build_external(published, tmp_path / "other", pixels, workers=1, say=str)
    for size in ("16-equalised", "24-pad"):
        assert (tmp_path / "set" / size / "SHA256SUMS").read_bytes() == (tmp_path / "other" / size / "SHA256SUMS").read_bytes()


def test_names_with_blanks_are_files_too(published, tmp_path):
    kernels.build_external(published, tmp_path, [PixelRecipe(size=16)], form="png", workers=1, say=str)
    assert (tmp_path / "train" / "Viral Pneumonia-1.png").is_file()
    assert imagesets.open_set(tmp_path).images[11].shape == (16, 16)
    assert imagesets.verify(tmp_path) == []


def test_the_command_refuses_a_split_that_there_is_not(published, tmp_path):
    shown = runner.invoke(cli.app, ["build-images", str(published), str(tmp_path / "set"), "--external", "--split", "test"])
    assert shown.exit_code == 2
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("layout", ["covid19-radiography-database", "datasets/tawsifurrahman/covid19-radiography-database"])
def test_the_kernel_on_both_layouts_of_kaggle(published, tmp_path, monkeypatch, capsys, layout):
    root = tmp_path / "input"
    shutil.copytree(published, root / layout / published.name, copy_function=os.link)
    monkeypatch.setenv("SIIM_KERNEL_INPUT", str(root))
    monkeypatch.setenv("SIIM_KERNEL_WORKING", str(tmp_path / "working"))
    monkeypatch.setattr(catalogue, "RECIPES", (replace(main.SMALL, name="thesis-union", pixels=PixelRecipe(size=16)),))
    monkeypatch.setattr(kernels, "cores", lambda: 1)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))  # pip: the package is here
    runpy.run_path(str(CHECKOUT / "train_kernels/external_images/external_images.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "3 covid_19, 3 LO, 3 NORMAL, 3 VIRALNEU" in said
    assert "12 images, 0 films not read" in said
    assert len(imagesets.open_set(tmp_path / "working" / "images", PixelRecipe(size=16)).table) == 12


# Overlaps and unions with the competition.


@pytest.fixture
def sources(tmp_path):
    """A published copy of the competition of 32 pixels, and an external set of 24 that has two of its films, one of them as a JPG."""
    folder = radiography.make(tmp_path / "database", 1, masks=False)
    rng, rows = np.random.default_rng(1), []
    (tmp_path / "copy" / "train").mkdir(parents=True)
    for number in range(6):
        film = cv2.resize(rng.integers(0, 256, (8, 8), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "copy" / "train" / f"c{number}.png"), cv2.resize(film, (32, 32), interpolation=cv2.INTER_AREA))
        rows.append((f"c{number}", 64, 64, "train"))
        if number in (2, 4):
            path = folder / "COVID" / "images" / f"COVID-{number}.{'png' if number == 2 else 'jpg'}"
            cv2.imwrite(str(path), film)
    pd.DataFrame(rows, columns=["image_id", "dim0", "dim1", "split"]).to_csv(tmp_path / "copy" / "meta.csv", index=False)
    kernels.build_external(folder, tmp_path / "external", [PixelRecipe(size=24)], workers=1, say=str)
    return tmp_path


def test_planted_overlaps_are_found(sources):
    sets = [imagesets.open_set(sources / "copy"), imagesets.open_set(sources / "external")]
    found = external.overlaps(sets)
    assert found.groups == (
        (("competition", "c2"), ("radiography", "COVID-2")),
        (("competition", "c4"), ("radiography", "COVID-4")),
    )
    assert found.films == {"competition": 2, "radiography": 2}
    assert found.lines(most=1) == [
        "2 films stand in more than one source (2 of competition, 2 of radiography)",
        "  competition c2 = radiography COVID-2",
        "  ...",
    ]


def test_overlaps_of_known_duplicates_read_no_film(sources):
    sets = [imagesets.open_set(sources / "copy"), imagesets.open_set(sources / "external")]
    unread = [replace(each, images=None) for each in sets]
    found = external.overlaps(unread, [("COVID-2", "c2"), ("c0", "c1"), ("COVID-4", "c4", "gone"), ("Normal-1", "gone")])
    assert found == external.overlaps(sets)
    assert external.overlaps(unread, []).lines() == ["no film stands in more than one of the sources competition, radiography"]


def test_what_is_twice_in_one_source_is_no_overlap(sources):
    found = external.overlaps([imagesets.open_set(sources / "copy")] * 2)
    assert (found.groups, found.films) == ((), {"competition": 0})
    assert found.lines() == ["no film stands in more than one of the sources competition"]
    assert external.overlaps([]).groups == ()
    copy, other = imagesets.open_set(sources / "copy"), imagesets.open_set(sources / "external")
    assert external.overlaps([copy, copy, other]) == external.overlaps([copy, other])


def test_a_union_of_sources(sources):
    kernels.build_images(sources / "copy", sources / "built", [PixelRecipe(size=24)], split="train", workers=1)
    sets = [imagesets.open_set(sources / "built"), imagesets.open_set(sources / "external")]
    joined = imagesets.union(sets)
    assert joined.table["class"].tolist() == [""] * 6 + ["covid_19"] * 3 + ["LO", "NORMAL", "VIRALNEU"]
    assert joined.table.source.tolist() == ["competition"] * 6 + ["radiography"] * 6
    np.testing.assert_array_equal(joined.images[7], sets[1].images[1])
    with pytest.raises(ImageSetError, match="size: stored 24, wanted 32"):
        imagesets.union([imagesets.open_set(sources / "copy"), sets[1]])
