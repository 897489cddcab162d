"""Submitting with the real Kaggle client against the loopback Kaggle."""

import json

import pytest

from siim_kernel.delivery import steps, submitting
from siim_kernel.delivery.pushes import PLACE, Push, Pushes
from siim_kernel.errors import DeliveryError
from tests.delivery.made_kaggle import COMPETITION, SOLUTION, USER, at_a_desk

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path):
    with at_a_desk(tmp_path) as desk:
        desk.ref = have_version(desk, submission_csv=SOLUTION)
        yield desk


def have_version(desk, status="COMPLETE", record=True, **files):
    """A version of the inference kernel that was pushed, from this checkout where it is to be in its record."""
    document = desk.service.kernel(f"{USER}/siim-kernel-inference")
    number = 1 + len(document["versions"] if document else ())
    when, stamp = f"2026-01-01 10:00:0{number}.000000", f"{number:032x}"
    ref = desk.have_kernel("siim-kernel-inference", status, source=f"# pushed {when} UTC, {stamp}\n", **files)
    if record:
        Pushes(desk.checkout / PLACE, ref).keep(Push(ref, stamp, when, number))
    return ref


def submit(desk, **options):
    return steps.submit(desk.client, desk.manifest, desk.ref, say=desk.said.append, **options)


def record(desk, version=1):
    return desk.checkout / "build" / "submissions" / f"siim-kernel-inference-v{version}.json"


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
    written = json.loads(record(desk).read_text())
    assert written["publicScore"] == written["privateScore"] == row["publicScore"] == "1.00000"
    assert (written["kernel"], written["version"], written["competition"], written["status"]) == (desk.ref, 1, COMPETITION, "COMPLETE")
    assert desk.slept[:2] == [30, 45.0]


def test_a_version_is_submitted_once(desk):
    first = submit(desk)
    assert submit(desk)["ref"] == first["ref"]
    assert len(desk.service.submissions()) == 1
    assert submit(desk, again=True)["ref"] != first["ref"]
    have_version(desk, submission_csv=SOLUTION)
    assert submit(desk)["description"].endswith("v2]")
    assert len(desk.service.submissions()) == 3
    assert json.loads(record(desk, 1).read_text())["ref"] != json.loads(record(desk, 2).read_text())["ref"]


def test_a_folder_of_ones_own_for_the_score(desk):
    submit(desk, folder=desk.folder / "scored")
    assert json.loads((desk.folder / "scored" / "siim-kernel-inference-v1.json").read_text())["status"] == "COMPLETE"
    assert not record(desk).exists()


@pytest.mark.parametrize("kind", ["reset-after", "truncated"])
def test_a_submission_whose_answer_is_lost_is_found_in_the_list_and_not_sent_again(desk, kind):
    desk.service.inject("CreateCodeSubmission", kind)
    assert submit(desk)["status"] == "COMPLETE"
    assert len(desk.service.requests("CreateCodeSubmission")) == len(desk.service.submissions()) == 1


@pytest.mark.parametrize("kind", [400, 500, "reset"])
def test_a_submission_that_did_not_arrive_is_an_error_and_not_sent_again(desk, kind):
    desk.service.inject("CreateCodeSubmission", kind)
    with pytest.raises(
        DeliveryError, match=r"not submitted: 400" if kind == 400 else "is not confirmed: .*may be spent: look there before"
    ):
        submit(desk)
    assert len(desk.service.requests("CreateCodeSubmission")) == 1
    assert record(desk).exists() == (kind != 400), "an attempt is kept in mind unless it was refused"
    desk.slept.clear()
    assert submit(desk)["status"] == "COMPLETE"
    assert len(desk.service.submissions()) == 1


def test_the_submission_of_before_is_not_taken_for_another_that_did_not_arrive(desk):
    submit(desk)
    desk.service.inject("CreateCodeSubmission", 500)
    with pytest.raises(DeliveryError, match="is not confirmed"):
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
    have_version(desk, status=status, **files)
    with pytest.raises(DeliveryError, match=reason):
        submit(desk)
    assert desk.service.requests("CreateCodeSubmission") == []


def test_an_older_version_is_submitted_whatever_became_of_the_newest(desk):
    have_version(desk, status="ERROR")
    assert submit(desk, version=1)["description"].endswith("v1]")
    assert any("version 1 of" in line and "is not the newest (2)" in line and "not asked" in line for line in desk.said)
    assert desk.service.requests("GetKernelSessionStatus") == []


def test_a_version_that_is_not_known_here_is_asked_for_by_its_number(desk):
    have_version(desk, record=False, submission_csv=SOLUTION)
    with pytest.raises(DeliveryError, match="the number of the newest version of .* is not known here.*siim-kernel submit N"):
        submit(desk)
    assert submit(desk, version=2)["description"].endswith("v2]")
    assert any(
        "which version of" in line and "is not known here, so whether version 2 is complete is not asked" in line for line in desk.said
    )
    assert all("/" not in request.body["kernelSlug"] for request in desk.service.requests("GetKernel"))


