import numpy as np
import pytest
from hypothesis import given
from sklearn.metrics import average_precision_score, roc_auc_score

from siim_kernel.evaluation import curves
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
