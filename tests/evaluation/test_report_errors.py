"""Errors in training, validation and final test."""

import json

import numpy as np
import pandas as pd
import pytest

from siim_kernel import runs
from siim_kernel.evaluation import classification, report_data, report_errors
from siim_kernel.evaluation.representativeness import representativeness
from siim_kernel.recipes import catalogue
from tests.evaluation.made_pages import RESAMPLES, UNION, interval, shown, written
from tests.evaluation.made_runs import films, make, make_folds


def test_training_validation_and_final_test_and_their_gaps(tmp_path):
    everything = films()
    folder = make_folds(tmp_path / "folds", UNION, skill=0.1, everything=everything, final=everything[48:], learnt=9)
    page, words = written(tmp_path, [folder])
    judged = report_data.load([folder])[0]
    training, validation, test = judged.by_network
    assert [len(part) for part in (training, validation, test)] == [96, 48, 36]
    assert test.n_groups == 2
    found = representativeness(training, validation, test, resamples=RESAMPLES)
    for name, quantity in (("training", "train"), ("validation (out of fold)", "validation"), ("final test", "final_test")):
        assert page.row(name, "Errors and")[:2] == [interval(found.loc[measure, quantity]) for measure in ("error", "balanced_error")]
    gap = page.row("variance: validation less training", "Errors and")
    assert gap[:2] == [interval(found.loc[measure, "variance"]) for measure in ("error", "balanced_error")]
    assert gap[2] == "the error in validation is larger than in training"
    assert page.row("mismatch: final test less validation", "Errors and")[2] == "no difference shown"
    assert "shows no difference, which is not to say that there is none" in words
    assert page.row("balanced accuracy")[1].startswith(shown(classification.measures(judged.final_test)["balanced_accuracy", "overall"]))
    assert page.row("accuracy, final test", "Printed")[0] == "75.20 %"
    assert {"Final test", "Representativeness: errors and their gaps"} <= set(page.titles)


def test_a_run_that_stores_no_training_films_says_so_and_falls_back(tmp_path):
    page, words = written(tmp_path, [make(tmp_path / "run", learnt=None)])
    assert "Representativeness: errors and their gaps" in page.titles
    assert "as the run stores no predictions of them. Instead: the training accuracy in the epoch whose weights were kept is .580" in words
    assert "The split has no final test, so that the mismatch cannot be said." in words
    assert not any(row[0].startswith(("training", "variance", "mismatch")) for row in page.rows if row)


def test_folds_of_which_one_stores_no_training_films_fall_back(tmp_path):
    folder = make_folds(tmp_path / "folds", count=2)
    record = json.loads((folder / "fold-1" / runs.RECORD).read_text())
    del record["files"][runs.TRAINING_FILMS]
    (folder / "fold-1" / runs.RECORD).write_text(json.dumps(record))
    (folder / "fold-1" / runs.TRAINING_FILMS).unlink()
    assert report_data.load([folder])[0].trainings == ()


def test_a_film_of_an_unknown_patient_is_one_patient_however_many_networks_judged_it(tmp_path):
    everything = films().assign(patient="")
    folder = make_folds(tmp_path / "folds", everything=everything, final=everything[48:], numbers=np.arange(60) % 3)
    training, validation, test = report_data.load([folder])[0].by_network
    assert (len(test), test.n_groups) == (36, 12)
    assert (len(training), training.n_groups) == (96, 48)
    assert set(training.patients) == set(validation.patients)


def test_a_label_that_a_part_lacks_is_in_no_balanced_error(tmp_path):
    everything = films()
    final = everything[(everything["label"] != "atypical") & (everything.index >= 40)]
    page, words = written(tmp_path, [make(tmp_path / "run", catalogue.by_name("thesis-xception"), final=final)])
    assert any("over the 3 of 4 labels that have films in every part; not over atypical." in line for line in page.warnings)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((0.1, 0.01, 0.2), "the error in validation is larger than in training"),
        ((-0.1, -0.2, -0.01), "the error in validation is smaller than in training"),
        ((0.0, -0.1, 0.1), "no difference shown"),
        ((np.nan, np.nan, np.nan), "cannot be said"),
        ((0.1, np.nan, np.nan), "cannot be said"),
    ],
)
def test_what_a_gap_says(row, said):
    assert report_errors.verdict(pd.Series(row, index=["value", "low", "high"]), "variance") == said
