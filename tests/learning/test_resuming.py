"""A training that is stopped and killed, and goes on to the same result."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from siim_kernel import clock, runs
from siim_kernel.errors import RunError
from siim_kernel.learning import fitting, states, training
from tests.learning import made, training_program

FACTS_OF_TIME = ("seconds", "timings", "sessions")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Folder with the image set and the run of one long session."""
    folder = tmp_path_factory.mktemp("unbroken")
    training_program.session(folder, None, lambda line: None)
    return folder


@pytest.fixture
def begun(unbroken, tmp_path):
    """A folder with the same image set and no run yet."""
    shutil.copytree(unbroken / "set", tmp_path / "set")
    return tmp_path


def state_arrays(folder):
    with np.load(folder / states.STATE) as stored:
        return {name: stored[name] for name in stored.files if name != "told"}


def assert_same_run(folder, unbroken):
    for name in runs.FILES:
        assert (folder / "run" / name).read_bytes() == (unbroken / "run" / name).read_bytes(), name
    one, other = (json.loads((each / "run" / runs.RECORD).read_text()) for each in (folder, unbroken))
    for record in (one, other):
        for name in FACTS_OF_TIME:
            del record["training"][name]
    assert one == other
    assert not (folder / "run" / states.STATE).exists()


def test_the_unbroken_run_has_what_must_be_survived(unbroken):
    history = pd.read_csv(unbroken / "run" / runs.HISTORY)
    assert history["phase"].tolist()[:2] == [1, 2]
    last = history[history["phase"] == 2]["val_loss"]
    assert 3 <= len(last) < 9, "patience should end the second phase before its epochs do"
    assert last.argmin() == len(last) - 3


@pytest.mark.slow
def test_a_session_an_epoch_gives_the_same_run(unbroken, begun):
    sessions = 0
    while training_program.session(begun, 0, lambda line: None) is None:
        sessions += 1
        assert states.peek(begun / "run")["progress"]["epoch"] == sessions
    epochs = len(pd.read_csv(unbroken / "run" / runs.HISTORY))
    assert sessions == epochs - 1  # the session of the last epoch finishes the run
    assert [each["epoch"] for each in runs.load(begun / "run").record["training"]["sessions"]] == list(range(epochs))
    assert_same_run(begun, unbroken)


@pytest.mark.slow
def test_processes_that_are_killed_and_stopped_by_the_clock_give_the_same_run(unbroken, begun):
    """Four processes are killed at random points, then others have time for one epoch each."""
    draw = random.Random(5)
    for _ in range(4):
        process = start(begun, "none")
        for _ in range(draw.randint(1, 2)):
            process.stdout.readline()
        time.sleep(draw.random() * 0.4)
        process.kill()
        assert process.wait() in (-signal.SIGKILL, 0)
        process.stdout.close()
    for _ in range(12):
        process = start(begun, "0")
        output = process.communicate(timeout=200)[0]
        assert process.returncode == 0, output
        if "time is up" not in output:
            break
    assert_same_run(begun, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("moment", training_program.MOMENTS)
def test_a_kill_at_each_moment_of_writing_leaves_what_goes_on(unbroken, begun, before_the_end, moment):
    shutil.copytree(before_the_end, begun / "run")
    process = start(begun, "none", moment)
    output = process.communicate(timeout=200)[0]
    assert process.returncode == -signal.SIGKILL, output
    training_program.session(begun, None, lambda line: None)
    assert_same_run(begun, unbroken)


@pytest.fixture(scope="module")
def before_the_end(unbroken, tmp_path_factory):
    """A run's folder with the state before its last epoch."""
    folder = tmp_path_factory.mktemp("before")
    shutil.copytree(unbroken / "set", folder / "set")
    for _ in range(len(pd.read_csv(unbroken / "run" / runs.HISTORY)) - 1):
        assert training_program.session(folder, 0, lambda line: None) is None
    return folder / "run"


def start(folder, hours, *moment):
    program = [sys.executable, "-m", "tests.learning.training_program", str(folder), hours, *moment]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def after_one_epoch(folder):
    assert training_program.session(folder, 0, lambda line: None) is None
    return folder / "run"


def test_a_state_that_could_not_be_written_leaves_the_one_before(begun, monkeypatch):
    run = after_one_epoch(begun)
    before = (run / states.STATE).read_bytes()

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(states.np, "savez", full)
    with pytest.raises(RunError, match=r"No space left on device; make room .* goes on from the state before"):
        training_program.session(begun, 0, lambda line: None)
    assert (run / states.STATE).read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == [states.STATE]


@pytest.mark.slow
def test_a_finished_run_that_could_not_be_written_keeps_its_epochs(unbroken, begun, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(runs, "write_atomically", full)
        with pytest.raises(RunError, match="No space left on device.*its epochs are kept"):
            training_program.session(begun, None, lambda line: None)
    lines = []
    assert training_program.session(begun, None, lines.append) is not None
    assert lines == [f"going on after {len(pd.read_csv(unbroken / 'run' / runs.HISTORY))} epochs"]
    assert_same_run(begun, unbroken)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("Can't decrement id ref count")])
