"""Which decoder reads which transfer syntax, and how: from encoded pixel data to a 2-D array of stored values.

Right comes before fast: signed JPEG-LS and JPEG 2000 are first read by GDCM. JPEG and JPEG Lossless are read by libjpeg-turbo,
which yields the same values as GDCM several times faster, and refuses damaged streams on which GDCM ends the process.
"""

import struct
from dataclasses import dataclass

import numpy as np
from pydicom import uid as uids
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from siim_kernel.errors import DicomError
from siim_kernel.pixels.header import shown

try:
    import imagecodecs
except ImportError:
    imagecodecs = None
try:
    import gdcm
except ImportError:
    gdcm = None

PYDICOM, TURBO, GDCM, CHARLS, OPENJPEG = "pydicom", "libjpeg-turbo", "GDCM", "CharLS", "OpenJPEG"

# Transfer syntax -> decoders in the order in which they are tried.
DECODERS = {
    uids.ImplicitVRLittleEndian: (PYDICOM,),
    uids.ExplicitVRLittleEndian: (PYDICOM,),
    uids.DeflatedExplicitVRLittleEndian: (PYDICOM,),
    uids.ExplicitVRBigEndian: (PYDICOM,),
    uids.RLELossless: (PYDICOM,),
    uids.JPEGBaseline8Bit: (TURBO, GDCM),
    uids.JPEGExtended12Bit: (TURBO, GDCM),
    uids.JPEGLossless: (TURBO, GDCM),
    uids.JPEGLosslessSV1: (TURBO, GDCM),
    uids.JPEGLSLossless: (GDCM, CHARLS),
    uids.JPEGLSNearLossless: (GDCM, CHARLS),
    uids.JPEG2000Lossless: (GDCM, OPENJPEG),
    uids.JPEG2000: (GDCM, OPENJPEG),
    uids.HTJ2KLossless: (OPENJPEG,),
    uids.HTJ2KLosslessRPCL: (OPENJPEG,),
    uids.HTJ2K: (OPENJPEG,),
}
NATIVE = (uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian, uids.DeflatedExplicitVRLittleEndian, uids.ExplicitVRBigEndian)

# Decoder -> the codec of the package imagecodecs that it is.
CODECS = {TURBO: "jpeg8", CHARLS: "jpegls", OPENJPEG: "jpeg2k"}

# Start-of-frame markers: JPEG (ISO 10918-1 table B.1, without DHT, JPG and DAC) and JPEG-LS.
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# How far from the end an end-of-image marker may stand (padding after it is allowed), and a JPEG 2000 header from the start.
_TAIL = 4096


@dataclass(frozen=True)
class Codestream:
    """What a JPEG, JPEG-LS or JPEG 2000 stream says of itself."""

    rows: int
    columns: int
    samples: int
    precision: int


def available(uid):
    """Names of the decoders of this machine for a transfer syntax, in the order in which they are tried; () for none."""
    names = tuple(name for name in DECODERS.get(uid, ()) if _is_here(name))
    # An exception that GDCM does not catch would end the whole process: it reads JPEG only where libjpeg-turbo is missing.
    return (TURBO,) if TURBO in names else names


def required(uid):
    """`available(uid)`, or DicomError where it is ()."""
    names = available(uid)
    if not names:
        wanted = " or ".join(DECODERS.get(uid, ()))
        need = f"{wanted} would do but is not installed" if wanted else "none is known"
        raise DicomError(f"no decoder for transfer syntax {syntax_name(uid)}: {need}")
    return names


def _is_here(name):
    if name == GDCM:
        return gdcm is not None
    return name == PYDICOM or (imagecodecs is not None and getattr(imagecodecs, CODECS[name].upper()).available)


def syntax_name(uid):
    """The name of a transfer syntax in the standard, or its uid where it has none."""
    return shown(uids.UID(uid).name)


def decode(uid, data, layout):
    """Stored values [layout.rows, layout.columns], an integer array in the machine's byte order.

    uid   transfer syntax
    data  the value of Pixel Data where the syntax is native, the fragments of the one frame joined where it is not

    The array may be a read-only view of `data`. Raises DicomError that names each decoder with its own failure. Decoders
    raise nearly anything on damaged data, MemoryError included, and what the next one does decides: hence the broad except.
    """
    stream = None
    if uid not in (*NATIVE, uids.RLELossless):
        stream = _checked_stream(data, layout)
    failures = []
    for name in required(uid):
        try:
            pixels = _DECODE[name](uid, data, layout, stream)
            if pixels.shape != (layout.rows, layout.columns) or pixels.dtype.kind not in "iu":
                raise ValueError(f"made {pixels.dtype} values of shape {pixels.shape}")
        except Exception as error:
            failures.append(f"{name}: {one_line(error)}")
        else:
            pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
            # A stream of 9 to 15 bits was coded with the bits that its values have, whatever the header says.
            return pixels if stream is not None and 8 < stream.precision < 16 else _fit_to_bits_stored(pixels, layout)
    raise DicomError(f"{syntax_name(uid)} pixel data cannot be decoded ({'; '.join(failures)})")


def one_line(error):
    """An exception as one short line: its kind, and what it says."""
    text = shown(error, 200)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _with_pydicom(uid, data, layout, stream):
    """Uncompressed pixels and RLE."""
    native = uid in NATIVE
    return _through_pydicom(
        uid,
        data if native else encapsulate([data], has_bot=False),
        layout,
        bits_allocated=layout.bits_allocated,
        bits_stored=layout.bits_stored,
        pixel_representation=int(layout.signed),
        pixel_vr=layout.vr,
        correct_unused_bits=False,
        **({"view_only": True} if native else {"decoding_plugin": "pydicom"}),
    )


