"""The figures of a report, as matplotlib Figures for `pages.Picture`."""

import math
from contextlib import contextmanager

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from siim_kernel.evaluation.figures import COLOURS, STYLE
from siim_kernel.evaluation.pages import INK

SIDES = (4.8, 4.0)  # inches; narrow enough for two beside each other, and for a phone
STYLES = ("-", "--", "-.", ":")
MARKS = {"highest probability": "o", "threshold 0.5": "s", "Youden": "^"}


@contextmanager
def _axes(title, across, up, sides=SIDES):
    """(figure, its one pair of axes), titled."""
    with rc_context(STYLE):
        figure = Figure(figsize=sides, layout="constrained")
        axes = figure.add_subplot()
        axes.set(title=title, xlabel=across, ylabel=up)
        yield figure, axes


def learning_curves(history, measure, title):
    """Accuracy or loss over the epochs, a thin line a fold, the borders of phases as upright lines.

    history  as `report_data.Judged.history`; measure: "accuracy" or "loss"
    """
    with _axes(title, "epoch", measure) as (figure, axes):
        folds = list(history.groupby("fold"))
        for column, colour, style, name in (
            (measure, COLOURS[0], "-", "training"),
            (f"validation_{measure}", COLOURS[1], "--", "validation"),
        ):
            for number, (_, table) in enumerate(folds):
                line = {"color": colour, "ls": style, "lw": 1.8 if len(folds) == 1 else 1.0, "alpha": 1 if len(folds) == 1 else 0.75}
                axes.plot(table["epoch"], table[column], label=None if number else name, marker="." if len(table) < 3 else "", **line)
        for border in sorted({table["epoch"][table["phase"] == phase].max() for _, table in folds for phase in _ended(table)}):
            axes.axvline(border + 0.5, color=INK, lw=0.9, ls=":")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        return figure


def _ended(table):
    """The phases of one fold after which another came."""
    return sorted(table["phase"].unique())[:-1]


def confusion(rates, counts, title):
    """Hit rates as shaded cells, each with its share of the row and its count; [K, K] DataFrames, row = truth."""
    size = len(rates)
    side = max(SIDES[0], 1.0 + 0.75 * size)
    with _axes(title, "said", "truth", (side, 1.1 + 0.62 * size + 0.6)) as (figure, axes):
        for row in range(size):
            for column in range(size):
                share = rates.iloc[row, column]
                axes.fill(
                    [column, column + 1, column + 1, column], [row, row, row + 1, row + 1], color=COLOURS[0], lw=0, alpha=0.6 * _zero(share)
                )
                text = f"{share:.0%}\n{counts.iloc[row, column]:,}" if not math.isnan(share) else f"–\n{counts.iloc[row, column]:,}"
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=10 if size < 6 else 8)
        axes.set(xlim=(0, size), ylim=(size, 0), xticks=np.arange(size) + 0.5, yticks=np.arange(size) + 0.5)
        axes.set_xticklabels(rates.columns, rotation=0 if size < 4 else 30, ha="center" if size < 4 else "right")
        axes.set_yticklabels(rates.index)
        axes.tick_params(length=0)
        return figure


def _zero(share):
    return 0 if math.isnan(share) else share


def roc(curves, points, texts):
    """ROC curves: label -> `curves.roc`; label -> `curves.operating_points`; label -> text of its AUC."""
    with _axes("ROC", "1 − specificity", "sensitivity", _sides(curves)) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
        for number, (label, curve) in enumerate(curves.items()):
            line = _line(number)
            axes.plot(1 - curve["specificity"], curve["sensitivity"], label=f"{label}: {texts[label]}", **line)
            _marks(axes, points[label], 1 - points[label]["specificity"], points[label]["sensitivity"], line["color"])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        _legend(figure, axes)
        return figure


def precision_recall(curves, points, texts, shares):
    """Precision-recall curves, as `roc`; shares: label -> its share of the films, the precision of chance, as a dotted line."""
    with _axes("Precision and recall", "recall (sensitivity)", "precision (PPV)", _sides(curves)) as (figure, axes):
        for number, (label, curve) in enumerate(curves.items()):
            line = _line(number)
            axes.plot(curve["recall"], curve["precision"], drawstyle="steps-pre", label=f"{label}: {texts[label]}", **line)
            axes.axhline(shares[label], color=line["color"], lw=0.8, ls=":")
            _marks(axes, points[label], points[label]["sensitivity"], points[label]["ppv"], line["color"])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        _legend(figure, axes)
        return figure


def _sides(curves):
    """The sides of a figure with a legend below it, a line for each one or two curves."""
    return SIDES[0], SIDES[1] + 0.22 * math.ceil(len(curves) / 2)


def _line(number):
    return {"color": COLOURS[number % len(COLOURS)], "ls": STYLES[number % len(STYLES)], "lw": 1.6}


def _marks(axes, points, across, up, colour):
    for point, x, y in zip(points["point"], across, up, strict=True):
        axes.plot([x], [y], MARKS[point], color=colour, ms=6, mec=INK, mew=0.7, ls="")


def _legend(figure, axes):
    """The curves, below the axes where they hide nothing; what the marks are stands in the caption."""
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside lower center", ncols=1 if len(handles) < 3 else 2)


def reliability(bins, title):
    """Reliability diagram of one label: the share of hits over the mean probability of each bin, dots as large as their films.

    bins  rows of `calibration.reliability` of one label
    """
    with _axes(title, "probability said", "share that was so") as (figure, axes):
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":", label="as it should be")
        held = bins[bins["films"] > 0]
        axes.plot(held["confidence"], held["hits"], color=COLOURS[0], lw=1.4)
        axes.scatter(
            held["confidence"], held["hits"], s=12 + 160 * held["films"] / max(1, held["films"].max()), color=COLOURS[0], alpha=0.7
        )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(loc="upper left")
        return figure


def hit_rates(columns):
    """Hit rates from one run to the next, a line a label with its intervals.

    columns  name of a run -> DataFrame value, low, high, index label
    """
    with _axes("Hit rates from one run to the next", "", "hit rate (sensitivity)", (max(SIDES[0], 1.2 * len(columns)), SIDES[1])) as (
        figure,
        axes,
    ):
        labels = list(dict.fromkeys(label for rates in columns.values() for label in rates.index))
        for number, label in enumerate(labels):
            rows = [(place, rates.loc[label]) for place, rates in enumerate(columns.values()) if label in rates.index]
            places = np.array([place for place, _ in rows]) + 0.06 * (number - (len(labels) - 1) / 2)
            value, low, high = (np.array([row[name] for _, row in rows], float) for name in ("value", "low", "high"))
            spread = np.nan_to_num([value - low, high - value]).clip(0)
            axes.errorbar(places, value, yerr=spread, label=label, marker="o", ms=5, capsize=3, **_line(number))
        axes.set(ylim=(-0.02, 1.02), xticks=range(len(columns)))
        axes.set_xticklabels([name.replace(" (", "\n(") for name in columns], fontsize=8.5)
        axes.legend()
        return figure
