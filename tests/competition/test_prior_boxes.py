import pandas as pd
import pytest

from siim_kernel.competition import prior_boxes
from siim_kernel.learning import priors

PRIORS = [[0.1, 0.2, 0.3, 0.6, 0.5]]


def test_boxes_are_in_film_pixels_and_their_confidence_follows_none():
    assert prior_boxes.boxes_of_film(PRIORS, 0.2, rows=1000, columns=500) == [(pytest.approx(0.4), 50, 200, 150, 600)]


def test_films_without_a_size_have_no_boxes():
    images = pd.DataFrame({"none": [0.2, 0.2, 0.2], "rows": [1000, None, 1000], "columns": [500, 500, None]})
    assert [len(boxes) for boxes in prior_boxes.boxes_of_films(PRIORS, images)] == [1, 0, 0]


def test_prediction_and_report_have_one_rule():
    assert priors.boxes_of_films is prior_boxes.boxes_of_films
