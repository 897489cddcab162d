"""The rules of kernel-metadata.json and dataset-metadata.json, checked before anything is sent.

The Kaggle client 2.2.4 checks few of them: it ignores fields that it does not know, so that a misspelt `enable_internet` leaves
the internet on, sends sources that nobody can attach, and loses the server's reason for a refusal.
"""

import ast
import difflib
import json
import re
from pathlib import Path

from siim_kernel.delivery import kernel_folders, sources
from siim_kernel.delivery.sources import OWNER, SLUG, text_list_faults
from siim_kernel.errors import DeliveryError
from siim_kernel.hashes import DATASET_METADATA

KERNEL_FILE, DATASET_FILE = kernel_folders.METADATA, DATASET_METADATA
LISTS = (*sources.SOURCES, "keywords")
FLAGS = ("is_private", "enable_gpu", "enable_tpu", "enable_internet")
KERNEL_FIELDS = ("id", "title", "code_file", "language", "kernel_type", *FLAGS, *LISTS)
OPTIONAL_KERNEL_FIELDS = ("machine_shape", "docker_image", "docker_image_pinning_type")
DATASET_FIELDS = ("id", "title", "licenses", "subtitle", "description", "keywords", "resources")

MOST_SOURCE = 1_000_000  # bytes; the server: "The kernel source must be less than 1 megabytes in size."
MOST_FILES = 50  # at the top level of a dataset
MOST_DATASET = 200 * 10**9  # bytes
GPUS = (
    "NvidiaTeslaT4",
    "NvidiaTeslaT4Highmem",
    "NvidiaL4",
    "NvidiaL4X1",
    "NvidiaTeslaA100",
    "NvidiaH100",
    "NvidiaRtxPro6000",
)
TPUS = ("TpuV5E8", "TpuV6E8")
RETIRED = {
    "NvidiaTeslaP100": "Kaggle retired the P100 on 2026-09-14 and silently runs a T4 instead; write NvidiaTeslaT4",
    "Tpu1VmV38": "Kaggle retired the TPU v3-8 on 2026-09-14 and silently runs a v5e-8 instead; write TpuV5E8",
}
LICENCES = (
    *("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0"),
    *("CC-BY-NC-ND-4.0", "CC-BY-3.0-IGO", "CC-BY-NC-SA-3.0-IGO", "GPL-2.0", "GPL-3.0", "LGPL-3.0", "AGPL-3.0", "ODbL-1.0", "DbCL-1.0"),
    *("PDDL", "ODC-BY-1.0", "CDLA-Permissive-1.0", "CDLA-Sharing-1.0", "FDL-1.3", "US-Government-Works", "EU-ODP-Legal-Notice"),
    *("apache-2.0", "copyright-authors", "other", "unknown"),
)
_NOT_UPLOADED = re.compile(
    r"datapackage\.json|(kernel|model|model-instance)-metadata\.json|dataset-cover-image\.(png|jpe?g|webp)|\.git|\.cache|\.huggingface"
)


def require(faults, what):
    """Raises one DeliveryError with all `faults` (a list of str) of `what`; nothing when there is none."""
    if faults:
        raise DeliveryError("\n".join([f"{what} is not as Kaggle takes it; nothing was sent:", *(f"- {fault}" for fault in faults)]))


