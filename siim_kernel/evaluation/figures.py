"""Figures of exploration, and what all figures share. Each function returns a matplotlib Figure that knows its text alternative.

Text and axes are drawn in `pages.INK`, which a page turns into the colour of its text; colours are told apart by the colour-blind
and show on white and on black. Nothing here touches pyplot or the settings of the process.
"""

from dataclasses import dataclass
from functools import wraps
from textwrap import wrap

import cv2
import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from siim_kernel.evaluation.pages import INK, Picture, cell, counted, per_cent

COLOURS = ("#3a86c8", "#e0861a", "#2a9d78", "#b06cc4", "#d1495b", "#8c8c96", "#a08a2c", "#4cb5c4")
BOX = "#ffb000"  # of a box on a film
HALVES = (0, 0.5, 1)
WIDTH = 4.4  # inches: shrunk to a phone's 358 pixels its smallest text, of 10 points, is still 11 pixels high
STYLE = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK),
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "figure.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#8c8c96",
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "text.parse_math": False,  # ids and names of files may hold dollar signs
}


@dataclass(frozen=True)
class Film:
    """One film of a sheet.

    picture  uint8 [H, W], 0 black
    title    above it
    boxes    [N, 4] xmin, ymin, xmax, ymax in pixels of the picture; None where nobody read it for boxes, or none are known
    """

    picture: np.ndarray
    title: str
    boxes: object = ()


def _styled(draw):
    @wraps(draw)
    def styled(*arguments, **options):
        with rc_context(STYLE):
            return draw(*arguments, **options)

    return styled


def alternative(figure):
    """The text alternative of a figure, of this module or of `report_figures`."""
    return figure.get_label()


def picture(figure, table=None, caption=""):
    """A figure of this module, or of `report_figures`, as a part of a page."""
    return Picture(figure, alternative(figure), table, caption)


def blank(alt, title, height, width=WIDTH):
    """An empty Figure of sides in inches, with its text alternative and its title above."""
    lines = wrap(str(title), int(width * 10.5))
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height + 0.2 * max(0, len(lines) - 1)), layout="constrained")
        figure.set_label(alt)
        if lines:
            figure.suptitle("\n".join(lines))
    return figure


def _said(pairs, most=12):
    """Names with their values in words, not too many."""
    pairs = list(pairs)
    said = "; ".join(f"{name} {cell(value)}" for name, value in pairs[:most])
    return said + (f"; and {len(pairs) - most} more" if len(pairs) > most else "")


def _ticks(most, values):
    """A locator of ticks, at whole numbers where the values are whole."""
    values = values[np.isfinite(values)]
    return MaxNLocator(most, integer=bool((values == np.rint(values)).all()), min_n_ticks=1)


@_styled
def bars(values, title, quantity="films"):
    """Horizontal bars, one a row, with their values written: of a Series, or a group a row of a DataFrame (one colour a column).

    values  index names the bars, from the top
    """
    frame = values.to_frame(quantity) if isinstance(values, pd.Series) else values
    kinds = [f"{name}: " * (frame.shape[1] > 1) + _said(frame[name].items()) for name in frame]
    names = [_wrapped(name) for name in frame.index]
    lines = sum(max(1 if len(frame) > 10 else 1.3, name.count("\n") + 1) for name in names)
    figure = blank(f"Bar chart, {title}. {'. '.join(kinds)}.", title, 0.9 + 0.28 * lines * max(1, 0.62 * frame.shape[1]))
    axes = figure.subplots()
    thick, places = 0.8 / max(1, frame.shape[1]), np.arange(len(frame))
    for number, name in enumerate(frame):
        lengths = frame[name].astype(float).fillna(0).to_numpy()
        offset = (number - (frame.shape[1] - 1) / 2) * thick
        drawn = axes.barh(places + offset, lengths, thick * 0.92, color=COLOURS[number % len(COLOURS)], label=str(name))
        axes.bar_label(drawn, [cell(value) for value in frame[name]], padding=3, fontsize=10)
    axes.set_yticks(places, names)
    axes.set(xlabel=quantity)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(_ticks(5, frame.to_numpy(float)))
    if frame.shape[1] > 1:
        figure.legend(loc="outside lower center", ncols=min(3, frame.shape[1]))
    return figure


def _wrapped(name):
    """A name as up to four short lines, so that it leaves room for what it names."""
    return "\n".join(wrap(str(name), 20, max_lines=4, placeholder=" ...")) or " "


