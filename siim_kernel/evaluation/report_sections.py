"""The sections of a report that are about one run."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from siim_kernel.errors import RunError
from siim_kernel.evaluation import calibration, classification, curves, figures, report_figures, report_films, report_making, report_tables
from siim_kernel.evaluation.intervals import intervals
from siim_kernel.evaluation.pages import Picture, Section, Table, Text
from siim_kernel.evaluation.predictions import OVERALL
from siim_kernel.evaluation.report_data import Judged
from siim_kernel.evaluation.report_tables import number, with_interval
from siim_kernel.evaluation.representativeness import ERRORS, GAPS, MEASURES, representativeness
from siim_kernel.recipes.catalogue import PUBLISHED

MANY = 4  # labels
POINTS_IN_TABLE = 40  # of a curve; its figure has them all
PARTS_OF_ERROR = {"validation": "validation (out of fold)", "final_test": "final test", "mismatch": "mismatch: final test less validation"}


@dataclass(frozen=True)
class Examined:
    """A run and what was found out about it once, for all sections.

    measures  with intervals, index (measure, label); tests: of the final test, None without one
    reports   `SplitReport` of each fold, None where the films are not known; why: what to do then
    flaws     of the split, in lines
    errors    `representativeness`, None without a final test
    """

    judged: Judged
    measures: pd.DataFrame
    tests: pd.DataFrame | None
    reports: list | None
    why: str
    flaws: tuple[str, ...]
    errors: pd.DataFrame | None


def examine(judged, films, resamples):
    """The `Examined` of a run; films is a `report_films.Films`."""
    tests = judged.final_test
    reports, more = report_films.split_of(judged, films)
    return Examined(
        judged=judged,
        measures=report_tables.measured(judged, resamples),
        tests=None if tests is None else intervals(tests, resamples),
        reports=reports,
        why="" if reports else more,
        flaws=tuple(report_films.flaws(reports)) if reports else (),
        errors=None if tests is None else representativeness(None, judged.predictions, judged.final_test_by_network, resamples=resamples),
    )


def of_run(found, films):
    """The sections of one `Examined`, in the order in which a reader asks."""
    judged = found.judged
    sections = [
        _confusion("confusion matrix", judged.predictions),
        Section("measures by label", _by_label(judged.predictions, found.measures)),
        _curves(judged.predictions, found.measures),
        _calibration(judged.predictions, found.measures),
    ]
    if len(judged.runs) > 1:
        sections.append(_folds(found))
    if found.tests is not None:
        sections += [_confusion("final test", judged.final_test, _by_label(judged.final_test, found.tests)), _errors(found)]
    sections += [each for each in (_score(judged, films), _printed(found), _extremes(judged, films)) if each]
    return [*sections, *report_making.sections(found)]


def _confusion(title, predictions, parts=()):
    counts = classification.confusion(predictions)
    rates, shares = classification.hit_rates(counts), classification.shares(counts)
    figure = report_figures.confusion(rates, counts, "Hit rates and films")
    alt = "Confusion matrix: rows are the true labels, columns what was said; the numbers stand in the tables beside it."
    tables = (
        Table(report_tables.matrix(counts), "Films"),
        Table(report_tables.matrix(rates, per_cent=True), "Hit rates: shares of the films of each true label"),
        Table(report_tables.matrix(shares, per_cent=True), "Shares of all films"),
    )
    return Section(title, (Picture(figure, alt), *tables, *parts))


def _by_label(predictions, measures):
    table = report_tables.per_label(predictions, measures)
    text = (
        "Each label against all others. A dash: not defined, as the PPV of a label that was never said; it is not in the mean. "
        f"{report_tables.thesis_words()}"
    )
    if len(predictions.labels) < MANY:  # more measures than labels: a row for each measure
        table = table.set_index("label").T.rename_axis("measure").reset_index()
    return Text(text), Table(table, "With 95 % intervals by patient")


def _curves(predictions, measures):
    # Of two labels the one's curve is the other's turned round: the second, by custom the positive one, is drawn.
    labels = predictions.labels[-1:] if len(predictions.labels) == 2 else predictions.labels
    points = {label: curves.operating_points(predictions, label) for label in labels}
    roc = {label: curves.roc(predictions, label) for label in labels}
    recall = {label: curves.precision_recall(predictions, label) for label in labels}
    aucs, precisions = ({label: with_interval(measures.loc[(name, label)]) for label in labels} for name in ("auc", "average_precision"))
    shares = {label: float(np.mean(predictions.truth == predictions.labels.index(label))) for label in labels}
    texts = "; ".join(f"{label}: AUC {aucs[label]}, average precision {precisions[label]}" for label in labels)
    table = _stacked(points).rename(columns=report_tables.word)
    for name in table.columns[2:]:
        table[name] = table[name].map(lambda value: "above all" if np.isinf(value) else number(value))
    return Section(
        "ROC and precision-recall curves",
        (
            Picture(
                report_figures.roc(roc, points, aucs),
                f"ROC curve of each label against the others, with operating points. {texts}.",
                _thinned(roc),
                "AUC with 95 % interval. Circle: the most probable label; square: threshold 0.5; triangle: Youden's threshold.",
            ),
            Picture(
                report_figures.precision_recall(recall, points, precisions, shares),
                f"Precision-recall curve of each label against the others, with operating points. {texts}.",
                _thinned(recall),
                "Average precision with 95 % interval. Dotted: precision of chance, which is the label's share of the films.",
            ),
            Table(table, "Operating points"),
            Text("Youden's threshold is chosen on the very films that it is measured on, which flatters it."),
        ),
    )


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
    return _stacked(some).round(4)


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
        alt = f"Reliability diagram of {title}: share of films for which it was so, over the probability said. Calibration error {text}."
        figure = report_figures.reliability(rows, f"Calibration: {title}")
        parts.append(Picture(figure, alt, table, f"Calibration error {text}. Dots are as large as their share of the films."))
    return Section("calibration", tuple(parts))


def _folds(found):
    judged, parts = found.judged, []
    parts.append(
        Text(
            f"{len(judged.runs)} folds. The mean is what one network of this recipe scores on its own fold, the standard deviation "
            "(n − 1) how much that changes from fold to fold; it is no interval of the mean. Pooled: all films at once, each by the "
            "network that did not learn from it, with the interval by patient. Per cent but AUC and F1, as the medical article prints it."
        )
    )
    parts.append(Table(report_tables.over_folds(found.measures), "Over the folds, and pooled"))
    parts.append(Table(report_tables.article_rows(found.measures, judged.labels), "Mean ± standard deviation over the folds"))
    return Section("cross-validation", tuple(parts))


def _errors(found):
    rows = []
    for quantity in (*ERRORS, *GAPS):
        both = [found.errors.loc[(measure, quantity)] for measure in MEASURES]
        if not both[0].isna()["value"]:
            texts = [with_interval(row) for row in both]
            rows.append((PARTS_OF_ERROR.get(quantity, quantity), *texts))
    gap = found.errors.loc[(MEASURES[1], "mismatch")]
    verdict = "differ by more than chance" if gap["low"] > 0 or gap["high"] < 0 else "do not differ by more than chance"
    training = report_making.training_accuracy(found.judged)
    return Section(
        "validation against the final test",
        (
            Text(
                f"By balanced accuracy, validation and final test {verdict}. Both are of single networks. The gap says "
                "whether the validation films stand for those of the final test (thesis, section 2.1.2). Of the training films: "
                f"{training}"
            ),
            Table(pd.DataFrame(rows, columns=["", "error (1 − accuracy)", "balanced error"]), "Errors and their gap, with 95 % intervals"),
        ),
    )


def _score(judged, films):
    found = report_films.score(judged, films)
    if found is None:
        return None
    count, score, (mean, sd) = found
    rows = [(name, report_tables.MISSING if value is None else number(value)) for name, value in (*score.AP.items(), ("mAP", score.mAP))]
    chance = "" if mean is None else f" Rows that change places at random have {number(mean)} (sd {number(sd)})."
    return Section(
        "the competition's metric",
        (
            Text(
                f"Mean of six average precisions on the {count:,} out-of-fold films, each by the network that did not learn from it. This "
                f"network draws no boxes: opacity has the boxes that training films gather around.{chance}"
            ),
            Table(pd.DataFrame(rows, columns=["class", "AP"]), "Average precision"),
        ),
    )


def _printed(found):
    judged = found.judged
    table = report_tables.printed(judged, found.measures, found.tests)
    if table is None:
        return None
    published = PUBLISHED[judged.recipe.name]
    remark = f" {published.remark[:1].upper()}{published.remark[1:]}." if published.remark else ""
    inferred = f" Not printed but inferred: {', '.join(published.inferred)}." if published.inferred else ""
    parts = [
        Text(
            f"Model {published.id}, section {published.section}. Printed figures are of other films than ours where the split, or the "
            f"number of films, is another; ours have 95 % intervals by patient.{remark}{inferred}"
        ),
        Table(table, "Printed and ours"),
    ]
    for each in published.matrices:
        counts = pd.DataFrame(each.rows, index=each.labels, columns=each.labels)
        phase = f", phase {each.phase}" if each.phase else ""
        parts.append(Table(report_tables.matrix(counts), f"Printed: {each.films}{phase}, films"))
    ours = classification.confusion(judged.predictions)
    order = list(published.matrices[0].labels) if published.matrices else list(judged.labels)
    if set(order) == set(judged.labels):
        parts.append(Table(report_tables.matrix(ours.loc[order, order]), "Ours: out of fold, films"))
    return Section("beside what was printed", tuple(parts))


def _extremes(judged, films):
    if not films.folders:
        return None
    parts = []
    for title, table in zip(("Worst", "Best"), report_films.extremes(judged.predictions), strict=True):
        found = films.shown(table["image"], judged.recipe.pixels.size)
        table = table[table["image"].isin(found)]
        if not len(table):
            raise RunError(f"the image sets have none of the films of {judged.name}; give the sets it was trained on, or none")
        columns = ("image", "truth", "said", report_films.SURE)
        shown = [
            figures.Film(found[image].picture, f"is {truth}\nsaid {said} {sure:.2f}", found[image].boxes)
            for image, truth, said, sure in zip(*(table[name] for name in columns), strict=True)
        ]
        caption = f"{title}: the {'lowest' if title == 'Worst' else 'highest'} probability of the true label."
        caption += " Boxes are those of the radiologists." if any(len(film.boxes) for film in shown) else ""
        parts.append(figures.picture(figures.sheet(shown, f"{title} films", columns=3), table.round(4), caption))
    return Section("films judged worst and best", tuple(parts))
