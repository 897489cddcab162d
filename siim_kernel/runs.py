"""What a training run stores, and how it is verified when it is loaded. No TensorFlow here.

A run is a folder for one fold: `run.json` (the record, written last), `model.weights.h5`, `folds.csv`, `out_of_fold.csv`
(predictions of the validation films by a network that never saw their patients), `training.csv` (of the films it learnt from)
and `history.csv`. A training of several folds is a folder of such folders, `fold-0`, `fold-1`, ...
"""

import hashlib
import json
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from siim_kernel.errors import RecipeError, RunError
from siim_kernel.files import sha256, write_atomically
from siim_kernel.labels import NONE, STUDY_CLASSES
from siim_kernel.recipes.recipe import Recipe
from siim_kernel.recipes.storing import difference, from_dict, to_dict

RECORD, WEIGHTS, FOLDS, OUT_OF_FOLD, HISTORY = "run.json", "model.weights.h5", "folds.csv", "out_of_fold.csv", "history.csv"
FILES = (WEIGHTS, FOLDS, OUT_OF_FOLD, HISTORY)
TRAINING_FILMS = "training.csv"  # as out_of_fold.csv, of the films that the network learnt from
FINAL_TEST = "final_test.csv"  # as out_of_fold.csv, of the films of a final test; only where the split has one
OPTIONAL = (TRAINING_FILMS, FINAL_TEST)
STATE = "state.npz"  # of a training that is not finished, in place of all of these; `learning.states` writes and reads it
FORMAT = 2
VERSIONED = (
    "siim-kernel",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "numpy",
    "pandas",
    "pydicom",
    "opencv-python-headless",
    "imagecodecs",
    "python-gdcm",
)


@dataclass(frozen=True)
class Run:
    """A stored run, verified.

    priors       shares among the training films: the four study classes and `none`
    prior_boxes  lists of xmin, ymin, xmax, ymax as shares of the film's sides, and the share of boxed films each one hits
    study_of_labels  float [K, 4]: how the probability of each label of the recipe's scheme is shared out among the study classes
    none_of_labels   float [K]: how often a film of each label is `none`
    record       all of run.json
    """

    folder: Path
    recipe: Recipe
    fold: int
    priors: dict
    prior_boxes: list
    study_of_labels: list
    none_of_labels: list
    record: dict

    @property
    def weights(self):
        """Path of the network's weights."""
        return self.folder / WEIGHTS


def fold_folder(out, fold):
    """Where the run of one fold stands in the folder of a training."""
    return Path(out) / f"fold-{fold}"


def fold_folders(out):
    """The folders `fold-K` in the folder of a training, finished or not, in the order of K."""
    found = [path for path in Path(out).glob("fold-*") if path.is_dir() and re.fullmatch("fold-[0-9]+", path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("fold-")))


def search(source):
    """The folders of single runs, finished or not, in a data source: the source itself and those up to two levels below it.

    So deep a kernel's output (`runs/fold-K`) and the datasets that people make of one have them.
    """
    places = [place for level in ("", "*/", "*/*/") for name in (RECORD, STATE) for place in Path(source).glob(level + name)]
    return sorted({place.parent for place in places})


def save(folder, recipe, fold, facts):
    """Writes the record of a run whose other files (`FILES`) are in `folder` already; with it the run is finished.

    facts  dict for JSON: priors, prior_boxes, split, image_set, ...
    """
    folder = Path(folder)
    record = {
        "format": FORMAT,
        "recipe": to_dict(recipe),
        "fold": fold,
        **facts,
        "versions": versions(),
        "files": {name: sha256(folder / name) for name in (*FILES, *OPTIONAL) if name in FILES or (folder / name).exists()},
    }
    write_atomically(folder / RECORD, json.dumps(record, indent=1) + "\n")


def digest(content):
    """SHA-256 of text or bytes as 64 hex digits."""
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()


def versions():
    """Versions of Python and of the packages that decide a run, as installed."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def load(folder, recipe=None):
    """The `Run` of a folder, with every file's SHA-256 compared.

    recipe  if given, what the run must have been made by; RunError prints both sides where it was another

    Raises RunError where the run is missing, unfinished, changed, of another format or of a recipe unknown here.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        raise RunError(f"{folder} holds no finished run ({RECORD} is missing); train it, or name the folder of a finished one") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise RunError(f"{folder / RECORD} is not a run's record: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else record
        raise RunError(f"{folder / RECORD} has format {found!r}, this version reads {FORMAT}; use the version that wrote it")
    _require_sound(record, folder)
    for name in record["files"]:
        if not (folder / name).is_file():
            raise RunError(f"{folder} lacks {name}, which belongs to a run; copy the whole run again")
        if (found := sha256(folder / name)) != (said := record["files"][name]):
            raise RunError(f"{folder / name} has changed: SHA-256 {found}, {RECORD} says {said}; copy the run again")
    try:
        stored = from_dict(Recipe, record["recipe"])
    except RecipeError as error:
        raise RunError(f"{folder / RECORD} has a recipe that this version does not read: {error}; use the version that wrote it") from None
    if recipe is not None and (lines := difference(stored, recipe)):
        raise RunError(f"{folder} was made by another recipe: {'; '.join(lines)}")
    rule = (record["study_of_labels"], record["none_of_labels"])
    return Run(folder, stored, record["fold"], record["priors"], record["prior_boxes"], *rule, record)


def _require_sound(record, folder):
    """RunError where a record lacks what `Run` is made of."""
    kinds = {"recipe": dict, "fold": int, "priors": dict, "prior_boxes": list, "files": dict}
    kinds |= {"study_of_labels": list, "none_of_labels": list}
    wrong = [name for name, kind in kinds.items() if not isinstance(record.get(name), kind)]
    wrong = wrong or [f"priors.{name}" for name in (*STUDY_CLASSES, NONE) if not isinstance(record["priors"].get(name), int | float)]
    wrong = wrong or [f"files.{name}" for name in FILES if not isinstance(record["files"].get(name), str)]
    if wrong:
        raise RunError(f"{folder / RECORD} is damaged: {', '.join(wrong)} missing or not what it should be; copy the run again")


def load_all(folders):
    """The runs in some folders, in order: each a run, a folder of `fold-K` runs, or one that has such folders of several recipes.

    Raises RunError where a folder holds none, or a fold of it is unfinished.
    """
    found = [load(path) for folder in map(Path, folders) for path in _singles(folder)]
    if not found:
        raise RunError("no run was given; name at least one folder of a finished run")
    return found


def _singles(folder):
    """The folders of single runs in a folder, in order; the folder itself where none is below it."""
    if (folder / RECORD).exists():
        return [folder]
    recipes = sorted(path for path in folder.glob("*") if fold_folders(path))
    return fold_folders(folder) or [path for recipe in recipes for path in fold_folders(recipe)] or [folder]
