"""The real command, killed where it hurts and run again: the same bytes as an unbroken run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from siim_kernel.pixels import imagesets
from siim_kernel.pixels.building import build
from siim_kernel.recipes.recipe import PixelRecipe
from tests.pixels import competitions, faults
from tests.pixels.competitions import files

ROOT = Path(__file__).parents[2]
SIZES = (64, 96)


@pytest.fixture(scope="module")
def competition(tmp_path_factory):
    """160 films in 20 chunks, some of which cannot be read, whole chunks among them."""
    folder = tmp_path_factory.mktemp("killed") / "competition"
    competitions.make(folder, 160, broken={3, 17, 18, *range(40, 48), 159})
    return folder


def start(competition, out, form, workers=2, *options):
    """The real command in a process of its own."""
    command = [sys.executable, "-m", "siim_kernel.cli", "build-images", str(competition), str(out), f"--format={form}"]
    sizes = [f"--size={size}" for size in SIZES]
    return subprocess.Popen(
        [*command, *sizes, f"--workers={workers}", *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(*arguments):
    """The command to its end; films that cannot be read make its exit code 1."""
    with start(*arguments) as process:
        said = process.communicate(timeout=300)[1]
    assert process.returncode == 1, said
    assert said.count("not read:") == 12


def kill_when(reached, *arguments, after=0):
    """Runs the command and kills it so many seconds after `reached()` is true; whether it was still running."""
    with start(*arguments) as process:
        while not reached() and process.poll() is None:
            time.sleep(0.0005)
        time.sleep(after)
        offspring = faults.children(process.pid) if process.poll() is None else []
        process.kill()
    limit = time.monotonic() + 30
    while not all(map(faults.dead, offspring)):
        assert time.monotonic() < limit, "workers outlived the command"
        time.sleep(0.01)
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npy", "png"])
def test_killed_at_ten_random_points(competition, tmp_path, form):
    finish(competition, tmp_path / "whole", form)
    out, draw, killed = tmp_path / "part", random.Random(form), 0
    chunks = out / imagesets.SCRATCH / "chunks"
    for number in range(10):
        # Two chunks further each time, anywhere between the first of them and what follows.
        wanted = 2 * number - draw.randrange(2)
        reached = lambda wanted=wanted: chunks.is_dir() and len(os.listdir(chunks)) >= wanted  # noqa: E731
        killed += kill_when(reached, competition, out, form, 2, after=draw.uniform(0, 0.02))
        assert not (out / str(SIZES[-1]) / imagesets.SUMS).exists()
    assert killed == 10
    finish(competition, out, form)
    assert files(out) == files(tmp_path / "whole")
    for size in SIZES:
        assert imagesets.verify(out / str(size)) == []


# What appears at the end of a build, in this order.
ENDS = {
    "npy": ["64/images.npy", "64/pixels.json", "64/SHA256SUMS", "96/images.npy", "96/SHA256SUMS"],
    "png": ["64/images.csv", "64/SHA256SUMS.part", "64/SHA256SUMS", "96/images.csv", "96/SHA256SUMS"],
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ENDS)
def test_killed_while_it_finishes(competition, tmp_path, form):
    finish(competition, tmp_path / "whole", form)
    out = tmp_path / "part"
    for name in ENDS[form]:
        kill_when((out / name).exists, competition, out, form)
    finish(competition, out, form)
    assert files(out) == files(tmp_path / "whole")
    assert not (out / imagesets.SCRATCH).exists()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npy", "png"])
def test_one_two_and_four_workers_give_the_same_bytes(competition, tmp_path, form):
    for workers in (1, 2, 4):
        finish(competition, tmp_path / str(workers), form, workers)
    assert files(tmp_path / "1") == files(tmp_path / "2") == files(tmp_path / "4")


@pytest.mark.slow
def test_a_lost_dask_worker_costs_nothing(competition, tmp_path):
    distributed = pytest.importorskip("distributed")
    finish(competition, tmp_path / "whole", "npy")
    recipes = [PixelRecipe(size=size) for size in SIZES]
    films = _films_of(competition)
    lost = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):

        def progress(done, total):
            if not lost:  # while the other chunks are under way
                lost.append(client.run(os.getpid))
                os.kill(next(iter(lost[0].values())), signal.SIGKILL)

        built = build(films, tmp_path / "dask", recipes, backend="dask", progress=progress)
        assert client.run(os.getpid) != lost[0]
    assert len(built.not_read) == 12
    assert files(tmp_path / "dask") == files(tmp_path / "whole")


def _films_of(competition):
    import pandas as pd

    from siim_kernel.competition import tables

    return pd.concat([tables.films(competition, split).assign(split=split) for split in tables.SPLITS], ignore_index=True)
