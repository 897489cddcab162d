"""The figures of a report, as matplotlib Figures that know their text alternative (see `figures.picture`)."""

import math
from contextlib import contextmanager
from textwrap import wrap

import numpy as np
from matplotlib import rc_context

from siim_kernel.evaluation.curves import HALF, HIGHEST, YOUDEN
from siim_kernel.evaluation.figures import COLOURS, STYLE, WIDTH, blank
from siim_kernel.evaluation.pages import INK, counted, per_cent
from siim_kernel.evaluation.report_tables import number, with_interval

HEIGHT = 3.8  # inches
STYLES = ("-", "--", "-.", ":")
# The highest probability is a wide ring: of two labels it lies where the threshold 0.5 does, and both are to be seen.
MARKS = {
    HIGHEST: {"marker": "o", "ms": 13, "mfc": "none", "mew": 1.8, "zorder": 3},
    HALF: {"marker": "s", "ms": 6, "mew": 0.7, "mec": INK, "zorder": 4},
    YOUDEN: {"marker": "^", "ms": 7, "mew": 0.7, "mec": INK, "zorder": 5},
}


@contextmanager
def _axes(alt, title, across, up, height=HEIGHT, width=WIDTH):
    """(figure, its one pair of axes), titled."""
    with rc_context(STYLE):
        figure = blank(alt, title, height, width)
        axes = figure.add_subplot()
        axes.set(xlabel=across, ylabel=up)
        yield figure, axes


def learning_curves(history, measure, title):
    """Accuracy or loss over the epochs, a thin line a fold, the borders of phases as upright lines.

    history  as `report_data.Judged.history`; measure: "accuracy" or "loss"
    """
    folds = list(history.groupby("fold"))
    said = [
        f"{name}: {_ends([table[column] for _, table in folds])}"
        for name, column in (("training", measure), ("validation", f"validation_{measure}"))
    ]
    alt = f"Line chart, {title}: {measure} over {max((len(table) for _, table in folds), default=0)} epochs. {'. '.join(said)}."
    with _axes(alt, title, "epoch", measure) as (figure, axes):
        for column, colour, style, name in (
            (measure, COLOURS[0], "-", "training"),
            (f"validation_{measure}", COLOURS[1], "--", "validation"),
        ):
            for place, (_, table) in enumerate(folds):
                line = {"color": colour, "ls": style, "lw": 1.8 if len(folds) == 1 else 1.0, "alpha": 1 if len(folds) == 1 else 0.75}
                axes.plot(table["epoch"], table[column], label=None if place else name, marker="." if len(table) < 3 else "", **line)
        for border in sorted({table["epoch"][table["phase"] == phase].max() for _, table in folds for phase in _ended(table)}):
            axes.axvline(border + 0.5, color=INK, lw=0.9, ls=":")
        axes.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(loc="outside lower center", ncols=2)
        return figure


def _ends(curves):
    """In words, where the curves of some folds begin and end: the means over the folds."""
    first, last = (np.mean([curve.iloc[place] for curve in curves]) if curves else np.nan for place in (0, -1))
    folds = f", means of {len(curves)} folds" if len(curves) > 1 else ""
    return f"from {number(first)} to {number(last)}{folds}"


def _ended(table):
    """The phases of one fold after which another came."""
    return sorted(table["phase"].unique())[:-1]


def confusion(rates, counts, title):
    """Hit rates as shaded cells, each with its share of the row and its count; [K, K] DataFrames, row = truth."""
    size = len(rates)
    alt = f"Confusion matrix, {title}. {'. '.join(_row(label, rates.loc[label], counts.loc[label]) for label in rates.index)}."
    with _axes(alt, title, "said", "truth", 1.7 + 0.62 * size, max(WIDTH, 1.2 + 0.75 * size)) as (figure, axes):
        for row in range(size):
            for column in range(size):
                share = rates.iloc[row, column]
                corners = [column, column + 1, column + 1, column], [row, row, row + 1, row + 1]
                axes.fill(*corners, color=COLOURS[0], lw=0, alpha=0.6 * _zero(share))
                text = f"{per_cent(share, 0) or '–'}\n{counts.iloc[row, column]:,}"
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=10)
        axes.set(xlim=(0, size), ylim=(size, 0), xticks=np.arange(size) + 0.5, yticks=np.arange(size) + 0.5)
        axes.set_xticklabels(rates.columns, rotation=0 if size < 4 else 30, ha="center" if size < 4 else "right", rotation_mode="anchor")
        axes.set_yticklabels(rates.index)
        axes.tick_params(length=0)
        return figure


def _row(label, rates, counts):
    """One row of a confusion matrix in words: what was said of the films of one label, the most frequent first."""
    said = [f"{per_cent(rates[name], 0)} {name}" for name in counts.sort_values(ascending=False, kind="stable").index if counts[name]]
    return f"True {label}, {counted(counts.sum(), 'film')}{': said ' * bool(said)}{', '.join(said)}"


def _zero(share):
    return 0 if math.isnan(share) else share


