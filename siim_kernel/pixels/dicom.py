"""From a DICOM file to the stored values of one grey film, or to a one-line reason why there is none.

Users' files come from many devices and may be damaged: whatever pydicom or a decoder raises on them leaves this module
as DicomError. pydicom's warnings are kept off stderr while a file is read; since Python keeps its warning filters per
process, read in several processes rather than threads.
"""

import os
import stat
import warnings
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pydicom
from pydicom import uid as uids
from pydicom.encaps import generate_fragments, parse_basic_offsets

from siim_kernel.errors import DicomError
from siim_kernel.pixels import decoders
from siim_kernel.pixels.header import numbers, read_layout, shown, text
from siim_kernel.pixels.parsing import MAX_BYTES, InMemory, parse

__all__ = ["Film", "Preflight", "Syntax", "numbers", "preflight", "read_film", "read_header", "stated_syntax", "text"]

_PIXEL_DATA = b"\xe0\x7f\x10\x00"


@dataclass(frozen=True, eq=False)
class Film:
    """One film as it is stored.

    pixels           stored values [Rows, Columns], uint8, int8, uint16 or int16; perhaps read-only
    header           the data set without its pixel data; read it with `text` and `numbers`, as any value may be nonsense
    transfer_syntax  its UID
    photometric      MONOCHROME1 or MONOCHROME2
    size_bytes       of the file
    crc32            of the file's bytes
    """

    pixels: np.ndarray
    header: pydicom.Dataset
    transfer_syntax: str
    photometric: str
    size_bytes: int
    crc32: int


@dataclass(frozen=True)
class Syntax:
    """A transfer syntax among files: how often, and the decoders this machine has for it, in the order of trying."""

    uid: str
    name: str
    count: int
    decoders: tuple[str, ...]


@dataclass(frozen=True)
class Preflight:
    """syntaxes: the most frequent first; unreadable: (path, reason) of the files that have no DICOM header."""

    syntaxes: tuple[Syntax, ...]
    unreadable: tuple[tuple[str, str], ...]


def read_header(path):
    """The data set of a DICOM file without its pixel data, image or not. Raises DicomError."""
    _checked_size(path)
    with _refusing("the header cannot be read"):
        with open(path, "rb") as file:
            bare = _lacks_prefix(file.read(132))
            header = parse(file, bare=bare, stop_before_pixels=True)
        if bare and "Rows" not in header and "SOPClassUID" not in header:
            raise DicomError("not a DICOM file")
    return header


def read_film(path):
    """The Film of a DICOM file that holds one grey frame of integers.

    Raises DicomError for all else: unreadable or foreign files, objects without an image, colour, several frames, floats,
    pixel data that are cut short, headers that contradict their pixels, and pixels that no decoder of this machine reads.
    """
    size = _checked_size(path)
    with _refusing("the file cannot be read"), open(path, "rb") as file:
        data = file.read()
    if len(data) != size:
        raise DicomError(f"the file changed while it was read: {len(data)} of {size} bytes were read")
    crc32 = _crc32(data)
    with _refusing("the header cannot be read"):
        bare = _lacks_prefix(data[:132])
        header = parse(InMemory(data), bare=bare)
        if bare and ("Rows" not in header or "PixelData" not in header):
            raise DicomError("not a DICOM file")
        element = _pixel_element(header, data)
        layout = read_layout(header, element)
        syntax = _transfer_syntax(header, element)
        del header["PixelData"]
    with _refusing("the pixel data cannot be read"):
        pixels = _narrowed(decoders.decode(syntax, _frame(element, syntax, layout), layout))
    return Film(pixels, header, str(syntax), layout.photometric, size, crc32)


def stated_syntax(path):
    """(UID of the transfer syntax, "") of a file by its header, or ("", reason) where it has none that can be read."""
    try:
        return str(_stated_syntax(read_header(path))), ""
    except DicomError as error:
        return "", str(error)


def preflight(paths, stated=None):
    """Before work starts: the transfer syntaxes of the files and who decodes each, from the headers alone.

    stated  what `stated_syntax` says of each path, where it was asked elsewhere
    """
    counts, unreadable = Counter(), []
    for path, (uid, reason) in zip(paths, map(stated_syntax, paths) if stated is None else stated, strict=True):
        if reason:
            unreadable.append((str(path), reason))
        else:
            counts[uid] += 1
    syntaxes = (Syntax(uid, decoders.syntax_name(uid), count, decoders.available(uid)) for uid, count in counts.most_common())
    return Preflight(tuple(syntaxes), tuple(unreadable))


