"""What a run said of films whose labels are known: checked once here, judged by the other modules."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from siim_kernel.errors import RunError, TableError

OVERALL, MACRO = "overall", "macro"  # in the place of a label
SUM_TOLERANCE = 0.01  # probabilities come from CSVs, rounded


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of one run for N films, in one label scheme of K labels.

    labels         the K names, in the order of the network's outputs
    images         str [N], each film's id, no id twice
    patients       str [N], "" where the patient is not known: such a film is a group of its own
    truth          int [N], place in `labels`
    probabilities  float64 [N, K] in 0..1, rows that sum to 1

    Lists and pandas columns are taken too. Raises TableError where images, patients or truth are not so, RunError where
    the probabilities are not.
    """

    labels: tuple[str, ...]
    images: np.ndarray
    patients: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self):
        put = object.__setattr__  # the way into a frozen dataclass
        put(self, "labels", _labels(self.labels))
        put(self, "images", _texts(self.images, "image"))
        put(self, "patients", np.char.strip(_texts(self.patients, "patient")))
        for name, values in (("patients", self.patients), ("truth", self.truth), ("probabilities", self.probabilities)):
            if len(values) != len(self.images):
                raise TableError(f"{len(self.images)} images have {len(values)} {name}; give one of each to a film")
        put(self, "truth", _truth(self.truth, self.images, self.labels))
        put(self, "probabilities", _probabilities(self.probabilities, self.images, self.labels))

    def __len__(self):
        return len(self.images)

    @cached_property
    def predicted(self):
        """int [N], the label of the highest probability, the first one of equals."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def groups(self):
        """int [N] in 0 .. n_groups - 1, the same for the films of one patient; a film of an unknown patient stands alone."""
        return group_numbers(self.patients)

    @property
    def n_groups(self):
        """How many groups there are."""
        return int(self.groups.max()) + 1

    def take(self, films):
        """`Predictions` of some of the films: bool [N] or places."""
        return Predictions(self.labels, self.images[films], self.patients[films], self.truth[films], self.probabilities[films])


def group_numbers(patients):
    """int [N] in 0 .. G - 1, without gaps: the same for equal patients of str [N], another one for each unknown ("")."""
    names, groups = np.unique(patients, return_inverse=True)
    unknown = patients == ""
    groups[unknown] = len(names) + np.arange(unknown.sum())
    return np.unique(groups, return_inverse=True)[1]


def check_same_films(first, second):
    """Raises RunError where two `Predictions` are not of the same films, with the same labels, truth and patients, in one order."""
    if first.labels != second.labels:
        raise RunError(f"the runs have different labels, {first.labels} and {second.labels}; compare runs of one label scheme")
    only = np.setxor1d(first.images, second.images)
    if len(only):
        raise RunError(
            f"the runs judged different films: {len(only)} are of one run alone, the first is {only[0]} "
            f"({len(first)} and {len(second)} films); compare them on the films that both judged"
        )
    for name in ("images", "truth", "patients"):
        one, other = getattr(first, name), getattr(second, name)
        differ = np.flatnonzero(one != other)
        if len(differ):
            place = differ[0]
            remedy = "sort both by image" if name == "images" else "read both from one table"
            raise RunError(
                f"the {name} of the two runs differ at {len(differ)} films, the first is number {place}: "
                f"{one[place]} and {other[place]}; {remedy}"
            )


def _labels(labels):
    labels = tuple(labels)
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise TableError(f"a label scheme has two or more different labels, got {labels}")
    return labels


def _texts(values, word):
    values = np.asarray(values, dtype=object)
    if values.ndim != 1 or not len(values):
        raise TableError(f"the {word}s are of shape {values.shape}; give one or more, in one dimension")
    for place, value in enumerate(values):
        if not isinstance(value, str):
            raise TableError(f"the {word} of film {place} is {value!r}; text is expected" + ', "" if unknown' * (word == "patient"))
    if word == "image":
        names, counts = np.unique(values.astype(str), return_counts=True)
        if len(names) < len(values):
            raise TableError(f"{(counts > 1).sum()} images occur more than once, the first is {names[counts > 1][0]}; judge each film once")
    return values.astype(str)


def _truth(truth, images, labels):
    truth = np.asarray(truth)
    if truth.ndim != 1 or truth.dtype.kind not in "iub":
        raise TableError(f"truth is {truth.dtype} of shape {truth.shape}; places in {labels} are expected, whole numbers in one dimension")
    truth = truth.astype(np.int64)
    wrong = np.flatnonzero((truth < 0) | (truth >= len(labels)))
    if len(wrong):
        raise TableError(
            f"{len(wrong)} films have no label of {labels}, the first is {images[wrong[0]]} with {truth[wrong[0]]}; leave such films out"
        )
    return truth


def _probabilities(values, images, labels):
    try:
        values = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RunError(f"probabilities are not a table of numbers: {error}; give a row of {len(labels)} numbers for each film") from None
    if values.ndim != 2 or values.shape[1] != len(labels):
        raise RunError(f"probabilities are of shape {values.shape}; a row for each film and a column for each of {labels} are expected")
    sums = values.sum(axis=1)
    # NaN fails every comparison, so it is among these.
    wrong = np.flatnonzero(~((values >= 0) & (values <= 1)).all(axis=1) | ~(np.abs(sums - 1) <= SUM_TOLERANCE))
    if len(wrong):
        row = ", ".join(f"{value:.6g}" for value in values[wrong[0]])
        raise RunError(
            f"the probabilities of {len(wrong)} films are not numbers in 0..1 with the sum 1, the first is {images[wrong[0]]}: {row}; "
            "predict these films again or leave them out"
        )
    return values
