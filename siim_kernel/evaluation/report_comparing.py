"""The sections of a report that hold several runs against each other."""

from itertools import combinations, product

import numpy as np
import pandas as pd

from siim_kernel.evaluation import classification, comparison, figures, report_figures, report_making
from siim_kernel.evaluation.intervals import RESAMPLES, difference_intervals
from siim_kernel.evaluation.pages import Section, Table, Text, counted
from siim_kernel.evaluation.predictions import MACRO, OVERALL
from siim_kernel.evaluation.report_tables import MAIN, limits_text, number, p_text, people, stand_on, with_interval, word
from siim_kernel.labels import STUDY_CLASSES

MCNEMAR = "sign-flip by patient (McNemar's test for one film each)"
DELONG = "DeLong, by patient"


def parts(judged):
    """What a run judged without having learnt from it: name -> `Predictions`."""
    found = {judged.name: judged.predictions}
    return found if judged.final_test is None else found | {f"{judged.name}, final test": judged.final_test}


def meanings(scheme):
    """What each label of a scheme means on films of the competition: dict label -> the classes that bear it.

    Schemes of several sources also have classes of others: a label of two schemes that means the same here has one hit rate.
    """
    return {label: tuple(sorted(set(group) & set(STUDY_CLASSES) or set(group))) for label, group in scheme.groups.items()}


def compared(found, resamples, say=lambda line: None):
    """The section that compares each two runs on all films that both judged; found: `report_sections.Examined` of each run."""
    subjects = [each.judged for each in found]
    told = [
        Text(
            "Each two runs on the films that both judged, out of fold or in a final test. A difference whose interval holds 0 may be "
            "chance. The tests of the accuracy and of the AUC take the patient as the unit; of the others the interval, by bootstrap over "
            "patients, is the test. The p values are not corrected for their number."
        )
    ]
    recipes = report_making.differences(subjects)
    told.append(Table(recipes, "What differs in the recipes") if len(recipes) else Text("The runs are of one recipe."))
    for first, second in combinations(subjects, 2):
        say(f"comparing {first.name} and {second.name}")
        told += _pair(first, second, resamples)
    return Section("Runs compared", tuple(told))


def _pair(first, second, resamples):
    """What is to be said of two runs: parts of a section."""
    names = f"{first.name} less {second.name}"
    shared = {
        (one, other): np.intersect1d(ours.images, theirs.images)
        for (one, ours), (other, theirs) in product(parts(first).items(), parts(second).items())
    }
    shared = {pair: images for pair, images in shared.items() if len(images)}
    if not shared:
        folds = "; folds of one training are pooled where their folder is named" if first.recipe == second.recipe else ""
        return [Text(f"{names}: not compared, as they judged different films and none is of both{folds}.")]
    if first.labels != second.labels or meanings(first.scheme) != meanings(second.scheme):
        schemes = f"{first.scheme.name}, {second.scheme.name}"
        return [Text(f"{names}: not compared, as their labels do not mean the same ({schemes}).")]
    return [part for (one, other), images in shared.items() for part in _on_films(first, second, one, other, images, resamples)]


def _on_films(first, second, one, other, images, resamples):
    """A part of one run less one of another, on the films of both."""
    ours, theirs = parts(first)[one], parts(second)[other]
    pair = [part.take(np.isin(part.images, images)) for part in (ours, theirs)]
    for what, name in (("labels", "truth"), ("patients", "patients")):
        differ = getattr(pair[0], name) != getattr(pair[1], name)
        if differ.any():
            first_film = pair[0].images[differ.argmax()]
            said = f"the runs tell other {what} of {differ.sum():,} of {len(differ):,} films, the first is {first_film}"
            return [Text(f"{one} less {other}: not compared, as {said}; train both on one table.", warning=True)]
    table, alone, note = paired(*pair, (one, other), resamples)
    same = len(ours) == len(theirs) == len(images)
    counts = "" if same else f" The two judged {len(ours):,} and {len(theirs):,} films; only those of both are compared."
    return [Table(table, f"{one} less {other}, on {people(pair[0])}"), Text(f"{alone}{counts}{note and ' '}{note}")]


