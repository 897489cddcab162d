"""What the Kaggle kernels do: find what is mounted, call the story, print what an operator must know.

Each ends with the hash manifest of its output, `working/files.sha256.json`, by which what is fetched is verified.
"""

from pathlib import Path

from siim_kernel import clock, hashes, kernels, mounts
from siim_kernel import runs as stored_runs
from siim_kernel.errors import DeliveryError, MountError
from siim_kernel.recipes import catalogue


def images(root, working, competition, recipes, split):
    """The image kernel: image sets for some recipes' pixels into `working/images`; unreadable films cost a warning."""
    mounted = mounts.find(competition, root)
    _report(kernels.build_images(mounted, Path(working) / "images", _pixels(recipes), split=split))
    _write_hashes(working)


def external(root, working, dataset, recipes):
    """The external images kernel: image sets of the radiography database for some recipes' pixels into `working/images`."""
    mounted = mounts.find(dataset, root)
    _report(kernels.build_external(mounted, Path(working) / "images", _pixels(recipes)))
    _write_hashes(working)


def _pixels(recipes):
    """The pixel recipes of some recipes by their names, each once."""
    return tuple(dict.fromkeys(catalogue.by_name(name).pixels for name in recipes))


def _report(built):
    print(f"{built.images} images, {len(built.not_read)} films not read")
    for image, file, reason in built.not_read:
        print(f"WARNING: not read: {image} ({file}): {reason}")


def train(root, working, competition, image_sets, imagenet, recipe, fold, max_hours=None, split=None, calibrate=False):
    """The training kernel: one fold, or all, of a recipe into `working/runs`, within `max_hours`.

    What an earlier session left goes on, and the run that a recipe starts from is taken: every mounted source that holds runs
    is looked through for both. `split` overrides the recipe's own. With `calibrate` nothing is trained: a few steps are timed
    here, into `working/calibration.json`, and neither ImageNet's weights nor another run's are needed.
    """
    deadline = clock.after(max_hours)
    wanted = catalogue.by_name(recipe)
    slugs = [competition, *image_sets, *([imagenet] if wanted.weights and not calibrate else [])]
    mounted = mounts.find_all(slugs, root)
    sets = [_output_or_dataset(mounted[slug], "images") for slug in image_sets]
    if calibrate:
        print(f"calibrated: {kernels.calibrate(wanted, sets, mounted[competition], Path(working), fold=fold, split=split)}")
        _write_hashes(working)
        return
    weights = mounts.only_weights(mounted[imagenet]) if wanted.weights else None
    others = [place for source in mounts.sources(root) if (place := Path(root) / source) not in mounted.values()]
    previous = [folder for source in others for folder in stored_runs.search(source)]
    print(
        f"runs of earlier sessions: {', '.join(map(str, previous)) or 'none'} (looked for in {', '.join(map(str, others)) or 'no source'})"
    )
    options = {"fold": fold, "split": split, "imagenet": weights, "start": _start(wanted, fold, previous)}
    out = Path(working) / "runs"
    for run in kernels.train(wanted, sets, mounted[competition], out, deadline=deadline, previous=previous, **options):
        print(f"trained {run.folder}")
    _write_hashes(working)


def _start(recipe, fold, folders):
    """The folder of the mounted run that a recipe starts from: that of the same fold, or the only one. None for recipes without."""
    if not recipe.start:
        return None
    finished = [stored_runs.load(folder) for folder in folders if (folder / stored_runs.RECORD).exists()]
    having = [run for run in finished if run.recipe.name == recipe.start]
    chosen = [run for run in having if run.fold == fold] or having
    if len(chosen) != 1:
        found = ", ".join(str(run.folder) for run in chosen) or "none"
        raise MountError(f"recipe {recipe.name} starts from one run of {recipe.start}, mounted is {found}; attach the output that has it")
    return chosen[0].folder


def predict(root, working, competition, runs, max_hours=None):
    """The inference kernel: `working/submission.csv` out of the mounted competition and runs, checked, in `max_hours` from now."""
    deadline = clock.after(max_hours)
    mounted = mounts.find_all([competition, *runs], root)
    folders = [_output_or_dataset(mounted[slug], "runs") for slug in runs]
    print(f"runs: {', '.join(str(run) for folder in folders for run in stored_runs.search(folder)) or 'none'}")
    predicted = kernels.predict(mounted[competition], folders, Path(working) / "submission.csv", deadline=deadline, say=print)
    for remark in predicted.remarks():
        print(f"WARNING: {remark}")
    print(f"submission.csv is valid: {predicted.images} images, {len(predicted.not_read)} not read")
    _write_hashes(working)


def _write_hashes(working):
    """The hash manifest of all that a kernel leaves. What it left is worth more than its manifest: without one there is a warning."""
    try:
        hashes.write_hashes(working)
    except (OSError, DeliveryError) as error:
        print(f"WARNING: {hashes.HASHES} was not written, so that what is fetched is compared by names and sizes alone: {error}")


def _output_or_dataset(folder, name):
    """What a mounted source holds: a kernel's output has it in a sub-folder, a dataset is it."""
    return folder / name if (folder / name).is_dir() else folder
