"""The loopback service's competitions, as the real client sees them: files, submissions, limits, scores."""

import pytest

from tests.loopback.folders import COMPETITION, ROWS, table
from tests.loopback.service import USER

KERNEL = f"{USER}/small-kernel"
OUTPUT = {"submission.csv": ROWS}


def test_competition_files(service, kaggle, competition, tmp_path):
    rows = table(kaggle("competitions", "files", COMPETITION, "-v"))
    assert {row["name"]: row["size"] for row in rows} == {"sample_submission.csv": str(len(ROWS)), "train/film.dcm": "1000"}
    assert kaggle("competitions", "download", COMPETITION, "-f", "train/film.dcm", "-p", tmp_path / "one").returncode == 0
    assert (tmp_path / "one/film.dcm").read_bytes() == bytes(1000)
    assert kaggle("competitions", "download", COMPETITION, "-p", tmp_path / "all").returncode == 0
    assert (tmp_path / f"all/{COMPETITION}.zip").exists()


def submit(kaggle, version=1, name="submission.csv"):
    return kaggle("competitions", "submit", COMPETITION, "-k", KERNEL, "-v", version, *(("-f", name) if name else ()), "-m", "tried")


def test_a_kernel_version_is_submitted_and_scored(service, kaggle, competition):
    service.give_kernel(KERNEL, OUTPUT)
    service.polls_until_scored = 1
    run = submit(kaggle)
    assert (run.returncode, run.stdout) == (0, f"4 submissions remaining today.\nSuccessfully submitted to {COMPETITION}")
    statuses = [table(kaggle("competitions", "submissions", COMPETITION, "-v")) for _ in range(2)]
    assert [rows[0]["status"] for rows in statuses] == ["SubmissionStatus.PENDING", "SubmissionStatus.COMPLETE"]
    row = statuses[1][0]
    assert (row["description"], row["fileName"], row["publicScore"]) == ("tried", "submission.csv", "1.00000")
    limits = kaggle("competitions", "submission-limits", COMPETITION).stdout
    assert limits.splitlines() == ["Submissions today: 1", "Lifetime submissions: 1", "Remaining today: 4"]


@pytest.mark.parametrize(
    ("fields", "files", "version", "name"),
    [
        ({"enableInternet": True}, OUTPUT, 1, "submission.csv"),
        ({}, {"other.csv": ""}, 1, "submission.csv"),
        ({}, OUTPUT, 2, "submission.csv"),
        ({}, OUTPUT, 1, None),
    ],
)
def test_submissions_that_are_refused(service, kaggle, competition, fields, files, version, name):
    service.give_kernel(KERNEL, files, **fields)
    run = submit(kaggle, version, name)
    assert run.returncode == 1
    assert "Client Error" in run.stderr
    assert service.submissions() == []


def test_the_daily_allowance(service, kaggle, competition, tmp_path):
    service.add_competition(COMPETITION, competition, tmp_path / "solution.csv", submissions_a_day=1)
    service.give_kernel(KERNEL, OUTPUT)
    assert submit(kaggle).returncode == 0
    second = submit(kaggle)
    assert second.returncode == 1
    assert "400 Client Error" in second.stderr
    assert len(service.submissions()) == 1


def test_a_file_is_refused_or_scored(service, kaggle, competition, tmp_path):
    file = competition / "sample_submission.csv"
    run = kaggle("competitions", "submit", COMPETITION, "-f", file, "-m", "a file")
    assert (run.returncode, service.submissions()) == (1, [])
    service.add_competition(COMPETITION, competition, tmp_path / "solution.csv", notebooks_only=False)
    assert "Successfully submitted" in kaggle("competitions", "submit", COMPETITION, "-f", file, "-m", "a file").stdout
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("id,PredictionString\nb_study,negative 1 0 0 1 1\n")
    kaggle("competitions", "submit", COMPETITION, "-f", wrong, "-m", "wrong")
    rows = table(kaggle("competitions", "submissions", COMPETITION, "-v"))
    assert [row["status"] for row in rows] == ["SubmissionStatus.ERROR", "SubmissionStatus.COMPLETE"]
