"""Small competitions of made films for the tests that build image sets, and what their folders hold."""

import hashlib

import pandas as pd

from tests.pixels import made


def make(folder, count, broken=(), rows=60, columns=80):
    """Writes `count` films, the last quarter as test films, those in `broken` no films at all; returns their table."""
    found = []
    for number in range(count):
        split = "test" if number >= count * 3 // 4 else "train"
        path = folder / split / f"s{number // 2:03}" / f"r{number:03}" / f"i{number:03}.dcm"
        path.parent.mkdir(parents=True)
        if number in broken:
            path.write_bytes(b"no film at all")
        else:
            made.write(path, made.noisy(rows + number % 7, columns, seed=number), PatientID=f"p{number // 4}", BitsStored=12)
        found.append((path.stem, path.parents[1].name, path.parent.name, split, str(path)))
    return pd.DataFrame(found, columns=["image", "study", "series", "split", "path"])


def files(folder):
    """SHA-256 of every file under a folder by its relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()
    }
