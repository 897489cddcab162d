import pytest

from siim_kernel import mounts
from siim_kernel.errors import MountError


@pytest.mark.parametrize("place", ["siim", "competitions/siim", "datasets/someone/siim", "notebooks/someone/siim", "kernels/someone/siim"])
def test_a_source_is_found_in_every_layout(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / "datasets/someone/other").mkdir(parents=True)
    assert mounts.find("siim", tmp_path) == tmp_path / place


def test_a_missing_source_lists_what_is_mounted(tmp_path):
    for place in ("old-one", "competitions/siim", "datasets/someone/wheels"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "a-file").touch()
    with pytest.raises(MountError) as caught:
        mounts.find("weights", tmp_path)
    assert "weights is not mounted" in str(caught.value)
    assert "found there: competitions/siim, datasets/someone/wheels, old-one." in str(caught.value)


@pytest.mark.parametrize("there", [True, False])
def test_nothing_mounted(tmp_path, there):
    root = tmp_path if there else tmp_path / "nowhere"
    with pytest.raises(MountError, match="found there: nothing"):
        mounts.find("siim", root)


def test_a_source_that_is_there_twice_is_refused(tmp_path):
    for owner in ("me", "you"):
        (tmp_path / f"datasets/{owner}/weights").mkdir(parents=True)
    with pytest.raises(MountError, match=r"more than once: .*datasets/me/weights, .*datasets/you/weights; detach"):
        mounts.find("weights", tmp_path)


def test_a_link_to_the_other_layout_is_no_second_source(tmp_path):
    (tmp_path / "competitions/siim").mkdir(parents=True)
    (tmp_path / "siim").symlink_to(tmp_path / "competitions/siim")
    assert mounts.find("siim", tmp_path) == tmp_path / "competitions/siim"


@pytest.mark.parametrize("slug", ["", "*", "someone/weights"])
def test_what_is_no_slug_is_refused(tmp_path, slug):
    (tmp_path / "datasets/someone/weights").mkdir(parents=True)
    with pytest.raises(MountError, match="named by its slug"):
        mounts.find(slug, tmp_path)


def test_find_all_names_every_missing_source(tmp_path):
    (tmp_path / "siim").mkdir()
    (tmp_path / "competitions/other").mkdir(parents=True)
    assert mounts.find_all(["siim", "other"], tmp_path) == {"siim": tmp_path / "siim", "other": tmp_path / "competitions/other"}
    with pytest.raises(MountError) as caught:
        mounts.find_all(["wheels", "siim", "weights"], tmp_path)
    assert "wheels is not mounted" in str(caught.value)
    assert "weights is not mounted" in str(caught.value)
    assert "siim is not mounted" not in str(caught.value)
