"""Wheels: which are chosen, what is said where none fits, and that kernels decode films with them, offline."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from siim_kernel.delivery import rehearsal, wheels
from siim_kernel.errors import DeliveryError
from tests.conftest import lacking
from tests.pixels import made

CHECKOUT = Path(__file__).resolve().parents[2]
KERNEL = CHECKOUT / "train_kernels" / "images" / "images.py"
# What Kaggle's image has of each Python, as requirements.lock has it.
NUMPY = {"3.11": "numpy==2.0.2", "3.12": "numpy==2.0.2", "3.13": "numpy==2.1.3"}


def write_wheel(folder, name, requires=">=3.9", stated="License-Expression: MIT", more=()):
    folder.mkdir(exist_ok=True)
    project, version = name.split("-")[:2]
    with zipfile.ZipFile(folder / name, "w") as archive:
        about = f"Name: {project}\nVersion: {version}\nRequires-Python: {requires}\n{stated}\n"
        archive.writestr(f"{project}-{version}.dist-info/METADATA", about)
        for each in more:
            archive.writestr(each, "text")
    return folder / name


@pytest.fixture
def folder(tmp_path):
    """Wheels as makers publish them: one for each Python, one for this Python and later ones, one for all."""
    for name in (
        "python_gdcm-3.2.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "python_gdcm-3.2.6-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "imagecodecs-2026.3.6-cp311-abi3-manylinux_2_28_x86_64.whl",
        "pydicom-3.0.2-py3-none-any.whl",
    ):
        write_wheel(tmp_path / "wheels", name)
    return tmp_path / "wheels"


def test_each_python_gets_its_own(folder):
    chosen = wheels.choose(folder, "cp312")
    assert [path.name.split("-")[2] for path in chosen.values()] == ["cp312", "cp311", "py3"]
    assert list(chosen) == ["python-gdcm", "imagecodecs", "pydicom"]
    assert wheels.choose(folder, "cp311")["python-gdcm"].name.split("-")[2] == "cp311"


def test_what_does_not_fit_is_named_with_what_is_there(folder):
    with pytest.raises(DeliveryError, match=r"no wheel of python-gdcm for cp313 .*; it holds imagecodecs-2026.*, pydicom-.*, python_gdcm-"):
        wheels.choose(folder, "cp313")
    with pytest.raises(DeliveryError, match="no wheel of python-gdcm, imagecodecs for cp310"):
        wheels.choose(folder, "cp310")
    with pytest.raises(DeliveryError, match="it holds no wheel"):
        wheels.choose(folder / "nowhere", "cp312")
    with pytest.raises(DeliveryError, match="such as cp312, got '3.12'"):
        wheels.choose(folder, "3.12")


@pytest.mark.parametrize(
    "name",
    [
        "python_gdcm-3.2.6-cp313-cp313-manylinux_2_39_x86_64.whl",  # a newer glibc than Kaggle's image has
        "python_gdcm-3.2.6-cp313-cp313-manylinux_2_28_aarch64.whl",
        "python_gdcm-3.2.6-cp313-cp313t-manylinux_2_28_x86_64.whl",
        "python_gdcm-3.2.6-cp314-abi3-manylinux_2_28_x86_64.whl",
        "python_gdcm-3.2.6-cp313-cp313-win_amd64.whl",
    ],
)
def test_wheels_of_other_machines_do_not_count(folder, name):
    write_wheel(folder, name)
    with pytest.raises(DeliveryError, match="no wheel of python-gdcm for cp313"):
        wheels.choose(folder, "cp313")


def test_the_newest_that_a_python_may_use_is_chosen(folder):
    write_wheel(folder, "pydicom-3.1.0-py3-none-any.whl")
    write_wheel(folder, "pydicom-3.10.0-py3-none-any.whl")
    write_wheel(folder, "pydicom-4.0.0-py3-none-any.whl", requires=">=3.14")
    assert wheels.choose(folder, "cp312")["pydicom"].name.split("-")[1] == "3.10.0"


def test_a_file_that_is_no_wheel_is_said(folder):
    (folder / "pydicom-3.0.3-py3-none-any.whl").write_text("<html>404</html>")
    with pytest.raises(DeliveryError, match=r"pydicom-3\.0\.3.* is no whole wheel"):
        wheels.choose(folder, "cp312")
    shutil.move(folder / "pydicom-3.0.3-py3-none-any.whl", folder / "pydicom.whl")
    with pytest.raises(DeliveryError, match="is no wheel's name"):
        wheels.choose(folder, "cp312")


def test_licences_are_listed(folder):
    name = "some_codec-1.0-py3-none-any.whl"
    write_wheel(folder, name, stated="License: BSD", more=["some_codec/licenses/LICENSE-jpeg", "some_codec.libs/libjpeg.so", "a/b.py"])
    write_wheel(folder, "other-1.0-py3-none-any.whl", stated="Classifier: License :: OSI Approved :: MIT License")
    write_wheel(folder, "silent-1.0-py3-none-any.whl", stated="Author: x", more=["silent-1.0.dist-info/licenses/LICENSE"])
    text = wheels.licences(folder)
    assert "\nother 1.0: MIT License\n  file: other-1.0-py3-none-any.whl\n" in text
    silent = "silent-1.0-py3-none-any.whl\n  licence text: silent-1.0.dist-info/licenses/LICENSE\n"
    assert f"\nsilent 1.0: not stated in its metadata\n  file: {silent}" in text
    inside = "  licence text: some_codec/licenses/LICENSE-jpeg\n  library inside: some_codec.libs/libjpeg.so\n"
    assert text.endswith(f"\nsome_codec 1.0: BSD\n  file: {name}\n{inside}")


@pytest.fixture
def made_up_pip(tmp_path, monkeypatch):
    """A checkout and a pip that puts wheels where it is told; `pip.calls` has its arguments, `pip.spoil` is a wheel it changes."""
    lock = ["python-gdcm==3.2.6 \\", "imagecodecs==2026.3.6 \\", "pydicom==3.0.2 \\"]
    checkout = tmp_path / "checkout"
    (checkout / "build" / "lib" / "gone").mkdir(parents=True)

    def pip(command, env):
        pip.calls.append(command)
        place = Path(command[command.index("--wheel-dir") + 1 if "wheel" in command else command.index("--dest") + 1])
        place.mkdir(parents=True, exist_ok=True)
        if "wheel" in command:
            write_wheel(place, "siim_kernel-0.1.0-py3-none-any.whl")
            return subprocess.CompletedProcess(command, pip.code)
        tag = wheels.tag_of(command[command.index("--python-version") + 1])
        write_wheel(place, f"python_gdcm-3.2.6-{tag}-{tag}-manylinux_2_28_x86_64.whl")
        if pip.complete:
            write_wheel(place, "imagecodecs-2026.3.6-cp311-abi3-manylinux_2_28_x86_64.whl")
        write_wheel(place, "pydicom-3.0.2-py3-none-any.whl")
        known = [f"    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in place.glob("*.whl")]
        (checkout / "requirements.lock").write_text("\n".join([*lock, *known]))
        if pip.spoil:
            write_wheel(place, pip.spoil, stated="License: changed")
        return subprocess.CompletedProcess(command, 0)

    pip.calls, pip.code, pip.spoil, pip.complete = [], 0, None, True
    (checkout / "requirements.lock").write_text("\n".join(lock))
    monkeypatch.setattr(subprocess, "run", pip)
    return checkout, pip


def test_build_leaves_this_builds_files_alone(made_up_pip, tmp_path):
    checkout, pip = made_up_pip
    out = tmp_path / "out"
    for old in ("code/siim_kernel-0.0.9-py3-none-any.whl", "wheels/pydicom-2.4.4-py3-none-any.whl", "wheels/LICENCES.txt"):
        (out / old).parent.mkdir(parents=True, exist_ok=True)
        (out / old).write_text("old")
    said = []
    wheels.build(checkout, out, said.append)
    assert len(said) == len(pip.calls) == 4
    assert [path.name for path in (out / "code").iterdir()] == ["siim_kernel-0.1.0-py3-none-any.whl"]
    assert len(list((out / "wheels").glob("*.whl"))) == 5
    assert "python_gdcm 3.2.6: MIT" in (out / "wheels" / "LICENCES.txt").read_text()
    assert not (checkout / "build" / "lib").exists()
    assert all(word in pip.calls[1] for word in ("python-gdcm==3.2.6", "imagecodecs==2026.3.6", "pydicom==3.0.2"))


def test_a_dry_run_does_nothing(made_up_pip, tmp_path):
    checkout, pip = made_up_pip
    said = []
    wheels.build(checkout, tmp_path / "out", said.append, dry_run=True)
    assert (len(said), pip.calls) == (4, [])
    assert not (tmp_path / "out").exists()
    assert (checkout / "build" / "lib").exists()


def test_build_refuses_what_is_not_of_the_lock_or_lacks(made_up_pip, tmp_path):
    checkout, pip = made_up_pip
    pip.spoil = "pydicom-3.0.2-py3-none-any.whl"
    with pytest.raises(DeliveryError, match=r"not the files of requirements\.lock, do not upload them: pydicom-3\.0\.2"):
        wheels.build(checkout, tmp_path / "out", len)
    pip.spoil, pip.complete = None, False
    with pytest.raises(DeliveryError, match="no wheel of imagecodecs for cp311"):
        wheels.build(checkout, tmp_path / "out", len)
    pip.code = 2
    with pytest.raises(DeliveryError, match="pip failed with exit code 2"):
        wheels.build(checkout, tmp_path / "out", len)
    (checkout / "requirements.lock").write_text("pydicom==3.0.2 \\")
    with pytest.raises(DeliveryError, match=r"requirements\.lock has no python-gdcm"):
        wheels.build(checkout, tmp_path / "out", len)


def bootstrap(monkeypatch, tmp_path, fits):
    """`install` of a committed kernel, with a pip that has wheels of some names; returns what pip was asked for."""
    asked = []

    def pip(command):
        asked.append(command[-1])
        return subprocess.CompletedProcess(command, int(command[-1] not in fits))

    monkeypatch.setenv("SIIM_KERNEL_INPUT", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(sys, "path", list(sys.path))
    space = {"__name__": "kernel"}
    exec(compile(KERNEL.read_text(), KERNEL, "exec"), space)
    space["find_spec"] = lambda name: name == "pydicom"
    space["install"]()
    return asked


def test_the_kernel_asks_for_what_its_image_lacks(monkeypatch, tmp_path):
    asked = bootstrap(monkeypatch, tmp_path, ("siim-kernel", "python-gdcm", "imagecodecs"))
    assert asked == ["siim-kernel", "python-gdcm", "imagecodecs"]


def test_the_kernel_says_what_is_missing(monkeypatch, tmp_path):
    with pytest.raises(
        ModuleNotFoundError, match="no attached wheel of siim-kernel, python-gdcm fits. Attached: none; attach the datasets"
    ):
        bootstrap(monkeypatch, tmp_path, ("imagecodecs",))
    write_wheel(tmp_path / "siim-kernel-wheels", "pydicom-3.0.2-py3-none-any.whl")
    (tmp_path / "datasets" / "me").mkdir(parents=True)
    write_wheel(tmp_path / "datasets" / "me" / "siim-kernel-code", "siim_kernel-0.1.0-py3-none-any.whl")
    both = r"of imagecodecs fits\. Attached: pydicom-3\.0\.2-py3-none-any\.whl, siim_kernel-0\.1\.0-py3-none-any\.whl$"
    with pytest.raises(ModuleNotFoundError, match=both):
        bootstrap(monkeypatch, tmp_path, ("siim-kernel", "python-gdcm"))


@pytest.fixture(scope="module")
def built(built_checkout):
    """Folder of code/ and wheels/ of this checkout."""
    return built_checkout / "build"


def interpreter(version):
    """A Python of this version with venv, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places = [*sorted(pyenv.glob(f"versions/{version}.*/bin/python")), shutil.which(f"python{version}"), sys.executable]
    probe = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != ({version.replace('.', ', ')}))"
    return next((place for place in places if place and subprocess.run([place, "-c", probe], capture_output=True).returncode == 0), None)


