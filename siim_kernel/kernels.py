"""The story: from DICOMs to image sets, from image sets to runs, from runs to a submission.

Three functions compose the rooms. The Kaggle kernels and the command line call them with the same arguments.
"""

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from siim_kernel import clock, machine
from siim_kernel import runs as stored_runs
from siim_kernel.competition import checking, external, gathering, splits, tables
from siim_kernel.competition import folds as folding
from siim_kernel.errors import ImageSetError, MountError, RecipeError, SubmissionError
from siim_kernel.files import write_atomically
from siim_kernel.learning import drafts
from siim_kernel.pixels import building, dicom, imagesets, published
from siim_kernel.pixels.workers import Lost, in_order

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded: its banners are no messages of ours
NOT_READ_LIMIT = 0.2  # share of the sample's images above which a submission is not to be trusted
PREFLIGHT_HOURS = 1  # a time limit shorter than this is not spent on reading all headers first
CALIBRATION = "calibration.json"  # in the folder of a training
NAMED = 20  # films not read that are named one by one


def cores():
    """Processes that can compute at full speed here: the cores of this process, and no more than its container's quota."""
    return machine.cores().workers


def build_images(source, out, pixels, form="npy", split="both", workers=None, backend="local", progress=None):
    """Builds image sets of a competition's films; returns `pixels.building.Built`.

    source  the competition folder; only the split asked for is read, and no CSV is needed. Or a resized copy (`pixels.published`)
    pixels  pixel recipes; of several each set is a sub-folder (`imagesets.folder_name`)
    split   "train", "test" or "both"

    Films that cannot be read, or whose file lacks in a copy, are left out and named in the result. Raises MountError, TableError,
    ImageSetError.
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
    pixels  pixel recipes; of several each set is a sub-folder (`imagesets.folder_name`)
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
    folds      CSV imageid,fold; without it the films are parted as the recipe says (n_folds and split override it;
               split is one of `splits.WAYS`, or "thesis")
    fold       the fold that validates; None trains all in turn
    patients   CSV of patients where the image set and the DICOM headers do not tell them
    start      folder of the run whose weights are the start, where the recipe names one
    deadline   when to stop: the fold under way stays unfinished, which `say` tells, and the same call goes on with it
    previous   folders in which earlier sessions may have left runs of this training, finished or not
    """
    from siim_kernel.learning import fitting, starts, training

    recipe, material, made, there = _parted(recipe, images, competition, folds, n_folds, fold, split, patients, say)
    begun = starts.find(recipe, start)
    found, session = [], fitting.Session(deadline)
    for number in there if fold is None else [fold]:
        say(f"{recipe.name}: fold {number} of {len(there)}")
        for line in training.who_is_where(recipe, material, made, number).lines():
            say(line)
        run = training.train_fold(
            recipe, material, made, int(number), stored_runs.fold_folder(out, number), imagenet, begun, session, previous, say
        )
        if run is None:
            break
        found.append(run)
    return found


def calibrate(recipe, images, competition, out, folds=None, n_folds=None, fold=None, split=None, patients=None, say=print):
    """Times a few real steps of each phase of a recipe on this machine; returns the path of `out/calibration.json`.

    The arguments are those of `train`; without a fold it is the first. What is stored: `learning.calibrating.calibrate`. Weights
    stay random, which takes the same time: neither ImageNet's nor another run's are needed. Raises MountError where `out` cannot
    be written.
    """
    from siim_kernel.learning import calibrating

    recipe, material, made, there = _parted(recipe, images, competition, folds, n_folds, fold, split, patients, say)
    path = Path(out) / CALIBRATION
    try:
        timed = calibrating.calibrate(recipe, material, made, there[0] if fold is None else fold, Path(out), say)
        write_atomically(path, json.dumps(timed, indent=1) + "\n")
    except OSError as error:
        raise MountError(f"{path} cannot be written: {error.strerror or error}; make room, or name another folder") from None
    return path


def _parted(recipe, images, competition, folds, n_folds, fold, split, patients, say):
    """The recipe as it is stored with its runs, its `training.Material`, who is in which fold, and the folds that validate."""
    recipe = replace(recipe, split=splits.way_of(recipe, split), n_folds=n_folds or recipe.n_folds)
    material = _material(recipe, images, competition, patients, say)
    if folds is not None:
        made = folding.read_folds(folds, material.table)
        there = sorted(set(made["fold"]) - {splits.FINAL_TEST})
    else:
        if recipe.split == "patient" and (material.table["patient"] == "").all():
            say("warning: no patient is known: the films are parted by study, and films of one patient may stand on both sides")
            recipe = replace(recipe, split="study")
        numbers = splits.make_split(material.table, recipe.split, recipe.n_folds, recipe.seed, material.duplicates)
        made = pd.DataFrame({"imageid": material.table["image"], "fold": numbers})
        there = splits.validating(recipe.split, recipe.n_folds)
    if fold is not None and fold not in there:
        raise RecipeError(f"there is no fold {fold}; there are {', '.join(map(str, there))}")
    return recipe, material, made, there


def _material(recipe, folders, competition, patients, say):
    """What a recipe learns from: `training.Material` of its sources."""
    from siim_kernel.learning import training

    sets = _image_sets(folders, recipe)
    films = gathering.gather(competition, sets, patients, headers=False)
    for remark in films.remarks:
        say(f"warning: {remark}")
    if len(sets) > 1:
        for line in external.overlaps(sets, films.duplicates).lines():
            say(line)
    return replace(training.join(imagesets.union(sets), films.table), duplicates=films.duplicates)


def _image_sets(folders, recipe):
    """One image set for each source of a recipe, made by its pixel recipe; the error names what each folder is."""
    found, faults = {}, []
    for folder in map(Path, folders):
        try:
            opened = imagesets.open_set(imagesets.folder_of(folder, recipe.pixels), recipe.pixels)
        except ImageSetError as error:
            faults.append(str(error))
            continue
        source = external.SOURCE if (opened.table["source"] == external.SOURCE).any() else splits.COMPETITION
        if source in found:
            raise ImageSetError(f"{found[source].folder} and {opened.folder} are both image sets of the source {source}; name one")
        found[source] = opened
    lacking = [source for source in recipe.sources if source not in found]
    if lacking:
        raise ImageSetError("\n".join([*faults, f"recipe {recipe.name} needs an image set of the source {', '.join(lacking)}"]))
    return [found[source] for source in recipe.sources]


def network_lines(recipe):
    """Lines on the size of a recipe's network: its parameters, and the memory of its training (`learning.footprint`)."""
    from siim_kernel.learning import footprint

    return footprint.lines(recipe)


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
