"""Real ImageNet weights of Xception for tests: taken out of a published package, never committed, never published again.

The package's licence is not stated; its wheel is fetched by name, must have the SHA-256 below, and stays in the user's cache.
By hand: `python -m tests.imagenet_weights OUT.h5`.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "pneumonia-model-package==0.3.0"
WHEEL = "pneumonia_model_package-0.3.0-py3-none-any.whl"
WHEEL_SHA256 = "4bb1ee80366db5de818c7255e62878871b8ec545681193f429e2575b791d3536"
MEMBER = "pneumonia_model_package/trained_models/pneumonia_xception_model_val-acc_0.861.keras"
VALUES_SHA256 = "dd8fa9fc31ba124382395512a133fe425aa5c6667b16e5832bb79910d1b77829"  # of the 234 arrays' bytes, one after the other


class NotToBeHad(Exception):
    """The package cannot be fetched here."""


def cache_folder():
    """Where the wheel is kept between runs, outside the project."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siim-kernel-tests"


def fetch_wheel(cache):
    """Path of the wheel in `cache`, by pip if it is not there. Raises NotToBeHad; ValueError where its hash is another."""
    wheel = Path(cache) / WHEEL
    if not wheel.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--retries", "1"]
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                subprocess.run([*pip, "--dest", folder, PACKAGE], check=True, capture_output=True, text=True, timeout=180)
                os.replace(Path(folder) / WHEEL, wheel)
        except subprocess.CalledProcessError as error:
            raise NotToBeHad(f"pip cannot fetch {PACKAGE}: {error.stderr.strip().splitlines()[-1:]}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotToBeHad(f"{PACKAGE} cannot be fetched: {error}") from None
    with open(wheel, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        wheel.unlink()
        raise ValueError(f"{PACKAGE} has SHA-256 {found}, expected {WHEEL_SHA256}")
    return wheel


def digest(weights):
    """SHA-256 of a list of arrays, as `VALUES_SHA256`."""
    total = hashlib.sha256()
    for array in weights:
        total.update(array.tobytes())
    return total.hexdigest()


def write_legacy(model, path):
    """Writes a model's weights in Keras's legacy HDF5 form, that of its published no-top files."""
    import h5py
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)


def make(path, cache=None):
    """Writes Xception's ImageNet weights without top as a legacy HDF5 to `path` and returns it.

    Raises NotToBeHad where the package cannot be fetched, ValueError where it is not the known one.
    """
    wheel = fetch_wheel(cache or cache_folder())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        whole = keras.saving.load_model(archive.extract(MEMBER, folder), compile=False, safe_mode=True)
    weights = whole.get_layer("xception").get_weights()
    if digest(weights) != VALUES_SHA256:
        raise ValueError(f"the weights in {wheel} are not those of ImageNet's Xception")
    model = keras.applications.Xception(weights=None, include_top=False)
    model.set_weights(weights)
    write_legacy(model, path)
    return Path(path)


if __name__ == "__main__":
    print(make(sys.argv[1]))
