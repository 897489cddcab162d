"""The submission file: its grammar, its reader and its writer.

A row is an id and a prediction string: groups of six tokens separated by blanks,

    class confidence xmin ymin xmax ymax

with coordinates in pixels of the stored film, origin at the top left. Study rows (`<study>_study`) take the four study
classes with the one-pixel box `0 0 1 1`; image rows (`<image>_image`) take `none` with that box, and opacities. The
confidence is a ranking within its class over the whole file.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from siim_kernel.competition.lines import csv_text, read_records
from siim_kernel.errors import SubmissionError
from siim_kernel.files import write_atomically
from siim_kernel.labels import METRIC_CLASSES, NONE, OPACITY, STUDY_CLASSES, UNIT_BOX

HEADER = ("id", "PredictionString")
STUDY_SUFFIX = "_study"
IMAGE_SUFFIX = "_image"

# ASCII digits only: float() alone would also take 1_0, infinity and the digits of other scripts, which Kaggle does not.
_is_number = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_is_not_finite = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE).fullmatch

# Changes every double in 0..1, and is large enough to be printed and read without subnormal numbers.
_STEP = 2.0**-52


class Group(NamedTuple):
    """Six tokens of a prediction string; box is xmin, ymin, xmax, ymax in film pixels."""

    name: str
    confidence: float
    box: tuple[float, float, float, float]


def parse(prediction_string):
    """The groups (class, confidence, box) of a prediction string, in its order.

    Raises SubmissionError with every reason why the string is not in the grammar. What depends on the row (which
    classes it takes, the size of its film) is not judged here.
    """
    groups, reasons = read_groups(prediction_string)
    if reasons:
        raise SubmissionError("; ".join(reasons))
    return groups


def read_groups(prediction_string):
    """The sound groups of a prediction string, and a reason for each thing that is not: (list of Group, list of str)."""
    if not isinstance(prediction_string, str):
        return [], [f"the prediction string is not text but {prediction_string!r}"]
    tokens = prediction_string.split()
    if not tokens:
        return [], ["the prediction string is empty: write 'none 1 0 0 1 1' for an image, the four classes for a study"]
    if "".join(tokens) != prediction_string.replace(" ", ""):
        return [], ["a tab, line break or unusual blank in the prediction string: separate tokens by plain blanks"]
    if len(tokens) % 6:
        return [], [f"{len(tokens)} tokens are not groups of six (class confidence xmin ymin xmax ymax)"]
    groups, reasons = [], []
    for start in range(0, len(tokens), 6):
        group, faults = _read_group(tokens[start : start + 6])
        if faults:
            reasons += [f"group {start // 6 + 1}: {fault}" for fault in faults]
        else:
            groups.append(group)
    return groups, reasons


def _read_group(tokens):
    name = tokens[0]
    faults = [fault for fault in map(_number_fault, tokens[1:]) if fault]
    if name not in METRIC_CLASSES:
        known = name.lower() in METRIC_CLASSES
        hint = f"write {name.lower()!r}" if known else f"the classes are {', '.join(METRIC_CLASSES)}"
        faults.insert(0, f"{'capitalised' if known else 'unknown'} class {show(name)}: {hint}")
    if faults:
        return None, faults
    confidence, *box = map(float, tokens[1:])
    xmin, ymin, xmax, ymax = box = tuple(box)
    if name != OPACITY and box != UNIT_BOX:
        faults.append(f"the box of {name} is {' '.join(tokens[2:])}, it must be 0 0 1 1")
    elif xmin >= xmax or ymin >= ymax:
        faults.append(f"empty or inverted box {' '.join(tokens[2:])}: xmin < xmax and ymin < ymax are needed")
    return Group(name, confidence, box), faults


def _number_fault(token):
    if _is_number(token):
        return "" if abs(float(token)) < float("inf") else f"{show(token)} is too large for a number"
    return f"{show(token)} is not finite" if _is_not_finite(token) else f"{show(token)} is not a number"


def show(text, width=40):
    """`text` in quotes with unprintable characters escaped, shortened to about `width` characters, for messages."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")


