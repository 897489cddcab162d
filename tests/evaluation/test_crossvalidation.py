"""Cross-validation: means and deviations by hand, pooled beside them, the article's way to print."""

import numpy as np
import pytest

from siim_kernel.errors import TableError
from siim_kernel.evaluation import crossvalidation
from siim_kernel.evaluation.classification import measures
from siim_kernel.evaluation.intervals import intervals
from tests.evaluation import judged

# Three folds of 2, 2 and 4 films with 2, 1 and 1 right.
TRUTH, SCORES, FOLDS = [0, 1, 0, 1, 0, 1, 1, 1], [0.1, 0.9, 0.1, 0.2, 0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1, 2, 2, 2, 2]


def test_mean_and_deviation_worked_by_hand():
    """Accuracies 1, 1/2, 1/4: mean 7/12, deviation of the sample sqrt((25 + 1 + 16) / 144 / 2); pooled 4 of 8."""
    row = crossvalidation.summary(judged.two(TRUTH, SCORES), FOLDS, resamples=50).loc[("accuracy", "overall")]
    assert row["mean"] == pytest.approx(7 / 12)
    assert row.sd == pytest.approx((42 / 144 / 2) ** 0.5)
    assert (row.folds, row.value) == (3, 0.5)


def test_the_pooled_value_has_the_interval_of_all_films():
    predictions = judged.two(TRUTH, SCORES)
    table = crossvalidation.summary(predictions, FOLDS, resamples=50, seed=2)
    assert table[["value", "low", "high", "defined"]].equals(intervals(predictions, resamples=50, seed=2))


def test_folds_on_other_scales_rank_alike_but_not_together():
    """Each fold ranks perfectly, the second one lower: what the mean over folds does not see and the pooled AUC does."""
    table = crossvalidation.summary(judged.two([0, 1, 0, 1], [0.6, 0.9, 0.1, 0.4]), [0, 0, 1, 1], resamples=20)
    row = table.loc[("auc", "Yes")]
    assert (row["mean"], row.sd, row.value) == (1, 0, 0.75)


def test_a_fold_without_the_measure_is_left_out():
    table = crossvalidation.summary(judged.two([0, 1, 0, 0], [0.2, 0.9, 0.3, 0.4]), [3, 3, 7, 7], resamples=20)
    row = table.loc[("auc", "Yes")]
    assert (row["mean"], row.folds) == (1, 1)
    assert np.isnan(row.sd)


def test_by_fold_has_a_column_for_each_fold():
    predictions = judged.two(TRUTH, SCORES)
    table = crossvalidation.by_fold(predictions, np.array(FOLDS) + 4)
    assert table.columns.tolist() == [4, 5, 6]
    assert table[6].equals(measures(predictions.take(slice(4, None))).rename(6))


def test_one_fold_has_no_deviation():
    table = crossvalidation.summary(judged.two(TRUTH, SCORES), [0] * 8, resamples=20)
    assert table.sd.isna().all()
    assert table["mean"].equals(table["value"].rename("mean"))


@pytest.mark.parametrize("folds", [[0, 1], [0.0] * 8, [np.nan] * 8, ["0"] * 8, [[0] * 8]])
def test_wrong_folds_are_refused(folds):
    with pytest.raises(TableError, match="for 8 films"):
        crossvalidation.by_fold(judged.two(TRUTH, SCORES), folds)


@pytest.mark.parametrize(
    ("mean", "sd", "measure", "expected"),
    [
        (0.94183, 0.00471, "sensitivity", "94.18 ± .47"),
        (0.9741, 0.005, "auc", ".9741 ± .0050"),
        (0.9091, 0.0057, "f1", ".9091 ± .0057"),
        (1.0, 0.0, "auc", "1.0000 ± .0000"),
        (0.9, 0.0123, "accuracy", "90.00 ± 1.23"),
        (0.9, np.nan, "ppv", "90.00 ± –"),
        (np.nan, np.nan, "ppv", "– ± –"),
    ],
)
def test_figures_as_the_article_prints_them(mean, sd, measure, expected):
    assert crossvalidation.plus_minus(mean, sd, measure) == expected


def test_the_row_of_the_article():
    table = crossvalidation.summary(judged.two(TRUTH, SCORES), FOLDS, resamples=20)
    row = crossvalidation.article_row(table, "Yes")
    assert list(row) == ["AUC", "Sensitivity", "Specificity", "PPV", "NPV", "F1", "Accuracy"]
    assert row["Accuracy"] == "58.33 ± 38.19"
    assert row["AUC"] == "1.0000 ± .0000"
    assert row["Sensitivity"] == "33.33 ± 57.74"
    assert row["PPV"] == "100.00 ± –"
