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
