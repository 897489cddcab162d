"""The competition folder as tables: one row per image.

The folder holds `train/` and `test/` as `<study>/<series>/<image>.dcm`, `train_study_level.csv`, `train_image_level.csv`
and `sample_submission.csv`. The ids of the CSVs carry the suffixes `_study` and `_image`; everywhere else they are bare.
"""

import ast
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from siim_kernel.competition import submission
from siim_kernel.competition.lines import read_records
from siim_kernel.errors import DicomError, MountError, SubmissionError, TableError
from siim_kernel.labels import BOXED, NONE, NOT_READ, OPACITY, STUDY_CLASSES, STUDY_COLUMNS
from siim_kernel.pixels import dicom

STUDY_TABLE = "train_study_level.csv"
IMAGE_TABLE = "train_image_level.csv"
SAMPLE = "sample_submission.csv"
SPLITS = ("train", "test")
BOX_KEYS = ("x", "y", "width", "height")
PATIENT_COLUMNS = ("patientid", "studyid", "imageid")


@dataclass(frozen=True)
class Training:
    """The training tables and what does not fit in them.

    images    DataFrame, one row per image in the CSV's order: image, study, series, patient, path, rows, columns, label (study
              class), image_label ("none", "opacity" or "" as the CSV has it), boxes (tuple of xmin ymin xmax ymax in film
              pixels), reading ("boxed", "none", "not read")
    problems  one line each: ids without files, files without ids, films without a readable header, ...
    """

    images: pd.DataFrame
    problems: tuple[str, ...]


def read_csv(path, columns):
    """A CSV as strings with at least `columns`, indexed by line number; cells stay as they are written, empty ones are "".

    Raises TableError for a missing, broken or empty file, for rows that are longer or shorter than the header, and for
    missing columns, naming those it has.
    """
    path = Path(path)
    if not path.exists():
        raise TableError(f"{path} does not exist; give the competition folder or the CSV as Kaggle has it")
    try:
        first, *rows = read_records(path)
    except SubmissionError as error:
        raise TableError(str(error)) from None
    header = [name.removeprefix("\ufeff") for name in first.fields]
    missing = [column for column in columns if column not in header]
    if missing:
        raise TableError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has {', '.join(header)}")
    if len(set(header)) < len(header):
        raise TableError(f"{path} has columns of the same name: {', '.join(header)}")
    for row in rows:
        if len(row.fields) != len(header):
            raise TableError(f"{path}, line {row.line}: {row.fault or f'{len(row.fields)} fields, the header has {len(header)}'}")
    if not rows:
        raise TableError(f"{path} has a header and no rows")
    return pd.DataFrame([row.fields for row in rows], columns=header, index=[row.line for row in rows], dtype=object)


def _bare(ids, suffix, path):
    """Ids without their suffix; TableError for other forms and for repeats."""
    wrong = ids[~ids.str.endswith(suffix) | (ids.str.len() <= len(suffix))]
    if len(wrong):
        raise TableError(f"{path}: ids end in {suffix}; {len(wrong)} do not, the first in line {wrong.index[0]}: {wrong.iloc[0]!r}")
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise TableError(f"{path}: {len(repeated)} ids occur again, the first in line {repeated.index[0]}: {repeated.iloc[0]!r}")
    return ids.str.removesuffix(suffix)


def read_study_classes(path):
    """Series of study classes by bare study id, out of a `train_study_level.csv`; TableError unless each row is one-hot."""
    table = read_csv(path, ["id", *STUDY_COLUMNS.values()])
    studies = _bare(table["id"], "_study", path)
    marks = table[list(STUDY_COLUMNS.values())].apply(lambda column: column.str.strip())
    known = marks.isin(("0", "1", "0.0", "1.0"))
    hot = marks.isin(("1", "1.0"))
    wrong = ~known.all(axis=1) | (hot.sum(axis=1) != 1)
    if wrong.any():
        row = wrong.idxmax()
        raise TableError(
            f"{path}: each study has exactly one class marked 1 and the others 0; {wrong.sum()} rows have not, the first in "
            f"line {row}: {table['id'][row]} {' '.join(marks.loc[row])}"
        )
    return pd.Series(np.array(STUDY_CLASSES)[hot.to_numpy().argmax(axis=1)], index=studies.to_numpy(), name="label")


