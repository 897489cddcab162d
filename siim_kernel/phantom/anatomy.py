"""A patient's chest as numbers, and the outlines that follow from them, in chest units (see canvas).

A patient keeps these numbers; a study changes weight and breath a little; an exposure places the patient before the film.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from siim_kernel.phantom.canvas import curve
from siim_kernel.phantom.draws import stream

RIGHT, LEFT = "right", "left"  # the patient's sides; the right lung is on the left of the film
SIDES = (RIGHT, LEFT)
SIGN = {RIGHT: -1.0, LEFT: 1.0}


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """One chest. Lengths in chest units, angles in radians, shares in 0..1.

    sex              "F" or "M", as in PatientSex
    height           from the lung tops to the right costophrenic angle
    barrel           how far the upper half of the rib cage bulges outwards (below 0: it tapers)
    dome, tilt       rise of the diaphragm above that angle; how much higher the right dome stands
    wall             thickness of the chest wall at the side: the habitus
    heart            width of the heart as a share of the chest (cardiothoracic ratio)
    knob, hila       size of the aortic knob and of the hila, about 1
    vessels, ribs    how strongly vessels and ribs show, about 1
    rib_slope        how steeply the ribs fall, about 1
    breast           strength of the breast shadows, 0 for none
    apex             half width of the lung tops
    scapula          x of the shoulder blades' inner border
    clavicle         y of the collar bones' inner ends
    arms             how far the arms are held from the body
    gas, scoliosis   size of the gastric bubble; sideways bend of the spine
    yaw              turn about the vertical axis: middle structures move by this much against the cage
    """

    patient: str
    sex: str
    height: float
    barrel: float
    dome: float
    tilt: float
    wall: float
    heart: float
    knob: float
    hila: float
    vessels: float
    ribs: float
    rib_slope: float
    breast: float
    apex: float
    scapula: float
    clavicle: float
    arms: float
    gas: float
    scoliosis: float
    yaw: float


def of_patient(patient):
    """The Anatomy of a patient id, standing and breathing in for a PA film."""
    rng = stream("anatomy", patient)
    female = rng.uniform() < 0.46
    return Anatomy(
        patient=patient,
        sex="F" if female else "M",
        height=float(np.clip(rng.normal(1.62 if not female else 1.54, 0.12), 1.28, 1.95)),
        barrel=float(np.clip(rng.normal(0.0, 0.025), -0.06, 0.05)),
        dome=rng.uniform(0.20, 0.40),
        tilt=rng.uniform(0.03, 0.11),
        wall=float(np.clip(rng.gamma(4, 0.045) + 0.05, 0.10, 0.42)),
        heart=float(np.clip(rng.normal(0.45, 0.04), 0.37, 0.58)),
        knob=rng.uniform(0.6, 1.35),
        hila=rng.uniform(0.7, 1.3),
        vessels=rng.uniform(0.6, 1.4),
        ribs=rng.uniform(0.7, 1.35),
        rib_slope=rng.uniform(0.85, 1.2),
        breast=rng.uniform(0.35, 1.0) if female else (0.0 if rng.uniform() < 0.8 else rng.uniform(0.1, 0.3)),
        apex=rng.uniform(0.34, 0.46),
        scapula=rng.uniform(0.95, 1.08),
        clavicle=rng.uniform(0.17, 0.27),
        arms=rng.uniform(0.35, 0.7),
        gas=rng.uniform(0.5, 1.2) if rng.uniform() < 0.6 else 0.0,
        scoliosis=rng.normal(0, 0.025),
        yaw=0.0,
    )


def posed(anatomy, study, view):
    """The same chest on the day of a study, for a PA or AP film.

    AP films are taken sitting or lying in front of the plate: less breath, a wider heart, shoulder blades over the lungs,
    higher collar bones, more turn.
    """
    rng = stream("pose", study)
    portable = view == "AP"
    return dataclasses.replace(
        anatomy,
        height=anatomy.height * float(np.clip(rng.normal(0.88, 0.08) if portable else rng.normal(0.98, 0.04), 0.68, 1.06)),
        dome=anatomy.dome * rng.uniform(0.9, 1.15),
        heart=anatomy.heart * (rng.uniform(1.1, 1.28) if portable else rng.uniform(0.97, 1.04)),
        wall=anatomy.wall * rng.uniform(0.95, 1.05),
        rib_slope=anatomy.rib_slope * (rng.uniform(0.65, 0.9) if portable else 1.0),
        scapula=anatomy.scapula - (rng.uniform(0.15, 0.35) if portable else 0.0),
        clavicle=anatomy.clavicle - (rng.uniform(0.06, 0.22) if portable else 0.0),
        arms=rng.uniform(0.1, 0.35) if portable else anatomy.arms,
        gas=anatomy.gas * rng.uniform(0.6, 1.2),
        yaw=rng.normal(0, 0.05 if portable else 0.02),
    )


def bulge(anatomy, share):
    """What `barrel` adds to the half width of the cage at `share` 0 (lung top) to 1 (costophrenic angle) of its height."""
    return anatomy.barrel * np.interp(share, [0.0, 0.12, 0.38, 0.8, 1.0], [0.0, 0.5, 1.0, 0.3, 0.0])


def lung_outline(anatomy, side):
    """The closed outline [N, 2] of the lung of one side."""
    a = anatomy
    bottom = a.height + (0.03 if side == LEFT else 0.0)
    dome = bottom - a.dome + (a.tilt if side == LEFT else 0.0)
    inner = 0.17 + a.yaw * SIGN[side]
    points = [
        (a.apex, 0.0),
        (a.apex + 0.27, 0.12 * a.height / 1.6),
        *((width + float(bulge(a, share)), share * a.height) for width, share in ((0.82, 0.21), (0.92, 0.38), (0.98, 0.58), (1.0, 0.8))),
        (0.985, bottom - 0.06),
        (0.955, bottom),
        (0.86, bottom - 0.38 * a.dome),
        (0.70, dome + 0.08 * a.dome),
        (0.50, dome - 0.02),
        (0.30, dome + 0.12 * a.dome),
        (inner - 0.03, dome + 0.35 * a.dome),
        (inner - 0.03, dome - 0.25),
        (inner, 0.45 * a.height),
        (inner + 0.03, 0.28 * a.height),
        (inner + 0.01, 0.13 * a.height),
        (inner + 0.10, 0.03),
    ]
    return curve(points, closed=True) * (SIGN[side], 1.0)


def in_lung(anatomy, side, across, down):
    """Chest coordinates (x, y) of a place in a lung: `across` 0 (mediastinum) to 1 (ribs), `down` 0 (top) to 1 (diaphragm)."""
    shares = np.array([0.0, 0.12, 0.21, 0.38, 0.58, 0.8, 1.0])
    widths = np.array([anatomy.apex + 0.06, anatomy.apex + 0.24, 0.80, 0.90, 0.965, 0.995, 1.0]) + bulge(anatomy, shares)
    outer = np.interp(down * (anatomy.height - 0.3 * anatomy.dome), shares * anatomy.height, widths)
    inner = 0.19 + anatomy.yaw * SIGN[side]
    x = inner + across * (outer - inner)
    length = anatomy.height - 0.75 * anatomy.dome + (anatomy.tilt if side == LEFT else 0.0)
    return SIGN[side] * x, down * length


def heart_outline(anatomy):
    """The closed outline [N, 2] of heart and great vessels: the right atrium left on the film, the apex to the right."""
    a = anatomy
    width, base = 2 * a.heart, a.height - a.dome
    right, left = 0.32 * width, 0.68 * width
    top = 0.32 * a.height
    points = [
        (-0.15, top),
        (-0.17, 0.46 * a.height),
        (-right * 0.92, base - 0.30),
        (-right, base - 0.12),
        (-right * 0.85, base + 0.10),
        (0.0, base + 0.25),
        (left * 0.85, base + 0.24),
        (left, base + 0.08),
        (left * 0.90, base - 0.14),
        (left * 0.68, base - 0.38),
        (0.46 * left + 0.02, 0.50 * a.height),
        (0.27, 0.40 * a.height),
        (0.16, top),
    ]
    return curve(points, closed=True) + (a.yaw, 0.0)


def rib_paths(anatomy, side):
    """Centre lines of the ribs of one side: a list of posterior and a list of anterior arcs, each [N, 2], from the top down."""
    a = anatomy
    posterior, anterior = [], []
    spacing = a.height / 9.3
    shares = np.array([-0.4, 0.0, 0.12, 0.21, 0.38, 0.58, 0.8, 1.3])
    levels = shares * a.height
    cage = np.array([0.30, a.apex, a.apex + 0.25, 0.80, 0.905, 0.965, 0.99, 1.0]) + bulge(a, shares)
    for rib in range(1, 11):
        start = -0.05 + (rib - 1) * spacing
        fall = a.rib_slope * (0.10 + 0.030 * rib) * min(1.0, 0.45 + 0.12 * rib)
        turn = start + fall + 0.05
        edge = float(np.interp(turn, levels, cage))
        share = np.array([0.0, 0.22, 0.5, 0.80, 0.96, 1.0])
        drop = np.array([0.0, -0.12, 0.08, 0.42, 0.74, 1.0])
        x = 0.11 + (edge - 0.11) * share
        path = np.stack([x, start + fall * drop + 0.02 * (share > 0.9)], axis=1)
        posterior.append(curve(path) * (SIGN[side], 1.0))
        if rib <= 8:
            low = a.rib_slope * (0.16 + 0.030 * rib) * min(1.0, 0.4 + 0.15 * rib)
            reach = 0.30 + 0.03 * rib
            share = np.array([0.0, 0.03, 0.10, 0.35, 0.75, 1.0])
            drop = np.array([-0.15, 0.15, 0.38, 0.72, 0.98, 1.0])
            x = edge - (edge - reach) * share
            anterior.append(curve(np.stack([x, turn + 0.02 + low * drop], axis=1)) * (SIGN[side], 1.0))
    return posterior, anterior


def vessel_paths(anatomy, side):
    """The vessel tree of one side: a list of (path [N, 2], width) from the hilum outwards; it belongs to the patient."""
    rng = stream("vessels", anatomy.patient, side)
    hilum = np.array([0.25, (0.44 if side == LEFT else 0.47) * anatomy.height])
    vessels = []

    def grow(start, angle, length, width, depth):
        bend = rng.normal(0, 0.35)
        steps = np.linspace(0, 1, 5)[1:]
        directions = angle + bend * steps
        path = np.concatenate([start[None], start + np.cumsum(np.stack([np.cos(directions), np.sin(directions)], 1) * length / 4, axis=0)])
        vessels.append((path * (SIGN[side], 1.0), width))
        if depth == 0 or width < 0.0045:
            return
        for turn in (rng.uniform(0.15, 0.45), -rng.uniform(0.15, 0.45)):
            grow(path[-1], directions[-1] + turn, length * rng.uniform(0.65, 0.88), width * rng.uniform(0.55, 0.72), depth - 1)
        if rng.uniform() < 0.6:
            grow(path[2], directions[1] + rng.choice((-1, 1)) * rng.uniform(0.4, 0.8), length * 0.55, width * 0.5, depth - 1)

    for angle in np.linspace(-1.25, 1.35, 9):
        lower = angle > 0.4
        offset = np.array([0.0, 0.12 if lower else -0.03])
        grow(hilum + offset, angle + rng.normal(0, 0.12), rng.uniform(0.14, 0.22), 0.032 if lower else 0.022, 5)
    return vessels
