"""Image sets: films decoded once and kept as small grey squares.

A set is a folder with `images.csv` (one row per image), `pixels.json` (its pixel recipe), `SHA256SUMS`, `not_read.csv`
(films left out, with the reason) and the squares: `images.npy` (uint8 [N, S, S], opened as a memory map), or one PNG or JPG
per image in `train/` and `test/` with `meta.csv` (image_id, dim0, dim1, split), the form in which resized copies of the
competition are published. Sets of several pixel recipes are sub-folders, named as `folder_name` says.

A finished set holds nothing of how it was built: the same films give the same bytes for any number of workers.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from siim_kernel.errors import ImageSetError, RecipeError
from siim_kernel.files import sha256, write_atomically
from siim_kernel.pixels import images, pictures, published
from siim_kernel.pixels.published import META
from siim_kernel.pixels.stores import IMAGES
from siim_kernel.recipes.recipe import PixelRecipe
from siim_kernel.recipes.storing import difference, from_dict

TABLE, RECIPE, NOT_READ, SUMS = "images.csv", "pixels.json", "not_read.csv", "SHA256SUMS"
SCRATCH = ".building"
FORMATS = ("npy", "png", "jpg")
COLUMNS = ("image", "study", "series", "patient", "source", "class", "split", "rows", "columns")
COLUMNS += ("photometric", "transfer_syntax", "size_bytes", "crc32")


@dataclass(frozen=True)
class ImageSet:
    """An opened image set: `images[i]` is uint8 [S, S] and belongs to row i of `table` (columns of `COLUMNS`)."""

    folder: Path
    images: object
    table: pd.DataFrame
    recipe: PixelRecipe


def folder_name(pixels):
    """What the folder of a set is called beside sets of other pixel recipes: 299, 299-equalised, 512-pad, 512-p1-99."""
    low, high = (f"{value:.12g}" for value in pixels.percentiles)
    default = PixelRecipe(size=pixels.size)
    parts = [str(pixels.size)]
    parts += ["equalised"] if pixels.equalise else []
    parts += [pixels.aspect] if pixels.aspect != default.aspect else []
    parts += [f"p{low}-{high}"] if pixels.percentiles != default.percentiles else []
    return "-".join(parts)


def folder_of(folder, pixels):
    """The folder of the set of a pixel recipe, given that of a build: a sub-folder where the build has one for it, else `folder`.

    Only names are looked at: `open_set` says what is there. Builds of earlier versions are named by their side alone.
    """
    folder = Path(folder)
    places = (folder / name for name in (folder_name(pixels), str(pixels.size)))
    return next((place for place in places if place.is_dir()), folder)


def _set_files(folder):
    """The names (Paths relative to `folder`) of a set's files in order: all but the sums, whole or begun, and the scratch of its build."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [name for name in names if name.as_posix() not in (SUMS, SUMS + ".part") and name.parts[0] != SCRATCH]


def write_sums(folder):
    """Writes `SHA256SUMS` over all other files of a set; it is the last file of a build, so a set without it is unfinished."""
    lines = [f"{sha256(folder / name)}  {name.as_posix()}\n" for name in _set_files(folder)]
    write_atomically(folder / SUMS, "".join(lines))


def verify(folder):
    """Reads every file of a set and compares it with `SHA256SUMS`: a list of faults, empty for a sound set."""
    folder = Path(folder)
    stated = {}
    for line in _sums_of(folder).splitlines():
        digest, _, name = line.partition("  ")
        stated[name] = digest
    faults = [f"{name} is missing" for name in stated if not (folder / name).is_file()]
    for name in map(Path.as_posix, _set_files(folder)):
        if name not in stated:
            faults.append(f"{name} does not belong to the set")
            continue
        try:
            digest = sha256(folder / name)
        except OSError as error:
            faults.append(f"{name} cannot be read: {error.strerror}")
        else:
            if digest != stated[name]:
                faults.append(f"{name} has changed: SHA-256 {digest}, {SUMS} says {stated[name]}")
    return faults + [f"{name} is not listed in {SUMS}, though the set must have it" for name in _required(folder) if name not in stated]


