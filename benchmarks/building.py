"""`build-images` on one worker and on two, from a cold start each time."""

from functools import partial

from benchmarks import films, measure
from benchmarks.table import line

SIZE = 512


def run(settings):
    """The lines of this part, and its facts: median seconds by films and workers."""
    paths = [path for _, path in films.mixed(films.full_size(settings), 2 * settings.scenes)]
    few, many = settings.built
    sources = {count: films.linked(settings.folder / f"linked-{count}", paths, count) for count in settings.built}
    ways = {
        (count, workers): partial(_seconds, source, settings.folder / "built", workers)
        for count, source in sources.items()
        for workers in (1, settings.workers)
    }
    times = measure.take_turns(ways, settings.build_rounds, warm=0)
    rates = {
        workers: [(many - few) / (long - short) for long, short in zip(times[many, workers], times[few, workers], strict=True)]
        for workers in (1, settings.workers)
    }
    medians = {f"{count} films, {workers} workers": measure.spread(values).median for (count, workers), values in times.items()}
    slow, fast = (measure.spread(rates[workers]).median for workers in (1, settings.workers))
    start = measure.spread(times[many, settings.workers]).median - many / fast
    marginal = measure.spread([two / one for one, two in zip(rates[1], rates[settings.workers], strict=True)])
    seconds = [measure.spread(times[many, workers]).median for workers in (1, settings.workers)]
    lines = [
        line(
            f"build-images of {many} films, {settings.workers} workers to 1, from start to end",
            measure.ratio(times, (many, 1), (many, settings.workers)),
            wanted=">= 1.8",
            beside=f"{seconds[0]:.1f} against {seconds[1]:.1f} s, of these {start:.1f} s to start the workers and to finish",
        ),
        line(
            f"the same without start and end: between {few} and {many} films",
            marginal,
            beside=f"{slow:.1f} against {fast:.1f} films a second",
        ),
    ]
    return lines, {"seconds": medians, "distinct_films": len(paths)}


def _seconds(source, out, workers):
    return measure.job("build", source, out, SIZE, workers)["seconds"]
