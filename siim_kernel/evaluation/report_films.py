"""What a report needs beyond the runs: the films' facts from tables and image sets, the split, the metric, pictures."""

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from siim_kernel import runs as stored
from siim_kernel.competition import folds as folding
from siim_kernel.competition import metric, solutions, submission, tables
from siim_kernel.competition.split_report import PAIRS, TEST, split_report
from siim_kernel.errors import TableError
from siim_kernel.evaluation import sampling
from siim_kernel.labels import BOXED, NONE, OPACITY, STUDY_CLASSES
from siim_kernel.pixels import imagesets

FACTS = ("study", "patient", "label", "image_label", "source")
PERMUTATIONS = 100
SHOWN = 6  # films of the worst, and of the best
SURE = "probability of what was said"


class Films:
    """The facts and squares of films, from where there are any: image sets, and a competition's tables.

    images       folders of image sets, or of their sizes; competition: a competition folder, or one with its tables alone
    patients     a CSV of patients

    Raises ImageSetError, TableError and MountError where these are given and not what they should be.
    """

    def __init__(self, images=(), competition=None, patients=None):
        self.competition, self.patients = competition, patients
        self.folders = tuple(map(Path, images))
        self._duplicates = {}  # the films of several runs are mostly the same, and hashing them takes longest

    @cached_property
    def training(self):
        """The competition's training table, None without a competition; patients as far as a CSV tells them."""
        if self.competition is None:
            return None
        return tables.read_training(self.competition, self.patients, headers=False).images

    def sets(self, size):
        """The opened image sets; of a folder of several sizes the one of that size."""
        return [imagesets.open_set(nested if (nested := folder / str(size)).is_dir() else folder) for folder in self.folders]

    def shown(self, wanted, size):
        """`sampling.Shown` of some films by their ids, of those that the image sets have; boxes where a competition tells them."""
        found = {}
        for each in self.sets(size):
            held = [image for image in wanted if image not in found and (each.table["image"] == image).any()]
            found |= {film.image: film for film in sampling.shown_squares(held, each, self.training)}
        return found

    def of_split(self, judged):
        """(training table of all films of a run's split, fold int [N]); (None, films of which nobody knows the label)."""
        path = judged.runs[0].folder / stored.FOLDS
        table = tables.read_csv(path, ["imageid", "fold"])
        fold = pd.to_numeric(table["fold"], errors="coerce")
        if fold.isna().any():
            raise TableError(f"{path}: a fold is a whole number, got {table['fold'][fold.isna()].iloc[0]!r}; copy the run again")
        facts = pd.DataFrame("", index=pd.Index(table["imageid"], name="image"), columns=list(FACTS))
        for known in self._known(judged):
            _fill(facts, known)
        if self.training is not None and (facts["patient"] == "").any() and (Path(self.competition) / "train").is_dir():
            _fill(facts, tables.read_training(self.competition, headers=True).images)
        unknown = int((facts["label"] == "").sum())
        return (None, unknown) if unknown else (facts.reset_index(), fold.astype(int).to_numpy())

    def _known(self, judged):
        own = pd.concat([judged.table, *judged.tests[:1]])
        yield own.assign(image_label=own["reading"].map({BOXED: OPACITY, NONE: NONE}).fillna(""))
        for each in self.sets(judged.recipe.pixels.size):
            yield each.table.rename(columns={"class": "label"})
        if self.training is not None:
            yield self.training

    def duplicates(self, judged, names):
        """Groups of images of the split that show one film, by hash; None without image sets."""
        opened = self.sets(judged.recipe.pixels.size)
        if not opened:
            return None
        rows = [(each.images, place, image) for each in opened for place, image in enumerate(each.table["image"])]
        wanted = set(names)
        rows = [row for row in rows if row[2] in wanted]
        key = judged.recipe.pixels.size, frozenset(wanted)
        if key not in self._duplicates:
            squares = (np.asarray(squares[place]) for squares, place, _ in rows)
            self._duplicates[key] = folding.find_duplicates(squares, [image for *_, image in rows])
        return self._duplicates[key]


def _fill(facts, known):
    """Takes over what is known of films where nothing stands yet."""
    known = known.drop_duplicates("image").set_index("image")
    for column in FACTS:
        if column in known:
            values = known[column].fillna("").astype(str).reindex(facts.index).fillna("")
            facts[column] = facts[column].where(facts[column] != "", values)


def split_of(judged, films):
    """(`SplitReport` of each fold of a `Judged`, its fold numbers), or (None, why not)."""
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


def score(judged, films):
    """(films, `metric.Score`, chance (mean, sd)) of a run of the four study classes on its out-of-fold films; None for others.

    Study probabilities are the mean over a study's films; boxes are the training priors of the run that validated the film. Films
    not read for boxes are not scored for `none` and boxes.
    """
    training = films.training
    if training is None or judged.recipe.labels != "study_label":
        return None
    held = training[training["image"].isin(judged.table["image"])]
    if not len(held):
        raise TableError(f"the competition {films.competition} has none of the films of {judged.name}; give the one it was trained on")
    truth = solutions.solution(held, drop_siblings=True)
    table = judged.table[judged.table["image"].isin(held["image"])].set_index("image")
    priors = {run.fold: run.prior_boxes for run in judged.runs}
    table["boxes"] = [_boxes(priors[row.fold], row) for row in table.itertuples()]
    studies = table.groupby(table.index.map(held.set_index("image")["study"]))[list(STUDY_CLASSES)].mean()
    with TemporaryDirectory() as folder:
        sample, made = Path(folder) / "sample.csv", Path(folder) / "submission.csv"
        truth[["id", "PredictionString"]].to_csv(sample, index=False)
        submission.write(made, sample, studies, table)
        submitted = submission.read(made)
    return len(held), metric.score(submitted, truth), metric.chance(submitted, truth, PERMUTATIONS)


def _boxes(priors, row):
    """Prior boxes of one film, as a submission has them: their confidences follow 1 - none."""
    if pd.isna(row.rows) or pd.isna(row.columns):
        return []
    sides = np.array([row.columns, row.rows, row.columns, row.rows], float)
    return [((1 - row.none) * prior[4], *(np.array(prior[:4]) * sides)) for prior in priors]


def extremes(predictions, count=SHOWN):
    """The films judged worst and best: two DataFrames image, truth, said, probability of the truth, probability of what was said."""
    places = np.arange(len(predictions))
    of_truth = predictions.probabilities[places, predictions.truth]
    labels = np.array(predictions.labels, dtype=object)
    table = pd.DataFrame(
        {
            "image": predictions.images,
            "truth": labels[predictions.truth],
            "said": labels[predictions.predicted],
            "probability of the truth": of_truth,
            SURE: predictions.probabilities.max(axis=1),
        }
    ).sort_values("probability of the truth", kind="stable", ignore_index=True)
    count = min(count, (len(table) + 1) // 2)
    return table[:count], table[::-1][:count].reset_index(drop=True)
