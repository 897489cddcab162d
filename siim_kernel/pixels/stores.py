"""Where the squares of an image set go while it is built: rows of one array, or a PNG or JPG file each."""

import os

import cv2
import numpy as np

from siim_kernel.files import write_atomically
from siim_kernel.pixels.imagesets import IMAGES


def encode(square, form):
    """A square as the bytes of a PNG or JPG file (quality 95)."""
    flags = {"png": [cv2.IMWRITE_PNG_COMPRESSION, 6], "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}[form]
    return cv2.imencode(f".{form}", square, flags)[1].tobytes()


class Store:
    """Where the squares of one size go while a set is built.

    With "npy" that is `images.npy.part` with a row for each film; it becomes `images.npy` at the end. A build that was
    interrupted there finds `images.npy` already whole.
    """

    def __init__(self, folder, recipe, form):
        self.folder, self.recipe, self.form = folder, recipe, form
        self.path = folder / (IMAGES + ".part")
        self.squares = None

    @property
    def is_new(self):
        """Nothing has been built here yet."""
        return not self.path.exists() and not (self.folder / IMAGES).exists()

    def open(self, count):
        """Makes room for the squares of `count` films, or opens what an interrupted build left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.form != "npy" or (self.folder / IMAGES).exists():
            return
        if self.is_new:
            # Under its name only when it has its full length, so that a kill leaves none that is too short.
            making = self.folder / (IMAGES + ".new")
            np.lib.format.open_memmap(making, mode="w+", dtype=np.uint8, shape=(count, self.recipe.size, self.recipe.size)).flush()
            os.replace(making, self.path)
        self.squares = np.lib.format.open_memmap(self.path, mode="r+")

    def write(self, index, split, image, square):
        """Keeps the square of film number `index`: uint8 [S, S], or the bytes of a file."""
        if self.form == "npy":
            self.squares[index] = square
        else:
            place = self.folder / split / f"{image}.{self.form}"
            place.parent.mkdir(exist_ok=True)
            write_atomically(place, square)

    def flush(self):
        """Sees to it that what was written outlives a kill."""
        if self.squares is not None:
            self.squares.flush()

    def discard(self):
        """Takes away what no film was written to."""
        self.squares = None
        self.path.unlink(missing_ok=True)

    def finish(self, kept):
        """`images.npy` of the rows in `kept` (bool [N]); the rows of films that were left out go."""
        if self.squares is None:
            self.path.unlink(missing_ok=True)
            return
        if kept.all():
            self.squares.flush()
            self.squares = None
            os.replace(self.path, self.folder / IMAGES)
            return
        part = self.folder / (IMAGES + ".kept")
        final = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(int(kept.sum()), *self.squares.shape[1:]))
        for row, index in enumerate(np.flatnonzero(kept)):
            final[row] = self.squares[index]
        final.flush()
        self.squares = None
        os.replace(part, self.folder / IMAGES)
        self.path.unlink()
