"""Calibration: bins worked by hand, and scikit-learn's curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.calibration import calibration_curve

from siim_kernel.evaluation import calibration
from tests.evaluation import judged


def test_calibration_error_worked_by_hand():
    """Yes: .2 and .2 (one is), .9 (is). |.4 - 1| / 3 and |.9 - 1| / 3. Said: None .8 .8 (one right), Yes .9 right."""
    overall, per_label = calibration.errors(judged.two([0, 1, 1], [0.2, 0.2, 0.9]))
    assert per_label[1] == pytest.approx((0.6 + 0.1) / 3)
    assert overall == pytest.approx((0.6 + 0.1) / 3)


def test_probabilities_that_keep_their_word_have_no_calibration_error():
    overall, per_label = calibration.errors(judged.two([1, 0, 0, 0], [0.25] * 4))
    assert overall == pytest.approx(0)
    assert per_label == pytest.approx([0, 0])


def test_reliability_of_a_few_films():
    table = calibration.reliability(judged.two([0, 1, 1, 1], [0.0, 0.1, 0.15, 1.0]), bins=10)
    assert len(table) == 3 * 10
    yes = table[table.label == "Yes"].set_index("low")
    assert yes.films.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert yes.loc[0, ["high", "confidence", "hits"]].tolist() == pytest.approx([0.1, 0.05, 0.5])
    assert yes.iloc[1][["confidence", "hits"]].tolist() == pytest.approx([0.15, 1])
    assert yes.iloc[2][["confidence", "hits"]].isna().all()
    said = table[table.label == "overall"]
    assert said.films.sum() == 4
    assert said.iloc[9][["films", "hits"]].tolist() == pytest.approx([2, 1])  # 1.0 each


@given(judged.some())
@settings(max_examples=50, deadline=None)
def test_bins_are_those_of_scikit_learn_and_give_the_error(predictions):
    table = calibration.reliability(predictions)
    overall, per_label = calibration.errors(predictions)
    for label, error in zip(("overall", *predictions.labels), (overall, *per_label), strict=True):
        bins = table[(table.label == label) & (table.films > 0)]
        assert (bins.films * (bins.confidence - bins.hits).abs()).sum() / len(predictions) == pytest.approx(error, abs=1e-12)
    for code, label in enumerate(predictions.labels):
        bins = table[(table.label == label) & (table.films > 0)]
        hits, confidence = calibration_curve(predictions.truth == code, predictions.probabilities[:, code], n_bins=10)
        assert bins.hits.tolist() == pytest.approx(hits.tolist())
        assert bins.confidence.tolist() == pytest.approx(confidence.tolist())


def test_brier_of_certain_predictions():
    overall, per_label = calibration.brier(judged.of_counts([[1, 1], [0, 2]]))
    assert overall == pytest.approx(2 / 4)
    assert np.allclose(per_label, 1 / 4)
