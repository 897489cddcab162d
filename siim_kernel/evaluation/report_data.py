"""What a report is about: each RUN that was named, its folds pooled, as checked tables and `Predictions`."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from siim_kernel import runs as stored
from siim_kernel.competition import schemes, tables
from siim_kernel.errors import RunError, TableError
from siim_kernel.evaluation.predictions import Predictions
from siim_kernel.labels import BOXED, NONE, OPACITY, SCHEMES
from siim_kernel.recipes.storing import difference

FACTS = ("image", "study", "patient", "label", "reading", "rows", "columns", "fold")
ACCURACIES = ("study_accuracy", "accuracy")  # Keras names it by the head where there are several


@dataclass(frozen=True)
class Judged:
    """One RUN of a report: the run of one fold, or the runs of several folds of one training, pooled.

    name        the recipe's, with the folder where several RUNs have that
    runs        `runs.Run` of each fold
    table       the out-of-fold films that have a label, sorted by image: columns of `FACTS`, then the probabilities
    unlabelled  films of the out-of-fold tables whose label the recipe's scheme does not know; they are not judged
    tests       the final-test table of each run, as `table`; () where the split has no final test
    """

    name: str
    runs: tuple[stored.Run, ...]
    table: pd.DataFrame
    unlabelled: int
    tests: tuple[pd.DataFrame, ...]

    @property
    def recipe(self):
        """The recipe of all its runs."""
        return self.runs[0].recipe

    @property
    def scheme(self):
        """The label scheme of its recipe."""
        return SCHEMES[self.recipe.labels]

    @property
    def labels(self):
        """Labels in the order of the network's outputs."""
        return self.scheme.labels

    @cached_property
    def predictions(self):
        """Out-of-fold `Predictions`: each film by the network that did not learn from it."""
        return _predictions(self.table, self.scheme, self.table["image"])

    @cached_property
    def final_test(self):
        """`Predictions` of the final test by the mean over the folds' networks, None without one."""
        if not self.tests:
            return None
        mean = self.tests[0].copy()
        names = list(self.labels)
        mean[names] = np.mean([test[names].to_numpy() for test in self.tests], axis=0)
        return _predictions(mean, self.scheme, mean["image"])

    @cached_property
    def final_test_by_network(self):
        """`Predictions` of the final test by each fold's network, None without one: a film stands in it once for each.

        It is what the out-of-fold predictions, of single networks, are to be compared with; the mean of networks is better than one.
        """
        if not self.tests:
            return None
        pooled = pd.concat(self.tests, ignore_index=True)
        return _predictions(pooled, self.scheme, pooled["image"] + " by " + pooled["fold"].astype(str))

    @cached_property
    def history(self):
        """One row an epoch and fold: fold, phase, epoch, loss, accuracy, validation_loss, validation_accuracy."""
        return pd.concat([_history(run) for run in self.runs], ignore_index=True)


def load(paths):
    """`Judged` of each RUN: the folder of a run, or of the runs `fold-K` of one training.

    Raises RunError where a run is damaged, the folds in a folder are not of one training, or a RUN is named twice, TableError
    where its tables are not those of a run.
    """
    paths = [Path(path) for path in paths]
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise RunError(f"{path} was named twice; name each run once")
    found = [(path, tuple(stored.load_all([path]))) for path in paths]
    if not found:
        raise RunError("no run was given; name at least one folder of a finished run")
    names = _names([(path, runs[0].recipe.name) for path, runs in found])
    return [_judged(name, path, runs) for name, (path, runs) in zip(names, found, strict=True)]


def _names(named):
    """The recipes' names, made different by folders where they are not."""
    recipes = [recipe for _, recipe in named]
    short = [recipe if recipes.count(recipe) == 1 else f"{recipe} ({_folder(path)})" for path, recipe in named]
    return [name if short.count(name) == 1 else f"{recipe} ({path})" for name, (path, recipe) in zip(short, named, strict=True)]


