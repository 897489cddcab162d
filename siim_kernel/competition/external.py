"""The COVID-19 Radiography Database as it is published: a folder per class, and a metadata table per class.

The folders are `COVID`, `Lung_Opacity`, `Normal` and `Viral Pneumonia`, the films in them or in their sub-folder `images`
(`masks` beside it is left alone); `<class>.metadata.xlsx` has the columns FILE NAME, FORMAT, SIZE and URL, the place where a
film comes from. The names of folders, files, columns and cells differ in letter case, blanks and underscores from one
release to the next, and within one: the metadata call `NORMAL-1` what is the file `Normal-1.png`.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd

from siim_kernel.competition import folds
from siim_kernel.errors import MountError, TableError
from siim_kernel.labels import EXTERNAL_CLASSES, NOT_READ
from siim_kernel.pixels import pictures

SOURCE = "radiography"
# Names of class folders without letter case, blanks and signs -> class; the first release called COVID "COVID-19".
FOLDERS = {"covid": "covid_19", "covid19": "covid_19", "lungopacity": "LO", "normal": "NORMAL", "viralpneumonia": "VIRALNEU"}
DEEPEST = 2  # folders above the class folders in which the database may be packed


@dataclass(frozen=True)
class Database:
    """The films of the database and what does not fit together in it.

    folder    the one that holds the class folders
    images    DataFrame, one row per file, by class and name: image (the file's name without suffix), study (the image), series
              (""), class (of `labels.EXTERNAL_CLASSES`), split ("train"), path (str), file (path within the database), url (of
              the metadata, "" where they do not say)
    problems  one line each: files without metadata, metadata without a file, folders that belong to no class, ...
    """

    folder: Path
    images: pd.DataFrame
    problems: tuple[str, ...]

    @property
    def counts(self):
        """Films by class, in the order of `labels.EXTERNAL_CLASSES`."""
        return {name: int((self.images["class"] == name).sum()) for name in EXTERNAL_CLASSES}

    @property
    def classes(self):
        """Class by image id."""
        return dict(zip(self.images["image"], self.images["class"], strict=True))

    def lines(self):
        """The problems as warnings, and the counts: what an operator is told."""
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return [*(f"warning: {problem}" for problem in self.problems), f"{self.folder}: {counts}"]


def read(folder):
    """The `Database` in a folder, or packed one or two folders deeper.

    Every file is kept, whether the metadata name it or not. Raises MountError where a class has no folder or no film, TableError
    where two files have one name or a metadata table cannot be read.
    """
    try:
        place, folders, problems = _find(Path(folder))
        films, odd = _films(place, folders)
        stated, wrong = _metadata(place, folders)
    except OSError as error:
        raise MountError(
            f"{error.filename or folder} cannot be read: {error.strerror or error}; mend that, or copy the database"
        ) from error
    rows = [stated.get((film["class"], _key(film["image"]))) for film in films]
    images = pd.DataFrame([film | {"url": row.url if row else ""} for film, row in zip(films, rows, strict=True)])
    without = [film["file"] for film, row in zip(films, rows, strict=True) if not row]
    keys = {(film["class"], _key(film["image"])) for film in films}
    lost = [row.name for key, row in stated.items() if key not in keys]
    problems += odd + wrong
    problems += _named(without, "files have no row in the metadata (they are kept)")
    problems += _named(lost, "rows of the metadata have no file")
    return Database(place, images, tuple(problems))


@dataclass(frozen=True)
class Overlaps:
    """Films that stand in more than one source.

    groups  tuples of (source, image), one a film, sorted
    films   films of each source that are in such a group, by source
    """

    groups: tuple[tuple[tuple[str, str], ...], ...]
    films: dict[str, int]

    def lines(self, most=5):
        """What there is in lines: the counts, and the first groups by name."""
        if not self.groups:
            return [f"no film stands in more than one of the sources {', '.join(self.films)}"]
        counts = ", ".join(f"{count} of {source}" for source, count in self.films.items())
        lines = [f"{len(self.groups)} films stand in more than one source ({counts})"]
        lines += ["  " + " = ".join(f"{source} {image}" for source, image in group) for group in self.groups[:most]]
        return lines + (["  ..."] if len(self.groups) > most else [])


def overlaps(sets):
    """The `Overlaps` of several opened image sets of any size, by the source that their tables name.

    Films are compared as `folds.find_duplicates` does, by perceptual hash and correlation: a resized or recompressed copy is
    found, one that was cut or turned is not. A film of one split of a source in its other split is not counted. The sets
    should agree in equalisation. All squares are read once; some 32 KB a film stay in memory.
    """
    names = [name for each in sets for name in zip(each.table["source"], each.table["image"], strict=True)]
    groups = folds.find_duplicates(chain.from_iterable(each.images for each in sets), names) if names else []
    groups = tuple(tuple(dict.fromkeys(group)) for group in groups if len({source for source, _ in group}) > 1)
    counts = Counter(source for group in groups for source, _ in group)
    return Overlaps(groups, {source: counts[source] for source in dict.fromkeys(source for source, _ in names)})


def _key(name):
    """A name without letter case, blanks, underscores and the suffix of a picture: what names have in common that mean one film."""
    bare = re.sub(r"\.(?:png|jpe?g)$", "", name.strip(), flags=re.IGNORECASE)
    return re.sub(r"[\s_]+", "", bare).casefold()


def _word(name):
    """The letters and digits of a folder's or a column's name, in lower case."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _shown(path):
    """Whether a file or folder is meant to be seen: hidden ones, and what desktops leave behind, are not."""
    return not path.name.startswith((".", "~$", "__MACOSX"))


def _folders(place):
    return sorted(path for path in place.iterdir() if path.is_dir() and _shown(path))


def _find(folder):
    """(folder of the database, class -> its folder, problems)."""
    if not folder.is_dir():
        raise MountError(f"{folder} is no folder; give that of the COVID-19 Radiography Database")
    level = [folder]
    for _ in range(DEEPEST + 1):
        places = [place for place in level if any(_word(path.name) in FOLDERS for path in _folders(place))]
        if places:
            break
        level = [path for place in level for path in _folders(place)]
    else:
        raise MountError(f"{folder} holds no class folder of the COVID-19 Radiography Database; found there: {_listing(folder)}")
    if len(places) > 1:
        raise MountError(f"{folder} holds the database more than once: {', '.join(map(str, places))}; name one of them")
    place, found, unknown = places[0], {}, []
    for path in _folders(place):
        name = FOLDERS.get(_word(path.name))
        if name in found:
            raise MountError(f"{place} has two folders of the class {name}: {found[name].name} and {path.name}; remove one")
        if name:
            found[name] = path
        else:
            unknown.append(path.name)
    lacking = [name for name in EXTERNAL_CLASSES if name not in found]
    if lacking:
        names = ", ".join(_title(name) for name in lacking)
        raise MountError(f"{place} lacks the class folder{'s' * (len(lacking) > 1)} {names}; found there: {_listing(place)}")
    return place, {name: found[name] for name in EXTERNAL_CLASSES}, _named(unknown, "folders are of no class and are not read")


def _title(name):
    """How the folder of a class is called in the database as it is now."""
    return {"covid_19": "COVID", "LO": "Lung_Opacity", "NORMAL": "Normal", "VIRALNEU": "Viral Pneumonia"}[name]


def _listing(place, most=10):
    names = sorted(path.name + "/" * path.is_dir() for path in place.iterdir())
    return ", ".join(names[:most] + ["..."] * (len(names) > most)) or "nothing"


def _films(place, folders):
    """(a dict for each film by class and name, problems)."""
    films, odd, taken = [], [], {}
    for name, folder in folders.items():
        inner = [path for path in _folders(folder) if _word(path.name) == "images"]
        odd += [path for path in _folders(folder) if _word(path.name) not in ("images", "masks")]
        files = sorted(path for each in (folder, *inner) for path in each.iterdir() if _shown(path) and not path.is_dir())
        paths = [path for path in files if pictures.is_picture(path)]
        odd += [path for path in files if not pictures.is_picture(path) and path.suffix.lower() != ".xlsx"]
        if not paths:
            raise MountError(f"{folder} holds no PNG or JPG file; found there: {_listing(folder)}")
        for path in paths:
            other = taken.setdefault(_key(path.name), path)
            if other is not path:
                raise TableError(f"one name, two films: {other} and {path}; remove the one that does not belong to the database")
            film = {"image": path.stem, "study": path.stem, "series": "", "class": name, "split": "train", "path": str(path)}
            films.append(film | {"file": path.relative_to(place).as_posix()})
    return films, _named([path.relative_to(place).as_posix() for path in odd], "files and folders are no films and are not read")


@dataclass(frozen=True)
class _Row:
    """One row of the metadata."""

    name: str
    url: str


def _metadata(place, folders):
    """({(class, key): row of the metadata}, problems)."""
    rows, problems, files, unknown = {}, [], {}, []
    tables = chain(place.glob("*"), place.glob("*/*.[xX][lL][sS][xX]"))
    for path in sorted(tables, key=lambda path: (len(path.name), path)):  # the second download of a table has the longer name
        if path.suffix.lower() != ".xlsx" or not _shown(path):
            continue
        name = FOLDERS.get(_word(path.name.split(".")[0]))
        if name is None or name in files:
            unknown.append(path.relative_to(place).as_posix())
        else:
            files[name] = path
    for name, folder in folders.items():
        if name not in files:
            problems.append(f"class {folder.name} has no {folder.name}.metadata.xlsx: where its films come from is not known")
            continue
        found, nameless = _read_table(files[name])
        again = [row.name for row in found if rows.setdefault((name, _key(row.name)), row) is not row]
        problems += _named(again, f"rows of {files[name].name} name a film again (the first counts)")
        problems += [f"{nameless} rows of {files[name].name} name no film"] if nameless else []
    return rows, problems + _named(unknown, "tables are of no class, or a second one, and are not read")


def _read_table(path):
    """(rows of a metadata table, number of rows that have no name but say something else)."""
    try:
        table = pd.read_excel(path, dtype=str, keep_default_na=False, engine="openpyxl")
    except ImportError as error:
        raise TableError(f"{path} cannot be read without the package openpyxl; install it") from error
    except Exception as error:  # a tolerance boundary: openpyxl raises nearly anything on a file that is no or half a workbook
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TableError(f"{path} cannot be read as an Excel workbook: {reason}; download it again, or take it away") from error
    columns = {_word(str(name)): name for name in reversed(table.columns)}
    if "filename" not in columns:
        raise TableError(f"{path} lacks the column FILE NAME; it has {', '.join(map(str, table.columns)) or 'none'}")
    names = table[columns["filename"]].str.strip()
    urls = table[columns["url"]].str.strip() if "url" in columns else pd.Series("", index=table.index)
    nameless = (names == "") & (table != "").any(axis=1)
    return [_Row(name, url) for name, url in zip(names, urls, strict=True) if name], int(nameless.sum())


def _named(names, text, most=5):
    """[] for no names, else one line that counts and names them."""
    names = list(names)
    return [f"{len(names)} {text}: {', '.join(names[:most])}{', ...' if len(names) > most else ''}"] if names else []


def training_table(images):
    """The table of an image set of the database in the form of the training table, with `source`; nobody looked for boxes."""
    return pd.DataFrame(
        {
            "image": images["image"],
            "study": images["study"],
            "series": "",
            "patient": images["patient"],
            "path": "",
            "rows": pd.array(images["rows"], dtype="Int64"),
            "columns": pd.array(images["columns"], dtype="Int64"),
            "label": images["class"],
            "image_label": "",
            "boxes": [()] * len(images),
            "reading": NOT_READ,
            "source": images["source"],
        }
    )
