"""Intervals: every resample spelled out and judged by scikit-learn, coverage, and why patients are what is drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siim_kernel.errors import RunError
from siim_kernel.evaluation import classification, resampling
from siim_kernel.evaluation.intervals import difference_intervals, intervals, limits
from tests.evaluation import judged


def spelled_out(predictions, weights):
    """The predictions with each film repeated as often as its patient was drawn."""
    films = np.repeat(np.arange(len(predictions)), weights[predictions.groups])
    return judged.made(predictions.truth[films], predictions.probabilities[films], labels=predictions.labels)


@given(judged.some(), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_every_measure_of_a_resample_is_that_of_its_films(predictions, seed):
    drawn = resampling.draws(predictions.n_groups, 3, np.random.default_rng(seed))
    values = resampling.resampled(predictions, drawn)
    for weights, row in zip(drawn, values, strict=True):
        expected = of_all_labels(classification.measures(spelled_out(predictions, weights)), classification.measures(predictions))
        assert row.tolist() == pytest.approx(expected.tolist(), abs=1e-12, nan_ok=True)


def of_all_labels(measures, whole):
    """Measures in which means of the labels are NaN where a label is lost that the whole sample has."""
    measures = measures.copy()
    names = {("balanced_accuracy", "overall"): "sensitivity"} | {key: key[0] for key in measures.index if key[1] == "macro"}
    for key, name in names.items():
        of_labels = measures[name].drop("macro")
        if (of_labels.isna() & whole[name].drop("macro").notna()).any():
            measures[key] = np.nan
    return measures


def test_the_mean_of_the_labels_has_one_definition_in_all_resamples():
    """Ten films of a, all right, one of b, wrong: resamples without b would have a balanced accuracy of 1, as if b were right too."""
    table = intervals(judged.two([0] * 10 + [1], [0.1] * 11), resamples=1000)
    row = table.loc[("balanced_accuracy", "overall")]
    assert row.defined == table.loc[("sensitivity", "Yes")].defined < 700
    assert [row.value, row.low, row.high] == [0.5, 0.5, 0.5]
    assert table.loc[("sensitivity", "macro")].tolist() == row.tolist()
    assert table.loc[("accuracy", "overall")].defined == 1000


def test_blocks_do_not_change_the_values(monkeypatch):
    predictions = judged.alike(np.random.default_rng(0), 20)
    whole = intervals(predictions, resamples=50)
    monkeypatch.setattr(resampling, "BLOCK", 7)
    assert intervals(predictions, resamples=50).to_numpy() == pytest.approx(whole.to_numpy(), nan_ok=True)


def test_draws_take_as_many_groups_as_there_are_each_as_likely():
    drawn = resampling.draws(50, 400, np.random.default_rng(5))
    assert (drawn.sum(axis=1) == 50).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(50), abs=0.25)
    assert drawn.var() == pytest.approx(1 - 1 / 50, abs=0.05)


def test_the_same_seed_gives_the_same_intervals():
    predictions = judged.alike(np.random.default_rng(0), 15)
    table = intervals(predictions, resamples=60, seed=4)
    assert table.equals(intervals(predictions, resamples=60, seed=4))
    assert not table.equals(intervals(predictions, resamples=60, seed=5))


def test_the_value_is_the_measure_and_the_limits_are_about_it():
    predictions = judged.alike(np.random.default_rng(0), 40)
    table = intervals(predictions, resamples=300)
    assert table["value"].equals(classification.measures(predictions))
    sure = table.drop("calibration_error", level="measure")
    assert ((sure.low <= sure.value) & (sure.value <= sure.high)).all()
    narrow = intervals(predictions, resamples=300, level=0.5)
    assert (narrow.high - narrow.low < table.high - table.low).all()


def test_two_patients_one_right_one_wrong():
    """Accuracy of a resample is 0, 1/2 or 1: with a quarter each, the ends are beyond 2.5 %."""
    row = intervals(judged.two([1, 1], [0.9, 0.1], ["p", "q"]), resamples=400).loc[("accuracy", "overall")]
    assert row.tolist() == [0.5, 0.0, 1.0, 400]


def test_one_patient_has_no_interval():
    table = intervals(judged.two([0, 1, 1], [0.2, 0.9, 0.3], ["p"] * 3), resamples=20)
    assert table.value.notna().any()
    assert table[["low", "high"]].isna().all(axis=None)
    assert (table.defined == 0).all()


def test_resamples_without_a_value_are_left_out_and_counted():
    """One Yes among six patients: about (5/6)^6, a third, of the resamples have none."""
    table = intervals(judged.two([1, 0, 0, 0, 0, 0], [0.9, 0.1, 0.2, 0.3, 0.6, 0.4]), resamples=1000)
    row = table.loc[("sensitivity", "Yes")]
    assert row.defined == pytest.approx(1000 * (1 - (5 / 6) ** 6), abs=50)
    assert [row.low, row.high] == [1, 1]
    absent = intervals(judged.made([0, 1], np.eye(3)[[0, 1]]), resamples=50).loc[("sensitivity", "c")]
    assert absent.defined == 0
    assert absent[["value", "low", "high"]].isna().all()


def test_limits_need_half_of_the_resamples():
    few, half = [0.5, np.nan, np.nan, np.nan], [0.5, np.nan, 0.5, np.nan]
    low, high, defined = limits(np.array([few, half]).T)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, False]
    assert defined.tolist() == [1, 2]


def test_the_difference_of_a_run_and_itself_is_nothing():
    predictions = judged.alike(np.random.default_rng(0), 20)
    table = difference_intervals(predictions, predictions, resamples=50)
    assert (table[["value", "low", "high"]].fillna(0) == 0).all(axis=None)


def test_differences_are_paired_and_have_a_sign():
    """The second run is the first with two films of twenty spoiled: never better in any resample, whoever is drawn."""
    first = judged.two([0, 1] * 10, [0.1, 0.9] * 5 + [0.9, 0.1] * 5)
    second = judged.two([0, 1] * 10, [0.9, 0.1] + [0.1, 0.9] * 4 + [0.9, 0.1] * 5)
    row = difference_intervals(first, second, resamples=400).loc[("accuracy", "overall")]
    assert row.value == pytest.approx(0.1)
    assert row.low >= 0
    assert row.high <= 0.3
    turned = difference_intervals(second, first, resamples=400).loc[("accuracy", "overall")]
    assert [turned.value, turned.low, turned.high] == pytest.approx([-row.value, -row.high, -row.low])


def test_other_films_have_no_difference():
    first, second = judged.two([0, 1], [0.1, 0.9]), judged.two([0, 1, 1], [0.1, 0.9, 0.8])
    with pytest.raises(RunError, match="different films"):
        difference_intervals(first, second)


@pytest.mark.slow
def test_intervals_by_patient_hold_the_truth_and_by_film_are_too_narrow():
    """250 cohorts of 60 patients with 8 films each; the accuracy of the population is .7."""
    held, held_by_film = 0, 0
    for seed in range(250):
        predictions = judged.alike(np.random.default_rng(seed), 60)
        by_film = judged.made(predictions.truth, predictions.probabilities)
        for one, by_patient in ((predictions, True), (by_film, False)):
            row = intervals(one, resamples=400, seed=seed).loc[("accuracy", "overall")]
            inside = row.low <= 0.7 <= row.high
            held += inside & by_patient
            held_by_film += inside & (not by_patient)
    assert 0.90 <= held / 250 <= 0.98
    assert held_by_film / 250 < 0.75


@pytest.mark.slow
def test_the_difference_of_equal_runs_holds_nothing_as_often_as_it_says():
    """Two runs of equal worth, each with its own luck with each patient: the interval of their difference holds 0."""
    held = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        first, second = judged.alike(generator, 60), judged.alike(generator, 60)
        # The second run's hits, on the first one's truth.
        right = second.predicted == second.truth
        second = judged.two(first.truth, np.where(right, first.truth, 1 - first.truth) * 0.6 + 0.2, first.patients)
        row = difference_intervals(first, second, resamples=400, seed=seed).loc[("accuracy", "overall")]
        held += row.low <= 0 <= row.high
    assert 0.90 <= held / 200 <= 0.99
