"""The project's own recipes: the main one for Kaggle's GPUs, and small ones for a desk without one."""

from siim_kernel.recipes.recipe import Augmentation, Phase, PixelRecipe, Recipe

GENTLE = Augmentation(flip=0.5, rotate=8.0, zoom=0.1, shift=0.05, brightness=(0.9, 1.1), contrast=(0.85, 1.15), gamma=(0.85, 1.18))

MAIN = Recipe(
    name="main",
    about="Xception from ImageNet at 512 px, head first, then all; study softmax and `none`",
    network="xception",
    weights="imagenet",
    batch_norm="kept",
    pixels=PixelRecipe(size=512),
    augmentation=GENTLE,
    dropout=0.3,
    mixed_precision=True,
    flip_average=True,
    phases=(
        Phase(epochs=3, trainable="head", optimizer="adam", learning_rate=1e-3),
        Phase(epochs=15, trainable="all", optimizer="adam", learning_rate=1e-4, patience=4),
    ),
)

SMALL = Recipe(
    name="small",
    about="narrow Xception from scratch at 128 px: minutes on two CPU cores, no weights needed",
    network="narrow_xception",
    width=0.25,
    middle=2,
    pixels=PixelRecipe(size=128),
    augmentation=GENTLE,
    dropout=0.2,
    flip_average=True,
    n_folds=5,
    phases=(
        Phase(epochs=16, trainable="all", optimizer="adam", learning_rate=1e-3),
        Phase(epochs=8, trainable="all", optimizer="adam", learning_rate=2e-4),
    ),
)

SMALL_IMAGENET = Recipe(
    name="small-imagenet",
    about="Xception from ImageNet at 160 px, head first, then all: the pretrained road in minutes on two CPU cores",
    network="xception",
    weights="imagenet",
    batch_norm="kept",
    pixels=PixelRecipe(size=160),
    augmentation=GENTLE,
    dropout=0.3,
    flip_average=True,
    phases=(
        Phase(epochs=3, trainable="head", optimizer="adam", learning_rate=1e-3),
        Phase(epochs=4, trainable="all", optimizer="adam", learning_rate=1e-4),
    ),
)

TINY = Recipe(
    name="tiny",
    about="the narrow Xception at 96 px for three epochs: tries every step in seconds and learns next to nothing",
    network="narrow_xception",
    width=0.25,
    middle=0,
    pixels=PixelRecipe(size=96),
    augmentation=GENTLE,
    dropout=0.2,
    phases=(
        Phase(epochs=1, trainable="head", optimizer="adam", learning_rate=1e-3),
        Phase(epochs=2, trainable="all", optimizer="adam", learning_rate=1e-3),
    ),
)

OWN = (MAIN, SMALL, SMALL_IMAGENET, TINY)
