"""The story: from DICOMs to image sets, from image sets to runs, from runs to a submission.

Three functions compose the rooms. The Kaggle kernels and the command line call them with the same arguments.
"""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from siim_kernel import clock, machine
from siim_kernel import runs as stored_runs
from siim_kernel.competition import checking, external, split_report, splits, tables
from siim_kernel.competition import folds as folding
from siim_kernel.errors import ImageSetError, MountError, RecipeError, SubmissionError
from siim_kernel.learning import drafts
from siim_kernel.pixels import building, dicom, imagesets, published
from siim_kernel.pixels.workers import Lost, in_order

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded: its banners are no messages of ours
NOT_READ_LIMIT = 0.2  # share of the sample's images above which a submission is not to be trusted
PREFLIGHT_HOURS = 1  # a time limit shorter than this is not spent on reading all headers first
NAMED = 20  # films not read that are named one by one


def cores():
    """Processes that can compute at full speed here: the cores of this process, and no more than its container's quota."""
    return machine.cores().workers


def build_images(source, out, pixels, form="npy", split="both", workers=None, backend="local", progress=None):
    """Builds image sets of a competition's films; returns `pixels.building.Built`.

    source  the competition folder; only the split asked for is read, and no CSV is needed. Or a resized copy (`pixels.published`)
    pixels  pixel recipes, one a size
    split   "train", "test" or "both"

    Films that cannot be read are left out and named in the result. Raises MountError, TableError, ImageSetError.
    """
    chosen = [name for name in tables.SPLITS if split == name or (split == "both" and (Path(source) / name).is_dir())]
    if published.is_published(source):
        films = published.films(source, chosen, pixels)
    elif not chosen:
        raise MountError(f"{source} has neither train/ nor test/; give the competition folder")
    else:
        films = pd.concat([tables.films(source, name).assign(split=name) for name in chosen], ignore_index=True)
    return building.build(films, out, pixels, form=form, workers=workers or cores(), backend=backend, progress=progress)


def build_external(source, out, pixels, form="npy", workers=None, backend="local", progress=None, say=print):
    """Builds image sets of the COVID-19 Radiography Database; returns `pixels.building.Built`.

    source  its folder, as published
    pixels  pixel recipes, one a size
    say     called with a line for each thing that does not fit together in it, and with the counts

    All films are of the split "train", each its own study; the class is one of `labels.EXTERNAL_CLASSES`. Files that cannot be
    read are left out and named in the result. Raises MountError, TableError, ImageSetError.
    """
    database = external.read(source)
    for line in database.lines():
        say(line)
    return building.build(database.images, out, pixels, form, external.SOURCE, database.classes, workers or cores(), backend, progress)


def train(
    recipe,
    images,
    competition,
    out,
    folds=None,
    n_folds=None,
    fold=None,
    split=None,
    patients=None,
    imagenet=None,
    start=None,
    deadline=clock.UNLIMITED,
    previous=(),
    say=print,
):
    """Trains one fold or all folds of a recipe; returns the finished runs, one a fold, in `out/fold-K`.

    recipe     a `Recipe`
    images     folders of image sets; the one made by the recipe's pixel recipe is taken
    folds      CSV imageid,fold; without it the films are parted as the recipe says (n_folds and split override it)
    fold       the fold that validates; None trains all in turn
    patients   CSV of patients where the image set and the DICOM headers do not tell them
    start      folder of the run whose weights are the start, where the recipe names one
    deadline   when to stop: the fold under way stays unfinished, which `say` tells, and the same call goes on with it
    previous   folders in which earlier sessions may have left runs of this training, finished or not
    """
    from siim_kernel.learning import fitting, training

    recipe = replace(recipe, split=split or recipe.split, n_folds=n_folds or recipe.n_folds)  # as it is stored with the run
    material, same = _material(recipe, images, competition, patients, say)
    if folds is not None:
        made = folding.read_folds(folds, material.table)
        there = sorted(set(made["fold"]) - {splits.FINAL_TEST})
    else:
        way, count = recipe.split, recipe.n_folds
        made = material.table[["image"]].set_axis(["imageid"], axis=1)
        if way == "patient" and (material.table["patient"] == "").all():
            say("warning: no patient is known, so that films of one patient may stand on both sides; folds keep studies together")
            made["fold"] = folding.make_folds(material.table, count, "study", recipe.seed, same)["fold"].to_numpy()
        else:
            made["fold"] = splits.make_split(material.table, way, count, recipe.seed, same)
        there = splits.validating(way, count)
    for line in split_report.split_report(material.table, made["fold"].to_numpy(), fold or 0).lines():
        say(line)
    if fold is not None and fold not in there:
        raise RecipeError(f"there is no fold {fold}; there are {', '.join(map(str, there))}")
    begun = _start(recipe, start)
    found, session = [], fitting.Session(deadline)
    for number in there if fold is None else [fold]:
        say(f"{recipe.name}: fold {number} of {len(there)}")
        run = training.train_fold(
            recipe, material, made, int(number), stored_runs.fold_folder(out, number), imagenet, begun, session, previous, say
        )
        if run is None:
            break
        found.append(run)
    return found


