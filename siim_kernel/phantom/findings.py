"""What is to be seen in the lungs: the findings of a study as a plan in lung coordinates (see anatomy.in_lung); `opacities` draws them.

The classes are those of the competition's readers: typical = rounded opacities in both lungs, at the periphery
and below; indeterminate = one lung, central or upper; atypical = effusion or pneumothorax (never boxed),
lobar consolidation, mass, cavity (boxed); negative = none of these.
"""

from dataclasses import dataclass

import numpy as np

from siim_kernel.phantom.anatomy import SIDES
from siim_kernel.phantom.draws import stream

UNBOXED = -1


@dataclass(frozen=True, kw_only=True)
class Patch:
    """One opacity in a lung.

    side            "right" or "left"
    across, down    centre: 0 mediastinum to 1 ribs, 0 lung top to 1 diaphragm
    width, height   radii in chest units, at `angle` radians
    fill            share of the air that it takes, 0..1
    edge            softness of its border, as a share of its radius
    fissure         0, or a sharp border: -1 above its centre, 1 below
    hole            share of the radius that is a cavity, 0..1
    box             number of the box that it belongs to, or UNBOXED
    """

    side: str
    across: float
    down: float
    width: float
    height: float
    fill: float
    angle: float = 0.0
    edge: float = 0.35
    fissure: int = 0
    hole: float = 0.0
    box: int = UNBOXED


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All findings of a study.

    patches        opacities
    effusions      side -> height of the fluid above the costophrenic angle, in chest units
    pneumothorax   side -> distance of the lung from the ribs, in chest units
    scars          lines (side, across, down, length, angle, strength): atelectasis and scars that nobody labels
    """

    patches: tuple
    effusions: dict
    pneumothorax: dict
    scars: tuple


def plan_findings(study):
    """The Findings of a StudyPlan; every image of the study shows them."""
    rng = stream("findings", study.study)
    severity = study.severity
    patches, effusions, pneumothorax = [], {}, {}
    sides = list(SIDES if rng.uniform() < 0.5 else SIDES[::-1])
    if study.pattern in BOTH_LUNGS:
        region = BOTH_LUNGS[study.pattern]
        patches = _lung(rng, sides[0], region, severity, 0) + _lung(rng, sides[1], region, severity * rng.uniform(0.45, 1.0), 1)
    elif study.pattern == "one lung":
        region = {0: _perihilar, 1: _upper, 2: _lower, 3: _anywhere}[int(rng.integers(4))]
        patches = _lung(rng, sides[0], region, severity, 0)
    elif study.pattern == "overlooked":  # what a reader took for normal
        patches = _lung(rng, sides[0], _anywhere, 0.3 * severity, UNBOXED)
    elif study.pattern == "consolidation":
        patches = [_lobe(rng, sides[0], severity, 0)]
        if rng.uniform() < 0.42:
            patches.append(_lobe(rng, sides[1], severity * rng.uniform(0.5, 1.0), 1))
    elif study.pattern in ("mass", "cavity"):
        count = 1 if rng.uniform() < 0.68 else 2
        patches = [_mass(rng, sides[box % 2], severity, study.pattern == "cavity", box) for box in range(count)]
    elif study.pattern == "effusion and consolidation":
        patches = [_lobe(rng, sides[0], severity, 0)]
        effusions[sides[-1]] = 0.10 + 0.45 * severity * rng.uniform(0.5, 1)
    elif study.pattern == "oedema":
        patches = [patch for side in SIDES for patch in _lung(rng, side, _perihilar, severity, UNBOXED)]
        effusions = {side: rng.uniform(0.04, 0.18) for side in SIDES}
    elif study.pattern == "effusion":
        effusions[sides[0]] = 0.10 + 0.85 * severity
        if rng.uniform() < 0.35:
            effusions[sides[1]] = 0.05 + 0.3 * severity
    elif study.pattern == "pneumothorax":
        pneumothorax[sides[0]] = 0.05 + 0.3 * severity
    patches += _more_boxes(rng, patches, study.extra)
    return Findings(patches=tuple(patches), effusions=effusions, pneumothorax=pneumothorax, scars=_scars(rng))


def _peripheral(rng):
    return rng.beta(6, 2.2), 0.10 + 0.85 * rng.beta(3.6, 2.2)


def _anywhere(rng):
    return rng.uniform(0.2, 0.85), rng.uniform(0.2, 0.95)


def _perihilar(rng):
    return rng.uniform(0.05, 0.38), rng.uniform(0.38, 0.75)


def _upper(rng):
    return rng.uniform(0.2, 0.8), rng.uniform(0.12, 0.36)


def _lower(rng):
    return rng.uniform(0.15, 0.85), rng.uniform(0.62, 0.97)


BOTH_LUNGS = {"peripheral, both": _peripheral, "patchy, both": _anywhere, "central, both": _perihilar, "upper, both": _upper}


def _lung(rng, side, region, severity, box):
    """Ground glass to consolidation in one lung: a few rounded patches of one region."""
    wide = region in (_peripheral, _anywhere)
    count = int(rng.integers(2, 6)) if wide else int(rng.integers(1, 4))
    size = (0.10 + 0.13 * severity) * (1.0 if wide else 1.25)
    middle = region(rng)
    patches = []
    for _ in range(count):
        across, down = region(rng)
        if not wide:  # one process: its patches lie together
            across, down = 0.5 * across + 0.5 * middle[0], 0.4 * down + 0.6 * middle[1]
        radius = size * rng.uniform(0.75, 1.4)
        patches.append(
            Patch(
                side=side,
                across=across,
                down=down,
                width=radius * rng.uniform(0.75, 1.05),
                height=radius * rng.uniform(0.95, 1.4),
                fill=float(np.clip((0.10 + 0.50 * severity) * rng.uniform(0.7, 1.3), 0.05, 0.85)),
                angle=rng.uniform(-0.5, 0.5),
                edge=rng.uniform(0.25, 0.5),
                box=box,
            )
        )
    return patches


def _lobe(rng, side, severity, box):
    """Lobar consolidation: dense, with one border along a fissure."""
    upper = rng.uniform() < 0.4
    return Patch(
        side=side,
        across=rng.uniform(0.4, 0.65),
        down=rng.uniform(0.22, 0.36) if upper else rng.uniform(0.65, 0.86),
        width=rng.uniform(0.22, 0.32),
        height=rng.uniform(0.16, 0.28),
        fill=float(np.clip(0.32 + 0.5 * severity, 0, 0.9)),
        edge=rng.uniform(0.15, 0.3),
        fissure=0 if rng.uniform() < 0.4 else 1 if upper else -1,
        angle=rng.uniform(-0.4, 0.4),
        box=box,
    )


def _mass(rng, side, severity, cavity, box):
    """A nodule or mass with a sharp border; with a cavity, a ring."""
    radius = 0.05 + 0.14 * severity * rng.uniform(0.6, 1.1) + (0.04 if cavity else 0.0)
    return Patch(
        side=side,
        across=rng.uniform(0.2, 0.8),
        down=rng.uniform(0.12, 0.85),
        width=radius,
        height=radius * rng.uniform(0.85, 1.15),
        fill=rng.uniform(0.5, 0.85),
        edge=rng.uniform(0.04, 0.11),
        hole=rng.uniform(0.55, 0.78) if cavity else 0.0,
        box=box,
    )


def _more_boxes(rng, patches, extra):
    """`extra` small patches, each with a box of its own, in lungs that have boxed patches."""
    if not patches:
        return []
    first = max(patch.box for patch in patches) + 1
    sides = [patches[index % len(patches)].side for index in range(extra)]
    return [
        Patch(
            side=side,
            across=rng.uniform(0.25, 0.85),
            down=0.12 + 0.8 * (index + rng.uniform()) / extra,
            width=rng.uniform(0.08, 0.13),
            height=rng.uniform(0.08, 0.15),
            fill=patches[0].fill,
            box=first + index,
        )
        for index, side in enumerate(sides)
    ]


def _scars(rng):
    """Atelectasis at the bases and scars at the tops: they are in every class and tell nothing."""
    scars = []
    for _ in range(rng.poisson(0.7)):
        base = rng.uniform() < 0.65
        scars.append(
            (
                SIDES[int(rng.integers(2))],
                rng.uniform(0.25, 0.75),
                rng.uniform(0.78, 0.97) if base else rng.uniform(0.08, 0.3),
                rng.uniform(0.12, 0.4),
                rng.normal(0.1, 0.25) if base else rng.uniform(-1, 1),
                rng.uniform(0.08, 0.3),
            )
        )
    return tuple(scars)
