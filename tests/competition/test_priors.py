"""Shares of the training films, on tables that can be counted by hand."""

import numpy as np
import pandas as pd
import pytest

from siim_kernel.competition import priors
from siim_kernel.labels import BOXED, NONE, NOT_READ


def table(*rows):
    made = pd.DataFrame(rows, columns=["study", "label", "reading", "boxes", "rows", "columns"])
    return made.astype({"rows": "Int64", "columns": "Int64"})


def test_class_priors_count_studies_once_and_leave_films_not_read_out_of_none():
    films = table(
        ("s1", "typical", BOXED, ((0, 0, 5, 5),), 10, 10),
        ("s1", "typical", NOT_READ, (), 10, 10),
        ("s1", "typical", NOT_READ, (), 10, 10),
        ("s2", "negative", NONE, (), 10, 10),
        ("s3", "negative", NONE, (), 10, 10),
        ("s4", "atypical", NONE, (), 10, 10),
    )
    assert priors.class_priors(films) == {"negative": 0.5, "typical": 0.25, "indeterminate": 0.0, "atypical": 0.25, "none": 0.75}


def test_without_any_film_read_none_is_the_share_of_negative_studies():
    films = table(("s1", "negative", NOT_READ, (), 10, 10), *[(f"s{i}", "typical", NOT_READ, (), 10, 10) for i in (2, 3, 4)])
    assert priors.class_priors(films)["none"] == 0.25


def test_prior_boxes_are_shares_of_the_sides_with_the_share_of_boxed_films_they_hit():
    films = table(
        ("s1", "typical", BOXED, ((10, 20, 30, 60), (60, 20, 80, 60)), 100, 100),
        ("s2", "typical", BOXED, ((20, 20, 60, 60),), 100, 200),  # the left box again, on a film twice as wide
        ("s3", "negative", NONE, (), 100, 100),
        ("s4", "typical", BOXED, ((0, 0, 1, 1),), pd.NA, pd.NA),  # no size: its box has no place
    )
    found = priors.prior_boxes(films)
    assert np.allclose(found, [[0.1, 0.2, 0.3, 0.6, 1.0], [0.6, 0.2, 0.8, 0.6, 0.5]])
    assert all(type(number) is float for box in found for number in box)  # goes into JSON


def test_prior_boxes_of_many_films_are_few_fall_and_repeat():
    draw = np.random.default_rng(0)
    corners = draw.uniform(0, 40, (60, 2))
    films = table(*[(f"s{i}", "typical", BOXED, ((x, y, x + 40, y + 50),), 100, 120) for i, (x, y) in enumerate(corners)])
    found = priors.prior_boxes(films, seed=1)
    assert 1 <= len(found) <= priors.PRIOR_BOXES
    hits = [box[4] for box in found]
    assert hits == sorted(hits, reverse=True)
    assert 0 < min(hits) <= max(hits) <= 1
    assert found == priors.prior_boxes(films, seed=1)


@pytest.mark.parametrize("rows", [[], [("s1", "negative", NONE, (), 10, 10)], [("s1", "typical", BOXED, ((0, 0, 1, 1),), pd.NA, pd.NA)]])
def test_no_boxes_no_priors(rows):
    assert priors.prior_boxes(table(*rows)) == []


def test_boxes_of_a_film_are_in_its_pixels_and_follow_one_minus_none():
    boxes = [[0.1, 0.2, 0.3, 0.6, 0.5]]
    assert priors.boxes_of_film(boxes, 0.2, rows=1000, columns=500) == [(pytest.approx(0.4), 50.0, 200.0, 150.0, 600.0)]
    confidences = [priors.boxes_of_film(boxes, none, 10, 10)[0][0] for none in (0.0, 0.4, 1.0)]
    assert confidences == [0.5, pytest.approx(0.3), 0.0]
    assert priors.boxes_of_film([], 0.2, 10, 10) == []


def test_films_without_a_size_have_no_boxes():
    images = pd.DataFrame({"none": [0.2, 0.2, 0.2], "rows": [1000, None, 1000], "columns": [500, 500, None]})
    assert [len(boxes) for boxes in priors.boxes_of_films([[0.1, 0.2, 0.3, 0.6, 0.5]], images)] == [1, 0, 0]
