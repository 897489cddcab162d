"""The scripts: thin, and each the command that it stands for."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.delivery.made_kaggle import SOLUTION, USER, at_a_desk

CHECKOUT = Path(__file__).resolve().parent.parent
# Script and arguments -> what its dry run says that it would run.
COMMANDS = {
    "publish_dataset imagenet-weights --folder {files}": ("kaggle datasets create -p", "kaggle datasets version -p"),
    "publish_dataset imagenet-weights --folder {files} --message two": ("-r zip -m two",),
    "push_kernel images": ("kaggle kernels push -p", f"{USER}/siim-kernel-images"),
    "push_kernel train --recipe small --fold 1 --max-hours 2": ("train-small-fold1", "FOLD = 1", "MAX_HOURS = 2.0"),
    "push_kernel train --recipe article-inception-v3-p-1024 --fold 4": ("-p ", "siim-kernel-train-article-inception-5ae8-fold4"),
    "push_kernel inference": ("enable_internet = False",),
    "fetch_output train --recipe small --fold 1": (f"kaggle kernels output {USER}/siim-kernel-train-small-fold1 -p",),
    "push_kernel inference --script --accelerator NvidiaL4": ("siim-kernel-inference-script", "inference.py", "machine_shape = 'NvidiaL4'"),
    "submit 7 --message 'a try'": (f"-k {USER}/siim-kernel-inference -v 7 -f submission.csv -m 'a try [{USER}/siim-kernel-inference v7]'",),
}


def call(line, environment, *more):
    name, *arguments = shlex.split(line)
    command = [sys.executable, CHECKOUT / "scripts" / f"{name}.py", *arguments, *more]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture
def nobody(tmp_path):
    """An environment with a name and no token, and no way to anywhere."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return {"PATH": os.defpath, "HOME": str(tmp_path), "KAGGLE_USERNAME": USER, **nowhere}


@pytest.mark.parametrize(("line", "told"), COMMANDS.items())
def test_dry_run_says_what_would_be_run(nobody, tmp_path, line, told):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.h5").write_text("a")
    done = call(line.format(files=tmp_path / "files"), nobody, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(part in done.stdout for part in told), done.stdout


def test_dry_run_goes_without_a_name(nobody):
    del nobody["KAGGLE_USERNAME"]
    done = call("push_kernel train", nobody, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "your-name/siim-kernel-train" in done.stdout
    refused = call("push_kernel train", nobody)
    assert refused.returncode == 1
    assert "Kaggle did not accept the token, or there is none" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_folder_without_what_kernels_look_for_is_refused(nobody, tmp_path):
    (tmp_path / "files").mkdir()
    done = call(f"publish_dataset code --folder {tmp_path / 'files'}", nobody, "--dry-run")
    assert done.returncode == 1
    assert "no wheel of siim-kernel for cp311" in done.stderr


@pytest.mark.slow
def test_exit_codes_and_streams_of_the_real_thing(tmp_path):
    with at_a_desk(tmp_path) as desk:
        missing = call("fetch_output inference", desk.service.environment, "--folder", tmp_path / "out")
        assert missing.returncode == 1
        assert "is not on Kaggle" in missing.stderr
        desk.have_kernel("siim-kernel-inference", submission_csv=SOLUTION)
        fetched = call("fetch_output inference", desk.service.environment, "--folder", tmp_path / "out")
        assert (fetched.returncode, fetched.stdout) == (0, f"{tmp_path / 'out' / 'submission.csv'}\n")
        asked = call("submit", desk.service.environment, "--folder", tmp_path / "scored")
        assert (asked.returncode, asked.stdout) == (1, "")
        assert "siim-kernel submit N" in asked.stderr
        scored = call("submit 1", desk.service.environment, "--folder", tmp_path / "scored")
        assert (scored.returncode, scored.stdout) == (0, "submission 1001 COMPLETE: public 1.00000, private 1.00000\n")


@pytest.mark.slow
def test_an_access_token_tells_whose_it_is_and_another_name_is_refused(tmp_path):
    with at_a_desk(tmp_path) as desk:
        desk.have_kernel("siim-kernel-images", images__a_txt="a")
        environment = {name: value for name, value in desk.service.environment.items() if name not in ("KAGGLE_USERNAME", "KAGGLE_KEY")}
        environment["KAGGLE_API_TOKEN"] = desk.service.token
        fetched = call("fetch_output images", environment, "--folder", tmp_path / "out")
        assert fetched.returncode == 0, fetched.stderr
        refused = call("fetch_output images --owner grace", environment, "--folder", tmp_path / "out")
        assert refused.returncode == 1
        assert f"the token belongs to {USER}, --owner says grace" in refused.stderr


@pytest.mark.slow
def test_status_shows_the_end_of_a_log_and_that_a_training_goes_on(tmp_path):
    with at_a_desk(tmp_path) as desk:
        ref = desk.have_kernel("siim-kernel-train", status="QUEUED")
        desk.service.finish_kernel(ref, {"a.txt": "a"}, lines=["first", "runs/fold-0 is unfinished after 2 epochs", *map(str, range(9))])
        command = [sys.executable, "-m", "siim_kernel.cli", "status", "train"]
        done = subprocess.run(command, capture_output=True, text=True, env=desk.service.environment, cwd=CHECKOUT)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert [line.strip() for line in lines[1:7]] == ["runs/fold-0 is unfinished after 2 epochs", *"45678"]
        assert lines[7] == f"{ref} is not done with its training: the same push goes on from there"


def test_scripts_are_thin_and_executable():
    scripts = sorted((CHECKOUT / "scripts").glob("*.py"))
    assert {path.stem for path in scripts} == {"build_wheels", "command", "fetch_output", "publish_dataset", "push_kernel", "submit"}
    for path in scripts:
        assert len(path.read_text().splitlines()) < 60
        assert os.access(path, os.X_OK) == (path.stem != "command")
        assert path.read_text().startswith("#!/usr/bin/env python3\n") == (path.stem != "command")
