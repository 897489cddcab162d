"""Pushing with the real Kaggle client against the loopback Kaggle."""

import datetime
import json

import pytest

from siim_kernel.delivery import kernel_folders, manifest, pushing, sessions, steps, trainings
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


def trained(desk, **left):
    """A first session of a training, over and complete; what it left."""
    first = push(desk, "train", recipe="small", fold=0, max_hours=0.5)
    desk.service.finish_kernel(first.ref, left or {"runs/fold-0/state.npz": "state"})
    desk.service.log.clear()
    return first.ref


@pytest.mark.parametrize("settings", [{"SPLIT": "study"}, {"SPLIT": "image", "MAX_HOURS": 0.4}])
def test_a_training_with_other_parameters_does_not_go_on(desk, settings):
    trained(desk)
    wish = {"recipe": "small", "fold": 0, "max_hours": 0.5, "settings": settings}
    with pytest.raises(DeliveryError, match=f"small-fold0 trained something else .SPLIT None, now '{settings['SPLIT']}'.*--fresh"):
        push(desk, "train", **wish)
    assert desk.service.requests("SaveKernel") == []
    assert push(desk, "train", **wish, fresh=True).version == 2


def test_a_training_goes_on_with_other_hours_and_sources(desk):
    trained(desk)
    other = desk.have_kernel("other-images", images__images_csv="x")
    wish = {"recipe": "small", "fold": 0, "max_hours": 0.7, "settings": {"IMAGES": ("other-images",)}, "kernels": (other,)}
    assert push(desk, "train", **wish).ref.endswith("small-fold0-b")


def test_a_training_that_is_finished_is_not_pushed_again(desk):
    ref = trained(desk, **{"runs/fold-0/run.json": "{}"})
    with pytest.raises(DeliveryError, match=f"{ref} has finished fold 0 already. Fetch it .siim-kernel fetch .*; --fresh trains anew"):
        push(desk, "train", recipe="small", fold=0, max_hours=0.5)
    assert desk.service.requests("SaveKernel") == []
    assert push(desk, "train", recipe="small", fold=0, max_hours=0.5, fresh=True).version == 2


@pytest.mark.parametrize(("method", "kind"), [("GetKernelSessionStatus", 403), ("GetKernel", 404)])
def test_a_session_that_is_hidden_for_once_is_not_taken_for_none(desk, method, kind):
    trained(desk)
    desk.service.inject(method, kind)
    with pytest.raises(DeliveryError, match="fold0 is on Kaggle, which does not .* just now"):
        push(desk, "train", recipe="small", fold=0, max_hours=0.5)
    assert desk.service.requests("SaveKernel") == []


@pytest.mark.parametrize(("name", "option"), [("RECIPE", "--recipe"), ("FOLD", "--fold"), ("CALIBRATE", "--calibrate")])
def test_what_stands_in_the_slug_has_its_option(desk, name, option):
    with pytest.raises(DeliveryError, match=f"use {option} in place of --set {name}="):
        push(desk, "train", settings={name: 1})
    assert desk.service.log == []


@pytest.mark.parametrize(("recipe", "fold", "there"), [("small", 5, "0, 1, 2, 3, 4"), ("thesis-opacity", 1, "0")])
def test_a_fold_that_there_is_not_is_refused(desk, recipe, fold, there):
    with pytest.raises(DeliveryError, match=f"{recipe} has no fold {fold}: .* it has {there};"):
        push(desk, "train", recipe=recipe, fold=fold)
    assert desk.service.log == []


def test_all_folds_in_turn_are_the_work_of_all():
    values = {"RECIPE": "small", "FOLD": 0, "SPLIT": None}
    said = []
    one, every = (trainings.work_of(values | {"FOLD": fold}, (), said.append) for fold in (0, None))
    assert every.hours == pytest.approx(5 * one.hours, rel=0.05)
    assert any(line.startswith("5 folds of small in turn need") for line in said)
    assert trainings.folds_of(values | {"SPLIT": "thesis"}) == ((0,), None)
    assert trainings.folds_of(values | {"SPLIT": "thesis_final_test"}) == ((0,), 5)


