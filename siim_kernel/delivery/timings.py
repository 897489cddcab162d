"""Seconds that the steps of a training take: out of stored runs, out of a calibration, or assumed and named so."""

import json
import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from siim_kernel import runs
from siim_kernel.errors import RecipeError, RunError
from siim_kernel.recipes.recipe import Recipe
from siim_kernel.recipes.storing import from_dict

FORMAT = 1  # of a calibration
FILMS = {"competition": 6334, "radiography": 21165}  # of each source
# Multiplications of one film's way forward, by pixel: from the papers' figures at 224 or 299 px.
WORK = {"xception": 94e3, "cnn9": 46e3, "vgg16": 309e3, "vgg19": 391e3, "resnet18": 36e3, "resnet50": 77e3, "inception_v3": 64e3}
WORK |= {"densenet121": 57e3, "alexnet": 14e3}
RATE = 1.2e12  # multiplications a second of one T4 in mixed precision, half of it in float32: 50 films a second by Xception at 512 px
BACKWARD = 3  # a step in which everything learns, to one way forward


@dataclass(frozen=True)
class PhaseTime:
    """Seconds of a step of one phase, and what its first epoch in a session takes longer, as TensorFlow compiles."""

    step: float
    compiling: float


@dataclass(frozen=True)
class Timings:
    """What a recipe's training takes on one kind of machine, in seconds.

    phases      `PhaseTime` of each phase of the recipe
    validation  a batch of films that validate an epoch
    finishing   a film that is predicted when the training is over, with its mirror where the recipe has mirrors
    saving      the state after an epoch
    building    the network, in each session
    films       that are parted into folds, with a final test if there is one
    learning, validating   films of one fold as it was measured; folds: their number then. None where nothing was
    machine     "CPU", "1 GPU", ...
    sources     where the figures come from, a line each
    assumed     what was not measured, a line each
    """

    phases: tuple[PhaseTime, ...]
    validation: float
    finishing: float
    saving: float
    building: float
    films: int
    machine: str
    learning: int | None = None
    validating: int | None = None
    folds: int | None = None
    sources: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def measured(recipe, places):
    """The `Timings` of a recipe out of runs (folders of single ones, or of folds) and calibrations (files): medians of all of them.

    Raises RunError where one is damaged, was of another recipe (only what takes time is compared) or on another kind of machine
    than the others.
    """
    found = []
    for place in map(Path, places):
        if not place.exists():
            raise RunError(f"{place} does not exist; name the folder of a run, or the file that `train --calibrate` wrote")
        if place.is_file():
            found.append(_of_calibration(recipe, place))
        else:
            found += [_of_run(recipe, run) for run in runs.load_all([place])]
    machines = sorted({each.machine for each in found})
    if len(machines) > 1:
        raise RunError(f"these were measured on different machines ({', '.join(machines)}); give those of the machine that will train")
    middle = {name: statistics.median(getattr(each, name) for each in found) for name in ("validation", "finishing", "saving", "building")}
    phases = tuple(
        PhaseTime(statistics.median(each.step for each in same), statistics.median(each.compiling for each in same))
        for same in zip(*(each.phases for each in found), strict=True)
    )
    sources = tuple(line for each in found for line in each.sources)
    return replace(found[0], phases=phases, sources=sources, assumed=_once(each.assumed for each in found), **middle)


def assumed(recipe):
    """The `Timings` of a recipe of which nothing was measured: by the size of its network, on one T4."""
    work = WORK["xception"] * recipe.width**2 if recipe.network == "narrow_xception" else WORK[recipe.network]
    rate = RATE if recipe.mixed_precision else RATE / 2
    forward = work * recipe.pixels.size**2 / rate
    phases = tuple(PhaseTime(forward * recipe.batch * (BACKWARD if phase.trainable == "all" else 1), 60.0) for phase in recipe.phases)
    views = 2 if recipe.flip_average else 1
    steps = ", ".join(f"{phase.step:.2g} s a step of phase {number}" for number, phase in enumerate(phases, 1))
    lines = (
        f"{steps}: nothing was measured; reckoned for one T4 from the size of {recipe.network} at {recipe.pixels.size} px. "
        "On the machine that will train it is measured by `siim-kernel push train --calibrate`, or `siim-kernel train ... --calibrate`",
        "60 s for compiling each phase, 10 s for a state, 60 s for building the network",
    )
    finishing = work * recipe.pixels.size**2 / (RATE / 2) * views
    return Timings(phases, forward * recipe.batch, finishing, 10.0, 60.0, _films(recipe), "1 GPU", assumed=(*lines, _of_films(recipe)))


def _films(recipe):
    return sum(FILMS[source] for source in recipe.sources)


def _of_films(recipe):
    return f"{_films(recipe):,} films, as the sources {', '.join(recipe.sources)} have in full"


def _once(groups):
    return tuple(dict.fromkeys(line for group in groups for line in group))


