import csv
import os
import struct
import tracemalloc
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.pixels import get_decoder

from siim_kernel.errors import DicomError
from siim_kernel.pixels import decoders, images
from siim_kernel.pixels.dicom import MAX_BYTES, numbers, preflight, read_film, read_header, text
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import made

NATIVE = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian]
# Pixels and their bits stored; odd sizes, so that lengths are odd too.
KINDS = {
    "8 bits": (made.noisy(31, 45, 0, 255, np.uint8), 8),
    "7 of 8 bits": (made.noisy(31, 45, 0, 127, np.uint8), 7),
    "8 bits signed": (made.smooth(31, 45, -128, 127, np.int8), 8),
    "10 bits": (made.noisy(31, 45, 0, 1023), 10),
    "12 bits": (made.noisy(31, 45, 0, 4095), 12),
    "12 bits signed": (made.smooth(31, 45, -2048, 2047, np.int16), 12),
    "16 bits": (made.noisy(31, 45, 0, 65535), 16),
    "16 bits signed": (made.noisy(31, 45, -32768, 32767, np.int16), 16),
}


def refused(path):
    """The reason why a file is refused: one line without the path."""
    with pytest.raises(DicomError) as caught:
        read_film(path)
    reason = str(caught.value)
    assert reason
    assert "\n" not in reason
    assert str(path) not in reason
    return reason


