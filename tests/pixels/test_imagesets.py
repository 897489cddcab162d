import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from siim_kernel import cli, kernels
from siim_kernel.errors import ImageSetError
from siim_kernel.pixels import imagesets, reading
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
    with pytest.raises(ImageSetError, match="it holds the sets 16, 32: name one of them"):
        imagesets.open_set(tmp_path)
    assert imagesets.open_set(tmp_path / "32").images.shape == (4, 32, 32)


SETS = (
    (RECIPE, "16"),
    (PixelRecipe(size=16, equalise=True), "16-equalised"),
    (PixelRecipe(size=16, aspect="pad"), "16-pad"),
    (PixelRecipe(size=16, equalise=True, aspect="pad", percentiles=(0, 99.9)), "16-equalised-pad-p0-99.9"),
    (PixelRecipe(size=32), "32"),
)


def test_sets_of_several_pixel_recipes_stand_beside_each_other(films, tmp_path):
    built = build(films, tmp_path / "all", [recipe for recipe, _ in SETS])
    assert built.folders == tuple(tmp_path / "all" / name for _, name in SETS)
    for recipe, name in SETS:
        assert imagesets.folder_name(recipe) == name
        build(films, tmp_path / name, [recipe])
        together, alone = (
            imagesets.open_set(imagesets.folder_of(folder, recipe), recipe) for folder in (tmp_path / "all", tmp_path / name)
        )
        assert together.folder == tmp_path / "all" / name
        assert alone.folder == tmp_path / name
        np.testing.assert_array_equal(together.images, alone.images)
    assert not np.array_equal(*(imagesets.open_set(tmp_path / "all" / name).images for name in ("16", "16-equalised")))


