"""What a JPEG, JPEG-LS or JPEG 2000 stream says of itself, read before a decoder allocates what the stream asks for."""

import struct
from dataclasses import dataclass

from siim_kernel.errors import DicomError

# How far from the end an end-of-image marker may stand (padding after it is allowed), and a JPEG 2000 header from the start.
_TAIL = 4096
# Start-of-frame markers: JPEG (ISO 10918-1 table B.1, without DHT, JPG and DAC) and JPEG-LS.
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# Most pixels that a byte of the stream can stand for, by start of frame: a Huffman code has one bit at least, and JPEG has
# one or two of them (progressive, sequential) for a block of 64 pixels, JPEG Lossless one for each pixel.
_PIXELS_A_BYTE = {0xC0: 256, 0xC1: 256, 0xC2: 512, 0xC3: 8}
# Marker segments and fill bytes before the frame; a film has some ten.
_MAX_MARKERS = 10_000


@dataclass(frozen=True)
class Codestream:
    """Size and kind of the image of a stream.

    whole  the one component has a value at each pixel
    least  bytes that so many pixels take at least
    """

    rows: int
    columns: int
    samples: int
    precision: int
    whole: bool = True
    least: int = 0


def checked(data, layout):
    """(stream, Codestream) once the stream in `data` is known to be whole and to be the film of the header's Layout.

    Decoders take the size from the stream, whatever it says, and libjpeg fills what is missing with grey: both are found
    here, before anything is allocated. `stream` begins with the stream that was looked at. Raises DicomError.
    """
    start = max(0, data.find(b"\xff\x4f\xff\x51", 0, _TAIL))
    # What stands before a JPEG 2000 stream, such as the boxes of a JP2 file, could lead a decoder to another one.
    stream = data[start:]
    found = codestream(stream)
    if found is None:
        raise DicomError("the compressed pixel data hold no JPEG, JPEG-LS or JPEG 2000 stream")
    if found.samples != 1:
        raise DicomError(f"the compressed stream has {found.samples} samples a pixel, a grey film has one")
    if (found.rows, found.columns) != (layout.rows, layout.columns):
        raise DicomError(
            f"the compressed stream has {found.rows} x {found.columns} pixels, the header says {layout.rows} x {layout.columns}"
        )
    if not found.whole:
        raise DicomError("the compressed stream does not have a value for each pixel")
    if not 1 <= found.precision <= 16:
        raise DicomError(f"the compressed stream has {found.precision} bits a pixel, at most 16 are read")
    if len(stream) < found.least:
        raise DicomError(f"the compressed pixel data are cut short: {len(stream)} bytes, such a stream has at least {found.least}")
    if b"\xff\xd9" not in stream[-_TAIL:]:
        raise DicomError("the compressed pixel data are cut short: no end-of-image marker")
    return stream, found


def codestream(data):
    """The Codestream with which `data` begins: JPEG, JPEG-LS or JPEG 2000; None if there is none."""
    try:
        return _jpeg_2000(data) if data[:4] == b"\xff\x4f\xff\x51" else _jpeg(data)
    except (IndexError, struct.error):
        return None


def _jpeg_2000(data):
    """SOC, then SIZ (ISO 15444-1 A.5.1)."""
    right, bottom, left, top = struct.unpack_from(">4I", data, 8)
    samples, precision, across, down = struct.unpack_from(">HBBB", data, 40)
    return Codestream(bottom - top, right - left, samples, (precision & 0x7F) + 1, (across, down) == (1, 1))


def _jpeg(data):
    """SOI, marker segments, start of frame (ISO 10918-1 B.2)."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    for _ in range(_MAX_MARKERS):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker in _FRAME_MARKERS:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", data, at + 4)
            return Codestream(rows, columns, samples, precision, least=rows * columns // _PIXELS_A_BYTE.get(marker, rows * columns + 1))
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None
