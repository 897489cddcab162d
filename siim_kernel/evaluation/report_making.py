"""The sections of a report on how a run was made: learning curves, split, cost, recipe, provenance."""

import pandas as pd

from siim_kernel.evaluation import figures, report_figures, report_splits
from siim_kernel.evaluation.pages import Section, Table, Text
from siim_kernel.evaluation.report_tables import number
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.storing import to_dict

UNKNOWN = "not recorded"
SPLIT_HASHES = {"sha256": "films, labels and folds", "image_set": "table of the image set"}


def sections(found):
    """The sections of one `report_sections.Examined`."""
    judged = found.judged
    return [_learning(judged), _split(found), _cost(judged), _recipe(judged), _provenance(judged)]


def training_accuracy(judged):
    """What is known of the training accuracy, in a sentence: that of the kept epoch, as it was while it was learnt."""
    kept = [_kept(table, judged.recipe.keep) for _, table in judged.history.groupby("fold")]
    values = pd.Series([row["accuracy"] for row in kept if row is not None]).dropna()
    if not len(values):
        return "the training accuracy is not recorded."
    mean = " (mean of the folds)" * (len(values) > 1)
    return (
        f"the training accuracy in the epoch whose weights were kept is {number(values.mean())}{mean}, "
        "on augmented films and while the weights still moved."
    )


def _kept(table, keep):
    """The row of the epoch whose weights were kept, None where its loss was never finite."""
    if keep == "last":
        return table.iloc[-1]
    losses = table["validation_loss"].dropna()
    return table.loc[losses.idxmin()] if len(losses) else None


def _learning(judged):
    history = judged.history
    phases = catalogue.phases_text(judged.recipe)
    keep = "those of the lowest validation loss" if judged.recipe.keep == "best" else "those of the last epoch"
    parts = [Text(f"Phases: {phases}. Dotted lines are their borders. Kept weights: {keep}. {training_accuracy(judged).capitalize()}")]
    parts += [Text(fault, warning=True) for fault in judged.history_faults]
    for measure in ("loss", "accuracy"):
        names = [measure, f"validation_{measure}"]
        if history[names].notna().any(axis=None):
            table = history[["fold", "phase", "epoch", *names]].round(4)
            parts.append(figures.picture(report_figures.learning_curves(history, measure, measure.capitalize()), table))
    return Section("learning curves", tuple(parts))


def _split(found):
    judged = found.judged
    parts = [
        Text(
            f"The recipe's split is “{judged.recipe.split}”. A run may have been given another, or folds of its own; what it "
            f"was trained by is counted here, of {judged.folds_text}."
        )
    ]
    if found.reports is None:
        care = [Text(f"Read with care: {'; '.join(found.flaws)}.", warning=True)] if found.flaws else []
        return Section("split", (*parts, *care, Text(found.why), Table(_counts(judged), "Films of each part")))
    numbers = [run.fold for run in judged.runs]
    if found.flaws:
        parts.append(Text(f"Read with care: {'; '.join(found.flaws)}.", warning=True))
    else:
        parts.append(Text("Nothing is wrong with it, as far as could be compared."))
    first = found.reports[0]
    if not first.compared:
        parts.append(Text("Duplicates were not compared: give --images."))
    parts.append(Table(report_splits.shared_by_fold(found.reports, numbers), "Films that share something with another part"))
    of = f", fold {numbers[0]}" if len(numbers) > 1 else ""
    blocks = {"source": first.sources, "class": first.classes, **{f"label of {name}": table for name, table in first.labels.items()}}
    parts += [Table(table.rename_axis(name).reset_index(), f"Films by {name}{of}") for name, table in blocks.items()]
    return Section("split", tuple(parts))


def _counts(judged):
    rows = []
    for run in judged.runs:
        split = run.record.get("split") or {}
        parts = {part: split.get(f"{part.replace(' ', '_')}_images") for part in ("training", "validation", "final test")}
        rows.append({"fold": run.fold} | parts)
    return pd.DataFrame(rows)


