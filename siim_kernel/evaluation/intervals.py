"""95 % intervals by bootstrap over patients.

The films of one patient are alike, so the patient is what is drawn: as many patients as there are, with replacement, each
with all their films (Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapters 8 and 13: percentiles). A
bootstrap over films would take several films of a patient for independent witnesses, and its intervals would be too narrow.

A resample in which a measure is not defined (one without any film of a rare label, also for the mean of the labels) is left
out for that measure; `defined` counts those that were kept. Where fewer than half were, or there is one patient only, the
limits are NaN. Resamples are less well calibrated than what they are drawn from, so the limits of a calibration error lie high
and may leave the value outside.
"""

import numpy as np
import pandas as pd

from siim_kernel.evaluation import classification
from siim_kernel.evaluation.predictions import check_same_films
from siim_kernel.evaluation.resampling import draws, resampled

RESAMPLES = 2000
LEVEL = 0.95


def intervals(predictions, resamples=RESAMPLES, seed=0, level=LEVEL):
    """All measures with their intervals: DataFrame value, low, high, defined; index (measure, label) of `classification.measures`."""
    drawn = draws(predictions.n_groups, resamples, np.random.default_rng(seed))
    return _table(classification.measures(predictions), resampled(predictions, drawn), predictions.n_groups, level)


def difference_intervals(first, second, resamples=RESAMPLES, seed=0, level=LEVEL):
    """`intervals` of the differences first - second of two runs on the same films: every resample has the same patients for both.

    A difference whose interval holds 0 may be chance. Raises RunError where the films are not the same, in the same order.
    """
    check_same_films(first, second)
    drawn = draws(first.n_groups, resamples, np.random.default_rng(seed))
    value = classification.measures(first) - classification.measures(second)
    return _table(value, resampled(first, drawn) - resampled(second, drawn), first.n_groups, level)


def limits(values, level=LEVEL):
    """(low, high, defined), each [M], of the values of resamples [resamples, M]: percentiles of what is not NaN."""
    defined = (~np.isnan(values)).sum(axis=0)
    usable = (defined * 2 >= len(values)) & (defined > 0)
    low, high = np.full((2, values.shape[1]), np.nan)
    if usable.any():
        low[usable], high[usable] = np.nanquantile(values[:, usable], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high, defined


def _table(value, values, n_groups, level):
    low, high, defined = limits(values if n_groups > 1 else np.full_like(values, np.nan), level)
    return pd.DataFrame({"value": value.to_numpy(), "low": low, "high": high, "defined": defined}, index=value.index)
