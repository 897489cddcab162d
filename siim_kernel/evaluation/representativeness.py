"""Does the training data stand for the films that count? The errors of the parts of the data, and their gaps.

Thesis section 2.1.2, Fig. 11, for a training set joined from several sources: the error of people, on the training films, on
validation films of the same sources, and on final-test films of the competition alone. From one to the next the gaps are
the avoidable bias, the variance, and the mismatch: what the training data does not represent. The thesis calls its union
representative as the mismatch is 1.5 points, and leaves out its variance of 10.
"""

import numpy as np
import pandas as pd

from siim_kernel.errors import RunError
from siim_kernel.evaluation.classification import of_counts
from siim_kernel.evaluation.intervals import LEVEL, RESAMPLES, limits
from siim_kernel.evaluation.predictions import group_numbers
from siim_kernel.evaluation.resampling import cell_counts, draws, in_blocks

ERRORS = ("human", "train", "validation", "final_test")
GAPS = ("avoidable_bias", "variance", "mismatch")  # between one error and the next
MEASURES = ("error", "balanced_error")


def representativeness(train, validation, final_test, human_error=None, resamples=RESAMPLES, seed=0, level=LEVEL):
    """Errors and their gaps with intervals: DataFrame value, low, high; index (measure, quantity).

    train, validation, final_test  `Predictions` of one run; None for a part that there is not
    human_error                    share in 0..1, where somebody measured it; it is taken as exact
    measure                        "error" = 1 - accuracy; "balanced_error" = 1 - balanced accuracy, for unbalanced labels, over the
                                   labels that stand in all the parts that are given (`common_labels`), so that all have one measure
    quantity                       the four ERRORS, then the three GAPS (the later error less the earlier); NaN without the part

    The intervals are by bootstrap over patients, each part by itself: the parts are independent samples. Patients who stand
    in several parts (a split that leaks) are drawn for all these parts at once. Raises RunError where no part is given or
    their labels differ.
    """
    parts = dict(zip(ERRORS[1:], (train, validation, final_test), strict=True))
    given = {name: part for name, part in parts.items() if part is not None}
    labels = {part.labels for part in given.values()}
    if len(labels) != 1:
        raise RunError(f"the parts {', '.join(given) or '(none given)'} have the labels {sorted(labels)}; give parts of one run")
    if human_error is not None and not 0 <= human_error <= 1:
        raise ValueError(f"a human error is a share in 0..1, got {human_error}")
    # The first row are the films as they are, each patient once; the others are resamples.
    errors = np.full((1 + resamples, len(ERRORS), len(MEASURES)), np.nan)
    errors[:, 0] = np.nan if human_error is None else human_error
    for name, values in _errors(given, resamples, seed).items():
        errors[:, ERRORS.index(name)] = values
    values = np.concatenate([errors, np.diff(errors, axis=1)], axis=1).transpose(0, 2, 1).reshape(1 + resamples, -1)
    low, high, _ = limits(values[1:], level)
    index = pd.MultiIndex.from_product([MEASURES, ERRORS + GAPS], names=("measure", "quantity"))
    return pd.DataFrame({"value": values[0], "low": low, "high": high}, index=index)


def common_labels(parts):
    """bool [K]: the labels that have films in each of some `Predictions` of one scheme."""
    return np.logical_and.reduce([np.isin(np.arange(len(part.labels)), part.truth) for part in parts])


def _errors(parts, resamples, seed):
    """Part to its errors, float [1 + resamples, 2]: as it is, then of each resample."""
    groups = group_numbers(np.concatenate([part.patients for part in parts.values()]))
    n_groups = int(groups.max()) + 1
    groups = dict(zip(parts, np.split(groups, np.cumsum([len(part) for part in parts.values()])[:-1]), strict=True))
    # Patients of the same parts are drawn among themselves, by numbers of their own: so a part's interval does not hang on
    # which others are given.
    stands_in = sum(2 ** ERRORS.index(name) * np.isin(np.arange(n_groups), members) for name, members in groups.items())
    drawn = np.ones((1 + resamples, n_groups), np.uint16)
    for pattern in np.unique(stands_in):
        members = np.flatnonzero(stands_in == pattern)
        drawn[1:, members] = draws(len(members), resamples, np.random.default_rng([seed, pattern]))
    errors, labels = {}, common_labels(parts.values())
    for name, part in parts.items():
        cells = cell_counts(part, groups[name], n_groups)
        overall, _ = of_counts(in_blocks(lambda block, cells=cells: np.tensordot(block, cells, axes=1), drawn), labels)
        errors[name] = 1 - np.stack([overall["accuracy"], overall["balanced_accuracy"]], axis=-1)
        if part.n_groups < 2:  # one patient says nothing of others
            errors[name][1:] = np.nan
    return errors
