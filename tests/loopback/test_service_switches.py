"""How the service keeps things to itself, as the real one does at times: what is not told, not yet told, or told to its owner alone."""

import json

import pytest

from tests.loopback.folders import COMPETITION, ROWS, table, write_dataset, write_kernel
from tests.loopback.service import USER

KERNEL, DATASET = f"{USER}/small-kernel", f"{USER}/small-data"
SUBMIT = ("competitions", "submit", COMPETITION, "-k", KERNEL, "-v", 1, "-f", "submission.csv", "-m", f"tried [{KERNEL} v1]")


def pulled(kaggle, folder, ref=KERNEL):
    """(finished pull, the metadata that came or None)."""
    run = kaggle("kernels", "pull", ref, "-m", "-p", folder)
    path = folder / "kernel-metadata.json"
    return run, json.loads(path.read_text()) if path.exists() else None


def test_a_version_that_is_named_is_not_given_out(service, kaggle, tmp_path):
    for text in ("one", "two"):
        service.give_kernel(KERNEL, {"x": text}, text)
    for number in (1, 2, 3):
        run, fields = pulled(kaggle, tmp_path / str(number), f"{KERNEL}/{number}")
        assert (run.returncode, fields) == (1, None)
        assert "403 Client Error" in run.stderr
    assert pulled(kaggle, tmp_path / "newest")[0].returncode == 0
    assert (tmp_path / "newest" / "small-kernel.py").read_text() == "two"


def test_whatever_version_is_named_the_newest_answers(service, kaggle, tmp_path):
    service.give_kernel(KERNEL, {"x": "one"})
    service.give_kernel(KERNEL, {"y": "two"})
    assert "COMPLETE" in kaggle("kernels", "status", f"{KERNEL}/1").stdout
    assert kaggle("kernels", "output", f"{KERNEL}/1", "-p", tmp_path / "out").returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["y"]
    assert [row["name"] for row in table(kaggle("kernels", "files", f"{KERNEL}/1", "-v"))] == ["y"]


def test_the_state_of_somebody_elses_dataset_is_not_told(service, kaggle):
    service.give_dataset("grace/open-data", {"a": "1"})
    run = kaggle("datasets", "status", "grace/open-data")
    assert run.returncode == 1
    assert "404 Client Error" in run.stderr
    assert [row["name"] for row in table(kaggle("datasets", "files", "grace/open-data", "-v"))] == ["a"]


def test_no_version_is_taken_while_one_is_processed(service, kaggle, tmp_path):
    service.polls_until_ready = 2
    service.give_dataset(DATASET, {"a": "1"})
    folder = write_dataset(tmp_path / "data", DATASET, {"a": "22"})
    assert kaggle("datasets", "version", "-p", folder, "-m", "x").returncode == 0
    again = kaggle("datasets", "version", "-p", folder, "-m", "x")
    assert again.returncode == 1
    assert "403 Client Error" in again.stderr
    assert len(service.dataset(DATASET)["versions"]) == 2
    assert [kaggle("datasets", "status", DATASET).stdout for _ in range(3)] == ["blobs_received", "blobs_received", "ready"]
    assert kaggle("datasets", "version", "-p", folder, "-m", "x").returncode == 0


def status(kaggle):
    run = kaggle("datasets", "status", DATASET, "--format", "json")
    return json.loads(run.stdout) if run.returncode == 0 else None


def test_a_new_version_of_a_dataset_is_told_of_later(service, kaggle, tmp_path):
    service.give_dataset(DATASET, {"a": "1"})
    service.polls_until_listed = 2
    assert kaggle("datasets", "version", "-p", write_dataset(tmp_path / "data", DATASET, {"b": "22"}), "-m", "x").returncode == 0
    assert [row["name"] for row in table(kaggle("datasets", "files", DATASET, "-v"))] == ["a"]
    told = [status(kaggle) for _ in range(3)]
    assert told == [{"status": "ready", "current_version_number": number} for number in (1, 1, 2)]
    assert [row["name"] for row in table(kaggle("datasets", "files", DATASET, "-v"))] == ["b"]


