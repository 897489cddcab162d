"""Every answer of the loopback service, asked for by the real client."""

import csv
import io
import json
import socket
import subprocess

import pytest

from tests.loopback.folders import COMPETITION, table, write_dataset, write_kernel
from tests.loopback.service import KEY, TOKEN, USER, Service

DATASET, KERNEL = f"{USER}/small-data", f"{USER}/small-kernel"


# --- data sets


def test_a_data_set_is_created_listed_and_given_back(service, kaggle, tmp_path):
    files = {"a.txt": "hello", "empty": "", "sub/deep/x.txt": "x", "made.whl": b"PK not unpacked"}
    folder = write_dataset(tmp_path / "data", DATASET, files, subtitle="Twenty characters or more")
    run = kaggle("datasets", "create", "-p", folder, "-r", "zip")
    assert run.returncode == 0
    assert "Your private Dataset is being created" in run.stdout
    sent = service.requests("CreateDataset")[0].body
    assert set(sent) == {"ownerSlug", "slug", "title", "licenseName", "isPrivate", "subtitle", "files"}
    asked = {request.body["name"]: request.body for request in service.requests("StartBlobUpload")}
    assert set(asked["a.txt"]) == {"type", "name", "contentLength", "lastModifiedEpochSeconds"}
    assert "contentLength" not in asked["empty"]  # defaults are left out
    assert {name: path.read_bytes() for name, path in service.dataset_files(DATASET).items()} == {
        "a.txt": b"hello",
        "empty": b"",
        "sub/deep/x.txt": b"x",
        "made.whl": b"PK not unpacked",
    }
    assert {row["name"]: row["size"] for row in table(kaggle("datasets", "files", DATASET, "-v"))} == {
        "a.txt": "5",
        "empty": "0",
        "made.whl": "15",
        "sub/deep/x.txt": "1",
    }
    assert kaggle("datasets", "download", DATASET, "-p", tmp_path / "all", "--unzip").returncode == 0
    assert (tmp_path / "all/sub/deep/x.txt").read_text() == "x"
    assert kaggle("datasets", "download", DATASET, "-f", "a.txt", "-p", tmp_path / "one").returncode == 0
    assert (tmp_path / "one/a.txt").read_text() == "hello"


def test_a_version_replaces_all_files(service, kaggle, tmp_path):
    service.give_dataset(DATASET, {"old.txt": "1", "kept.txt": "1"})
    second = write_dataset(tmp_path / "second", DATASET, {"kept.txt": "22", "tarred/x": "x"})
    run = kaggle("datasets", "version", "-p", second, "-m", "again", "-r", "tar")
    assert "Dataset version is being created" in run.stdout
    assert sorted(service.dataset_files(DATASET)) == ["kept.txt", "tarred/x"]
    assert [row["name"] for row in table(kaggle("datasets", "files", f"{DATASET}/1", "-v"))] == ["kept.txt", "old.txt"]


def test_status_is_ready_after_some_questions(service, kaggle, tmp_path):
    service.polls_until_ready = 1
    kaggle("datasets", "create", "-p", write_dataset(tmp_path / "data", DATASET, {"a": "1"}))
    assert kaggle("datasets", "status", DATASET).stdout == "blobs_received"
    assert json.loads(kaggle("datasets", "status", DATASET, "--format", "json").stdout) == {"status": "ready", "current_version_number": 1}


def test_a_data_set_that_is_not_ready_is_no_source(service, kaggle, tmp_path):
    service.polls_until_ready = 1
    kaggle("datasets", "create", "-p", write_dataset(tmp_path / "data", DATASET, {"a": "1"}))
    kernel = write_kernel(tmp_path / "kernel", KERNEL, dataset_sources=[DATASET])
    assert "not valid dataset sources" in kaggle("kernels", "push", "-p", kernel).stdout
    kaggle("datasets", "status", DATASET)
    assert "not valid" not in kaggle("kernels", "push", "-p", kernel).stdout


def test_pages_of_files(service, kaggle, tmp_path):
    service.give_dataset(DATASET, {f"{number:02}": "x" for number in range(23)})
    first = kaggle("datasets", "files", DATASET, "-v")
    line, rest = first.stdout.split("\n", 1)
    assert line == "Next Page Token = 20"
    assert len(list(csv.DictReader(io.StringIO(rest)))) == 20
    assert [row["name"] for row in table(kaggle("datasets", "files", DATASET, "-v", "--page-token", "20"))] == ["20", "21", "22"]


@pytest.mark.parametrize(
    ("metadata", "outcome"),
    [
        ({"licenses": [{"name": "MIT"}]}, "400 Client Error"),
        ({"id": "somebody/small-data"}, "403 Client Error"),
    ],
)
def test_data_sets_that_are_refused(service, kaggle, tmp_path, metadata, outcome):
    run = kaggle("datasets", "create", "-p", write_dataset(tmp_path / "data", DATASET, {"a": "1"}, **metadata))
    assert run.returncode == 1
    assert outcome in run.stderr
    assert service.dataset(DATASET) is None


