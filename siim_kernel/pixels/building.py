"""Building image sets: films are read by worker processes, this process alone writes.

Squares go to their place as they come and the facts of a chunk are written after its squares, so that an interrupted
build goes on where it stopped; at the end the scratch folder goes away.
"""

import csv
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import joblib
import numpy as np
import pandas as pd

from siim_kernel.errors import DicomError, ImageSetError
from siim_kernel.files import write_atomically
from siim_kernel.pixels.imagesets import COLUMNS, FORMATS, IMAGES, META, NOT_READ, RECIPE, SCRATCH, SUMS, TABLE, write_sums
from siim_kernel.pixels.reading import read_squares
from siim_kernel.recipes.recipe import to_dict

CHUNK = 8


@dataclass(frozen=True)
class Built:
    """What a build made: the set's folders, how many images, and (image, file, reason) of the films left out."""

    folders: tuple[Path, ...]
    images: int
    not_read: tuple[tuple[str, str, str], ...]


def _encode(square, form):
    """A square as the bytes of a PNG or JPG file (quality 95)."""
    flags = {"png": [cv2.IMWRITE_PNG_COMPRESSION, 6], "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}[form]
    return cv2.imencode(f".{form}", square, flags)[1].tobytes()


def _read_chunk(paths, recipes, form):
    """What a worker does: a list of (squares or encoded squares, facts), or the reason (str) for films that cannot be read."""
    cv2.setNumThreads(1)
    results = []
    for path in paths:
        try:
            squares, facts = read_squares(path, recipes)
        except DicomError as error:
            results.append(str(error))
            continue
        results.append((squares if form == "npy" else [_encode(square, form) for square in squares], facts))
    return results


def build(films, out, recipes, form="npy", source="competition", classes=None, workers=1, backend="loky", progress=None):
    """Builds the image set of `films` under `out`, all sizes from one reading, and returns `Built`.

    films     DataFrame image, study, series, split, path; read in its order
    recipes   pixel recipes that differ in size at most; one: `out` itself is the set, several: `out/<size>`
    form      "npy", "png" or "jpg"
    classes   class by image id for sources that have one of their own; empty for the competition
    workers   processes; backend is joblib's ("loky", or "dask" with a Client at hand)
    progress  called with (done, total) films

    Films that cannot be read are left out and listed in `not_read.csv`. What was finished before an interruption is kept
    and not read again. Raises ImageSetError where `out` holds something else.
    """
    recipes, out = tuple(recipes), Path(out)
    if form not in FORMATS:
        raise ImageSetError(f"the form of an image set is one of {', '.join(FORMATS)}, got {form!r}")
    if not len(films):
        raise ImageSetError("there are no films to build an image set of; is this the competition folder, and the right split?")
    sizes = [recipe.size for recipe in recipes]
    if len(set(sizes)) < len(sizes):
        raise ImageSetError(f"sizes are given more than once: {sizes}")
    folders = [out / str(recipe.size) for recipe in recipes] if len(recipes) > 1 else [out]
    plan = _plan(films, recipes, form, source)
    if _finished(folders, plan):
        return Built(tuple(folders), len(pd.read_csv(folders[0] / TABLE)), _not_read(folders[0]))
    _begin(out, folders, plan)
    stores = [_Store(folder, recipe, form, len(films)) for folder, recipe in zip(folders, recipes, strict=True)]
    _read_films(films, stores, out, recipes, form, workers, backend, progress)
    return _finish(films, stores, out, source, classes or {}, plan)


def _plan(films, recipes, form, source):
    """What decides the bytes of a set, as JSON: a build goes on, or is finished, only where this is the same."""
    listed = [(row.image, row.study, row.series, row.split, os.path.getsize(row.path)) for row in films.itertuples()]
    return {
        "films": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        "recipes": [to_dict(recipe) for recipe in recipes],
        "form": form,
        "source": source,
    }


def _finished(folders, plan):
    stored = folders[0] / RECIPE
    if not (stored.exists() and all((folder / SUMS).exists() for folder in folders)):
        return False
    return json.loads(stored.read_text()).get("plan") == plan


def _begin(out, folders, plan):
    """Makes the scratch folder, or goes on with the one an interrupted build of the same plan left."""
    scratch = out / SCRATCH
    stored = scratch / "plan.json"
    if stored.exists() and json.loads(stored.read_text()) == plan:
        return
    if scratch.exists():
        shutil.rmtree(scratch)
    held = [folder for folder in folders if folder.exists() and any(folder.iterdir())]
    if held:
        raise ImageSetError(f"{held[0]} is not empty and holds no image set of these films and pixel recipe; remove it or build elsewhere")
    (scratch / "chunks").mkdir(parents=True)
    write_atomically(stored, json.dumps(plan))


class _Store:
    """Where the squares of one size go while a set is built."""

    def __init__(self, folder, recipe, form, count):
        self.folder, self.recipe, self.form = folder, recipe, form
        folder.mkdir(parents=True, exist_ok=True)
        self.squares = None
        if form == "npy":
            self.path = folder / (IMAGES + ".part")
            shape = (count, recipe.size, recipe.size)
            mode = "r+" if self.path.exists() else "w+"
            self.squares = np.lib.format.open_memmap(self.path, mode=mode, dtype=np.uint8, shape=None if mode == "r+" else shape)

    def write(self, index, split, image, square):
        if self.form == "npy":
            self.squares[index] = square
        else:
            place = self.folder / split / f"{image}.{self.form}"
            place.parent.mkdir(exist_ok=True)
            write_atomically(place, square)

    def flush(self):
        if self.form == "npy":
            self.squares.flush()

    def finish(self, kept):
        """`images.npy` of the rows in `kept` (bool [N]); the rows of films that were left out go."""
        if self.form != "npy":
            return
        if kept.all():
            self.squares.flush()
            self.squares = None
            os.replace(self.path, self.folder / IMAGES)
            return
        part = self.folder / (IMAGES + ".kept")
        final = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(int(kept.sum()), *self.squares.shape[1:]))
        for row, index in enumerate(np.flatnonzero(kept)):
            final[row] = self.squares[index]
        final.flush()
        self.squares = None
        os.replace(part, self.folder / IMAGES)
        self.path.unlink()


