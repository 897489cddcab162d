"""Every rule of the metadata files, each broken once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slugify import slugify

from siim_kernel.delivery import metadata
from siim_kernel.errors import DeliveryError

SCRIPT = '# PARAMETERS\nCOMPETITION = "some-competition"\nIMAGES = ("my-images",)\n# END PARAMETERS\nprint(COMPETITION)\n'
KERNEL = {
    "id": "somebody/my-kernel",
    "title": "My Kernel",
    "code_file": "run.py",
    "language": "python",
    "kernel_type": "script",
    "is_private": True,
    "enable_gpu": True,
    "enable_tpu": False,
    "enable_internet": False,
    "machine_shape": "NvidiaTeslaT4",
    "keywords": [],
    "dataset_sources": ["somebody/my-code", "else/data/3"],
    "kernel_sources": ["somebody/my-images"],
    "competition_sources": ["some-competition"],
    "model_sources": ["google/model/keras/small/1"],
}
DATASET = {"id": "somebody/my-data", "title": "My Data", "subtitle": "Twenty characters and more", "licenses": [{"name": "apache-2.0"}]}
DIGEST = "gcr.io/kaggle-images/python@sha256:" + "0" * 64


@pytest.fixture
def kernel(tmp_path):
    """A function: the faults of a kernel folder with some fields changed (None: left out) and with another script."""

    def faults(script=SCRIPT, offline=True, **changes):
        fields = {name: value for name, value in (KERNEL | changes).items() if value is not None}
        (tmp_path / "kernel-metadata.json").write_text(json.dumps(fields))
        (tmp_path / "run.py").write_bytes(script if isinstance(script, bytes) else script.encode())
        return metadata.kernel_faults(fields, tmp_path, offline)

    return faults


@pytest.fixture
def dataset(tmp_path):
    """A function: the faults of a dataset folder with some fields changed, with these files."""

    def faults(files=("a.txt",), **changes):
        fields = {name: value for name, value in (DATASET | changes).items() if value is not None}
        for name in ("dataset-metadata.json", *files):
            (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / name).write_text("x")
        return metadata.dataset_faults(fields, tmp_path / "data")

    return faults


def test_a_kernel_and_a_dataset_as_they_should_be(kernel, dataset):
    assert kernel() == []
    assert dataset() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"enable_internet": None}, "enable_internet is missing"),
        ({"enable_internet": True}, "write enable_internet: false"),
        ({"enable_internet": "True"}, "write enable_internet: false"),
        ({"enable_internet": 0}, "enable_internet must be true or false, got 0"),
        ({"enable_internt": False}, "did you mean enable_internet?"),
        ({"gpu_hours": 3}, "no field 'gpu_hours'"),
        ({"id_no": 12}, "id_no wins over id"),
        ({"id": None}, "id must be owner/slug"),
        ({"id": "my-kernel"}, "id must be owner/slug"),
        ({"id": "somebody/my-kernel/3"}, "id must be owner/slug"),
        ({"id": "somebody/My-Kernel"}, "id must be owner/slug"),
        ({"id": "somebody/my--kernel"}, "id must be owner/slug"),
        ({"id": "somebody/abcd", "title": "abcd"}, "slug of a kernel must have 5 to 50 characters, 'abcd' has 4"),
        ({"id": f"somebody/{'a' * 51}", "title": "a" * 51}, "'" + "a" * 51 + "' has 51"),
        ({"title": "abcd"}, "title of a kernel must have 5 to 50 characters"),
        ({"title": None}, "title of a kernel must have 5 to 50 characters, got None"),
        ({"title": "Another Kernel"}, "makes the slug 'another-kernel' on Kaggle, id says 'my-kernel'"),
        ({"language": "Python"}, "language must be"),
        ({"kernel_type": "Script"}, "kernel_type must be script or notebook"),
        ({"code_file": None}, "code_file must name"),
        ({"code_file": "gone.py"}, "'gone.py' does not exist"),
        ({"code_file": "../run.py"}, "outside"),
        ({"is_private": "yes"}, "is_private must be true or false"),
        ({"enable_gpu": 1}, "enable_gpu must be true or false, got 1"),
        ({"enable_tpu": True}, "both true"),
        ({"enable_gpu": False}, "machine_shape NvidiaTeslaT4 goes with enable_gpu: true, got False"),
        ({"machine_shape": "TpuV5E8"}, "machine_shape TpuV5E8 goes with enable_tpu: true, got False"),
        ({"machine_shape": "NvidiaTeslaP100"}, "retired the P100"),
        ({"machine_shape": "Tpu1VmV38"}, "retired the TPU v3-8"),
        ({"machine_shape": "nvidiateslat4"}, "there are NvidiaTeslaT4, "),
        ({"machine_shape": ["NvidiaTeslaT4"]}, "there are NvidiaTeslaT4, "),
        ({"docker_image": "gcr.io/kaggle-images/python:latest"}, "by its digest"),
        ({"docker_image_pinning_type": "newest"}, "must be original or latest"),
        ({"docker_image_pinning_type": "latest", "docker_image": DIGEST}, "keep one of them"),
        ({"dataset_sources": ["my-code"]}, "dataset_sources: 'my-code' is not owner/slug"),
        ({"dataset_sources": ["datasets/somebody/my-code"]}, "is not owner/slug or owner/slug/version"),
        ({"dataset_sources": "somebody/my-code"}, "must be a list of texts"),
        ({"dataset_sources": [["somebody/my-code"]]}, "must be a list of texts"),
        ({"dataset_sources": ["somebody/my-code"] * 2}, "names 'somebody/my-code' twice"),
        ({"dataset_sources": ["somebody/my-code", "else/my-code"]}, "two sources have the slug 'my-code'"),
        ({"dataset_sources": ["somebody/my-code", "somebody/my-code/2"]}, "two sources have the slug 'my-code'"),
        ({"dataset_sources": ["somebody/my-images"]}, "two sources have the slug 'my-images'"),
        ({"kernel_sources": ["somebody/my-images", "somebody/abcd"]}, "kernel_sources: 'somebody/abcd' is not"),
        ({"kernel_sources": ["somebody/my-images", "somebody/my-kernel"]}, "names the kernel itself"),
        ({"kernel_sources": ["somebody/my-images", "Somebody/my-kernel/4"]}, "names the kernel itself"),
        ({"competition_sources": ["competitions/some-competition"]}, "the competition's slug alone"),
        ({"model_sources": ["google/model/keras/small"]}, "owner/model/framework/variation/version"),
        ({"model_sources": ["google/model/keras/small/one"]}, "owner/model/framework/variation/version"),
        ({"keywords": [1]}, "keywords must be a list of texts"),
        ({"kernel_sources": []}, "parameter IMAGES names the source 'my-images', which is not attached"),
        ({"competition_sources": []}, "parameter COMPETITION names the source 'some-competition', which is not attached"),
    ],
)
def test_a_kernel_that_kaggle_would_refuse_or_take_wrongly(kernel, changes, said):
    faults = kernel(**changes)
    assert any(said in fault for fault in faults), faults


@pytest.mark.parametrize(
    "changes",
    [
        {"enable_internet": "False"},
        {"machine_shape": None, "enable_gpu": None},
        {"machine_shape": "TpuV6E8", "enable_gpu": False, "enable_tpu": "true"},
        {"docker_image": DIGEST},
        {"docker_image": DIGEST, "docker_image_pinning_type": "original"},
        {"kernel_sources": ["somebody/my-images/7"]},
        {"keywords": None, "model_sources": None},
    ],
)
def test_what_kaggle_takes(kernel, changes):
    assert kernel(**changes) == []


def test_the_internet_may_be_on_where_nothing_is_submitted(kernel):
    assert kernel(offline=False, enable_internet=True) == []
    assert kernel(offline=False, enable_internet=None) != []


def padded(size):
    return SCRIPT + "#" + "x" * (size - len(SCRIPT) - 1)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (padded(metadata.MOST_SOURCE), "is sent as 1,000,000 bytes"),
        (padded(metadata.MOST_SOURCE // 2) + "ä" * 250_001, "is sent as 1,000,002 bytes"),
        (b"\xff", "UTF-8"),
        (SCRIPT + "print(", "run.py is not Python"),
        ("# PARAMETERS\nIMAGES = name\n# END PARAMETERS\n", "must be a literal"),
        (SCRIPT.replace('("my-images",)', '"other"'), "parameter IMAGES names the source 'other'"),
        (SCRIPT.replace('("my-images",)', '["my-images", ["more"]]'), "names the source ['more']"),
        (SCRIPT.replace("IMAGES", "RUNS").replace("my-images", "my-runs"), "parameter RUNS names the source 'my-runs'"),
    ],
)
def test_code_that_kaggle_would_refuse(kernel, script, said):
    faults = kernel(script)
    assert any(said in fault for fault in faults), faults


def test_code_just_below_the_limit(kernel):
    assert kernel(padded(metadata.MOST_SOURCE - 1)) == []
    assert kernel(SCRIPT.replace('("my-images",)', "None")) == []


def notebook(tmp_path, text, outputs):
    cell = {"cell_type": "code", "execution_count": None, "metadata": {"tags": []}, "outputs": outputs, "source": text}
    (tmp_path / "run.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def test_a_notebook_is_measured_as_it_is_sent(kernel, tmp_path):
    """The client leaves outputs out and joins lists of lines, and JSON writes what is not ASCII as six bytes."""
    as_notebook = {"code_file": "run.ipynb", "kernel_type": "notebook"}
    notebook(tmp_path, "pass", [{"output_type": "stream", "text": "x" * 2_000_000}])
    assert kernel(**as_notebook) == []
    notebook(tmp_path, ["#\n"] * 300_000, [])
    assert kernel(**as_notebook) == []
    notebook(tmp_path, "#" + "ä" * 200_000, [])
    assert any("run.ipynb is sent as 1,200,1" in fault for fault in kernel(**as_notebook))
    (tmp_path / "run.ipynb").write_text("{")
    assert any("not valid JSON" in fault for fault in kernel(**as_notebook))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": "my-data"}, "id must be owner/slug"),
        ({"id": "somebody/INSERT_SLUG_HERE"}, "id must be owner/slug"),
        ({"id": "somebody/abcde", "title": "abcde"}, "slug of a dataset must have 6 to 50 characters, 'abcde' has 5"),
        ({"title": "x" * 51}, "title of a dataset must have 6 to 50 characters"),
        ({"title": "INSERT_TITLE_HERE"}, "makes the slug 'insert-title-here'"),
        ({"subtitle": "Nineteen characters"}, "subtitle must have 20 to 80 characters"),
        ({"subtitle": "x" * 81}, "subtitle must have 20 to 80 characters"),
        ({"licenses": None}, "licenses must be one name"),
        ({"licenses": []}, "licenses must be one name"),
        ({"licenses": [{"name": "other"}] * 2}, "licenses must be one name"),
        ({"licenses": [{"name": "Apache-2.0"}]}, "licence 'Apache-2.0' is none that Kaggle knows"),
        ({"licences": []}, "did you mean licenses?"),
        ({"id_no": 1}, "id_no wins over id"),
        ({"description": 3}, "description must be text"),
        ({"keywords": "dicom"}, "keywords must be a list"),
        ({"resources": ["a.txt"]}, "resources must be a list of objects with a path"),
        ({"resources": [{"path": "b.txt"}]}, "resources names 'b.txt', which is no file"),
        ({"resources": [{"path": "a.txt"}] * 2}, "resources names 'a.txt' twice"),
    ],
)
def test_a_dataset_that_kaggle_would_refuse(dataset, changes, said):
    faults = dataset(**changes)
    assert any(said in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "holds no file to upload"),
        (["fold-0/run.json"], "the sub-folder fold-0 would be dropped"),
        (["datapackage.json"], "datapackage.json is a name that the client does not upload"),
        (["dataset-cover-image.png"], "dataset-cover-image.png is a name that the client does not upload"),
        ([".git/config"], ".git is a name that the client does not upload"),
        ([f"{number}.txt" for number in range(51)], "51 files at the top level, Kaggle takes 50"),
    ],
)
def test_a_folder_that_would_not_arrive_whole(dataset, files, said):
    faults = dataset(files)
    assert any(said in fault for fault in faults), faults


def test_fifty_files_and_a_missing_subtitle_are_well(dataset, tmp_path):
    assert dataset([f"{number}.txt" for number in range(50)], subtitle=None, resources=[{"path": "7.txt"}]) == []
    (tmp_path / "data" / "7.txt").unlink()
    (tmp_path / "data" / "7.txt").symlink_to("nowhere")
    assert any("7.txt is no file" in fault for fault in metadata.dataset_faults(DATASET, tmp_path / "data"))


def test_too_large_a_dataset(dataset, monkeypatch):
    monkeypatch.setattr(metadata, "MOST_DATASET", 2)
    assert dataset(["a", "b"]) == []
    assert any("GB" in fault for fault in dataset(["a", "b", "c"]))


def test_all_faults_are_told_at_once():
    metadata.require([], "a kernel")
    with pytest.raises(DeliveryError, match=r"a kernel.*nothing was sent:\n- one\n- two"):
        metadata.require(["one", "two"], "a kernel")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "expected a JSON object, got a list"),
        ('{"enable_internet": false, "enable_internet": true}', "enable_internet stands there twice"),
    ],
)
def test_a_metadata_file_that_says_nothing_sure(tmp_path, text, said):
    if text is not None:
        (tmp_path / "kernel-metadata.json").write_text(text)
    with pytest.raises(DeliveryError, match=said):
        metadata.load_fields(tmp_path / "kernel-metadata.json")


@given(st.text(st.sampled_from("abcXYZ019 -_.:!()"), max_size=30))
def test_slugs_are_those_that_the_client_computes(title):
    assert metadata.slug_of(title) == slugify(title)
