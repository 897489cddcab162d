"""The COVID-19 Radiography Database as people have it: a folder per class, and a metadata workbook per class.

The folders are `COVID`, `Lung_Opacity`, `Normal` and `Viral Pneumonia`, the films in them or in their sub-folder `images`
(`masks` beside it is left alone); `<class>.metadata.xlsx` says where a film comes from (`external_metadata`). The first release
and partial downloads have fewer classes; others have made of it `train/` and `test/`. All films are taken, from both.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd

from siim_kernel.competition import external_metadata, folds
from siim_kernel.competition.external_metadata import key, word
from siim_kernel.errors import MountError, TableError
from siim_kernel.labels import EXTERNAL_CLASSES, NOT_READ
from siim_kernel.pixels import pictures

SOURCE = "radiography"
# Names of class folders without letter case, blanks and signs -> class; the first release called COVID "COVID-19".
FOLDERS = {"covid": "covid_19", "covid19": "covid_19", "lungopacity": "LO", "normal": "NORMAL", "viralpneumonia": "VIRALNEU"}
TITLES = {"covid_19": "COVID", "LO": "Lung_Opacity", "NORMAL": "Normal", "VIRALNEU": "Viral Pneumonia"}  # as they are called now
PARTS = ("train", "training", "test", "testing", "val", "valid", "validation")  # folders into which others parted the database
MASKS = ("masks", "mask")
DEEPEST = 3  # folders above the class folders in which the database may be packed


@dataclass(frozen=True)
class Database:
    """The films of the database and what does not fit together in it.

    folder    the one that holds the class folders
    images    DataFrame, one row per file, by class and name: image (the file's name without suffix; where several films have that
              name, with the class before it: `COVID-1` for `COVID/1.png`), study (the image), series (""), class (of
              `labels.EXTERNAL_CLASSES`), split ("train"), path (str), file (path within the database), url (of the metadata, ""
              where they do not say)
    problems  one line each: classes that are not here, files without metadata, metadata without a file, ...
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
    """The `Database` in a folder, or packed up to three folders deeper.

    Every file is kept, whether the metadata name it or not; classes that are not here are named as a problem. Raises MountError
    where there is no film of any class, TableError where two files have one name or a metadata workbook cannot be read.
    """
    try:
        place, parts = _find(Path(folder))
        folders, unknown = _class_folders(parts)
        films, odd = _films(place, folders)
        if not films:
            raise MountError(f"{place} holds no PNG or JPG file in its class folders; found there: {_listing(place)}")
        again = _name(films)
        stated, wrong = _metadata(Path(folder), place, folders)
    except OSError as error:
        raise MountError(
            f"{error.filename or folder} cannot be read: {error.strerror or error}; mend that, or copy the database"
        ) from error
    keys = [(film["class"], key(film["path"].name)) for film in films]
    rows = [stated.get(each) for each in keys]
    without = [film["file"] for film, row in zip(films, rows, strict=True) if not row]
    lost = [row.name for each, row in stated.items() if each not in set(keys)]
    lacking = [TITLES[name] for name in EXTERNAL_CLASSES if name not in {film["class"] for film in films}]
    problems = _named(lacking, "classes have no film here")
    problems += _named(unknown, "folders are of no class and are not read")
    problems += _named(odd, "files and folders are no films and are not read")
    problems += _named(again, "files have the name of another film (their ids have the class before it)") + wrong
    problems += _named(without, "files have no row in the metadata (they are kept)")
    problems += _named(lost, "rows of the metadata have no file")
    columns = ["image", "study", "series", "class", "split", "path", "file"]
    images = pd.DataFrame(films)[columns].assign(url=[row.url if row else "" for row in rows])
    return Database(place, images.assign(path=images["path"].map(str)), tuple(problems))


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


def overlaps(sets, duplicates=None):
    """The `Overlaps` of several opened image sets of any size, by the source that their tables name.

    duplicates  groups of image ids that show one film, of sets in which no id stands twice, where they are known already. Without
                them all squares are read once, and some 32 KB a film stay in memory; the sets should agree in equalisation

    Films are compared as `folds.find_duplicates` does, by perceptual hash and correlation: a resized or recompressed copy is
    found, one that was cut or turned is not. A film of one split of a source in its other split is not counted.
    """
    names = [name for each in sets for name in zip(each.table["source"], each.table["image"], strict=True)]
    if duplicates is None:
        groups = folds.find_duplicates(chain.from_iterable(each.images for each in sets), names) if names else []
    else:
        source = {image: source for source, image in names}
        groups = [sorted((source[image], image) for image in group if image in source) for group in duplicates]
    groups = tuple(tuple(dict.fromkeys(group)) for group in groups if len({source for source, _ in group}) > 1)
    counts = Counter(source for group in groups for source, _ in group)
    return Overlaps(groups, {source: counts[source] for source in dict.fromkeys(source for source, _ in names)})


def _shown(path):
    """Whether a file or folder is meant to be seen: hidden ones, and what desktops leave behind, are not."""
    return not path.name.startswith((".", "~$", "__MACOSX"))


def _folders(place):
    return sorted(path for path in place.iterdir() if path.is_dir() and _shown(path))


def _class_of(name):
    """The class that the name of a folder, or of a workbook, is that of, None for others."""
    return FOLDERS.get(word(name))


