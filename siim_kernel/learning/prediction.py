"""Predictions: squares -> probabilities, for films of an image set and for a stream of DICOMs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

import numpy as np
import pandas as pd
import tensorflow as tf

from siim_kernel.clock import UNLIMITED
from siim_kernel.errors import RunError
from siim_kernel.labels import NONE, SCHEMES, STUDY_CLASSES
from siim_kernel.learning import networks, plan
from siim_kernel.learning.ahead import Ahead
from siim_kernel.pixels import reading
from siim_kernel.recipes.recipe import HEADS

PREDICTED = (*STUDY_CLASSES, NONE)
KEEP_EVERY = 300.0  # seconds between two calls of `keep`
HANDLING = 0.5  # seconds before the deadline in which films that have come are still looked at
LOADING = 0.25  # share of the time in which another network may be begun to load


@dataclass(frozen=True)
class Predictions:
    """What the networks say.

    images    DataFrame, one row per film that was predicted: image, the four study classes and none (0..1), rows, columns
    not_read  (image, path, reason) of the films that were not: unreadable ones in their order, then those out of time
    fewer     films that fewer networks, or fewer mirrors, looked at than the runs ask for, for lack of time
    """

    images: pd.DataFrame
    not_read: tuple[tuple[str, str, str], ...]
    fewer: int = 0


def columns(recipe):
    """What a recipe's network says of a film, in order: a probability for each label of its scheme, and perhaps `none`."""
    return (*SCHEMES[recipe.labels].labels, *recipe.heads[1:])


def look(model, squares, mirrored):
    """Probabilities of a batch of squares, or of their left-right mirrors: uint8 [B, S, S] -> float64 [B, C], as `columns`."""
    view = np.ascontiguousarray(squares[:, :, ::-1]) if mirrored else squares
    outputs = model.predict_on_batch(view[..., np.newaxis])
    return np.concatenate([np.asarray(outputs[head], np.float64) for head in HEADS if head in outputs], axis=1)


def to_predicted(probabilities, study_of_labels, none_of_labels):
    """What a network says as what a submission needs: float64 [B, C] -> [B, 5], columns as `PREDICTED`.

    study_of_labels  [K, 4], none_of_labels [K]: of the run, as `competition.schemes` makes them; `none` has a head of its own
                     where C > K
    """
    labels = probabilities[:, : len(none_of_labels)]
    none = probabilities[:, len(none_of_labels) :] if probabilities.shape[1] > len(none_of_labels) else (labels @ none_of_labels)[:, None]
    return np.concatenate([labels @ study_of_labels, none], axis=1)


def predict_squares(model, squares, flip_average):
    """Probabilities of a batch of squares: uint8 [B, S, S] -> float64 [B, C], as `columns`.

    flip_average  mean over each square and its left-right mirror
    """
    return np.mean([look(model, squares, mirrored) for mirrored in ((False, True) if flip_average else (False,))], axis=0)


def predict_set(model, images, rows, recipe):
    """Probabilities of some rows of an image set: float64 [len(rows), C], as `columns`, in batches of the recipe's size."""
    parts = [
        predict_squares(model, np.stack([np.asarray(images[row]) for row in rows[start : start + recipe.batch]]), recipe.flip_average)
        for start in range(0, len(rows), recipe.batch)
    ]
    return np.concatenate(parts) if parts else np.empty((0, len(columns(recipe))))


def load_model(run):
    """The network of a stored run with its weights."""
    model = networks.build(networks.without_imagenet(run.recipe))
    load_weights(model, run)
    return model


def load_weights(model, run):
    """Gives a network the weights of a run. Raises RunError where they do not fit."""
    try:
        model.load_weights(run.weights)
    except (OSError, ValueError) as error:
        raise RunError(f"the weights of {run.folder} (recipe {run.recipe.name}) do not fit the network: {error}") from None


class Copies:
    """One network on several devices: each computes its share of a batch, at the same time."""

    def __init__(self, run, devices):
        self._models = []
        for device in devices:
            with tf.device(device):
                self._models.append((device, load_model(run)))
        self._threads = ThreadPoolExecutor(len(devices))

    def predict_on_batch(self, squares):
        """As `keras.Model.predict_on_batch` with a dict of outputs: uint8 [B, S, S, 1] -> arrays [B, ...]."""
        parts = [part for part in np.array_split(squares, len(self._models)) if len(part)]
        outputs = list(self._threads.map(self._part, self._models, parts))
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}

    @staticmethod
    def _part(placed, squares):
        device, model = placed
        with tf.device(device):  # of this thread: without it TensorFlow takes the first device
            return model.predict_on_batch(squares)


