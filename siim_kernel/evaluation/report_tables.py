"""The tables of a report: the figures of the other modules as rows and columns for a reader."""

import numpy as np
import pandas as pd

from siim_kernel.evaluation import crossvalidation
from siim_kernel.evaluation.classification import ARTICLE_COLUMNS, NOT_IN_PER_CENT, THESIS_WORDS
from siim_kernel.evaluation.intervals import RESAMPLES, intervals
from siim_kernel.evaluation.pages import counted
from siim_kernel.evaluation.predictions import MACRO, OVERALL

WORDS = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "auc": "AUC",
    "average_precision": "average precision",
    "f1": "F1",
    "ppv": "PPV",
    "npv": "NPV",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
MAIN = (("balanced_accuracy", OVERALL), ("accuracy", OVERALL), ("auc", MACRO), ("average_precision", MACRO), ("f1", MACRO))
MAIN += (("brier", OVERALL), ("calibration_error", OVERALL))
MISSING = "–"
NAMED = 3  # measures with the fewest resamples, by name
GLOSSES = (
    "Out of fold: a film is judged by a network that did not learn from it. Sensitivity (the thesis's hit rate): the share of a label's "
    "films that were found. Specificity: the share of the other films that were not taken for it. PPV: the share of the films said to be "
    "of a label that are; NPV: of those said not to be, that are not. F1: harmonic mean of sensitivity and PPV. AUC: how often a film of "
    "the label is ranked above one without it, .5 by chance. Average precision: mean PPV over the ranking, by chance the label's share. "
    "Brier score: mean squared error of the probabilities, 0 is best."
)


def measured(judged, resamples=RESAMPLES):
    """All measures of a `Judged` with intervals: `intervals.intervals`, for several folds `crossvalidation.summary`."""
    if len(judged.runs) > 1:
        return crossvalidation.summary(judged.predictions, judged.table["fold"].to_numpy(), resamples)
    return intervals(judged.predictions, resamples)


def word(measure, label=OVERALL):
    """A measure as a reader calls it."""
    return WORDS.get(measure, measure) + ", mean of the labels" * (label == MACRO)


def thesis_words():
    """A sentence on the measures that the thesis calls by another's name."""
    pairs = [f"the {word(measure)} “{name}”" for name, measure in THESIS_WORDS.items() if measure != "accuracy"]
    return (
        f"The thesis (section 2.1.2) calls {' and '.join(pairs)}; its hit rates (4.9 to 4.11) are sensitivities, and what it writes at the "
        "axis of the ROC curve, “false negatives”, is the false positive rate, 1 − specificity."
    )


def number(value):
    """A share as text with three digits and no leading zero, as the field prints it; a dash where it is not defined."""
    if pd.isna(value):
        return MISSING
    text = f"{abs(value):.3f}"
    sign = "−" if value < 0 and float(text) > 0 else ""
    return sign + (text[1:] if text.startswith("0.") else text)


def with_interval(row):
    """ ".741 (.702 to .780)" of a row with value, low and high; without the brackets where there is no interval."""
    return number(row["value"]) + limits_text(row)


def limits_text(row):
    """ " (.702 to .780)" of a row with low and high, "" where there is no interval."""
    return "" if pd.isna(row["low"]) else f" ({number(row['low'])} to {number(row['high'])})"


def p_text(p):
    """A p value as text: three digits, "< .001", or a dash."""
    return "< .001" if p < 0.001 else number(p)


def majority(predictions):
    """(label, share) of the most frequent true label: what is always said without looking, and its accuracy."""
    counts = np.bincount(predictions.truth, minlength=len(predictions.labels))
    return predictions.labels[counts.argmax()], counts.max() / counts.sum()


def people(predictions):
    """ "304 films of 290 patients", and how many films are of nobody known."""
    films = counted(len(predictions), "film")
    unknown = int((predictions.patients == "").sum())
    if unknown == len(predictions):
        return f"{films}, patients unknown"
    are = "film is of an unknown patient" if unknown == 1 else "films are of unknown patients"
    alone = f" ({unknown:,} {are}, each counted as one)" if unknown else ""
    return f"{films} of {counted(predictions.n_groups, 'patient')}{alone}"


def unit(predictions):
    """What the intervals' resamples draw: "patient", or "film, patients unknown"."""
    return "film, patients unknown" if (predictions.patients == "").all() else "patient"


def absent_labels(predictions):
    """The labels without films."""
    counts = np.bincount(predictions.truth, minlength=len(predictions.labels))
    return [label for label, count in zip(predictions.labels, counts, strict=True) if not count]


def over_labels(predictions):
    """ " over 3 of 4 labels" where some have no films, else ""."""
    count = len(predictions.labels)
    absent = len(absent_labels(predictions))
    return f" over {count - absent} of {count} labels" if absent else ""