def test_a_new_dataset_is_told_of_later(service, kaggle, tmp_path):
    service.polls_until_listed = 2
    assert kaggle("datasets", "create", "-p", write_dataset(tmp_path / "data", DATASET, {"b": "22"})).returncode == 0
    assert [status(kaggle) for _ in range(3)] == [None, None, {"status": "ready", "current_version_number": 1}]


def test_a_new_version_of_a_kernel_is_told_of_later(service, kaggle, tmp_path):
    service.polls_until_listed = 1
    folder = write_kernel(tmp_path / "kernel", KERNEL, "print(1)\n")
    for number, before in ((1, None), (2, "print(1)\n")):
        (folder / "code.py").write_text(f"print({number})\n")
        assert f"Kernel version {number} successfully pushed" in kaggle("kernels", "push", "-p", folder).stdout
        for text in (before, f"print({number})\n"):
            place = tmp_path / f"{number}-{text is before}"
            run, _ = pulled(kaggle, place)
            assert run.returncode == (1 if text is None else 0)
            assert text is None or (place / "small-kernel.py").read_text() == text


def test_a_submission_is_listed_later_or_when_a_test_says_so(service, kaggle, competition):
    service.give_kernel(KERNEL, {"submission.csv": ROWS})
    service.polls_until_listed = 1
    for _ in range(2):
        assert kaggle(*SUBMIT).returncode == 0
    listed = [kaggle("competitions", "submissions", COMPETITION, "-v").stdout.count(KERNEL) for _ in range(2)]
    assert listed == [0, 2]
    service.polls_until_listed = 99
    kaggle(*SUBMIT)
    service.list_all()
    assert kaggle("competitions", "submissions", COMPETITION, "-v").stdout.count(KERNEL) == 3


@pytest.mark.parametrize(
    ("how", "told"),
    [("verbatim", f"tried [{KERNEL} v1]"), ("cut", f"tried [{KERNEL} v1]"[:12]), ("replaced", "Notebook small-kernel | Version 1")],
)
def test_what_becomes_of_a_description(service, kaggle, competition, how, told):
    service.give_kernel(KERNEL, {"submission.csv": ROWS})
    service.descriptions = how
    kaggle(*SUBMIT)
    assert [row["description"] for row in table(kaggle("competitions", "submissions", COMPETITION, "-v"))] == [told]


@pytest.mark.parametrize("tells", [True, False])
def test_a_kernels_machine_is_told_or_not(service, kaggle, tmp_path, tells):
    service.give_kernel(KERNEL, enableGpu=True, machineShape="NvidiaTeslaT4")
    service.tells_machine = tells
    _, fields = pulled(kaggle, tmp_path)
    assert (fields["enable_gpu"], fields["machine_shape"]) == ((True, "NvidiaTeslaT4") if tells else (False, ""))


def test_a_token_is_its_owners(service, kaggle, tmp_path):
    grace = "KGAT_of_grace_and_nobody_else"
    service.tokens[grace] = "grace"
    folder = write_kernel(tmp_path / "kernel", KERNEL)
    refused = kaggle("kernels", "push", "-p", folder, KAGGLE_API_TOKEN=grace)
    assert (refused.returncode, service.kernel(KERNEL)) == (1, None)
    hers = write_kernel(tmp_path / "hers", "grace/small-kernel")
    assert kaggle("kernels", "push", "-p", hers, KAGGLE_API_TOKEN=grace).returncode == 0
    assert kaggle("kernels", "push", "-p", hers).returncode == 1
    assert "grace" in kaggle("config", "view", KAGGLE_API_TOKEN=grace).stdout
    assert grace not in repr(service.log)


def test_a_fault_sleeps_until_another_request(service, kaggle, tmp_path):
    folder = write_kernel(tmp_path / "kernel", KERNEL)
    service.inject("GetAcceleratorQuotaStatistics", 500, since="SaveKernel")
    assert kaggle("quota").returncode == 0
    kaggle("kernels", "push", "-p", folder)
    assert [kaggle("quota").returncode for _ in range(2)] == [1, 0]
    assert [(request.method, request.fault) for request in service.log if request.fault] == [("GetAcceleratorQuotaStatistics", "500")]
