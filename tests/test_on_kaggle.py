"""What the kernels find among the mounted sources and hand on, and the hash manifest of what they leave."""

import json
import os
from types import SimpleNamespace

import pytest

from siim_kernel import hashes, kernels, on_kaggle
from siim_kernel.errors import DeliveryError, MountError, RunError
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


def test_a_calibration_is_left_in_the_working_folder_and_needs_no_weights(root, trained_with, monkeypatch):
    given = {}

    def calibrate(recipe, images, competition, out, **options):
        given.update(options, recipe=recipe.name, images=images, competition=competition)
        (out / kernels.CALIBRATION).write_text("{}")
        return out / kernels.CALIBRATION

    monkeypatch.setattr(kernels, "calibrate", calibrate)
    (root / "working").mkdir()
    # This recipe starts from another one's run, which is not mounted, and main from ImageNet's weights, which are not either.
    for recipe in ("thesis-competition", "main"):
        on_kaggle.train(root, root / "working", **ARGUMENTS | {"recipe": recipe}, calibrate=True)
        assert given == {"recipe": recipe, "images": [root / "images"], "competition": root / "covid", "fold": 0, "split": None}
    assert trained_with == {}
    assert listed(root / "working") == ["calibration.json"]


def listed(working):
    """The names in the hash manifest of a kernel's output, which is verified."""
    hashes.verify_hashes(working)
    return sorted(json.loads((working / hashes.HASHES).read_text())["files"])


@pytest.fixture
def leaving(root, monkeypatch):
    """`leaving(name)` makes all stages leave a file of that name; the working folder is `root/working`."""

    def leave(name):
        def stage(*_, **__):
            path = root / "working" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            return result

        result = SimpleNamespace(images=1, not_read=(), remarks=list)
        for stage_name in ("build_images", "build_external", "predict"):
            monkeypatch.setattr(kernels, stage_name, stage)
        monkeypatch.setattr(kernels, "train", lambda *_, **__: stage() and [])

    return leave


KERNELS = {
    "images": lambda root, working: on_kaggle.images(root, working, competition="covid", recipes=("tiny",), split="train"),
    "external": lambda root, working: on_kaggle.external(root, working, dataset="images", recipes=("tiny",)),
    "an unfinished training": lambda root, working: on_kaggle.train(root, working, **ARGUMENTS | {"recipe": "tiny"}),
    "predict": lambda root, working: on_kaggle.predict(root, working, competition="covid", runs=("images",)),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_ends_with_the_hashes_of_what_it_leaves(root, leaving, kernel):
    leaving("runs/fold-0/state.npz")
    KERNELS[kernel](root, root / "working")
    assert listed(root / "working") == ["runs/fold-0/state.npz"]
    (root / "working/runs/fold-0/state.npz").write_text("RUNS/fold-0/state.npz")
    with pytest.raises(DeliveryError, match="another SHA-256"):
        hashes.verify_hashes(root / "working")


def test_a_hash_manifest_that_cannot_be_written_costs_a_warning_and_not_the_output(root, leaving, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, os.strerror(28))

    leaving("submission.csv")
    monkeypatch.setattr(hashes, "write_atomically", full)
    KERNELS["predict"](root, root / "working")
    assert "WARNING: files.sha256.json was not written" in capsys.readouterr().out
    assert (root / "working/submission.csv").exists()
