"""What was printed of an experiment: the figures that a repetition is held against. They decide nothing."""

from dataclasses import dataclass

from siim_kernel.recipes.recipe import Recipe


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
    inferred   fields of the recipe that were not printed: inferred, or the library's default
    remark     what a reader of the figures must know
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
    inferred: tuple[str, ...] = ()
    remark: str = ""
