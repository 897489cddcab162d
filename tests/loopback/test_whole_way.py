"""The committed kernels, pushed, run, fetched and submitted by the real client; the service and the package agree on the score."""

import re

import pytest

from siim_kernel import dry_run
from siim_kernel.competition import metric
from siim_kernel.delivery import kernel_folders
from tests.loopback.folders import COMPETITION, write_dataset
from tests.loopback.service import USER


@pytest.mark.slow
def test_from_films_to_a_score(service, kaggle, phantom, tmp_path):
    checkout = dry_run.find_checkout()
    service.add_competition(COMPETITION, phantom / "competition", phantom / "solution.csv")

    def done(*arguments):
        run = kaggle(*arguments)
        assert run.returncode == 0, run.stderr
        assert "error" not in run.stdout
        return run.stdout

    def publish(name, files=(), folder=None):
        folder = write_dataset(folder or tmp_path / name, f"{USER}/siim-kernel-{name}", dict(files))
        done("datasets", "create", "-p", folder, "-r", "zip")

    def push(name, folder, **parameters):
        fields = kernel_folders.read_metadata(checkout / folder)
        ours = {
            field: re.sub("^your-name/", f"{USER}/", value)
            if isinstance(value, str)
            else [re.sub("^your-name/", f"{USER}/", v) for v in value]
            for field, value in fields.items()
            if field in ("id", "dataset_sources", "kernel_sources")
        }
        out = kernel_folders.write_copy(checkout / folder, tmp_path / name, parameters, metadata=ours)
        told = done("kernels", "push", "-p", out)
        assert "not valid" not in told
        ref = f"{USER}/siim-kernel-{name}"
        (outcome,) = service.run_kernels(layout="old")
        assert outcome == (ref, 1, "COMPLETE"), kaggle("kernels", "logs", ref).stdout
        done("kernels", "output", ref, "-p", tmp_path / f"{name}-output")
        return tmp_path / f"{name}-output"

    (tmp_path / "code").mkdir()
    dry_run.build_wheel(checkout, tmp_path / "source", tmp_path / "code")
    publish("code", folder=tmp_path / "code")
    for name in ("wheels", "imagenet-weights"):
        publish(name, {"README.md": "nothing that this machine lacks"})
    push("images", "train_kernels/images", RECIPES=("tiny",))
    trained = push("train", "train_kernels/train", RECIPE="tiny", MAX_HOURS=None)
    publish("trained-weights", folder=trained)
    predicted = push("inference", "inference_kernel")
    done("competitions", "submit", COMPETITION, "-k", f"{USER}/siim-kernel-inference", "-v", "1", "-f", "submission.csv", "-m", "tried")
    told = done("competitions", "submissions", COMPETITION)
    expected = metric.score_files(predicted / "submission.csv", phantom / "solution.csv").mAP
    assert f"{expected:.5f}" in told
