"""GPU hours over sessions and weeks, and what is refused because it cannot finish."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from siim_kernel import cli_planning
from siim_kernel.delivery import kernel_folders, quota
from siim_kernel.delivery.client import Quota
from siim_kernel.delivery.quota import Epoch, Limits, Work
from siim_kernel.delivery.timings import PhaseTime, Timings
from siim_kernel.errors import DeliveryError
from siim_kernel.recipes.main import MAIN, TINY

HOUR = 3600.0
START = quota.STARTING / HOUR


def work(*hours, building=0.0, finishing=0.0, reserve=0.0, compiling=0.0, phases=None):
    """`Work` of epochs that take so many hours each."""
    phases = phases or [1] * len(hours)
    epochs = [Epoch(phase, each * HOUR, compiling * HOUR) for phase, each in zip(phases, hours, strict=True)]
    return Work(tuple(epochs), building * HOUR, finishing * HOUR, reserve * HOUR)


def test_what_fits_in_a_session_is_one():
    ((hours, done),) = quota.chain(work(1, 2, 3, building=0.1, finishing=0.2, compiling=0.5), 11.5)
    assert hours == pytest.approx(0.1 + 1 + 2 + 3 + 0.2 + 0.5)
    assert done == 3


def test_a_chain_stops_where_the_next_epoch_might_not_fit():
    # 3 + 3 and 1.2 * 3 of the third is 9.6: it fits in 10 h. Of the fourth 9 + 3.6 does not.
    assert quota.chain(work(3, 3, 3, 3, 3), 10) == [(9.0, 3), (6.0, 5)]


def test_each_session_builds_and_compiles_anew_and_the_last_one_finishes():
    found = quota.chain(work(3, 3, 3, 3, building=0.1, compiling=0.2, finishing=0.5, reserve=0.6), 8)
    assert [done for _, done in found] == [2, 4]
    assert [hours for hours, _ in found] == pytest.approx([0.1 + 0.2 + 6, 0.1 + 0.2 + 6 + 0.5])


def test_time_is_kept_for_finishing():
    assert len(quota.chain(work(3, 3, reserve=0.0), 6.7)) == 1
    assert len(quota.chain(work(3, 3, reserve=0.5), 6.7)) == 2


def test_the_first_epoch_of_a_phase_that_was_never_timed_is_begun_and_cut_off():
    slow = work(4, 4, phases=[1, 2], reserve=0.5)
    assert quota.chain(slow, 8) == [(7.5, 1), (4.0, 2)]
    assert quota.chain(work(4, 4, phases=[1, 1], reserve=0.5), 8) == [(4.0, 1), (4.0, 2)]


def test_an_epoch_longer_than_a_session_is_refused():
    with pytest.raises(DeliveryError, match=r"an epoch needs a session of 12\.0 h .* a session has 11\.5 h; .* no chain"):
        quota.chain(work(1, 10, 1))
    assert len(quota.chain(work(*[9.5] * 3))) == 3


def test_two_folds_run_at_once_and_the_submission_waits_for_all():
    planned = quota.lay_out(work(2, 2), [0, 1, 2], Limits(), 1.0)
    assert [(each.fold, each.part, each.week) for each in planned] == [(0, 1, 1), (1, 1, 1), (2, 1, 1), (None, 1, 1)]
    one = 4 + START
    assert [each.start for each in planned] == pytest.approx([0, 0, one, 2 * one])
    assert [each.hours for each in planned] == pytest.approx([one, one, one, 1])


def test_a_chain_is_in_order_and_says_which_epochs():
    planned = quota.lay_out(work(*[3] * 5), [3], Limits(budget=10), 0)
    assert [(each.part, each.first, each.last) for each in planned] == [(1, 1, 3), (2, 4, 5)]
    assert planned[1].start == pytest.approx(planned[0].start + planned[0].hours)


@pytest.mark.parametrize("left", [None, 3.0, 11.0, 29.0])
@pytest.mark.parametrize("hours", [0.4, 2.5, 9.0])
def test_no_week_is_overspent_no_place_is_taken_twice_and_all_is_trained(left, hours):
    limits = Limits(left=left, until_reset=50.0)
    planned = quota.lay_out(work(*[hours] * 12, building=0.1, finishing=0.3, reserve=0.4), range(5), limits, 0.5)
    for week in {each.week for each in planned}:
        there = left if week == 1 and left is not None else quota.WEEK
        assert sum(each.hours for each in planned if each.week == week) <= there + 1e-9
    for each in planned:
        begins = 0 if each.week == 1 else 50 + (each.week - 2) * 168
        assert begins <= each.start < (50 + (each.week - 1) * 168)
        at_once = [other for other in planned if other.start <= each.start < other.start + other.hours - 1e-9]
        assert len(at_once) <= quota.AT_ONCE
        assert each.hours <= quota.SESSION
    for fold in range(5):
        parts = [each for each in planned if each.fold == fold]
        assert [each.part for each in parts] == list(range(1, len(parts) + 1))
        assert [epoch for each in parts for epoch in range(each.first, each.last + 1)] == list(range(1, 13))
        assert all(one.start + one.hours <= two.start + 1e-9 for one, two in zip(parts, parts[1:], strict=False))
    assert planned[-1].fold is None


def test_what_is_left_of_the_week_shortens_a_session_and_the_rest_comes_next_week():
    planned = quota.lay_out(work(*[2] * 4), [0], Limits(left=5.0, until_reset=20.0))
    assert [(each.week, each.start, each.last, each.max_hours) for each in planned] == [(1, 0.0, 2, 4.91), (2, 20.0, 4, 11.5)]


def test_a_week_without_quota_is_waited_for():
    (session,) = quota.lay_out(work(2), [0], Limits(left=0.0, until_reset=33.0))
    assert (session.week, session.start) == (2, 33.0)


def test_what_never_fits_is_refused_and_not_looked_for_forever():
    with pytest.raises(DeliveryError, match=r"a session has 2\.9\d* h"):
        quota.lay_out(work(2.9), [0], Limits(week=3.0))
    with pytest.raises(DeliveryError, match=r"the inference kernel needs 10\.0 h, there are 9 h"):
        quota.lay_out(work(2), [0], Limits(), 10.0)


class TestRequireFits:
    def test_what_fits(self):
        assert quota.require_fits(11.5) is None
        assert quota.require_fits(11.5, work(3, 3, 3), left=12, running=1) == 1
        assert quota.require_fits(11.5, work(*[3] * 5), chained=True) == 2

    def test_a_chain_is_offered(self):
        with pytest.raises(DeliveryError, match=r"needs 15\.0 h, a session of 11\.5 h does not finish it; it needs a chain of 2 sessions"):
            quota.require_fits(11.5, work(*[3] * 5))

    def test_no_chain_helps_an_epoch_longer_than_a_session(self):
        with pytest.raises(DeliveryError, match="no chain of sessions finishes it"):
            quota.require_fits(11.5, work(12), chained=True)

    @pytest.mark.parametrize("hours", [12.5, 0, -1, None])
    def test_longer_than_a_session(self, hours):
        with pytest.raises(DeliveryError, match=r"a session has 12 h, .* give --max-hours 11\.5"):
            quota.require_fits(hours)

    def test_the_inference_kernel_has_nine_hours(self):
        with pytest.raises(DeliveryError, match="a session has 9 h"):
            quota.require_fits(11.5, limit=quota.SUBMISSION)

    def test_a_third_gpu_session(self):
        with pytest.raises(DeliveryError, match="2 GPU sessions are under way"):
            quota.require_fits(11.5, running=2)

    def test_less_quota_than_the_kernel_would_take(self):
        with pytest.raises(DeliveryError, match=r"6\.0 h are left .* give --max-hours 5\.9"):
            quota.require_fits(11.5, left=6.0)
        with pytest.raises(DeliveryError, match="wait for the week's new quota"):
            quota.require_fits(11.5, left=0.0)
        assert quota.require_fits(5.9, left=6.0) is None


def timings(**changes):
    values = {"validation": 0.5, "finishing": 0.1, "saving": 3.0, "building": 20.0, "films": 1000, "machine": "1 GPU"}
    return Timings((PhaseTime(0.5, 30.0), PhaseTime(2.0, 60.0)), **values | changes)


def test_the_work_of_a_measured_fold_is_the_arithmetic():
    # tiny: one epoch of the first phase, two of the second, 16 films a batch.
    found, assumed = quota.work(TINY, timings(learning=801, validating=199, folds=5), 5)
    steps, checks = 51, 13
    assert [epoch.seconds for epoch in found.epochs] == [
        steps * 0.5 + checks * 0.5 + 3,
        steps * 2.0 + checks * 0.5 + 3,
        steps * 2.0 + checks * 0.5 + 3,
    ]
    assert [epoch.compiling for epoch in found.epochs] == [30, 60, 60]
    assert (found.building, found.finishing) == (20, 100)
    assert found.hours == pytest.approx((20 + sum(epoch.seconds for epoch in found.epochs) + 30 + 60 + 100) / 3600)
    assert assumed == ()


def test_another_number_of_folds_parts_the_same_films_anew_and_says_so():
    found, assumed = quota.work(TINY, timings(learning=801, validating=199, folds=5), 2)
    assert assumed == ("500 films to learn from and 500 that validate",)
    assert found.epochs[0].seconds == 32 * 0.5 + 32 * 0.5 + 3


def test_a_way_without_folds_keeps_what_was_measured():
    assert quota.work(TINY, timings(learning=801, validating=199, folds=2), None)[1] == ()
    assert quota.work(TINY, timings(), None)[1] == ("800 films to learn from and 200 that validate",)


def test_all_epochs_of_the_recipe_are_planned():
    assert len(quota.work(MAIN, timings(), 5)[0].epochs) == 18


@pytest.mark.parametrize(
    ("now", "hours"),
    [("2026-11-23T17:30", 102.5), ("2026-11-27T23:00", 1), ("2026-11-28T00:00", 168), ("2026-11-28T12:00", 156)],
)
def test_the_week_begins_on_saturday(now, hours):
    assert quota.hours_until_saturday(datetime.fromisoformat(now).replace(tzinfo=UTC)) == hours


@pytest.mark.parametrize(
    ("refresh", "hours"),
    [
        ("2026-11-24T17:30:00+00:00", 24),
        ("2026-11-24T17:30:00", 24),
        ("2026-11-24T18:30:00+01:00", 24),
        ("", 102.5),
        ("2020-01-01T00:00:00", 102.5),
    ],
)
def test_what_kaggle_tells_of_the_week(refresh, hours):
    now = datetime(2026, 11, 23, 17, 30, tzinfo=UTC)
    limits = quota.of_kaggle(Limits(budget=5), Quota(22.5, 33.0, refresh), now)
    assert limits == Limits(budget=5, week=33.0, left=10.5, until_reset=hours)


def test_kaggle_that_does_not_tell():
    with pytest.raises(DeliveryError, match="give --left"):
        quota.of_kaggle(Limits(), None)
    assert quota.of_kaggle(Limits(), Quota(31.0, 30.0, "")).left == 0


def test_the_training_kernel_gives_itself_the_hours_that_are_planned_with():
    kernel = Path(__file__).resolve().parents[2] / "train_kernels" / "train"
    assert kernel_folders.read_parameters(kernel)["MAX_HOURS"] == quota.BUDGET == Limits().budget
    plan = typer.main.get_command(cli_planning.app)
    assert {each.name: each.default for each in getattr(plan, "commands", {"plan": plan})["plan"].params}["max_hours"] == quota.BUDGET
