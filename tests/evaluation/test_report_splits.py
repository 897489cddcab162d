"""What the parts of a split share, on the page."""

import numpy as np

from siim_kernel.evaluation import report_data, report_splits
from tests.evaluation.made_pages import UNION, written
from tests.evaluation.made_runs import OPACITY, films, make, make_folds


def test_a_leaking_split_is_named_before_the_figures(tmp_path):
    everything = films().assign(patient=[f"p{number % 30:03}" for number in range(60)])
    page, text = written(tmp_path, [make_folds(tmp_path / "folds", count=2, everything=everything, numbers=np.arange(60) // 30)])
    warning = "Read with care: 60 of 60 validation films share a patient with training."
    assert warning in text
    assert page.source.index(warning) < page.source.index("<table")


def test_a_final_test_that_leaks_is_counted_once(tmp_path):
    everything = films().assign(patient=[f"p{number % 30:03}" for number in range(60)])
    options = {"everything": everything, "final": everything[48:], "numbers": np.arange(60) % 3}
    _, text = written(tmp_path, [make_folds(tmp_path / "folds", OPACITY, **options)])
    assert "12 of 12 final test films share a patient with training or validation" in text
    assert "final test films share a patient with training;" not in text


def test_unknown_patients_are_said(tmp_path):
    table = films()
    folder = make_folds(tmp_path / "folds", everything=table)
    assert "Read with care" not in written(tmp_path, [folder])[1]
    table.loc[table.index[:7], "patient"] = ""
    numbers = np.arange(60) // 6 % 3
    page, text = written(tmp_path, [make_folds(tmp_path / "unknown", everything=table, numbers=numbers)])
    assert "Read with care: the patients of 7 films are not known" in text
    assert "60 films of 16 patients (7 films are of unknown patients, each counted as one)" in text
    assert page.row("0", "Films that share")[:5] == ["validation", "24", "training", "0", "0"]


def test_of_one_fold_alone_the_report_asks_for_the_other_films(tmp_path):
    page, text = written(tmp_path, [make(tmp_path / "run", learnt=None)])
    assert "The labels of 30 films of this split are not known here" in text
    assert page.row("0", "Films of each part")[:2] == ["30", "30"]


def test_the_training_films_that_a_run_stores_tell_the_split(tmp_path):
    page, words = written(tmp_path, [make(tmp_path / "run")])
    assert "are not known here" not in words
    assert page.row("0", "Films that share")[:4] == ["validation", "30", "training", "0"]


def test_films_of_an_external_class_are_of_the_external_source(tmp_path):
    table = films()
    table.loc[40:, ["label", "patient"]] = ["NORMAL", ""]
    page, _ = written(tmp_path, [make(tmp_path / "run", UNION, everything=table)])
    assert page.row("radiography", "Films by source") == ["20", "0", "0"]


def test_what_the_start_had_learnt_is_a_flaw(tmp_path):
    start = {"recipe": "thesis-union", "fold": 0, "weights": "ab" * 32, "validation_films_learnt": 3}
    start |= {"validation_films_sharing_a_patient": 12, "final_test_films_learnt": 0, "final_test_films_sharing_a_patient": 0}
    page, words = written(tmp_path, [make(tmp_path / "run", learnt=None, start=start)])
    care = next(line for line in page.warnings if "Read with care" in line)
    assert "3 validation films had been learnt before, by the run that it starts from (thesis-union, fold 0)" in care
    assert "12 validation films are of patients whom that run had learnt from (thesis-union, fold 0)" in care
    assert "final test" not in care
    assert "are not known here" in words  # of the split itself nothing can be said


def test_a_start_that_learnt_nothing_of_these_films_is_no_flaw(tmp_path):
    start = {"recipe": "thesis-union", "fold": 0, "weights": "ab" * 32, "validation_films_learnt": 0}
    for number, told in enumerate((start, None, {})):
        assert report_splits.start_flaws(report_data.load([make(tmp_path / str(number), start=told)])[0]) == []


def test_the_folds_have_one_final_test_but_each_its_validation_films(tmp_path):
    start = {"recipe": "small", "fold": 0, "validation_films_learnt": 2, "final_test_films_learnt": 5}
    lines = report_splits.start_flaws(report_data.load([make_folds(tmp_path / "folds", start=start)])[0])
    assert lines[0].startswith("6 validation films")
    assert lines[1].startswith("5 final test films")