def test_a_version_above_the_newest_is_refused(desk):
    with pytest.raises(DeliveryError, match="has no version 99 that is known here: the newest is 1, pushed 2026-01-01"):
        submit(desk, version=99)
    assert desk.service.requests("CreateCodeSubmission") == []


@pytest.mark.parametrize("version", [None, 1])
def test_a_kernel_that_is_hidden_for_once_is_not_taken_for_another_version(desk, version):
    desk.service.inject("GetKernel", 404)
    with pytest.raises(DeliveryError, match="is not on Kaggle, or not to be seen with this token just now; nothing was submitted"):
        submit(desk, version=version)
    assert desk.service.requests("CreateCodeSubmission") == []


def test_a_version_with_the_internet_on_is_refused(desk):
    stamp = "# pushed 2026-01-01 10:00:09.000000 UTC, " + "9" * 32
    desk.service.give_kernel(desk.ref, {"submission.csv": SOLUTION}, stamp, enableInternet=True)
    Pushes(desk.checkout / PLACE, desk.ref).keep(Push(desk.ref, "9" * 32, "2026-01-01 10:00:09.000000", 2))
    with pytest.raises(DeliveryError, match="version 2 has the internet on"):
        submit(desk)
    assert desk.service.requests("CreateCodeSubmission") == []


@pytest.mark.parametrize("told", ["cut", "replaced"])
def test_a_submission_with_another_description_is_the_only_new_one(desk, told):
    desk.service.descriptions = told
    first = submit(desk)
    assert first["status"] == "COMPLETE"
    assert any("is taken for" in line and "the only new one" in line for line in desk.said)
    assert submit(desk)["ref"] == first["ref"]
    have_version(desk, submission_csv=SOLUTION)
    assert submit(desk)["ref"] != first["ref"]
    assert len(desk.service.submissions()) == 2


@pytest.mark.parametrize("told", ["verbatim", "replaced"])
def test_a_submission_that_is_listed_late_is_found_by_the_same_command(desk, told):
    desk.service.descriptions, desk.service.polls_until_listed = told, 99
    with pytest.raises(DeliveryError, match="It was sent and may be spent.*The same command again is safe"):
        submit(desk)
    desk.service.list_all()
    assert submit(desk)["status"] == "COMPLETE"
    assert len(desk.service.submissions()) == len(desk.service.requests("CreateCodeSubmission")) == 1


def test_a_question_that_fails_after_the_act_says_that_it_may_be_spent(desk):
    desk.service.inject("ListSubmissions", 500, times=99, since="CreateCodeSubmission")
    with pytest.raises(
        DeliveryError, match="was sent and may be spent, but the list of submissions cannot be read. The same command again"
    ):
        submit(desk)
    desk.service.faults.clear()
    assert submit(desk)["status"] == "COMPLETE"
    assert len(desk.service.submissions()) == 1


def by_hand(desk, ref, description="Version 1"):
    document = {"ref": ref, "competition": COMPETITION, "date": f"{today()}T01:00:00Z", "description": description, "unlisted": 0}
    document |= {"fileName": "x", "totalBytes": 1, "polls": 0, "outcome": {"status": "COMPLETE", "publicScore": "1", "privateScore": "1"}}
    desk.service.store.save_submission(document)


def test_several_that_may_be_it_are_named_and_nothing_is_spent(desk):
    desk.service.inject("CreateCodeSubmission", "reset")
    with pytest.raises(DeliveryError, match="is not confirmed"):
        submit(desk)
    for ref in (501, 502):
        by_hand(desk, ref)
    with pytest.raises(DeliveryError, match=r"may be any of these new submissions.*50[12] of .*50[12] of .*--again submits"):
        submit(desk)
    assert len(desk.service.requests("CreateCodeSubmission")) == 1
    assert submit(desk, again=True)["ref"] not in (501, 502)


def test_a_submission_of_another_version_is_not_taken_for_this_one(desk):
    desk.service.inject("CreateCodeSubmission", "reset")
    with pytest.raises(DeliveryError, match="is not confirmed"):
        submit(desk)
    by_hand(desk, 501, f"siim-kernel [{desk.ref} v7]")
    assert submit(desk)["ref"] != 501
    assert len(desk.service.submissions()) == 2


def test_a_version_whose_submission_failed_may_be_tried_again(desk):
    desk.service.inject("CreateCodeSubmission", "failed")
    for _ in range(2):
        with pytest.raises(DeliveryError, match="ended as an error.*once more with --again"):
            submit(desk)
    assert any("it ended as an error, and --again submits it once more" in line for line in desk.said)
    assert submit(desk, again=True)["status"] == "COMPLETE"


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