def stand_on(rows, resamples):
    """A sentence on the intervals that stand on fewer than all resamples, as the others lack a label; "" where all stand on all.

    rows  of `measured`, index (measure, label)
    """
    fewer = rows["defined"][(rows["defined"] < resamples) & (rows["defined"] > 0)].sort_values(kind="stable")
    if not len(fewer):
        return ""
    texts = [
        f"{word(measure, label)}{'' if label in (OVERALL, MACRO) else f' of {label}'} on {int(count):,}"
        + (", too few for an interval" if count * 2 < resamples else "")
        for (measure, label), count in fewer.iloc[:NAMED].items()
    ]
    more = f", {len(fewer) - NAMED} more on no fewer" if len(fewer) > NAMED else ""
    return (
        f"Of {resamples:,} resamples those that lack a label, or a film said to be of it, are left out of what hangs on it: "
        f"{'; '.join(texts)}{more}."
    )


def main(predictions, measures):
    """The main figures: dict of a measure's words to its text, the majority class's accuracy after the accuracy."""
    label, share = majority(predictions)
    texts = {}
    for measure, of in MAIN:
        texts[word(measure, of)] = with_interval(measures.loc[(measure, of)])
        if measure == "balanced_accuracy":
            texts[word(measure, of)] += over_labels(predictions)
        if measure == "accuracy":
            texts["accuracy of the majority class alone"] = f"{number(share)} ({label})"
    known = (predictions.patients != "").any()
    return texts | {"films": f"{len(predictions):,}", "patients": f"{predictions.n_groups:,}" if known else "unknown"}


def side_by_side(columns):
    """DataFrame measure, then a column for each name of `columns`, which are dicts of `main`'s kind."""
    return pd.DataFrame(columns).rename_axis("measure").reset_index()


def per_label(predictions, measures):
    """DataFrame label, films, then each measure of one label with its interval; the last row is the mean of the labels."""
    counts = np.bincount(predictions.truth, minlength=len(predictions.labels))
    rows = []
    for label, films in zip((*predictions.labels, MACRO), (*counts, counts.sum()), strict=True):
        of_label = measures.xs(label, level="label")
        texts = {word(measure): with_interval(row) for measure, row in of_label.iterrows()}
        rows.append({"label": "mean of the labels" if label == MACRO else label, "films": int(films)} | texts)
    return pd.DataFrame(rows)


def matrix(counts, per_cent=False):
    """A confusion matrix [K, K] as a table: a row for each true label, a column for each that was said; shares in per cent."""
    cells = counts.map(lambda share: MISSING if pd.isna(share) else f"{share:.1%}") if per_cent else counts
    return cells.rename_axis("truth \\ said").reset_index()


def over_folds(table):
    """The main measures of a `crossvalidation.summary`, all as shares: mean ± sd, folds that have it, pooled with interval."""
    rows = []
    for measure, label in MAIN:
        row = table.loc[(measure, label)]
        spread = f"{number(row['mean'])} ± {number(row['sd'])}"
        rows.append((word(measure, label), spread, int(row["folds"]), with_interval(row)))
    return pd.DataFrame(rows, columns=["measure", "mean ± sd", "folds", "pooled"])


def article_columns(table, labels):
    """DataFrame of the medical article's columns in its units, a row for each label taken as the abnormal one.

    table  as `measured` gives it: of several folds also a row mean ± sd for each label, as the article prints it
    """
    rows = []
    for label in labels:
        pooled = {}
        for column, measure in ARTICLE_COLUMNS.items():
            row = table.loc[(measure, OVERALL if measure == "accuracy" else label)]
            pooled[_in_its_unit(column, measure)] = in_unit(row, measure)
        rows.append({"abnormal": label, "": "95 % interval"} | pooled)
        if "mean" in table:
            spread = crossvalidation.article_row(table, label)
            named = {_in_its_unit(column, measure): spread[column] for column, measure in ARTICLE_COLUMNS.items()}
            rows.append({"abnormal": label, "": "folds, mean ± sd"} | named)
    return pd.DataFrame(rows)


def _in_its_unit(column, measure):
    return column if measure in NOT_IN_PER_CENT else f"{column}, %"


def in_unit(row, measure):
    """A value with its interval in the unit of print: per cent with two digits, AUC and F1 as shares."""
    if measure in NOT_IN_PER_CENT:
        return with_interval(row)
    limits = "" if pd.isna(row["low"]) else f" ({row['low'] * 100:.2f} to {row['high'] * 100:.2f})"
    return MISSING if pd.isna(row["value"]) else f"{row['value'] * 100:.2f}{limits}"
