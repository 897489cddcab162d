"""The manifest: whose it is, what is staged from it, and what is refused before anything is sent."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from siim_kernel.delivery import contents, kernel_folders, manifest, metadata
from siim_kernel.errors import DeliveryError

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDERS = ("train_kernels", "inference_kernel", "datasets-metadata", "pyproject.toml")


@pytest.fixture
def checkout(tmp_path):
    """A copy of what a manifest is loaded from."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in FOLDERS:
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copyfile
        copy(CHECKOUT / name, root / name)
    return root


@pytest.fixture
def mine(checkout):
    return manifest.load(checkout, "somebody")


def change(path, **fields):
    """Change fields of a metadata file; None takes one out."""
    changed = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in changed.items() if value is not None}))


def staged(folder):
    return json.loads((folder / metadata.KERNEL_FILE).read_text())


def test_the_checkout_is_read_for_an_owner(mine, checkout):
    assert (mine.owner, mine.competition, mine.accelerator, mine.docker_image) == ("somebody", "siim-covid19-detection", None, None)
    assert mine.version in (checkout / "pyproject.toml").read_text()
    assert mine.kernels["external_images"] == checkout / "train_kernels" / "external_images"
    assert mine.kernel_ref("train", "-fold1") == "somebody/siim-kernel-train-fold1"
    assert mine.dataset_ref("trained-weights") == "somebody/siim-kernel-trained-weights"
    with pytest.raises(DeliveryError, match="there is no kernel 'training'; there are images, external_images, train, inference"):
        mine.kernel_ref("training")
    with pytest.raises(DeliveryError, match="there is no dataset 'weights'; there are code, wheels"):
        mine.dataset_ref("weights")


@pytest.mark.parametrize("owner", ["", "two words", "a/b", None])
def test_an_owner_that_is_no_user_name(checkout, owner):
    with pytest.raises(DeliveryError, match="Kaggle user name"):
        manifest.load(checkout, owner)


def test_a_folder_that_is_no_checkout(tmp_path):
    with pytest.raises(DeliveryError, match="no checkout of the project"):
        manifest.load(tmp_path, "somebody")


@pytest.mark.parametrize(
    ("environment", "given", "owner"),
    [
        ({"KAGGLE_USERNAME": "of-environment"}, "given", "given"),
        ({"KAGGLE_USERNAME": "of-environment", "KAGGLE_CONFIG_DIR": "config"}, None, "of-environment"),
        ({"KAGGLE_CONFIG_DIR": "config"}, None, "of-config"),
        ({"XDG_CONFIG_HOME": "xdg"}, None, "of-home"),
        ({"HOME": "empty", "XDG_CONFIG_HOME": "xdg"}, None, "of-xdg"),
        ({"HOME": "plain"}, None, "of-dot-config"),
    ],
)
def test_the_owner_is_looked_for_where_the_client_looks(tmp_path, environment, given, owner):
    files = {"config": "of-config", "home/.kaggle": "of-home", "xdg/kaggle": "of-xdg", "plain/.config/kaggle": "of-dot-config"}
    for folder, name in files.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "kaggle.json").write_text(json.dumps({"username": name, "key": "secret"}))
    environment = {"HOME": "home"} | environment
    paths = {name: value if name == "KAGGLE_USERNAME" else str(tmp_path / value) for name, value in environment.items()}
    assert manifest.owner_of(paths, given) == owner


def test_no_owner_says_what_to_do(tmp_path):
    with pytest.raises(DeliveryError, match=r"whose Kaggle account\? name it with --owner, set KAGGLE_USERNAME, or put your kaggle\.json"):
        manifest.owner_of({"HOME": str(tmp_path), "KAGGLE_API_TOKEN": "secret"})
    with pytest.raises(DeliveryError, match="'your-name' is no Kaggle user name"):
        manifest.owner_of({}, "your-name")


