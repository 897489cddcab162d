"""Publishing with the real Kaggle client against the loopback Kaggle."""

from pathlib import Path

import pytest

from siim_kernel.delivery import steps
from siim_kernel.delivery.publishing import Published, expected_files
from siim_kernel.errors import DeliveryError
from tests.delivery.made_kaggle import USER, at_a_desk

REF = f"{USER}/siim-kernel-imagenet-weights"
pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path):
    with at_a_desk(tmp_path) as desk:
        yield desk


def publish(desk, **files):
    return steps.publish(desk.client, desk.manifest, "imagenet-weights", desk.files(**files), say=desk.said.append)


def test_creates_then_adds_versions_and_sends_nothing_twice(desk):
    assert publish(desk, a_h5=b"one", sub__b_txt="two") == Published(REF, 1, 3, True)
    assert set(desk.service.dataset_files(REF)) == {"a.h5", "sub/b.txt", "files.sha256.json"}
    assert publish(desk, a_h5=b"one", sub__b_txt="two") == Published(REF, 1, 3, False)
    assert publish(desk, a_h5=b"new") == Published(REF, 2, 2, True)
    assert desk.service.dataset_files(REF)["a.h5"].read_bytes() == b"new"
    assert desk.made("CreateDataset") == 1
    assert desk.made("CreateDatasetVersion") == 1


def test_a_version_of_before_is_not_taken_for_one_that_did_not_arrive(desk):
    publish(desk, a_h5=b"one")
    desk.service.inject("CreateDatasetVersion", 500)
    with pytest.raises(DeliveryError, match="nothing new arrived: 500 Server Error"):
        publish(desk, a_h5=b"two")


def test_waits_for_the_version_before_and_for_its_own(desk):
    desk.service.polls_until_ready = 3
    assert publish(desk, a_h5=b"one").version == 1
    assert desk.slept[:2] == [5, 10]
    desk.service.dataset_polls[tuple(REF.split("/"))] = 2
    desk.service.log.clear()
    assert publish(desk, a_h5=b"two").version == 2
    asked = [request.method for request in desk.service.log if request.method in ("GetDatasetStatus", "StartBlobUpload")]
    assert asked.index("StartBlobUpload") == 3, "a version was sent while the one before was not ready"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("code", "no wheel of siim-kernel for cp311"),
        ("wheels", "no wheel of python-gdcm, imagecodecs, pydicom for cp311"),
        ("imagenet-weights", "should hold one file of weights .* it holds a.txt"),
        ("trained-weights", "holds no finished run"),
    ],
)
def test_what_kernels_would_not_find_in_it_is_told_before_anything_is_staged_or_sent(desk, name, reason):
    with pytest.raises(DeliveryError, match=f"dataset {name}.*\n.*{reason}"):
        steps.publish(desk.client, desk.manifest, name, desk.files(a_txt="a"), say=desk.said.append)
    assert desk.service.log == []
    assert not (desk.checkout / "build").exists()


def test_a_lost_file_is_named(desk):
    desk.service.inject("upload", 500, only="a.h5")
    with pytest.raises(DeliveryError, match=r"version 1 is not what was sent: a\.h5 is missing"):
        publish(desk, a_h5=b"one", b_txt=b"two")
    assert publish(desk, a_h5=b"one", b_txt=b"two").version == 2


def test_changed_bytes_of_the_same_size_are_found(desk):
    desk.service.inject("upload", "wrong-bytes", only="a.h5")
    with pytest.raises(DeliveryError, match=r"version 1 is not what was sent: changed: a\.h5 has another SHA-256"):
        publish(desk, a_h5=b"one")
    assert publish(desk, a_h5=b"one").version == 2