def _folder(path):
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if path.name.startswith("fold-") else path.name


def _judged(name, path, runs):
    for run in runs[1:]:
        if lines := difference(runs[0].recipe, run.recipe):
            raise RunError(f"{runs[0].folder} and {run.folder} are folds of different recipes: {'; '.join(lines)}; name each by itself")
        if _split_of(run) != _split_of(runs[0]):
            raise RunError(f"{runs[0].folder} and {run.folder} are folds of different splits; name each by itself")
    scheme = SCHEMES[runs[0].recipe.labels]
    table = pd.concat([_read(run, stored.OUT_OF_FOLD, scheme) for run in runs], ignore_index=True)
    repeated = table["image"][table["image"].duplicated()]
    if len(repeated):
        raise RunError(f"{len(repeated)} films validate more than one run in {path}, the first is {repeated.iloc[0]}; name each by itself")
    known = _targets(table, scheme) != schemes.NO_TARGET
    if not known.any():
        raise TableError(f"no film that validated {path} has a label of the scheme {scheme.name}; there is nothing to judge")
    return Judged(
        name=name,
        runs=runs,
        table=table[known].sort_values("image", ignore_index=True),
        unlabelled=int((~known).sum()),
        tests=_tests(runs, scheme),
    )


def _split_of(run):
    return (run.record.get("split") or {}).get("sha256")


def _tests(runs, scheme):
    having = [run for run in runs if (run.folder / stored.FINAL_TEST).exists()]
    if not having:
        return ()
    tests = []
    for run in runs:
        if run not in having:
            raise RunError(f"{run.folder} has no {stored.FINAL_TEST}, {having[0].folder} has one; train both by the same split")
        test = _read(run, stored.FINAL_TEST, scheme)
        test = test[_targets(test, scheme) != schemes.NO_TARGET].sort_values("image", ignore_index=True)
        if tests and test["image"].tolist() != tests[0]["image"].tolist():
            raise RunError(f"the final tests of {runs[0].folder} and {run.folder} are not of the same films; name each run by itself")
        tests.append(test)
    return tuple(tests) if len(tests[0]) else ()


def _read(run, name, scheme):
    """A table of predictions of a run: text columns, then probabilities as float64."""
    path = run.folder / name
    chances = list(dict.fromkeys((*scheme.labels, NONE)))
    table = tables.read_csv(path, [*FACTS, *chances])[[*FACTS, *chances]].reset_index(drop=True)
    for column in ("rows", "columns", "fold", *chances):
        numbers = pd.to_numeric(table[column], errors="coerce")
        wrong = numbers.isna() & (table[column] != "")
        if wrong.any():
            raise TableError(f"{path}: {column} holds {table[column][wrong].iloc[0]!r}, which is no number; copy the run again")
        table[column] = numbers
    return table.assign(fold=run.fold)


def _targets(table, scheme):
    labelled = table.assign(image_label=table["reading"].map({BOXED: OPACITY, NONE: NONE}).fillna(""))
    return schemes.targets(labelled, scheme)


def _predictions(table, scheme, images):
    return Predictions(scheme.labels, images, table["patient"], _targets(table, scheme), table[list(scheme.labels)])


def _history(run):
    path = run.folder / stored.HISTORY
    table = tables.read_csv(path, ["phase", "epoch", "loss", "val_loss"])
    accuracy = next((name for name in ACCURACIES if name in table), None)
    wanted = {"phase": "phase", "epoch": "epoch", "loss": "loss", "validation_loss": "val_loss"}
    wanted |= {"accuracy": accuracy, "validation_accuracy": f"val_{accuracy}"} if accuracy else {}
    columns = {name: pd.to_numeric(table[column], errors="coerce") for name, column in wanted.items() if column in table}
    return pd.DataFrame({"fold": run.fold, **columns}).reindex(
        columns=["fold", "phase", "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"]
    )
