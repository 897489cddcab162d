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
# As many as VR US of Rows and Columns can say: other VRs, written wrongly, could say more.
MAX_SIDE = 65535
# Text and numbers that are asked for have some ten values; a sequence of LUTs has up to 128 KiB for each.
MAX_VALUE, MAX_SEQUENCE = 4096, 2**20


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
    if not 1 <= rows <= MAX_SIDE or not 1 <= columns <= MAX_SIDE or rows * columns > MAX_PIXELS:
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
    """A header value as one line of printable letters; "" where it is missing or cannot be read. Raises nothing."""
    with _tolerating():
        value = _value(header, keyword, MAX_VALUE)
        printable = "".join(letter if letter.isprintable() else " " for letter in str("" if value is None else value))
        return printable.strip()
    return ""


def numbers(header, keyword):
    """A header value as a tuple of finite floats; () where it is missing or any part is no number. Raises nothing."""
    with _tolerating():
        value = _value(header, keyword, MAX_VALUE)
        items = value if isinstance(value, list | tuple | pydicom.multival.MultiValue) else [value]
        values = tuple(float(item) for item in items)
        return values if all(map(math.isfinite, values)) else ()
    return ()


def first_item(header, keyword):
    """The first item of a sequence, a data set, or None where there is none or it cannot be read. Raises nothing."""
    with _tolerating():
        items = _value(header, keyword, MAX_SEQUENCE)
        return items[0] if isinstance(items, pydicom.Sequence) and items else None
    return None


def _value(header, keyword, most):
    """A header value, converted by pydicom; None where it is missing or has more than `most` bytes, which may convert to anything."""
    if keyword not in header:
        return None
    value = header.get_item(keyword).value
    return None if isinstance(value, bytes | str) and len(value) > most else header.get(keyword)


@contextmanager
def _tolerating():
    """For one header value: pydicom converts values when they are asked for and raises nearly anything on nonsense."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception:
            return