def test_weights_that_cannot_be_written_are_a_clear_error(begun, before_the_end, monkeypatch, error):
    shutil.copytree(before_the_end, begun / "run")

    def full(self, path):
        raise error

    monkeypatch.setattr(training.keras.Model, "save_weights", full)
    with pytest.raises(RunError, match="cannot be written to .*make room .*its epochs are kept"):
        training_program.session(begun, None, lambda line: None)
    assert (begun / "run" / runs.STATE).exists()


def test_a_disk_without_room_for_the_run_is_said_before_it_is_written(begun, before_the_end, monkeypatch):
    shutil.copytree(before_the_end, begun / "run")
    monkeypatch.setattr(training.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 100, 2**20))
    with pytest.raises(RunError, match=r"has 1 MiB free, the run needs 1\d; make room"):
        training_program.session(begun, None, lambda line: None)
    assert not (begun / "run" / runs.WEIGHTS).exists()


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"", lambda data: data[:5000] + b"\0" * 64 + data[5064:]])
def test_a_damaged_state_is_a_clear_error(begun, damage):
    run = after_one_epoch(begun)
    (run / states.STATE).write_bytes(damage((run / states.STATE).read_bytes()))
    with pytest.raises(RunError, match=r"state\.npz is damaged: .*; copy it again, or remove it to begin the training anew"):
        training_program.session(begun, 0, lambda line: None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"recipe": replace(training_program.RECIPE, seed=7)}, "seed: stored 42, wanted 7"),
        ({"fold": 1}, "fold: stored 0, wanted 1"),
    ],
)
def test_the_state_of_another_training_is_refused_and_kept(begun, changed, message):
    run = after_one_epoch(begun)
    before = (run / states.STATE).read_bytes()
    films = training_program.material(begun)
    arguments = {"recipe": training_program.RECIPE, "material": films, "folds": made.folds(films), "fold": 0, "out": run} | changed
    with pytest.raises(RunError, match=message):
        training.train_fold(**arguments, say=lambda line: None)
    assert (run / states.STATE).read_bytes() == before


def test_a_state_of_another_network_is_a_clear_error(begun, monkeypatch):
    after_one_epoch(begun)
    original = fitting.states.read

    def fewer(folder, wanted):
        state = original(folder, wanted)
        return replace(state, model=state.model[:-1])

    monkeypatch.setattr(fitting.states, "read", fewer)
    with pytest.raises(RunError, match="do not fit the .* variables of this network"):
        training_program.session(begun, 0, lambda line: None)


def test_the_furthest_of_several_earlier_sessions_is_taken_over(begun, tmp_path):
    run = after_one_epoch(begun)
    shutil.copytree(run, tmp_path / "first")
    after_one_epoch(begun)
    shutil.copytree(run, tmp_path / "second")
    shutil.rmtree(run)
    run.mkdir()
    identity = states.peek(tmp_path / "first")["identity"]
    lines = []
    (tmp_path / "nothing").mkdir()
    states.take_over([tmp_path / "first", tmp_path / "second", tmp_path / "nothing"], run, identity, lines.append)
    assert lines == [f"going on from {tmp_path / 'second'}: 2 epochs"]
    assert [path.name for path in run.iterdir()] == [states.STATE]
    assert states.peek(run)["progress"]["epoch"] == 2


def test_a_finished_earlier_run_is_taken_over_whole(unbroken, begun, tmp_path):
    after_one_epoch(begun)
    shutil.move(begun / "run", tmp_path / "unfinished")
    films = training_program.material(begun)
    folders = [tmp_path / "unfinished", unbroken / "run"]
    lines = []
    run = training.train_fold(training_program.RECIPE, films, made.folds(films), 0, begun / "run", previous=folders, say=lines.append)
    assert lines == [f"going on from {unbroken / 'run'}: finished"]
    assert run.record == runs.load(unbroken / "run").record


