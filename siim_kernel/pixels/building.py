"""Building image sets: films are read by worker processes, this process alone writes.

Squares go to their place as they come and the facts of a chunk are written after its squares, so that an interrupted
build goes on where it stopped, at whatever point that was; at the end the scratch folder goes away.
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
from siim_kernel.pixels import parallel
from siim_kernel.pixels.imagesets import COLUMNS, FORMATS, META, NOT_READ, RECIPE, SCRATCH, SUMS, TABLE, write_sums
from siim_kernel.pixels.reading import read_squares
from siim_kernel.pixels.stores import Store, encode
from siim_kernel.recipes.recipe import to_dict

CHUNK = 8
PLAN = "plan.json"


@dataclass(frozen=True)
class Built:
    """What a build made: the set's folders, how many images, and (image, file, reason) of the films left out."""

    folders: tuple[Path, ...]
    images: int
    not_read: tuple[tuple[str, str, str], ...]


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
        results.append((squares if form == "npy" else [encode(square, form) for square in squares], facts))
    return results


def build(films, out, recipes, form="npy", source="competition", classes=None, workers=1, backend="loky", progress=None):
    """Builds the image set of `films` under `out`, all sizes from one reading, and returns `Built`.

    films     DataFrame image, study, series, split, path; read in its order
    recipes   pixel recipes that differ in size at most; one: `out` itself is the set, several: `out/<size>`
    form      "npy", "png" or "jpg"
    classes   class by image id for sources that have one of their own; empty for the competition
    workers   processes; backend is "loky" or "dask", as `parallel.in_order` says
    progress  called with (done, total) films

    Films that cannot be read are left out and listed in `not_read.csv`. What was finished before an interruption is kept
    and not read again. Raises ImageSetError where `out` holds something else, the disk is too small, or no film can be read.
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
    classes = classes or {}
    plan = _plan(films, recipes, form, source, classes)
    if _finished(folders, plan):
        shutil.rmtree(out / SCRATCH, ignore_errors=True)
        return Built(tuple(folders), len(pd.read_csv(folders[0] / TABLE)), _not_read(folders[0]))
    _begin(out, folders, plan)
    stores = [Store(folder, recipe, form) for folder, recipe in zip(folders, recipes, strict=True)]
    _require_space(out, stores, len(films))
    for store in stores:
        store.open(len(films))
    _read_films(films, stores, out, recipes, form, workers, backend, progress)
    return _finish(films, stores, out, source, classes, plan)


def _plan(films, recipes, form, source, classes):
    """What decides the bytes of a set, as JSON: a build goes on, or is finished, only where this is the same."""
    listed = [
        (film.image, film.study, film.series, film.split, classes.get(film.image, ""), _size_of(film.path)) for film in films.itertuples()
    ]
    return {
        "films": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        "recipes": [to_dict(recipe) for recipe in recipes],
        "form": form,
        "source": source,
    }


def _size_of(path):
    """Bytes of a file; -1 where there is none any more: reading it will say so."""
    try:
        return os.path.getsize(path)
    except OSError:
        return -1


def _finished(folders, plan):
    return all((folder / SUMS).exists() and _stored_plan(folder / RECIPE, "plan") == plan for folder in folders)


def _stored_plan(path, key=None):
    """The plan that a JSON file holds (under `key`), None where there is none."""
    try:
        stored = json.loads(path.read_text())
        return stored[key] if key else stored
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _begin(out, folders, plan):
    """Makes the scratch folder, or goes on with the one an interrupted build of the same plan left."""
    scratch = out / SCRATCH
    found = _stored_plan(scratch / PLAN)
    if found == plan:
        return
    if found is not None:
        raise ImageSetError(
            f"{out} holds the interrupted build of other films, another pixel recipe or another form; "
            f"finish it with the same command as before, or remove the folder"
        )
    taken = [folder for folder in {out, *folders} if folder.exists() and not folder.is_dir()]
    held = [folder for folder in folders if folder.is_dir() and {path.name for path in folder.iterdir()} - {SCRATCH}]
    held += [out] if (out / RECIPE).exists() else []
    if taken or held:
        raise ImageSetError(
            f"{(taken + held)[0]} is no empty folder and no image set of these films and pixel recipe; remove it or build elsewhere"
        )
    (scratch / "chunks").mkdir(parents=True, exist_ok=True)
    write_atomically(scratch / PLAN, json.dumps(plan))


def _require_space(out, stores, count):
    """ImageSetError where the disk cannot take what is still to be written: writing to a memory map would kill the process."""
    needed = sum(count * store.recipe.size**2 for store in stores if store.form == "npy" and store.is_new)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise ImageSetError(f"the disk of {out} has {free / 2**30:.1f} GiB free, the image set needs {needed / 2**30:.1f}; build elsewhere")


def _read_films(films, stores, out, recipes, form, workers, backend, progress):
    """Reads what no earlier build has read, chunk by chunk; a chunk's facts are written after its squares."""
    chunks = [range(start, min(start + CHUNK, len(films))) for start in range(0, len(films), CHUNK)]
    todo = [index for index in range(len(chunks)) if not _chunk_file(out, index).exists()]
    paths = films["path"].tolist()
    tasks = (joblib.delayed(_read_chunk)([paths[i] for i in chunks[index]], recipes, form) for index in todo)
    count = len(films) - sum(len(chunks[index]) for index in todo)
    with parallel.in_order(workers, backend) as run:
        for index, chunk in zip(todo, run(tasks), strict=True):
            write_atomically(_chunk_file(out, index), json.dumps(_write_chunk(films, stores, chunks[index], chunk)))
            count += len(chunk)
            if progress:
                progress(count, len(films))


def _write_chunk(films, stores, positions, results):
    """Writes the squares of a chunk; returns for each film its facts, or the reason why it was not read."""
    facts = []
    for position, result in zip(positions, results, strict=True):
        if isinstance(result, str):
            facts.append(result)
            continue
        for store, square in zip(stores, result[0], strict=True):
            store.write(position, films.split.iat[position], films.image.iat[position], square)
        facts.append(result[1])
    for store in stores:
        store.flush()
    return facts


def _chunk_file(out, index):
    return out / SCRATCH / "chunks" / f"{index:06d}.json"


def _finish(films, stores, out, source, classes, plan):
    """Writes the tables and sums, and takes the scratch folder away."""
    facts = [entry for file in sorted((out / SCRATCH / "chunks").glob("*.json")) for entry in json.loads(file.read_text())]
    kept = np.array([isinstance(entry, dict) for entry in facts])
    if not kept.any():
        # Nothing is kept of it, so that the same command reads the films again when the cause is mended.
        for store in stores:
            store.discard()
        shutil.rmtree(out / SCRATCH)
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
    return tuple(pd.read_csv(folder / NOT_READ, dtype=str, keep_default_na=False).itertuples(index=False, name=None))
