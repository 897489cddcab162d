"""Time and memory as the number of films grows, and what that says of the hidden test films on Kaggle."""

from functools import partial

import cv2
import numpy as np

from benchmarks import films, measure, networks
from benchmarks.table import line, number
from siim_kernel.pixels.reading import read_squares
from siim_kernel.recipes.recipe import PixelRecipe

MEBI = 2**20
STAGES = ("build-images", "predict")

# The hidden films: number, size as in the competition's own table of films, and where they are predicted.
HIDDEN, MEGAPIXELS, BYTES = 6500, 9.04, 2
CORES, MOUNT, LIMIT = 4, 150e6, 9  # cores and bytes a second are Kaggle's, the rate of the mount is assumed; hours
T4 = {299: 150, 512: 50}  # films a second and network, assumed: 100 to 200 at 299 px in mixed precision, a third of it at 512
SHARE = {films.RAW: 0.9, films.LOSSLESS: 0.1}  # of the pixels; the size of the download allows 0 to 10 % compressed


def run(settings):
    """The lines of this part, and its facts: the curve and what hidden films are reckoned with."""
    paths = films.small_films(settings)
    run_folder = networks.stored_run(settings.folder / "narrow", networks.recipe("narrow_xception", 64))
    curve = {stage: [] for stage in STAGES}
    for turn, count in enumerate((settings.growth[0], *settings.growth)):  # the first one warms up
        source = films.linked(settings.folder / "small-linked", paths, count)
        built = measure.job("build", source, settings.folder / "built", 64, settings.workers)
        predicted = measure.job("predict", source, run_folder, settings.folder / "submission.csv", settings.workers)
        for stage, told in zip(STAGES, (built, predicted), strict=True) if turn else ():
            curve[stage].append({"films": count, "seconds": told["seconds"], "peak": told["peak"] / MEBI})
    lines = [each for stage in STAGES for each in _lines(stage, curve[stage])]
    return lines, {"curve": curve, "distinct_films": len(paths), "reading": _reading(settings)}


def fit(points):
    """Seconds a film, seconds at the start, and the largest distance of a point from that line as a share of the last one."""
    counts, seconds = (np.array([point[name] for point in points]) for name in ("films", "seconds"))
    slope, start = np.polyfit(counts, seconds, 1)
    return float(slope), float(start), float(np.abs(slope * counts + start - seconds).max() / seconds[-1])


def _lines(stage, points):
    slope, start, off = fit(points)
    first, last = points[0], points[-1]
    rise = measure.spread([last["peak"] / first["peak"]])
    return [
        line(
            f"{stage}: time of {last['films']} small films to a straight line, largest distance",
            measure.spread([100 * off]),
            unit="%",
            wanted="<= 10",
            beside=f"{1000 * slope:.1f} ms a film, {start:.1f} s to start",
        ),
        line(
            f"{stage}: peak memory of {last['films']} films to {first['films']}",
            rise,
            wanted="<= 1.1",
            beside=f"{first['peak']:.0f} and {last['peak']:.0f} MiB",
        ),
    ]


def _reading(settings):
    """Milliseconds a megapixel and core from file to square, by syntax: full-size films, medians over the films."""
    cv2.setNumThreads(1)
    megapixels = settings.shape[0] * settings.shape[1] / 1e6
    found = {}
    for syntax, paths in films.full_size(settings).items():
        ways = {path: partial(read_squares, path, [PixelRecipe(size=512)]) for path in paths[: settings.read]}
        times = measure.take_turns(ways, settings.rounds)
        found[syntax] = 1000 * measure.spread([value for values in times.values() for value in values]).median / megapixels
    return found


