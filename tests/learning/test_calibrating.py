"""Calibration: what is timed and stored, and that it is what `plan` reads."""

import json
from dataclasses import replace

import numpy as np
import pytest

from siim_kernel import cli, kernels, runs
from siim_kernel.delivery import quota, timings
from siim_kernel.errors import MountError, RunError, TableError
from siim_kernel.learning import calibrating, fitting, pipeline
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.storing import to_dict
from tests.learning import made

TWO_PHASES = replace(made.CNN9, phases=(replace(made.HEAD, epochs=30, patience=1), replace(made.ALL, epochs=50)))


def silent(line):
    pass


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return made.material(tmp_path_factory.mktemp("sets") / "16", made.CNN9.pixels, 72)


@pytest.fixture(scope="module")
def calibrated(material, tmp_path_factory):
    """What is stored of a calibration of two phases, and the folder in which it was made."""
    out = tmp_path_factory.mktemp("calibrated") / "new"
    return calibrating.calibrate(TWO_PHASES, material, made.folds(material, 3), 1, out, silent), out


def test_what_is_stored(calibrated, material):
    told, out = calibrated
    assert json.loads(json.dumps(told)) == told
    assert told["recipe"] == to_dict(TWO_PHASES)
    assert told["films"] == {"learning": 48, "validating": 24, "all": 72}
    assert (told["steps_per_epoch"], told["validation_steps"]) == (6, 3)
    assert [phase["trainable"] for phase in told["phases"]] == ["head", "all"]
    assert all(phase["steps"] == 6 * (calibrating.ROUNDS - 1) for phase in told["phases"])
    assert all(phase["step"] > 0 for phase in told["phases"])
    assert all(told[name] > 0 for name in ("validation", "finishing", "saving", "building"))
    assert (told["devices"], told["device_names"], told["dtype"]) == (["CPU"], ["CPU"], "float32")
    assert not list(out.iterdir()), "the state that was written for timing is gone"


def test_plan_reads_it(calibrated, tmp_path):
    told, _ = calibrated
    (tmp_path / "c.json").write_text(json.dumps(told))
    found = timings.measured(TWO_PHASES, [tmp_path / "c.json"])
    assert [(phase.step, phase.compiling) for phase in found.phases] == [(each["step"], each["compiling"]) for each in told["phases"]]
    assert (found.learning, found.validating, found.films, found.machine) == (48, 24, 72, "CPU")


def test_patience_and_divergence_do_not_end_a_calibration(material, tmp_path):
    wild = replace(made.CNN9, phases=(replace(made.ALL, optimizer="sgd", learning_rate=1e6, patience=1),))
    assert len(calibrating.calibrate(wild, material, made.folds(material), 0, tmp_path, silent)["phases"]) == 1


def test_a_loss_that_is_not_finite_is_said(material, tmp_path, monkeypatch):
    real = fitting.fit

    def cut(*arguments, **options):
        progress, kept = real(*arguments, **options)
        progress.timings.pop()
        return progress, kept

    monkeypatch.setattr(fitting, "fit", cut)
    with pytest.raises(RunError, match="not finite, so nothing can be timed"):
        calibrating.calibrate(made.CNN9, material, made.folds(material), 0, tmp_path, silent)


def test_a_place_that_cannot_be_written_is_named(material, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(kernels, "_parted", lambda *_: (made.CNN9, material, made.folds(material), (0, 1)))
    with pytest.raises(MountError, match=r"calibration\.json cannot be written: .*; make room"):
        kernels.calibrate(made.CNN9, [], None, tmp_path / "file" / "out", say=silent)


def test_a_fold_without_films_is_named(material, tmp_path):
    with pytest.raises(TableError, match="fold 7 has 0 of 72 films"):
        calibrating.calibrate(made.CNN9, material, made.folds(material), 7, tmp_path, silent)


def test_the_first_films_come_again_where_they_are_too_few(material):
    films = pipeline.examples(material.images.images, material.rows[:5], material.table[:5], made.CNN9, balanced=True)
    eight = calibrating._first(films, 8)
    assert eight.rows.tolist() == [*films.rows, *films.rows[:3]]
    assert np.array_equal(eight.targets["study"][5:], films.targets["study"][:3])
    assert len(eight.weights["none"]) == len(eight) == 8
    assert calibrating._first(films, 2).rows.tolist() == films.rows[:2].tolist()


def test_margins_are_those_of_the_training():
    assert (quota.MARGIN, quota.SLACK) == (fitting.MARGIN, fitting.SLACK)


@pytest.mark.slow
def test_the_command_times_and_a_run_of_the_same_tells_about_the_same(phantom, tmp_path, capsys, monkeypatch):
    competition = phantom / "competition"
    tiny = catalogue.by_name("tiny")
    kernels.build_images(competition, tmp_path / "images", [tiny.pixels], split="train")
    command = ["siim-kernel", "train", "tiny", "--images", tmp_path / "images", "--competition", competition, "--out", tmp_path / "runs"]
    monkeypatch.setattr("sys.argv", [*map(str, command), "--calibrate"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{tmp_path / 'runs' / kernels.CALIBRATION}\n"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [kernels.CALIBRATION]
    found = timings.measured(tiny, [tmp_path / "runs" / kernels.CALIBRATION])
    (run,) = kernels.train(tiny, [tmp_path / "images"], competition, tmp_path / "runs", fold=0, say=silent)
    told = run.record["training"]
    split = run.record["split"]
    assert (found.learning, found.validating) == (split["training_images"], split["validation_images"])
    assert quota.work(tiny, found, 5)[1] == ()
    of_run = timings.measured(tiny, [run.folder])
    assert (of_run.learning // tiny.batch, of_run.machine) == (told["steps_per_epoch"], "CPU")
    assert runs.load_all([tmp_path / "runs"])[0].record == run.record, "the calibration beside it is in nobody's way"
