"""What lies on or in the patient and on the film: leads, lines, tubes, and the markers of the radiographer."""

import cv2
import numpy as np

from siim_kernel.phantom.canvas import band, curve, ellipse
from siim_kernel.phantom.draws import stream

MARKER_WORDS = ("PORTABLE", "AP", "SUPINE", "PORTATIL", "SEMI-ERECT", "DECUBITO", "BED 4")


def draw_objects(rng, view, anatomy, canvas):
    """Density float32 [rows, columns] that objects add: many on AP films of the ward, few on PA films."""
    portable = view == "AP"
    density = np.zeros(canvas.shape, np.float32)
    h = anatomy.height
    if rng.uniform() < (0.6 if portable else 0.04):  # electrodes with their leads
        for _ in range(int(rng.integers(2, 6))):
            x, y = rng.uniform(-0.95, 0.95), rng.uniform(0.1, h + 0.1)
            lead = curve(
                [
                    (x, y),
                    (x + rng.normal(0, 0.35), y + rng.normal(0, 0.3)),
                    (rng.normal(0, 0.8), y + rng.normal(0, 0.5)),
                    (rng.choice((-1.6, 1.6)), rng.uniform(-0.5, h)),
                ]
            )
            density += 0.12 * canvas.lines([lead], 0.011)
            density += 0.22 * canvas.fill(ellipse(x, y, 0.035, 0.028)) + 0.05 * canvas.fill(ellipse(x, y, 0.09, 0.08))
    if rng.uniform() < (0.35 if portable else 0.03):  # a central line from the neck or the arm to the right atrium
        start = [(-0.30, -0.6), (-0.22, -0.05)] if rng.uniform() < 0.6 else [(-1.4, 0.25), (-0.8, 0.02), (-0.3, 0.12)]
        density += 0.10 * canvas.lines([curve([*start, (-0.15, 0.3 * h), (-0.14, rng.uniform(0.42, 0.58) * h)])], 0.014)
    if portable and rng.uniform() < 0.3:  # an endotracheal tube above the carina
        end = rng.uniform(0.16, 0.30) * h
        density += 0.07 * canvas.lines([curve([(-0.02, -1.3), (0.0, -0.4), (anatomy.yaw, end)])], 0.05)
        density += 0.09 * canvas.lines([curve([(0.02, -1.3), (0.02, -0.4), (anatomy.yaw + 0.02, end)])], 0.008)
    if portable and rng.uniform() < 0.3:  # a feeding tube to the stomach
        density += 0.09 * canvas.lines([curve([(0.03, -1.3), (0.04, 0.3 * h), (0.05, 0.8 * h), (0.15, h + 0.05), (0.42, h + 0.25)])], 0.022)
    if rng.uniform() < 0.12:  # nipples: they are mistaken for nodules
        for sign in (-1, 1):
            density += 0.07 * canvas.blur(canvas.fill(ellipse(sign * rng.uniform(0.55, 0.65), 0.78 * h, 0.032, 0.03)), 0.008)
    if rng.uniform() < 0.05:  # a chain around the neck
        density += 0.2 * canvas.lines(
            [curve([(-0.4, -0.35), (-0.25, 0.05), (0.0, rng.uniform(0.2, 0.4)), (0.25, 0.05), (0.4, -0.35)])], 0.012
        )
    if portable and rng.uniform() < 0.12:  # oxygen tubing beside the patient
        path = curve(
            [
                (rng.choice((-1.3, 1.3)), -0.8),
                (rng.normal(0, 0.6), rng.uniform(-0.3, 0.3)),
                (rng.choice((-1.2, 1.2)), rng.uniform(0.5, h)),
                (rng.normal(0, 1), h + 0.6),
            ]
        )
        density += 0.06 * canvas.fill(band(path, 0.05)) * 0.5 + 0.05 * canvas.lines([path], 0.05)
    return canvas.blur(density + _implants(anatomy, canvas), 0.003)


def _implants(anatomy, canvas):
    """Density of what stays in a patient from study to study: pacemaker, wires of the breast bone, old calcifications."""
    rng = stream("implants", anatomy.patient)
    density = np.zeros(canvas.shape, np.float32)
    h = anatomy.height
    if rng.uniform() < 0.03:
        side = rng.choice((-1, 1))
        density += 0.45 * canvas.fill(ellipse(0.78 * side, 0.26, 0.11, 0.09, 0.4))
        lead = [(0.72 * side, 0.22), (0.2 * side, 0.12), (-0.16, 0.35 * h), (-0.12, 0.7 * h), (0.3, 0.85 * h)]
        density += 0.14 * canvas.lines([curve(lead)], 0.014)
    if rng.uniform() < 0.04:
        loops = [
            ellipse(anatomy.yaw * 1.2 + rng.normal(0, 0.01), level, 0.045, 0.02, rng.normal(0, 0.3))
            for level in np.linspace(0.15, 0.65, 6) * h
        ]
        density += 0.2 * canvas.lines(loops, 0.010)
    if rng.uniform() < 0.15:
        density += 0.12 * canvas.fill(ellipse(rng.choice((-1, 1)) * rng.uniform(0.3, 0.85), rng.uniform(0.2, 0.8) * h, 0.016, 0.014))
    return density


def burn_markers(greys, rng, view):
    """Write the side marker, and on some AP films a word, into greys [rows, columns] 0..1 in place."""
    rows, columns = greys.shape
    size = min(rows, columns)
    if rng.uniform() < 0.92:
        letter = "L" if rng.uniform() < 0.7 else "R"
        x = (0.90 if letter == "L" else 0.03) * columns + rng.normal(0, 0.01) * columns
        y = rng.uniform(0.06, 0.30) * rows
        _write(greys, letter, x, y, size * rng.uniform(0.025, 0.05), rng.choice((1.0, 0.92)), rng.uniform() < 0.3)
    if rng.uniform() < (0.4 if view == "AP" else 0.05):
        word = MARKER_WORDS[int(rng.integers(len(MARKER_WORDS)))]
        x, y = rng.choice((0.04, 0.72)) * columns, rng.choice((0.05, 0.95)) * rows
        _write(greys, word, x, y, size * rng.uniform(0.012, 0.022), 1.0, rng.uniform() < 0.2)


def _write(greys, text, x, y, height, grey, framed):
    """Text with its lower left corner at x, y; `height` of a capital in pixels; framed: on a dark plate; cut off at the film's edge."""
    scale = height / 22
    thick = max(1, round(height / 7))
    (width, tall), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    left, top = max(int(x) - base, 0), max(int(y) - tall - base, 0)
    area = greys[top : top + tall + 2 * base, left : left + width + 2 * base]
    mask = np.zeros((tall + 2 * base, width + 2 * base), np.uint8)
    cv2.putText(mask, text, (base, base + tall), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    share = mask[: area.shape[0], : area.shape[1]].astype(np.float32) / 255
    ground = np.float32(0.25) if framed else area
    area[:] = ground * (1 - share) + np.float32(grey) * share
