"""What is measured in a process of its own: python -m benchmarks.job build SOURCE OUT WORKERS | predict SOURCE RUN OUT WORKERS

Prints one line of JSON: seconds of the package's function, without the imports before it.
"""

import json
import shutil
import sys
import time
from pathlib import Path

from siim_kernel import kernels
from siim_kernel.recipes.recipe import PixelRecipe


def build(source, out, size, workers):
    """`kernels.build_images` of the test films into `out`, which is made anew."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    built = kernels.build_images(source, out, [PixelRecipe(size=int(size))], split="test", workers=int(workers))
    return _told(started, built)


def predict(source, run, out, workers):
    """`kernels.predict` of the test films with one run."""
    import tensorflow  # noqa: F401  loading it is no part of the time

    started = time.perf_counter()
    predicted = kernels.predict(Path(source), [run], Path(out), workers=int(workers))
    return _told(started, predicted)


def _told(started, made):
    seconds = time.perf_counter() - started
    if made.not_read:  # priors cost no time
        raise RuntimeError(f"{len(made.not_read)} films were not read, the first: {made.not_read[0]}")
    return {"seconds": seconds, "films": made.images}


if __name__ == "__main__":
    print(json.dumps({"build": build, "predict": predict}[sys.argv[1]](*sys.argv[2:])))
