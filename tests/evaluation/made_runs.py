"""Made runs, image sets and tables, as files written by hand: what a report is made of, without any network."""

import json

import numpy as np
import pandas as pd

from siim_kernel import runs
from siim_kernel.competition import schemes
from siim_kernel.labels import NONE, SCHEMES, STUDY_CLASSES
from siim_kernel.pixels import imagesets
from siim_kernel.recipes import catalogue

OPACITY = catalogue.by_name("thesis-opacity")


def films(count=60, seed=0):
    """Facts of made films: two a study, three a patient, every class among them."""
    numbers = np.arange(count)
    label = np.array(STUDY_CLASSES)[(numbers // 2) % 4]
    return pd.DataFrame(
        {
            "image": [f"i{number:03}" for number in numbers],
            "study": [f"s{number // 2:03}" for number in numbers],
            "patient": [f"p{number // 6:03}" for number in numbers],
            "label": label,
            "reading": np.where(label == "negative", "none", "boxed"),
            "rows": 200,
            "columns": 100,
        }
    )


def predicted(table, recipe, skill, seed=0):
    """What a network of some skill (0: none) says of films, in the columns of a run's tables."""
    scheme, generator = SCHEMES[recipe.labels], np.random.default_rng(seed)
    codes = schemes.targets(table.assign(image_label=table["reading"].replace("boxed", "opacity")), scheme)
    chances = generator.dirichlet(np.ones(len(scheme.labels)), len(table)) + skill * np.eye(len(scheme.labels))[codes]
    chances /= chances.sum(axis=1, keepdims=True)
    made = table.assign(fold=0)
    made[list(scheme.labels)] = chances
    if not set(STUDY_CLASSES) <= set(scheme.labels):
        made[list(STUDY_CLASSES)] = 0.25
    made[NONE] = chances[:, 0]
    return made


def history(recipe, epochs=2):
    rows = []
    for phase in range(1, len(recipe.phases) + 1):
        for _ in range(epochs):
            epoch = len(rows) + 1
            figures = {
                "loss": 1 / epoch,
                "study_accuracy": 0.5 + epoch / 50,
                "val_loss": 1.1 / epoch,
                "val_study_accuracy": 0.5 + epoch / 60,
            }
            rows.append({"phase": phase, "epoch": epoch} | figures)
    return pd.DataFrame(rows)


def make(
    folder, recipe=OPACITY, fold=0, validating=None, everything=None, skill=0.8, final=None, seed=0, numbers=None, learnt=0.9, **facts
):
    """A stored run of which only the weights are no weights; `validating` are its out-of-fold films, all others train.

    learnt  skill on these others, None for a run that stores no predictions of them
    """
    folder.mkdir(parents=True)
    everything = films() if everything is None else everything
    validating = everything[:30] if validating is None else validating
    (folder / runs.WEIGHTS).write_bytes(b"weights")
    number = everything["image"].isin(validating["image"]).map({True: fold, False: fold + 1}) if numbers is None else numbers.copy()
    if final is not None:
        number[everything["image"].isin(final["image"])] = -1
        predicted(final, recipe, skill, seed + 1).assign(fold=fold).to_csv(folder / runs.FINAL_TEST, index=False)
    pd.DataFrame({"imageid": everything["image"], "fold": number}).to_csv(folder / runs.FOLDS, index=False)
    predicted(validating, recipe, skill, seed).assign(fold=fold).to_csv(folder / runs.OUT_OF_FOLD, index=False)
    if learnt is not None:
        others = everything[~everything["image"].isin([*validating["image"], *([] if final is None else final["image"])])]
        predicted(others, recipe, learnt, seed + 2).assign(fold=fold).to_csv(folder / runs.TRAINING_FILMS, index=False)
    history(recipe).to_csv(folder / runs.HISTORY, index=False)
    record = {
        "priors": dict.fromkeys((*STUDY_CLASSES, NONE), 0.25),
        "prior_boxes": [[0.1, 0.2, 0.4, 0.8, 0.3]],
        "split": {"folds": 2, "training_images": 30, "validation_images": 30, "final_test_images": 0, "sha256": "ab" * 32},
        "study_of_labels": [[0.25] * 4] * len(SCHEMES[recipe.labels].labels),
        "none_of_labels": [0] * len(SCHEMES[recipe.labels].labels),
        "training": {
            "seconds": 120.5,
            "timings": [{"phase": 1, "seconds": 30.0, "validation": 4.0, "saving": 1.0}],
            "sessions": [{"epoch": 0, "versions": {"keras": "3.0.0"}}],
            "epochs": 4,
            "steps_per_epoch": 3,
            "devices": ["CPU"],
            "dtype": "float32",
            "parameters": 1234567,
        },
    }
    runs.save(folder, recipe, fold, record | facts)
    return folder


def make_folds(folder, recipe=OPACITY, count=3, skill=0.8, everything=None, final=None, numbers=None, **facts):
    """The folder of `count` folds of one training."""
    everything = films() if everything is None else everything
    numbers = everything["patient"].str[1:].astype(int) % count if numbers is None else pd.Series(numbers)
    held_out = np.zeros(len(everything), bool) if final is None else everything["image"].isin(final["image"])
    for fold in range(count):
        validating = everything[(numbers == fold) & ~held_out]
        make(folder / f"fold-{fold}", recipe, fold, validating, everything, skill, final, fold, numbers, **facts)
    return folder


def image_set(folder, table, size=299):
    """A finished image set of some films."""
    folder.mkdir()
    squares = np.random.default_rng(0).integers(0, 256, (len(table), size, size), dtype=np.uint8)
    np.save(folder / "images.npy", squares)
    full = table.reindex(columns=list(imagesets.COLUMNS)).fillna("").assign(source="competition", split="train")
    full.to_csv(folder / imagesets.TABLE, index=False)
    (folder / imagesets.RECIPE).write_text(json.dumps({"pixels": {"size": size}, "form": "npy"}))
    (folder / imagesets.NOT_READ).write_text("image,file,reason\n")
    imagesets.write_sums(folder)
    return folder


def competition(folder, table, unboxed=()):
    """The tables of a competition with these films: a box on each film that is not negative, but for those of `unboxed`."""
    folder.mkdir()
    box = "[{'x': 10.0, 'y': 20.0, 'width': 30.0, 'height': 120.0}]"
    names = {"negative": "Negative for Pneumonia", "typical": "Typical Appearance"}
    names |= {"indeterminate": "Indeterminate Appearance", "atypical": "Atypical Appearance"}
    studies = table.drop_duplicates("study")
    rows = pd.DataFrame(
        {"id": studies["study"] + "_study"} | {names[name]: (studies["label"] == name).astype(int) for name in STUDY_CLASSES}
    )
    rows.to_csv(folder / "train_study_level.csv", index=False)
    negative = (table["label"] == "negative") | table["image"].isin(unboxed)
    pd.DataFrame(
        {
            "id": table["image"] + "_image",
            "boxes": np.where(negative, "", box),
            "label": np.where(negative, "none 1 0 0 1 1", "opacity 1 10 20 40 140"),
            "StudyInstanceUID": table["study"],
        }
    ).to_csv(folder / "train_image_level.csv", index=False)
    return folder