def _of_calibration(recipe, path):
    """The `Timings` in a file that `train --calibrate` wrote. Raises RunError where it is none."""
    try:
        told = json.loads(path.read_text())
        if told["format"] != FORMAT:
            raise RunError(f"{path} has format {told['format']!r}, this version reads {FORMAT}; calibrate again")
        stored = from_dict(Recipe, told["recipe"])
        phases = tuple(PhaseTime(float(phase["step"]), float(phase["compiling"])) for phase in told["phases"])
        seconds = {name: float(told[name]) for name in ("validation", "finishing", "saving", "building")}
        films, machine, names = told["films"], _machine(told["devices"]), ", ".join(dict.fromkeys(map(str, told["device_names"])))
        counts = {name: int(films[name]) for name in ("learning", "validating")}
        every = int(films["all"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecipeError) as error:
        raise RunError(f"{path} is no calibration of this version ({type(error).__name__}: {error}); calibrate again") from None
    _require_same(recipe, stored, path)
    sound = all(math.isfinite(each) and each >= 0 for each in (*seconds.values(), *(phase.compiling for phase in phases)))
    sound = sound and all(math.isfinite(phase.step) and phase.step > 0 for phase in phases) and min(*counts.values(), every) > 0
    if len(phases) != len(stored.phases) or not sound:
        raise RunError(f"{path} is damaged: it should have seconds a step of {len(stored.phases)} phases, and films; calibrate again")
    source = f"{path}: {machine} ({names}), {_steps(phases)}"
    return Timings(phases, **seconds, films=every, machine=machine, folds=stored.n_folds, sources=(source,), **counts)


def _of_run(recipe, run):
    """The `Timings` of a finished run: means of its epochs, without the first of a phase and of a session where there are others."""
    _require_same(recipe, run.recipe, run.folder)
    try:
        told, split = run.record["training"], run.record["split"]
        steps, timings, machine = int(told["steps_per_epoch"]), told["timings"], _machine(told["devices"])
        learning, validating = int(split["training_images"]), int(split["validation_images"])
        final, folds = int(split["final_test_images"]), int(split["folds"])
        numbers = [int(timing["phase"]) for timing in timings]
        first = {numbers.index(number) for number in numbers} | {int(session["epoch"]) for session in told["sessions"]}
        phases, slow = [], []
        for number in range(1, len(recipe.phases) + 1):
            those = [place for place, found in enumerate(numbers) if found == number]
            usual = [place for place in those if place not in first]
            slow += [] if usual else [number]
            phases.append(_phase([timings[place] for place in usual or those], timings[those[0]], steps))
        usual = [timing for place, timing in enumerate(timings) if place not in first] or timings
        validation = statistics.fmean(timing["validation"] for timing in usual)
        saving = statistics.fmean(timing["saving"] for timing in usual)
        if min(validation, validating, *(phase.step for phase in phases)) <= 0:
            raise ValueError("an epoch without steps")
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError, statistics.StatisticsError) as error:
        raise RunError(
            f"{run.folder} does not tell how long its epochs took ({type(error).__name__}: {error}); calibrate instead"
        ) from None
    batches = -(-validating // recipe.batch)
    # Finishing predicts on one device and in float32; the training validates on all of them, perhaps in mixed precision.
    slower = (2 if recipe.flip_average else 1) * (2 if told.get("dtype") == "mixed_float16" else 1) * max(1, len(told["devices"]))
    lines = [f"{run.folder}: finishing and building the network, which runs do not time: reckoned from its validation, and 60 s"]
    lines += [f"{run.folder}: phase {number} has no epoch without compilation in it: its steps are taken as too slow" for number in slow]
    source = f"{run.folder}: {machine}, {_steps(phases)}, {len(timings)} epochs"
    return Timings(
        tuple(phases),
        validation / batches,
        slower * validation / validating,
        saving,
        60.0,
        learning + validating + final,
        machine,
        steps * recipe.batch,
        validating,
        folds - (1 if final else 0),
        (source,),
        tuple(lines),
    )


def _phase(usual, first, steps):
    """The `PhaseTime` of epochs of so many steps and of the first one, in which TensorFlow compiled."""
    step = statistics.fmean(timing["seconds"] - timing["validation"] for timing in usual) / steps
    return PhaseTime(step, max(0.0, first["seconds"] - statistics.fmean(timing["seconds"] for timing in usual)))


def _steps(phases):
    return " and ".join(f"{phase.step:.3g}" for phase in phases) + " s a step"


def _machine(devices):
    """What the figures belong to: "CPU", or the number of GPUs."""
    gpus = [name for name in devices if name != "CPU"]
    return f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}" if gpus else "CPU"


def _cost(recipe):
    """What of a recipe decides how long a step takes."""
    names = ("network", "width", "middle", "top", "heads", "batch", "batch_norm", "mixed_precision", "flip_average")
    parts = {"trainable": tuple(phase.trainable for phase in recipe.phases)}
    parts |= {"optimizer": tuple(phase.optimizer for phase in recipe.phases), "pixels.size": recipe.pixels.size}
    return {name: getattr(recipe, name) for name in names} | parts


def _require_same(wanted, stored, place):
    left, right = _cost(stored), _cost(wanted)
    if lines := [f"{name}: stored {left[name]!r}, wanted {right[name]!r}" for name in left if left[name] != right[name]]:
        raise RunError(f"{place} was measured with another training than {wanted.name}: {'; '.join(lines)}; calibrate that")
