"""The whole way, end to end: made films, real films, broken files, no network, no solution."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from siim_kernel import dry_run
from siim_kernel.competition import checking
from siim_kernel.errors import MountError

COMMAND = [sys.executable, "-m", "siim_kernel.cli"]


def run(*arguments, prefix=()):
    """A command in a process of its own: its return code and what it printed."""
    return subprocess.run([*prefix, *COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=900)


def has_namespaces():
    return bool(shutil.which("unshare")) and subprocess.run(["unshare", "-r", "-n", "true"], capture_output=True).returncode == 0


@pytest.mark.slow
def test_made_films(tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "PHANTOM_STUDIES", 240)
    lines = []
    summary = dry_run.run(tmp_path / "out", say=lines.append)
    assert summary["ok"]
    assert summary["valid"]
    assert summary["not_read"] == 0
    assert summary["mAP"] > summary["chance"]["mean"] + 3 * summary["chance"]["sd"]
    assert summary["scored"] == "solution"
    assert set(summary["kernels"]) == {"images", "train", "inference"}
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert (tmp_path / "out" / "not_read.csv").read_text() == "image_id,file,reason\n"
    last = dry_run.as_text(summary).splitlines()[-4:]
    assert last[0].startswith("submission valid")
    assert last[1].startswith("mAP ")
    assert "chance" in last[1]
    assert last[2].startswith("offline by ")
    assert "refused" in last[2] or "unreachable" in last[2]
    assert "minutes, peak memory" in last[3]
    installed = [path.name for path in (tmp_path / "out/stages/uploads/code").iterdir() if path.suffix == ".whl"]
    assert len(installed) == 1
    assert any("rehearsal: level" in line for line in lines)


@pytest.mark.slow
def test_without_solution_a_held_out_fold_is_scored(phantom, tmp_path):
    summary = dry_run.run(tmp_path / "out", competition=phantom / "competition", say=lambda line: None)
    assert summary["valid"]
    assert summary["scored"] == "held-out fold"
    folds = pd.read_csv(tmp_path / "out/stages/train/working/runs/fold-0/folds.csv", dtype={"imageid": str})
    scored = pd.read_csv(tmp_path / "out/held_out.csv", dtype=str)
    held_out = set(folds.loc[folds["fold"] == 0, "imageid"] + "_image")
    assert set(scored.loc[scored["id"].str.endswith("_image"), "id"]) == held_out


@pytest.fixture(scope="module")
def real_competition(real_data, tmp_path_factory):
    """The real films laid out as a small competition with a solution."""
    out = tmp_path_factory.mktemp("real")
    subprocess.run([sys.executable, real_data.parent / "tools" / "real_competition.py", out], check=True, capture_output=True)
    return out


def broken_kinds(real_data, sound):
    """What test files are replaced with, by kind: bytes."""
    damaged = real_data / "dicom" / "damaged"
    return {
        "empty": b"",
        "truncated": sound[: len(sound) // 2],
        "zeros": b"\0" * 4096,
        "text": b"this is no film\n" * 100,
        **{name: (damaged / f"{name}.dcm").read_bytes() for name in ("rtplan", "MR_truncated", "badVR", "no_meta")},
    }


@pytest.mark.slow
@pytest.mark.real
def test_real_films_with_broken_files(real_competition, real_data, tmp_path):
    competition = tmp_path / "competition"
    shutil.copytree(real_competition / "competition", competition)
    films = sorted((competition / "test").rglob("*.dcm"))
    kinds = broken_kinds(real_data, films[0].read_bytes())
    broken = films[3::17][: len(kinds)]
    for path, content in zip(broken, kinds.values(), strict=True):
        path.write_bytes(content)
    arguments = ("dry-run", "--competition", competition, "--solution", real_competition / "solution.csv")
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tmp_path / "out/not_read.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["image_id"] for row in rows} == {path.stem for path in broken}
    assert {row["file"] for row in rows} == {str(path.relative_to(competition)) for path in broken}
    assert all(row["reason"] for row in rows)
    assert checking.check(tmp_path / "out/submission.csv", competition / "sample_submission.csv").ok
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["mAP"] > summary["chance"]["mean"] + 3 * summary["chance"]["sd"]
    if has_namespaces():
        offline = run(*arguments, "--out", tmp_path / "offline", prefix=("unshare", "-r", "-n"))
        assert offline.returncode == 0, offline.stdout + offline.stderr
        assert (tmp_path / "offline/submission.csv").read_bytes() == (tmp_path / "out/submission.csv").read_bytes()

    runs = tmp_path / "out/stages/uploads/trained-weights"
    for path in films[: len(films) * 3 // 10 + 1]:
        path.write_bytes(b"")
    third = run("predict", competition, "--run", runs, "--out", tmp_path / "third/submission.csv")
    assert third.returncode == 1
    assert checking.check(tmp_path / "third/submission.csv", competition / "sample_submission.csv").ok
    assert "do not trust" in third.stderr


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(MountError, match=r"thesis\.doc"):
        dry_run.run(tmp_path)
    assert (tmp_path / "thesis.doc").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"competition": "nowhere"}, "no competition folder"),
        ({"solution": "nowhere.csv"}, "goes with --competition"),
        ({"imagenet": "nowhere.h5"}, "do not exist"),
    ],
)
def test_bad_input_fails_at_once(arguments, message, tmp_path):
    with pytest.raises(MountError, match=message):
        dry_run.run(tmp_path / "out", **{name: Path(value) for name, value in arguments.items()})
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_pretrained_weights(imagenet_weights, phantom, tmp_path):
    done = run("dry-run", "--competition", phantom / "competition", "--imagenet", imagenet_weights, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["recipe"]["name"] == "small-imagenet"
    assert summary["recipe"]["weights"] == "imagenet"