@pytest.mark.parametrize(
    ("second", "files", "reason"),
    [
        (DATASET, {"a": "1"}, "already in use"),
        (f"{USER}/other-data", {"a": "1"}, "already in use"),
        (f"{USER}/third-data", {}, "no files"),
        (f"{USER}/third-data", {str(number): "x" for number in range(51)}, "50 top-level files"),
    ],
)
def test_an_error_in_the_answer_leaves_exit_code_0(service, kaggle, tmp_path, second, files, reason):
    service.give_dataset(DATASET, {"a": "1"})
    title = "A third title" if "third" in second else "small-data"
    run = kaggle("datasets", "create", "-p", write_dataset(tmp_path / "data", second, files, title=title))
    assert run.returncode == 0
    assert "Dataset creation error" in run.stdout
    assert reason in run.stdout
    assert len(list((service.store.folder / "datasets").glob("*/*"))) == 1


# --- kernels


def test_a_kernel_is_pushed_run_and_its_output_fetched(service, kaggle, competition, tmp_path):
    service.give_dataset(DATASET, {"a": "1"})
    sources = {"dataset_sources": [DATASET], "competition_sources": [COMPETITION]}
    folder = write_kernel(tmp_path / "kernel", KERNEL, enable_gpu=True, machine_shape="NvidiaTeslaP100", **sources)
    run = kaggle("kernels", "push", "-p", folder, "-t", "600")
    assert run.returncode == 0
    assert "Kernel version 1 successfully pushed." in run.stdout
    assert "not valid" not in run.stdout
    sent = service.requests("SaveKernel")[0].body
    assert {"slug", "newTitle", "text", "language", "kernelType", "datasetDataSources", "competitionDataSources"} < set(sent)
    assert (sent["enableInternet"], sent["sessionTimeoutSeconds"]) == (False, 600)
    assert kaggle("kernels", "status", KERNEL).stdout == f'{KERNEL} has status "KernelWorkerStatus.QUEUED"\n'

    files = {f"part/{number:02}": str(number) for number in range(25)}
    assert service.finish_kernel(KERNEL, files, seconds=5400, lines=("said",)) == [(KERNEL, 1, "COMPLETE")]
    assert "KernelWorkerStatus.COMPLETE" in kaggle("kernels", "status", KERNEL).stdout
    assert kaggle("kernels", "output", KERNEL, "-p", tmp_path / "out").returncode == 0
    assert {path.name: path.read_text() for path in (tmp_path / "out/part").iterdir()} == {f"{n:02}": str(n) for n in range(25)}
    assert "said" in (tmp_path / "out/small-kernel.log").read_text()
    assert "said" in kaggle("kernels", "logs", KERNEL).stdout
    assert len(table(kaggle("kernels", "files", KERNEL, "-v", "--page-size", "200"))) == 25
    assert table(kaggle("quota", "-v"))[0] | {"refreshAt": ""} == {
        **{"resource": "GPU", "used": "1.50h", "remaining": "28.50h", "total": "30.00h", "refreshAt": ""},
    }


def test_kernels_are_listed(service, kaggle):
    for name in ("first-kernel", "second-kernel", "third-kernel"):
        service.give_kernel(f"{USER}/{name}")
    service.give_kernel(f"{USER}/first-kernel")
    refs = [row["ref"].removeprefix(f"{USER}/") for row in table(kaggle("kernels", "list", "-m", "-v"))]
    assert refs == ["first-kernel", "third-kernel", "second-kernel"]
    assert [row["title"] for row in table(kaggle("kernels", "list", "-m", "-v", "--page-size", "2", "-p", "2"))] == ["second-kernel"]


def test_metadata_pulled_back_say_what_was_attached(service, kaggle, competition, tmp_path):
    sources = {"dataset_sources": [f"{USER}/not-there"], "competition_sources": [COMPETITION, "nowhere"], "kernel_sources": ["x/not-there"]}
    folder = write_kernel(tmp_path / "kernel", KERNEL, machine_shape="NvidiaTeslaP100", **sources)
    run = kaggle("kernels", "push", "-p", folder)
    assert run.returncode == 0
    for kind, name in (("dataset", f"{USER}/not-there"), ("competition", "nowhere"), ("kernel", "x/not-there")):
        assert f"not valid {kind} sources and could not be added to the kernel: ['{name}']" in run.stdout
    assert kaggle("kernels", "pull", KERNEL, "-m", "-p", tmp_path / "pulled").returncode == 0
    pulled = json.loads((tmp_path / "pulled/kernel-metadata.json").read_text())
    assert (pulled["dataset_sources"], pulled["competition_sources"], pulled["kernel_sources"]) == ([], [COMPETITION], [])
    assert (pulled["enable_internet"], pulled["machine_shape"]) == (False, "NvidiaTeslaT4")
    assert (tmp_path / "pulled/small-kernel.py").read_text() == "print('hello')\n"