def roc(curves, points, texts):
    """ROC curves: label -> `curves.roc`; label -> `curves.operating_points`; label -> text of its AUC."""
    said = [f"{label}: AUC {texts[label]}{_at(points[label], 'sensitivity', 'specificity')}" for label in curves]
    with _axes(f"ROC curves. {'. '.join(said)}.", "ROC", "1 − specificity", "sensitivity", _height(curves)) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
        for place, (label, curve) in enumerate(curves.items()):
            line = _line(place)
            axes.plot(1 - curve["specificity"], curve["sensitivity"], label=f"{label}: {texts[label]}", **line)
            _marks(axes, points[label], 1 - points[label]["specificity"], points[label]["sensitivity"], line["color"])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        _legend(figure, axes)
        return figure


def precision_recall(curves, points, texts, shares):
    """Precision-recall curves, as `roc`; shares: label -> its share of the films, the precision of chance, as a dotted line."""
    said = [
        f"{label}: average precision {texts[label]}, by chance {number(shares[label])}{_at(points[label], 'sensitivity', 'ppv')}"
        for label in curves
    ]
    alt = f"Precision-recall curves. {'. '.join(said)}."
    with _axes(alt, "Precision and recall", "recall (sensitivity)", "precision (PPV)", _height(curves)) as (figure, axes):
        for place, (label, curve) in enumerate(curves.items()):
            line = _line(place)
            axes.plot(curve["recall"], curve["precision"], drawstyle="steps-pre", label=f"{label}: {texts[label]}", **line)
            axes.axhline(shares[label], color=line["color"], lw=0.8, ls=":")
            _marks(axes, points[label], points[label]["sensitivity"], points[label]["ppv"], line["color"])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        _legend(figure, axes)
        return figure


def _height(curves):
    """The height of a figure with a legend below it, a line for each curve."""
    return HEIGHT + 0.22 * len(curves)


def _at(points, *measures):
    """The operating points in words: what a run has of two measures at each."""
    words, said = {"ppv": "precision", HIGHEST: "the highest probability", YOUDEN: "Youden's threshold"}, ""
    for point in points.itertuples():
        values = ", ".join(f"{words.get(name, name)} {number(getattr(point, name))}" for name in measures)
        said += f"; at {words.get(point.point, point.point)}: {values}"
    return said


def _line(place):
    return {"color": COLOURS[place % len(COLOURS)], "ls": STYLES[place % len(STYLES)], "lw": 1.6}


def _marks(axes, points, across, up, colour):
    for point, x, y in zip(points["point"], across, up, strict=True):
        axes.plot([x], [y], **{"color": colour, "mec": colour, "ls": ""} | MARKS[point])


def _legend(figure, axes):
    """The curves, below the axes where they hide nothing; what the marks are stands in the caption."""
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside lower center")


def reliability(bins, title):
    """Reliability diagram of one label: the share of hits over the mean probability of each bin, dots as large as their films.

    bins  rows of `calibration.reliability` of one label
    """
    held = bins[bins["films"] > 0]
    said = [f"{number(row.confidence)} said, {number(row.hits)} so ({counted(row.films, 'film')})" for row in held.itertuples()]
    alt = f"Reliability diagram, {title}. {'; '.join(said) or 'No films'}."
    with _axes(alt, title, "probability said", "share that was so") as (figure, axes):
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":", label="as it should be")
        axes.plot(held["confidence"], held["hits"], color=COLOURS[0], lw=1.4)
        axes.scatter(
            held["confidence"], held["hits"], s=12 + 160 * held["films"] / max(1, held["films"].max()), color=COLOURS[0], alpha=0.7
        )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        figure.legend(loc="outside lower center")
        return figure


def hit_rates(columns):
    """Hit rates from one run to the next, a line a label with its intervals.

    columns  name of a run -> DataFrame value, low, high, index label
    """
    labels = list(dict.fromkeys(label for rates in columns.values() for label in rates.index))
    title, width = "Hit rates from one run to the next", max(WIDTH, 1.3 * len(columns))
    runs_of = {label: [name for name, rates in columns.items() if label in rates.index] for label in labels}
    said = [f"{label}: {'; '.join(f'{name} {with_interval(columns[name].loc[label])}' for name in runs_of[label])}" for label in labels]
    height = HEIGHT + 0.22 * math.ceil(len(labels) / 2)
    with _axes(f"Line chart, {title}. {'. '.join(said)}.", title, "", "hit rate (sensitivity)", height, width) as (figure, axes):
        for place, label in enumerate(labels):
            rows = [(run, rates.loc[label]) for run, rates in enumerate(columns.values()) if label in rates.index]
            across = np.array([run for run, _ in rows]) + 0.06 * (place - (len(labels) - 1) / 2)
            value, low, high = (np.array([row[name] for _, row in rows], float) for name in ("value", "low", "high"))
            spread = np.nan_to_num([value - low, high - value]).clip(0)
            axes.errorbar(across, value, yerr=spread, label=label, marker="o", ms=5, capsize=3, **_line(place))
        axes.set(ylim=(-0.02, 1.02), xlim=(-0.5, len(columns) - 0.5), xticks=range(len(columns)))
        axes.set_xticklabels(["\n".join(wrap(name, 14, max_lines=4, placeholder=" ...")) for name in columns], fontsize=10)
        figure.legend(loc="outside lower center", ncols=2)
        return figure
