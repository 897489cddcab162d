"""From the bytes of a DICOM file of unknown origin to its elements, by pydicom, with bounds on time and memory.

pydicom makes objects of each element and item, inflates a deflated data set whole and converts a few values while it
reads: a file of a few kilobytes can ask for all the memory that there is. Here it is refused first.
"""

import zlib
from io import BytesIO

import pydicom
from pydicom import uid as uids
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset

from siim_kernel.errors import DicomError
from siim_kernel.pixels.header import text

# A film of MAX_PIXELS with 16 bits allocated has 200 MB; there is room for what else a device may add.
MAX_BYTES = 2**28
# pydicom reads some three times an element, item or fragment. Films have a few hundred of them, and at most some 20,000
# fragments; an object of pydicom's takes about a kilobyte, so that this is a bound on memory too.
MAX_READS = 100_000
# Bytes from which on a value is not copied: that of pixel data.
LARGE = 2**20
# Values that pydicom converts while it reads, the file meta information and Specific Character Set, have some 100 bytes.
MAX_CONVERTED = 2**16
_CHARACTER_SET = (b"\x08\x00\x05\x00", b"\x00\x08\x00\x05")


def parse(file, *, bare=False, stop_before_pixels=False):
    """The data set of an open binary file; `bare` if it has no preamble and prefix (PS3.10 7.1).

    Raises DicomError for a file that asks for more than the bounds of this module allow, and whatever pydicom raises.
    """
    limited = _Limited(file)
    try:
        limited.seek(0 if bare else 132)
        meta = read_dataset(limited, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        deflated = text(meta, "TransferSyntaxUID") == uids.DeflatedExplicitVRLittleEndian
        if deflated:
            # To pydicom it is then a bare data set in Explicit VR Little Endian.
            limited.file = BytesIO(_inflated(file.read()))
        limited.seek(0)
        header = pydicom.dcmread(limited, force=bare or deflated, stop_before_pixels=stop_before_pixels)
        if deflated:
            header.file_meta = FileMetaDataset(meta)
    except RecursionError:
        raise DicomError("the sequences of the file are nested too deep") from None
    finally:
        # pydicom may have taken the refusal for an end of the file, or wrapped it in an error of its own.
        if limited.refusal:
            raise DicomError(limited.refusal)
    header.buffer = None  # the data set holds what it needs of the file
    return header


class InMemory(BytesIO):
    """The bytes of a file that has been read: large values are looked at where they are, as memoryviews, not copied."""

    def __init__(self, data):
        super().__init__(data)
        self._data = memoryview(data)

    def look(self, size):
        """As `read`, without a copy."""
        at = self.tell()
        value = self._data[at : at + size]
        self.seek(at + len(value))
        return value


class _Limited:
    """A binary file to be parsed, in which reading is refused from the first read on that goes beyond the bounds."""

    def __init__(self, file):
        self.file, self.reads, self.refusal = file, 0, ""

    def seek(self, offset, whence=0):
        return self.file.seek(offset, whence)

    def tell(self):
        return self.file.tell()

    def read(self, size=-1):
        self.reads += 1
        if self.reads > MAX_READS:
            self.refusal = "more elements, items or fragments than any film has"
        elif size < 0:  # pydicom would inflate the rest, without a bound
            self.refusal = "deflated, but its file meta information cannot be read"
        elif size > MAX_CONVERTED and self._stands_before_converted():
            self.refusal = f"{size} bytes of file meta information or character set"
        if self.refusal:
            raise DicomError(self.refusal)
        if size >= LARGE and isinstance(self.file, InMemory):
            return self.file.look(size)
        return self.file.read(size)

    def _stands_before_converted(self):
        """Whether the element whose value comes next is one that pydicom converts while it reads."""
        at = self.tell()
        self.seek(max(0, at - 12))
        before = self.file.read(at - self.tell()).rjust(12, b"\0")
        tag = before[:4] if before[4:6].isalpha() else before[4:8]
        return tag in _CHARACTER_SET or tag[:2] == b"\x02\x00"


def _inflated(data):
    """A deflated data set (PS3.5 A.5) as it was before."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflate.decompress(data, MAX_BYTES)
    if inflate.eof:
        return inflated
    if len(inflated) == MAX_BYTES:
        raise DicomError(f"{len(data)} bytes inflate to more than any film has (at most {MAX_BYTES} are read)")
    raise DicomError("the deflated data set is cut short")