def _with_gdcm(uid, data, layout, stream):
    """JPEG, JPEG Lossless, JPEG-LS and JPEG 2000, by GDCM through pydicom, which mends the sign of the last two.

    GDCM is told the bits of the stream: where the header has others it returns cut values, or ends the whole process.
    """
    gdcm.Trace.WarningOff()  # it would print to stderr what it also says by failing
    gdcm.Trace.ErrorOff()
    allocated = 8 if stream.precision <= 8 else 16
    knows_precision = uid in uids.JPEGLSTransferSyntaxes or uid in uids.JPEG2000TransferSyntaxes
    pixels = _through_pydicom(
        uid,
        encapsulate([data], has_bot=False),
        layout,
        bits_allocated=allocated,
        bits_stored=stream.precision if knows_precision else allocated,
        pixel_representation=int(layout.signed and knows_precision),
        decoding_plugin="gdcm",
    )
    return sign_extended(pixels, stream.precision) if layout.signed else pixels


def _through_pydicom(uid, data, layout, **options):
    return get_decoder(uid).as_array(
        data,
        index=0,
        raw=True,
        rows=layout.rows,
        columns=layout.columns,
        samples_per_pixel=1,
        number_of_frames=1,
        photometric_interpretation=layout.photometric,
        pixel_keyword="PixelData",
        **options,
    )[0]


def _with_imagecodecs(name):
    def decode_stream(uid, data, layout, stream):
        pixels = getattr(imagecodecs, f"{CODECS[name]}_decode")(data)
        # Streams know no sign (JPEG Lossless, JPEG-LS) or may state another than the header (JPEG 2000).
        if layout.signed and pixels.dtype.kind == "u":
            return sign_extended(pixels, stream.precision)
        if not layout.signed and pixels.dtype.kind == "i":
            return pixels.view(f"u{pixels.itemsize}") & (2**stream.precision - 1)
        return pixels

    return decode_stream


_DECODE = {PYDICOM: _with_pydicom, GDCM: _with_gdcm} | {name: _with_imagecodecs(name) for name in CODECS}


def _checked_stream(data, layout):
    """The Codestream of `data`, once it is known to be whole and to be the film of the header.

    Decoders take the size from the stream, whatever it says, and libjpeg fills what is missing with grey: both are found
    here, before anything is allocated.
    """
    stream = codestream(data)
    if stream is None:
        raise DicomError("the compressed pixel data hold no JPEG, JPEG-LS or JPEG 2000 stream")
    if stream.samples != 1:
        raise DicomError(f"the compressed stream has {stream.samples} samples a pixel, a grey film has one")
    if (stream.rows, stream.columns) != (layout.rows, layout.columns):
        raise DicomError(
            f"the compressed stream has {stream.rows} x {stream.columns} pixels, the header says {layout.rows} x {layout.columns}"
        )
    if not 1 <= stream.precision <= 16:
        raise DicomError(f"the compressed stream has {stream.precision} bits a pixel, at most 16 are read")
    if b"\xff\xd9" not in data[-_TAIL:]:
        raise DicomError("the compressed pixel data are cut short: no end-of-image marker")
    return stream


def codestream(data):
    """The Codestream at the start of `data`: JPEG, JPEG-LS, or JPEG 2000 (bare or in a JP2 file); None if there is none."""
    start = data.find(b"\xff\x4f\xff\x51", 0, _TAIL)
    try:
        if start >= 0:  # JPEG 2000: SOC, then SIZ (ISO 15444-1 A.5.1)
            right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
            samples, precision = struct.unpack_from(">HB", data, start + 40)
            return Codestream(bottom - top, right - left, samples, (precision & 0x7F) + 1)
        if data[:2] != b"\xff\xd8":
            return None
        at = 2
        while data[at] == 0xFF:
            marker = data[at + 1]
            if marker == 0xFF:  # a fill byte
                at += 1
                continue
            if marker in _FRAME_MARKERS:
                precision, rows, columns, samples = struct.unpack_from(">BHHB", data, at + 4)
                return Codestream(rows, columns, samples, precision)
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    except (IndexError, struct.error):
        return None
    return None


def sign_extended(pixels, bits):
    """The lowest `bits` bits of each value as a two's complement number, as signed integers of the same width."""
    shift = 8 * pixels.itemsize - bits
    signed = pixels.view(f"i{pixels.itemsize}")
    return (signed << shift) >> shift if shift > 0 else signed


def _fit_to_bits_stored(pixels, layout):
    """What Bits Stored and High Bit say of values that go beyond them (PS3.5 8.1.1); sound films come back as they are.

    Unused bits may hold anything, such as overlays or a sign that was not extended, and a reader must not see them. But
    there are also films whose Bits Stored is too small: for them the rule would fold bright parts over into dark ones.
    The neighbours tell: what unused bits hold makes jumps where the masked film has none, and folding makes jumps where
    the film as it stands has none. The standard's film is taken unless it has the larger jumps.
    """
    bits, width = layout.bits_stored, 8 * pixels.itemsize
    if bits >= width or pixels.size == 0:
        return pixels
    signed = pixels.dtype.kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if pixels.min() >= low and pixels.max() <= high:
        return pixels
    if bits <= layout.high_bit < width:
        pixels = pixels >> (layout.high_bit + 1 - bits)
    masked = sign_extended(pixels, bits) if signed else pixels & pixels.dtype.type(high)
    return masked if layout.overlay or _roughness(masked) <= _roughness(pixels) else pixels


def _roughness(pixels):
    """Sum of the steps between neighbours in a row."""
    return int(np.abs(np.diff(pixels.astype(np.int64), axis=1)).sum())
