import hashlib
import json
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from siim_kernel.errors import ImageSetError
from siim_kernel.pixels import building, imagesets, parallel, stores
from siim_kernel.pixels.building import build
from siim_kernel.pixels.reading import read_squares
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import made

SMALL, LARGE = PixelRecipe(size=16), PixelRecipe(size=32, aspect="pad")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """20 films of 3 chunks, the 3rd and the 12th of which cannot be read; 5 are of the test split."""
    folder = tmp_path_factory.mktemp("competition")
    rows = []
    for number in range(20):
        split = "test" if number >= 15 else "train"
        path = folder / split / f"s{number // 2}" / f"r{number}" / f"i{number:02}.dcm"
        path.parent.mkdir(parents=True)
        if number in (2, 11):
            path.write_bytes(b"no film at all")
        else:
            made.write(path, made.noisy(30 + number, 40, seed=number), PatientID=f"00{number // 4}", BitsStored=12)
        rows.append((f"i{number:02}", f"s{number // 2}", f"r{number}", split, str(path)))
    return pd.DataFrame(rows, columns=["image", "study", "series", "split", "path"])


@pytest.fixture
def films(sources):
    return sources.copy()


def files(folder):
    """SHA-256 of every file under a folder by its relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()
    }


class Kill(BaseException):
    """What a kill is to a build: nothing is tidied up after it."""


def kill_after(count):
    """A progress callback that kills the build once so many films are done."""

    def progress(done, total):
        if done >= count:
            raise Kill

    return progress


def recorded(monkeypatch):
    """The paths of films, as they will be given to be read."""
    read, original = [], parallel.reads

    def reads(films, *arguments):
        read.extend(path for _, path in films)
        return original(films, *arguments)

    monkeypatch.setattr(parallel, "reads", reads)
    return read


def test_npy_holds_the_squares_of_the_films_that_could_be_read(films, tmp_path):
    built = build(films, tmp_path / "set", [SMALL])
    opened = imagesets.open_set(tmp_path / "set", SMALL)
    assert built.folders == (tmp_path / "set",)
    assert built.images == len(opened.table) == 18
    assert isinstance(opened.images, np.memmap)
    assert opened.images.shape == (18, 16, 16)
    kept = films.drop([2, 11])
    assert list(opened.table.image) == list(kept.image)
    for square, path in zip(opened.images, kept.path, strict=True):
        np.testing.assert_array_equal(square, read_squares(path, [SMALL])[0][0])


def test_the_table_says_what_is_known_of_each_film(films, tmp_path):
    build(films, tmp_path, [SMALL], source="hospital", classes={"i00": "typical"})
    table = imagesets.open_set(tmp_path).table
    assert tuple(table.columns) == imagesets.COLUMNS
    first = table.iloc[0]
    assert (first.image, first.study, first.series, first.patient, first.source, first["class"], first.split) == (
        "i00", "s0", "r0", "000", "hospital", "typical", "train",
    )  # fmt: skip
    assert (first["rows"], first["columns"], first.photometric, first.transfer_syntax) == (30, 40, "MONOCHROME2", "1.2.840.10008.1.2.1")
    content = Path(films.path[0]).read_bytes()
    assert first.size_bytes == len(content)
    assert first.crc32 == f"{zlib.crc32(content):08x}"
    assert (table["class"][1:] == "").all()
    assert list(table.split) == ["train"] * 13 + ["test"] * 5


def test_films_that_cannot_be_read_are_left_out_and_named(films, tmp_path):
    built = build(films, tmp_path, [SMALL])
    assert built.not_read == (
        ("i02", "train/s1/r2/i02.dcm", "not a DICOM file"),
        ("i11", "train/s5/r11/i11.dcm", "not a DICOM file"),
    )
    assert (tmp_path / "not_read.csv").read_text() == (
        "image_id,file,reason\ni02,train/s1/r2/i02.dcm,not a DICOM file\ni11,train/s5/r11/i11.dcm,not a DICOM file\n"
    )


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_folders_of_files_are_what_is_published(films, tmp_path, form):
    built = build(films, tmp_path, [LARGE], form=form)
    assert built.images == 18
    assert len(list((tmp_path / "train").iterdir())) == 13
    assert len(list((tmp_path / "test").iterdir())) == 5
    meta = pd.read_csv(tmp_path / "meta.csv")
    assert list(meta.columns) == ["image_id", "dim0", "dim1", "split"]
    assert meta.iloc[-1].to_list() == ["i19", 49, 40, "test"]
    opened = imagesets.open_set(tmp_path, LARGE)
    for place in (0, 4, 17):
        wanted = read_squares(films.set_index("image").path[opened.table.image[place]], [LARGE])[0][0]
        found = opened.images[place]
        assert found.shape == (32, 32)
        if form == "png":
            np.testing.assert_array_equal(found, wanted)
        else:
            np.testing.assert_array_equal(found, cv2.imdecode(cv2.imencode(".jpg", wanted, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], 0))


def test_several_sizes_come_from_one_reading(films, tmp_path, monkeypatch):
    read = recorded(monkeypatch)
    built = build(films, tmp_path / "both", [SMALL, LARGE])
    assert read == list(films.path)
    assert built.folders == (tmp_path / "both" / "16", tmp_path / "both" / "32-pad")
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["16", "32-pad"]
    for recipe in (SMALL, LARGE):
        build(films, tmp_path / "alone" / str(recipe.size), [recipe])
        alone = imagesets.open_set(tmp_path / "alone" / str(recipe.size), recipe)
        together = imagesets.open_set(imagesets.folder_of(tmp_path / "both", recipe), recipe)
        np.testing.assert_array_equal(together.images, alone.images)
        assert together.table.equals(alone.table)


@pytest.mark.parametrize("form", ["npy", "png"])
def test_any_number_of_workers_gives_the_same_bytes(films, tmp_path, form):
    build(films, tmp_path / "one", [SMALL, LARGE], form=form, workers=1)
    build(films, tmp_path / "two", [SMALL, LARGE], form=form, workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_finished_set_holds_nothing_of_its_build(films, tmp_path):
    build(films, tmp_path, [SMALL], workers=2)
    assert set(files(tmp_path)) == {"images.npy", "images.csv", "pixels.json", "not_read.csv", "SHA256SUMS"}
    assert not (tmp_path / imagesets.SCRATCH).exists()
    stored = json.loads((tmp_path / "pixels.json").read_text())
    assert set(stored) == {"pixels", "form", "plan"}
    assert set(stored["plan"]) == {"films", "recipes", "form", "source"}
    text = "".join(path.read_text() for path in tmp_path.iterdir() if path.suffix != ".npy")
    assert str(tmp_path) not in text
    assert "workers" not in text


@pytest.mark.parametrize("form", ["npy", "png"])
@pytest.mark.parametrize("count", [8, 16, 20])
def test_an_interrupted_build_goes_on_and_gives_the_same_bytes(films, tmp_path, monkeypatch, form, count):
    build(films, tmp_path / "whole", [SMALL, LARGE], form=form)
    with pytest.raises(Kill):
        build(films, tmp_path / "part", [SMALL, LARGE], form=form, progress=kill_after(count))
    with pytest.raises(ImageSetError, match=r"no finished image set|no SHA256SUMS"):
        imagesets.open_set(tmp_path / "part" / "16")
    read = recorded(monkeypatch)
    build(films, tmp_path / "part", [SMALL, LARGE], form=form)
    assert read == list(films.path[count:])
    assert files(tmp_path / "part") == files(tmp_path / "whole")


# What a build does at its end, and may be killed before or after: (owner, function, which call or target).
ENDS = {
    "first squares": (stores.os, "replace", "16/images.npy"),
    "second squares": (stores.os, "replace", "32-pad/images.npy"),
    "first sums": (building, "write_sums", "16"),
    "second sums": (building, "write_sums", "32-pad"),
    "tidying": (building.shutil, "rmtree", imagesets.SCRATCH),
}


@pytest.mark.parametrize("unreadable", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_build_killed_at_its_end_goes_on_too(films, tmp_path, monkeypatch, end, when, unreadable):
    if not unreadable:
        films = films.drop([2, 11]).reset_index(drop=True)
    build(films, tmp_path / "whole", [SMALL, LARGE])
    owner, name, target = end
    original = getattr(owner, name)

    def killing(*arguments, **options):
        hit = str(arguments[-1]).endswith(target)
        if hit and when == "before":
            raise Kill
        original(*arguments, **options)
        if hit:
            raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killing)
        with pytest.raises(Kill):
            build(films, tmp_path / "part", [SMALL, LARGE])
    built = build(films, tmp_path / "part", [SMALL, LARGE])
    assert built.images == len(films) - 2 * unreadable
    assert files(tmp_path / "part") == files(tmp_path / "whole")
    assert not (tmp_path / "part" / imagesets.SCRATCH).exists()


def test_a_finished_set_is_not_built_again(films, tmp_path, monkeypatch):
    first = build(films, tmp_path, [SMALL])
    before = files(tmp_path)
    monkeypatch.setattr(parallel, "reads", None)
    assert build(films, tmp_path, [SMALL]) == first
    assert files(tmp_path) == before


CHANGES = {
    "other films": lambda films: {"films": films[:-1]},
    "another recipe": lambda films: {"recipes": [PixelRecipe(size=16, equalise=True)]},
    "another size": lambda films: {"recipes": [LARGE]},
    "more sizes": lambda films: {"recipes": [SMALL, LARGE]},
    "another form": lambda films: {"form": "png"},
    "another source": lambda films: {"source": "hospital"},
    "other classes": lambda films: {"classes": {"i05": "typical"}},
    "another study": lambda films: {"films": films.assign(study="s")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_a_changed_plan_is_refused_and_spoils_nothing(films, tmp_path, change, state):
    plan = {"films": films, "recipes": [SMALL]}
    if state == "finished":
        build(out=tmp_path / "set", **plan)
    else:
        with pytest.raises(Kill):
            build(out=tmp_path / "set", progress=kill_after(8), **plan)
    before = files(tmp_path / "set")
    with pytest.raises(ImageSetError, match="set is no empty folder|interrupted build of other films"):
        build(out=tmp_path / "set", **(plan | change(films)))
    assert files(tmp_path / "set") == before
    build(out=tmp_path / "set", **plan)
    build(out=tmp_path / "whole", **plan)
    assert files(tmp_path / "set") == files(tmp_path / "whole")


def test_a_folder_with_something_else_and_a_file_are_refused(films, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ImageSetError, match="is no empty folder"):
        build(films, tmp_path, [SMALL])
    with pytest.raises(ImageSetError, match="is no empty folder"):
        build(films, tmp_path / "notes.txt", [SMALL])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_all_films_unreadable_is_an_error_and_can_be_tried_again(films, tmp_path):
    hopeless = films.loc[[2, 11]].reset_index(drop=True)
    for _ in range(2):
        with pytest.raises(ImageSetError, match=r"none of the 2 films could be read; the first: .*i02.dcm: not a DICOM file"):
            build(hopeless, tmp_path / "set", [SMALL, LARGE])
        assert files(tmp_path / "set") == {}


def test_a_film_that_vanished_is_one_that_cannot_be_read(films, tmp_path):
    films.loc[0, "path"] = str(tmp_path / "nowhere" / "i00.dcm")
    built = build(films, tmp_path / "set", [SMALL])
    assert built.images == 17
    assert built.not_read[0][0] == "i00"
    assert "No such file" in built.not_read[0][2]


def test_impossible_wishes(films, tmp_path):
    with pytest.raises(ImageSetError, match="one of npy, png, jpg, got 'tiff'"):
        build(films, tmp_path, [SMALL], form="tiff")
    with pytest.raises(ImageSetError, match="there are no films"):
        build(films[:0], tmp_path, [SMALL])
    with pytest.raises(ImageSetError, match="pixel recipes are given more than once: 16, 16; give each once"):
        build(films, tmp_path, [SMALL, PixelRecipe(size=16)])


def test_a_disk_that_is_too_small_is_said_before_the_work(films, tmp_path, monkeypatch):
    usage = building.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(building.shutil, "disk_usage", lambda path: usage._replace(free=20 * 16 * 16))
    with pytest.raises(ImageSetError, match="MiB free, the image set needs"):
        build(films, tmp_path / "set", [SMALL])
    monkeypatch.undo()
    assert build(films, tmp_path / "set", [SMALL]).images == 18


def test_progress_counts_films(films, tmp_path):
    seen = []
    build(films, tmp_path, [SMALL], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 20), (16, 20), (20, 20)]


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(films, tmp_path):
    distributed = pytest.importorskip("distributed")
    build(films, tmp_path / "local", [SMALL])
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, distributed.Client(cluster):
        build(films, tmp_path / "dask", [SMALL], workers=1, backend="dask")
    assert files(tmp_path / "local") == files(tmp_path / "dask")


@pytest.mark.slow
def test_dask_without_a_cluster_makes_one_of_its_own(films, tmp_path):
    distributed = pytest.importorskip("distributed")
    assert build(films[:3], tmp_path, [SMALL], workers=1, backend="dask").images == 2
    with pytest.raises(ValueError, match="No global client"):
        distributed.get_client()


def test_an_unknown_backend_is_named(films, tmp_path):
    with pytest.raises(ImageSetError, match="local or dask, got 'spark'"):
        build(films, tmp_path, [SMALL], backend="spark")


def test_a_dask_scheduler_that_cannot_be_reached_is_a_clear_error(films, tmp_path):
    import dask

    nowhere = dask.config.set({"scheduler-address": "tcp://127.0.0.1:9", "distributed.comm.timeouts.connect": "1s"})
    with nowhere, pytest.raises(ImageSetError, match="the scheduler tcp://127.0.0.1:9 of Dask's configuration cannot be reached"):
        build(films, tmp_path, [SMALL], backend="dask")
