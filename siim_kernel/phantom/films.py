"""A made competition: films of synthetic chests, in the very form of Kaggle's folder, with the truth of the test beside it."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from siim_kernel.errors import MountError, RecipeError
from siim_kernel.labels import NONE, OPACITY, STUDY_COLUMNS
from siim_kernel.phantom import anatomy, cohort, exposure
from siim_kernel.phantom.canvas import Canvas
from siim_kernel.phantom.chest import draw_chest
from siim_kernel.phantom.draws import stream
from siim_kernel.phantom.findings import plan_findings
from siim_kernel.phantom.objects import burn_markers, draw_objects
from siim_kernel.phantom.opacities import draw_findings, free_air
from siim_kernel.phantom.storage import NATIVE, storages, store
from siim_kernel.phantom.writing import write_dicom

CANVAS_SIDE = 1024  # longest side that anatomy is drawn at; larger films are enlarged from it and get their own grain
SCALES = (0.04, 1.0)


@dataclass(frozen=True, kw_only=True)
class MadeFilm:
    """One film before it is stored.

    greys    float32 [rows, columns], 0..1, bright = dense
    padding  bool [rows, columns], what the collimator or the shutter has blacked out
    boxes    tuple of (xmin, ymin, xmax, ymax) in pixels of the film: the truth, also of unannotated siblings
    """

    greys: np.ndarray
    padding: np.ndarray
    boxes: tuple


def make_competition(out, studies=200, seed=0, scale=1.0, test_share=0.25, workers=1, progress=None):
    """Make OUT/competition (train/, test/ and three CSVs in the form of the real ones) and OUT/solution.csv.

    studies     of train and test together
    scale       factor on the films' sides, 0.04..1; full films have 846..4,891 pixels a side and some 15 MB each
    test_share  share of the studies in test
    workers     processes; the bytes do not depend on it
    progress    called as progress(done, total) after each image
    Returns the folder of the competition. Raises MountError where `out` is a file or not empty, RecipeError for impossible numbers.
    """
    out = Path(out)
    if not (isinstance(scale, (int, float)) and SCALES[0] <= scale <= SCALES[1]):
        raise RecipeError(f"scale is a number in {SCALES[0]}..{SCALES[1]}, got {scale!r}")
    if not (isinstance(workers, int) and workers >= 1):
        raise RecipeError(f"workers is a whole number, 1 or more, got {workers!r}")
    plans = cohort.plan(studies, seed, test_share)
    if out.exists() and not out.is_dir():
        raise MountError(f"{out} is a file; name a folder for the made competition")
    if out.exists() and any(out.iterdir()):
        raise MountError(f"{out} is not empty; name a new folder for the made competition, or empty this one")
    forms = storages(stream("storage", seed), [plan.study.view for plan in plans])
    folder = out / "competition"
    folder.mkdir(parents=True)
    jobs = (delayed(_make_image)(plan, form, scale, folder) for plan, form in zip(plans, forms, strict=True))
    boxes = []
    for found in Parallel(n_jobs=workers, return_as="generator")(jobs):
        boxes.append(found)
        if progress:
            progress(len(boxes), len(plans))
    _write_tables(out, plans, boxes)
    return folder


def _make_image(plan, form, scale, folder):
    """Render and write one image; returns its boxes."""
    film = render(plan, film_shape(form, scale))
    path = folder / plan.study.split / plan.study.study / plan.series / f"{plan.image}.dcm"
    write_dicom(path, store(film.greys, film.padding, form), plan, form)
    return film.boxes


def film_shape(form, scale):
    """(rows, columns) of the film of a Storage at a scale."""
    rows, columns = max(32, round(form.rows * scale)), max(32, round(form.columns * scale))
    # GDCM cannot compress an odd number of bytes: such a film loses a column.
    return rows, columns - (form.bits == 8 and form.syntax not in NATIVE and rows * columns % 2)


def render(plan, shape):
    """The MadeFilm of an ImagePlan at `shape` = (rows, columns). It depends on these two alone."""
    study = plan.study
    placing, developing = stream("exposure", plan.exposure), stream("processing", plan.image)
    body = anatomy.posed(anatomy.of_patient(study.patient), study.study, study.view)
    shrink = min(1.0, CANVAS_SIDE / max(shape))
    small = tuple(max(32, round(side * shrink)) for side in shape)
    canvas, roll = _place(body, small, study.view, placing)
    chest = draw_chest(body, canvas, placing)
    findings = plan_findings(study)
    air, boxes = draw_findings(findings, body, chest, canvas, placing)
    vessels = chest.vessels * (1 - free_air(findings, body, canvas))
    density = chest.tissue * (1 - air) + chest.bone + vessels * np.clip(air / np.maximum(chest.air, 1e-3), 0, 1)
    density += draw_objects(placing, study.view, body, canvas)
    greys = exposure.develop(density, canvas, exposure.technique(developing, study.view), developing)
    if small != shape:
        greys = cv2.resize(greys, shape[::-1], interpolation=cv2.INTER_CUBIC)
        greys += np.float32(developing.uniform(0.004, 0.015)) * exposure.grain(developing, shape)
        np.clip(greys, 0, 1, out=greys)
    ratio = np.array([shape[1] / small[1], shape[0] / small[0]] * 2)
    padding = exposure.collimate(greys, developing, roll, _bounds_of_lungs(body, canvas) * ratio)
    burn_markers(greys, developing, study.view)
    reader = stream("reader", plan.image)
    return MadeFilm(greys=greys, padding=padding, boxes=tuple(_as_read(np.array(box) * ratio, reader, shape) for box in boxes))


def _place(body, shape, view, rng):
    """The Canvas of a film with the patient before it, and the angle in degrees by which the patient leans.

    Distance, plate and aim differ: the chest fills between half of the film and all of it, seldom in its middle.
    """
    rows, columns = shape
    unit = min(columns / 2.42, rows / (body.height + 0.50)) * float(np.clip(rng.normal(0.91, 0.12), 0.64, 1.15))
    unit = max(unit, rows / 3.3)  # not as far as head and hips
    roll = float(np.clip(rng.normal(0, 3.0 if view == "AP" else 1.2), -9, 9))
    aside, along = rng.normal(0, 0.11 if view == "AP" else 0.08), rng.normal(0, 0.18)
    # Lungs that leave the film by more than a little would be exposed again.
    sides, ends = max(columns / (2 * unit) - 1.0, 0.0) + 0.06, max((rows / unit - body.height) / 2, 0.0) + 0.06
    middle = (float(np.clip(aside, -sides, sides)), 0.5 * body.height + float(np.clip(along - 0.03, -ends, ends)))
    matrix = cv2.getRotationMatrix2D((0, 0), roll, unit)
    matrix[:, 2] = np.array([columns / 2, rows / 2]) - matrix[:, :2] @ np.array(middle)
    return Canvas(shape, matrix), roll


def _bounds_of_lungs(body, canvas):
    """[xmin, ymin, xmax, ymax] of both lungs in pixels of the canvas."""
    points = canvas.to_pixels(np.concatenate([anatomy.lung_outline(body, side) for side in anatomy.SIDES]))
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _as_read(box, rng, shape):
    """A box as a reader draws it: a little off at each side, inside the film, to five decimals."""
    width, height = box[2] - box[0], box[3] - box[1]
    box = box + rng.normal(0, 0.035, 4) * np.array([width, height, width, height])
    box = np.clip(box, 0, [shape[1], shape[0], shape[1], shape[0]])
    xmin, ymin, xmax, ymax = (round(float(value), 5) for value in box)
    return xmin, ymin, max(xmax, round(min(xmin + 1, shape[1]), 5)), max(ymax, round(min(ymin + 1, shape[0]), 5))


def _prediction(boxes):
    """A row of truth in the submission's grammar."""
    return " ".join(f"{OPACITY} 1 " + " ".join(f"{value:.10g}" for value in box) for box in boxes) or f"{NONE} 1 0 0 1 1"


