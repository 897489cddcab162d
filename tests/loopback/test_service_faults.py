"""What the real client makes of each fault: the ground on which the delivery's own checks stand."""

import os

import pytest

from tests.loopback.folders import COMPETITION, write_dataset, write_kernel
from tests.loopback.service import USER

DATASET, KERNEL = f"{USER}/small-data", f"{USER}/small-kernel"
FILM = bytes(range(256)) * 12_000  # longer than the piece in which the client reads
FILES = {"a.txt": "first file", "b.txt": "second file"}


@pytest.fixture
def folder(tmp_path):
    """A data set's folder."""
    return write_dataset(tmp_path / "data", DATASET, FILES)


@pytest.fixture
def finished(service, tmp_path):
    """There are a competition, and a kernel whose one version left submission.csv."""
    (tmp_path / "competition").mkdir()
    (tmp_path / "competition" / "film.dcm").write_bytes(FILM)
    service.add_competition(COMPETITION, tmp_path / "competition")
    service.give_kernel(KERNEL, {"submission.csv": "id,PredictionString\n"})


def stored(service):
    """{name: text} of the data set's latest version, None without one."""
    if service.dataset(DATASET) is None:
        return None
    return {name: path.read_text() for name, path in service.dataset_files(DATASET).items()}


# --- push


@pytest.mark.parametrize(("kind", "versions"), [("500", 0), ("429", 0), ("reset", 0), ("reset-after", 1), ("truncated", 1)])
def test_a_push_is_never_retried_and_may_have_arrived(service, kaggle, tmp_path, kind, versions):
    service.inject("SaveKernel", kind, retry_after=1)
    run = kaggle("kernels", "push", "-p", write_kernel(tmp_path / "kernel", KERNEL))
    assert run.returncode == 1
    assert "successfully" not in run.stdout
    assert len(service.requests("SaveKernel")) == 1
    assert len((service.kernel(KERNEL) or {"versions": []})["versions"]) == versions


def test_a_push_answered_with_an_error_exits_0(service, kaggle, tmp_path):
    service.inject("SaveKernel", "error", message="Out of luck.")
    run = kaggle("kernels", "push", "-p", write_kernel(tmp_path / "kernel", KERNEL))
    assert (run.returncode, run.stdout) == (0, "Kernel push error: Out of luck.\n")
    assert service.kernel(KERNEL) is None


def test_sources_that_do_not_take_exit_0(service, kaggle, tmp_path):
    service.give_dataset(DATASET, FILES)
    service.inject("SaveKernel", "unknown-sources")
    run = kaggle("kernels", "push", "-p", write_kernel(tmp_path / "kernel", KERNEL, dataset_sources=[DATASET]))
    assert run.returncode == 0
    assert f"not valid dataset sources and could not be added to the kernel: ['{DATASET}']" in run.stdout
    assert service.kernel(KERNEL)["versions"][0]["sources"]["dataset"] == {}


def test_internet_that_was_not_asked_for_exits_0(service, kaggle, tmp_path):
    service.inject("SaveKernel", "internet-on")
    assert kaggle("kernels", "push", "-p", write_kernel(tmp_path / "kernel", KERNEL)).returncode == 0
    assert service.kernel(KERNEL)["versions"][0]["enableInternet"] is True


def test_the_reason_of_an_http_error_is_lost_unless_it_stands_on_top(service, kaggle, tmp_path):
    push = write_kernel(tmp_path / "kernel", KERNEL)
    service.inject("SaveKernel", "400", message="because")
    assert "because" not in kaggle("kernels", "push", "-p", push).stderr
    service.inject("SaveKernel", "400", message="because", shown=True)
    assert kaggle("kernels", "push", "-p", push).stderr == "because\n"


# --- upload


@pytest.mark.parametrize("kind", ["500", "403"])
def test_a_failed_put_makes_the_data_set_without_the_file_and_exits_0(service, kaggle, folder, kind):
    service.inject("upload", kind, only="a.txt")
    run = kaggle("datasets", "create", "-p", folder)
    assert run.returncode == 0
    assert "Upload unsuccessful: a.txt" in run.stdout
    assert stored(service) == {"b.txt": FILES["b.txt"]}


