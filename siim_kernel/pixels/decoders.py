"""Which decoder reads which transfer syntax, and how: from encoded pixel data to a 2-D array of stored values.

Right comes before fast: signed JPEG-LS and JPEG 2000 are first read by GDCM. JPEG and JPEG Lossless are read by libjpeg-turbo,
which yields the same values as GDCM several times faster, and refuses damaged streams on which GDCM ends the process.
"""

import struct
from itertools import pairwise

import numpy as np
from pydicom import uid as uids
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from siim_kernel.errors import DicomError
from siim_kernel.pixels import codestream
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
# A segment of RLE that cannot expand to more than this is decoded without measuring it first.
_RLE_UNMEASURED = 2**28
_RLE_PADDING = 4096


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
    if uid == uids.RLELossless:
        _check_rle(data, layout)
    elif uid not in NATIVE:
        data, stream = codestream.checked(data, layout)
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


def _check_rle(data, layout):
    """Refuses RLE (PS3.5 G) whose segments expand to more than the film: two bytes may stand for 128."""
    # Each value of the film takes two bytes at most, where a run stands for it alone; padding is generously allowed for.
    most = 2 * layout.rows * layout.columns + _RLE_PADDING
    n_segments, *starts = struct.unpack_from("<16L", data.ljust(64, b"\0"))
    edges = [*starts[:n_segments], len(data)]
    for start, end in pairwise(edges):
        segment = memoryview(data)[start:end]
        if len(segment) > most or (64 * len(segment) > max(most, _RLE_UNMEASURED) and _expands_beyond(segment, most)):
            raise DicomError(f"an RLE segment is far longer than the film's {layout.rows} x {layout.columns} pixels")


def _expands_beyond(segment, most):
    """Whether a segment of RLE expands to more than `most` bytes."""
    at = total = 0
    while at < len(segment) and total <= most:
        head = segment[at]
        if head < 128:  # the next head + 1 bytes
            total += head + 1
            at += head + 2
        elif head > 128:  # the next byte 257 - head times
            total += 257 - head
            at += 2
        else:
            at += 1
    return total > most


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
    if (not signed or pixels.min() >= low) and pixels.max() <= high:
        return pixels
    if bits <= layout.high_bit < width:
        pixels = pixels >> (layout.high_bit + 1 - bits)
    masked = sign_extended(pixels, bits) if signed else pixels & pixels.dtype.type(high)
    return masked if layout.overlay or _roughness(masked) <= _roughness(pixels) else pixels


def _roughness(pixels):
    """Sum of the steps between neighbours in a row; by blocks of rows, as the steps take eight times a film's memory."""
    rows = max(1, 2**20 // pixels.shape[1])
    blocks = (pixels[top : top + rows].astype(np.int64) for top in range(0, pixels.shape[0], rows))
    return sum(int(np.abs(np.diff(block, axis=1)).sum()) for block in blocks)
