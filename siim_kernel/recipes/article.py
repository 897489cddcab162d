"""The networks of the article that the thesis builds on, each pretrained (P) and from scratch (S), with the article's row.

Automated abnormality classification of chest radiographs using deep convolutional neural networks, npj Digital Medicine 3:70,
2020 (thesis section 2.3): normal against abnormal on ChestX-ray14, about 8,500 training films of 256 x 256 pixels. Of the article
the thesis prints networks, starts, sizes and results; the rest is inferred.

The squares are pooled globally: at 256, 512 and 1024 px the fully connected layers of AlexNet and VGG, which are of 224 px, do not
fit. In their papers' own form those three stand here too.
"""

from siim_kernel.recipes.published import Published
from siim_kernel.recipes.recipe import Augmentation, Phase, PixelRecipe, Recipe

MEASURES = ("AUC", "sensitivity", "specificity", "PPV", "NPV", "F1", "accuracy")
BATCHES = {256: 16, 512: 8, 1024: 2, 224: 16}  # films a step, by the side of their squares: some 8 GiB for the widest network
PRINTED_SIZE = 256
NATIVE = ("alexnet", "vgg16", "vgg19")  # the networks with fully connected layers behind their features
NATIVE_SIZE = 224

# Network -> the row of P and of S: mean and standard deviation of each measure; per cent but for AUC and F1.
ROWS = {
    "alexnet": (
        ((0.9741, 0.0050), (94.18, 0.47), (87.70, 0.56), (87.66, 0.61), (94.10, 0.41), (0.9091, 0.0057), (90.85, 0.48)),
        ((0.9684, 0.0043), (92.65, 0.45), (87.99, 0.41), (87.94, 0.57), (92.68, 0.38), (0.9023, 0.0052), (90.25, 0.45)),
    ),
    "vgg16": (
        ((0.9797, 0.0039), (94.03, 0.36), (90.74, 0.41), (90.56, 0.45), (94.14, 0.43), (0.9226, 0.0038), (92.34, 0.40)),
        ((0.9742, 0.0044), (93.42, 0.40), (91.46, 0.46), (91.18, 0.50), (93.63, 0.46), (0.9228, 0.0040), (92.41, 0.42)),
    ),
    "vgg19": (
        ((0.9842, 0.0036), (97.09, 0.39), (87.99, 0.35), (88.42, 0.41), (96.97, 0.43), (0.9255, 0.0035), (92.41, 0.33)),
        ((0.9757, 0.0054), (94.49, 0.59), (88.86, 0.49), (88.90, 0.56), (94.46, 0.47), (0.9161, 0.0048), (91.59, 0.50)),
    ),
    "resnet18": (
        ((0.9824, 0.0043), (96.50, 0.36), (92.86, 0.48), (92.84, 0.55), (96.52, 0.30), (0.9463, 0.0041), (94.64, 0.45)),
        ((0.9766, 0.0034), (96.63, 0.41), (85.09, 0.33), (85.97, 0.47), (96.39, 0.36), (0.9099, 0.0034), (90.70, 0.38)),
    ),
    "resnet50": (
        ((0.9837, 0.0048), (96.94, 0.50), (88.42, 0.61), (88.78, 0.73), (96.83, 0.39), (0.9268, 0.0055), (92.56, 0.54)),
        ((0.9775, 0.0057), (94.32, 0.54), (90.59, 0.66), (90.43, 0.75), (94.42, 0.44), (0.9233, 0.0059), (92.40, 0.60)),
    ),
    "inception_v3": (
        ((0.9866, 0.0041), (97.38, 0.35), (87.57, 0.48), (88.11, 0.55), (97.26, 0.27), (0.9250, 0.0051), (92.33, 0.42)),
        ((0.9796, 0.0034), (95.08, 0.32), (89.58, 0.35), (89.58, 0.42), (95.08, 0.23), (0.9225, 0.0047), (92.25, 0.37)),
    ),
    "densenet121": (
        ((0.9871, 0.0057), (97.40, 0.53), (87.55, 0.68), (88.09, 0.74), (97.27, 0.33), (0.9251, 0.0056), (92.34, 0.56)),
        ((0.9801, 0.0044), (95.10, 0.38), (90.01, 0.49), (90.00, 0.61), (95.11, 0.27), (0.9248, 0.0041), (92.49, 0.44)),
    ),
}