@contextmanager
def _refusing(what):
    """The boundary to files of unknown origin: all that goes wrong within becomes a DicomError that begins with `what`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except DicomError:
            raise
        except OSError as error:
            raise DicomError(f"{what}: {error.strerror or decoders.one_line(error)}") from error
        except Exception as error:
            raise DicomError(f"{what}: {decoders.one_line(error)}") from error


def _crc32(data):
    """CRC-32 of bytes as zlib has it; libdeflate yields the same nine times faster."""
    codec = getattr(decoders.imagecodecs, "deflate_crc32", None)
    return codec(data) if codec else zlib.crc32(data)


def _checked_size(path):
    """Size in bytes of a regular file that may hold a film."""
    with _refusing("the file cannot be read"):
        status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise DicomError("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise DicomError("not a regular file")
    if status.st_size == 0:
        raise DicomError("an empty file")
    if status.st_size > MAX_BYTES:
        raise DicomError(f"{status.st_size} bytes are more than any film has (at most {MAX_BYTES} are read)")
    return status.st_size


def _lacks_prefix(start):
    """Whether a file is a bare data set, without the preamble and prefix of PS3.10 7.1; refuses what is no DICOM at all.

    A bare data set begins with group 0002 or 0008. Other files are not given to pydicom: it would find elements in anything.
    """
    if start[128:132] == b"DICM":
        return False
    if start[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08"):
        return True
    raise DicomError("not a DICOM file")


def _pixel_element(header, data):
    """The pixel data element of a data set that holds an image of integers."""
    if "FloatPixelData" in header or "DoubleFloatPixelData" in header:
        raise DicomError("floating point pixel data, not stored values of a film")
    if "PixelData" in header:
        element = header["PixelData"]
        if not isinstance(element.value, bytes | memoryview) or not element.value:
            raise DicomError("the pixel data are empty")
        return element
    # pydicom leaves out an encapsulated element whose end is missing.
    if _PIXEL_DATA in data:
        raise DicomError("the pixel data are cut short")
    kind = uids.UID(text(header, "SOPClassUID")).name
    raise DicomError(f"no pixel data: not an image, or cut short ({shown(kind) or 'kind unknown'})")


def _stated_syntax(header):
    """The transfer syntax of the file meta information, or the native one by which pydicom could read the data set."""
    uid = text(getattr(header, "file_meta", pydicom.Dataset()), "TransferSyntaxUID")
    if uid:
        return uids.UID(uid)
    implicit, little = header.original_encoding
    if implicit:
        return uids.ImplicitVRLittleEndian
    return uids.ExplicitVRLittleEndian if little else uids.ExplicitVRBigEndian


def _transfer_syntax(header, element):
    """The transfer syntax of pixel data that this machine can decode."""
    syntax = _stated_syntax(header)
    decoders.required(syntax)
    if element.is_undefined_length != (syntax not in decoders.NATIVE):
        found = "encapsulated" if element.is_undefined_length else "not encapsulated"
        raise DicomError(f"the pixel data are {found}, but the transfer syntax is {decoders.syntax_name(syntax)}")
    return syntax


def _frame(element, syntax, layout):
    """The bytes of the one frame: all of Pixel Data if native, else its fragments joined."""
    data = element.value
    if syntax in decoders.NATIVE:
        needed = layout.rows * layout.columns * layout.bits_allocated // 8
        if len(data) < needed:
            raise DicomError(f"the pixel data are cut short: {len(data)} of {needed} bytes")
        # Padding is less than a frame: with a second one the header is wrong about frames or bits.
        if len(data) >= 2 * (needed + needed % 2):
            raise DicomError(f"the pixel data have {len(data)} bytes, one frame of the header's size has {needed}")
        return data
    # One offset of four bytes for each frame, or none (PS3.5 A.4).
    n_offsets = int.from_bytes(data[4:8], "little") // 4
    if n_offsets > 1:
        raise DicomError(f"{n_offsets} frames, a film has one")
    buffer = BytesIO(data)
    parse_basic_offsets(buffer)
    return b"".join(generate_fragments(buffer))


def _narrowed(pixels):
    """Integers of more than 16 bits as 16-bit ones, where the values allow it."""
    if pixels.itemsize <= 2:
        return pixels
    low, high = int(pixels.min()), int(pixels.max())
    for kind in (np.uint16, np.int16):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return pixels.astype(kind)
    raise DicomError(f"stored values {low} to {high} need more than 16 bits")
