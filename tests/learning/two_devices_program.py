"""A training on one or on two logical CPU devices: `python -m tests.learning.two_devices_program FOLDER DEVICES CASE`.

The weights of the run go to FOLDER/CASE-DEVICES.npz. The case "resumed" trains twice, and the second time an epoch a session;
those weights go to FOLDER/resumed-again.npz.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from siim_kernel import clock
from siim_kernel.learning import fitting, prediction, training
from siim_kernel.recipes.recipe import Augmentation, Phase
from tests.learning import made

FILMS = 27  # no multiple of the batch, and a validation part that two devices cannot share evenly


def recipe(case):
    """The recipes whose training is the same on one device and on several."""
    some = replace(made.NARROW, dropout=0.0, keep="last", augmentation=Augmentation(flip=0.5))
    sgd = Phase(epochs=2, trainable="all", optimizer="sgd", learning_rate=1e-3, momentum=0.9)
    return {
        "frozen": replace(some, phases=(replace(sgd, trainable="head"),)),
        "cnn9": replace(some, network="cnn9", pixels=made.CNN9.pixels, phases=(sgd,)),
        "batch-norm": replace(some, phases=(sgd,)),
        # Not the same on one device: each draws its own dropout.
        "resumed": replace(some, dropout=0.3, phases=(Phase(epochs=3, trainable="all", optimizer="adam", learning_rate=1e-3),)),
    }[case]


def main(folder, devices, case):
    """Trains and stores the weights."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    if devices > 1:
        training.strategy = lambda: tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(devices)])
    chosen = recipe(case)
    films = made.material(folder / f"{case}-{devices}", chosen.pixels, count=FILMS)
    run = training.train_fold(chosen, films, made.folds(films), 0, folder / f"{case}-{devices}-run")
    np.savez(folder / f"{case}-{devices}.npz", *prediction.load_model(run).get_weights())
    if case == "resumed":
        again = None
        while again is None:
            again = training.train_fold(chosen, films, made.folds(films), 0, folder / "again", session=fitting.Session(clock.after(0)))
        np.savez(folder / "resumed-again.npz", *prediction.load_model(again).get_weights())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