@pytest.mark.parametrize("kind", ["reset-after", "truncated"])
def test_an_upload_whose_answer_is_lost_is_asked_for_and_not_sent_again(desk, kind):
    desk.have_dataset("siim-kernel-imagenet-weights", a_h5=b"old")
    desk.service.inject("CreateDatasetVersion", kind)
    assert publish(desk, a_h5=b"one").sent
    assert desk.service.dataset_files(REF)["a.h5"].read_bytes() == b"one"


def test_what_did_not_arrive_is_an_error_with_its_reason(desk):
    desk.service.inject("CreateDataset", 500)
    with pytest.raises(DeliveryError, match="nothing new arrived: 500 Server Error"):
        publish(desk, a_h5=b"one")
    assert desk.service.dataset(REF) is None


def test_a_status_that_cannot_be_had_is_not_taken_for_a_new_dataset(desk):
    desk.have_dataset("siim-kernel-imagenet-weights", a_h5=b"old")
    desk.service.inject("GetDatasetStatus", 500, times=4)
    with pytest.raises(DeliveryError, match="500 Server Error"):
        publish(desk, a_h5=b"one")
    assert desk.made("CreateDataset") == desk.made("CreateDatasetVersion") == 0


def test_a_failed_version_is_an_error(desk):
    desk.service.inject("GetDatasetStatus", "failed", after=0, times=50)
    with pytest.raises(DeliveryError, match="version 1 is 'failed' instead of ready"):
        publish(desk, a_h5=b"one")


def test_nothing_is_sent_while_kaggle_is_still_at_work_on_the_version_before(desk):
    desk.have_dataset("siim-kernel-imagenet-weights", a_h5=b"old")
    desk.service.dataset_polls[tuple(REF.split("/"))] = 10**6
    with pytest.raises(DeliveryError, match=r"version 1 is still 'blobs_received' after 1 h.*nothing was sent. Run the same command again"):
        publish(desk, a_h5=b"one")
    assert desk.service.requests("StartBlobUpload") == []


def test_a_version_that_kaggle_does_not_get_done_with_is_there_and_said_to_be(desk):
    desk.service.polls_until_ready = 10**6
    with pytest.raises(DeliveryError, match=r"version 1 exists, still 'blobs_received' after 1 h; the same command again is safe"):
        publish(desk, a_h5=b"one")
    desk.service.dataset_polls.clear()
    assert publish(desk, a_h5=b"one") == Published(REF, 1, 2, False)


def test_a_question_that_fails_after_the_upload_says_that_it_was_sent(desk):
    desk.client.dataset_files = lambda ref: (_ for _ in ()).throw(DeliveryError("no answer"))
    with pytest.raises(
        DeliveryError, match=r"version 1 is ready, but cannot be compared with what was sent; the same command again is safe"
    ):
        publish(desk, a_h5=b"one")


@pytest.mark.parametrize("lost", [False, True])
def test_files_in_folders_that_are_not_listed_are_proved_by_their_download(desk, lost):
    listed, copied = desk.client.dataset_files, desk.client.dataset_copy
    desk.client.dataset_files = lambda ref: {name: size for name, size in listed(ref).items() if "/" not in name}
    if not lost:
        assert publish(desk, a_h5=b"one", sub__b_txt="two") == Published(REF, 1, 3, True)
        return

    def copy_without(ref, out):
        copied(ref, out)
        (Path(out) / "sub" / "b.txt").unlink()

    desk.client.dataset_copy = copy_without
    with pytest.raises(DeliveryError, match=r"version 1 is not what was sent: missing: sub/b\.txt"):
        publish(desk, a_h5=b"one", sub__b_txt="two")


def test_dry_run_tells_and_asks_nothing(desk):
    assert steps.publish(None, desk.manifest, "imagenet-weights", desk.files(a_h5=b"one"), say=desk.said.append) is None
    assert any("kaggle datasets create -p" in line for line in desk.said)
    assert desk.service.log == []
    assert set(expected_files(desk.checkout / "build" / "staged" / "imagenet-weights")) == {"a.h5", "files.sha256.json"}
