"""One made film as a DICOM file: the same bytes at any time and on any number of workers."""

import gdcm
import numpy as np
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from siim_kernel.errors import DicomError
from siim_kernel.phantom.anatomy import of_patient
from siim_kernel.phantom.storage import NATIVE, SIGMOID_REACH, voi_lut

COMPUTED, DIGITAL = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"  # storage classes of CR and of DX for presentation
IMPLEMENTATION = "2.25.226474913104583417512033648529714120157"  # fixed: not that of the library's version


def write_dicom(path, values, plan, storage):
    """Write stored values [rows, columns] (from `storage.store`) of an ImagePlan to `path`, whose folder is made.

    The ids, 12 hex digits, are no valid UIDs; they stand in the file as in the real competition.
    Raises DicomError where GDCM cannot compress.
    """
    with config.disable_value_validation():
        dataset = _header(plan, storage, values)
        if storage.syntax in NATIVE:
            dataset.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
            dataset["PixelData"].VR = "OW" if storage.bits > 8 or storage.syntax == ImplicitVRLittleEndian else "OB"
        else:
            dataset.PixelData = encapsulate([compress(values, storage)])
            dataset["PixelData"].VR = "OB"
            dataset["PixelData"].is_undefined_length = True
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)


def _header(plan, storage, values):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    sop_class = DIGITAL if storage.modality == "DX" else COMPUTED
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = plan.image
    dataset.file_meta.TransferSyntaxUID = storage.syntax
    dataset.file_meta.ImplementationClassUID = IMPLEMENTATION
    dataset.file_meta.ImplementationVersionName = "SIIM_KERNEL"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL" if plan.exposure == plan.image else "DERIVED", "PRIMARY"]
    dataset.Modality = storage.modality
    dataset.PatientName = dataset.PatientID = plan.study.patient
    dataset.PatientSex = of_patient(plan.study.patient).sex
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = plan.study.study, plan.series
    optional = {
        "BodyPartExamined": storage.body_part,
        "ViewPosition": storage.view_position,
        "SeriesNumber": storage.series_number,
        "InstanceNumber": storage.instance_number,
        "RescaleSlope": storage.slope,
        "RescaleIntercept": storage.intercept,
    }
    for keyword, value in optional.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if storage.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = values.itemsize * 8, storage.bits, storage.bits - 1
    dataset.PixelRepresentation = int(storage.signed)
    if storage.padding:
        dataset.add_new("PixelPaddingValue", "SS" if storage.signed else "US", storage.padding_value)
    _state_voi(dataset, storage)
    return dataset


def _state_voi(dataset, storage):
    """The tags that turn stored values back into greys (DICOM PS3.3 C.11.2)."""
    low, high = storage.modality_value(storage.low), storage.modality_value(storage.high)
    centre, width = (low + high) / 2, high - low
    if storage.voi == "window":
        dataset.WindowCenter, dataset.WindowWidth = centre, width
    elif storage.voi == "windows":
        dataset.WindowCenter, dataset.WindowWidth = [centre, centre, centre], [width, round(0.8 * width), round(1.25 * width)]
        dataset.WindowCenterWidthExplanation = ["NORMAL", "HARDER", "SOFTER"]
    elif storage.voi == "sigmoid":
        dataset.WindowCenter, dataset.WindowWidth = centre, round(2 * width / SIGMOID_REACH, 4)
        dataset.VOILUTFunction = "SIGMOID"
    elif storage.voi == "lut":
        descriptor, table = voi_lut(storage)
        item = Dataset()
        item.add_new("LUTDescriptor", "US", descriptor)
        item.add_new("LUTData", "OW", table.tobytes())
        dataset.VOILUTSequence = [item]


def compress(values, storage):
    """One frame of stored values, losslessly compressed by GDCM in the transfer syntax of `storage`; bytes."""
    pixels = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixels.SetByteStringValue(np.ascontiguousarray(values).tobytes())
    writer = gdcm.ImageWriter()  # owns the image: it must live as long
    image = writer.GetImage()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((values.shape[1], values.shape[0], 1))
    image.SetPixelFormat(gdcm.PixelFormat(1, values.itemsize * 8, storage.bits, storage.bits - 1, int(storage.signed)))
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME1" if storage.inverted else "MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(ExplicitVRLittleEndian))))
    image.SetDataElement(pixels)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(storage.syntax))))
    change.SetInput(image)
    if not change.Change():
        raise DicomError(f"GDCM cannot compress {values.shape[0]} x {values.shape[1]} pixels of {storage.bits} bits in {storage.syntax}")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    parts = [fragments.GetFragment(index).GetByteValue().GetBuffer() for index in range(fragments.GetNumberOfFragments())]
    return b"".join(part.encode("utf-8", "surrogateescape") for part in parts)
