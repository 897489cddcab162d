"""Reading films: the decoders of each transfer syntax, each tried on a small made film where one can be written here."""

import tempfile
from pathlib import Path

from siim_kernel.doctor.findings import BUILDING, LACKING, OK, PREDICTION, READING, Finding

NEEDS_FILMS = (READING, BUILDING, PREDICTION)
# Packages of decoders as pip knows them, and what they read.
PACKAGES = {
    "imagecodecs": "libjpeg-turbo, CharLS and OpenJPEG: JPEG, JPEG Lossless, JPEG-LS, JPEG 2000, HTJ2K",
    "gdcm": "GDCM: JPEG-LS and JPEG 2000, JPEG where libjpeg-turbo is missing; the phantom's compressed films",
}
PIP = {"imagecodecs": "imagecodecs", "gdcm": "python-gdcm"}
SHORTER = (
    (", Non-Hierarchical", ""),
    (" Image Compression", ""),
    ("Lossy (Near-Lossless)", "Near-Lossless"),
    ("High-Throughput JPEG 2000", "HTJ2K"),
    (" with RPCL Options (Lossless Only)", " RPCL (Lossless Only)"),
)
SIDE, BITS = 48, 12


def examine():
    """Findings of the stage: the packages with decoders, then a line for each transfer syntax that films may have."""
    from siim_kernel.pixels import decoders

    for name, reads in PACKAGES.items():
        if getattr(decoders, name) is None:
            yield Finding(
                stage=READING,
                what=f"package {PIP[name]}",
                state=LACKING,
                detail=f"it does not load; it reads {reads}",
                remedy=f"pip install --force-reinstall {PIP[name]}",
            )
    with tempfile.TemporaryDirectory(prefix="siim-kernel-") as folder:
        faults = {uid: trial(uid, Path(folder) / "film.dcm") for uid in decoders.DECODERS}
    none_reads = all(fault or not decoders.available(uid) for uid, fault in faults.items())
    for uid in decoders.DECODERS:
        yield _of_syntax(uid, faults[uid], NEEDS_FILMS if none_reads else ())


def _of_syntax(uid, fault, stops):
    """The line of one transfer syntax; `fault` is what `trial` said."""
    from siim_kernel.pixels import decoders

    name, names = short_name(uid), decoders.available(uid)
    if not names:
        wanted = " or ".join(decoders.DECODERS[uid])
        packages = " ".join(dict.fromkeys(_package(decoder) for decoder in decoders.DECODERS[uid]))
        detail, remedy = f"no decoder; {wanted} would do", f"pip install {packages}"
        return Finding(stage=READING, what=name, state=LACKING, detail=detail, remedy=remedy, stops=stops)
    listed = ", then ".join(names)
    if fault:
        packages = " ".join(dict.fromkeys(map(_package, names)))
        remedy = f"the installation is broken: pip install --force-reinstall {packages}"
        return Finding(stage=READING, what=name, state=LACKING, detail=f"{listed}: {fault}", remedy=remedy, stops=stops)
    tried = "not tried, as the phantom makes no such film" if fault is None else "a made film was read"
    return Finding(stage=READING, what=name, state=OK, detail=f"{listed}; {tried}")


def short_name(uid):
    """The standard's name of a transfer syntax, its longest ones shortened."""
    from siim_kernel.pixels import decoders

    name = decoders.syntax_name(uid)
    for long, short in SHORTER:
        name = name.replace(long, short)
    return name.partition(", First-Order Prediction")[0] + " SV1" if ", First-Order Prediction" in name else name


def _package(decoder):
    """The pip package that a decoder comes in."""
    return {"GDCM": "python-gdcm", "pydicom": "pydicom"}.get(decoder, "imagecodecs")


def trial(uid, path):
    """Write a made film of a transfer syntax to `path` and read it: "" where its values come back, else what goes wrong.

    None where the phantom cannot write the syntax: lossy ones, and compressed ones without GDCM.
    """
    from siim_kernel.errors import DicomError
    from siim_kernel.pixels import decoders, dicom

    if not decoders.available(uid):
        return None
    values = _write(uid, path)
    if values is None:
        return None
    try:
        pixels = dicom.read_film(path).pixels
    except DicomError as error:
        return str(error)
    return "" if pixels.shape == values.shape and (pixels == values).all() else "a made film came back with other values"


def _write(uid, path):
    """The stored values of a film of `uid` written to `path`: uint16 [SIDE, SIDE + 16]; None where it cannot be written."""
    try:
        from siim_kernel.phantom import cohort, storage, writing
    except ImportError:  # without GDCM the phantom writes nothing
        return None
    import dataclasses

    import numpy as np
    from pydicom import uid as uids

    written = (*storage.NATIVE, uids.RLELossless, uids.JPEGLossless, uids.JPEGLosslessSV1, uids.JPEGLSLossless, uids.JPEG2000Lossless)
    if uid not in written:
        return None
    rows, columns = np.mgrid[0:SIDE, 0 : SIDE + 16]
    values = ((rows * 61 + columns * 37) % 2**BITS).astype(np.uint16)
    drawn = storage.storages(np.random.default_rng(0), ["PA"])[0]
    plain = {"bits": BITS, "inverted": False, "signed": False, "voi": "none", "padding": False, "slope": None, "intercept": None}
    form = dataclasses.replace(drawn, rows=SIDE, columns=SIDE + 16, syntax=uid, **plain)
    writing.write_dicom(path, values, cohort.plan(cohort.FEWEST)[0], form)
    return values
