"""PNG and JPG files as films: published copies of radiographs, which come without a DICOM header.

Whatever is wrong with a file leaves this module as ImageSetError; its message is the reason, without the path.
"""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pydicom

from siim_kernel.errors import ImageSetError
from siim_kernel.pixels.dicom import Film
from siim_kernel.pixels.parsing import MAX_BYTES

SUFFIXES = (".png", ".jpg", ".jpeg")
# How a file begins, and what stands at the end of a whole one: some versions of OpenCV fill up what is missing.
_KINDS = ((b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"), (b"\xff\xd8\xff", b"\xff\xd9"))


def is_picture(path):
    """Whether a file is a PNG or JPG by its name, in any letter case; hidden files (the droppings of desktops) are none."""
    path = Path(path)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_picture(path):
    """A PNG or JPG file as a `Film`: uint8 or uint16 [rows, columns], MONOCHROME2, an empty header, no transfer syntax.

    Colours become grey as OpenCV weighs them, transparency is left out, and a film is turned as its EXIF says. A film of 8 bits
    has been windowed by whoever made it, but each source in its own way. So its greys go through the percentiles of the pixel
    recipe as those of a DICOM without a window do: content is black and white at the same share in every source, and a network
    cannot tell sources by it. Where as many pixels are black and white already, nothing changes.

    Raises ImageSetError for files that cannot be read, are cut short or no PNG or JPG.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ImageSetError("a folder or device, not a file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ImageSetError(f"{size} bytes are more than any film has (at most {MAX_BYTES} are read)")
        data = path.read_bytes()
    except OSError as error:
        raise ImageSetError(f"the file cannot be read: {error.strerror or error}") from error
    if not data:
        raise ImageSetError("an empty file")
    end = next((end for start, end in _KINDS if data.startswith(start)), None)
    if end is None:
        raise ImageSetError("neither a PNG nor a JPG file")
    if end not in data:
        raise ImageSetError("the file is cut short")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from error
        raise ImageSetError(f"the picture cannot be decoded: {error.err or error}") from error
    if pixels is None:
        raise ImageSetError("the picture cannot be decoded: it is damaged")
    return Film(pixels, pydicom.Dataset(), "", "MONOCHROME2", len(data), zlib.crc32(data))