@_styled
def histogram(values, title, quantity, of="films", bins=30):
    """Histograms of numbers over each other: values is a dict name -> [N], or [N]. What is not finite is left out."""
    kinds = values if isinstance(values, dict) else {"": values}
    kinds = {name: (numbers := np.asarray(part, float))[np.isfinite(numbers)] for name, part in kinds.items()}
    said = [f"{name}: ".lstrip(": ") + _spread(part) for name, part in kinds.items()]
    figure = blank(f"Histogram, {title}. {quantity}: {'. '.join(said)}.", title, 2.9)
    axes = figure.subplots()
    joined = np.concatenate(list(kinds.values()))
    edges = np.histogram_bin_edges(joined, bins) if len(joined) else np.linspace(0, 1, bins + 1)
    for colour, (name, part) in zip(COLOURS, kinds.items(), strict=False):
        axes.hist(part, edges, histtype="stepfilled", color=colour, edgecolor=colour, alpha=0.55 if len(kinds) > 1 else 0.9, label=name)
    axes.set(xlabel=quantity, ylabel=of)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_locator(_ticks(5, joined))
    if len(kinds) > 1:
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _spread(numbers):
    if not len(numbers):
        return "no values"
    low, middle, high = np.percentile(numbers, [0, 50, 100])
    return f"{counted(len(numbers), 'value')} from {cell(low)} to {cell(high)}, median {cell(middle)}"


@_styled
def places(shares, title, quantity="share of boxes"):
    """A heat map over the film: float [R, C], row 0 at the top, shown on the unit square of the film's width and height."""
    shares = np.asarray(shares, float)
    row, column = np.unravel_index(shares.argmax(), shares.shape)
    across, down = ((place + 0.5) / count for place, count in ((column, shares.shape[1]), (row, shares.shape[0])))
    where = f"most at {per_cent(across, 0)} of the width and {per_cent(down, 0)} of the height, {per_cent(shares.max())}"
    halves = [shares[:, : shares.shape[1] // 2].sum(), shares[:, (shares.shape[1] + 1) // 2 :].sum()]
    said = f"{where}; {per_cent(halves[0] / max(sum(halves), 1e-30))} of it in the picture's left half"
    figure = blank(f"Heat map over the film, {title}. {quantity.capitalize()}: {said}.", title, 3.7)
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap="magma", vmin=0, extent=(0, 1, 1, 0), interpolation="nearest")
    axes.set(xlabel="of the width", ylabel="of the height", xticks=HALVES, yticks=HALVES)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    figure.colorbar(drawn, ax=axes, label=quantity, shrink=0.85, format=PercentFormatter(1, symbol=" %"), ticks=MaxNLocator(5))
    return figure


@_styled
def sheet(films, title="", columns=5):
    """Films in rows with their boxes and titles, `Film`s."""
    films = list(films)
    said = [f"{film.title.replace(chr(10), ', ')} ({_boxes(film)})" for film in films]
    height = -(-max(1, len(films)) // columns)
    lines = max((film.title.count("\n") + 1 for film in films), default=1)
    sides = (1.85 + 0.2 * lines) * height + 0.3 * bool(title), 1.8 * columns
    figure = blank(f"Sheet of {counted(len(films), 'film')}, {title}. {'; '.join(said)}.", title, *sides)
    grid = figure.subplots(height, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for film, axes in zip(films, grid.flat, strict=False):
        axes.imshow(film.picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
        for xmin, ymin, xmax, ymax in () if film.boxes is None else film.boxes:
            axes.add_patch(Rectangle((xmin, ymin), xmax - xmin, ymax - ymin, fill=False, edgecolor=BOX, linewidth=1.6))
        axes.set_title(film.title, fontsize=10)
    return figure


def _boxes(film):
    """The number of a film's boxes in words."""
    if film.boxes is None:
        return "no boxes known"
    return counted(len(film.boxes), "box", "boxes") if len(film.boxes) else "no boxes"


@_styled
def before_after(pictures, title):
    """One film in several versions, each above its histogram of greys; pictures is a dict name -> uint8 [H, W]."""
    said = [
        f"{name}: mean grey {picture.mean():.0f}, contrast (standard deviation) {picture.std():.0f}" for name, picture in pictures.items()
    ]
    alt = f"One film in {len(pictures)} versions with histograms, {title}. {'. '.join(said)}."
    figure = blank(alt, title, 4.1, 2.2 * len(pictures))
    grid = figure.subplots(2, len(pictures), squeeze=False, height_ratios=(2.2, 1))
    for (name, picture), upper, lower in zip(pictures.items(), *grid, strict=True):
        upper.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
        upper.set_title(name)
        upper.axis("off")
        counts = cv2.calcHist([picture], [0], None, [64], [0, 256]).ravel() / picture.size
        lower.bar(np.arange(64) * 4, counts, 4, align="edge", color=COLOURS[0])
        lower.set(xlim=(0, 256), xticks=(0, 128, 255), yticks=(), xlabel="grey")
        lower.spines.left.set_visible(False)
    return figure
