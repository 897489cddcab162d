"""The competition's metric: the mean of six average precisions, PASCAL VOC 2010 at IoU > 0.5.

Everingham et al., "The PASCAL Visual Object Classes Challenge 2012 development kit", section 3.4: all points, with the
precision envelope. Boxes are continuous (no pixel is added to a side). The best overlap is sought among all truths of the
row and class; a second detection of a truth already found is a false positive. Equal confidences are ranked by the
submission's row order, then by position in the row. A class without any truth has no average precision.
"""

from dataclasses import dataclass

import numpy as np

from siim_kernel.competition import checking, solutions
from siim_kernel.competition.submission import HEADER, STUDY_SUFFIX, parse, read, show
from siim_kernel.errors import SubmissionError
from siim_kernel.labels import METRIC_CLASSES

IOU_THRESHOLD = 0.5


@dataclass(frozen=True)
class Score:
    """AP: class to average precision in 0..1, or None for a class without truth; mAP: the mean of those, or None."""

    AP: dict[str, float | None]
    mAP: float | None


def average_precision(hits, truths):
    """Area under the precision envelope over all recalls, 0..1; None without truths.

    hits    bool [N], the detections from the highest confidence to the lowest: does it find a truth not yet found?
    truths  number of truths
    """
    if not truths:
        return None
    hits = np.asarray(hits, dtype=bool)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / truths)


def score(submission, solution):
    """`Score` of a submission (DataFrame id, PredictionString) against a solution (the same, perhaps with Usage).

    Rows whose Usage is `Ignored` are not scored. Raises SubmissionError where the ids of the two differ or occur twice,
    or a string is not in the grammar.
    """
    tables, is_study = _align(submission, solution)
    return _score(tables, np.arange(len(is_study)))


def chance(submission, solution, permutations=200, seed=0):
    """(mean, standard deviation) of mAP when whole rows of the submission change places, studies and images apart.

    This is what the submission's form alone is worth: on small sets, far more than the prevalence. (None, None) where no
    class has a truth. Raises as `score` does.
    """
    if permutations < 2:
        raise ValueError(f"a standard deviation needs 2 or more permutations, got {permutations}")
    tables, is_study = _align(submission, solution)
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(permutations):
        places = np.arange(len(is_study))
        for kind in (is_study, ~is_study):
            places[kind] = generator.permutation(places[kind])
        values.append(_score(tables, places).mAP)
    if values[0] is None:
        return None, None
    return float(np.mean(values)), float(np.std(values, ddof=1))


def read_files(submission_path, solution_path):
    """The two DataFrames that `score` and `chance` take, for a submission that passes every check.

    The solution stands for the sample; the films' sizes are not known here. Raises SubmissionError listing the first
    faults of the submission, or what is wrong with the solution.
    """
    solution = solutions.read_solution(solution_path)
    report = checking.check_ids(submission_path, solution["id"])
    if not report.ok:
        some, more = report.faults[:10], len(report.faults) - 10
        lines = [f"{submission_path} has {len(report.faults)} faults and is not scored", *map(str, some)]
        raise SubmissionError("\n  ".join(lines + [f"and {more} more"] * (more > 0)))
    return read(submission_path), solution


def score_files(submission_path, solution_path):
    """`score` of two CSV files, the submission checked first; see `read_files`."""
    return score(*read_files(submission_path, solution_path))


