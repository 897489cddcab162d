"""Sound and damaged DICOM files as sources, and their mutants: in bytes, in elements, and in the order of elements."""

import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataelem import DataElement
from pydicom.filereader import data_element_generator

from siim_kernel.phantom.films import make_competition
from siim_kernel.pixels.decoders import DECODERS
from tests.pixels import made

PIXEL_DATA = b"\xe0\x7f\x10\x00"
ITEM = b"\xfe\xff\x00\xe0"
INTEGERS = (
    *(0, 1, 2, 7, 8, 12, 15, 16, 17, 31, 32, 33, 64, 127, 128, 255, 256, 4095, 32767, 32768, 60000, 65534, 65535),
    *(2**20, 10**8, 2**24, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - 2, 2**32 - 1),
)
TEXTS = (
    "",
    "0",
    "1",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e-308",
    "1e400",
    "0.5",
    "65536",
    "4294967294",
    "A",
    "1\\2",
    "\\",
    "1," * 9,
)
VRS = ("US", "SS", "UL", "SL", "DS", "IS", "FL", "FD", "LO", "CS", "OB", "OW", "UN", "UT", "UI", "AT", "PN", "UV")
KEYWORDS = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "NumberOfFrames"),
    *("PhotometricInterpretation", "PlanarConfiguration", "WindowCenter", "WindowWidth", "VOILUTFunction", "RescaleSlope"),
    *("RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit", "SpecificCharacterSet", "SOPClassUID", "PatientID"),
)
PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL_422", "YBR_RCT", "PALETTE COLOR", "monochrome2 ", "GREY")
CHARACTER_SETS = ("ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 87", "GB18030", "nonsense", "\\\\", "latin-1")
SYNTAXES = (*DECODERS, uid.MPEG2MPML, "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.1.98", "1.2.840.113619.5.2", "1.2", "")


@dataclass(frozen=True)
class Source:
    """A DICOM file to be mutated: where it is from ("real", "damaged", "made" or "phantom"), its name and bytes."""

    kind: str
    name: str
    data: bytes


@dataclass(frozen=True)
class Mutant:
    """A mutated file: the kind of its source, what was done to which source, and its bytes."""

    kind: str
    what: str
    data: bytes


def sources(folder, data=None):
    """The sources in a fixed order: films made in `folder`, and the DICOM files below `data`/dicom where that is given."""
    found = [Source("made", path.name, path.read_bytes()) for path in _made(folder)]
    make_competition(folder / "phantom", studies=16, seed=1, scale=0.05, workers=1)
    found += [Source("phantom", path.name, path.read_bytes()) for path in sorted((folder / "phantom").rglob("*.dcm"))]
    if data is not None:
        for path in sorted((data / "dicom").rglob("*")):
            if path.is_file() and path.suffix != ".csv":
                found.append(Source("damaged" if path.parent.name == "damaged" else "real", path.name, path.read_bytes()))
    return found