def test_the_tokens_owner_is_the_owner_and_no_other_is_taken(tmp_path):
    nobody = {"HOME": str(tmp_path)}
    assert manifest.owner_of(nobody, None, "Ada") == "Ada"
    assert manifest.owner_of(nobody, "ada", "Ada") == "Ada"
    with pytest.raises(DeliveryError, match="the token belongs to ada, --owner says grace"):
        manifest.owner_of(nobody, "grace", "ada")
    with pytest.raises(DeliveryError, match="the token belongs to ada, KAGGLE_USERNAME says grace"):
        manifest.owner_of(nobody | {"KAGGLE_USERNAME": "grace"}, None, "ada")


@pytest.mark.parametrize("text", ['{"username": "somebody", "key": "se', '["se"]', '{"username": 3, "key": "se"}'])
def test_a_broken_kaggle_json_does_not_get_shown(tmp_path, text):
    (tmp_path / "kaggle.json").write_text(text)
    with pytest.raises(DeliveryError) as caught:
        manifest.owner_of({"KAGGLE_CONFIG_DIR": str(tmp_path)})
    assert "'se" not in str(caught.value)
    assert '"se' not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_staged_kernel_is_the_owners(mine, tmp_path):
    out = manifest.stage_kernel(mine, "train", tmp_path / "out", {"FOLD": 1, "MAX_HOURS": 4}, "-main-fold1")
    fields = staged(out)
    assert (fields["id"], fields["title"]) == ("somebody/siim-kernel-train-main-fold1", "siim-kernel-train-main-fold1")
    assert fields["dataset_sources"] == [f"somebody/siim-kernel-{name}" for name in ("code", "wheels", "imagenet-weights")]
    assert fields["kernel_sources"] == ["somebody/siim-kernel-images"]
    assert fields["competition_sources"] == ["siim-covid19-detection"]
    assert (fields["enable_internet"], fields["machine_shape"]) == (False, "NvidiaTeslaT4")
    assert "your-name" not in (out / metadata.KERNEL_FILE).read_text()
    read = kernel_folders.read_parameters(out)
    assert (read["FOLD"], read["MAX_HOURS"], read["RECIPE"]) == (1, 4, "main")
    assert sorted(path.name for path in out.iterdir()) == ["kernel-metadata.json", "train.py"]


@pytest.mark.parametrize("name", manifest.KERNELS)
def test_every_kernel_can_be_staged_as_it_stands(mine, tmp_path, name):
    fields = staged(manifest.stage_kernel(mine, name, tmp_path / "out"))
    assert fields["id"] == mine.kernel_ref(name)
    assert fields == mine.kernel_fields(name)


def test_a_checkout_that_was_renamed_by_hand_is_taken_too(checkout, tmp_path):
    for path in checkout.rglob("kernel-metadata.json"):
        path.write_text(path.read_text().replace("your-name/", "colleague/"))
    fields = staged(manifest.stage_kernel(manifest.load(checkout, "somebody"), "external_images", tmp_path / "out"))
    assert fields["id"] == "somebody/siim-kernel-external-images"
    assert fields["competition_sources"] == []
    assert fields["dataset_sources"][-1] == "tawsifurrahman/covid19-radiography-database"
    assert all(ref.startswith("somebody/") for ref in fields["dataset_sources"][:-1])


def test_accelerator_and_image_are_the_manifests(checkout, tmp_path):
    digest = "gcr.io/kaggle-gpu-images/python@sha256:" + "a" * 64
    chosen = manifest.load(checkout, "somebody", accelerator="NvidiaL4", docker_image=digest)
    fields = staged(manifest.stage_kernel(chosen, "inference", tmp_path / "gpu"))
    assert (fields["machine_shape"], fields["docker_image"]) == ("NvidiaL4", digest)
    assert "machine_shape" not in staged(manifest.stage_kernel(chosen, "images", tmp_path / "cpu"))
    with pytest.raises(DeliveryError, match="retired the P100"):
        manifest.load(checkout, "somebody", accelerator="NvidiaTeslaP100")


