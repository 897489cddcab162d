import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from siim_kernel.errors import ImageSetError
from siim_kernel.pixels import imagesets
from siim_kernel.pixels.building import build
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import made

RECIPE = PixelRecipe(size=16)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("competition")
    rows = []
    for number in range(4):
        split = "test" if number == 3 else "train"
        path = folder / split / "s" / "r" / f"i{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        made.write(path, made.noisy(24, 24, seed=number), PatientID="007")
        rows.append((f"i{number}", "s", "r", split, str(path)))
    return pd.DataFrame(rows, columns=["image", "study", "series", "split", "path"])


@pytest.fixture(scope="module")
def finished(films, tmp_path_factory):
    """Finished sets by form; tests copy what they change."""
    out = tmp_path_factory.mktemp("sets")
    for form in imagesets.FORMATS:
        build(films, out / form, [RECIPE], form=form)
    return out


@pytest.fixture(params=imagesets.FORMATS)
def folder(finished, tmp_path, request):
    shutil.copytree(finished / request.param, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def npy(finished, tmp_path):
    shutil.copytree(finished / "npy", tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def png(finished, tmp_path):
    shutil.copytree(finished / "png", tmp_path / "set")
    return tmp_path / "set"


def test_a_set_opens_in_every_form(folder):
    opened = imagesets.open_set(folder, RECIPE)
    assert opened.recipe == RECIPE
    assert opened.images.shape == (4, 16, 16)
    assert opened.images.dtype == np.uint8
    assert len(opened.images) == 4
    assert list(opened.table.image) == ["i0", "i1", "i2", "i3"]
    assert set(opened.table.patient) == {"007"}
    assert opened.images[3].shape == (16, 16)
    some = opened.images[np.array([2, 0])]
    assert some.shape == (2, 16, 16)
    np.testing.assert_array_equal(some[1], opened.images[0])
    assert len(list(opened.images)) == 4


def test_png_holds_what_npy_holds(finished):
    arrays = imagesets.open_set(finished / "npy").images
    for stored, wanted in zip(imagesets.open_set(finished / "png").images, arrays, strict=True):
        np.testing.assert_array_equal(stored, wanted)


def test_a_sound_set_has_no_faults(folder):
    assert imagesets.verify(folder) == []


def test_verify_finds_a_changed_file(folder):
    for name in ("images.csv", "pixels.json", "not_read.csv"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        (fault,) = imagesets.verify(folder)
        assert fault.startswith(f"{name} has changed: SHA-256 ")
        (folder / name).write_bytes(content)


def test_verify_finds_one_changed_bit_of_a_square(npy):
    content = bytearray((npy / "images.npy").read_bytes())
    content[-1] ^= 1
    (npy / "images.npy").write_bytes(content)
    (fault,) = imagesets.verify(npy)
    assert fault.startswith("images.npy has changed")


def test_verify_finds_missing_and_extra_files(png):
    (png / "train" / "i1.png").unlink()
    (png / "train" / "i9.png").touch()
    assert imagesets.verify(png) == ["train/i1.png is missing", "train/i9.png does not belong to the set"]


def test_verify_reads_sets_that_stand_under_any_name(npy):
    place = npy.parent / imagesets.SCRATCH / "set"
    place.parent.mkdir()
    npy.rename(place)
    assert imagesets.verify(place) == []
    (place / "images.csv").unlink()
    assert imagesets.verify(place) == ["images.csv is missing"]


def unlist(folder, name):
    """Takes a file and its line in the sums away: what remains agrees with itself."""
    sums = folder / imagesets.SUMS
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if not line.endswith(f"  {name}\n")))
    (folder / name).unlink()


@pytest.mark.parametrize("name", ["images.npy", "images.csv", "pixels.json", "not_read.csv"])
def test_verify_finds_sums_that_list_less_than_a_set_has(npy, name):
    unlist(npy, name)
    assert f"{name} is not listed in SHA256SUMS, though the set must have it" in imagesets.verify(npy)


@pytest.mark.parametrize("name", ["meta.csv", "train/i1.png"])
def test_verify_finds_sums_that_list_less_than_a_set_of_files_has(png, name):
    unlist(png, name)
    assert imagesets.verify(png) == [f"{name} is not listed in SHA256SUMS, though the set must have it"]


def test_verify_finds_empty_sums_and_says_which_it_cannot_read(npy):
    (npy / "SHA256SUMS").write_text("")
    assert len(imagesets.verify(npy)) == 8  # four that do not belong, four that are not listed
    (npy / "SHA256SUMS").write_bytes(b"\xff\xfe")
    with pytest.raises(ImageSetError, match="SHA256SUMS cannot be read: .*copy or build the set again"):
        imagesets.verify(npy)


def test_verify_finds_a_truncated_array_and_a_damaged_recipe(npy):
    content = (npy / "images.npy").read_bytes()
    (npy / "images.npy").write_bytes(content[:-1])
    (npy / "pixels.json").write_text("{")
    assert [fault.split(":")[0] for fault in imagesets.verify(npy)] == ["images.npy has changed", "pixels.json has changed"]


def test_verify_names_a_file_that_cannot_be_read_and_goes_on(npy, monkeypatch):
    def sha256(path):
        if path.name == "images.csv":
            raise OSError(5, "Input/output error", str(path))
        return original(path)

    original = imagesets.sha256
    monkeypatch.setattr(imagesets, "sha256", sha256)
    (npy / "not_read.csv").write_text("")
    faults = imagesets.verify(npy)
    assert faults[0] == "images.csv cannot be read: Input/output error"
    assert faults[1].startswith("not_read.csv has changed")


def test_verify_of_what_is_no_set(tmp_path):
    with pytest.raises(ImageSetError, match="has no SHA256SUMS"):
        imagesets.verify(tmp_path)


def test_another_recipe_prints_both_sides(folder):
    with pytest.raises(ImageSetError) as caught:
        imagesets.open_set(folder, PixelRecipe(size=32, equalise=True))
    assert "size: stored 16, wanted 32; equalise: stored False, wanted True" in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_missing_set_says_how_to_build_one(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ImageSetError, match=r"is no finished image set \(pixels.json is missing\); build it with"):
            imagesets.open_set(folder)


def test_an_interrupted_build_is_named_as_such(films, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(films, tmp_path, [RECIPE], progress=stop)
    with pytest.raises(ImageSetError, match="its build was interrupted: run the same"):
        imagesets.open_set(tmp_path)


def test_a_set_without_sums_is_unfinished(folder):
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(ImageSetError, match="has no SHA256SUMS: its build did not finish"):
        imagesets.open_set(folder)


def test_a_folder_of_several_sizes_names_them(films, tmp_path):
    build(films, tmp_path, [RECIPE, PixelRecipe(size=32)])
    with pytest.raises(ImageSetError, match="it holds the sizes 16, 32: name one of them"):
        imagesets.open_set(tmp_path)
    assert imagesets.open_set(tmp_path / "32").images.shape == (4, 32, 32)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pixels": {"size": 1}, "form": "npy"}', '{"pixels": {"size": 16, "new": 1}}'])
def test_a_damaged_recipe(npy, content):
    (npy / "pixels.json").write_text(content)
    with pytest.raises(ImageSetError, match=r"pixels.json is damaged or of another version"):
        imagesets.open_set(npy)


def test_an_unknown_form(npy):
    stored = json.loads((npy / "pixels.json").read_text())
    (npy / "pixels.json").write_text(json.dumps(stored | {"form": "tiff"}))
    with pytest.raises(ImageSetError, match="names the form 'tiff', there are npy, png, jpg"):
        imagesets.open_set(npy)


def test_squares_that_are_gone_cut_short_or_of_another_shape(npy):
    path = npy / "images.npy"
    content = path.read_bytes()
    for wrong in (content[:-100], b"", b"not an array at all" * 20):
        path.write_bytes(wrong)
        with pytest.raises(ImageSetError, match="images.npy cannot be opened"):
            imagesets.open_set(npy)
    path.unlink()
    with pytest.raises(ImageSetError, match="images.npy cannot be opened"):
        imagesets.open_set(npy)
    for wrong in (np.zeros((3, 16, 16), np.uint8), np.zeros((4, 16, 8), np.uint8), np.zeros((4, 16, 16), np.float32)):
        np.save(path, wrong)
        with pytest.raises(ImageSetError, match=r"its tables say uint8 \(4, 16, 16\); build it again"):
            imagesets.open_set(npy)


def test_a_file_of_a_square_that_is_damaged_is_named_when_it_is_read(png):
    (png / "train" / "i1.png").write_bytes(b"nothing")
    cv2.imwrite(str(png / "train" / "i2.png"), np.zeros((8, 9), np.uint8))
    opened = imagesets.open_set(png)
    with pytest.raises(ImageSetError, match="i1.png is not readable"):
        opened.images[1]
    with pytest.raises(ImageSetError, match="i2.png is 8x9; the set's squares are 16x16"):
        opened.images[2]


# Published copies: meta.csv and files, nothing else.


def publish(folder, form="png", size=16):
    rows = []
    for number, split in enumerate(("train", "train", "test")):
        (folder / split).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / split / f"00{number}.{form}"), np.full((size, size), 50 * number, np.uint8))
        rows.append((f"00{number}", 2000 + number, 3000, split))
    pd.DataFrame(rows, columns=["image_id", "dim0", "dim1", "split"]).to_csv(folder / "meta.csv", index=False)
    return folder


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_a_published_copy_opens(tmp_path, form):
    opened = imagesets.open_set(publish(tmp_path, form), RECIPE)
    assert opened.recipe == RECIPE
    assert tuple(opened.table.columns) == imagesets.COLUMNS
    assert list(opened.table.image) == ["000", "001", "002"]
    assert list(opened.table["rows"]) == [2000, 2001, 2002]
    assert list(opened.table.split) == ["train", "train", "test"]
    assert set(opened.table.patient) == {""}
    assert [int(square.mean()) for square in opened.images] == [0, 50, 100]
    with pytest.raises(ImageSetError, match="size: stored 16, wanted 32"):
        imagesets.open_set(tmp_path, PixelRecipe(size=32))


