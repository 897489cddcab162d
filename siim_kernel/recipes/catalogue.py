"""All recipes by name: the project's own, the thesis's, the article's."""

from siim_kernel.errors import RecipeError
from siim_kernel.labels import SCHEMES
from siim_kernel.recipes.article import ARTICLE
from siim_kernel.recipes.augmentations import AUGMENTATION_A, AUGMENTATION_B, AUGMENTATION_C
from siim_kernel.recipes.main import OWN
from siim_kernel.recipes.storing import to_dict
from siim_kernel.recipes.thesis import THESIS

PUBLISHED = {published.recipe.name: published for published in (*THESIS, *ARTICLE)}
RECIPES = (*OWN, *(published.recipe for published in PUBLISHED.values()))
SHARED_WITH_START = ("network", "width", "middle", "heads", "top", "pixels")  # without these a start's weights do not fit, or mislead
HEADINGS = ("recipe", "model", "section", "labels", "network", "square", "augmentation", "phases", "expected %")
LETTERS = {AUGMENTATION_A: "A", AUGMENTATION_B: "B", AUGMENTATION_C: "C"}


def require_starts(recipes):
    """RecipeError where a recipe starts from one that is not among `recipes`, or whose weights do not fit its network."""
    named = {recipe.name: recipe for recipe in recipes}
    for recipe in recipes:
        if not recipe.start:
            continue
        if recipe.start not in named or recipe.start == recipe.name:
            raise RecipeError(f"recipe {recipe.name} starts from {recipe.start!r}; there are {', '.join(named)}")
        start = named[recipe.start]
        other = [name for name in SHARED_WITH_START if getattr(recipe, name) != getattr(start, name)]
        other += ["labels"] if len(SCHEMES[recipe.labels].labels) != len(SCHEMES[start.labels].labels) else []
        if other:
            raise RecipeError(f"recipe {recipe.name} starts from {start.name}, which has another {', '.join(other)}")


require_starts(RECIPES)


def by_name(name):
    """The recipe of that name. Raises RecipeError that lists the names there are."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise RecipeError(f"there is no recipe {name!r}; there are {', '.join(recipe.name for recipe in RECIPES)}")


def phases_text(recipe):
    """The phases in a few words: "10 head nadam 0.001, <=100 all nadam 0.001 (patience 10)"."""
    texts = []
    for phase in recipe.phases:
        extra = "".join(f" {name} {value:g}" for name, value in (("momentum", phase.momentum), ("decay", phase.decay)) if value)
        most, patience = ("<=", f" (patience {phase.patience})") if phase.patience else ("", "")
        texts.append(f"{most}{phase.epochs} {phase.trainable} {phase.optimizer} {phase.learning_rate:g}{extra}{patience}")
    return ", ".join(texts)


def augmentation_text(recipe):
    """The thesis's letter of an augmentation, "none", or "own"."""
    if recipe.augmentation == type(recipe.augmentation)():
        return "none"
    return LETTERS.get(recipe.augmentation, "own")


def expected_text(recipe):
    """What was printed of a recipe: accuracies in per cent with two decimals, or the article's AUC and accuracy; "" for none."""
    published = PUBLISHED.get(recipe.name)
    if published is None:
        return ""
    if published.measures:
        auc, accuracy = published.measures["AUC"][0], published.measures["accuracy"][0]
        return f"AUC {auc:.4f}, {accuracy:.2f}"
    if published.figures:
        return ", ".join(f"{name} {value:.2f}" for name, value in published.figures.items())
    texts = [" / ".join(f"{value:.2f}" for value in published.accuracy)] if published.accuracy else []
    texts += [f"final test {published.final_test:.2f}"] if published.final_test is not None else []
    return ", ".join(texts)


def table():
    """One row a recipe, all text: name, printed number and section, labels, network, size, augmentation, phases, expected."""
    rows = []
    for recipe in RECIPES:
        published = PUBLISHED.get(recipe.name)
        number, section = (published.id, published.section) if published else ("", "")
        network = recipe.network + (" P" if recipe.weights else "")
        facts = (recipe.labels, network, f"{recipe.pixels.size} px", augmentation_text(recipe), phases_text(recipe), expected_text(recipe))
        rows.append((recipe.name, number, section, *facts))
    return rows


def lines(recipe):
    """The fields of a recipe in lines for a person."""
    told = {name: value for name, value in to_dict(recipe).items() if name not in ("phases", "augmentation", "pixels")}
    told |= {"pixels": to_dict(recipe.pixels), "augmentation": to_dict(recipe.augmentation)}
    rows = [f"{name}: {_plain(value)}" for name, value in told.items()]
    return [*rows, *(f"phase {number}: {_plain(to_dict(phase))}" for number, phase in enumerate(recipe.phases, start=1))]


def _plain(value):
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return {True: "yes", False: "no", "": "none"}[value] if isinstance(value, bool) or value == "" else str(value)


def printed_lines(recipe):
    """What was printed of a recipe, in lines for a person; () for the project's own."""
    published = PUBLISHED.get(recipe.name)
    if published is None:
        return ()
    lines = [f"model {published.id}, section {published.section}: {expected_text(recipe)}"]
    for matrix in published.matrices:
        rows = "; ".join(" ".join(map(str, row)) for row in matrix.rows)
        lines.append(
            f"confusion matrix, {matrix.films}{f', phase {matrix.phase}' * bool(matrix.phase)} ({', '.join(matrix.labels)}): {rows}"
        )
    lines += [f"hit rates, {films}, phase {phase}: {'/'.join(map(str, rates))} %" for films, phase, rates in published.hit_rates]
    lines += [f"{name}: {value:g} +- {spread:g}" for name, (value, spread) in (published.measures or {}).items()]
    lines += [f"{name}: {value:.2f}" for name, value in (published.figures or {}).items()]
    lines += [f"loss: {published.loss:g}"] if published.loss is not None else []
    lines += [f"inferred, not printed: {', '.join(published.inferred)}"] if published.inferred else []
    return (*lines, *([published.remark] if published.remark else []))