@pytest.mark.parametrize("kind", ["503", "reset", "reset-after", "truncated"])
def test_a_broken_put_is_resumed(service, kaggle, folder, kind):
    service.inject("upload", kind, only="a.txt")
    run = kaggle("datasets", "create", "-p", folder)
    assert run.returncode == 0
    assert stored(service) == FILES
    assert ("Will resume upload at 5" in run.stdout) == (kind == "503")
    # All but a cut answer after a 200 need another request.
    assert len([request for request in service.requests("upload") if request.label == "a.txt"]) >= (1 if kind == "truncated" else 2)


@pytest.mark.parametrize(("kind", "text"), [("wrong-size", "first"), ("wrong-bytes", "\x99irst file")])
def test_a_file_stored_wrongly_goes_unnoticed(service, kaggle, folder, kind, text):
    service.inject("upload", kind, only="a.txt")
    assert kaggle("datasets", "create", "-p", folder).returncode == 0
    assert service.dataset_files(DATASET)["a.txt"].read_bytes() == text.encode("latin-1")


def test_a_lost_file_goes_unnoticed(service, kaggle, folder):
    service.inject("CreateDataset", "lost-file", name="b.txt")
    assert kaggle("datasets", "create", "-p", folder).returncode == 0
    assert stored(service) == {"a.txt": FILES["a.txt"]}


def test_an_upload_remembered_in_the_temporary_folder_is_taken_for_a_rebuilt_file(service, kaggle, folder, tmp_path):
    service.inject("CreateDataset", "500")
    os.utime(folder / "a.txt", (10**9, 10**9))
    assert kaggle("datasets", "create", "-p", folder, TMPDIR=str(tmp_path)).returncode == 1
    (folder / "a.txt").write_text(FILES["a.txt"].upper())
    os.utime(folder / "a.txt", (10**9, 10**9))
    assert kaggle("datasets", "create", "-p", folder, TMPDIR=str(tmp_path)).returncode == 0
    assert stored(service) == FILES  # not what is in the folder now


# --- publish


@pytest.mark.parametrize("method", ["StartBlobUpload", "CreateDataset"])
@pytest.mark.parametrize(("kind", "code"), [("429", 0), ("reset", 0), ("500", 1)])
def test_what_is_retried_while_creating(service, kaggle, folder, method, kind, code):
    service.inject(method, kind)
    run = kaggle("datasets", "create", "-p", folder)
    assert run.returncode == code
    assert stored(service) == (None if code else FILES)
    assert ("Will retry" in run.stderr) == (code == 0)


def test_retry_after_is_kept(service, kaggle, folder):
    service.inject("CreateDataset", "429", retry_after=0.1)
    assert "Will retry in 0.1 seconds" in kaggle("datasets", "create", "-p", folder).stderr


def test_a_creation_cut_after_acting_looks_like_a_taken_name(service, kaggle, folder):
    service.inject("CreateDataset", "reset-after")
    run = kaggle("datasets", "create", "-p", folder)
    assert run.returncode == 0
    assert "already in use" in run.stdout
    assert stored(service) == FILES


def test_a_creation_whose_answer_breaks_off_has_happened(service, kaggle, folder):
    service.inject("CreateDataset", "truncated")
    assert kaggle("datasets", "create", "-p", folder).returncode == 1
    assert stored(service) == FILES


@pytest.mark.parametrize(
    ("kind", "code", "versions"), [("reset", 0, 2), ("reset-after", 0, 3), ("truncated", 1, 2), ("500", 1, 1), ("error", 0, 1)]
)
def test_versions(service, kaggle, folder, kind, code, versions):
    service.give_dataset(DATASET, FILES)
    service.inject("CreateDatasetVersion", kind)
    run = kaggle("datasets", "version", "-p", folder, "-m", "again")
    assert run.returncode == code
    assert len(service.dataset(DATASET)["versions"]) == versions


def test_any_error_of_the_status_means_new(service, kaggle, folder):
    service.give_dataset(DATASET, FILES)
    service.inject("GetDatasetStatus", "500")
    run = kaggle("datasets", "create", "-p", folder)
    assert (run.returncode, len(service.requests("CreateDataset"))) == (0, 1)
    assert "already in use" in run.stdout
    assert len(service.dataset(DATASET)["versions"]) == 1


def test_a_status_that_failed(service, kaggle):
    service.give_dataset(DATASET, FILES)
    service.inject("GetDatasetStatus", "failed")
    run = kaggle("datasets", "status", DATASET)
    assert (run.returncode, run.stdout) == (0, "failed")


