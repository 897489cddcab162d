"""A cross-validation in figures: the mean of the folds beside the pooled out-of-fold value.

They answer two questions. The **mean over folds** is what one network of this recipe scores on its own fold, and the
**standard deviation** (of the sample, n - 1) how much that changes from fold to fold, networks and films together. It is no
standard error, and no interval of the mean: the folds' networks share most of their training films. The **pooled** value
judges all films at once, each by the network that did not see its patient. Accuracy, Brier score and all that is a mean over
films is nearly the same either way (the folds differ in size); what ranks films (AUC, average precision) is not: pooled, it
compares probabilities of different networks, so networks on different scales lower it. Its interval is by patient.
"""

import numpy as np
import pandas as pd

from siim_kernel.errors import TableError
from siim_kernel.evaluation import classification
from siim_kernel.evaluation.classification import ARTICLE_COLUMNS, NOT_IN_PER_CENT
from siim_kernel.evaluation.intervals import LEVEL, RESAMPLES, intervals
from siim_kernel.evaluation.predictions import OVERALL


def summary(predictions, folds, resamples=RESAMPLES, seed=0, level=LEVEL):
    """Each measure over the folds and pooled: DataFrame mean, sd, folds, value, low, high, defined; index (measure, label).

    predictions  out-of-fold `Predictions` of all films
    folds        whole numbers [N], the fold that each film was held out in
    mean, sd     over the folds that have the measure, `folds` of them; sd is NaN with fewer than two
    value ...    pooled, as `intervals.intervals` gives them

    Raises TableError where the folds are not one whole number a film.
    """
    table = by_fold(predictions, folds)
    across = pd.DataFrame({"mean": table.mean(axis=1), "sd": table.std(axis=1, ddof=1), "folds": table.notna().sum(axis=1)})
    return across.join(intervals(predictions, resamples, seed, level))


def by_fold(predictions, folds):
    """Each measure on each fold: DataFrame, index (measure, label), a column for each fold in rising order."""
    folds = np.asarray(folds)
    if folds.shape != predictions.truth.shape or folds.dtype.kind not in "iu":
        raise TableError(
            f"folds are {folds.dtype} of shape {folds.shape} for {len(predictions)} films; one whole number for each film is expected"
        )
    return pd.DataFrame({int(fold): classification.measures(predictions.take(folds == fold)) for fold in np.unique(folds)})


def article_row(table, label):
    """The medical article's row of a `summary`: dict of its columns to "94.18 ± .47"; `label` is the abnormal one.

    Per cent but AUC and F1, as printed there (npj Digital Medicine 3:70). The article says "± a standard deviation".
    """
    cells = {}
    for column, measure in ARTICLE_COLUMNS.items():
        found = table.loc[(measure, OVERALL if measure == "accuracy" else label)]
        cells[column] = plus_minus(found["mean"], found["sd"], measure)
    return cells


def plus_minus(mean, sd, measure):
    """A share in 0..1 as the article prints it: "94.18 ± .47" (per cent), or ".9741 ± .0050" for AUC and F1; "–" for NaN."""
    factor, digits = (1, 4) if measure in NOT_IN_PER_CENT else (100, 2)
    return " ± ".join("–" if np.isnan(value) else _without_leading_zero(f"{value * factor:.{digits}f}") for value in (mean, sd))


def _without_leading_zero(text):
    return text[1:] if text.startswith("0.") else text