def test_the_folder_of_a_pixel_recipe(tmp_path):
    equalised = PixelRecipe(size=16, equalise=True)
    assert imagesets.folder_of(tmp_path, RECIPE) == imagesets.folder_of(str(tmp_path), equalised) == tmp_path
    (tmp_path / "16").mkdir()  # as builds of earlier versions are called, whatever their pixel recipe
    assert imagesets.folder_of(tmp_path, RECIPE) == imagesets.folder_of(tmp_path, equalised) == tmp_path / "16"
    (tmp_path / "16-equalised").mkdir()
    assert imagesets.folder_of(tmp_path, RECIPE) == tmp_path / "16"
    assert imagesets.folder_of(tmp_path, equalised) == tmp_path / "16-equalised"
    assert imagesets.folder_name(PixelRecipe(size=16, percentiles=(1, 99))) == imagesets.folder_name(
        PixelRecipe(size=16, percentiles=(1.0, 99.0))
    )


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
    """A published copy of three films, of which a quarter, two and three are white, the rest black."""
    rows = []
    for number, split in enumerate(("train", "train", "test")):
        (folder / split).mkdir(parents=True, exist_ok=True)
        square = np.zeros((size, size), np.uint8)
        square[: size * (number + 1) // 4] = 255
        cv2.imwrite(str(folder / split / f"00{number}.{form}"), square)
        rows.append((f"00{number}", 2000 + number, 3000, split))
    pd.DataFrame(rows, columns=["image_id", "dim0", "dim1", "split"]).to_csv(folder / "meta.csv", index=False)
    return folder


def whites(squares):
    """How many quarters of each square are white."""
    return [round(np.mean(square) / 255 * 4) for square in squares]


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_a_published_copy_opens(tmp_path, form):
    opened = imagesets.open_set(publish(tmp_path, form), RECIPE)
    assert opened.recipe == RECIPE
    assert tuple(opened.table.columns) == imagesets.COLUMNS
    assert list(opened.table.image) == ["000", "001", "002"]
    assert list(opened.table["rows"]) == [2000, 2001, 2002]
    assert list(opened.table.split) == ["train", "train", "test"]
    assert set(opened.table.patient) == {""}
    assert whites(opened.images) == [1, 2, 3]
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
    (folder / "train" / "000.png").write_bytes(b"")
    (folder / "meta.csv").write_text("image_id,dim0,dim1,split\n000,1,1,train\n")
    with pytest.raises(ImageSetError, match="none of the 1 films of this copy can be read; the first, .*000.png: an empty file"):
        imagesets.open_set(folder)
    cv2.imwrite(str(folder / "train" / "000.png"), np.zeros((16, 20), np.uint8))
    with pytest.raises(ImageSetError, match="000.png is 16x20, not a square"):
        imagesets.open_set(folder)
    (folder / "meta.csv").write_text("image_id,dim0,dim1,split\n00,1,1,train\n0,1,1,train\n")
    with pytest.raises(
        ImageSetError, match="none of the 2 images that meta.csv names under train or test/ has a file there, the first is 00;"
    ):
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


def relaid(folder, layout):
    """A published copy in a layout in which copies are met; returns the folder that an operator names."""
    meta = pd.read_csv(folder / "meta.csv", dtype=str)
    if layout == "one deeper":
        (folder / "copy").mkdir()
        for name in ("train", "test", "meta.csv"):
            (folder / name).rename(folder / "copy" / name)
    elif layout == "train/train":
        for split in ("train", "test"):
            (folder / split).rename(folder / "moved")
            (folder / split).mkdir()
            (folder / "moved").rename(folder / split / split)
    elif layout == "upper case":
        for path in sorted(folder.rglob("*.png")):
            path.rename(path.with_suffix(".PNG"))
    elif layout == "suffixed files":
        for path in sorted(folder.rglob("*.png")):
            path.rename(path.with_name(path.stem + "_image.png"))
    elif layout == "suffixed ids":
        meta["image_id"] += ["_image", ".png", ".dcm"]
        meta.to_csv(folder / "meta.csv", index=False)
    elif layout == "more columns":
        meta.insert(0, "Unnamed: 0", range(len(meta)))
        meta.assign(StudyInstanceUID="s").rename(columns={"dim0": " Dim0"}).to_csv(folder / "meta.csv", index=False, encoding="utf-8-sig")
        (folder / "study.csv").write_text("id\n")
    elif layout == "droppings":
        for name in ("._000.png", ".DS_Store", "Thumbs.db"):
            (folder / "train" / name).write_bytes(b"")
        (folder / "test" / "extra.png").write_bytes(b"")
    elif layout == "floats":
        meta.assign(dim0=meta.dim0 + ".0", split=meta.split.str.title()).to_csv(folder / "meta.csv", index=False, encoding="utf-8-sig")
    return folder


LAYOUTS = ("plain", "one deeper", "train/train", "upper case", "suffixed files", "suffixed ids", "more columns", "droppings", "floats")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_published_copies(tmp_path, layout):
    opened = imagesets.open_set(relaid(publish(tmp_path), layout), RECIPE)
    assert list(opened.table.image) == ["000", "001", "002"]
    assert list(opened.table["rows"]) == [2000, 2001, 2002]
    assert list(opened.table.split) == ["train", "train", "test"]
    assert set(opened.table.source) == {"competition"}
    assert whites(opened.images) == [1, 2, 3]


def test_a_copy_of_the_training_films_alone(tmp_path):
    folder = publish(tmp_path)
    shutil.rmtree(folder / "test")
    assert list(imagesets.open_set(folder).table.image) == ["000", "001"]
    shutil.rmtree(folder / "train")
    with pytest.raises(ImageSetError, match=r"meta.csv names no images of train or test/ here"):
        imagesets.open_set(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("000,1,x,train", "line 3: dim1 is a number of pixels, got 'x'"),
        ("000,0,1,train", "line 3: dim0 is a number of pixels, got '0'"),
        ("000,,1,train", "line 3: dim0 is a number of pixels, got ''"),
        ("000,1,1,../..", r"line 3: split is train or test, got '../..'"),
        ("001,1,1,train", "line 2: each image has its own id, once, got '001'"),
        (",1,1,train", "line 3: each image has its own id, once, got ''"),
    ],
)
def test_lines_of_a_meta_csv_that_are_wrong(tmp_path, line, message):
    folder = publish(tmp_path)
    (folder / "meta.csv").write_text(f"image_id,dim0,dim1,split\n001,1,1,train\n{line}\n")
    with pytest.raises(ImageSetError, match=message):
        imagesets.open_set(folder)


