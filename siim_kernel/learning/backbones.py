"""Backbones: [B, S, S, 3] in the scale that each was made for -> features. The recipe says size, width and dropout."""

import keras
from keras import layers

from siim_kernel.errors import RecipeError

BACKBONE = "backbone"
# Factor and offset on greys 0..255 that a backbone was made for, for all three channels or for each of red, green and blue
# (for the networks whose ImageNet weights were trained by Caffe: of blue, green and red).
SIGNED = (1 / 127.5, -1.0)
CAFFE = (1.0, (-103.939, -116.779, -123.68))
TORCH = (tuple(1 / (255 * spread) for spread in (0.229, 0.224, 0.225)), (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225))
UNIT = (1 / 255, 0.0)
SCALES = {
    "xception": SIGNED,
    "narrow_xception": SIGNED,
    "inception_v3": SIGNED,
    "cnn9": UNIT,
    "vgg16": CAFFE,
    "vgg19": CAFFE,
    "resnet50": CAFFE,
    "densenet121": TORCH,
    "resnet18": TORCH,
    "alexnet": TORCH,
}
# The smallest side that each network of keras.applications takes.
LEAST = {"Xception": 71, "VGG16": 32, "VGG19": 32, "ResNet50": 32, "InceptionV3": 75, "DenseNet121": 32}


def _published(name):
    """A function that makes a network of keras.applications without its top, weights random."""

    def backbone(recipe):
        size = recipe.pixels.size
        if size < LEAST[name]:
            raise RecipeError(f"recipe {recipe.name}: {recipe.network} needs at least {LEAST[name]} px, got {size}")
        return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(size, size, 3), name=BACKBONE)

    return backbone


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


def resnet18(recipe):
    """ResNet-18 (He et al. 2015, arXiv:1512.03385, table 1): [B, S, S, 3] -> [B, S/32, S/32, 512]; keras.applications lacks it.

    Padding is the same on all sides and batch norm's epsilon 1e-5, as in the published weights (torchvision's): with them it
    computes the same. Names are those of torchvision's modules.
    """

    def convolved(x, filters, kernel, stride, convolution, norm, relu=True):
        x = layers.ZeroPadding2D(kernel // 2, name=f"{convolution}.pad")(x) if kernel > 1 else x
        x = layers.Conv2D(filters, kernel, strides=stride, use_bias=False, name=convolution)(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=norm)(x)
        return layers.Activation("relu", name=f"{norm}.relu")(x) if relu else x

    inputs = layers.Input((recipe.pixels.size, recipe.pixels.size, 3))
    x = convolved(inputs, 64, 7, 2, "conv1", "bn1")
    x = layers.MaxPooling2D(3, strides=2, name="maxpool")(layers.ZeroPadding2D(1, name="maxpool.pad")(x))  # nothing is below 0 there
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            shortcut = convolved(x, filters, 1, 2, f"{name}.downsample.0", f"{name}.downsample.1", relu=False) if stride == 2 else x
            x = convolved(x, filters, 3, stride, f"{name}.conv1", f"{name}.bn1")
            x = convolved(x, filters, 3, 1, f"{name}.conv2", f"{name}.bn2", relu=False)
            x = layers.Activation("relu", name=f"{name}.relu")(layers.Add(name=f"{name}.add")([x, shortcut]))
    return keras.Model(inputs, x, name=BACKBONE)


def alexnet(recipe):
    """AlexNet's convolutions in one column (Krizhevsky 2014, arXiv:1404.5997): [B, S, S, 3] -> [B, H, W, 256].

    The form of the published weights (torchvision's): 64, 192, 384, 256 and 256 filters, no local response normalisation; at 224
    px the features are 6 x 6. Names of the convolutions are those of torchvision's modules.
    """
    size = recipe.pixels.size
    if size < 63:
        raise RecipeError(f"recipe {recipe.name}: alexnet needs at least 63 px, got {size}")
    inputs = layers.Input((size, size, 3))
    x = layers.ZeroPadding2D(2, name="pad0")(inputs)
    x = layers.Conv2D(64, 11, strides=4, activation="relu", name="features.0")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool2")(x)
    x = layers.Conv2D(192, 5, padding="same", activation="relu", name="features.3")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool5")(x)
    for number, filters in ((6, 384), (8, 256), (10, 256)):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"features.{number}")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool12")(x)
    return keras.Model(inputs, x, name=BACKBONE)


BACKBONES = {
    "xception": _published("Xception"),
    "narrow_xception": narrow_xception,
    "cnn9": cnn9,
    "vgg16": _published("VGG16"),
    "vgg19": _published("VGG19"),
    "resnet18": resnet18,
    "resnet50": _published("ResNet50"),
    "inception_v3": _published("InceptionV3"),
    "densenet121": _published("DenseNet121"),
    "alexnet": alexnet,
}
