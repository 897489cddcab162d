"""GPU hours: what a training needs, how it is laid out over sessions and weeks, and what cannot finish.

A training that does not fit in a session is a chain: it stops by its budget, and the next session goes on from its output. The
state is saved after each epoch, so that an epoch must fit in a session: no chain helps one that does not.
"""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from siim_kernel.errors import DeliveryError

SESSION, SUBMISSION, WEEK, AT_ONCE = 12.0, 9.0, 30.0, 2  # hours of a session, of the competition's kernels, of a week; GPU sessions
BUDGET = 11.5  # hours that a training kernel gives itself (MAX_HOURS): the rest is for starting and for saving the output
STARTING = 300.0  # seconds from a push to the training's first line: the machine, the wheels, the mounts. Assumed
DAYS = 7 * 24.0
MARGIN, SLACK = 1.2, 5.0  # as the training itself keeps (`learning.fitting`): no epoch is begun that might not fit
HELD_OUT = 0.2  # share of the films that validate where a way to part them has no number of folds. Assumed
VISIBLE, HIDDEN, READING = 1263, 6500, 0.15  # test films at the push and at the scoring, seconds to read one on 4 cores. Assumed


@dataclass(frozen=True)
class Epoch:
    """One epoch: its phase, seconds with validation and saving, and what it takes longer as a session's first of that phase."""

    phase: int
    seconds: float
    compiling: float


@dataclass(frozen=True)
class Work:
    """What the training of one fold is made of; every session of it also takes `building` seconds, the last `finishing`.

    reserve  seconds that the training keeps at the end of a session, to save a state and to finish the run
    """

    epochs: tuple[Epoch, ...]
    building: float
    finishing: float
    reserve: float

    @property
    def longest(self):
        """Seconds of a session that does nothing but the longest epoch, with what the training keeps in reserve."""
        return self.building + max(MARGIN * (epoch.seconds + epoch.compiling) for epoch in self.epochs) + self.reserve

    @property
    def hours(self):
        """GPU hours in one unbroken session, without starting."""
        return _session(self, 0, math.inf)[0] / 3600


@dataclass(frozen=True)
class Limits:
    """What Kaggle gives, in hours: of a training's session, of a week, left of this week, until the next week begins; sessions at once."""

    budget: float = BUDGET
    week: float = WEEK
    left: float | None = None
    until_reset: float = DAYS
    at_once: int = AT_ONCE


@dataclass(frozen=True)
class Session:
    """One session of a plan.

    fold          None for the submission
    part          its place in the chain of its fold, from 1
    week          from 1; start: hours from now, hours: GPU hours
    first, last   epochs that it trains, from 1
    max_hours     hours that the training is to give itself in it (MAX_HOURS), 0 for the submission
    """

    fold: int | None
    part: int
    week: int
    start: float
    hours: float
    first: int = 0
    last: int = 0
    max_hours: float = 0.0


