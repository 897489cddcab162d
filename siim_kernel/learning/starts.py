"""Runs whose weights are the start of another training, and what they have learnt already."""

from siim_kernel import runs
from siim_kernel.competition import folds, splits
from siim_kernel.errors import RecipeError


def find(recipe, folder):
    """The run in `folder` that a recipe starts from; None for recipes that start from none.

    Raises RecipeError where one is lacking, needless or of another recipe, RunError where it is damaged.
    """
    if not recipe.start:
        if folder is not None:
            raise RecipeError(f"recipe {recipe.name} starts from no other run; leave --start out")
        return None
    if folder is None:
        raise RecipeError(f"recipe {recipe.name} starts from the weights of {recipe.start}: train that first and name its run (--start)")
    begun = runs.load(folder)
    if begun.recipe.name != recipe.start:
        raise RecipeError(f"recipe {recipe.name} starts from {recipe.start}, {folder} is a run of {begun.recipe.name}")
    return begun


def facts(start, table, parts):
    """What a run's record says of its start: recipe, fold, weights' SHA-256, and of each part how many films the start had learnt.

    start  `runs.Run`
    table  training table of all films
    parts  name -> bool [N]; of "validation" there are validation_films_learnt and validation_films_sharing_a_patient

    A start that itself went on from another run has learnt from the films of that one too; these are not counted.
    """
    split = folds.read_stored(start.folder / runs.FOLDS)
    learnt = table["image"].isin(split["image"][~split["fold"].isin([start.fold, splits.FINAL_TEST])])
    people = table["patient"].isin(set(table["patient"][learnt]) - {""})
    found = {"recipe": start.recipe.name, "fold": start.fold, "weights": start.record["files"][runs.WEIGHTS]}
    for name, chosen in parts.items():
        found |= {f"{name}_films_learnt": int((learnt & chosen).sum()), f"{name}_films_sharing_a_patient": int((people & chosen).sum())}
    return found


def lines(found):
    """Warnings on what `facts` found, for people; none where nothing was learnt before."""
    counts = {name.replace("_", " "): count for name, count in found.items() if isinstance(count, int) and name != "fold"}
    return [f"warning: of the start {found['recipe']}: {count} {name}" for name, count in counts.items() if count]
