"""torchvision's arrays in the networks that Keras lacks: the same numbers come out as by torch's definitions, written here in numpy."""

import json
from dataclasses import replace

import numpy as np
import pytest

from siim_kernel.errors import RecipeError
from siim_kernel.learning import backbones, imagenet, networks
from siim_kernel.recipes.recipe import Phase, PixelRecipe, Recipe

RESNET18 = Recipe(
    name="residual",
    about="",
    network="resnet18",
    weights="imagenet",
    pixels=PixelRecipe(size=64),
    phases=(Phase(epochs=1, trainable="all", optimizer="adam", learning_rate=1e-3),),
)
ALEXNET = replace(RESNET18, name="alex", network="alexnet", pixels=PixelRecipe(size=95))


def resnet18_arrays(draw):
    """A state dict of torchvision's resnet18 by its names and shapes, the numbers random."""
    arrays = {}

    def convolution(name, after, before, side):
        arrays[f"{name}.weight"] = draw.normal(0, (2 / (before * side * side)) ** 0.5, (after, before, side, side))

    def norm(name, width):
        arrays[f"{name}.weight"] = draw.uniform(0.5, 1.5, width)
        arrays[f"{name}.bias"] = draw.normal(0, 0.2, width)
        arrays[f"{name}.running_mean"] = draw.normal(0, 0.2, width)
        arrays[f"{name}.running_var"] = draw.uniform(1e-5, 1.5, width)  # so that epsilon is seen
        arrays[f"{name}.num_batches_tracked"] = np.array(7)

    convolution("conv1", 64, 3, 7)
    norm("bn1", 64)
    before = 64
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            convolution(f"{name}.conv1", width, before, 3)
            norm(f"{name}.bn1", width)
            convolution(f"{name}.conv2", width, width, 3)
            norm(f"{name}.bn2", width)
            if before != width:
                convolution(f"{name}.downsample.0", width, before, 1)
                norm(f"{name}.downsample.1", width)
            before = width
    arrays["fc.weight"], arrays["fc.bias"] = draw.normal(size=(1000, 512)), draw.normal(size=1000)
    return as_float32(arrays)


def alexnet_arrays(draw):
    arrays = {}
    for number, after, before, side in ((0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)):
        arrays[f"features.{number}.weight"] = draw.normal(0, (2 / (before * side * side)) ** 0.5, (after, before, side, side))
        arrays[f"features.{number}.bias"] = draw.normal(0, 0.2, after)
    arrays["classifier.1.weight"], arrays["classifier.1.bias"] = draw.normal(size=(8, 9216)), draw.normal(size=8)
    return as_float32(arrays)


def as_float32(arrays):
    return {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in arrays.items()}


