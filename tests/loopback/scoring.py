"""A submission's score, worked out slowly and apart from the package: loops, curves, and nothing imported from it.

VOC 2010 average precision (all points, with the precision envelope) of six classes at IoU > 0.5, and their mean.
"""

import csv

CLASSES = ("negative", "typical", "indeterminate", "atypical", "none", "opacity")


class ScoringError(Exception):
    """The file is not a submission to this solution."""


def score(submission, solution, usage=None):
    """Mean average precision of the CSV `submission` on the rows of `solution` whose Usage is `usage`, by default all not `Ignored`.

    None where no such row is there. Raises ScoringError where the header, the ids or a string are not as they must be.
    """
    header, predicted = _rows(submission)
    if header[:2] != ["id", "PredictionString"]:
        raise ScoringError(f"the columns are {header}")
    _, true = _rows(solution)
    ids, wanted = [row[0] for row in predicted], [row[0] for row in true]
    if len(ids) != len(set(ids)) or set(ids) != set(wanted):
        raise ScoringError(f"{len(ids)} ids, {len(set(ids) & set(wanted))} of the {len(wanted)} wanted ones")
    kept = {row[0] for row in true if (usage is None and row[2:] != ["Ignored"]) or row[2:] == [usage]}
    truths = [item for row in true if row[0] in kept for item in _items(*row[:2])]
    found = [item for row in predicted for item in _items(*row[:2]) if row[0] in kept]
    values = [average_precision(name, found, truths) for name in CLASSES]
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def average_precision(name, predicted, true):
    """Of one class; `predicted` and `true` are lists of (row, class, confidence, box). None without a truth."""
    truths = [[row, box, False] for row, its_name, _, box in true if its_name == name]
    if not truths:
        return None
    recalls, precisions, hits = [], [], 0
    ranked = sorted((item for item in predicted if item[1] == name), key=lambda item: -item[2])
    for rank, (row, _, _, box) in enumerate(ranked, 1):
        best, owner = 0.0, None
        for truth in truths:
            if truth[0] == row and overlap(box, truth[1]) > best:
                best, owner = overlap(box, truth[1]), truth
        if best > 0.5 and not owner[2]:
            owner[2] = True
            hits += 1
        recalls.append(hits / len(truths))
        precisions.append(hits / rank)
    area = before = 0.0
    for place, recall in enumerate(recalls):
        area += (recall - before) * max(precisions[place:])
        before = recall
    return area


def overlap(first, second):
    """Intersection over union of two boxes x1, y1, x2, y2."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return width * height / (sum(areas) - width * height)


def _rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def _items(row, text):
    words = text.split()
    if not words or len(words) % 6:
        raise ScoringError(f"row {row}: {len(words)} words")
    try:
        groups = [(words[start], *map(float, words[start + 1 : start + 6])) for start in range(0, len(words), 6)]
    except ValueError as error:
        raise ScoringError(f"row {row}: {error}") from None
    return [(row, name, confidence, box) for name, confidence, *box in groups]
