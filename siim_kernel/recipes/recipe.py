"""What an experiment is: frozen, keyword-only dataclasses of strings, numbers and tuples.

A recipe can be printed, compared, stored as JSON and read back. An unknown key or an impossible value fails when the
recipe is made, which for the package's own recipes is at import.
"""

import math
from dataclasses import dataclass

from siim_kernel.errors import RecipeError
from siim_kernel.labels import SCHEMES, SOURCE_CLASSES

NETWORKS = ("xception", "narrow_xception", "cnn9", "vgg16", "vgg19", "resnet18", "resnet50", "inception_v3", "densenet121", "alexnet")
HEADS = ("study", "none")
TOP = ("pooling", "batch_norm", "relu", "flatten", "dense256", "fc6", "fc7", "dropout")
VECTORS = ("cnn9",)  # the networks that end in a vector of their own, which is neither pooled nor flattened
SPLITS = ("patient", "study", "image", "union", "thesis_final_test", "thesis_folder", "thesis_array", "thesis_union", "thesis_continued")
UNIONS = ("union", "thesis_union")  # the splits of several sources
SOURCES = tuple(SOURCE_CLASSES)
ASPECTS = ("stretch", "pad")
SCALINGS = ("backbone", "unit")
OPTIMIZERS = ("sgd", "adam", "nadam", "rmsprop")
LOSSES = ("categorical_crossentropy", "sparse_categorical_crossentropy")
BALANCES = ("none", "class_weights", "sampling")


def _require(condition, text):
    if not condition:
        raise RecipeError(text)


def _is_whole(value, least):
    return type(value) is int and value >= least


def _is_number(value, low, high=math.inf):
    """True for a finite number in low..high."""
    return type(value) in (int, float) and math.isfinite(value) and low <= value <= high


def _is_pair(value, low, high=math.inf):
    """True for a tuple of two numbers in low..high that do not fall."""
    return isinstance(value, tuple) and len(value) == 2 and all(_is_number(item, low, high) for item in value) and value[0] <= value[1]


