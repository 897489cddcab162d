"""The tables of stored runs as a report reads them: checked, and what cannot be judged left out and named."""

import numpy as np
import pandas as pd

from siim_kernel import runs as stored
from siim_kernel.competition import folds, schemes, splits, tables
from siim_kernel.errors import RunError, TableError
from siim_kernel.evaluation.pages import counted
from siim_kernel.labels import BOXED, NONE, OPACITY

FACTS = ("image", "study", "patient", "label", "reading", "rows", "columns", "fold")
ACCURACIES = ("study_accuracy", "accuracy")  # Keras names it by the head where there are several
HISTORY = ("fold", "phase", "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy")


def folds_in(path):
    """(`runs.Run`s, folders of folds that are not finished) of a RUN: the folder of a run, or of the runs `fold-K` of one training.

    Raises RunError where no fold is finished, or one that is has been damaged.
    """
    nested = stored.fold_folders(path)
    if not nested or (path / stored.RECORD).exists():
        return (stored.load(path),), ()
    finished = [folder for folder in nested if (folder / stored.RECORD).exists()]
    if not finished:
        names = ", ".join(folder.name for folder in nested)
        raise RunError(f"{path} holds no finished fold: {names} {'is' if len(nested) == 1 else 'are'} not finished; train one to its end")
    return tuple(map(stored.load, finished)), tuple(folder for folder in nested if folder not in finished)


def planned_folds(run):
    """How many folds of a run's split validate, each in turn."""
    numbers = set(split(run)["fold"])
    if run.recipe.split in splits.HELD_OUT and numbers <= {splits.FINAL_TEST, splits.VALIDATION, splits.TRAINING}:
        return 1
    return len(numbers - {splits.FINAL_TEST})


def split(run):
    """The films of a run's split: DataFrame image, fold (int; -1 the final test)."""
    return folds.read_stored(run.folder / stored.FOLDS)


def predicted(run, name, scheme):
    """(table of predictions of a run: text columns, then probabilities as float64; lines on what was left out).

    Films without finite probabilities are left out. Raises TableError where a column is missing or holds a word for a number, or no
    film is left.
    """
    path = run.folder / name
    chances = list(dict.fromkeys((*scheme.labels, NONE)))
    table = tables.read_csv(path, [*FACTS, *chances])[[*FACTS, *chances]].reset_index(drop=True)
    for column in ("rows", "columns", "fold", *chances):
        numbers = pd.to_numeric(table[column], errors="coerce")
        wrong = numbers.isna() & ~table[column].str.strip().str.lower().isin(("", "nan"))
        if wrong.any():
            raise TableError(f"{path}: {column} holds {table[column][wrong].iloc[0]!r}, which is no number; copy the run again")
        table[column] = numbers
    finite = np.isfinite(table[chances]).all(axis=1)
    if not finite.any():
        raise TableError(f"{path}: no film has probabilities that are numbers; train the run again")
    lost = table["image"][~finite]
    lines = []
    if len(lost):
        films = f"{counted(len(lost), 'film')} of {name} of fold {run.fold}"
        lines.append(f"{films} {'has' if len(lost) == 1 else 'have'} no probabilities, left out: {_some(lost)}")
    return table[finite].reset_index(drop=True).assign(fold=run.fold), lines


def _some(names, most=5):
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def targets(table, scheme):
    """The label of each film of a table of predictions, as `schemes.targets`."""
    labelled = table.assign(image_label=table["reading"].map({BOXED: OPACITY, NONE: NONE}).fillna(""))
    return schemes.targets(labelled, scheme)


def labelled(table, scheme):
    """The films of a table that have a label of the scheme, sorted by image."""
    return table[targets(table, scheme) != schemes.NO_TARGET].sort_values("image", ignore_index=True)


def final_tests(found, scheme):
    """(final-test tables of some runs, all of the same films, or () where the split has none; lines on what was left out).

    Raises RunError where one run has a final test and another none, or theirs are of other films.
    """
    having = [run for run in found if (run.folder / stored.FINAL_TEST).exists()]
    lacking = [run for run in found if run not in having]
    if having and lacking:
        names = f"{lacking[0].folder} has no {stored.FINAL_TEST}, {having[0].folder} has one"
        raise RunError(f"{names}; train both by the same split")
    read = [predicted(run, stored.FINAL_TEST, scheme) for run in having]
    lines = [line for _, some in read for line in some]
    tests = [labelled(table, scheme) for table, _ in read]
    if lines:  # a film that one network has no probabilities of is judged by none
        common = set.intersection(*(set(test["image"]) for test in tests))
        tests = [test[test["image"].isin(common)].reset_index(drop=True) for test in tests]
    for run, test in zip(having, tests, strict=True):
        if test["image"].tolist() != tests[0]["image"].tolist():
            raise RunError(f"the final tests of {found[0].folder} and {run.folder} are not of the same films; name each run by itself")
    return (tuple(tests) if tests and len(tests[0]) else ()), lines


def training_films(found, scheme):
    """(tables of the films that each run learnt from, () where a run stores none; lines on what was left out)."""
    if not all((run.folder / stored.TRAINING_FILMS).exists() for run in found):
        return (), []
    read = [predicted(run, stored.TRAINING_FILMS, scheme) for run in found]
    learnt = tuple(labelled(table, scheme) for table, _ in read)
    return (learnt if all(map(len, learnt)) else ()), [line for _, some in read for line in some]


def history(run):
    """(one row an epoch: columns of `HISTORY`; why there is none, "" where there is)."""
    try:
        table = tables.read_csv(run.folder / stored.HISTORY, ["phase", "epoch", "loss", "val_loss"])
    except TableError as error:  # curves are one section: the page stands without them
        return pd.DataFrame(columns=list(HISTORY), dtype=float), str(error)
    accuracy = next((name for name in ACCURACIES if name in table), None)
    wanted = {"phase": "phase", "epoch": "epoch", "loss": "loss", "validation_loss": "val_loss"}
    wanted |= {"accuracy": accuracy, "validation_accuracy": f"val_{accuracy}"} if accuracy else {}
    columns = {name: pd.to_numeric(table[column], errors="coerce") for name, column in wanted.items() if column in table}
    return pd.DataFrame({"fold": run.fold, **columns}).reindex(columns=list(HISTORY)), ""
