"""The page of an exploration: what a source holds, section by section, and its tables as CSVs beside the page.

What cannot be told from the source is left out, and its section says so in a line.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from siim_kernel.competition import folds
from siim_kernel.errors import MountError, TableError
from siim_kernel.evaluation import exploration, explorer_films, figures, sources
from siim_kernel.evaluation.explorer_films import bars, shares
from siim_kernel.evaluation.pages import Section, Table, Text, cell, counted, per_cent, write
from siim_kernel.labels import NOT_READ

PAGE = "explore.html"
SPLITS = {"train": "for training", "test": "for test"}
NO_TABLES = "Left out: without the training tables the labels and boxes of films are not known."
NO_PATIENTS = "Left out: the patients of {} are not known; give the DICOMs, or a patients CSV."


@dataclass(frozen=True)
class Explored:
    """What was written: the page, the CSVs, and what is wrong with the source (one line each)."""

    page: Path
    tables: tuple[Path, ...]
    remarks: tuple[str, ...]


def explore(source, out, patients=None, images=None, sample=sources.SAMPLE, workers=1, progress=None):
    """Writes `out/explore.html` and its tables as CSVs.

    source    a competition folder, a folder with its tables alone, or an image set
    others    as in `sources.read`

    Raises MountError where `out` cannot be written, and what `sources.read` raises.
    """
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        read = sources.read(source, patients, images, sample, workers, progress)
        sections, tables = page_of(read)
        for name, table in tables.items():
            table.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
        write(out / PAGE, f"Exploration of {Path(source).resolve().name}", sections, lead(read, tables))
    except OSError as error:
        raise MountError(
            f"{error.filename or out} cannot be read or written: {error.strerror or error}; mend that or name another folder"
        ) from error
    return Explored(out / PAGE, tuple(out / f"{name}.csv" for name in tables), read.remarks)


def page_of(source):
    """(sections of the page, its tables by the names of their CSVs) of a `sources.Source`."""
    tables = {}
    same = None if source.squares is None else folds.find_duplicates(map(np.asarray, _rows(source.squares)), source.squares.table["image"])
    parts = {
        "Files": _files(source, tables),
        "Label schemes": _schemes(source, tables),
        "Images labelled none in studies that are not negative": _nones(source, tables),
        "Images, studies and patients": _groups(source, tables),
        "Boxes": _boxes(source, tables),
        "Sizes of the films": explorer_films.sizes(source, tables),
        "How the films are stored": explorer_films.storage(source, tables),
        "Stored values": explorer_films.values(source, tables),
        "A sheet of films": explorer_films.sheet(source, tables),
        "Before and after": explorer_films.adjusted(source),
        "Duplicates": explorer_films.duplicates(source, same, tables),
        "Leakage": _leakage(source, same, tables),
    }
    return [Section(title, tuple(found)) for title, found in parts.items()], tables


def lead(source, tables):
    """What a source holds, what is wrong with it, and what a random split of it would leak, in two or three sentences.

    tables  as `page_of` gives them
    """
    films = source.films if len(source.films) or source.images is None else source.images
    splits = films["split"].value_counts() if "split" in films else {}
    parts = " and ".join(f"{splits[name]:,} {words}" for name, words in SPLITS.items() if name in splits)
    held = counted(len(films), "film") + f" ({parts})" * (len(splits) > 1)
    held += f" of {_known(source, films, 'study', 'studies')} and {_known(source, films, 'patient', 'patients')}"
    wrong = f"{counted(len(source.remarks), 'flaw')}, named under Files" if source.remarks else "No flaw was found in the files"
    said = f"{source.kind[:1].upper()}{source.kind[1:]}: {held}. {wrong}."
    if "random_split" not in tables:
        return said
    split = tables["random_split"]
    share = per_cent(split["share_patient"].sum() / split["validation"].sum())
    return f"{said} Parted at random by image, {share} of the validation films would have a patient who is trained on too."


def _known(source, films, name, plural):
    """How many studies or patients, in words: of all films, else of those of the training tables."""
    for table, words in ((films, ""), (source.images, " (of the training films)")):
        known = 0 if table is None or not len(table) else table[name][table[name] != ""].nunique()
        if known:
            return counted(known, name, plural) + words
    return f"unknown {plural}"


def _rows(squares):
    return (squares.images[row] for row in range(len(squares.table)))


def _files(source, tables):
    tables["files"] = source.files
    found = [Table(source.files, "What the source holds")]
    if source.remarks:
        found += [Text(remark, warning=True) for remark in source.remarks]
    return found


def _schemes(source, tables):
    of_class = source.films.get("class")
    labelled = source.images if source.images is not None else None if of_class is None else pd.DataFrame({"label": of_class})
    schemes = {} if labelled is None else exploration.scheme_counts(labelled)
    if not schemes:
        return [Text(NO_TABLES)]
    tables |= {f"scheme_{name}": table for name, table in schemes.items()}
    shown = exploration.meanings(schemes)
    found = [Table(shares(shown, "share"), "What the labels of each scheme mean, and how many films bear them")]
    unlabelled = len(labelled) - schemes["image_label"]["films"].sum() if "image_label" in schemes else 0
    if unlabelled:
        found.append(
            Text(f"{counted(unlabelled, 'film')} without an image_label: not read for boxes. The shares are of those with a label.")
        )
    return found + [bars(table, "label", f"Films by {name}") for name, table in schemes.items()]


def _nones(source, tables):
    if source.images is None:
        return [Text(NO_TABLES)]
    table = exploration.none_in_opacity_studies(source.images)
    tables["none_in_opacity_studies"] = table
    total = table.iloc[-1]
    if not total.images:
        return [Text("No image is labelled none in a study that is not negative.")]
    why = [f"{counted(total.images, 'image')} labelled none in a study that is not negative."]
    if total.siblings:
        why.append(
            f"Siblings of an image with boxes in the same study, on which nobody drew any: {total.siblings:,}. This package calls such "
            f"images {NOT_READ}: no network learns none from them."
        )
    if total.alone:
        why.append(f"Of studies in which no image has boxes: {total.alone:,}.")
    shown = table.iloc[:-1].set_index("class")[["siblings", "alone"]]
    return [Text(" ".join(why)), figures.picture(figures.bars(shown, "Images labelled none, by class of their study", "images"), table)]


def _groups(source, tables):
    images = source.images if source.images is not None else source.films
    found = []
    if not len(images) or not (images["study"] != "").any():
        return [Text("Left out: the studies of the films are not known.")]
    tables["images_per_study"] = exploration.images_per_study(images)
    found.append(bars(tables["images_per_study"], "images", "Studies by their number of images", "studies"))
    unknown = int((images["patient"] == "").sum())
    if unknown < len(images):
        tables["studies_per_patient"] = exploration.studies_per_patient(images)
        found.append(bars(tables["studies_per_patient"], "studies", "Patients by their number of studies", "patients"))
    return found + ([Text(NO_PATIENTS.format(counted(unknown, "image")))] if unknown else [])


def _boxes(source, tables):
    if source.images is None:
        return [Text(NO_TABLES)]
    table = exploration.boxes_per_image(source.images)
    caption = f"{NOT_READ}: without a label, or labelled none beside an image with boxes in the same study; none: read, without a box."
    found = [bars(table, "boxes", "Images by their number of boxes", "images", caption)]
    boxes = exploration.boxes_of(source.images)
    sizes = exploration.box_sizes(boxes)
    tables |= {"boxes_per_image": table, "boxes": boxes, "box_sizes": sizes}
    known = boxes.dropna(subset=["xmin"])
    if not len(boxes):
        return [*found, Text("No image has a box.")]
    lengths = {"width": boxes["width"], "height": boxes["height"]}
    caption = "The numbers are quartiles of the sides in pixels, and of the areas as shares of the film."
    quartiles = ["25 %", "median", "75 %"]
    shown = sizes.astype(dict.fromkeys(quartiles, object))
    shown[quartiles] = sizes[quartiles].map(cell).mask(sizes["of"] == "area share", sizes[quartiles].map(per_cent))
    found.append(figures.picture(figures.histogram(lengths, "Sides of the boxes", "pixels", "boxes"), shown, caption))
    if not len(known):
        return [*found, Text("Where the boxes stand is left out: the sizes of the films are not known.")]
    heat, sides = exploration.box_places(known), exploration.sides(known)
    tables |= {"box_places": pd.DataFrame(heat), "box_sides": sides}
    ninths = heat.reshape(3, heat.shape[0] // 3, 3, -1).mean(axis=(1, 3))
    shown = (
        pd.DataFrame(ninths, columns=["left third", "middle", "right third"])
        .map(per_cent)
        .assign(part=["upper third", "middle", "lower third"])
    )
    caption = f"{counted(len(known), 'box', 'boxes')} as shares of the film; left is the picture's left. The numbers: means of its ninths."
    found.append(figures.picture(figures.places(heat, "Where the boxes stand"), shown[["part", *shown.columns[:3]]], caption))
    found.append(Table(shares(sides, "share"), "Films with boxes on both sides of the middle, among those with boxes"))
    return found


def _leakage(source, same, tables):
    images = source.images if source.images is not None else source.films
    if not len(images) or not (images["patient"] != "").any():
        return [Text(NO_PATIENTS.format(counted(len(images), "image") if len(images) else "the images"))]
    tables["patients"] = exploration.held_by_patients(images)
    found = [Table(tables["patients"], "What belongs to patients with several studies")]
    if source.images is None:
        return [*found, Text("A random split is left out: it is stratified by study class, which the training tables tell.")]
    try:
        shared = exploration.shared_in_random_split(images, duplicates=same)
    except TableError as error:
        return [*found, Text(f"A random split is left out: {error}.")]
    tables["random_split"] = shared
    films, both = shared["validation"].sum(), shared["share_patient"].sum()
    part = f"{both:,} of {films:,} validation films ({per_cent(both / films)})"
    text = (
        f"Were the films parted at random by image into five folds, {part} would have a patient who is trained on too. "
        "Parted by patient, none has."
    )
    shown = shared.assign(fold=shared["fold"].astype(str)).set_index("fold")[["validation", "share_patient"]]
    drawn = figures.picture(figures.bars(shown, "A random split by image, fold by fold"), shares(shared, "share"))
    return [*found, Text(text), drawn, *_unknown(images)]


def _unknown(images):
    unknown = int((images["patient"] == "").sum())
    return [Text(f"The patients of {counted(unknown, 'image')} are not known; they count as sharing none.")] if unknown else []
