import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.tag import Tag

from siim_kernel.pixels import grey
from siim_kernel.pixels.dicom import Film, read_film
from tests.pixels import made

ENDS = (0, 100)  # percentiles: the content's own ends


def greys(pixels, percentiles=ENDS, photometric="MONOCHROME2", **values):
    """Greys of a film that never was in a file."""
    header = made.dataset(pixels, PhotometricInterpretation=photometric, **values)
    header.set_original_encoding(False, True, None)
    return grey.greys(Film(pixels, header, "", photometric, 0, 0), percentiles)


def expected(values, black, white):
    """Greys of values by the plain formula."""
    black, white = float(black), float(white)
    return np.rint(np.clip((np.asarray(values, float) - black) / (white - black), 0, 1) * 65535)


def row(*values, dtype=np.uint16):
    return np.array([values], dtype)


# --- content


def test_content_without_a_window():
    np.testing.assert_array_equal(greys(row(100, 200, 300, 500)), [[0, 16384, 32768, 65535]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_all_stored_types(dtype):
    ends = np.iinfo(dtype)
    pixels = np.linspace(ends.min, ends.max, 60).astype(dtype).reshape(6, 10)
    np.testing.assert_array_equal(greys(pixels), expected(pixels, pixels.min(), pixels.max()))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("percentiles", [(0.5, 99.5), (0, 100), (2, 98), (33.3, 66.7)])
def test_percentiles_are_those_of_numpy(dtype, percentiles):
    pixels = made.noisy(40, 50, 3, 120, dtype)
    black, white = np.percentile(pixels, percentiles)
    assert np.abs(greys(pixels, percentiles) - expected(pixels, black, white)).max() <= 1


def test_scale_does_not_depend_on_the_bits():
    pixels = made.smooth(high=255)
    np.testing.assert_array_equal(greys(pixels, BitsStored=16), greys(pixels, BitsStored=8))
    np.testing.assert_array_equal(greys(pixels), greys(pixels * 16))


def test_constant_films_are_black():
    for value in (0, 7, 65535):
        for photometric in ("MONOCHROME1", "MONOCHROME2"):
            assert greys(row(value, value), photometric=photometric).max() == 0
            assert greys(row(value, value), photometric=photometric, WindowCenter=value, WindowWidth=2).max() == 0


def test_nearly_constant_film_falls_back_on_its_ends():
    pixels = np.full((50, 50), 9, np.uint16)
    pixels[0, 0] = 20
    found = greys(pixels, (0.5, 99.5))
    assert (found[0, 0], found[1, 1]) == (65535, 0)


def test_monochrome1_is_inverted():
    pixels = made.smooth()
    np.testing.assert_array_equal(greys(pixels, photometric="MONOCHROME1"), 65535 - greys(pixels))


def test_more_equal_pixels_than_float32_counts(monkeypatch):
    # Blocks are counted apart; the sum is that of the film.
    monkeypatch.setattr(grey, "_MAX_COUNTED", 100)
    pixels = made.noisy(40, 30, 0, 50)
    np.testing.assert_array_equal(grey._counts(pixels), np.bincount(pixels.ravel(), minlength=65536))


def test_older_opencv_has_no_16_bit_tables(monkeypatch):
    pixels = made.smooth(low=-300, high=900, dtype=np.int16)
    with_lut = greys(pixels)

    def refuse(*arguments):
        raise cv2.error("16 bits")

    monkeypatch.setattr(cv2, "LUT", refuse)
    np.testing.assert_array_equal(greys(pixels), with_lut)


def test_display_is_the_film_in_8_bits():
    pixels = made.smooth()
    header = made.dataset(pixels)
    shown = grey.display(Film(pixels, header, "", "MONOCHROME2", 0, 0), ENDS)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, np.rint(pixels / 4095 * 255))


# --- modality


def test_rescale():
    pixels = row(0, 100, 200, 400)
    np.testing.assert_array_equal(greys(pixels, RescaleSlope=2, RescaleIntercept=-1000), greys(pixels))
    header = made.dataset(pixels, RescaleSlope="2.5", RescaleIntercept="-1000")
    np.testing.assert_array_equal(grey.modality(pixels, header), apply_modality_lut(pixels, header))


def test_negative_slope_inverts():
    pixels = made.smooth()
    np.testing.assert_array_equal(greys(pixels, RescaleSlope=-1, RescaleIntercept=4095), greys(4095 - pixels))
    both = greys(pixels, photometric="MONOCHROME1", RescaleSlope=-1, RescaleIntercept=0)
    np.testing.assert_array_equal(both, 65535 - greys(4095 - pixels))


@pytest.mark.parametrize("values", [{"RescaleSlope": 0}, {"RescaleSlope": "1e300"}, {"RescaleSlope": "1", "RescaleIntercept": "-1e300"}])
def test_rescale_that_would_lose_the_film_is_ignored(values):
    pixels = made.smooth()
    np.testing.assert_array_equal(greys(pixels, **values), greys(pixels))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_modality_lut_is_that_of_pydicom(dtype):
    pixels = made.smooth(low=0 if dtype == np.uint16 else -100, high=300, dtype=dtype)
    entries = np.random.default_rng(0).permutation(256) * 200
    header = made.dataset(pixels, ModalityLUTSequence=[made.lut(256, 20 if dtype == np.uint16 else -30, 16, entries)])
    header.set_original_encoding(False, True, None)
    reference = apply_modality_lut(pixels, header)
    np.testing.assert_array_equal(grey.modality(pixels, header), reference)
    np.testing.assert_array_equal(
        greys(pixels, ModalityLUTSequence=header.ModalityLUTSequence), expected(reference, reference.min(), reference.max())
    )


# --- VOI


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [(None, None), (2, -1000)])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_windows_are_those_of_pydicom(function, rescale, photometric):
    pixels = made.smooth()
    header = made.dataset(pixels, WindowCenter=1500, WindowWidth=1801, BitsStored=12)
    if function:
        header.VOILUTFunction = function
    if rescale[0]:
        header.RescaleSlope, header.RescaleIntercept = rescale
    reference = apply_voi_lut(apply_modality_lut(pixels, header), header)
    scaled = expected(reference, reference.min(), reference.max())
    film = Film(pixels, header, "", photometric, 0, 0)
    assert np.abs(grey.greys(film, ENDS) - (scaled if photometric == "MONOCHROME2" else 65535 - scaled)).max() <= 1


