"""The commands `plan` and `join`, and where a plan's seconds come from."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from siim_kernel import cli, runs
from siim_kernel.delivery import quota, timings
from siim_kernel.errors import RecipeError, RunError
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.storing import to_dict
from tests.evaluation import made_runs

TINY = catalogue.by_name("tiny")
COUNTS = {"training_images": 800, "validation_images": 200, "final_test_images": 0, "folds": 5, "sha256": "ab" * 32}


def epoch(phase, seconds, validation=10.0, saving=2.0):
    return {"phase": phase, "seconds": seconds, "validation": validation, "saving": saving}


def training(**changes):
    """What a run of `tiny` tells of its training: three epochs in one session."""
    told = {"timings": [epoch(1, 90), epoch(2, 160), epoch(2, 110)], "sessions": [{"epoch": 0}], "steps_per_epoch": 50, "devices": ["CPU"]}
    return told | {"dtype": "float32"} | changes


def run(folder, recipe=TINY, fold=0, counts=COUNTS, **changes):
    return made_runs.make(folder, recipe, fold, training=training(**changes), split=counts)


def calibration(path, recipe=TINY, **changes):
    told = {
        "format": 1,
        "recipe": to_dict(recipe),
        "devices": ["/physical_device:GPU:0"],
        "device_names": ["Tesla T4"],
        "films": {"learning": 800, "validating": 200, "all": 1000},
        "phases": [{"step": 2.0, "compiling": 30.0}, {"step": 6.0, "compiling": 60.0}][: len(recipe.phases)],
        "validation": 1.0,
        "finishing": 0.1,
        "saving": 5.0,
        "building": 20.0,
    }
    path.write_text(json.dumps(told | changes))
    return path


def called(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


class TestRuns:
    def test_seconds_a_step_without_the_epochs_that_compile(self, tmp_path):
        # Phase 1 has no other epoch; of phase 2 the third epoch counts, (110 - 10) / 50.
        found = timings.measured(TINY, [run(tmp_path / "run")])
        assert [phase.step for phase in found.phases] == [1.6, 2.0]
        assert [phase.compiling for phase in found.phases] == [0.0, 50.0]
        assert found.validation == 10 / 13
        assert found.finishing == 10 / 200
        assert (found.saving, found.films, found.learning, found.validating, found.folds) == (2, 1000, 800, 200, 5)
        assert any("phase 1 has no epoch without compilation" in line for line in found.assumed)
        assert any("finishing" in line for line in found.assumed)

    def test_the_first_epoch_of_each_session_compiles_too(self, tmp_path):
        told = [epoch(1, 50), epoch(1, 30), epoch(1, 70), epoch(1, 32), epoch(1, 34), epoch(2, 90), epoch(2, 50)]
        found = timings.measured(TINY, [run(tmp_path / "run", timings=told, sessions=[{"epoch": 0}, {"epoch": 2}])])
        assert found.phases[0].step == (32 - 10) / 50
        assert found.phases[0].compiling == 50 - 32

    def test_folds_are_taken_together_by_their_median(self, tmp_path):
        for fold, seconds in enumerate((110, 210, 120)):
            run(tmp_path / f"fold-{fold}", fold=fold, timings=[epoch(1, 90), epoch(2, 160), epoch(2, seconds)])
        found = timings.measured(TINY, [tmp_path])
        assert found.phases[1].step == (120 - 10) / 50
        assert len(found.sources) == 3

    def test_mirrors_mixed_precision_and_devices_make_finishing_slower(self, tmp_path):
        recipe = replace(TINY, flip_average=True, mixed_precision=True)
        found = timings.measured(recipe, [run(tmp_path / "run", recipe, devices=["GPU:0", "GPU:1"], dtype="mixed_float16")])
        assert found.finishing == 8 * 10 / 200
        assert found.machine == "2 GPUs"

    def test_what_does_not_change_a_step_may_differ(self, tmp_path):
        run(tmp_path / "run", replace(TINY, split="study", seed=7, n_folds=5, phases=tuple(replace(p, epochs=9) for p in TINY.phases)))
        assert timings.measured(TINY, [tmp_path / "run"]).phases[1].step == 2.0

    @pytest.mark.parametrize(
        "changes", [{"batch": 8}, {"network": "cnn9"}, {"mixed_precision": True}, {"pixels": replace(TINY.pixels, size=64)}]
    )
    def test_another_training_is_refused(self, tmp_path, changes):
        run(tmp_path / "run", replace(TINY, **changes))
        with pytest.raises(RunError, match=r"was measured with another training than tiny: .*stored .*, wanted .*; calibrate"):
            timings.measured(TINY, [tmp_path / "run"])

    @pytest.mark.parametrize(
        "changes", [{"timings": []}, {"timings": [epoch(1, 9)]}, {"steps_per_epoch": 0}, {"devices": None}, {"timings": [{"phase": 1}] * 3}]
    )
    def test_a_run_that_does_not_tell_is_named(self, tmp_path, changes):
        with pytest.raises(RunError, match="does not tell how long its epochs took"):
            timings.measured(TINY, [run(tmp_path / "run", **changes)])

    def test_a_run_without_a_split_is_named(self, tmp_path):
        with pytest.raises(RunError, match="does not tell"):
            timings.measured(TINY, [run(tmp_path / "run", counts={})])

    def test_runs_of_different_machines_are_not_mixed(self, tmp_path):
        with pytest.raises(RunError, match=r"different machines \(1 GPU, CPU\)"):
            timings.measured(TINY, [run(tmp_path / "run"), calibration(tmp_path / "c.json")])


class TestCalibrations:
    def test_what_it_tells(self, tmp_path):
        found = timings.measured(TINY, [calibration(tmp_path / "c.json")])
        assert [phase.step for phase in found.phases] == [2.0, 6.0]
        assert (found.machine, found.assumed) == ("1 GPU", ())
        assert "Tesla T4" in found.sources[0]

    @pytest.mark.parametrize("text", ["", "{", "[1]", "null", "{}", '{"format": 1}', '{"format": 1, "recipe": 3}'])
    def test_a_file_that_is_none(self, tmp_path, text):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(RunError, match=r"c.json is no calibration of this version"):
            timings.measured(TINY, [tmp_path / "c.json"])

    def test_a_place_that_is_not_there(self, tmp_path):
        with pytest.raises(RunError, match=r"c.json does not exist; name the folder of a run, or the file"):
            timings.measured(TINY, [tmp_path / "c.json"])

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "c.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(RunError, match=r"is no calibration"):
            timings.measured(TINY, [tmp_path / "c.json"])

    def test_another_format(self, tmp_path):
        with pytest.raises(RunError, match="has format 2, this version reads 1"):
            timings.measured(TINY, [calibration(tmp_path / "c.json", format=2)])

    @pytest.mark.parametrize(
        "phases", [[], [{"step": 2.0, "compiling": 1.0}], [{"step": 0, "compiling": 1}] * 2, [{"step": "nan", "compiling": 1}] * 2]
    )
    def test_steps_that_cannot_be(self, tmp_path, phases):
        with pytest.raises(RunError, match="is damaged"):
            timings.measured(TINY, [calibration(tmp_path / "c.json", phases=phases)])

    @pytest.mark.parametrize("changes", [{"validation": -1.0}, {"saving": float("inf")}, {"finishing": float("nan")}])
    def test_seconds_that_cannot_be(self, tmp_path, changes):
        with pytest.raises(RunError, match="is damaged"):
            timings.measured(TINY, [calibration(tmp_path / "c.json", **changes)])

    @pytest.mark.parametrize("name", ["learning", "validating", "all"])
    def test_no_films(self, tmp_path, name):
        films = {"learning": 800, "validating": 200, "all": 1000} | {name: 0}
        with pytest.raises(RunError, match="is damaged"):
            timings.measured(TINY, [calibration(tmp_path / "c.json", films=films)])


@pytest.mark.parametrize("name", [recipe.name for recipe in catalogue.RECIPES])
def test_every_recipe_can_be_planned_without_a_measurement(name):
    recipe = catalogue.by_name(name)
    found = timings.assumed(recipe)
    assert found.assumed
    assert len(found.phases) == len(recipe.phases)
    assert quota.work(recipe, found, 5)[0].hours > 0


class TestPlan:
    def test_the_main_recipe_prints_sessions_and_weeks_and_what_is_assumed(self):
        done = called("plan", "main", "--n-folds", 5)
        assert done.exit_code == 0
        lines = done.stdout.splitlines()
        assert lines[0].startswith("main: 5 folds of ")
        assert "in 6 sessions, 1 week" in lines[0]
        assert [line.split()[:4] for line in lines[3:5]] == [
            ["1", "+0.0", "h", lines[3].split()[3]],
            ["1", "+0.0", "h", lines[4].split()[3]],
        ]
        assert [fold for fold in range(5) if any(f"fold {fold}" in line for line in lines)] == list(range(5))
        assert any("submission" in line for line in lines[3:10])
        assert "measured: nothing" in lines
        assert all(line.isascii() for line in lines)
        assert sum(line.startswith("ASSUMED: ") for line in lines) >= 5

    def test_measured_and_over_two_weeks_with_a_chain(self, tmp_path):
        # Epochs of 1, 7 and 7 hours: two sessions a fold, and three in a week of 30 hours, as a fourth would leave no margin.
        path = calibration(tmp_path / "c.json", phases=[{"step": 72.0, "compiling": 0.0}, {"step": 500.0, "compiling": 0.0}])
        done = called("plan", "tiny", "--calibration", path, "--n-folds", 5, "--json")
        assert done.exit_code == 0, done.stderr
        told = json.loads(done.stdout)
        assert {each["fold"] for each in told["sessions"]} == {0, 1, 2, 3, 4, None}
        assert max(each["part"] for each in told["sessions"]) == 2
        assert len(told["weeks"]) == 4
        assert all(week["planned"] <= week["there"] for week in told["weeks"])
        assert any("Tesla T4" in line for line in told["measured"])
        text = called("plan", "tiny", "--run", path).stdout
        assert "fold 0, part 1 of 2" in text
        assert "goes on from the output of the part before" in text

    def test_an_epoch_longer_than_a_session_is_refused(self, tmp_path, monkeypatch, capsys):
        path = calibration(tmp_path / "c.json", phases=[{"step": 2.0, "compiling": 0.0}, {"step": 800.0, "compiling": 0.0}])
        monkeypatch.setattr("sys.argv", ["siim-kernel", "plan", "tiny", "--run", str(path)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 1
        assert "no chain of sessions finishes it" in capsys.readouterr().err

    def test_one_fold(self):
        told = json.loads(called("plan", "main", "--fold", 2, "--json").stdout)
        assert [each["fold"] for each in told["sessions"]] == [2, None]
        assert called("plan", "main", "--fold", 5).exit_code == 2

    def test_a_way_with_its_own_fold(self):
        told = json.loads(called("plan", "thesis-opacity", "--json").stdout)
        assert told["folds"] == [0]
        assert json.loads(called("plan", "tiny", "--split", "thesis", "--json").stdout)["folds"] == [0]
        assert isinstance(called("plan", "tiny", "--split", "by-hand").exception, RecipeError)

    def test_a_prediction_that_does_not_fit_is_cut_and_said(self, tmp_path):
        done = called("plan", "tiny", "--run", calibration(tmp_path / "c.json", finishing=6.0))
        assert done.exit_code == 0
        assert any(line.split()[-2:] == ["9.0", "submission"] for line in done.stdout.splitlines())
        assert "more than the 9 h there are" in done.stdout

    def test_other_films_are_parted_anew(self, tmp_path):
        path = calibration(tmp_path / "c.json")
        small, large = (json.loads(called("plan", "tiny", "--run", path, "--films", n, "--json").stdout) for n in (1000, 4000))
        assert large["hours"] > 3 * small["hours"]

    def test_what_is_left_of_the_week(self):
        told = json.loads(called("plan", "main", "--left", 0, "--json").stdout)
        assert {each["week"] for each in told["sessions"]} == {2}
        assert called("plan", "main", "--left", 0, "--ask-kaggle").exit_code == 2

    def test_kaggle_is_asked(self, monkeypatch):
        from siim_kernel.delivery import client

        class Told:
            def __init__(self, environment, say):
                pass

            def quota(self):
                return client.Quota(40.0, 40.0, "")

        monkeypatch.setattr(client, "Client", Told)
        told = json.loads(called("plan", "main", "--ask-kaggle", "--json").stdout)
        assert [week["there"] for week in told["weeks"]] == [0.0, 40.0]

    def test_what_was_measured_on_a_cpu_is_said(self, tmp_path):
        assert "Calibrate on the machine that will train" in called("plan", "tiny", "--run", run(tmp_path / "run")).stdout


def test_the_benchmark_finds_what_compiling_took(tmp_path):
    from benchmarks import plan

    told = [epoch(phase, seconds) for phase in (1, 2) for seconds in (90, *[phase * 10] * (plan.EPOCHS - 1))]
    assert plan._compiling(runs.load(run(tmp_path / "run", timings=told))) == (90 - 10) + (90 - 20)


def test_join_prints_what_is_there_and_warns_of_what_lacks(tmp_path):
    made_runs.make_folds(tmp_path / "runs", replace(made_runs.OPACITY, split="patient"))
    done = called("join", tmp_path / "runs" / "fold-0", tmp_path / "runs" / "fold-2", "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path / 'out'}: thesis-opacity: folds 0, 2, every file verified\n"
    assert done.stderr == "warning: thesis-opacity: no run of fold 1: 2 of 3 folds\n"
    assert len(runs.load_all([tmp_path / "out"])) == 2
