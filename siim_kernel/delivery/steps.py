"""The steps from a desk to a score, each in one call: stage from the manifest, act, verify.

Everything is staged in `build/staged` of the checkout, anew each time, and stays there to be looked at.
"""

import hashlib
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from siim_kernel.delivery import contents, fetching, kernel_folders, metadata, publishing, pushing, quota, submitting, timings
from siim_kernel.delivery import manifest as manifests
from siim_kernel.errors import DeliveryError
from siim_kernel.recipes import catalogue

STAGED = "build/staged"
LONGEST_NAME = 22  # characters of a recipe's name in a slug
BUILT = {"trained-weights": "build/output/train/runs"}  # where `fetch train` leaves them; other datasets come from build/NAME
TRAINING = "train"
SHORT = 1.0  # GPU hours that a push of another kernel than the training may take: it sees the visible test films alone. Assumed


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a pushed kernel shall do otherwise than the committed one.

    recipe, fold, max_hours  put into its PARAMETERS; recipe and fold into its slug too
    settings  dict of other PARAMETERS
    kernels, datasets  more sources, each `owner/slug` or a slug of this owner
    fresh      begin anew, where an earlier session of this training could be gone on from
    calibrate  only time a training's steps, in a kernel of its own slug
    measured   runs and calibrations (`timings.measured`) that tell how long the training takes; without any it is assumed
    """

    recipe: str | None = None
    fold: int | None = None
    max_hours: float | None = None
    settings: dict = field(default_factory=dict)
    kernels: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    fresh: bool = False
    calibrate: bool = False
    measured: tuple[str, ...] = ()

    @property
    def suffix(self):
        """What the slug gets, so that kernels of several recipes and folds stand side by side: "-main-fold1"."""
        fold = f"-fold{self.fold}" if self.fold is not None else ""
        return (f"-{_in_slug(self.recipe)}" if self.recipe else "") + fold + ("-calibrate" if self.calibrate else "")

    def parameters(self, defaults):
        """The values for a PARAMETERS block with these defaults. DeliveryError for one that the kernel has not."""
        wanted = {"RECIPE": self.recipe, "FOLD": self.fold, "MAX_HOURS": self.max_hours, "CALIBRATE": self.calibrate or None}
        given = {name: value for name, value in wanted.items() if value is not None}
        if "RECIPE" in given and "RECIPE" not in defaults and "RECIPES" in defaults:
            given["RECIPES"] = (given.pop("RECIPE"),)
        if unknown := sorted({**given, **self.settings}.keys() - defaults.keys()):
            raise DeliveryError(f"the kernel has no parameter {', '.join(unknown)}; there are {', '.join(defaults)}")
        return given | self.settings


def publish(client, manifest, name, files=None, message="new files", say=print):
    """Publishes the dataset `name` from the folder `files` (default: where the step before leaves them); returns `Published`.

    client  None to stage and check only, and to say what would be done; then returns None
    """
    files = Path(files) if files else manifest.checkout / BUILT.get(name, f"build/{name}")
    metadata.require(contents.content_faults(name, files), f"dataset {name}")
    folder = manifests.stage_dataset(manifest, name, files, _fresh_folder(manifest, name))
    if client:
        return publishing.publish(client, folder, message, say)
    expected = publishing.expected_files(folder)
    say(f"{manifest.dataset_ref(name)}: {len(expected)} files, {sum(expected.values()) / 1e6:.1f} MB, staged in {folder}")
    for path, size in sorted(expected.items()):
        say(f"  {path}  {size:,} bytes")
    say(f"would run, where the dataset is not there: {_line('datasets', 'create', '-p', folder, '-r', 'zip')}")
    say(f"would run, where it is: {_line('datasets', 'version', '-p', folder, '-r', 'zip', '-m', message)}")
    return None


def push(client, manifest, name, wish, say=print):
    """Pushes the kernel `name` with a `Wish`; returns `Pushed`.

    A training goes on from its own earlier session where there is a complete one: that one's output becomes a source, and the other
    of two slugs is pushed. It is refused where it cannot finish, by what was measured or else assumed, which `say` tells. client: None
    as for `publish`.
    """
    defaults = kernel_folders.read_parameters(manifest.kernels[name])
    parameters = wish.parameters(defaults)
    values = defaults | parameters
    training = name == TRAINING and not values.get("CALIBRATE")
    hours = values.get("MAX_HOURS") if training else SHORT
    work = training_work(values, wish.measured, say) if training else None
    suffix, sources = wish.suffix, {"kernel_sources": list(wish.kernels), "dataset_sources": list(wish.datasets)}
    if client and training and not wish.fresh:
        turn, source = pushing.next_in_chain(client, manifest.kernel_ref(name, suffix))
        if source:
            say(f"goes on from {source}")
            suffix += turn
            sources["kernel_sources"] += [source] if source not in wish.kernels else []
    folder = manifests.stage_kernel(manifest, name, _fresh_folder(manifest, name + suffix), parameters, suffix, sources)
    if client:
        return pushing.push(client, folder, say, hours, work)
    if training:
        pushing.require_time(hours, work, say)
    fields = kernel_folders.read_metadata(folder)
    say(f"{fields['id']}, staged in {folder}")
    for key, value in {**kernel_folders.read_parameters(folder), **fields}.items():
        say(f"  {key} = {value!r}")
    say(f"would run: {_line('kernels', 'push', '-p', folder)}")
    return None


def training_work(parameters, measured, say=print):
    """The `quota.Work` of one fold that a training kernel with these PARAMETERS does; `say` tells what it rests on.

    measured  as in `Wish`. RecipeError for a recipe that is not known, RunError for measurements of another training.
    """
    recipe = catalogue.by_name(parameters["RECIPE"])
    found = timings.measured(recipe, measured) if measured else timings.assumed(recipe)
    way = parameters.get("SPLIT") or recipe.split
    # The thesis's ways to part the films have their own parts.
    work, assumed = quota.work(recipe, found, None if way.startswith("thesis") else recipe.n_folds)
    for line in found.sources:
        say(f"measured: {line}")
    for line in (*found.assumed, *assumed):
        say(f"ASSUMED: {line}")
    say(f"a fold of {recipe.name} needs {work.hours:.1f} GPU hours")
    return work


def ref_of(manifest, kernel, suffix="", client=None):
    """`owner/slug` of a kernel that is given as a name of the manifest, a slug of this owner, or whole.

    client  asked which session of a training was pushed last; None for its first
    """
    if kernel not in manifest.kernels:
        return (kernel if "/" in kernel else f"{manifest.owner}/{kernel}") + suffix
    ref = manifest.kernel_ref(kernel, suffix)
    return pushing.newest_in_chain(client, ref) if client and kernel == TRAINING else ref


def output_folder(manifest, kernel, suffix=""):
    """Where the output of a kernel is put: build/output/ and the kernel's name, or its slug where it has one of its own."""
    name = manifest.kernel_ref(kernel, suffix) if suffix and kernel in manifest.kernels else kernel
    return manifest.checkout / "build" / "output" / name.rpartition("/")[2]


