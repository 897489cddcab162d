"""What `plan` says of a short real training after a calibration, against what that training then takes; compilation apart."""

import shutil
import statistics
from dataclasses import replace

from benchmarks import measure
from benchmarks.table import line
from siim_kernel import kernels
from siim_kernel.delivery import quota, timings
from siim_kernel.phantom import films
from siim_kernel.recipes.catalogue import by_name
from siim_kernel.recipes.recipe import Phase

ROUNDS = 3
STUDIES, SCALE = 200, 0.08  # of the made competition
EPOCHS = 4  # of each phase: the first compiles and is not counted


def run(settings):
    """The lines of this part, and its facts: seconds of each round."""
    recipe = _short()
    folder = settings.folder / "plan"
    if not (folder / "images").exists():
        shutil.rmtree(folder, ignore_errors=True)
        films.make_competition(folder, studies=STUDIES, scale=SCALE, workers=settings.workers)
        kernels.build_images(folder / "competition", folder / "images", [recipe.pixels], split="train", workers=settings.workers)
    rounds = [_round(recipe, folder, number) for number in range(ROUNDS)]
    ratio = measure.spread([estimated / taken for estimated, taken in rounds])
    off = measure.spread([100 * abs(estimated / taken - 1) for estimated, taken in rounds])
    middle = [statistics.median(values) for values in zip(*rounds, strict=True)]
    what = f"plan's estimate of a training off by ({recipe.name}, {len(recipe.phases) * EPOCHS} epochs)"
    beside = f"estimate to training {ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f}): {middle[0]:.1f} s said, {middle[1]:.1f} s taken"
    seconds = [{"estimated": round(estimated, 2), "taken": round(taken, 2)} for estimated, taken in rounds]
    return [line(what, off, unit="%", wanted="<= 25", beside=beside)], {"seconds": seconds}


def _short():
    """The recipe `tiny`, twice as wide, in two phases of a few epochs."""
    tiny = replace(by_name("tiny"), width=0.5)
    phases = [Phase(epochs=EPOCHS, trainable=part, optimizer="adam", learning_rate=1e-3) for part in ("head", "all")]
    return replace(tiny, name="bench-plan", phases=tuple(phases))


def _round(recipe, folder, number):
    """(seconds that the plan says, seconds that the epochs took) of one calibration and the training after it."""
    images, competition, out = [folder / "images"], folder / "competition", folder / f"runs-{number}"
    shutil.rmtree(out, ignore_errors=True)
    calibration = kernels.calibrate(recipe, images, competition, out, fold=0, say=_silent)
    work, _ = quota.work(recipe, timings.measured(recipe, [calibration]), recipe.n_folds)
    (run,) = kernels.train(recipe, images, competition, out, fold=0, say=_silent)
    return sum(epoch.seconds for epoch in work.epochs), _taken(run)


def _taken(run):
    """Seconds of the epochs of a run, those that compiled as long as the others of their phase."""
    taken = 0.0
    for phase in {timing["phase"] for timing in run.record["training"]["timings"]}:
        _, *others = [each["seconds"] + each["saving"] for each in run.record["training"]["timings"] if each["phase"] == phase]
        taken += sum(others) * EPOCHS / (EPOCHS - 1)
    return taken


def _silent(text):
    """Epochs are no result of this part."""
