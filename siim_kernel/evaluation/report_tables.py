"""The tables of a report: the figures of the other modules as rows and columns for a reader."""

import numpy as np
import pandas as pd

from siim_kernel.errors import RunError
from siim_kernel.evaluation import classification, comparison, crossvalidation
from siim_kernel.evaluation.classification import ARTICLE_COLUMNS, NOT_IN_PER_CENT, THESIS_WORDS
from siim_kernel.evaluation.intervals import RESAMPLES, difference_intervals, intervals
from siim_kernel.evaluation.predictions import MACRO, OVERALL, check_same_films
from siim_kernel.recipes.catalogue import PUBLISHED
from siim_kernel.recipes.thesis import FINAL_TEST

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
ARTICLE_WORDS = {word.lower(): (word, measure) for word, measure in ARTICLE_COLUMNS.items()}
MISSING = "–"


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
    return f"The thesis (section 2.1.2) calls {' and '.join(pairs)}."


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
    unknown = int((predictions.patients == "").sum())
    alone = f" ({unknown:,} films are of unknown patients, each counted as one)" if unknown else ""
    return f"{len(predictions):,} films of {predictions.n_groups:,} patients{alone}"


def main(predictions, measures):
    """The main figures: dict of a measure's words to its text, the majority class's accuracy after the accuracy."""
    label, share = majority(predictions)
    texts = {}
    for measure, of in MAIN:
        texts[word(measure, of)] = with_interval(measures.loc[(measure, of)])
        if measure == "accuracy":
            texts["accuracy of the majority class alone"] = f"{number(share)} ({label})"
    return texts | {"films": f"{len(predictions):,}", "patients": f"{predictions.n_groups:,}"}


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
    """The main measures of a `crossvalidation.summary`: mean ± sd as the article prints, folds that have it, pooled with interval."""
    rows = []
    for measure, label in MAIN:
        row = table.loc[(measure, label)]
        spread = crossvalidation.plus_minus(row["mean"], row["sd"], measure)
        rows.append((word(measure, label), spread, int(row["folds"]), with_interval(row)))
    return pd.DataFrame(rows, columns=["measure", "mean ± sd", "folds", "pooled"])


def article_rows(table, labels):
    """DataFrame of the medical article's columns, a row for each label taken as the abnormal one."""
    return pd.DataFrame([{"abnormal": label} | crossvalidation.article_row(table, label) for label in labels])


def paired(first, second, resamples=RESAMPLES):
    """Two `Judged` on the films that both judged: (DataFrame, what films, a sentence on the films that one alone has right).

    None where their labels or truth are not the same.
    Columns: measure, the two names, difference (first - second), its interval, p, test. Raises RunError where they share no film, or
    the films' patients differ.
    """
    common = np.intersect1d(first.predictions.images, second.predictions.images)
    if not len(common):
        raise RunError(
            f"the runs {first.name} and {second.name} judged different films, none is of both: they cannot be compared. Report them "
            "apart, or name the folder that holds the folds of one training"
        )
    one, other = (each.predictions.take(np.isin(each.predictions.images, common)) for each in (first, second))
    if one.labels != other.labels or (one.truth != other.truth).any():
        return None
    check_same_films(one, other)
    differences = difference_intervals(one, other, resamples)
    values = [classification.measures(each) for each in (one, other)]
    accuracy = comparison.mcnemar(one, other)
    tests = {("accuracy", OVERALL): (accuracy.p, "McNemar")}
    differences = differences.copy()
    for label in one.labels:
        found = comparison.delong(one, other, label)
        tests["auc", label] = (found.p, "DeLong")
        differences.loc[("auc", label), ["low", "high"]] = found.low, found.high
    wanted = [*MAIN[:2], *(("auc", label) for label in one.labels), *MAIN[2:]]
    rows = []
    for measure, label in wanted:
        p, test = tests.get((measure, label), (np.nan, ""))
        row = differences.loc[(measure, label)]
        rows.append(
            {"measure": word(measure, label) + (f", {label}" if label in one.labels else "")}
            | {each.name: number(value[measure, label]) for each, value in zip((first, second), values, strict=True)}
            | {"difference": number(row["value"]), "95 % interval": limits_text(row).strip(" ()")}
            | {"p": p_text(p), "test": test}
        )
    alone = f"{accuracy.only_first:,} films are right by {first.name} alone, {accuracy.only_second:,} by {second.name} alone."
    return pd.DataFrame(rows), f"{len(one):,} films of {one.n_groups:,} patients", alone


