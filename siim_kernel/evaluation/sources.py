"""What is explored: a competition folder, a folder with its tables alone, or an image set, read once and as far as it tells.

Films come from anywhere: headers and films are read in processes of their own (`pixels.workers`), and one that cannot be read is
named among the remarks and left out.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from siim_kernel.competition import tables
from siim_kernel.errors import MountError
from siim_kernel.evaluation import sampling
from siim_kernel.evaluation.pages import counted
from siim_kernel.evaluation.sampling import FACTS, SEED, SIDE, VALUES, Shown
from siim_kernel.pixels import decoders, imagesets, published
from siim_kernel.pixels.workers import Lost, in_order

NO_FILE = "have no file under train/"  # of a problem that `tables.read_training` names
SAMPLE = 200  # films of which the stored values are looked at


@dataclass(frozen=True)
class Source:
    """What was read.

    kind     in words
    files    DataFrame of, number: files, folders and rows of tables
    images   the training table (`competition.tables.Training`), None where there are no tables
    films    DataFrame image, study, split, class and `FACTS`, one row a film with a file or square; empty where there is none
    values   DataFrame of `VALUES`, one row a film of the sample; empty where there are no DICOMs
    shown    films for the sheet, training films where there are some
    squares  the opened image set, None without one
    remarks  what is wrong with it, one line each
    """

    kind: str
    files: pd.DataFrame
    images: pd.DataFrame | None
    films: pd.DataFrame
    values: pd.DataFrame
    shown: tuple[Shown, ...]
    squares: imagesets.ImageSet | None
    remarks: tuple[str, ...]


def read(source, patients=None, images=None, sample=SAMPLE, workers=1, progress=None):
    """Reads a `Source`.

    patients  a CSV in the form of `tables.read_patients`, in place of the DICOM headers or the image set
    images    an image set of the same films, in which duplicates are looked for
    sample    films that are read whole, drawn with a fixed seed
    progress  called with (done, total) films

    Raises MountError for a folder that is none of the three, TableError, ImageSetError and WorkerError.
    """
    source = Path(source)
    if not source.is_dir():
        raise MountError(f"{source} is no folder; give a competition folder, a folder with its tables, or an image set")
    is_set, has_tables = _is_set(source), (source / tables.IMAGE_TABLE).exists() or (source / tables.STUDY_TABLE).exists()
    dicoms = {} if is_set else {name: tables.films(source, name, strict=False) for name in tables.SPLITS if (source / name).is_dir()}
    if not (is_set or has_tables or dicoms):
        wanted = f"{tables.IMAGE_TABLE} and {tables.STUDY_TABLE}, train/ or test/, or an image set's {imagesets.RECIPE}"
        raise MountError(f"{source} holds nothing to explore: it has no {wanted}")
    is_copy = not is_set and not any(map(len, dicoms.values())) and _is_copy(source, images)
    if is_copy:
        dicoms = {}  # its train/ and test/ hold pictures
    place = source if is_set or (images is None and is_copy) else images
    squares = None if place is None else imagesets.open_set(place)
    training = tables.read_training(source, patients=patients, headers=False) if has_tables else None
    remarks = list(_problems(training, is_copy) if training else ())
    found = [films.assign(split=name, **{"class": ""}) for name, films in dicoms.items()]
    films = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["image", "study", "series", "path", "split", "class"])
    table = training.images if training else None
    if table is not None and squares is not None:
        remarks += _without_square(table, squares)
    chosen = _sampled(films, sample)
    at_hand = films if len(films) or squares is None else squares.table  # what pictures can be had of
    sheet = sampling.choose(at_hand if table is None else table, set(at_hand["image"]))
    shown_paths = films[films["image"].isin(sheet)]
    total, done = len(films) + len(chosen) + len(shown_paths), 0

    def followed(results):
        nonlocal done
        for pair in results:
            done += 1
            if progress is not None:
                progress(done, total)
            yield pair

    if len(films):
        films, unread = _with_facts(films, followed(in_order(sampling.header_facts, films["path"], workers)))
        remarks += unread
    elif is_set:
        named = squares.table["transfer_syntax"].map(_syntax)
        films = squares.table.assign(bits_stored=pd.NA, signed="", transfer_syntax=named, **_numbers(squares.table))
    elif (source / published.META).exists():
        films = _stated_sizes(source / published.META)
    values, _, unread = _looked_at(followed(in_order(sampling.stored_values, chosen, workers)))
    remarks += unread
    if table is not None:
        table = _completed(table, films, squares, patients)
    elif patients is not None:
        films = films.assign(patient=films["image"].map(tables.read_patients(patients)).fillna(""))
    if len(shown_paths):
        pairs = list(zip(shown_paths["image"], shown_paths["path"], strict=True))
        _, pictures, unread = _looked_at(followed(in_order(partial(sampling.stored_values, side=SIDE), pairs, workers)))
        shown = sampling.shown_films(sheet, pictures, table)
        remarks += [line for line in unread if line not in remarks]
    else:
        shown = sampling.shown_squares(sheet, squares, table)
    if is_set:
        kind = "an image set"
    elif len(shown_paths) or not has_tables:
        kind = "a competition folder"
    else:
        kind = "the tables alone" if squares is None else "the tables with an image set"
    return Source(kind, _files(source, films, training, dicoms, squares), table, films, values, shown, squares, tuple(remarks))


def _is_set(folder):
    """Whether a folder is an image set, whole, unfinished or of several sizes, or a published copy without the tables."""
    if (folder / tables.IMAGE_TABLE).exists():
        return False
    own = (folder / imagesets.RECIPE).exists() or (folder / imagesets.SCRATCH).exists()
    return own or any(folder.glob(f"*/{imagesets.RECIPE}")) or published.is_published(folder)


def _problems(training, is_copy):
    """What is wrong with the training tables; that a published copy has no DICOMs is not."""
    return [line for line in training.problems if not (is_copy and NO_FILE in line)]


def _without_square(table, squares):
    """[] or one line on the training images that an image set of training films lacks."""
    held = squares.table["image"][squares.table["split"] == "train"]
    lacking = table["image"][~table["image"].isin(held)]
    if not len(held) or not len(lacking):
        return []
    first = f"{', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}"
    return [f"{counted(len(lacking), 'image')} of {tables.IMAGE_TABLE} not in the image set: {first}"]


def _is_copy(source, images):
    """Whether a folder without DICOMs is a published copy; where an image set is named, copies within the folder are of no account."""
    return (images is None or (source / published.META).exists()) and published.is_published(source)


def _sampled(films, sample):
    """(image, path) of films drawn at random, in the table's order."""
    drawn = np.sort(np.random.default_rng(SEED).permutation(len(films))[:sample])
    return list(films[["image", "path"]].iloc[drawn].itertuples(index=False, name=None))


