"""The committed kernel and dataset folders: valid by themselves, and what this project wants of them."""

import ast
from pathlib import Path

import pytest

from siim_kernel.delivery import kernel_folders, manifest, metadata, notebook, sources, wheels

CHECKOUT = Path(__file__).resolve().parent.parent
KERNELS = {path.parent.name: path.parent for path in CHECKOUT.glob("train_kernels/*/kernel-metadata.json")}
KERNELS["inference_kernel"] = CHECKOUT / "inference_kernel"
DATASETS = {path.parent.name: path.parent for path in CHECKOUT.glob("datasets-metadata/*/dataset-metadata.json")}
EXTERNAL = {"tawsifurrahman/covid19-radiography-database"}

each_kernel = pytest.mark.parametrize("folder", [pytest.param(folder, id=name) for name, folder in sorted(KERNELS.items())])
each_dataset = pytest.mark.parametrize("folder", [pytest.param(folder, id=name) for name, folder in sorted(DATASETS.items())])


def kernel_fields(folder):
    return metadata.load_fields(folder / metadata.KERNEL_FILE)


def dataset_fields(folder):
    return metadata.load_fields(folder / metadata.DATASET_FILE)


def script(folder):
    return folder / kernel_fields(folder)["code_file"].replace(".ipynb", ".py")


def test_the_manifest_has_all_of_the_folders():
    assert {CHECKOUT / folder for folder in manifest.KERNELS.values()} == set(KERNELS.values())
    assert {CHECKOUT / folder for folder in manifest.DATASETS.values()} == set(DATASETS.values())
    manifest.load(CHECKOUT, manifest.PLACEHOLDER)


@each_kernel
def test_each_kernel_is_valid_by_itself(folder):
    """With the placeholder owner and the client alone, without the manifest."""
    assert metadata.kernel_faults(kernel_fields(folder), folder) == []
    assert kernel_folders.read_parameters(folder)


@each_dataset
def test_each_dataset_is_valid_by_itself(folder):
    assert metadata.dataset_faults(dataset_fields(folder), folder) == []
    assert dataset_fields(folder)["id"] == f"{manifest.PLACEHOLDER}/siim-kernel-{folder.name}"


@each_kernel
def test_every_field_is_written_out(folder):
    """So that no default of the client, which differ from its documentation, decides."""
    fields = kernel_fields(folder)
    assert set(fields) - set(metadata.OPTIONAL_KERNEL_FIELDS) == set(metadata.KERNEL_FIELDS)
    assert all(isinstance(fields[name], bool) for name in metadata.FLAGS)


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
def test_sources_are_the_projects(folder):
    fields = kernel_fields(folder)
    datasets = {dataset_fields(each)["id"] for each in DATASETS.values()}
    kernels = {kernel_fields(each)["id"] for each in KERNELS.values()}
    assert set(fields["dataset_sources"]) <= datasets | EXTERNAL
    assert set(fields["kernel_sources"]) <= kernels
    reads_it = "COMPETITION" in kernel_folders.read_parameters(folder)
    assert fields["competition_sources"] == [manifest.COMPETITION] * reads_it
    assert fields["model_sources"] == []


def test_each_source_is_named_by_a_parameter_or_holds_wheels():
    """A source that nothing reads would be asked of everyone who pushes the kernel."""
    for folder in KERNELS.values():
        parameters = kernel_folders.read_parameters(folder)
        named = {slug for name in sources.SOURCE_PARAMETERS for slug in sources.named_sources(parameters.get(name))}
        attached = {sources.slug_in(ref) for kind in sources.SOURCES for ref in kernel_fields(folder)[kind]}
        assert attached == named | {"siim-kernel-code", "siim-kernel-wheels"}


def test_one_owner_everywhere():
    refs = [kernel_fields(folder)["id"] for folder in KERNELS.values()] + [dataset_fields(folder)["id"] for folder in DATASETS.values()]
    lists = ("dataset_sources", "kernel_sources")
    refs += [ref for folder in KERNELS.values() for name in lists for ref in kernel_fields(folder)[name] if ref not in EXTERNAL]
    assert {ref.split("/")[0] for ref in refs} == {manifest.PLACEHOLDER}
    assert len({kernel_fields(folder)["id"] for folder in KERNELS.values()}) == len(KERNELS)


@each_kernel
def test_scripts_are_short(folder):
    text = script(folder).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 40
    assert text.startswith('"""Kaggle kernel')


def install(folder):
    """The source of a script's bootstrap."""
    text = script(folder).read_text(encoding="utf-8")
    (found,) = [item for item in ast.parse(text).body if isinstance(item, ast.FunctionDef)]
    return ast.get_source_segment(text, found)


def test_the_bootstrap_is_the_same_everywhere():
    assert len({install(folder) for folder in KERNELS.values()}) == 1
    text = install(KERNELS["train"])
    assert all(f'"{name}"' in text for name in (wheels.PACKAGE, *wheels.LACKING))
    assert all(f'"{option}"' in text for option in ("--no-index", "--no-deps", "--target", "--isolated"))


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
