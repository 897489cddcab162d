"""A disk that fills up at any write: one clear error, nothing lost, and the same command goes on."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from siim_kernel.errors import ImageSetError
from siim_kernel.files import write_atomically
from siim_kernel.pixels import building, stores
from siim_kernel.pixels.building import build
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import competitions
from tests.pixels.competitions import files

ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "--map-root-user", "--mount"]
RECIPES = [PixelRecipe(size=32), PixelRecipe(size=64)]
# In a mount namespace of its own: a disk that is a little larger at each try.
PROGRAM = """
import shutil, subprocess, sys
from pathlib import Path
from siim_kernel.errors import ImageSetError
from siim_kernel.pixels.building import build
from tests.pixels import competitions
from tests.pixels.test_full_disk import RECIPES

folder, form = Path(sys.argv[1]), sys.argv[2]
films = competitions.make(folder / "competition", 40, broken={3})
disk = folder / "disk"
disk.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], check=True)
usage = shutil.disk_usage(disk)
shutil.disk_usage = lambda path: usage._replace(free=2**40)  # so that the disk is found full while it is written to
for size in range(4, 1000, 28):
    subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)
    try:
        build(films, disk / "set", RECIPES, form=form)
    except ImageSetError as error:
        print(error)
    else:
        break
shutil.copytree(disk / "set", folder / "copy")
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npy", "png"])
def test_a_real_disk_that_is_full_again_and_again(tmp_path, form):
    probe = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {probe.stderr.strip()}")
    command = [*UNSHARE, sys.executable, "-c", PROGRAM, str(tmp_path), form]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) > 5
    for line in said:
        assert line.startswith(f"the disk of {tmp_path}/disk/set is full: some ")
        assert line.endswith(" MiB more are needed there; make room and run the same command again, it goes on where it stopped")
    films = competitions.make(tmp_path / "again", 40, broken={3})
    build(films, tmp_path / "whole", RECIPES, form=form)
    assert files(tmp_path / "copy") == files(tmp_path / "whole")


@pytest.fixture
def films(tmp_path):
    return competitions.make(tmp_path / "competition", 20, broken={3})


def failing(original, number, code):
    """A function that fails once, at its call of this number."""
    calls = iter(range(10**6))

    def write(*arguments):
        if next(calls) == number:
            raise OSError(code, os.strerror(code))
        return original(*arguments)

    return write


# Which call of which function: (owner, name, calls).
WRITES = {
    "squares": (stores.os, "pwrite", (0, 9, 37)),
    "flush": (stores.os, "fsync", (0, 1, 5)),
    "facts and tables": (building, "write_atomically", (0, 2, 3, 5, 6, 8)),
}


@pytest.mark.parametrize(("owner", "name", "number"), [(owner, name, number) for owner, name, calls in WRITES.values() for number in calls])
def test_the_same_command_goes_on_after_a_failed_write(films, tmp_path, monkeypatch, owner, name, number):
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(getattr(owner, name), number, errno.ENOSPC))
        with pytest.raises(ImageSetError, match=r"the disk of .*set is full: some \d+ MiB more are needed there; make room and run"):
            build(films, tmp_path / "set", RECIPES)
    build(films, tmp_path / "set", RECIPES)
    build(films, tmp_path / "whole", RECIPES)
    assert files(tmp_path / "set") == files(tmp_path / "whole")


def test_other_refusals_are_named_too(films, tmp_path, monkeypatch):
    monkeypatch.setattr(stores.os, "pwrite", failing(os.pwrite, 0, errno.EIO))
    with pytest.raises(ImageSetError, match=r"set cannot be written: Input/output error; mend that and run the same command again"):
        build(films, tmp_path / "set", RECIPES)
    (tmp_path / "file").touch()
    with pytest.raises(ImageSetError, match="file/set.* cannot be written: Not a directory"):
        build(films, tmp_path / "file" / "set", RECIPES)


def test_what_is_needed_is_counted_from_what_was_written():
    rows, encoded = stores.Rows(Path("x"), 100, "npy"), stores.Files(Path("x"), 100, "png")
    assert rows.needed(7) == encoded.needed(7) == 70000
    encoded.written, encoded.bytes = 4, 4000
    assert encoded.needed(7) == 7000


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("old")
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 0, errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a.csv", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"
