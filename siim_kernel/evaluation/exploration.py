"""What the tables of the competition hold, as tables: pure functions of a training table (see `competition.tables.Training`).

The thesis's exploration (sections 4.3 and 4.4) is among them. A film whose cell is empty is left out of a count that needs the cell.
"""

import numpy as np
import pandas as pd

from siim_kernel.competition import schemes, split_report, splits
from siim_kernel.labels import BOXED, EXTERNAL_CLASSES, NONE, NOT_READ, OPACITY, SCHEMES, STUDY_CLASSES

OPACITY_CLASSES = STUDY_CLASSES[1:]  # studies that are not negative
IMAGE_LABELS = {NONE: "any, the image without a box", OPACITY: "any, the image with boxes"}
HEAT_CELLS = 48
ALL = "all"


def scheme_counts(images):
    """Films per label under each scheme that the table can have: scheme's name -> DataFrame label, films, share.

    A scheme is left out where its column is missing or no film has a label of it; the schemes of a union where no film is external.
    """
    external = "label" in images and images["label"].isin(EXTERNAL_CLASSES).any()
    found = {}
    for name, scheme in SCHEMES.items():
        of_union = any(kind in EXTERNAL_CLASSES for kinds in scheme.groups.values() for kind in kinds)
        column = "image_label" if name == "image_label" else "label"
        if column not in images or (of_union and not external):
            continue
        counted = schemes.counts(images, scheme)
        if counted["films"].sum():
            found[name] = counted.reset_index()
    return found


def none_in_opacity_studies(images):
    """The images labelled `none` whose study is not negative, and why: DataFrame class, images, siblings, alone.

    siblings  another image of the study has boxes: nobody drew any on this one
    alone     no image of the study has boxes: the class shows without an opacity that could be boxed

    The last row is the sum. In the competition they are 304, of which 217 are siblings; the thesis takes them for errors.
    """
    boxed = images["boxes"].map(len) > 0
    sibling = boxed.groupby(images["study"]).transform("any")
    here = (images["image_label"] == NONE) & images["label"].isin(OPACITY_CLASSES)
    rows = []
    for label in (*OPACITY_CLASSES, ALL):
        of_class = here & ((images["label"] == label) | (label == ALL))
        rows.append((label, int(of_class.sum()), int((of_class & sibling).sum()), int((of_class & ~sibling).sum())))
    return pd.DataFrame(rows, columns=["class", "images", "siblings", "alone"])


def images_per_study(images):
    """How many studies have 1, 2, .. images: DataFrame images, studies."""
    return _histogram(images[images["study"] != ""].groupby("study").size(), "images", "studies")


def studies_per_patient(images):
    """How many patients have 1, 2, .. studies: DataFrame studies, patients; films without a known patient are left out."""
    known = images[(images["patient"] != "") & (images["study"] != "")]
    return _histogram(known.groupby("patient")["study"].nunique(), "studies", "patients")


def boxes_per_image(images):
    """How many images have 1, 2, .. boxes, were read and have none, or were not read for boxes: DataFrame boxes (text), images."""
    number, read = images["boxes"].map(len), images["reading"].isin((BOXED, NONE))
    boxed = number[number > 0].value_counts().sort_index()
    unboxed = pd.Series({NOT_READ: int((~read & (number == 0)).sum()), NONE: int((read & (number == 0)).sum())})
    table = pd.concat([unboxed, boxed]).rename_axis("boxes").rename("images").reset_index()
    return table.astype({"boxes": str, "images": int})


def meanings(counted):
    """What the labels of some schemes mean: DataFrame scheme, label, films of class, films, share.

    counted  as `scheme_counts` gives them
    """
    parts = []
    for name, table in counted.items():
        means = [IMAGE_LABELS.get(label) if name == "image_label" else ", ".join(SCHEMES[name].groups[label]) for label in table["label"]]
        parts.append(table.assign(scheme=name, **{"films of class": means})[["scheme", "label", "films of class", "films", "share"]])
    return pd.concat(parts, ignore_index=True)


def boxes_of(images):
    """One row a box: image, study, label, width and height in pixels, and xmin, ymin, xmax, ymax as shares of the film.

    images  with rows and columns; the shares are NaN where a film's size is not known
    """
    rows = [
        (film.image, film.study, film.label, box[2] - box[0], box[3] - box[1], *_shares(box, film.rows, film.columns))
        for film in images.itertuples()
        for box in film.boxes
    ]
    names = ["image", "study", "label", "width", "height", "xmin", "ymin", "xmax", "ymax"]
    return pd.DataFrame(rows, columns=names).astype(dict.fromkeys(names[3:], float))


def _shares(box, rows, columns):
    if pd.isna(rows) or pd.isna(columns):
        return (np.nan,) * 4
    return box[0] / columns, box[1] / rows, box[2] / columns, box[3] / rows


def box_sizes(boxes):
    """Quartiles of the boxes' width and height in pixels and of their area as a share of the film, by class.

    boxes  as `boxes_of` gives them

    DataFrame class, boxes, of (width, height, area share), 25 %, median, 75 %; NaN where no film's size is known.
    """
    share = (boxes["xmax"] - boxes["xmin"]) * (boxes["ymax"] - boxes["ymin"])
    boxes = boxes.assign(**{"area share": share})
    rows = []
    for label in (*OPACITY_CLASSES, ALL):
        part = boxes[(boxes["label"] == label) | (label == ALL)]
        for name in ("width", "height", "area share") if len(part) else ():
            rows.append((label, len(part), name, *part[name].quantile([0.25, 0.5, 0.75])))
    return pd.DataFrame(rows, columns=["class", "boxes", "of", "25 %", "median", "75 %"])


