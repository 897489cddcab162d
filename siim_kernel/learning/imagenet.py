"""ImageNet weights from an attached file into a backbone: Keras's own files, and torchvision's of the networks that Keras lacks.

torchvision's files are pickles that only torch reads; their arrays are taken as `.npz` or `.safetensors`, under their own names.
"""

import json
import math
import zipfile
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
from keras import layers

from siim_kernel.errors import RecipeError

TORCHVISION = ("resnet18", "alexnet")  # built here with layers named as torchvision's modules
UNUSED = ("fc.", "classifier.")  # the layers behind the features, by the beginning of their arrays' names
COUNTERS = "num_batches_tracked"
HEADER_LIMIT = 10**8  # bytes of a safetensors header, by its specification
# What h5py, Keras, numpy and zipfile raise for files that are not what they should be.
FAULTS = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
SAFETENSORS_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def form(network):
    """In words, the file that holds a network's ImageNet weights."""
    if network in TORCHVISION:
        return f"torchvision's arrays of {network} as .npz or .safetensors"
    return f"Keras's no-top file of {network}"


def load_imagenet(backbone, recipe, path):
    """Loads ImageNet weights into a backbone.

    path  Keras's own no-top file (legacy HDF5) or a `.weights.h5` of the same network; of resnet18 and alexnet torchvision's
          arrays, `.npz` or `.safetensors`. The content tells which it is, not the name

    Raises RecipeError where the file is missing, no such file, or of another network; nothing is left half loaded in use.
    """
    network = recipe.network
    if path is None:
        raise RecipeError(
            f"recipe {recipe.name} starts from ImageNet weights and none are given: attach {form(network)} "
            "(--imagenet FILE, or the imagenet-weights dataset), or take a recipe that trains from scratch"
        )
    before = [weight.numpy().copy() for weight in backbone.weights]
    try:
        if network in TORCHVISION and not h5py.is_hdf5(path):
            set_torchvision(backbone, named_arrays(Path(path)))
        else:
            _load_keras(backbone, path)
    except FileNotFoundError:
        raise RecipeError(f"the ImageNet weights {path} do not exist; give {form(network)}") from None
    except FAULTS as error:
        reason = " ".join(str(error).split())[:300]
        raise RecipeError(f"the weights {path} do not fit {network} without top: {reason}; give {form(network)}") from None
    wild = [weight.path for weight in backbone.weights if not np.isfinite(weight.numpy()).all()]
    if wild:
        raise RecipeError(f"the weights {path} are not finite in {len(wild)} places, the first is {wild[0]}; get the file again")
    same = [
        weight.path
        for weight, old in zip(backbone.weights, before, strict=True)
        if "kernel" in weight.path and (weight.numpy() == old).all()
    ]
    if same:
        raise RecipeError(f"the weights {path} left {len(same)} kernels of {network} as they were, the first is {same[0]}")


def _load_keras(backbone, path):
    with h5py.File(path) as file:
        legacy = "layer_names" in file.attrs or "model_weights" in file
    with TemporaryDirectory() as folder:  # Keras chooses its reader by the name's ending; files have all sorts of names
        link = Path(folder) / ("legacy.h5" if legacy else "new.weights.h5")
        link.symlink_to(Path(path).resolve())
        backbone.load_weights(link)


def set_torchvision(backbone, arrays):
    """Gives a backbone the arrays of a torchvision state dict: a dict of name -> array.

    Convolutions stand as [out, in, rows, columns] there, as [rows, columns, in, out] here; batch norm has weight, bias,
    running_mean and running_var for gamma, beta and the moving moments. Raises ValueError where arrays are missing, of another
    shape, or left over: the file is then of another network.
    """
    left = {name for name in arrays if not name.startswith(UNUSED) and not name.endswith(COUNTERS)}
    values = []
    for layer in backbone.layers:
        parts = {}
        if isinstance(layer, layers.Conv2D):
            parts = {"weight": (2, 3, 1, 0)} | ({"bias": (0,)} if layer.use_bias else {})
        elif isinstance(layer, layers.BatchNormalization):
            parts = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (0,))
        found = []
        for weight, (part, axes) in zip(layer.weights, parts.items(), strict=True):
            name = f"{layer.name}.{part}"
            if name not in left:
                raise ValueError(f"the array {name} is missing")
            left.remove(name)
            if arrays[name].ndim != len(axes) or arrays[name].transpose(axes).shape != tuple(weight.shape):
                raise ValueError(f"the array {name} has the shape {arrays[name].shape}, which becomes no {tuple(weight.shape)}")
            found.append(arrays[name].transpose(axes))
        values.append((layer, found))
    if left:
        raise ValueError(f"{len(left)} arrays belong to no layer, the first is {min(left)}")
    for layer, found in values:
        layer.set_weights(found)


def named_arrays(path):
    """The arrays in a `.npz` or `.safetensors` file by name, whatever it is called. Raises OSError, ValueError, BadZipFile."""
    with open(path, "rb") as file:
        if file.read(2) != b"PK":
            return _safetensors(path)
    with np.load(path, allow_pickle=False) as file:
        if not all(name.endswith(".npy") for name in file.zip.namelist()):
            raise ValueError("it is a zip file of something else than arrays (a .pth is read by torch alone: store its arrays as .npz)")
        return {name: file[name] for name in file.files}


def _safetensors(path):
    """The floating-point arrays of a safetensors file: 8 bytes of header length, a JSON header, the arrays' bytes."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(HEADER_LIMIT, len(content) - 8):
        raise ValueError("it is neither .npz nor .safetensors")
    header, data = json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]
    arrays = {}
    for name, facts in header.items():
        if name == "__metadata__" or name.endswith(COUNTERS):
            continue
        if facts["dtype"] not in SAFETENSORS_TYPES:
            raise ValueError(f"the array {name} is of the type {facts['dtype']}; known are {', '.join(SAFETENSORS_TYPES)}")
        (start, end), kind = facts["data_offsets"], np.dtype(SAFETENSORS_TYPES[facts["dtype"]])
        if not 0 <= start <= end <= len(data) or end - start != kind.itemsize * math.prod(facts["shape"]):
            raise ValueError(f"the array {name} does not lie within the file; it is cut off")
        arrays[name] = np.frombuffer(data[start:end], kind).reshape(facts["shape"])
    return arrays
