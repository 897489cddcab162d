"""The page of an exploration: what a source holds, section by section, and its tables as CSVs beside the page.

What cannot be told from the source is left out, and its section says so in a line.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.exposure import adjust_gamma, adjust_log

from siim_kernel.competition import folds
from siim_kernel.errors import MountError, TableError
from siim_kernel.evaluation import exploration, figures, sources
from siim_kernel.evaluation.pages import Section, Table, Text, write
from siim_kernel.labels import NOT_READ
from siim_kernel.pixels.images import equalise

PAGE = "explore.html"
GAMMA = 0.5
NAMED = 50  # duplicates that the page lists; the CSV has all
NO_TABLES = "Left out: without the training tables the labels and boxes of films are not known."
NO_FILMS = "Left out: the source holds no films, or does not state it."
NO_PATIENTS = "Left out: the patients of {} images are not known; give the DICOMs, or a patients CSV."


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
        write(out / PAGE, f"Exploration of {Path(source).resolve().name}", sections, f"Read as {read.kind}.")
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
        "Sizes of the films": _sizes(source, tables),
        "How the films are stored": _storage(source, tables),
        "Stored values": _values(source, tables),
        "A sheet of films": _sheet(source, tables),
        "Before and after": _adjusted(source),
        "Duplicates": _duplicates(source, same, tables),
        "Leakage": _leakage(source, same, tables),
    }
    return [Section(title, tuple(found)) for title, found in parts.items()], tables


def _rows(squares):
    return (squares.images[row] for row in range(len(squares.table)))


def _files(source, tables):
    tables["files"] = source.files
    found = [Table(source.files, "What the source holds")]
    if source.remarks:
        found += [Text("What does not fit together, or cannot be read:"), *map(Text, source.remarks)]
    return found


def _schemes(source, tables):
    of_class = source.films.get("class")
    labelled = source.images if source.images is not None else None if of_class is None else pd.DataFrame({"label": of_class})
    found = []
    for name, counted in exploration.scheme_counts(labelled).items() if labelled is not None else ():
        tables[f"scheme_{name}"] = counted
        found.append(_bars(counted, "label", f"Films by {name}"))
    return found or [Text(NO_TABLES)]


def _bars(counted, name, title, quantity="films"):
    return figures.picture(figures.bars(counted.set_index(name)[quantity], title, quantity), counted)


def _nones(source, tables):
    if source.images is None:
        return [Text(NO_TABLES)]
    counted = exploration.none_in_opacity_studies(source.images)
    tables["none_in_opacity_studies"] = counted
    total = counted.iloc[-1]
    why = (
        f"{total.images:,} images are labelled none although their study is not negative. They are no errors of one class: "
        f"{total.siblings:,} of them are siblings of an image of the same study that has boxes, on which nobody drew any; of the "
        f"studies of the other {total.alone:,} no image has boxes. This package calls the siblings {NOT_READ}: no network learns "
        "none from them."
    )
    shown = counted.iloc[:-1].set_index("class")[["siblings", "alone"]]
    return [Text(why), figures.picture(figures.bars(shown, "Images labelled none, by class of their study", "images"), counted)]


def _groups(source, tables):
    images = source.images if source.images is not None else source.films
    found = []
    if not len(images) or not (images["study"] != "").any():
        return [Text("Left out: the studies of the films are not known.")]
    tables["images_per_study"] = exploration.images_per_study(images)
    found.append(_bars(tables["images_per_study"], "images", "Studies by their number of images", "studies"))
    unknown = int((images["patient"] == "").sum())
    if unknown < len(images):
        tables["studies_per_patient"] = exploration.studies_per_patient(images)
        found.append(_bars(tables["studies_per_patient"], "studies", "Patients by their number of studies", "patients"))
    return found + ([Text(NO_PATIENTS.format(f"{unknown:,}"))] if unknown else [])


def _boxes(source, tables):
    if source.images is None:
        return [Text(NO_TABLES)]
    counted = exploration.boxes_per_image(source.images)
    found = [_bars(counted, "boxes", "Images by their number of boxes", "images")]
    boxes = exploration.boxes_of(source.images)
    sizes = exploration.box_sizes(boxes)
    tables |= {"boxes_per_image": counted, "boxes": boxes, "box_sizes": sizes}
    known = boxes.dropna(subset=["xmin"])
    if not len(boxes):
        return [*found, Text("No image has a box.")]
    lengths = {"width": boxes["width"], "height": boxes["height"]}
    caption = "The numbers are quartiles of the sides in pixels, and of the areas as shares of the film."
    found.append(figures.picture(figures.histogram(lengths, "Sides of the boxes", "pixels", "boxes"), sizes, caption))
    if not len(known):
        return [*found, Text("Where the boxes stand is left out: the sizes of the films are not known.")]
    heat, sides = exploration.box_places(known), exploration.sides(known)
    tables |= {"box_places": pd.DataFrame(heat), "box_sides": sides}
    ninths = heat.reshape(3, heat.shape[0] // 3, 3, -1).mean(axis=(1, 3))
    shown = pd.DataFrame(ninths, columns=["left third", "middle", "right third"]).assign(part=["upper third", "middle", "lower third"])
    caption = f"{len(known):,} boxes as shares of their film; left is the picture's left. Below: means of ninths of the film."
    found.append(figures.picture(figures.places(heat, "Where the boxes stand"), shown[["part", *shown.columns[:3]]], caption))
    found.append(Table(sides, "Films with boxes on both sides of the middle, among those with boxes"))
    return found


def _sizes(source, tables):
    films = source.films if len(source.films) else source.images if source.images is not None else source.films
    known = films.dropna(subset=["rows", "columns"]) if len(films) else films
    if not len(known):
        return [Text("Left out: the sizes of the films are not known; the DICOMs, an image set or a meta.csv tell them.")]
    pairs = known["columns"].astype(str) + " x " + known["rows"].astype(str)
    tables |= {"film_sizes": exploration.film_sizes(known), "film_sizes_by_frequency": exploration.frequencies(pairs, "columns x rows", 15)}
    sides = {name: known[name].astype(float).to_numpy() for name in ("rows", "columns")}
    return [
        figures.picture(figures.histogram(sides, "Sides of the films", "pixels"), tables["film_sizes"]),
        Table(tables["film_sizes_by_frequency"], "The most frequent sizes"),
        *([Text(f"The sizes of {len(films) - len(known):,} films are not known.")] if len(films) > len(known) else []),
    ]


def _storage(source, tables):
    films = source.films
    if not len(films) or not (films["photometric"].fillna("") != "").any():
        return [Text(NO_FILMS)]
    found = []
    for name, title in (
        ("photometric", "photometric interpretation"),
        ("transfer_syntax", "transfer syntax"),
        ("bits_stored", "bits stored"),
    ):
        values = films[name].astype(object).where(films[name].notna(), "")
        if (values.astype(str) == "").all():
            found.append(Text(f"The {title} is left out: the source does not state it."))
            continue
        tables[name] = exploration.frequencies(values, title)
        found.append(_bars(tables[name], title, f"Films by {title}"))
    return found


def _values(source, tables):
    if not len(source.values):
        return [Text("Left out: without DICOMs the stored values are not known.")]
    tables["value_ranges"] = exploration.value_ranges(source.values)
    ends = {"lowest": source.values["low"], "highest": source.values["high"]}
    caption = (
        f"From {len(source.values):,} films drawn at random and read whole. The numbers: by how the films are stored, the extremes over "
        "the films and the medians of the films' percentiles 1 and 99."
    )
    drawn = figures.histogram(ends, "Lowest and highest stored value of each film", "stored value")
    return [figures.picture(drawn, tables["value_ranges"], caption)]


def _facts(source):
    """Study and class by image, as far as they are known."""
    table = source.images if source.images is not None else source.films.assign(label=source.films["class"])
    return table.drop_duplicates("image").set_index("image")[["study", "label"]]


def _sheet(source, tables):
    if not source.shown:
        return [Text(NO_FILMS)]
    facts = _facts(source).reindex([shown.image for shown in source.shown]).fillna("")
    films = [figures.Film(shown.picture, facts["label"][shown.image], shown.boxes) for shown in source.shown]
    tables["sheet"] = facts.assign(boxes=[len(shown.boxes) for shown in source.shown]).reset_index()
    caption = "Row by row; the title is the class of the study, as far as it is known. Films with boxes come first within a class."
    return [figures.picture(figures.sheet(films, "Films with their boxes"), tables["sheet"], caption)]


def _adjusted(source):
    if not source.shown:
        return [Text(NO_FILMS)]
    shown = max(source.shown, key=lambda film: len(film.boxes))
    versions = {
        "as it is": shown.picture,
        "equalised": equalise(shown.picture),
        f"gamma {GAMMA:g}": adjust_gamma(shown.picture, GAMMA),
        "log": adjust_log(shown.picture),
    }
    rows = [(name, greys.mean(), greys.std(), (greys == 0).mean(), (greys == 255).mean()) for name, greys in versions.items()]
    table = pd.DataFrame(rows, columns=["version", "mean grey", "standard deviation", "share of black", "share of white"])
    caption = "Histogram equalisation (skimage.exposure.equalize_hist), gamma and logarithmic adjustment, each with its histogram of greys."
    return [figures.picture(figures.before_after(versions, f"Film {shown.image}"), table, caption)]


def _duplicates(source, same, tables):
    if same is None:
        return [Text("Left out: duplicates are looked for in the squares of an image set; explore one, or name one with --images.")]
    if not same:
        return [Text(f"Among {len(source.squares.table):,} squares no two show the same film.")]
    facts = _facts(source).reindex([image for group in same for image in group]).fillna("")
    number = [number for number, group in enumerate(same, 1) for _ in group]
    tables["duplicates"] = facts.reset_index(names="image").assign(group=number)[["group", "image", "study", "label"]]
    split = tables["duplicates"].groupby("group")["label"].nunique()
    text = f"Groups of squares that show the same film: {len(same):,}, with {len(facts):,} images in all."
    if source.images is not None:
        text += f" Groups in which the classes of the studies differ: {int((split > 1).sum()):,}."
    shown = tables["duplicates"].head(NAMED)
    return [
        Text(text),
        Table(shown, f"The first {len(shown)} of {len(facts)} films" if len(facts) > NAMED else "Films that are duplicates"),
    ]


def _leakage(source, same, tables):
    images = source.images if source.images is not None else source.films
    if not len(images) or not (images["patient"] != "").any():
        return [Text(NO_PATIENTS.format(f"{len(images):,}" if len(images) else "the"))]
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
    text = (
        f"Were the films parted at random by image into five folds, {both:,} of {films:,} validation films ({both / films:.1%}) would have "
        "a patient who is trained on too. Parted by patient, none has."
    )
    shown = shared.assign(fold=shared["fold"].astype(str)).set_index("fold")[["validation", "share_patient"]]
    drawn = figures.picture(figures.bars(shown, "A random split by image, fold by fold"), shared)
    return [*found, Text(text), drawn, *_unknown(images)]


def _unknown(images):
    unknown = int((images["patient"] == "").sum())
    return [Text(f"The patients of {unknown:,} images are not known; they count as sharing none.")] if unknown else []
