"""From a posed anatomy to what the rays meet: soft tissue, air and bone, as float32 maps of the film's size."""

from dataclasses import dataclass

import numpy as np

from siim_kernel.phantom.anatomy import LEFT, SIDES, SIGN, heart_outline, lung_outline, rib_paths, vessel_paths
from siim_kernel.phantom.canvas import band, curve, ellipse
from siim_kernel.phantom.draws import clouds, stream


@dataclass(frozen=True, kw_only=True)
class Chest:
    """One drawn chest, all float32 [rows, columns].

    tissue   soft tissue along the ray where no lung is, 1 = a chest of solid tissue
    air      share of that tissue which is air in the lungs, 0..1
    bone     what bones add
    vessels  what vessels add where there is air around them
    lungs    side -> mask 0..1
    """

    tissue: np.ndarray
    air: np.ndarray
    bone: np.ndarray
    vessels: np.ndarray
    lungs: dict


def draw_chest(anatomy, canvas, grain):
    """Draw a posed Anatomy on a Canvas; `grain` is the random stream of the fine texture. Returns a Chest."""
    lungs = {side: canvas.fill(lung_outline(anatomy, side)) for side in SIDES}
    heart = _heart(anatomy, canvas)
    air = _air(anatomy, canvas, lungs, heart, grain)
    return Chest(tissue=_tissue(anatomy, canvas), air=air, bone=_bone(anatomy, canvas), vessels=_vessels(anatomy, canvas, air), lungs=lungs)


def _ellipse_profile(depth, reach):
    """Thickness 0..1 of a body of elliptic cross-section at a depth under its outline."""
    inside = np.minimum(depth / np.float32(reach), 1)
    return np.sqrt(1 - (1 - inside) ** 2)


def _tissue(a, canvas):
    side = 1.0 + a.wall
    half = [(0.30, -1.6), (0.29, -0.62), (0.33, -0.40), (0.55, -0.26), (0.92, -0.19), (1.20, -0.14), (1.40, 0.0), (1.46, 0.22)]
    half += [(1.30, 0.48), (side + 0.05, 0.70), (side, 0.95), (side + 0.01, 1.4), (side + 0.3 * a.wall, 1.9), (side + 0.5 * a.wall, 3.6)]
    right = curve(half)
    outline = np.concatenate([right, (right * (-1, 1))[::-1]])
    torso_mask = canvas.fill(outline)
    level = np.interp(canvas.y[:, :1].ravel(), [-0.9, -0.45, -0.1, 0.35, 0.9, a.height, 2.4], [0.74, 0.70, 0.78, 0.88, 0.94, 1.03, 1.10])
    torso = _ellipse_profile(canvas.depth(torso_mask), 0.45) * level[:, None].astype(np.float32)
    arms = []
    for sign in (-1, 1):
        shoulder, elbow, wrist = (1.27 * sign, 0.16), ((1.27 + a.arms) * sign, 1.75), ((1.22 + a.arms) * sign, 3.2)
        middle = ((1.27 + 0.45 * a.arms) * sign, 0.9)
        arms.append(band(curve([shoulder, middle, elbow, wrist]), 0.42 + 0.5 * a.wall))
    arm = 0.42 * _ellipse_profile(canvas.depth(canvas.fill(*arms)), 0.26)
    tissue = np.maximum(torso, arm) + 0.35 * np.minimum(torso, arm)
    if a.breast:
        tissue = tissue + _breasts(a, canvas) * torso_mask
    return tissue


def _breasts(a, canvas):
    total = np.zeros(canvas.shape, np.float32)
    rng = stream("breast", a.patient)
    for sign in (-1, 1):
        x, y = sign * rng.uniform(0.60, 0.68), a.height * rng.uniform(0.74, 0.80)
        outline = ellipse(x, y, 0.42 + 0.1 * a.breast, 0.40 + 0.12 * a.breast, sign * -0.35)
        depth = canvas.depth(canvas.fill(outline))
        total += 0.20 * a.breast * _ellipse_profile(depth, 0.34) * np.clip((canvas.y - y + 0.45) / 0.5, 0.15, 1)
    return canvas.blur(total, 0.012)


