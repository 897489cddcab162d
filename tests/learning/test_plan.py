"""The plan with made numbers: who looks at what is left in the time that is left."""

import math

import pytest

from siim_kernel.learning import plan
from siim_kernel.learning.plan import Pace, View

A, B, C = (View(number, False) for number in range(3))
A_MIRRORED, B_MIRRORED, C_MIRRORED = (View(number, True) for number in range(3))
ALL = (A, B, C, A_MIRRORED, B_MIRRORED, C_MIRRORED)
EQUAL = dict.fromkeys(ALL, 1.0)


def test_mirrors_are_wanted_least_and_only_where_the_recipe_has_them():
    assert plan.views_of([True, True, True]) == ALL
    assert plan.views_of([False, True]) == (A, B, B_MIRRORED)
    assert plan.views_of([False]) == (A,)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        (math.inf, ALL),
        (600, ALL),
        (599, ALL[:5]),
        (500, ALL[:5]),
        (499, ALL[:4]),
        (300, (A, B, C)),
        (299, (A, B)),
        (199, (A,)),
        (99, (A,)),  # not all films will get it, but those that do have something
        (0, (A,)),
        (-50, (A,)),
    ],
)
def test_mirrors_go_first_then_the_last_networks_and_one_stays(seconds, chosen):
    assert plan.choose(ALL, EQUAL, films=100, seconds=seconds) == chosen


def test_networks_of_unequal_cost():
    costs = {A: 10.0, B: 1.0, C: 2.0, A_MIRRORED: 10.0, B_MIRRORED: 1.0, C_MIRRORED: 2.0}
    assert plan.choose(ALL, costs, 10, 130) == (A, B, C)
    assert plan.choose(ALL, costs, 10, 149) == (A, B, C, B_MIRRORED)  # 13 a film, 1.9 are left: the mirror that fits
    assert plan.choose(ALL, costs, 10, 99) == (B, C, B_MIRRORED, C_MIRRORED)  # the dear one does not fit at all
    assert plan.choose(ALL, costs, 10, 9) == (B,)  # none fits: the cheapest reaches most films
    assert plan.choose(ALL, costs, 10, 0) == (B,)


def test_a_mirror_needs_its_plain_view():
    assert plan.choose((A, A_MIRRORED), {A: 5.0, A_MIRRORED: 1.0}, 1, 2) == (A,)


def test_what_is_not_measured_yet_is_tried():
    assert plan.choose(ALL, {}, 6000, 1) == ALL
    assert Pace(ALL).choose(16, 6000, 1.0) == ALL
    assert Pace(ALL).least == Pace(ALL).waiting == Pace(ALL).cost(A) == 0.0


def test_no_network_no_view():
    assert Pace([]).least == 0.0


def compiled(views=ALL):
    """A pace whose networks have all looked at a first batch, which does not count."""
    pace = Pace(views)
    for view in views:
        if not view.mirrored:
            pace.looked(view, 1e6, 1)
    return pace


def test_a_cost_is_the_median_of_the_last_batches_without_the_first():
    pace = compiled()
    assert pace.cost(A) == 0.0
    pace.looked(A, 16.0, 16)
    assert pace.cost(A) == 1.0
    pace.looked(A, 160.0, 16)  # once something else held it up
    assert pace.cost(A) == 1.0
    for _ in range(plan.RECENT):
        pace.looked(A, 4.0, 2)
    assert pace.cost(A) == 2.0  # films have become dearer: what was is forgotten
    assert pace.least == 0.0  # of B and C nothing is known
    pace.looked(B, 3.0, 1)
    pace.looked(C, 5.0, 1)
    assert pace.least == 2.0


def test_a_view_costs_what_its_mirror_does_until_it_is_known():
    pace = compiled()
    pace.looked(A_MIRRORED, 3.0, 1)
    assert (pace.cost(A), pace.cost(A_MIRRORED), pace.cost(B)) == (3.0, 3.0, 0.0)
    pace.looked(A, 2.0, 1)
    assert (pace.cost(A), pace.cost(A_MIRRORED)) == (2.0, 3.0)


def test_a_guess_is_the_most_that_any_view_took():
    pace = Pace(ALL)
    assert pace.guess(A) == 0.0
    pace.looked(A, 5.0, 1)  # the first batch
    assert (pace.guess(A), pace.guess(A_MIRRORED), pace.guess(B)) == (5.0, 5.0, 5.0)
    pace.looked(A_MIRRORED, 1.0, 1)
    assert (pace.guess(A), pace.guess(A_MIRRORED), pace.guess(B)) == (1.0, 1.0, 5.0)


def test_waiting_is_the_mean_over_the_films_of_the_last_batches():
    pace = Pace(ALL)
    pace.waited(60.0, 1)  # one film that hung
    pace.waited(0.0, 59)
    assert pace.waiting == 1.0
    for _ in range(plan.RECENT):
        pace.waited(1.0, 4)
    assert pace.waiting == 0.25


def test_decoding_still_to_come_is_taken_off_the_time():
    pace = compiled()
    for view in ALL:
        pace.looked(view, 1.0, 1)
    pace.waited(10.0, 10)
    # 10 films in hand, 90 to come: 6 x 100 s of networks and 90 s of waiting, all with the margin.
    enough = plan.MARGIN * (600 + 90)
    assert pace.choose(10, 90, enough + 1e-6) == ALL
    assert pace.choose(10, 90, enough - 1e-6) == ALL[:5]
    assert pace.choose(10, 0, plan.MARGIN * 60 + 1e-6) == ALL  # the last batch waits for nothing
    assert pace.choose(10, 90, 0.0) == (A,)
    assert pace.choose(10, 90, math.inf) == ALL


def test_time_found_again_brings_networks_back():
    pace = compiled((A, B))
    pace.looked(A, 1.0, 1)
    pace.looked(B, 1.0, 1)
    assert pace.choose(10, 90, 150.0) == (A,)
    assert pace.choose(10, 20, 110.0) == (A, B)


def run(seconds, costs, films, wait=0.0, batch=10):
    """Films by number of views when every measured number is as it was: what `prediction` does, without films."""
    pace, counts, done = Pace(tuple(costs)), [], 0
    while done < films:
        seconds -= wait * batch
        looked = []
        for view in pace.choose(batch, films - done - batch, seconds):
            if seconds > pace.guess(view) * batch:
                seconds -= costs[view] * batch
                pace.looked(view, costs[view] * batch, batch)
                looked.append(view)
        if not looked:
            break
        pace.waited(wait * batch, batch)
        counts += [len(looked)] * batch
        done += batch
    return counts, seconds


@pytest.mark.parametrize("wait", [0.0, 0.4])
@pytest.mark.parametrize("share", [0.25, 0.35, 0.5, 0.8, 0.95, 1.0, 1.2])
def test_the_plan_reaches_all_films_where_one_network_can(share, wait):
    """Between one view for all and all views for all: no film without a view, no time overrun, and little time unused."""
    films = 1000
    needed = films * (6 + wait)
    counts, left = run(share * needed, EQUAL, films, wait)
    assert len(counts) == films
    assert left >= 0
    assert min(counts) >= 1
    if share < 1.0:
        assert left < 0.15 * share * needed
    if share > plan.MARGIN:
        assert set(counts) == {6}


def test_less_than_one_network_for_all_reaches_as_many_as_the_time_has():
    counts, left = run(500.0, EQUAL, 1000)
    assert set(counts[20:]) == {1}
    assert 430 < len(counts) <= 500
    assert left >= 0
