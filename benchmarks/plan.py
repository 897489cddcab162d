"""What `plan` says of a short real training after a calibration, against what that training then takes; compilation apart.

On real films where SIIM_KERNEL_REAL_DATA names some (the tool beside them lays them out as the competition), else on made ones.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import measure
from benchmarks.table import line
from siim_kernel import kernels
from siim_kernel.delivery import quota, timings
from siim_kernel.phantom import films
from siim_kernel.recipes.catalogue import by_name
from siim_kernel.recipes.recipe import Phase

ROUNDS = 3
STUDIES, SCALE = 400, 0.08  # of the made competition
REAL = ("--long-side", 256)  # films of the real one
EPOCHS = 6  # of each phase: what the first takes longer than the others is compilation


def run(settings):
    """The lines of this part, and its facts: seconds of each round."""
    recipe = _short()
    tool = _real_tool()
    kind = "real films" if tool else "made films"
    folder = settings.folder / "plan" / kind.replace(" ", "-")
    if not (folder / "images").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _lay_out(folder, tool, settings.workers)
        kernels.build_images(folder / "competition", folder / "images", [recipe.pixels], split="train", workers=settings.workers)
    rounds = [_round(recipe, folder, number) for number in range(ROUNDS)]
    ratio = measure.spread([estimated / taken for estimated, taken in rounds])
    off = measure.spread([100 * abs(estimated / taken - 1) for estimated, taken in rounds])
    middle = [statistics.median(values) for values in zip(*rounds, strict=True)]
    what = f"plan's estimate of a training off by ({recipe.name}, {len(recipe.phases) * EPOCHS} epochs, {kind})"
    beside = f"estimate to training {ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f}): {middle[0]:.1f} s said, {middle[1]:.1f} s taken"
    seconds = [{"estimated": round(estimated, 2), "taken": round(taken, 2)} for estimated, taken in rounds]
    return [line(what, off, unit="%", wanted="<= 25", beside=beside)], {"seconds": seconds}


def _short():
    """The recipe `small` in two phases of a few epochs."""
    phases = [Phase(epochs=EPOCHS, trainable=part, optimizer="adam", learning_rate=1e-3) for part in ("head", "all")]
    return replace(by_name("small"), name="bench-plan", phases=tuple(phases))


def _round(recipe, folder, number):
    """(seconds that the plan says, seconds that it took) of one calibration and the training after it, from start to end."""
    images, competition, out = [folder / "images"], folder / "competition", folder / f"runs-{number}"
    shutil.rmtree(out, ignore_errors=True)
    calibration = kernels.calibrate(recipe, images, competition, out, fold=0, say=_silent)
    work, _ = quota.work(recipe, timings.measured(recipe, [calibration]), recipe.n_folds)
    started = time.perf_counter()
    (run,) = kernels.train(recipe, images, competition, out, fold=0, say=_silent)
    taken = time.perf_counter() - started
    compiling = {epoch.phase: epoch.compiling for epoch in work.epochs}
    return work.hours * 3600 - sum(compiling.values()), taken - _compiling(run)


def _compiling(run):
    """Seconds that the first epoch of each phase of a run took longer than its others."""
    seconds = 0.0
    for phase in {timing["phase"] for timing in run.record["training"]["timings"]}:
        first, *others = [each["seconds"] for each in run.record["training"]["timings"] if each["phase"] == phase]
        seconds += max(0.0, first - statistics.fmean(others))
    return seconds


def _real_tool():
    """The program that lays real films out, None where there are none."""
    data = os.environ.get("SIIM_KERNEL_REAL_DATA")
    tool = Path(data or "").parent / "tools" / "real_competition.py"
    return tool if data and tool.is_file() else None


def _lay_out(folder, tool, workers):
    if tool is None:
        films.make_competition(folder, studies=STUDIES, scale=SCALE, workers=workers)
        return
    command = [sys.executable, tool, folder, "--pack", os.environ["SIIM_KERNEL_REAL_DATA"], *REAL]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def _silent(text):
    """Epochs are no result of this part."""