def paired(one, other, names, resamples=RESAMPLES):
    """Two `Predictions` of the same films: (DataFrame, a sentence on the films that one alone has right, one on the resamples).

    Columns: measure, the two names, difference (first - second), its interval, p, test.
    """
    differences = difference_intervals(one, other, resamples)
    values = [classification.measures(each) for each in (one, other)]
    accuracy = comparison.mcnemar(one, other)
    tests = {("accuracy", OVERALL): (accuracy.p, MCNEMAR)}
    labels = one.labels[-1:] if len(one.labels) == 2 else one.labels  # of two labels the one's AUC is the other's
    for label in labels:
        found = comparison.delong(one, other, label)
        tests["auc", label] = (found.p, DELONG)
        differences.loc[("auc", label), ["low", "high"]] = found.low, found.high
        differences.loc[("auc", label), "defined"] = resamples
    wanted = [*MAIN[:2], *(("auc", label) for label in labels), *(row for row in MAIN[2:] if len(labels) > 1 or row[0] != "auc")]
    rows = []
    for measure, label in wanted:
        p, test = tests.get((measure, label), (np.nan, ""))
        row = differences.loc[(measure, label)]
        rows.append(
            {"measure": word(measure, label) + (f", {label}" if label in one.labels else "")}
            | {name: number(value[measure, label]) for name, value in zip(names, values, strict=True)}
            | {"difference": number(row["value"]), "95 % interval": limits_text(row).strip(" ()")}
            | {"p": p_text(p), "test": test}
        )
    alone = f"{counted(accuracy.only_first, 'film')} right by {names[0]} alone, {accuracy.only_second:,} by {names[1]} alone."
    return pd.DataFrame(rows), alone, stand_on(differences.loc[wanted], resamples)


def hit_rates(found):
    """The section of hit rates from one run to the next; found: `report_sections.Examined` of each run."""
    schemes = {each.judged.name: each.judged.scheme for each in found}
    texts = _texts(schemes.values())
    columns, judged = {}, {}
    for each in found:
        tables = [each.measures, *([] if each.tests is None else [each.tests])]
        for (name, part), measures in zip(parts(each.judged).items(), tables, strict=True):
            rates = measures.loc["sensitivity"].drop(MACRO)
            columns[name] = rates.rename(index={label: texts[label, group] for label, group in meanings(each.judged.scheme).items()})
            judged[name] = part
    table = pd.DataFrame({name: {label: with_interval(row) for label, row in rates.iterrows()} for name, rates in columns.items()})
    caption = "Share of each label's films that were found; bars are 95 % intervals by patient."
    return Section(
        "Hit rates from one run to the next",
        (
            Text(_same_films(judged)),
            figures.picture(report_figures.hit_rates(columns), None, caption),
            Table(table.fillna("").rename_axis("label").reset_index()),
        ),
    )


def _texts(schemes):
    """(label, its meaning) to a text of its own: labels of one name that mean something else carry their scheme's name."""
    texts = {}
    for scheme in schemes:
        for label, group in meanings(scheme).items():
            texts.setdefault((label, group), f"{label} ({scheme.name})")
    names = [label for label, _ in texts]
    return {key: text if names.count(key[0]) > 1 else key[0] for key, text in texts.items()}


def _same_films(judged):
    """A sentence on the films of the columns: whether they are the same."""
    films = [set(part.images) for part in judged.values()]
    common = len(set.intersection(*films))
    counts = "; ".join(f"{name} {len(part):,}" for name, part in judged.items())
    if all(len(each) == common for each in films):
        return f"All are of the same {common:,} films."
    some = f"only {common:,} films are in all" if common else "no film is in all"
    return f"The films are not the same ({counts}), {some}: what differs may be the films and not the runs."