def _read_boxes(text):
    """Boxes of a `boxes` cell as a tuple of (xmin, ymin, xmax, ymax); "" is no box. Raises ValueError with the reason."""
    if not text.strip():
        return ()
    try:
        items = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("it is not a list of boxes") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) and set(item) == set(BOX_KEYS) for item in items):
        raise ValueError(f"it is not a list of dicts with {', '.join(BOX_KEYS)}")
    boxes = []
    for item in items:
        if not all(isinstance(item[key], int | float) for key in BOX_KEYS):
            raise ValueError(f"a box holds what is no number: {str(item)[:120]}")
        try:
            x, y, width, height = (float(item[key]) for key in BOX_KEYS)
        except OverflowError:
            raise ValueError("a box holds an enormous number") from None
        box = (x, y, x + width, y + height)
        if not all(map(math.isfinite, box)):
            raise ValueError(f"a box is not finite: {str(item)[:120]}")
        if width <= 0 or height <= 0:
            raise ValueError(f"a box has no area: {str(item)[:120]}")
        boxes.append(box)
    return tuple(boxes)


def _read_image_row(boxes_text, label_text):
    """(boxes, image label) of one row of `train_image_level.csv`; ValueError where its two cells contradict each other."""
    boxes = _read_boxes(boxes_text)
    if not label_text.strip():
        if boxes:
            raise ValueError("it has boxes but an empty label")
        return (), ""
    try:
        objects = submission.parse(label_text)
    except SubmissionError as error:
        raise ValueError(f"its label is not in the submission's grammar: {error}") from None
    names = {name for name, _, _ in objects}
    if names == {NONE} and len(objects) == 1 and not boxes:
        return (), NONE
    if names != {OPACITY}:
        raise ValueError(f"its label is neither one {NONE} without boxes nor {OPACITY} alone: {label_text[:80]!r}")
    drawn = np.array([box for _, _, box in objects])
    if drawn.shape != (len(boxes), 4) or not np.allclose(drawn, boxes, rtol=1e-4, atol=0.05):
        raise ValueError(f"its {len(boxes)} boxes are not the {len(drawn)} of its label")
    return boxes, OPACITY


def read_image_labels(path):
    """DataFrame image, study, image_label, boxes out of a `train_image_level.csv`, indexed by its lines; TableError where it is wrong."""
    table = read_csv(path, ["id", "boxes", "label", "StudyInstanceUID"])
    rows = []
    for line, boxes_text, label_text in zip(table.index, table["boxes"], table["label"], strict=True):
        try:
            rows.append(_read_image_row(boxes_text, label_text))
        except ValueError as error:
            raise TableError(f"{path}, line {line}, {table['id'][line]}: {error}") from None
    return pd.DataFrame(
        {
            "image": _bare(table["id"], "_image", path),
            "study": table["StudyInstanceUID"].str.removesuffix("_study"),
            "image_label": pd.Series([label for _, label in rows], index=table.index, dtype=object),
            "boxes": pd.Series([boxes for boxes, _ in rows], index=table.index, dtype=object),
        }
    )


def films(competition, split, strict=True):
    """The DICOM files of one split ("train" or "test"): DataFrame image, study, series, path (str), sorted by image.

    strict  False takes files that stand elsewhere too (their study is the first folder on the way to them, or ""), and of two
            files with one id the first: for the test films, of which a prediction must make the best

    Needs no CSV. Raises MountError where the folder is missing, TableError where a file is not at its place or one image id has
    two files.
    """
    folder = Path(competition) / split
    if not folder.is_dir():
        raise MountError(f"{folder} is no folder; the competition's films stand in train/ and test/ as <study>/<series>/<image>.dcm")
    found = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() == ".dcm")
    # Hidden files and folders are the droppings of desktops and notebooks (._x.dcm, .ipynb_checkpoints).
    paths = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    odd = [path for path in paths if len(path.parts) != 3]
    if odd and strict:
        raise TableError(f"{len(odd)} files under {folder} are not at <study>/<series>/<image>.dcm, the first is {odd[0]}")
    rows = [(path.stem, *(*path.parts[:-1], "", "")[:2], str(folder / path)) for path in paths]
    table = pd.DataFrame(rows, columns=["image", "study", "series", "path"])
    repeated = table[table.duplicated("image", keep=False)].sort_values("image", kind="stable")
    if len(repeated) and strict:
        raise TableError(f"one image id, two files under {folder}: {repeated.path.iloc[0]} and {repeated.path.iloc[1]}")
    return table.drop_duplicates("image").sort_values("image", ignore_index=True)


def read_patients(path):
    """Series of patient ids by bare image id, out of a CSV in the form patientid, studyid, ..., imageid."""
    table = read_csv(path, PATIENT_COLUMNS)
    images = table["imageid"].str.removesuffix("_image")
    repeated = images[images.duplicated()]
    if len(repeated):
        raise TableError(f"{path}, line {repeated.index[0]}: image {repeated.iloc[0]} occurs again")
    return pd.Series(table["patientid"].to_numpy(), index=images.to_numpy(), name="patient")


