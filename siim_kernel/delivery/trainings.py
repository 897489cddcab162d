"""What a training kernel is to train, out of its PARAMETERS: its folds, the time they need, and whether an earlier session did the same."""

from dataclasses import replace

from siim_kernel import runs
from siim_kernel.delivery import kernel_folders, quota, timings
from siim_kernel.delivery.sources import SOURCE_PARAMETERS
from siim_kernel.errors import DeliveryError
from siim_kernel.recipes import catalogue

OPTIONS = {"RECIPE": "--recipe", "FOLD": "--fold", "CALIBRATE": "--calibrate"}  # what stands in the slug too
FREE = ("MAX_HOURS", *SOURCE_PARAMETERS)  # PARAMETERS that may be others in the next session of a training


def require_named(settings):
    """DeliveryError where free settings (a dict) name what has an option of its own, and would be missing in the slug."""
    if wrong := [name for name in OPTIONS if name in settings]:
        said = " and ".join(f"{OPTIONS[name]} in place of --set {name}=" for name in wrong)
        raise DeliveryError(f"use {said}: it is in the kernel's slug, so that trainings stand side by side")


def folds_of(parameters):
    """The folds that a training kernel with these PARAMETERS trains, and into how many the films are parted.

    The number is None for a way that has parts of its own. Raises DeliveryError for a fold that there is not, RecipeError for an
    unknown recipe or way.
    """
    from siim_kernel.competition import splits  # with scikit-learn, which takes a second

    recipe = catalogue.by_name(parameters["RECIPE"])
    way = splits.way_of(recipe, parameters.get("SPLIT"))
    there, fold = splits.validating(way, recipe.n_folds), parameters["FOLD"]
    if fold is not None and fold not in there:
        raise DeliveryError(f"{recipe.name} has no fold {fold}: parted by {way} it has {', '.join(map(str, there))}; give one of these")
    return (there if fold is None else (fold,)), recipe.n_folds if way in splits.FOLDED else None


def work_of(parameters, measured, say=print):
    """The `quota.Work` of all folds that a training kernel with these PARAMETERS trains; `say` tells what it rests on.

    measured  runs and calibrations for `timings.measured`; without any the time is assumed. RecipeError for a recipe that is not
              known, RunError for measurements of another training.
    """
    recipe = catalogue.by_name(parameters["RECIPE"])
    folds, n_folds = folds_of(parameters)
    found = timings.measured(recipe, measured) if measured else timings.assumed(recipe)
    one, assumed = quota.work(recipe, found, n_folds)
    for line in found.sources:
        say(f"measured: {line}")
    for line in (*found.assumed, *assumed):
        say(f"ASSUMED: {line}")
    if len(folds) == 1:
        say(f"a fold of {recipe.name} needs {one.hours:.1f} GPU hours")
        return one
    between = (len(folds) - 1) * one.building
    work = replace(one, epochs=one.epochs * len(folds), finishing=len(folds) * one.finishing + between)
    say(f"{len(folds)} folds of {recipe.name} in turn need {work.hours:.1f} GPU hours")
    return work


def require_same(parameters, fields, source):
    """DeliveryError where the session `source`, of which Kaggle told `fields`, ran with other PARAMETERS than these; False if not told."""
    there = kernel_folders.parameters_in(fields["source"], fields.get("kernel_type", "script"))
    other = [name for name in there if name in parameters and name not in FREE and there[name] != parameters[name]]
    if other:
        told = ", ".join(f"{name} {there[name]!r}, now {parameters[name]!r}" for name in other)
        raise DeliveryError(
            f"{source} trained something else ({told}), so that nothing goes on from it. Give the same PARAMETERS, or --fresh to begin anew"
        )
    return bool(there)


def require_unfinished(listing, folds, source):
    """DeliveryError where what the session `source` left ({path: bytes}, None where Kaggle does not list it) has all folds finished."""
    done = [fold for fold in folds if f"runs/fold-{fold}/{runs.RECORD}" in (listing or ())]
    if len(done) == len(folds):
        raise DeliveryError(
            f"{source} has finished fold {', '.join(map(str, done))} already. Fetch it (siim-kernel fetch {source.split('/')[1]}) and "
            "publish its runs; --fresh trains anew"
        )
