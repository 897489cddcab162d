"""Who comes to the made competition: patients, their studies and classes, the images, and what stands in train and test.

No pixels are made here. The shares are those of the real competition's training tables (6,054 studies, 6,334 images, 3,261 patients).
"""

from dataclasses import dataclass

from siim_kernel.errors import RecipeError
from siim_kernel.labels import STUDY_CLASSES
from siim_kernel.phantom.draws import pick, quotas, short_id, spread, stream

TRAIN, TEST = "train", "test"
FEWEST, MOST = 8, 50_000

CLASS_STUDIES = {"negative": 1676, "typical": 2855, "indeterminate": 1049, "atypical": 474}
STUDIES_A_PATIENT = {
    1: 2061, 2: 599, 3: 282, 4: 125, 5: 69, 6: 46, 7: 18, 8: 12, 9: 11, 10: 7, 11: 8, 12: 3,
    13: 8, 14: 2, 15: 2, 16: 2, 17: 1, 18: 1, 19: 1, 20: 2, 25: 1,
}  # fmt: skip
PATIENTS, STUDIES = sum(STUDIES_A_PATIENT.values()), sum(CLASS_STUDIES.values())

# Studies with several images, by class, and how many images they have.
REPEATED = {"negative": 53, "typical": 130, "indeterminate": 42, "atypical": 7}
REPEATED_IMAGES = {2: 207, 3: 15, 4: 4, 5: 3, 6: 1, 7: 1, 9: 1}

# How much likelier than its share a class is: for the first study of a patient with several, and after the class of the row.
FIRST_LIFT = dict(zip(STUDY_CLASSES, (0.71, 1.18, 1.01, 0.94), strict=True))
NEXT_LIFT = {
    "negative": dict(zip(STUDY_CLASSES, (1.62, 0.64, 1.07, 0.78), strict=True)),
    "typical": dict(zip(STUDY_CLASSES, (0.38, 1.46, 0.88, 0.65), strict=True)),
    "indeterminate": dict(zip(STUDY_CLASSES, (0.75, 1.03, 1.23, 1.19), strict=True)),
    "atypical": dict(zip(STUDY_CLASSES, (0.59, 0.82, 1.29, 2.87), strict=True)),
}

# What a class looks like. Readers disagree: a few films of one class look like another.
PATTERNS = {
    "negative": {"clear": 0.93, "overlooked": 0.07},
    "typical": {"peripheral, both": 0.88, "patchy, both": 0.11, "one lung": 0.01},
    "indeterminate": {"one lung": 0.655, "central, both": 0.155, "upper, both": 0.08, "peripheral, both": 0.11},
    "atypical": {
        "effusion": 0.10, "pneumothorax": 0.05, "oedema": 0.027,
        "consolidation": 0.42, "mass": 0.25, "cavity": 0.08, "effusion and consolidation": 0.073,
    },
}  # fmt: skip
EXTRA_BOXES = {
    "negative": {0: 1.0},
    "typical": {0: 0.938, 1: 0.0535, 2: 0.0082, 6: 0.0003},
    "indeterminate": {0: 0.982, 1: 0.016, 2: 0.002},
    "atypical": {0: 0.962, 1: 0.035, 2: 0.003},
}
PORTABLE_SHARE = {"negative": 0.42, "typical": 0.58, "indeterminate": 0.50, "atypical": 0.55}


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """One study: its ids, class, and what is to be seen.

    pattern     a key of PATTERNS[label]
    severity    0..1: how dense and how large the findings are
    extra       boxes beyond one a lung
    view        "PA" or "AP"
    """

    study: str
    patient: str
    split: str
    label: str
    pattern: str
    severity: float
    extra: int
    view: str


@dataclass(frozen=True, kw_only=True)
class ImagePlan:
    """One image of a study.

    exposure    id of the exposure it shows: a copy that was processed again shares that of the study's first image
    annotated   False for the unannotated siblings of train: they have findings, and the tables say `none`
    """

    image: str
    series: str
    exposure: str
    annotated: bool
    study: StudyPlan


