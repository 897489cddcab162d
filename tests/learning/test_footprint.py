"""Memory of a training: gradients and optimizers against Keras's own, activations against sums done by hand."""

from dataclasses import replace

import keras
import pytest

from siim_kernel.learning import fitting, footprint, networks
from siim_kernel.recipes.recipe import Phase, PixelRecipe, Recipe

ALL = Phase(epochs=1, trainable="all", optimizer="adam", learning_rate=1e-3)
HEAD = replace(ALL, trainable="head", optimizer="sgd")
RECIPE = Recipe(name="t", about="", network="alexnet", pixels=PixelRecipe(size=63), phases=(HEAD, ALL), batch=4, top=("pooling",))
# Without top, convolution by convolution: k * k * in * out + out.
FEATURES = sum(k * k * a * b + b for k, a, b in ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256)))
HEADS = 256 * 4 + 4 + 256 + 1
# At 63 px: padded to 67, then 15, pooled 7, 3, 1. Each line is one layer's output of a film.
INNER = (67 * 67 * 3, 15 * 15 * 64, 7 * 7 * 64, 7 * 7 * 192, 3 * 3 * 192, 3 * 3 * 384, 3 * 3 * 256, 3 * 3 * 256, 256)
OUTER = (63 * 63 * 3, 63 * 63 * 3, 256, 4, 1)  # three channels, scaling, pooling, the two heads


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "nadam"])
def test_the_optimizers_keep_so_many_arrays_a_variable(name, momentum):
    phase = replace(ALL, optimizer=name, momentum=momentum)
    optimizer = fitting.optimizer(phase)
    optimizer.build([keras.Variable([0.0] * 1000)])
    assert round(sum(variable.numpy().size for variable in optimizer.variables) / 1000) == footprint.slots(phase)


def test_what_is_frozen_has_neither_gradient_nor_moments():
    head, everything = footprint.phases(networks.build(RECIPE), RECIPE)
    assert (head.learning, everything.learning) == (HEADS, FEATURES + HEADS)
    assert head.weights == 4 * (FEATURES + HEADS + HEADS)  # sgd: a gradient, no moments
    assert everything.weights == 4 * 4 * (FEATURES + HEADS)
    assert [(each.number, each.trainable, each.optimizer) for each in (head, everything)] == [(1, "head", "sgd"), (2, "all", "adam")]


def test_statistics_of_batch_norm_do_not_learn():
    recipe = replace(RECIPE, network="resnet18", top=("pooling", "batch_norm"), phases=(ALL,))
    (found,) = footprint.phases(networks.build(recipe), recipe)
    moving = 2 * (64 + 4 * 64 + 5 * 128 + 5 * 256 + 5 * 512 + 512)
    assert found.weights == 4 * (4 * found.learning + moving)


def test_activations_of_a_batch_by_hand():
    head, everything = footprint.phases(networks.build(RECIPE), RECIPE)
    largest = max(INNER)
    assert everything.activations == 4 * 4 * (sum(OUTER) + sum(INNER) + 2 * max(*INNER, *OUTER))
    assert head.activations == 4 * 4 * (sum(OUTER) + 2 * largest)
    assert everything.total == everything.weights + everything.activations


def test_the_lines_tell_the_phase_that_takes_most():
    recipe = replace(RECIPE, phases=(ALL, HEAD))
    parameters, memory = footprint.lines(recipe)
    assert parameters == f"parameters: {FEATURES + HEADS:,}, of these {FEATURES:,} in the backbone"
    assert memory == (
        f"memory: 9 MiB of weights; most in phase 1, which trains {FEATURES + HEADS:,}: 38 MiB with gradients and adam, and an estimated "
        "2 MiB of activations, forward and backward, for a batch of 4 in float32"
    )
    assert "a batch of 1024 in float32" in footprint.lines(replace(recipe, batch=1024, pixels=PixelRecipe(size=256)))[1]
    assert "estimated 7.1 GiB" in footprint.lines(replace(recipe, batch=1024, pixels=PixelRecipe(size=256)))[1]
