"""Pushing with the real Kaggle client against the loopback Kaggle."""

import json

import pytest

from siim_kernel.delivery import kernel_folders, manifest, pushing, steps
from siim_kernel.delivery.pushing import Pushed
from siim_kernel.errors import DeliveryError, RunError
from siim_kernel.recipes import catalogue
from siim_kernel.recipes.storing import to_dict
from tests.delivery.made_kaggle import USER, at_a_desk

REF = f"{USER}/siim-kernel-inference"
pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path):
    with at_a_desk(tmp_path) as desk:
        desk.have_sources()
        yield desk


def push(desk, name="inference", **wish):
    return steps.push(desk.client, desk.manifest, name, steps.Wish(**wish), desk.said.append)


def staged(desk, **fields):
    """The staged inference kernel with some fields of its metadata changed."""
    folder = manifest.stage_kernel(desk.manifest, "inference", desk.folder / "staged")
    path = folder / "kernel-metadata.json"
    known = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in known.items() if value is not None}))
    return folder


def test_the_notebook_arrives_as_it_was_sent_and_is_read_back(desk):
    pushed = push(desk)
    assert pushed == Pushed(REF, 1, f"https://www.kaggle.com/code/{REF}")
    (version,) = desk.service.kernel(REF)["versions"]
    assert version["enableInternet"] is False
    assert set(version["sources"]["dataset"]) == {f"{USER}/siim-kernel-{name}" for name in ("code", "wheels", "trained-weights")}
    assert any("internet off" in line for line in desk.said)


def test_training_gets_its_parameters_and_a_slug_of_its_own(desk):
    assert push(desk, "train", recipe="small", fold=2, max_hours=0.5).ref == f"{USER}/siim-kernel-train-small-fold2"
    staged = desk.checkout / "build" / "staged" / "train-small-fold2"
    values = kernel_folders.read_parameters(staged)
    assert (values["RECIPE"], values["FOLD"], values["MAX_HOURS"]) == ("small", 2, 0.5)


def test_a_training_is_pushed_with_the_time_that_it_needs_told_and_named_as_assumed(desk):
    push(desk, "train", recipe="main", fold=0, max_hours=1.0)
    assert any(line.startswith("ASSUMED: ") and "nothing was measured" in line for line in desk.said)
    assert any(line.startswith("from its beginning that is a chain of ") and "sessions of 1 h" in line for line in desk.said)


@pytest.mark.parametrize("client", [True, False])
def test_a_training_that_never_finishes_is_refused_before_anything_is_sent(desk, client):
    with pytest.raises(DeliveryError, match=r"an epoch needs a session of .* a session has 0\.1 h"):
        steps.push(desk.client if client else None, desk.manifest, "train", steps.Wish(recipe="main", max_hours=0.1), desk.said.append)
    assert desk.service.requests("SaveKernel") == []


def test_what_was_measured_decides(desk):
    told = {"recipe": to_dict(catalogue.by_name("main")), "devices": ["/physical_device:GPU:0"], "device_names": ["Tesla T4"], "format": 1}
    told |= {"films": {"learning": 4, "validating": 1, "all": 5}, "phases": [{"step": 1.0, "compiling": 1.0}] * 2}
    told |= dict.fromkeys(("validation", "finishing", "saving", "building"), 1.0)
    path = desk.files(calibration_json=json.dumps(told)) / "calibration.json"
    push(desk, "train", recipe="main", max_hours=0.1, measured=(path,))
    assert any(line.startswith(f"measured: {path}: 1 GPU (Tesla T4)") for line in desk.said)
    assert not any("ASSUMED" in line for line in desk.said)
    with pytest.raises(RunError, match="another training than small"):
        push(desk, "train", recipe="small", max_hours=0.1, measured=(path,))


def test_a_calibration_has_a_kernel_of_its_own_and_takes_no_part_in_a_chain(desk):
    desk.have_kernel("siim-kernel-train-main", runs__fold_0="a")
    desk.service.gpu_hours = 1.5
    pushed = push(desk, "train", recipe="main", calibrate=True)
    assert pushed.ref == f"{USER}/siim-kernel-train-main-calibrate"
    assert kernel_folders.read_parameters(desk.checkout / "build" / "staged" / "train-main-calibrate")["CALIBRATE"] is True
    assert set(desk.service.kernel(pushed.ref)["versions"][0]["sources"]["kernel"]) == {f"{USER}/siim-kernel-images"}
    with pytest.raises(DeliveryError, match="no parameter CALIBRATE"):
        push(desk, "images", calibrate=True)