def test_sources_are_added(mine, tmp_path):
    sources = {"kernel_sources": ["siim-kernel-train-b", "somebody/siim-kernel-images/7"], "dataset_sources": "else/more-runs"}
    fields = staged(manifest.stage_kernel(mine, "train", tmp_path / "out", sources=sources))
    assert fields["kernel_sources"] == ["somebody/siim-kernel-train-b", "somebody/siim-kernel-images/7"]
    assert fields["dataset_sources"][-1] == "else/more-runs"
    with pytest.raises(DeliveryError, match="'kernels' is no kind of source; there are dataset_sources"):
        manifest.stage_kernel(mine, "train", tmp_path / "other", sources={"kernels": ["a"]})


def test_a_source_that_no_parameter_names_any_more_is_detached(mine, tmp_path):
    """Else Kaggle would be asked for a dataset that was perhaps never published."""
    runs = {"kernel_sources": ["siim-kernel-train-fold0", "siim-kernel-train-fold1"]}
    out = manifest.stage_kernel(
        mine, "inference", tmp_path / "out", {"RUNS": ("siim-kernel-train-fold0", "siim-kernel-train-fold1")}, sources=runs
    )
    fields = staged(out)
    assert fields["dataset_sources"] == ["somebody/siim-kernel-code", "somebody/siim-kernel-wheels"]
    assert len(fields["kernel_sources"]) == 2
    fields = staged(manifest.stage_kernel(mine, "train", tmp_path / "small", {"RECIPE": "small", "IMAGENET": None}))
    assert "somebody/siim-kernel-imagenet-weights" not in fields["dataset_sources"]


def refused(tmp_path, mine, name, said, *arguments, **more):
    with pytest.raises(DeliveryError, match=said) as caught:
        manifest.stage_kernel(mine, name, tmp_path / "out", *arguments, **more)
    assert "nothing was sent" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"enable_internet": True}, "write enable_internet: false"),
        ({"enable_internet": None}, "enable_internet is missing"),
        ({"enable_internet": None, "enable_intrenet": False}, "did you mean enable_internet"),
        (
            {"dataset_sources": ["your-name/siim-kernel-code", "your-name/siim-kernel-wheels"]},
            "'siim-kernel-trained-weights', which is not",
        ),
        ({"competition_sources": []}, "parameter COMPETITION names the source 'siim-covid19-detection', which is not attached"),
        ({"dataset_sources": "your-name/siim-kernel-code"}, "dataset_sources must be a list"),
    ],
)
def test_an_inference_kernel_that_would_fail_on_kaggle_is_refused(checkout, mine, tmp_path, fields, said):
    change(checkout / "inference_kernel" / "kernel-metadata.json", **fields)
    refused(tmp_path, mine, "inference", said)
    with pytest.raises(DeliveryError, match=said):
        manifest.load(checkout, "somebody")


def test_a_source_over_a_megabyte_is_refused(checkout, mine, tmp_path):
    path = checkout / "inference_kernel" / "inference.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][-1]["source"] = ["#" + "x" * 1_000_000]
    path.write_text(json.dumps(notebook))
    refused(tmp_path, mine, "inference", r"inference\.ipynb is sent as 1,00.* bytes, Kaggle takes less than 1,000,000")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "train",
            {"parameters": {"IMAGES": ("siim-kernel-images", "siim-kernel-external-images")}},
            "'siim-kernel-external-images', which",
        ),
        ("train", {"parameters": {"MAX_HOURS": 12}}, "ended after 12 hours"),
        ("inference", {"parameters": {"MAX_HOURS": 9}}, "ended after 9 hours"),
        ("inference", {"parameters": {"MAX_HOURS": None}}, "ended after 9 hours"),
        ("train", {"sources": {"kernel_sources": ["siim-kernel-train"]}}, "names the kernel itself"),
        ("train", {"suffix": "-b", "sources": {"kernel_sources": ["somebody/siim-kernel-train-b/3"]}}, "names the kernel itself"),
        ("train", {"suffix": "-" + "x" * 33}, "must have 5 to 50 characters"),
        ("train", {"sources": {"dataset_sources": ["else/siim-kernel-images"]}}, "two sources have the slug 'siim-kernel-images'"),
    ],
)
def test_a_push_that_cannot_work_is_refused(mine, tmp_path, name, given, said):
    refused(tmp_path, mine, name, said, **given)


