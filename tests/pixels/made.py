"""Small DICOM files of every syntax and with every oddity, made for the tests of this room."""

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

from siim_kernel.pixels.dicom import read_film


def smooth(rows=48, columns=64, low=0, high=4095, dtype=np.uint16):
    """A smooth film that reaches from low to high."""
    y, x = np.mgrid[0:rows, 0:columns]
    wave = (np.sin(x / 20) * np.cos(y / 15) + 1) / 2
    wave = (wave - wave.min()) / (wave.max() - wave.min())
    return np.rint(low + wave * (high - low)).astype(dtype)


def noisy(rows=48, columns=64, low=0, high=4095, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(low, high, (rows, columns), endpoint=True).astype(dtype)


def dataset(pixels, syntax=uid.ExplicitVRLittleEndian, **values):
    """A data set of a chest film without pixel data; `values` are header values, None leaves one out."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = uid.ComputedRadiographyImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.4"
    made.Modality, made.PatientID = "CR", "p1"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated = 8 * pixels.itemsize
    made.BitsStored = 8 * pixels.itemsize
    made.HighBit = (values.get("BitsStored") or 8 * pixels.itemsize) - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in values.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def write(path, pixels, syntax=uid.ExplicitVRLittleEndian, frame=None, data=None, fragments=1, **values):
    """Write a DICOM file and return its path.

    frame  one encoded frame, which is encapsulated; data  the value of Pixel Data as it stands; else `pixels` uncompressed
    """
    made = dataset(pixels, syntax, **values)
    if frame is not None:
        data = encapsulate([frame], fragments_per_frame=fragments)
    if data is None:
        order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        data += b"\0" * (len(data) % 2)
    made.PixelData = data
    made["PixelData"].VR = "OB" if frame is not None or pixels.itemsize == 1 else "OW"
    made["PixelData"].is_undefined_length = frame is not None
    made.save_as(path, enforce_file_format=True)
    return path


def jpeg(pixels, bits, lossless=True, predictor=1):
    """JPEG Lossless (process 14), baseline (8 bit) or extended (12 bit), which have no sign; 8 bits and fewer are uint8."""
    if lossless:
        return imagecodecs.jpeg8_encode(patterns(pixels, bits), lossless=True, predictor=predictor, bitspersample=bits)
    return imagecodecs.jpeg8_encode(patterns(pixels, bits), level=95, bitspersample=bits)


def jpegls(pixels, bits, near=0):
    return imagecodecs.jpegls_encode(patterns(pixels, bits), level=near)


def j2k(pixels, bits=None, lossless=True):
    """JPEG 2000 in the sign of `pixels`."""
    options = {"reversible": True, "level": 0} if lossless else {"reversible": False, "level": 60}
    return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", bitspersample=bits, **options)


def htj2k(pixels):
    return imagecodecs.htj2k_encode(pixels, reversible=True)


def rle(pixels):
    made = dataset(pixels)
    return RLELosslessEncoder.encode(pixels.astype(pixels.dtype.newbyteorder("<")), encoding_plugin="pydicom", **_options(made))


def patterns(pixels, bits):
    """The lowest bits of signed or unsigned values as unsigned ones."""
    unsigned = pixels.view(f"u{pixels.itemsize}")
    return unsigned & unsigned.dtype.type(2**bits - 1)


def film(path, pixels, **values):
    """Write an uncompressed film and read it back."""
    return read_film(write(path, pixels, **values))


def lut(n_entries, first, bits, entries):
    """One item of a Modality or VOI LUT sequence, its data as 16-bit words."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [n_entries % 65536, first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return item


def _options(made):
    keywords = {
        "rows": "Rows",
        "columns": "Columns",
        "samples_per_pixel": "SamplesPerPixel",
        "bits_allocated": "BitsAllocated",
        "bits_stored": "BitsStored",
        "pixel_representation": "PixelRepresentation",
        "photometric_interpretation": "PhotometricInterpretation",
    }
    return {option: made[keyword].value for option, keyword in keywords.items()} | {"number_of_frames": 1}