def _heart(a, canvas):
    mask = canvas.fill(heart_outline(a))
    muscle = np.minimum(canvas.depth(mask) / 0.16, 1) ** 0.6
    knob = canvas.fill(ellipse(0.17 + a.yaw, 0.30 * a.height, 0.12 * a.knob, 0.115 * a.knob))
    aorta = canvas.fill(band(curve([(0.24 + a.yaw, 0.30 * a.height), (0.20 + a.yaw, 0.6 * a.height), (0.10, a.height)]), 0.13))
    upper = canvas.fill(band([(a.yaw, -0.5), (a.yaw * 0.8, 0.2 * a.height), (a.yaw * 0.5, 0.5 * a.height)], [0.30, 0.38, 0.42]))
    return canvas.blur(np.maximum.reduce([muscle, 0.75 * knob, 0.35 * aorta, 0.9 * upper]), 0.008)


def _air(a, canvas, lungs, heart, grain):
    air = np.zeros(canvas.shape, np.float32)
    for side in SIDES:
        fullness = 0.42 + 0.58 * _ellipse_profile(canvas.depth(lungs[side]), 0.36)
        air = np.maximum(air, lungs[side] * fullness)
    # The base lies under more tissue than the middle; a little unevenness keeps the lungs from looking painted.
    air *= (1 - 0.10 * np.clip((canvas.y / a.height - 0.55) / 0.45, 0, 1)) * (1 + 0.03 * clouds(grain, canvas.shape, 0.35 * canvas.unit))
    air = canvas.blur(air, 0.006) * (1 - 0.86 * heart)
    lean = a.yaw
    trachea = [curve([(lean, -1.2), (lean, 0.0), (lean - 0.02, 0.30 * a.height), (lean - 0.02, 0.37 * a.height)])]
    bronchi = [
        curve([(lean - 0.02, 0.36 * a.height), (-0.10, 0.40 * a.height), (-0.24, 0.46 * a.height)]),
        curve([(lean - 0.02, 0.36 * a.height), (0.12, 0.41 * a.height), (0.30, 0.46 * a.height)]),
    ]
    tubes = canvas.fill(*(band(path, 0.115) for path in trachea), *(band(path, 0.075) for path in bronchi))
    tubes = canvas.blur(tubes, 0.02) * np.where(canvas.y < 0.36 * a.height, 0.14, 0.08).astype(np.float32)
    if a.gas:
        bubble = canvas.fill(ellipse(0.46, a.height - a.dome + a.tilt + 0.10 + 0.09 * a.gas, 0.22 * a.gas, 0.10 * a.gas, -0.15))
        tubes = np.maximum(tubes, 0.32 * canvas.blur(bubble, 0.02) * (1 - lungs[LEFT]))
    return np.maximum(0.64 * air, tubes)


def _shell(canvas, mask, sigma, cortex):
    """A hollow bone: the mask with a brighter rim of about `sigma` chest units."""
    return mask * (1 - cortex + cortex * 2.2 * (1 - canvas.blur(mask, sigma)))


def _bone(a, canvas):
    rng = stream("bones", a.patient)
    bone = np.zeros(canvas.shape, np.float32)
    for side in SIDES:
        posterior, anterior = rib_paths(a, side)
        width = rng.uniform(0.074, 0.090)
        back = canvas.fill(*(band(path, np.linspace(0.85, 1.0, len(path)) * width) for path in posterior))
        # Ribs sink into the spine, and the lowest are lost below the diaphragm.
        seen = np.clip((np.abs(canvas.x) - 0.08) / 0.14, 0.25, 1) * np.clip(1 - (canvas.y - a.height + 0.2) / 0.25, 0.06, 1)
        bone += 0.090 * a.ribs * _shell(canvas, back, 0.024, 0.55) * seen
        front = [canvas.fill(*(band(path, np.linspace(1.0, 1.15, len(path)) * width) for path in anterior[start::2])) for start in (0, 1)]
        fade = seen * np.clip((np.abs(canvas.x) - 0.34) / 0.35, 0.12, 1)
        bone += 0.066 * a.ribs * _shell(canvas, np.maximum(*front), 0.024, 0.5) * fade
        bone += _shoulder(a, canvas, SIGN[side], rng)
    return bone + _spine(a, canvas)