def _required(folder):
    """The names without which a set is none, as far as its recipe and table can be read (verifying finds where they cannot)."""
    names = [TABLE, RECIPE, NOT_READ]
    try:
        form = _stored_recipe(folder)[1]
        if form == "npy":
            return [*names, IMAGES]
        table = pd.read_csv(folder / TABLE, dtype=str, keep_default_na=False)
        return [*names, META, *(f"{row.split}/{row.image}.{form}" for row in table.itertuples())]
    except (OSError, ValueError, AttributeError, ImageSetError):
        return names


def _sums_of(folder):
    try:
        return (folder / SUMS).read_text()
    except FileNotFoundError:
        raise ImageSetError(f"{folder} has no {SUMS}: its build did not finish, or it is no image set") from None
    except (OSError, ValueError) as error:
        raise ImageSetError(f"{folder / SUMS} cannot be read: {error}; copy or build the set again") from None


class _Files:
    """The squares of a set of PNG or JPG files; `files[i]` is uint8 [S, S], `files[[i, j]]` uint8 [2, S, S]."""

    def __init__(self, paths, size):
        self.paths, self.shape, self.dtype = paths, (len(paths), size, size), np.dtype(np.uint8)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return np.stack([self._square(self.paths[place]) for place in index]) if np.ndim(index) else self._square(self.paths[index])

    def _square(self, path):
        square = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if square is None or square.shape != self.shape[1:]:
            found = "not readable" if square is None else f"{square.shape[0]}x{square.shape[1]}"
            raise ImageSetError(f"{path} is {found}; the set's squares are {self.shape[1]}x{self.shape[2]}")
        return square


class _Rendered(_Files):
    """The squares that a build makes of the films of a published copy, each made when it is asked for."""

    def __init__(self, paths, recipe):
        super().__init__(paths, recipe.size)
        self.recipe = recipe

    def _square(self, path):
        try:
            return images.render(pictures.read_picture(path), self.recipe)
        except ImageSetError as error:
            raise ImageSetError(
                f"{path} cannot be read: {error}; mend it, or build an image set of the copy with `siim-kernel build-images`, which "
                f"leaves such films out"
            ) from None


def open_set(folder, recipe=None):
    """Opens a finished image set.

    recipe  the pixel recipe it must have been made by; ImageSetError with both sides where it was another

    A copy published as PNG or JPG (see `published`) opens too, at its own size: its squares are rendered by the pixel recipe
    (without one, by the default of that size) as they are read, to the same bytes as in a set built of it, which is quicker to read
    again. Films without a file are left out. Raises ImageSetError where the folder is no finished set.
    """
    folder = Path(folder)
    if not (folder / RECIPE).exists():
        if not (folder / SCRATCH).exists() and published.find(folder):
            return _open_published(folder, recipe)
        nested = sorted(path.parent.name for path in folder.glob(f"*/{RECIPE}"))
        remedy = f"it holds the sets {', '.join(nested)}: name one of them" if nested else "build it with `siim-kernel build-images`"
        if (folder / SCRATCH).exists():
            remedy = "its build was interrupted: run the same `siim-kernel build-images` again, it goes on"
        raise ImageSetError(f"{folder} is no finished image set ({RECIPE} is missing); {remedy}")
    _sums_of(folder)
    made_by, form = _stored_recipe(folder)
    require_recipe(made_by, recipe, folder)
    table = pd.read_csv(folder / TABLE, dtype=dict.fromkeys(set(COLUMNS) - {"rows", "columns", "size_bytes"}, str), keep_default_na=False)
    if form == "npy":
        squares = _memory_map(folder)
    else:
        squares = _Files([folder / row.split / f"{row.image}.{form}" for row in table.itertuples()], made_by.size)
    wanted = (len(table), made_by.size, made_by.size)
    if squares.shape != wanted or squares.dtype != np.uint8:
        raise ImageSetError(f"{folder}: the squares are {squares.dtype} {squares.shape}, its tables say uint8 {wanted}; build it again")
    return ImageSet(folder, squares, table, made_by)


