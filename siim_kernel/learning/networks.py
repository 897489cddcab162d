"""Networks: a backbone by the recipe's name, its scaling inside, and the recipe's heads.

Every network takes uint8 [B, S, S, 1] in 0..255 and gives a dict: "study" float32 [B, 4] (softmax, in the order of
`labels.STUDY_CLASSES`) and "none" float32 [B, 1] (sigmoid).
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
from siim_kernel.labels import STUDY_CLASSES

BACKBONE = "backbone"
# Factor and offset on greys 0..255 that a backbone was made for.
SCALES = {"xception": (1 / 127.5, -1.0), "narrow_xception": (1 / 127.5, -1.0), "cnn9": (1 / 255, 0.0)}
UNIT = (1 / 255, 0.0)


def xception(recipe):
    """Xception (Chollet 2017, arXiv:1610.02357) without its top: [B, S, S, 3] -> [B, S/32, S/32, 2048]."""
    size = recipe.pixels.size
    if size < 71:
        raise RecipeError(f"recipe {recipe.name}: xception needs at least 71 px, got {size}")
    return keras.applications.Xception(weights=None, include_top=False, input_shape=(size, size, 3), name=BACKBONE)


def narrow_xception(recipe):
    """Xception's plan with all filters times `recipe.width` and `recipe.middle` middle blocks: [B, S, S, 3] -> [B, S/32, S/32, C]."""

    def filters(full):
        return max(8, round(full * recipe.width / 8) * 8)

    def separable(x, full, name):
        x = layers.SeparableConv2D(filters(full), 3, padding="same", use_bias=False, name=name)(x)
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)

    def down(x, first, second, name, relu_first=True):
        shortcut = layers.Conv2D(filters(second), 1, strides=2, padding="same", use_bias=False, name=f"{name}_shortcut")(x)
        shortcut = layers.BatchNormalization(momentum=0.9, name=f"{name}_shortcut_bn")(shortcut)
        x = separable(layers.Activation("relu")(x) if relu_first else x, first, f"{name}_sepconv1")
        x = separable(layers.Activation("relu")(x), second, f"{name}_sepconv2")
        return layers.Add(name=f"{name}_add")([layers.MaxPooling2D(3, strides=2, padding="same")(x), shortcut])

    size = recipe.pixels.size
    inputs = layers.Input((size, size, 3))
    x = inputs
    for number, (full, stride) in enumerate(((32, 2), (64, 1)), start=1):
        x = layers.Conv2D(filters(full), 3, strides=stride, padding="same", use_bias=False, name=f"block1_conv{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"block1_conv{number}_bn")(x)
        x = layers.Activation("relu")(x)
    for block, full in enumerate((128, 256, 728), start=2):
        x = down(x, full, full, f"block{block}", relu_first=block > 2)
    for block in range(5, 5 + recipe.middle):
        shortcut = x
        for number in (1, 2, 3):
            x = separable(layers.Activation("relu")(x), 728, f"block{block}_sepconv{number}")
        x = layers.Add(name=f"block{block}_add")([x, shortcut])
    last = 5 + recipe.middle
    x = down(x, 728, 1024, f"block{last}")
    for number, full in ((1, 1536), (2, 2048)):
        x = layers.Activation("relu")(separable(x, full, f"block{last + 1}_sepconv{number}"))
    return keras.Model(inputs, x, name=BACKBONE)


def cnn9(recipe):
    """The thesis's own CNN (section 4.7.1) up to its second dense layer: [B, S, S, 3] -> [B, 64]; both drop out `recipe.dropout`."""
    size = recipe.pixels.size
    inputs = layers.Input((size, size, 3))
    x = inputs
    for number, (filters, kernel) in enumerate(((64, 7), (128, 3), (256, 3)), start=1):
        x = layers.Conv2D(filters, kernel, padding="same", activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.Flatten()(x)
    for number, units in enumerate((128, 64), start=1):
        x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
        if recipe.dropout:
            x = layers.Dropout(recipe.dropout, seed=recipe.seed + number, name=f"dropout{number}")(x)
    return keras.Model(inputs, x, name=BACKBONE)


BACKBONES = {"xception": xception, "narrow_xception": narrow_xception, "cnn9": cnn9}


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
    x = layers.Rescaling(factor, offset, name="scaling")(inputs)
    x = layers.Concatenate(name="three_channels")([x, x, x])
    x = backbone(x)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="pooling")(x)
        if recipe.dropout:
            x = layers.Dropout(recipe.dropout, seed=recipe.seed, name="dropout")(x)
    heads = {
        "study": layers.Dense(len(STUDY_CLASSES), activation="softmax", dtype="float32", name="study"),
        "none": layers.Dense(1, activation="sigmoid", dtype="float32", name="none"),
    }
    model = keras.Model(inputs, {name: heads[name](x) for name in recipe.heads}, name=recipe.network)
    set_trainable(model, recipe, "all")
    return model


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