def slug_of(title):
    """The slug that Kaggle's server makes of a title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def load_fields(path):
    """The fields in a metadata file, a dict. DeliveryError where it is missing, not JSON, no object, or names a field twice."""

    def once(pairs):
        fields = dict(pairs)
        twice = sorted({name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1})
        if twice:
            raise DeliveryError(f"{path}: {', '.join(twice)} stands there twice; the client would take the last one. Keep one")
        return fields

    try:
        fields = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=once)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DeliveryError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(fields, dict):
        raise DeliveryError(f"{path}: expected a JSON object, got a {type(fields).__name__}")
    return fields


def kernel_faults(fields, folder, offline=True):
    """What is wrong with a kernel: a list of str, empty when it can be pushed.

    fields   dict, as kernel-metadata.json in `folder` has it
    offline  whether `enable_internet` must be false, as it must for a kernel that is submitted
    """
    faults = _unknown(fields, (*KERNEL_FIELDS, *OPTIONAL_KERNEL_FIELDS), "kernel-metadata.json")
    faults += _identity_faults(fields, "kernel", shortest=5)
    faults += _flag_faults(fields, offline)
    faults += _machine_faults(fields)
    faults += text_list_faults(fields, "keywords") + sources.source_faults(fields)
    return faults + _code_faults(fields, Path(folder))


def dataset_faults(fields, folder):
    """What is wrong with a dataset folder as it would be uploaded: a list of str, empty when it can be published.

    fields  dict, as dataset-metadata.json in `folder` has it
    """
    faults = _unknown(fields, DATASET_FIELDS, "dataset-metadata.json") + _identity_faults(fields, "dataset", shortest=6)
    licences = fields.get("licenses")
    if not (isinstance(licences, list) and len(licences) == 1 and isinstance(licences[0], dict) and set(licences[0]) == {"name"}):
        faults.append(f'licenses must be one name, such as [{{"name": "other"}}], got {licences!r}')
    elif licences[0]["name"] not in LICENCES:
        faults.append(f"licence {licences[0]['name']!r} is none that Kaggle knows; there are {', '.join(LICENCES)}")
    subtitle = fields.get("subtitle")
    if subtitle is not None and not (isinstance(subtitle, str) and 20 <= len(subtitle) <= 80):
        faults.append(f"subtitle must have 20 to 80 characters, or be left out; got {subtitle!r}")
    if not isinstance(fields.get("description", ""), str):
        faults.append(f"description must be text, got {fields['description']!r}")
    faults += text_list_faults(fields, "keywords")
    return faults + _resource_faults(fields, Path(folder)) + _upload_faults(Path(folder))


def _unknown(fields, known, file):
    """Fields that the client would ignore without a word."""
    faults = []
    for name in sorted(set(fields) - set(known) - {"id_no"}):
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        faults.append(f"{file} has no field {name!r}, the client would ignore it; {hint}")
    return faults


def _identity_faults(fields, kind, shortest):
    """`id`, `title`, and that they belong together."""
    title, ref = fields.get("title"), fields.get("id")
    faults = []
    if "id_no" in fields:
        faults.append(f"id_no wins over id, so that a copy under another slug would overwrite this {kind}; leave it out")
    if not (isinstance(title, str) and shortest <= len(title) <= 50):
        faults.append(f"title of a {kind} must have {shortest} to 50 characters, got {title!r}")
    if not (isinstance(ref, str) and re.fullmatch(f"{OWNER}/{SLUG}", ref)):
        return [*faults, f"id must be owner/slug, the slug of small letters, digits and single hyphens, got {ref!r}"]
    slug = ref.split("/")[1]
    if not shortest <= len(slug) <= 50:
        faults.append(f"slug of a {kind} must have {shortest} to 50 characters, {slug!r} has {len(slug)}")
    if isinstance(title, str) and slug_of(title) != slug:
        faults.append(f"title {title!r} makes the slug {slug_of(title)!r} on Kaggle, id says {slug!r}; make them agree")
    return faults


def _flag(value):
    """The client's reading of a flag: bool, or its words in any case; None for what the client stumbles over."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _flag_faults(fields, offline):
    faults = [f"{name} must be true or false, got {fields[name]!r}" for name in FLAGS if name in fields and _flag(fields[name]) is None]
    if "enable_internet" not in fields:
        faults.append("enable_internet is missing, and the client then switches the internet on; write enable_internet: false")
    elif offline and _flag(fields["enable_internet"]) is True:
        faults.append("enable_internet is true, the competition takes kernels without internet only; write enable_internet: false")
    return faults


