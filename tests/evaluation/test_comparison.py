"""The paired tests: by hand, against scipy and slow implementations written from the papers, and under the null hypothesis."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from siim_kernel.errors import RunError
from siim_kernel.evaluation.comparison import auc_covariance, delong, mcnemar, sign_flip_p
from tests.evaluation import judged


def hits(first, second, patients=None):
    """Two runs that are right where told."""
    count = len(first)
    return [judged.two([1] * count, np.where(right, 0.9, 0.1), patients) for right in (first, second)]


# --- McNemar


def test_mcnemar_worked_by_hand():
    """One film that the first run alone has right, nine of the second: 2 (1 + 10) / 2^10."""
    runs = hits([1] + [0] * 9 + [1, 0], [0] + [1] * 9 + [1, 0])
    for by in ("film", "patient"):
        found = mcnemar(*runs, by=by)
        assert (found.only_first, found.only_second) == (1, 9)
        assert found.p == pytest.approx(22 / 1024)
    assert (found.first, found.second) == (2 / 12, 10 / 12)
    assert found.difference == pytest.approx(-8 / 12)


def test_mcnemar_by_patient_worked_by_hand():
    """The first run gains 3 films with one patient and 1 with another: of the 4 ways to flip, 2 are as large."""
    runs = hits([1, 1, 1, 1], [0, 0, 0, 0], ["p", "p", "p", "q"])
    assert mcnemar(*runs).p == 2 / 4
    assert mcnemar(*runs, by="film").p == 2 / 16


def test_mcnemar_of_equal_runs():
    run, _ = hits([1, 0, 1], [1, 0, 1])
    assert mcnemar(run, run).p == 1
    # Gains and losses that cancel within a patient.
    assert mcnemar(*hits([1, 0], [0, 1], ["p", "p"])).p == 1


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_by_film_is_the_binomial_test(only_first, only_second):
    found = sign_flip_p(np.array([1] * only_first + [-1] * only_second, dtype=int))
    total = only_first + only_second
    assert found == pytest.approx(binomtest(only_first, total).pvalue if total else 1.0)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_sign_flips_are_all_counted(net):
    totals = [abs(sum(sign * size for sign, size in zip(signs, net, strict=True))) for signs in itertools.product((1, -1), repeat=len(net))]
    assert sign_flip_p(np.array(net)) == pytest.approx(np.mean([total >= abs(sum(net)) for total in totals]))


def test_many_films_have_a_p():
    assert sign_flip_p(np.array([1] * 1500 + [-1] * 1500)) == pytest.approx(1)
    assert sign_flip_p(np.array([2, -2] * 38)) == 1  # the chances add up to a little more
    assert 0 <= sign_flip_p(np.ones(3000, int)) < 1e-300


# --- DeLong


def slow_components(positive, scores):
    """AUC and structural components, pair by pair, as DeLong 1988 writes them (equations 1 to 4)."""
    wins = [[(x > y) + 0.5 * (x == y) for y in scores[~positive]] for x in scores[positive]]
    wins = np.array(wins, float)
    return wins.mean(), wins.mean(axis=1), wins.mean(axis=0)


def slow_covariance(positive, scores):
    """DeLong's S10 / m + S01 / n."""
    aucs, v10, v01 = zip(*(slow_components(positive, row) for row in scores), strict=True)
    return np.array(aucs), np.cov(v10) / positive.sum() + np.cov(v01) / (~positive).sum()


