"""What a recipe's network takes: parameters, and an estimate of the memory of its training, phase by phase."""

from dataclasses import dataclass

import keras
import numpy as np

from siim_kernel.learning import networks

BYTES = 4  # of a float32
# Arrays that an optimizer keeps for each variable that learns; momentum is one more where the optimizer has any.
SLOTS = {"sgd": 0, "rmsprop": 1, "adam": 2, "nadam": 2}


@dataclass(frozen=True)
class PhaseMemory:
    """Memory of one phase of a training, in bytes.

    number, trainable, optimizer  of the phase, counted from 1
    learning     parameters that it trains
    weights      all weights, a gradient of each that learns, and what the optimizer keeps
    activations  of a batch: an estimate, see `activations`
    """

    number: int
    trainable: str
    optimizer: str
    learning: int
    weights: int
    activations: int

    @property
    def total(self):
        """Bytes of all."""
        return self.weights + self.activations


def phases(model, recipe):
    """`PhaseMemory` of each phase of a recipe, in order; leaves the network as its last phase trains it."""
    found = []
    for number, phase in enumerate(recipe.phases, 1):
        networks.set_trainable(model, recipe, phase.trainable)
        learning = _count(model.trainable_variables)
        weights = BYTES * (_count(model.weights) + learning * (1 + slots(phase)))
        batch = BYTES * recipe.batch * activations(model)
        found.append(PhaseMemory(number, phase.trainable, phase.optimizer, learning, weights, batch))
    return found


def slots(phase):
    """Arrays that a phase's optimizer keeps for each variable."""
    return SLOTS[phase.optimizer] + (1 if phase.momentum and phase.optimizer in ("sgd", "rmsprop") else 0)


def activations(model):
    """Numbers that one film's way forward and back holds at once: an estimate from the layers' output shapes.

    Where the backbone learns all outputs are kept for the way back, of a frozen one the largest and what it is made of. The
    gradients on the way back come and go: those of the largest output and of what it is made of. What a library keeps or fuses
    beyond that is not in it. Measured: Xception at 299 px, a batch of 16, 5.8 GB for all, of which 4.7 are estimated.
    """
    backbone = model.get_layer(networks.BACKBONE)
    outer, inner = _outputs(layer for layer in model.layers if layer is not backbone), _outputs(backbone.layers)
    if not backbone.trainable:
        return sum(outer) + max(2 * max(inner), 2 * max(outer))
    return sum(outer) + sum(inner) + 2 * max(*outer, *inner)


def _outputs(layers):
    """Numbers in the output of each layer, for one film."""
    return [int(np.prod(layer.output.shape[1:])) for layer in layers if not isinstance(layer, keras.layers.InputLayer)]


def _count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


def lines(recipe):
    """Lines for a person on the size of a recipe's network and the memory of the phase of its training that takes most."""
    model = networks.build(networks.without_imagenet(recipe))
    count, backbone = model.count_params(), model.get_layer(networks.BACKBONE).count_params()
    most = max(phases(model, recipe), key=lambda each: each.total)
    return [
        f"parameters: {count:,}, of these {backbone:,} in the backbone",
        f"memory: {_size(BYTES * count)} of weights; most in phase {most.number}, which trains {most.learning:,}: {_size(most.weights)} "
        f"with gradients and {most.optimizer}, and an estimated {_size(most.activations)} of activations, forward and backward, for a "
        f"batch of {recipe.batch} in float32",
    ]


def _size(count):
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