def box_places(boxes, cells=HEAT_CELLS):
    """Share of the boxes that cover each place of the film: float64 [cells, cells] in 0..1, row 0 at the top.

    A place is the centre of a cell; boxes without shares do not count, none at all give zeros.
    """
    known = boxes[["xmin", "ymin", "xmax", "ymax"]].dropna().to_numpy(float)
    if not len(known):
        return np.zeros((cells, cells))
    centres = (np.arange(cells) + 0.5) / cells
    across = ((centres >= known[:, [0]]) & (centres < known[:, [2]])).astype(float)
    down = ((centres >= known[:, [1]]) & (centres < known[:, [3]])).astype(float)
    return down.T @ across / len(known)


def sides(boxes):
    """Films with boxes on both sides of the middle, by class: DataFrame class, boxed, bilateral, share.

    A box is on the side of its centre. The thesis (section 4.4) rests its three-class scheme on typical films being bilateral and
    others not, by a look at 20 films. Boxes without shares do not count.
    """
    known = boxes.dropna(subset=["xmin", "xmax"])
    left = (known["xmin"] + known["xmax"]) / 2 < 0.5
    both = left.groupby(known["image"]).nunique() == 2
    labels = known.groupby("image")["label"].first()
    rows = []
    for label in (*OPACITY_CLASSES, ALL):
        part = both[(labels == label) | (label == ALL)]
        if len(part):
            rows.append((label, len(part), int(part.sum()), part.mean()))
    return pd.DataFrame(rows, columns=["class", "boxed", "bilateral", "share"])


def frequencies(values, name, most=20):
    """The most frequent values: DataFrame `name`, films, share; what lies beyond `most` is one row, what is empty is "not stated"."""
    values = values.astype(object).where(values.notna() & (values.astype(str) != ""), "not stated").astype(str)
    counted = values.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    table = counted.iloc[:most].rename_axis(name).rename("films").reset_index()
    if len(counted) > most:
        table.loc[len(table)] = (f"{len(counted) - most} others", counted.iloc[most:].sum())
    return table.assign(films=table["films"].astype(int), share=table["films"].astype(float) / max(1, len(values)))


def film_sizes(films):
    """The smallest, the quartiles and the largest of rows, columns, megapixels and columns / rows: DataFrame of four rows."""
    known = films[["rows", "columns"]].dropna().astype(float)
    values = known.assign(megapixels=known["rows"] * known["columns"] / 1e6, aspect=known["columns"] / known["rows"])
    table = values.quantile([0, 0.25, 0.5, 0.75, 1]).T
    table.columns = ["smallest", "25 %", "median", "75 %", "largest"]
    return table.rename(index={"aspect": "columns / rows"}).rename_axis("of").reset_index()


def value_ranges(sampled):
    """Stored values of sampled films by how they are stored: DataFrame bits_stored, signed, photometric, films, lowest, darkest .. highest.

    sampled  DataFrame bits_stored, signed, photometric, low, p1, p99, high: a film's extremes and percentiles 1 and 99

    lowest and highest are extremes over the films, p1 and p99 medians over them.
    """
    by = sampled.groupby(["bits_stored", "signed", "photometric"], dropna=False)
    table = by.agg(films=("low", "size"), lowest=("low", "min"), p1=("p1", "median"), p99=("p99", "median"), highest=("high", "max"))
    return table.reset_index()


def held_by_patients(images):
    """Patients, studies and images, and how many of them belong to patients with several studies: DataFrame of, all, of_several."""
    known = images[images["patient"] != ""]
    several = known.groupby("patient")["study"].transform("nunique") > 1
    columns = {"patients": "patient", "studies": "study", "images": "image"}
    rows = [(name, known[column].nunique(), known.loc[several, column].nunique()) for name, column in columns.items()]
    return pd.DataFrame(rows, columns=["of", "all", "of patients with several studies"])


def shared_in_random_split(images, n_folds=5, seed=42, duplicates=None):
    """What a random split by image leaves on both sides: DataFrame fold, validation, share_patient, share_study, share_duplicate, share.

    images      with patient, study, label; TableError where it cannot be parted (`splits.image`)
    duplicates  groups of image ids that show one film, None where they were not compared (the column is then NA)

    The counts are of the validation films; share is that of films with a patient who is trained on too.
    """
    fold = splits.image(images, n_folds, seed)
    rows = []
    for number in range(n_folds):
        report = split_report.split_report(images, fold, number, duplicates)
        films, shared = report.films[split_report.VALIDATION], report.shared.iloc[0]
        same = shared.duplicate_films if report.compared else pd.NA
        rows.append((number, films, shared.patient_films, shared.study_films, same, shared.patient_films / films))
    return pd.DataFrame(rows, columns=["fold", "validation", "share_patient", "share_study", "share_duplicate", "share"])


def _histogram(numbers, name, counted):
    """How often each whole number occurs: DataFrame `name`, `counted`, ascending."""
    return numbers.value_counts().sort_index().rename_axis(name).rename(counted).reset_index().astype(int)
