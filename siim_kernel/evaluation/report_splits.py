"""What training, validation and final test of a run share, and what is wrong with that."""

import pandas as pd

from siim_kernel.competition.split_report import PAIRS, TEST, split_report

# What a run's record may tell of the run whose weights it started from: films of a part -> in words.
LEARNT = {
    "validation_films_learnt": "{count:,} validation films had been learnt before, by the run that it starts from ({start})",
    "validation_films_sharing_a_patient": "{count:,} validation films are of patients whom that run had learnt from ({start})",
    "final_test_films_learnt": "{count:,} final test films had been learnt before, by the run that it starts from ({start})",
    "final_test_films_sharing_a_patient": "{count:,} final test films are of patients whom that run had learnt from ({start})",
}


def split_of(judged, films):
    """(`SplitReport` of each fold of a `Judged`, its fold numbers), or (None, why not); films is a `report_films.Films`."""
    table, fold = films.of_split(judged)
    if table is None:
        return None, (
            f"The labels of {fold:,} films of this split are not known here: they stand in other folds. Give --competition (and --images "
            "for patients, duplicates and other sources), or all folds, and the report says what training and validation share."
        )
    duplicates = films.duplicates(judged, table["image"])
    numbers = [run.fold for run in judged.runs]
    return [split_report(table, fold, number, duplicates, (judged.scheme,)) for number in numbers], numbers


def shared_by_fold(reports, numbers):
    """DataFrame fold, part, films, shared with, then how many of its films share a patient, a study, a duplicate."""
    rows = []
    for report, number in zip(reports, numbers, strict=True):
        for one, others in PAIRS:
            row = report.shared.loc[f"{one} / {' or '.join(others)}"]
            if report.films[one]:
                counts = [int(row[f"{what}_films"]) for what in ("patient", "study")]
                duplicates = int(row["duplicate_films"]) if report.compared else "not compared"
                rows.append((number, one, int(report.films[one]), " or ".join(others), *counts, duplicates))
    return pd.DataFrame(rows, columns=["fold", "part", "films", "shared with", "a patient", "a study", "a duplicate"])


def flaws(reports):
    """What is wrong with a split, over all its folds: one line each; the validation films of the folds are counted together."""
    lines = []
    for one, others in PAIRS:
        if one == TEST and len(reports) > 1 and len(others) == 1:  # of several folds, one's validation is another's training
            continue
        counted = reports[:1] if one == TEST else reports  # the folds have one final test
        pair, films = f"{one} / {' or '.join(others)}", sum(report.films[one] for report in counted)
        for column, what in (("patient_films", "a patient"), ("study_films", "a study"), ("duplicate_films", "a duplicate")):
            count = sum(int(report.shared.loc[pair, column]) for report in counted)
            if count:
                lines.append(f"{count:,} of {films:,} {one} films share {what} with {' or '.join(others)}")
    unknown = int(reports[0].ungrouped.to_numpy().sum())
    if unknown:
        lines.append(f"the patients of {unknown:,} films are not known, and whether they stand on both sides cannot be said")
    absent = [flaw for report in reports for flaw in report.flaws if flaw.startswith("no film")]
    return [*dict.fromkeys(absent), *lines]


def start_flaws(judged):
    """What the weights that a training started from had learnt already of its validation and final-test films: one line each."""
    lines = []
    for name, words in LEARNT.items():
        counts, starts = 0, {}
        for run in judged.runs:
            start = run.record.get("start")
            if isinstance(start, dict) and isinstance(start.get(name), int) and start[name] > 0:
                # The folds have one final test: where it is known is counted once.
                counts = max(counts, start[name]) if name.startswith("final") else counts + start[name]
                starts[f"{start.get('recipe', 'not recorded')}, fold {start.get('fold', '?')}"] = None
        if counts:
            lines.append(words.format(count=counts, start="; ".join(starts)))
    return lines
