"""The competition's words: study classes, image classes, their columns and orders; and the thesis's label schemes.

The order of `STUDY_CLASSES` is the order of every array, softmax and submission row of this project.
"""

from dataclasses import dataclass

STUDY_CLASSES = ("negative", "typical", "indeterminate", "atypical")
NONE = "none"
OPACITY = "opacity"
IMAGE_CLASSES = (NONE, OPACITY)

# The six classes of the metric, in the order of its table.
METRIC_CLASSES = STUDY_CLASSES + IMAGE_CLASSES

# Columns of train_study_level.csv.
STUDY_COLUMNS = {
    "negative": "Negative for Pneumonia",
    "typical": "Typical Appearance",
    "indeterminate": "Indeterminate Appearance",
    "atypical": "Atypical Appearance",
}

# How an image was read for boxes: it has some, it has none, or nobody looked (an unannotated sibling, an empty label).
BOXED = "boxed"
NOT_READ = "not read"
READINGS = (BOXED, NONE, NOT_READ)

# The "one-pixel" box of study rows and of `none`.
UNIT_BOX = (0.0, 0.0, 1.0, 1.0)

# Classes of the COVID-19 Radiography Database, by the names of its folders in the words of the thesis (section 4.8).
EXTERNAL_CLASSES = ("covid_19", "LO", "NORMAL", "VIRALNEU")

# What the films of a source are labelled with: its classes, and of the competition the readings too.
SOURCE_CLASSES = {"competition": (STUDY_CLASSES, IMAGE_CLASSES), "radiography": (EXTERNAL_CLASSES,)}


@dataclass(frozen=True)
class Scheme:
    """A way to label films (thesis sections 4.3 and 4.8).

    groups  label -> the classes of films that bear it, in the order of the network's outputs; of `image_label` the readings
    """

    name: str
    groups: dict[str, tuple[str, ...]]

    @property
    def labels(self):
        """The labels in the order of the network's outputs."""
        return tuple(self.groups)

    def label_of(self, name):
        """The label of a class (or reading), None where the scheme does not know it."""
        return next((label for label, names in self.groups.items() if name in names), None)

    def knows(self, source):
        """Whether every film of a source of `SOURCE_CLASSES` has a label."""
        return any(all(self.label_of(name) is not None for name in names) for names in SOURCE_CLASSES[source])


_OTHERS = ("indeterminate", "atypical")
SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("study_label", {name: (name,) for name in STUDY_CLASSES}),
        Scheme("image_label", {NONE: (NONE,), OPACITY: (OPACITY,)}),
        Scheme("label_opacity", {"None": ("negative",), "Yes": ("typical", *_OTHERS)}),
        Scheme("label_n_Covid_19", {"None": ("negative", *_OTHERS), "Yes": ("typical",)}),
        Scheme("label_opacity_3l", {"None": ("negative",), "Yes": ("typical",), "otros": _OTHERS}),
        Scheme("union_study_label", {name: (name,) for name in (*STUDY_CLASSES, *EXTERNAL_CLASSES)}),
        Scheme(
            "2L_opacity_no_opacity",
            {"None": ("negative", "NORMAL"), "Yes": ("typical", *_OTHERS, "covid_19", "LO", "VIRALNEU")},
        ),
        Scheme(
            "2L_covid_no_covid",
            {"None": ("negative", *_OTHERS, "LO", "NORMAL", "VIRALNEU"), "Yes": ("typical", "covid_19")},
        ),
    )
}
