"""Values of a DICOM header, of which any may be missing or nonsense, and what they say about the pixels."""

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import pydicom

from siim_kernel.errors import DicomError

GREY = ("MONOCHROME1", "MONOCHROME2")
# The largest chest film has some 25 million pixels, a stitched spine or a mammogram up to 60 million.
MAX_PIXELS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The Image Pixel module (DICOM PS3.3 C.7.6.3) of one grey frame, with values that were found sound.

    vr       of the pixel data element ("OB" or "OW")
    overlay  the header says that overlay planes stand in unused bits of the pixels (PS3.5 8.1.2, retired)
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    vr: str = "OW"
    overlay: bool = False


def read_layout(header, element):
    """The Layout that the header states. Raises DicomError for what is no single grey frame and for nonsense."""
    photometric = text(header, "PhotometricInterpretation").upper()
    samples = whole(header, "SamplesPerPixel", 1)
    if not photometric:
        raise DicomError("PhotometricInterpretation is missing")
    if photometric not in GREY or samples != 1:
        raise DicomError(f"not a grey film: {shown(photometric)}, {samples} sample(s) a pixel")
    frames = whole(header, "NumberOfFrames", 1)
    if frames > 1:
        raise DicomError(f"{frames} frames, a film has one")
    rows, columns = whole(header, "Rows"), whole(header, "Columns")
    if rows < 1 or columns < 1 or rows * columns > MAX_PIXELS:
        raise DicomError(f"Rows x Columns is {rows} x {columns}: no film has that (1 to {MAX_PIXELS} pixels are read)")
    allocated = whole(header, "BitsAllocated")
    if allocated not in (8, 16, 32):
        raise DicomError(f"BitsAllocated is {allocated}: only 8, 16 and 32 are read")
    stored = whole(header, "BitsStored", allocated)
    if not 1 <= stored <= allocated:
        raise DicomError(f"BitsStored is {stored} of {allocated} allocated bits")
    representation = whole(header, "PixelRepresentation", 0)
    if representation not in (0, 1):
        raise DicomError(f"PixelRepresentation is {representation}, neither 0 (unsigned) nor 1 (signed)")
    high_bit = numbers(header, "HighBit")
    return Layout(
        rows=rows,
        columns=columns,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=int(high_bit[0]) if high_bit else stored - 1,
        signed=representation == 1,
        photometric=photometric,
        vr=element.VR,
        overlay=_has_overlay_in_pixels(header),
    )


def whole(header, keyword, default=None):
    """A header value as a whole number, or `default` where it is missing or empty."""
    if keyword not in header or header.get_item(keyword).value in (None, "", b""):
        if default is None:
            raise DicomError(f"{keyword} is missing")
        return default
    values = numbers(header, keyword)
    if len(values) != 1 or values[0] != int(values[0]):
        value = header.get_item(keyword).value
        raise DicomError(f"{keyword} is no whole number: {shown(value.decode('latin-1') if isinstance(value, bytes) else value)}")
    return int(values[0])


def _has_overlay_in_pixels(header):
    """Whether an overlay group has a bit position but no data of its own (PS3.3 C.9.2 of 2004, since retired)."""
    return any((group, 0x0102) in header and (group, 0x3000) not in header for group in range(0x6000, 0x6020, 2))


def shown(value, length=80):
    """A value of unknown origin as it may stand in a message: one line of printable letters, not long."""
    printable = "".join(letter if letter.isprintable() else " " for letter in str(value)[: 10 * length])
    return " ".join(printable.split())[:length]


def text(header, keyword):
    """A header value as text without blanks around it; "" where it is missing or cannot be read. Raises nothing."""
    with _tolerating():
        value = header.get(keyword)
        return "" if value is None else str(value).strip(" \0")
    return ""


def numbers(header, keyword):
    """A header value as a tuple of finite floats; () where it is missing or any part is no number. Raises nothing."""
    with _tolerating():
        value = header.get(keyword)
        items = value if isinstance(value, list | tuple | pydicom.multival.MultiValue) else [value]
        values = tuple(float(item) for item in items)
        return values if all(map(math.isfinite, values)) else ()
    return ()


@contextmanager
def _tolerating():
    """For one header value: pydicom converts values when they are asked for and raises nearly anything on nonsense."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception:
            return