def kind_fault(row_id, groups):
    """Why these groups do not belong in the row `row_id`, or "" if they do: study classes in study rows alone."""
    if row_id.endswith(STUDY_SUFFIX):
        wrong = sorted({group.name for group in groups} - set(STUDY_CLASSES))
        return f"{' and '.join(wrong)} in a study row" if wrong else ""
    wrong = sorted({group.name for group in groups} & set(STUDY_CLASSES))
    return f"study class {' and '.join(wrong)} in an image row" if wrong else ""


def bare(row_id):
    """The study or image id without its suffix."""
    return row_id.removesuffix(STUDY_SUFFIX if row_id.endswith(STUDY_SUFFIX) else IMAGE_SUFFIX)


def bare_ids(row_ids):
    """Bare study ids and bare image ids among the ids of a sample, each in its order: two lists."""
    studies = [bare(row_id) for row_id in row_ids if row_id.endswith(STUDY_SUFFIX)]
    return studies, [bare(row_id) for row_id in row_ids if row_id.endswith(IMAGE_SUFFIX)]


def read(path):
    """DataFrame id, PredictionString of a submission, strings as they stand; SubmissionError if it has not two columns."""
    header, *records = read_records(path)
    ragged = next((record for record in (header, *records) if len(record.fields) != 2), None)
    if ragged:
        raise SubmissionError(f"{path}, line {ragged.line}: {ragged.fault or f'{len(ragged.fields)} fields, not id and PredictionString'}")
    return pd.DataFrame([record.fields for record in records], columns=list(HEADER), dtype=object)


def read_sample(path):
    """Header (two names) and ids, in order, of a mounted sample_submission.csv.

    Raises SubmissionError where it is not one: other columns, a duplicate id, an id that is neither study nor image.
    """
    first, *rows = read_records(path)
    header = tuple(name.removeprefix("\ufeff") for name in first.fields)
    if [name.lower() for name in header] != [name.lower() for name in HEADER]:
        raise SubmissionError(f"{path} is not a sample submission: its columns are {', '.join(map(show, header))}, not {','.join(HEADER)}")
    return header, row_ids(path, rows)


def row_ids(path, records):
    """The ids of the records of a sample or solution; SubmissionError for one without id, duplicate, or without suffix."""
    lines = {}
    for record in records:
        row_id = record.fields[0] if record.fields else ""
        if not row_id.endswith((STUDY_SUFFIX, IMAGE_SUFFIX)):
            raise SubmissionError(f"{path}, line {record.line}: id {show(row_id)} ends neither in {STUDY_SUFFIX} nor in {IMAGE_SUFFIX}")
        if row_id in lines:
            raise SubmissionError(f"{path}, line {record.line}: id {show(row_id)} stands on line {lines[row_id]} already")
        lines[row_id] = record.line
    if not lines:
        raise SubmissionError(f"{path} has no rows")
    return list(lines)


def write(path, sample, studies, images):
    """Writes a submission with the header, the ids and the order of the CSV `sample`, whole or not at all.

    studies  DataFrame, index bare study id, one column of probabilities for each of STUDY_CLASSES
    images   DataFrame, index bare image id, columns none (probability), rows and columns (film size in pixels; None or
             NaN where the film was not read), boxes (list of (confidence, xmin, ymin, xmax, ymax) in film pixels)

    Boxes are clipped to the film (where its size is unknown, to coordinates from 0 on); those left without area are
    dropped. Confidences keep their ranking and become distinct within their class (`distinct`). Other studies and
    images than those of the sample are left out. Raises SubmissionError naming what is missing or not finite.
    """
    header, ids = read_sample(sample)
    study_ids, image_ids = bare_ids(ids)
    studies = _rows_of(studies, study_ids, STUDY_CLASSES, "study")
    images = _rows_of(images, image_ids, (NONE, "rows", "columns", "boxes"), "image")

    strings = {}
    probabilities = [_finite_column(studies, name, "study") for name in STUDY_CLASSES]
    for study, scores in zip(study_ids, zip(*map(distinct, probabilities), strict=True), strict=True):
        strings[study + STUDY_SUFFIX] = " ".join(map(_group_text, STUDY_CLASSES, scores, [UNIT_BOX] * len(STUDY_CLASSES)))

    none_scores = distinct(_finite_column(images, NONE, "image"))
    boxes = [_film_boxes(*row) for row in zip(image_ids, images["boxes"], images["rows"], images["columns"], strict=True)]
    box_scores = iter(distinct(np.concatenate([found[:, 0] for found in boxes])) if boxes else [])
    for image, none_score, found in zip(image_ids, none_scores, boxes, strict=True):
        groups = [_group_text(NONE, none_score, UNIT_BOX)] + [_group_text(OPACITY, next(box_scores), box[1:]) for box in found]
        strings[image + IMAGE_SUFFIX] = " ".join(groups)

    write_text(path, csv_text([header, *((row_id, strings[row_id]) for row_id in ids)]))


