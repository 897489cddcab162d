"""From films at a desk to a score read back: this project's commands, the real Kaggle client, and a Kaggle that runs kernels.

The client is told of the loopback service by environment variables alone. Two folds are trained as two kernels; one of them is
stopped by its budget and goes on in a second session. The submitted kernel is run again on films that it has not seen, and has one
score for the public part of them and another for the private part. On real films where SIIM_KERNEL_REAL_DATA names some.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from siim_kernel import hashes, runs
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.storing import to_dict
from tests.loopback import scoring
from tests.loopback.folders import COMPETITION
from tests.loopback.service import USER, Service

TINY = ("--recipe", "tiny", "--set", "IMAGENET=None")  # it starts from no weights, so none are attached
TRAIN, CALIBRATION = "siim-kernel-train-tiny-fold", "siim-kernel-train-tiny-calibrate"
# The first session's end is the start of TensorFlow: one epoch is always trained, and then the time is up.
TOO_SHORT = 0.0015  # hours


@dataclass(frozen=True)
class Films:
    """A competition before and at its scoring.

    shown, hidden   the competition's folder as mounted at a push, and as a submission is run again on: with other test films
    solution        of the hidden ones, with Usage; `of` has it with one usage alone, the other rows Ignored
    """

    shown: Path
    hidden: Path
    solution: Path
    of: dict


def real_films(out):
    """Real radiographs in the competition's form in the folder `out`; False where there are none here."""
    data = os.environ.get("SIIM_KERNEL_REAL_DATA")
    tool = Path(data or "").parent / "tools" / "real_competition.py"
    if not data or not tool.is_file():
        return False
    subprocess.run([sys.executable, tool, out, "--pack", data, "--limit", "60", "--long-side", "192"], check=True)
    return True


@pytest.fixture(scope="module")
def films(request, tmp_path_factory):
    made = tmp_path_factory.mktemp("films") / "made"
    if not real_films(made):
        made = request.getfixturevalue("phantom")
    test = made / "competition" / "test"
    studies = sorted(path.name for path in test.iterdir())
    # Both folds' networks are as good as chance: each of the three parts must have films of several classes.
    parts = {"shown": studies[::3], "hidden": [name for place, name in enumerate(studies) if place % 3]}
    folders = {name: part_of(made / "competition", made.parent / name, kept) for name, kept in parts.items()}
    usage = {name: ("Public", "Private")[place % 2] for place, name in enumerate(parts["hidden"])}
    study = {path.stem: path.parts[-3] for path in test.rglob("*.dcm")} | {name: name for name in studies}
    header, *rows = csv.reader((made / "solution.csv").read_text().splitlines())
    assert header == ["id", "PredictionString", "Usage"]
    rows = [
        [name, truth, told if told == "Ignored" else usage[study[bare(name)]]] for name, truth, told in rows if study[bare(name)] in usage
    ]
    solution = write_rows(made.parent / "hidden.csv", [header, *rows])
    of = {
        each: write_rows(made.parent / f"{each}.csv", [header, *([*row[:2], row[2] if row[2] == each else "Ignored"] for row in rows)])
        for each in ("Public", "Private")
    }
    return Films(folders["shown"], folders["hidden"], solution, of)


def bare(name):
    """A row's id without what says that it is of a study or of an image."""
    return name.rsplit("_", 1)[0]


def part_of(competition, out, studies):
    """A competition's folder whose test films are those of some studies; the files are the same ones."""
    shutil.copytree(competition, out, copy_function=os.link, ignore=lambda place, names: names if Path(place).name == "test" else ())
    for name in studies:
        shutil.copytree(competition / "test" / name, out / "test" / name, copy_function=os.link)
    kept = {*studies, *(path.stem for path in (out / "test").rglob("*.dcm"))}
    header, *rows = csv.reader((competition / "sample_submission.csv").read_text().splitlines())
    (out / "sample_submission.csv").unlink()  # or the original would be written to
    write_rows(out / "sample_submission.csv", [header, *(row for row in rows if bare(row[0]) in kept)])
    return out


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


@pytest.fixture(scope="module")
def checkout(built_checkout, tmp_path_factory):
    """A copy of this checkout, so that nothing of the user's is touched, with its wheels."""
    return shutil.copytree(built_checkout, tmp_path_factory.mktemp("desk") / "checkout")


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
def test_from_films_to_a_score_read_back(films, checkout, tmp_path):
    with Service(tmp_path / "service") as service:
        service.add_competition(COMPETITION, films.shown, films.solution, hidden=films.hidden)
        desk = Desk(checkout, service)
        build_image_sets(desk, len(list((films.shown / "train").rglob("*.dcm"))))
        calibrate(desk)
        train_two_folds(desk, hasty_calibration(tmp_path / "calibration.json"))
        publish_weights(desk)
        predict_and_submit(desk, films)
        assert not service.strangers, "the client wanted to reach another host"


def build_image_sets(desk, count):
    for name in ("code", "wheels"):
        assert "names, sizes and hashes compared" in desk.do("publish", name)
    assert "internet off" in desk.do("push", "images", "--set", 'RECIPES=("tiny",)')
    (log,) = desk.run_kernels("siim-kernel-images")
    assert f"{count} images, 0 films not read" in log
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
    predicted = (desk.checkout / "build/output/inference/submission.csv").read_text()
    check_submission(desk, films, predicted)


def check_submission(desk, films, predicted):
    """Submitted once, scored on films that the pushed session has not seen, and both scores read back."""
    assert "COMPLETE" not in desk.do("submit", "--no-wait", "--message", "two folds")
    (submission,) = desk.service.submissions(COMPETITION)
    assert submission["outcome"] is None
    desk.service.run_kernels()
    told = desk.do("submit")
    assert len(desk.service.requests("CreateCodeSubmission")) == len(desk.service.submissions()) == 1
    outcome = desk.service.submissions(COMPETITION)[0]["outcome"]
    assert outcome["status"] == "COMPLETE"
    scores = {"Public": outcome["publicScore"], "Private": outcome["privateScore"]}
    assert f"COMPLETE: public {scores['Public']}, private {scores['Private']}" in told
    assert scores["Public"] != scores["Private"]
    (kept,) = (desk.checkout / "build/submissions").glob("*.json")
    record = json.loads(kept.read_text())
    assert (record["publicScore"], record["privateScore"]) == tuple(scores.values())

    rerun = desk.checkout / "build" / "rerun.csv"
    rerun.write_text(desk.service.submission_text(submission["ref"]))
    assert ids(rerun.read_text()) == ids(films.solution.read_text())
    assert not ids(rerun.read_text()) & ids(predicted)
    for usage, score in scores.items():
        assert f"{scoring.score(rerun, films.solution, usage):.5f}" == score
        scored = desk.do("score", rerun, "--solution", films.of[usage], "--json")
        found = json.loads(re.search(r"^\{.*\}$", scored, re.MULTILINE)[0])["mAP"]
        assert f"{found:.5f}" == score
        assert found > 0


def ids(text):
    """The ids of a submission or solution."""
    return {row[0] for row in csv.reader(text.splitlines()[1:])}
