"""Random numbers that depend on names alone: the same words give the same draws, in any order, process or year."""

import hashlib

import cv2
import numpy as np


def short_id(*parts):
    """An id of 12 hex digits, as the competition's; it depends on the parts alone."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:12]


def stream(*parts):
    """A numpy Generator of its own for the parts, such as a purpose and an image id."""
    return np.random.default_rng(int(hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:32], 16))


def spread(rng, count):
    """`count` numbers in 0..1 in random order, one in each of `count` equal parts: shares come out right at any count."""
    return (rng.permutation(count) + rng.uniform(size=count)) / max(count, 1)


def pick(weights, quantile):
    """The key of `weights` (key -> weight) at a quantile in 0..1."""
    keys, shares = list(weights), np.cumsum(list(weights.values()), dtype=float)
    return keys[min(int(np.searchsorted(shares / shares[-1], quantile, side="right")), len(keys) - 1)]


def quotas(weights, count, least=0):
    """`count` split by weight in whole numbers (largest remainders), each at least `least` where `count` allows: key -> number."""
    total = sum(weights.values())
    exact = {key: count * weight / total for key, weight in weights.items()}
    parts = {key: int(value) for key, value in exact.items()}
    for key in sorted(exact, key=lambda key: parts[key] - exact[key])[: count - sum(parts.values())]:
        parts[key] += 1
    if count >= least * len(parts):
        while parts[poorest := min(parts, key=parts.get)] < least:
            parts[max(parts, key=parts.get)] -= 1
            parts[poorest] += 1
    return parts


def clouds(rng, shape, cell):
    """Smooth noise, float32 of `shape`, mean about 0 and deviation about 1, whose structures are about `cell` pixels wide."""
    rows, columns = (max(4, round(side / max(cell, 1))) for side in shape)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * 1.25