def test_another_machine_and_image(desk):
    image = f"gcr.io/kaggle-images/python@sha256:{'a' * 64}"
    other = manifest.load(desk.checkout, USER, "NvidiaL4", image)
    steps.push(desk.client, other, "inference", steps.Wish(), desk.said.append)
    (version,) = desk.service.kernel(REF)["versions"]
    assert (version["machineShape"], version["dockerImage"]) == ("NvidiaL4", image)
    with pytest.raises(DeliveryError, match="NvidiaTeslaP100.*retired"):
        manifest.load(desk.checkout, USER, "NvidiaTeslaP100")


def test_the_script_form_is_a_kernel_of_its_own(desk):
    push(desk)
    desk.service.finish_kernel(REF, {"submission.csv": "x"})
    pushed = push(desk, script=True)
    assert (pushed.ref, pushed.version) == (f"{REF}-script", 1)
    document = desk.service.kernel(pushed.ref)
    assert document["kernelType"] == "script"
    assert "on_kaggle.predict(" in desk.client.kernel_fields(pushed.ref)["source"]
    with pytest.raises(DeliveryError, match="the kernel images is a script as it is"):
        push(desk, "images", script=True)


def test_only_what_is_submitted_must_be_offline(desk):
    folder = staged(desk, enable_internet=True)
    assert pushing.push(desk.client, folder, offline=False).version == 1
    path = desk.manifest.kernels["images"] / "kernel-metadata.json"
    path.write_text(path.read_text().replace('"enable_internet": false', '"enable_internet": true'))
    assert push(desk, "images", recipe="small").version == 1


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


def recorded(desk, ref=REF):
    return json.loads((desk.checkout / "build" / "pushed" / f"{ref.split('/')[1]}.json").read_text())


@pytest.mark.parametrize("kind", ["reset-after", "truncated"])
def test_a_push_whose_answer_is_lost_is_asked_for_and_not_sent_again(desk, kind):
    desk.service.inject("SaveKernel", kind)
    assert push(desk).version == 1
    desk.service.finish_kernel(REF, {"submission.csv": "x"})
    desk.service.inject("SaveKernel", kind)
    assert push(desk).version == 2
    assert len(desk.service.requests("SaveKernel")) == 2


def test_the_number_of_a_push_whose_answer_is_lost_is_not_guessed(desk):
    desk.have_kernel("siim-kernel-images")
    desk.service.inject("SaveKernel", "reset-after")
    ref = f"{USER}/siim-kernel-images"
    assert push(desk, "images") == Pushed(ref, None, f"https://www.kaggle.com/code/{ref}")
    assert any("of a number not known here" in line for line in desk.said)


def test_what_was_pushed_is_recorded(desk):
    push(desk, "images", recipe="small")
    (kept,) = recorded(desk, f"{USER}/siim-kernel-images-small")
    assert (kept["ref"], kept["version"], kept["after"]) == (f"{USER}/siim-kernel-images-small", 1, 0)
    assert (kept["parameters"]["RECIPES"], kept["parameters"]["SPLIT"]) == (["small"], "train")
    assert kept["stamp"] in desk.client.kernel_fields(kept["ref"])["source"]


def test_no_version_is_asked_for_by_its_number(desk):
    push(desk)
    assert all("/" not in request.body["kernelSlug"] for request in desk.service.requests("GetKernel"))


def test_a_question_that_fails_after_the_push_says_that_it_was_sent(desk):
    desk.service.inject("GetKernel", 500, times=9, since="SaveKernel")
    with pytest.raises(
        DeliveryError, match="the push was sent and version 1 was confirmed, but it cannot be read back. .*status"
    ) as caught:
        push(desk)
    assert "before you push again" in str(caught.value)
    assert recorded(desk)[0]["version"] == 1
    desk.service.faults.clear()
    with pytest.raises(DeliveryError, match="is running"):
        push(desk)


def test_a_dataset_of_others_is_attached_without_asking_for_its_state(desk):
    desk.service.give_dataset("tawsifurrahman/covid19-radiography-database", {"a": "1"})
    assert push(desk, "external_images").version == 1
    assert {request.body["ownerSlug"] for request in desk.service.requests("GetDatasetStatus")} == {USER}


