"""What is refused, and who is one patient."""

import numpy as np
import pandas as pd
import pytest

from siim_kernel.errors import RunError, TableError
from siim_kernel.evaluation.predictions import Predictions, check_same_films

GOOD = {
    "labels": ("None", "Yes"),
    "images": ["i", "j", "k"],
    "patients": ["p", "", "p"],
    "truth": [0, 1, 1],
    "probabilities": [[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]],
}


def test_good_ones_pass():
    predictions = Predictions(**GOOD)
    assert len(predictions) == 3
    assert predictions.predicted.tolist() == [0, 0, 1]
    assert predictions.probabilities.dtype == np.float64


def test_pandas_columns_pass():
    table = pd.DataFrame({name: GOOD[name] for name in ("images", "patients", "truth")}, index=[7, 8, 9])
    assert Predictions(GOOD["labels"], table.images, table.patients, table.truth, pd.DataFrame(GOOD["probabilities"])).n_groups == 2


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": ("Yes",)}, TableError, "two or more"),
        ({"labels": ("Yes", "Yes")}, TableError, "different"),
        ({"images": ["i", "j", "i"]}, TableError, "i; judge each film once"),
        ({"images": []}, TableError, "one or more"),
        ({"images": ["i", "j"]}, TableError, "2 images have 3 patients"),
        ({"images": ["i", "j", 3]}, TableError, "image of film 2 is 3"),
        ({"patients": ["p", float("nan"), "p"]}, TableError, 'patient of film 1 is nan; text is expected, "" if unknown'),
        ({"patients": ["p", None, "p"]}, TableError, "patient of film 1 is None"),
        ({"patients": [["p"], ["q"], ["r"]]}, TableError, "one dimension"),
        ({"truth": [0, 1]}, TableError, "3 images have 2 truth"),
        ({"truth": [0, 1, 2]}, TableError, "k with 2"),
        ({"truth": [0, -1, 1]}, TableError, "j with -1"),
        ({"truth": [0.0, 1.0, 1.0]}, TableError, "whole numbers"),
        ({"truth": ["None", "Yes", "Yes"]}, TableError, "whole numbers"),
        ({"probabilities": [0.9, 0.5, 1.0]}, RunError, "shape (3,)"),
        ({"probabilities": [[0.9, 0.1, 0.0]] * 3}, RunError, "shape (3, 3)"),
        ({"probabilities": [["0.9", "x"]] * 3}, RunError, "not a table of numbers"),
        ({"probabilities": [[0.9, 0.1], [0.5], [0, 1]]}, RunError, "not a table of numbers"),
        ({"probabilities": [[0.9, 0.1], [np.nan, 0.5], [0, 1]]}, RunError, "j: nan, 0.5"),
        ({"probabilities": [[0.9, 0.1], [np.inf, 0.5], [0, 1]]}, RunError, "j: inf"),
        ({"probabilities": [[0.9, 0.1], [0.5, 0.5], [-1, 2]]}, RunError, "k: -1, 2"),
        ({"probabilities": [[0.9, 0.1], [-0.005, 1], [0, 1]]}, RunError, "j: -0.005, 1"),
        ({"probabilities": [[0.9, 0.9], [0.5, 0.5], [0, 1]]}, RunError, "1 films"),
    ],
)
def test_bad_ones_are_refused(change, error, words):
    with pytest.raises(error) as caught:
        Predictions(**{**GOOD, **change})
    assert words in str(caught.value)


def test_rounded_probabilities_pass():
    Predictions(**{**GOOD, "probabilities": [[0.333, 0.666], [0.5, 0.501], [0, 1]]})


def test_unknown_patients_stand_alone():
    """A padded id is the same patient, and blanks are no patient."""
    predictions = Predictions(("a", "b"), [f"i{place}" for place in range(6)], ["q", "", "p ", "", "p", "  "], [0] * 6, [[1, 0]] * 6)
    groups = predictions.groups.tolist()
    assert groups[2] == groups[4]
    assert len(set(groups)) == predictions.n_groups == 5
    assert sorted(set(groups)) == [0, 1, 2, 3, 4]


def test_some_of_the_films():
    part = Predictions(**GOOD).take(np.array([True, False, True]))
    assert part.images.tolist() == ["i", "k"]
    assert part.n_groups == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": ("No", "Yes")}, "different labels"),
        ({"images": ["i", "j", "l"]}, "2 are of one run alone, the first is k"),
        ({"images": ["j", "i", "k"]}, "sort both by image"),
        ({"truth": [0, 1, 0]}, "truth of the two runs differ at 1 films, the first is number 2: 1 and 0"),
        ({"patients": ["p", "q", "p"]}, "patients of the two runs differ"),
    ],
)
def test_other_films_are_refused(change, words):
    with pytest.raises(RunError, match=words):
        check_same_films(Predictions(**GOOD), Predictions(**{**GOOD, **change}))


def test_fewer_films_are_refused():
    whole = Predictions(**GOOD)
    with pytest.raises(RunError, match=r"1 are of one run alone, the first is k \(3 and 2 films\)"):
        check_same_films(whole, whole.take([0, 1]))
    check_same_films(whole, Predictions(**GOOD))
