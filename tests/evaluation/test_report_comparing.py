"""Runs held against each other on the films that both judged."""

from siim_kernel.evaluation import comparison, report_data
from siim_kernel.evaluation.intervals import difference_intervals, intervals
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.main import SMALL
from tests.evaluation.made_pages import RESAMPLES, UNION, interval, shown, written
from tests.evaluation.made_runs import OPACITY, films, make, make_folds


def test_two_runs_are_compared_with_intervals(tmp_path):
    folders = [make_folds(tmp_path / "one", OPACITY), make_folds(tmp_path / "two", UNION, skill=0.2)]
    page, text = written(tmp_path, folders)
    first, second = (each.predictions for each in report_data.load(folders))
    difference = difference_intervals(first, second, RESAMPLES).loc[("accuracy", "overall")]
    test = comparison.mcnemar(first, second)
    row = page.row("accuracy", "thesis-opacity less")
    assert row[2:4] == [shown(difference.value), f"{shown(difference.low)} to {shown(difference.high)}"]
    assert row[4] == (shown(test.p) if test.p >= 0.001 else "< .001")
    auc = comparison.delong(first, second, "Yes")
    assert page.row("AUC, Yes", "thesis-opacity less")[2:4] == [shown(auc.difference), f"{shown(auc.low)} to {shown(auc.high)}"]
    assert f"{test.only_first} films right by thesis-opacity alone, {test.only_second} by thesis-union alone." in text
    assert page.row("labels", "What differs") == ["label_opacity", "2L_opacity_no_opacity"]
    assert "thesis-opacity less thesis-union, on 60 films of 10 patients" in text
    assert page.titles[:3] == ["Result", "Runs compared", "Hit rates from one run to the next"]
    rates = [each.loc[("sensitivity", "Yes")] for each in (intervals(first, RESAMPLES), intervals(second, RESAMPLES))]
    assert page.row("Yes")[:2] == [interval(rate) for rate in rates]


def test_runs_that_share_some_films_are_compared_on_these(tmp_path):
    everything = films()
    folders = [make(tmp_path / "one", validating=everything[:40]), make(tmp_path / "two", UNION, validating=everything[20:])]
    _, text = written(tmp_path, folders)
    assert "on 20 films of" in text
    assert "The two judged 40 and 40 films; only those of both are compared." in text


def test_runs_of_different_films_have_a_line(tmp_path):
    everything = films()
    folders = [make(tmp_path / "one", validating=everything[:30]), make(tmp_path / "two", UNION, validating=everything[30:])]
    page, words = written(tmp_path, folders)
    assert "thesis-opacity less thesis-union: not compared, as they judged different films and none is of both." in words
    assert "The films are not the same (thesis-opacity 30; thesis-union 30), no film is in all" in words
    assert page.titles.count("Confusion matrix") == 2  # all else stands


def test_two_folds_of_one_training_named_apart_have_a_line(tmp_path):
    folder = make_folds(tmp_path / "folds", count=2, learnt=None)
    _, words = written(tmp_path, [folder / "fold-0", folder / "fold-1"])
    assert "none is of both; folds of one training are pooled where their folder is named." in words


def test_a_final_test_is_compared_with_the_validation_that_it_is(tmp_path):
    """Model 9's final test is what validates model 10; their validation films are not the same."""
    everything = films()
    last = everything[48:]
    nine = make(tmp_path / "nine", UNION, validating=everything[:30], final=last)
    ten = make(tmp_path / "ten", catalogue.by_name("thesis-competition"), validating=last, skill=0.3, seed=7)
    page, words = written(tmp_path, [nine, ten])
    first, second = report_data.load([nine, ten])
    difference = difference_intervals(first.final_test, second.predictions, RESAMPLES).loc[("accuracy", "overall")]
    row = page.row("accuracy", "thesis-union, final test less thesis-competition, on 12 films of 2 patients")
    assert row[2:4] == [shown(difference.value), f"{shown(difference.low)} to {shown(difference.high)}"]
    assert "thesis-union less thesis-competition" not in words
    assert page.rows[[row[0] for row in page.rows].index("label")] == [
        "label",
        "thesis-union",
        "thesis-union, final test",
        "thesis-competition",
    ]


def test_final_tests_are_compared_with_each_other(tmp_path):
    everything = films()
    folders = [make(tmp_path / name, final=everything[48:], skill=skill) for name, skill in (("one", 0.8), ("two", 0.1))]
    page, _ = written(tmp_path, folders)
    titles = [caption for caption, _ in page.captions if " less " in caption]
    assert titles == [
        "thesis-opacity (one) less thesis-opacity (two), on 30 films of 5 patients",
        "thesis-opacity (one), final test less thesis-opacity (two), final test, on 12 films of 2 patients",
    ]


def test_the_tests_say_what_they_are_and_the_auc_of_two_labels_stands_once(tmp_path):
    page, words = written(tmp_path, [make(tmp_path / "one"), make(tmp_path / "two", UNION, skill=0.2)])
    assert page.row("accuracy", "thesis-opacity less")[5] == "sign-flip by patient (McNemar's test for one film each)"
    assert page.row("AUC, Yes", "thesis-opacity less")[5] == "DeLong, by patient"
    assert "AUC, None" not in words


def test_labels_of_one_name_that_mean_something_else_have_rows_of_their_own(tmp_path):
    """ "None" of thesis-opacity is negative, of thesis-typical all that is not typical; thesis-union's means what the first one's does."""
    recipes = {name: catalogue.by_name(name) for name in ("thesis-opacity", "thesis-typical", "thesis-union")}
    page, _ = written(tmp_path, [make(tmp_path / name, recipe) for name, recipe in recipes.items()])
    rows = {row[0]: row[1:] for row in page.rows if row and row[0].startswith(("None (", "Yes ("))}
    assert list(rows) == ["None (label_opacity)", "Yes (label_opacity)", "None (label_n_Covid_19)", "Yes (label_n_Covid_19)"]
    assert [bool(cell) for cell in rows["None (label_opacity)"]] == [True, False, True]
    assert [bool(cell) for cell in rows["Yes (label_n_Covid_19)"]] == [False, True, False]


def test_runs_whose_labels_mean_something_else_are_not_compared(tmp_path):
    folders = [make(tmp_path / "one"), make(tmp_path / "two", catalogue.by_name("thesis-typical")), make(tmp_path / "three", SMALL)]
    _, text = written(tmp_path, folders)
    assert text.count("not compared, as their labels do not mean the same") == 3
    assert "(label_opacity, label_n_Covid_19)" in text


def test_patients_that_one_run_lacks_are_those_of_the_other(tmp_path):
    other = films().assign(patient="")
    folders = [make(tmp_path / "one"), make(tmp_path / "two", UNION, everything=other)]
    _, words = written(tmp_path, folders)
    assert "thesis-opacity less thesis-union, on 30 films of 5 patients" in words
    assert "patients unknown" not in words


def test_runs_that_tell_other_patients_are_not_compared(tmp_path):
    other = films()
    other.loc[2, "patient"] = "q"
    page, _ = written(tmp_path, [make(tmp_path / "one"), make(tmp_path / "two", UNION, everything=other)])
    assert any("the runs tell other patients of 1 of 30 films, the first is i002" in line for line in page.warnings)


def test_runs_that_tell_other_labels_are_not_compared(tmp_path):
    other = films()
    other.loc[2, "label"] = "negative"
    page, _ = written(tmp_path, [make(tmp_path / "one"), make(tmp_path / "two", UNION, everything=other)])
    assert any("the runs tell other labels of 1 of 30 films, the first is i002" in line for line in page.warnings)
