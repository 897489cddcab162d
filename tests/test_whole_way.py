"""From real films at a desk to a score read back: this project's commands, the real Kaggle client, and a Kaggle that runs kernels.

The client is told of the loopback service by environment variables alone. Two folds are trained as two kernels; one of them is
stopped by its budget and goes on in a second session.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from siim_kernel import hashes, runs
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.storing import to_dict
from tests.loopback.folders import COMPETITION
from tests.loopback.service import USER, Service

CHECKOUT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "requirements.lock")
SOURCES += ("siim_kernel", "scripts", "train_kernels", "inference_kernel", "datasets-metadata")
TINY = ("--recipe", "tiny", "--set", "IMAGENET=None")  # it starts from no weights, so none are attached
TRAIN, CALIBRATION = "siim-kernel-train-tiny-fold", "siim-kernel-train-tiny-calibrate"
# The first session's end is the start of TensorFlow: one epoch is always trained, and then the time is up.
TOO_SHORT = 0.0015  # hours


@pytest.fixture(scope="module")
def films(real_data, tmp_path_factory):
    """Real radiographs in the competition's form: a folder with competition/ and solution.csv."""
    tool = real_data.parent / "tools" / "real_competition.py"
    if not tool.is_file():
        pytest.skip(f"there is no {tool} to lay real films out as the competition")
    out = tmp_path_factory.mktemp("films")
    subprocess.run([sys.executable, tool, out, "--pack", real_data, "--limit", "60", "--long-side", "192"], check=True)
    return out


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this checkout, so that nothing of the user's is touched, with its wheels built as a user does."""
    folder = tmp_path_factory.mktemp("desk") / "checkout"
    folder.mkdir()
    for name in SOURCES:
        leave = shutil.ignore_patterns("__pycache__")
        place = folder / name
        _ = shutil.copytree(CHECKOUT / name, place, ignore=leave) if (CHECKOUT / name).is_dir() else shutil.copyfile(CHECKOUT / name, place)
    built = subprocess.run([sys.executable, folder / "scripts" / "build_wheels.py"], capture_output=True, text=True)
    if built.returncode and "pip failed" in built.stderr and list(folder.glob("build/code/*.whl")):
        pytest.skip(f"the wheels cannot be downloaded here: {built.stdout[-500:]}")
    assert built.returncode == 0, built.stderr
    return folder


class Desk:
    """A person at a desk: `do` gives a command of this project and expects it to succeed."""

    def __init__(self, checkout, service):
        self.checkout, self.service = checkout, service

    def try_(self, *words):
        """The finished `siim-kernel WORDS`."""
        command = [sys.executable, "-m", "siim_kernel.cli", *map(str, words)]
        return subprocess.run(command, cwd=self.checkout, env=self.service.environment, capture_output=True, text=True, timeout=300)

    def do(self, *words):
        """Standard output and error of `siim-kernel WORDS`, one after the other."""
        done = self.try_(*words)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def run_kernels(self, *expected, layout="new"):
        """Runs what is queued; the logs of the kernels, which must be those of these slugs and succeed."""
        done = self.service.run_kernels(layout=layout)
        logs = [self.do("status", slug) if status == "COMPLETE" else self.try_("status", slug).stderr for slug, _, status in done]
        assert [(slug, status) for slug, _, status in done] == [(f"{USER}/{slug}", "COMPLETE") for slug in expected], "\n".join(logs)
        return ["\n".join(self.log(slug)) for slug in expected]

    def log(self, slug):
        """The lines of a kernel's newest log, as Kaggle keeps it."""
        number = len(self.service.kernel(f"{USER}/{slug}")["versions"])
        return [entry["data"].rstrip() for entry in json.loads((self.place(slug, number) / "log.json").read_text())]

    def place(self, slug, number=1):
        """Where the service keeps a version of a kernel."""
        return self.service.store.kernel_folder(USER, slug) / str(number)

    def sources(self, slug, kind):
        """The slugs of the sources that the newest version of a kernel has."""
        return {ref.split("/")[-1] for ref in self.service.kernel(f"{USER}/{slug}")["versions"][-1]["sources"][kind]}


def hasty_calibration(path):
    """A calibration by which the training takes no time: a promise that is not kept, so that the training must stop by itself."""
    phases = [{"step": 1e-6, "compiling": 0.0}] * 2
    told = {"format": 1, "recipe": to_dict(catalogue.by_name("tiny")), "devices": ["/physical_device:GPU:0"], "device_names": ["T4"]}
    told |= {"films": {"learning": 36, "validating": 9, "all": 45}, "phases": phases, "validation": 1e-6, "finishing": 0.0}
    path.write_text(json.dumps(told | {"saving": 0.0, "building": 0.0}))
    return path


