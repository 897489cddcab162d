"""What the training kernel finds among the mounted sources and hands on."""

import pytest

from siim_kernel import kernels, on_kaggle
from siim_kernel.errors import MountError, RunError
from siim_kernel.recipes import catalogue
from tests.evaluation.made_runs import make

UNION = catalogue.by_name("thesis-union")
ARGUMENTS = {"competition": "covid", "image_sets": ("images",), "imagenet": "weights", "recipe": "thesis-competition", "fold": 0}


@pytest.fixture
def trained_with(monkeypatch):
    """The keyword arguments that `kernels.train` was called with."""
    given = {}
    monkeypatch.setattr(kernels, "train", lambda *_, **options: given.update(options) or [])
    return given


@pytest.fixture
def root(tmp_path):
    """Mounted sources: a competition, image sets, and a kernel's output with a run of another recipe."""
    for slug in ("covid", "images"):
        (tmp_path / slug).mkdir()
    make(tmp_path / "kernels/someone/other/runs/fold-0")
    return tmp_path


def test_the_run_that_a_recipe_starts_from_is_found(root, trained_with):
    with pytest.raises(MountError, match="thesis-competition starts from one run of thesis-union, mounted is none"):
        on_kaggle.train(root, root / "working", **ARGUMENTS)
    folder = make(root / "kernels/someone/union/runs/fold-0", UNION)
    on_kaggle.train(root, root / "working", **ARGUMENTS)
    assert trained_with["start"] == folder


def test_of_several_runs_that_of_the_same_fold_is_the_start(root, trained_with):
    folders = [make(root / f"kernels/someone/union/runs/fold-{fold}", UNION, fold) for fold in (0, 1)]
    on_kaggle.train(root, root / "working", **ARGUMENTS | {"fold": 1})
    assert trained_with["start"] == folders[1]
    with pytest.raises(MountError, match="mounted is .*fold-0, .*fold-1"):
        on_kaggle.train(root, root / "working", **ARGUMENTS | {"fold": 2})


def test_a_start_that_was_changed_is_refused(root, trained_with):
    folder = make(root / "union", UNION)
    (folder / "model.weights.h5").write_bytes(b"other")
    with pytest.raises(RunError, match="has changed"):
        on_kaggle.train(root, root / "working", **ARGUMENTS)


def test_recipes_without_a_start_take_none(root, trained_with):
    make(root / "union", UNION)
    on_kaggle.train(root, root / "working", **ARGUMENTS | {"recipe": "small", "split": "study"})
    assert (trained_with["start"], trained_with["split"]) == (None, "study")
