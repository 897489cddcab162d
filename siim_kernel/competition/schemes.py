"""The thesis's label schemes on tables of films, and how what they predict becomes a submission.

A network of two, three or eight labels does not tell all study classes apart. The rule that this project states for its
submission: a label's probability goes to the study classes of its group in proportion to how often they occur in training,

    study = probabilities @ to_study(scheme, images)        float [N, K] @ [K, 4] -> [N, 4]
    none  = probabilities @ to_none(scheme, images)         float [N, K] @ [K] -> [N]

The same goes for `none`: a label gives it as often as training films of that label were read and found without boxes.
"""

import numpy as np
import pandas as pd

from siim_kernel.errors import RecipeError, TableError
from siim_kernel.labels import IMAGE_CLASSES, NONE, NOT_READ, STUDY_CLASSES

NO_TARGET = -1

# The study classes that an external class can be of. Lung opacities without COVID-19 and viral pneumonias are not typical,
# and which of the two others they are the external set does not say.
STANDS_FOR = {
    "NORMAL": ("negative",),
    "covid_19": ("typical",),
    "LO": ("indeterminate", "atypical"),
    "VIRALNEU": ("indeterminate", "atypical"),
}


def _of_readings(scheme):
    """True for `image_label`: its groups are of image labels, those of the others are of study and external classes."""
    return all(name in IMAGE_CLASSES for names in scheme.groups.values() for name in names)


def _column(images, name, scheme):
    if name not in images:
        raise TableError(f"the scheme {scheme.name} needs the column {name}; the table has {', '.join(map(str, images.columns))}")
    return images[name]


def targets(images, scheme):
    """The label of each film under a `labels.Scheme`: int64 [N], positions in `scheme.labels`.

    images  training table with `label` (study class, or external class), for `image_label` with `image_label` ("none", "opacity",
            or empty)

    A film has no target (-1) where its cell is empty or the scheme does not know its class. Raises TableError where the column
    is missing.
    """
    cells = _column(images, "image_label" if _of_readings(scheme) else "label", scheme)
    place = {name: scheme.labels.index(scheme.label_of(name)) for names in scheme.groups.values() for name in names}
    return np.array([place.get(cell, NO_TARGET) for cell in cells], dtype=np.int64)


def counts(images, scheme):
    """Films per label: DataFrame with the labels of the scheme as index, in its order, and films (int), share (float, sum 1).

    Films without a target are not counted; a share of no films is 0.
    """
    codes = targets(images, scheme)
    films = np.bincount(codes[codes != NO_TARGET], minlength=len(scheme.labels))
    return pd.DataFrame({"films": films, "share": films / max(1, films.sum())}, index=pd.Index(scheme.labels, name="label"))


def _study_classes(name, scheme):
    """The study classes that a class of a scheme is or stands for."""
    if name in STUDY_CLASSES:
        return (name,)
    if name not in STANDS_FOR:
        raise RecipeError(f"class {name} of the scheme {scheme.name} stands for no study class; known are {', '.join(STANDS_FOR)}")
    return STANDS_FOR[name]


def to_study(scheme, images):
    """How the probability of each label is shared out among the study classes: float64 [K, 4], rows sum to 1.

    images  the training table, whose films of the four study classes are the priors; films of external classes do not count

    Row k holds the study classes of label k's group (external classes by `STANDS_FOR`), in proportion to their number of films.
    A group of one class is that class. For `image_label` row k is P(study class | image label k): the films with that image
    label, counted by study class. `study_label` gives the identity.

    Raises TableError where a label is to be shared out and no training film says how, RecipeError for a class that stands for
    no study class.
    """
    films = images[_column(images, "label", scheme).isin(STUDY_CLASSES)]
    rows = np.empty((len(scheme.labels), len(STUDY_CLASSES)))
    for row, (label, held, bearing) in enumerate(_of_labels(scheme, films)):
        weights = films["label"][bearing].value_counts().reindex(STUDY_CLASSES, fill_value=0).to_numpy()
        if len(held) == 1:
            weights = np.array([name in held for name in STUDY_CLASSES])
        if not weights.any():
            raise TableError(
                f"label {label} of the scheme {scheme.name} is shared out among {', '.join(held)} as its training films are, and "
                f"the table of {len(images)} films has none of them; give the whole training table"
            )
        rows[row] = weights / weights.sum()
    return rows


def _of_labels(scheme, films):
    """Of each label, in order: its name, the study classes it may be, and which films of the four study classes bear it (bool)."""
    codes = targets(films, scheme)
    for row, (label, names) in enumerate(scheme.groups.items()):
        if _of_readings(scheme):
            yield label, STUDY_CLASSES, codes == row
        else:
            held = sorted({kind for name in names for kind in _study_classes(name, scheme)}, key=STUDY_CLASSES.index)
            yield label, tuple(held), films["label"].isin(held).to_numpy()


def to_none(scheme, images):
    """How often a film of each label is `none`: P(none | label), float64 [K] in 0..1.

    images  the training table with `reading`; counted are the films of the four study classes that were read for boxes and bear
            the label, or a class that the label's external classes stand for (`STANDS_FOR`). For `image_label` that is 1 and 0.

    A label none of whose films was read is `none` as often as it is negative. Raises as `to_study`.
    """
    none = to_study(scheme, images)[:, STUDY_CLASSES.index("negative")].copy()
    films = images[images["label"].isin(STUDY_CLASSES)]
    readings = _column(films, "reading", scheme)
    for row, (_, _, bearing) in enumerate(_of_labels(scheme, films)):
        read = readings[bearing & (readings != NOT_READ).to_numpy()]
        if len(read):
            none[row] = (read == NONE).mean()
    return none