def test_published_copies_that_are_ambiguous(tmp_path):
    for name in ("256", "512"):
        publish(tmp_path / name)
    with pytest.raises(ImageSetError, match="holds several published copies: 256, 512; name one of them"):
        imagesets.open_set(tmp_path)
    shutil.copy(tmp_path / "256" / "train" / "001.png", tmp_path / "256" / "train" / "001.jpg")
    with pytest.raises(ImageSetError, match=r"image 001 has two files, 001.jpg and 001.png"):
        imagesets.open_set(tmp_path / "256")


def test_an_interrupted_build_beside_its_meta_csv_is_no_published_copy(tmp_path):
    folder = publish(tmp_path)
    (folder / imagesets.SCRATCH).mkdir()
    with pytest.raises(ImageSetError, match="its build was interrupted"):
        imagesets.open_set(folder)


# Image sets out of published copies.


def gradient(folder, form="png", size=64):
    """A published copy whose films are ramps."""
    publish(folder, form, size)
    for number, path in enumerate(sorted(folder.rglob(f"*.{form}"))):
        cv2.imwrite(str(path), np.roll(np.tile(np.linspace(0, 255, size), (size, 1)), 5 * number, axis=1).astype(np.uint8))
    return folder


@pytest.mark.parametrize("size", [75, 64, 37])
def test_a_recipe_of_another_size_out_of_a_published_copy(tmp_path, size):
    recipe = PixelRecipe(size=size, equalise=True)
    built = kernels.build_images(gradient(tmp_path / "copy"), tmp_path / "set", [recipe], workers=1)
    assert (built.images, built.not_read) == (3, ())
    opened = imagesets.open_set(tmp_path / "set", recipe)
    assert opened.images.shape == (3, size, size)
    assert opened.table[["image", "rows", "columns", "split", "source", "patient"]].to_numpy().tolist() == [
        ["000", 2000, 3000, "train", "competition", ""],
        ["001", 2001, 3000, "train", "competition", ""],
        ["002", 2002, 3000, "test", "competition", ""],
    ]
    squares = reading.read_squares(tmp_path / "copy" / "train" / "001.png", [recipe])[0]
    np.testing.assert_array_equal(opened.images[1], squares[0])
    assert imagesets.verify(tmp_path / "set") == []


def test_films_of_full_contrast_keep_their_greys_at_their_size(tmp_path):
    copy = gradient(tmp_path / "copy")
    kernels.build_images(copy, tmp_path / "set", [PixelRecipe(size=64)], split="train", workers=1)
    np.testing.assert_array_equal(imagesets.open_set(tmp_path / "set").images[0], imagesets.open_set(copy).images[0])


@pytest.fixture
def lossy(tmp_path):
    """A published copy of nine films, one of which has no file, one a broken one and one of 48 pixels; they use a part of the greys."""
    rows, rng = [], np.random.default_rng(3)
    for number in range(9):
        split = "test" if number == 8 else "train"
        (tmp_path / "lossy" / split).mkdir(parents=True, exist_ok=True)
        side = 48 if number == 5 else 64
        film = rng.integers(60 + number, 150, (side, side), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "lossy" / split / f"{number}.png"), film)
        rows.append((str(number), 2000, 3000, split))
    pd.DataFrame(rows, columns=["image_id", "dim0", "dim1", "split"]).to_csv(tmp_path / "lossy" / "meta.csv", index=False)
    (tmp_path / "lossy" / "train" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "lossy" / "train" / "4.png").unlink()
    return tmp_path / "lossy"