@dataclass(frozen=True, kw_only=True)
class PixelRecipe:
    """From stored values to the network's square of greys; kept with every image set and every run.

    size         side of the square in pixels
    aspect       "stretch": both sides to `size`; "pad": the long side to `size`, centred on black
    equalise     histogram equalisation of the small square (thesis section 4.5)
    percentiles  of the film's content without padding (0..100): what becomes black and what becomes white where the
                 file states no VOI window that fits its content
    """

    size: int
    aspect: str = "stretch"
    equalise: bool = False
    percentiles: tuple[float, float] = (0.5, 99.5)

    def __post_init__(self):
        _require(_is_whole(self.size, 16) and self.size <= 4096, f"a size in pixels is a whole number in 16..4096, got {self.size!r}")
        _require(self.aspect in ASPECTS, f"aspect is one of {', '.join(ASPECTS)}, got {self.aspect!r}")
        _require(isinstance(self.equalise, bool), f"equalise is True or False, got {self.equalise!r}")
        _require(
            _is_pair(self.percentiles, 0, 100) and self.percentiles[0] < self.percentiles[1],
            f"percentiles are two rising numbers in 0..100, got {self.percentiles!r}",
        )


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Ranges of the random changes of a training image; zero (or 1..1) leaves that change out.

    flip         probability of a left-right mirror, 0..1; vertical_flip: of a top-bottom one
    rotate       degrees to either side
    zoom         share: with 0.1 the square shows 0.9..1.1 of the film's side; zoom_axes: "together", or "apart" for a share of its
                 own in x and in y
    shift        share of the film's side, in x and in y
    shear        degrees to either side, by which columns lean
    brightness   two factors on the greys
    contrast     two factors about the image's mean grey
    gamma        two exponents on greys in 0..1
    fill         what comes in from outside the film: "black", or "nearest" for its border drawn out
    """

    flip: float = 0.0
    vertical_flip: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    zoom_axes: str = "together"
    shift: float = 0.0
    shear: float = 0.0
    brightness: tuple[float, float] = (1.0, 1.0)
    contrast: tuple[float, float] = (1.0, 1.0)
    gamma: tuple[float, float] = (1.0, 1.0)
    fill: str = "black"

    def __post_init__(self):
        for name in ("flip", "vertical_flip"):
            value = getattr(self, name)
            _require(_is_number(value, 0, 1), f"{name} is a probability in 0..1, got {value!r}")
        _require(self.zoom_axes in ("together", "apart"), f"zoom_axes is together or apart, got {self.zoom_axes!r}")
        _require(self.fill in ("black", "nearest"), f"fill is black or nearest, got {self.fill!r}")
        for name in ("rotate", "shear"):
            value = getattr(self, name)
            _require(_is_number(value, 0, 180), f"{name} is degrees in 0..180, got {value!r}")
        for name in ("zoom", "shift"):
            value = getattr(self, name)
            _require(_is_number(value, 0) and value < 1, f"{name} is a share from 0 to below 1, got {value!r}")
        for name in ("brightness", "contrast", "gamma"):
            value = getattr(self, name)
            _require(_is_pair(value, 0) and value[0] > 0, f"{name} is two rising positive factors, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training with one optimizer.

    trainable      "head": the backbone is frozen and its batch norm keeps its statistics; "all": everything learns
    decay          of the learning rate in step t: learning_rate / (1 + decay * t)
    patience       epochs without a better validation loss before the phase ends; 0 trains all epochs
    """

    epochs: int
    trainable: str
    optimizer: str
    learning_rate: float
    momentum: float = 0.0
    decay: float = 0.0
    patience: int = 0

    def __post_init__(self):
        _require(_is_whole(self.epochs, 1), f"a phase has a whole number of epochs, at least one, got {self.epochs!r}")
        _require(self.trainable in ("head", "all"), f"trainable is head or all, got {self.trainable!r}")
        _require(self.optimizer in OPTIMIZERS, f"optimizer is one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        _require(_is_number(self.learning_rate, 0) and self.learning_rate > 0, f"learning_rate is positive, got {self.learning_rate!r}")
        _require(_is_number(self.momentum, 0) and self.momentum < 1, f"momentum is from 0 to below 1, got {self.momentum!r}")
        _require(_is_number(self.decay, 0), f"decay is 0 or more, got {self.decay!r}")
        _require(_is_whole(self.patience, 0), f"patience is 0 or more epochs, got {self.patience!r}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment.

    name            how it is asked for
    about           one line for the list of recipes
    network         a function of `siim_kernel.learning.networks`
    weights         "imagenet" (from an attached file) or "" (random start)
    width, middle   of `narrow_xception`: factor on the filters, middle-flow blocks
    labels          scheme of `labels.SCHEMES` whose labels the study head tells apart
    heads           outputs: "study" (softmax over the labels), "none" (sigmoid; with the four study classes only)
    top             layers between the backbone and the heads, in order: global average pooling, batch norm, ..., dense256 (relu), and
                    fc6 and fc7, the fully connected layers of AlexNet and VGG: 4,096 units with relu, dropout behind each
    loss            of the study head, by Keras's name; the sparse one is the same number, computed from the label's place
    loss_weights    one weight a head
    batch_norm      "trained": its statistics follow the training batches; "kept": those of the loaded weights stay put
    scaling         "backbone": what the network was made for; "unit": greys divided by 255
    pixels          the pixel recipe of its image set
    phases          in order
    balance         of the study classes in training: none, class_weights, sampling
    keep            "best": weights of the lowest validation loss; "last": those of the last epoch
    mixed_precision float16 compute where a GPU has it
    flip_average    prediction is the mean over the film and its mirror
    sources         of films, joined in this order; the first is the competition
    split, n_folds  how the films are parted where no folds CSV is given: one of `SPLITS`, see `competition.splits`
    start           name of the recipe whose run's weights are the start, "" for none
    """

    name: str
    about: str
    network: str
    pixels: PixelRecipe
    phases: tuple[Phase, ...]
    weights: str = ""
    width: float = 1.0
    middle: int = 8
    labels: str = "study_label"
    heads: tuple[str, ...] = HEADS
    top: tuple[str, ...] = ("pooling", "dropout")
    loss: str = "categorical_crossentropy"
    loss_weights: tuple[float, ...] = (1.0, 1.0)
    batch_norm: str = "trained"
    scaling: str = "backbone"
    dropout: float = 0.0
    augmentation: Augmentation = Augmentation()
    balance: str = "none"
    keep: str = "best"
    batch: int = 16
    seed: int = 42
    mixed_precision: bool = False
    flip_average: bool = False
    sources: tuple[str, ...] = ("competition",)
    split: str = "patient"
    n_folds: int = 5
    start: str = ""

    def __post_init__(self):
        _require(self.network in NETWORKS, f"recipe {self.name}: network is one of {', '.join(NETWORKS)}, got {self.network!r}")
        _require(self.weights in ("", "imagenet"), f"recipe {self.name}: weights is '' or 'imagenet', got {self.weights!r}")
        _require(isinstance(self.name, str) and bool(self.name), f"a recipe has a name, got {self.name!r}")
        for name, kind in (("pixels", PixelRecipe), ("augmentation", Augmentation)):
            value = getattr(self, name)
            _require(isinstance(value, kind), f"recipe {self.name}: {name} is of the kind {kind.__name__}, got {value!r}")
        _require(
            isinstance(self.phases, tuple) and bool(self.phases) and all(isinstance(phase, Phase) for phase in self.phases),
            f"recipe {self.name}: phases is a tuple of at least one Phase, got {self.phases!r}",
        )
        for name, least in (("middle", 0), ("batch", 1), ("seed", 0), ("n_folds", 2)):
            value = getattr(self, name)
            _require(_is_whole(value, least), f"recipe {self.name}: {name} is a whole number from {least}, got {value!r}")
        _require(_is_number(self.width, 0) and self.width > 0, f"recipe {self.name}: width is a positive factor, got {self.width!r}")
        _require(
            isinstance(self.heads, tuple) and self.heads in (("study",), HEADS),
            f"recipe {self.name}: heads are study and perhaps, after it, none, got {self.heads!r}",
        )
        _require(self.labels in SCHEMES, f"recipe {self.name}: labels is one of {', '.join(SCHEMES)}, got {self.labels!r}")
        _require(
            self.heads == ("study",) or self.labels == "study_label",
            f"recipe {self.name}: the head none goes with study_label alone, got {self.labels!r}",
        )
        for name, known in (("top", TOP), ("sources", SOURCES)):
            value = getattr(self, name)
            _require(
                isinstance(value, tuple) and set(value) <= set(known) and len(set(value)) == len(value),
                f"recipe {self.name}: {name} is a tuple out of {', '.join(known)}, got {value!r}",
            )
        _require(
            self.network in VECTORS or {"pooling", "flatten"} & set(self.top),
            f"recipe {self.name}: the top of {self.network} makes a vector of its features: pooling or flatten is needed, got {self.top!r}",
        )
        _require(self.sources[:1] == SOURCES[:1], f"recipe {self.name}: the first of the sources is {SOURCES[0]}, got {self.sources!r}")
        for source in self.sources:
            _require(
                SCHEMES[self.labels].knows(source), f"recipe {self.name}: {self.labels} has no label for the classes of the source {source}"
            )
        _require(self.split in SPLITS, f"recipe {self.name}: split is one of {', '.join(SPLITS)}, got {self.split!r}")
        _require(
            self.split not in UNIONS or len(self.sources) > 1,
            f"recipe {self.name}: the split {self.split} is of several sources, got {self.sources!r}",
        )
        _require(isinstance(self.start, str), f"recipe {self.name}: start is the name of a recipe, got {self.start!r}")
        _require(
            not (self.start and self.weights),
            f"recipe {self.name}: it starts from the weights of {self.start} or from {self.weights}, not from both",
        )
        _require(self.loss in LOSSES, f"recipe {self.name}: loss is one of {', '.join(LOSSES)}, got {self.loss!r}")
        _require(
            isinstance(self.loss_weights, tuple) and len(self.loss_weights) == len(self.heads),
            f"recipe {self.name}: one loss weight a head is needed, got {self.loss_weights!r} for {len(self.heads)}",
        )
        _require(
            all(_is_number(weight, 0) for weight in self.loss_weights),
            f"recipe {self.name}: loss weights are 0 or more, got {self.loss_weights!r}",
        )
        _require(self.scaling in SCALINGS, f"recipe {self.name}: scaling is one of {', '.join(SCALINGS)}, got {self.scaling!r}")
        _require(
            self.batch_norm == "trained" or (self.batch_norm == "kept" and self.weights != ""),
            f"recipe {self.name}: batch_norm is trained, or kept where weights are loaded, got {self.batch_norm!r}",
        )
        _require(self.balance in BALANCES, f"recipe {self.name}: balance is one of {', '.join(BALANCES)}, got {self.balance!r}")
        _require(self.keep in ("best", "last"), f"recipe {self.name}: keep is best or last, got {self.keep!r}")
        _require(
            _is_number(self.dropout, 0) and self.dropout < 1, f"recipe {self.name}: dropout is from 0 to below 1, got {self.dropout!r}"
        )