def _shoulder(a, canvas, sign, rng):
    inner = (0.09 * sign + a.yaw * 1.3, a.clavicle)
    lift = rng.uniform(-0.02, 0.05)
    path = curve(
        [inner, (0.34 * sign, a.clavicle - 0.02), (0.72 * sign, a.clavicle - 0.17 - lift), (1.10 * sign, a.clavicle - 0.20 - lift)]
    )
    collar = canvas.fill(band(path, np.interp(np.linspace(0, 1, len(path)), [0, 0.12, 0.5, 0.9, 1], [0.125, 0.095, 0.075, 0.09, 0.03])))
    s = a.scapula
    blade = curve(
        [(s, 0.10), (s - 0.02, 0.45), (s + 0.03, 0.80), (s + 0.08, 0.84), (s + 0.16, 0.60), (1.17, 0.24), (1.20, 0.02), (1.06, 0.0)],
        closed=True,
    ) * (sign, 1)
    acromion = canvas.fill(band(curve([(s + 0.02, 0.14), (1.0, 0.04), (1.20, -0.02), (1.30, 0.02)]) * (sign, 1), 0.07))
    humerus = curve([(1.31, 0.10), (1.30 + 0.30 * a.arms, 0.55), (1.27 + a.arms, 1.75), (1.22 + a.arms, 3.2)]) * (sign, 1)
    widths = np.interp(np.linspace(0, 1, len(humerus)), [0, 0.1, 0.25, 1], [0.24, 0.24, 0.15, 0.13])
    return (
        0.10 * _shell(canvas, collar, 0.025, 0.6)
        + 0.05 * _shell(canvas, canvas.fill(blade), 0.03, 0.75)
        + 0.06 * canvas.blur(acromion, 0.01)
        + 0.13 * _shell(canvas, canvas.fill(band(humerus, widths), ellipse(1.26 * sign, 0.10, 0.13, 0.13)), 0.03, 0.6)
    )


def _spine(a, canvas):
    bend = a.scoliosis
    rows = np.linspace(-1.3, 3.0, 60)
    middle = bend * np.sin(rows * 2.2)
    column = canvas.fill(band(np.stack([middle, rows], 1), np.interp(rows, [-1, 0, 2], [0.20, 0.23, 0.30])))
    pitch = a.height / 9.3
    phase = (canvas.y - 0.02) / pitch
    discs = 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    levels = np.arange(-6, 16) * pitch
    details = [ellipse(bend * np.sin(2.2 * y) + sign * 0.075, y + 0.02, 0.016, 0.03) for y in levels for sign in (-1, 1)]
    details += [ellipse(bend * np.sin(2.2 * y), y + 0.06, 0.012, 0.035) for y in levels]
    return canvas.blur(column, 0.035) * (0.085 - 0.04 * discs**3) + 0.025 * canvas.blur(canvas.fill(*details), 0.008)


def _vessels(a, canvas, air):
    tree = [vessel for side in SIDES for vessel in vessel_paths(a, side)]
    total = np.zeros(canvas.shape, np.float32)
    for low, high in ((0, 0.005), (0.005, 0.009), (0.009, 0.014), (0.014, 0.021), (0.021, 1)):
        paths = [path for path, width in tree if low <= width < high]
        widths = [width for _, width in tree if low <= width < high]
        if paths:
            total += float(np.mean(widths)) ** 0.5 * canvas.lines(paths, float(np.mean(widths)))
    hila = canvas.fill(
        ellipse(-0.25 + a.yaw, 0.49 * a.height, 0.075 * a.hila, 0.15 * a.hila, 0.15),
        ellipse(0.27 + a.yaw, 0.45 * a.height, 0.065 * a.hila, 0.12 * a.hila, -0.2),
    )
    total = 0.60 * canvas.blur(total, 0.004) + 0.16 * canvas.blur(hila, 0.035)
    return total * a.vessels * np.clip(air / 0.5, 0, 1)
