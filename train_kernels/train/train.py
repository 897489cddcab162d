"""Kaggle kernel: image set -> trained runs, on GPU, inside the session limit; goes on from an earlier output that is attached."""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

# PARAMETERS
COMPETITION = "siim-covid19-detection"
IMAGES = ("siim-kernel-images",)  # kernels or datasets with image sets
IMAGENET = "siim-kernel-imagenet-weights"  # used by recipes that start from ImageNet
RECIPE = "main"
FOLD = 0  # None trains all folds in turn
SPLIT = None  # None parts the films as the recipe says
MAX_HOURS = 11.5  # a session has 12
CALIBRATE = False  # True only times a few steps, for siim-kernel plan
# END PARAMETERS
INPUT, WORKING = (Path(os.environ.get(f"SIIM_KERNEL_{name}", f"/kaggle/{name.lower()}")) for name in ("INPUT", "WORKING"))


def install():
    """The package, and what this image lacks, from the attached wheels into scratch, never over the image's own."""
    lacking = [name for name in ("python-gdcm", "imagecodecs", "pydicom") if not find_spec(name.removeprefix("python-"))]
    wheels = {whl.name: f"--find-links={whl.parent}" for at in ("", "datasets/*/") for whl in INPUT.glob(f"{at}siim-kernel-*/*.whl")}
    sys.path.insert(0, tempfile.mkdtemp())
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--no-index", "--no-deps", "--target", sys.path[0]]
    missing = [name for name in ("siim-kernel", *lacking) if subprocess.run([*pip, *wheels.values(), name]).returncode]
    if missing:
        found = ", ".join(sorted(wheels)) or "none; attach the datasets siim-kernel-code and siim-kernel-wheels"
        raise ModuleNotFoundError(f"Python {sys.version.split()[0]}: no attached wheel of {', '.join(missing)} fits. Attached: {found}")


if __name__ == "__main__":
    install()
    from siim_kernel import on_kaggle

    on_kaggle.train(INPUT, WORKING, COMPETITION, IMAGES, IMAGENET, RECIPE, FOLD, MAX_HOURS, SPLIT, CALIBRATE)
