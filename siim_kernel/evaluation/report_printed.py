"""The section that holds a run against what was printed of its recipe."""

import numpy as np
import pandas as pd

from siim_kernel.competition import splits
from siim_kernel.evaluation import classification, crossvalidation, report_reading
from siim_kernel.evaluation.classification import ARTICLE_COLUMNS, NOT_IN_PER_CENT
from siim_kernel.evaluation.intervals import RESAMPLES, intervals
from siim_kernel.evaluation.pages import Section, Table, Text
from siim_kernel.evaluation.predictions import OVERALL
from siim_kernel.evaluation.report_tables import MISSING, in_unit, matrix, unit
from siim_kernel.recipes.catalogue import PUBLISHED
from siim_kernel.recipes.storing import difference
from siim_kernel.recipes.thesis import FINAL_TEST

ARTICLE_WORDS = {word.lower(): measure for word, measure in ARTICLE_COLUMNS.items()}
# The splits whose final test is the thesis's, and the fold that holds it; in the last it validates.
FINAL_TESTS = {"thesis_union": splits.FINAL_TEST, "thesis_final_test": splits.FINAL_TEST, "thesis_continued": splits.VALIDATION}


def section(judged, measures, tests, resamples=RESAMPLES):
    """The section of one `Judged`, None for a recipe of which nothing was printed.

    measures, tests  with intervals, index (measure, label); of the final test, None without one
    """
    published = PUBLISHED.get(judged.recipe.name)
    if published is None:
        return None
    remark = f" {published.remark[:1].upper()}{published.remark[1:]}." if published.remark else ""
    inferred = f" Not printed but inferred: {', '.join(published.inferred)}." if published.inferred else ""
    lines = difference(judged.recipe, published.recipe)
    other = f"This run's recipe is not the printed one ({'; '.join(lines)})." if lines else "This run's recipe is the printed one."
    matrix_films = films_of_matrix(judged)
    of_matrix = None if matrix_films is None else intervals(matrix_films, resamples)
    parts = [
        Text(
            f"Model {published.id}, section {published.section}. Printed figures are of one training, ours of {judged.folds_text}; they "
            "are of other films where the split, or the number of films, is another. Ours have 95 % intervals by "
            f"{unit(judged.predictions)}.{remark}{inferred}"
        ),
        Text(other, warning=bool(lines)),
        Table(rows(judged, measures, tests, of_matrix, matrix_films), "Printed and ours"),
    ]
    continued = judged.recipe.split == "thesis_continued"
    ours = {FINAL_TEST: ("final test", judged.predictions if continued else judged.final_test)}
    for each in published.matrices:
        counts = pd.DataFrame(each.rows, index=each.labels, columns=each.labels)
        phase = f", phase {each.phase}" if each.phase else ""
        parts.append(Table(matrix(counts), f"Printed: {each.films}{phase}, films"))
        name, found = ours.pop(each.films, (None, None)) if each.films == FINAL_TEST else ours.pop("", ("out of fold", judged.predictions))
        ours.setdefault("", (None, None))  # one matrix of ours, whichever phases were printed
        if found is not None and set(each.labels) == set(judged.labels):
            if each.films == FINAL_TEST and matrix_films is not None:
                name, found = f"final test, the {len(matrix_films):,} films of the printed matrix", matrix_films
            order = list(each.labels)
            parts.append(Table(matrix(classification.confusion(found).loc[order, order]), f"Ours: {name}, films"))
    return Section("beside what was printed", tuple(parts))


def films_of_matrix(judged):
    """`Predictions` of the final test's films that stand in the thesis's matrices (`splits.matrix_films`), None where that is not known.

    They are the first 99 % by id; 1,254 of the 1,267.
    """
    number = FINAL_TESTS.get(judged.recipe.split)
    part = judged.predictions if judged.recipe.split == "thesis_continued" else judged.final_test
    if number is None or part is None or not any(each.films == FINAL_TEST for each in PUBLISHED[judged.recipe.name].matrices):
        return None
    split = report_reading.split(judged.runs[0])
    test = split[split["fold"] == number].reset_index(drop=True).assign(study="", patient="", label="")
    chosen = test["image"][splits.matrix_films(test, np.full(len(test), splits.FINAL_TEST))]
    held = pd.Series(part.images).isin(chosen).to_numpy()
    return part.take(held) if held.any() else None


