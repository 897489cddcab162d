"""Peak memory of `predict` on few and on many films: the whole process tree, what processes share counted once."""

from functools import partial

from benchmarks import films, measure, networks
from benchmarks.table import line

MEBI = 2**20


def run(settings):
    """The lines of this part, and its facts: peaks in MiB by number of films."""
    paths = films.small_films(settings)
    run_folder = networks.stored_run(settings.folder / "narrow", networks.recipe("narrow_xception", 64))
    sources = {count: films.linked(settings.folder / f"small-linked-{count}", paths, count) for count in settings.memory}
    ways = {count: partial(_peak, source, run_folder, settings) for count, source in sources.items()}
    peaks = measure.take_turns(ways, settings.memory_rounds, warm=0)
    few, many = settings.memory
    low, high = (measure.spread(peaks[count]).median / MEBI for count in settings.memory)
    growth = measure.spread([(b - a) / MEBI for a, b in zip(peaks[few], peaks[many], strict=True)])
    beside = f"{low:.0f} and {high:.0f} MiB at their peak"
    return [
        line(f"peak memory of predict on {many} films to {few}", measure.ratio(peaks, many, few), wanted="<= 1.1", beside=beside),
        line("the same, difference", growth, unit="MiB", wanted="<= 50", beside=beside),
    ], {"peaks": {str(count): [round(peak / MEBI, 1) for peak in values] for count, values in peaks.items()}}


def _peak(source, run_folder, settings):
    return float(measure.job("predict", source, run_folder, settings.folder / "submission.csv", settings.workers)["peak"])