def _start(recipe, folder):
    """The run that a recipe starts from, None for recipes that start from none. RecipeError where one is lacking or needless."""
    if not recipe.start:
        if folder is not None:
            raise RecipeError(f"recipe {recipe.name} starts from no other run; leave --start out")
        return None
    if folder is None:
        raise RecipeError(f"recipe {recipe.name} starts from the weights of {recipe.start}: train that first and name its run (--start)")
    begun = stored_runs.load(folder)
    if begun.recipe.name != recipe.start:
        raise RecipeError(f"recipe {recipe.name} starts from {recipe.start}, {folder} is a run of {begun.recipe.name}")
    return begun


def _material(recipe, folders, competition, patients, say):
    """What a recipe learns from: `training.Material` of its sources, and the groups of films that show the same."""
    from siim_kernel.learning import training

    sets = _image_sets(folders, recipe)
    table = tables.read_training(competition, patients=patients, headers=False)
    for problem in table.problems:
        say(f"warning: {problem}")
    films = table.images.assign(source=splits.COMPETITION)
    films = pd.concat([films, *(external.training_table(each.table) for each in sets[1:])], ignore_index=True)
    joined = sets[0] if len(sets) == 1 else imagesets.union(sets)
    material = training.join(joined, films)
    if material.left_out:
        say(f"warning: {len(material.left_out)} training images are not in {joined.folder}: {', '.join(material.left_out[:5])}")
    same = folding.find_duplicates((np.asarray(joined.images[row]) for row in material.rows), material.table["image"])
    if len(sets) > 1:
        source = dict(zip(material.table["image"], material.table["source"], strict=True))
        between = [group for group in same if len({source[image] for image in group}) > 1]
        say(f"groups of films that stand in more than one source: {len(between)}")
    return material, same


def _image_sets(folders, recipe):
    """One image set for each source of a recipe, made by its pixel recipe; the error names what each folder is."""
    found, faults = {}, []
    for folder in map(Path, folders):
        nested = folder / str(recipe.pixels.size)
        try:
            opened = imagesets.open_set(nested if nested.is_dir() else folder, recipe.pixels)
        except ImageSetError as error:
            faults.append(str(error))
            continue
        found.setdefault("radiography" if (opened.table["source"] == "radiography").any() else splits.COMPETITION, opened)
    lacking = [source for source in recipe.sources if source not in found]
    if lacking:
        raise ImageSetError("\n".join([*faults, f"recipe {recipe.name} needs an image set of the source {', '.join(lacking)}"]))
    return [found[source] for source in recipe.sources]


def network_lines(recipe):
    """Lines on the size of a recipe's network: its parameters, and the memory that weights and optimizer take."""
    from siim_kernel.learning import networks

    model = networks.build(networks.without_imagenet(recipe))
    count, backbone = model.count_params(), model.get_layer(networks.BACKBONE).count_params()
    copies = 2 + max({"sgd": 1, "rmsprop": 2, "adam": 2, "nadam": 2}[phase.optimizer] for phase in recipe.phases)
    return [
        f"parameters: {count:,}, of these {backbone:,} in the backbone",
        f"memory: {count * 4 / 2**20:.0f} MiB of weights, {count * 4 * copies / 2**20:.0f} MiB with gradients and optimizer; "
        f"the activations of a batch of {recipe.batch} come on top",
    ]


