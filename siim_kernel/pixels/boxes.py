"""Boxes: float arrays [N, 4] of xmin, ymin, xmax, ymax in pixels; the width is xmax - xmin, without a pixel added.

Nothing here changes its arguments. What is not [N, 4] raises ValueError; an empty sequence is no box, [0, 4].
"""

from typing import NamedTuple

import numpy as np


class Placement(NamedTuple):
    """Where the film stands in the square of a recipe, in the square's pixels."""

    left: int
    top: int
    width: int
    height: int


def as_boxes(boxes):
    """A sequence of boxes as a new float64 array [N, 4]."""
    array = np.array(boxes, np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes are [N, 4], got {array.shape}")
    return array


def scale(boxes, x, y):
    """Boxes with their x multiplied by one factor and their y by another."""
    return as_boxes(boxes) * (x, y, x, y)


def shift(boxes, x, y):
    """Boxes moved by x and y pixels."""
    return as_boxes(boxes) + (x, y, x, y)


def clip(boxes, width, height):
    """Boxes cut off at the edges of an image; those wholly outside keep no area but stay in their row."""
    return np.clip(as_boxes(boxes), 0, (width, height, width, height))


def flip(boxes, width):
    """Boxes in the left-right mirror of an image of that width."""
    mirrored = as_boxes(boxes)
    mirrored[:, [0, 2]] = width - mirrored[:, [2, 0]]
    return mirrored


def area(boxes):
    """Areas [N]; 0 for a box with a side that is not positive."""
    boxes = as_boxes(boxes)
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def iou(first, second):
    """Intersection over union of each of N boxes with each of M, [N, M] in 0..1; 0 where neither has an area."""
    first, second = as_boxes(first), as_boxes(second)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    union = area(first)[:, None] + area(second)[None, :] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def placement(rows, columns, recipe):
    """The Placement of a film of that size in the square of a PixelRecipe: all of it, or centred with its sides' ratio kept."""
    if recipe.aspect == "stretch":
        return Placement(0, 0, recipe.size, recipe.size)
    longest = max(rows, columns)
    width, height = (max(1, round(recipe.size * side / longest)) for side in (columns, rows))
    return Placement((recipe.size - width) // 2, (recipe.size - height) // 2, width, height)


def to_square(boxes, rows, columns, recipe):
    """Boxes in a film's pixels as boxes in the pixels of its square."""
    place = placement(rows, columns, recipe)
    return shift(scale(boxes, place.width / columns, place.height / rows), place.left, place.top)


def from_square(boxes, rows, columns, recipe):
    """Boxes in the pixels of a film's square as boxes in the film's pixels, not cut off at its edges."""
    place = placement(rows, columns, recipe)
    return scale(shift(boxes, -place.left, -place.top), columns / place.width, rows / place.height)
