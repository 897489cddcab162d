"""The steps from a desk to a score, each in one call: stage from the manifest, act, verify.

Everything is staged in `build/staged` of the checkout, anew each time, and stays there to be looked at.
"""

import hashlib
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from siim_kernel.delivery import (
    chains,
    contents,
    fetching,
    kernel_folders,
    metadata,
    publishing,
    pushes,
    pushing,
    sessions,
    submissions,
    submitting,
    trainings,
)
from siim_kernel.delivery import manifest as manifests
from siim_kernel.errors import DeliveryError

STAGED = "build/staged"
LONGEST_NAME = 22  # characters of a recipe's name in a slug
BUILT = {"trained-weights": "build/output/train/runs"}  # where `fetch train` leaves them; other datasets come from build/NAME
TRAINING, CALIBRATION = "train", "-calibrate"
SHORT = 1.0  # GPU hours that a push of another kernel than the training may take: it sees the visible test films alone. Assumed


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a pushed kernel shall do otherwise than the committed one.

    recipe, fold, max_hours  put into its PARAMETERS; recipe and fold into its slug too
    settings  dict of other PARAMETERS
    kernels, datasets  more sources, each `owner/slug` or a slug of this owner
    fresh      begin anew, where an earlier session of this training could be gone on from
    calibrate  only time a training's steps, in a kernel of its own slug
    script     the script form of a notebook, in a kernel of its own slug, as a kernel's type cannot change
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
    script: bool = False
    measured: tuple[str, ...] = ()

    @property
    def suffix(self):
        """What the slug gets, so that kernels of several recipes and folds stand side by side: "-main-fold1"."""
        fold = f"-fold{self.fold}" if self.fold is not None else ""
        form = CALIBRATION if self.calibrate else "-script" if self.script else ""
        return (f"-{_in_slug(self.recipe)}" if self.recipe else "") + fold + form

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
    metadata.require(contents.content_faults(name, files, manifest.checkout, manifest.version), f"dataset {name}")
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

    A training goes on from its own earlier session where there is a complete one of the same PARAMETERS that is not finished: that
    one's output becomes a source, and the other of two slugs is pushed. It is refused where it cannot finish, by what was measured or
    else assumed, which `say` tells. client: None as for `publish`.
    """
    defaults = kernel_folders.read_parameters(manifest.kernels[name])
    if name == TRAINING:
        trainings.require_named(wish.settings)
    if wish.script and kernel_folders.read_metadata(manifest.kernels[name])["kernel_type"] == "script":
        raise DeliveryError(f"the kernel {name} is a script as it is; leave --script out")
    parameters = wish.parameters(defaults)
    values = defaults | parameters
    training = name == TRAINING and not values.get("CALIBRATE")
    hours = values.get("MAX_HOURS") if training else SHORT
    folds = trainings.folds_of(values)[0] if name == TRAINING else ()
    work = trainings.work_of(values, wish.measured, say) if training else None
    suffix, sources = wish.suffix, {"kernel_sources": list(wish.kernels), "dataset_sources": list(wish.datasets)}
    first = manifest.kernel_ref(name, suffix)
    if client and training and not wish.fresh:
        turn, source = _turn(client, first, values, folds, say)
        suffix += turn
        sources["kernel_sources"] += [source] if source and source not in wish.kernels else []
    place = _fresh_folder(manifest, name + suffix)
    folder = manifests.stage_kernel(manifest, name, place, parameters, suffix, sources, wish.script)
    if client:
        record = manifest.checkout / pushes.PLACE
        return pushing.push(client, folder, say, hours, work, offline=name == manifests.SUBMITTED, record=record)
    if training:
        sessions.require_time(hours, work, say)
    fields = kernel_folders.read_metadata(folder)
    say(f"{fields['id']}, staged in {folder}")
    for key, value in {**kernel_folders.read_parameters(folder), **fields}.items():
        say(f"  {key} = {value!r}")
    if training and not wish.fresh:
        say(f"would look for a complete session to go on from ({first}, or its {chains.OTHER}), attach it and push the other of both")
    say(f"would run: {_line('kernels', 'push', '-p', folder)}")
    return None


def _turn(client, first, values, folds, say):
    """What the slug of a training's next session gets after that of the `first`, and the session to go on from or None."""
    suffix, source, fields = chains.next_in_chain(client, first)
    if source:
        known = trainings.require_same(values, fields, source)
        trainings.require_unfinished(client.kernel_listing(source), folds, source)
        say(f"goes on from {source}" + ("" if known else ", whose PARAMETERS Kaggle does not tell: not compared"))
    return suffix, source


def ref_of(manifest, kernel, suffix="", client=None):
    """`owner/slug` of a kernel that is given as a name of the manifest, a slug of this owner, or whole.

    client  asked which session of a training was pushed last; None for its first
    """
    if kernel not in manifest.kernels:
        return (kernel if "/" in kernel else f"{manifest.owner}/{kernel}") + suffix
    ref = manifest.kernel_ref(kernel, suffix)
    return chains.newest_in_chain(client, ref) if client and kernel == TRAINING else ref


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


def wait(client, ref, say=print, patience=fetching.PATIENCE):
    """Waits until the newest version of a kernel is complete (`fetching.wait`), and tells the end of its log: what it came to."""
    fetching.wait(client, ref, say, patience)
    lines = fetching.last_words(client, ref)
    for line in lines:
        say(f"  {line}")
    if any("unfinished" in line for line in lines):
        say(f"{ref} is not done with its training: the same push goes on from there")


def submit(client, manifest, ref, version=None, message="siim-kernel", again=False, folder=None, wait=True, say=print):
    """Submits a version of the kernel `ref`, and reads its score back into build/submissions/SLUG-vN.json; returns its row.

    folder  in place of build/submissions
    wait    False to leave before the score is there; the same call asks for it later. client: None as for `publish`.
    """
    folder = Path(folder) if folder else manifest.checkout / submissions.PLACE
    if not client:
        number = version or "NEWEST"
        kernel = ("-k", ref, "-v", number, "-f", submitting.FILE, "-m", f"{message} [{ref} v{number}]")
        say(f"would run, where this version was not submitted yet: {_line('competitions', 'submit', manifest.competition, *kernel)}")
        say(f"and write the score to {submissions.Record(folder, manifest.competition, ref, number).path}")
        return None
    version = submitting.version_of(client, ref, version, pushes.Pushes(manifest.checkout / pushes.PLACE, ref), say)
    record = submissions.Record(folder, manifest.competition, ref, version)
    row = submitting.submit(client, ref, version, record, manifest.competition, message, again, say)
    if wait:
        row = submitting.score(client, manifest.competition, row, say)
        say(str(record.write(row)))
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
