"""Calibration: a few real steps of each phase of a recipe, timed, so that a long training can be planned.

It is the training itself (`fitting.fit`) on a few batches of the films: input, augmentation, validation and the state on the disk
are those of a real one. The first epoch of each phase, in which TensorFlow compiles, is kept apart.
"""

import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from siim_kernel import runs
from siim_kernel.competition import splits
from siim_kernel.errors import RunError, TableError
from siim_kernel.learning import fitting, networks, pipeline, prediction, states, training
from siim_kernel.recipes.storing import to_dict

FORMAT = 1
STEPS, VALIDATED = 8, 4  # batches an epoch at first, to learn from and to be validated on
ROUNDS = 4  # epochs of a phase: one that compiles, the others are timed
RATE = 1e-12  # a learning rate at which random weights stay what they are: nothing diverges
LEAST, WANTED = 2.0, 5.0  # seconds: where a timed epoch took less than the one, it is made to take about the other


def calibrate(recipe, material, folds, fold, out, say=print):
    """Times a few steps of each phase of one fold; returns what is stored of it, a dict for JSON.

    The arguments are those of `training.train_fold`; weights stay random, which takes the same time. In `out` a state is written
    now and then, as in training, and nothing of it stays.

    Keys: format, recipe, devices, device_names, dtype, films (of the fold: learning, validating, all), steps_per_epoch,
    validation_steps, phases (of each: trainable, step and compiling in seconds, steps that were timed), and in seconds: validation
    (a batch), finishing (a film, predicted at the end), saving (a state), building (the network); versions. Raises TableError where
    a side of the fold is empty, RunError where random weights have no finite loss.
    """
    validating, testing = (folds["fold"] == fold).to_numpy(), (folds["fold"] == splits.FINAL_TEST).to_numpy()
    learning = ~validating & ~testing
    if not learning.any() or not validating.any():
        raise TableError(f"fold {fold} has {validating.sum()} of {len(validating)} films; nothing can be timed on it")
    learn = pipeline.examples(material.images.images, material.rows[learning], material.table[learning], recipe, balanced=True)
    check = pipeline.examples(material.images.images, material.rows[validating], material.table[validating], recipe, balanced=False)
    whole, checked = pipeline.steps(learn, recipe), pipeline.steps(check, recipe)
    out.mkdir(parents=True, exist_ok=True)
    steps = min(STEPS, whole)
    timed = _trained(recipe, learn, check, steps, out, say)
    slowest = max(phase["step"] for phase in timed["phases"]) * steps
    if slowest < LEAST and steps < whole:
        steps = min(whole, round(steps * WANTED / max(slowest, LEAST / 100)))
        timed = _trained(recipe, learn, check, steps, out, say)
    return {
        "format": FORMAT,
        "recipe": to_dict(recipe),
        "devices": prediction.devices(),
        "device_names": _device_names(),
        "films": {"learning": len(learn), "validating": len(check), "all": len(material.table)},
        "steps_per_epoch": whole,
        "validation_steps": checked,
        **timed,
        "finishing": _finishing(recipe, material),
        "versions": runs.versions(),
    }


def _trained(recipe, learn, check, steps, out, say):
    """What a training on `steps` batches an epoch took: phases, validation, saving, building, dtype."""
    short = replace(recipe, phases=tuple(replace(phase, epochs=ROUNDS, patience=0, learning_rate=RATE) for phase in recipe.phases))
    learn, check = _first(learn, steps * recipe.batch), _first(check, min(VALIDATED * recipe.batch, len(check)))
    keras.utils.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    began = time.monotonic()
    with training.precision(recipe), tempfile.TemporaryDirectory(dir=out, prefix="calibration-") as scratch:
        places = training.strategy()
        with places.scope():
            model = networks.build(networks.without_imagenet(recipe))
        building = time.monotonic() - began
        save = partial(states.write, scratch, states.identity(short, 0, {}))
        progress, _ = fitting.fit(model, short, learn, check, places, fitting.Session(), None, save, say)
        dtype = model.get_layer(networks.BACKBONE).dtype_policy.name
    if len(progress.timings) < ROUNDS * len(recipe.phases):
        raise RunError(
            f"recipe {recipe.name}: the loss of random weights is not finite, so nothing can be timed; plan by a stored run (--run)"
        )
    phases, validated = [], []
    for number, phase in enumerate(recipe.phases, 1):
        first, *others = [timing for timing in progress.timings if timing["phase"] == number]
        step = statistics.fmean(timing["seconds"] - timing["validation"] for timing in others) / steps
        compiling = max(0.0, first["seconds"] - statistics.fmean(timing["seconds"] for timing in others))
        phases.append({"trainable": phase.trainable, "step": step, "compiling": compiling, "steps": steps * len(others)})
        validated += [timing["validation"] for timing in others]
    validation = statistics.fmean(validated) / pipeline.steps(check, recipe)
    saving = statistics.fmean(timing["saving"] for timing in progress.timings)
    return {"phases": phases, "validation": validation, "saving": saving, "building": building, "dtype": dtype}


def _first(films, count):
    """The first `count` of some `pipeline.Examples`, from the start again where they are fewer."""
    chosen = np.resize(np.arange(len(films)), count)
    targets = {head: values[chosen] for head, values in films.targets.items()}
    weights = {head: values[chosen] for head, values in films.weights.items()}
    return pipeline.Examples(films.images, films.rows[chosen], targets, weights)


def _finishing(recipe, material):
    """Seconds a film of the predictions that finish a run, mirrors and all: as `training` makes them, on one device in float32."""
    model = networks.build(networks.without_imagenet(recipe))
    batches = np.resize(material.rows, (-(-len(material.rows) // recipe.batch), recipe.batch))
    prediction.predict_set(model, material.images.images, batches[0], recipe)  # compiles
    began, count = time.monotonic(), 0
    while count < 2 or (time.monotonic() - began < LEAST and count < len(batches)):
        prediction.predict_set(model, material.images.images, batches[count % len(batches)], recipe)
        count += 1
    return (time.monotonic() - began) / (count * recipe.batch)


def _device_names():
    """What the devices call themselves: Tesla T4, ..."""
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus] or ["CPU"]
