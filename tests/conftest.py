"""Fixtures for all tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
# What a checkout is made of, as far as publishing, pushing and building its wheels go.
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "requirements.lock")
SOURCES += ("siim_kernel", "scripts", "train_kernels", "inference_kernel", "datasets-metadata")


def lacking(what):
    """What a test needs is not here: a reason to skip it, on CI (the variable CI is set) a failure."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real radiographs, DICOMs and competition tables, from the environment; skips where it is not given."""
    folder = os.environ.get("SIIM_KERNEL_REAL_DATA")
    if not folder:
        pytest.skip("SIIM_KERNEL_REAL_DATA is not set: no real films here")
    folder = Path(folder)
    if not folder.is_dir():
        pytest.fail(f"SIIM_KERNEL_REAL_DATA names no folder: {folder}")
    return folder


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """Folder of a small made competition: `competition/` and `solution.csv`. Tests copy what they change."""
    from siim_kernel.phantom.films import make_competition

    out = tmp_path_factory.mktemp("phantom")
    make_competition(out, studies=40, seed=3, scale=0.08, workers=2)
    return out


@pytest.fixture(scope="session")
def imagenet_weights(tmp_path_factory):
    """ImageNet weights of Xception without top (HDF5): the file of SIIM_KERNEL_IMAGENET, else out of a published package.

    Skips where the package cannot be had.
    """
    given = os.environ.get("SIIM_KERNEL_IMAGENET")
    if given:
        return Path(given)
    from tests import imagenet_weights as published

    try:
        return published.make(tmp_path_factory.mktemp("imagenet") / "xception_notop.h5")
    except published.NotToBeHad as reason:
        pytest.skip(f"no ImageNet weights here: {reason}; SIIM_KERNEL_IMAGENET may name Keras's no-top file of Xception")


@pytest.fixture(scope="session")
def built_checkout(tmp_path_factory):
    """A copy of this checkout whose wheels are built (build/code, build/wheels) as a user does; tests copy what they change."""
    folder = tmp_path_factory.mktemp("built") / "checkout"
    folder.mkdir()
    for name in SOURCES:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(CHECKOUT / name, folder / name)
    script = [sys.executable, folder / "scripts" / "build_wheels.py"]
    built = subprocess.run(script, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(folder)})
    if built.returncode and "pip failed" in built.stderr and list(folder.glob("build/code/*.whl")):
        lacking(f"the wheels cannot be downloaded here: {built.stdout[-500:]}")
    assert built.returncode == 0, built.stderr
    return folder
