import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from siim_kernel.evaluation import curves
from siim_kernel.evaluation.intervals import intervals
from siim_kernel.evaluation.resampling import draws
from tests.evaluation import judged


def test_the_roc_of_four_films():
    curve = curves.roc(judged.two([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), "Yes")
    assert curve["threshold"].tolist() == [np.inf, 0.8, 0.4, 0.35, 0.1]
    assert curve["sensitivity"].tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve["specificity"].tolist() == [1, 1, 0.5, 0.5, 0]


def test_precision_and_recall_of_four_films():
    curve = curves.precision_recall(judged.two([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), "Yes")
    assert curve["threshold"].tolist() == [np.inf, 0.8, 0.4, 0.35, 0.1]
    assert curve["recall"].tolist() == [0, 0.5, 0.5, 1, 1]
    np.testing.assert_allclose(curve["precision"], [1, 1, 0.5, 2 / 3, 0.5])


def test_operating_points_of_four_films():
    points = curves.operating_points(judged.two([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), "Yes").set_index("point")
    assert list(points.index) == list(curves.POINTS)
    assert np.isnan(points.loc["highest probability", "threshold"])
    for point in ("highest probability", "threshold 0.5"):
        assert points.loc[point, ["sensitivity", "specificity", "ppv"]].tolist() == [0.5, 1, 1]
        assert points.loc[point, "npv"] == pytest.approx(2 / 3)
    # 0.8 and 0.35 are equally good; the higher threshold is taken.
    assert points.loc["Youden", ["threshold", "sensitivity", "specificity"]].tolist() == [0.8, 0.5, 1]


def test_of_three_labels_the_most_probable_one_may_lie_below_one_half():
    predictions = judged.made([0, 1, 2], [[0.4, 0.3, 0.3], [0.4, 0.35, 0.25], [0.1, 0.1, 0.8]])
    points = curves.operating_points(predictions, "a").set_index("point")
    assert points.loc["highest probability", ["sensitivity", "specificity"]].tolist() == [1, 0.5]
    assert points.loc["threshold 0.5", ["sensitivity", "specificity"]].tolist() == [0, 1]
    assert np.isnan(points.loc["threshold 0.5", "ppv"])


def test_a_threshold_of_one_half_takes_one_half():
    points = curves.operating_points(judged.two([1, 0], [0.5, 0.2]), "Yes").set_index("point")
    assert points.loc["threshold 0.5", "sensitivity"] == 1
    assert points.loc["highest probability", "sensitivity"] == 0  # the first label of equals


def test_a_side_without_films_has_no_curve():
    predictions = judged.two([1, 1], [0.3, 0.6])
    assert len(curves.roc(predictions, "Yes")) == 0
    assert len(curves.precision_recall(predictions, "None")) == 0
    assert len(curves.precision_recall(predictions, "Yes")) > 0
    points = curves.operating_points(predictions, "Yes")
    assert points["point"].tolist() == ["highest probability", "threshold 0.5"]
    assert points["specificity"].isna().all()


def test_an_unknown_label_is_refused():
    with pytest.raises(ValueError, match="the label is one of"):
        curves.roc(judged.two([0, 1], [0.1, 0.9]), "yes")


@given(judged.some())
def test_the_areas_are_those_of_the_measures(predictions):
    for code, label in enumerate(predictions.labels):
        present, scores = predictions.truth == code, predictions.probabilities[:, code]
        roc, recall = curves.roc(predictions, label), curves.precision_recall(predictions, label)
        assert len(roc) == 0 or np.trapezoid(roc["sensitivity"], 1 - roc["specificity"]) == pytest.approx(roc_auc_score(present, scores))
        if len(recall):
            steps = np.sum(np.diff(recall["recall"]) * recall["precision"][1:])
            assert steps == pytest.approx(average_precision_score(present, scores))
            assert (np.diff(recall["recall"]) >= 0).all()
            assert (recall["threshold"].diff()[2:] < 0).all()


@given(judged.some())
def test_youdens_point_is_the_best_of_all_thresholds(predictions):
    for code, label in enumerate(predictions.labels):
        present, scores = predictions.truth == code, predictions.probabilities[:, code]
        points = curves.operating_points(predictions, label).set_index("point")
        if "Youden" in points.index:
            all_of_them = [(scores[present] >= cut).mean() + (scores[~present] < cut).mean() for cut in [*scores, np.inf]]
            assert points.loc["Youden", ["sensitivity", "specificity"]].sum() == pytest.approx(max(all_of_them))


@given(judged.some(), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_points_of_a_resample_are_those_of_its_films(predictions, seed):
    drawn = draws(predictions.n_groups, 3, np.random.default_rng(seed))
    for label in predictions.labels:
        values = curves._Points(predictions, label).values(drawn.astype(float))
        for weights, of_points in zip(drawn, values, strict=True):
            films = np.repeat(np.arange(len(predictions)), weights[predictions.groups])
            part = judged.made(predictions.truth[films], predictions.probabilities[films], labels=predictions.labels)
            expected = curves.operating_points(part, label).drop(columns="point").to_numpy(float)
            np.testing.assert_allclose(of_points[: len(expected)], expected, atol=1e-12)


def test_youdens_threshold_is_chosen_anew_in_each_resample():
    """Two patients of two films, each sorted perfectly at a threshold of its own, .3 and .8; together at .8 with half of the films."""
    predictions = judged.two([0, 1, 0, 1], [0.1, 0.3, 0.6, 0.8], ["p", "p", "q", "q"])
    values = curves._Points(predictions, "Yes").values(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))[:, -1]
    assert values[:, 0].tolist() == [0.3, 0.8, 0.8]
    assert values[:, 1].tolist() == [1, 1, 0.5]
    table = curves.point_intervals(predictions, "Yes", resamples=200)
    assert table.loc[("Youden", "threshold")].tolist() == [0.8, 0.3, 0.8, 200]
    assert table.loc[("Youden", "sensitivity")].tolist() == [0.5, 0.5, 1, 200]


def test_points_have_the_intervals_of_the_measures():
    """Where the label said is at hand: sensitivity at the highest probability is the measure of the same name."""
    predictions = judged.alike(np.random.default_rng(0), 40)
    table, measured = curves.point_intervals(predictions, "Yes", 200, seed=3), intervals(predictions, 200, seed=3)
    for name in ("sensitivity", "specificity", "ppv", "npv"):
        assert table.loc[("highest probability", name)].tolist() == pytest.approx(measured.loc[(name, "Yes")].tolist())
    assert table.loc[("threshold 0.5", "threshold"), ["low", "high"]].isna().all()  # it is given
    alone = curves.point_intervals(judged.two([0, 1], [0.1, 0.9], ["p", "p"]), "Yes", 20)
    assert alone[["low", "high"]].isna().all(axis=None)


def test_the_points_of_a_constant_have_no_infinite_interval():
    predictions = judged.two([0, 1, 0, 1], [0.5] * 4)
    table = curves.point_intervals(predictions, "Yes", 100)
    assert np.isinf(table.loc[("Youden", "threshold"), "value"])
    assert table.loc[("Youden", "threshold"), ["low", "high"]].isna().all()
    # Of the second patient alone no threshold is better than chance: a quarter of the resamples.
    predictions = judged.two([0, 1, 0, 1], [0.2, 0.8, 0.6, 0.4], ["p", "p", "q", "q"])
    row = curves.point_intervals(predictions, "Yes", 200).loc[("Youden", "threshold")]
    assert row[["value", "high"]].tolist() == [0.8, 0.8]
    assert 120 < row["defined"] < 180
    assert curves.point_intervals(judged.two([1, 1], [0.3, 0.6]), "Yes", 20).index.unique("point").tolist() == list(curves.POINTS[:2])
