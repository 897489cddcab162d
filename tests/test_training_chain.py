"""Training kernels one after the other, each with the output of the one before, against one long kernel."""

import json

import pytest

from siim_kernel import dry_run, kernels, runs
from siim_kernel.delivery import rehearsal
from siim_kernel.recipes import catalogue as recipes

COMPETITION = "siim-covid19-detection"


@pytest.fixture(scope="module")
def sources(phantom, tmp_path_factory):
    """What every training kernel is given: name of the data source -> folder."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "code").mkdir()
    dry_run.build_wheel(dry_run.find_checkout(), folder / "scratch", folder / "code")
    kernels.build_images(phantom / "competition", folder / "output" / "images", [recipes.by_name("tiny").pixels], split="train")
    return {COMPETITION: phantom / "competition", "siim-kernel-code": folder / "code", "siim-kernel-images": folder / "output"}


def train(folder, mounted, hours):
    """One training kernel, rehearsed; its working folder and its output."""
    for place, source in mounted.items():
        (folder / "input" / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / "input" / place).symlink_to(source, target_is_directory=True)
    lines = []
    done = rehearsal.rehearse(
        dry_run.find_checkout() / "train_kernels/train",
        folder / "input",
        folder / "working",
        parameters={"RECIPE": "tiny", "MAX_HOURS": hours},
        on_line=lines.append,
    )
    assert done.ok, "\n".join(lines)
    return folder / "working", lines


@pytest.mark.slow
def test_three_kernels_of_one_epoch_end_in_the_run_of_one_long_kernel(sources, tmp_path):
    long, _ = train(tmp_path / "long", sources, None)
    new_layout = {
        f"competitions/{COMPETITION}": sources[COMPETITION],
        "datasets/me/siim-kernel-code": sources["siim-kernel-code"],
        "notebooks/me/siim-kernel-images": sources["siim-kernel-images"],
    }
    first, lines = train(tmp_path / "first", sources, 0)
    assert any("unfinished after 1 epochs" in line for line in lines)
    assert any(line.startswith("runs of earlier sessions: none") for line in lines)
    # As the output of another kernel in the newer layout, then as a dataset made of the one fold's folder.
    second, lines = train(tmp_path / "second", new_layout | {"notebooks/me/siim-kernel-train-a": first}, 0)
    assert any("siim-kernel-train-a/runs/fold-0: 1 epochs" in line for line in lines)
    third, lines = train(tmp_path / "third", sources | {"my-unfinished-run": second / "runs/fold-0"}, 0)
    assert any("my-unfinished-run: 2 epochs" in line for line in lines)
    for name in runs.FILES:
        assert (third / "runs/fold-0" / name).read_bytes() == (long / "runs/fold-0" / name).read_bytes(), name
    records = [json.loads((folder / "runs/fold-0" / runs.RECORD).read_text()) for folder in (long, third)]
    assert [len(record["training"]["sessions"]) for record in records] == [1, 3]
    assert records[0]["files"] == records[1]["files"]