def _box_list(boxes):
    """Boxes as the training table has them: a Python literal; None where there is none."""
    rows = [{"x": x, "y": y, "width": round(right - x, 5), "height": round(bottom - y, 5)} for x, y, right, bottom in boxes]
    return str(rows) if rows else None


def _write_tables(out, plans, boxes):
    rows = [
        {
            "id": plan.image,
            "study": plan.study.study,
            "label": plan.study.label,
            "split": plan.study.split,
            "boxes": found if plan.annotated else (),
        }
        for plan, found in zip(plans, boxes, strict=True)
    ]
    table = pd.DataFrame(rows)
    train, test = (table[table.split == split] for split in (cohort.TRAIN, cohort.TEST))
    train = train.sort_values("id")
    studies = train.drop_duplicates("study").sort_values("study")
    study_level = {"id": studies.study + "_study"} | {column: (studies.label == name).astype(int) for name, column in STUDY_COLUMNS.items()}
    image_level = {
        "id": train.id + "_image",
        "boxes": train.boxes.map(_box_list),
        "label": train.boxes.map(_prediction),
        "StudyInstanceUID": train.study,
    }
    studies = test.drop_duplicates("study").sort_values("study")
    truth = pd.DataFrame(
        {
            "id": [*(studies.study + "_study"), *(test.id + "_image")],
            "PredictionString": [*(studies.label + " 1 0 0 1 1"), *test.boxes.map(_prediction)],
            "Usage": "Private",
        }
    )
    defaults = ["negative 1 0 0 1 1"] * len(studies) + [f"{NONE} 1 0 0 1 1"] * len(test)
    files = {
        "competition/train_study_level.csv": pd.DataFrame(study_level),
        "competition/train_image_level.csv": pd.DataFrame(image_level),
        "competition/sample_submission.csv": pd.DataFrame({"id": truth.id, "PredictionString": defaults}),
        "solution.csv": truth,
    }
    for name, frame in files.items():
        frame.to_csv(out / name, index=False, lineterminator="\n")
