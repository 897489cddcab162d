"""The command line: exit codes, what goes to which stream, no traceback for an operator's mistake."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from siim_kernel import cli
from siim_kernel.labels import METRIC_CLASSES

runner = CliRunner()


def run(*arguments):
    """A command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "siim_kernel.cli", *map(str, arguments)], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("name", sorted(command.name or command.callback.__name__ for command in cli.app.registered_commands))
def test_every_command_has_help(name):
    shown = runner.invoke(cli.app, [name, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.output


def test_help_loads_no_numpy():
    code = "import sys; from siim_kernel import cli; print({'numpy', 'pandas', 'tensorflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_operator_mistake_is_one_message_without_traceback(tmp_path):
    done = run("solution", tmp_path / "nowhere", tmp_path / "out.csv")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "nowhere" in done.stderr
    assert "give the competition folder" in done.stderr


def test_unknown_recipe_lists_the_known(tmp_path):
    done = run("train", "smal", "--images", tmp_path, "--competition", tmp_path, "--out", tmp_path / "runs")
    assert done.returncode == 1
    assert "small-imagenet" in done.stderr


def test_recipes_prints_one_as_json():
    shown = runner.invoke(cli.app, ["recipes", "small", "--json"])
    assert json.loads(shown.stdout)["network"] == "narrow_xception"
    listed = runner.invoke(cli.app, ["recipes"]).stdout.splitlines()
    names = [line.split()[0] for line in listed]
    assert names[:6] == ["recipe", "main", "small", "small-imagenet", "tiny", "thesis-cnn9"]
    assert len(names) == 1 + 4 + 14 + 50
    (opacity,) = (line for line in listed if line.startswith("thesis-opacity "))
    assert opacity.split()[1:7] == ["6.10", "4.7.9", "label_opacity", "xception", "P", "299"]
    assert opacity.endswith("74.96 / 80.17")


@pytest.mark.slow
def test_one_recipe_is_told_with_its_size_and_what_was_printed_of_it():
    shown = run("recipes", "thesis-opacity").stdout
    assert "labels: label_opacity" in shown
    assert "phase 2: epochs 100, trainable all, optimizer nadam" in shown
    assert "parameters: 20,873,770, of these 20,861,480 in the backbone" in shown  # batch norm 4 x 2,048, dense 2 x 2,048 + 2
    assert "confusion matrix, validation, phase 2 (None, Yes): 226 130; 121 789" in shown
    assert "inferred, not printed: augmentation, pixels.equalise" in shown


def test_check_and_score(phantom, tmp_path):
    sample = phantom / "competition" / "sample_submission.csv"
    solution = phantom / "solution.csv"
    checked = run("check", sample, "--sample", sample, "--competition", phantom / "competition")
    assert checked.returncode == 0
    assert "valid" in checked.stdout

    scored = run("score", sample, "--solution", solution, "--json", "--chance")
    values = json.loads(scored.stdout)
    assert list(values["AP"]) == list(METRIC_CLASSES)
    assert values["AP"]["typical"] == 0
    assert set(values["chance"]) == {"mean", "sd"}

    table = pd.read_csv(sample, dtype=str)
    table["PredictionString"] = table["PredictionString"].str.replace("negative", "Negative")
    table.to_csv(tmp_path / "bad.csv", index=False)
    refused = run("check", tmp_path / "bad.csv", "--sample", sample)
    assert refused.returncode == 1
    assert "Negative" in refused.stdout
    assert run("score", tmp_path / "bad.csv", "--solution", solution).returncode == 1


def test_perfect_submission_scores_one(phantom, tmp_path):
    solution = pd.read_csv(phantom / "solution.csv", dtype=str)
    solution[["id", "PredictionString"]].to_csv(tmp_path / "perfect.csv", index=False)
    scored = json.loads(run("score", tmp_path / "perfect.csv", "--solution", phantom / "solution.csv", "--json").stdout)
    assert scored["mAP"] == 1.0


def test_build_images_names_films_left_out(phantom, tmp_path):
    import shutil

    shutil.copytree(phantom / "competition" / "test", tmp_path / "competition" / "test")
    victim = sorted((tmp_path / "competition" / "test").rglob("*.dcm"))[0]
    victim.write_bytes(b"")
    done = run("build-images", tmp_path / "competition", tmp_path / "set", "--size", 32, "--split", "test", "--verify", "--workers", 1)
    assert done.returncode == 1
    assert victim.stem in done.stderr
    assert "an empty file" in done.stderr


def test_folds_and_leakage(phantom, tmp_path):
    competition = phantom / "competition"
    assert run("folds", competition, tmp_path / "folds.csv", "--n-folds", 3).returncode == 0
    assert run("leakage", "--competition", competition, "--folds", tmp_path / "folds.csv").returncode == 0
    assert run("folds", competition, tmp_path / "leaky.csv", "--n-folds", 3, "--group", "image").returncode == 0
    leaky = run("leakage", "--competition", competition, "--folds", tmp_path / "leaky.csv")
    assert leaky.returncode == 1
    assert "LEAKAGE" in leaky.stdout
