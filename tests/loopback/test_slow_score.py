"""The service's own metric, which shares no line with the package's."""

import random

import pytest

from siim_kernel.competition import metric, solutions
from tests.loopback import scoring

UNIT = "0 0 1 1"


def write(path, rows, header="id,PredictionString"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def solution(tmp_path):
    rows = [f"a_study,negative 1 {UNIT},Public", f"b_study,typical 1 {UNIT},Private", "b_image,opacity 1 0 0 10 10,Private"]
    return write(tmp_path / "solution.csv", [*rows, f"c_image,none 1 {UNIT},Ignored"], "id,PredictionString,Usage")


def test_a_score_worked_by_hand(tmp_path, solution):
    rows = [f"a_study,negative 0.4 {UNIT} typical 0.9 {UNIT}", f"b_study,negative 0.6 {UNIT} typical 0.8 {UNIT}"]
    rows += ["b_image,opacity 0.9 0 0 10 5 opacity 0.5 0 0 10 6", f"c_image,none 1 {UNIT}"]
    submission = write(tmp_path / "submission.csv", rows)
    # negative: b before a; typical: a before b; opacity: an overlap of one half is none, the second box finds the truth.
    assert scoring.score(submission, solution) == pytest.approx((1 / 2 + 1 / 2 + 1 / 2) / 3)
    assert scoring.score(submission, solution, "Public") == pytest.approx(1)
    assert scoring.score(submission, solution, "Private") == pytest.approx((1 + 1 / 2) / 2)
    assert scoring.score(submission, solution, "Nobody") is None


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([f"a_study,negative 1 {UNIT}"], "id,PredictionString"),
        ([f"{name},none 1 {UNIT}" for name in ("a_study", "b_study", "b_image", "c_image")], "Id,PredictionString"),
        ([f"{name},none 1 0 0" for name in ("a_study", "b_study", "b_image", "c_image")], "id,PredictionString"),
        ([f"{name},none x {UNIT}" for name in ("a_study", "b_study", "b_image", "c_image")], "id,PredictionString"),
    ],
)
def test_files_that_are_no_submission(tmp_path, solution, rows, header):
    with pytest.raises(scoring.ScoringError):
        scoring.score(write(tmp_path / "submission.csv", rows, header), solution)


def test_it_agrees_with_the_package(tmp_path):
    for seed in range(20):
        chance = random.Random(seed)
        true, predicted = [], []
        for number in range(12):
            true.append(f"{number}_study,{chance.choice(scoring.CLASSES[:4])} 1 {UNIT},{chance.choice(solutions.USAGES)}")
            predicted.append(f"{number}_study," + " ".join(f"{name} {chance.randint(0, 5) / 5} {UNIT}" for name in scoring.CLASSES[:4]))
        for number in range(12):
            corners = [(chance.randint(5, 30), chance.randint(5, 30)) for _ in range(chance.randint(0, 2))]
            boxes = [[left, top, left + 20, top + 20] for left, top in corners]
            text = " ".join(f"opacity 1 {' '.join(map(str, box))}" for box in boxes) or f"none 1 {UNIT}"
            true.append(f"{number}_image,{text},{chance.choice(solutions.USAGES)}")
            moved = [[value + chance.randint(-4, 4) for value in box] for box in boxes for _ in range(2)]
            found = [f"opacity {chance.random()} {' '.join(map(str, box))}" for box in moved]
            predicted.append(f"{number}_image," + " ".join([f"none {chance.random()} {UNIT}", *found]))
        solution = write(tmp_path / "solution.csv", true, "id,PredictionString,Usage")
        submission = write(tmp_path / "submission.csv", predicted)
        expected = metric.score(*metric.read_files(submission, solution)).mAP
        assert scoring.score(submission, solution) == pytest.approx(expected, abs=1e-12)
