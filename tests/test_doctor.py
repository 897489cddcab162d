"""The doctor: made machines, made competition folders, and the page of the machine at hand."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import uid
from typer.testing import CliRunner

from siim_kernel import cli, machine
from siim_kernel.doctor import films, findings, folder, page, stages, tools
from siim_kernel.doctor.findings import BUILDING, KAGGLE, LACKING, NOTE, OK, PREDICTION, READING, REHEARSAL, SOFTWARE, TRAINING, Finding
from siim_kernel.machine import GIB, Card, Cores, Memory
from siim_kernel.pixels import decoders, dicom

NO_GPU = {"tensorflow": "2.20.0", "keras": "3.13.2", "gpus": [], "mixed_precision": False}
T4 = {"name": "Tesla T4", "compute_capability": [7, 5]}
PLENTY = Memory(64 * GIB, 60 * GIB, False)
SECRET = "do-not-print-me-0123456789"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder of its own, and no word of Kaggle or Keras in the environment."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    for name in (
        *tools.TOKEN_VARIABLES,
        "KAGGLE_CONFIG_DIR",
        "XDG_CONFIG_HOME",
        "KERAS_HOME",
        stages.INPUT_VARIABLE,
        stages.WORKING_VARIABLE,
    ):
        monkeypatch.delenv(name, raising=False)
    return place


def by_what(found):
    return {finding.what: finding for finding in found}


def remedied(found):
    """The lacks among findings; each has a remedy."""
    lacks = [finding for finding in found if finding.state == LACKING]
    assert all(finding.remedy for finding in lacks)
    return {finding.what for finding in lacks}


# The page


def test_text_of_a_page():
    found = (
        Finding(stage=TRAINING, what="GPU", state=NOTE, detail="none"),
        Finding(stage=READING, what="RLE Lossless", state=OK, detail="pydicom"),
        Finding(stage=READING, what="JPEG", state=LACKING, detail="no decoder", remedy="pip install it"),
    )
    assert findings.as_text(found).splitlines() == [
        "Reading films",
        "  ok     RLE Lossless  pydicom",
        "  LACKS  JPEG          no decoder",
        "         remedy: pip install it",
        "",
        "Training",
        "  note   GPU           none",
        "",
        "This machine can read films, build image sets, train, predict and rehearse offline; one thing is lacking, marked above.",
    ]


@pytest.mark.parametrize(
    ("stops", "ok", "words"),
    [
        ((), True, "can read films, build image sets, train, predict and rehearse offline; one thing is lacking, marked above."),
        ((REHEARSAL,), True, "can read films, build image sets, train and predict, but cannot rehearse offline: "),
        ((TRAINING, PREDICTION), False, "can read films, build image sets and rehearse offline, but cannot train or predict: "),
        (tuple(findings.DEEDS), False, "cannot read films, build image sets, train, predict or rehearse offline: "),
    ],
)
def test_last_sentence_and_what_decides_the_exit_code(stops, ok, words):
    found = (Finding(stage=TRAINING, what="x", state=LACKING, remedy="y", stops=stops),)
    assert findings.sentence(found) == f"This machine {words}{'mend what is marked LACKS above.' if stops else ''}"
    assert findings.all_needed_run(found) is ok
    assert findings.as_json(found)["ok"] is ok


def test_every_stage_of_a_finding_has_its_place_on_the_page():
    named = {value for name, value in vars(findings).items() if name.isupper() and isinstance(value, str)} - {OK, LACKING, NOTE, PREDICTION}
    assert named == set(findings.PAGE_ORDER)


def test_a_stage_that_cannot_be_looked_at_is_a_lack_and_the_page_goes_on():
    def broken():
        yield Finding(stage=BUILDING, what="cores", state=OK)
        raise AttributeError("module 'numpy'\nhas no attribute 'ndarray'")

    first, second = page._guarded(BUILDING, broken, (BUILDING,))
    assert first.state == OK
    assert (second.state, second.stops, second.detail) == (
        LACKING,
        (BUILDING,),
        "AttributeError: module 'numpy' has no attribute 'ndarray'",
    )
    assert second.remedy


def test_a_full_disk_is_not_called_a_broken_installation():
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    (finding,) = page._guarded(BUILDING, full)
    assert (finding.what, finding.remedy) == ("temporary folder", page.TEMPORARY)


# Reading films


def test_every_syntax_has_a_line_and_the_lossless_ones_are_tried():
    found = by_what(films.examine())
    assert set(found) == {films.short_name(each) for each in decoders.DECODERS}
    assert not remedied(found.values())
    tried = {name for name, finding in found.items() if finding.detail.endswith("a made film was read")}
    syntaxes = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLossless, uid.JPEGLosslessSV1)
    assert tried == {films.short_name(each) for each in (*syntaxes, uid.JPEGLSLossless, uid.JPEG2000Lossless)}


def test_names_are_short_and_differ():
    names = [films.short_name(each) for each in decoders.DECODERS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 34
    assert films.short_name(uid.JPEGLosslessSV1) == "JPEG Lossless SV1"


def test_missing_packages_are_lacks_with_the_command_that_mends_them(monkeypatch):
    monkeypatch.setattr(decoders, "imagecodecs", None)
    monkeypatch.setattr(decoders, "gdcm", None)
    found = by_what(films.examine())
    assert found["package imagecodecs"].remedy == "pip install --force-reinstall imagecodecs"
    assert found["package python-gdcm"].state == LACKING
    jpeg = found["JPEG-LS Lossless"]
    assert (jpeg.state, jpeg.detail, jpeg.remedy) == (LACKING, "no decoder; GDCM or CharLS would do", "pip install python-gdcm imagecodecs")
    assert not any(finding.stops for finding in found.values())  # uncompressed films are still read
    assert found["Explicit VR Little Endian"].state == OK


def test_without_any_decoder_nothing_can_be_read(monkeypatch):
    monkeypatch.setattr(decoders, "available", lambda syntax: ())
    found = tuple(films.examine())
    assert not findings.all_needed_run(found)
    assert not findings.can_run(found)[READING]
    assert findings.can_run(found)[TRAINING]  # from an image set made elsewhere


def test_a_decoder_that_is_there_and_broken_is_found(monkeypatch):
    def broken(uid, data, layout, stream):
        raise OSError("libjpeg.so.8: undefined symbol")

    monkeypatch.setitem(decoders._DECODE, decoders.TURBO, broken)
    found = by_what(films.examine())
    assert remedied(found.values()) == {"JPEG Lossless SV1", "JPEG Lossless (Process 14)"}
    assert "undefined symbol" in found["JPEG Lossless SV1"].detail
    assert found["JPEG Lossless SV1"].remedy.endswith("pip install --force-reinstall imagecodecs")


def test_a_decoder_with_wrong_values_is_found(monkeypatch):
    right = decoders._DECODE[decoders.TURBO]
    monkeypatch.setitem(decoders._DECODE, decoders.TURBO, lambda *arguments: right(*arguments) // 2)
    assert remedied(films.examine()) == {"JPEG Lossless SV1", "JPEG Lossless (Process 14)"}


def test_without_the_phantom_nothing_is_tried(monkeypatch):
    monkeypatch.setitem(sys.modules, "siim_kernel.phantom.writing", None)
    monkeypatch.delattr("siim_kernel.phantom.writing", raising=False)
    found = by_what(films.examine())
    assert found["Explicit VR Little Endian"].detail == "pydicom; not tried, as the phantom makes no such film"


# What the operating system grants


def write(root, files):
    for name, text in {"proc/meminfo": "MemTotal: 16777216 kB\nMemFree: 1000 kB\nMemAvailable: 8388608 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


VERSION_2 = {
    "proc/self/cgroup": "0::/box/inner\n",
    "sys/fs/cgroup/box/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/box/inner/cpu.max": "300000 100000\n",
    "sys/fs/cgroup/box/memory.max": f"{4 * GIB}\n",
    "sys/fs/cgroup/box/memory.current": f"{3 * GIB}\n",
    "sys/fs/cgroup/box/memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}\n",
    "sys/fs/cgroup/box/inner/memory.max": "max\n",
}
VERSION_1 = {
    # The path is the host's; in the container its folder is the top itself.
    "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{3 * GIB}\n",
    "sys/fs/cgroup/memory/memory.stat": f"cache 5\ntotal_inactive_file {2 * GIB}\n",
}


@pytest.mark.parametrize("files", [VERSION_2, VERSION_1], ids=["version 2", "version 1"])
def test_a_containers_limits_count(tmp_path, files):
    root = write(tmp_path / "root", files)
    assert machine.cores(root).quota == 1.5
    assert machine.memory(root) == Memory(4 * GIB, 3 * GIB, True)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n"},
        {"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/cpu.max": "max 100000", "sys/fs/cgroup/memory.max": "max"},
        {
            "proc/self/cgroup": "5:memory:/\n4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
        {"proc/self/cgroup": "nonsense\n", "sys/fs/cgroup/cpu.max": "\0"},
    ],
)
def test_without_limits_the_machine_counts(tmp_path, files):
    root = write(tmp_path / "root", files)
    assert machine.cores(root).quota is None
    assert machine.memory(root) == Memory(16 * GIB, 8 * GIB, False)


def test_workers_of_cores():
    assert [Cores(4, quota).workers for quota in (None, 8.0, 2.7, 0.5)] == [4, 4, 2, 1]


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert machine.existing(tmp_path / "a" / "b") == tmp_path
    assert machine.disk_free(tmp_path / "a") > 0


def test_cards_of_the_driver(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Tesla T4, 15360, 7.5'\necho 'Tesla T4, 15360, 7.5'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine.cards() == (Card("Tesla T4", 15 * GIB, "7.5"),) * 2
    program.write_text("#!/bin/sh\necho 'Tesla T4, 15360, 7.5'\necho 'Unable to determine the device handle'\nexit 9\n")
    assert machine.cards() == ()


# Image sets


def test_a_quota_below_the_cores_asks_for_fewer_workers():
    finding = stages._of_cores(Cores(8, 2.0))
    assert (finding.state, finding.remedy) == (NOTE, "give --workers 2")
    assert stages._of_cores(Cores(8, None)).state == OK


@pytest.mark.parametrize(
    ("available", "state", "remedy", "stops"),
    [
        (8 * GIB, OK, "", False),
        (int(GIB * 0.9), LACKING, "give --workers 2, or more memory", False),
        (GIB // 10, LACKING, "end other programs", True),
    ],
)
def test_memory_for_the_workers(available, state, remedy, stops):
    finding = stages.of_memory(Memory(16 * GIB, available, True), Cores(4, None), stages.LARGEST_FILM, BUILDING, "memory")
    assert finding.state == state
    assert finding.remedy.startswith(remedy)
    assert ("(the container's limit)" in finding.detail, bool(finding.stops)) == (True, stops)


def test_memory_that_the_system_does_not_tell_is_a_note():
    assert stages.of_memory(None, Cores(4, None), 1, BUILDING, "memory").state == NOTE


def test_disk_for_image_sets(tmp_path, monkeypatch):
    for free, state, stops in ((GIB, OK, ()), (GIB // 10, LACKING, ()), (GIB // 100, LACKING, (BUILDING,))):
        monkeypatch.setattr(machine, "disk_free", lambda place, free=free: free)
        finding = stages.of_disk(tmp_path, 1000, [512, 128], BUILDING, "disk")  # 250 and 15.6 MiB
        assert (finding.state, finding.stops) == (state, stops)
    assert finding.detail == f"10 MiB free at {tmp_path}; an image set of 1,000 films takes 0.2 GiB at 512 px, 16 MiB at 128 px"


def test_dask_is_optional(monkeypatch):
    real = stages.util.find_spec
    monkeypatch.setattr(stages.util, "find_spec", lambda name: None if name == "dask" else real(name))
    found = by_what(stages.building(PLENTY))
    assert found["Dask"].state == NOTE
    assert "siim-kernel[dask]" in found["Dask"].remedy


# Training


def test_no_gpu_is_a_note_and_training_runs():
    found = tuple(stages.training(NO_GPU, (), PLENTY))
    assert findings.all_needed_run(found)
    assert by_what(found)["GPU"].state == NOTE
    assert by_what(found)["mixed precision"].detail.startswith("no")
    assert not remedied(found)


def test_two_gpus_are_named_with_memory_and_capability():
    answer = NO_GPU | {"gpus": [T4, T4], "mixed_precision": True}
    found = by_what(stages.training(answer, (Card("Tesla T4", 15 * GIB, "7.5"),) * 2, PLENTY))
    assert found["GPU 0"].detail == found["GPU 1"].detail == "Tesla T4, 15.0 GiB, compute capability 7.5"
    assert found["mixed precision"].state == OK
    assert "main on CPU" not in found["memory"].detail


def test_a_gpu_that_tensorflow_does_not_see_has_a_remedy():
    found = by_what(stages.training(NO_GPU, (Card("Tesla T4", 15 * GIB, "7.5"),), PLENTY))
    assert "TensorFlow sees none" in found["GPU"].detail
    assert "siim-kernel[gpu]" in found["GPU"].remedy


def test_little_memory_stops_training():
    found = tuple(stages.training(NO_GPU, (), Memory(2 * GIB, GIB, False)))
    assert remedied(found) == {"memory"}
    assert not findings.can_run(found)[TRAINING]


def fake_package(folder, text):
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(text)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("raise ImportError('libcudart.so.12: cannot open shared object file')", "it does not work: ImportError: libcudart.so.12"),
        ("raise ModuleNotFoundError(\"No module named 'tensorflow'\")", "not installed"),
        ("import os; os._exit(139)", "it does not work: its process ended with exit code 139"),
    ],
)
def test_a_tensorflow_that_does_not_load_stops_training_and_prediction_alone(tmp_path, monkeypatch, text, detail):
    fake_package(tmp_path / "fake" / "tensorflow", text)
    fake_package(tmp_path / "fake" / "keras", "import tensorflow")
    monkeypatch.setattr(stages, "PACKAGE", tmp_path)  # the current folder would come before PYTHONPATH
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'fake'}:{Path(cli.__file__).parents[1]}")
    found = tuple(stages.training(stages.ask_tensorflow(), (), PLENTY))
    assert by_what(found)["TensorFlow"].detail.startswith(detail)
    assert remedied(found) == {"TensorFlow"}
    assert [stage for stage, able in findings.can_run(found).items() if not able] == [TRAINING, PREDICTION]


def test_a_tensorflow_that_hangs_is_given_up(monkeypatch, tmp_path):
    fake_package(tmp_path / "siim_kernel" / "learning", "")
    (tmp_path / "siim_kernel" / "__init__.py").write_text("")
    (tmp_path / "siim_kernel" / "learning" / "hardware.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(stages, "PACKAGE", tmp_path)
    monkeypatch.setattr(stages, "PROBE_SECONDS", 0.5)
    assert "within 0.5 s" in stages.ask_tensorflow()["fault"]


# Software, weights, mounts


def test_another_python_is_a_lack(monkeypatch):
    assert by_what(stages.software())["Python"].state == OK
    monkeypatch.setattr(stages, "PYTHONS", ((3, 98), (3, 99)))
    found = tuple(stages.software())
    assert remedied(found) == {"Python"}
    assert findings.all_needed_run(found)


def test_another_generation_than_kaggles_is_a_note(monkeypatch):
    versions = {"tensorflow": "", "tensorflow-cpu": "2.2.0", "numpy": "2.0.2"}
    monkeypatch.setattr(stages, "version", lambda name: versions.get(name, ""))
    finding = by_what(stages.software())["Kaggle's generation"]
    assert (finding.state, finding.stage) == (NOTE, SOFTWARE)
    assert "tensorflow 2.2.0 (Kaggle 2.20)" in finding.detail
    assert "numpy" not in finding.detail


def test_imagenet_weights_are_found_in_kerass_cache_and_in_a_mount(home, tmp_path, monkeypatch):
    (none,) = stages.weights()
    assert (none.state, bool(none.remedy)) == (NOTE, True)
    cached = home / ".keras" / "models" / stages.KERAS_FILE
    mounted = tmp_path / "input" / "datasets" / "me" / stages.WEIGHTS_SLUG / "x.h5"
    for path in (cached, mounted):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    monkeypatch.setenv(stages.INPUT_VARIABLE, str(tmp_path / "input"))
    found = by_what(stages.weights())
    assert str(cached) in found["Keras's cache"].detail
    assert found["mounted"].detail == str(mounted)


def test_mounts(tmp_path, monkeypatch):
    assert next(stages.input_mounts()).state == NOTE or Path("/kaggle/input").is_dir()
    (tmp_path / "input" / "competitions" / "siim-covid19-detection").mkdir(parents=True)
    monkeypatch.setenv(stages.INPUT_VARIABLE, str(tmp_path / "input"))
    assert next(stages.input_mounts()).detail == "competitions/siim-covid19-detection"
    monkeypatch.setenv(stages.INPUT_VARIABLE, str(tmp_path / "nowhere"))
    assert remedied(stages.input_mounts()) == {str(tmp_path / "nowhere")}


# Rehearsal, notebooks, the Kaggle client


@pytest.mark.parametrize(
    ("faults", "states", "used"),
    [
        (("", "", ""), (OK, OK, OK), "namespaces"),
        (("no", "", ""), (NOTE, OK, OK), "seccomp"),
        (("", "no", "no"), (OK, NOTE, NOTE), "namespaces"),
        (("no", "no", "no"), (LACKING, LACKING, LACKING), None),
    ],
)
def test_levels_of_the_rehearsal(monkeypatch, faults, states, used):
    answers = dict(zip(("namespaces", "seccomp", "audit hook"), faults, strict=True))
    monkeypatch.setattr(tools, "rehearse", lambda level: answers[level])
    found = tuple(tools.levels())
    assert tuple(finding.state for finding in found) == states
    assert page._strongest(found) == used
    assert findings.can_run(found)[REHEARSAL] is (used is not None)
    assert findings.all_needed_run(found)
    remedied(found)


def test_a_stronger_level_that_fails_has_a_remedy_though_a_weaker_one_serves(monkeypatch):
    monkeypatch.setattr(tools, "rehearse", lambda level: "Operation not permitted: unshare" if level == "namespaces" else "")
    first, second, _ = tools.levels()
    assert "unshare" in first.detail
    assert first.remedy
    assert second.detail.endswith("this one is used")


def test_a_level_that_cannot_be_entered_says_why(monkeypatch):
    from siim_kernel.delivery import rehearsal
    from siim_kernel.errors import DeliveryError

    def refuse(*arguments, **options):
        raise DeliveryError("no confinement for a rehearsal works on this machine:\nlevel seccomp does not work here: Invalid argument")

    monkeypatch.setattr(rehearsal, "rehearse", refuse)
    assert tools.rehearse("seccomp") == "Invalid argument"


def test_a_kernel_that_does_nothing_runs_in_the_weakest_level():
    assert tools.rehearse("audit hook") == ""


def test_missing_notebook_packages(monkeypatch):
    monkeypatch.setattr(tools.util, "find_spec", lambda name: None if name == "nbclient" else object())
    (finding,) = tools.notebooks("namespaces")
    assert (finding.state, finding.remedy) == (LACKING, "pip install nbclient")


def test_a_notebook_that_does_not_run(monkeypatch):
    monkeypatch.setattr(tools, "rehearse", lambda level, notebook: "exit code 1: no kernel")
    (finding,) = tools.notebooks("namespaces")
    assert (finding.state, "no kernel" in finding.detail) == (LACKING, True)
    (untried,) = tools.notebooks(None)
    assert (untried.state, "not tried" in untried.detail) == (NOTE, True)


def test_no_client(monkeypatch):
    monkeypatch.setattr(tools.shutil, "which", lambda *arguments, **options: None)
    monkeypatch.setattr(tools.util, "find_spec", lambda name: None)
    found = by_what(tools.client())
    assert "siim-kernel[kaggle]" in found["client"].remedy
    assert findings.all_needed_run(found.values())


def test_a_client_whose_command_is_not_on_path(monkeypatch):
    monkeypatch.setattr(tools.util, "find_spec", lambda name: object())
    monkeypatch.setattr(tools, "version", lambda name: "2.2.4")
    monkeypatch.setenv("PATH", "/nowhere")
    finding = by_what(tools.client())["client"]
    assert (finding.state, "on PATH" in finding.remedy) == (NOTE, True)


def test_a_client_that_lacks_six(monkeypatch):
    monkeypatch.setattr(tools.util, "find_spec", lambda name: None if name == "six" else object())
    monkeypatch.setattr(tools, "version", lambda name: "2.2.4")
    assert by_what(tools.client())["client"].remedy == "pip install six"


@pytest.mark.parametrize("name", ["access_token", "kaggle.json", "credentials.json"])
def test_a_token_file_is_named_and_never_opened(home, name, monkeypatch):
    token = home / ".kaggle" / name
    token.parent.mkdir()
    token.write_text(SECRET)
    token.chmod(0o600)
    real = open
    monkeypatch.setattr("builtins.open", lambda path, *rest, **more: pytest.fail("read") if path == token else real(path, *rest, **more))
    finding = by_what(tools.client())["token"]
    assert (finding.state, str(token) in finding.detail) == (OK, True)
    assert SECRET not in json.dumps(findings.as_json([finding]))
    token.chmod(0o644)
    assert by_what(tools.client())["token"].remedy == f"chmod 600 {token}"


def test_a_token_in_the_environment_is_named_and_never_shown(monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    found = tuple(tools.client())
    assert by_what(found)["token"].detail == "present, not read: KAGGLE_API_TOKEN"
    assert SECRET not in findings.as_text(found)
    assert SECRET not in json.dumps(findings.as_json(found))


def test_half_a_pair_is_no_token(monkeypatch):
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    finding = by_what(tools.client())["token"]
    assert (finding.state, finding.remedy) == (LACKING, "set KAGGLE_KEY too, or take KAGGLE_API_TOKEN")


def test_no_token_is_no_reason_to_stop():
    finding = by_what(tools.client())["token"]
    assert (finding.stage, finding.state, finding.stops) == (KAGGLE, LACKING, ())


# A competition folder


@pytest.fixture
def competition(phantom, tmp_path):
    """A copy of the made competition that a test may change."""
    return Path(shutil.copytree(phantom / "competition", tmp_path / "competition"))


def test_a_whole_competition(competition):
    found = tuple(folder.examine(competition, PLENTY))
    assert not remedied(found)
    assert findings.all_needed_run(found)
    lines = by_what(found)
    count = len(list(competition.rglob("*.dcm")))
    assert [int(lines[name].detail.split()[0]) for name in ("train/", "test/")] == [
        len(list((competition / name).rglob("*.dcm"))) for name in ("train", "test")
    ]
    assert f"an image set of {count} films takes" in lines["disk for image sets"].detail
    assert lines["Explicit VR Little Endian"].detail.endswith(f"of {count}: pydicom")


@pytest.mark.parametrize(
    ("name", "stopped"),
    [
        ("sample_submission.csv", [PREDICTION]),
        ("train_study_level.csv", [TRAINING]),
        ("train_image_level.csv", [TRAINING]),
        ("test", [PREDICTION]),
        ("train", []),
    ],
)
def test_what_a_competition_lacks(competition, name, stopped):
    path = competition / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = tuple(folder.examine(competition, PLENTY))
    assert remedied(found) == {f"{name}/" if name in ("train", "test") else name}
    assert [stage for stage, able in findings.can_run(found).items() if not able] == stopped


def test_a_competition_without_films(competition):
    for name in ("train", "test"):
        shutil.rmtree(competition / name)
    found = tuple(folder.examine(competition, PLENTY))
    assert not findings.can_run(found)[BUILDING]
    assert "films" in remedied(found)


def test_no_folder(tmp_path):
    (finding,) = folder.examine(tmp_path / "nowhere", PLENTY)
    assert not findings.all_needed_run([finding])


def test_a_broken_table_is_named_with_its_fault(competition):
    (competition / "train_study_level.csv").write_text("id,Negative\nx_study,1\n")
    finding = by_what(folder.examine(competition, PLENTY))["train_study_level.csv"]
    assert (finding.state, finding.stops) == (LACKING, (TRAINING,))
    assert "lacks the column" in finding.detail


@pytest.mark.parametrize(("split", "stopped"), [("train", [BUILDING]), ("test", [])])
def test_a_film_at_an_odd_place(competition, split, stopped):
    """An image set is not built of such a folder; prediction takes the film."""
    victim = min((competition / split).rglob("*.dcm"))
    victim.rename(competition / split / victim.name)
    found = tuple(folder.examine(competition, PLENTY))
    assert victim.name in by_what(found)[f"{split}/"].detail
    assert remedied(found) == {f"{split}/"}
    assert [stage for stage, able in findings.can_run(found).items() if not able] == stopped


def test_films_that_have_no_header_are_counted(competition):
    victims = sorted((competition / "test").rglob("*.dcm"))[:2]
    for victim in victims:
        victim.write_bytes(b"not a film")
    found = tuple(folder.examine(competition, PLENTY))
    finding = by_what(found)["unreadable headers"]
    assert finding.detail.startswith("2 of ")
    assert any(f"{victim}: not a DICOM file" in finding.detail for victim in victims)
    assert findings.all_needed_run(found)


def test_a_competition_whose_syntax_has_no_decoder(competition, monkeypatch):
    real = decoders.available
    monkeypatch.setattr(decoders, "available", lambda syntax: () if syntax == uid.JPEGLosslessSV1 else real(syntax))
    found = tuple(folder.examine(competition, PLENTY))
    assert remedied(found) == {"JPEG Lossless SV1"}
    assert findings.all_needed_run(found)
    monkeypatch.setattr(decoders, "available", lambda syntax: ())
    assert not findings.all_needed_run(tuple(folder.examine(competition, PLENTY)))


def test_large_folders_are_sampled_over_their_whole_length(competition, monkeypatch):
    monkeypatch.setattr(folder, "SAMPLED", 10)
    looked = []
    monkeypatch.setattr(dicom, "preflight", lambda paths: looked.extend(paths) or dicom.Preflight((), ()))
    tuple(folder.examine(competition, PLENTY))
    assert len(looked) == len(set(looked)) == 10
    assert {Path(path).relative_to(competition).parts[0] for path in looked} == {"train", "test"}


# The command


@pytest.fixture
def quick(monkeypatch):
    """A machine on which all is well, so that the command itself is what is tested."""
    monkeypatch.setattr(tools, "rehearse", lambda level, notebook=False: "")
    monkeypatch.setattr(stages, "ask_tensorflow", lambda: NO_GPU)
    monkeypatch.setattr(machine, "cards", lambda: ())
    monkeypatch.setattr(machine, "memory", lambda: PLENTY)


def test_json_is_alone_on_standard_output(quick):
    done = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert told["stages"] == dict.fromkeys(findings.DEEDS, True)


def test_a_broken_tensorflow_leaves_the_page_and_exit_code_1(quick, monkeypatch):
    monkeypatch.setattr(stages, "ask_tensorflow", lambda: {"fault": "ImportError: no libcudart"})
    done = CliRunner().invoke(cli.app, ["doctor"])
    assert done.exit_code == 1
    assert "no libcudart" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("but cannot train or predict: mend what is marked LACKS above.")


def test_a_missing_sample_is_exit_code_1(quick, competition):
    (competition / "sample_submission.csv").unlink()
    assert CliRunner().invoke(cli.app, ["doctor", str(competition)]).exit_code == 1


@pytest.mark.slow
def test_the_page_of_this_machine(home, phantom, tmp_path):
    """All is really tried here; nothing is written but into temporary folders, and nothing has a colour or an odd width when piped."""
    here = tmp_path / "here"
    here.mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "siim_kernel.cli", "doctor", phantom / "competition"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=here, env=environment, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "installation" not in done.stdout
    headings = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert [heading.lower() for heading in headings[:-1]] == [stage.lower() for stage in findings.PAGE_ORDER]
    assert headings[-1].startswith("This machine can read films, build image sets, train, predict")
    assert list(here.iterdir()) == []
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "home"]
