"""Published copies of the competition: films resized to squares, PNG or JPG, in `train/` and `test/`, and `meta.csv`.

`meta.csv` has the columns image_id, dim0, dim1 (rows and columns of the DICOM) and split; further columns and files are of no
account. As they are published and unpacked, such folders stand one deeper than they should, or have `train/train/`.
"""

from pathlib import Path

import pandas as pd

from siim_kernel.errors import ImageSetError
from siim_kernel.pixels import pictures

META = "meta.csv"
SPLITS = ("train", "test")
COLUMNS = ("image_id", "dim0", "dim1", "split")
_RECIPE = "pixels.json"  # an image set of this package has it and may have a `meta.csv` too


def find(folder):
    """The folder of a published copy, `folder` itself or the one below it; None where there is none.

    Raises ImageSetError where several stand below it, and for an image set of this package that looks like one: its films stand elsewhere.
    """
    folder = Path(folder)
    if (folder / META).is_file():
        if (folder / _RECIPE).exists():
            raise ImageSetError(f"{folder} is an image set; take it as it is, or build another one from the films that it was built from")
        return folder
    if any((folder / split).is_dir() for split in SPLITS):
        return None
    found = sorted(path.parent for path in folder.glob(f"*/{META}") if not (path.parent / _RECIPE).exists())
    if len(found) > 1:
        raise ImageSetError(f"{folder} holds several published copies: {', '.join(path.name for path in found)}; name one of them")
    return found[0] if found else None


def is_published(folder):
    """Whether a folder is a published copy: `meta.csv` alone may also stand beside the competition's DICOMs."""
    place = find(folder)
    return place is not None and any(next(_pictures(place / split), None) for split in SPLITS)


def films(folder, splits=None, recipes=()):
    """The files of a published copy: DataFrame image, study, series (both unknown: ""), split, path (str), file, rows, columns.

    splits  of "train" and "test"; by default those that have a folder, as the training films are often downloaded alone
    recipes pixel recipes for which the films are wanted

    rows and columns are those of the DICOM, file is the path within the copy; the order is that of `meta.csv`. An image without a
    file keeps its row, with the path where the file should be: reading says that there is none. Raises ImageSetError where there
    is no copy, its `meta.csv` is wrong, no image of the splits has a file, one has two, or a recipe wants the shape of the films,
    which was lost when they were stretched to squares.
    """
    shaped = [recipe.aspect for recipe in recipes if recipe.aspect != "stretch"]
    if shaped:
        raise ImageSetError(f"the films of {folder} have been stretched to squares; for aspect {shaped[0]} build from the DICOMs")
    place = find(folder)
    if place is None:
        raise ImageSetError(f"{folder} has no {META}: it is no published copy of the competition")
    splits = splits or [split for split in SPLITS if (place / split).is_dir()]
    meta = _read_meta(place / META)
    meta = meta[meta["split"].isin(splits)].reset_index(drop=True)
    if not len(meta):
        raise ImageSetError(f"{place / META} names no images of {' or '.join(splits or SPLITS)}/ here; is the folder whole?")
    files = {split: _files(place, split) for split in splits}
    paths = [files[row.split].get(row.image) for row in meta.itertuples()]
    some = next((path for path in paths if path), None)
    if some is None:
        raise ImageSetError(
            f"{place}: none of the {len(meta)} images that {META} names under {' or '.join(splits)}/ has a file there, the first is "
            f"{meta.image[0]}; copy or download them again"
        )
    paths = [path or place / row.split / f"{row.image}{some.suffix}" for row, path in zip(meta.itertuples(), paths, strict=True)]
    named = {"path": [str(path) for path in paths], "file": [path.relative_to(place).as_posix() for path in paths]}
    return meta.assign(study="", series="", **named)


def _read_meta(path):
    """DataFrame image, rows, columns, split of a `meta.csv`; ids are bare, without a file's suffix or `_image`."""
    try:
        meta = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except (OSError, ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ImageSetError(f"{path} cannot be read as a CSV: {error}") from None
    meta.columns = [str(name).strip().lower() for name in meta.columns]
    lacking = set(COLUMNS) - set(meta.columns)
    if lacking:
        raise ImageSetError(f"{path} lacks the columns {', '.join(sorted(lacking))}; it has {', '.join(meta.columns)}")
    if not len(meta):
        raise ImageSetError(f"{path} names no images")
    meta = meta[list(COLUMNS)].set_axis(["image", "rows", "columns", "split"], axis=1).apply(lambda column: column.str.strip())
    meta["image"] = meta["image"].str.replace(r"\.(?:png|jpe?g|dcm)$", "", case=False, regex=True).str.removesuffix("_image")
    meta["split"] = meta["split"].str.lower()
    for name in ("rows", "columns"):
        whole = meta[name].str.fullmatch(r"0*[1-9][0-9]{0,5}(\.0*)?")
        _require(path, meta, whole, f"{COLUMNS[1 if name == 'rows' else 2]} is a number of pixels", name)
        meta[name] = meta[name].astype(float).astype(int)
    _require(path, meta, meta["split"].isin(SPLITS), f"split is {' or '.join(SPLITS)}", "split")
    _require(path, meta, ~meta["image"].isin(("", *meta.image[meta.image.duplicated()])), "each image has its own id, once", "image")
    return meta


def _require(path, meta, right, rule, name):
    if not right.all():
        row = right.idxmin()
        raise ImageSetError(f"{path}, line {row + 2}: {rule}, got {meta[name][row]!r}")


def _files(place, split):
    """The files of one split by bare image id."""
    found = {}
    for path in _pictures(place / split):
        image = path.stem.removesuffix("_image")
        if image in found:
            raise ImageSetError(f"{place}: image {image} has two files, {found[image].name} and {path.name}; remove the wrong one")
        found[image] = path
    return found


def _pictures(folder):
    """The PNG and JPG files of a folder, and of one of the same name within it."""
    for place in (folder, folder / folder.name):
        if place.is_dir():
            yield from (path for path in sorted(place.iterdir()) if pictures.is_picture(path))