def _made(folder):
    """Small films of every transfer syntax and with every header value that changes the greys."""
    deep, byte, signed = made.smooth(), made.smooth(high=255, dtype=np.uint8), made.smooth(low=-2000, high=2000, dtype=np.int16)
    lut = made.lut(4096, 0, 16, np.arange(4096) * 16)
    films = {
        "implicit": (deep, uid.ImplicitVRLittleEndian, None, {"WindowCenter": "2000", "WindowWidth": "3000"}),
        "explicit": (deep, uid.ExplicitVRLittleEndian, None, {"VOILUTSequence": [lut], "NumberOfFrames": "1"}),
        "signed": (signed, uid.ExplicitVRLittleEndian, None, {"PixelPaddingValue": -2000, "RescaleSlope": "2", "RescaleIntercept": "-10"}),
        "big-endian": (deep, uid.ExplicitVRBigEndian, None, {"ModalityLUTSequence": [lut]}),
        "deflated": (deep, uid.DeflatedExplicitVRLittleEndian, None, {"SpecificCharacterSet": "ISO_IR 192"}),
        "32-bit": (deep.astype(np.uint32), uid.ExplicitVRLittleEndian, None, {}),
        "rle": (deep, uid.RLELossless, made.rle(deep), {"WindowCenter": ["1", "2"], "WindowWidth": ["30", "40"]}),
        "rle-byte": (byte, uid.RLELossless, made.rle(byte), {}),
        "baseline": (byte, uid.JPEGBaseline8Bit, made.jpeg(byte, 8, lossless=False), {"PhotometricInterpretation": "MONOCHROME1"}),
        "extended": (deep, uid.JPEGExtended12Bit, made.jpeg(deep, 12, lossless=False), {}),
        "lossless": (deep, uid.JPEGLossless, made.jpeg(deep, 12, predictor=6), {}),
        "lossless-sv1": (
            deep,
            uid.JPEGLosslessSV1,
            made.jpeg(deep, 12),
            {"VOILUTFunction": "SIGMOID", "WindowCenter": "9", "WindowWidth": "9"},
        ),
        "jpeg-ls": (deep, uid.JPEGLSLossless, made.jpegls(deep, 12), {}),
        "jpeg-ls-byte": (byte, uid.JPEGLSLossless, made.jpegls(byte, 8), {}),
        "jpeg-ls-signed": (signed, uid.JPEGLSNearLossless, made.jpegls(signed, 12, near=2), {}),
        "j2k": (deep, uid.JPEG2000Lossless, made.j2k(deep, 12), {}),
        "j2k-signed": (signed, uid.JPEG2000, made.j2k(signed, 12, lossless=False), {}),
        "htj2k": (deep, uid.HTJ2KLossless, made.htj2k(deep), {}),
        "htj2k-lossy": (deep, uid.HTJ2K, made.htj2k(deep), {}),
    }
    for name, (pixels, syntax, frame, values) in films.items():
        bits = {"BitsStored": 12} if frame is not None and pixels.itemsize == 2 and "ht" not in name else {}
        yield made.write(
            folder / name, pixels, syntax, frame=frame, fragments=2 if frame is not None and len(frame) > 200 else 1, **bits, **values
        )


def mutant(sources, seed, index):
    """The Mutant that `seed` and `index` say: one source with one to four mutations."""
    rng = np.random.default_rng([seed, index])
    kinds = sorted({source.kind for source in sources})
    kind = kinds[rng.integers(len(kinds))]
    source = _one(rng, [source for source in sources if source.kind == kind])
    data, done = source.data, []
    for _ in range(rng.choice([1, 2, 3, 4], p=[0.55, 0.25, 0.12, 0.08])):
        change = rng.choice([in_bytes, in_elements, in_order, in_deflated], p=[0.5, 0.35, 0.12, 0.03])
        try:
            data, what = change(data, rng, sources)
        except Exception:  # pydicom raises nearly anything on what earlier mutations left, or cannot write what was asked for
            data, what = in_bytes(data, rng, sources)
        done.append(what)
    return Mutant(kind, f"{source.name}: {', '.join(done)}", data)


def _one(rng, things):
    return things[rng.integers(len(things))]


# --- bytes


def _region(data, rng):
    """(name, start, end) of a part of a file that is worth mutating: file meta, header, fragment items, stream markers, all."""
    pixels = data.rfind(PIXEL_DATA)
    pixels = pixels if pixels > 0 else len(data) // 2
    regions = [
        ("anywhere", 0, len(data)),
        ("stream", pixels, len(data)),
        ("meta", 128, 400),
        ("header", 132, pixels + 12),
        ("items", pixels, pixels + 64),
    ]
    stream = pixels + 8
    marker = -1
    # The first 2 KB hold all marker segments of a stream, and the headers of RLE and fragments.
    places = [
        stream + at for at in range(len(data[stream : stream + 2048]) - 1) if data[stream + at] == 0xFF and data[stream + at + 1] > 0x3F
    ]
    if places:
        marker = _one(rng, places)
        regions += [("marker", marker, marker + 24)] * 2
    items = [at for at in range(pixels, min(len(data), pixels + 4096)) if data[at : at + 4] == ITEM]
    if items:
        item = _one(rng, items)
        regions.append(("item", item, item + 8))
    name, start, end = _one(rng, regions)
    return name, min(start, len(data) - 1), min(max(end, start + 1), len(data))


