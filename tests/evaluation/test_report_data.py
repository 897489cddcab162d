"""Runs as they are read, pooled and refused."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from siim_kernel import runs
from siim_kernel.errors import RunError, TableError
from siim_kernel.evaluation import report_data
from siim_kernel.labels import EXTERNAL_CLASSES, SCHEMES, STUDY_CLASSES
from siim_kernel.recipes.main import MAIN
from tests.evaluation.made_pages import UNION, rewrite, written
from tests.evaluation.made_runs import OPACITY, films, make, make_folds, predicted


def test_the_final_test_is_judged_by_the_mean_of_the_networks(tmp_path):
    everything = films()
    folder = make_folds(tmp_path / "folds", UNION, everything=everything, final=everything[48:])
    each = [pd.read_csv(folder / f"fold-{fold}" / runs.FINAL_TEST)["Yes"] for fold in range(3)]
    judged = report_data.load([folder])[0]
    np.testing.assert_allclose(judged.final_test.probabilities[:, 1], np.mean(each, axis=0))


def test_films_without_a_label_of_the_scheme_are_left_out_and_counted(tmp_path):
    table = films()
    table.loc[:4, "label"] = ""
    folder = make(tmp_path / "run", everything=table)
    _, text = written(tmp_path, [folder])
    assert len(report_data.load([folder])[0].predictions) == 25
    assert "5 films without a label of this scheme are not judged." in text


def test_image_labels_are_read_from_the_readings(tmp_path):
    table = films()
    table.loc[:5, "reading"] = "not read"
    recipe = dataclasses.replace(OPACITY, name="boxes", labels="image_label")
    folder = make(tmp_path / "run", recipe, everything=table, skill=0)
    judged = report_data.load([folder])[0]
    assert (len(judged.predictions), judged.unlabelled) == (24, 6)
    assert (judged.predictions.truth == (table["reading"][6:30] == "boxed")).all()


def test_eight_labels_of_a_union(tmp_path):
    table = films()
    table["label"] = ((*STUDY_CLASSES, *EXTERNAL_CLASSES) * 8)[:60]
    recipe = dataclasses.replace(UNION, name="eight", labels="union_study_label")
    rule = np.array([*np.eye(4), [0, 1, 0, 0], [0, 0, 0.7, 0.3], [1, 0, 0, 0], [0, 0, 0.7, 0.3]])
    folder = make(tmp_path / "run", recipe, everything=table, study_of_labels=rule.tolist())
    chances = predicted(table[:30], recipe, 0.8)
    page, _ = written(tmp_path, [folder])
    judged = report_data.load([folder])[0]
    np.testing.assert_allclose(judged.predictions.probabilities, chances[list(SCHEMES[recipe.labels].labels)].to_numpy(), atol=1e-12)
    assert page.row("covid_19", "Films")[-1].isdigit()
    assert page.row("NORMAL", "With 95")[0] == "3"


def test_names_tell_runs_apart(tmp_path):
    folders = [make(tmp_path / "a" / "fold-0"), make(tmp_path / "b"), make(tmp_path / "c", MAIN)]
    assert [each.name for each in report_data.load(folders)] == ["thesis-opacity (a/fold-0)", "thesis-opacity (b)", "main"]


def test_what_cannot_be_pooled_is_named(tmp_path):
    with pytest.raises(RunError, match="was named twice"):
        report_data.load([make(tmp_path / "run"), tmp_path / "a" / ".." / "run"])
    with pytest.raises(RunError, match="no run was given"):
        report_data.load([])
    make(tmp_path / "recipes" / "fold-0")
    make(tmp_path / "recipes" / "fold-1", UNION, 1)
    with pytest.raises(RunError, match="are folds of different recipes: name"):
        report_data.load([tmp_path / "recipes"])
    make(tmp_path / "splits" / "fold-0")
    make(tmp_path / "splits" / "fold-1", fold=1, split={"sha256": "cd" * 32})
    with pytest.raises(RunError, match="are folds of different splits"):
        report_data.load([tmp_path / "splits"])
    make(tmp_path / "twice" / "fold-0")
    make(tmp_path / "twice" / "fold-1", fold=1)
    with pytest.raises(RunError, match="30 films validate more than one run in .*, the first is i000"):
        report_data.load([tmp_path / "twice"])
    everything = films()
    make(tmp_path / "tests" / "fold-0", validating=everything[:20], final=everything[50:])
    make(tmp_path / "tests" / "fold-1", fold=1, validating=everything[20:40])
    with pytest.raises(RunError, match=r"fold-1 has no final_test.csv, .*fold-0 has one"):
        report_data.load([tmp_path / "tests"])


def test_a_table_with_a_word_for_a_number_is_named(tmp_path):
    folder = make(tmp_path / "run")
    table = pd.read_csv(folder / runs.OUT_OF_FOLD, dtype=object)
    table.loc[3, "Yes"] = "many"
    rewrite(folder, runs.OUT_OF_FOLD, table)
    with pytest.raises(TableError, match="Yes holds 'many', which is no number"):
        report_data.load([folder])


def spoiled(folder, name, rows):
    """A run in whose table some films have no probabilities."""
    table = pd.read_csv(folder / name)
    table.loc[rows, ["None", "Yes"]] = np.nan
    rewrite(folder, name, table)
    return folder


def test_films_without_probabilities_are_left_out_and_named(tmp_path):
    folder = spoiled(make(tmp_path / "run"), runs.OUT_OF_FOLD, [3, 5])
    page, words = written(tmp_path, [folder])
    assert "2 films of out_of_fold.csv of fold 0 have no probabilities, left out: i003, i005." in page.warnings[0]
    assert "on 28 films of 5 patients" in words
    with pytest.raises(TableError, match="no film has probabilities that are numbers"):
        report_data.load([spoiled(make(tmp_path / "none"), runs.OUT_OF_FOLD, slice(None))])


def test_a_film_that_one_network_could_not_judge_is_in_no_final_test(tmp_path):
    everything = films()
    folder = make_folds(tmp_path / "folds", everything=everything, final=everything[48:])
    spoiled(folder / "fold-1", runs.FINAL_TEST, [0])
    judged = report_data.load([folder])[0]
    assert [test["image"].tolist() for test in judged.tests] == [everything["image"][49:].tolist()] * 3
    assert "1 film of final_test.csv of fold 1" in judged.remarks[0]


def test_missing_folds_are_counted_wherever_folds_are(tmp_path):
    folder = make_folds(tmp_path / "folds", count=5)
    for number in (2, 3, 4):
        shutil.rmtree(folder / f"fold-{number}")
    page, words = written(tmp_path, [folder])
    assert report_data.load([folder])[0].folds_text == "2 of 5 folds"
    assert "These are 2 of 5 folds." in page.warnings[0]
    for place in ("patients, 2 of 5 folds; accuracy", "2 of 5 folds. The mean is", "in all, for 2 of 5 folds", "ours of 2 of 5 folds"):
        assert place in words


def test_an_unfinished_fold_blocks_no_other(tmp_path):
    folder = make_folds(tmp_path / "folds")
    (folder / "fold-1" / runs.RECORD).unlink()
    judged = report_data.load([folder])[0]
    assert ([run.fold for run in judged.runs], judged.folds_text) == ([0, 2], "2 of 3 folds (fold-1 is not finished)")
    for number in (0, 2):
        (folder / f"fold-{number}" / runs.RECORD).unlink()
    with pytest.raises(RunError, match="holds no finished fold: fold-0, fold-1, fold-2 are not finished"):
        report_data.load([folder])


def test_a_damaged_fold_is_not_an_unfinished_one(tmp_path):
    folder = make_folds(tmp_path / "folds")
    (folder / "fold-1" / runs.WEIGHTS).write_bytes(b"other")
    with pytest.raises(RunError, match="has changed"):
        report_data.load([folder])


def test_one_fold_of_several_is_said_of_a_run_alone(tmp_path):
    folder = make_folds(tmp_path / "folds")
    assert report_data.load([folder / "fold-1"])[0].folds_text == "1 of 3 folds"
    assert report_data.load([make(tmp_path / "held out")])[0].folds_text == "1 fold"  # fold 1 of a split of the thesis never validates


def test_a_history_that_cannot_be_read_costs_its_section(tmp_path):
    folder = make(tmp_path / "run")
    rewrite(folder, runs.HISTORY, pd.read_csv(folder / runs.HISTORY)[:0])
    page, _ = written(tmp_path, [folder])
    assert any("history.csv has a header and no rows" in line for line in page.warnings)
    assert "Learning curves" in page.titles