def test_window_with_a_negative_slope():
    # Not by pydicom, which turns the film round a second time: low values stay dark (C.11.2.1.2.1).
    pixels = made.smooth()
    found = greys(pixels, RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=1500, WindowWidth=1801)
    np.testing.assert_array_equal(found, expected(4095.0 - pixels, 599.5, 2399.5))


def test_linear_windows_exactly():
    # PS3.3 C.11.2.1.2.1: width 5 at 102 is black up to 99.5, white from 103.5 on; LINEAR_EXACT reaches from 99.5 to 104.5.
    pixels = row(90, 99, 100, 101, 103, 104, 105, 120)
    np.testing.assert_array_equal(greys(pixels, WindowCenter=102, WindowWidth=5), expected(pixels, 99.5, 103.5))
    exact = greys(pixels, WindowCenter=102, WindowWidth=5, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_array_equal(exact, expected(pixels, 99.5, 104.5))


def test_window_narrows_the_content_and_does_not_widen_it():
    pixels = row(100, 200, 300, 400, 500)
    np.testing.assert_array_equal(greys(pixels, WindowCenter=32768, WindowWidth=65536), greys(pixels))
    np.testing.assert_array_equal(greys(pixels, WindowCenter=200, WindowWidth=600, VOILUTFunction="LINEAR_EXACT"), greys(pixels))
    narrowed = greys(pixels, WindowCenter=300, WindowWidth=300, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_array_equal(narrowed, expected(pixels, 150, 450))
    half = greys(pixels, WindowCenter=150, WindowWidth=500, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_array_equal(half, expected(pixels, 100, 400))


def test_the_first_of_several_windows():
    pixels = made.smooth()
    several = greys(pixels, WindowCenter=[2000, 50], WindowWidth=[1000, 10])
    np.testing.assert_array_equal(several, greys(pixels, WindowCenter=2000, WindowWidth=1000))


@pytest.mark.parametrize(
    "values",
    [
        {"WindowCenter": 2000},
        {"WindowWidth": 2000},
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 2000, "WindowWidth": 0.5},
        {"WindowCenter": 2000, "WindowWidth": -500},
        {"WindowCenter": 2000, "WindowWidth": 0, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 2000, "WindowWidth": -1, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 2000, "WindowWidth": 500, "VOILUTFunction": "CUBIC"},
        {"WindowCenter": 9000, "WindowWidth": 500},
        {"WindowCenter": -9000, "WindowWidth": 500},
        {"WindowCenter": 9000, "WindowWidth": 500, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 2047.5, "WindowWidth": 1},
        {"WindowCenter": "1e300", "WindowWidth": "1e300"},
    ],
)
def test_windows_that_are_ignored(values):
    pixels = made.smooth()
    np.testing.assert_array_equal(greys(pixels, **values), greys(pixels))


def test_sigmoid_does_not_overflow(recwarn):
    pixels = row(0, 1000, 1001, 1002, 60000)
    found = greys(pixels, WindowCenter=1001, WindowWidth=0.001, VOILUTFunction="SIGMOID")
    np.testing.assert_array_equal(found, [[0, 0, 32768, 65535, 65535]])
    assert len(recwarn) == 0


@pytest.mark.parametrize("bits", [10, 16])
@pytest.mark.parametrize("first", [0, 500])
def test_voi_lut_is_that_of_pydicom_and_precedes_the_window(bits, first):
    pixels = made.smooth()
    entries = (np.sin(np.arange(2000) / 500) + 1) / 2 * (2**bits - 1)
    header = made.dataset(pixels, VOILUTSequence=[made.lut(2000, first, bits, entries)], WindowCenter=700, WindowWidth=500)
    header.set_original_encoding(False, True, None)
    reference = apply_voi_lut(pixels, header)
    found = grey.greys(Film(pixels, header, "", "MONOCHROME2", 0, 0), ENDS)
    np.testing.assert_array_equal(found, expected(reference, reference.min(), reference.max()))


def test_voi_lut_of_8_bits_a_word_or_two_a_word():
    pixels = row(0, 1, 2, 3, 4, 5)
    apart = made.lut(4, 1, 8, [10, 50, 30, 90])
    packed = made.lut(4, 1, 8, [10 + 256 * 50, 30 + 256 * 90])
    for item in (apart, packed):
        np.testing.assert_array_equal(greys(pixels, VOILUTSequence=[item]), expected([[10, 10, 50, 30, 90, 90]], 10, 90))


def test_voi_lut_as_numbers_and_of_65536_entries():
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [3, 1, 16])
    item.add_new("LUTData", "US", [5, 7, 3])
    np.testing.assert_array_equal(greys(row(1, 2, 3), VOILUTSequence=[item]), expected([[5, 7, 3]], 3, 7))
    pixels = made.noisy(high=65535)
    inverse = made.lut(65536, 0, 16, np.arange(65535, -1, -1))
    np.testing.assert_array_equal(greys(pixels, VOILUTSequence=[inverse]), greys(65535 - pixels))


def test_voi_lut_of_a_signed_film_whose_first_value_was_written_without_sign():
    pixels = row(-3, -2, -1, 0, dtype=np.int16)
    item = made.lut(4, 65536 - 3, 16, [40, 20, 30, 10])
    np.testing.assert_array_equal(greys(pixels, VOILUTSequence=[item]), expected([[40, 20, 30, 10]], 10, 40))


def test_broken_luts_are_ignored():
    pixels = made.smooth()
    short, without_data, flat = made.lut(300, 0, 16, range(20)), made.lut(2, 0, 16, [1, 2]), made.lut(3, 0, 16, [9, 9, 9])
    del without_data.LUTData
    nonsense = made.lut(2, 0, 16, [1, 2])
    nonsense.LUTDescriptor = [2, 0]
    for item in (short, without_data, flat, nonsense):
        windowed = {"WindowCenter": 1500, "WindowWidth": 900}
        np.testing.assert_array_equal(greys(pixels, VOILUTSequence=[item], **windowed), greys(pixels, **windowed))
    for item in (short, without_data, nonsense):
        np.testing.assert_array_equal(greys(pixels, ModalityLUTSequence=[item]), greys(pixels))


def test_luts_of_absurd_sizes():
    pixels = made.smooth()
    for descriptor in ([0, 65535, 65535], [65535, 0, 0], [1, 4095, 1], [3, 2, 16, 5], [], [2]):
        item = made.lut(1, 0, 16, range(4))
        item.add_new("LUTDescriptor", "US", descriptor)
        for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
            np.testing.assert_array_equal(greys(pixels, **{keyword: [item]}), greys(pixels), err_msg=f"{keyword} {descriptor}")
    for number in ("1e300", "-1e300", "nan", "1e-5"):
        item = made.lut(2, 0, 16, range(4))
        item.add_new("LUTDescriptor", "DS", ["3", number, number])
        assert greys(pixels, VOILUTSequence=[item]).shape == pixels.shape


def test_sequence_of_absurd_length_is_not_looked_at(monkeypatch):
    # As items of nothing it would be a million objects.
    header = made.dataset(made.smooth())
    raw = b"\xfe\xff\x00\xe0\0\0\0\0" * 2**18
    header[0x00283010] = RawDataElement(Tag(0x00283010), "SQ", len(raw), raw, 0, False, True)
    header.set_original_encoding(False, True, None)
    converted = []
    monkeypatch.setattr(pydicom.dataset, "convert_raw_data_element", lambda *arguments, **named: converted.append(1))
    film = Film(made.smooth(), header, "", "MONOCHROME2", 0, 0)
    np.testing.assert_array_equal(grey.greys(film, ENDS), greys(made.smooth()))
    assert converted == []


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", "nonsense"])
@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "1e308", "-1e308", "1e-308", "0", "-1", "9" * 400])
def test_numbers_that_no_window_or_scale_has(number, function):
    pixels = made.smooth()
    windowed = {"WindowCenter": 2000, "WindowWidth": 1500, "RescaleSlope": 2, "RescaleIntercept": 5, "VOILUTFunction": function}
    for keyword in windowed:
        if keyword == "VOILUTFunction":
            continue
        header = made.dataset(pixels, **windowed)
        header.add_new(keyword, "LO", number)
        header.set_original_encoding(False, True, None)
        with np.errstate(all="raise", under="ignore"):
            found = grey.greys(Film(pixels, header, "", "MONOCHROME2", 0, 0), (0.5, 99.5))
        assert len(np.unique(found)) > 100, keyword


