#!/usr/bin/env python3
"""From a DICOM to a small grey square: the common way, ours and the bare decoder, as ratios from one run.

    python benchmarks/reading.py [--repeats N] [--size S]

The films are made on the spot, with grain. The ways run in turn, N times each; shown are medians, and each divided by ours.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_voi_lut
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1

from siim_kernel.phantom.writing import compress
from siim_kernel.pixels.reading import read_squares
from siim_kernel.recipes.recipe import PixelRecipe

ROWS, COLUMNS = 3056, 2544


def write_film(path, bits, syntax):
    """A made film of `bits` bits, a smooth field with grain, as DICOM in a transfer syntax."""
    draw = np.random.default_rng(bits)
    field = cv2.resize(draw.random((24, 20)).astype(np.float32), (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC)
    values = (field * 2**bits + draw.normal(0, 2 ** (bits - 9), field.shape)).clip(0, 2**bits - 1).astype(np.uint16)
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.WindowCenter, dataset.WindowWidth = 2 ** (bits - 1), 2**bits
    dataset.set_pixel_data(values, "MONOCHROME1", bits)
    if syntax == JPEGLosslessSV1:
        storage = SimpleNamespace(bits=bits, signed=False, inverted=True, syntax=syntax)
        dataset.PixelData = encapsulate([compress(values, storage)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)


def common_way(path, size):
    """What most public notebooks do: pydicom, VOI LUT, whole-film min-max, MONOCHROME1, LANCZOS, PNG."""
    dataset = pydicom.dcmread(path)
    data = apply_voi_lut(dataset.pixel_array, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        data = np.amax(data) - data
    data = ((data - np.min(data)) / np.ptp(data) * 255).astype(np.uint8)
    Image.fromarray(data).resize((size, size), Image.Resampling.LANCZOS).save(path.with_suffix(".png"))


def ours(path, size):
    """The package's one way from a file to pixels, and a PNG at the end."""
    squares, _ = read_squares(path, [PixelRecipe(size=size)])
    cv2.imwrite(str(path.with_suffix(".png")), squares[0])


def bare_decoder(path, size):
    """The floor: bytes from the disk through the fastest decoder, nothing else; `size` is not used."""
    dataset = pydicom.dcmread(path)
    if dataset.file_meta.TransferSyntaxUID == JPEGLosslessSV1:
        return imagecodecs.jpeg8_decode(get_frame(dataset.PixelData, 0, number_of_frames=1))
    return np.frombuffer(dataset.PixelData, np.uint16)


def medians(path, size, repeats):
    """Median milliseconds of the three ways over `repeats` rounds, after a first round that warms caches."""
    rounds = []
    for _ in range(repeats + 1):
        marks = [time.perf_counter()]
        for way in (common_way, ours, bare_decoder):
            way(path, size)
            marks.append(time.perf_counter())
        rounds.append(1000 * np.diff(marks))
    return [statistics.median(times) for times in zip(*rounds[1:], strict=True)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="rounds; the median is shown [7]")
    parser.add_argument("--size", type=int, default=512, help="side of the square in pixels [512]")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{ROWS} x {COLUMNS} to {given.size} px, one thread, median of {given.repeats}: milliseconds (ratio to ours)")
    print("".join(f"{title:>24}" for title in ("film", "common way", "ours", "bare decoder")))
    for bits, syntax in ((bits, syntax) for syntax in (ExplicitVRLittleEndian, JPEGLosslessSV1) for bits in (12, 16)):
        with tempfile.TemporaryDirectory() as folder:
            write_film(Path(folder) / "film.dcm", bits, syntax)
            times = medians(Path(folder) / "film.dcm", given.size, given.repeats)
        name = "JPEG Lossless" if syntax == JPEGLosslessSV1 else "uncompressed"
        print("".join(f"{cell:>24}" for cell in (f"{name}, {bits} bits", *(f"{ms:.0f} ({ms / times[1]:.2f})" for ms in times))))
