"""One session of a training in a process of its own: `python -m tests.learning.training_program FOLDER HOURS [MOMENT]`.

HOURS may be none. At a MOMENT (a key of `MOMENTS`) the process kills itself. The image set is made in FOLDER/set by whoever
comes first; the run stands in FOLDER/run.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from siim_kernel import clock, runs
from siim_kernel.learning import fitting, states, training
from siim_kernel.pixels import imagesets
from siim_kernel.recipes.recipe import Augmentation, Phase
from tests.learning import made

# Dropout, shuffling, augmentation, a frozen phase, and a second one that patience ends before its epochs are over.
RECIPE = replace(
    made.NARROW,
    dropout=0.3,
    augmentation=Augmentation(flip=0.5, rotate=10.0, brightness=(0.8, 1.2)),
    flip_average=True,
    phases=(made.HEAD, Phase(epochs=9, trainable="all", optimizer="adam", learning_rate=2e-2, patience=2)),
)
FILMS = 27  # no multiple of the batch


def material(folder):
    """The set of FOLDER joined with its table."""
    if not (folder / "set").exists():
        return made.material(folder / "set", RECIPE.pixels, count=FILMS)
    return training.join(imagesets.open_set(folder / "set"), made.table(FILMS))


def session(folder, hours, say=print):
    """Trains until the run is finished or the hours are over; the run or None."""
    films = material(folder)
    limited = fitting.Session(clock.after(hours))
    return training.train_fold(RECIPE, films, made.folds(films), 0, folder / "run", session=limited, say=say)


def die(*_, **__):
    """What the clock of Kaggle does."""
    os.kill(os.getpid(), signal.SIGKILL)


def half_a_state(file, **_):
    """A kill while a state is written."""
    file.write(b"half of it")
    file.flush()
    die()


MOMENTS = {
    "state half written": lambda: setattr(states.np, "savez", half_a_state),
    "state not renamed": lambda: setattr(os, "replace", die),
    "tables not written": lambda: setattr(training, "_predictions", lambda *_: unstorable()),
    "record not written": lambda: setattr(runs, "save", die),
    "state not removed": lambda: setattr(Path, "unlink", die),
}


def unstorable():
    """Predictions that cannot be stored: the weights are written, the rest is not."""

    class Table:
        to_csv = die

    return Table()


if __name__ == "__main__":
    if len(sys.argv) > 3:
        MOMENTS[sys.argv[3]]()
    given = None if sys.argv[2] == "none" else float(sys.argv[2])
    session(Path(sys.argv[1]), given, lambda line: print(line, flush=True))