def in_bytes(data, rng, sources):
    """Bytes changed, put in, taken out, doubled, cut off, or joined with those of another file."""
    if len(data) < 2:
        return data + bytes(rng.integers(0, 256, 200, np.uint8)), "bytes appended"
    name, start, end = _region(data, rng)
    at = int(rng.integers(start, max(end, start + 1)))
    length = int(min(2 ** rng.uniform(0, 12), len(data) - at))
    changed = bytearray(data)
    what = _one(rng, ("flip", "flip", "byte", "zeros", "ones", "insert", "delete", "cut", "double", "splice", "integer", "integer", "swap"))
    if what == "flip":
        for place in rng.integers(start, max(end, start + 1), rng.integers(1, 9)):
            changed[min(place, len(data) - 1)] ^= 1 << int(rng.integers(8))
    elif what == "byte":
        changed[at] = int(rng.integers(256))
    elif what == "zeros":
        changed[at : at + length] = bytes(length)
    elif what == "ones":
        changed[at : at + length] = b"\xff" * length
    elif what == "insert":
        changed[at:at] = rng.integers(0, 256, length, np.uint8).tobytes()
    elif what == "delete":
        del changed[at : at + length]
    elif what == "cut":
        del changed[at:]
    elif what == "double":
        changed[at:at] = changed[at : at + length] * int(rng.integers(1, 4))
    elif what == "splice":
        other = _one(rng, sources).data
        changed[at:] = other[int(rng.integers(len(other))) :]
    elif what == "integer":
        width, order = _one(rng, ((1, "little"), (2, "little"), (2, "big"), (4, "little"), (4, "big")))
        changed[at : at + width] = (_one(rng, INTEGERS) % 256**width).to_bytes(width, order)
    elif what == "swap":
        other = int(rng.integers(start, max(end, start + 1)))
        changed[at : at + 4], changed[other : other + 4] = changed[other : other + 4], changed[at : at + 4]
    return bytes(changed), f"{what} in {name} at {at}"


def in_deflated(data, rng, sources):
    """The deflated data set of a file with its bytes mutated; raises ValueError where there is none."""
    start = _end_of_meta(data)
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:], 2**24)
    if len(inflated) < 200:
        raise ValueError("not deflated")
    inflated, what = in_bytes(inflated, rng, sources)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return data[:start] + deflate.compress(inflated) + deflate.flush(), f"deflated: {what}"


# --- elements


def in_elements(data, rng, sources):
    """One element of the data set removed, emptied, or given another value or VR, as pydicom writes it."""
    with pydicom.config.disable_value_validation():
        header = pydicom.dcmread(BytesIO(data), force=True)
        what = _change_element(header, rng)
        written = BytesIO()
        implicit, little = header.original_encoding
        syntax = header.file_meta.get("TransferSyntaxUID")
        encoding = (
            {}
            if isinstance(syntax, uid.UID) and syntax.is_transfer_syntax and not syntax.is_private
            else {"implicit_vr": implicit, "little_endian": little}
        )
        if "PixelData" in header and syntax in DECODERS:
            header["PixelData"].is_undefined_length = uid.UID(syntax).is_encapsulated if rng.random() < 0.95 else bool(rng.integers(2))
        header.save_as(written, **encoding)
    return written.getvalue(), what


