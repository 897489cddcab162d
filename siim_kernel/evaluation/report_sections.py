"""The sections of a report that are about one run."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from siim_kernel.evaluation import (
    calibration,
    classification,
    curves,
    figures,
    report_errors,
    report_figures,
    report_films,
    report_making,
    report_metric,
    report_printed,
    report_splits,
    report_tables,
)
from siim_kernel.evaluation.intervals import intervals
from siim_kernel.evaluation.pages import Section, Table, Text
from siim_kernel.evaluation.predictions import OVERALL
from siim_kernel.evaluation.report_data import Judged
from siim_kernel.evaluation.report_tables import with_interval

MANY = 4  # labels
POINTS_IN_TABLE = 40  # of a curve; its figure has them all
ABOVE_ALL = "above all"  # a threshold that no film reaches


@dataclass(frozen=True)
class Examined:
    """A run and what was found out about it once, for all sections.

    measures   with intervals, index (measure, label); tests: of the final test, None without one
    reports    `SplitReport` of each fold, None where the films are not known; why: what to do then
    flaws      of the split and of the weights that the training started from, in lines
    errors     `representativeness` of training, validation and final test, as far as there are
    resamples  of the intervals
    """

    judged: Judged
    measures: pd.DataFrame
    tests: pd.DataFrame | None
    reports: list | None
    why: str
    flaws: tuple[str, ...]
    errors: pd.DataFrame
    resamples: int


def examine(judged, films, resamples):
    """The `Examined` of a run; films is a `report_films.Films`."""
    tests = judged.final_test
    reports, more = report_splits.split_of(judged, films)
    flaws = (*report_splits.start_flaws(judged), *(report_splits.flaws(reports) if reports else ()))
    return Examined(
        judged=judged,
        measures=report_tables.measured(judged, resamples),
        tests=None if tests is None else intervals(tests, resamples),
        reports=reports,
        why="" if reports else more,
        flaws=flaws,
        errors=report_errors.examined(judged, resamples),
        resamples=resamples,
    )


def of_run(found, films):
    """The sections of one `Examined`, in the order in which a reader asks."""
    judged = found.judged
    sections = [
        _confusion("confusion matrix", judged.predictions),
        Section("measures by label", _by_label(judged.predictions, found.measures, found.resamples)),
        _curves(judged.predictions, found.measures, found.resamples),
        _calibration(judged.predictions, found.measures),
    ]
    if len(judged.runs) > 1:
        sections.append(_folds(found))
    if found.tests is not None:
        sections.append(_confusion("final test", judged.final_test, _by_label(judged.final_test, found.tests, found.resamples)))
    sections.append(report_errors.section(judged, found.errors))
    printed = report_printed.section(judged, found.measures, found.tests, found.resamples)
    sections += [each for each in (report_metric.section(judged, films), printed, _extremes(judged, films)) if each]
    return [*sections, *report_making.sections(found)]


def _confusion(title, predictions, parts=()):
    counts = classification.confusion(predictions)
    rates, shares = classification.hit_rates(counts), classification.shares(counts)
    figure = report_figures.confusion(rates, counts, "Hit rates and films")
    tables = (
        Table(report_tables.matrix(counts), "Films"),
        Table(report_tables.matrix(rates, per_cent=True), "Hit rates: shares of the films of each true label"),
        Table(report_tables.matrix(shares, per_cent=True), "Shares of all films"),
    )
    return Section(title, (figures.picture(figure), *tables, *parts))


def _by_label(predictions, measures, resamples):
    table = report_tables.per_label(predictions, measures)
    text = "Each label against all others. A dash: not defined, as the PPV of a label that was never said; it is not in the mean."
    if len(predictions.labels) < MANY:  # more measures than labels: a row for each measure
        table = table.set_index("label").T.rename_axis("measure").reset_index()
    article = report_tables.article_columns(measures, predictions.labels)
    note = report_tables.stand_on(measures, resamples)
    return (
        Text(text),
        Table(table, f"With 95 % intervals by {report_tables.unit(predictions)}"),
        *([Text(note)] if note else []),
        Table(article, "In the columns of the medical article (npj Digital Medicine 3:70), each label taken as the abnormal one"),
    )


def _curves(predictions, measures, resamples):
    # Of two labels the one's curve is the other's turned round: the second, by custom the positive one, is drawn.
    labels = predictions.labels[-1:] if len(predictions.labels) == 2 else predictions.labels
    points = {label: curves.operating_points(predictions, label) for label in labels}
    roc = {label: curves.roc(predictions, label) for label in labels}
    recall = {label: curves.precision_recall(predictions, label) for label in labels}
    aucs, precisions = ({label: with_interval(measures.loc[(name, label)]) for label in labels} for name in ("auc", "average_precision"))
    shares = {label: float(np.mean(predictions.truth == predictions.labels.index(label))) for label in labels}
    return Section(
        "ROC and precision-recall curves",
        (
            figures.picture(
                report_figures.roc(roc, points, aucs),
                _thinned(roc),
                "AUC with 95 % interval. Circle: the most probable label; square: threshold 0.5; triangle: Youden's threshold.",
            ),
            figures.picture(
                report_figures.precision_recall(recall, points, precisions, shares),
                _thinned(recall),
                "Average precision with 95 % interval. Dotted: precision of chance, which is the label's share of the films.",
            ),
            Table(_points(predictions, labels, resamples), f"Operating points, with 95 % intervals by {report_tables.unit(predictions)}"),
            Text(
                "Youden's threshold is chosen on the very films that it is measured on, which flatters it; the intervals choose it anew in "
                "each resample, and so hold how uncertain the choice is."
            ),
        ),
    )


def _points(predictions, labels, resamples):
    """The operating points of labels as a table of texts: label, point, threshold and measures with intervals."""
    rows = []
    for label in labels:
        found = curves.point_intervals(predictions, label, resamples)
        for point in found.index.unique("point"):
            of_point = found.loc[point]
            texts = {report_tables.word(name): with_interval(row) for name, row in of_point.iterrows()}
            if np.isinf(of_point["value"]["threshold"]):
                texts["threshold"] = ABOVE_ALL
            rows.append({"label": label, "point": point} | texts)
    return pd.DataFrame(rows)


def _stacked(tables):
    return pd.concat([table.assign(label=label) for label, table in tables.items()], ignore_index=True)[
        lambda table: ["label", *table.columns.drop("label")]
    ]


def _thinned(tables):
    """Some points of each curve, the first and the last among them."""
    some = {
        label: table.iloc[np.unique(np.linspace(0, len(table) - 1, min(len(table), POINTS_IN_TABLE)).round().astype(int))]
        for label, table in tables.items()
    }
    table = _stacked(some).round(4)
    return table.assign(threshold=[ABOVE_ALL if np.isinf(value) else value for value in table["threshold"]])


def _calibration(predictions, measures):
    bins = calibration.reliability(predictions)
    parts = [
        Text(
            "Of all films that a network is 80 % sure of, 80 % should be so. The calibration error is the mean distance from that; the "
            "Brier score also counts how well the labels are told apart. 0 is best for both."
        )
    ]
    labels = predictions.labels[-1:] if len(predictions.labels) == 2 else predictions.labels
    for label in (OVERALL, *labels):
        rows = bins[bins["label"] == label]
        text = with_interval(measures.loc[("calibration_error", label)])
        title = "the label said" if label == OVERALL else label
        table = rows[["low", "high", "films", "confidence", "hits"]].round(3)
        figure = report_figures.reliability(rows, f"Calibration: {title}")
        parts.append(figures.picture(figure, table, f"Calibration error {text}. Dots are as large as their share of the films."))
    return Section("calibration", tuple(parts))


def _folds(found):
    judged = found.judged
    return Section(
        "cross-validation",
        (
            Text(
                f"{judged.folds_text}. The mean is what one network of this recipe scores on its own fold, the standard deviation "
                "(n − 1) how much that changes from fold to fold; it is no interval of the mean. Pooled: all films at once, each by the "
                f"network that did not learn from it, with the interval by {report_tables.unit(judged.predictions)}. As the medical "
                "article prints them, mean and deviation stand under measures by label."
            ),
            Table(report_tables.over_folds(found.measures), "Over the folds, and pooled; all as shares"),
        ),
    )


def _extremes(judged, films):
    pairs = list(zip(("Worst", "Best"), report_films.extremes(judged.predictions), strict=True))
    shown = films.shown([image for _, table in pairs for image in table["image"]], judged.recipe.pixels)
    parts = []
    if films.folders and not shown:
        warning = f"The image sets have none of these films of {judged.name}: give the sets that it was trained on, to see them."
        parts.append(Text(warning, warning=True))
    for title, table in pairs:
        caption = f"{title}: the {'lowest' if title == 'Worst' else 'highest'} probability of the true label."
        had = table[table["image"].isin(shown)]
        if not len(had):
            parts.append(Table(table.round(4), caption))
            continue
        columns = ("image", "truth", "said", report_films.SURE)
        sheet = [
            figures.Film(shown[image].picture, f"is {truth}\nsaid {said} {sure:.2f}", shown[image].boxes)
            for image, truth, said, sure in zip(*(had[name] for name in columns), strict=True)
        ]
        caption += " Boxes are those of the radiologists." if any(film.boxes is not None and len(film.boxes) for film in sheet) else ""
        caption += f" {len(had)} of {len(table)} are in the image sets." if len(had) < len(table) else ""
        parts.append(figures.picture(figures.sheet(sheet, f"{title} films", columns=3), table.round(4), caption))
    return Section("films judged worst and best", tuple(parts))