def slow_clustered_covariance(positive, scores, groups):
    """Obuchowski's S10 / m + S01 / n + 2 S11 / (m n), patient by patient, for two scores."""
    m, n = positive.sum(), (~positive).sum()
    parts = [slow_components(positive, row) for row in scores]
    result = np.zeros((2, 2))
    patients = set(groups)
    with_positive, with_negative = set(groups[positive]), set(groups[~positive])
    for r, s in itertools.product(range(2), repeat=2):
        sums = {}
        for which in {r, s}:
            auc, v10, v01 = parts[which]
            for patient in patients:
                over, under = v10[groups[positive] == patient], v01[groups[~positive] == patient]
                sums[which, patient] = over.sum() - len(over) * auc, under.sum() - len(under) * auc
        s10 = sum(sums[r, p][0] * sums[s, p][0] for p in with_positive) * len(with_positive) / ((len(with_positive) - 1) * m)
        s01 = sum(sums[r, p][1] * sums[s, p][1] for p in with_negative) * len(with_negative) / ((len(with_negative) - 1) * n)
        crossed = sum(sums[r, p][0] * sums[s, p][1] + sums[s, p][0] * sums[r, p][1] for p in patients)
        s11 = crossed * len(patients) / (len(patients) - 1)
        result[r, s] = s10 / m + s01 / n + s11 / (m * n)
    return result


TRUTH = [0, 0, 1, 1, 1]
FIRST, SECOND = [0.1, 0.2, 0.6, 0.7, 0.8], [0.3, 0.6, 0.2, 0.7, 0.9]


def test_delong_worked_by_hand():
    """First: perfect. Second: the positives beat 0, 2 and 2 of the two negatives, so V10 = 0 1 1 with variance 1/3, and
    each negative is below 2 of the 3 positives. Variance of the difference (1/3) / 3, z = (1/3) / (1/3), p = P(|Z| > 1).
    """
    for by in ("film", "patient"):
        found = delong(judged.two(TRUTH, FIRST), judged.two(TRUTH, SECOND), "Yes", by=by)
        assert (found.first, found.second) == (1, pytest.approx(2 / 3))
        assert found.p == pytest.approx(0.317310507862914, abs=1e-12)
        assert [found.low, found.high] == pytest.approx([1 / 3 - 1.959963984540054 / 3, 1 / 3 + 1.959963984540054 / 3])


@st.composite
def scored(draw):
    """Truth with two or more on each side, two scores with ties, and groups."""
    positives, negatives = draw(st.integers(2, 10)), draw(st.integers(2, 10))
    count = positives + negatives
    scores = st.lists(st.integers(0, 6), min_size=count, max_size=count)
    groups = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    truth = np.array(draw(st.permutations([True] * positives + [False] * negatives)))
    return truth, np.array([draw(scores), draw(scores)]) / 6, np.unique(groups, return_inverse=True)[1]


@given(scored())
@settings(max_examples=150, deadline=None)
def test_the_fast_covariance_is_the_slow_one(case):
    positive, scores, groups = case
    aucs, covariance = auc_covariance(positive, scores)
    slow_aucs, slow = slow_covariance(positive, scores)
    assert np.abs(aucs - slow_aucs).max() < 1e-12
    assert np.abs(covariance - slow).max() < 1e-12
    assert aucs.tolist() == pytest.approx([roc_auc_score(positive, row) for row in scores])
    _, clustered = auc_covariance(positive, scores, groups)
    if len(set(groups[positive])) < 2 or len(set(groups[~positive])) < 2:
        assert np.isnan(clustered).all()
    else:
        assert np.abs(clustered - slow_clustered_covariance(positive, scores, groups)).max() < 1e-12


@given(scored())
@settings(max_examples=60, deadline=None)
def test_delong_is_symmetric(case):
    positive, scores, groups = case
    patients = [f"p{group}" for group in groups]
    first, second = (judged.two(positive.astype(int), row, patients) for row in scores)
    for by in ("film", "patient"):
        one, other = delong(first, second, "Yes", by), delong(second, first, "Yes", by)
        assert [one.p, one.difference, one.low, one.high] == pytest.approx(
            [other.p, -other.difference, -other.high, -other.low], nan_ok=True
        )
        # The other label is the same question.
        turned = delong(first, second, "None", by)
        assert [turned.p, turned.difference] == pytest.approx([one.p, one.difference], nan_ok=True, abs=1e-9)


def test_patients_of_one_film_are_films():
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 2, 60)
    first, second = (judged.two(truth, (truth * 0.3 + generator.random(60)) / 1.3) for _ in range(2))
    by_film, by_patient = (delong(first, second, "Yes", by) for by in ("film", "patient"))
    assert by_film.p == pytest.approx(by_patient.p, abs=1e-12)
    assert 0 < by_film.p < 1