def test_luts_of_a_big_endian_file(tmp_path):
    pixels = made.smooth()
    entries = np.random.default_rng(0).permutation(4096)
    item = made.lut(4096, 0, 16, entries)
    item["LUTData"].value = entries.astype(">u2").tobytes()
    path = made.write(tmp_path / "a", pixels, made.uid.ExplicitVRBigEndian, VOILUTSequence=[item])
    shades = entries[pixels]
    np.testing.assert_array_equal(grey.greys(read_film(path), ENDS), expected(shades, shades.min(), shades.max()))


# --- padding


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_padding_is_black_and_no_content(photometric):
    pixels = row(65535, 100, 200, 300, 65535)
    found = greys(pixels, photometric=photometric, PixelPaddingValue=65535)
    middle = [0, 32768, 65535] if photometric == "MONOCHROME2" else [65535, 32767, 0]
    np.testing.assert_array_equal(found, [[0, *middle, 0]])


@pytest.mark.parametrize("ends", [(10, 20), (20, 10)])
def test_padding_range(ends):
    pixels = row(9, 10, 15, 20, 21, 33)
    found = greys(pixels, PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1])
    np.testing.assert_array_equal(found, [[0, 0, 0, 0, 32768, 65535]])


def test_padding_whose_sign_was_written_wrongly():
    pixels = row(-2000, 0, 10, 20, dtype=np.int16)
    header = made.dataset(pixels)
    header.add_new("PixelPaddingValue", "US", 63536)
    film = Film(pixels, header, "", "MONOCHROME2", 0, 0)
    np.testing.assert_array_equal(grey.greys(film, ENDS), [[0, 0, 32768, 65535]])
    np.testing.assert_array_equal(grey.padding(film), [[True, False, False, False]])
    unsigned = row(63536, 0, 10, 20)
    header = made.dataset(unsigned)
    header.add_new("PixelPaddingValue", "SS", -2000)
    np.testing.assert_array_equal(grey.padding(Film(unsigned, header, "", "MONOCHROME2", 0, 0)), [[True, False, False, False]])


