"""What was printed of an experiment: the figures that a repetition is held against. They decide nothing."""

import dataclasses
import re
from dataclasses import dataclass

from siim_kernel.errors import RecipeError
from siim_kernel.recipes.recipe import Recipe

_STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")  # a field, or one of a field's parts


@dataclass(frozen=True)
class Matrix:
    """A printed confusion matrix: on which films and after which phase, the labels in its order, rows of truth as counts."""

    films: str
    labels: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    phase: int = 0


@dataclass(frozen=True, kw_only=True)
class Published:
    """An experiment and what was printed of it.

    recipe     as it can be repeated
    id         its number where it was printed; section: where
    accuracy   per cent on the validation films, one a phase; () where none was printed
    final_test per cent on the final test, None where it has none
    loss       of the last phase, on the validation films
    hit_rates  per cent of each label's films that were found: (films, phase, one a label)
    matrices   confusion matrices
    measures   others by name: (value, standard deviation)
    figures    others by name that were printed without a standard deviation
    inferred   fields of the recipe that were not printed: inferred, or the library's default; "pixels.equalise" is a field of a
               field, "phases[1].learning_rate" one of the second phase
    remark     what a reader of the figures must know

    Raises RecipeError where `inferred` names what is no field of the recipe.
    """

    recipe: Recipe
    id: str
    section: str
    accuracy: tuple[float, ...] = ()
    final_test: float | None = None
    loss: float | None = None
    hit_rates: tuple[tuple[str, int, tuple[int, ...]], ...] = ()
    matrices: tuple[Matrix, ...] = ()
    measures: dict[str, tuple[float, float]] | None = None
    figures: dict[str, float] | None = None
    inferred: tuple[str, ...] = ()
    remark: str = ""

    def __post_init__(self):
        for path in self.inferred:
            if not _is_field(self.recipe, path):
                raise RecipeError(f"recipe {self.recipe.name}: {path!r} is to be inferred and is no field of it")
        if len(set(self.inferred)) < len(self.inferred):
            raise RecipeError(f"recipe {self.recipe.name}: inferred names a field twice: {', '.join(self.inferred)}")


def _is_field(value, path):
    """Whether a dotted path leads to a field of a dataclass."""
    for step in path.split("."):
        found = _STEP.fullmatch(step)
        if not found or not dataclasses.is_dataclass(value) or found[1] not in {field.name for field in dataclasses.fields(value)}:
            return False
        value = getattr(value, found[1])
        if found[2]:
            if not isinstance(value, tuple) or int(found[2]) >= len(value):
                return False
            value = value[int(found[2])]
    return True
