"""What a report is about: each RUN that was named, its folds pooled, as checked tables and `Predictions`."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from siim_kernel import runs as stored
from siim_kernel.errors import RunError, TableError
from siim_kernel.evaluation import report_reading
from siim_kernel.evaluation.predictions import Predictions
from siim_kernel.labels import SCHEMES
from siim_kernel.recipes.storing import difference


@dataclass(frozen=True)
class Judged:
    """One RUN of a report: the run of one fold, or the runs of several folds of one training, pooled.

    name        the recipe's, with the folder where several RUNs have that
    runs        `runs.Run` of each finished fold
    table       the out-of-fold films that have a label, sorted by image: columns of `report_reading.FACTS`, then the probabilities
    unlabelled  films of the out-of-fold tables whose label the recipe's scheme does not know; they are not judged
    tests       the final-test table of each run, as `table`; () where the split has no final test
    trainings   the table of the films that each run learnt from; () where a run stores none
    planned     how many folds of the split validate
    unfinished  folders of folds that are not finished
    remarks     lines on films that were left out
    """

    name: str
    runs: tuple[stored.Run, ...]
    table: pd.DataFrame
    unlabelled: int
    tests: tuple[pd.DataFrame, ...]
    trainings: tuple[pd.DataFrame, ...] = ()
    planned: int = 1
    unfinished: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()

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

    @property
    def folds_text(self):
        """ "5 folds", or "2 of 5 folds (fold-2 is not finished)"."""
        count = f"{len(self.runs)} of {self.planned} folds" if len(self.runs) < self.planned else f"{len(self.runs)} folds"
        count = "1 fold" if count == "1 folds" else count
        names = ", ".join(folder.name for folder in self.unfinished)
        return count + (f" ({names} {'is' if len(self.unfinished) == 1 else 'are'} not finished)" if names else "")

    @cached_property
    def predictions(self):
        """Out-of-fold `Predictions`: each film by the network that did not learn from it."""
        return self._predictions(self.table, self.table["image"], self.table["patient"])

    @cached_property
    def final_test(self):
        """`Predictions` of the final test by the mean over the folds' networks, None without one."""
        if not self.tests:
            return None
        mean = self.tests[0].copy()
        names = list(self.labels)
        mean[names] = np.mean([test[names].to_numpy() for test in self.tests], axis=0)
        return self._predictions(mean, mean["image"], mean["patient"])

    @cached_property
    def by_network(self):
        """(training, validation, final test) as `Predictions` of single networks, None for what there is not.

        A film stands once in a part for each network that judged it there, always as one patient, though nobody may know whose it is.
        Single networks are what is to be compared with each other; the mean of networks is better than one.
        """
        return tuple(self._of_single_networks(part) for part in (self.trainings, (self.table,), self.tests))

    def _of_single_networks(self, part):
        if not part:
            return None
        pooled = pd.concat(part, ignore_index=True)
        patients = pooled["patient"].where(pooled["patient"].str.strip() != "", "film " + pooled["image"])
        return self._predictions(pooled, pooled["image"] + " by " + pooled["fold"].astype(str), patients)

    def _predictions(self, table, images, patients):
        return Predictions(self.labels, images, patients, report_reading.targets(table, self.scheme), table[list(self.labels)])

    @cached_property
    def history(self):
        """One row an epoch and fold: columns of `report_reading.HISTORY`."""
        found = [table for table, _ in self._histories if len(table)]
        return pd.concat(found, ignore_index=True) if found else self._histories[0][0]

    @property
    def history_faults(self):
        """Lines on histories that cannot be read."""
        return [fault for _, fault in self._histories if fault]

    @cached_property
    def _histories(self):
        return [report_reading.history(run) for run in self.runs]


def load(paths):
    """`Judged` of each RUN: the folder of a run, or of the runs `fold-K` of one training, those that are finished.

    Raises RunError where a run is damaged, no fold is finished, the folds in a folder are not of one training, or a RUN is named
    twice, TableError where its tables are not those of a run.
    """
    paths = [Path(path) for path in paths]
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise RunError(f"{path} was named twice; name each run once")
    found = [(path, *report_reading.folds_in(path)) for path in paths]
    if not found:
        raise RunError("no run was given; name at least one folder of a finished run")
    names = _names([(path, runs[0].recipe.name) for path, runs, _ in found])
    return [_judged(name, *each) for name, each in zip(names, found, strict=True)]


def _names(named):
    """The recipes' names, made different by folders where they are not."""
    recipes = [recipe for _, recipe in named]
    short = [recipe if recipes.count(recipe) == 1 else f"{recipe} ({_folder(path)})" for path, recipe in named]
    return [name if short.count(name) == 1 else f"{recipe} ({path})" for name, (path, recipe) in zip(short, named, strict=True)]


def _folder(path):
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if path.name.startswith("fold-") else path.name


def _judged(name, path, runs, unfinished):
    for run in runs[1:]:
        if lines := difference(runs[0].recipe, run.recipe):
            raise RunError(f"{runs[0].folder} and {run.folder} are folds of different recipes: {'; '.join(lines)}; name each by itself")
        if _split_of(run) != _split_of(runs[0]):
            raise RunError(f"{runs[0].folder} and {run.folder} are folds of different splits; name each by itself")
    scheme = SCHEMES[runs[0].recipe.labels]
    read = [report_reading.predicted(run, stored.OUT_OF_FOLD, scheme) for run in runs]
    table = pd.concat([each for each, _ in read], ignore_index=True)
    repeated = table["image"][table["image"].duplicated()]
    if len(repeated):
        raise RunError(f"{len(repeated)} films validate more than one run in {path}, the first is {repeated.iloc[0]}; name each by itself")
    known = report_reading.labelled(table, scheme)
    if not len(known):
        raise TableError(f"no film that validated {path} has a label of the scheme {scheme.name}; there is nothing to judge")
    tests, of_tests = report_reading.final_tests(runs, scheme)
    trainings, of_trainings = report_reading.training_films(runs, scheme)
    return Judged(
        name=name,
        runs=runs,
        table=known,
        unlabelled=len(table) - len(known),
        tests=tests,
        trainings=trainings,
        planned=max(report_reading.planned_folds(runs[0]), len(runs) + len(unfinished)),
        unfinished=unfinished,
        remarks=tuple(line for lines in (*(some for _, some in read), of_tests, of_trainings) for line in lines),
    )


def _split_of(run):
    return (run.record.get("split") or {}).get("sha256")