def test_nothing_but_padding_is_black():
    assert greys(row(7, 7, 7), PixelPaddingValue=7, photometric="MONOCHROME1").max() == 0
    assert grey.padding(Film(row(1), made.dataset(row(1)), "", "MONOCHROME2", 0, 0)) is None


def test_absurd_padding_value_is_none():
    pixels = made.smooth(high=200, dtype=np.uint8)
    header = made.dataset(pixels)
    header.add_new("PixelPaddingValue", "US", 65535)
    np.testing.assert_array_equal(grey.greys(Film(pixels, header, "", "MONOCHROME2", 0, 0), ENDS), greys(pixels))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_header_gives_greys_without_warnings(data):
    numbers = st.one_of(st.floats(-1e15, 1e15), st.integers(-70000, 70000).map(float), st.sampled_from([0.0, 1.0, -1.0]))
    dtype = data.draw(st.sampled_from([np.uint8, np.int8, np.uint16, np.int16]))
    kind = np.iinfo(dtype)
    low, high = sorted(data.draw(st.integers(kind.min, kind.max)) for _ in range(2))
    pixels = made.noisy(6, 5, low, high, dtype)
    values = {"VOILUTFunction": data.draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))}
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        if data.draw(st.booleans()):
            values[keyword] = f"{data.draw(numbers):.6g}"
    with np.errstate(all="raise", under="ignore"):
        found = greys(pixels, (0.5, 99.5), data.draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])), **values)
    assert found.dtype == np.uint16
    assert found.shape == pixels.shape
    # Equal values stay equal, and the order of values is kept or turned round as a whole.
    order = np.argsort(pixels, axis=None, kind="stable")
    steps = np.diff(found.ravel()[order].astype(int))
    assert (steps >= 0).all() or (steps <= 0).all()
    assert (steps[np.diff(pixels.ravel()[order].astype(int)) == 0] == 0).all()


# --- real films


@pytest.mark.real
@pytest.mark.parametrize("name", ["lut/mlut_18.dcm", "lut/vlut_04.dcm"])
def test_real_luts_are_those_of_pydicom(real_data, name):
    film = read_film(real_data / "dicom" / name)
    reference = apply_voi_lut(apply_modality_lut(film.pixels, film.header), film.header)
    assert np.abs(grey.greys(film, ENDS) - expected(reference, reference.min(), reference.max())).max() <= 1


@pytest.mark.real
def test_real_film_and_its_inverse(real_data):
    folder = real_data / "dicom" / "chest"
    plain = read_film(folder / "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm")
    inverse = read_film(folder / "Fake_MONOHR1.dcm")
    np.testing.assert_array_equal(grey.greys(inverse, ENDS), 65535 - grey.greys(plain, ENDS))
