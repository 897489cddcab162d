"""Training: one fold of one recipe, phase by phase, and what is stored of it."""

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from siim_kernel import runs
from siim_kernel.competition import folds as folding
from siim_kernel.competition import priors, schemes, split_report, splits
from siim_kernel.errors import ImageSetError, RunError, TableError
from siim_kernel.labels import SCHEMES, STUDY_CLASSES
from siim_kernel.learning import fitting, networks, pipeline, prediction, starts, states
from siim_kernel.pixels import imagesets

ROOM = 2**24  # bytes for a run's tables and for what a weights file has beside the weights
STILL_THERE = "make room and run the same command again: its epochs are kept"


@dataclass(frozen=True)
class Material:
    """What a training learns from: an image set joined with the training tables.

    images  the opened image set; rows int [N]: the set's row of each film; table: training table of the N films
    left_out    films of the training table that the set lacks
    duplicates  groups of image ids that show one film, None where nobody looked
    """

    images: imagesets.ImageSet
    rows: np.ndarray
    table: pd.DataFrame
    left_out: tuple[str, ...]
    duplicates: list | None = None


def join(images, table):
    """`Material` of an image set and a training table; films of the table that the set lacks are named in `left_out`.

    Raises ImageSetError where the set has none of the films.
    """
    places = pd.Series(np.arange(len(images.table)), index=images.table["image"])
    places = places[~places.index.duplicated()]
    rows = table["image"].map(places)
    kept = rows.notna()
    if not kept.any():
        raise ImageSetError(f"{images.folder} has none of the {len(table)} training images; is it a set of this competition's train split?")
    found = table[kept].reset_index(drop=True)
    rows = rows[kept].astype(int).to_numpy()
    for name in ("rows", "columns"):
        stored = pd.array(images.table[name].iloc[rows].to_numpy(), dtype="Int64")
        found[name] = found[name].fillna(pd.Series(stored))
    patients = images.table["patient"].iloc[rows].reset_index(drop=True)
    found["patient"] = found["patient"].where(found["patient"] != "", patients)
    return Material(images, rows, found, tuple(table["image"][~kept]))


def strategy():
    """How the devices here are used: mirrored over several GPUs, else the one device there is.

    Raises RunError where TF_CONFIG names several machines: Keras 3 does not train over them.
    """
    machines = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    if sum(map(len, machines.values())) > 1:
        raise RunError(
            "TF_CONFIG names several machines, and Keras 3 does not train over them (its fit refuses what "
            "tf.distribute.MultiWorkerMirroredStrategy gives it); unset TF_CONFIG and train a fold on each machine: --fold K"
        )
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def mixed_precision_here():
    """True where a GPU computes float16 in tensor cores (compute capability 7.0 and up)."""
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return bool(details) and all(detail.get("compute_capability", (0, 0)) >= (7, 0) for detail in details)


