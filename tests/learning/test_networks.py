"""Networks: shapes, scaling, sizes, and weights that load whole or not at all."""

from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest

from siim_kernel.errors import RecipeError
from siim_kernel.learning import backbones, networks
from siim_kernel.recipes.catalogue import by_name
from siim_kernel.recipes.recipe import NETWORKS, Phase, PixelRecipe, Recipe
from tests import imagenet_weights as published

NARROW = Recipe(
    name="narrow",
    about="",
    network="narrow_xception",
    width=0.125,
    middle=1,
    pixels=PixelRecipe(size=32),
    phases=(Phase(epochs=1, trainable="all", optimizer="adam", learning_rate=1e-3),),
)
CNN9 = replace(NARROW, name="cnn9", network="cnn9", pixels=PixelRecipe(size=16))
XCEPTION = replace(NARROW, name="full", network="xception", weights="imagenet", batch_norm="kept", pixels=PixelRecipe(size=71))
DRAW = np.random.default_rng(0)


def squares(count, size):
    return DRAW.integers(0, 256, (count, size, size, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def xception():
    """A randomly initialised Xception without top, and its weights."""
    keras.utils.set_random_seed(7)
    model = keras.applications.Xception(weights=None, include_top=False, input_shape=(71, 71, 3))
    return model, model.get_weights()


def backbone():
    return networks.BACKBONES["xception"](XCEPTION)


@pytest.mark.parametrize("recipe", [NARROW, CNN9], ids=lambda recipe: recipe.network)
def test_a_network_takes_uint8_squares_and_gives_probabilities(recipe):
    size = recipe.pixels.size
    model = networks.build(recipe)
    assert model.input_shape == (None, size, size, 1)
    assert model.input.dtype == "uint8"
    outputs = model.predict_on_batch(squares(3, size))
    assert outputs["study"].shape == (3, 4)
    assert outputs["none"].shape == (3, 1)
    assert outputs["study"].dtype == outputs["none"].dtype == np.float32
    np.testing.assert_allclose(outputs["study"].sum(axis=1), 1, atol=1e-5)
    assert all(((values >= 0) & (values <= 1)).all() for values in outputs.values())


def test_only_the_recipes_heads_are_built():
    model = networks.build(replace(NARROW, heads=("study",), loss_weights=(1.0,)))
    assert set(model.output) == {"study"}


@pytest.mark.parametrize(
    ("recipe", "black", "white"),
    [
        (NARROW, -1.0, 1.0),
        (CNN9, 0.0, 1.0),
        (replace(NARROW, scaling="unit"), 0.0, 1.0),
        (replace(XCEPTION, weights="", batch_norm="trained"), -1.0, 1.0),
    ],
    ids=["narrow_xception", "cnn9", "unit", "xception"],
)
def test_the_scaling_is_inside_and_repeats_grey_to_three_channels(recipe, black, white):
    size = recipe.pixels.size
    model = networks.build(recipe)
    probe = keras.Model(model.input, model.get_layer("scaling").output)
    assert model.get_layer(networks.BACKBONE).input_shape == (None, size, size, 3)
    for grey in (0, 1, 100, 254, 255):
        reached = probe.predict_on_batch(np.full((1, size, size, 1), grey, np.uint8))
        assert reached.shape == (1, size, size, 3)
        np.testing.assert_allclose(reached, black + (white - black) * grey / 255, atol=1e-6)


def test_xception_is_the_stock_one():
    made = backbone()
    assert made.count_params() == 20_861_480
    assert made.output_shape == (None, 3, 3, 2048)


def test_xception_needs_71_pixels():
    with pytest.raises(RecipeError, match="at least 71 px, got 64"):
        networks.build(replace(XCEPTION, weights="", batch_norm="trained", pixels=PixelRecipe(size=64)))


def test_narrow_xception_of_full_width_has_the_filters_of_xception():
    made = networks.BACKBONES["narrow_xception"](replace(NARROW, width=1.0, middle=8))
    stock = backbone()
    kernels = [sorted(tuple(weight.shape) for weight in model.weights if "kernel" in weight.path) for model in (made, stock)]
    assert kernels[0] == kernels[1]


def test_imagenet_without_a_file_says_what_to_attach():
    with pytest.raises(RecipeError, match="--imagenet FILE"):
        networks.build(XCEPTION)


def test_a_network_for_stored_weights_needs_no_imagenet_file():
    plain = networks.without_imagenet(XCEPTION)
    assert (plain.weights, plain.network, plain.pixels) == ("", "xception", XCEPTION.pixels)
    assert networks.build(plain).get_layer(networks.BACKBONE).count_params() == 20_861_480


def of_another_network(path):
    networks.BACKBONES["narrow_xception"](NARROW).save_weights(path.with_suffix(".weights.h5"))
    path.with_suffix(".weights.h5").rename(path)


def legacy_of_another_network(path):
    published.write_legacy(networks.BACKBONES["narrow_xception"](replace(NARROW, middle=8)), path)


def random_hdf5(path):
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(10.0)


def of_a_whole_model(path):
    """What a training stored: the backbone stands one level deeper."""
    recipe = replace(XCEPTION, weights="", batch_norm="trained")
    networks.build(recipe).save_weights(path.with_suffix(".weights.h5"))
    path.with_suffix(".weights.h5").rename(path)


MISTAKES = {
    "missing": (lambda path: None, "do not exist"),
    "folder": (lambda path: path.mkdir(), "do not fit xception"),
    "empty": (lambda path: path.write_bytes(b""), "do not fit xception"),
    "text": (lambda path: path.write_text("404: Not Found\n" * 100), "do not fit xception"),
    "random HDF5": (random_hdf5, "xception"),
    "another network": (of_another_network, "xception"),
    "another network, legacy": (legacy_of_another_network, "do not fit xception"),
    "whole model": (of_a_whole_model, "xception"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_file_is_a_clear_error_and_never_a_random_start(tmp_path, mistake):
    write, message = MISTAKES[mistake]
    path = tmp_path / "weights.h5"
    write(path)
    with pytest.raises(RecipeError, match=message) as caught:
        networks.load_imagenet(backbone(), XCEPTION, path)
    assert str(path) in str(caught.value)


@pytest.fixture(scope="module")
def legacy(xception, tmp_path_factory):
    path = tmp_path_factory.mktemp("legacy") / "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"
    published.write_legacy(xception[0], path)
    return path


def same(weights, others):
    return len(weights) == len(others) and all(np.array_equal(left, right) for left, right in zip(weights, others, strict=True))


def test_keras_legacy_no_top_file_loads(xception, legacy, tmp_path):
    made = backbone()
    assert not same(made.get_weights(), xception[1])
    networks.load_imagenet(made, XCEPTION, legacy)
    assert same(made.get_weights(), xception[1])
    odd = tmp_path / "weights of a colleague"
    odd.symlink_to(legacy)
    made = backbone()
    networks.load_imagenet(made, XCEPTION, str(odd))  # any name, as str or Path
    assert same(made.get_weights(), xception[1])


@pytest.mark.parametrize("name", ["x.weights.h5", "x.h5"])
def test_a_weights_file_of_todays_form_loads_under_any_name(xception, tmp_path, name):
    model, weights = xception
    model.save_weights(tmp_path / "x.weights.h5")
    (tmp_path / "x.weights.h5").rename(tmp_path / name)
    made = backbone()
    networks.load_imagenet(made, XCEPTION, tmp_path / name)
    assert same(made.get_weights(), weights)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(legacy, tmp_path, share):
    content = legacy.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(RecipeError, match="do not fit xception"):
        networks.load_imagenet(backbone(), XCEPTION, tmp_path / "cut.h5")


def test_weights_that_are_no_numbers_are_refused(xception, tmp_path):
    model, weights = xception
    try:
        model.set_weights([*weights[:-1], np.full_like(weights[-1], np.nan)])
        published.write_legacy(model, tmp_path / "nan.h5")
    finally:
        model.set_weights(weights)
    with pytest.raises(RecipeError, match="not finite"):
        networks.load_imagenet(backbone(), XCEPTION, tmp_path / "nan.h5")


def test_a_file_with_the_top_is_refused(tmp_path):
    published.write_legacy(keras.applications.Xception(weights=None, classes=3), tmp_path / "top.h5")
    with pytest.raises(RecipeError, match="do not fit xception without top"):
        networks.load_imagenet(backbone(), XCEPTION, tmp_path / "top.h5")


def fit_once(model, recipe, part):
    size = recipe.pixels.size
    networks.set_trainable(model, recipe, part)
    model.compile(optimizer="sgd", loss={"study": "categorical_crossentropy", "none": "binary_crossentropy"})
    targets = {"study": np.eye(4, dtype=np.float32), "none": np.ones((4, 1), np.float32)}
    model.fit(squares(4, size), targets, epochs=1, verbose=0)


def moved(before, model):
    """Names of the backbone's weights that changed, without the path."""
    found = model.get_layer(networks.BACKBONE).weights
    return {weight.path.split("/")[-1] for weight, old in zip(found, before, strict=True) if not np.array_equal(weight.numpy(), old)}


@pytest.mark.slow
def test_kept_batch_norm_does_not_move_and_a_frozen_backbone_nothing(legacy):
    model = networks.build(XCEPTION, legacy)
    before = model.get_layer(networks.BACKBONE).get_weights()
    fit_once(model, XCEPTION, "head")
    assert moved(before, model) == set()
    fit_once(model, XCEPTION, "all")
    assert moved(before, model) == {"kernel", "depthwise_kernel", "pointwise_kernel"}
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)


@pytest.mark.slow
def test_trained_batch_norm_moves_and_a_frozen_backbone_does_not():
    model = networks.build(NARROW)
    before = model.get_layer(networks.BACKBONE).get_weights()
    fit_once(model, NARROW, "head")
    assert moved(before, model) == set()
    fit_once(model, NARROW, "all")
    assert {"moving_mean", "moving_variance", "kernel"} <= moved(before, model)


@pytest.mark.slow
def test_real_imagenet_weights_load_and_see(imagenet_weights):
    model = networks.build(replace(XCEPTION, pixels=PixelRecipe(size=96)), imagenet_weights)
    made = model.get_layer(networks.BACKBONE)
    if imagenet_weights.name == "xception_notop.h5":
        assert published.digest(made.get_weights()) == published.VALUES_SHA256
    # First layer of trained filters: edges and blobs, far from the near-uniform random start.
    first = made.get_layer("block1_conv1").get_weights()[0]
    assert first.std() > 0.1
    variances = made.get_layer("block14_sepconv2_bn").get_weights()[3]
    assert (variances > 0).all()
    assert variances.std() > 0
    outputs = model.predict_on_batch(squares(2, 96))
    assert np.isfinite(outputs["study"]).all()


# Keras's own figures for its networks without top; of the two built here by hand: convolutions k*k*in*out (+ out), batch norm 4*out.
RESNET18 = (
    (7 * 7 * 3 * 64 + 4 * 64)
    + 4 * (3 * 3 * 64 * 64 + 4 * 64)
    + sum(
        (3 * 3 * half * full + 4 * full) + 3 * (3 * 3 * full * full + 4 * full) + (half * full + 4 * full)
        for half, full in ((64, 128), (128, 256), (256, 512))
    )
)
ALEXNET = sum(
    k * k * before * after + after for k, before, after in ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))
)
PARAMETERS = {
    "vgg16": 14_714_688,
    "vgg19": 20_024_384,
    "resnet50": 23_587_712,
    "inception_v3": 21_802_784,
    "densenet121": 7_037_504,
    "resnet18": RESNET18,
    "alexnet": ALEXNET,
}


@pytest.mark.slow
@pytest.mark.parametrize(("network", "count"), PARAMETERS.items())
def test_the_networks_of_the_article_have_their_parameters(network, count):
    recipe = replace(NARROW, network=network, pixels=PixelRecipe(size=96), phases=(NARROW.phases[0],))
    made = networks.BACKBONES[network](recipe)
    assert made.count_params() == count
    assert networks.build(recipe).output["study"].shape == (None, 4)


@pytest.mark.parametrize(("network", "features"), [("alexnet", 6 * 6 * 256), ("vgg16", 7 * 7 * 512), ("vgg19", 7 * 7 * 512)])
@pytest.mark.slow
def test_the_networks_of_224_pixels_have_their_fully_connected_layers(network, features):
    recipe = by_name(f"article-{network}-s-224")
    model = networks.build(recipe)
    names = [layer.name for layer in model.layers]
    assert names[names.index(networks.BACKBONE) + 1 :] == ["flatten", "fc6", "fc6_dropout", "fc7", "fc7_dropout", "study"]
    sizes = features * 4096 + 4096, 4096 * 4096 + 4096, 4096 * 2 + 2
    assert model.count_params() == PARAMETERS[network] + sum(sizes)
    assert model.get_layer("fc6_dropout").rate == model.get_layer("fc7_dropout").rate == 0.5
    assert model.get_layer("fc6_dropout").seed != model.get_layer("fc7_dropout").seed


WIDTHS = {"alexnet": 256, "vgg16": 512, "vgg19": 512, "resnet18": 512, "resnet50": 2048, "inception_v3": 2048, "densenet121": 1024}


@pytest.mark.slow
@pytest.mark.parametrize("size", ["", "-512", "-1024"])
@pytest.mark.parametrize("network", PARAMETERS)
def test_the_articles_recipes_have_as_many_parameters_at_each_size(network, size):
    recipe = by_name(f"article-{network.replace('_', '-')}-s{size}")
    assert networks.build(recipe).count_params() == PARAMETERS[network] + 2 * WIDTHS[network] + 2


def test_the_networks_of_the_recipes_are_those_built_here():
    assert set(NETWORKS) == set(backbones.BACKBONES) == set(backbones.SCALES)


def test_known_sums_of_the_two_networks_built_here():
    assert RESNET18 == 11_186_112  # with moving averages; 11,176,512 learn
    assert ALEXNET == 2_469_696