OLDEST = wheels.PYTHONS[0]
INSTALL = "install Python {} with venv, by pyenv or as pythonX.Y on the PATH, to try the wheels with it"


@pytest.fixture(scope="session")
def interpreters():
    """{version: Python}; on CI it fails without the oldest. Not every machine can install the others: their tests skip, and say so."""
    found = {version: place for version in wheels.PYTHONS if (place := interpreter(version))}
    if os.environ.get("CI") and OLDEST not in found:
        pytest.fail(INSTALL.format(OLDEST))
    return found


@pytest.fixture(scope="module", params=wheels.PYTHONS)
def image(request, tmp_path_factory, interpreters):
    """A Python with numpy and cv2 and nothing else, as Kaggle's image has them; skips where there is none."""
    found = interpreters.get(request.param)
    if not found:
        pytest.skip(INSTALL.format(request.param))
    folder = tmp_path_factory.mktemp("image")
    subprocess.run([found, "-m", "venv", folder], check=True)
    cv2 = next(line.split()[0] for line in (CHECKOUT / "requirements.lock").read_text().splitlines() if "opencv" in line)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*pip, NUMPY[request.param], cv2], capture_output=True, text=True)
    if done.returncode:
        lacking(f"pip cannot install numpy and cv2: {done.stderr.strip()[-300:]}")
    return folder