@dataclass(frozen=True)
class _ClassTable:
    """One class: its detections, in the submission's order, and its truths; rows are places in the submission.

    rows    [N] row of each detection
    boxes   [N, 4]
    ranks   [N] 0 for the highest confidence; equal confidences have equal ranks
    truths  [M, 4] boxes, row by row
    starts  [R + 1] the truths of row r are starts[r] .. starts[r + 1] - 1
    """

    rows: np.ndarray
    boxes: np.ndarray
    ranks: np.ndarray
    truths: np.ndarray
    starts: np.ndarray

    def ranking(self, places):
        """Order of the detections when row r stands at places[r]: confidence, then row, then position in the row."""
        keys = self.ranks * len(places) + places[self.rows]
        return np.argsort(keys, kind="stable")

    def hits(self, places):
        """bool [N], ranked: whether each detection is the first to have its best overlap, over 0.5, with its truth."""
        order = self.ranking(places)
        rows, boxes = places[self.rows[order]], self.boxes[order]
        hits = np.zeros(len(rows), dtype=bool)
        counts = self.starts[rows + 1] - self.starts[rows]
        detections = np.flatnonzero(counts)
        if not detections.size:
            return hits
        # Every pair of a detection and a truth of its row, detection by detection.
        counts = counts[detections]
        firsts = np.cumsum(counts) - counts
        pair_detection = np.repeat(detections, counts)
        pair_truth = np.arange(counts.sum()) + np.repeat(self.starts[rows[detections]] - firsts, counts)
        overlaps = _iou(boxes[pair_detection], self.truths[pair_truth])
        # The best pair of each detection, the first of equals; then the first detection of each truth.
        best = np.flatnonzero(overlaps == np.repeat(np.maximum.reduceat(overlaps, firsts), counts))
        best = best[np.diff(pair_detection[best], prepend=-1) > 0]
        best = best[overlaps[best] > IOU_THRESHOLD]
        _, earliest = np.unique(pair_truth[best], return_index=True)
        hits[pair_detection[best[earliest]]] = True
        return hits


def _score(tables, places):
    precisions = {name: average_precision(table.hits(places), len(table.truths)) for name, table in tables.items()}
    known = [value for value in precisions.values() if value is not None]
    return Score(AP=precisions, mAP=float(np.mean(known)) if known else None)


@np.errstate(all="ignore")  # absurd coordinates (1e300, 1e-300) overlap nothing, and need no warning
def _iou(boxes, others):
    """Intersection over union of the boxes [N, 4], pair by pair: [N] in 0..1."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / (areas - shared)


def _align(submission, solution):
    """The six `_ClassTable` of the scored rows, and bool [R]: which of those rows are studies."""
    strings = _strings(submission, "submission")
    truths = _strings(solution, "solution")
    for missing, where in ((truths.keys() - strings.keys(), "submission"), (strings.keys() - truths.keys(), "solution")):
        if missing:
            raise SubmissionError(f"{len(missing)} ids are not in the {where}, the first is {min(missing)}")
    if "Usage" in solution:
        ignored = set(solution["id"][solution["Usage"] == solutions.IGNORED])
        strings = {row_id: text for row_id, text in strings.items() if row_id not in ignored}
    detected, true = _by_class(strings), _by_class({row_id: truths[row_id] for row_id in strings})
    tables = {}
    for name in METRIC_CLASSES:
        rows, confidences, boxes = detected[name]
        truth_rows, _, truth_boxes = true[name]
        counts = np.bincount(truth_rows, minlength=len(strings))
        _, ranks = np.unique(-confidences, return_inverse=True)
        tables[name] = _ClassTable(rows, boxes, ranks, truth_boxes, np.concatenate([[0], np.cumsum(counts)]))
    return tables, np.array([row_id.endswith(STUDY_SUFFIX) for row_id in strings], dtype=bool)


def _strings(table, word):
    lacking = [name for name in HEADER if name not in table]
    if lacking:
        raise SubmissionError(f"the {word} has no column {' and '.join(lacking)}")
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        raise SubmissionError(f"the {word} has {len(twice)} duplicate ids, the first is {twice.iloc[0]}")
    return dict(zip(table["id"], table["PredictionString"], strict=True))


def _by_class(strings):
    """Class to (rows [N], confidences [N], boxes [N, 4]) of the strings, rows counted in their order."""
    found = {name: [] for name in METRIC_CLASSES}
    for row, (row_id, text) in enumerate(strings.items()):
        try:
            groups = parse(text)
        except SubmissionError as error:
            raise SubmissionError(f"row {show(row_id)}: {error}") from None
        for name, confidence, box in groups:
            found[name].append((row, confidence, *box))
    arrays = {name: np.array(values, dtype=float).reshape(-1, 6) for name, values in found.items()}
    return {name: (values[:, 0].astype(int), values[:, 1], values[:, 2:]) for name, values in arrays.items()}