def test_what_no_one_can_read_is_passed_over_with_a_warning(begun, tmp_path):
    run = after_one_epoch(begun)
    for name, content in (("state", {runs.STATE: b"no zip"}), ("record", {runs.RECORD: b"{}"}), ("list", {runs.RECORD: b"[]"})):
        (tmp_path / name).mkdir()
        for file, data in content.items():
            (tmp_path / name / file).write_bytes(data)
    (tmp_path / "out").mkdir()
    lines = []
    folders = [tmp_path / "state", tmp_path / "record", tmp_path / "list", run]
    states.take_over(folders, tmp_path / "out", states.peek(run)["identity"], lines.append)
    assert [line.startswith("warning: passed over: ") for line in lines] == [True, True, True, False]
    assert (tmp_path / "out" / runs.STATE).read_bytes() == (run / runs.STATE).read_bytes()


def test_an_earlier_session_that_cannot_be_copied_is_a_clear_error(begun, tmp_path, monkeypatch):
    run = after_one_epoch(begun)

    def full(source, place):
        place.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(states.shutil, "copyfileobj", full)
    (tmp_path / "out").mkdir()
    with pytest.raises(RunError, match="cannot be copied to .*: No space left on device; make room"):
        states.take_over([run], tmp_path / "out", states.peek(run)["identity"], lambda line: None)
    assert not list((tmp_path / "out").iterdir())


def test_other_versions_of_packages_are_told_and_stored(begun, monkeypatch):
    after_one_epoch(begun)
    monkeypatch.setattr(runs, "versions", lambda: {"keras": "9.9"})
    lines = []
    training_program.session(begun, 0, lines.append)
    found = next(line for line in lines if line.startswith("warning: the last session had "))
    assert "keras 3." in found
    sessions = states.peek(begun / "run")["progress"]["sessions"]
    assert [each["epoch"] for each in sessions] == [0, 1]
    assert sessions[1]["versions"] == {"keras": "9.9"}


def test_what_is_said_about_a_recipe_decides_nothing(begun):
    run = after_one_epoch(begun)
    identity = states.peek(run)["identity"]
    states.require(identity, identity | {"recipe": identity["recipe"] | {"about": "in other words"}}, run)


def test_earlier_sessions_of_other_trainings_are_passed_over_or_refused(unbroken, tmp_path):
    stored = states.identity(training_program.RECIPE, 0, runs.load(unbroken / "run").record["split"])
    for wanted in (stored | {"fold": 1}, stored | {"recipe": stored["recipe"] | {"name": "other"}}):
        states.take_over([unbroken / "run"], tmp_path, wanted, say=None)
        assert not list(tmp_path.iterdir())
    for wanted in (stored | {"recipe": stored["recipe"] | {"seed": 1}}, stored | {"split": {}}):
        with pytest.raises(RunError, match="another training"):
            states.take_over([unbroken / "run"], tmp_path, wanted, say=None)


class Timed(fitting.Session):
    """A session whose clock goes on by hand."""

    def __init__(self, left):
        super().__init__()
        self.deadline = self
        self.seconds = left

    def left(self):
        return self.seconds


def timed_epochs(left, epochs=1, timings=()):
    session = Timed(left)
    session.epochs = epochs
    recipe = replace(training_program.RECIPE, flip_average=False)
    progress = states.Progress(timings=list(timings))
    return fitting.Epochs(recipe, progress, [], session, save=None, say=None)


EPOCH = {"phase": 1, "seconds": 100.0, "validation": 10.0, "saving": 5.0}
NEEDED = 1.2 * 100 + 1.2 * (2 * 5 + 10) + 5  # an epoch, and what saving and finishing take


@pytest.mark.parametrize(("left", "starts"), [(NEEDED + 1, True), (NEEDED - 1, False)])
def test_an_epoch_starts_only_if_it_and_the_end_fit(left, starts):
    epochs = timed_epochs(left, timings=[EPOCH])
    if starts:
        epochs.on_epoch_begin(1)
    else:
        with pytest.raises(fitting.OutOfTime):
            epochs.on_epoch_begin(1)


def test_the_first_epoch_of_a_session_always_starts_and_ends():
    epochs = timed_epochs(-5, epochs=0, timings=[EPOCH])
    epochs.on_epoch_begin(1)
    epochs.on_train_batch_end(0)


def test_an_epoch_of_a_new_phase_is_given_up_before_the_time_to_save_is_gone():
    epochs = timed_epochs(40, timings=[EPOCH | {"phase": 0}])
    epochs.on_epoch_begin(1)  # nobody knows how long it takes
    epochs.session.seconds = 28
    with pytest.raises(fitting.OutOfTime):
        epochs.on_train_batch_end(3)


def test_sessions_without_a_limit_last():
    session = fitting.Session()
    session.epochs = 5
    assert session.lasts(1e9)
    assert not fitting.Session(clock.after(-1)).deadline.left() > 0