def contents_of(image):
    """Every file of an image's packages, with its hash; not what Python compiles for itself."""
    (packages,) = image.glob("lib/python*/site-packages")
    paths = [path for path in packages.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(packages).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


USE = """
if __name__ == "__main__":
    import json
    import cv2, numpy
    before = [numpy.__file__, cv2.__file__]
    install()
    import gdcm, imagecodecs, pydicom
    from siim_kernel.pixels.dicom import read_film

    films = sorted(INPUT.rglob("*.dcm"))
    for path in films:
        numpy.save(WORKING / f"{path.stem}.npy", read_film(path).pixels)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read(), path
    scratch = sorted(path.name.split("-")[0] for path in Path(sys.path[0]).glob("*.dist-info"))
    ours = [module.__file__.startswith(sys.path[0]) for module in (gdcm, imagecodecs, pydicom)]
    said = {"python": sys.version.split()[0], "kept": before == [numpy.__file__, cv2.__file__], "ours": ours, "scratch": scratch}
    (WORKING / "said.json").write_text(json.dumps(said))
"""


@pytest.fixture
def rehearse(tmp_path, image, built):
    """Run a kernel with the committed bootstrap, offline, on the image's Python with the wheels mounted."""

    def run(names=("code", "wheels"), films=(), keep=lambda wheel: True):
        for name in names:
            mounted = tmp_path / "input" / "datasets" / "somebody" / f"siim-kernel-{name}"
            mounted.mkdir(parents=True)
            for wheel in filter(keep, (built / name).iterdir()):
                os.link(wheel, mounted / wheel.name)
        kernel = tmp_path / "kernel"
        kernel.mkdir()
        code = KERNEL.read_text()
        (kernel / "images.py").write_text(code[: code.index("\nif __name__")] + USE)
        fields = json.loads((KERNEL.parent / "kernel-metadata.json").read_text())
        (kernel / "kernel-metadata.json").write_text(json.dumps(fields))
        return rehearsal.rehearse(kernel, tmp_path / "input", tmp_path / "working", python=str(image / "bin" / "python"))

    return run


@pytest.mark.slow
def test_the_wheels_decode_jpeg_lossless_offline(rehearse, image, tmp_path, request):
    before = contents_of(image)
    films, expected = tmp_path / "input" / "films", {}
    films.mkdir(parents=True)
    for bits, predictor, syntax in (
        (12, 1, uid.JPEGLosslessSV1),
        (16, 1, uid.JPEGLosslessSV1),
        (16, 6, uid.JPEGLossless),
        (8, 1, uid.JPEGLosslessSV1),
    ):
        pixels = made.noisy(high=2**bits - 1, dtype=np.uint8 if bits == 8 else np.uint16, seed=bits)
        path = films / f"{bits}-{predictor}.dcm"
        made.write(path, pixels, syntax, made.jpeg(pixels, bits, predictor=predictor), BitsStored=bits)
        expected[path.stem] = pixels
    done = rehearse()
    assert done.ok, done.log.read_text()
    assert "Network is unreachable" in done.proof[0]
    said = json.loads((tmp_path / "working" / "said.json").read_text())
    assert said["python"].startswith(request.node.callspec.params["image"])
    assert said["kept"]
    assert said["ours"] == [True, True, True]
    assert said["scratch"] == ["imagecodecs", "pydicom", "python_gdcm", "siim_kernel"]
    assert contents_of(image) == before
    for name, pixels in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / "working" / f"{name}.npy"), pixels, err_msg=name)


@pytest.mark.slow
def test_a_kernel_whose_python_has_no_wheel_says_so(rehearse, image):
    """Of a later Python, say: its wheels were not built yet."""
    own = wheels.tag_of(".".join((image / "pyvenv.cfg").read_text().split("version = ")[1].split(".")[:2]))
    done = rehearse(keep=lambda wheel: f"-{own}-{own}-" not in wheel.name)
    assert not done.ok
    log = done.log.read_text()
    assert "no attached wheel of python-gdcm fits. Attached: imagecodecs-" in log
