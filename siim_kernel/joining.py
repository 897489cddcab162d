"""Runs of several folds or recipes as one folder of verified copies: what is published as the trained weights.

Of one recipe the folder has `fold-0`, `fold-1`, ...; of several it has a sub-folder of each recipe's name with these in it.
`runs.load_all` finds both, and so does the inference kernel where the folder is mounted.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from siim_kernel import runs
from siim_kernel.competition import splits, tables
from siim_kernel.errors import RunError
from siim_kernel.files import sha256, write_atomically
from siim_kernel.recipes.storing import difference

JOINED = "joined.json"  # what is in the folder: version, and of each recipe its folds, those that lack, and hashes
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Group:
    """The runs of one recipe in the order of their folds, and the folds that validate in its split and have no run here."""

    recipe: str
    runs: tuple[runs.Run, ...]
    missing: tuple[int, ...]

    @property
    def line(self):
        """What is there, for people."""
        numbers = ", ".join(str(run.fold) for run in self.runs)
        return f"{self.recipe}: fold{'s' * (len(self.runs) > 1)} {numbers}, every file verified"

    @property
    def warning(self):
        """What lacks, for people; "" for nothing."""
        numbers, count = ", ".join(map(str, self.missing)), len(self.runs)
        return f"{self.recipe}: no run of fold {numbers}: {count} of {count + len(self.missing)} folds" if self.missing else ""


def join(sources, out):
    """Copies runs into the new folder `out`, verified before and after; returns the `Group`s in it.

    sources  folders, each a run, a folder of `fold-K` runs, or one that holds such up to two levels below, as a kernel's output

    `out` is there whole or not at all. Raises RunError where a run is unfinished or damaged, a fold is there twice, runs of one
    recipe's name are of different recipes, splits or image sets, `out` is there already, or the disk does not take it.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} is there already; name a new folder for the joined runs, or remove it")
    groups = grouped([runs.load(folder) for source in sources for folder in find(source)])
    part = out.with_name(out.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)  # what a kill has left
        part.mkdir(parents=True)
        for group in groups:
            for run in group.runs:
                _copy(run, runs.fold_folder(part if len(groups) == 1 else part / group.recipe, run.fold))
        write_atomically(part / JOINED, json.dumps(_told(groups), indent=1) + "\n")
        part.replace(out)
    except OSError as error:
        raise RunError(f"the runs cannot be joined in {out}: {error.strerror or error}; make room, or name another folder") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return groups


def find(source):
    """The folders of single runs in a source, finished all of them. Raises RunError where there is none or one is not finished."""
    source = Path(source)
    found = [source] if (source / runs.RECORD).exists() else runs.fold_folders(source) or runs.search(source)
    if not found:
        raise RunError(f"{source} holds no run; name the folder of a run, of fold-K runs, or a kernel's output that has them")
    unfinished = [str(folder) for folder in found if not (folder / runs.RECORD).exists()]
    if unfinished:
        raise RunError(f"not finished: {', '.join(unfinished)}; train on from there first, or name the finished runs alone")
    return found


def grouped(stored):
    """The `Group`s of some `runs.Run`s by their recipes' names, in the order in which they came. Raises RunError as `join` does."""
    names = dict.fromkeys(run.recipe.name for run in stored)
    return [_group(name, [run for run in stored if run.recipe.name == name]) for name in names]


def _group(name, same):
    """The `Group` of runs whose recipes have one name."""
    first, there = same[0], {}
    if not NAME.fullmatch(name) or re.fullmatch("fold-[0-9]+", name):
        raise RunError(f"{first.folder}: the recipe's name {name!r} cannot be the name of a folder; store the run under another one")
    for run in same:
        if lines := difference(first.recipe, run.recipe):
            raise RunError(f"{first.folder} and {run.folder} are of two recipes called {name}: {'; '.join(lines)}; join those of one")
        if lines := _other_split(first, run):
            raise RunError(
                f"{first.folder} and {run.folder} were trained on different films or folds: {'; '.join(lines)}; their out-of-fold "
                "predictions do not belong together. Train all folds with one image set and one split"
            )
        if run.fold < 0:
            raise RunError(f"{run.folder / runs.RECORD} has fold {run.fold}, which no training has; copy the run again")
        if run.fold in there:
            raise RunError(f"fold {run.fold} of {name} is there twice, {there[run.fold].folder} and {run.folder}; name one of them")
        there[run.fold] = run
    ordered = tuple(there[fold] for fold in sorted(there))
    return Group(name, ordered, tuple(fold for fold in _validating(first) if fold not in there))


def _other_split(first, other):
    """Lines on what of the split of two runs differs: films, labels, folds, the image set."""
    sides = [run.record.get("split") if isinstance(run.record.get("split"), dict) else {} for run in (first, other)]
    pairs = {name: [side.get(name) for side in sides] for name in ("sha256", "image_set")}
    pairs[runs.FOLDS] = [run.record["files"][runs.FOLDS] for run in (first, other)]
    return [f"{name}: {one} and {two}" for name, (one, two) in pairs.items() if one != two]


def _validating(run):
    """The folds of a run's split that validate in turn."""
    if run.recipe.split in splits.HELD_OUT:
        return splits.validating(run.recipe.split)
    numbers = pd.to_numeric(tables.read_csv(run.folder / runs.FOLDS, ["imageid", "fold"])["fold"])
    return tuple(sorted({int(number) for number in numbers} - {splits.FINAL_TEST}))


def _copy(run, place):
    """A verified copy of a run: its record and the files that this one names."""
    place.mkdir(parents=True)
    for name in (*run.record["files"], runs.RECORD):
        shutil.copyfile(run.folder / name, place / name)
    if runs.load(place).record != run.record:
        raise RunError(f"{run.folder} has changed while it was copied; join again when nothing writes to it")


def _told(groups):
    """What `JOINED` says."""
    return {
        "made_by": f"siim-kernel {runs.versions().get('siim-kernel', '')}".strip(),
        "recipes": {
            group.recipe: {
                "folds": {str(run.fold): sha256(run.folder / runs.RECORD) for run in group.runs},
                "missing": list(group.missing),
            }
            for group in groups
        },
    }
