#!/usr/bin/env python3
"""Upload a folder as one of the project's Kaggle datasets: a new version, or with --new the dataset itself.

The dataset's metadata is copied beside the files. Sub-folders are sent as archives, which Kaggle unpacks again.
"""

import shutil
import sys
from pathlib import Path

from command import CHECKOUT, DATASETS, identity, parser, run

METADATA = "dataset-metadata.json"
BUILT = {"trained-weights": "build/output/train/runs"}  # where fetch_output.py leaves them


def main():
    """Prints or runs the upload; returns its exit code."""
    reader = parser(__doc__)
    reader.add_argument("dataset", choices=DATASETS)
    reader.add_argument("--folder", type=Path, help="the files [build/DATASET; trained-weights: build/output/train/runs]")
    reader.add_argument("--new", action="store_true", help="create the dataset; without it, add a version")
    reader.add_argument("--message", default="new files", help="notes of the version [new files]")
    given = reader.parse_args()
    folder = given.folder or CHECKOUT / BUILT.get(given.dataset, f"build/{given.dataset}")
    metadata = CHECKOUT / "datasets-metadata" / given.dataset / METADATA
    identity(metadata)
    if given.dry_run:
        run(["cp", metadata, folder / METADATA], dry_run=True)
    else:
        if not folder.is_dir() or all(path.name == METADATA for path in folder.iterdir()):
            print(f"{folder} has no files to upload; {metadata.parent / 'README.md'} says what goes in", file=sys.stderr)
            return 1
        shutil.copyfile(metadata, folder / METADATA)
    if given.new:
        return run(["kaggle", "datasets", "create", "-p", folder, "-r", "zip"], given.dry_run)
    return run(["kaggle", "datasets", "version", "-p", folder, "-r", "zip", "-m", given.message], given.dry_run)


if __name__ == "__main__":
    sys.exit(main())
