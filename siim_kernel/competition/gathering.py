"""The films that a split parts: the training tables, joined with the image sets of all sources."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from siim_kernel.competition import external, folds, tables
from siim_kernel.competition.splits import COMPETITION
from siim_kernel.pixels import imagesets


@dataclass(frozen=True)
class Films:
    """What a split parts.

    table       training table (`tables.Training.images`) with `source`: all films of the competition's tables, then those of other
                sources in the order of their image sets
    duplicates  groups of image ids that show one film, None where there was no image set to compare them in
    remarks     one line each: what does not fit together, and what could not be compared
    """

    table: pd.DataFrame
    duplicates: list | None
    remarks: tuple[str, ...]


def gather(competition, sets=(), patients=None, headers=True):
    """The `Films` of a competition folder, or of its tables alone, and of image sets.

    sets        opened `imagesets.ImageSet`s of one pixel recipe, of any source
    patients    a CSV in the form of `tables.read_patients`; without it patients come from the image sets, then from DICOM headers
    headers     read them from the headers of all films, where the image sets do not know them and there are films

    Raises TableError and MountError for the tables, ImageSetError for image sets of several pixel recipes or that share a film.
    """
    opened = imagesets.union(sets) if sets else None
    training = tables.read_training(competition, patients=patients, headers=False)
    own = _with_patients(training.images, opened)
    if headers and patients is None and (own["patient"] == "").any() and (own["path"] != "").any():
        training = tables.read_training(competition, headers=True)
        own = _with_patients(training.images, opened)
    own = own.assign(source=COMPETITION)
    if opened is None:
        return Films(own, None, training.problems)
    others = external.training_table(opened.table[opened.table["source"] != COMPETITION])
    table = pd.concat([own, others], ignore_index=True) if len(others) else own
    rows = np.flatnonzero(opened.table["image"].isin(set(table["image"])))
    duplicates = folds.find_duplicates((np.asarray(opened.images[row]) for row in rows), opened.table["image"].iloc[rows])
    lacking = table["image"][~table["image"].isin(set(opened.table["image"]))]
    remarks = [*training.problems]
    if len(lacking):
        remarks.append(f"{len(lacking)} films are in no image set, the first is {lacking.iloc[0]}")
    return Films(table, duplicates, tuple(remarks))


def _with_patients(films, opened):
    """Films with the patients that an image set knows, where the tables do not."""
    if opened is None:
        return films
    known = opened.table.drop_duplicates("image").set_index("image")["patient"]
    return films.assign(patient=films["patient"].where(films["patient"] != "", films["image"].map(known).fillna("")))