def _named(reasons, what):
    """[] or one line that counts `reasons` (image, reason) and names the first; what: singular and plural."""
    first = ", ".join(f"{image}: {reason}" for image, reason in reasons[:3])
    return [f"{counted(len(reasons), *what)} cannot be read: {first}{', ...' if len(reasons) > 3 else ''}"] if reasons else []


def _with_facts(films, results):
    """Adds `FACTS` to the films; remarks name those without a readable header."""
    facts = [{"reason": result.reason} if isinstance(result, Lost) else result for _, result in results]
    reasons = [(image, found["reason"]) for image, found in zip(films["image"], facts, strict=True) if "reason" in found]
    table = pd.DataFrame(facts, index=films.index).reindex(columns=FACTS)
    text = ["patient", "photometric", "transfer_syntax", "signed"]
    table[text] = table[text].fillna("")
    table["transfer_syntax"] = table["transfer_syntax"].map(_syntax)
    return films.assign(**table.drop(columns=["rows", "columns"]), **_numbers(table)), _named(reasons, ("header", "headers"))


def _syntax(uid):
    return decoders.syntax_name(uid) if uid else ""


def _numbers(table):
    return {name: pd.to_numeric(table[name], errors="coerce").astype("Int64") for name in ("rows", "columns")}


def _looked_at(results):
    """(DataFrame of `VALUES`, image -> (picture, size), remarks) of the results of `stored_values`."""
    read, reasons = [], []
    for (image, _), result in results:
        reason = result.reason if isinstance(result, Lost) else result.get("reason")
        if reason:
            reasons.append((image, reason))
        else:
            read.append(result)
    pictures = {found["image"]: (found["picture"], found["size"]) for found in read if "picture" in found}
    return pd.DataFrame(read, columns=VALUES), pictures, _named(reasons, ("film of the sample", "films of the sample"))


def _stated_sizes(path):
    """Sizes of films out of a `meta.csv` (image_id, dim0, dim1, split) as it is published; a film has no other facts."""
    meta = tables.read_csv(path, published.COLUMNS)
    names = dict(zip(published.COLUMNS, ("image", "rows", "columns", "split"), strict=True))
    films = meta[list(names)].rename(columns=names).reset_index(drop=True)
    known = dict.fromkeys(("study", "class", "patient", "photometric", "transfer_syntax", "signed"), "")
    return films.assign(**known, bits_stored=pd.NA, **_numbers(films))


def _completed(images, films, squares, patients):
    """The training table with patients and sizes from the films, else from the image set."""
    images = images.assign(**_numbers(images))
    for known in (films, None if squares is None else squares.table):
        if known is None or not len(known):
            continue
        known = known.assign(**_numbers(known)).drop_duplicates("image").set_index("image")
        for name in ("rows", "columns"):
            images[name] = images[name].fillna(images["image"].map(known[name]))
        if patients is None:
            images["patient"] = images["patient"].where(images["patient"] != "", images["image"].map(known["patient"]).fillna(""))
    return images


def _files(source, films, training, dicoms, squares):
    """Files, folders and rows of tables, counted."""
    rows = []
    for name, found in dicoms.items():
        places = found[["study", "series"]].drop_duplicates()
        rows += [(f"films under {name}/", len(found)), (f"studies under {name}/", found["study"].nunique())]
        rows += [(f"series under {name}/", len(places)), (f"MB under {name}/", round(sum(map(_size, found["path"])) / 1e6))]
    if training is not None:
        rows += [(f"rows of {tables.IMAGE_TABLE}", len(training.images))]
        rows += [(f"rows of {tables.STUDY_TABLE}", len(tables.read_study_classes(source / tables.STUDY_TABLE)))]
    if (source / tables.SAMPLE).exists():
        ids = tables.read_csv(source / tables.SAMPLE, ["id"])["id"]
        rows += [
            (f"{kind} rows of {tables.SAMPLE}", int(ids.str.endswith(end).sum()))
            for kind, end in (("study", "_study"), ("image", "_image"))
        ]
    if not dicoms and squares is None and len(films):
        rows += [(f"{name} rows of {published.META}", int((films["split"] == name).sum())) for name in tables.SPLITS]
    if squares is not None:
        counts = squares.table.groupby(["source", "split"]).size()
        rows += [(f"{name} squares of {origin} in the image set", count) for (origin, name), count in counts.items()]
    return pd.DataFrame(rows, columns=["of", "number"])


def _size(path):
    return Path(path).stat().st_size
