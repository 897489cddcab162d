"""Whether probabilities mean what they say: Brier score, reliability bins, expected calibration error.

Brier, "Verification of forecasts expressed in terms of probability", 1950 (the sum over the labels is his own form). Guo et
al., "On calibration of modern neural networks", ICML 2017 (the confidence in the label said); Kull et al., "Beyond
temperature scaling", NeurIPS 2019 (label by label).
"""

import numpy as np
import pandas as pd

from siim_kernel.evaluation.predictions import OVERALL

BINS = 10


def brier(predictions):
    """Mean squared error of the probabilities: (sum over the labels, 0..2; of each label one-vs-rest, [K] in 0..1)."""
    per_label = squared_errors(predictions).mean(axis=0)
    return per_label.sum(), per_label


def errors(predictions, bins=BINS):
    """Expected calibration error: (of the confidence in the label said; of each label's probability, [K]), all in 0..1.

    The mean over the films of |mean probability - share of hits| of the film's bin; bins of equal width. With few films it
    is biased upwards, the more so the more bins.
    """
    misses = [
        np.abs(np.bincount(bin_numbers(confidence, bins), confidence - hit)).sum() / len(hit) for confidence, hit in cases(predictions)
    ]
    return misses[0], np.array(misses[1:])


def reliability(predictions, bins=BINS):
    """The bins of a reliability diagram: DataFrame label, low, high, films, confidence, hits; a row for each bin.

    label       "overall" for the confidence in the label said, then each label
    confidence  mean probability in low..high (without low itself, but in the first bin), NaN in a bin without films
    hits        share of its films for which it was true, NaN likewise
    """
    edges = np.linspace(0, 1, bins + 1)
    tables = []
    for label, (confidence, hit) in zip((OVERALL, *predictions.labels), cases(predictions), strict=True):
        films = pd.DataFrame({"confidence": confidence, "hits": hit}).groupby(bin_numbers(confidence, bins))
        table = films.mean().reindex(range(bins))
        table.insert(0, "films", films.size().reindex(range(bins), fill_value=0))
        for place, (name, values) in enumerate((("label", label), ("low", edges[:-1]), ("high", edges[1:]))):
            table.insert(place, name, values)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def squared_errors(predictions):
    """float [N, K], (probability - truth)^2 of each film and label."""
    return (predictions.probabilities - np.eye(len(predictions.labels))[predictions.truth]) ** 2


def cases(predictions):
    """(probabilities [N], float hits [N] of 0 and 1) of the label said, then of each label."""
    said = predictions.predicted
    yield predictions.probabilities[np.arange(len(said)), said], (said == predictions.truth).astype(float)
    for code, confidence in enumerate(predictions.probabilities.T):
        yield confidence, (predictions.truth == code).astype(float)


def bin_numbers(confidence, bins):
    """Bin of each probability, 0 .. bins - 1; an edge belongs to the bin below it, as in scikit-learn's `calibration_curve`."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
