"""Where the squares of an image set go while it is built: rows of one array, or a PNG or JPG file each."""

import os
from io import BytesIO

import cv2
import numpy as np

from siim_kernel.files import write_atomically

IMAGES = "images.npy"


def encode(square, form):
    """A square as the bytes of a PNG or JPG file (quality 95)."""
    # OpenCV's own PNG settings: films come out no larger than at a higher compression level, ten times faster.
    flags = [cv2.IMWRITE_JPEG_QUALITY, 95] if form == "jpg" else []
    return cv2.imencode(f".{form}", square, flags)[1].tobytes()


class Files:
    """The squares of one size as `<split>/<image>.<form>`."""

    def __init__(self, folder, size, form):
        self.folder, self.size, self.form = folder, size, form
        self.written = self.bytes = 0

    def open(self):
        """Makes the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, row, split, image, square):
        """Keeps the bytes of a file; `row` is of no account here."""
        place = self._place(split, image)
        place.parent.mkdir(exist_ok=True)
        write_atomically(place, square)
        self.written, self.bytes = self.written + 1, self.bytes + len(square)

    def needed(self, rows):
        """Bytes that so many more squares will take: as the mean of those written here, at most a byte a pixel."""
        return rows * (self.bytes // self.written if self.written else self.size**2)

    def flush(self):
        """Every file has been flushed as it was written."""

    def finish(self, table):
        """Takes away what does not belong to the images of `table`: a build may be killed between a square and its facts."""
        belong = {self._place(row.split, row.image) for row in table.itertuples()}
        for place in self.folder.glob("[!.]*/*"):
            if place not in belong:
                place.unlink()

    def discard(self):
        """Nothing is to be taken away where no film was read."""

    def close(self):
        """No file is held open."""

    def _place(self, split, image):
        return self.folder / split / f"{image}.{self.form}"


class Rows:
    """The squares of one size as rows of `images.npy`, which is `images.npy.part` until all are there.

    Rows are written, not mapped: where a full disk ends the process that writes to a memory map, it is an OSError here.
    The header comes last, as only then it is known how many films could be read.
    """

    def __init__(self, folder, size, form):
        self.folder, self.size = folder, size
        self.path, self.final = folder / (IMAGES + ".part"), folder / IMAGES
        self.start = len(_header(0, size))
        self.file = None

    def open(self):
        """Makes the file, or opens what an interrupted build left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.final.exists():  # killed at its very end: `finish` does no harm twice
            os.replace(self.final, self.path)
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)

    def write(self, row, split, image, square):
        """Keeps a square, uint8 [S, S], as row number `row`."""
        self._write(square.tobytes(), self.start + row * self.size**2)

    def needed(self, rows):
        """Bytes that so many more squares will take."""
        return rows * self.size**2

    def flush(self):
        """Sees to it that what was written outlives a power cut."""
        os.fsync(self.file)

    def finish(self, table):
        """`images.npy` of as many rows as `table` has."""
        header = _header(len(table), self.size)
        self._write(header, 0)
        os.truncate(self.file, len(header) + len(table) * self.size**2)
        self.flush()
        os.replace(self.path, self.final)

    def discard(self):
        """Takes away what no film was written to."""
        self.path.unlink(missing_ok=True)

    def close(self):
        """Lets go of the file."""
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def _write(self, data, offset):
        while data:
            written = os.pwrite(self.file, data, offset)
            data, offset = data[written:], offset + written


def _header(rows, size):
    """The header of a .npy file of uint8 [rows, size, size]; numpy leaves room in it for any number of rows."""
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (rows, size, size)})
    return header.getvalue()
