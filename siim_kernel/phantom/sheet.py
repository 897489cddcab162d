"""A contact sheet of made films: rows of classes, boxes drawn, the class written below."""

from pathlib import Path

import cv2
import numpy as np

from siim_kernel.labels import STUDY_CLASSES
from siim_kernel.phantom import cohort
from siim_kernel.phantom.draws import stream
from siim_kernel.phantom.films import film_shape, render
from siim_kernel.phantom.storage import storages

BOX, TEXT = (0, 200, 255), (80, 230, 80)  # BGR


def contact_sheet(path, columns=6, side=256, studies=300, seed=0, scale=0.2, with_boxes=True):
    """Write `columns` made films of each study class to `path` (PNG or JPEG); each film at most `side` pixels a side.

    The films are those of `make_competition` with the same studies, seed and scale, the first of each class, one a patient.
    """
    path = Path(path)
    plans = cohort.plan(studies, seed)
    forms = storages(stream("storage", seed), [plan.study.view for plan in plans])
    rows = []
    for label in STUDY_CLASSES:
        pairs = {plan.study.patient: (plan, form) for plan, form in zip(plans, forms, strict=True) if plan.study.label == label}
        chosen = list(pairs.values())[:columns]
        tiles = [_tile(plan, render(plan, film_shape(form, scale)), side, with_boxes) for plan, form in chosen]
        tiles += [np.zeros((side, side, 3), np.uint8)] * (columns - len(tiles))
        rows.append(np.hstack(tiles))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.vstack(rows))[1].tobytes())


def _tile(plan, film, side, with_boxes):
    """One film on a black square with its boxes and a caption; uint8 [side, side, 3]."""
    rows, columns = film.greys.shape
    factor = side / max(rows, columns)
    greys = cv2.resize((film.greys * 255).astype(np.uint8), (round(columns * factor), round(rows * factor)), interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(greys, cv2.COLOR_GRAY2BGR)
    for box in film.boxes if with_boxes else ():
        xmin, ymin, xmax, ymax = (round(value * factor) for value in box)
        cv2.rectangle(picture, (xmin, ymin), (xmax, ymax), BOX, max(1, side // 200))
    tile = np.zeros((side, side, 3), np.uint8)
    top, left = (side - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
    tile[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    cv2.putText(tile, f"{plan.study.label} {plan.study.view}", (4, side - 5), cv2.FONT_HERSHEY_SIMPLEX, side / 600, TEXT, 1, cv2.LINE_AA)
    return tile
