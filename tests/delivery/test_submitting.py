"""Submitting with the real Kaggle client against the loopback Kaggle."""

import json

import pytest

from siim_kernel.delivery import steps, submitting
from siim_kernel.errors import DeliveryError
from tests.delivery.made_kaggle import COMPETITION, SOLUTION, at_a_desk

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path):
    with at_a_desk(tmp_path) as desk:
        desk.ref = desk.have_kernel("siim-kernel-inference", submission_csv=SOLUTION)
        yield desk


def submit(desk, **options):
    return steps.submit(desk.client, desk.manifest, desk.ref, folder=desk.folder / "scored", say=desk.said.append, **options)


def test_all_five_arguments_arrive_and_the_score_is_written(desk):
    desk.service.polls_until_scored = 3
    row = submit(desk)
    (request,) = desk.service.requests("CreateCodeSubmission")
    assert request.body == {
        "competitionName": COMPETITION,
        "kernelOwner": "ada-example",
        "kernelSlug": "siim-kernel-inference",
        "kernelVersion": 1,
        "fileName": "submission.csv",
        "submissionDescription": f"siim-kernel [{desk.ref} v1]",
    }
    written = json.loads((desk.folder / "scored" / "submission.json").read_text())
    assert written["publicScore"] == written["privateScore"] == row["publicScore"] == "1.00000"
    assert (written["kernel"], written["competition"], written["status"]) == (desk.ref, COMPETITION, "COMPLETE")
    assert desk.slept[:2] == [30, 45.0]


def test_a_version_is_submitted_once(desk):
    first = submit(desk)
    assert submit(desk)["ref"] == first["ref"]
    assert len(desk.service.submissions()) == 1
    assert submit(desk, again=True)["ref"] != first["ref"]
    desk.have_kernel("siim-kernel-inference", submission_csv=SOLUTION)
    assert submit(desk)["description"].endswith("v2]")
    assert len(desk.service.submissions()) == 3


@pytest.mark.parametrize("kind", ["reset-after", "truncated"])
def test_a_submission_whose_answer_is_lost_is_found_in_the_list_and_not_sent_again(desk, kind):
    desk.service.inject("CreateCodeSubmission", kind)
    assert submit(desk)["status"] == "COMPLETE"
    assert len(desk.service.requests("CreateCodeSubmission")) == len(desk.service.submissions()) == 1


@pytest.mark.parametrize("kind", [400, 500, "reset"])
def test_a_submission_that_did_not_arrive_is_an_error_and_not_sent_again(desk, kind):
    desk.service.inject("CreateCodeSubmission", kind)
    with pytest.raises(DeliveryError, match="not submitted: .*Look there before you try again"):
        submit(desk)
    assert len(desk.service.requests("CreateCodeSubmission")) == 1
    assert not (desk.folder / "scored").exists()


def test_the_submission_of_before_is_not_taken_for_another_that_did_not_arrive(desk):
    submit(desk)
    desk.service.inject("CreateCodeSubmission", 500)
    with pytest.raises(DeliveryError, match="not submitted"):
        submit(desk, again=True)
    assert len(desk.service.submissions()) == 1


def test_the_days_submissions_are_counted_before_one_is_spent(desk):
    for number in range(5):
        document = {"ref": 500 + number, "competition": COMPETITION, "date": f"{today()}T01:00:00Z", "description": "by hand"}
        desk.service.store.save_submission(document | {"fileName": "x", "totalBytes": 1, "polls": 0, "outcome": {"status": "COMPLETE"}})
    with pytest.raises(DeliveryError, match="no submission is left today; the day ends at 00:00 UTC"):
        submit(desk)
    assert desk.service.requests("CreateCodeSubmission") == []


def today():
    from tests.loopback.store import now

    return now()[:10]


@pytest.mark.parametrize(
    ("status", "files", "reason"),
    [("RUNNING", {}, "wait for it"), ("ERROR", {}, "is ERROR"), ("COMPLETE", {"a_txt": "a"}, "left no submission.csv")],
)
def test_nothing_is_spent_on_a_kernel_that_has_nothing_to_submit(desk, status, files, reason):
    desk.have_kernel("siim-kernel-inference", status=status, **files)
    with pytest.raises(DeliveryError, match=reason):
        submit(desk)
    assert desk.service.requests("CreateCodeSubmission") == []


def test_an_older_version_is_submitted_whatever_became_of_the_newest(desk):
    desk.have_kernel("siim-kernel-inference", status="ERROR")
    assert submit(desk, version=1)["description"].endswith("v1]")
    assert any("version 1 of" in line and "is not the newest" in line for line in desk.said)


def test_a_submission_that_kaggle_could_not_score_is_an_error(desk):
    desk.service.inject("CreateCodeSubmission", "failed")
    with pytest.raises(DeliveryError, match=r"ended as an error.*My Submissions"):
        submit(desk)


def test_patience_ends(desk):
    desk.service.polls_until_scored = 99
    row = submit(desk, wait=False)
    assert row["status"] == "PENDING"
    with pytest.raises(DeliveryError, match="is pending after"):
        submitting.score(desk.client, COMPETITION, row, desk.said.append, patience=100)


def test_dry_run_tells_and_asks_nothing(desk):
    assert steps.submit(None, desk.manifest, desk.ref, 4, say=desk.said.append) is None
    assert f"-k {desk.ref} -v 4 -f submission.csv -m 'siim-kernel [{desk.ref} v4]'" in desk.said[0]
    assert desk.service.log == []