def write_text(path, text):
    """Writes a text file whole or not at all. Raises SubmissionError where it cannot be, as on a full disk; what stood there stays."""
    path = Path(path)
    try:
        write_atomically(path, text)
    except OSError as error:
        reason = error.strerror or error
        raise SubmissionError(f"{path} cannot be written: {reason}; make room in {path.parent} or name another place") from None


def _rows_of(table, ids, columns, word):
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise SubmissionError(f"the {word} predictions have no column {', '.join(absent)}")
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()].unique()
        raise SubmissionError(f"{len(twice)} {word} ids have several predictions: {_some(twice)}")
    missing = [wanted for wanted in ids if wanted not in table.index]
    if missing:
        raise SubmissionError(f"{len(missing)} {word} ids of the sample have no prediction: {_some(missing)}")
    return table.loc[ids]


def _some(names, count=5):
    return ", ".join(map(str, names[:count])) + (", …" if len(names) > count else "")


def _finite_column(table, name, word):
    values = table[name].to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        named = [f"{table.index[row]} ({values[row]})" for row in bad]
        raise SubmissionError(f"probability {name} is not finite for {bad.size} {word} ids: {_some(named)}")
    return values


def _film_boxes(image, boxes, rows, columns):
    """[N, 5] confidence and box, clipped to the film, those without area dropped."""
    try:
        boxes = np.array(boxes, dtype=float).reshape(len(boxes), 5)
    except (TypeError, ValueError):
        raise SubmissionError(f"image {image}: boxes is a list of (confidence, xmin, ymin, xmax, ymax), got {show(repr(boxes))}") from None
    if not np.isfinite(boxes).all():
        raise SubmissionError(f"image {image}: a box has a confidence or coordinate that is not finite: {boxes.tolist()}")
    width, height = (np.inf if pd.isna(side) else float(side) for side in (columns, rows))
    boxes[:, 1:] = boxes[:, 1:].clip(0.0, [width, height, width, height])
    return boxes[(boxes[:, 1] < boxes[:, 3]) & (boxes[:, 2] < boxes[:, 4])]


def distinct(values):
    """float64 [N] in 0..1: the finite `values` [N] in the same ranking, none equal to another.

    Of equal values the earlier ranks higher, as graders with a stable sort have it. Values outside 0..1 go to the nearer
    end. A value changes only where it equals another or stands in the way of one that moves, by steps of 2**-52.
    """
    values = np.asarray(values, dtype=float)
    order = np.argsort(-values, kind="stable")
    ranked = values[order].clip(0.0, 1.0).tolist()
    for place in range(1, len(ranked)):
        if ranked[place] >= ranked[place - 1]:
            ranked[place] = ranked[place - 1] - _STEP
    if ranked:
        ranked[-1] = max(ranked[-1], 0.0)
    for place in range(len(ranked) - 2, -1, -1):
        if ranked[place] <= ranked[place + 1]:
            ranked[place] = ranked[place + 1] + _STEP
    result = np.empty(len(ranked))
    result[order] = ranked
    return result


def _group_text(name, confidence, box):
    return " ".join([name, *map(number_text, (confidence, *box))])


def number_text(value):
    """The shortest text that reads back as exactly this float."""
    return repr(float(value) + 0.0).removesuffix(".0")  # + 0.0: no minus zero
