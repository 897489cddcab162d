"""ROC and precision-recall curves of one label against the rest, and the points at which a run can be operated."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from siim_kernel.evaluation.classification import of_counts
from siim_kernel.evaluation.intervals import LEVEL, RESAMPLES, limits
from siim_kernel.evaluation.resampling import Ranking, draws, in_blocks

HIGHEST, HALF, YOUDEN = "highest probability", "threshold 0.5", "Youden"
POINTS = (HIGHEST, HALF, YOUDEN)
POINT_VALUES = ("threshold", "sensitivity", "specificity", "ppv", "npv")


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
    values = _Points(predictions, label).values(np.ones((1, predictions.n_groups)))[0]
    table = pd.DataFrame(values, columns=list(POINT_VALUES))
    table.insert(0, "point", POINTS)
    present, _ = _case(predictions, label)
    return table if present.any() and not present.all() else table[:-1]


def point_intervals(predictions, label, resamples=RESAMPLES, seed=0, level=LEVEL):
    """`operating_points` with 95 % intervals by bootstrap over patients: DataFrame value, low, high, defined; index (point, value's name).

    Youden's threshold is chosen anew in each resample, so its intervals hold that choice; it flatters each time.
    """
    points = _Points(predictions, label)
    drawn = draws(predictions.n_groups, resamples, np.random.default_rng(seed))
    values = in_blocks(points.values, drawn).reshape(resamples, -1)
    values[np.isinf(values)] = np.nan  # the threshold of a resample in which none is better than chance
    low, high, defined = limits(values if predictions.n_groups > 1 else np.full_like(values, np.nan), level)
    found = operating_points(predictions, label)
    index = pd.MultiIndex.from_product([POINTS, POINT_VALUES], names=("point", "measure"))
    table = pd.DataFrame({"low": low, "high": high, "defined": defined}, index=index).loc[found["point"].tolist()]
    table.insert(0, "value", found[list(POINT_VALUES)].to_numpy().ravel())
    table.loc[(HALF, "threshold"), ["low", "high"]] = np.nan  # it is given, not found
    return table


class _Points:
    """The operating points of weighted films."""

    def __init__(self, predictions, label):
        present, scores = _case(predictions, label)
        groups = predictions.groups
        self.ranking = Ranking(scores, present.astype(float), groups)
        self.cells = {}  # point to the counts of each group, float [n_groups, 2, 2]: rows truth, columns said
        for point, positive in ((HIGHEST, predictions.predicted == predictions.labels.index(label)), (HALF, scores >= 0.5)):
            self.cells[point] = np.zeros((predictions.n_groups, 2, 2))
            np.add.at(self.cells[point], (groups, present.astype(int), positive.astype(int)), 1)

    def values(self, drawn):
        """float [resamples, points, values] of draws, float [resamples, n_groups]."""
        thresholds = {HIGHEST: np.nan, HALF: 0.5}
        counts = {point: np.tensordot(drawn, cells, axes=1) for point, cells in self.cells.items()}
        thresholds[YOUDEN], counts[YOUDEN] = self._youden(np.ascontiguousarray(drawn.T))
        rows = []
        for point in POINTS:
            _, of_label = of_counts(counts[point])
            threshold = np.broadcast_to(thresholds[point], len(drawn))
            rows.append(np.stack([threshold, *(of_label[name][:, 1] for name in POINT_VALUES[1:])], axis=-1))
        return np.stack(rows, axis=1)

    def _youden(self, weights):
        """(thresholds [resamples], counts [resamples, 2, 2]); NaN and empty where a side has no films."""
        above, true = self.ranking.levels(weights)
        positives, negatives = true[-1], above[-1] - true[-1]
        false = above - true
        gain = true * negatives - false * positives  # sensitivity + specificity - 1 but for a factor: whole numbers, exactly equal
        best, resamples = gain.argmax(axis=0), np.arange(weights.shape[1])  # the first, which is the highest threshold
        some = gain[best, resamples] > 0
        hits, wrong = (np.where(some, part[best, resamples], 0) for part in (true, false))
        both = (positives > 0) & (negatives > 0)
        thresholds = np.where(both, np.where(some, self.ranking.thresholds[best], np.inf), np.nan)
        counts = np.stack([np.stack([negatives - wrong, wrong], axis=-1), np.stack([positives - hits, hits], axis=-1)], axis=1)
        return thresholds, counts * both[:, None, None]


def _case(predictions, label):
    """(bool [N]: the film has the label; float [N]: the label's probability). Raises ValueError for an unknown label."""
    if label not in predictions.labels:
        raise ValueError(f"the label is one of {predictions.labels}, got {label!r}")
    code = predictions.labels.index(label)
    return predictions.truth == code, predictions.probabilities[:, code]
