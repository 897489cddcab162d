"""The state of a training that is not finished: every variable and counter from which it goes on to the same result.

A `.weights.h5` file lacks the optimizer's moments and the seeds that Dropout has drawn from; here every variable of model and
optimizer is kept by its position, beside the weights kept so far and the counters of the loop.
"""

import dataclasses
import json
import shutil
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from siim_kernel import runs
from siim_kernel.errors import RecipeError, RunError
from siim_kernel.files import atomically
from siim_kernel.recipes.recipe import Recipe
from siim_kernel.recipes.storing import difference, from_dict, to_dict
from siim_kernel.runs import STATE


@dataclass
class Progress:
    """Where a training stands, in finished epochs.

    phase        number of the phase under way, from 0
    epoch        epochs of all phases; phase_epoch: of this phase
    best         lowest validation loss, None before the first; phase_best: of this phase
    waited       epochs of this phase since its lowest validation loss
    diverged     the last validation loss was not finite: nothing is learnt any more
    history      one dict an epoch, for `history.csv`
    timings      one dict an epoch: phase, seconds (of which validation), saving
    sessions     one dict a session that worked on it: the epoch after which it began, versions of the packages
    """

    phase: int = 0
    epoch: int = 0
    phase_epoch: int = 0
    best: float | None = None
    phase_best: float | None = None
    waited: int = 0
    diverged: bool = False
    history: list = field(default_factory=list)
    timings: list = field(default_factory=list)
    sessions: list = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """A stored state: arrays by position for `model.variables`, `model.optimizer.variables` and the kept `model.weights`."""

    progress: Progress
    model: list
    optimizer: list
    kept: list


def identity(recipe, fold, split):
    """What a training is: a state goes on, and a finished run is taken, only where all of it is the same."""
    return {"recipe": to_dict(recipe), "fold": fold, "split": split}


def write(folder, identity, progress, model, optimizer, kept):
    """Writes the state into a run's folder, whole or not at all: a kill while it is written leaves the one before.

    model, optimizer, kept  lists of arrays. Raises RunError where the disk does not take it; the state before stays.
    """
    path = Path(folder) / STATE
    groups = {"model": model, "optimizer": optimizer, "kept": kept}
    arrays = {f"{name}{number}": array for name, group in groups.items() for number, array in enumerate(group)}
    told = {"identity": identity, "progress": dataclasses.asdict(progress)}
    told |= {"counts": {name: len(group) for name, group in groups.items()}}
    try:
        with atomically(path) as file:
            np.savez(file, told=np.array(json.dumps(told)), **arrays)
    except OSError as error:
        raise RunError(
            f"the state of the training cannot be written to {path}: {error.strerror or error}; make room and run the same command "
            f"again: it goes on from {'the state before' if path.exists() else 'the start'}"
        ) from None


def peek(folder):
    """What the state in a folder tells of itself, without its arrays: identity, progress, counts; None if there is none.

    Raises RunError where it is damaged.
    """
    path = Path(folder) / STATE
    if not path.exists():
        return None
    with _opened(path) as stored:
        return _told(stored)


def read(folder, wanted):
    """The `State` in a run's folder, None where there is none.

    wanted  the `identity` it must have; RunError names both sides where it is of another training, or is damaged
    """
    path = Path(folder) / STATE
    if not path.exists():
        return None
    with _opened(path) as stored:
        told = _told(stored)
        require(told["identity"], wanted, folder)
        groups = {name: [stored[f"{name}{number}"] for number in range(count)] for name, count in told["counts"].items()}
    return State(Progress(**told["progress"]), **groups)


@contextmanager
def _opened(path):
    """An npz file; what is wrong with it leaves as RunError."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            yield stored
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"{path} is damaged: {error}; copy it again, or remove it to begin the training anew") from None


def _told(stored):
    told = json.loads(str(stored["told"]))
    Progress(**told["progress"])
    return {name: told[name] for name in ("identity", "progress", "counts")}


def require(found, wanted, folder):
    """RunError that prints both sides where one `identity` is not the other."""
    try:
        lines = difference(from_dict(Recipe, found["recipe"]), from_dict(Recipe, wanted["recipe"]))
    except RecipeError as error:
        lines = [f"its recipe is of another version: {error}"]
    for name in ("fold", "split"):
        if found[name] != wanted[name]:
            lines.append(f"{name}: stored {found[name]!r}, wanted {wanted[name]!r}")
    if lines:
        raise RunError(f"{folder} holds another training: {'; '.join(lines)}; train into another folder, or give what it was begun with")


def take_over(previous, out, wanted, say):
    """Copies the run or the state of this training that an earlier session left into `out`, the furthest of several.

    previous  folders of single runs, perhaps read-only

    A run of another recipe or fold is passed over, and so is a state that cannot be read, with a warning; a run of this recipe
    and fold with other settings, films or folds is RunError, since training anew would cost what was done there.
    """
    found = []
    for folder in map(Path, previous):
        finished = (folder / runs.RECORD).exists()
        try:
            stored = _told_by_record(folder / runs.RECORD) if finished else peek(folder)
        except RunError as error:
            say(f"warning: passed over: {error}")
            continue
        identity = stored["identity"] if stored else None
        if identity and (identity["recipe"]["name"], identity["fold"]) == (wanted["recipe"]["name"], wanted["fold"]):
            require(identity, wanted, folder)
            found.append((finished, stored["progress"]["epoch"], folder))
    if not found:
        return
    finished, epoch, folder = max(found, key=lambda each: each[:2])
    optional = [name for name in runs.OPTIONAL if (folder / name).exists()]
    for name in (*runs.FILES, *optional, runs.RECORD) if finished else (STATE,):
        _copy(folder / name, out / name)
    say(f"going on from {folder}: {'finished' if finished else f'{epoch} epochs'}")


def _told_by_record(path):
    """As `peek`, of a finished run; its files are verified when it is loaded from where it goes."""
    try:
        record = json.loads(path.read_text())
        identity = {name: record[name] for name in ("recipe", "fold", "split")}
        return {"identity": identity, "progress": {"epoch": record["training"]["epochs"]}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is no run's record of this version ({type(error).__name__}: {error})") from None


def _copy(source, place):
    try:
        with open(source, "rb") as stored, atomically(place) as file:
            shutil.copyfileobj(stored, file)
    except OSError as error:
        raise RunError(
            f"{source} cannot be copied to {place.parent}: {error.strerror or error}; make room and run the same again"
        ) from None
