"""python -m benchmarks.splits COMPETITION [--imagenet FILE] [--folder DIR] [--size S]: what a split that shares patients is worth.

Recipe 6.10 of the thesis (opacity or not) at a reduced size, on the same films, parted in three ways: by image, by patient
(five folds each), and as the thesis did. The runs are resumed where they stopped; at the end stands one report of the three.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from siim_kernel import kernels
from siim_kernel.recipes.catalogue import by_name

SPLITS = {"image": 5, "patient": 5, "thesis_folder": None}
MOST_EPOCHS = (5, 12)  # of the two phases; the whole recipe has 10 and 100


def recipe(size, imagenet):
    """The thesis's recipe at a side of `size` pixels, with fewer epochs at most; from scratch where no weights are given."""
    whole = by_name("thesis-opacity")
    phases = tuple(replace(phase, epochs=most) for phase, most in zip(whole.phases, MOST_EPOCHS, strict=True))
    return replace(whole, pixels=replace(whole.pixels, size=size), phases=phases, weights=whole.weights if imagenet else "")


def main():
    """Trains what is not trained yet and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("competition", type=Path)
    parser.add_argument("--imagenet", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("build/splits"))
    parser.add_argument("--size", type=int, default=96)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    chosen = recipe(given.size, given.imagenet)
    images = given.folder / "images"
    kernels.build_images(given.competition, images, [chosen.pixels], split="train")
    for split, n_folds in SPLITS.items():
        kernels.train(chosen, [images], given.competition, given.folder / split, n_folds=n_folds, split=split, imagenet=given.imagenet)
    from siim_kernel.evaluation import report

    out = given.folder / "report.html"
    report.write(out, [given.folder / split for split in SPLITS], images=[images], competition=given.competition)
    print(out)


if __name__ == "__main__":
    main()
