import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siim_kernel.competition import external, splits
from siim_kernel.errors import RecipeError
from siim_kernel.recipes import catalogue as main
from siim_kernel.recipes import recipe as recipe_module
from siim_kernel.recipes.published import Published
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
        "sources": (("hospital",), (), ("radiography",), ("radiography", "competition"), "competition"),
        "loss": ("binary_crossentropy", "", None),
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


@pytest.mark.parametrize("top", [(), ("dropout",), ("fc6", "fc7"), ("batch_norm", "relu")])
def test_features_become_a_vector_before_the_heads(top):
    dataclasses.replace(PLAIN, top=top)  # cnn9 ends in one
    with pytest.raises(RecipeError, match="the top of vgg16 makes a vector of its features: pooling or flatten is needed, got "):
        dataclasses.replace(PLAIN, network="vgg16", top=top)
    for kind in ("pooling", "flatten"):
        dataclasses.replace(PLAIN, network="vgg16", top=(kind, *top))


STUDY_HEAD = {"heads": ("study",), "loss_weights": (1.0,)}
BOTH = {"sources": ("competition", "radiography"), "split": "union"}


@pytest.mark.parametrize("labels", ["study_label", "image_label", "label_opacity", "label_n_Covid_19", "label_opacity_3l"])
def test_a_scheme_that_does_not_know_a_source_is_refused(labels):
    alone = dataclasses.replace(PLAIN, **STUDY_HEAD, labels=labels)
    with pytest.raises(RecipeError, match=f"recipe plain: {labels} has no label for the classes of the source radiography"):
        dataclasses.replace(alone, **BOTH)


@pytest.mark.parametrize("labels", ["union_study_label", "2L_opacity_no_opacity", "2L_covid_no_covid"])
def test_the_schemes_of_the_union_know_both_sources(labels):
    dataclasses.replace(PLAIN, **STUDY_HEAD, labels=labels, **BOTH)


@pytest.mark.parametrize("split", ["union", "thesis_union"])
def test_a_union_is_of_several_sources(split):
    with pytest.raises(RecipeError, match=f"the split {split} is of several sources, got \\('competition',\\)"):
        dataclasses.replace(PLAIN, **STUDY_HEAD, labels="2L_opacity_no_opacity", split=split)


def test_a_recipe_has_one_start():
    dataclasses.replace(PLAIN, start="other")
    with pytest.raises(RecipeError, match="starts from the weights of other or from imagenet, not from both"):
        dataclasses.replace(PLAIN, start="other", weights="imagenet")


def test_what_a_recipe_starts_from_is_known_and_fits():
    start = dataclasses.replace(PLAIN, name="start")
    after = dataclasses.replace(PLAIN, name="after", start="start", labels="study_label", batch=4, split="image")
    main.require_starts([after, start])
    with pytest.raises(RecipeError, match="recipe after starts from 'start'; there are after, plain"):
        main.require_starts([after, PLAIN])
    with pytest.raises(RecipeError, match="recipe start starts from 'start'"):
        main.require_starts([dataclasses.replace(start, start="start")])
    for change in (
        {"network": "alexnet", "top": ("pooling",)},
        {"pixels": PixelRecipe(size=32)},
        {"labels": "label_opacity", **STUDY_HEAD},
    ):
        with pytest.raises(RecipeError, match="recipe after starts from start, which has another network|pixels|heads, labels"):
            main.require_starts([after, dataclasses.replace(start, **change)])


@pytest.mark.parametrize("path", ["keep", "pixels", "pixels.equalise", "augmentation.zoom", "phases", "phases[0].learning_rate", "top[0]"])
def test_inferred_fields_are_fields(path):
    Published(recipe=PLAIN, id="1", section="1", inferred=(path,))


@pytest.mark.parametrize(
    "path", ["order of the top", "learning_rate", "pixels.zoom", "phases[1].learning_rate", "phases.learning_rate", "keep[0]", "keep.x", ""]
)
def test_what_is_no_field_cannot_be_inferred(path):
    with pytest.raises(RecipeError, match="is to be inferred and is no field of it"):
        Published(recipe=PLAIN, id="1", section="1", inferred=("keep", path))
    with pytest.raises(RecipeError, match="inferred names a field twice"):
        Published(recipe=PLAIN, id="1", section="1", inferred=("keep", "keep"))


def test_what_is_inferred_is_told():
    (line,) = (line for line in main.printed_lines(main.by_name("thesis-vgg16")) if line.startswith("inferred"))
    assert line == ("inferred, not printed: augmentation, phases[1].optimizer, phases[1].learning_rate, pixels.equalise, scaling, keep")


def test_the_same_names_stand_wherever_they_are_listed():
    """Rooms that may not import each other list them, each where it means something."""
    assert set(recipe_module.SPLITS) == set(splits.WAYS)
    assert set(recipe_module.UNIONS) <= set(recipe_module.SPLITS)
    assert recipe_module.SOURCES == (splits.COMPETITION, external.SOURCE)
    assert set(recipe_module.VECTORS) <= set(recipe_module.NETWORKS)


def test_a_run_stored_before_a_field_was_there_has_its_default():
    stored = {name: value for name, value in to_dict(PLAIN).items() if name != "loss"}
    assert from_dict(Recipe, stored) == PLAIN


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
