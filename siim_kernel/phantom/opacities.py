"""How planned findings change the air of a drawn chest, and where a reader would draw boxes."""

import numpy as np

from siim_kernel.phantom.anatomy import SIGN, bulge, in_lung
from siim_kernel.phantom.canvas import curve
from siim_kernel.phantom.draws import clouds
from siim_kernel.phantom.findings import UNBOXED


def draw_findings(findings, anatomy, chest, canvas, grain):
    """How the findings change the air of a drawn Chest.

    Returns (air float32 [rows, columns], boxes): boxes are lists xmin, ymin, xmax, ymax in pixels of the canvas, one a box number.
    """
    wool = 0.7 * clouds(grain, canvas.shape, 0.12 * canvas.unit) + 0.3 * clouds(grain, canvas.shape, 0.035 * canvas.unit)
    shape = clouds(grain, canvas.shape, 0.14 * canvas.unit)
    clear = np.ones(canvas.shape, np.float32)
    seen_of_box = {}
    for patch in findings.patches:
        blob = _blob(patch, anatomy, canvas, shape) * chest.lungs[patch.side]
        clear *= 1 - np.clip(patch.fill * blob * (1 + 0.22 * wool), 0, 0.92)
        if patch.box != UNBOXED:
            seen_of_box[patch.box] = np.maximum(seen_of_box.get(patch.box, 0), blob)
    for side, level in findings.effusions.items():
        clear *= 1 - 0.93 * _fluid(level, side, anatomy, canvas) * chest.lungs[side]
    for side, across, down, length, angle, strength in findings.scars:
        x, y = in_lung(anatomy, side, across, down)
        bend = np.array([(-0.5, 0), (0, 0.06), (0.5, 0)]) * length
        turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
        line = canvas.blur(canvas.lines([curve(bend @ turn + (x, y))], 0.016), 0.006)
        clear *= 1 - strength * line * chest.lungs[side]
    air = chest.air * clear
    for side, gap in findings.pneumothorax.items():
        free = _free_air(gap, side, anatomy, canvas)
        air = air * (1 + 0.16 * free * chest.lungs[side])
        rim = canvas.blur(np.abs(np.gradient(free, axis=1)) + np.abs(np.gradient(free, axis=0)), 0.004) * 0.35
        air *= 1 - np.clip(rim, 0, 0.25) * chest.lungs[side]
    boxes = [box for number in sorted(seen_of_box) if (box := _bounds(seen_of_box[number]))]
    return air, boxes


def free_air(findings, anatomy, canvas):
    """Mask 0..1 float32 of where a pneumothorax has pushed the lung, and its vessels, away."""
    masks = [_free_air(gap, side, anatomy, canvas) for side, gap in findings.pneumothorax.items()]
    return np.maximum.reduce(masks) if masks else np.zeros(canvas.shape, np.float32)


def _blob(patch, anatomy, canvas, shape):
    """A rounded, ragged mask 0..1 of a patch."""
    x, y = in_lung(anatomy, patch.side, patch.across, patch.down)
    across = (canvas.x - np.float32(x)) * np.float32(np.cos(patch.angle)) + (canvas.y - np.float32(y)) * np.float32(np.sin(patch.angle))
    down = (canvas.y - np.float32(y)) * np.float32(np.cos(patch.angle)) - (canvas.x - np.float32(x)) * np.float32(np.sin(patch.angle))
    distance = np.sqrt((across / patch.width) ** 2 + (down / patch.height) ** 2) + np.float32(0.5 * patch.edge) * shape
    blob = 1 / (1 + np.exp(np.clip((distance - 1) / (0.45 * patch.edge), -30, 30)))
    if patch.fissure:
        side = patch.fissure * (canvas.y - y - 0.55 * patch.fissure * patch.height - 0.12 * SIGN[patch.side] * (canvas.x - x))
        blob = blob * np.clip(0.5 - side / 0.02, 0, 1)
    if patch.hole:
        blob = blob * (1 - 0.9 / (1 + np.exp(np.clip((distance - patch.hole) / 0.06, -30, 30))))
    return blob.astype(np.float32)


def _fluid(level, side, anatomy, canvas):
    """Mask 0..1 of pleural fluid that climbs along the ribs (the meniscus)."""
    lateral = np.clip(np.abs(canvas.x), 0, 1)
    surface = anatomy.height - 0.25 * anatomy.dome - level * (0.30 + 0.85 * lateral**4) + 0.25 * (1 - lateral) * anatomy.dome
    return np.clip((canvas.y - surface) / (0.05 + 0.10 * level) + 0.5, 0, 1) * (canvas.x * SIGN[side] > 0)


def _free_air(gap, side, anatomy, canvas):
    """Mask 0..1 of the air between ribs and lung, wider at the top."""
    shares = np.array([-0.1, 0.0, 0.12, 0.21, 0.38, 0.58, 0.8, 1.1])
    levels = shares * anatomy.height
    outer = np.array([0.0, anatomy.apex + 0.05, anatomy.apex + 0.24, 0.80, 0.90, 0.965, 0.995, 1.0]) + bulge(anatomy, shares)
    widths = gap * np.array([1.0, 1.6, 1.5, 1.3, 1.0, 0.8, 0.6, 0.4])
    rows = canvas.y
    border = np.interp(rows.ravel(), levels, outer - widths).reshape(rows.shape)
    top = np.clip((1.3 * gap - rows) / 0.015 + 0.5, 0, 1)
    beside = np.clip((canvas.x * SIGN[side] - border) / 0.015 + 0.5, 0, 1)
    return np.maximum(beside, top * (canvas.x * SIGN[side] > 0)).astype(np.float32)


def _bounds(seen):
    """[xmin, ymin, xmax, ymax] around what is clearly seen of a mask 0..1, or None where nothing of it is in the lung."""
    mask = seen > max(0.4 * float(seen.max()), 0.02)
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)] if len(columns) else None
