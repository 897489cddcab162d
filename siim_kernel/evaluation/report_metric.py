"""The competition's metric on the out-of-fold films of a run."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from siim_kernel.competition import metric, solutions, submission
from siim_kernel.competition.priors import boxes_of_films
from siim_kernel.evaluation.pages import Section, Table, Text
from siim_kernel.evaluation.report_tables import MISSING, number
from siim_kernel.labels import STUDY_CLASSES

PERMUTATIONS = 100
TITLE = "the competition's metric"


def section(judged, films):
    """The section of a run of the four study classes, where there is a competition; None for others."""
    if films.training is None or judged.recipe.labels != "study_label":
        return None
    found = score(judged, films)
    if found is None:
        warning = f"Not scored: {films.competition} has none of the films of {judged.name}; give the competition that it was trained on."
        return Section(TITLE, (Text(warning, warning=True),))
    count, score_, (mean, sd) = found
    rows = [(name, MISSING if value is None else number(value)) for name, value in (*score_.AP.items(), ("mAP", score_.mAP))]
    chance = "" if mean is None else f" Rows that change places at random have {number(mean)} (sd {number(sd)})."
    lacking = len(judged.table) - count
    parts = [
        Text(
            f"Mean of six average precisions on the {count:,} out-of-fold films, each by the network that did not learn from it. This "
            f"network draws no boxes: opacity has the boxes that training films gather around.{chance}"
        ),
        Table(pd.DataFrame(rows, columns=["class", "AP"]), "Average precision"),
    ]
    if lacking:
        parts.insert(1, Text(f"{lacking:,} more films are not in {films.competition} and are left out.", warning=True))
    return Section(TITLE, tuple(parts))


def score(judged, films):
    """(films, `metric.Score`, chance (mean, sd)) of a run of the four study classes on its out-of-fold films; None where the
    competition has none of them.

    Study probabilities are the mean over a study's films; boxes are the training priors of the run that validated the film. Films
    not read for boxes are not scored for `none` and boxes.
    """
    held = films.training[films.training["image"].isin(judged.table["image"])]
    if not len(held):
        return None
    truth = solutions.solution(held, drop_siblings=True)
    table = judged.table[judged.table["image"].isin(held["image"])].set_index("image")
    by_fold = [(run.prior_boxes, table[table["fold"] == run.fold]) for run in judged.runs]
    table["boxes"] = pd.concat([pd.Series(boxes_of_films(priors, part), part.index, object) for priors, part in by_fold])
    studies = table.groupby(table.index.map(held.set_index("image")["study"]))[list(STUDY_CLASSES)].mean()
    with TemporaryDirectory() as folder:
        sample, made = Path(folder) / "sample.csv", Path(folder) / "submission.csv"
        truth[["id", "PredictionString"]].to_csv(sample, index=False)
        submission.write(made, sample, studies, table)
        submitted = submission.read(made)
    return len(held), metric.score(submitted, truth), metric.chance(submitted, truth, PERMUTATIONS)