def test_an_own_set_loses_its_recipe_and_is_a_published_copy(png):
    for name in ("pixels.json", "images.csv", "not_read.csv", "SHA256SUMS"):
        (png / name).unlink()
    opened = imagesets.open_set(png, RECIPE)
    assert list(opened.table["rows"]) == [24] * 4
    assert len(opened.images) == 4


def test_published_copies_that_are_wrong(tmp_path):
    folder = publish(tmp_path)
    (folder / "test" / "002.png").unlink()
    with pytest.raises(ImageSetError, match=r"image 002 of meta.csv has no file under test/"):
        imagesets.open_set(folder)
    (folder / "train" / "000.png").write_bytes(b"")
    (folder / "meta.csv").write_text("image_id,dim0,dim1,split\n000,1,1,train\n")
    with pytest.raises(ImageSetError, match="000.png is not readable as an image"):
        imagesets.open_set(folder)
    cv2.imwrite(str(folder / "train" / "000.png"), np.zeros((16, 20), np.uint8))
    with pytest.raises(ImageSetError, match="000.png is 16x20, not a square"):
        imagesets.open_set(folder)
    (folder / "meta.csv").write_text("image_id,dim0,split\n000,1,train\n")
    with pytest.raises(ImageSetError, match="lacks the columns dim1"):
        imagesets.open_set(folder)
    (folder / "meta.csv").write_text("image_id,dim0,dim1,split\n")
    with pytest.raises(ImageSetError, match="names no images"):
        imagesets.open_set(folder)
    (folder / "meta.csv").write_text("")
    with pytest.raises(ImageSetError, match="cannot be read as a CSV"):
        imagesets.open_set(folder)


def test_sums_that_were_begun_and_not_finished_are_no_file_of_the_set(tmp_path):
    (tmp_path / "images.csv").write_text("image\n")
    (tmp_path / "SHA256SUMS.part").write_text("a kill left this")
    imagesets.write_sums(tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text().split()[1::2] == ["images.csv"]
