"""Prediction end to end against its two halves alone: decoding, and the network on prepared squares."""

import time
from functools import partial
from unittest import mock

import numpy as np

from benchmarks import films, measure, networks
from benchmarks.table import line
from siim_kernel import runs
from siim_kernel.learning import prediction
from siim_kernel.pixels import reading


def run(settings):
    """The lines of this part, and its facts: films a second."""
    wanted = films.mixed(films.full_size(settings), settings.predicted)
    recipe = networks.recipe(settings.network, settings.size, settings.batch)
    run_folder = networks.stored_run(settings.folder / settings.network, recipe)
    stored = [runs.load(run_folder)]
    once = dict(wanted[: 2 * settings.scenes])
    read = {read.image: read.squares[0] for read in reading.stream(once.items(), [recipe.pixels], settings.workers)}
    squares = [read[f"{int(image, 16) % len(once):012x}"] for image, _ in wanted]
    network = partial(_network, stored[0], squares)
    halves = {
        "decode": partial(_decode, wanted, recipe, settings.workers),
        "network": network,
        "both": partial(prediction.predict_films, wanted, stored, settings.workers),
    }
    ways = {name: partial(_timed, way) for name, way in halves.items()}
    _network(stored[0], squares[: recipe.batch])  # TensorFlow starts its threads before the clock does
    times = measure.take_turns(ways, settings.predict_rounds, warm=0)
    each = measure.spread(times["network"]).median / len(wanted)
    asleep = {"sleeping": partial(_asleep, wanted, stored, settings.workers, each), "decode": ways["decode"]}
    slept = measure.take_turns(asleep, settings.predict_rounds, warm=0)
    both = measure.spread([b / (d + n) for b, d, n in zip(times["both"], times["decode"], times["network"], strict=True)])
    hidden = measure.spread([s / max(d, each * len(wanted)) for s, d in zip(slept["sleeping"], slept["decode"], strict=True)])
    medians = {name: measure.spread(values).median for name, values in (times | {"sleeping": slept["sleeping"]}).items()}
    told = f"decoding {medians['decode']:.1f} s, network {medians['network']:.1f} s"
    rates = {name: round(len(wanted) / seconds, 2) for name, seconds in medians.items()}
    what = f"{settings.network} {settings.size} px, {len(wanted)} films, {settings.workers} workers"
    return [
        line(f"prediction to the sum of its halves ({what})", both, wanted="<= 1.1", beside=f"{medians['both']:.1f} s; {told}"),
        line(
            "the same with a sleep for a network, to the slower half",
            hidden,
            wanted="<= 1.15",
            beside=f"{medians['sleeping']:.1f} s; {told}",
        ),
    ], {"films_a_second": rates, "films": len(wanted)}


def _timed(way):
    started = time.perf_counter()
    way()
    return time.perf_counter() - started


def _decode(wanted, recipe, workers):
    for read in reading.stream(wanted, [recipe.pixels], workers):
        if read.reason:
            raise RuntimeError(read.reason)


def _network(run, squares):
    model = prediction.load_model(run)
    batch = run.recipe.batch
    for start in range(0, len(squares), batch):
        prediction.predict_squares(model, np.stack(squares[start : start + batch]), run.recipe.flip_average)


class Sleeper:
    """A network that sleeps some seconds a film and says nothing."""

    def __init__(self, each):
        self._each = each

    def predict_on_batch(self, squares):
        """As a Keras model does: equal scores for uint8 [B, S, S, 1]."""
        time.sleep(self._each * len(squares))
        return {"study": np.full((len(squares), 4), 0.25), "none": np.full((len(squares), 1), 0.5)}


def _asleep(wanted, stored, workers, each):
    """Seconds of prediction with a network that sleeps `each` seconds a film."""
    with mock.patch.object(prediction, "load_model", return_value=Sleeper(each)):
        return _timed(partial(prediction.predict_films, wanted, stored, workers))
