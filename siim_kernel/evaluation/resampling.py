"""All measures of many resamples at once.

A resample of patients is a weight for each film: how often its patient was drawn. Every measure is a function of weighted
sums, so no resample is ever spelled out.
"""

import numpy as np

from siim_kernel.evaluation import calibration
from siim_kernel.evaluation.classification import joined, mean, of_counts, ratio

BLOCK = 32  # resamples worked on together: their weights of some thousand films stay in the processor's cache


def draws(n_groups, resamples, generator):
    """uint16 [resamples, n_groups]: how often each group is drawn when n_groups are drawn with replacement."""
    drawn = np.empty((resamples, n_groups), np.uint16)  # small: an external set has some ten thousand groups
    for row in drawn:
        row[:] = np.bincount(generator.integers(n_groups, size=n_groups), minlength=n_groups)
    return drawn


def resampled(predictions, drawn):
    """The values of `classification.measures`, in its order, for each resample: float [resamples, M].

    drawn  whole numbers [resamples, n_groups], how often each of the predictions' groups is in the resample
    """
    return in_blocks(_GroupSums(predictions).measures, drawn)


def in_blocks(function, drawn):
    """function(float [some resamples, n_groups]) of all draws, joined along the first axis."""
    blocks = [function(drawn[start : start + BLOCK].astype(float)) for start in range(0, len(drawn), BLOCK)]
    return np.concatenate(blocks)


def cell_counts(predictions, groups, n_groups):
    """Confusion matrix of each group: float [n_groups, K, K]; groups int [N]."""
    n_labels = len(predictions.labels)
    cells = np.zeros((n_groups, n_labels, n_labels))
    np.add.at(cells, (groups, predictions.truth, predictions.predicted), 1)
    return cells


class _GroupSums:
    """What the measures need of the films, summed over each group where a sum will do, ranked where it will not."""

    def __init__(self, predictions, bins=calibration.BINS):
        groups, n_groups = predictions.groups, predictions.n_groups
        self.cells = cell_counts(predictions, groups, n_groups)
        self.squares = np.zeros((n_groups, len(predictions.labels)))
        np.add.at(self.squares, groups, calibration.squared_errors(predictions))
        cases = list(calibration.cases(predictions))
        self.misses = np.zeros((n_groups, len(cases), bins))
        for place, (confidence, hit) in enumerate(cases):
            np.add.at(self.misses, (groups, place, calibration.bin_numbers(confidence, bins)), confidence - hit)
        self.rankings = [Ranking(confidence, hit, groups) for confidence, hit in cases[1:]]
        _, per_label = self._values(np.ones((1, n_groups)))  # every patient once: the sample itself
        self.labels = {name: ~np.isnan(values[0]) for name, values in per_label.items()}

    def measures(self, drawn):
        """[resamples, M] of draws, float [resamples, n_groups]."""
        overall, per_label = self._values(drawn)
        overall["balanced_accuracy"] = mean(per_label["sensitivity"], self.labels["sensitivity"])
        return joined(overall, per_label, self.labels)

    def _values(self, drawn):
        """Overall measures [resamples], and those of the labels [resamples, K]."""
        counts = np.tensordot(drawn, self.cells, axes=1)
        films = counts.sum(axis=(1, 2))[:, None]
        overall, per_label = of_counts(counts)
        weights = np.ascontiguousarray(drawn.T)
        areas = [ranking.areas(weights) for ranking in self.rankings]
        per_label["auc"] = np.stack([auc for auc, _ in areas], axis=-1)
        per_label["average_precision"] = np.stack([precision for _, precision in areas], axis=-1)
        per_label["brier"] = ratio(drawn @ self.squares, films)
        overall["brier"] = per_label["brier"].sum(axis=-1)
        misses = ratio(np.abs(np.tensordot(drawn, self.misses, axes=1)).sum(axis=-1), films)
        overall["calibration_error"], per_label["calibration_error"] = misses[:, 0], misses[:, 1:]
        return overall, per_label


class Ranking:
    """The films in falling order of one label's probability; films of equal probability make one level.

    confidence, hit  float [N]: the probability, and 1 where the film has the label; groups: int [N]
    thresholds       float [levels], falling
    """

    def __init__(self, confidence, hit, groups):
        order = np.argsort(-confidence, kind="stable")
        self.ends = np.flatnonzero(np.append(np.diff(confidence[order]), 1))  # the last film of each level
        self.thresholds = confidence[order][self.ends]
        self.groups = groups[order]
        self.positive = hit[order][:, None]

    def levels(self, weights):
        """Films at each level or above, and those among them that have the label: two float [levels, resamples]."""
        films = weights[self.groups]
        return np.cumsum(films, axis=0)[self.ends], np.cumsum(films * self.positive, axis=0)[self.ends]

    def areas(self, weights):
        """(AUC, average precision), each [resamples], of weights [n_groups, resamples]; NaN where not defined."""
        above, true = self.levels(weights)
        positives, negatives = true[-1], above[-1] - true[-1]
        gained = np.diff(true, axis=0, prepend=0)
        false = above - true
        # A film with the label stands over all negatives below its level, and over half of those in it.
        beaten = negatives - (false + np.vstack([np.zeros_like(false[:1]), false[:-1]])) / 2
        auc = ratio((gained * beaten).sum(axis=0), positives * negatives)
        precision = np.divide(true, above, out=np.zeros_like(true), where=above > 0)
        return auc, ratio((gained * precision).sum(axis=0), positives)