def test_an_earlier_session_under_another_slug_may_be_a_source(mine, tmp_path):
    fields = staged(manifest.stage_kernel(mine, "train", tmp_path / "b", None, "-b", {"kernel_sources": ["siim-kernel-train"]}))
    assert (fields["id"], fields["kernel_sources"][-1]) == ("somebody/siim-kernel-train-b", "somebody/siim-kernel-train")


@pytest.fixture
def files(tmp_path):
    """A folder as `trained-weights` is uploaded from."""
    folder = tmp_path / "files"
    for name in ("fold-0/run.json", "fold-0/deep/note.txt", "fold-1/run.json", "joined.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def as_mounted(folder, out):
    """What kernels see of an uploaded folder: archives unpacked, the metadata gone."""
    out.mkdir()
    for path in folder.iterdir():
        if path.suffix == ".zip":
            zipfile.ZipFile(path).extractall(out / path.stem)
        elif path.name != metadata.DATASET_FILE:
            shutil.copyfile(path, out / path.name)
    return out


def test_a_staged_dataset_arrives_whole(mine, files, tmp_path):
    (files / "dataset-metadata.json").write_text("an old one")
    (files / manifest.HASHES).write_text("an old one")
    out = manifest.stage_dataset(mine, "trained-weights", files, tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == [
        "dataset-metadata.json",
        "files.sha256.json",
        "fold-0.zip",
        "fold-1.zip",
        "joined.json",
    ]
    assert metadata.load_fields(out / "dataset-metadata.json") == mine.dataset_fields("trained-weights")
    assert metadata.load_fields(out / "dataset-metadata.json")["id"] == "somebody/siim-kernel-trained-weights"
    listed = json.loads((out / manifest.HASHES).read_text())
    assert listed["made_by"] == f"siim-kernel {mine.version}"
    assert list(listed["files"]) == ["fold-0/deep/note.txt", "fold-0/run.json", "fold-1/run.json", "joined.json"]
    assert listed["files"]["joined.json"]["bytes"] == len("joined.json")
    mounted = as_mounted(out, tmp_path / "mounted")
    assert (mounted / "fold-0" / "deep" / "note.txt").read_text() == "fold-0/deep/note.txt"
    manifest.verify_hashes(mounted)


def test_the_same_files_are_staged_as_the_same_bytes(mine, files, tmp_path):
    first = manifest.stage_dataset(mine, "trained-weights", files, tmp_path / "first")
    for path in files.rglob("*.json"):
        path.touch()
    second = manifest.stage_dataset(mine, "trained-weights", files, tmp_path / "second")
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {path.name: path.read_bytes() for path in second.iterdir()}


def test_one_file_can_be_a_dataset(mine, tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"weights")
    out = manifest.stage_dataset(mine, "imagenet-weights", tmp_path / "weights.h5", tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == ["dataset-metadata.json", "files.sha256.json", "weights.h5"]


def spoil_link(folder):
    (folder / "fold-2").symlink_to(folder / "fold-0")


def spoil_broken_link(folder):
    (folder / "fold-0" / "gone.txt").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_link, "fold-2 is a link to a folder"),
        (spoil_broken_link, r"fold-0/gone\.txt is a link to a folder, a broken link"),
        (lambda folder: (folder / "runs.zip").write_text("x"), r"runs\.zip: Kaggle unpacks archives"),
        (lambda folder: (folder / "fold-0" / "old.tar.gz").write_text("x"), r"fold-0/old\.tar\.gz: Kaggle unpacks archives"),
        (lambda folder: (folder / "datapackage.json").write_text("x"), r"datapackage\.json is a name that the client does not upload"),
        (lambda folder: [(folder / f"{number}.txt").write_text("x") for number in range(50)], "54 files at the top level"),
        (shutil.rmtree, "does not exist"),
        (lambda folder: [shutil.rmtree(folder), folder.mkdir()], "holds no file; .*README.md says what goes in"),
    ],
)
def test_files_that_would_not_arrive_are_refused(mine, files, tmp_path, spoil, said):
    spoil(files)
    with pytest.raises(DeliveryError, match=said):
        manifest.stage_dataset(mine, "trained-weights", files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dataset_is_staged_into_a_new_folder_only(mine, files, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(DeliveryError, match="not an empty folder"):
        manifest.stage_dataset(mine, "trained-weights", files, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


def test_a_disk_that_is_full_is_said(mine, files, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(DeliveryError, match="No space left on device; make room"):
        manifest.stage_dataset(mine, "trained-weights", files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_hashes_name_every_difference(files):
    assert manifest.write_hashes(files) == files / manifest.HASHES
    manifest.verify_hashes(files)
    (files / "joined.json").unlink()
    (files / "fold-0" / "run.json").write_text("FOLD-0/RUN.JSON")
    (files / "fold-1" / "run.json").write_text("<html>502</html>")
    (files / "more.txt").write_text("")
    with pytest.raises(DeliveryError) as caught:
        manifest.verify_hashes(files)
    assert str(caught.value).splitlines()[1:] == [
        "- missing: joined.json",
        "- changed: fold-0/run.json has another SHA-256",
        "- changed: fold-1/run.json has 16 bytes, not 15",
        "- foreign: more.txt",
    ]


def test_what_kaggle_adds_is_not_foreign(files):
    manifest.write_hashes(files)
    (files / "__results___files").mkdir()
    for name in ("__notebook__.ipynb", "__output__.json", "__results__.html", "__results___files/a.png", "custom.css", "a-kernel.log"):
        (files / name).write_text("Kaggle's")
    manifest.verify_hashes(files, ["a-kernel.log"])
    with pytest.raises(DeliveryError, match="list.*:\n- foreign: a-kernel.log$"):
        manifest.verify_hashes(files)


def test_a_folder_with_links_gets_no_hash_manifest(files):
    spoil_link(files)
    with pytest.raises(DeliveryError, match=r"cannot be listed:\n- fold-2 is a link to a folder"):
        manifest.write_hashes(files)
    assert not (files / manifest.HASHES).exists()


@pytest.mark.parametrize("text", ["<html>", "[]", '{"files": []}', '{"files": {"a": "b"}}', '{"files": {"a": {"sha256": "b"}}}'])
def test_a_hash_manifest_that_is_none(tmp_path, text):
    with pytest.raises(DeliveryError, match="so it cannot be verified"):
        manifest.verify_hashes(tmp_path)
    (tmp_path / manifest.HASHES).write_text(text)
    with pytest.raises(DeliveryError, match="is no hash manifest"):
        manifest.verify_hashes(tmp_path)


def test_contents_that_kernels_would_not_find(files, tmp_path):
    assert "no wheel of siim-kernel for cp311" in contents.content_faults("code", files, CHECKOUT, "0.1.0")[0]
    assert "no wheel of python-gdcm, imagecodecs, pydicom for cp311" in contents.content_faults("wheels", files, CHECKOUT, "0.1.0")[0]
    assert "is not a run's record" in contents.content_faults("trained-weights", files, CHECKOUT, "0.1.0")[0]
    assert "should hold one file of weights" in contents.content_faults("imagenet-weights", files, CHECKOUT, "0.1.0")[0]
    (tmp_path / "weights.h5").write_bytes(b"weights")
    assert contents.content_faults("imagenet-weights", tmp_path / "weights.h5", CHECKOUT, "0.1.0") == []
