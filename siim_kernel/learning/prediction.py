"""Predictions: squares -> probabilities, for films of an image set and for a stream of DICOMs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from siim_kernel.errors import RunError
from siim_kernel.labels import NONE, STUDY_CLASSES
from siim_kernel.learning import networks
from siim_kernel.pixels import reading

PREDICTED = (*STUDY_CLASSES, NONE)


@dataclass(frozen=True)
class Predictions:
    """What the networks say.

    images    DataFrame, one row per film that was read: image, the four study classes and none (0..1), rows, columns
    not_read  (image, path, reason) of the films that were not
    """

    images: pd.DataFrame
    not_read: tuple[tuple[str, str, str], ...]


def predict_squares(model, squares, flip_average):
    """Probabilities of a batch of squares: uint8 [B, S, S] -> float64 [B, 5], columns as `PREDICTED`.

    flip_average  mean over each square and its left-right mirror. A network without the `none` head says none = negative.
    """
    views = [squares, squares[:, :, ::-1]] if flip_average else [squares]
    probabilities = []
    for view in views:
        outputs = model.predict_on_batch(np.ascontiguousarray(view)[..., np.newaxis])
        study = np.asarray(outputs["study"], np.float64)
        none = np.asarray(outputs["none"], np.float64) if "none" in outputs else study[:, :1]
        probabilities.append(np.concatenate([study, none], axis=1))
    return np.mean(probabilities, axis=0)


def predict_set(model, images, rows, recipe):
    """Probabilities of some rows of an image set: float64 [len(rows), 5], in batches of the recipe's size."""
    parts = [
        predict_squares(model, np.stack([np.asarray(images[row]) for row in rows[start : start + recipe.batch]]), recipe.flip_average)
        for start in range(0, len(rows), recipe.batch)
    ]
    return np.concatenate(parts) if parts else np.empty((0, len(PREDICTED)))


def load_model(run):
    """The network of a stored run with its weights."""
    model = networks.build(networks.without_imagenet(run.recipe))
    try:
        model.load_weights(run.weights)
    except (OSError, ValueError) as error:
        raise RunError(f"the weights of {run.folder} do not fit its recipe {run.recipe.name}: {error}") from None
    return model


def predict_films(films, runs, workers=1, progress=None):
    """`Predictions` for a stream of DICOMs: the mean over the runs (folds, recipes).

    films     iterable of (image, path)
    workers   processes that decode ahead while the networks run here; each film is decoded once for all runs
    progress  called with the number of films done
    """
    recipes = list(dict.fromkeys(run.recipe.pixels for run in runs))
    models = [(load_model(run), run.recipe, recipes.index(run.recipe.pixels)) for run in runs]
    batch = max(run.recipe.batch for run in runs)
    rows, not_read, waiting = [], [], []

    def flush():
        if not waiting:
            return
        means = np.mean(
            [
                predict_squares(model, np.stack([read.squares[place] for read in waiting]), recipe.flip_average)
                for model, recipe, place in models
            ],
            axis=0,
        )
        for read, mean in zip(waiting, means, strict=True):
            rows.append((read.image, *mean, read.facts["rows"], read.facts["columns"]))
        waiting.clear()

    for done, read in enumerate(reading.stream(films, recipes, workers), start=1):
        if read.reason:
            not_read.append((read.image, read.path, read.reason))
        else:
            waiting.append(read)
        if len(waiting) == batch:
            flush()
        if progress:
            progress(done)
    flush()
    images = pd.DataFrame(rows, columns=["image", *PREDICTED, "rows", "columns"])
    return Predictions(images.astype(dict.fromkeys(PREDICTED, float)), tuple(not_read))  # floats even where no film was read


def study_means(images, studies):
    """Study probabilities as the mean over a study's images: DataFrame indexed by study, columns the four classes.

    images   DataFrame with image and the four classes
    studies  Series of study ids by image id
    """
    return images.assign(study=images["image"].map(studies)).groupby("study")[list(STUDY_CLASSES)].mean()


def devices():
    """What TensorFlow computes on here: names of the GPUs, or ["CPU"]."""
    return [device.name for device in tf.config.list_physical_devices("GPU")] or ["CPU"]