def _find(folder):
    """(folder of the database, the folders that hold its class folders: itself, or its parts)."""
    if not folder.is_dir():
        raise MountError(f"{folder} is no folder; give that of the COVID-19 Radiography Database")
    level = [folder]
    for _ in range(DEEPEST + 1):
        places = [place for place in level if any(_class_of(path.name) for path in _folders(place))]
        if places:
            break
        level = [path for place in level for path in _folders(place) if word(path.name) not in MASKS]
    else:
        raise MountError(f"{folder} holds no class folder of the COVID-19 Radiography Database; found there: {_listing(folder)}")
    if len(places) == 1:
        return places[0], places
    if len({place.parent for place in places}) > 1 or any(word(place.name) not in PARTS for place in places):
        raise MountError(f"{folder} holds the database more than once: {', '.join(map(str, places))}; name one of them")
    return places[0].parent, places


def _class_folders(parts):
    """(class -> its folder in each part, names of folders that are of no class)."""
    found, unknown = {name: [] for name in EXTERNAL_CLASSES}, []
    for part in parts:
        for path in _folders(part):
            name = _class_of(path.name)
            twice = [other for other in found.get(name, ()) if other.parent == part]
            if twice:
                raise MountError(f"{part} has two folders of the class {name}: {twice[0].name} and {path.name}; remove one")
            if name:
                found[name].append(path)
            elif word(path.name) not in MASKS:
                unknown.append(path.name)
    return found, unknown


def _listing(place, most=10):
    names = sorted(path.name + "/" * path.is_dir() for path in place.iterdir())
    return ", ".join(names[:most] + ["..."] * (len(names) > most)) or "nothing"


def _films(place, folders):
    """(a dict for each film by class and name, paths within the database of what is no film)."""
    films, odd = [], []
    for name, own in folders.items():
        for folder in own:
            inner, others = _film_folders(folder)
            files = sorted(path for each in inner for path in each.iterdir() if _shown(path) and not path.is_dir())
            odd += others + [path for path in files if not pictures.is_picture(path) and path.suffix.lower() != ".xlsx"]
            for path in filter(pictures.is_picture, files):
                film = {"class": name, "series": "", "split": "train", "path": path, "part": folder.parent.name if len(own) > 1 else ""}
                films.append(film | {"file": path.relative_to(place).as_posix()})
    return films, [path.relative_to(place).as_posix() for path in odd]


def _film_folders(folder):
    """(a class folder and those in it that hold its films, those that do not); archives may be unpacked into folders of their own."""
    inner, others = [folder], []
    for path in _folders(folder):
        if word(path.name) in ("images", *PARTS) or _class_of(path.name) == _class_of(folder.name) is not None:
            deeper, odd = _film_folders(path)
            inner, others = inner + deeper, others + odd
        elif word(path.name) not in MASKS:
            others.append(path)
    return inner, others


def _name(films):
    """Gives each film its id: its name, before it the class where several have that name, and the part where that is not enough.

    Returns the files that have the name of another film. Ids that differ in letter case alone count as one: some disks cannot
    keep both. Raises TableError where two files are left with one id.
    """
    ids = stems = [film["path"].stem for film in films]
    counted = Counter(map(str.casefold, stems))
    for qualifiers in (("class",), ("class", "part")):
        count = Counter(map(str.casefold, ids))
        before = [[TITLES.get(film[each], film[each]) for each in qualifiers if film[each]] for film in films]
        longer = ["-".join([*words, stem]) for words, stem in zip(before, stems, strict=True)]
        ids = [new if count[old.casefold()] > 1 else old for old, new in zip(ids, longer, strict=True)]
    taken = {}
    for film, name in zip(films, ids, strict=True):
        other = taken.setdefault(name.casefold(), film)
        if other is not film:
            raise TableError(
                f"one name, two films: {other['path']} and {film['path']}; remove the one that does not belong to the database"
            )
        film |= {"image": name, "study": name}
    return [film["file"] for film, stem in zip(films, stems, strict=True) if counted[stem.casefold()] > 1]


def _metadata(folder, place, folders):
    """({(class, key): row of the metadata}, problems); `folder` is what the operator named, `place` the database in it."""
    rows, problems, books, unknown = {}, [], {}, []
    parts = {path.parent for own in folders.values() for path in own}
    above = [place, *place.parents][: len(place.relative_to(folder).parts) + 1]
    inside = [path for part in {*parts, place} for path in _folders(part)]
    tables = [path for each in dict.fromkeys([*above, *inside, *parts]) for path in each.iterdir()]
    tables = [path for path in tables if path.suffix.lower() == ".xlsx" and _shown(path) and path.is_file()]
    for path in sorted(tables, key=lambda path: (len(path.name), path)):  # the second download of a table has the longer name
        name = _class_of(external_metadata.class_word(path))
        part = path.parent if path.parent != place and path.parent in parts else place  # each part may have a table of its own
        if name is None or part in books.setdefault(name, {}):
            unknown.append(path.relative_to(folder).as_posix())
        else:
            books[name][part] = path
    for name, own in folders.items():
        if not own:
            continue
        if name not in books:
            title = own[0].name
            problems.append(f"class {title} has no {title}.metadata.xlsx: where its films come from is not known")
            continue
        for book in books[name].values():
            found, nameless = external_metadata.read(book)
            again = [row.name for row in found if rows.setdefault((name, key(row.name)), row) is not row]
            problems += _named(again, f"rows of {book.name} name a film again (the first counts)")
            problems += [f"{nameless} rows of {book.name} name no film"] if nameless else []
    return rows, problems + _named(unknown, "tables are of no class, or a second one, and are not read")


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
