"""From what the rays meet to a film's greys: scatter, quantum noise, tone, collimation."""

from dataclasses import dataclass

import cv2
import numpy as np

ATTENUATION = 3.4  # of a chest of solid tissue, in natural logarithms


@dataclass(frozen=True, kw_only=True)
class Technique:
    """How a film was exposed and processed.

    scatter    scattered against primary rays; more without a grid
    noise      relative quantum noise behind a chest of solid tissue
    focus      blur of focal spot and plate, in chest units
    local      how much of the large shades the processing takes away, 0..1
    low, high  densities (1 = a chest of solid tissue) that become black and white
    gamma      exponent on the greys; below 1 brightens
    shoulder   0 a straight tone curve, 1 an S-shaped one
    shade      unevenness of the field (heel effect) from side to side and from top to bottom
    """

    scatter: float
    noise: float
    focus: float
    local: float
    low: float
    high: float
    gamma: float
    shoulder: float
    shade: tuple[float, float]


def technique(rng, view):
    """A Technique for a PA film (a fixed stand) or an AP film (mostly a mobile unit, without a grid)."""
    portable = view == "AP"
    return Technique(
        scatter=rng.uniform(0.5, 1.6) if portable else rng.uniform(0.15, 0.6),
        noise=rng.uniform(0.02, 0.09) if portable else rng.uniform(0.01, 0.04),
        focus=rng.uniform(0.003, 0.008),
        local=rng.uniform(0.0, 0.65) if rng.uniform() < 0.5 else rng.uniform(0.0, 0.2),
        low=rng.uniform(0.08, 0.30),
        high=rng.uniform(1.02, 1.3),
        gamma=rng.uniform(0.8, 1.25),
        shoulder=rng.uniform(0.0, 0.8),
        shade=(rng.normal(0, 0.02), rng.normal(0, 0.03)),
    )


def develop(density, canvas, how, rng):
    """Greys float32 0..1 [rows, columns], bright = dense, of a density map (1 = a chest of solid tissue)."""
    primary = np.exp(-ATTENUATION * canvas.blur(density, how.focus))
    scattered = canvas.blur(primary, 0.35)
    measured = (primary + how.scatter * scattered) / (1 + how.scatter)
    noise = grain(rng, canvas.shape) * (how.noise * np.exp(-ATTENUATION / 2))
    measured = np.maximum(measured + noise * np.sqrt(measured), 1e-4)
    seen = -np.log(measured) / ATTENUATION
    flat = canvas.blur(np.minimum(seen, 1.2), 0.45)
    seen = seen - how.local * (flat - 0.65)
    seen += how.shade[0] * canvas.x + how.shade[1] * (canvas.y - 0.8)
    # Scatter and processing squeeze the densities: black and white follow the chest's own range.
    low, high = np.quantile(seen[::8, ::8], (0.03, 0.985))
    low = max(low, 0.12)
    greys = (seen - (low + (how.low - 0.3) * (high - low) * 0.8)) / ((high - low) * how.high)
    greys = np.clip(greys, 0, 1) ** how.gamma
    return (1 - how.shoulder) * greys + how.shoulder * greys * greys * (3 - 2 * greys)


def grain(rng, shape):
    """Grain, float32, deviation 1, slightly correlated between neighbours as in a plate."""
    grain = rng.standard_normal(shape, dtype=np.float32)
    return cv2.GaussianBlur(grain, (0, 0), 0.6) * np.float32(1.9)


def collimate(greys, rng, roll, lungs):
    """Darken, in place, what collimator or shutter keep from the film; returns the mask bool [rows, columns] of it.

    lungs  (xmin, ymin, xmax, ymax) of both lungs in pixels: the opening is set around them
    The opening leans with the patient. On a few films the border stays light, as plates without a shutter show it; that is no padding.
    """
    rows, columns = greys.shape
    padding = np.zeros(greys.shape, bool)
    draw = rng.uniform()
    margins = rng.uniform(0.0, 0.13, 4) * (rng.uniform(size=4) < 0.5)
    if draw < 0.65:
        return padding
    room = np.array([lungs[0], lungs[1], columns - lungs[2], rows - lungs[3]]) - 0.03 * max(rows, columns)
    left, top, right, bottom = np.clip(margins * (columns, rows, columns, rows), 0, np.maximum(room, 0))
    corners = np.array([(left, top), (columns - right, top), (columns - right, rows - bottom), (left, rows - bottom)])
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), roll * rng.uniform(0.0, 0.8), 1.0)
    corners = corners @ turn[:, :2].T + turn[:, 2]
    opening = np.zeros(greys.shape, np.uint8)
    cv2.fillPoly(opening, [np.rint(corners * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    outside = opening == 0
    if draw < 0.95:
        greys[outside] = 0
        return outside
    greys[outside] = 0.75 + 0.25 * greys[outside]
    return padding
