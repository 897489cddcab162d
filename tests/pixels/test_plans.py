"""Films, packages and scratch folders that are not what they were when a build began."""

import os
from pathlib import Path

import pytest

from siim_kernel.errors import ImageSetError
from siim_kernel.pixels import imagesets, plans
from siim_kernel.pixels.building import build
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import competitions, made
from tests.pixels.competitions import files

RECIPE = PixelRecipe(size=16)


class Stop(BaseException):
    """Ends a build where a kill would."""


def stop(done, total):
    raise Stop


@pytest.fixture
def films(tmp_path):
    """20 films in three chunks, the third of which is none."""
    return competitions.make(tmp_path / "competition", 20, broken={2})


@pytest.fixture
def interrupted(films, tmp_path):
    """A build of which the first chunk is done."""
    out = tmp_path / "set"
    with pytest.raises(Stop):
        build(films, out, [RECIPE], progress=stop)
    return out


def put(path, seed, keep_time=False):
    """Another film of the same size in bytes."""
    status = os.stat(path)
    made.write(path, made.noisy(60 + int(Path(path).stem[1:]) % 7, 80, seed=seed), PatientID="p9", BitsStored=12)
    assert os.stat(path).st_size == status.st_size
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def unbroken(films, tmp_path):
    build(films, tmp_path / "whole", [RECIPE])
    return files(tmp_path / "whole")


def test_a_film_that_was_read_and_changed_is_named(films, interrupted):
    put(films.path[5], seed=99)
    before = files(interrupted)
    for _ in range(2):
        with pytest.raises(
            ImageSetError, match=r"the film .*i005.dcm changed since the build of .*set began \(\d+ bytes then, other content"
        ):
            build(films, interrupted, [RECIPE])
        assert files(interrupted) == before


def test_a_film_of_another_size_is_named(films, interrupted):
    made.write(films.path[15], made.noisy(90, 80), PatientID="p9")
    with pytest.raises(ImageSetError, match=r"i015.dcm changed since the build of .* began \(\d+ bytes then, \d+ bytes now\)"):
        build(films, interrupted, [RECIPE])


def test_a_film_that_could_not_be_read_and_now_can_is_named(films, tmp_path):
    sound = Path(films.path[1]).read_bytes()
    Path(films.path[1]).write_bytes(bytes(len(sound)))
    with pytest.raises(Stop):
        build(films, tmp_path / "set", [RECIPE], progress=stop)
    Path(films.path[1]).write_bytes(sound)
    with pytest.raises(ImageSetError, match="i001.dcm changed since"):
        build(films, tmp_path / "set", [RECIPE])


def test_a_film_that_changed_before_it_was_read_is_taken_as_it_is(films, interrupted, tmp_path):
    put(films.path[15], seed=99)
    build(films, interrupted, [RECIPE])
    assert files(interrupted) == unbroken(films, tmp_path)


def test_copies_of_other_times_are_the_same_films(films, interrupted, tmp_path):
    for path in films.path:
        os.utime(path, ns=(10**9, 10**9))
    build(films, interrupted, [RECIPE])
    assert files(interrupted) == unbroken(films, tmp_path)


def test_a_finished_set_stays_finished_elsewhere_and_after_an_upgrade(films, tmp_path, monkeypatch):
    first = build(films, tmp_path / "set", [RECIPE])
    before = files(tmp_path / "set")
    (tmp_path / "competition").rename(tmp_path / "moved")
    films["path"] = films["path"].str.replace("/competition/", "/moved/")
    os.utime(films.path[0], ns=(1, 1))
    monkeypatch.setattr(plans, "versions", lambda: {"numpy": "9"})
    assert build(films, tmp_path / "set", [RECIPE]) == first
    assert files(tmp_path / "set") == before


@pytest.mark.parametrize("change", ["another film", "no film"])
def test_a_film_that_changes_while_the_set_is_built(films, tmp_path, change):
    def changing(done, total):
        if done == 8 and change == "no film":
            os.rename(films.path[19], films.path[19] + ".away")
        elif done == 8:
            put(films.path[19], seed=99)

    found = "no file now" if change == "no film" else "other content or time now"
    with pytest.raises(ImageSetError, match=rf"i019.dcm changed since the build of .* began \(\d+ bytes then, {found}\)"):
        build(films, tmp_path / "set", [RECIPE], progress=changing)
    if change == "no film":
        os.rename(films.path[19] + ".away", films.path[19])
    build(films, tmp_path / "set", [RECIPE])
    assert files(tmp_path / "set") == unbroken(films, tmp_path)


def test_other_packages_do_not_go_on(films, interrupted, tmp_path, monkeypatch):
    before, own = files(interrupted), plans.versions()
    assert all(own.values())
    with monkeypatch.context() as patch:
        patch.setattr(plans, "versions", lambda: own | {"pydicom": "9.9", "gdcm": "none"})
        with pytest.raises(
            ImageSetError, match=rf"other versions of packages began.*: pydicom {own['pydicom']}, now 9.9; gdcm .*, now none;"
        ):
            build(films, interrupted, [RECIPE])
    assert files(interrupted) == before
    build(films, interrupted, [RECIPE])
    assert files(interrupted) == unbroken(films, tmp_path)


@pytest.mark.parametrize("content", ["", "[{", None])
def test_a_chunk_whose_facts_are_lost_is_read_again(films, tmp_path, content):
    chunks = []

    def stopping(done, total):
        if done == 16:
            raise Stop

    out = tmp_path / "set"
    with pytest.raises(Stop):
        build(films, out, [RECIPE], progress=stopping)
    first = out / imagesets.SCRATCH / "chunks" / "000000.json"
    first.unlink() if content is None else first.write_text(content)
    build(films, out, [RECIPE], progress=lambda done, total: chunks.append(done))
    assert chunks == [8, 16, 20]
    assert files(out) == unbroken(films, tmp_path)


def test_a_scratch_folder_without_its_plan_is_begun_anew(films, interrupted, tmp_path):
    (interrupted / imagesets.SCRATCH / plans.PLAN).unlink()
    (interrupted / "images.npy.part").unlink()
    (interrupted / imagesets.SCRATCH / "chunks" / "000000.json").write_text('["gone"]')
    build(films, interrupted, [RECIPE])
    assert files(interrupted) == unbroken(films, tmp_path)


def test_a_scratch_folder_of_another_kind_is_refused(films, interrupted):
    (interrupted / imagesets.SCRATCH / plans.PLAN).write_text("{}")
    with pytest.raises(ImageSetError, match="the interrupted build of other films"):
        build(films, interrupted, [RECIPE])


def test_squares_of_films_that_are_no_longer_read_are_taken_away(films, tmp_path):
    with pytest.raises(Stop):
        build(films, tmp_path / "set", [RECIPE], form="png", progress=stop)
    for name in ("train/i002.png", "train/i009.png.part", "test/i099.png"):
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"left by a kill between a square and its facts")
    build(films, tmp_path / "set", [RECIPE], form="png")
    build(films, tmp_path / "whole", [RECIPE], form="png")
    assert files(tmp_path / "set") == files(tmp_path / "whole")
