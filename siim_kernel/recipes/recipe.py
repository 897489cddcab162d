"""What an experiment is: frozen, keyword-only dataclasses of strings, numbers and tuples.

A recipe can be printed, compared, stored as JSON and read back. An unknown key or an impossible value fails when the
recipe is made, which for the package's own recipes is at import.
"""

import dataclasses
import math
import typing
from dataclasses import dataclass

from siim_kernel.errors import RecipeError

NETWORKS = ("xception", "narrow_xception", "cnn9")
HEADS = ("study", "none")
ASPECTS = ("stretch", "pad")
SCALINGS = ("backbone", "unit")
OPTIMIZERS = ("sgd", "adam", "nadam", "rmsprop")
BALANCES = ("none", "class_weights", "sampling")
GROUPS = ("patient", "study", "image")


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

    flip         probability of a left-right mirror, 0..1
    rotate       degrees to either side
    zoom         share: 0.1 is a scale in 0.9..1.1
    shift        share of the side, in x and in y
    shear        degrees to either side
    brightness   two factors on the greys
    contrast     two factors about the image's mean grey
    gamma        two exponents on greys in 0..1
    """

    flip: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    brightness: tuple[float, float] = (1.0, 1.0)
    contrast: tuple[float, float] = (1.0, 1.0)
    gamma: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self):
        _require(_is_number(self.flip, 0, 1), f"flip is a probability in 0..1, got {self.flip!r}")
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
    patience       epochs without a better validation loss before the phase ends; 0 trains all epochs
    """

    epochs: int
    trainable: str
    optimizer: str
    learning_rate: float
    momentum: float = 0.0
    patience: int = 0

    def __post_init__(self):
        _require(_is_whole(self.epochs, 1), f"a phase has a whole number of epochs, at least one, got {self.epochs!r}")
        _require(self.trainable in ("head", "all"), f"trainable is head or all, got {self.trainable!r}")
        _require(self.optimizer in OPTIMIZERS, f"optimizer is one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        _require(_is_number(self.learning_rate, 0) and self.learning_rate > 0, f"learning_rate is positive, got {self.learning_rate!r}")
        _require(_is_number(self.momentum, 0) and self.momentum < 1, f"momentum is from 0 to below 1, got {self.momentum!r}")
        _require(_is_whole(self.patience, 0), f"patience is 0 or more epochs, got {self.patience!r}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment.

    name            how it is asked for
    about           one line for the list of recipes
    network         a function of `siim_kernel.learning.networks`
    weights         "imagenet" (from an attached file) or "" (random start)
    width, middle   of `narrow_xception`: factor on the filters, middle-flow blocks
    heads           outputs: "study" (softmax over the four classes), "none" (sigmoid)
    loss_weights    one weight a head
    batch_norm      "trained": its statistics follow the training batches; "kept": those of the loaded weights stay put
    scaling         "backbone": what the network was made for; "unit": greys divided by 255
    pixels          the pixel recipe of its image set
    phases          in order
    balance         of the study classes in training: none, class_weights, sampling
    keep            "best": weights of the lowest validation loss; "last": those of the last epoch
    mixed_precision float16 compute where a GPU has it
    flip_average    prediction is the mean over the film and its mirror
    group, n_folds  how folds are made where no folds CSV is given
    """

    name: str
    about: str
    network: str
    pixels: PixelRecipe
    phases: tuple[Phase, ...]
    weights: str = ""
    width: float = 1.0
    middle: int = 8
    heads: tuple[str, ...] = HEADS
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
    group: str = "patient"
    n_folds: int = 5

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
        _require(self.group in GROUPS, f"recipe {self.name}: group is one of {', '.join(GROUPS)}, got {self.group!r}")
        _require(
            _is_number(self.dropout, 0) and self.dropout < 1, f"recipe {self.name}: dropout is from 0 to below 1, got {self.dropout!r}"
        )


def to_dict(value):
    """A recipe (or a part of one) as plain dicts, lists, strings and numbers, ready for JSON."""
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value):
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def from_dict(kind, values):
    """The dataclass `kind` from what `to_dict` made of it.

    Raises RecipeError for unknown keys, missing keys and impossible values, naming them.
    """
    _require(isinstance(values, dict), f"{kind.__name__} is made of names and values, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    _require(not unknown, f"{kind.__name__} has no {', '.join(unknown)}; it has {', '.join(fields)}")
    types = typing.get_type_hints(kind)
    try:
        return kind(**{name: _typed(types[name], value) for name, value in values.items()})
    except TypeError as error:
        raise RecipeError(f"{kind.__name__}: {error}") from None


def _typed(kind, value):
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value)
    if typing.get_origin(kind) is tuple and isinstance(value, list | tuple):
        inner = typing.get_args(kind)[0]
        return tuple(_typed(inner, item) for item in value)
    return value


def difference(stored, wanted):
    """Lines that name each field in which two dataclasses of one kind differ, `stored` first; empty if none.

    What is said `about` a recipe decides nothing and is left out.
    """
    left, right = _flat(to_dict(stored)), _flat(to_dict(wanted))
    return [f"{name}: stored {value!r}, wanted {right[name]!r}" for name, value in left.items() if value != right[name] and name != "about"]


def _flat(values, prefix=""):
    """Nested dicts as one with dotted names."""
    flat = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
