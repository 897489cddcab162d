"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest


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
