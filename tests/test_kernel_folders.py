"""Kernel folders and dataset metadata, held to what the Kaggle client 2.2.4 and the server ask."""

import json
import re
from pathlib import Path

import pytest

from siim_kernel.delivery import kernel_folders, notebook

CHECKOUT = Path(__file__).resolve().parent.parent
KERNELS = {path.parent.name: path.parent for path in CHECKOUT.glob("train_kernels/*/kernel-metadata.json")}
KERNELS["inference_kernel"] = CHECKOUT / "inference_kernel"
DATASETS = {path.parent.name: path.parent for path in CHECKOUT.glob("datasets-metadata/*/dataset-metadata.json")}
LISTS = ("dataset_sources", "kernel_sources", "competition_sources", "model_sources", "keywords")
FLAGS = ("is_private", "enable_gpu", "enable_tpu", "enable_internet")
TEXTS = ("id", "title", "code_file", "language", "kernel_type")
# The client takes these too; whatever else stands there it ignores without a word.
OPTIONAL = ("machine_shape", "docker_image", "docker_image_pinning_type", "id_no")
LICENSES = {"apache-2.0", "other"}
EXTERNAL = {"tawsifurrahman/covid19-radiography-database"}
MAX_SOURCE = 900_000  # bytes; the server refuses 1 MB and more

each_kernel = pytest.mark.parametrize("folder", [pytest.param(folder, id=name) for name, folder in sorted(KERNELS.items())])
each_dataset = pytest.mark.parametrize("folder", [pytest.param(folder, id=name) for name, folder in sorted(DATASETS.items())])


def kernel_fields(folder):
    return json.loads((folder / "kernel-metadata.json").read_text(encoding="utf-8"))


def dataset_fields(folder):
    return json.loads((folder / "dataset-metadata.json").read_text(encoding="utf-8"))


def slug_of(title):
    """The slug that Kaggle's server makes of a title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def test_the_folders_are_those_of_the_project():
    assert set(KERNELS) == {"images", "external_images", "train", "inference_kernel"}
    assert set(DATASETS) == {"code", "wheels", "imagenet-weights", "trained-weights"}


@each_kernel
def test_kernel_fields_are_known_and_of_their_kind(folder):
    fields = kernel_fields(folder)
    assert set(fields) - set(OPTIONAL) == {*LISTS, *FLAGS, *TEXTS}
    assert all(isinstance(fields[name], bool) for name in FLAGS)
    assert all(isinstance(fields[name], list) and all(isinstance(item, str) for item in fields[name]) for name in LISTS)
    assert all(isinstance(fields[name], str) and fields[name] for name in TEXTS)
    assert fields["language"] == "python"
    assert fields["kernel_type"] == ("notebook" if fields["code_file"].endswith(".ipynb") else "script")


@each_kernel
def test_kernel_slug_is_that_of_the_title(folder):
    fields = kernel_fields(folder)
    owner, slug = fields["id"].split("/")
    assert owner
    assert slug == slug_of(fields["title"])
    assert 5 <= len(slug) <= 50
    assert 5 <= len(fields["title"]) <= 50


@each_kernel
def test_kernels_are_private_and_offline(folder):
    fields = kernel_fields(folder)
    assert fields["enable_internet"] is False
    assert fields["is_private"] is True
    assert fields["enable_tpu"] is False


@each_kernel
def test_gpu_where_networks_run(folder):
    fields = kernel_fields(folder)
    wanted = folder.name in ("train", "inference_kernel")
    assert fields["enable_gpu"] is wanted
    assert fields.get("machine_shape") == ("NvidiaTeslaT4" if wanted else None)


@each_kernel
def test_sources_exist(folder):
    fields = kernel_fields(folder)
    datasets = {dataset_fields(each)["id"] for each in DATASETS.values()}
    kernels = {kernel_fields(each)["id"] for each in KERNELS.values()}
    assert set(fields["dataset_sources"]) <= datasets | EXTERNAL
    assert set(fields["kernel_sources"]) <= kernels - {fields["id"]}
    reads_it = "COMPETITION" in kernel_folders.read_parameters(folder)
    assert fields["competition_sources"] == ["siim-covid19-detection"] * reads_it
    assert fields["model_sources"] == []
    for name in LISTS:
        assert len(set(fields[name])) == len(fields[name])


@each_kernel
def test_parameters_name_attached_sources(folder):
    fields, parameters = kernel_fields(folder), kernel_folders.read_parameters(folder)
    attached = {ref.split("/")[1] for ref in fields["dataset_sources"] + fields["kernel_sources"]} | set(fields["competition_sources"])
    for name in ("COMPETITION", "IMAGES", "IMAGENET", "RUNS", "DATASET"):
        value = parameters.get(name, ())
        assert {value} if isinstance(value, str) else set(value) <= attached, name


@each_kernel
def test_code_is_small_utf8_with_parameters(folder):
    fields = kernel_fields(folder)
    code = folder / fields["code_file"]
    data = code.read_bytes()
    data.decode("utf-8")
    assert len(data) < MAX_SOURCE
    assert kernel_folders.read_parameters(folder)
    script = code.with_suffix(".py").read_text(encoding="utf-8")
    assert len(script.splitlines()) < 40
    assert script.startswith('"""Kaggle kernel')


def test_one_owner_everywhere():
    refs = [kernel_fields(folder)["id"] for folder in KERNELS.values()] + [dataset_fields(folder)["id"] for folder in DATASETS.values()]
    refs += [ref for folder in KERNELS.values() for name in LISTS[:2] for ref in kernel_fields(folder)[name] if ref not in EXTERNAL]
    assert len({ref.split("/")[0] for ref in refs}) == 1
    assert len({kernel_fields(folder)["id"] for folder in KERNELS.values()}) == len(KERNELS)


@each_dataset
def test_dataset_metadata(folder):
    fields = dataset_fields(folder)
    assert set(fields) <= {"id", "title", "subtitle", "licenses", "keywords", "description", "resources"}
    owner, slug = fields["id"].split("/")
    assert owner
    assert slug == slug_of(fields["title"]) == f"siim-kernel-{folder.name}"
    assert 6 <= len(slug) <= 50
    assert 6 <= len(fields["title"]) <= 50
    assert 20 <= len(fields["subtitle"]) <= 80
    assert len(fields["licenses"]) == 1
    assert fields["licenses"][0]["name"] in LICENSES


@each_dataset
def test_dataset_folder_says_what_goes_in(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 1
    assert "build/" in text


def test_the_notebook_is_that_of_its_script():
    folder = KERNELS["inference_kernel"]
    made = notebook.from_script((folder / "inference.py").read_text(encoding="utf-8"))
    assert (folder / "inference.ipynb").read_text(encoding="utf-8") == made, "run `make notebook`"


def test_the_inference_kernel_is_finished_before_kaggles_limit():
    hours = kernel_folders.read_parameters(KERNELS["inference_kernel"])["MAX_HOURS"]
    assert isinstance(hours, float)
    assert 8 <= hours <= 8.75  # of 9, with room for the session's start and the installation
    assert "max_hours=MAX_HOURS" in (KERNELS["inference_kernel"] / "inference.py").read_text(encoding="utf-8")