PHASES = (Phase(epochs=30, trainable="all", optimizer="adam", learning_rate=1e-4, patience=5),)
HEAD_FIRST = (Phase(epochs=3, trainable="head", optimizer="adam", learning_rate=1e-3), *PHASES)
INFERRED = (
    "labels", "top", "batch", "augmentation", "phases", "loss", "batch_norm", "balance", "keep", "sources", "split", "n_folds", "seed"
)  # fmt: skip
ELSEWHERE = "on ChestX-ray14, which is not this competition's films"


def _recipe(network, pretrained, size, name="", about=""):
    """One network at one size, from ImageNet or from scratch; at its paper's own size with its fully connected layers."""
    start, words = ("p", "from ImageNet") if pretrained else ("s", "from scratch")
    native = size == NATIVE_SIZE
    return Recipe(
        name=name or f"article-{network.replace('_', '-')}-{start}" + f"-{size}" * (size != PRINTED_SIZE),
        about=about or f"{network} {words} at {size} px, normal against abnormal",
        network=network,
        weights="imagenet" if pretrained else "",
        labels="label_opacity",
        heads=("study",),
        loss_weights=(1.0,),
        top=("flatten", "fc6", "fc7") if native else ("pooling",),
        dropout=0.5 if native else 0.0,
        pixels=PixelRecipe(size=size),
        augmentation=Augmentation(flip=0.5),
        batch=BATCHES[size],
        phases=HEAD_FIRST if pretrained else PHASES,
        n_folds=7,
    )


def _published(network, pretrained, size, row):
    remarks = {
        PRINTED_SIZE: (ELSEWHERE,),
        NATIVE_SIZE: (ELSEWHERE, "the row is of 256 px; this is the network of its paper, with its fully connected layers"),
    }
    larger = (ELSEWHERE, "the row is of 256 px; the AUCs of 256, 512 and 1024 px did not differ significantly")
    return Published(
        id=f"{network} {'P' if pretrained else 'S'}",
        section="2.3",
        recipe=_recipe(network, pretrained, size),
        measures=dict(zip(MEASURES, row, strict=True)),
        inferred=(*INFERRED, "dropout", "pixels.size") if size == NATIVE_SIZE else INFERRED,
        remark="; ".join(remarks.get(size, larger)),
    )


def _on_rsna(task, about, figures, remark):
    """VGG19 on RSNA pneumonia data, seven folds: predictive values of a separate test without a standard deviation."""
    return Published(
        id=f"RSNA {task}",
        section="2.3",
        recipe=_recipe("vgg19", True, PRINTED_SIZE, f"article-rsna-{task}", f"vgg19 from ImageNet at 256 px, {about}, seven folds"),
        figures=figures,
        inferred=("weights", "pixels.size", *(name for name in INFERRED if name != "n_folds")),
        remark=f"on RSNA pneumonia data: {remark}",
    )


ARTICLE = (
    *(
        _published(network, pretrained, size, row)
        for size in BATCHES
        for network, rows in ROWS.items()
        for pretrained, row in zip((True, False), rows, strict=True)
        if size != NATIVE_SIZE or network in NATIVE
    ),
    _on_rsna(
        "abnormal",
        "normal against abnormal",
        {"PPV": 94.30, "NPV": 78.11},
        "21,152 films (6,993 normal, 14,159 abnormal), tested on 4,532 (1,532, 3,000)",
    ),
    _on_rsna(
        "opacity",
        "normal against lung opacity",
        {"PPV": 94.27, "NPV": 94.98},
        "11,652 films (6,993 normal, 4,659 with lung opacity), tested on 2,532 (1,532, 1,000)",
    ),
)