@pytest.mark.parametrize(
    "recipe", [PixelRecipe(size=64), PixelRecipe(size=64, equalise=True), PixelRecipe(size=64, percentiles=(20.0, 80.0))]
)
def test_an_opened_copy_and_a_set_built_of_it_hold_the_same_bytes(lossy, tmp_path, recipe):
    built = kernels.build_images(lossy, tmp_path / "set", [recipe], workers=1)
    assert built.not_read == (
        ("0", "train/0.png", "the file is cut short"),
        ("4", "train/4.png", "the file cannot be read: No such file or directory"),
    )
    left, right = imagesets.open_set(lossy, recipe), imagesets.open_set(tmp_path / "set", recipe)
    assert left.recipe == right.recipe == recipe
    assert left.table.image.tolist() == ["0", "1", "2", "3", "5", "6", "7", "8"]
    places = {image: place for place, image in enumerate(left.table.image)}
    for place, image in enumerate(right.table.image):
        assert left.images[places[image]].tobytes() == right.images[place].tobytes()
    np.testing.assert_array_equal(left.images[[3, 1]], np.stack([left.images[3], left.images[1]]))
    with pytest.raises(
        ImageSetError, match="train/0.png cannot be read: the file is cut short; mend it, or build an image set of the copy"
    ):
        left.images[0]
    assert left.images[1].min() < 5  # stored are 61..149
    assert left.images[1].max() == 255


def test_a_copy_opens_as_its_size_by_default(lossy):
    opened = imagesets.open_set(lossy)
    assert opened.recipe == PixelRecipe(size=64)
    for wanted in (PixelRecipe(size=32), PixelRecipe(size=32, equalise=True)):
        with pytest.raises(ImageSetError, match="size: stored 64, wanted 32; build an image set"):
            imagesets.open_set(lossy, wanted)
    with pytest.raises(ImageSetError, match="for aspect pad build from the DICOMs"):
        imagesets.open_set(lossy, PixelRecipe(size=64, aspect="pad"))


def test_files_that_are_lacking_cost_exit_code_1_and_no_more(lossy, tmp_path):
    shown = CliRunner().invoke(cli.app, ["build-images", str(lossy), str(tmp_path / "set"), "--size", "16", "--workers", "1"])
    assert shown.exit_code == 1
    assert "7 images" in shown.output
    assert "not read: 4 (train/4.png): the file cannot be read: No such file" in shown.output
    assert pd.read_csv(tmp_path / "set" / "not_read.csv", dtype=str).image_id.tolist() == ["0", "4"]
    assert imagesets.verify(tmp_path / "set") == []


def test_splits_and_damaged_files_of_a_published_copy(tmp_path):
    copy = gradient(tmp_path / "copy", form="jpg")
    (copy / "train" / "001.jpg").write_bytes(b"\xff\xd8\xff")
    built = kernels.build_images(copy, tmp_path / "set", [RECIPE], split="train", workers=1)
    assert built.not_read == (("001", "train/001.jpg", "the file is cut short"),)
    assert list(imagesets.open_set(tmp_path / "set").table.image) == ["000"]


@pytest.mark.parametrize("split", ["both", "test"])
def test_a_nested_copy_and_its_splits(tmp_path, split):
    copy = relaid(gradient(tmp_path / "copy"), "one deeper")
    built = kernels.build_images(copy, tmp_path / "set", [RECIPE], split=split, workers=1)
    assert built.images == {"both": 3, "test": 1}[split]


def test_another_meta_csv_is_another_set(tmp_path):
    copy = gradient(tmp_path / "copy")
    kernels.build_images(copy, tmp_path / "set", [RECIPE], workers=1)
    (copy / "meta.csv").write_text((copy / "meta.csv").read_text().replace("2001", "2009"))
    with pytest.raises(ImageSetError, match="is no empty folder and no image set of these films"):
        kernels.build_images(copy, tmp_path / "set", [RECIPE], workers=1)


def test_what_a_published_copy_cannot_give(tmp_path):
    copy = gradient(tmp_path / "copy")
    with pytest.raises(ImageSetError, match="have been stretched to squares; for aspect pad build from the DICOMs"):
        kernels.build_images(copy, tmp_path / "set", [PixelRecipe(size=16, aspect="pad")], workers=1)
    kernels.build_images(copy, tmp_path / "set", [RECIPE], form="png", workers=1)
    with pytest.raises(ImageSetError, match="is an image set; take it as it is"):
        kernels.build_images(tmp_path / "set", tmp_path / "second", [RECIPE], workers=1)


