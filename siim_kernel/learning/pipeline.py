"""Training input: image set -> tf.data, with one fused augmentation.

The order of the films and every random change are functions of (seed, epoch, index): the same recipe gives the same
batches, and a training that goes on at epoch E sees what it would have seen.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import tensorflow as tf

from siim_kernel.competition import schemes
from siim_kernel.errors import TableError
from siim_kernel.labels import NONE, NOT_READ, SCHEMES


@dataclass(frozen=True)
class Examples:
    """Films to learn from or to be validated on.

    images   uint8 [N, S, S], anything that can be indexed (a memory map)
    rows     int [M]: which of them, one per example
    targets  "study" float32 [M, K] one-hot over the labels of the recipe's scheme, "none" float32 [M, 1]
    weights  float32 [M] by head; a film that was not read for boxes weighs 0 for "none"
    left_out films that have no label of the scheme, which are not among the M
    """

    images: object
    rows: np.ndarray
    targets: dict
    weights: dict
    left_out: int = 0

    def __len__(self):
        return len(self.rows)


def examples(images, rows, table, recipe, balanced):
    """`Examples` of some rows of an image set.

    table     training table in the order of `rows`: label, image_label, reading
    balanced  weigh the labels as the recipe's `balance` says (class_weights: each class the same sum)

    Films without a label of the recipe's scheme (an empty cell, a class that it does not know) are left out and counted. Raises
    TableError where none is left.
    """
    codes, count = schemes.targets(table, SCHEMES[recipe.labels]), len(SCHEMES[recipe.labels].labels)
    known = codes != schemes.NO_TARGET
    if not known.any():
        raise TableError(
            f"none of the {len(codes)} films has a label of the scheme {recipe.labels}, whose labels are "
            f"{', '.join(SCHEMES[recipe.labels].labels)}; give the tables that label them, or take a recipe of another scheme"
        )
    rows, table, codes = np.asarray(rows)[known], table[known], codes[known]
    weights = np.ones(len(codes), np.float32)
    if balanced and recipe.balance == "class_weights":
        counts = np.bincount(codes, minlength=count)
        weights = (len(codes) / (np.count_nonzero(counts) * counts[codes])).astype(np.float32)
    targets = {
        "study": np.eye(count, dtype=np.float32)[codes],
        "none": (table["reading"] == NONE).to_numpy(np.float32)[:, None],
    }
    by_head = {"study": weights, "none": (table["reading"] != NOT_READ).to_numpy(np.float32)}
    heads = recipe.heads
    chosen = ({head: each[head] for head in heads} for each in (targets, by_head))
    return Examples(images, rows, *chosen, left_out=int((~known).sum()))


def left_out_lines(recipe, learn, check):
    """Warnings for people on films without a label: of the `Examples` to learn from and to be validated on. None where all have one."""
    sides = (("training", learn), ("validation", check))
    return [
        f"warning: {films.left_out} of {films.left_out + len(films)} films for {side} have no label of {recipe.labels} and are left out"
        for side, films in sides
        if films.left_out
    ]


def epoch_order(seed, epoch, codes, balance):
    """Indices of the examples in the order of an epoch, int [M].

    codes    label of each example, int [M]; with balance "sampling" each class is drawn equally often, with replacement
    """
    draw = np.random.default_rng((seed, epoch))
    if balance != "sampling":
        return draw.permutation(len(codes))
    counts = np.bincount(codes)
    chances = 1 / counts[codes]
    return draw.choice(len(codes), size=len(codes), p=chances / chances.sum())


def augment(image, augmentation, draw):
    """One random affine and one change of greys: uint8 [S, S] -> uint8 [S, S].

    draw  numpy Generator; the same state gives the same image

    The affine says where each pixel comes from, as Keras's ImageDataGenerator: source = turn(shift + shear(zoom(flip(pixel)))) about
    the centre. A zoom of 1.1 shows 1.1 of the side: it magnifies by 1 / 1.1.
    """
    flip, turn, zoom, right, down, shear, bright, contrast, gamma, topple, zoom_down = draw.random(11)

    def between(share, low, high):
        return low + share * (high - low)

    size = image.shape[0]
    angle = np.deg2rad(between(turn, -augmentation.rotate, augmentation.rotate))
    slant = np.deg2rad(between(shear, -augmentation.shear, augmentation.shear))
    shares = (zoom, zoom_down if augmentation.zoom_axes == "apart" else zoom)
    zoomed = np.diag([between(share, 1 - augmentation.zoom, 1 + augmentation.zoom) for share in shares])
    mirror = np.diag([-1.0 if flip < augmentation.flip else 1.0, -1.0 if topple < augmentation.vertical_flip else 1.0])
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turned @ np.array([[1.0, -np.sin(slant)], [0.0, np.cos(slant)]]) @ zoomed @ mirror
    centre = np.full(2, (size - 1) / 2)
    shift = size * augmentation.shift * np.array([between(right, -1, 1), between(down, -1, 1)])
    offset = centre + turned @ shift - matrix @ centre
    if not (np.array_equal(matrix, np.eye(2)) and np.array_equal(offset, np.zeros(2))):
        border = cv2.BORDER_REPLICATE if augmentation.fill == "nearest" else cv2.BORDER_CONSTANT
        source = np.column_stack([matrix, offset])
        image = cv2.warpAffine(image, source, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border)
    greys = (np.arange(256) / 255) ** between(gamma, *augmentation.gamma) * 255
    mean = greys[image].mean() if augmentation.contrast != (1.0, 1.0) else 0.0
    greys = ((greys - mean) * between(contrast, *augmentation.contrast) + mean) * between(bright, *augmentation.brightness)
    return cv2.LUT(image, np.clip(np.rint(greys), 0, 255).astype(np.uint8))


def training_data(films, recipe, first_epoch, epochs):
    """tf.data of augmented batches for the epochs `first_epoch` .. `epochs` - 1, one after the other.

    Elements are (uint8 [B, S, S, 1], targets by head, weights by head); an epoch has `steps(films, recipe)` batches, all full:
    where the films do not fill the last one, the first films of the epoch's order come again. So every step weighs the same,
    however many devices share a batch, and no step is compiled anew.
    """
    codes = films.targets["study"].argmax(axis=1)
    places = steps(films, recipe) * recipe.batch
    order = lru_cache(maxsize=2)(lambda epoch: np.resize(epoch_order(recipe.seed, epoch, codes, recipe.balance), places))

    def load(epoch, position):
        index = order(int(epoch))[position]
        draw = np.random.default_rng((recipe.seed, int(epoch), int(position)))
        return augment(np.asarray(films.images[films.rows[index]]), recipe.augmentation, draw), index

    def one(epoch, position):
        image, index = tf.numpy_function(load, (epoch, position), (tf.uint8, tf.int64))
        return _example(image, index, films, recipe)

    def one_epoch(epoch):
        positions = tf.data.Dataset.range(places).map(lambda position: one(epoch, position), num_parallel_calls=2, deterministic=True)
        return positions.batch(recipe.batch, drop_remainder=True)

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch).prefetch(2)


def plain_data(films, recipe):
    """tf.data of the films once, in order and as they are, with targets and weights.

    All batches are full: the last is filled with films of weight 0, and the other weights are scaled so that Keras's mean over
    the batches is the mean over the films.
    """
    places = steps(films, recipe) * recipe.batch
    factor = np.float32(places / len(films))

    def load(index):
        return np.asarray(films.images[films.rows[index]])

    def one(place):
        index = place % len(films)
        image, targets, weights = _example(tf.numpy_function(load, (index,), tf.uint8), index, films, recipe)
        counts = tf.where(place < len(films), factor, np.float32(0))
        return image, targets, {head: weight * counts for head, weight in weights.items()}

    positions = tf.data.Dataset.range(places).map(one, num_parallel_calls=2, deterministic=True)
    return positions.batch(recipe.batch, drop_remainder=True).prefetch(2)


def steps(films, recipe):
    """Batches an epoch."""
    return -(-len(films) // recipe.batch)


def _example(image, index, films, recipe):
    size = recipe.pixels.size
    image = tf.ensure_shape(image, (size, size))[..., tf.newaxis]
    index = tf.ensure_shape(index, ())
    targets = {head: tf.gather(tf.constant(values), index) for head, values in films.targets.items()}
    weights = {head: tf.gather(tf.constant(values), index) for head, values in films.weights.items()}
    return image, targets, weights
