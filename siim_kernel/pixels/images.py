"""From a film to the square of greys that a pixel recipe asks for.

The same film and recipe give the same bytes on every run and with any number of threads.
"""

import cv2
import numpy as np
from skimage.exposure import equalize_hist

from siim_kernel.pixels import boxes, grey


def render(film, recipe):
    """The film as uint8 [recipe.size, recipe.size], 0 black to 255 white."""
    return render_all(film, [recipe])[0]


def render_all(film, recipes):
    """One image for each PixelRecipe, as `render` makes it; what the recipes share is computed once."""
    padding = grey.padding(film) if any(recipe.equalise for recipe in recipes) else None
    films = {percentiles: grey.greys(film, percentiles) for percentiles in {recipe.percentiles for recipe in recipes}}
    return [_square(films[recipe.percentiles], recipe, padding) for recipe in recipes]


def resize(image, width, height):
    """The image at another size: area means along a side that shrinks, bilinear along one that grows.

    Raises nothing for sides of any ratio; the values stay within those of the image.
    """
    rows, columns = image.shape
    if width < columns or height < rows:
        image = cv2.resize(image, (min(width, columns), min(height, rows)), interpolation=cv2.INTER_AREA)
    if image.shape != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image


def equalise(image, content=None):
    """Histogram equalisation of a uint8 image; what is not `content` (a mask) is left out of the histogram and black."""
    inside = image if content is None else image[content]
    if inside.size == 0 or inside.min() == inside.max():
        return np.zeros_like(image)
    equalised = np.rint(equalize_hist(image, mask=content) * 255).astype(np.uint8)
    if content is not None:
        equalised[~content] = 0
    return equalised


def _square(greys, recipe, padding):
    place = boxes.placement(*greys.shape, recipe)
    image = grey.to_bytes(resize(greys, place.width, place.height))
    if recipe.equalise:
        # Padding is no content; a pixel of the small image is padding if most of what it shows is.
        content = None if padding is None else resize(padding.astype(np.uint8) * 255, place.width, place.height) < 128
        image = equalise(image, content)
    square = np.zeros((recipe.size, recipe.size), np.uint8)
    square[place.top : place.top + place.height, place.left : place.left + place.width] = image
    return square