# --- fetch


def test_an_error_body_is_saved_as_the_output(kaggle, service, finished, tmp_path):
    service.inject("output", "500")
    run = kaggle("kernels", "output", KERNEL, "-p", tmp_path / "out")
    assert run.returncode == 0
    assert '"code": 500' in (tmp_path / "out/submission.csv").read_text()


@pytest.mark.parametrize("kind", ["truncated", "reset"])
def test_a_cut_output_leaves_an_empty_file_or_none(kaggle, service, finished, tmp_path, kind):
    service.inject("output", kind)
    run = kaggle("kernels", "output", KERNEL, "-p", tmp_path / "out")
    assert run.returncode == 1
    left = tmp_path / "out/submission.csv"
    assert left.exists() == (kind == "truncated")
    assert not left.exists() or left.read_bytes() == b""


@pytest.mark.parametrize(("kind", "text"), [("wrong-size", "id,Predict"), ("wrong-bytes", "\x96d,PredictionString\n")])
def test_an_output_served_wrongly_goes_unnoticed(kaggle, service, finished, tmp_path, kind, text):
    service.inject("output", kind)
    assert kaggle("kernels", "output", KERNEL, "-p", tmp_path / "out").returncode == 0
    assert (tmp_path / "out/submission.csv").read_bytes() == text.encode("latin-1")


def test_an_output_that_is_not_listed_goes_unnoticed(kaggle, service, finished, tmp_path):
    service.inject("ListKernelSessionOutput", "lost-file", name="submission.csv")
    assert kaggle("kernels", "output", KERNEL, "-p", tmp_path / "out").returncode == 0
    assert not (tmp_path / "out/submission.csv").exists()


@pytest.mark.slow
def test_a_cut_download_is_taken_up_again(kaggle, service, finished, tmp_path):
    service.inject("download", "truncated")
    run = kaggle("competitions", "download", COMPETITION, "-f", "film.dcm", "-p", tmp_path / "out")
    assert run.returncode == 0
    assert (tmp_path / "out/film.dcm").read_bytes() == FILM
    assert [request.status for request in service.requests("download")] == ["truncated", 206]


# --- status, submission


def test_a_kernel_that_failed_exits_0(kaggle, service, finished, tmp_path):
    service.inject("GetKernelSessionStatus", "error", message="Out of memory")
    run = kaggle("kernels", "status", KERNEL)
    assert (run.returncode, run.stdout) == (0, f'{KERNEL} has status "KernelWorkerStatus.ERROR"\nFailure message: "Out of memory"\n')


@pytest.mark.parametrize(("kind", "made"), [("reset", 0), ("reset-after", 1), ("truncated", 1), ("500", 0)])
def test_a_submission_cut_off_may_be_spent(kaggle, service, finished, kind, made):
    service.inject("CreateCodeSubmission", kind)
    run = kaggle("competitions", "submit", COMPETITION, "-k", KERNEL, "-v", 1, "-f", "submission.csv", "-m", "tried")
    assert run.returncode == 1
    assert len(service.requests("CreateCodeSubmission")) == 1
    assert len(service.submissions()) == made


def test_a_submission_that_fails_later(kaggle, service, finished):
    service.inject("CreateCodeSubmission", "failed")
    assert kaggle("competitions", "submit", COMPETITION, "-k", KERNEL, "-v", 1, "-f", "submission.csv", "-m", "tried").returncode == 0
    assert "SubmissionStatus.ERROR" in kaggle("competitions", "submissions", COMPETITION).stdout


# --- the orders themselves


def test_orders_that_cannot_be_carried_out(service):
    with pytest.raises(ValueError, match="no method 'Nothing'"):
        service.inject("Nothing", "500")
    with pytest.raises(ValueError, match="no fault 'wrong-size' for SaveKernel; there is an HTTP error, reset, "):
        service.inject("SaveKernel", "wrong-size")


def test_times_after_and_what_is_left(kaggle, service):
    service.inject("GetAcceleratorQuotaStatistics", "500", times=2, after=1)
    assert [kaggle("quota").returncode for _ in range(4)] == [0, 1, 1, 0]
    assert service.faults.pending() == []
    service.inject("upload", "500", only="never.txt")
    assert [fault.only for fault in service.faults.pending()] == ["never.txt"]
    service.faults.clear()
    assert service.faults.pending() == []