def work(recipe, timings, n_folds):
    """The `Work` of one fold of a recipe by `timings.Timings`, all its epochs (patience may end a phase sooner), and what is assumed.

    n_folds  None for a way to part the films that has its own
    """
    known = timings.learning is not None and n_folds in (None, timings.folds)
    learning, validating, lines = timings.learning, timings.validating, ()
    if not known:
        films = timings.films if timings.learning is None else timings.learning + timings.validating
        validating = math.ceil(films * (1 / n_folds if n_folds else HELD_OUT))
        learning = films - validating
        lines = (f"{learning:,} films to learn from and {validating:,} that validate",)
    steps, checks = -(-learning // recipe.batch), -(-validating // recipe.batch)
    validation = checks * timings.validation
    epochs = tuple(
        Epoch(number, steps * each.step + validation + timings.saving, each.compiling)
        for number, (phase, each) in enumerate(zip(recipe.phases, timings.phases, strict=True), 1)
        for _ in range(phase.epochs)
    )
    finishing = timings.films * timings.finishing
    return Work(epochs, timings.building, finishing, MARGIN * (2 * timings.saving + finishing) + SLACK), lines


def _session(work, done, seconds):
    """What a session of so many seconds does from `done` finished epochs on: seconds it takes, finished epochs, whether that is all.

    As the training does: the first epoch is always trained; of a phase that was never timed one is begun and, if it does not fit,
    cut off at the end.
    """
    spent, phase = work.building, None
    for number in range(done, len(work.epochs)):
        epoch = work.epochs[number]
        needed = epoch.seconds + (epoch.compiling if epoch.phase != phase else 0.0)
        if number > done and spent + MARGIN * needed + work.reserve > seconds:
            new = epoch.phase != work.epochs[number - 1].phase
            return max(spent, seconds - work.reserve) if new else spent, number, False
        spent, phase = spent + needed, epoch.phase
    return spent + work.finishing, len(work.epochs), True


def chain(work, hours=BUDGET):
    """The sessions that one fold needs with a budget of so many hours each: a list of (hours, finished epochs)."""
    require_epoch(work, hours)
    found, done, finished = [], 0, False
    while not finished:
        seconds, done, finished = _session(work, done, hours * 3600)
        found.append((seconds / 3600, done))
    return found


def require_epoch(work, hours=BUDGET):
    """DeliveryError where an epoch is longer than a session of so many hours: no chain of such sessions ever ends."""
    if work.longest > hours * 3600:
        raise DeliveryError(
            f"an epoch needs a session of {work.longest / 3600:.1f} h with building the network and a margin, and a session has "
            f"{hours:g} h; the training is saved after each epoch, so no chain of sessions finishes it. Take smaller images, a smaller "
            "network or a faster accelerator"
        )


def require_fits(hours, work=None, left=None, running=0, limit=SESSION, chained=False):
    """What must hold before a GPU kernel is pushed; returns the number of sessions that it needs, None where nothing was measured.

    hours    what the kernel gives itself (MAX_HOURS)
    work     `Work` of the fold that it trains, None where nothing was measured or for a kernel that does not train
    left     hours left of the week's quota, None where nobody knows; running: GPU sessions under way
    limit    hours of a session: `SESSION`, `SUBMISSION` for the inference kernel
    chained  whether the training may go on in another session

    Raises DeliveryError naming what cannot finish and what can: fewer hours, a chain.
    """
    if hours is None or not 0 < hours <= limit:
        raise DeliveryError(f"a session has {limit:g} h, the kernel would take {hours or 'no limit'}; give --max-hours {limit - 0.5:g}")
    if running >= AT_ONCE:
        raise DeliveryError(f"{running} GPU sessions are under way, and Kaggle runs {AT_ONCE} at once; wait for one of them to end")
    budget = hours if left is None else min(hours, left - STARTING / 3600)
    if left is not None and hours > budget:
        able = f"give --max-hours {math.floor(10 * budget) / 10:g}" if budget > 0.1 else "wait for the week's new quota"
        raise DeliveryError(f"{left:.1f} h are left of the week's GPU quota, the kernel would take up to {hours:g} h; {able}")
    if work is None:
        return None
    sessions = len(chain(work, budget))
    if sessions > 1 and not chained:
        raise DeliveryError(
            f"the training needs {work.hours:.1f} h, a session of {hours:g} h does not finish it; it needs a chain of {sessions} "
            "sessions, each going on from the output of the one before"
        )
    return sessions


def lay_out(work, folds, limits, submission=0.0):
    """The `Session`s of a training's folds, each a chain in kernels of its own, then the submission (its hours), in order of start.

    A session is begun when one of the places is free, the fold's last one has ended, and the week's quota still has room for an
    epoch; it counts to the week in which it begins. Raises DeliveryError where that never is.
    """
    least = (work.longest + STARTING) / 3600
    require_epoch(work, min(limits.budget, limits.week - STARTING / 3600))
    if submission > min(SUBMISSION, limits.week):
        raise DeliveryError(
            f"the inference kernel needs {submission:.1f} h, there are {SUBMISSION:g} h in its session and {limits.week:g} in a week: take "
            "fewer folds, or a smaller network"
        )
    quota, planned = {0: limits.week if limits.left is None else limits.left}, []
    places, ready = [0.0] * limits.at_once, dict.fromkeys(folds, 0.0)
    done, parts = dict.fromkeys(folds, 0), dict.fromkeys(folds, 0)

    def begin(moment, hours):
        """The first moment from `moment` on in whose week so many hours are left, and its week (from 0)."""
        week = _week(moment, limits)
        while quota.setdefault(week, limits.week) < hours:
            week += 1
        return max(moment, _starts(week, limits)), week

    while ready:
        free = min(places)
        fold = min(ready, key=lambda each: (max(ready[each], free), each))
        start, week = begin(max(ready[fold], free), least)
        budget = math.floor(100 * min(limits.budget, quota[week] - STARTING / 3600)) / 100
        seconds, last, finished = _session(work, done[fold], budget * 3600)
        hours, parts[fold] = (STARTING + seconds) / 3600, parts[fold] + 1
        planned.append(Session(fold, parts[fold], week + 1, start, hours, done[fold] + 1, last, budget))
        quota[week] -= hours
        places[places.index(free)] = start + hours
        done[fold], ready[fold] = last, start + hours
        if finished:
            del ready[fold]
    if submission:
        start, week = begin(max(each.start + each.hours for each in planned), submission)
        planned.append(Session(None, 1, week + 1, start, submission))
    return sorted(planned, key=lambda each: (each.start, each.fold is None, each.fold))


def _week(moment, limits):
    """The week of a moment, from 0: this one ends in `limits.until_reset` hours."""
    return 0 if moment < limits.until_reset else 1 + int((moment - limits.until_reset) // DAYS)


def _starts(week, limits):
    return 0.0 if week == 0 else limits.until_reset + (week - 1) * DAYS


def prediction_hours(timings, networks, films):
    """Hours in which so many networks of a recipe predict so many films, in the inference kernel."""
    return (STARTING + networks * timings.building + films * (READING + networks * timings.finishing)) / 3600


def hours_until_saturday(now=None):
    """Hours until the week's quota is new: Saturday 00:00 UTC."""
    now = now or datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=(5 - now.weekday()) % 7 or 7)
    return (midnight - now) / timedelta(hours=1)


def of_kaggle(limits, told, now=None):
    """`limits` with what `Client.quota` told: hours used and allowed, and when the quota is new. Raises DeliveryError for nothing."""
    if told is None:
        raise DeliveryError("Kaggle does not say what is left of the week's GPU quota; look it up on your account page and give --left")
    now = now or datetime.now(UTC)
    try:
        refresh = datetime.fromisoformat(told.refresh)
        until = (refresh if refresh.tzinfo else refresh.replace(tzinfo=UTC)) - now
        hours = until / timedelta(hours=1)
    except (ValueError, TypeError):
        hours = 0
    hours = hours if 0 < hours <= DAYS else hours_until_saturday(now)
    return replace(limits, week=told.allowed, left=max(0.0, told.allowed - told.used), until_reset=hours)
