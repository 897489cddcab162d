"""Errors of the parts and their gaps: the thesis's model 9, intervals, and parts that share patients."""

import numpy as np
import pytest

from siim_kernel.errors import RunError
from siim_kernel.evaluation.intervals import difference_intervals, intervals
from siim_kernel.evaluation.representativeness import common_labels, representativeness
from tests.evaluation import judged

VALIDATION, FINAL_TEST = [[965, 429], [795, 3057]], [[238, 98], [213, 705]]


def test_the_gaps_of_model_9():
    """Training accuracy about 86.6 % (Fig. 56): variance about 10 points, which the thesis leaves out, mismatch 1.5."""
    train = judged.of_counts([[433, 67], [67, 433]])
    table = representativeness(train, judged.of_counts(VALIDATION), judged.of_counts(FINAL_TEST), human_error=0.05, resamples=300)
    error = table.loc["error"]
    assert error.value[["train", "validation", "final_test"]].tolist() == pytest.approx([0.134, 1 - 4022 / 5246, 1 - 943 / 1254])
    assert error.value["avoidable_bias"] == pytest.approx(0.084)
    assert round(100 * error.value["variance"], 1) == 9.9
    assert round(100 * error.value["mismatch"], 1) == 1.5
    # The mismatch may be chance, the variance is not.
    assert error.low["mismatch"] < 0 < error.high["mismatch"]
    assert error.low["variance"] > 0.05
    assert table.value["balanced_error", "final_test"] == pytest.approx(1 - (238 / 336 + 705 / 918) / 2)
    assert table.index.get_level_values("quantity").tolist()[:7] == list(error.index)
    assert (error.low <= error.value).all()
    assert (error.value <= error.high).all()


def test_without_a_final_test_or_human_error():
    part = judged.of_counts([[8, 2], [3, 7]])
    table = representativeness(part, part, None, resamples=50)
    missing = ["human", "final_test", "avoidable_bias", "mismatch"]
    assert table.loc["error"].loc[missing].isna().all(axis=None)
    assert table.loc["error"].drop(missing).notna().all(axis=None)
    assert len(table) == 14


def test_independent_parts_add_their_variances():
    """Gap of two parts of 400 films each: half width near 1.96 sqrt(2 p q / 400)."""
    parts = [judged.two([1] * 400, [0.9] * right + [0.1] * (400 - right)) for right in (300, 320, 320)]
    error = representativeness(*parts, resamples=2000).loc["error"]
    widths = (error.high - error.low) / 2
    assert widths["train"] == pytest.approx(1.96 * (0.75 * 0.25 / 400) ** 0.5, rel=0.08)
    assert widths["variance"] == pytest.approx(1.96 * ((0.75 * 0.25 + 0.8 * 0.2) / 400) ** 0.5, rel=0.08)


def test_a_part_alone_has_the_interval_of_its_accuracy():
    part = judged.alike(np.random.default_rng(0), 60)
    error = representativeness(None, part, None, resamples=3000).loc["error"].loc["validation"]
    row = intervals(part, resamples=3000, seed=1).loc[("accuracy", "overall")]
    assert error.tolist() == pytest.approx([1 - row.value, 1 - row.high, 1 - row.low], abs=0.01)


def test_a_part_has_the_same_interval_whichever_others_are_given():
    parts = [judged.of_counts([[8, 2], [3, 7]]), judged.of_counts([[4, 2], [3, 7]]), judged.of_counts([[8, 5], [3, 7]])]
    together = representativeness(*parts, resamples=80).loc["error"]
    for place, name in enumerate(("train", "validation", "final_test")):
        alone = [part if number == place else None for number, part in enumerate(parts)]
        assert representativeness(*alone, resamples=80).loc["error"].loc[name].equals(together.loc[name])


def test_patients_in_several_parts_are_drawn_for_all():
    """The same patients, all alike, in both parts: the gap is as sure as a paired difference, not as two samples."""
    part = judged.alike(np.random.default_rng(0), 60)
    gap = representativeness(part, part, None, resamples=200).loc["error"].loc["variance"]
    assert gap.tolist() == [0, 0, 0]
    other = judged.alike(np.random.default_rng(0), 60)
    assert difference_intervals(part, other, resamples=50).value["accuracy", "overall"] == 0
    strangers = judged.two(part.truth, part.probabilities[:, 1], [f"other {name}" for name in part.patients])
    apart = representativeness(part, strangers, None, resamples=200).loc["error"].loc["variance"]
    assert apart.high - apart.low > 0.1


def test_unknown_patients_are_nobody_elses():
    """Films without a patient in two parts are different films of different people."""
    part = judged.of_counts([[30, 20], [20, 30]])
    gap = representativeness(part, part, None, resamples=200).loc["error"].loc["variance"]
    assert gap.value == 0
    assert gap.high - gap.low > 0.1


def test_a_part_of_one_patient_has_no_interval_and_spoils_no_other():
    alone = judged.two([0, 1], [0.1, 0.2], ["p", "p"])
    train = judged.of_counts([[8, 2], [3, 7]], labels=alone.labels)
    error = representativeness(train, alone, None, resamples=50).loc["error"]
    assert error.value["validation"] == 0.5
    assert error.loc[["validation", "variance"], ["low", "high"]].isna().all(axis=None)
    assert error.loc["train", ["low", "high"]].notna().all()


def test_wrong_parts_are_refused():
    part = judged.of_counts([[1, 1], [1, 1]])
    with pytest.raises(RunError, match="none given"):
        representativeness(None, None, None)
    with pytest.raises(RunError, match="parts of one run"):
        representativeness(part, judged.of_counts(np.eye(3, dtype=int)), None)
    with pytest.raises(ValueError, match="share in 0..1, got 5"):
        representativeness(part, part, part, human_error=5)


def test_balanced_errors_are_over_the_labels_of_all_parts():
    """c is always wrong and stands in validation alone: with it the final test would seem better than validation."""
    validation = judged.of_counts([[4, 0, 0], [0, 4, 0], [2, 2, 0]], labels="abc")
    test = judged.of_counts([[4, 0, 0], [0, 4, 0], [0, 0, 0]], labels="abc")
    table = representativeness(None, validation, test, resamples=100)
    assert table.value["balanced_error", "validation"] == 0
    assert table.value["balanced_error", "mismatch"] == 0
    assert table.value["error", "validation"] == pytest.approx(1 / 3)
    assert common_labels([validation, test]).tolist() == [True, True, False]
    nothing = judged.of_counts([[0, 0, 0], [0, 0, 0], [0, 0, 4]], labels="abc")
    assert representativeness(None, test, nothing, resamples=20).loc["balanced_error"].drop("human").isna().all(axis=None)
