"""Networks: a backbone by the recipe's name, its scaling inside, and the recipe's heads.

Every network takes uint8 [B, S, S, 1] in 0..255 and gives a dict: "study" float32 [B, K] (softmax, in the order of the labels
of the recipe's scheme) and "none" float32 [B, 1] (sigmoid).
"""

import dataclasses

import keras
import tensorflow as tf
from keras import layers

from siim_kernel.labels import SCHEMES
from siim_kernel.learning.backbones import BACKBONE, BACKBONES, SCALES, UNIT
from siim_kernel.learning.imagenet import load_imagenet


def build(recipe, imagenet=None):
    """The recipe's network as a keras.Model.

    imagenet  file of ImageNet weights without top (`imagenet.load_imagenet`); needed where the recipe's weights are "imagenet"

    Raises RecipeError where weights are wanted and no file is given, or the file does not fit.
    """
    backbone = BACKBONES[recipe.network](recipe)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        # The moments are those of the whole batch: a recipe means the same on one device and on several.
        for layer in _batch_norms(backbone):
            layer.synchronized = True
    if recipe.weights == "imagenet":
        load_imagenet(backbone, recipe, imagenet)
    size = recipe.pixels.size
    factor, offset = UNIT if recipe.scaling == "unit" else SCALES[recipe.network]
    inputs = layers.Input((size, size, 1), dtype="uint8", name="image")
    x = layers.Concatenate(name="three_channels")([inputs, inputs, inputs])
    x = backbone(layers.Rescaling(factor, offset, name="scaling")(x))
    x = _top(x, recipe)
    heads = {
        "study": layers.Dense(len(SCHEMES[recipe.labels].labels), activation="softmax", dtype="float32", name="study"),
        "none": layers.Dense(1, activation="sigmoid", dtype="float32", name="none"),
    }
    model = keras.Model(inputs, {name: heads[name](x) for name in recipe.heads}, name=recipe.network)
    set_trainable(model, recipe, "all")
    return model


def _top(x, recipe):
    """The recipe's layers between backbone and heads; vectors are not pooled, and nothing drops out where dropout is 0."""
    dropouts = {"dropout": 0, "fc6": 6, "fc7": 7}  # a seed of its own for each
    kinds = {
        "pooling": lambda: layers.GlobalAveragePooling2D(name="pooling"),
        "batch_norm": lambda: layers.BatchNormalization(name="batch_norm"),
        "relu": lambda: layers.Activation("relu", name="relu"),
        "flatten": lambda: layers.Flatten(name="flatten"),
        "dense256": lambda: layers.Dense(256, activation="relu", name="dense256"),
        "fc6": lambda: layers.Dense(4096, activation="relu", name="fc6"),
        "fc7": lambda: layers.Dense(4096, activation="relu", name="fc7"),
    }
    for kind in recipe.top:
        if kind in kinds and not (kind in ("pooling", "flatten") and len(x.shape) == 2):
            x = kinds[kind]()(x)
        if kind in dropouts and recipe.dropout:
            name = kind if kind == "dropout" else f"{kind}_dropout"
            x = layers.Dropout(recipe.dropout, seed=recipe.seed + dropouts[kind], name=name)(x)
    return x


def set_trainable(model, recipe, part):
    """What learns from now on, once the model is compiled: "head" freezes the backbone, "all" nothing but kept batch norm.

    Kept batch norm layers are frozen whole: `backbone(x, training=False)` would not do, Keras's fit overrides it.
    """
    backbone = model.get_layer(BACKBONE)
    backbone.trainable = part == "all"
    if recipe.batch_norm == "kept":
        for layer in _batch_norms(backbone):
            layer.trainable = False


def _batch_norms(backbone):
    return [layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)]


def without_imagenet(recipe):
    """The same network for weights that come from elsewhere: nothing of ImageNet is loaded."""
    return dataclasses.replace(recipe, weights="", batch_norm="trained")
