"""Whether a dataset holds what kernels look for in it: told before it is published, not by a kernel hours later."""

import zipfile
from pathlib import Path

from siim_kernel import mounts, runs
from siim_kernel.delivery import wheels
from siim_kernel.errors import DeliveryError, SiimKernelError

SOURCES = "siim_kernel"  # folder of the package, in the checkout and in its wheel
BUILD = "build it again: python scripts/build_wheels.py"


def content_faults(name, files, checkout, version):
    """What is missing or wrong in the files of the dataset `name`: a list of str, empty for a dataset that has no check.

    files     a folder or one file. code: the package's wheel, made of these sources; wheels: one for each Python; imagenet-weights:
              one file of weights; trained-weights: finished runs, each verified by its own hashes
    checkout  folder of the project, and its version
    """
    files = Path(files)
    try:
        if name == "code":
            for python in wheels.PYTHONS:
                (wheel,) = wheels.choose(files, wheels.tag_of(python), [wheels.PACKAGE]).values()
            return package_faults(wheel, checkout, version)
        if name == "wheels":
            for python in wheels.PYTHONS:
                wheels.choose(files, wheels.tag_of(python))
        elif name == "trained-weights":
            if unfinished := [folder for folder in _folders(files) if not (folder / runs.RECORD).exists()]:
                return [f"{unfinished[0]} is not finished; push train again, which goes on from there, and fetch and publish that"]
            runs.load_all([files])
        elif name == "imagenet-weights":
            mounts.only_weights(files)
    except SiimKernelError as error:
        return [str(error)]
    return []


def package_faults(wheel, checkout, version):
    """The first difference between the package in a wheel and that of the checkout, a list of one sentence or none."""
    if (built := wheel.name.split("-")[1]) != version:
        return [f"{wheel} is of version {built}, the checkout of {version}; {BUILD}"]
    here = {path.relative_to(checkout).as_posix(): path for path in sorted((Path(checkout) / SOURCES).rglob("*")) if path.is_file()}
    try:
        with zipfile.ZipFile(wheel) as archive:
            packed = {name: archive.read(name) for name in archive.namelist() if name.startswith(f"{SOURCES}/") and not name.endswith("/")}
    except (OSError, zipfile.BadZipFile) as error:
        raise DeliveryError(f"{wheel} cannot be read ({error}); {BUILD}") from None
    for name in sorted(packed.keys() | {name for name in here if name.endswith(".py")}):
        if name not in packed:
            return [f"{wheel} lacks {name} of the checkout; {BUILD}"]
        if name not in here:
            return [f"{wheel} has {name}, which the checkout has not; {BUILD}"]
        if packed[name] != here[name].read_bytes():
            return [f"{wheel} has another {name} than the checkout; {BUILD}"]
    return []


def _folders(files):
    """The folders of runs in a dataset's files, finished or not."""
    return runs.search(files) if files.is_dir() else []