def conv(x, weight, stride, pad, bias=0.0):
    """torch.nn.Conv2d: [N, C, H, W] by [O, C, k, k], zeros on all sides."""
    side = weight.shape[-1]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height, width = ((size - side) // stride + 1 for size in x.shape[2:])
    total = np.zeros((len(x), len(weight), height, width))
    for row in range(side):
        for column in range(side):
            part = x[:, :, row : row + stride * height : stride, column : column + stride * width : stride]
            total += np.einsum("nchw,oc->nohw", part, weight[:, :, row, column], optimize=True)
    return total + np.reshape(bias, (-1, 1, 1))


def norm(x, arrays, name):
    """torch.nn.BatchNorm2d as it predicts, with its epsilon of 1e-5."""
    gamma, beta, mean, var = (arrays[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var"))
    return (x - mean) / np.sqrt(var + 1e-5) * gamma + beta


def pool(x, pad):
    """torch.nn.MaxPool2d(3, 2): what is padded is never the largest."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=-np.inf)
    height, width = ((size - 3) // 2 + 1 for size in x.shape[2:])
    return np.max([x[:, :, r : r + 2 * height : 2, c : c + 2 * width : 2] for r in range(3) for c in range(3)], axis=0)


def relu(x):
    return np.maximum(x, 0)


def resnet18(x, arrays):
    """torchvision's resnet18 up to its pooling."""
    x = pool(relu(norm(conv(x, arrays["conv1.weight"], 2, 3), arrays, "bn1")), 1)
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            inner = relu(norm(conv(x, arrays[f"{name}.conv1.weight"], stride, 1), arrays, f"{name}.bn1"))
            inner = norm(conv(inner, arrays[f"{name}.conv2.weight"], 1, 1), arrays, f"{name}.bn2")
            if stride == 2:
                x = norm(conv(x, arrays[f"{name}.downsample.0.weight"], 2, 0), arrays, f"{name}.downsample.1")
            x = relu(x + inner)
    return x


def alexnet(x, arrays):
    """torchvision's alexnet up to its average pooling."""
    x = pool(relu(conv(x, arrays["features.0.weight"], 4, 2, arrays["features.0.bias"])), 0)
    x = pool(relu(conv(x, arrays["features.3.weight"], 1, 2, arrays["features.3.bias"])), 0)
    for number in (6, 8, 10):
        x = relu(conv(x, arrays[f"features.{number}.weight"], 1, 1, arrays[f"features.{number}.bias"]))
    return pool(x, 0)


CASES = {"resnet18": (RESNET18, resnet18_arrays, resnet18), "alexnet": (ALEXNET, alexnet_arrays, alexnet)}


def write_safetensors(path, arrays):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        content = np.ascontiguousarray(array).tobytes()
        kind = {"float32": "F32", "float16": "F16", "int64": "I64"}[str(array.dtype)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


WRITERS = {
    "npz": lambda path, arrays: np.savez(path.open("wb"), **arrays),
    "compressed": lambda path, arrays: np.savez_compressed(path.open("wb"), **arrays),
    "safetensors": write_safetensors,
}


def written(path, arrays, form="npz"):
    WRITERS[form](path, arrays)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("network", CASES)
@pytest.mark.parametrize("size", [96, 75])
def test_with_torchvisions_arrays_the_same_comes_out(network, size, tmp_path):
    recipe, make, compute = CASES[network]
    recipe = replace(recipe, pixels=PixelRecipe(size=size))
    arrays = make(np.random.default_rng(3))
    backbone = backbones.BACKBONES[network](recipe)
    imagenet.load_imagenet(backbone, recipe, written(tmp_path / "arrays", arrays))
    films = np.random.default_rng(4).normal(size=(2, size, size, 3)).astype(np.float32)
    expected = compute(films.transpose(0, 3, 1, 2).astype(float), arrays).transpose(0, 2, 3, 1)
    found = backbone.predict_on_batch(films)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_gives_the_same_weights_under_any_name(form, tmp_path):
    arrays = alexnet_arrays(np.random.default_rng(3))
    path = written(tmp_path / "weights of a colleague", arrays, form)
    model = networks.build(ALEXNET, path)
    first, last = (model.get_layer(networks.BACKBONE).get_layer(f"features.{number}") for number in (0, 10))
    np.testing.assert_array_equal(first.get_weights()[0][5, 2, 1, 7], arrays["features.0.weight"][7, 1, 5, 2])
    np.testing.assert_array_equal(last.get_weights()[1], arrays["features.10.bias"])


def test_a_file_of_ones_own_in_keras_form_loads_too(tmp_path):
    backbone = backbones.alexnet(ALEXNET)
    backbone.save_weights(tmp_path / "own.weights.h5")
    again = backbones.alexnet(ALEXNET)
    imagenet.load_imagenet(again, ALEXNET, tmp_path / "own.weights.h5")
    np.testing.assert_array_equal(again.get_weights()[0], backbone.get_weights()[0])


def without(name):
    return lambda arrays: {key: array for key, array in arrays.items() if key != name}


MISTAKES = {
    "a layer is missing": (without("features.8.bias"), "the array features.8.bias is missing"),
    "a layer more": (
        lambda arrays: arrays | {"features.12.weight": np.ones(3, np.float32)},
        "1 arrays belong to no layer, the first is fe",
    ),
    "a transposed kernel": (
        lambda arrays: arrays | {"features.0.weight": arrays["features.0.weight"].transpose(2, 3, 1, 0)},
        r"features.0.weight has the shape \(11, 11, 3, 64\)",
    ),
    "a flat kernel": (
        lambda arrays: arrays | {"features.0.weight": arrays["features.0.weight"].ravel()},
        "features.0.weight has the shape",
    ),
    "another network": (lambda arrays: resnet18_arrays(np.random.default_rng(0)), "the array features.0.weight is missing"),
    "no number": (lambda arrays: arrays | {"features.3.bias": np.full(192, np.nan, np.float32)}, "not finite in 1 places"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_arrays_of_another_network_are_refused(mistake, form, tmp_path):
    change, message = MISTAKES[mistake]
    path = written(tmp_path / "weights", change(alexnet_arrays(np.random.default_rng(3))), form)
    with pytest.raises(RecipeError, match=message) as caught:
        networks.build(ALEXNET, path)
    assert str(path) in str(caught.value)
    assert "of alexnet as .npz or .safetensors" in str(caught.value) or "get the file again" in str(caught.value)


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.999])
def test_a_file_cut_off_is_refused(form, share, tmp_path):
    path = written(tmp_path / "weights", alexnet_arrays(np.random.default_rng(3)), form)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(RecipeError, match="do not fit alexnet without top"):
        networks.build(ALEXNET, path)


@pytest.mark.parametrize(
    "content",
    [b"404: Not Found\n" * 50, b"\x02\0\0\0\0\0\0\0[]", b"\x04\0\0\0\0\0\0\0\xff\xff\xff\xff", b'\x0b\0\0\0\0\0\0\0{"a": null}'],
    ids=["text", "a list", "no text", "no facts"],
)
def test_what_is_no_file_of_arrays_is_refused(content, tmp_path):
    (tmp_path / "weights").write_bytes(content)
    with pytest.raises(RecipeError, match="do not fit alexnet without top"):
        networks.build(ALEXNET, tmp_path / "weights")


def test_a_pickle_in_a_zip_file_is_never_opened(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "alexnet.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(RecipeError, match="a .pth is read by torch alone: store its arrays as .npz"):
        networks.build(ALEXNET, tmp_path / "alexnet.pth")
    np.savez(tmp_path / "objects.npz", **{"features.0.weight": np.array([{}], object)})
    with pytest.raises(RecipeError, match="do not fit alexnet"):
        networks.build(ALEXNET, tmp_path / "objects.npz")


def test_without_a_file_it_is_said_which_is_wanted(tmp_path):
    with pytest.raises(RecipeError, match="attach torchvision's arrays of resnet18 as .npz or .safetensors"):
        networks.build(RESNET18)
    with pytest.raises(RecipeError, match="do not exist; give torchvision's arrays of resnet18"):
        networks.build(RESNET18, tmp_path / "gone.npz")
