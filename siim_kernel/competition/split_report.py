"""What stands in training, in validation and in the final test: sources, classes, shared patients, and what is wrong with it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from siim_kernel.competition import schemes
from siim_kernel.competition.splits import COMPETITION, FINAL_TEST, films_of
from siim_kernel.errors import TableError
from siim_kernel.labels import EXTERNAL_CLASSES, STUDY_CLASSES

PARTS = ("training", "validation", "final test")
TRAINING, VALIDATION, TEST = PARTS

# A part, and what it should share nothing with.
PAIRS = ((VALIDATION, (TRAINING,)), (TEST, (TRAINING,)), (TEST, (TRAINING, VALIDATION)))
COUNTED = {"patient": "patients", "study": "studies"}
NO_TARGET = "no target"


@dataclass(frozen=True)
class SplitReport:
    """Who is where, in one validation of a split. All tables count; their columns are `PARTS` unless said.

    sources    films by source
    classes    films by class (study classes, then external ones)
    labels     scheme's name -> films by label, and those without a target
    ungrouped  films without a known patient, by source
    shared     rows "validation / training", "final test / training", "final test / training or validation": of the first part's
               films, how many share a patient, a study or a duplicate with the second (patient_films, study_films,
               duplicate_films), and how many patients, studies and groups of duplicates stand in both
    compared   duplicates were given
    """

    sources: pd.DataFrame
    classes: pd.DataFrame
    labels: dict[str, pd.DataFrame]
    ungrouped: pd.DataFrame
    shared: pd.DataFrame
    compared: bool

    @property
    def films(self):
        """Films of each part, as a dict."""
        return self.sources.sum().to_dict()

    @property
    def flaws(self):
        """What a reader of a score must know, one line each; empty where nothing is wrong as far as could be compared."""
        films, found = self.films, []
        for part in (TRAINING, VALIDATION):
            if not films[part]:
                found.append(f"no film is in {part}")
                continue
            found += [f"no film of source {name} is in {part}" for name in _absent(self.sources, part)]
            absent = _absent(self.classes, part)
            if absent:
                found.append(f"no film of class{'es' * (len(absent) > 1)} {', '.join(absent)} is in {part}")
        for pair, row in self.shared.iterrows():
            part, other = pair.split(" / ")
            for count, what in ((row.patient_films, "a patient"), (row.study_films, "a study"), (row.duplicate_films, "a duplicate")):
                if count:
                    found.append(f"{count:,} of {films[part]:,} {part} films share {what} with {other}")
        return tuple(found)

    def lines(self):
        """The report for a terminal, one string a line."""
        films = self.films
        lines = [", ".join(f"{films[part]:,} {part}" for part in PARTS), *_block("source", self.sources), *_block("class", self.classes)]
        for name, table in self.labels.items():
            lines += _block(name, table)
        alone = self.ungrouped.sum().to_dict()
        if any(alone.values()):
            counted = ", ".join(f"{alone[part]:,} {part}" for part in PARTS if alone[part])
            lines.append(f"ungrouped, their patients are not known: {counted}")
        if not self.compared:
            lines.append("duplicates were not compared")
        if not films[TEST]:
            lines.append("no film is kept for a final test")
        return [*lines, *(f"! {flaw}" for flaw in self.flaws)]


def split_lines(images, fold, validating=None, duplicates=None, label_schemes=()):
    """The lines of the `SplitReport` of each fold that validates, one after the other, each under the fold's number.

    validating  numbers of the folds that validate in turn; by default all there are, whatever their numbers

    The rest is as in `split_report`.
    """
    lines = []
    for number in folds_of(fold) if validating is None else validating:
        lines += [f"fold {number} validates:", *split_report(images, fold, int(number), duplicates, label_schemes).lines()]
    return lines


def folds_of(fold):
    """The numbers of the folds there are, rising, without the final test."""
    return [int(number) for number in np.unique(fold) if number != FINAL_TEST]


def split_report(images, fold, validation=None, duplicates=None, label_schemes=()):
    """The `SplitReport` of a split in which one fold validates.

    images         training table (see `splits.films_of`), for the scheme `image_label` also with that column
    fold           int [N], -1 the final test
    validation     the fold that validates, by default the lowest there is; films of all other folds are trained on
    duplicates     groups of image ids that show one film, None where they were not compared
    label_schemes  `labels.Scheme`s to count the films by as well

    Raises TableError for a table that cannot be parted, for folds that are not one a film or no whole numbers, and where the final
    test is to validate.
    """
    table = films_of(images)
    fold = np.asarray(fold)
    if fold.shape != (len(table),):
        raise TableError(f"a split has one fold a film: {len(table)} films, got folds of shape {fold.shape}")
    if fold.dtype.kind not in "iu":
        raise TableError(f"folds are whole numbers, {FINAL_TEST} for the final test, got {fold.dtype}")
    if validation == FINAL_TEST:
        raise TableError(f"fold {FINAL_TEST} is the final test: it does not validate")
    if validation is None:
        validation = next(iter(folds_of(fold)), 0)
    part = pd.Series(np.select([fold == FINAL_TEST, fold == validation], [TEST, VALIDATION], TRAINING))
    alone = table["patient"] == ""
    return SplitReport(
        sources=_count(table["source"], part, (COMPETITION,)),
        classes=_count(table["label"], part, (*STUDY_CLASSES, *EXTERNAL_CLASSES)),
        labels={scheme.name: _by_label(images, scheme, part) for scheme in label_schemes},
        ungrouped=_count(table["source"][alone], part[alone], (COMPETITION,)),
        shared=pd.DataFrame({f"{one} / {' or '.join(others)}": _shared(table, part, one, others, duplicates) for one, others in PAIRS}).T,
        compared=duplicates is not None,
    )


def _count(values, part, first):
    """Films by value and part; the values of `first` come first, in its order, then the others sorted."""
    table = pd.DataFrame({name: values[part == name].value_counts() for name in PARTS}).fillna(0).astype(int)
    order = [name for name in first if name in table.index]
    return table.loc[[*order, *sorted(set(table.index) - set(order))]]


def _by_label(images, scheme, part):
    """Films by label of a scheme, all its labels, and those without a target where there are some."""
    names = np.array([*scheme.labels, NO_TARGET], dtype=object)[schemes.targets(images, scheme)]  # -1 is the last
    table = _count(pd.Series(names, dtype=object), part, ())
    order = [*scheme.labels, *([NO_TARGET] if NO_TARGET in table.index else [])]
    return table.reindex(order, fill_value=0)


def _shared(table, part, one, others, duplicates):
    """What the films of one part share with those of the others, as a row of `SplitReport.shared`."""
    here, there = part == one, part.isin(others)
    row = {}
    for column in ("patient", "study"):
        key = (table["source"] + "\n" + table[column]).where(table[column] != "")
        common = set(key[here].dropna()) & set(key[there].dropna())
        row |= {f"{column}_films": int((here & key.isin(common)).sum()), COUNTED[column]: len(common)}
    ours, theirs = set(table["image"][here]), set(table["image"][there])
    apart = [group for group in map(set, duplicates or ()) if group & ours and group & theirs]
    return row | {"duplicate_films": len(ours & set().union(*apart)), "duplicates": len(apart)}


def _absent(table, part):
    """What has films elsewhere, but none in a part."""
    return list(table.index[table[part] == 0])


def _block(title, table):
    """A table as aligned lines under its title."""
    rows = [(title, *PARTS), *((str(name), *(f"{count:,}" for count in row)) for name, *row in table.itertuples())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([name.ljust(widths[0]), *map(str.rjust, counts, widths[1:])]) for name, *counts in rows]