def readings(images):
    """How each image was read for boxes: "boxed", "none", or "not read".

    Not read are images with an empty label and unannotated siblings: `none` images of a non-negative study in which another
    image has boxes (217 images of the competition).
    """
    boxed = images["boxes"].map(len) > 0
    boxed_study = boxed.groupby(images["study"]).transform("any")
    sibling = ~boxed & (images["label"] != "negative") & boxed_study
    return np.where(boxed, BOXED, np.where((images["image_label"] == "") | sibling, NOT_READ, NONE))


def read_training(competition, patients=None, headers=True):
    """The training tables of a competition folder as `Training`.

    competition  the folder; without `train/` (the tables alone) series, path, rows and columns stay empty
    patients     a CSV in the form of `read_patients`, in place of the PatientID of the DICOM headers
    headers      read patient, rows and columns from the DICOM headers; without, they stay empty

    Raises TableError where a CSV is missing or wrong, or an image's study has no class.
    """
    competition = Path(competition)
    if not competition.is_dir():
        raise MountError(f"{competition} is no folder; give the competition folder")
    images = read_image_labels(competition / IMAGE_TABLE)
    classes = read_study_classes(competition / STUDY_TABLE)
    images["label"] = images["study"].map(classes)
    unknown = images[images["label"].isna()]
    if len(unknown):
        raise TableError(
            f"{competition / IMAGE_TABLE}, line {unknown.index[0]}: image {unknown.image.iloc[0]} is of study "
            f"{unknown.study.iloc[0]!r}, which {STUDY_TABLE} lacks; {len(unknown)} images are of such studies"
        )
    images = images.reset_index(drop=True)
    problems = _named(classes.index.difference(images["study"]), f"studies of {STUDY_TABLE} have no image in {IMAGE_TABLE}")
    images["reading"] = readings(images)
    if (competition / "train").is_dir():
        found = films(competition, "train")
        images = images.merge(found.rename(columns={"study": "folder"}), on="image", how="left")
        lacking = images["path"].isna()
        problems += _named(images.image[lacking], f"images of {IMAGE_TABLE} have no file under train/")
        problems += _named(found.image[~found.image.isin(images.image)], f"files under train/ are not in {IMAGE_TABLE}")
        moved = ~lacking & (images["folder"] != images["study"])
        problems += _named(images.image[moved], f"films stand in the folder of another study than {IMAGE_TABLE} says")
        images = images.drop(columns="folder").fillna({"path": "", "series": ""})
    else:
        images = images.assign(path="", series="")
    images, unread = _with_headers(images, headers)
    problems += unread
    if patients is not None:
        known = read_patients(patients)
        images["patient"] = images["image"].map(known).fillna("")
        problems += _named(images.image[images.patient == ""], f"images have no patient in {patients}")
    columns = ["image", "study", "series", "patient", "path", "rows", "columns", "label", "image_label", "boxes", "reading"]
    return Training(images=images[columns], problems=tuple(problems))


def _with_headers(images, wanted):
    """Adds patient (str), rows and columns (nullable integers) from the DICOM headers; problems name unreadable headers."""
    patients, rows, columns, problems = [], [], [], []
    for image, path in zip(images["image"], images["path"], strict=True):
        patient, height, width = "", pd.NA, pd.NA
        if wanted and path:
            try:
                header = dicom.read_header(path)
                patient = dicom.text(header, "PatientID")
                height, width = _size(header)
            except DicomError as error:
                problems.append(f"film {image}: {error} ({path})")
        patients.append(patient)
        rows.append(height)
        columns.append(width)
    sizes = {"rows": pd.array(rows, dtype="Int64"), "columns": pd.array(columns, dtype="Int64")}
    return images.assign(patient=patients, **sizes), problems


def _size(header):
    """(rows, columns) that a header states, or (NA, NA) where it does not or they are nonsense."""
    numbers = dicom.numbers(header, "Rows") + dicom.numbers(header, "Columns")
    return tuple(map(int, numbers)) if len(numbers) == 2 and min(numbers) >= 1 else (pd.NA, pd.NA)


def film_size(path):
    """(rows, columns) of a film by its header, or (NA, NA) where the header cannot be read or does not say."""
    try:
        return _size(dicom.read_header(path))
    except DicomError:
        return pd.NA, pd.NA


def film_sizes(competition, split):
    """Sizes of all films of a split by their headers: a dict image -> (rows, columns), and the images without one."""
    sizes = {film.image: film_size(film.path) for film in films(competition, split, strict=False).itertuples()}
    unknown = [image for image, size in sizes.items() if pd.isna(size[0])]
    known = {image: size for image, size in sizes.items() if not pd.isna(size[0])}
    return known, _named(unknown, f"films under {split}/ do not state their size, their boxes are not held against one")


def _named(ids, text, most=5):
    """[] for no ids, else one line that counts and names them."""
    ids = list(ids)
    return [f"{len(ids)} {text}: {', '.join(map(str, ids[:most]))}{', ...' if len(ids) > most else ''}"] if ids else []
