"""What a report needs of the films beyond the runs: facts and patients from tables, headers and image sets, and pictures."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from siim_kernel.competition import external, tables
from siim_kernel.competition import folds as folding
from siim_kernel.errors import ImageSetError, MountError
from siim_kernel.evaluation import report_reading, sampling
from siim_kernel.evaluation.pages import counted
from siim_kernel.labels import BOXED, EXTERNAL_CLASSES, NONE, OPACITY
from siim_kernel.pixels import imagesets

FACTS = ("study", "patient", "label", "image_label", "source")
SHOWN = 6  # films of the worst, and of the best
SURE = "probability of what was said"


class Films:
    """The facts and squares of films, from where there are any: image sets, and a competition's tables and DICOM headers.

    images       folders of image sets, or of sets of several pixel recipes
    competition  a competition folder, or one with its tables alone
    patients     a CSV of patients
    say          called with lines on long work

    Raises MountError for folders that there are not, TableError where a table is not what it should be. An image set that cannot be
    opened for a run's pixels is left out; `faults` names it.
    """

    def __init__(self, images=(), competition=None, patients=None, say=lambda line: None):
        self.competition, self.say = competition, say
        self.folders = tuple(map(Path, images))
        for folder in self.folders:
            if not folder.is_dir():
                raise MountError(f"{folder} is no folder; give the folder of an image set")
        self.faults = []
        self.patients = pd.Series(dtype=object) if patients is None else tables.read_patients(patients)  # of images, as far as asked
        self.patients = self.patients[self.patients.str.strip() != ""]
        self._headers_read = set()
        self._opened = {}  # image sets by pixel recipe
        self._duplicates = {}  # the films of several runs are mostly the same, and hashing them takes longest

    @cached_property
    def training(self):
        """The competition's training table without patients, None without a competition."""
        return None if self.competition is None else tables.read_training(self.competition, headers=False).images

    def sets(self, pixels):
        """The opened image sets, of those of several pixel recipes the one of `pixels`."""
        if pixels not in self._opened:
            self._opened[pixels] = []
            for folder in self.folders:
                try:
                    self._opened[pixels].append(imagesets.open_set(imagesets.folder_of(folder, pixels)))
                except ImageSetError as error:
                    if str(error) not in self.faults:
                        self.faults.append(str(error))
        return self._opened[pixels]

    def shown(self, wanted, pixels):
        """`sampling.Shown` of some films by their ids, of those that the image sets have; boxes where a competition tells them."""
        found = {}
        for each in self.sets(pixels):
            held = [image for image in wanted if image not in found and (each.table["image"] == image).any()]
            found |= {film.image: film for film in sampling.shown_squares(held, each, self.training)}
        return found

    def with_patients(self, subjects):
        """`Judged`s in which the patients that a run does not know are filled from the CSV, another run, the sets, the headers."""
        own = [table for judged in subjects for table in _tables(judged)]
        if len(self.patients) and not any(table["image"].isin(self.patients.index).any() for table in own):
            self.faults.append(f"the CSV of patients names none of these films: its first image is {self.patients.index[0]}")
        for table in own:
            self._take(table["image"], table["patient"])
        return [
            replace(
                judged,
                table=self._filled(judged.table, judged.recipe.pixels),
                tests=tuple(self._filled(test, judged.recipe.pixels) for test in judged.tests),
                trainings=tuple(self._filled(table, judged.recipe.pixels) for table in judged.trainings),
            )
            for judged in subjects
        ]

    def _take(self, images, patients):
        """Remembers the patients of films of which none is known yet."""
        told = pd.Series(patients.to_numpy(), index=images.to_numpy(), dtype=object).fillna("").astype(str)
        told = told[(told.str.strip() != "") & ~told.index.isin(self.patients.index)]
        self.patients = pd.concat([self.patients, told[~told.index.duplicated()]])

    def _filled(self, table, pixels):
        """A table with image and patient in which unknown patients are filled; known ones stay as they are."""
        unknown = table["patient"].str.strip() == ""
        wanted = table["image"][unknown]
        if (~wanted.isin(self.patients.index)).any():
            for each in self.sets(pixels):
                self._take(each.table["image"], each.table["patient"])
        if (~wanted.isin(self.patients.index)).any():
            self._read_headers(wanted[~wanted.isin(self.patients.index)])
        return table.assign(patient=table["patient"].where(~unknown, table["image"].map(self.patients).fillna("")))

    def _read_headers(self, wanted):
        """Reads the DICOM headers of those of some films that the competition has, each once."""
        if self.training is None:
            return
        films = self.training[self.training["image"].isin(set(wanted) - self._headers_read) & (self.training["path"] != "")]
        if len(films):
            self.say(f"reading the headers of {counted(len(films), 'film')} for their patients")
        self._headers_read |= set(films["image"])
        self._take(films["image"], films["path"].map(lambda path: sampling.header_facts(path).get("patient", "")))

    def of_split(self, judged):
        """(training table of all films of a run's split, fold int [N]); (None, films of which nobody knows the label)."""
        split = report_reading.split(judged.runs[0])
        facts = pd.DataFrame("", index=pd.Index(split["image"], name="image"), columns=list(FACTS))
        for known in self._known(judged):
            _fill(facts, known)
        unknown = int((facts["label"] == "").sum())
        if unknown:
            return None, unknown
        facts.loc[(facts["source"] == "") & facts["label"].isin(EXTERNAL_CLASSES), "source"] = external.SOURCE
        return self._filled(facts.reset_index(), judged.recipe.pixels), split["fold"].to_numpy()

    def _known(self, judged):
        own = pd.concat(_tables(judged))
        yield own.assign(image_label=own["reading"].map({BOXED: OPACITY, NONE: NONE}).fillna(""))
        for each in self.sets(judged.recipe.pixels):
            yield each.table.rename(columns={"class": "label"})
        if self.training is not None:
            yield self.training

    def duplicates(self, judged, names):
        """Groups of images of the split that show one film, by hash; None without image sets."""
        opened = self.sets(judged.recipe.pixels)
        if not opened:
            return None
        rows = [(each.images, place, image) for each in opened for place, image in enumerate(each.table["image"])]
        wanted = set(names)
        rows = [row for row in rows if row[2] in wanted]
        key = judged.recipe.pixels, frozenset(wanted)
        if key not in self._duplicates:
            self.say(f"looking for duplicates among {len(rows):,} films")
            squares = (np.asarray(squares[place]) for squares, place, _ in rows)
            self._duplicates[key] = folding.find_duplicates(squares, [image for *_, image in rows])
        return self._duplicates[key]


def _tables(judged):
    return [judged.table, *judged.tests[:1], *judged.trainings]


def _fill(facts, known):
    """Takes over what is known of films where nothing stands yet."""
    known = known.drop_duplicates("image").set_index("image")
    for column in FACTS:
        if column in known:
            values = known[column].fillna("").astype(str).reindex(facts.index).fillna("")
            facts[column] = facts[column].where(facts[column] != "", values)


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
