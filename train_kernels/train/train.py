"""Kaggle kernel: image set -> trained runs, on GPU, inside the session limit; goes on from an earlier output that is attached."""

# %%
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
# END PARAMETERS

# %%
INPUT, WORKING = (Path(os.environ.get(f"SIIM_KERNEL_{name}", f"/kaggle/{name.lower()}")) for name in ("INPUT", "WORKING"))


def install():
    """The package, and what this image lacks, from the attached wheels into scratch, never over the image's own."""
    lacking = [name for name in ("python-gdcm", "imagecodecs", "pydicom") if not find_spec(name.removeprefix("python-"))]
    wheels = {str(path.parent) for layout in ("", "datasets/*/") for path in INPUT.glob(f"{layout}siim-kernel-*/*.whl")}
    sys.path.insert(0, tempfile.mkdtemp())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", sys.path[0]]
    subprocess.run([*pip, *(f"--find-links={folder}" for folder in sorted(wheels)), "siim-kernel", *lacking], check=True)


# %%
if __name__ == "__main__":
    install()
    from siim_kernel import on_kaggle

    on_kaggle.train(INPUT, WORKING, COMPETITION, IMAGES, IMAGENET, RECIPE, FOLD, MAX_HOURS, SPLIT)