def test_runs_that_rank_alike_have_p_1():
    """Identical, and one a rising function of the other; the interval has no width."""
    scores = np.array([0.1, 0.4, 0.4, 0.6, 0.3, 0.9])
    truth = [0, 0, 1, 1, 1, 0]
    for other in (scores, scores**3):
        found = delong(judged.two(truth, scores), judged.two(truth, other), "Yes")
        assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_what_delong_cannot_say_is_nan():
    one_positive = delong(judged.two([1, 0, 0], [0.9, 0.1, 0.2]), judged.two([1, 0, 0], [0.1, 0.3, 0.2]), "Yes")
    assert one_positive.difference == 1
    assert np.isnan([one_positive.p, one_positive.low, one_positive.high]).all()
    one_label = delong(judged.two([1, 1], [0.9, 0.1]), judged.two([1, 1], [0.1, 0.3]), "Yes")
    assert np.isnan([one_label.first, one_label.difference, one_label.p]).all()
    one_patient = delong(*(judged.two(TRUTH, scores, ["p"] * 5) for scores in (FIRST, SECOND)), "Yes")
    assert one_patient.difference == pytest.approx(1 / 3)
    assert np.isnan(one_patient.p)
    # Perfect against constant: every film agrees on the difference, so its variance is 0, but that is no certainty.
    constant = delong(judged.two(TRUTH, FIRST), judged.two(TRUTH, [0.5] * 5), "Yes")
    assert constant.difference == 0.5
    assert np.isnan([constant.p, constant.low, constant.high]).all()


def test_rounding_is_no_variance():
    """The first run lifts each of 7 positives over one of 7 negatives more: each film says 1/7, in numbers that are rounded."""
    truth, places = [1] * 7 + [0] * 7, np.arange(7) * 2
    first, second = np.concatenate([places + 2, places + 1]) / 20, np.concatenate([places + 1, places + 2]) / 20
    found = delong(judged.two(truth, first), judged.two(truth, second), "Yes")
    assert found.difference == pytest.approx(1 / 7)
    assert np.isnan([found.p, found.low, found.high]).all()


@pytest.mark.parametrize("test", [mcnemar, lambda first, second: delong(first, second, "Yes")], ids=["mcnemar", "delong"])
def test_other_films_are_refused(test):
    first = judged.two(TRUTH, FIRST)
    with pytest.raises(RunError, match="sort both by image"):
        test(first, first.take([1, 0, 2, 3, 4]))


def test_wrong_words_are_refused():
    first = judged.two(TRUTH, FIRST)
    with pytest.raises(ValueError, match="study"):
        mcnemar(first, first, by="study")
    with pytest.raises(ValueError, match="label is one of"):
        delong(first, first, "yes")


@pytest.mark.slow
def test_by_patient_equal_runs_seldom_seem_different_by_film_often():
    """Two runs of equal worth on 40 patients of 6 films, each run with its own luck with each patient: p < .05 in 5 %."""
    seen = {("auc", "film"): 0, ("auc", "patient"): 0, ("accuracy", "film"): 0, ("accuracy", "patient"): 0}
    cohorts = 400
    for seed in range(cohorts):
        generator = np.random.default_rng(seed)
        patients, truth = np.repeat([f"p{number}" for number in range(40)], 6), np.repeat(generator.integers(0, 2, 40), 6)
        first, second = (
            judged.two(
                truth, 1 / (1 + np.exp(-(truth - 0.5 + np.repeat(generator.normal(size=40), 6) + generator.normal(size=240) / 2))), patients
            )
            for _ in range(2)
        )
        for by in ("film", "patient"):
            seen["auc", by] += delong(first, second, "Yes", by).p < 0.05
            seen["accuracy", by] += mcnemar(first, second, by).p < 0.05
    share = {key: count / cohorts for key, count in seen.items()}
    assert 0.02 <= share["auc", "patient"] <= 0.09
    assert 0.02 <= share["accuracy", "patient"] <= 0.08
    assert share["auc", "film"] > 0.2
    assert share["accuracy", "film"] > 0.2