def rows(judged, measures, tests, of_matrix=None, matrix_films=None):
    """What was printed of a recipe beside ours: DataFrame figure, printed, ours, and ours on the films of the printed matrix."""
    published = PUBLISHED[judged.recipe.name]
    if tests is None and judged.recipe.split == "thesis_continued":  # the thesis's final test validates it
        tests = measures
    found, last = [], len(judged.recipe.phases)
    ends = judged.history.groupby(["fold", "phase"])["validation_accuracy"].last().groupby("phase").mean()
    for phase, value in enumerate(published.accuracy[:-1], 1):
        found.append((f"accuracy after phase {phase}, validation", f"{value:.2f} %", _per_cent(ends.get(phase)), ""))
    if published.accuracy:
        found.append(("accuracy, validation", f"{published.accuracy[-1]:.2f} %", _of(measures, "accuracy", OVERALL), ""))
    if published.final_test is not None:
        ours = [_of(table, "accuracy", OVERALL) for table in (tests, of_matrix)]
        found.append(("accuracy, final test", f"{published.final_test:.2f} %", *ours))
    for each in published.matrices:
        if each.phase in (0, last):
            of_test = each.films == FINAL_TEST
            tables = (tests, of_matrix) if of_test else (measures,)
            overall, of_label = classification.of_counts(each.rows)
            named = [("balanced accuracy", overall["balanced_accuracy"], ("balanced_accuracy", OVERALL))]
            named += [
                (f"hit rate of {label}", share, ("sensitivity", label))
                for label, share in zip(each.labels, of_label["sensitivity"], strict=True)
            ]
            for words, share, which in named:
                found.append((f"{words}, {each.films}", _per_cent(share), *(_of(table, *which) for table in tables), *[""] * (not of_test)))
    if published.loss is not None:
        loss = judged.history.groupby("fold")["validation_loss"].last().mean()
        found.append(("validation loss after the last epoch", f"{published.loss:.4f}", MISSING if pd.isna(loss) else f"{loss:.4f}", ""))
    for name, (value, sd) in (published.measures or {}).items():
        measure = ARTICLE_WORDS[name.lower()]
        factor = 1 if measure in NOT_IN_PER_CENT else 100
        text = crossvalidation.plus_minus(value / factor, sd / factor, measure)
        found.append((name, text, _of_abnormal(judged, measures, measure), ""))
    for name, value in (published.figures or {}).items():
        measure = ARTICLE_WORDS.get(name.lower())
        found.append((name, f"{value:.2f}", _of_abnormal(judged, measures, measure) if measure else MISSING, ""))
    on_matrix = "" if matrix_films is None else f"ours, on the {len(matrix_films):,} films of the printed matrix"
    table = pd.DataFrame(found, columns=["figure", "printed", "ours", on_matrix])
    return table if on_matrix else table.iloc[:, :3]


def _of_abnormal(judged, measures, measure):
    """A measure of the article's: of the last label, by custom the abnormal one."""
    return _of(measures, measure, OVERALL if measure == "accuracy" else judged.labels[-1])


def _of(measures, measure, label):
    """Ours in the printed figure's unit: per cent with interval, but AUC and F1."""
    if measures is None or (measure, label) not in measures.index:
        return MISSING
    text = in_unit(measures.loc[(measure, label)], measure)
    return text if measure in NOT_IN_PER_CENT or text == MISSING else text.replace(" (", " % (", 1) if "(" in text else f"{text} %"


def _per_cent(share):
    return MISSING if share is None or pd.isna(share) else f"{share * 100:.2f} %"
