"""Films that are looked at: what a header says, what a film's pixels are, and which films stand on a sheet.

`header_facts` and `stored_values` run in processes of their own; a film that cannot be read has a reason instead.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from siim_kernel.errors import DicomError
from siim_kernel.labels import EXTERNAL_CLASSES, STUDY_CLASSES
from siim_kernel.pixels import boxes, dicom, grey
from siim_kernel.pixels.images import resize

FACTS = ("patient", "rows", "columns", "photometric", "transfer_syntax", "bits_stored", "signed")
VALUES = ("image", "bits_stored", "signed", "photometric", "low", "p1", "p99", "high")
SIDE = 320  # pixels of the longer side of a film that is shown
SHOWN = 20  # films on the sheet
SEED = 42
STEP = 4  # every how many pixels count for a film's percentiles


@dataclass(frozen=True)
class Shown:
    """A film to be looked at: uint8 [H, W] and its boxes in the picture's pixels."""

    image: str
    picture: np.ndarray
    boxes: np.ndarray


def choose(images, having, count=SHOWN, seed=SEED):
    """Image ids for a sheet of films: as many of each class, of different studies first, films with boxes before others.

    images  a table with image, study, and as far as known label, class and boxes
    having  the ids that pictures can be had of
    """
    table = images[images["image"].isin(having)]
    if "label" not in table:
        table = table.assign(label=table.get("class", ""))
    table = table.iloc[np.random.default_rng(seed).permutation(len(table))]
    unboxed = table["boxes"].map(len) == 0 if "boxes" in table else pd.Series(False, index=table.index)
    again = table.groupby("study").cumcount() if (table["study"] != "").all() else pd.Series(0, index=table.index)
    table = table.assign(unboxed=unboxed, again=again).sort_values(["again", "unboxed"], kind="stable")
    order = {label: place for place, label in enumerate((*STUDY_CLASSES, *EXTERNAL_CLASSES))}
    turn = table.groupby("label").cumcount()
    table = table.assign(turn=turn, place=table["label"].map(order).fillna(len(order))).sort_values("turn", kind="stable")
    return table.head(count).sort_values(["place", "turn"], kind="stable")["image"].tolist()


def header_facts(path):
    """What a film's header says, as a dict of `FACTS`; of one that cannot be read its "reason"."""
    try:
        header = dicom.read_header(path)
    except DicomError as error:
        return {"reason": str(error)}
    stored = {name: _whole(header, keyword) for name, keyword in (("rows", "Rows"), ("columns", "Columns"), ("bits_stored", "BitsStored"))}
    return stored | {
        "patient": dicom.text(header, "PatientID"),
        "photometric": dicom.text(header, "PhotometricInterpretation"),
        "transfer_syntax": dicom.text(getattr(header, "file_meta", {}), "TransferSyntaxUID"),
        "signed": {0: "no", 1: "yes"}.get(_whole(header, "PixelRepresentation"), ""),
    }


def stored_values(film, side=0):
    """The stored values of one film (image, path), as a dict of `VALUES`; with a side also `picture`, its greys at most that long.

    `size` is the film's rows and columns. One that cannot be read has a "reason" instead.
    """
    image, path = film
    try:
        read = dicom.read_film(path)
    except DicomError as error:
        return {"image": image, "reason": str(error)}
    pixels = read.pixels
    p1, p99 = np.percentile(pixels[::STEP, ::STEP], [1, 99])
    found = {"image": image, "bits_stored": _whole(read.header, "BitsStored"), "signed": "yes" if pixels.dtype.kind == "i" else "no"}
    found |= {"photometric": read.photometric, "low": int(pixels.min()), "p1": float(p1), "p99": float(p99), "high": int(pixels.max())}
    if side:
        rows, columns = pixels.shape
        factor = side / max(rows, columns)
        found |= {"picture": resize(grey.display(read), max(1, round(columns * factor)), max(1, round(rows * factor)))}
    return found | {"size": pixels.shape}


def _whole(header, keyword):
    values = dicom.numbers(header, keyword)
    return int(values[0]) if len(values) == 1 and values[0] >= 0 else pd.NA


def _boxes_of(image, images):
    found = [] if images is None else images.loc[images["image"] == image, "boxes"].tolist()
    return boxes.as_boxes(found[0] if found else ())


def shown_films(sheet, pictures, images):
    """The `Shown` of the image ids of a sheet, out of image -> (picture, (rows, columns) of the film)."""
    shown = []
    for image in sheet:
        if image in pictures:
            picture, (rows, columns) = pictures[image]
            drawn = boxes.scale(_boxes_of(image, images), picture.shape[1] / columns, picture.shape[0] / rows)
            shown.append(Shown(image, picture, drawn))
    return tuple(shown)


def shown_squares(sheet, squares, images):
    """Films of the sheet as an image set has them; boxes where the size of the film is known."""
    shown = []
    for image in sheet:
        place = int(np.flatnonzero(squares.table["image"] == image)[0])
        picture, row = np.asarray(squares.images[place]), squares.table.iloc[place]
        drawn = _boxes_of(image, images)
        if len(drawn):
            drawn = boxes.to_square(drawn, int(row["rows"]), int(row["columns"]), squares.recipe)
        factor = min(1, SIDE / squares.recipe.size)
        side = max(1, round(squares.recipe.size * factor))
        shown.append(Shown(image, resize(picture, side, side), boxes.scale(drawn, factor, factor)))
    return tuple(shown)
