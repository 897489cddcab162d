"""Image sets and tables without a competition: a few squares whose class can be seen."""

import json

import numpy as np
import pandas as pd

from siim_kernel.labels import BOXED, NONE, NOT_READ, STUDY_CLASSES
from siim_kernel.learning import training
from siim_kernel.pixels import imagesets
from siim_kernel.recipes.recipe import Phase, PixelRecipe, Recipe
from siim_kernel.recipes.storing import to_dict

HEAD = Phase(epochs=1, trainable="head", optimizer="adam", learning_rate=1e-3)
ALL = Phase(epochs=1, trainable="all", optimizer="adam", learning_rate=1e-3)
CNN9 = Recipe(name="tiny", about="", network="cnn9", top=(), pixels=PixelRecipe(size=16), phases=(ALL,), batch=8, n_folds=2)
# What a run of the four study classes states of its labels.
RULE = {"study_of_labels": np.eye(4).tolist(), "none_of_labels": [1.0, 0.0, 0.0, 0.0]}
NARROW = Recipe(
    name="tiny-narrow",
    about="",
    network="narrow_xception",
    width=0.25,
    middle=0,
    pixels=PixelRecipe(size=32),
    phases=(HEAD, ALL),
    batch=8,
    n_folds=2,
    dropout=0.2,
)


def table(count):
    """Training table: image i of study i // 2, patient i // 4; the class follows the study."""
    index = np.arange(count)
    labels = np.array(STUDY_CLASSES)[index // 2 % 4]
    negative = labels == "negative"
    readings = np.where(negative, NONE, np.where(index % 2 == 0, BOXED, NOT_READ))
    return pd.DataFrame(
        {
            "image": [f"i{i:03d}" for i in index],
            "study": [f"s{i // 2:03d}" for i in index],
            "series": "",
            "patient": [f"p{i // 4:03d}" for i in index],
            "path": "",
            "rows": pd.array([pd.NA] * count, dtype="Int64"),
            "columns": pd.array([pd.NA] * count, dtype="Int64"),
            "label": labels,
            "image_label": np.where(readings == BOXED, "opacity", "none"),
            "boxes": [((10.0, 20.0, 50.0, 80.0),) if reading == BOXED else () for reading in readings],
            "reading": readings,
        }
    )


def image_set(folder, films, pixels, seed=0):
    """A finished image set of a training table's films: noise about a grey that the class decides."""
    draw = np.random.default_rng(seed)
    greys = films["label"].map(STUDY_CLASSES.index).to_numpy() * 55 + 30
    squares = np.clip(draw.normal(greys[:, None, None], 12, (len(films), pixels.size, pixels.size)), 0, 255).astype(np.uint8)
    folder.mkdir(parents=True)
    np.save(folder / imagesets.IMAGES, squares)
    rows = pd.DataFrame(
        dict.fromkeys(imagesets.COLUMNS, "")
        | {"image": films["image"], "study": films["study"], "patient": films["patient"], "split": "train", "rows": 100, "columns": 200}
    )
    rows[list(imagesets.COLUMNS)].to_csv(folder / imagesets.TABLE, index=False)
    (folder / imagesets.RECIPE).write_text(json.dumps({"pixels": to_dict(pixels), "form": "npy"}))
    imagesets.write_sums(folder)
    return imagesets.open_set(folder, pixels)


def material(folder, pixels, count=24):
    films = table(count)
    return training.join(image_set(folder, films, pixels), films)


def folds(of, count=2):
    """Folds by patient in turn."""
    numbers = of.table["patient"].str[1:].astype(int) % count
    return pd.DataFrame({"imageid": of.table["image"].to_numpy(), "fold": numbers.to_numpy()})
