import subprocess
import sys
import zlib
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom import uid

from siim_kernel.errors import DicomError
from siim_kernel.pixels import parsing
from siim_kernel.pixels.dicom import read_film, read_header, text
from tests.fuzzing_mutants import nested
from tests.pixels import made

SEQUENCE = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
ITEM = b"\xfe\xff\x00\xe0"


def refused(path, content):
    """The one-line reason for which both readers refuse a file."""
    path.write_bytes(content)
    reasons = set()
    for read in (read_film, read_header):
        with pytest.raises(DicomError) as caught:
            read(path)
        reasons.add(str(caught.value))
    assert len(reasons) == 1
    assert "\n" not in reasons.copy().pop()
    return reasons.pop()


@pytest.fixture
def parts(tmp_path):
    """A film's bytes before and from its SamplesPerPixel on."""
    content = made.write(tmp_path / "sound", made.smooth(), PatientID="p1").read_bytes()
    at = content.index(b"\x28\x00\x02\x00US")
    return content[:at], content[at:]


@pytest.fixture
def deflated(tmp_path):
    """The file meta information and the data set, not yet deflated, of a deflated film."""
    content = made.write(tmp_path / "sound", made.smooth(), uid.DeflatedExplicitVRLittleEndian).read_bytes()
    start = 132 + 12 + int.from_bytes(content[140:144], "little")
    return content[:start], zlib.decompress(content[start:], -15)


def deflate(content):
    made_by = zlib.compressobj(wbits=-15)
    return made_by.compress(content) + made_by.flush()


@pytest.mark.parametrize("bomb", [SEQUENCE + bytes(1_000_000), SEQUENCE + (ITEM + bytes(4)) * 130_000], ids=["zeros", "items"])
def test_more_items_than_any_film_has(tmp_path, parts, bomb, monkeypatch):
    monkeypatch.setattr(parsing, "MAX_READS", 10_000)
    assert refused(tmp_path / "a", parts[0] + bomb + parts[1]) == "more elements, items or fragments than any film has"


def test_more_elements_than_any_film_has(tmp_path, parts, monkeypatch):
    many = b"".join(b"\x09\x00" + number.to_bytes(2, "little") + b"LO\x00\x00" for number in range(3000))
    path = tmp_path / "a"
    path.write_bytes(parts[0] + many + parts[1])
    np.testing.assert_array_equal(read_film(path).pixels, made.smooth())
    monkeypatch.setattr(parsing, "MAX_READS", 2000)
    assert "more elements" in refused(path, path.read_bytes())


def test_more_fragments_than_any_film_has(tmp_path, monkeypatch):
    frame = made.jpeg(made.smooth(), 12)
    path = made.write(tmp_path / "a", made.smooth(), uid.JPEGLosslessSV1, frame=frame, BitsStored=12)
    content = path.read_bytes()
    at = content.index(ITEM + (len(frame) + len(frame) % 2).to_bytes(4, "little"))
    path.write_bytes(content[:at] + (ITEM + bytes(4)) * 1000 + content[at:])
    np.testing.assert_array_equal(read_film(path).pixels, made.smooth())
    monkeypatch.setattr(parsing, "MAX_READS", 2000)
    with pytest.raises(DicomError, match="fragments"):
        read_film(path)


@pytest.mark.parametrize("depth", [300, 5000])
def test_sequences_nested_too_deep(tmp_path, parts, depth):
    assert refused(tmp_path / "a", parts[0] + nested(depth) + parts[1]) == "the sequences of the file are nested too deep"


def test_sequences_nested_deep(tmp_path, parts):
    path = tmp_path / "a"
    path.write_bytes(parts[0] + nested(50) + parts[1])
    np.testing.assert_array_equal(read_film(path).pixels, made.smooth())


def test_deflated_bomb(tmp_path, deflated, monkeypatch):
    meta, content = deflated
    path = tmp_path / "a"
    path.write_bytes(meta + deflate(content))
    np.testing.assert_array_equal(read_film(path).pixels, made.smooth())
    monkeypatch.setattr(parsing, "MAX_BYTES", 2**20)
    reason = refused(path, meta + deflate(content + bytes(2**21)))
    assert reason.endswith("bytes inflate to more than any film has (at most 1048576 are read)")


def test_deflated_bomb_of_items(tmp_path, deflated, monkeypatch):
    monkeypatch.setattr(parsing, "MAX_READS", 10_000)
    meta, content = deflated
    assert "more elements" in refused(tmp_path / "a", meta + deflate(SEQUENCE + bytes(1_000_000) + content))


