"""The submission as it stands at each moment, on a competition of five rows."""

import csv
import math
import os

import numpy as np
import pandas as pd
import pytest

from siim_kernel.clock import UNLIMITED, Deadline
from siim_kernel.competition import checking, submission, tables
from siim_kernel.errors import SubmissionError
from siim_kernel.labels import NONE, STUDY_CLASSES
from siim_kernel.learning import drafts, plan
from tests.pixels import made as dicoms

PRIORS = {"negative": 0.3, "typical": 0.5, "indeterminate": 0.15, "atypical": 0.05, "none": 0.4}
BOXES = [[0.1, 0.2, 0.3, 0.4, 0.5]]


class Run:
    priors, prior_boxes = PRIORS, BOXES


class Other:
    priors, prior_boxes = {name: value / 2 for name, value in PRIORS.items()}, []


@pytest.fixture
def draft(tmp_path):
    """Images a and b of study s, c of study t; the sample also names d of study u, which has no file, and does not name e."""
    competition = tmp_path / "competition"
    for study, image in (("s", "a"), ("s", "b"), ("t", "c"), ("t", "e")):
        (competition / "test" / study / "x").mkdir(parents=True, exist_ok=True)
        dicoms.write(competition / "test" / study / "x" / f"{image}.dcm", dicoms.noisy(20, 40))
    sample = competition / tables.SAMPLE
    ids = ["s_study", "t_study", "u_study", "a_image", "b_image", "c_image", "d_image"]
    sample.write_text("id,PredictionString\n" + "".join(f"{row},none 1 0 0 1 1\n" for row in ids))
    return drafts.Draft(tmp_path / "out.csv", sample, competition, tables.films(competition, "test"), [Run, Other])


def rows_of(draft):
    assert checking.check(draft.out, draft.sample, dict.fromkeys("abc", (20, 40))).ok
    rows = submission.read(draft.out).itertuples()
    return {
        row.id: {group.name: (pytest.approx(group.confidence, abs=1e-9), group.box) for group in submission.parse(row[2])} for row in rows
    }


def listed(draft):
    with open(draft.out.with_name("not_read.csv"), newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image_id", "file", "reason"]
    return [tuple(row) for row in rows]


def predicted(*rows):
    images = pd.DataFrame(rows, columns=["image", *STUDY_CLASSES, NONE, "rows", "columns"])
    return images.astype(dict.fromkeys((*STUDY_CLASSES, NONE), float))


MEAN = {name: value * 0.75 for name, value in PRIORS.items()}
GHOST = ("d", "", drafts.NO_FILE)


def test_a_studys_probabilities_are_the_mean_of_its_images():
    images = predicted(("a", 0.2, 0.3, 0.4, 0.1, 0.5, 1, 1), ("b", 0.4, 0.1, 0.2, 0.3, 0.5, 1, 1), ("c", 1, 0, 0, 0, 1, 1, 1))
    means = drafts.study_means(images, pd.Series({"a": "s", "b": "s", "c": "t", "unread": "u"}))
    np.testing.assert_allclose(means.loc["s"], [0.3, 0.2, 0.3, 0.2])
    np.testing.assert_allclose(means.loc["t"], [1, 0, 0, 0])
    assert list(means.index) == ["s", "t"]


def test_the_first_has_the_mean_priors_in_every_row_and_lists_all_films(draft):
    draft.write_first()
    rows = rows_of(draft)
    for study in "stu":
        assert {name: score for name, (score, _) in rows[f"{study}_study"].items()} == {name: MEAN[name] for name in STUDY_CLASSES}
    for image in "abcd":
        assert rows[f"{image}_image"] == {NONE: (MEAN[NONE], (0, 0, 1, 1))}
    assert listed(draft) == [(image, f"test/{study}/x/{image}.dcm", plan.NOT_YET) for image, study in zip("abc", "sst", strict=True)] + [
        GHOST
    ]
    assert draft.unnamed == ("e",)


def test_what_is_predicted_stands_in_its_rows_and_the_priors_elsewhere(draft):
    draft.write_first()
    broken = ("b", draft.films["path"]["b"], "broken")
    sizes, not_read = draft.write(
        predicted(("a", 0.1, 0.2, 0.3, 0.4, 0.2, 20, 40)), [broken, ("c", draft.films["path"]["c"], plan.NO_TIME)]
    )
    rows = rows_of(draft)
    assert {name: score for name, (score, _) in rows["s_study"].items()} == dict(zip(STUDY_CLASSES, (0.1, 0.2, 0.3, 0.4), strict=True))
    assert {name: score for name, (score, _) in rows["t_study"].items()} == {name: MEAN[name] for name in STUDY_CLASSES}
    assert rows["a_image"] == {NONE: (0.2, (0, 0, 1, 1)), "opacity": (0.4, (4, 4, 12, 8))}
    assert rows["b_image"] == rows["c_image"] == rows["d_image"] == {NONE: (MEAN[NONE], (0, 0, 1, 1))}  # no size, no boxes
    assert sizes == {"a": (20, 40)}
    assert list(not_read) == listed(draft) == [("b", "test/s/x/b.dcm", "broken"), ("c", "test/t/x/c.dcm", plan.NO_TIME), GHOST]


def test_sizes_of_films_not_read_are_looked_up_while_there_is_time(draft):
    (draft.competition / "test/t/x/c.dcm").write_bytes(b"")
    assert draft.write(predicted(), [], UNLIMITED)[0] == {"a": (20, 40), "b": (20, 40)}
    assert set(rows_of(draft)["a_image"]) == {NONE, "opacity"}
    assert draft.write(predicted(), [], Deadline(-math.inf))[0] == {}
    assert set(rows_of(draft)["a_image"]) == {NONE}


class Deadly(str):
    """A path that ends the process which receives it."""

    def __reduce__(self):
        return os._exit, (11,)


def test_a_header_that_ends_its_process_costs_its_boxes_alone(draft):
    draft.films["path"] = [kind(path) for kind, path in zip((str, Deadly, str), draft.films["path"], strict=True)]
    assert draft.write(predicted(("a", 0.1, 0.2, 0.3, 0.4, 0.2, 20, 40)), [], UNLIMITED)[0] == {"a": (20, 40), "c": (20, 40)}


def test_the_list_never_names_fewer_films_than_were_left_out(draft, monkeypatch):
    """Between the writing of the two files, and when the second fails."""
    everything = [predicted(*((image, 0.1, 0.2, 0.3, 0.4, 0.2, 20, 40) for image in "abc")), []]
    draft.write(*everything)
    assert listed(draft) == [GHOST]
    real = submission.write
    monkeypatch.setattr(submission, "write", lambda *_: (_ for _ in ()).throw(SubmissionError("full")))
    with pytest.raises(SubmissionError):
        draft.write_first()  # another prediction begins: the list comes before the rows
    assert len(listed(draft)) == 4
    with pytest.raises(SubmissionError):
        draft.write(*everything)  # and ends: it comes after them
    assert len(listed(draft)) == 4
    monkeypatch.setattr(submission, "write", real)
    draft.write(*everything)
    assert listed(draft) == [GHOST]