def test_a_training_goes_on_from_its_last_session_and_never_from_itself(desk):
    refs = []
    for turn in range(3):
        pushed = push(desk, "train", recipe="small", fold=0, max_hours=0.5)
        refs.append(pushed.ref)
        (version,) = desk.service.kernel(pushed.ref)["versions"][-1:]
        assert set(version["sources"]["kernel"]) == {f"{USER}/siim-kernel-images", *refs[turn - 1 : turn]}
        desk.service.finish_kernel(pushed.ref, {"runs/fold-0/state.npz": f"state {turn}"})
        assert steps.ref_of(desk.manifest, "train", "-small-fold0", desk.client) == pushed.ref
    first = f"{USER}/siim-kernel-train-small-fold0"
    assert refs == [first, f"{first}-b", first]
    assert push(desk, "train", recipe="small", fold=0, max_hours=0.5, fresh=True).ref == first
    assert set(desk.service.kernel(first)["versions"][-1]["sources"]["kernel"]) == {f"{USER}/siim-kernel-images"}


def test_a_training_does_not_go_on_from_a_session_that_failed(desk):
    first = push(desk, "train", recipe="small", fold=0, max_hours=0.5).ref
    desk.service.finish_kernel(first, failure="out of memory")
    assert push(desk, "train", recipe="small", fold=0, max_hours=0.5) == Pushed(first, 2, f"https://www.kaggle.com/code/{first}")
    with pytest.raises(DeliveryError, match="fold0 is running; go on when it is done"):
        push(desk, "train", recipe="small", fold=0, max_hours=0.5)


def test_more_sources_are_attached(desk):
    other = desk.have_kernel("somewhere-else", runs__a_txt="a")
    push(desk, settings={"RUNS": ("somewhere-else",)}, kernels=("somewhere-else",))
    assert list(desk.service.kernel(REF)["versions"][0]["sources"]["kernel"]) == [other]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"enable_internet": None}, "enable_internet is missing"),
        ({"enable_internet": True}, "enable_internet is true"),
        ({"enable_internet": None, "enable_intrenet": False}, "did you mean enable_internet"),
        ({"dataset_sources": [f"{USER}/siim-kernel-code"]}, "siim-kernel-trained-weights"),
        ({"kernel_sources": [REF]}, "kernel itself"),
    ],
)
def test_what_breaks_a_rule_is_refused_before_anything_is_sent(desk, change, reason):
    with pytest.raises(DeliveryError, match=reason):
        pushing.push(desk.client, staged(desk, **change))
    assert desk.service.requests("SaveKernel") == []


