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
        process = _process(rng, region, severity)
        patches = _lung(rng, sides[0], region, process, severity, 0)
        patches += _lung(rng, sides[1], region, _alike(rng, process), severity * rng.uniform(0.45, 1.0), 1)
    elif study.pattern == "one lung":
        region = (PERIHILAR, UPPER, LOWER, ANYWHERE)[int(rng.integers(4))]
        patches = _lung(rng, sides[0], region, _process(rng, region, severity), severity, 0)
    elif study.pattern == "overlooked":  # what a reader took for normal
        patches = _lung(rng, sides[0], ANYWHERE, _process(rng, ANYWHERE, 0.0), 0.3 * severity, UNBOXED)
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
        process = _process(rng, PERIHILAR, severity)
        patches = [patch for side in SIDES for patch in _lung(rng, side, PERIHILAR, process, severity, UNBOXED)]
        effusions = {side: rng.uniform(0.04, 0.18) for side in SIDES}
    elif study.pattern == "effusion":
        effusions[sides[0]] = 0.10 + 0.85 * severity
        if rng.uniform() < 0.35:
            effusions[sides[1]] = 0.05 + 0.3 * severity
    elif study.pattern == "pneumothorax":
        pneumothorax[sides[0]] = 0.05 + 0.3 * severity
    patches += _more_boxes(rng, patches, study.extra)
    return Findings(patches=tuple(patches), effusions=effusions, pneumothorax=pneumothorax, scars=_scars(rng))


@dataclass(frozen=True, kw_only=True)
class Region:
    """Where a process may lie: limits of patches' centres (across, down), and the beta distributions of its middle between them."""

    across: tuple[float, float]
    down: tuple[float, float]
    across_beta: tuple[float, float] = (1.0, 1.0)
    down_beta: tuple[float, float] = (1.0, 1.0)
    reach: float = 1.0  # how far it spreads, against the widest


PERIPHERAL = Region(across=(0.25, 0.98), down=(0.06, 1.0), across_beta=(2.2, 1.2), down_beta=(2.1, 1.5))
ANYWHERE = Region(across=(0.1, 0.9), down=(0.06, 1.0), down_beta=(1.8, 1.4), reach=0.9)
PERIHILAR = Region(across=(0.08, 0.39), down=(0.2, 0.85), reach=0.75)
UPPER = Region(across=(0.1, 0.85), down=(0.06, 0.38), reach=0.75)
LOWER = Region(across=(0.15, 0.9), down=(0.5, 1.0), reach=0.75)
BOTH_LUNGS = {"peripheral, both": PERIPHERAL, "patchy, both": ANYWHERE, "central, both": PERIHILAR, "upper, both": UPPER}


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process in one lung: its middle and how far its patches' centres reach from there, all as shares of the lung."""

    across: float
    down: float
    wide: float
    tall: float


def _process(rng, region, severity):
    """A Process of a region: from one spot to the whole lung, the severe ones larger."""
    extent = 0.8 * rng.beta(0.95, 0.95) + 0.2 * severity
    return Process(
        across=float(np.interp(rng.beta(*region.across_beta), [0, 1], region.across)),
        down=float(np.interp(rng.beta(*region.down_beta), [0, 1], region.down)),
        wide=0.52 * region.reach * (0.6 * extent + 0.4 * rng.uniform()),
        tall=0.66 * region.reach * (0.85 * extent + 0.15 * rng.uniform()),
    )


def _alike(rng, process):
    """The same Process in the other lung: like the first, never quite the same."""
    return Process(
        across=process.across + rng.normal(0, 0.12),
        down=process.down + rng.normal(0, 0.12),
        wide=process.wide * rng.uniform(0.5, 1.2),
        tall=process.tall * rng.uniform(0.5, 1.2),
    )


def _lung(rng, side, region, process, severity, box):
    """Ground glass to consolidation in one lung: rounded patches over the reach of a process, within its region."""
    count = 1 + int(rng.integers(1, 3)) + round(4 * process.tall)
    size = 0.10 + 0.09 * severity + 0.20 * process.tall
    # Patches stand one below the other, in both directions over the whole reach.
    downs = _span(process.down, process.tall, region.down, (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count)
    acrosses = _span(process.across, process.wide, region.across, rng.permutation(np.linspace(0, 1, count)))
    patches = []
    for across, down in zip(acrosses, downs, strict=True):
        radius = size * rng.uniform(0.75, 1.4)
        patches.append(
            Patch(
                side=side,
                across=float(across),
                down=float(down),
                width=radius * rng.uniform(0.75, 1.05),
                height=radius * rng.uniform(0.95, 1.4),
                fill=float(np.clip((0.20 + 0.55 * severity) * rng.uniform(0.75, 1.25), 0.08, 0.88)),
                angle=rng.uniform(-0.5, 0.5),
                edge=rng.uniform(0.25, 0.5),
                box=box,
            )
        )
    return patches


def _span(middle, reach, limits, quantiles):
    """Places at quantiles 0..1 of middle - reach .. middle + reach, which is cut at the limits."""
    low, high = np.clip([middle - reach, middle + reach], *limits)
    return low + (high - low) * np.asarray(quantiles)


def _lobe(rng, side, severity, box):
    """Lobar consolidation: dense, with one border along a fissure."""
    upper = rng.uniform() < 0.4
    return Patch(
        side=side,
        across=rng.uniform(0.3, 0.75),
        down=rng.uniform(0.18, 0.40) if upper else rng.uniform(0.62, 0.98),
        width=rng.uniform(0.20, 0.46),
        height=rng.uniform(0.18, 0.60),
        fill=float(np.clip(0.32 + 0.5 * severity, 0, 0.9)),
        edge=rng.uniform(0.15, 0.3),
        fissure=0 if rng.uniform() < 0.4 else 1 if upper else -1,
        angle=rng.uniform(-0.4, 0.4),
        box=box,
    )


def _mass(rng, side, severity, cavity, box):
    """A nodule or mass with a sharp border; with a cavity, a ring."""
    radius = 0.07 + 0.30 * severity * rng.uniform(0.6, 1.1) + (0.04 if cavity else 0.0)
    return Patch(
        side=side,
        across=rng.uniform(0.2, 0.8),
        down=rng.uniform(0.15, 0.95),
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
