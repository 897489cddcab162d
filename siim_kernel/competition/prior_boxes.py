"""Boxes of films that nobody drew any for: those that training boxes gather around, as a network's `none` leaves room for them."""

import pandas as pd


def boxes_of_film(priors, none, rows, columns):
    """Prior boxes of one film: a list of (confidence, xmin, ymin, xmax, ymax) in film pixels; confidences follow 1 - none.

    priors  lists of xmin, ymin, xmax, ymax as shares of the film's sides, and the share of boxed films each one hits
    """
    return [((1 - none) * hits, xmin * columns, ymin * rows, xmax * columns, ymax * rows) for xmin, ymin, xmax, ymax, hits in priors]


def boxes_of_films(priors, images):
    """`boxes_of_film` for each row of a DataFrame with none, rows and columns: a list of lists, [] where a side is missing."""
    return [
        [] if pd.isna(row.rows) or pd.isna(row.columns) else boxes_of_film(priors, row.none, row.rows, row.columns)
        for row in images.itertuples()
    ]