def place_model(run):
    """The network of a stored run where it computes: one copy, or one on each device where there are several."""
    devices = [device.name for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
    return Copies(run, devices) if len(devices) > 1 else load_model(run)


def pixel_recipes(runs):
    """The pixel recipes of some runs, each once: what a film is rendered to."""
    return list(dict.fromkeys(run.recipe.pixels for run in runs))


class Ensemble:
    """The networks of some runs, and how they share the time that there is.

    batch     films that are looked at together
    deadline  loading may take a share (`LOADING`) of the time until then; networks for which it is too late are left out
    """

    def __init__(self, runs, batch, deadline=UNLIMITED):
        self.batch = batch
        self.wanted = plan.views_of([run.recipe.flip_average for run in runs])
        self._deadline = deadline
        self._rules = [(np.array(run.study_of_labels), np.array(run.none_of_labels)) for run in runs]
        self._places = [pixel_recipes(runs).index(run.recipe.pixels) for run in runs]
        self._models, began, left = [], monotonic(), deadline.left()
        for run in runs:
            if left > 0 and (not self._models or monotonic() - began < LOADING * left):
                self._models.append(place_model(run))
        self.pace = plan.Pace([view for view in self.wanted if view.network < len(self._models)])

    def look(self, reads, to_come):
        """(float64 [N, 5], number of views) for N <= `batch` films that were read, or (None, 0) where no time is left for them.

        The probabilities are the mean over the networks that looked. `to_come` films remain after these.
        """
        squares, looks = {}, {}
        for view in self.pace.choose(len(reads), to_come, self._deadline.left()) if self._models else ():
            if self._deadline.left() <= self.pace.guess(view) * self.batch:
                continue
            place = self._places[view.network]
            if place not in squares:
                squares[place] = self._stack([read.squares[place] for read in reads])
            start = monotonic()
            looks.setdefault(view.network, []).append(look(self._models[view.network], squares[place], view.mirrored)[: len(reads)])
            self.pace.looked(view, monotonic() - start, self.batch)
        if not looks:
            return None, 0
        means = [to_predicted(np.mean(each, axis=0), *self._rules[network]) for network, each in looks.items()]
        return np.mean(means, axis=0), sum(map(len, looks.values()))

    def _stack(self, squares):
        """uint8 [batch, S, S], black squares at the end: with one shape TensorFlow compiles each network once."""
        stacked = np.zeros((self.batch, *squares[0].shape), np.uint8)
        np.stack(squares, out=stacked[: len(squares)])
        return stacked


def predict_films(films, runs, workers=1, progress=None, deadline=UNLIMITED, keep=None):
    """`Predictions` for DICOMs: the mean over the runs (folds, recipes), of each run over the film and its mirror if it wants that.

    films     (image, path) of each
    workers   processes that decode ahead while the networks compute here; each film is decoded once for all runs
    progress  called with the number of films done, after each batch
    deadline  when this must have returned. What the time allows is planned anew for each batch (`plan`): films have fewer
              views when otherwise not all could be predicted; those never reached are not read, with the reason `plan.NO_TIME`
    keep      called now and then with what is predicted so far, the films to come being `plan.NOT_YET`

    A film's scores are the mean of what looked at it, so films seen by fewer networks stand on the same scale.
    """
    films, recipes, batch = list(films), pixel_recipes(runs), max(run.recipe.batch for run in runs)
    rows, not_read, fewer, done, kept = [], [], 0, 0, monotonic()

    def so_far(reason):
        images = pd.DataFrame(rows, columns=["image", *PREDICTED, "rows", "columns"])
        images = images.astype(dict.fromkeys(PREDICTED, float))  # floats even where no film was read
        return Predictions(images, (*not_read, *((image, path, reason) for image, path in films[done:])), fewer)

    if not films or deadline.left() <= 0:  # no workers for nothing
        return so_far(plan.NO_TIME)
    with Ahead(reading.stream(films, recipes, workers), 2 * batch) as stream:
        ensemble = Ensemble(runs, batch, deadline)  # while the first films are decoded
        while done < len(films):
            start = monotonic()
            reads = stream.take(batch, deadline.left() - ensemble.pace.least * batch - HANDLING)
            if not reads:
                break
            if done:  # at first the workers start
                ensemble.pace.waited(monotonic() - start, len(reads))
            done += len(reads)
            good = [read for read in reads if not read.reason]
            means, views = ensemble.look(good, len(films) - done) if good else ((), 0)
            if means is None:
                not_read += [(read.image, read.path, read.reason or plan.NO_TIME) for read in reads]
                break
            not_read += [(read.image, read.path, read.reason) for read in reads if read.reason]
            rows += [(read.image, *mean, read.facts["rows"], read.facts["columns"]) for read, mean in zip(good, means, strict=True)]
            fewer += len(good) * (views < len(ensemble.wanted))
            if keep and monotonic() - kept > KEEP_EVERY:
                keep(so_far(plan.NOT_YET))
                kept = monotonic()
            if progress:
                progress(done)
    return so_far(plan.NO_TIME)


def devices():
    """What TensorFlow computes on here: names of the GPUs, or ["CPU"]."""
    return [device.name for device in tf.config.list_physical_devices("GPU")] or ["CPU"]
