"""The competition's words: study classes, image classes, their columns and orders.

The order of `STUDY_CLASSES` is the order of every array, softmax and submission row of this project.
"""

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
