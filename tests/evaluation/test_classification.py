"""The measures: worked by hand, against scikit-learn, and on the thesis's printed matrices."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from sklearn import metrics

from siim_kernel.evaluation import classification
from siim_kernel.evaluation.classification import hit_rates, measures, of_counts, shares
from siim_kernel.labels import SCHEMES
from tests.evaluation import judged

NAN = np.nan


def test_measures_of_five_films_worked_by_hand():
    """Yes: 3 films with scores .9 .6 .4, None: 2 films with .6 .2; 2 of Yes are found, 1 of None is taken for Yes."""
    found = measures(judged.two([1, 1, 1, 0, 0], [0.9, 0.6, 0.4, 0.6, 0.2]))
    expected = {
        ("accuracy", "overall"): 3 / 5,
        ("balanced_accuracy", "overall"): (1 / 2 + 2 / 3) / 2,
        ("sensitivity", "Yes"): 2 / 3,
        ("specificity", "Yes"): 1 / 2,
        ("ppv", "Yes"): 2 / 3,
        ("npv", "Yes"): 1 / 2,
        ("f1", "Yes"): 2 / 3,
        ("f1", "None"): 1 / 2,
        ("f1", "macro"): (2 / 3 + 1 / 2) / 2,
        ("sensitivity", "None"): 1 / 2,
        ("auc", "Yes"): (2 + 1.5 + 1) / 6,  # .9 over both, .6 over one and level with one, .4 over one
        ("auc", "None"): (2 + 1.5 + 1) / 6,
        ("average_precision", "Yes"): 1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4,
        ("brier", "Yes"): (0.01 + 0.16 + 0.36 + 0.36 + 0.04) / 5,
        ("brier", "overall"): 2 * (0.01 + 0.16 + 0.36 + 0.36 + 0.04) / 5,
    }
    assert found[list(expected)].to_dict() == pytest.approx(expected, abs=1e-15)


def test_what_is_not_defined_is_nan():
    """Truth a a b, predicted a b b of labels a b c: nothing is c, and nothing is said to be."""
    found = measures(judged.made([0, 0, 1], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]]))
    of_c = found.xs("c", level="label")
    assert of_c[["sensitivity", "ppv", "f1", "auc", "average_precision"]].isna().all()
    assert of_c[["specificity", "npv"]].tolist() == [1, 1]
    assert found["balanced_accuracy", "overall"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["f1", "macro"] == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_truth_of_one_label():
    found = measures(judged.two([1, 1], [0.9, 0.2]))
    assert found["accuracy", "overall"] == found["balanced_accuracy", "overall"] == found["sensitivity", "Yes"] == 0.5
    assert found[[("auc", "Yes"), ("auc", "None"), ("auc", "macro"), ("specificity", "Yes"), ("sensitivity", "None")]].isna().all()
    assert found["average_precision", "Yes"] == 1


def test_equal_probabilities_say_the_first_label():
    assert classification.confusion(judged.two([0, 1], [0.5, 0.5])).to_numpy().tolist() == [[1, 0], [1, 0]]


def test_confusion_is_a_table_of_names_and_keeps_them():
    counts = classification.confusion(judged.two([0, 0, 1, 1, 1], [0.9, 0.1, 0.9, 0.9, 0.1]))
    assert counts.loc["Yes", "None"] == 1
    assert hit_rates(counts).loc["Yes"].tolist() == [1 / 3, 2 / 3]
    assert shares(counts).loc["Yes", "Yes"] == 2 / 5
    assert shares(counts).to_numpy().sum() == pytest.approx(1)


def test_rates_of_no_films_are_nan():
    assert np.isnan(hit_rates(np.array([[0, 0], [1, 3]]))).tolist() == [[True, True], [False, False]]
    assert np.isnan(shares(np.zeros((2, 2)))).all()
    overall, _ = of_counts(np.zeros((2, 2)))
    assert np.isnan(overall["accuracy"])


def test_the_labels_of_the_balanced_accuracy_can_be_given():
    counts = np.array([[3, 1], [0, 0]])
    assert of_counts(counts)[0]["balanced_accuracy"] == 0.75
    assert of_counts(counts, [True, False])[0]["balanced_accuracy"] == 0.75
    assert np.isnan(of_counts(counts, [True, True])[0]["balanced_accuracy"])
    assert np.isnan(of_counts(counts, [False, False])[0]["balanced_accuracy"])


def test_many_matrices_at_once_are_each_as_alone():
    counts = np.random.default_rng(1).integers(0, 4, (5, 3, 3))
    overall, per_label = of_counts(counts)
    for place, matrix in enumerate(counts):
        alone, alone_per_label = of_counts(matrix)
        assert {name: values[place] for name, values in overall.items()} == pytest.approx(alone, nan_ok=True)
        for name, values in per_label.items():
            assert values[place] == pytest.approx(alone_per_label[name], nan_ok=True)


@given(judged.some())
@settings(max_examples=150, deadline=None)
def test_agreement_with_scikit_learn(predictions):
    found, truth, said = measures(predictions), predictions.truth, predictions.predicted
    codes = list(range(len(predictions.labels)))
    labels = list(predictions.labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, said, labels=codes, zero_division=NAN)
        macro = metrics.precision_recall_fscore_support(truth, said, labels=codes, zero_division=NAN, average="macro")
        assert found["balanced_accuracy", "overall"] == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    assert found["accuracy", "overall"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert found["ppv"][labels].tolist() == pytest.approx(precision.tolist(), nan_ok=True)
    assert found["sensitivity"][labels].tolist() == pytest.approx(recall.tolist(), nan_ok=True)
    assert found["f1"][labels].tolist() == pytest.approx(f1.tolist(), nan_ok=True)
    assert [found[name, "macro"] for name in ("ppv", "sensitivity", "f1")] == pytest.approx(list(macro[:3]), nan_ok=True)
    for code, label in enumerate(labels):
        true, score = truth == code, predictions.probabilities[:, code]
        # Specificity and NPV are the sensitivity and PPV of "not this label".
        others = {"y_true": ~true, "y_pred": said != code, "zero_division": NAN}
        assert found["specificity", label] == pytest.approx(metrics.recall_score(**others), nan_ok=True)
        assert found["npv", label] == pytest.approx(metrics.precision_score(**others), nan_ok=True)
        auc = metrics.roc_auc_score(true, score) if 0 < true.sum() < len(true) else NAN
        assert found["auc", label] == pytest.approx(auc, nan_ok=True)
        assert found["brier", label] == pytest.approx(metrics.brier_score_loss(true, score, pos_label=True))


# --- the thesis's printed matrices and what it prints of them

FOUR = ("atypical", "indeterminate", "negative", "typical")
PRINTED = [  # model, matrix, accuracy in per cent, tolerance
    ("6.1", [[0, 0, 0, 89], [0, 0, 0, 239], [0, 0, 0, 356], [0, 0, 0, 582]], 45.97),
    ("6.3", [[21, 5, 14, 49], [38, 8, 64, 129], [32, 20, 242, 62], [36, 12, 54, 480]], 59.32),
    ("6.9", [[279, 65, 12], [74, 499, 9], [111, 198, 19]], 62.95),
    ("6.10", [[226, 130], [121, 789]], 80.17),
    ("6.11, first phase", [[570, 114], [295, 287]], 67.69),
    ("6.11, second phase", [[144, 540], [24, 558]], 55.45),
    ("9, validation", [[965, 429], [795, 3057]], 76.67),
    ("9, final test", [[238, 98], [213, 705]], 75.20),
    ("9.1, validation", [[62, 1332], [23, 3829]], 74.17),
    ("9.1, final test", [[16, 320], [10, 908]], 73.68),
    ("10, final test", [[215, 121], [157, 761]], 77.83),
]
MATRICES = {model: np.array(matrix) for model, matrix, _ in PRINTED}


@pytest.mark.parametrize(("model", "matrix", "accuracy"), PRINTED, ids=[row[0] for row in PRINTED])
def test_the_thesis_matrices_give_its_accuracies(model, matrix, accuracy):
    found = measures(judged.of_counts(matrix))
    assert round(100 * found["accuracy", "overall"], 2) == accuracy
    assert classification.confusion(judged.of_counts(matrix)).to_numpy().tolist() == matrix


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("6.9", [78, 86, 6]),
        ("6.11, first phase", [83, 49]),
        ("9, validation", [69, 79]),
        ("9, final test", [71, 77]),
        ("9.1, validation", [4, 99]),
        ("10, final test", [64, 83]),
    ],
)
def test_the_thesis_matrices_give_its_hit_rates(model, expected):
    assert np.round(100 * np.diag(hit_rates(MATRICES[model]))).tolist() == expected


@pytest.mark.parametrize(("model", "expected"), [("6.10", 0.751), ("9, final test", 0.738), ("10, final test", 0.734), ("6.1", 0.25)])
def test_balanced_accuracies_of_the_thesis_matrices(model, expected):
    overall, _ = of_counts(MATRICES[model])
    assert round(float(overall["balanced_accuracy"]), 3) == expected


def test_the_thesis_sensitivity_is_the_ppv():
    """VP / (VP + FP) and VN / (VN + FN) of its section 2.1.2, on its own model 10."""
    _, per_label = of_counts(MATRICES["10, final test"])
    words = {word: per_label[name][1] for word, name in classification.THESIS_WORDS.items() if name in per_label}
    assert words == pytest.approx({"sensibilidad": 761 / (761 + 121), "especificidad": 215 / (215 + 157)})


def test_the_article_columns_are_measures_of_the_table():
    found = measures(judged.of_counts([[3, 1], [1, 5]]))
    names = set(found.index.get_level_values("measure"))
    assert set(classification.ARTICLE_COLUMNS.values()) <= names
    assert set(classification.THESIS_WORDS.values()) <= names
    assert list(classification.ARTICLE_COLUMNS) == ["AUC", "Sensitivity", "Specificity", "PPV", "NPV", "F1", "Accuracy"]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_every_label_scheme_can_be_judged(scheme):
    count = len(scheme.labels)
    found = measures(judged.of_counts(np.eye(count, dtype=int), labels=scheme.labels))
    assert isinstance(found, pd.Series)
    assert found.index.is_unique
    assert len(found) == 4 + 9 * (count + 1)
    assert found["auc"][list(scheme.labels)].tolist() == [1.0] * count
