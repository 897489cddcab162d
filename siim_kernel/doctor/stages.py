"""Software, image sets, training, ImageNet weights, mounts: what each needs and what is here."""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata, util
from pathlib import Path

from siim_kernel import machine, mounts
from siim_kernel.doctor.findings import BUILDING, LACKING, MOUNTS, NOTE, OK, PREDICTION, READING, SOFTWARE, TRAINING, WEIGHTS, Finding
from siim_kernel.machine import GIB

PYTHONS = (3, 11), (3, 13)
# The generation of Kaggle's image that the lock follows: the first numbers of each version.
KAGGLES = {"tensorflow": "2.20", "keras": "3.13", "numpy": "2.0", "pandas": "2.2", "scikit-image": "0.25", "scikit-learn": "1.6"}
NEEDS_LEARNING = (TRAINING, PREDICTION)

# Measured, and rounded up: a process that has loaded what reads films, and what it holds for each pixel of the film in hand.
WORKER_BYTES, PIXEL_BYTES = 150 * 2**20, 14
LARGEST_FILM = 4020 * 4891  # pixels; the largest plate of the competition
COMPETITION_FILMS = 6334 + 1263  # train and public test
SET_SIZE = 512
# Peak of a training on CPU: `small`; the full Xception with a batch of 16 at 299 px, which grows with the area.
SMALL_BYTES, XCEPTION_BYTES, XCEPTION_SIZE = 1.3 * GIB, 5.8e9, 299
PROBE_SECONDS = 120
PACKAGE = Path(__file__).parents[2]  # where `import siim_kernel` finds it
KERAS_FILE = "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"
WEIGHTS_SLUG = "siim-kernel-imagenet-weights"
INPUT_VARIABLE, WORKING_VARIABLE = "SIIM_KERNEL_INPUT", "SIIM_KERNEL_WORKING"


def gib(count):
    """Bytes as text in GiB."""
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / 2**20:.0f} MiB"


def software():
    """Python, and the packages that decide results, beside Kaggle's."""
    from siim_kernel import runs

    low, high = PYTHONS
    fits = low <= sys.version_info[:2] <= high
    yield Finding(
        stage=SOFTWARE,
        what="Python",
        state=OK if fits else LACKING,
        detail=f"{'.'.join(map(str, sys.version_info[:3]))}{'' if fits else ', the package is for 3.11 to 3.13'}",
        remedy="" if fits else "make an environment of one of these: make test PYTHON=python3.12",
    )
    listed = ", ".join(f"{name} {number}" for name, number in runs.versions().items() if name != "python")
    yield Finding(stage=SOFTWARE, what="packages", state=OK, detail=listed)
    here = {name: version(name) for name in KAGGLES}
    here["tensorflow"] = here["tensorflow"] or version("tensorflow-cpu")
    same = [f"{name} {has}" for name, has in KAGGLES.items() if here[name]]
    others = [
        f"{name} {here[name]} (Kaggle {has})" for name, has in KAGGLES.items() if here[name] and not f"{here[name]}.".startswith(f"{has}.")
    ]
    yield Finding(
        stage=SOFTWARE,
        what="Kaggle's generation",
        state=NOTE if others else OK,
        detail=f"another here: {', '.join(others)}; figures may differ a little" if others else f"the same here: {', '.join(same)}",
    )


def version(name):
    """The installed version of a package, "" where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def working_place():
    """Where results go: what the environment says, Kaggle's folder, else the folder of the caller."""
    kaggle = Path("/kaggle/working")
    return Path(os.environ.get(WORKING_VARIABLE) or (kaggle if kaggle.is_dir() else Path.cwd()))


def worker_bytes(pixels):
    """Memory of a process that reads films of so many pixels, in bytes."""
    return WORKER_BYTES + PIXEL_BYTES * pixels


def building(memory):
    """Cores, memory, disk and Dask, for image sets of the competition. `memory` as `machine.memory` gives it."""
    importlib.import_module("siim_kernel.pixels.building")  # what builds image sets loads
    cores = machine.cores()
    yield _of_cores(cores)
    yield of_memory(memory, cores, LARGEST_FILM, BUILDING, "memory")
    yield of_disk(working_place(), COMPETITION_FILMS, [SET_SIZE], BUILDING, "disk")
    dask = all(util.find_spec(name) for name in ("dask", "distributed"))
    detail = "installed, for --backend dask" if dask else "not installed: only --backend dask needs it, for several machines"
    remedy = "" if dask else "where a cluster is wanted: pip install 'siim-kernel[dask]'"
    yield Finding(stage=BUILDING, what="Dask", state=OK if dask else NOTE, detail=detail, remedy=remedy)


