"""Pushed kernels are run offline with their sources mounted, and what they leave is served, mounted and scored."""

import json

import pytest

from tests.loopback import running
from tests.loopback.folders import COMPETITION, write_kernel
from tests.loopback.service import USER

DATASET, FIRST, SECOND = f"{USER}/small-data", f"{USER}/first-kernel", f"{USER}/second-kernel"
# Writes the text of every mounted file beside its place.
READ_ALL = """
import json, os
from pathlib import Path
root, working = (Path(os.environ[f"SIIM_KERNEL_{name}"]) for name in ("INPUT", "WORKING"))
found = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}
(working / "found.json").write_text(json.dumps(found))
print(len(found), "files")
"""
SUBMIT = """
import os, shutil
from pathlib import Path
(sample,) = Path(os.environ["SIIM_KERNEL_INPUT"]).rglob("sample_submission.csv")
shutil.copyfile(sample, Path(os.environ["SIIM_KERNEL_WORKING"]) / "submission.csv")
"""


def rows(study):
    return f"id,PredictionString\n{study}_study,negative 1 0 0 1 1\n"


@pytest.fixture
def hidden_set(service, tmp_path):
    """A competition that runs submitted kernels again, on other films."""
    for name in ("shown", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sample_submission.csv").write_text(rows(name))
    (tmp_path / "solution.csv").write_text(rows("hidden"))
    service.add_competition(COMPETITION, tmp_path / "shown", tmp_path / "solution.csv", hidden=tmp_path / "hidden")


def push(kaggle, folder, ref, code=READ_ALL, **metadata):
    run = kaggle("kernels", "push", "-p", write_kernel(folder, ref, code, **metadata))
    assert "successfully pushed" in run.stdout, run.stderr
    assert "not valid" not in run.stdout


def found(service, ref, version=1):
    return json.loads((service.store.kernel_folder(*ref.split("/")) / str(version) / "output" / "found.json").read_text())


@pytest.mark.parametrize(
    ("layout", "places"),
    [
        ("old", ("siim-covid19-detection/sample_submission.csv", "small-data/a.txt", "first-kernel/made/x")),
        (
            "new",
            (
                "competitions/siim-covid19-detection/sample_submission.csv",
                f"datasets/{DATASET}/a.txt",
                f"notebooks/{FIRST}/made/x",
            ),
        ),
        ("mixed", ("competitions/siim-covid19-detection/sample_submission.csv", f"datasets/{DATASET}/a.txt", "first-kernel/made/x")),
    ],
)
def test_sources_are_mounted_in_all_layouts(service, kaggle, hidden_set, tmp_path, layout, places):
    service.give_dataset(DATASET, {"a.txt": "data"})
    service.give_kernel(FIRST, {"made/x": "made"})
    push(
        kaggle,
        tmp_path / "second",
        SECOND,
        dataset_sources=[DATASET],
        kernel_sources=[FIRST],
        competition_sources=[COMPETITION],
    )
    assert service.run_kernels(layout=layout) == [(SECOND, 1, "COMPLETE")]
    assert found(service, SECOND) == dict(zip(places, (rows("shown"), "data", "made"), strict=True))
    log = json.loads((service.store.kernel_folder(*SECOND.split("/")) / "1/log.json").read_text())
    assert "3 files\n" in [event["data"] for event in log]


def test_versions_replace_each_other_and_a_session_keeps_what_it_was_pushed_with(service, kaggle, tmp_path):
    for version in ("one", "two"):
        service.give_dataset(DATASET, {"a.txt": version})
        service.give_kernel(FIRST, {"x": version})
        push(kaggle, tmp_path / f"second-{version}", SECOND, dataset_sources=[DATASET], kernel_sources=[FIRST])
    push(kaggle, tmp_path / "third", SECOND, dataset_sources=[f"{DATASET}/1"], kernel_sources=[f"{FIRST}/1"])
    assert service.run_kernels() == [(SECOND, number, "COMPLETE") for number in (1, 2, 3)]
    assert [set(found(service, SECOND, number).values()) for number in (1, 2, 3)] == [{"one"}, {"two"}, {"one"}]


def test_a_kernel_without_an_output_is_no_source(service, kaggle, tmp_path):
    service.give_kernel(FIRST)
    second = write_kernel(tmp_path / "second", SECOND, kernel_sources=[FIRST])
    assert f"not valid kernel sources and could not be added to the kernel: ['{FIRST}']" in kaggle("kernels", "push", "-p", second).stdout


def test_its_own_output_is_a_source_only_where_that_is_allowed(service, kaggle, tmp_path):
    service.give_kernel(FIRST, {"x": "1"})
    again = write_kernel(tmp_path / "again", FIRST, kernel_sources=[FIRST])
    assert "not valid kernel sources" in kaggle("kernels", "push", "-p", again).stdout
    service.own_output_as_source = True
    assert "not valid" not in kaggle("kernels", "push", "-p", again).stdout


def test_a_kernel_that_fails_leaves_its_log_alone(service, kaggle, tmp_path):
    push(kaggle, tmp_path / "kernel", FIRST, READ_ALL + "raise ValueError('no film')\n")
    assert service.run_kernels() == [(FIRST, 1, "ERROR")]
    run = kaggle("kernels", "status", FIRST)
    assert (run.returncode, run.stdout.splitlines()[1]) == (0, 'Failure message: "exit code 1"')
    assert kaggle("kernels", "output", FIRST, "-p", tmp_path / "out").returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["first-kernel.log"]
    assert "ValueError: no film" in (tmp_path / "out/first-kernel.log").read_text()


def test_the_session_limit_of_the_push_holds(service, kaggle, tmp_path):
    run = kaggle("kernels", "push", "-t", "1", "-p", write_kernel(tmp_path / "kernel", FIRST, "import time\ntime.sleep(60)\n"))
    assert run.returncode == 0
    assert service.run_kernels() == [(FIRST, 1, "ERROR")]
    assert service.kernel(FIRST)["versions"][0]["failure"] == "killed: over 1 s"


def test_a_submission_is_run_again_on_the_hidden_set(service, kaggle, hidden_set, tmp_path):
    push(kaggle, tmp_path / "kernel", FIRST, SUBMIT, competition_sources=[COMPETITION])
    service.run_kernels()
    submit = ("competitions", "submit", COMPETITION, "-k", FIRST, "-v", 1, "-f", "submission.csv", "-m", "tried")
    assert kaggle(*submit).returncode == 0
    assert "SubmissionStatus.PENDING" in kaggle("competitions", "submissions", COMPETITION).stdout
    service.run_kernels()
    assert service.submission_text(1001) == rows("hidden")
    assert service.submissions()[0]["outcome"]["publicScore"] == "1.00000"
    kaggle(*submit)
    service.run_kernels(running.pretend({}))
    assert service.submissions()[0]["outcome"] == {"status": "ERROR", "errorDescription": "Submission CSV Not Found"}


def test_kernels_run_while_the_client_asks(service, kaggle, tmp_path):
    push(kaggle, tmp_path / "kernel", FIRST)
    with service.kernels_running(running.pretend({"x": "1"})):
        while "COMPLETE" not in kaggle("kernels", "status", FIRST).stdout:
            pass
    with pytest.raises(ZeroDivisionError), service.kernels_running(lambda *_: 1 / 0):
        push(kaggle, tmp_path / "again", FIRST)
    assert service.kernel(FIRST)["versions"][1]["status"] == "ERROR"


def test_a_notebook_runs(service, kaggle, tmp_path):
    pytest.importorskip("nbclient")
    cell = {"cell_type": "code", "metadata": {}, "source": READ_ALL.splitlines(keepends=True), "outputs": [], "execution_count": None}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    push(kaggle, tmp_path / "kernel", FIRST, json.dumps(notebook), kernel_type="notebook", code_file="code.ipynb")
    assert service.run_kernels() == [(FIRST, 1, "COMPLETE")]
    assert found(service, FIRST) == {}