def estimate(reading):
    """What the hidden films take, one row for each thing that could bind: dicts of kind, what, sum (the arithmetic) and minutes.

    reading  milliseconds a megapixel and core by syntax
    """
    rows = []
    mixes = {"all uncompressed": {films.RAW: 1.0}, "all JPEG Lossless": {films.LOSSLESS: 1.0}, "9 of 10 uncompressed": SHARE}
    for name, shares in mixes.items():
        each = MEGAPIXELS * sum(share * reading[syntax] for syntax, share in shares.items())
        told = f"{HIDDEN:,} x {each:.0f} ms ({MEGAPIXELS} MPix) / {CORES} cores"
        rows.append(_row("decoding", f"decode and resize, {name}", told, HIDDEN * each / 1000 / CORES))
    size = MEGAPIXELS * BYTES
    told = f"{HIDDEN:,} x {size:.1f} MB / {MOUNT / 1e6:.0f} MB/s"
    rows.append(_row("the mount", "read from the mount, uncompressed", told, HIDDEN * size * 1e6 / MOUNT))
    for side, rate in T4.items():
        for networks_used, views, name in ((1, 1, "1 network"), (5, 2, "5 networks, film and mirror")):
            told = f"{HIDDEN:,} x {networks_used} x {views} / {rate} a second"
            rows.append(_row("the network", f"network on a T4, {side} px, {name}", told, HIDDEN * networks_used * views / rate))
    return rows


def _row(kind, what, told, seconds):
    return {"kind": kind, "what": what, "sum": told, "minutes": seconds / 60}


def verdict(rows):
    """A sentence on which of the rows of `estimate` binds, and on their sum at its worst."""
    worst = {kind: max(row["minutes"] for row in rows if row["kind"] == kind) for kind in dict.fromkeys(row["kind"] for row in rows)}
    lightest = {kind: min(row["minutes"] for row in rows if row["kind"] == kind) for kind in worst}
    terms = " + ".join(f"{number(minutes)} ({kind})" for kind, minutes in worst.items())
    return (
        f"At the worst of each kind: {terms} = {number(sum(worst.values()))} of {60 * LIMIT} minutes, "
        f"and {max(worst, key=worst.get)} binds; at the least of each {number(sum(lightest.values()))} minutes, "
        f"and {max(lightest, key=lightest.get)} binds."
    )


def page(part):
    """The curve and the estimate as text for docs/speed.md."""
    curve = part["curve"]
    rows = ["| films | " + " | ".join(f"{stage}, s | {stage}, MiB" for stage in STAGES) + " |", "|---" * (1 + 2 * len(STAGES)) + "|"]
    for points in zip(*(curve[stage] for stage in STAGES), strict=True):
        rows.append(f"| {points[0]['films']} | " + " | ".join(f"{point['seconds']:.1f} | {point['peak']:.0f}" for point in points) + " |")
    fitted = []
    for stage in STAGES:
        slope, start, off = fit(curve[stage])
        fitted.append(f"`{stage}` {start:.1f} s and {1000 * slope:.1f} ms a film (no point further off than {100 * off:.0f} %)")
    reckoned = estimate(part["reading"])
    minutes = ["| what | arithmetic | minutes |", "|---|---|---|"]
    minutes += [f"| {row['what']} | {row['sum']} | {number(row['minutes'])} |" for row in reckoned]
    return "\n".join([*rows, "", f"Straight lines: {'; '.join(fitted)}.", "", *minutes, "", verdict(reckoned)])


def draw(part, path):
    """The curve as a picture."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10})
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for stage, marker in zip(STAGES, "os", strict=True):
        points = part["curve"][stage]
        counts = [point["films"] for point in points]
        slope, start, _ = fit(points)
        (drawn,) = axes[0].plot(counts, [point["seconds"] for point in points], marker, label=stage)
        axes[0].plot([0, counts[-1]], [start, start + slope * counts[-1]], color=drawn.get_color(), linewidth=1)
        axes[1].plot(counts, [point["peak"] for point in points], f"{marker}-", label=stage)
    for each, title in zip(axes, ("seconds", "peak memory in MiB"), strict=True):
        each.set(xlabel="films", ylabel=title, xlim=(0, 1.05 * counts[-1]), ylim=(0, None))
        each.grid(alpha=0.3)
        each.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
