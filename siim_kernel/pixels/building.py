"""Building image sets: films are read by worker processes, this process alone writes.

Squares go to their place as they come, and the facts of a chunk are written after its squares, so that an interrupted
build goes on where it stopped, at whatever point that was; at the end the scratch folder goes away. Both are flushed to
the disk in that order: a build survives a power cut as it survives a kill, which needs the order alone.
"""

import errno
import hashlib
import json
import shutil
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from siim_kernel.errors import ImageSetError
from siim_kernel.files import write_atomically
from siim_kernel.pixels import parallel, plans
from siim_kernel.pixels.imagesets import COLUMNS, FORMATS, META, NOT_READ, RECIPE, SCRATCH, TABLE, folder_name, write_sums
from siim_kernel.pixels.reading import stream
from siim_kernel.pixels.stores import Files, Rows
from siim_kernel.recipes.storing import to_dict

CHUNK = 8


@dataclass(frozen=True)
class Built:
    """What a build made: the set's folders, how many images, and (image, file, reason) of the films left out."""

    folders: tuple[Path, ...]
    images: int
    not_read: tuple[tuple[str, str, str], ...]


def build(films, out, recipes, form="npy", source="competition", classes=None, workers=1, backend="local", progress=None):
    """Builds the image set of `films` under `out`, all pixel recipes from one reading, and returns `Built`.

    films     DataFrame image, study, series, split, path; read in its order. Perhaps with file (what `not_read.csv` calls it,
              by default split/study/series/name), rows and columns (of the film that a file is a resized copy of)
    recipes   pixel recipes; one: `out` itself is the set, several: sub-folders of it (`imagesets.folder_name`)
    form      "npy", "png" or "jpg"
    classes   class by image id for sources that have one of their own; empty for the competition
    workers   processes; backend is "local" or "dask", as `parallel.reads` says
    progress  called with (done, total) films

    Films that cannot be read are left out and listed in `not_read.csv`, those on which a worker dies or hangs among them.
    What was finished before an interruption is kept and not read again. Raises ImageSetError where `out` holds something
    else or cannot be written, the disk is too small, no film can be read, or films or packages changed since the build
    began; WorkerError where no worker starts.
    """
    recipes, out = tuple(recipes), Path(out)
    if form not in FORMATS:
        raise ImageSetError(f"the form of an image set is one of {', '.join(FORMATS)}, got {form!r}")
    if not len(films):
        raise ImageSetError("there are no films to build an image set of; is this the competition folder, and the right split?")
    names = [folder_name(recipe) for recipe in recipes]
    if len(set(names)) < len(names):
        raise ImageSetError(f"pixel recipes are given more than once: {', '.join(names)}; give each once")
    folders = [out / name for name in names] if len(recipes) > 1 else [out]
    build = _Build(films.reset_index(drop=True), out, folders, recipes, form, source, classes or {})
    with build.writing():
        if plans.is_finished(folders, build.plan):
            shutil.rmtree(out / SCRATCH, ignore_errors=True)
            return Built(tuple(folders), len(pd.read_csv(folders[0] / TABLE)), _not_read(folders[0]))
        build.begin(workers)
        build.read(workers, backend, progress)
        return build.finish()