def _read_films(films, stores, out, recipes, form, workers, backend, progress):
    """Reads what no earlier build has read, chunk by chunk; a chunk's facts are written after its squares."""
    chunks = [range(start, min(start + CHUNK, len(films))) for start in range(0, len(films), CHUNK)]
    done = [index for index, _ in enumerate(chunks) if _chunk_file(out, index).exists()]
    todo = [index for index in range(len(chunks)) if index not in set(done)]
    paths = films["path"].tolist()
    tasks = (joblib.delayed(_read_chunk)([paths[i] for i in chunks[index]], recipes, form) for index in todo)
    results = joblib.Parallel(n_jobs=workers, backend=backend, return_as="generator", pre_dispatch="2*n_jobs")(tasks)
    count = sum(len(chunks[index]) for index in done)
    for index, chunk in zip(todo, results, strict=True):
        facts = []
        for position, result in zip(chunks[index], chunk, strict=True):
            if isinstance(result, str):
                facts.append(result)
                continue
            for store, square in zip(stores, result[0], strict=True):
                store.write(position, films.split.iat[position], films.image.iat[position], square)
            facts.append(result[1])
        for store in stores:
            store.flush()
        write_atomically(_chunk_file(out, index), json.dumps(facts))
        count += len(chunk)
        if progress:
            progress(count, len(films))


def _chunk_file(out, index):
    return out / SCRATCH / "chunks" / f"{index:06d}.json"


def _finish(films, stores, out, source, classes, plan):
    """Writes the tables and sums, and takes the scratch folder away."""
    facts = [entry for file in sorted((out / SCRATCH / "chunks").glob("*.json")) for entry in json.loads(file.read_text())]
    kept = np.array([isinstance(entry, dict) for entry in facts])
    if not kept.any():
        raise ImageSetError(f"none of the {len(films)} films could be read; the first: {films.path.iat[0]}: {facts[0]}")
    rows = [
        {
            "image": film.image,
            "study": film.study,
            "series": film.series,
            "source": source,
            "class": classes.get(film.image, ""),
            "split": film.split,
        }
        | entry
        for film, entry in zip(films.itertuples(), facts, strict=True)
        if isinstance(entry, dict)
    ]
    table = pd.DataFrame(rows)[list(COLUMNS)]
    not_read = [
        (film.image, _relative(film), entry) for film, entry in zip(films.itertuples(), facts, strict=True) if isinstance(entry, str)
    ]
    for store in stores:
        store.finish(kept)
        folder = store.folder
        table.to_csv(folder / TABLE, index=False, lineterminator="\n")
        if store.form != "npy":
            meta = table[["image", "rows", "columns", "split"]].set_axis(["image_id", "dim0", "dim1", "split"], axis=1)
            meta.to_csv(folder / META, index=False, lineterminator="\n")
        with open(folder / NOT_READ, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([("image_id", "file", "reason"), *not_read])
        (folder / RECIPE).write_text(json.dumps({"pixels": to_dict(store.recipe), "form": store.form, "plan": plan}, indent=1) + "\n")
        write_sums(folder)
    shutil.rmtree(out / SCRATCH)
    return Built(tuple(store.folder for store in stores), len(table), tuple(not_read))


def _relative(film):
    return "/".join((film.split, film.study, film.series, Path(film.path).name))


def _not_read(folder):
    return tuple(pd.read_csv(folder / NOT_READ, dtype=str).itertuples(index=False, name=None))