def test_a_source_over_a_megabyte_is_refused_before_anything_is_sent(desk):
    folder = staged(desk)
    notebook = json.loads((folder / "inference.ipynb").read_text())
    notebook["cells"][-1]["source"] = "# " + "x" * 1_000_000
    (folder / "inference.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(DeliveryError, match="1,000,000"):
        pushing.push(desk.client, folder)
    assert desk.service.requests("SaveKernel") == []


def test_sources_that_kaggle_could_not_attach_are_all_named_before_anything_is_sent(desk):
    desk.have_kernel("siim-kernel-images", status="RUNNING")
    sources = [f"{USER}/siim-kernel-{name}" for name in ("code", "wheels", "trained-weights", "nothing")]
    kernels = [f"{USER}/siim-kernel-images", f"{USER}/no-such-kernel"]
    with pytest.raises(DeliveryError) as caught:
        pushing.push(desk.client, staged(desk, dataset_sources=sources, kernel_sources=kernels))
    for part in ("siim-kernel-nothing is not there", "siim-kernel-images is RUNNING", "no-such-kernel is not there"):
        assert part in str(caught.value)
    assert desk.service.requests("SaveKernel") == []


def test_a_second_session_of_a_running_kernel_is_refused(desk):
    push(desk)
    with pytest.raises(DeliveryError, match="inference is running"):
        push(desk)
    assert len(desk.service.kernel(REF)["versions"]) == 1


def test_gpu_sessions_are_counted_before_one_is_spent(desk):
    desk.have_kernel("one-session", status="RUNNING", gpu=True)
    desk.have_kernel("cpu-session", status="RUNNING")
    push(desk, "train", recipe="small", fold=0, max_hours=0.5)
    with pytest.raises(DeliveryError, match="2 GPU sessions are under way"):
        push(desk)
    assert len(desk.service.requests("SaveKernel")) == 1


def test_quota_is_counted_before_it_is_spent(desk):
    desk.service.gpu_hours_before = 25.0
    with pytest.raises(
        DeliveryError, match="5.0 h are left of the week's GPU quota, the kernel would take up to 6 h; give --max-hours 4.9"
    ):
        push(desk, "train", recipe="small", fold=0, max_hours=6.0)
    assert push(desk, "train", recipe="small", fold=0, max_hours=4.9).version == 1


@pytest.mark.parametrize("kind", ["reset-after", "truncated"])
def test_a_push_whose_answer_is_lost_is_asked_for_and_not_sent_again(desk, kind):
    desk.have_kernel("siim-kernel-inference")
    desk.have_kernel("siim-kernel-inference")
    document = desk.service.kernel(REF) | {"kernelType": "notebook"}
    desk.service.store.save_kernel(*REF.split("/"), document)
    desk.service.inject("SaveKernel", kind)
    assert push(desk).version == 3
    assert len(desk.service.requests("SaveKernel")) == 1


@pytest.mark.parametrize("kind", [500, 429, "reset"])
def test_a_push_that_did_not_arrive_is_an_error_and_not_sent_again(desk, kind):
    desk.service.inject("SaveKernel", kind)
    with pytest.raises(DeliveryError, match="nothing arrived"):
        push(desk)
    assert len(desk.service.requests("SaveKernel")) == 1
    assert desk.service.kernel(REF) is None


def test_a_version_of_before_is_not_taken_for_one_that_did_not_arrive(desk):
    desk.have_kernel("siim-kernel-train", source="print(0)\n")
    desk.service.inject("SaveKernel", 500)
    with pytest.raises(DeliveryError, match="nothing arrived"):
        push(desk, "train", max_hours=0.5, fresh=True)
    assert len(desk.service.kernel(f"{USER}/siim-kernel-train")["versions"]) == 1


def test_a_refusal_within_a_good_answer_is_an_error(desk):
    desk.service.inject("SaveKernel", "error", message="Maximum batch GPU session count of 2 reached.")
    with pytest.raises(DeliveryError, match="Kaggle refused .*: Maximum batch GPU session count of 2 reached."):
        push(desk)


def test_sources_that_kaggle_dropped_are_named(desk):
    desk.service.inject("SaveKernel", "unknown-sources", sources=[f"{USER}/siim-kernel-wheels"])
    with pytest.raises(DeliveryError, match="version 1 is not what was pushed: .*siim-kernel-wheels of dataset_sources is not attached"):
        push(desk)


def test_dry_run_tells_and_asks_nothing(desk):
    assert steps.push(None, desk.manifest, "train", steps.Wish(recipe="small", fold=1), desk.said.append) is None
    assert "  RECIPE = 'small'" in desk.said
    assert any(line.startswith("would run: kaggle kernels push -p ") for line in desk.said)
    assert desk.service.log == []


def test_a_parameter_that_the_kernel_has_not_is_refused(desk):
    with pytest.raises(DeliveryError, match="no parameter FOLD"):
        push(desk, "inference", fold=1)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_newest_version_is_found_by_asking(desk, count):
    for _ in range(count):
        ref = desk.have_kernel("some-kernel")
    assert pushing.newest_version(desk.client, ref) == count


def test_sources_are_compared_without_what_a_pull_adds():
    sent = {"dataset_sources": ["Ada/Code/3"], "competition_sources": ["siim"], "kernel_sources": ["ada/images"]}
    there = {"dataset_sources": ["datasets/ada/code"], "competition_sources": ["c/siim"], "kernel_sources": ["code/ada/images"]}
    assert pushing.differences(sent, there) == []
    assert pushing.differences(sent, there | {"kernel_sources": []}) == ["ada/images of kernel_sources is not attached"]