def test_a_misspelt_field_leaves_the_internet_on(service, kaggle, tmp_path):
    folder = write_kernel(tmp_path / "kernel", KERNEL)
    metadata = json.loads((folder / "kernel-metadata.json").read_text())
    metadata["enable_intenet"] = metadata.pop("enable_internet")
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata))
    assert kaggle("kernels", "push", "-p", folder).returncode == 0
    assert service.kernel(KERNEL)["versions"][0]["enableInternet"] is True


def test_a_title_of_another_slug_makes_another_kernel_and_then_a_conflict(service, kaggle, tmp_path):
    folder = write_kernel(tmp_path / "kernel", KERNEL, title="Some Other Title")
    run = kaggle("kernels", "push", "-p", folder)
    assert run.returncode == 0
    assert "does not resolve to the specified id" in run.stdout
    assert service.kernel(KERNEL) is None
    assert len(service.kernel(f"{USER}/some-other-title")["versions"]) == 1
    again = kaggle("kernels", "push", "-p", folder)
    assert again.returncode == 1
    assert "409 Client Error" in again.stderr


@pytest.mark.parametrize(
    ("code", "metadata", "status"),
    [
        ("#" * 1_000_001, {}, 400),
        ("#" * 932 * 1024, {}, None),
        ("pass", {"id": "somebody/small-kernel"}, 403),
        ("{}", {"kernel_type": "notebook"}, 400),
    ],
)
def test_kernels_that_are_refused(service, kaggle, tmp_path, code, metadata, status):
    service.give_kernel(KERNEL)
    run = kaggle("kernels", "push", "-p", write_kernel(tmp_path / "second", KERNEL, code, **metadata))
    assert run.returncode == (1 if status else 0)
    assert f"{status or ''} Client Error" in run.stderr or not status
    assert len(service.kernel(KERNEL)["versions"]) == (1 if status else 2)


def test_limits_of_gpu_sessions_and_hours(service, kaggle, tmp_path):
    first, second = f"{USER}/first-kernel", f"{USER}/second-kernel"
    service.give_kernel(first, machineShape="NvidiaTeslaT4")
    service.give_kernel(second, enableGpu=True)
    folder = write_kernel(tmp_path / "kernel", KERNEL, machine_shape="NvidiaTeslaT4")
    run = kaggle("kernels", "push", "-p", folder)
    assert (run.returncode, run.stdout) == (0, "Kernel push error: Maximum batch GPU session count of 2 reached.\n")
    service.finish_kernel(first, seconds=3600)
    service.gpu_hours_before = 29.0
    assert "Kernel push error: Maximum weekly GPU quota of 30.00 hours" in kaggle("kernels", "push", "-p", folder).stdout
    assert service.kernel(KERNEL) is None
    assert "successfully pushed" in kaggle("kernels", "push", "-p", write_kernel(tmp_path / "cpu", KERNEL)).stdout


# --- who may speak, and to whom


def test_credentials(service, kaggle):
    assert kaggle("quota").returncode == 0
    assert kaggle("quota", KAGGLE_API_TOKEN=TOKEN).returncode == 0
    wrong = kaggle("quota", KAGGLE_KEY="wrong")
    assert wrong.returncode == 1
    assert "Authentication required" in wrong.stdout
    status = kaggle("kernels", "status", KERNEL, KAGGLE_KEY="wrong")
    assert status.returncode == 1
    assert "most likely cause is a wrong kernel slug" in status.stderr
    token = kaggle("quota", KAGGLE_API_TOKEN="wrong")
    assert token.returncode == 1
    assert "Traceback" in token.stderr
    assert service.requests("IntrospectToken")[-1].status == 401
    for secret in (KEY, TOKEN):
        assert secret not in repr(service.log)


def test_nobody_else_can_be_reached(tmp_path):
    with Service(tmp_path) as service:
        if subprocess.run(["which", "kaggle"], env=service.environment, capture_output=True).returncode:
            pytest.skip("the kaggle command is not installed: pip install kaggle==2.2.4 six")
        # A word other than LOCALHOST means the real service to the client.
        run = subprocess.run(["kaggle", "quota"], env=service.environment | {"KAGGLE_API_ENVIRONMENT": "TEST"}, capture_output=True)
        assert run.returncode == 1
        assert service.strangers == ["api.kaggle.com:443"]
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 403")


def test_what_breaks_in_the_service_breaks_the_test(tmp_path):
    def send_what_is_no_text():
        with Service(tmp_path) as service, socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(b"POST /api/v1/x HTTP/1.1\r\nContent-Length: 1\r\n\r\n\xff")
            assert connection.recv(100) == b""

    with pytest.raises(UnicodeDecodeError):
        send_what_is_no_text()


def test_state_is_on_disk(service, kaggle, tmp_path):
    kaggle("datasets", "create", "-p", write_dataset(tmp_path / "data", DATASET, {"a": "1"}))
    assert Service(service.store.folder).dataset(DATASET)["title"] == "small-data"
