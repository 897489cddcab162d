"""What decides the bytes of an image set, and what a folder holds of it: nothing, an interrupted build, the set, or something else."""

import hashlib
import json
import os
import shutil
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pydicom
import skimage

from siim_kernel.errors import ImageSetError
from siim_kernel.files import write_atomically
from siim_kernel.pixels import decoders
from siim_kernel.pixels.imagesets import RECIPE, SCRATCH, SUMS
from siim_kernel.recipes.storing import to_dict

PLAN = "plan.json"


def states(films):
    """(bytes, modification time in ns) of each film's file now, in order; None where there is none: reading it will say so."""
    return [state(path) for path in films["path"]]


def state(path):
    """(bytes, modification time in ns) of a file, None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def plan(films, found, recipes, form, source, classes):
    """What decides the bytes of a set, as JSON; a finished set keeps it and is not built again where it is the same.

    Times are not part of it, so that a set stays finished when the competition is mounted elsewhere; nor are versions of
    packages, so that it outlives an upgrade. A film that was replaced by one of the same size is not noticed here.
    """
    listed = [
        (film.image, film.study, film.series, film.split, classes.get(film.image, ""), state[0] if state else -1)
        for film, state in zip(films.itertuples(), found, strict=True)
    ]
    return {
        "films": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        "recipes": [to_dict(recipe) for recipe in recipes],
        "form": form,
        "source": source,
    }


def versions():
    """Versions of the packages that decide pixels, this one among them; a build does not go on with others."""
    codecs, gdcm = decoders.imagecodecs, decoders.gdcm
    return {
        "siim-kernel": metadata.version("siim-kernel"),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "scikit-image": skimage.__version__,
        "pydicom": pydicom.__version__,
        "imagecodecs": codecs.__version__ if codecs else "none",
        "gdcm": gdcm.Version.GetVersion() if gdcm else "none",
    }


def is_finished(folders, wanted):
    """Whether all folders are finished sets of a plan."""
    return all((folder / SUMS).exists() and (_stored(folder / RECIPE) or {}).get("plan") == wanted for folder in folders)


def begin(out, folders, wanted, films, found):
    """Makes the scratch folder, or goes on with the one an interrupted build of the same plan left.

    found  `states` of the films now

    Returns the positions of films whose files have another time than when the build began, though the same size. Raises
    ImageSetError where the folder holds something else, or films or packages are others than when the build began.
    """
    scratch, now = out / SCRATCH, versions()
    stored = _stored(scratch / PLAN)
    if stored is None:
        _require_empty(out, folders)
        shutil.rmtree(scratch, ignore_errors=True)  # without its plan it is one whose removal was interrupted
        (scratch / "chunks").mkdir(parents=True)
        keep(out, wanted, films, found)
        return []
    if stored.get("plan") != wanted:
        _refuse(out, stored, wanted, films, found)
    other = [f"{name} {was}, now {now[name]}" for name, was in stored["versions"].items() if was != now[name]]
    if other:
        raise ImageSetError(
            f"{out} holds a build that other versions of packages began, and they may give other pixels: {'; '.join(other)}; "
            f"finish it with those, or remove the folder to begin anew"
        )
    return [place for place, (old, new) in enumerate(zip(stored["states"], found, strict=True)) if old != new]


def keep(out, wanted, films, found):
    """Writes the plan of a build, with the state of each film's file, into the scratch folder."""
    content = {"plan": wanted, "versions": versions(), "images": films["image"].tolist(), "states": found}
    write_atomically(out / SCRATCH / PLAN, json.dumps(content))


def changed(out, path, before, now):
    """The ImageSetError for a film that is not the one with which a build began: `before` and `now` are states."""
    was, what = (f"{state[0]} bytes" if state else "no file" for state in (before, now))
    return ImageSetError(
        f"the film {path} changed since the build of {out} began ({was} then, {what if was != what else 'other content or time'} now); "
        f"run the same command again, and where it says this once more put the old film back, or remove {out} to begin anew"
    )


def _refuse(out, stored, wanted, films, found):
    """Names the film that changed, where that is all, else says that it is another build."""
    if {**stored.get("plan", {}), "films": ""} == {**wanted, "films": ""} and stored["images"] == films["image"].tolist():
        for path, old, new in zip(films["path"], stored["states"], found, strict=True):
            if (old or [-1])[0] != (new or [-1])[0]:
                raise changed(out, path, old, new)
    raise ImageSetError(
        f"{out} holds the interrupted build of other films, another pixel recipe or another form; "
        f"finish it with the same command as before, or remove the folder"
    )


def _require_empty(out, folders):
    """ImageSetError where the folders hold anything that an image set would be mixed with."""
    taken = [folder for folder in {out, *folders} if folder.exists() and not folder.is_dir()]
    taken += [folder for folder in folders if folder.is_dir() and {path.name for path in folder.iterdir()} - {SCRATCH}]
    taken += [out] if (out / RECIPE).exists() else []
    if taken:
        raise ImageSetError(f"{taken[0]} is no empty folder and no image set of these films and pixel recipe; remove it or build elsewhere")


def _stored(path):
    """The object that a JSON file holds, None where there is none."""
    try:
        stored = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return None
    return stored if isinstance(stored, dict) else None
