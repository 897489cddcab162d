"""What a dataset must hold before it is published."""

import shutil
import zipfile

import pytest

from siim_kernel import runs
from siim_kernel.delivery.contents import content_faults, package_faults

FILES = {"siim_kernel/__init__.py": b"a = 1\n", "siim_kernel/pages/page.html": b"<p>"}


@pytest.fixture
def checkout(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "checkout" / "siim_kernel" / "notes.txt").write_text("not packed")
    return tmp_path / "checkout"


def wheel(folder, files, version="0.1.0"):
    folder.mkdir(exist_ok=True)
    path = folder / f"siim_kernel-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"siim_kernel-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: siim-kernel\nVersion: {version}\n")
    return path


def test_a_wheel_of_these_sources_is_taken(checkout, tmp_path):
    wheel(tmp_path / "code", FILES)
    assert content_faults("code", tmp_path / "code", checkout, "0.1.0") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"siim_kernel/__init__.py": b"a = 2\n"}, "has another siim_kernel/__init__.py than the checkout"),
        ({"siim_kernel/pages/page.html": b"<b>"}, "has another siim_kernel/pages/page.html than"),
        ({"siim_kernel/old.py": b""}, "has siim_kernel/old.py, which the checkout has not"),
        ({"siim_kernel/__init__.py": None}, "lacks siim_kernel/__init__.py of the checkout"),
    ],
)
def test_a_wheel_of_other_sources_is_refused_with_the_first_difference(checkout, tmp_path, change, said):
    files = {name: content for name, content in (FILES | change).items() if content is not None}
    wheel(tmp_path / "code", files)
    (fault,) = content_faults("code", tmp_path / "code", checkout, "0.1.0")
    assert said in fault
    assert "python scripts/build_wheels.py" in fault


def test_a_wheel_of_another_version_is_refused(checkout, tmp_path):
    (fault,) = package_faults(wheel(tmp_path / "code", FILES, "0.0.9"), checkout, "0.1.0")
    assert "is of version 0.0.9, the checkout of 0.1.0" in fault


def test_an_unfinished_run_is_trained_on_and_not_published(checkout, tmp_path):
    place = tmp_path / "runs" / "fold-0"
    place.mkdir(parents=True)
    (place / runs.STATE).write_text("state")
    (fault,) = content_faults("trained-weights", tmp_path / "runs", checkout, "0.1.0")
    assert fault.startswith(f"{place} is not finished; push train again")
    shutil.rmtree(place)
    (fault,) = content_faults("trained-weights", tmp_path / "runs", checkout, "0.1.0")
    assert "holds no finished run" in fault