def rates(columns):
    """Hit rates from one run to the next: DataFrame label, then each name's sensitivity with interval.

    columns  name -> measures (index (measure, label)); a label that a run has not is empty
    """
    texts = {
        name: {label: with_interval(row) for label, row in measures.loc["sensitivity"].iterrows() if label != MACRO}
        for name, measures in columns.items()
    }
    return pd.DataFrame(texts).fillna("").rename_axis("label").reset_index()


def printed(judged, measures, tests):
    """What was printed of a recipe beside ours: DataFrame figure, printed, ours; None for a recipe of which nothing was printed.

    tests  measures of the final test with intervals, None without one
    """
    published = PUBLISHED.get(judged.recipe.name)
    if published is None:
        return None
    if tests is None and judged.recipe.split == "thesis_continued":  # the thesis's final test validates it
        tests = measures
    rows, last = [], len(judged.recipe.phases)
    ends = judged.history.groupby(["fold", "phase"])["validation_accuracy"].last().groupby("phase").mean()
    for phase, value in enumerate(published.accuracy[:-1], 1):
        rows.append((f"accuracy after phase {phase}, validation", f"{value:.2f} %", _per_cent(ends.get(phase))))
    if published.accuracy:
        rows.append(("accuracy, validation", f"{published.accuracy[-1]:.2f} %", _of(measures, "accuracy", OVERALL)))
    if published.final_test is not None:
        rows.append(("accuracy, final test", f"{published.final_test:.2f} %", _of(tests, "accuracy", OVERALL)))
    for each in published.matrices:
        if each.phase in (0, last):
            ours = tests if each.films == FINAL_TEST else measures
            overall, of_label = classification.of_counts(each.rows)
            rows.append(
                (f"balanced accuracy, {each.films}", _per_cent(overall["balanced_accuracy"]), _of(ours, "balanced_accuracy", OVERALL))
            )
            for label, share in zip(each.labels, of_label["sensitivity"], strict=True):
                rows.append((f"hit rate of {label}, {each.films}", _per_cent(share), _of(ours, "sensitivity", label)))
    if published.loss is not None:
        loss = judged.history.groupby("fold")["validation_loss"].last().mean()
        rows.append(("validation loss after the last epoch", f"{published.loss:.4f}", MISSING if pd.isna(loss) else f"{loss:.4f}"))
    for name, (value, sd) in (published.measures or {}).items():
        measure = ARTICLE_WORDS[name.lower()][1]
        factor = 1 if measure in NOT_IN_PER_CENT else 100
        text = crossvalidation.plus_minus(value / factor, sd / factor, measure)
        rows.append((name, text, _of(measures, measure, OVERALL if measure == "accuracy" else judged.labels[-1])))
    return pd.DataFrame(rows, columns=["figure", "printed", "ours"])


def _of(measures, measure, label):
    """Ours in the printed figure's unit: per cent with interval, but AUC and F1."""
    if measures is None or (measure, label) not in measures.index:
        return MISSING
    row = measures.loc[(measure, label)]
    if measure in NOT_IN_PER_CENT:
        return with_interval(row)
    limits = "" if pd.isna(row["low"]) else f" ({row['low'] * 100:.2f} to {row['high'] * 100:.2f})"
    return _per_cent(row["value"]) + limits


def _per_cent(share):
    return MISSING if share is None or pd.isna(share) else f"{share * 100:.2f} %"