def _stored_recipe(folder):
    """The pixel recipe and the form that a set's `pixels.json` states."""
    try:
        stored = json.loads((folder / RECIPE).read_text())
        made_by, form = from_dict(PixelRecipe, stored["pixels"]), stored["form"]
    except (ValueError, KeyError, TypeError, RecipeError) as error:
        raise ImageSetError(f"{folder / RECIPE} is damaged or of another version: {error}; build the set again") from None
    if form not in FORMATS:
        raise ImageSetError(f"{folder / RECIPE} names the form {form!r}, there are {', '.join(FORMATS)}; build the set again")
    return made_by, form


def _memory_map(folder):
    try:
        return np.load(folder / IMAGES, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ImageSetError(f"{folder / IMAGES} cannot be opened: {error}; copy or build the set again") from None


def require_recipe(made_by, wanted, where):
    """ImageSetError that prints both sides where a pixel recipe is not the wanted one."""
    differences = difference(made_by, wanted) if wanted is not None else []
    if differences:
        raise ImageSetError(f"{where} was made by another pixel recipe: {'; '.join(differences)}; build an image set for this recipe")


def _open_published(folder, recipe):
    """A published copy of the competition: what else the table of a set holds stays empty."""
    films = published.films(folder, recipes=[recipe] if recipe else [])
    films = films[films["path"].map(os.path.exists)].reset_index(drop=True)
    made_by = replace(recipe or PixelRecipe(size=_side(films["path"])), size=_side(films["path"]))
    require_recipe(made_by, recipe, folder)
    known = {name: films[name] for name in ("image", "split", "rows", "columns")}
    table = pd.DataFrame(dict.fromkeys(COLUMNS, "") | known | {"source": "competition"})[list(COLUMNS)]
    return ImageSet(folder, _Rendered(films["path"].tolist(), made_by), table, made_by)


def _side(paths):
    """The side of the first square that can be read."""
    reasons = []
    for path in paths:
        try:
            rows, columns = pictures.read_picture(path).pixels.shape
        except ImageSetError as error:
            reasons.append(str(error))
            continue
        if rows != columns:
            raise ImageSetError(f"{path} is {rows}x{columns}, not a square; copies are published as squares")
        return rows
    raise ImageSetError(f"none of the {len(paths)} films of this copy can be read; the first, {paths[0]}: {reasons[0]}")


class _Joined:
    """The squares of several sets one after the other, indexed as one array; none is copied before it is asked for."""

    def __init__(self, parts):
        self.parts, self.starts = parts, np.cumsum([0, *map(len, parts)])
        self.rows = np.arange(self.starts[-1])
        self.shape, self.dtype = (int(self.starts[-1]), *parts[0].shape[1:]), np.dtype(np.uint8)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        rows = self.rows[index]  # negative numbers, slices and masks too; IndexError as of an array
        part = np.searchsorted(self.starts, rows, side="right") - 1
        if not np.ndim(rows):
            return np.asarray(self.parts[part][rows - self.starts[part]])
        squares = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for number in np.unique(part):
            chosen = part == number
            squares[chosen] = self.parts[number][rows[chosen] - self.starts[number]]
        return squares


def union(sets):
    """Several opened image sets as one `ImageSet`: the table is theirs one after the other, the squares stay where they are. One stays
    itself.

    `folder` is a name for messages: there is none that holds the union. Raises ImageSetError where the pixel recipes differ,
    or an image id stands in more than one set.
    """
    sets = list(sets)
    if not sets:
        raise ImageSetError("a union needs at least one image set")
    if len(sets) == 1:
        return sets[0]
    for other in sets[1:]:
        require_recipe(other.recipe, sets[0].recipe, other.folder)
    table = pd.concat([each.table for each in sets], ignore_index=True)
    repeated = table.image[table.image.duplicated()].unique()
    if len(repeated):
        names = ", ".join(repeated[:5]) + (", ..." if len(repeated) > 5 else "")
        raise ImageSetError(f"{len(repeated)} image ids stand in more than one set of the union: {names}; take one of the sets out")
    return ImageSet(Path(" + ".join(str(each.folder) for each in sets)), _Joined([each.images for each in sets]), table, sets[0].recipe)