def _machine_faults(fields):
    gpu, tpu = (_flag(fields.get(name, False)) for name in ("enable_gpu", "enable_tpu"))
    faults = ["enable_gpu and enable_tpu are both true; a kernel has one accelerator"] if gpu and tpu else []
    shape = fields.get("machine_shape")
    if "machine_shape" in fields and shape not in (*GPUS, *TPUS):
        reason = RETIRED.get(str(shape)) or f"there are {', '.join((*GPUS, *TPUS))}; leave it out for a CPU"
        faults.append(f"machine_shape {shape!r}: {reason}")
    elif (shape in GPUS and not gpu) or (shape in TPUS and not tpu):
        wanted = "enable_gpu" if shape in GPUS else "enable_tpu"
        faults.append(f"machine_shape {shape} goes with {wanted}: true, got {fields.get(wanted)!r}")
    pinning, image = fields.get("docker_image_pinning_type"), fields.get("docker_image")
    if "docker_image_pinning_type" in fields and pinning not in ("original", "latest"):
        faults.append(f"docker_image_pinning_type must be original or latest, or be left out, got {pinning!r}")
    if "docker_image" in fields and not (isinstance(image, str) and re.fullmatch(r"[\w.-]+(/[\w.-]+)+@sha256:[0-9a-f]{64}", image)):
        faults.append(f"docker_image must be a Kaggle image by its digest, such as gcr.io/kaggle-images/python@sha256:..., got {image!r}")
    if "docker_image" in fields and pinning == "latest":
        faults.append("docker_image pins one image, docker_image_pinning_type asks for the latest; keep one of them")
    return faults


def _code_faults(fields, folder):
    """The code file: there, UTF-8, small enough, whole, and its PARAMETERS name attached sources only."""
    faults = []
    if fields.get("language") not in ("python", "r", "rmarkdown"):
        faults.append(f"language must be python, r or rmarkdown (small letters), got {fields.get('language')!r}")
    try:
        parameters = kernel_folders.read_parameters(folder)
        text = (folder / fields["code_file"]).read_bytes().decode("utf-8")
        sent = _as_sent(text, fields["kernel_type"])
    except (DeliveryError, OSError, UnicodeDecodeError, KeyError) as error:
        return [*faults, f"the kernel's code cannot be read: {error}"]
    if (size := len(sent.encode("utf-8"))) >= MOST_SOURCE:
        faults.append(f"{fields['code_file']} is sent as {size:,} bytes, Kaggle takes less than {MOST_SOURCE:,}; put data in a dataset")
    if fields["kernel_type"] == "script" and fields.get("language") == "python":
        try:
            ast.parse(text)
        except (SyntaxError, ValueError) as error:
            faults.append(f"{fields['code_file']} is not Python: {error}")
    return faults + sources.parameter_faults(fields, parameters)


def _as_sent(text, kernel_type):
    """The text that the client sends: a notebook without outputs, written again as JSON."""
    if kernel_type == "script":
        return text
    notebook = json.loads(text)
    for cell in notebook.get("cells", []):
        if cell.get("cell_type") == "code" and "outputs" in cell:
            cell["outputs"] = []
        if isinstance(cell.get("source"), list):
            cell["source"] = "".join(cell["source"])
    return json.dumps(notebook)


def _resource_faults(fields, folder):
    resources = fields.get("resources", [])
    if not (isinstance(resources, list) and all(isinstance(item, dict) and isinstance(item.get("path"), str) for item in resources)):
        return [f"resources must be a list of objects with a path, got {resources!r}"]
    paths = [item["path"] for item in resources]
    faults = [f"resources names {path!r}, which is no file in {folder}" for path in paths if not (folder / path).is_file()]
    return faults + [f"resources names {path!r} twice" for path in sorted({path for path in paths if paths.count(path) > 1})]


def _upload_faults(folder):
    """What the client would leave out, or the service refuse, of the files in a dataset folder."""
    try:
        places = sorted(path for path in folder.iterdir() if path.name != DATASET_FILE)
    except OSError as error:
        return [f"the folder {folder} cannot be read: {error}"]
    faults = [] if places else [f"{folder} holds no file to upload"]
    if len(places) > MOST_FILES:
        faults.append(f"{len(places)} files at the top level, Kaggle takes {MOST_FILES}; put them in sub-folders, which are packed")
    for path in places:
        if _NOT_UPLOADED.fullmatch(path.name):
            faults.append(f"{path.name} is a name that the client does not upload; rename it or take it out")
        elif path.is_dir():
            faults.append(f"the sub-folder {path.name} would be dropped; the client uploads the top level only, pack it")
        elif not path.is_file():
            faults.append(f"{path.name} is no file that can be uploaded (a broken link?)")
    total = sum(path.stat().st_size for path in places if path.is_file())
    if total > MOST_DATASET:
        faults.append(f"{total / 10**9:.1f} GB, Kaggle takes {MOST_DATASET / 10**9:.0f} GB in a dataset")
    return faults
