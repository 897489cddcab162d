"""Two runs on the same films: is the one better, or was it luck?

Both tests take the patient as the unit (`by="patient"`, the default), or each film for itself (`by="film"`), which is the
textbooks' form and trusts too much in films of one patient. Where each patient has one film the two are the same.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from siim_kernel.evaluation.predictions import check_same_films

BY = ("patient", "film")


@dataclass(frozen=True)
class AccuracyComparison:
    """McNemar's test: accuracies, first - second, films that one run alone has right, and the two-sided p."""

    first: float
    second: float
    difference: float
    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class AucComparison:
    """DeLong's test of one label against the rest: AUCs, first - second with its interval, and the two-sided p."""

    label: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float


def mcnemar(first, second, by="patient"):
    """`AccuracyComparison` of two `Predictions`; p is exact however few films the runs differ on.

    By film it is McNemar's exact test (1947; the binomial test of the films that one run alone has right). By patient, the
    sign test's idea with patients for coins: were the runs equally good, then a patient's net gain could as well have been
    the other run's; p is the share of all such swaps with a total as large. The interval of the difference is that of
    `intervals.difference_intervals`. p is 1 where the runs do not differ. Raises RunError where the films are not the same.
    """
    check_same_films(first, second)
    right, other_right = first.predicted == first.truth, second.predicted == second.truth
    net = right.astype(int) - other_right.astype(int)
    if _by_patient(by):
        net = np.bincount(first.groups, net).astype(int)
    return AccuracyComparison(
        first=float(right.mean()),
        second=float(other_right.mean()),
        difference=float(right.mean() - other_right.mean()),
        only_first=int((right & ~other_right).sum()),
        only_second=int((other_right & ~right).sum()),
        p=sign_flip_p(net),
    )


def delong(first, second, label, by="patient", level=0.95):
    """`AucComparison` of two `Predictions` for one label.

    DeLong, DeLong and Clarke-Pearson, Biometrics 44:837, 1988; by patient with the clustered variance of Obuchowski,
    Biometrics 53:567, 1997. p is 1 where no film moves in rank; interval and p are NaN where the truth has fewer than two
    films (or patients) on a side, or where the AUCs differ but their variance is 0 (one run perfect, the other a constant).
    Raises RunError where the films are not the same.
    """
    check_same_films(first, second)
    if label not in first.labels:
        raise ValueError(f"the label is one of {first.labels}, got {label!r}")
    code = first.labels.index(label)
    groups = first.groups if _by_patient(by) else None
    aucs, covariance = auc_covariance(first.truth == code, [first.probabilities[:, code], second.probabilities[:, code]], groups)
    difference = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    # Rounding leaves about 1e-17 of what cancels: no film moved, or all moved alike.
    if variance <= 1e-14 * (covariance[0, 0] + covariance[1, 1]):
        deviation, p = (0.0, 1.0) if difference == 0 else (np.nan, np.nan)
    else:
        deviation = variance**0.5
        p = float(2 * norm.sf(abs(difference) / deviation))
    half = float(norm.ppf((1 + level) / 2)) * deviation
    return AucComparison(label, float(aucs[0]), float(aucs[1]), difference, difference - half, difference + half, p)


def sign_flip_p(net):
    """Exact two-sided p of the sum of whole numbers, each as likely to have had the other sign; 1 where all are 0."""
    sizes = np.abs(net[net != 0])
    chances = np.ones(1)  # of the totals -s, -s + 2, ..., s of the s seen so far
    for size in sizes:
        chances = (np.pad(chances, (size, 0)) + np.pad(chances, (0, size))) / 2
    totals = 2 * np.arange(len(chances)) - sizes.sum()
    return float(min(1.0, chances[np.abs(totals) >= abs(net.sum())].sum()))


def auc_covariance(positive, scores, groups=None):
    """(AUCs [R], their covariance [R, R]) of R scores of the same films, by the structural components of DeLong.

    positive  bool [N]
    scores    R arrays float [N]; equal scores of a positive and a negative count half
    groups    int [N] of films that are not independent (Obuchowski); None: each film for itself

    The components come from midranks, in N log N steps (Sun and Xu, IEEE Signal Processing Letters 21:1389, 2014). AUCs are
    NaN without a positive or a negative; covariances are NaN with fewer than two (or than two groups) of either.
    """
    positive, scores = np.asarray(positive, bool), np.asarray(scores, float)
    groups = np.arange(len(positive)) if groups is None else groups
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return np.full(len(scores), np.nan), np.full((len(scores), len(scores)), np.nan)
    ranks = rankdata(scores, axis=1)
    # Of each positive the share of negatives below it, of each negative the share of positives above it.
    over = (ranks[:, positive] - rankdata(scores[:, positive], axis=1)) / n
    under = 1 - (ranks[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / m
    aucs = over.mean(axis=1)
    n_groups = int(groups.max()) + 1
    gains = np.stack([np.bincount(groups[positive], row, n_groups) for row in over - aucs[:, None]])
    losses = np.stack([np.bincount(groups[~positive], row, n_groups) for row in under - aucs[:, None]])
    with_positive, with_negative = len(np.unique(groups[positive])), len(np.unique(groups[~positive]))
    if with_positive < 2 or with_negative < 2:
        return aucs, np.full((len(scores), len(scores)), np.nan)
    crossed = gains @ losses.T * n_groups / (n_groups - 1) / (m * n)
    covariance = (
        gains @ gains.T * with_positive / (with_positive - 1) / m**2 + losses @ losses.T * with_negative / (with_negative - 1) / n**2
    )
    return aucs, covariance + crossed + crossed.T


def _by_patient(by):
    if by not in BY:
        raise ValueError(f"by is one of {BY}, got {by!r}")
    return by == "patient"