def _cost(judged):
    rows = []
    for run in judged.runs:
        training = run.record.get("training") or {}
        timings = pd.DataFrame(training.get("timings") or [], columns=["phase", "seconds", "validation", "saving"])
        row = {"fold": run.fold, "seconds": training.get("seconds"), "epochs": training.get("epochs")}
        row |= {"sessions": len(training["sessions"]) if "sessions" in training else None}
        row |= {f"s/epoch, phase {phase}": round(seconds, 1) for phase, seconds in timings.groupby("phase")["seconds"].mean().items()}
        row |= {"steps/epoch": training.get("steps_per_epoch"), "devices": ", ".join(training.get("devices") or [UNKNOWN])}
        rows.append(row)
    table = pd.DataFrame(rows)
    seconds = pd.to_numeric(table["seconds"]).sum()
    parameters = (judged.runs[0].record.get("training") or {}).get("parameters")
    text = f"{seconds / 60:,.1f} minutes of training and saving in all, for {judged.folds_text}"
    text += f"; a network has {parameters:,} weights." if parameters else "."
    return Section("cost", (Text(text), Table(table, "Cost of each fold")))


def _recipe(judged):
    table = pd.DataFrame(list(_recipe_words(judged.recipe).items()), columns=["field", "value"])
    return Section("recipe", (Text(judged.recipe.about), Table(table)))


def _provenance(judged):
    versions = {f"fold {run.fold}": run.record.get("versions") or {} for run in judged.runs}
    same = len({tuple(sorted(each.items())) for each in versions.values()}) == 1
    versions = {"version": next(iter(versions.values()))} if same else versions
    table = pd.DataFrame(versions).fillna("").rename_axis("package").reset_index()
    hashes, sessions = [], []
    for run in judged.runs:
        split = run.record.get("split") or {}
        hashes += [(run.fold, name, _grouped(digest)) for name, digest in run.record["files"].items()]
        hashes += [(run.fold, name, _grouped(split[key])) for key, name in SPLIT_HASHES.items() if split.get(key)]
        training = run.record.get("training") or {}
        machine = {"devices": ", ".join(training.get("devices") or [UNKNOWN]), "dtype": training.get("dtype", UNKNOWN)}
        for number_, session in enumerate(training.get("sessions") or [], 1):
            keras = session.get("versions", {}).get("keras", UNKNOWN)
            sessions.append({"fold": run.fold, "session": number_, "began after epoch": session.get("epoch"), "keras": keras} | machine)
    parts = [Text(f"Folders: {', '.join(str(run.folder) for run in judged.runs)}."), Table(table, "Versions")]
    parts += [Table(pd.DataFrame(sessions), "Sessions")] if sessions else []
    return Section("provenance", (*parts, Table(pd.DataFrame(hashes, columns=["fold", "file", "SHA-256"]), "Hashes, compared on loading")))


def differences(subjects):
    """The recipes' fields that are not the same in all `Judged`: DataFrame field, then a column for each name."""
    flat = {judged.name: _recipe_words(judged.recipe) for judged in subjects}
    fields = dict.fromkeys(field for words in flat.values() for field in words if field not in ("name", "about"))
    rows = [[field, *(words.get(field, "") for words in flat.values())] for field in fields]
    return pd.DataFrame([row for row in rows if len(set(row[1:])) > 1], columns=["field", *flat])


def _recipe_words(recipe):
    """Field, with dots, to its value in words."""
    flat = _flat(to_dict(recipe)) | {"phases": catalogue.phases_text(recipe)}
    return {name: _words(value) for name, value in flat.items()}


def _grouped(digest):
    """Hex digits in groups of 16, which break over lines."""
    return " ".join(digest[start : start + 16] for start in range(0, len(digest), 16))


def _flat(values, prefix=""):
    """Nested dicts as one with dotted names."""
    flat = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _words(value):
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    return "none" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)
