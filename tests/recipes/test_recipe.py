import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siim_kernel.errors import RecipeError
from siim_kernel.recipes import catalogue as main
from siim_kernel.recipes.recipe import ASPECTS, Augmentation, Phase, PixelRecipe, Recipe
from siim_kernel.recipes.storing import difference, from_dict, to_dict

PHASE = Phase(epochs=1, trainable="all", optimizer="adam", learning_rate=1e-3)
PLAIN = Recipe(name="plain", about="", network="cnn9", pixels=PixelRecipe(size=16), phases=(PHASE,))


@pytest.mark.parametrize("recipe", main.RECIPES, ids=lambda recipe: recipe.name)
def test_recipes_survive_json(recipe):
    again = from_dict(Recipe, json.loads(json.dumps(to_dict(recipe))))
    assert again == recipe
    assert hash(again) == hash(recipe)


def test_names_are_unique_and_found():
    names = [recipe.name for recipe in main.RECIPES]
    assert len(set(names)) == len(names)
    assert [main.by_name(name) for name in names] == list(main.RECIPES)
    with pytest.raises(RecipeError, match=r"there is no recipe 'huge'; there are main, small, small-imagenet"):
        main.by_name("huge")


@given(
    st.builds(
        PixelRecipe,
        size=st.integers(16, 4096),
        aspect=st.sampled_from(ASPECTS),
        equalise=st.booleans(),
        percentiles=st.tuples(st.floats(0, 49), st.floats(50, 100)),
    )
)
def test_any_pixel_recipe_survives_json(recipe):
    assert from_dict(PixelRecipe, json.loads(json.dumps(to_dict(recipe)))) == recipe


def test_recipes_cannot_be_changed_and_take_no_positions():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.batch = 2
    with pytest.raises(TypeError):
        PixelRecipe(16)


def test_unknown_keys_are_named():
    with pytest.raises(RecipeError, match=r"PixelRecipe has no colour, sizes; it has size, aspect"):
        from_dict(PixelRecipe, {"size": 16, "sizes": 3, "colour": 1})
    with pytest.raises(RecipeError, match="Phase has no epoch"):
        from_dict(Recipe, to_dict(PLAIN) | {"phases": [{"epoch": 1}]})


def test_missing_keys_are_named():
    with pytest.raises(RecipeError, match="PixelRecipe: .*'size'"):
        from_dict(PixelRecipe, {"aspect": "pad"})


@pytest.mark.parametrize("values", [None, 5, "abc", [1]])
def test_what_is_no_dict_is_refused(values):
    with pytest.raises(RecipeError, match="PixelRecipe is made of names and values"):
        from_dict(PixelRecipe, values)
    with pytest.raises(RecipeError, match="PixelRecipe is made of names and values"):
        from_dict(Recipe, to_dict(PLAIN) | {"pixels": values})


NAN, INF = float("nan"), float("inf")
IMPOSSIBLE = [
    (PixelRecipe, {"size": size}) for size in (0, 15, 4097, -16, 128.0, "128", True, None)
] + [
    (kind, {"percentiles": pair} | ({"size": 16}))
    for kind in (PixelRecipe,)
    for pair in ((5, 5), (9, 1), (-1, 99), (1, 101), (NAN, 99), (1,), (1, 50, 99), ("0", "99"), None, 5, [1, 99])
]  # fmt: skip
IMPOSSIBLE += [(PixelRecipe, {"size": 16, "aspect": "crop"}), (PixelRecipe, {"size": 16, "equalise": "no"})]
IMPOSSIBLE += [(Augmentation, {"flip": value}) for value in (-0.1, 1.1, NAN, "half")]
IMPOSSIBLE += [(Augmentation, {name: value}) for name in ("rotate", "shear") for value in (-1.0, 181.0, INF, None)]
IMPOSSIBLE += [(Augmentation, {name: value}) for name in ("zoom", "shift") for value in (-0.1, 1.0, NAN)]
IMPOSSIBLE += [
    (Augmentation, {name: value})
    for name in ("brightness", "contrast", "gamma")
    for value in ((0.0, 1.0), (1.2, 0.8), (-1.0, 1.0), (1.0,), (1.0, INF), 1.0)
]
SOUND_PHASE = to_dict(PHASE)
IMPOSSIBLE += [
    (Phase, SOUND_PHASE | {name: value})
    for name, values in {
        "epochs": (0, -1, 1.5, True, "3"),
        "trainable": ("none", ""),
        "optimizer": ("adamw", "Adam"),
        "learning_rate": (0.0, -1e-3, NAN, INF, "1e-3"),
        "momentum": (-0.1, 1.0),
        "patience": (-1, 0.5),
    }.items()
    for value in values
]
SOUND = {field.name: getattr(PLAIN, field.name) for field in dataclasses.fields(Recipe)}
IMPOSSIBLE += [
    (Recipe, SOUND | {name: value})
    for name, values in {
        "name": ("", None),
        "network": ("resnet", ""),
        "weights": ("noisy-student",),
        "width": (0, -1.0, NAN),
        "middle": (-1, 1.5),
        "pixels": (None, 16, {"size": 16}),
        "phases": ((), PHASE, [PHASE], (1,)),
        "heads": ((), ("none",), ("study", "study"), ("study", "boxes"), "study", ["study", "none"]),
        "loss_weights": ((1.0,), (1.0, 1.0, 1.0), (1.0, -1.0), (1.0, NAN), [1.0, 1.0]),
        "batch_norm": ("kept", "frozen"),
        "scaling": ("minus-one",),
        "dropout": (-0.1, 1.0, NAN),
        "augmentation": (None, {}),
        "balance": ("yes",),
        "keep": ("first",),
        "batch": (0, 16.0),
        "seed": (-1, "42", 1.5),
        "split": ("hospital",),
        "labels": ("four",),
        "top": (("pooling", "pooling"), ("attention",), "pooling"),
        "sources": (("hospital",),),
        "start": (3,),
        "n_folds": (1, 0, 2.5),
    }.items()
    for value in values
]


@pytest.mark.parametrize(("kind", "values"), IMPOSSIBLE)
def test_impossible_values_fail_when_the_recipe_is_made(kind, values):
    with pytest.raises(RecipeError):
        kind(**values)


@pytest.mark.parametrize(("kind", "values"), [(PixelRecipe, {"size": 16}), (Augmentation, {}), (Phase, SOUND_PHASE), (Recipe, SOUND)])
def test_what_the_impossible_ones_are_made_of_is_sound(kind, values):
    kind(**values)


def test_kept_batch_norm_needs_loaded_weights():
    dataclasses.replace(PLAIN, batch_norm="kept", weights="imagenet")
    with pytest.raises(RecipeError, match="kept where weights are loaded"):
        dataclasses.replace(PLAIN, batch_norm="kept")


def test_difference_names_each_field_with_both_sides():
    other = dataclasses.replace(PLAIN, batch=8, pixels=PixelRecipe(size=32, aspect="pad"))
    assert difference(PLAIN, PLAIN) == []
    assert difference(PLAIN, other) == [
        "pixels.size: stored 16, wanted 32",
        "pixels.aspect: stored 'stretch', wanted 'pad'",
        "batch: stored 16, wanted 8",
    ]
    assert difference(PixelRecipe(size=16, percentiles=(0, 99)), PixelRecipe(size=16)) == [
        "percentiles: stored [0, 99], wanted [0.5, 99.5]"
    ]
    assert len(difference(PLAIN, dataclasses.replace(PLAIN, phases=(PHASE, PHASE)))) == 1