class _Build:
    """One build: what it is of, and what has been done of it."""

    def __init__(self, films, out, folders, recipes, form, source, classes):
        self.films, self.out, self.folders, self.recipes, self.form = films, out, folders, recipes, form
        self.source, self.classes = source, classes
        self.states = plans.states(films)
        self.plan = plans.plan(films, self.states, recipes, form, source, classes)
        self.sizes = films[["rows", "columns"]].to_dict("records") if "rows" in films else [{}] * len(films)
        if "rows" in films:
            self.plan["sizes"] = hashlib.sha256(json.dumps(self.sizes).encode()).hexdigest()
        store = Rows if form == "npy" else Files
        self.stores = [store(folder, recipe.size, form) for folder, recipe in zip(folders, recipes, strict=True)]
        self.facts = []  # for each film done: its facts as a dict, or as a str the reason why it was not read

    @contextmanager
    def writing(self):
        """Whatever the system refuses to write becomes an ImageSetError; reading has its errors in `Read`."""
        try:
            yield
        except OSError as error:
            where, needed = error.filename or self.out, self.needed()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                wrong = f"the disk of {self.out} is full: some {_mebibytes(needed)} more are needed there; make room"
            else:
                wrong = f"{where} cannot be written: {error.strerror}; mend that"
            raise ImageSetError(f"{wrong} and run the same command again, it goes on where it stopped") from error
        finally:
            for store in self.stores:
                store.close()

    def needed(self):
        """Bytes that are still to be written, with a margin for the tables."""
        left = len(self.films) - len(self.facts)
        return sum(store.needed(left) for store in self.stores) + 2**20 + 1000 * len(self.films)

    def begin(self, workers):
        """Makes the folders, or takes up what an interrupted build left."""
        other_times = plans.begin(self.out, self.folders, self.plan, self.films, self.states)
        self.facts = self._done()
        if other_times:
            self._require_same([place for place in other_times if place < len(self.facts)], workers)
            plans.keep(self.out, self.plan, self.films, self.states)
        free = shutil.disk_usage(self.out).free
        if self.form == "npy" and self.needed() > free:
            raise ImageSetError(
                f"the disk of {self.out} has {_mebibytes(free)} free, the image set needs {_mebibytes(self.needed())}; build elsewhere"
            )
        for store in self.stores:
            store.open()

    def _done(self):
        """The facts of the chunks that were finished, up to the first that was not."""
        facts = []
        while len(facts) < len(self.films):
            try:
                chunk = json.loads(self._chunk_file(len(facts)).read_text())
            except (FileNotFoundError, ValueError):
                break
            facts += chunk
        return facts

    def _require_same(self, places, workers):
        """ImageSetError where films that were read are not what they were; files copied elsewhere have other times only."""
        some = self.films.iloc[places]
        for place, read in zip(places, stream(zip(some["image"], some["path"], strict=True), (), workers), strict=True):
            if self.facts[place] != (read.reason or read.facts):
                raise plans.changed(self.out, read.path, self.states[place], self.states[place])

    def _chunk_file(self, position):
        return self.out / SCRATCH / "chunks" / f"{position // CHUNK:06d}.json"

    def read(self, workers, backend, progress):
        """Reads what has not been read, film by film; a chunk's facts are written after its squares."""
        start, row, count = len(self.facts), sum(isinstance(entry, dict) for entry in self.facts), len(self.films)
        left = list(zip(self.films["image"], self.films["path"], strict=True))[start:]
        with closing(parallel.reads(left, self.recipes, self.form, workers, backend)) as reads:
            for position, read in enumerate(reads, start=start):
                now = plans.state(read.path)
                if now != self.states[position]:
                    raise plans.changed(self.out, read.path, self.states[position], now)
                for store, square in zip(self.stores, read.squares, strict=not read.reason):
                    store.write(row, self.films["split"].iat[position], read.image, square)
                row += not read.reason
                self.facts.append(read.reason or read.facts)
                done = position + 1
                if done % CHUNK == 0 or done == count:
                    for store in self.stores:
                        store.flush()
                    write_atomically(self._chunk_file(position), json.dumps(self.facts[position // CHUNK * CHUNK :]))
                    if progress:
                        progress(done, count)

    def finish(self):
        """Writes the tables and sums, and takes the scratch folder away."""
        rows, not_read = [], []
        for film, size, entry in zip(self.films.itertuples(), self.sizes, self.facts, strict=True):
            if isinstance(entry, str):
                file = getattr(film, "file", "/".join((film.split, film.study, film.series, Path(film.path).name)))
                not_read.append((film.image, file, entry))
                continue
            known = {"image": film.image, "study": film.study, "series": film.series, "split": film.split, "source": self.source}
            rows.append(known | {"class": self.classes.get(film.image, "")} | entry | size)
        if not rows:
            # Nothing is kept of it, so that the same command reads the films again when the cause is mended.
            for store in self.stores:
                store.discard()
            shutil.rmtree(self.out / SCRATCH)
            first = f"{self.films['path'].iat[0]}: {self.facts[0]}"
            raise ImageSetError(f"none of the {len(self.films)} films could be read; the first: {first}")
        table = pd.DataFrame(rows)[list(COLUMNS)]
        for store, recipe in zip(self.stores, self.recipes, strict=True):
            store.finish(table)
            _write_table(store.folder / TABLE, table)
            if self.form != "npy":
                meta = table[["image", "rows", "columns", "split"]].set_axis(["image_id", "dim0", "dim1", "split"], axis=1)
                _write_table(store.folder / META, meta)
            _write_table(store.folder / NOT_READ, pd.DataFrame(not_read, columns=["image_id", "file", "reason"]))
            stored = {"pixels": to_dict(recipe), "form": self.form, "plan": self.plan}
            write_atomically(store.folder / RECIPE, json.dumps(stored, indent=1) + "\n")
            write_sums(store.folder)
        shutil.rmtree(self.out / SCRATCH)
        return Built(tuple(self.folders), len(table), tuple(not_read))


def _write_table(path, table):
    write_atomically(path, table.to_csv(index=False, lineterminator="\n"))


def _mebibytes(count):
    return f"{count / 2**20:,.0f} MiB"


def _not_read(folder):
    return tuple(pd.read_csv(folder / NOT_READ, dtype=str, keep_default_na=False).itertuples(index=False, name=None))