def _change_element(header, rng):
    what = _one(
        rng,
        ("remove", "empty", "number", "number", "number", "text", "vr", "photometric", "syntax", "charset", "class", "lut", "many", "any"),
    )
    keyword = _one(rng, KEYWORDS)
    if what in ("remove", "empty", "any"):
        present = [element.tag for element in header if element.tag != 0x7FE00010 or rng.random() < 0.2]
        tag = pydicom.datadict.tag_for_keyword(keyword) if keyword in header and rng.random() < 0.5 else _one(rng, present)
        keyword = pydicom.datadict.keyword_for_tag(tag) or str(tag)
        if what == "remove":
            del header[tag]
        elif what == "empty":
            header[tag].value = None
        else:
            header.add_new(tag, "UN", rng.integers(0, 256, rng.integers(0, 40), np.uint8).tobytes())
    elif what == "number":
        vr, value = _one(rng, ("US", "US", "SS", "UL", "SL", "FD", "IS", "DS")), _one(rng, INTEGERS)
        if vr in ("FD", "DS"):
            value = _one(rng, (float(value), -float(value), float("nan"), float("inf"), 1e308, -1e308, 1e-308, 0.5))
        limit = {"US": 2**16, "UL": 2**32, "SS": 2**15, "SL": 2**31}.get(vr)
        value = value % limit if limit else value
        header[keyword] = DataElement(keyword, vr, str(value)[:16] if vr in ("IS", "DS") else value)
        return f"{keyword} {vr} {value}"
    elif what == "text":
        value = _one(rng, TEXTS)
        header[keyword] = DataElement(keyword, _one(rng, ("LO", "UT", "CS", "UN")), value)
        if header[keyword].VR == "UN":
            header[keyword].value = value.encode()
        return f"{keyword} {value}"
    elif what == "vr":
        keyword = _one(rng, [element.keyword for element in header if element.keyword in KEYWORDS])
        header.add_new(keyword, _one(rng, VRS), header[keyword].value)
    elif what == "photometric":
        header.PhotometricInterpretation = _one(rng, PHOTOMETRICS)
    elif what == "syntax":
        header.file_meta.TransferSyntaxUID = _one(rng, SYNTAXES)
        return f"syntax {header.file_meta.TransferSyntaxUID}"
    elif what == "charset":
        header.SpecificCharacterSet = _one(rng, CHARACTER_SETS)
    elif what == "class":
        header.SOPClassUID = _one(rng, ("1.2.840.10008.1.3.10", uid.RTPlanStorage, "", "x" * 70))
    elif what == "lut":
        item = made.lut(1, 0, 16, rng.integers(0, 65536, rng.integers(0, 5000)))
        descriptor = [int(_one(rng, INTEGERS)) % 65536 for _ in range(rng.choice([3, 3, 3, 1, 2, 4]))]
        item.add_new("LUTDescriptor", "US", descriptor)
        item["LUTData"].VR = _one(rng, ("OW", "OB", "UN"))
        setattr(header, _one(rng, ("VOILUTSequence", "ModalityLUTSequence")), [item] * int(rng.integers(1, 4)))
    elif what == "many":
        for number in range(int(2 ** rng.uniform(0, 12))):
            header.add_new(0x00090000 + 2 * 65536 * (number // 60000) + 0x1000 + number % 60000, "LO", "x")
    return f"{what} {keyword}"


# --- order


def in_order(data, rng, sources):
    """Elements doubled, exchanged, moved to the end or left out, their bytes as they stand."""
    start = _end_of_meta(data)
    syntax = _syntax(data)
    file = BytesIO(data)
    file.seek(start)
    edges = [start]
    for _ in data_element_generator(file, syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian):
        edges.append(file.tell())
    parts = [data[first:last] for first, last in zip(edges, edges[1:], strict=False)]
    one, other = (int(rng.integers(len(parts))) for _ in range(2))
    what = _one(rng, ("double", "exchange", "to the end", "left out", "nested"))
    if what == "double":
        parts.insert(other, parts[one])
    elif what == "exchange":
        parts[one], parts[other] = parts[other], parts[one]
    elif what == "to the end":
        parts.append(parts.pop(one))
    elif what == "nested":
        # Not of a depth that pydicom reads but cannot write: its message on that would double with each level.
        depth = _one(rng, (1, 3, 8, 400, 4000))
        parts.insert(one, nested(depth, syntax))
        return data[:start] + b"".join(parts) + data[edges[-1] :], f"nested {depth} deep"
    else:
        del parts[one]
    return data[:start] + b"".join(parts) + data[edges[-1] :], f"element {one} {what} ({other})"


def nested(depth, syntax=uid.ExplicitVRLittleEndian):
    """The bytes of a sequence in a sequence in a sequence ..., each of undefined length."""
    order = "big" if syntax == uid.ExplicitVRBigEndian else "little"

    def tag(group, element):
        return group.to_bytes(2, order) + element.to_bytes(2, order)

    open_ended, length = b"\xff" * 4, b"" if syntax == uid.ImplicitVRLittleEndian else b"SQ\0\0"
    begin = tag(0x0040, 0x0275) + length + open_ended + tag(0xFFFE, 0xE000) + open_ended
    return begin * depth + (tag(0xFFFE, 0xE00D) + bytes(4) + tag(0xFFFE, 0xE0DD) + bytes(4)) * depth


def _end_of_meta(data):
    file = BytesIO(data)
    file.seek(132)
    pydicom.filereader.read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    return file.tell()


def _syntax(data):
    file = BytesIO(data)
    file.seek(132)
    meta = pydicom.filereader.read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    return meta.get("TransferSyntaxUID")
