"""Measures of a classification: of a confusion matrix, of the ranking, and of the probabilities.

Measures of one label are one-vs-rest: the label is "positive", all others together "negative". What is not defined is NaN,
never 0: sensitivity of a label without films, specificity of a label that all films have, PPV of a label never predicted,
NPV of one always predicted, F1 of a label neither present nor predicted, AUC where the truth lacks one of the two sides,
average precision of a label without films. A macro average is the mean over the labels that have the measure, as
scikit-learn's `zero_division=nan`; so a label never predicted is not in the macro PPV, and a collapsed model's looks better
than it is: read the labels' own rows beside it. Of a resample the labels are those of the sample that it was drawn from, so
that all resamples are measured by the same definition; where one of them is lost the mean is NaN.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from siim_kernel.evaluation import calibration
from siim_kernel.evaluation.predictions import MACRO, OVERALL

# The thesis's words, as its section 2.1.2 defines them, and what the field calls that. From its section 4.10 on it says
# "sensibilidad" of the row rate, the field's sensitivity.
THESIS_WORDS = {"exactitud": "accuracy", "sensibilidad": "ppv", "especificidad": "npv"}

# Columns of the medical article's table (npj Digital Medicine 3:70, 2020), in its order. Accuracy is of all films, the
# others of the abnormal label. AUC and F1 are printed as they are, the others in per cent.
ARTICLE_COLUMNS = {
    "AUC": "auc",
    "Sensitivity": "sensitivity",
    "Specificity": "specificity",
    "PPV": "ppv",
    "NPV": "npv",
    "F1": "f1",
    "Accuracy": "accuracy",
}
NOT_IN_PER_CENT = ("auc", "f1")


def confusion(predictions):
    """Counts, DataFrame [K, K]: row = true label, column = predicted label."""
    codes = range(len(predictions.labels))
    counts = confusion_matrix(predictions.truth, predictions.predicted, labels=codes)
    return pd.DataFrame(counts, index=predictions.labels, columns=predictions.labels)


def hit_rates(counts):
    """Each cell's share of its row (of the films with that true label): [..., K, K] in 0..1; NaN in rows without films."""
    return _like(counts, ratio(np.asarray(counts), np.asarray(counts).sum(axis=-1, keepdims=True)))


def shares(counts):
    """Each cell's share of all films: [..., K, K] in 0..1."""
    return _like(counts, ratio(np.asarray(counts), np.asarray(counts).sum(axis=(-2, -1), keepdims=True)))


def of_counts(counts, labels=None):
    """The measures that a confusion matrix holds: (overall, per label).

    counts     [..., K, K], row = truth; leading axes are kept
    labels     bool [K], those of the balanced accuracy, which is NaN where one of them has no films; None: those with films
    overall    dict: accuracy, balanced_accuracy (mean sensitivity of the labels) -> [...]
    per label  dict: sensitivity, specificity, ppv, npv, f1 -> [..., K]
    """
    counts = np.asarray(counts)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    total = true.sum(axis=-1)
    rejected = total[..., None] - true - predicted + hits  # neither of the label nor said to be
    per_label = {
        "sensitivity": ratio(hits, true),
        "specificity": ratio(rejected, total[..., None] - true),
        "ppv": ratio(hits, predicted),
        "npv": ratio(rejected, total[..., None] - predicted),
        "f1": ratio(2 * hits, true + predicted),
    }
    overall = {
        "accuracy": ratio(hits.sum(axis=-1), total),
        "balanced_accuracy": mean(per_label["sensitivity"], labels),
    }
    return overall, per_label


def measures(predictions):
    """All measures of `Predictions`: Series of float, index (measure, label).

    label "overall"    accuracy, balanced_accuracy, brier (sum over the labels, 0..2), calibration_error (of the label said)
    each label         sensitivity, specificity, ppv, npv, f1, auc (ROC), average_precision (scikit-learn's, without
                       interpolation), brier (0..1), calibration_error
    label "macro"      the mean of the labels' values
    """
    overall, per_label = of_counts(confusion(predictions))
    truth, probabilities = predictions.truth, predictions.probabilities
    present = [truth == code for code in range(len(predictions.labels))]
    per_label["auc"] = np.array(
        [
            roc_auc_score(mask, score) if mask.any() and not mask.all() else np.nan
            for mask, score in zip(present, probabilities.T, strict=True)
        ]
    )
    per_label["average_precision"] = np.array(
        [average_precision_score(mask, score) if mask.any() else np.nan for mask, score in zip(present, probabilities.T, strict=True)]
    )
    overall["brier"], per_label["brier"] = calibration.brier(predictions)
    overall["calibration_error"], per_label["calibration_error"] = calibration.errors(predictions)
    return pd.Series(joined(overall, per_label), index=measure_index(predictions.labels, overall, per_label), name="value")


def measure_index(labels, overall, per_label):
    """The index (measure, label) of the values that `joined` makes."""
    pairs = [(name, OVERALL) for name in overall] + [(name, label) for name in per_label for label in (*labels, MACRO)]
    return pd.MultiIndex.from_tuples(pairs, names=("measure", "label"))


def joined(overall, per_label, labels=None):
    """Overall measures [...] and those of the labels [..., K], with their macro averages, as one array [..., M].

    labels  measure -> bool [K], the labels of its macro average; None: those that have it
    """
    columns = [np.asarray(values)[..., None] for values in overall.values()]
    for name, values in per_label.items():
        columns += [values, mean(values, labels and labels[name])[..., None]]
    return np.concatenate(columns, axis=-1)


def ratio(part, whole):
    """part / whole, NaN where whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)[()]


def mean(values, labels=None):
    """Mean over the last axis [..., K] of some labels (bool [K]), NaN where one of them is; without labels of what is not NaN."""
    if labels is None:
        labels, values = ~np.isnan(values), np.nan_to_num(values)
    return ratio(np.where(labels, values, 0).sum(axis=-1), np.asarray(labels).sum(axis=-1))


def _like(counts, values):
    return pd.DataFrame(values, index=counts.index, columns=counts.columns) if isinstance(counts, pd.DataFrame) else values