def test_deflated_and_cut_short(tmp_path, deflated):
    meta, content = deflated
    assert refused(tmp_path / "a", meta + deflate(content)[:-20]) == "the deflated data set is cut short"


def test_deflated_as_pydicom_alone_sees_it(tmp_path, deflated):
    # A UID of thousands of NULs is not looked at here; pydicom strips them, and would inflate without a bound.
    syntax = uid.DeflatedExplicitVRLittleEndian.encode().ljust(10_000, b"\0")
    meta = bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax
    content = meta + deflate(deflated[1])
    assert pydicom.dcmread(BytesIO(content)).PatientID == "p1"
    assert refused(tmp_path / "a", content) == "deflated, but its file meta information cannot be read"


def test_file_meta_of_a_deflated_film_is_kept(tmp_path, deflated):
    header = parsing.parse(BytesIO(deflated[0] + deflate(deflated[1])))
    assert header.file_meta.TransferSyntaxUID == uid.DeflatedExplicitVRLittleEndian
    assert header.PatientID == "p1"


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_values_that_pydicom_converts_while_it_reads(tmp_path, syntax):
    content = made.write(tmp_path / "a", made.smooth(), syntax).read_bytes()
    order = "big" if syntax == uid.ExplicitVRBigEndian else "little"
    tag = b"".join(number.to_bytes(2, order) for number in (0x0008, 0x0005))
    length = b"" if syntax == uid.ImplicitVRLittleEndian else b"UC\0\0"
    at = content.index(b"".join(number.to_bytes(2, order) for number in (0x0008, 0x0016)))
    value = b"\\" * 100_000
    reason = refused(tmp_path / "a", content[:at] + tag + length + len(value).to_bytes(4, order) + value + content[at:])
    assert reason == "100000 bytes of file meta information or character set"


def test_values_of_the_file_meta_information(tmp_path, parts):
    value = b"\\" * 100_000
    long = b"\x02\x00\x10\x00UC\0\0" + len(value).to_bytes(4, "little") + value
    reason = refused(tmp_path / "a", parts[0][:132] + long + parts[0][132:] + parts[1])
    assert reason == "100000 bytes of file meta information or character set"


def test_large_elements_are_left_as_they_are(tmp_path, parts):
    private = b"\x09\x00\x10\x10OB\0\0" + (2**22).to_bytes(4, "little") + bytes(2**22)
    path = tmp_path / "a"
    path.write_bytes(parts[0] + private + parts[1])
    np.testing.assert_array_equal(read_film(path).pixels, made.smooth())


@pytest.mark.parametrize("length", [2**32 - 2, 2**31, 2**30])
def test_element_that_promises_more_than_the_file_has(tmp_path, parts, length):
    path = tmp_path / "a"
    path.write_bytes(parts[0] + b"\x09\x00\x10\x10OB\0\0" + length.to_bytes(4, "little") + parts[1])
    with pytest.raises(DicomError, match="cut short"):
        read_film(path)
    assert text(read_header(path), "PatientID") == "p1"


@pytest.mark.slow
def test_memory_that_bombs_take(tmp_path, parts, deflated):
    """Each bomb in a process that may map 400 MB more than it has: without the bounds they ask for gigabytes."""
    bombs = {
        "items": parts[0] + SEQUENCE + bytes(4_000_000) + parts[1],
        "deflated": deflated[0] + deflate(SEQUENCE + bytes(4_000_000)),
    }
    code = (
        "import resource, sys\n"
        "from siim_kernel.pixels.dicom import read_film\n"
        "from siim_kernel.errors import DicomError\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 400 * 2**20,) * 2)\n"
        "try:\n    read_film(sys.argv[1])\nexcept DicomError as error:\n    print(error)\n"
    )
    for name, content in bombs.items():
        (tmp_path / name).write_bytes(content)
        done = subprocess.run([sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, timeout=120)
        assert done.stdout.strip() == "more elements, items or fragments than any film has", (name, done.stderr)


def test_limits_leave_sound_files_to_pydicom(tmp_path):
    path = made.write(tmp_path / "a", made.smooth(), ReferencedImageSequence=[made.dataset(made.smooth())])
    with open(path, "rb") as file:
        assert parsing.parse(file) == pydicom.dcmread(path)
    with open(path, "rb") as file:
        assert "PixelData" not in parsing.parse(file, stop_before_pixels=True)
