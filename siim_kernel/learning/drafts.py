"""The submission at each moment of a prediction: what is predicted so far, the training priors for all else. No TensorFlow here."""

from pathlib import Path

import pandas as pd

from siim_kernel.competition import priors, submission, tables
from siim_kernel.competition.lines import csv_text
from siim_kernel.labels import NONE, STUDY_CLASSES
from siim_kernel.learning import plan
from siim_kernel.learning.ahead import Ahead
from siim_kernel.pixels.workers import Lost, in_order

NOT_READ = "not_read.csv"
HEADER_SECONDS = 5  # for the header of one film; it takes milliseconds
NO_FILE = "the sample names it, test/ has no file of it"


def study_means(images, studies):
    """Study probabilities as the mean over a study's images: DataFrame indexed by study, columns the four classes.

    images   DataFrame with image and the four classes
    studies  Series of study ids by image id
    """
    return images.assign(study=images["image"].map(studies)).groupby("study")[list(STUDY_CLASSES)].mean()


class Draft:
    """A submission that is legal from the first writing on.

    out          the submission; `not_read.csv` (image_id, file, reason) stands beside it
    sample       the CSV that gives header and ids
    competition  the folder below which films stand
    films        table of the films under test/ (`tables.films`)
    runs         the stored runs, for their priors
    """

    def __init__(self, out, sample, competition, films, runs):
        self.out, self.sample, self.competition = Path(out), Path(sample), Path(competition)
        self.study_ids, self.image_ids = submission.bare_ids(submission.read_sample(sample)[1])
        named = films["image"].isin(self.image_ids)
        self.films = films[named].set_index("image")
        self.unnamed = tuple(films["image"][~named])
        self._prior = pd.DataFrame([run.priors for run in runs]).mean()
        self._prior_boxes = runs[0].prior_boxes

    def write_first(self):
        """The priors in every row and all films listed as not predicted yet, before anything is read."""
        images = pd.DataFrame(columns=["image", *STUDY_CLASSES, NONE, "rows", "columns"]).astype(
            dict.fromkeys((*STUDY_CLASSES, NONE), float)
        )
        waiting = [(image, path, plan.NOT_YET) for image, path in self.films["path"].items()]
        self._write_not_read(waiting)  # first: a submission of an earlier time may stand there, and is none of ours
        self._write_rows(images, {})

    def write(self, images, not_read, deadline=None):
        """What is predicted (`Predictions.images`, `Predictions.not_read`); returns the films' sizes (image ->
        (rows, columns)) and the rows of `not_read.csv`.

        deadline  boxes need a film's size: those of films not read are looked up in their headers until then; None looks up none
        """
        sizes = dict(zip(images["image"], zip(images["rows"], images["columns"], strict=True), strict=True))
        if deadline:
            sizes |= self._stated_sizes(self.films["path"].drop(images["image"]), deadline)
        self._write_rows(images, sizes)
        return sizes, self._write_not_read(not_read)  # second: until it is there the list names too many films, not too few

    @staticmethod
    def _stated_sizes(paths, deadline):
        """Sizes by the headers of films that were not read. Not in this process: what ended or held up one may do so again."""
        sizes, images = {}, {str(path): image for image, path in paths.items()}
        if not len(paths) or deadline.left() <= 0:
            return sizes
        with Ahead(in_order(tables.film_size, paths, seconds=HEADER_SECONDS), len(paths)) as found:
            while taken := found.take(1, deadline.left()):
                ((path, size),) = taken
                if not isinstance(size, Lost) and not pd.isna(size[0]):
                    sizes[images[str(path)]] = size
        return sizes

    def _write_rows(self, predicted, sizes):
        studies = study_means(predicted, self.films["study"]).reindex(self.study_ids)
        studies = studies.fillna({name: self._prior[name] for name in STUDY_CLASSES})
        images = pd.DataFrame({NONE: predicted.set_index("image")[NONE].reindex(self.image_ids).fillna(self._prior[NONE])})
        images["rows"] = [sizes.get(image, (None, None))[0] for image in self.image_ids]
        images["columns"] = [sizes.get(image, (None, None))[1] for image in self.image_ids]
        images["boxes"] = priors.boxes_of_films(self._prior_boxes, images)
        submission.write(self.out, self.sample, studies, images)

    def _write_not_read(self, films):
        rows = [(image, str(Path(path).relative_to(self.competition)), reason) for image, path, reason in films]
        rows += [(image, "", NO_FILE) for image in self.image_ids if image not in self.films.index]
        submission.write_text(self.out.with_name(NOT_READ), csv_text([("image_id", "file", "reason"), *rows]))
        return tuple(rows)