def preflight(paths, workers=1):
    """Lines that say which transfer syntaxes films have and which decoders there are for each, before work starts.

    Headers are read by a worker, each within seconds: one at which reading crashes or hangs is counted as unreadable.
    """
    paths = list(paths)
    answers = in_order(dicom.stated_syntax, paths, workers, seconds=drafts.HEADER_SECONDS)
    found = dicom.preflight(paths, [("", answer.reason) if isinstance(answer, Lost) else answer for _, answer in answers])
    lines = [f"{syntax.count} films {syntax.name}: {', '.join(syntax.decoders) or 'NO DECODER'}" for syntax in found.syntaxes]
    return lines + ([f"{len(found.unreadable)} films without a readable header"] if found.unreadable else [])


@dataclass(frozen=True)
class Predicted:
    """What a prediction made.

    submission  the file
    images      how many the sample names
    not_read    (image_id, file, reason) of those that have the training priors as their row
    fewer       images that fewer networks, or fewer mirrors, looked at than the runs ask for, for lack of time
    unnamed     films under test/ that the sample does not name
    warnings    of the check
    """

    submission: Path
    images: int
    not_read: tuple[tuple[str, str, str], ...] = ()
    fewer: int = 0
    unnamed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def trusted(self):
        """False where more than a fifth of the images could not be read."""
        return len(self.not_read) <= NOT_READ_LIMIT * self.images

    def remarks(self):
        """What an operator must know of it, in lines."""
        lines = [f"not read: {image} ({file}): {reason}" for image, file, reason in self.not_read[:NAMED]]
        more = len(self.not_read) - NAMED
        lines += [f"not read: {more} more, see {drafts.NOT_READ}"] if more > 0 else []
        if self.fewer:
            lines.append(f"{self.fewer} images were looked at by fewer networks, or without their mirror: the time was short")
        lines += self.warnings
        if self.unnamed:
            names = ", ".join(self.unnamed[:5]) + (", ..." if len(self.unnamed) > 5 else "")
            lines.append(f"{len(self.unnamed)} films under test/ are not in the sample: {names}")
        if not self.trusted:
            lines.append(
                f"more than a fifth of the images could not be read ({len(self.not_read)} of {self.images}): do not trust this submission"
            )
        return lines


def predict(competition, runs, out, sample=None, workers=None, progress=None, deadline=clock.UNLIMITED, say=None):
    """Predicts the test films of a competition and writes a submission that has been checked; returns `Predicted`.

    runs      folders of runs; their mean is predicted
    out       the submission; `not_read.csv` (image_id, file, reason) is written beside it
    sample    the sample submission that gives header and ids, by default the competition's
    deadline  when it must be finished: what the time does not allow is left out, see `learning.plan`
    say       called with the lines of `preflight`, if given and where there is time enough for reading every header

    A legal file is always there: it is written with the training priors in every row before a film is read, then now and
    then, and at the end. An image that cannot be read, that has no file, or that the time did not reach keeps the priors, is
    counted and listed. Missing runs, samples or test folders stop before that, and a submission that fails its own check
    stops after it.
    """
    competition, out = Path(competition), Path(out)
    sample = Path(sample or competition / tables.SAMPLE)
    stored = stored_runs.load_all(runs)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MountError(f"{out.parent} cannot be made: {error.strerror}; name another place for the submission") from None
    draft = drafts.Draft(out, sample, competition, tables.films(competition, "test", strict=False), stored)
    began = time.monotonic()
    draft.write_first()
    checking.check(out, sample)
    # The last writing takes as long as this one did, or longer: it writes boxes too. Leaving a film that hangs takes a moment.
    end = clock.Deadline(deadline.at - 3 - 5 * (time.monotonic() - began))

    if say and deadline.left() > PREFLIGHT_HOURS * 3600:
        for line in preflight(draft.films["path"], workers or cores()):
            say(line)

    from siim_kernel.learning import prediction  # loads TensorFlow: after the first legal file

    predictions = prediction.predict_films(
        draft.films["path"].items(), stored, workers or cores(), progress, end, lambda found: draft.write(found.images, found.not_read)
    )
    sizes, not_read = draft.write(predictions.images, predictions.not_read, end)
    report = checking.check(out, sample, sizes)
    if not report.ok:
        lines = "\n".join(map(str, report.faults[:10]))
        raise SubmissionError(f"the submission {out} was written and fails its own check ({len(report.faults)} faults):\n{lines}")
    return Predicted(out, len(draft.image_ids), not_read, predictions.fewer, draft.unnamed, tuple(map(str, report.warnings)))
