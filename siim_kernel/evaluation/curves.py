"""ROC and precision-recall curves of one label against the rest, and the points at which a run can be operated."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from siim_kernel.evaluation.classification import of_counts

HIGHEST, HALF, YOUDEN = "highest probability", "threshold 0.5", "Youden"
POINTS = (HIGHEST, HALF, YOUDEN)
_POINT_MEASURES = ("sensitivity", "specificity", "ppv", "npv")


def roc(predictions, label):
    """The ROC curve of a label: DataFrame threshold, sensitivity, specificity, thresholds falling from infinity.

    A film is positive from the threshold on. Points on a straight line between others are left out; a curve without a film on one
    of the two sides has no rows.
    """
    present, scores = _case(predictions, label)
    if present.all() or not present.any():
        return pd.DataFrame({"threshold": [], "sensitivity": [], "specificity": []}, dtype=float)
    false, true, thresholds = roc_curve(present, scores)
    return pd.DataFrame({"threshold": thresholds, "sensitivity": true, "specificity": 1 - false})


def precision_recall(predictions, label):
    """The precision-recall curve of a label: DataFrame threshold, recall, precision, thresholds falling from infinity.

    The first row, recall 0 and precision 1, is drawn by convention: no film is positive there. A label without films has no rows.
    """
    present, scores = _case(predictions, label)
    if not present.any():
        return pd.DataFrame({"threshold": [], "recall": [], "precision": []}, dtype=float)
    precision, recall, thresholds = precision_recall_curve(present, scores, drop_intermediate=True)
    return pd.DataFrame({"threshold": np.append(thresholds, np.inf), "recall": recall, "precision": precision})[::-1].reset_index(drop=True)


def operating_points(predictions, label):
    """Where a run can be operated for a label: DataFrame point, threshold, sensitivity, specificity, ppv, npv; NaN where not defined.

    highest probability  positive where the label has the highest probability of all, as the confusion matrix counts; no threshold.
                         Of two labels it is the threshold 0.5, but for films with exactly that
    threshold 0.5        positive where its probability is 0.5 or more
    Youden               the threshold with the largest sensitivity + specificity - 1 on these films, the highest of equals (Youden,
                         Cancer 3:32, 1950); chosen on the films that it is measured on, it flatters. Left out where there is no ROC
    """
    present, scores = _case(predictions, label)
    said = {HIGHEST: (np.nan, predictions.predicted == predictions.labels.index(label)), HALF: (0.5, scores >= 0.5)}
    curve = roc(predictions, label)
    if len(curve):
        threshold = curve["threshold"][(curve["sensitivity"] + curve["specificity"]).idxmax()]
        said[YOUDEN] = (threshold, scores >= threshold)
    rows = []
    for point, (threshold, positive) in said.items():
        counts = [[np.sum(~present & ~positive), np.sum(~present & positive)], [np.sum(present & ~positive), np.sum(present & positive)]]
        _, of_label = of_counts(counts)
        rows.append({"point": point, "threshold": threshold} | {name: of_label[name][1] for name in _POINT_MEASURES})
    return pd.DataFrame(rows)


def _case(predictions, label):
    """(bool [N]: the film has the label; float [N]: the label's probability). Raises ValueError for an unknown label."""
    if label not in predictions.labels:
        raise ValueError(f"the label is one of {predictions.labels}, got {label!r}")
    code = predictions.labels.index(label)
    return predictions.truth == code, predictions.probabilities[:, code]