def _of_cores(cores):
    if cores.quota is None or cores.quota >= cores.usable:
        return Finding(stage=BUILDING, what="cores", state=OK, detail=f"{cores.usable}, a worker each")
    detail = f"{cores.usable}, with time for {cores.quota:g} (the container's CPU quota); a worker would be started for each core"
    return Finding(stage=BUILDING, what="cores", state=NOTE, detail=detail, remedy=f"give --workers {cores.workers}")


def of_memory(memory, cores, pixels, stage, what):
    """Whether the memory serves a process a core that reads films of `pixels`; one process at least, or the stage stops."""
    if memory is None:
        return Finding(stage=stage, what=what, state=NOTE, detail="the system does not say how much there is")
    each = worker_bytes(pixels)
    fit = int(memory.available // each)
    limit = " (the container's limit)" if memory.limited else ""
    detail = f"{gib(memory.available)} available of {gib(memory.most)}{limit}; a worker needs up to {gib(each)}"
    if fit >= cores.usable:
        return Finding(stage=stage, what=what, state=OK, detail=f"{detail}, {cores.usable} of them {gib(each * cores.usable)}")
    if fit:
        remedy = f"give --workers {fit}, or more memory"
        return Finding(stage=stage, what=what, state=LACKING, detail=f"{detail}, {cores.usable} of them are too many", remedy=remedy)
    remedy = "end other programs, or raise the container's or machine's memory"
    return Finding(stage=stage, what=what, state=LACKING, detail=detail, remedy=remedy, stops=(READING, BUILDING, PREDICTION))


def of_disk(place, count, sizes, stage, what):
    """Whether the disk of `place` holds image sets of `count` films, one a size. The stage stops where not even the smallest fits."""
    if not os.access(machine.existing(place), os.W_OK):
        remedy = "run in a folder of your own, and name outputs there"
        return Finding(stage=stage, what=what, state=NOTE, detail=f"{place} cannot be written to", remedy=remedy)
    free = machine.disk_free(place)
    needs = {size: count * size**2 for size in sizes}
    listed = ", ".join(f"{gib(need)} at {size} px" for size, need in needs.items())
    detail = f"{gib(free)} free at {place}; an image set of {count:,} films takes {listed}"
    if free >= max(needs.values()):
        return Finding(stage=stage, what=what, state=OK, detail=detail)
    stops = (BUILDING,) if free < min(needs.values()) else ()
    remedy = "free some, name an output folder on another disk, or take a smaller --size"
    return Finding(stage=stage, what=what, state=LACKING, detail=detail, remedy=remedy, stops=stops)


def ask_tensorflow():
    """What `learning.hardware` reports (a dict), or {"fault": its last words}. TensorFlow is loaded in a process of its own."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONDONTWRITEBYTECODE": "1"}
    home = Path(environment.get("KERAS_HOME") or Path.home() / ".keras")
    with tempfile.TemporaryDirectory(prefix="siim-kernel-") as folder:
        # What would be written to the home folder: caches, settings.
        environment |= {"MPLCONFIGDIR": folder, "TMPDIR": folder}
        if not (home / "keras.json").exists():
            environment["KERAS_HOME"] = folder
        command = [sys.executable, "-m", "siim_kernel.learning.hardware"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", cwd=PACKAGE, env=environment, timeout=PROBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return {"fault": f"it did not train a step within {PROBE_SECONDS} s"}
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return {"fault": said[-1][:300] if said else f"its process ended with exit code {done.returncode} and no word"}


def training(answer, cards, memory):
    """TensorFlow and the GPUs, of what `ask_tensorflow`, `machine.cards` and `machine.memory` said."""
    if "fault" in answer:
        absent = "No module named 'tensorflow'" in answer["fault"] or "No module named 'keras'" in answer["fault"]
        remedy = "pip install 'siim-kernel[cpu]', or 'siim-kernel[gpu]' for an NVIDIA GPU"
        remedy = remedy if absent else f"{remedy}; into a new environment where it is broken"
        detail = "not installed" if absent else f"it does not work: {answer['fault']}"
        yield Finding(stage=TRAINING, what="TensorFlow", state=LACKING, detail=detail, remedy=remedy, stops=NEEDS_LEARNING)
    else:
        detail = f"{answer['tensorflow']} with Keras {answer['keras']}; a small network was trained for a step"
        yield Finding(stage=TRAINING, what="TensorFlow", state=OK, detail=detail)
        yield from _of_gpus(answer, cards)
    if memory is not None:
        yield _of_training_memory(memory, bool(answer.get("gpus")))


def _of_gpus(answer, cards):
    gpus = answer["gpus"]
    # The driver's list tells the memory, TensorFlow's what is used; of cards hidden from TensorFlow the order is not known.
    memories = {card.name: card.memory for card in cards}
    for number, gpu in enumerate(gpus):
        memory = f", {gib(memories[gpu['name']])}" if gpu["name"] in memories else ""
        capability = ".".join(map(str, gpu["compute_capability"])) or "unknown"
        yield Finding(stage=TRAINING, what=f"GPU {number}", state=OK, detail=f"{gpu['name']}{memory}, compute capability {capability}")
    if not gpus and cards:
        detail = f"the driver lists {', '.join(card.name for card in cards)}, and TensorFlow sees none"
        remedy = "pip uninstall tensorflow-cpu, then pip install 'siim-kernel[gpu]'; look at CUDA_VISIBLE_DEVICES too"
        yield Finding(stage=TRAINING, what="GPU", state=NOTE, detail=detail, remedy=remedy)
    elif not gpus:
        detail = "none; recipe small trains on CPU in minutes, main is for Kaggle's GPUs"
        yield Finding(stage=TRAINING, what="GPU", state=NOTE, detail=detail)
    used = answer["mixed_precision"]
    detail = (
        "yes, where the recipe asks for it" if used else "no: it takes a GPU of compute capability 7.0 or more; recipes train in float32"
    )
    yield Finding(stage=TRAINING, what="mixed precision", state=OK if used else NOTE, detail=detail)


def _of_training_memory(memory, gpu):
    if memory.available < SMALL_BYTES:
        detail = f"{gib(memory.available)} available, recipe small needs {gib(SMALL_BYTES)}"
        remedy = "end other programs, or raise the container's or machine's memory; or train on Kaggle"
        return Finding(stage=TRAINING, what="memory", state=LACKING, detail=detail, remedy=remedy, stops=(TRAINING,))
    from siim_kernel.recipes.main import MAIN

    main = XCEPTION_BYTES * (MAIN.pixels.size / XCEPTION_SIZE) ** 2
    detail = f"{gib(memory.available)} available; recipe small needs some {gib(SMALL_BYTES)}"
    if not gpu:
        detail += f", main on CPU some {gib(main)}"
    return Finding(stage=TRAINING, what="memory", state=OK, detail=detail)


def weights():
    """Where ImageNet weights of Xception stand; never loaded."""
    cached = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / KERAS_FILE
    if cached.is_file():
        yield Finding(stage=WEIGHTS, what="Keras's cache", state=OK, detail=f"{cached}; give it to train by --imagenet")
    root = input_root()
    mounted = sorted(path for source in mounts.sources(root) if source.name == WEIGHTS_SLUG for path in (root / source).rglob("*.h5"))
    if mounted:
        yield Finding(stage=WEIGHTS, what="mounted", state=OK, detail=str(mounted[0]))
    if not cached.is_file() and not mounted:
        detail = "none found; recipes main and small-imagenet start from them, small does not"
        remedy = f"get Keras's {KERAS_FILE} and give it by --imagenet, on Kaggle by the dataset {WEIGHTS_SLUG}"
        yield Finding(stage=WEIGHTS, what="Xception without top", state=NOTE, detail=detail, remedy=remedy)


def input_root():
    """Where data sources are mounted."""
    return Path(os.environ.get(INPUT_VARIABLE) or "/kaggle/input")


def input_mounts():
    """The data sources that are mounted."""
    root = input_root()
    if root.is_dir():
        found = list(map(str, mounts.sources(root)))
        detail = ", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")
        yield Finding(stage=MOUNTS, what=str(root), state=OK if found else NOTE, detail=detail or "no data source is mounted")
    elif INPUT_VARIABLE in os.environ:
        remedy = f"correct {INPUT_VARIABLE}, or unset it"
        yield Finding(stage=MOUNTS, what=str(root), state=LACKING, detail=f"{INPUT_VARIABLE} names no folder", remedy=remedy)
    else:
        yield Finding(stage=MOUNTS, what=str(root), state=NOTE, detail="not here: this is not a Kaggle session")