@pytest.mark.parametrize("place", [".", "resized"])
def test_a_meta_csv_beside_dicoms_makes_them_no_copy(tmp_path, place):
    path = tmp_path / "competition" / "train" / "s" / "r" / "i.dcm"
    path.parent.mkdir(parents=True)
    made.write(path, made.noisy(24, 24), PatientID="007")
    if place == ".":
        (tmp_path / "competition" / "meta.csv").write_text("image_id,dim0,dim1,split\ni,1,1,train\n")
    else:
        publish(tmp_path / "competition" / place)
    kernels.build_images(tmp_path / "competition", tmp_path / "set", [RECIPE], workers=1)
    assert list(imagesets.open_set(tmp_path / "set").table.patient) == ["007"]


# Unions.


@pytest.fixture
def parts(finished, tmp_path):
    """Three sets of one pixel recipe in three forms: i0..i3 as a memory map, 000..002 as files, j0..j3 as files."""
    shutil.copytree(finished / "png", tmp_path / "third")
    for path in sorted((tmp_path / "third").rglob("i?.png")):
        path.rename(path.with_name(path.name.replace("i", "j")))
    table = (tmp_path / "third" / "images.csv").read_text()
    (tmp_path / "third" / "images.csv").write_text(table.replace("\ni", "\nj"))
    folders = finished / "npy", publish(tmp_path / "second"), tmp_path / "third"
    return [imagesets.open_set(folder, RECIPE) for folder in folders]


def test_a_union_is_indexed_as_one_array(parts):
    whole = np.concatenate([np.stack(list(part.images)) for part in parts])
    joined = imagesets.union(parts)
    assert list(joined.table.image) == ["i0", "i1", "i2", "i3", "000", "001", "002", "j0", "j1", "j2", "j3"]
    assert list(joined.table.index) == list(range(11))
    assert joined.recipe == RECIPE
    assert joined.images.shape == whole.shape == (11, 16, 16)
    assert joined.images.dtype == np.uint8
    assert len(joined.images) == 11
    for index in (0, 3, 4, 6, 7, 10, -1, np.int64(5)):
        np.testing.assert_array_equal(joined.images[index], whole[index])
        assert joined.images[index].shape == (16, 16)
    for index in ([10, 0, 4, 4, 7, 3], np.array([-1, 5]), [], slice(2, 9, 3), whole[:, 0, 0] > 50):
        index = np.array(index, int) if isinstance(index, list) else index
        np.testing.assert_array_equal(joined.images[index], whole[index])
    np.testing.assert_array_equal(np.stack(list(joined.images)), whole)
    for index in (11, -12, [0, 11]):
        with pytest.raises(IndexError):
            joined.images[index]


def test_a_union_reads_nothing_before_it_is_asked(parts):
    for path in parts[2].images.paths:
        path.unlink()
    joined = imagesets.union(parts)
    assert joined.images[[0, 5]].shape == (2, 16, 16)
    with pytest.raises(ImageSetError, match="j0.png is not readable"):
        joined.images[7]


def test_a_union_names_clashes_and_other_recipes(parts, films, tmp_path):
    with pytest.raises(ImageSetError, match="4 image ids stand in more than one set of the union: i0, i1, i2, i3; take one"):
        imagesets.union([parts[0], parts[1], parts[0]])
    with pytest.raises(ImageSetError, match="needs at least one image set"):
        imagesets.union([])
    build(films, tmp_path / "equalised", [PixelRecipe(size=16, equalise=True)])
    with pytest.raises(ImageSetError, match="equalised was made by another pixel recipe: equalise: stored True, wanted False"):
        imagesets.union([parts[1], imagesets.open_set(tmp_path / "equalised")])


def test_a_union_of_unions_and_of_one(parts):
    joined = imagesets.union([imagesets.union(parts[:2]), imagesets.union(parts[2:])])
    np.testing.assert_array_equal(joined.images[[9, 4]], np.stack([parts[2].images[2], parts[1].images[0]]))


def test_sums_that_were_begun_and_not_finished_are_no_file_of_the_set(tmp_path):
    (tmp_path / "images.csv").write_text("image\n")
    (tmp_path / "SHA256SUMS.part").write_text("a kill left this")
    imagesets.write_sums(tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text().split()[1::2] == ["images.csv"]