def fetch(client, ref, folder, say=print):
    """Downloads and verifies what the kernel `ref` left into `folder`; returns the paths. client: None as for `publish`."""
    if client:
        return fetching.fetch(client, ref, folder, say)
    say(f"would run, when {ref} is complete: {_line('kernels', 'output', ref, '-p', folder)}; and replace {folder} when all is verified")
    return None


def submit(client, manifest, ref, version=None, message="siim-kernel", again=False, folder=None, wait=True, say=print):
    """Submits a version of the kernel `ref`, and reads its score back into `folder`/submission.json; returns its row.

    wait  False to leave before the score is there; the same call asks for it later. client: None as for `publish`.
    """
    folder = Path(folder) if folder else output_folder(manifest, manifests.SUBMITTED)
    if not client:
        kernel = ("-k", ref, "-v", version or "NEWEST", "-f", submitting.FILE, "-m", f"{message} [{ref} v{version or 'NEWEST'}]")
        say(f"would run, where this version was not submitted yet: {_line('competitions', 'submit', manifest.competition, *kernel)}")
        say(f"and write the score to {folder / submitting.RECORD}")
        return None
    row = submitting.submit(client, manifest.competition, ref, version, message, again, say)
    submitting.write(row, manifest.competition, ref, folder)
    if wait:
        row = submitting.score(client, manifest.competition, row, say)
        say(str(submitting.write(row, manifest.competition, ref, folder)))
    return row


def _in_slug(recipe):
    """A recipe's name as part of a slug, which has 50 characters: a long one is cut, and its hash tells it from others."""
    if len(recipe) <= LONGEST_NAME:
        return recipe
    return f"{recipe[: LONGEST_NAME - 5].rstrip('-')}-{hashlib.sha256(recipe.encode()).hexdigest()[:4]}"


def _fresh_folder(manifest, name):
    folder = manifest.checkout / STAGED / name
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def _line(*words):
    return shlex.join(["kaggle", *map(str, words)])