def plan(studies, seed=0, test_share=0.25):
    """The images of a made competition of `studies` studies: a tuple of ImagePlan, train first.

    Shares of classes, patterns and repeats hold at every size; patients never stand in both splits. Each split of four
    or more studies has every class. Raises RecipeError for numbers that cannot be served.
    """
    if not (isinstance(studies, int) and FEWEST <= studies <= MOST):
        raise RecipeError(f"studies is a whole number in {FEWEST}..{MOST}, got {studies!r}")
    if not (isinstance(seed, int) and seed >= 0):
        raise RecipeError(f"seed is a whole number, 0 or more, got {seed!r}")
    if not 0 < test_share < 1:
        raise RecipeError(f"test_share lies between 0 and 1, got {test_share!r}")
    in_test = min(max(round(studies * test_share), 1), studies - 1)
    images = []
    for split, count in ((TRAIN, studies - in_test), (TEST, in_test)):
        for study, repeats in _studies(split, count, seed):
            images += _images(study, repeats)
    return tuple(images)


def _patient_sizes(count, rng):
    """Studies of each patient, in random order, `count` in all."""
    patients = max(1, round(count * PATIENTS / STUDIES))
    sizes = [pick(STUDIES_A_PATIENT, (index + 0.5) / patients) for index in range(patients)]
    while sum(sizes) > count:
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        sizes[largest] -= 1
        sizes = [size for size in sizes if size]
    sizes += [1] * (count - sum(sizes))
    return [sizes[index] for index in rng.permutation(len(sizes))]


def _labels(sizes, rng):
    """A list of classes for each patient: exact shares over all, and likeness between the studies of one patient."""
    left = quotas(CLASS_STUDIES, sum(sizes), least=1)
    labels = [[] for _ in sizes]
    # Patients with several studies choose first; the single ones take what is left, as it should be: more negatives.
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index] == 1):
        for _ in range(sizes[index]):
            lift = NEXT_LIFT[labels[index][-1]] if labels[index] else FIRST_LIFT if sizes[index] > 1 else dict.fromkeys(left, 1.0)
            label = pick({name: number * lift[name] for name, number in left.items()}, rng.uniform())
            left[label] -= 1
            labels[index].append(label)
    return labels


def _studies(split, count, seed):
    """Pairs (StudyPlan, number of images) of one split."""
    rng = stream("cohort", seed, split)
    labels = _labels(_patient_sizes(count, rng), rng)
    rows = [(short_id(seed, split, "patient", index), label) for index, own in enumerate(labels) for label in own]
    numbers_of = {label: [number for number, row in enumerate(rows) if row[1] == label] for label in STUDY_CLASSES}
    images = _image_counts(numbers_of, count, rng)
    planned = {}
    for label, numbers in numbers_of.items():
        draws = zip(numbers, *(spread(rng, len(numbers)) for _ in range(4)), strict=True)
        for number, pattern, severity, extra, view in draws:
            planned[number] = StudyPlan(
                study=short_id(seed, split, "study", number),
                patient=rows[number][0],
                split=split,
                label=label,
                pattern=pick(PATTERNS[label], pattern),
                severity=float(severity) ** 1.25,  # mild is commoner than severe
                extra=pick(EXTRA_BOXES[label], extra),
                view="AP" if view < PORTABLE_SHARE[label] else "PA",
            )
    return [(planned[number], images.get(number, 1)) for number in range(count)]


def _image_counts(numbers_of, count, rng):
    """Study number -> number of images, for the studies that have several."""
    wanted = round(count * sum(REPEATED.values()) / STUDIES)
    if count >= 20:
        wanted = max(wanted, 1)
    chosen = []
    for label, share in quotas(REPEATED, wanted).items():
        numbers = numbers_of[label]
        chosen += [numbers[index] for index in rng.permutation(len(numbers))[:share]]
    sizes = [pick(REPEATED_IMAGES, quantile) for quantile in spread(rng, len(chosen))]
    return dict(zip(chosen, sizes, strict=True))


def _images(study, count):
    """The ImagePlans of a study; of several, in train, one alone is annotated."""
    rng = stream("images", study.study)
    names = [short_id(study.study, "image", index) for index in range(count)]
    annotated = int(rng.integers(count))
    return [
        ImagePlan(
            image=name,
            series=short_id(study.study, "series", index),
            exposure=names[0] if rng.uniform() < 0.6 else name,
            annotated=study.split == TEST or index == annotated,
            study=study,
        )
        for index, name in enumerate(names)
    ]
