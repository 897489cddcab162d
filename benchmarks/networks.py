"""Networks to measure with: a full Xception, and a narrow one, with random weights and stored as runs."""

from siim_kernel import runs
from siim_kernel.labels import NONE, STUDY_CLASSES
from siim_kernel.recipes.main import GENTLE
from siim_kernel.recipes.recipe import Phase, PixelRecipe, Recipe

PHASE = Phase(epochs=1, trainable="all", optimizer="adam", learning_rate=1e-4)


def recipe(network, size, batch=16):
    """A recipe with the main recipe's augmentation; the narrow network is a quarter as wide, without middle blocks."""
    narrow = {"width": 0.25, "middle": 0} if network == "narrow_xception" else {}
    return Recipe(
        name=f"bench-{network}-{size}",
        about="",
        network=network,
        pixels=PixelRecipe(size=size),
        phases=(PHASE,),
        batch=batch,
        augmentation=GENTLE,
        **narrow,
    )


def stored_run(folder, chosen):
    """The folder of a run of the recipe with random weights; made anew, since the package may have changed."""
    from siim_kernel.learning import networks

    folder.mkdir(parents=True, exist_ok=True)
    for name in runs.FILES:
        (folder / name).write_text("")
    networks.build(chosen).save_weights(folder / runs.WEIGHTS)
    rule = {"study_of_labels": [[float(row == column) for column in range(4)] for row in range(4)], "none_of_labels": [1.0, 0.0, 0.0, 0.0]}
    priors = dict.fromkeys(STUDY_CLASSES, 0.25) | {NONE: 0.5}
    runs.save(folder, chosen, 0, {"priors": priors, "prior_boxes": [[0.1, 0.2, 0.4, 0.8, 0.3]], "split": {}, "training": {}, **rule})
    return folder
