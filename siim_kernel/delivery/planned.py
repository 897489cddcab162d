"""A plan of GPU sessions: what `siim-kernel plan` prints, for people and as JSON."""

import dataclasses
from dataclasses import dataclass

from siim_kernel.delivery import quota

HEADINGS = ("week", "starts", "GPU h", "kernel", "epochs", "--max-hours")


@dataclass(frozen=True)
class Plan:
    """The sessions of a recipe's folds and what they rest on.

    hours     GPU hours a fold, in one session that never ended
    sessions  `quota.Session`s in order; without a fold: the submission
    weeks     dicts: week (from 1), GPU hours planned and there
    scoring   hours in which the submission's kernel predicts the hidden films
    measured, assumed   lines
    """

    recipe: str
    folds: tuple[int, ...]
    hours: float
    sessions: tuple[quota.Session, ...]
    weeks: tuple[dict, ...]
    scoring: float
    measured: tuple[str, ...]
    assumed: tuple[str, ...]


def plan(recipe, timings, folds, n_folds, limits):
    """The `Plan` of some folds of a recipe.

    timings  `timings.Timings`; folds: numbers of the folds to train; n_folds: into how many the films are parted, None for a way
             that has its own; limits: `quota.Limits`

    The inference kernel keeps to its session whatever it would take: it lets networks look at fewer films. Raises DeliveryError
    where the training cannot finish: an epoch is longer than a session.
    """
    work, assumed = quota.work(recipe, timings, n_folds)
    pushed, scoring = (quota.prediction_hours(timings, len(folds), films) for films in (quota.VISIBLE, quota.HIDDEN))
    sessions = tuple(quota.lay_out(work, folds, limits, min(pushed, quota.SUBMISSION)))
    weeks = []
    for week in range(1, max(each.week for each in sessions) + 1):
        there = limits.left if week == 1 and limits.left is not None else limits.week
        weeks.append({"week": week, "planned": sum(each.hours for each in sessions if each.week == week), "there": there})
    assumed = (*timings.assumed, *assumed, *_assumed(recipe, timings))
    return Plan(recipe.name, tuple(folds), work.hours, sessions, tuple(weeks), scoring, timings.sources, assumed)


def _assumed(recipe, timings):
    """What every plan takes for granted."""
    lines = [
        f"{quota.STARTING / 60:g} minutes to start a session; it counts to the week in which it begins",
        f"{quota.VISIBLE:,} visible and {quota.HIDDEN:,} hidden test films, {quota.READING:g} s to read one",
    ]
    if any(phase.patience for phase in recipe.phases):
        lines.append("all epochs are trained: patience may end a phase sooner")
    if timings.machine == "CPU":
        lines.insert(0, "a GPU is as slow as the CPU that was measured: it is not. Calibrate on the machine that will train")
    return tuple(lines)


def as_text(plan):
    """Lines for people, the table in columns of plain characters."""
    total = sum(each.hours for each in plan.sessions)
    parts = {each.fold: each.part for each in plan.sessions}
    rows = [HEADINGS]
    for each in plan.sessions:
        name = "submission" if each.fold is None else f"fold {each.fold}"
        chained = f", part {each.part} of {parts[each.fold]}" if parts[each.fold] > 1 else ""
        training = ("", "") if each.fold is None else (f"{each.first}-{each.last}", f"{each.max_hours:g}")
        rows.append((str(each.week), f"+{each.start:.1f} h", f"{each.hours:.1f}", name + chained, *training))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    count = len(plan.folds)
    several = " each" if count > 1 else ""
    lines = [
        f"{plan.recipe}: {count} fold{'s' * (count > 1)} of {plan.hours:.1f} GPU hours{several}; with the submission {total:.1f} GPU "
        f"hours in {len(plan.sessions)} sessions, {len(plan.weeks)} week{'s' * (len(plan.weeks) > 1)}",
        "",
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
        "",
        *(f"week {each['week']}: {each['planned']:.1f} of {each['there']:.1f} h" for each in plan.weeks),
    ]
    if max(parts.values()) > 1:
        lines.append("a chain: each part goes on from the output of the part before, which is attached to it")
    over = f", more than the {quota.SUBMISSION:g} h there are: fewer networks or mirrors will look at each film"
    lines.append(f"scoring of the submission: {plan.scoring:.1f} h" + (over if plan.scoring > quota.SUBMISSION else ""))
    lines += [f"measured: {line}" for line in plan.measured] or ["measured: nothing"]
    lines += [f"ASSUMED: {line}" for line in plan.assumed]
    return "\n".join(lines)


def as_json(plan):
    """The plan as a dict for JSON."""
    return dataclasses.asdict(plan)
