"""Predictions for the tests: of given codes, of a confusion matrix, drawn by hypothesis, and of patients whose films are alike."""

import numpy as np
from hypothesis import strategies as st

from siim_kernel.evaluation.predictions import Predictions

NAMES = "abcdefgh"


def made(truth, probabilities, patients=None, labels=None):
    """Predictions with image ids f0, f1, ...; each film its own unknown patient unless said."""
    probabilities = np.asarray(probabilities, float)
    count = len(truth)
    return Predictions(
        tuple(labels or NAMES[: probabilities.shape[1]]),
        [f"f{place}" for place in range(count)],
        [""] * count if patients is None else list(patients),
        truth,
        probabilities,
    )


def two(truth, scores, patients=None):
    """Predictions of two labels, "None" and "Yes", by the probability of the second."""
    scores = np.asarray(scores, float)
    return made(truth, np.column_stack([1 - scores, scores]), patients, ("None", "Yes"))


def of_counts(counts, labels=None):
    """Predictions, certain of themselves, that have this confusion matrix."""
    counts = np.asarray(counts)
    truth, said = np.repeat(np.argwhere(counts >= 0), counts.ravel(), axis=0).T
    return made(truth, np.eye(len(counts))[said], labels=labels)


@st.composite
def some(draw, most_films=25):
    """Predictions with ties, labels missing from truth or prediction, single-label truth and shared patients."""
    n_labels = draw(st.integers(2, 4))
    count = draw(st.integers(1, most_films))
    each = {"min_size": count, "max_size": count}
    truth = draw(st.lists(st.integers(0, n_labels - 1), **each))
    # Few different weights, so that films tie; the first label is never without weight.
    weights = draw(st.lists(st.tuples(st.integers(1, 3), *[st.integers(0, 3)] * (n_labels - 1)), **each))
    patients = draw(st.lists(st.sampled_from(["", "p", "q", "r"]), **each))
    weights = np.array(weights, float)
    return made(truth, weights / weights.sum(axis=1, keepdims=True), patients)


def alike(generator, n_patients, films=8, accuracy=0.7):
    """Predictions of two labels whose expected accuracy is `accuracy`, nearly all films of a patient right or wrong together."""
    chances = np.repeat(generator.beta(accuracy * 0.8, (1 - accuracy) * 0.8, n_patients), films)
    truth = generator.integers(0, 2, len(chances))
    right = generator.random(len(chances)) < chances
    patients = np.repeat([f"p{number}" for number in range(n_patients)], films)
    return two(truth, np.where(right, truth, 1 - truth) * 0.6 + 0.2, patients)