@contextmanager
def precision(recipe):
    """Keras's dtype policy of a recipe on this machine, and the one before at the end."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if recipe.mixed_precision and mixed_precision_here() else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def who_is_where(recipe, material, folds, fold):
    """The `split_report.SplitReport` of one fold of a training; the arguments are those of `train_fold`."""
    return split_report.split_report(material.table, folds["fold"].to_numpy(), fold, material.duplicates, (SCHEMES[recipe.labels],))


def train_fold(recipe, material, folds, fold, out, imagenet=None, start=None, session=None, previous=(), say=print):
    """Trains one fold and stores it as a run in `out`; returns the loaded `runs.Run`, or None where the session ended first.

    material  what `join` made
    folds     DataFrame imageid, fold in the order of `material.table`; the films of `fold` validate, the others train
    imagenet  file of ImageNet weights for recipes that start from them; not needed to go on
    start     the `runs.Run` whose weights are the start, for recipes that name one
    session   `fitting.Session` that limits the time; by default none
    previous  folders of single runs in which an earlier session may have left this training
    say       called with one line an epoch

    After each epoch the state is written to `out`, from which the same call goes on, to the same weights on CPU. A run of the
    same recipe, folds and images that is finished already is verified and returned as it is. Raises RunError where `out` or
    `previous` holds another training or the loss diverges, TableError where a side of the fold is empty or the folds are of
    other films.
    """
    out, session = Path(out), session or fitting.Session()
    imagesets.require_recipe(material.images.recipe, recipe.pixels, material.images.folder)
    if folds["imageid"].tolist() != material.table["image"].tolist():
        raise TableError("the folds are not of the films to train on, in their order; make or read them for this training table")
    validating, testing = (folds["fold"] == fold).to_numpy(), (folds["fold"] == splits.FINAL_TEST).to_numpy()
    learning = ~validating & ~testing
    if fold == splits.FINAL_TEST or not learning.any() or not validating.any():
        there = ", ".join(map(str, sorted(folds["fold"].unique())))
        raise TableError(f"fold {fold} has {validating.sum()} of {len(validating)} films; there are the folds {there}")
    split = _split(material, folds, fold)
    identity = states.identity(recipe, fold, split)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / runs.RECORD).exists() and not (out / runs.STATE).exists():
        states.take_over(previous, out, identity, say)
    if (out / runs.RECORD).exists():
        return _finished(out, recipe, fold, split)
    begun = starts.facts(start, material.table, {"validation": validating, "final_test": testing}) if start else None
    for line in starts.lines(begun) if begun else ():
        say(line)
    state = states.read(out, identity)
    if state:
        say(f"going on after {state.progress.epoch} epochs")
    keras.utils.clear_session()  # what an earlier fold left: its graphs take memory, its names would count on in the weights file
    keras.utils.set_random_seed(recipe.seed + fold)
    tf.config.experimental.enable_op_determinism()
    with precision(recipe):
        places = strategy()
        with places.scope():
            model = networks.build(networks.without_imagenet(recipe) if state else recipe, imagenet)
            if start and not state:
                prediction.load_weights(model, start)
        learn = _examples(material, learning, recipe, balanced=True)
        check = _examples(material, validating, recipe, balanced=False)
        for line in pipeline.left_out_lines(recipe, learn, check):
            say(line)
        save = partial(states.write, out, identity)
        try:
            progress, kept = fitting.fit(model, recipe, learn, check, places, session, state, save, say, len(material.table))
        except fitting.OutOfTime as epochs:
            say(f"the session's time is up: {out} is unfinished after {epochs} epochs; the same again goes on from there")
            return None
        dtype = model.get_layer(networks.BACKBONE).dtype_policy.name
    # As it will be loaded for prediction, and without the optimizer, which Keras would store with the weights.
    model = networks.build(networks.without_imagenet(recipe))
    model.set_weights(kept)
    learnt, scheme = material.table[learning], SCHEMES[recipe.labels]
    # A training on external films alone has the shares of the competition's films that it did not learn from.
    known = learnt if learnt["label"].isin(STUDY_CLASSES).any() else material.table[~testing]
    study_of_labels, none_of_labels = rule = schemes.to_study(scheme, known), schemes.to_none(scheme, known)
    parts = {runs.OUT_OF_FOLD: validating, runs.TRAINING_FILMS: learning, runs.FINAL_TEST: testing}
    tables = {name: _predictions(model, recipe, material, chosen, fold, rule) for name, chosen in parts.items() if chosen.any()}
    facts = {
        "split": split,
        "split_report": who_is_where(recipe, material, folds, fold).lines(),
        "start": begun,
        "priors": priors.class_priors(known),
        "prior_boxes": priors.prior_boxes(learnt, seed=recipe.seed),
        "study_of_labels": study_of_labels.tolist(),
        "none_of_labels": none_of_labels.tolist(),
        "training": {
            "seconds": round(sum(each["seconds"] + each["saving"] for each in progress.timings), 1),
            "timings": progress.timings,
            "sessions": progress.sessions,
            "epochs": len(progress.history),
            "steps_per_epoch": pipeline.steps(learn, recipe),
            "devices": prediction.devices(),
            "dtype": dtype,
            "parameters": model.count_params(),
        },
    }
    _store(out, recipe, fold, model, tables, folds, progress.history, facts)
    return runs.load(out)


def _store(out, recipe, fold, model, tables, folds, history, facts):
    """Writes a finished run's files, its record last, and takes the state away. RunError where the disk does not take them."""
    _require_room(out, model)
    try:
        model.save_weights(out / runs.WEIGHTS)
        for name, table in tables.items():
            table.to_csv(out / name, index=False, lineterminator="\n")
        folding.write_folds(folds, out / runs.FOLDS)
        pd.DataFrame(history).to_csv(out / runs.HISTORY, index=False, lineterminator="\n")
        runs.save(out, recipe, fold, facts)
    except (OSError, RuntimeError) as error:  # h5py raises both
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"the run cannot be written to {out}: {reason}; {STILL_THERE}") from None
    (out / runs.STATE).unlink()


def _require_room(out, model):
    """RunError where the disk is too small for the weights: h5py does not survive a full disk at every moment."""
    needed = sum(weight.numpy().nbytes for weight in model.weights) + ROOM
    free = shutil.disk_usage(out).free
    if free < needed:
        raise RunError(f"the disk of {out} has {free >> 20} MiB free, the run needs {needed >> 20}; {STILL_THERE}")


def _split(material, folds, fold):
    """What stands on which side, as stored with the run and compared when a finished run is met again."""
    truth = [material.table[name].tolist() for name in ("image", "label", "reading", "boxes")]
    listed = json.dumps([*truth, folds["fold"].tolist()])
    return {
        "folds": int(folds["fold"].nunique()),
        "training_images": int((~folds["fold"].isin([fold, splits.FINAL_TEST])).sum()),
        "validation_images": int((folds["fold"] == fold).sum()),
        "final_test_images": int((folds["fold"] == splits.FINAL_TEST).sum()),
        "sha256": runs.digest(listed),
        "image_set": runs.digest(material.images.table.to_csv(index=False)),
    }


def _finished(out, recipe, fold, split):
    (out / runs.STATE).unlink(missing_ok=True)  # a kill may have left it
    run = runs.load(out, recipe)
    if run.fold != fold:
        raise RunError(f"{out} is the finished run of fold {run.fold}, wanted is fold {fold}; train into another folder")
    if run.record["split"] != split:
        raise RunError(
            f"{out} is finished with other films, labels or folds: stored {run.record['split']}, wanted {split}; train into another folder"
        )
    return run


def _examples(material, chosen, recipe, balanced):
    return pipeline.examples(material.images.images, material.rows[chosen], material.table[chosen], recipe, balanced)


def _predictions(model, recipe, material, chosen, fold, rule):
    """Predictions of some films by the kept weights.

    Columns: image, study, patient, label, reading, rows, columns, fold, the labels of the recipe's scheme, the four classes, none.
    """
    probabilities = prediction.predict_set(model, material.images.images, material.rows[chosen], recipe)
    table = material.table.loc[chosen, ["image", "study", "patient", "label", "reading", "rows", "columns"]].assign(fold=fold)
    table[list(prediction.columns(recipe))] = probabilities
    for name, values in zip(prediction.PREDICTED, prediction.to_predicted(probabilities, *rule).T, strict=True):
        if name not in table:  # a scheme that knows the study classes keeps its own probabilities of them
            table[name] = values
    return table
