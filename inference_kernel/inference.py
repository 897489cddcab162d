"""Kaggle kernel, internet off: the mounted DICOMs and runs -> a checked submission.csv."""

# %%
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

# %%
# PARAMETERS
COMPETITION = "siim-covid19-detection"
RUNS = ("siim-kernel-trained-weights",)  # datasets or kernels with runs; their mean is predicted
MAX_HOURS = 8.5  # of Kaggle's 9, which count start-up too; what does not fit gets fewer networks, then the training priors
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

    on_kaggle.predict(INPUT, WORKING, competition=COMPETITION, runs=RUNS, max_hours=MAX_HOURS)
