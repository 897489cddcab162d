"""How made films are stored: the spread of forms, and that a correct reader gets the greys back."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from siim_kernel.phantom import cohort
from siim_kernel.phantom.draws import stream
from siim_kernel.phantom.storage import storages, store
from siim_kernel.phantom.writing import write_dicom


@pytest.fixture(scope="module")
def forms():
    return storages(stream("test"), ["PA", "AP"] * 1000)


@pytest.fixture
def plan():
    return cohort.plan(8)[0]


def ramp():
    greys = np.linspace(0.02, 0.98, 60 * 50, dtype=np.float32).reshape(60, 50)
    padding = np.zeros(greys.shape, bool)
    padding[:, :5] = True
    greys[padding] = 0
    return greys, padding


def test_forms_have_the_real_spread(forms):
    count = len(forms)
    syntaxes = Counter(form.syntax for form in forms)
    assert 0.55 <= (syntaxes[ExplicitVRLittleEndian] + syntaxes[ImplicitVRLittleEndian]) / count <= 0.60
    assert 0.25 <= syntaxes[JPEGLosslessSV1] / count <= 0.30
    assert 0.06 <= syntaxes[JPEG2000Lossless] / count <= 0.09
    assert 0.04 <= syntaxes[RLELossless] / count <= 0.06
    assert sum(form.inverted for form in forms) / count == pytest.approx(0.27, abs=0.002)
    assert sum(form.series_number is None for form in forms) / count == pytest.approx(0.04, abs=0.002)
    sides = np.array([(form.rows, form.columns) for form in forms])
    assert sides.min() >= 846
    assert sides.max() <= 4891
    assert (sides[:, 0] > sides[:, 1]).mean() == pytest.approx(0.08, abs=0.03)
    assert np.median(sides[:, 1] / sides[:, 0]) == pytest.approx(1.21, abs=0.02)
    assert np.median(sides[:, 0]) == pytest.approx(2544, rel=0.05)
    assert {form.bits for form in forms} == {8, 10, 12, 14, 15, 16}
    assert {form.voi for form in forms} == {"none", "window", "windows", "sigmoid", "lut"}
    assert any(form.signed for form in forms)
    assert any(form.padding for form in forms)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("voi", ["none", "sigmoid", "lut"])
@pytest.mark.parametrize("inverted", [False, True])
def test_greys_a_little_beyond_the_scale_are_clipped(forms, voi, inverted):
    form = dataclasses.replace(forms[0], bits=12, low=100, high=4000, signed=False, voi=voi, inverted=inverted, padding=False)
    values = store(np.float32([[-1e-6, 1 + 1e-6]]), np.zeros((1, 2), bool), form)
    assert sorted(values[0]) == [100, 4000]
    assert (values[0, 0] > values[0, 1]) == inverted


def test_padding_lies_outside_the_greys(forms):
    for form in forms:
        assert 0 < form.low < form.high < 2**form.bits - 1
        assert form.padding_value in (-form.offset, 2**form.bits - 1 - form.offset)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLosslessSV1, JPEG2000Lossless, RLELossless])
def test_compression_loses_nothing(tmp_path, forms, plan, syntax, bits):
    form = dataclasses.replace(forms[0], bits=bits, low=8, high=2**bits - 9, signed=False, voi="none", syntax=syntax, padding=True)
    values = store(*ramp(), form)
    values[10:20] = stream(bits).integers(0, 2**bits, values[10:20].shape)
    write_dicom(tmp_path / "a.dcm", values, plan, form)
    np.testing.assert_array_equal(dcmread(tmp_path / "a.dcm").pixel_array, values)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rescale", [(None, None), (1.0, -1024.0), (0.5, 0.0)])
@pytest.mark.parametrize("voi", ["window", "windows", "sigmoid", "lut"])
def test_a_reader_gets_the_greys_back(tmp_path, forms, plan, voi, rescale, signed, inverted):
    if voi == "lut" and (signed or rescale != (None, None)):
        pytest.skip("LUTs are written for plain unsigned values alone")
    form = dataclasses.replace(
        forms[0], bits=12, low=100, high=4000, signed=signed, voi=voi, slope=rescale[0], intercept=rescale[1],
        inverted=inverted, padding=True, syntax=ExplicitVRLittleEndian,
    )  # fmt: skip
    greys, padding = ramp()
    write_dicom(tmp_path / "a.dcm", store(greys, padding, form), plan, form)
    dataset = dcmread(tmp_path / "a.dcm")
    stored = dataset.pixel_array
    assert (stored[padding] == dataset.PixelPaddingValue).all()
    shown = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(float)
    if voi == "lut":
        shown = shown / 65535
    else:  # pydicom maps windows to the output range of the modality LUT
        ends = sorted(float(v) * (form.slope or 1) + (form.intercept or 0) for v in ((-2048, 2047) if signed else (0, 4095)))
        shown = (shown - ends[0]) / (ends[1] - ends[0])
    shown = 1 - shown if inverted else shown
    np.testing.assert_allclose(shown[~padding], greys[~padding], atol=0.01)
    assert abs(shown[padding]).max() < 0.03


def test_files_carry_no_time_and_no_library_version(tmp_path, forms, plan):
    write_dicom(tmp_path / "a.dcm", store(*ramp(), forms[0]), plan, forms[0])
    dataset = dcmread(tmp_path / "a.dcm")
    assert not [element for element in dataset if element.VR in ("DA", "TM", "DT")]
    assert dataset.file_meta.ImplementationVersionName == "SIIM_KERNEL"
    assert b"PYDICOM" not in (tmp_path / "a.dcm").read_bytes()[:1000]
    assert dataset.PatientSex in ("F", "M")
