"""Solutions: the truth in the form of a submission, with Kaggle's third column `Usage`."""

from pathlib import Path

import pandas as pd

from siim_kernel.competition import submission
from siim_kernel.competition.lines import csv_text, read_records
from siim_kernel.competition.submission import HEADER, IMAGE_SUFFIX, STUDY_SUFFIX, show
from siim_kernel.errors import SubmissionError, TableError
from siim_kernel.files import write_atomically
from siim_kernel.labels import NONE, NOT_READ, OPACITY, STUDY_CLASSES

USAGES = ("Public", "Private", "Ignored")
_, SCORED, IGNORED = USAGES
COLUMNS = (*HEADER, "Usage")


def solution(table, drop_siblings=False):
    """DataFrame id, PredictionString, Usage of a training table: the studies sorted by id, then the images as they stand.

    Images with an empty image label are `Ignored`, with `drop_siblings` also the `none` images that were not read.
    Raises TableError for a study without one class, and for an image label without its boxes.
    """
    studies = table[["study", "label"]].drop_duplicates().sort_values("study", kind="stable")
    wrong = studies[studies["study"].duplicated(keep=False) | ~studies["label"].isin(STUDY_CLASSES)]
    if len(wrong):
        study, label = wrong.iloc[0]
        raise TableError(f"{wrong['study'].nunique()} studies do not have exactly one study class, the first is {study} ({label!r})")
    rows = [(study + STUDY_SUFFIX, f"{label} 1 0 0 1 1", SCORED) for study, label in studies.itertuples(index=False)]
    for image, label, boxes, reading in table[["image", "image_label", "boxes", "reading"]].itertuples(index=False):
        if (label == OPACITY) != (len(boxes) > 0):
            raise TableError(f"image {image} is labelled {label!r} and has {len(boxes)} boxes")
        text = " ".join(f"{OPACITY} 1 {' '.join(map(submission.number_text, box))}" for box in boxes) or f"{NONE} 1 0 0 1 1"
        ignored = label == "" or (drop_siblings and label == NONE and reading == NOT_READ)
        rows.append((image + IMAGE_SUFFIX, text, IGNORED if ignored else SCORED))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_solution(path, solution):
    """Writes a solution as CSV, whole or not at all."""
    write_atomically(Path(path), csv_text([COLUMNS, *solution[list(COLUMNS)].itertuples(index=False)]))


def read_solution(path):
    """DataFrame id, PredictionString, Usage of a CSV whose third column may be missing (then every row is scored).

    Raises SubmissionError naming the line for what is not in the competition's form. The string of an `Ignored` row is
    not judged. Coordinates may be negative: one box of the training labels is.
    """
    first, *records = read_records(path)
    header = tuple(name.removeprefix("\ufeff") for name in first.fields)
    if header not in (HEADER, COLUMNS):
        raise SubmissionError(f"{path} is not a solution: its columns are {', '.join(map(show, header))}, not id,PredictionString[,Usage]")
    for record in records:
        fault = record.fault or (len(record.fields) != len(header) and f"{len(record.fields)} fields, the header has {len(header)}")
        if fault or (fault := _row_fault(*record.fields)):
            raise SubmissionError(f"{path}, line {record.line}: {fault}")
    ids = submission.row_ids(path, records)
    usages = [record.fields[2] if len(header) == 3 else SCORED for record in records]
    strings = [record.fields[1] for record in records]
    return pd.DataFrame({"id": ids, "PredictionString": strings, "Usage": usages}, dtype=object)


def _row_fault(row_id, text, usage=SCORED):
    if usage not in USAGES:
        return f"Usage is {show(usage)}, not one of {', '.join(USAGES)}"
    if usage == IGNORED:
        return ""
    groups, reasons = submission.read_groups(text)
    names = [group.name for group in groups if group.name != OPACITY]
    if not reasons and len(names) != len(set(names)):
        reasons = ["a class stands twice in the row"]
    return "; ".join(reasons) or submission.kind_fault(row_id, groups)