def test_a_dataset_of_others_that_is_not_there_is_told(desk):
    with pytest.raises(DeliveryError, match="covid19-radiography-database is not there"):
        push(desk, "external_images")


def test_what_running_sessions_may_still_take_is_not_left(desk):
    source = "# PARAMETERS\nMAX_HOURS = 6.0\n# END PARAMETERS\n"
    desk.have_kernel("one-session", status="QUEUED", gpu=True, source=source)
    desk.service.gpu_hours_before = 20.0
    with pytest.raises(DeliveryError, match=r"4\.0 h are left of the week's GPU quota, the kernel would take up to 5 h"):
        push(desk, "train", recipe="small", fold=0, max_hours=5.0)
    (line,) = [line for line in desk.said if line.startswith("GPU: ")]
    assert "one-session (up to 6.0 h more); 10.0 of 30 h are left" in line
    assert line.endswith("4.0 h of them when these are done")
    desk.service.gpu_hours_before = 17.0
    assert push(desk, "train", recipe="small", fold=0, max_hours=5.0).version == 1


def test_what_a_session_has_run_already_is_not_counted_again(desk):
    begun = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=4)
    source = f"# PARAMETERS\nMAX_HOURS = 6.0\n# END PARAMETERS\n# pushed {begun:%Y-%m-%d %H:%M:%S.%f} UTC, {1:032x}\n"
    desk.have_kernel("one-session", status="RUNNING", gpu=True, source=source)
    desk.have_kernel("some-session", status="RUNNING", gpu=True)
    one, other = sorted(sessions.running_gpu(desk.client), key=lambda each: each.ref)
    assert (one.ref, round(one.hours, 1)) == (f"{USER}/one-session", 2.0)
    assert round(other.hours, 1) == 12.0


def test_a_session_of_which_no_machine_is_told_is_known_by_its_hours(desk):
    desk.service.tells_machine = False
    desk.have_kernel("one-session", status="RUNNING", gpu=True, source="# PARAMETERS\nMAX_HOURS = 6.0\n# END PARAMETERS\n")
    desk.have_kernel("cpu-session", status="RUNNING")
    assert [session.ref for session in sessions.running_gpu(desk.client)] == [f"{USER}/one-session"]
    assert push(desk).version == 1


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
    assert any(line.startswith("would look for a complete session to go on from") for line in desk.said)
    assert desk.service.log == []


def test_a_parameter_that_the_kernel_has_not_is_refused(desk):
    with pytest.raises(DeliveryError, match="no parameter FOLD"):
        push(desk, "inference", fold=1)


def test_sources_are_compared_without_what_a_pull_adds():
    sent = {"dataset_sources": ["Ada/Code/3"], "competition_sources": ["siim"], "kernel_sources": ["ada/images"]}
    there = {"dataset_sources": ["datasets/ada/code"], "competition_sources": ["c/siim"], "kernel_sources": ["code/ada/images"]}
    assert pushing.differences(sent, there) == []
    assert pushing.differences(sent, there | {"kernel_sources": []}) == ["ada/images of kernel_sources is not attached"]


def test_a_version_of_a_source_is_compared_where_kaggle_tells_it():
    sent = {"dataset_sources": ["ada/code/3"]}
    assert pushing.differences(sent, {"dataset_sources": ["ada/code"]}) == []
    assert pushing.differences(sent, {"dataset_sources": ["datasets/ada/code/3"]}) == []
    assert pushing.differences(sent, {"dataset_sources": ["ada/code/4"]}) == ["ada/code/3 of dataset_sources is attached as version 4"]


def test_a_machine_is_compared_where_kaggle_tells_it():
    sent = {"enable_gpu": True, "machine_shape": "NvidiaTeslaT4"}
    assert pushing.differences(sent, {"enable_gpu": False, "machine_shape": ""}) == []
    assert pushing.differences(sent, {"enable_gpu": False, "machine_shape": "NvidiaL4"}) == []
    assert pushing.differences(sent, {"enable_gpu": False, "machine_shape": "Cpu"}) == ["it has no GPU, its machine is Cpu"]
