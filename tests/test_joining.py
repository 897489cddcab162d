"""Runs of several folds and recipes as one folder: what is checked, what is copied, what is refused."""

import json
import shutil
from dataclasses import replace

import pytest

from siim_kernel import joining, runs
from siim_kernel.errors import RunError
from siim_kernel.recipes import catalogue
from tests.evaluation import made_runs

FOLDED = replace(made_runs.OPACITY, split="patient", n_folds=3)
OTHER = replace(catalogue.by_name("small"), n_folds=3)


@pytest.fixture
def folds(tmp_path):
    """The folder of three folds of one training."""
    return made_runs.make_folds(tmp_path / "runs", FOLDED)


def contents(folder):
    """Relative path -> bytes of every file."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change(folder, alter):
    """Alters the record of a run in place."""
    record = json.loads((folder / runs.RECORD).read_text())
    alter(record)
    (folder / runs.RECORD).write_text(json.dumps(record))


def test_folds_out_of_several_outputs_become_one_training(folds, tmp_path):
    (tmp_path / "a" / "runs").mkdir(parents=True)
    (folds / "fold-2").rename(tmp_path / "a" / "runs" / "fold-2")  # a kernel's output
    (folds / "fold-0").rename(tmp_path / "single")  # a dataset made of one fold's folder
    (group,) = joining.join([tmp_path / "a", folds, tmp_path / "single"], tmp_path / "out")
    assert [run.fold for run in group.runs] == [0, 1, 2]
    assert (group.missing, group.warning) == ((), "")
    joined = contents(tmp_path / "out")
    for number, place in enumerate((tmp_path / "single", folds / "fold-1", tmp_path / "a/runs/fold-2")):
        for name, content in contents(place).items():
            assert joined.pop(f"fold-{number}/{name}") == content
    assert list(joined) == [joining.JOINED]
    assert [run.fold for run in runs.load_all([tmp_path / "out"])] == [0, 1, 2]
    assert len(runs.search(tmp_path / "out")) == 3
    assert not (tmp_path / "out.part").exists()


def test_several_recipes_have_a_folder_each_and_are_found(folds, tmp_path):
    other = made_runs.make_folds(tmp_path / "other", OTHER)
    groups = joining.join([folds, other], tmp_path / "out")
    assert [(group.recipe, len(group.runs)) for group in groups] == [(FOLDED.name, 3), ("small", 3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([joining.JOINED, "small", FOLDED.name])
    found = runs.load_all([tmp_path / "out"])
    assert sorted((run.recipe.name, run.fold) for run in found) == sorted(
        (name, fold) for name in ("small", FOLDED.name) for fold in range(3)
    )
    assert len(runs.search(tmp_path / "out")) == 6


def test_what_the_folder_says_of_itself(folds, tmp_path):
    shutil.rmtree(folds / "fold-1")
    joining.join([folds], tmp_path / "out")
    told = json.loads((tmp_path / "out" / joining.JOINED).read_text())
    assert told["made_by"].startswith("siim-kernel ")
    assert told["recipes"][FOLDED.name]["missing"] == [1]
    assert set(told["recipes"][FOLDED.name]["folds"]) == {"0", "2"}
    assert str(tmp_path) not in json.dumps(told), "what is published does not tell where it was made"


def test_missing_folds_are_named(folds, tmp_path):
    (group,) = joining.join([folds / "fold-1"], tmp_path / "out")
    assert group.line.endswith("fold 1, every file verified")
    assert group.warning == f"{FOLDED.name}: no run of fold 0, 2: 1 of 3 folds"


def test_a_way_that_has_one_fold_lacks_none(tmp_path):
    made_runs.make(tmp_path / "run", replace(FOLDED, split="thesis_folder"), 0)
    assert joining.join([tmp_path / "run"], tmp_path / "out")[0].missing == ()


def test_a_fold_that_is_there_twice(folds, tmp_path):
    shutil.copytree(folds / "fold-1", tmp_path / "again")
    with pytest.raises(RunError, match=rf"fold 1 of {FOLDED.name} is there twice, .*fold-1 and .*again"):
        joining.join([folds, tmp_path / "again"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_recipe_of_the_same_name(folds, tmp_path):
    made_runs.make(tmp_path / "other", replace(FOLDED, batch=7), 4)
    with pytest.raises(RunError, match=r"two recipes called .*: batch: stored 16, wanted 7"):
        joining.join([folds, tmp_path / "other"], tmp_path / "out")


@pytest.mark.parametrize("name", ["sha256", "image_set"])
def test_another_split(folds, tmp_path, name):
    change(folds / "fold-2", lambda record: record["split"].update({name: "cd" * 32}))
    with pytest.raises(RunError, match=f"trained on different films or folds: {name}"):
        joining.join([folds], tmp_path / "out")


def test_other_folds(folds, tmp_path):
    made_runs.make(tmp_path / "other", FOLDED, 7)
    with pytest.raises(RunError, match=r"trained on different films or folds: folds\.csv"):
        joining.join([folds / "fold-0", tmp_path / "other"], tmp_path / "out")


def test_a_damaged_source(folds, tmp_path):
    (folds / "fold-1" / runs.WEIGHTS).write_bytes(b"Weights")
    with pytest.raises(RunError, match="model.weights.h5 has changed"):
        joining.join([folds], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_a_copy_that_is_not_what_was_read(folds, tmp_path, monkeypatch):
    copy = shutil.copyfile

    def damaging(source, place):
        copy(source, place)
        if place.name == runs.OUT_OF_FOLD:
            place.write_bytes(b"x")

    monkeypatch.setattr(shutil, "copyfile", damaging)
    with pytest.raises(RunError, match="out_of_fold.csv has changed"):
        joining.join([folds], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_a_full_disk_leaves_nothing(folds, tmp_path, monkeypatch):
    def full(source, place):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(RunError, match="No space left on device; make room"):
        joining.join([folds], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_what_a_kill_left_is_no_hindrance(folds, tmp_path):
    (tmp_path / "out.part" / "fold-9").mkdir(parents=True)
    joining.join([folds], tmp_path / "out")
    assert not (tmp_path / "out" / "fold-9").exists()


def test_a_folder_that_is_there_already_stays(folds, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(RunError, match="is there already"):
        joining.join([folds], tmp_path / "out")
    assert (tmp_path / "out" / "mine").exists()
    (tmp_path / "out" / "mine").unlink()
    joining.join([folds], tmp_path / "out")


def test_an_unfinished_fold(folds, tmp_path):
    (folds / "fold-1" / runs.RECORD).rename(folds / "fold-1" / runs.STATE)
    with pytest.raises(RunError, match=r"not finished: .*fold-1; train on"):
        joining.join([folds], tmp_path / "out")
    with pytest.raises(RunError, match=r"not finished: .*fold-1"):
        joining.join([tmp_path], tmp_path / "out")


def test_a_source_without_runs(tmp_path):
    with pytest.raises(RunError, match="holds no run; name the folder of a run"):
        joining.join([tmp_path], tmp_path / "out")


@pytest.mark.parametrize("name", ["../up", "a/b", ".", "fold-3", "with space"])
def test_a_name_that_is_no_folder(tmp_path, name):
    made_runs.make(tmp_path / "run", FOLDED, 0)
    change(tmp_path / "run", lambda record: record["recipe"].update(name=name))
    with pytest.raises(RunError, match="cannot be the name of a folder"):
        joining.join([tmp_path / "run"], tmp_path / "out")


def test_a_fold_that_no_training_has(tmp_path):
    made_runs.make(tmp_path / "run", FOLDED, 0)
    change(tmp_path / "run", lambda record: record.update(fold=-1))
    with pytest.raises(RunError, match="has fold -1"):
        joining.join([tmp_path / "run"], tmp_path / "out")