@pytest.mark.slow
@pytest.mark.real
def test_from_real_films_to_a_score_read_back(films, checkout, tmp_path):
    with Service(tmp_path / "service") as service:
        service.add_competition(COMPETITION, films / "competition", films / "solution.csv")
        desk = Desk(checkout, service)
        build_image_sets(desk)
        calibrate(desk)
        train_two_folds(desk, hasty_calibration(tmp_path / "calibration.json"))
        publish_weights(desk)
        predict_and_submit(desk, films)
        assert not service.strangers, "the client wanted to reach another host"


def build_image_sets(desk):
    for name in ("code", "wheels"):
        assert "names, sizes and hashes compared" in desk.do("publish", name)
    assert "internet off" in desk.do("push", "images", "--set", 'RECIPES=("tiny",)')
    (log,) = desk.run_kernels("siim-kernel-images")
    assert "42 images, 0 films not read" in log
    assert "(names, sizes and hashes)" in desk.do("fetch", "images")
    fetched = desk.checkout / "build/output/images"
    hashes.verify_hashes(fetched, ["siim-kernel-images.log"])
    assert (fetched / "images/images.csv").is_file()


def calibrate(desk):
    desk.do("push", "train", *TINY, "--calibrate")
    (log,) = desk.run_kernels(CALIBRATION)
    assert "calibrated: /kaggle/working/calibration.json" in log
    desk.do("fetch", CALIBRATION)
    assert "measured: " in desk.do("plan", "tiny", "--calibration", f"build/output/{CALIBRATION}/calibration.json")


def train_two_folds(desk, calibration):
    first = desk.do("push", "train", *TINY, "--fold", 0, "--max-hours", TOO_SHORT, "--calibration", calibration)
    assert "measured: " in first
    assert "ASSUMED" not in first
    measured = f"build/output/{CALIBRATION}/calibration.json"
    assert f"measured: {measured}: CPU" in desk.do("push", "train", *TINY, "--fold", 1, "--max-hours", 0.5, "--calibration", measured)
    stopped, whole = desk.run_kernels(f"{TRAIN}0", f"{TRAIN}1")
    assert "unfinished after 1 epochs" in stopped
    assert "trained " in whole
    left = desk.place(f"{TRAIN}0") / "output"
    hashes.verify_hashes(left)
    assert (left / "runs/fold-0" / runs.STATE).is_file()
    assert not (left / "runs/fold-0" / runs.RECORD).exists()

    again = desk.do("push", "train", *TINY, "--fold", 0, "--max-hours", 0.5)
    assert "ASSUMED: " in again
    assert f"{USER}/{TRAIN}0-b" in again
    assert desk.sources(f"{TRAIN}0-b", "kernel") == {"siim-kernel-images", f"{TRAIN}0"}
    (gone_on,) = desk.run_kernels(f"{TRAIN}0-b")
    assert "going on after 1 epochs" in gone_on
    assert "trained " in gone_on
    for fold in (0, 1):
        desk.do("fetch", "train", "--recipe", "tiny", "--fold", fold)
    found = [runs.load(desk.checkout / f"build/output/{TRAIN}{fold}/runs/fold-{fold}") for fold in (0, 1)]
    assert [(run.recipe.name, run.fold) for run in found] == [("tiny", 0), ("tiny", 1)]
    assert [len(run.record["training"]["sessions"]) for run in found] == [2, 1]


def publish_weights(desk):
    outputs = [f"build/output/{TRAIN}{fold}" for fold in (0, 1)]
    assert "tiny: folds 0, 1, every file verified" in desk.do("join", *outputs, "--out", "build/joined")
    desk.do("publish", "trained-weights", "--folder", "build/joined")
    there = desk.service.dataset_files(f"{USER}/siim-kernel-trained-weights")
    assert {f"fold-{fold}/{name}" for fold in (0, 1) for name in (runs.RECORD, runs.WEIGHTS)} <= there.keys()


def predict_and_submit(desk, films):
    desk.do("push", "inference")
    assert desk.sources("siim-kernel-inference", "dataset") == {f"siim-kernel-{name}" for name in ("code", "wheels", "trained-weights")}
    (log,) = desk.run_kernels("siim-kernel-inference", layout="old")  # all others are mounted as pushes since 2026 are
    place = "/kaggle/input/siim-kernel-trained-weights"
    assert f"runs: {place}/fold-0, {place}/fold-1" in log
    assert "submission.csv is valid" in log
    desk.do("fetch", "inference")
    told = desk.do("submit", "--message", "two folds")
    (submission,) = desk.service.submissions(COMPETITION)
    by_slow_metric = submission["outcome"]["publicScore"]
    assert f"COMPLETE: public {by_slow_metric}, private {by_slow_metric}" in told

    output = desk.checkout / "build/output/inference"
    assert json.loads((output / "submission.json").read_text())["publicScore"] == by_slow_metric
    assert (output / "submission.csv").read_text() == desk.service.submission_text(submission["ref"])
    scored = desk.do("score", output / "submission.csv", "--solution", films / "solution.csv", "--json")
    score = json.loads(re.search(r"^\{.*\}$", scored, re.MULTILINE)[0])["mAP"]
    assert f"{score:.5f}" == by_slow_metric
    assert score > 0
