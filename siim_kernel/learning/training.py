"""Training: one fold of one recipe, phase by phase, and what is stored of it."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from siim_kernel import runs
from siim_kernel.competition import folds as folding
from siim_kernel.errors import ImageSetError, RunError, TableError
from siim_kernel.learning import networks, pipeline, prediction, priors
from siim_kernel.pixels import imagesets

LOSSES = {"study": "categorical_crossentropy", "none": "binary_crossentropy"}


@dataclass(frozen=True)
class Material:
    """What a training learns from: an image set joined with the training tables.

    images  the opened image set; rows int [N]: the set's row of each film; table: training table of the N films
    """

    images: imagesets.ImageSet
    rows: np.ndarray
    table: pd.DataFrame
    left_out: tuple[str, ...]


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
    """How the devices here are used: mirrored over several GPUs, else the one device there is."""
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def mixed_precision_here():
    """True where a GPU computes float16 in tensor cores (compute capability 7.0 and up)."""
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return bool(details) and all(detail.get("compute_capability", (0, 0)) >= (7, 0) for detail in details)


def train_fold(recipe, material, folds, fold, out, imagenet=None, say=print):
    """Trains one fold and stores it as a run in `out`; returns the loaded `runs.Run`.

    material  what `join` made
    folds     DataFrame imageid, fold in the order of `material.table`; the films of `fold` validate, the others train
    imagenet  file of ImageNet weights for recipes that start from them
    say       called with one line an epoch

    A run of the same recipe, folds and images that is finished already is verified and returned as it is. Raises RunError where
    `out` holds another run or the training diverges, TableError where a side of the fold is empty or the folds are of other films.
    """
    out = Path(out)
    imagesets.require_recipe(material.images.recipe, recipe.pixels, material.images.folder)
    if folds["imageid"].tolist() != material.table["image"].tolist():
        raise TableError("the folds are not of the films to train on, in their order; make or read them for this training table")
    validating = (folds["fold"] == fold).to_numpy()
    if validating.all() or not validating.any():
        there = ", ".join(map(str, sorted(folds["fold"].unique())))
        raise TableError(f"fold {fold} has {validating.sum()} of {len(validating)} films; there are the folds {there}")
    split = _split(material, folds, fold, recipe)
    if (out / runs.RECORD).exists():
        return _finished(out, recipe, fold, split)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    keras.utils.set_random_seed(recipe.seed + fold)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy("mixed_float16" if recipe.mixed_precision and mixed_precision_here() else "float32")
    with strategy().scope():
        model = networks.build(recipe, imagenet)
    learn = _examples(material, ~validating, recipe, balanced=True)
    check = _examples(material, validating, recipe, balanced=False)
    history = _fit(model, recipe, learn, check, out, say)
    seconds = time.monotonic() - started
    _out_of_fold(model, recipe, material, validating, fold).to_csv(out / runs.OUT_OF_FOLD, index=False, lineterminator="\n")
    folding.write_folds(folds, out / runs.FOLDS)
    pd.DataFrame(history).to_csv(out / runs.HISTORY, index=False, lineterminator="\n")
    learnt = material.table[~validating]
    facts = {
        "split": split,
        "priors": priors.class_priors(learnt),
        "prior_boxes": priors.prior_boxes(learnt, seed=recipe.seed),
        "training": {
            "seconds": round(seconds, 1),
            "epochs": len(history),
            "steps_per_epoch": pipeline.steps(learn, recipe),
            "devices": prediction.devices(),
            "dtype": keras.config.dtype_policy().name,
            "parameters": model.count_params(),
        },
    }
    runs.save(out, recipe, fold, facts)
    return runs.load(out)


def _split(material, folds, fold, recipe):
    """What stands on which side, as stored with the run and compared when a finished run is met again."""
    truth = [material.table[name].tolist() for name in ("image", "label", "reading", "boxes")]
    listed = json.dumps([*truth, folds["fold"].tolist()])
    return {
        "folds": int(folds["fold"].nunique()),
        "training_images": int((folds["fold"] != fold).sum()),
        "validation_images": int((folds["fold"] == fold).sum()),
        "sha256": runs.digest(listed),
        "image_set": runs.digest((material.images.folder / imagesets.TABLE).read_bytes())
        if (material.images.folder / imagesets.TABLE).exists()
        else "",
    }


def _finished(out, recipe, fold, split):
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


def _optimizer(phase):
    extra = {"momentum": phase.momentum} if phase.optimizer in ("sgd", "rmsprop") else {}
    return {
        "sgd": keras.optimizers.SGD,
        "adam": keras.optimizers.Adam,
        "nadam": keras.optimizers.Nadam,
        "rmsprop": keras.optimizers.RMSprop,
    }[phase.optimizer](learning_rate=phase.learning_rate, **extra)


def _fit(model, recipe, learn, check, out, say):
    """Runs the phases; leaves the kept weights in the model and in the run's weights file; returns the history, a row an epoch.

    A validation loss that is not finite ends the training, as nothing learns after it: RunError, unless better weights are kept.
    """
    weights = out / runs.WEIGHTS
    weights.unlink(missing_ok=True)
    history, best, epoch = [], float("inf"), 0
    for number, phase in enumerate(recipe.phases, start=1):
        networks.set_trainable(model, recipe, phase.trainable)
        with strategy().scope():
            model.compile(
                optimizer=_optimizer(phase),
                loss={head: LOSSES[head] for head in recipe.heads},
                loss_weights=dict(zip(recipe.heads, recipe.loss_weights, strict=True)),
                metrics={"study": ["accuracy"]},
            )
        callbacks = [_Progress(history, number, phase, say)]
        if recipe.keep == "best":
            callbacks.append(
                keras.callbacks.ModelCheckpoint(
                    str(weights), monitor="val_loss", save_best_only=True, save_weights_only=True, initial_value_threshold=best
                )
            )
        if phase.patience:
            callbacks.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=phase.patience))
        fitted = model.fit(
            pipeline.training_data(learn, recipe, epoch, epoch + phase.epochs),
            validation_data=pipeline.plain_data(check, recipe),
            initial_epoch=epoch,
            epochs=epoch + phase.epochs,
            steps_per_epoch=pipeline.steps(learn, recipe),
            callbacks=callbacks,
            verbose=0,
        )
        best = min([best, *fitted.history["val_loss"]])
        epoch += len(fitted.epoch)
        if diverged := not math.isfinite(history[-1]["val_loss"]):
            break
    if diverged and not weights.exists():
        raise RunError(
            f"recipe {recipe.name}: the validation loss of phase {number} is not finite in epoch {epoch}; lower the learning rate"
        )
    if recipe.keep == "last":
        model.save_weights(weights)
    model.load_weights(weights)
    return history


class _Progress(keras.callbacks.Callback):
    """One line and one row of history an epoch."""

    def __init__(self, history, number, phase, say):
        super().__init__()
        self.rows, self.number, self.phase, self.say = history, number, phase, say

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"phase": self.number, "epoch": epoch + 1} | figures)
        self.say(
            f"phase {self.number} ({self.phase.trainable}) epoch {epoch + 1}: loss {figures['loss']:.4f}, "
            f"validation loss {figures['val_loss']:.4f}, {time.monotonic() - self.started:.1f} s"
        )
        if not math.isfinite(figures["val_loss"]):
            self.model.stop_training = True


def _out_of_fold(model, recipe, material, validating, fold):
    """Predictions of the validation films: image, study, patient, label, reading, fold, the four classes, none."""
    probabilities = prediction.predict_set(model, material.images.images, material.rows[validating], recipe)
    table = material.table.loc[validating, ["image", "study", "patient", "label", "reading", "rows", "columns"]].assign(fold=fold)
    table[list(prediction.PREDICTED)] = probabilities
    return table
