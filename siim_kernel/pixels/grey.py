"""From stored values to the greys of a display: modality, VOI, MONOCHROME1 and padding as DICOM PS3.3 C.7.6.3 and C.11 say.

All of these depend on a pixel's value alone. So they are computed once for each value that occurs in the film, and the
film goes through that table: as fast as a linear scale, and exact for every curve.

What becomes black and white is told by the film's content, never by its bit depth: devices store 8-bit films in 16 bits and
fill 16 bits of a 12-bit film. The limits are percentiles of the content; a linear window that fits the content narrows them.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from siim_kernel.errors import DicomError
from siim_kernel.pixels.header import first_item, numbers, text

WHITE = 65535
# A window with less than this share of the film's content inside it was meant for another film, and is ignored.
MIN_SHARE_IN_WINDOW = 0.05
# cv2.calcHist counts in float32, which is exact up to here.
_MAX_COUNTED = 2**24


@dataclass(frozen=True)
class Window:
    """A VOI window (PS3.3 C.11.2.1.2) in the units that the modality LUT yields; function is LINEAR, LINEAR_EXACT or SIGMOID."""

    center: float
    width: float
    function: str

    @property
    def limits(self):
        """The values at and below which all is black, above which all is white; of a sigmoid, where 2 % and 98 % are."""
        if self.function == "LINEAR":  # C.11.2.1.2.1
            return self.center - self.width / 2, self.center + self.width / 2 - 1
        half = self.width if self.function == "SIGMOID" else self.width / 2
        return self.center - half, self.center + half


def greys(film, percentiles):
    """The film as greys, uint16 [Rows, Columns], 0 black to 65535 white; padding and a film of one value are black.

    percentiles  of the content: what becomes black and what white, as in PixelRecipe
    """
    table = _table(film, percentiles)
    patterns = _patterns(film.pixels)
    try:
        return cv2.LUT(patterns, table)
    except cv2.error:  # older OpenCV takes 8-bit films alone
        return table.take(patterns)


def display(film, percentiles=(0.5, 99.5)):
    """The film at its full size as greys to look at, uint8 [Rows, Columns]."""
    return to_bytes(greys(film, percentiles))


def to_bytes(values):
    """Greys of 0..65535 as uint8, rounded."""
    return cv2.convertScaleAbs(values, alpha=255 / WHITE)


def padding(film):
    """Mask [Rows, Columns] of the pixels that are padding, or None where the film states no padding value."""
    limits = _padding_limits(film)
    if limits is None:
        return None
    return (film.pixels >= limits[0]) & (film.pixels <= limits[1])


def window(header):
    """The first VOI window of a header, or None where it states none or one that the standard forbids."""
    centers, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    if not centers or not widths:
        return None
    function = text(header, "VOILUTFunction").upper() or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        return None
    if not (1 if function == "LINEAR" else 1e-30) <= widths[0] < 1e30:
        return None
    return Window(centers[0], widths[0], function)


def modality(values, header):
    """Stored values [N] in the units of the device, float64: by Modality LUT Sequence, else by Rescale Slope and Intercept."""
    curve = _lookup(values, header, "ModalityLUTSequence")
    if curve is not None and curve.min() < curve.max():  # one that is flat would make every film black
        return curve
    slope, intercept = numbers(header, "RescaleSlope"), numbers(header, "RescaleIntercept")
    # So would a slope of zero, and an absurd one leaves the range of floats.
    factor = slope[0] if slope and 1e-30 < abs(slope[0]) < 1e30 else 1.0
    return values * factor + (intercept[0] if intercept and abs(intercept[0]) < 1e30 else 0.0)


def _table(film, percentiles):
    """uint16 greys [256 or 65536] by the bit pattern of a stored value; only values that occur are filled in."""
    patterns = _patterns(film.pixels)
    counts = _counts(patterns)
    occurring = np.flatnonzero(counts)
    values = occurring.astype(patterns.dtype).view(film.pixels.dtype).astype(np.int64)
    order = np.argsort(values)
    occurring, values = occurring[order], values[order]
    limits = _padding_limits(film)
    content = np.ones(len(values), bool) if limits is None else (values < limits[0]) | (values > limits[1])
    table = np.zeros(len(counts), np.uint16)
    table[occurring[content]] = _curve(values[content], counts[occurring[content]], film, percentiles)
    return table


def _curve(values, counts, film, percentiles):
    """uint16 greys of the stored values that are content, each of which occurs `counts` times."""
    if len(values) < 2:
        return np.zeros(len(values), np.uint16)
    shades = modality(values, film.header)
    voi = _lookup(shades, film.header, "VOILUTSequence")
    found = window(film.header)
    if found is not None and not _fits(found, shades, counts):
        found = None
    if voi is not None and voi.min() < voi.max():
        shades, found = voi, None
    elif found is not None and found.function == "SIGMOID":  # C.11.2.1.3.1; by tanh, which cannot overflow
        shades, found = 0.5 + 0.5 * np.tanh(2 * (shades - found.center) / found.width), None
    black, white = _content_limits(shades, counts, percentiles)
    if found is not None:
        low, high = max(black, found.limits[0]), min(white, found.limits[1])
        black, white = (low, high) if low < high else (black, white)
    if black >= white:
        return np.zeros(len(values), np.uint16)
    result = np.rint(np.clip((shades - black) / (white - black), 0, 1) * WHITE).astype(np.uint16)
    return WHITE - result if film.photometric == "MONOCHROME1" else result


def _content_limits(shades, counts, percentiles):
    """Two percentiles of the content as np.percentile has them; the ends of the content where both are the same."""
    order = np.argsort(shades, kind="stable")
    ordered, ranks = shades[order], np.cumsum(counts[order])
    positions = np.asarray(percentiles) / 100 * (ranks[-1] - 1)
    below = ordered[np.searchsorted(ranks, np.floor(positions), side="right")]
    above = ordered[np.searchsorted(ranks, np.ceil(positions), side="right")]
    black, white = below + (above - below) * (positions % 1)
    return (black, white) if black < white else (ordered[0], ordered[-1])


def _fits(found, shades, counts):
    low, high = found.limits
    return counts[(shades >= low) & (shades <= high)].sum() >= MIN_SHARE_IN_WINDOW * counts.sum()


def _lookup(values, header, keyword):
    """`values` through the first LUT of a sequence (PS3.3 C.11.1.1, C.11.2.1.1); None where there is none, or a broken one.

    Values below the first one mapped take the first entry, those beyond the last take the last.
    """
    try:
        item = first_item(header, keyword)
        if item is None:
            return None
        first, entries = _read_lut(item, header.original_encoding[1])
    except Exception:  # a tolerance boundary: pydicom raises nearly anything on nonsense, and a film shows without its LUT
        return None
    # The first value has no sign where its VR was written wrongly.
    if first > 32767 and values.min() < 0:
        first -= 65536
    at = np.clip(np.rint(values) - first, 0, len(entries) - 1)
    return entries[at.astype(np.int64)].astype(np.float64)


def _read_lut(item, little_endian):
    """First value mapped and entries of a LUT. Raises DicomError if they are not what the descriptor says."""
    n_entries, first, bits = (int(number) for number in numbers(item, "LUTDescriptor"))
    n_entries = n_entries % 65536 or 65536
    data = item.LUTData
    if isinstance(data, bytes):
        # 8-bit entries may stand two to a word or one to a word.
        packed = bits <= 8 and len(data) < 2 * n_entries
        entries = np.frombuffer(data, np.uint8 if packed else "<u2" if little_endian else ">u2")
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64)) % 65536
        if bits <= 8 and len(entries) < n_entries:
            entries = entries.astype("<u2").view(np.uint8)
    if len(entries) < n_entries:
        raise DicomError(f"a LUT of {n_entries} entries has {len(entries)}")
    return first, entries[:n_entries]


def _padding_limits(film):
    """Lowest and highest stored value that is padding (PS3.3 C.7.5.1.1.2), or None."""
    value = numbers(film.header, "PixelPaddingValue")
    if not value:
        return None
    ends = value[0], (numbers(film.header, "PixelPaddingRangeLimit") or value)[0]
    # The VR of these elements is often written with the wrong sign: take the value that has the same bits.
    kind = np.iinfo(film.pixels.dtype)
    if kind.min < 0:
        ends = [end - 2**kind.bits if end > kind.max else end for end in ends]
    else:
        ends = [end + 2**kind.bits if end < 0 else end for end in ends]
    return min(ends), max(ends)


def _patterns(pixels):
    """The film's bit patterns: unsigned integers, in memory in one piece."""
    return np.ascontiguousarray(pixels).view(f"u{pixels.itemsize}")


def _counts(patterns):
    """How often each bit pattern occurs, int64 [256 or 65536]."""
    n_patterns = 256**patterns.itemsize
    rows = max(1, _MAX_COUNTED // patterns.shape[1])
    counts = np.zeros(n_patterns, np.int64)
    for top in range(0, patterns.shape[0], rows):
        block = patterns[top : top + rows]
        counts += cv2.calcHist([block], [0], None, [n_patterns], [0, n_patterns]).ravel().astype(np.int64)
    return counts
