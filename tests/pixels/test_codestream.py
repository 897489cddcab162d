import struct
from dataclasses import replace

import numpy as np
import pytest

from siim_kernel.errors import DicomError
from siim_kernel.pixels import codestream
from siim_kernel.pixels.codestream import Codestream
from siim_kernel.pixels.header import Layout
from tests.pixels import made

PIXELS = made.smooth()
LAYOUT = Layout(rows=48, columns=64, bits_allocated=16, bits_stored=12, high_bit=11, signed=False, photometric="MONOCHROME2")
STREAMS = {
    "JPEG Lossless": (made.jpeg(PIXELS, 12), 12),
    "JPEG": (made.jpeg((PIXELS >> 4).astype("u1"), 8, lossless=False), 8),
    "JPEG-LS": (made.jpegls(PIXELS, 12), 16),
    "JPEG 2000": (made.j2k(PIXELS, 12), 12),
    "HTJ2K": (made.htj2k(PIXELS), 16),
}


def refused(data):
    with pytest.raises(DicomError) as caught:
        codestream.checked(data, LAYOUT)
    return str(caught.value)


@pytest.mark.parametrize("name", STREAMS)
def test_what_a_stream_says(name):
    data, bits = STREAMS[name]
    found = Codestream(48, 64, 1, bits, least={"JPEG Lossless": 48 * 8, "JPEG": 12}.get(name, 0))
    assert codestream.codestream(data) == found
    assert codestream.checked(data + bytes(100), LAYOUT) == (data + bytes(100), found)


@pytest.mark.parametrize("name", STREAMS)
def test_no_length_of_a_stream_raises(name):
    data, _ = STREAMS[name]
    for end in range(200):
        codestream.codestream(data[:end])
    assert refused(data[: len(data) // 2]) == "the compressed pixel data are cut short: no end-of-image marker"


@pytest.mark.parametrize(("name", "least"), [("JPEG Lossless", 12_500_000), ("JPEG", 390_625)])
def test_stream_too_short_for_its_pixels(name, least):
    # libjpeg would fill what is missing with grey and say nothing.
    data = bytearray(STREAMS[name][0])
    at = data.index(b"\xff\xc3" if name == "JPEG Lossless" else b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, 10_000, 10_000)
    with pytest.raises(DicomError, match=f"cut short: {len(data)} bytes, such a stream has at least {least}"):
        codestream.checked(bytes(data), replace(LAYOUT, rows=10_000, columns=10_000))


@pytest.mark.parametrize("lossless", [True, False])
def test_the_shortest_jpeg_is_read(lossless):
    black = np.zeros((1000, 1000), np.uint8)
    data = made.jpeg(black, 8, lossless=lossless)
    found = codestream.checked(data, replace(LAYOUT, rows=1000, columns=1000))[1]
    assert found.least < len(data) < 3 * found.least + 1000


def test_what_stands_before_a_jpeg_2000_stream_does_not_reach_a_decoder():
    # A decoder would read the first of two streams by the boxes of a JP2 file.
    data, _ = STREAMS["JPEG 2000"]
    assert codestream.checked(b"\0\0\0\x0cjP  \r\n\x87\n" + data, LAYOUT)[0] == data


def test_jpeg_2000_without_a_value_for_each_pixel():
    data = bytearray(STREAMS["JPEG 2000"][0])
    data[43:45] = 2, 1
    assert refused(bytes(data)) == "the compressed stream does not have a value for each pixel"


@pytest.mark.parametrize("at", [8, 12])
def test_jpeg_2000_of_absurd_size(at):
    data = bytearray(STREAMS["JPEG 2000"][0])
    struct.pack_into(">I", data, at, 2**32 - 1)
    assert "4294967295" in refused(bytes(data))


@pytest.mark.parametrize("filler", [b"\xff" * 1_000_000, b"\xff\xfe\x00\x02" * 20_000], ids=["fill bytes", "comments"])
def test_markers_without_end(filler):
    data, _ = STREAMS["JPEG Lossless"]
    assert codestream.codestream(data[:2] + filler[:200] + data[2:]) == Codestream(48, 64, 1, 12, least=384)
    assert "no JPEG" in refused(data[:2] + filler + data[2:])
