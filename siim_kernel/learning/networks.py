"""Networks: a backbone by the recipe's name, its scaling inside, and the recipe's heads.

Every network takes uint8 [B, S, S, 1] in 0..255 and gives a dict: "study" float32 [B, K] (softmax, in the order of the labels
of the recipe's scheme) and "none" float32 [B, 1] (sigmoid).
"""

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from siim_kernel.errors import RecipeError
from siim_kernel.labels import SCHEMES
from siim_kernel.learning.backbones import BACKBONE, BACKBONES, SCALES, UNIT


def build(recipe, imagenet=None):
    """The recipe's network as a keras.Model.

    imagenet  file of ImageNet weights without top; used, and needed, where the recipe's weights are "imagenet"

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
    """The recipe's layers between backbone and heads; vectors are not pooled. RecipeError where no vector comes out."""
    kinds = {
        "pooling": lambda: layers.GlobalAveragePooling2D(name="pooling"),
        "batch_norm": lambda: layers.BatchNormalization(name="batch_norm"),
        "relu": lambda: layers.Activation("relu", name="relu"),
        "flatten": lambda: layers.Flatten(name="flatten"),
        "dense256": lambda: layers.Dense(256, activation="relu", name="dense256"),
        "dropout": lambda: layers.Dropout(recipe.dropout, seed=recipe.seed, name="dropout"),
    }
    for kind in recipe.top:
        needless = (kind == "dropout" and not recipe.dropout) or (kind in ("pooling", "flatten") and len(x.shape) == 2)
        if not needless:
            x = kinds[kind]()(x)
    if len(x.shape) != 2:
        raise RecipeError(f"recipe {recipe.name}: the top of {recipe.network} needs pooling or flatten, got {recipe.top}")
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


def load_imagenet(backbone, recipe, path):
    """Loads ImageNet weights into a backbone: Keras's own no-top file (legacy HDF5), or a `.weights.h5` of the same network.

    Raises RecipeError where the file is missing, no such file, or of another network; nothing is left half loaded in use.
    """
    if path is None:
        raise RecipeError(
            f"recipe {recipe.name} starts from ImageNet weights and none are given: attach Keras's no-top file of {recipe.network} "
            "(--imagenet FILE, or the imagenet-weights dataset), or take a recipe that trains from scratch"
        )
    before = [weight.numpy().copy() for weight in backbone.weights]
    try:
        with h5py.File(path) as file:
            legacy = "layer_names" in file.attrs or "model_weights" in file
        with TemporaryDirectory() as folder:  # Keras chooses its reader by the name's ending; files have all sorts of names
            link = Path(folder) / ("legacy.h5" if legacy else "new.weights.h5")
            link.symlink_to(Path(path).resolve())
            backbone.load_weights(link)
    except FileNotFoundError:
        raise RecipeError(f"the ImageNet weights {path} do not exist; give Keras's no-top file of {recipe.network}") from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError) as error:  # what h5py and Keras raise
        reason = " ".join(str(error).split())[:300]
        raise RecipeError(f"the weights {path} do not fit {recipe.network} without top: {reason}; give Keras's no-top file of it") from None
    wild = [weight.path for weight in backbone.weights if not np.isfinite(weight.numpy()).all()]
    if wild:
        raise RecipeError(f"the weights {path} are not finite in {len(wild)} places, the first is {wild[0]}; get the file again")
    same = [
        weight.path
        for weight, old in zip(backbone.weights, before, strict=True)
        if "kernel" in weight.path and (weight.numpy() == old).all()
    ]
    if same:
        raise RecipeError(f"the weights {path} left {len(same)} kernels of {recipe.network} as they were, the first is {same[0]}")
