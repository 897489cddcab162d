"""What is said of a film that nobody could read, and where boxes lie before anything is seen: shares of the training films."""

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from siim_kernel.labels import BOXED, NONE, NOT_READ, STUDY_CLASSES
from siim_kernel.pixels import boxes as geometry

PRIOR_BOXES = 8


def class_priors(images):
    """Shares of the four study classes over the training studies, and of `none` over the images that were read: a dict.

    images  training table of the training part, films of external classes left out; no image was read: `none` is the share of
            negative studies
    """
    images = images[images["label"].isin(STUDY_CLASSES)]
    studies = images.drop_duplicates("study")["label"]
    priors = {name: float((studies == name).mean()) for name in STUDY_CLASSES}
    read = images.loc[images["reading"] != NOT_READ, "reading"]
    return priors | {NONE: float((read == NONE).mean()) if len(read) else priors["negative"]}


def prior_boxes(images, count=PRIOR_BOXES, seed=0):
    """Boxes that training boxes gather around: a list of [xmin, ymin, xmax, ymax, hits], most hits first.

    images  training table with rows and columns; coordinates are shares of the film's sides, `hits` is the share of boxed
            films of which some box overlaps the prior by an IoU over 0.5. Empty where no film has boxes and a size.
    """
    boxed = images[(images["reading"] == BOXED) & images["rows"].notna() & images["columns"].notna()]
    per_film = [np.array(row.boxes, float) / np.array([row.columns, row.rows, row.columns, row.rows], float) for row in boxed.itertuples()]
    if not per_film:
        return []
    points = np.unique(np.concatenate(per_film), axis=0)
    means = KMeans(n_clusters=min(count, len(points)), random_state=seed, n_init=4).fit(points)
    overlaps = [(geometry.iou(means.cluster_centers_, film) > 0.5).any(axis=1) for film in per_film]
    hits = np.mean(overlaps, axis=0)
    order = np.argsort(-hits, kind="stable")
    return [[*map(float, means.cluster_centers_[index]), float(hits[index])] for index in order if hits[index] > 0]


def boxes_of_film(priors, none, rows, columns):
    """Prior boxes of one film: a list of (confidence, xmin, ymin, xmax, ymax) in film pixels; confidences follow 1 - none.

    priors  lists of xmin, ymin, xmax, ymax as shares of the film's sides, and the share of boxed films each one hits
    """
    return [((1 - none) * hits, xmin * columns, ymin * rows, xmax * columns, ymax * rows) for xmin, ymin, xmax, ymax, hits in priors]


def boxes_of_films(priors, images):
    """`boxes_of_film` for each row of a DataFrame with none, rows and columns: a list of lists, [] where a side is missing."""
    return [
        [] if pd.isna(row.rows) or pd.isna(row.columns) else boxes_of_film(priors, row.none, row.rows, row.columns)
        for row in images.itertuples()
    ]