def only(monkeypatch, syntax, decoder):
    monkeypatch.setitem(decoders.DECODERS, syntax, (decoder,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_native(tmp_path, syntax, kind):
    pixels, bits = KINDS[kind]
    film = read_film(made.write(tmp_path / "a", pixels, syntax, BitsStored=bits))
    np.testing.assert_array_equal(film.pixels, pixels)
    assert film.pixels.dtype == pixels.dtype
    assert film.transfer_syntax == syntax


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uid.RLELossless, lambda pixels, bits: made.rle(pixels)),
        (uid.JPEGLossless, lambda pixels, bits: made.jpeg(pixels, bits, predictor=6)),
        (uid.JPEGLosslessSV1, made.jpeg),
        (uid.JPEGLSLossless, made.jpegls),
        (uid.JPEG2000Lossless, made.j2k),
        (uid.HTJ2KLossless, lambda pixels, bits: made.htj2k(pixels)),
        (uid.HTJ2KLosslessRPCL, lambda pixels, bits: made.htj2k(pixels)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_lossless(tmp_path, syntax, encode, kind, monkeypatch):
    pixels, bits = KINDS[kind]
    path = made.write(tmp_path / "a", pixels, syntax, frame=encode(pixels, bits), fragments=2, BitsStored=bits)
    for decoder in decoders.DECODERS[syntax]:
        only(monkeypatch, syntax, decoder)
        film = read_film(path)
        np.testing.assert_array_equal(film.pixels, pixels, err_msg=decoder)
        assert film.pixels.dtype == pixels.dtype


@pytest.mark.parametrize(
    ("syntax", "pixels", "bits", "encode", "error"),
    [
        (uid.JPEGBaseline8Bit, made.smooth(high=255, dtype=np.uint8), 8, lambda p, b: made.jpeg(p, b, lossless=False), 4),
        (uid.JPEGExtended12Bit, made.smooth(high=255, dtype=np.uint8), 8, lambda p, b: made.jpeg(p, b, lossless=False), 4),
        (uid.JPEGExtended12Bit, made.smooth(), 12, lambda p, b: made.jpeg(p, b, lossless=False), 8),
        (uid.JPEGLSNearLossless, made.smooth(), 12, lambda p, b: made.jpegls(p, b, near=3), 3),
        (uid.JPEGLSNearLossless, made.smooth(low=-2000, high=2000, dtype=np.int16), 12, lambda p, b: made.jpegls(p, b, near=3), 3),
        (uid.JPEG2000, made.smooth(), 12, lambda p, b: made.j2k(p, b, lossless=False), 60),
        (uid.JPEG2000, made.smooth(low=-2000, high=2000, dtype=np.int16), 12, lambda p, b: made.j2k(p, b, lossless=False), 60),
        (uid.HTJ2K, made.smooth(), 16, lambda p, b: made.htj2k(p), 0),
    ],
)
def test_lossy(tmp_path, syntax, pixels, bits, encode, error):
    film = read_film(made.write(tmp_path / "a", pixels, syntax, frame=encode(pixels, bits), BitsStored=bits))
    assert np.abs(film.pixels.astype(int) - pixels).max() <= error
    assert film.pixels.dtype == pixels.dtype


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_gdcm_reads_jpeg_lossless_as_libjpeg_turbo_does(bits, tmp_path, monkeypatch):
    pixels = made.noisy(high=2**bits - 1, dtype=np.uint8 if bits == 8 else np.uint16)
    path = made.write(tmp_path / "a", pixels, uid.JPEGLosslessSV1, frame=made.jpeg(pixels, bits), BitsStored=bits)
    turbo = read_film(path).pixels
    monkeypatch.setattr(decoders, "imagecodecs", None)
    assert decoders.available(uid.JPEGLosslessSV1) == ("GDCM",)
    np.testing.assert_array_equal(read_film(path).pixels, turbo)


def test_gdcm_never_reads_jpeg_where_libjpeg_turbo_is(tmp_path):
    # With its Huffman table gone, GDCM would end the process.
    frame = made.jpeg(made.smooth(), 12).replace(b"\xff\xc4", b"\xff\xee", 1)
    path = made.write(tmp_path / "a", made.smooth(), uid.JPEGLosslessSV1, frame=frame, BitsStored=12)
    assert "libjpeg-turbo" in refused(path)
    assert decoders.available(uid.JPEGLosslessSV1) == ("libjpeg-turbo",)


def test_film_of_one_file(tmp_path):
    path = made.write(tmp_path / "a", made.smooth(), PhotometricInterpretation="MONOCHROME1", PatientID=" p7 ")
    film = read_film(path)
    content = path.read_bytes()
    assert (film.size_bytes, film.crc32) == (len(content), zlib.crc32(content))
    assert film.photometric == "MONOCHROME1"
    assert text(film.header, "PatientID") == "p7"
    assert "PixelData" not in film.header
    assert film.header.buffer is None


def test_one_frame_stated_or_not(tmp_path):
    for value in (1, "1", 0, ""):
        assert read_film(made.write(tmp_path / "a", made.smooth(), NumberOfFrames=value)).pixels.shape == (48, 64)


@pytest.mark.parametrize("missing", ["PixelRepresentation", "SamplesPerPixel", "BitsStored", "HighBit"])
def test_values_that_have_a_default(tmp_path, missing):
    pixels = made.smooth()
    np.testing.assert_array_equal(read_film(made.write(tmp_path / "a", pixels, **{missing: None})).pixels, pixels)


def test_bare_data_set_without_preamble(tmp_path):
    pixels = made.smooth()
    for syntax in NATIVE[:3]:
        path = made.write(tmp_path / "a", pixels, syntax)
        implicit, little = syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian
        pydicom.dcmwrite(tmp_path / "bare", pydicom.Dataset(pydicom.dcmread(path)), implicit_vr=implicit, little_endian=little)
        film = read_film(tmp_path / "bare")
        np.testing.assert_array_equal(film.pixels, pixels)
        assert film.transfer_syntax == syntax
        assert text(read_header(tmp_path / "bare"), "PatientID") == "p1"
        # With its file meta information, but without the preamble.
        (tmp_path / "meta").write_bytes(path.read_bytes()[132:])
        np.testing.assert_array_equal(read_film(tmp_path / "meta").pixels, pixels)


def test_bare_data_set_without_an_image_is_no_dicom_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\x08\x00\x60\x00CS\x02\x00CR" * 3)
    assert refused(path) == "not a DICOM file"


def test_missing_transfer_syntax(tmp_path):
    pixels = made.smooth()
    content = made.write(tmp_path / "a", pixels).read_bytes()
    # The element's tag is turned into another one of its group.
    path = tmp_path / "b"
    path.write_bytes(content.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI", 1))
    film = read_film(path)
    np.testing.assert_array_equal(film.pixels, pixels)
    assert film.transfer_syntax == uid.ExplicitVRLittleEndian


# --- bits above Bits Stored


def test_overlay_in_unused_bits_is_masked(tmp_path):
    pixels = made.smooth()
    overlay = np.zeros_like(pixels)
    overlay[10:20, 5:60:3] = 0x8000
    film = made.film(tmp_path / "a", pixels | overlay, BitsStored=12)
    np.testing.assert_array_equal(film.pixels, pixels)


def test_declared_overlay_is_masked_however_it_looks(tmp_path):
    # Without the declaration the wrapped film would be the rougher one, and the values would be left.
    pixels = made.smooth(high=8191)
    values = {"BitsStored": 12}
    np.testing.assert_array_equal(made.film(tmp_path / "a", pixels, **values).pixels, pixels)
    declared = made.dataset(pixels, **values)
    declared.add_new((0x6000, 0x0102), "US", 12)
    declared.PixelData = pixels.tobytes()
    declared["PixelData"].VR = "OW"
    declared.save_as(tmp_path / "b", enforce_file_format=True)
    np.testing.assert_array_equal(read_film(tmp_path / "b").pixels, pixels & 4095)


def test_high_bit_above_bits_stored_shifts(tmp_path):
    pixels = made.smooth()
    film = made.film(tmp_path / "a", pixels << 4 | 5, BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(film.pixels, pixels)


def test_high_bit_that_the_values_deny(tmp_path):
    film = made.film(tmp_path / "a", made.smooth(), BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(film.pixels, made.smooth())


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_bits_stored_too_small_for_the_film(tmp_path, dtype):
    pixels = made.smooth(high=14000, dtype=dtype)
    np.testing.assert_array_equal(made.film(tmp_path / "a", pixels, BitsStored=12).pixels, pixels)


def test_sign_that_was_not_extended(tmp_path):
    pixels = made.smooth(low=-2048, high=2047, dtype=np.int16)
    unextended = pixels & 0xFFF
    film = made.film(tmp_path / "a", unextended, BitsStored=12)
    np.testing.assert_array_equal(film.pixels, pixels)
    np.testing.assert_array_equal(film.pixels, pydicom.dcmread(tmp_path / "a").pixel_array)


def test_jpeg_2000_of_another_sign_than_the_header(tmp_path, monkeypatch):
    signed = made.smooth(low=-2048, high=2047, dtype=np.int16)
    unsigned = made.patterns(signed, 12)
    for pixels, stream in ((signed, unsigned), (unsigned, signed)):
        path = made.write(tmp_path / "a", pixels, uid.JPEG2000Lossless, frame=made.j2k(stream, 12), BitsStored=12)
        for decoder in ("GDCM", "OpenJPEG"):
            only(monkeypatch, uid.JPEG2000Lossless, decoder)
            np.testing.assert_array_equal(read_film(path).pixels, pixels, err_msg=decoder)


@pytest.mark.parametrize("decoder", ["libjpeg-turbo", "GDCM"])
def test_stream_with_other_bits_than_the_header(tmp_path, monkeypatch, decoder):
    pixels = made.smooth()
    for allocated, stored in ((8, 8), (16, 16), (32, 12), (8, 7)):
        values = {"BitsAllocated": allocated, "BitsStored": stored}
        path = made.write(tmp_path / "a", pixels, uid.JPEGLosslessSV1, frame=made.jpeg(pixels, 12), **values)
        only(monkeypatch, uid.JPEGLosslessSV1, decoder)
        np.testing.assert_array_equal(read_film(path).pixels, pixels)


def test_32_bits_allocated(tmp_path):
    for low, high, dtype, expected in ((0, 65535, np.uint32, np.uint16), (-5, 3000, np.int32, np.int16)):
        pixels = made.smooth(low=low, high=high, dtype=dtype)
        film = made.film(tmp_path / "a", pixels)
        assert film.pixels.dtype == expected
        np.testing.assert_array_equal(film.pixels, pixels)
    assert "16 bits" in refused(made.write(tmp_path / "a", made.smooth(high=70000, dtype=np.uint32)))


def test_steps_between_neighbours_are_summed_by_blocks():
    for pixels in (made.noisy(3000, 1000), made.noisy(3, 400_000, dtype=np.int16), made.noisy(5, 1)):
        assert decoders._roughness(pixels) == np.abs(np.diff(pixels.astype(np.int64), axis=1)).sum()
    tracemalloc.start()
    decoders._roughness(made.noisy(3000, 1000))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 60_000_000


# --- what is refused


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Rows": None}, "Rows is missing"),
        ({"Columns": None}, "Columns is missing"),
        ({"Rows": 0}, "Rows x Columns is 0 x 64"),
        ({"Rows": 60000, "Columns": 60000}, "60000 x 60000"),
        ({"Rows": 9000, "Columns": 9000}, "cut short"),
        ({"NumberOfFrames": 2**31}, "2147483648 frames"),
        ({"BitsAllocated": None}, "BitsAllocated is missing"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "BitsAllocated is 1"),
        ({"BitsAllocated": 12}, "BitsAllocated is 12"),
        ({"BitsAllocated": 8, "BitsStored": 8}, "one frame of the header's size"),
        ({"BitsStored": 0}, "BitsStored is 0"),
        ({"BitsStored": 17}, "BitsStored is 17"),
        ({"PixelRepresentation": 2}, "PixelRepresentation is 2"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "not a grey film: RGB"),
        ({"SamplesPerPixel": 3}, "not a grey film"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not a grey film: PALETTE COLOR"),
        ({"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3}, "not a grey film: YBR_FULL_422"),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation is missing"),
    ],
)
def test_refused_headers(tmp_path, values, reason):
    assert reason in refused(made.write(tmp_path / "a", made.smooth(), **values))


@pytest.mark.parametrize("value", [b"1A", b"12.5 ", b"10\\20 "])
def test_rows_that_are_no_whole_number(tmp_path, value):
    content = made.write(tmp_path / "a", made.smooth()).read_bytes()
    stated = b"\x28\x00\x10\x00US\x02\x00" + (48).to_bytes(2, "little")
    assert content.count(stated) == 1
    wrong = b"\x28\x00\x10\x00IS" + (len(value) + len(value) % 2).to_bytes(2, "little") + value.ljust(len(value) + len(value) % 2)
    (tmp_path / "a").write_bytes(content.replace(stated, wrong))
    assert "Rows is no whole number" in refused(tmp_path / "a")


@pytest.mark.parametrize(("rows", "columns"), [(1, 70_000), (70_000, 1), (2**31, 1), (-48, -64)])
def test_sides_that_no_film_can_state(tmp_path, rows, columns):
    header = made.dataset(made.smooth())
    header.add_new("Rows", "SL" if rows < 2**31 else "UL", rows)
    header.add_new("Columns", "SL", columns)
    header.PixelData = bytes(140_000)
    header["PixelData"].VR = "OW"
    header.save_as(tmp_path / "a", enforce_file_format=True)
    assert f"Rows x Columns is {rows} x {columns}: no film has that" in refused(tmp_path / "a")


def test_refused_files(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"")
    assert refused(path) == "an empty file"
    for content in (b"some text\n" * 50, bytes(4096), b"\x08\x00", b"DICM", bytes(128) + b"DICM"):
        path.write_bytes(content)
        assert "not a DICOM file" in refused(path) or "no pixel data" in refused(path)
    assert refused(tmp_path) == "a folder, not a file"
    assert refused(tmp_path / "nowhere") == "the file cannot be read: No such file or directory"
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "not a regular file"
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "more than any film has" in refused(tmp_path / "sparse")


def test_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = made.write(tmp_path / "a", made.smooth())

    def denied(*arguments, **named):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", denied)
    assert refused(path) == "the file cannot be read: Permission denied"
    with pytest.raises(DicomError, match="Permission denied"):
        read_header(path)


def test_memory_error_is_a_reason_too(tmp_path, monkeypatch):
    path = made.write(tmp_path / "a", made.smooth())

    def hungry(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(decoders, "get_decoder", hungry)
    assert "MemoryError" in refused(path)


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_floats_are_refused(tmp_path, keyword):
    floats = made.dataset(made.smooth())
    setattr(floats, keyword, np.zeros(48 * 64, "f4" if keyword[0] == "F" else "f8").tobytes())
    floats.save_as(tmp_path / "a", enforce_file_format=True)
    assert "floating point" in refused(tmp_path / "a")


def test_objects_without_an_image_are_refused_by_their_name(tmp_path):
    report = made.dataset(made.smooth())
    report.SOPClassUID = uid.BasicTextSRStorage
    report.save_as(tmp_path / "a", enforce_file_format=True)
    assert refused(tmp_path / "a") == "no pixel data: not an image, or cut short (Basic Text SR Storage)"
    assert text(read_header(tmp_path / "a"), "Modality") == "CR"


def test_padding_after_the_pixels_is_accepted_and_a_missing_end_is_not(tmp_path):
    pixels = made.smooth()
    data = pixels.tobytes()
    np.testing.assert_array_equal(read_film(made.write(tmp_path / "a", pixels, data=data + bytes(500))).pixels, pixels)
    assert "cut short: 6142 of 6144" in refused(made.write(tmp_path / "a", pixels, data=data[:-2]))
    assert "the pixel data are empty" in refused(made.write(tmp_path / "a", pixels, data=b""))
    # A second frame is no padding.
    assert "12288 bytes" in refused(made.write(tmp_path / "a", pixels, data=data * 2))


@pytest.mark.parametrize(
    "syntax", [*NATIVE[:3], uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless], ids=lambda s: s.name
)
def test_file_cut_short_anywhere(tmp_path, syntax):
    pixels = made.noisy()
    encode = {uid.RLELossless: made.rle, uid.JPEG2000Lossless: made.j2k}
    if syntax in (uid.JPEGLosslessSV1, uid.JPEGLSLossless):
        frame = (made.jpeg if syntax == uid.JPEGLosslessSV1 else made.jpegls)(pixels, 16)
    else:
        frame = encode[syntax](pixels) if syntax in encode else None
    content = made.write(tmp_path / "a", pixels, syntax, frame=frame).read_bytes()
    path = tmp_path / "b"
    for share in np.linspace(0.02, 0.98, 25):
        path.write_bytes(content[: int(share * len(content))])
        refused(path)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uid.JPEGBaseline8Bit, lambda p: made.jpeg((p >> 4).astype(np.uint8), 8, lossless=False)),
        (uid.JPEGLosslessSV1, lambda p: made.jpeg(p, 12)),
        (uid.JPEGLSLossless, lambda p: made.jpegls(p, 12)),
        (uid.JPEG2000Lossless, lambda p: made.j2k(p, 12)),
        (uid.HTJ2KLossless, made.htj2k),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_stream_cut_short_in_a_whole_file(tmp_path, syntax, encode):
    # libjpeg would fill what is missing with grey and say nothing.
    pixels = made.smooth(100, 100)
    frame = encode(pixels)
    for end in (len(frame) // 2, len(frame) - 2):
        assert "cut short" in refused(made.write(tmp_path / "a", pixels, syntax, frame=frame[:end], BitsStored=12))


def test_rle_cut_short_in_a_whole_file(tmp_path):
    pixels = made.noisy()
    frame = made.rle(pixels)
    assert "RLE" in refused(made.write(tmp_path / "a", pixels, uid.RLELossless, frame=frame[: len(frame) // 2]))


def test_rle_that_expands_without_end(tmp_path, monkeypatch):
    # Two bytes stand for 128: 20 MB of them for 1.3 GB.
    pixels = made.smooth(high=255, dtype=np.uint8)
    long = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x07" * 10_000_000
    decoded = []
    monkeypatch.setitem(decoders._DECODE, "pydicom", lambda *arguments: decoded.append(1))
    reason = "an RLE segment is far longer than the film's 48 x 64 pixels"
    assert refused(made.write(tmp_path / "a", pixels, uid.RLELossless, frame=long)) == reason
    # Bytes that do nothing only take time.
    idle = long[:64] + b"\x80" * 20_000
    assert refused(made.write(tmp_path / "a", pixels, uid.RLELossless, frame=idle)) == reason
    # Not longer than a film may have it, but each run is one of 128: it is measured.
    monkeypatch.setattr(decoders, "_RLE_UNMEASURED", 0)
    assert refused(made.write(tmp_path / "a", pixels, uid.RLELossless, frame=long[: 64 + 4000])) == reason
    assert decoded == []


def test_rle_that_is_measured_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(decoders, "_RLE_UNMEASURED", 0)
    for pixels in (made.noisy(), made.smooth(), np.zeros((48, 64), np.uint16)):
        frame = made.rle(pixels)
        assert decoders._expands_beyond(frame[64:], 6143)
        assert not decoders._expands_beyond(frame[64:], 6146)
        np.testing.assert_array_equal(read_film(made.write(tmp_path / "a", pixels, uid.RLELossless, frame=frame)).pixels, pixels)


@pytest.mark.parametrize("n_segments", [0, 1, 3, 16, 2**32 - 1])
def test_rle_of_another_number_of_segments(tmp_path, n_segments):
    frame = struct.pack("<L", n_segments) + made.rle(made.noisy())[4:]
    assert "RLE Lossless pixel data cannot be decoded" in refused(made.write(tmp_path / "a", made.noisy(), uid.RLELossless, frame=frame))


def test_stream_of_another_film(tmp_path):
    pixels = made.smooth()
    for syntax, frame in ((uid.JPEGLosslessSV1, made.jpeg(pixels, 12)), (uid.JPEG2000Lossless, made.j2k(pixels, 12))):
        reason = refused(made.write(tmp_path / "a", pixels, syntax, frame=frame, BitsStored=12, Rows=47))
        assert "48 x 64 pixels, the header says 47 x 64" in reason
    colour = made.imagecodecs.jpeg8_encode(np.zeros((48, 64, 3), np.uint8))
    assert "3 samples" in refused(made.write(tmp_path / "a", pixels, uid.JPEGBaseline8Bit, frame=colour))
    assert "no JPEG" in refused(made.write(tmp_path / "a", pixels, uid.JPEGBaseline8Bit, frame=b"no stream at all"))


def test_stream_of_absurd_size_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    frame = bytearray(made.jpeg(made.smooth(), 12))
    at = frame.index(b"\xff\xc3") + 5
    frame[at : at + 4] = b"\xff\xff\xff\xff"
    monkeypatch.setitem(decoders._DECODE, "libjpeg-turbo", None)
    path = made.write(tmp_path / "a", made.smooth(), uid.JPEGLosslessSV1, frame=bytes(frame), BitsStored=12)
    assert "65535 x 65535" in refused(path)


def test_several_frames_behind_one(tmp_path):
    frame = made.j2k(made.smooth(), 12)
    data = made.encapsulate([frame, frame])
    path = made.write(tmp_path / "a", made.smooth(), uid.JPEG2000Lossless, data=data, frame=None, BitsStored=12)
    content = pydicom.dcmread(path)
    content["PixelData"].is_undefined_length = True
    content["PixelData"].VR = "OB"
    content.save_as(path)
    assert refused(path) == "2 frames, a film has one"
    # An offset table that promises more than there is costs nothing.
    path.write_bytes(path.read_bytes().replace(b"\xfe\xff\x00\xe0\x08\x00\x00\x00", b"\xfe\xff\x00\xe0\xf8\xff\xff\xff", 1))
    with pytest.raises(DicomError, match=r"1073741822 frames|cut short"):
        read_film(path)


def test_encapsulation_that_contradicts_the_transfer_syntax(tmp_path):
    pixels = made.smooth()
    path = made.write(tmp_path / "a", pixels, uid.JPEGLosslessSV1, frame=made.jpeg(pixels, 12), BitsStored=12)
    reason = refused(with_syntax(path, uid.JPEGLosslessSV1, uid.ExplicitVRLittleEndian))
    assert reason == "the pixel data are encapsulated, but the transfer syntax is Explicit VR Little Endian"
    path = with_syntax(made.write(tmp_path / "a", pixels), uid.ExplicitVRLittleEndian, uid.RLELossless)
    assert refused(path) == "the pixel data are not encapsulated, but the transfer syntax is RLE Lossless"


def with_syntax(path, old, new):
    """The same file with another transfer syntax, no longer than the old one, in its file meta information."""
    content = path.read_bytes()
    old, new = (value.encode() + b"\0" * (len(value) % 2) for value in (old, new))
    assert content.count(old) == 1
    assert len(new) <= len(old)
    path.write_bytes(content.replace(old, new.ljust(len(old), b"\0")))
    return path


def test_unknown_transfer_syntax(tmp_path):
    path = with_syntax(made.write(tmp_path / "a", made.smooth()), uid.ExplicitVRLittleEndian, "1.2.3.4")
    assert refused(path) == "no decoder for transfer syntax 1.2.3.4: none is known"


def test_each_decoder_is_named_with_its_failure(tmp_path, monkeypatch):
    frame = bytearray(made.jpegls(made.noisy(), 16))
    frame[60:90] = b"\xff" * 30
    path = made.write(tmp_path / "a", made.noisy(), uid.JPEGLSLossless, frame=bytes(frame))
    reason = refused(path)
    assert "GDCM: RuntimeError" in reason
    assert "CharLS: JpeglsError" in reason
    monkeypatch.setattr(decoders, "gdcm", None)
    monkeypatch.setattr(decoders, "imagecodecs", None)
    assert "GDCM or CharLS would do but is not installed" in refused(path)


def test_the_next_decoder_reads_what_the_first_cannot(tmp_path, monkeypatch):
    pixels = made.smooth()
    path = made.write(tmp_path / "a", pixels, uid.JPEGLSLossless, frame=made.jpegls(pixels, 12), BitsStored=12)
    for answer in (lambda *arguments: 1 / 0, lambda *arguments: pixels[1:], lambda *arguments: pixels.astype(float)):
        monkeypatch.setitem(decoders._DECODE, "GDCM", answer)
        np.testing.assert_array_equal(read_film(path).pixels, pixels)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_raise_nothing_but_dicom_errors(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    content = bytearray(
        made.write(folder / "a", made.smooth(8, 8), RescaleSlope="1", WindowCenter="5", WindowWidth="9", PixelPaddingValue=3).read_bytes()
    )
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "b").write_bytes(content)
    try:
        film = read_film(folder / "b")
    except DicomError:
        refused(folder / "b")
    else:
        assert film.pixels.ndim == 2
        images.render(film, PixelRecipe(size=16))
        for tag in list(film.header._dict):
            text(film.header, pydicom.datadict.keyword_for_tag(tag))


def test_pydicom_warnings_do_not_reach_the_operator(tmp_path, capfd, recwarn):
    path = made.write(tmp_path / "a", made.smooth(), data=made.smooth().tobytes() + bytes(100))
    assert pydicom.dcmread(path).pixel_array.shape == (48, 64)
    assert len(recwarn) > 0
    recwarn.clear()
    filters = list(warnings.filters)
    read_film(path)
    read_header(path)
    assert len(recwarn) == 0
    assert warnings.filters == filters
    assert capfd.readouterr() == ("", "")


# --- header values, preflight


def test_numbers_and_text():
    header = pydicom.Dataset()
    header.WindowCenter = [40, 400.5]
    header.WindowWidth = ""
    header.PatientID = " p 1 "
    assert numbers(header, "WindowCenter") == (40.0, 400.5)
    assert numbers(header, "WindowWidth") == numbers(header, "RescaleSlope") == ()
    assert text(header, "PatientID") == "p 1"
    assert text(header, "Modality") == ""


def test_nonsense_values_raise_nothing(tmp_path):
    content = made.write(tmp_path / "a", made.smooth(), RescaleSlope="1.5 ", WindowWidth="-1e4", AccessionNumber="abc ").read_bytes()
    content = content.replace(b"1.5 ", b"1,5 ").replace(b"-1e4", b"nan ")
    (tmp_path / "a").write_bytes(content)
    header = read_film(tmp_path / "a").header
    assert numbers(header, "RescaleSlope") == numbers(header, "WindowWidth") == numbers(header, "AccessionNumber") == ()


def test_text_is_one_line_that_can_be_written():
    header = pydicom.Dataset()
    header.PatientID = "p\n1\0x"
    assert text(header, "PatientID") == "p 1 x"
    # UTF-7 can encode half of a surrogate pair, which no file in UTF-8 can hold.
    header = pydicom.dcmread(BytesIO(bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\x06\x00utf-7 \x10\x00\x20\x00LO\x06\x00+2AA-a"))
    text(header, "PatientID").encode()


@pytest.mark.parametrize("vr", ["UC", "UT", "DS", "UN", "OB"])
def test_absurdly_long_values_are_not_looked_at(vr, monkeypatch):
    header = pydicom.Dataset()
    header[0x00281050] = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(0x00281050), vr, 10**6, b"1\\" * 500_000, 0, False, True)
    converted = []
    monkeypatch.setattr(pydicom.dataset, "convert_raw_data_element", lambda *arguments, **named: converted.append(1))
    assert numbers(header, "WindowCenter") == ()
    assert text(header, "WindowCenter") == ""
    assert converted == []


def test_preflight(tmp_path):
    pixels = made.smooth()
    paths = [made.write(tmp_path / f"{number}", pixels) for number in range(3)]
    paths.append(made.write(tmp_path / "sv1", pixels, uid.JPEGLosslessSV1, frame=made.jpeg(pixels, 12)))
    paths.append(with_syntax(made.write(tmp_path / "odd", pixels), uid.ExplicitVRLittleEndian, "1.2.3.4"))
    (tmp_path / "text").write_text("text")
    found = preflight([*paths, tmp_path / "text"])
    rows = [(row.uid, row.count, row.decoders) for row in found.syntaxes]
    assert rows == [(uid.ExplicitVRLittleEndian, 3, ("pydicom",)), (uid.JPEGLosslessSV1, 1, ("libjpeg-turbo",)), ("1.2.3.4", 1, ())]
    assert found.syntaxes[0].name == "Explicit VR Little Endian"
    assert found.unreadable == ((str(tmp_path / "text"), "not a DICOM file"),)


def test_available_without_packages(monkeypatch):
    monkeypatch.setattr(decoders, "imagecodecs", None)
    assert decoders.available(uid.JPEG2000) == ("GDCM",)
    monkeypatch.setattr(decoders, "gdcm", None)
    assert decoders.available(uid.JPEG2000) == ()
    assert decoders.available(uid.RLELossless) == ("pydicom",)


# --- the real files

REFUSED = {
    "syntax/HTJ2KLossless_08_RGB.dcm": "not a grey film: RGB",
    "multiframe/emri_small.dcm": "10 frames",
    "multiframe/emri_small_RLE.dcm": "10 frames",
    "colour/SC_rgb_small_odd.dcm": "not a grey film: RGB",
    "colour/SC_rgb_rle.dcm": "not a grey film: RGB",
    "colour/SC_rgb_jpeg_gdcm.dcm": "not a grey film: RGB",
    "colour/US1_J2KR.dcm": "not a grey film: YBR_RCT",
    "colour/OBXXXX1A_rle.dcm": "not a grey film: PALETTE COLOR",
    "damaged/no_meta.dcm": "not a DICOM file",
    "damaged/MR_truncated.dcm": "the pixel data are cut short: 8130 of 8192 bytes",
    "damaged/rtplan.dcm": "no pixel data: not an image, or cut short (RT Plan Storage)",
    "damaged/rtplan_truncated.dcm": "no pixel data: not an image, or cut short (RT Plan Storage)",
    "damaged/test-SR.dcm": "no pixel data: not an image, or cut short (Comprehensive SR Storage)",
    "damaged/meta_missing_tsyntax.dcm": "PhotometricInterpretation is missing",
    "damaged/emri_small_jpeg_2k_lossless_too_short.dcm": "the pixel data are cut short",
    "damaged/badVR.dcm": "NumberOfFrames is no whole number: 1A",
}
LOSSY = {uid.JPEGBaseline8Bit, uid.JPEG2000}


def independent(path):
    """The film by another decoder than the one that is tried first; None where this machine has none."""
    header = pydicom.dcmread(path)
    syntax = header.file_meta.TransferSyntaxUID
    if syntax in (uid.JPEG2000, uid.JPEG2000Lossless):
        return get_decoder(syntax).as_array(header, decoding_plugin="pylibjpeg")[0]
    if syntax in uid.JPEGLSTransferSyntaxes and header.BitsStored < 8:
        return None  # GDCM reads none of these
    return header.pixel_array


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_real_files(real_data):
    folder = real_data / "dicom"
    with open(folder / "index.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 59
    read = []
    for row in rows:
        name, path = row["file"], folder / row["file"]
        if name in REFUSED:
            assert REFUSED[name] in refused(path), name
            continue
        film = read_film(path)
        values = film.pixels.astype(np.int64)
        lossy = film.transfer_syntax in LOSSY
        assert values.shape == (int(row["rows"]), int(row["columns"])), name
        assert values.min() == pytest.approx(int(row["pixel_min"]), abs=2 if lossy else 0), name
        assert values.max() == pytest.approx(int(row["pixel_max"]), abs=2 if lossy else 0), name
        assert values.mean() == pytest.approx(float(row["pixel_mean"]), abs=0.1 if lossy else 0.0006), name
        assert (film.transfer_syntax, film.photometric) == (row["transfer_syntax_uid"], row["photometric"]), name
        assert film.size_bytes == int(row["bytes"]), name
        other = independent(path)
        if other is not None:
            assert np.abs(values - other).max() <= (3 if lossy else 0), name
        read.append(name)
    assert len(read) == 59 - len(REFUSED)


@pytest.mark.real
def test_real_preflight(real_data):
    paths = sorted(path for path in Path(real_data / "dicom").rglob("*") if path.is_file() and path.suffix != ".csv")
    found = preflight(paths)
    assert [Path(path).name for path, _ in found.unreadable] == ["no_meta.dcm"]
    assert sum(row.count for row in found.syntaxes) == 58
    assert all(row.decoders for row in found.syntaxes)
