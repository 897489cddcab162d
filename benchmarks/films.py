"""The films that are measured: full-size ones that compress as real ones do, and competitions of links to them."""

import dataclasses
import os
import shutil

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1

from siim_kernel.phantom import cohort
from siim_kernel.phantom.draws import stream
from siim_kernel.phantom.films import make_competition, render
from siim_kernel.phantom.storage import storages, store
from siim_kernel.phantom.writing import write_dicom

RAW, LOSSLESS = "uncompressed", "JPEG Lossless"
SYNTAXES = {RAW: ExplicitVRLittleEndian, LOSSLESS: JPEGLosslessSV1}
BITS_A_PIXEL = 5.4  # of real films as JPEG Lossless SV1
SEED = 11


def full_size(settings):
    """Paths of the full-size films by syntax, made where they are missing: the same scenes, 12 of 16 bits, in each syntax.

    They are phantom films with the phantom's share of MONOCHROME1 and its mix of VOI; the grey values in use are as many as
    let a film compress to `BITS_A_PIXEL`.
    """
    rows, columns = settings.shape
    folder = settings.folder / f"films-{rows}x{columns}"
    plans = cohort.plan(max(settings.scenes, cohort.FEWEST), SEED)[: settings.scenes]
    forms = storages(stream("storage", SEED), [plan.study.view for plan in plans])
    paths = {syntax: [folder / syntax.replace(" ", "-") / f"{plan.image}.dcm" for plan in plans] for syntax in SYNTAXES}
    for number, (plan, form) in enumerate(zip(plans, forms, strict=True)):
        missing = [syntax for syntax in SYNTAXES if not paths[syntax][number].exists()]
        if not missing:
            continue
        film = render(plan, settings.shape)
        form = dataclasses.replace(form, rows=rows, columns=columns, bits=12, signed=False, low=8, high=8 + _shades(film.greys))
        for syntax in missing:
            form = dataclasses.replace(form, syntax=SYNTAXES[syntax])
            part = paths[syntax][number].with_suffix(".part")
            write_dicom(part, store(film.greys, film.padding, form), plan, form)
            os.replace(part, paths[syntax][number])
    return paths


def _shades(greys):
    """How many grey values a film gets: each halving takes a bit off the entropy of the steps between neighbours."""
    steps = np.diff(np.rint(greys * 4000).astype(np.int64), axis=1)
    counts = np.bincount((steps - steps.min()).ravel())
    shares = counts[counts > 0] / steps.size
    entropy = -(shares * np.log2(shares)).sum()
    return int(np.clip(4000 * 2 ** (BITS_A_PIXEL - entropy), 256, 4080))


def small_films(settings):
    """Paths of the distinct small films, made where they are missing: a phantom at 1/20 of its size."""
    folder = settings.folder / f"small-{settings.small}"
    if not (folder / "solution.csv").exists():
        shutil.rmtree(folder, ignore_errors=True)
        make_competition(folder, studies=settings.small, seed=SEED, scale=0.05, test_share=0.9, workers=settings.workers)
    return sorted((folder / "competition").rglob("*.dcm"))[: settings.small]


def linked(folder, paths, count):
    """A competition in `folder` of `count` test films under ids of their own, links to `paths` in turn; returns the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    ids = [f"{number:012x}" for number in range(count)]
    for number, image in enumerate(ids):
        place = folder / "test" / f"5{image[1:]}" / f"e{image[1:]}" / f"{image}.dcm"
        place.parent.mkdir(parents=True)
        os.link(paths[number % len(paths)], place)
    rows = [f"5{image[1:]}_study,negative 1 0 0 1 1" for image in ids] + [f"{image}_image,none 1 0 0 1 1" for image in ids]
    (folder / "sample_submission.csv").write_text("\n".join(["id,PredictionString", *rows]) + "\n")
    return folder


def mixed(paths, count):
    """`count` full-size films, of each syntax in turn, as (id, path)."""
    both = [path for pair in zip(*paths.values(), strict=True) for path in pair]
    return [(f"{number:012x}", str(both[number % len(both)])) for number in range(count)]
