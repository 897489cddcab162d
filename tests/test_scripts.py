"""The scripts: what they would run, and that they pass on what the Kaggle client answers."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "your-name"
# Script and arguments -> the kaggle command they stand for; {root} is the checkout, {me} the owner.
COMMANDS = {
    "publish_dataset code --new": "datasets create -p {root}/build/code -r zip",
    "publish_dataset wheels": "datasets version -p {root}/build/wheels -r zip -m 'new files'",
    "publish_dataset imagenet-weights --new": "datasets create -p {root}/build/imagenet-weights -r zip",
    "publish_dataset trained-weights --message two": "datasets version -p {root}/build/output/train/runs -r zip -m two",
    "push_kernel images": "kernels push -p {root}/train_kernels/images",
    "push_kernel external_images": "kernels push -p {root}/train_kernels/external_images",
    "push_kernel train": "kernels push -p {root}/train_kernels/train",
    "push_kernel inference": "kernels push -p {root}/inference_kernel",
    "fetch_output train": "kernels output {me}/siim-kernel-train -p {root}/build/output/train",
    "fetch_output inference --folder out": "kernels output {me}/siim-kernel-inference -p out",
    "submit 7 --message 'a try'": "competitions submit -c siim-covid19-detection -k {me}/siim-kernel-inference -v 7"
    " -f submission.csv -m 'a try'",
}
FAKE = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
print("kaggle was here")
sys.exit(int(os.environ["ANSWER"]))
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of what the scripts read, with an owner of its own, and with files to upload."""
    root = tmp_path / "checkout"
    for name in ("scripts", "datasets-metadata", "train_kernels", "inference_kernel"):
        shutil.copytree(CHECKOUT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(CHECKOUT / "requirements.lock", root / "requirements.lock")
    for path in root.rglob("*-metadata.json"):
        fields = json.loads(path.read_text())
        path.write_text(json.dumps(fields | {"id": f"somebody/{fields['id'].split('/')[1]}"}))
    for folder in ("code", "wheels", "imagenet-weights", "output/train/runs"):
        (root / "build" / folder).mkdir(parents=True)
        (root / "build" / folder / "file").write_text("content")
    return root


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """A kaggle on the PATH, alone there, that notes its arguments and answers with the exit code of `answer(code)`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kaggle").write_text(FAKE)
    (folder / "kaggle").chmod(0o755)
    record = tmp_path / "record"
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("RECORD", str(record))
    monkeypatch.setenv("ANSWER", "0")
    return record


def call(root, line, *more):
    name, *arguments = shlex.split(line)
    return subprocess.run([sys.executable, root / "scripts" / f"{name}.py", *arguments, *more], capture_output=True, text=True)


@pytest.mark.parametrize(("line", "expected"), COMMANDS.items())
def test_dry_run_prints_the_command_and_runs_nothing(copy, kaggle, line, expected):
    before = sorted(copy.rglob("*"))
    done = call(copy, line, "--dry-run")
    assert done.returncode == 0, done.stderr
    printed = shlex.split(done.stdout.splitlines()[-1])
    assert printed == shlex.split("kaggle " + expected.format(root=shlex.quote(str(copy)), me="somebody"))
    assert not kaggle.exists()
    assert [path for path in sorted(copy.rglob("*")) if "__pycache__" not in path.parts] == before


@pytest.mark.parametrize(("line", "expected"), COMMANDS.items())
@pytest.mark.parametrize("code", [0, 3])
def test_calls_kaggle_and_passes_its_exit_code_on(copy, kaggle, monkeypatch, line, expected, code):
    monkeypatch.setenv("ANSWER", str(code))
    done = call(copy, line)
    assert done.returncode == code
    assert "kaggle was here" in done.stdout
    arguments = [json.loads(line) for line in kaggle.read_text().splitlines()]
    assert arguments == [shlex.split(expected.format(root=shlex.quote(str(copy)), me="somebody"))]


@pytest.mark.parametrize("line", COMMANDS)
def test_without_kaggle_says_how_to_get_it(copy, tmp_path, monkeypatch, line):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = call(copy, line)
    assert done.returncode == 127
    assert "pip install kaggle==2.2.4 six" in done.stderr
    assert "Traceback" not in done.stderr


def test_publish_lays_the_metadata_beside_the_files(copy, kaggle):
    assert call(copy, "publish_dataset code --new").returncode == 0
    written = copy / "build" / "code" / "dataset-metadata.json"
    assert written.read_bytes() == (copy / "datasets-metadata" / "code" / "dataset-metadata.json").read_bytes()


@pytest.mark.parametrize("made", ["missing", "empty", "metadata alone"])
def test_publish_refuses_a_folder_without_files(copy, kaggle, tmp_path, made):
    folder = tmp_path / "files"
    if made != "missing":
        folder.mkdir()
    if made == "metadata alone":
        (folder / "dataset-metadata.json").write_text("{}")
    done = call(copy, "publish_dataset code --folder", str(folder))
    assert done.returncode == 1
    assert "no files to upload" in done.stderr
    assert not kaggle.exists()


def test_a_placeholder_owner_is_warned_of(copy):
    assert "warning" not in call(copy, "push_kernel train", "--dry-run").stderr
    metadata = copy / "train_kernels" / "train" / "kernel-metadata.json"
    metadata.write_text(metadata.read_text().replace("somebody/", f"{PLACEHOLDER}/"))
    assert PLACEHOLDER in call(copy, "push_kernel train", "--dry-run").stderr


def test_build_wheels_prints_pip_commands_at_the_locked_versions(copy):
    done = call(copy, "build_wheels", "--dry-run")
    assert done.returncode == 0
    ours, *downloads = map(shlex.split, done.stdout.splitlines())
    assert ours[:3] == [sys.executable, "-m", "pip"]
    assert {"wheel", str(copy), "--no-deps", "--no-build-isolation", str(copy / "build" / "code")} <= set(ours)
    assert [line[line.index("--python-version") + 1] for line in downloads] == ["3.11", "3.12", "3.13"]
    lock = (copy / "requirements.lock").read_text()
    for line in downloads:
        assert {"download", "--only-binary=:all:", "--no-deps", "--platform=manylinux_2_28_x86_64"} <= set(line)
        pinned = [word for word in line if "==" in word]
        assert [word.split("==")[0] for word in pinned] == ["python-gdcm", "imagecodecs", "pydicom"]
        assert all(f"\n{word} " in lock for word in pinned)
    assert (copy / "build" / "wheels" / "file").exists()


def test_build_wheels_stops_at_the_first_failure(copy):
    # The copy has no pyproject.toml, so that pip cannot build it; nothing is downloaded after that.
    done = call(copy, "build_wheels")
    assert done.returncode == 1
    assert "download" not in done.stdout


def test_scripts_are_thin_and_executable():
    scripts = sorted((CHECKOUT / "scripts").glob("*.py"))
    assert {path.stem for path in scripts} == {"build_wheels", "command", "fetch_output", "publish_dataset", "push_kernel", "submit"}
    for path in scripts:
        assert len(path.read_text().splitlines()) < 60
        assert os.access(path, os.X_OK) == (path.stem != "command")
        assert path.read_text().startswith("#!/usr/bin/env python3\n") == (path.stem != "command")
