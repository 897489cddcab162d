"""The one manifest: whose, which and how. Everything that is pushed or published is staged from it, checked, into a folder.

The committed folders are templates with a placeholder owner; `load` reads them for an owner. A staged dataset carries the hash
manifest `files.sha256.json` of what kernels find when it is mounted.
"""

import json
import re
import shutil
import tomllib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from siim_kernel import hashes
from siim_kernel.delivery import credentials, kernel_folders, metadata
from siim_kernel.delivery import sources as kinds
from siim_kernel.errors import DeliveryError

PLACEHOLDER = "your-name"
COMPETITION = "siim-covid19-detection"
KERNELS = {
    "images": "train_kernels/images",
    "external_images": "train_kernels/external_images",
    "train": "train_kernels/train",
    "inference": "inference_kernel",
}
DATASETS = {name: f"datasets-metadata/{name}" for name in ("code", "wheels", "imagenet-weights", "trained-weights")}
SUBMITTED = "inference"  # the kernel that the competition runs again, without internet
SESSION_HOURS = {SUBMITTED: 9}  # of the competition; any other session has
LONGEST_SESSION_HOURS = 12
HASHES, write_hashes, verify_hashes = hashes.HASHES, hashes.write_hashes, hashes.verify_hashes
# What Kaggle unpacks when it arrives, so that kernels would find other files than those that were sent.
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_OWNED = ("dataset_sources", "kernel_sources", "model_sources")
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Manifest:
    """What goes to Kaggle.

    owner         the Kaggle user name that everything is published under
    checkout      folder of the project
    version       of this package
    competition   slug of the competition
    accelerator   machine shape of the kernels that use a GPU, None for what each folder says (NvidiaTeslaT4)
    docker_image  Kaggle image by its digest for all kernels, None for Kaggle's current one
    kernels       name -> folder in the checkout: images, external_images, train, inference
    datasets      name -> folder with its metadata: code, wheels, imagenet-weights, trained-weights
    """

    owner: str
    checkout: Path
    version: str
    competition: str = COMPETITION
    accelerator: str | None = None
    docker_image: str | None = None
    kernels: dict = field(default_factory=dict)
    datasets: dict = field(default_factory=dict)

    def kernel_fields(self, name):
        """kernel-metadata.json of one of `kernels` for this owner, competition, accelerator and image."""
        fields = _owned(metadata.load_fields(_entry(self.kernels, name, "kernel") / metadata.KERNEL_FILE), self.owner)
        if fields.get("competition_sources"):
            fields["competition_sources"] = [self.competition]
        if self.accelerator and "machine_shape" in fields:
            fields["machine_shape"] = self.accelerator
        return fields | ({"docker_image": self.docker_image} if self.docker_image else {})

    def dataset_fields(self, name):
        """dataset-metadata.json of one of `datasets` for this owner."""
        return _owned(metadata.load_fields(_entry(self.datasets, name, "dataset") / metadata.DATASET_FILE), self.owner)

    def kernel_ref(self, name, suffix=""):
        """`owner/slug` of one of `kernels`, or of its copy with a slug suffix."""
        return self.kernel_fields(name)["id"] + suffix

    def dataset_ref(self, name):
        """`owner/slug` of one of `datasets`."""
        return self.dataset_fields(name)["id"]


def load(checkout, owner, accelerator=None, docker_image=None):
    """The `Manifest` of a checkout for `owner`. DeliveryError where a folder is missing or its metadata would be refused."""
    checkout = Path(checkout)
    if not isinstance(owner, str) or not re.fullmatch(kinds.OWNER, owner):
        raise DeliveryError(f"an owner is a Kaggle user name (letters, digits, hyphens), got {owner!r}")
    try:
        version = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise DeliveryError(f"{checkout} is no checkout of the project: pyproject.toml cannot be read ({error})") from None
    kernels = {name: checkout / folder for name, folder in KERNELS.items()}
    datasets = {name: checkout / folder for name, folder in DATASETS.items()}
    manifest = Manifest(owner, checkout, version, COMPETITION, accelerator, docker_image, kernels, datasets)
    for name in kernels:
        _checked_kernel(manifest, name)
    for name in datasets:
        _checked_dataset(manifest, name)
    return manifest


def owner_of(environment, given=None, token=None):
    """The Kaggle user name to publish under: `given`, else KAGGLE_USERNAME, else the token's, else that in kaggle.json.

    environment  dict of environment variables
    token        the name of whom the token belongs to (`Client.owner`), where that was asked

    Raises DeliveryError that says what to do where no name is found, or one that is not the token's.
    """
    named = ("--owner", given) if given else ("KAGGLE_USERNAME", environment.get("KAGGLE_USERNAME"))
    owner = named[1] or token or credentials.name_in_file(environment)
    remedy = "name it with --owner, set KAGGLE_USERNAME, or put your kaggle.json into ~/.kaggle"
    if not owner:
        raise DeliveryError(f"whose Kaggle account? {remedy}")
    if owner == PLACEHOLDER or not isinstance(owner, str) or not re.fullmatch(kinds.OWNER, owner):
        raise DeliveryError(f"{owner!r} is no Kaggle user name; {remedy}")
    if token and owner.lower() != token.lower():
        raise DeliveryError(f"the token belongs to {token}, {named[0]} says {owner}; Kaggle takes nothing from one for the other. Name one")
    return token or owner


def stage_kernel(manifest, name, out, parameters=None, suffix="", sources=None, script=False):
    """Write the kernel `name` to the folder `out`, ready to push and checked; returns `out` as a Path.

    parameters  dict of other values for its PARAMETERS block. A source that only an old value named is detached.
    suffix      such as "-main-fold1", appended to slug and title
    sources     dict of more sources: dataset_sources, kernel_sources, competition_sources, model_sources -> list of owner/slug;
                a slug alone is this owner's
    script      the script that a notebook is made from, in its place

    Raises DeliveryError with every fault, before anything is sent; then `out` is not left behind.
    """
    folder, out = _entry(manifest.kernels, name, "kernel"), Path(out)
    fields = _checked_kernel(manifest, name)
    if script:
        fields |= {"kernel_type": "script", "code_file": str(Path(fields["code_file"]).with_suffix(".py"))}
    defaults, parameters = kernel_folders.read_parameters(folder), dict(parameters or {})
    _detach(fields, defaults, defaults | parameters)
    _attach(fields, sources or {}, manifest.owner)
    changed = {key: value for key, value in fields.items() if key not in ("id", "title")}
    kernel_folders.write_copy(folder, out, parameters, metadata={**changed, "id": fields["id"] + suffix}, slug_suffix=suffix)
    faults = metadata.kernel_faults(metadata.load_fields(out / metadata.KERNEL_FILE), out, offline=name == SUBMITTED)
    hours, limit = (defaults | parameters).get("MAX_HOURS"), SESSION_HOURS.get(name, LONGEST_SESSION_HOURS)
    if "MAX_HOURS" in defaults and not (isinstance(hours, (int, float)) and 0 < hours < limit):
        faults.append(f"MAX_HOURS is {hours!r}, a session of this kernel is ended after {limit} hours; give less")
    try:
        metadata.require(faults, f"kernel {name}{suffix}")
    except DeliveryError:
        shutil.rmtree(out)
        raise
    return out


def stage_dataset(manifest, name, files, out):
    """Write the dataset `name` to the new folder `out`, ready to upload and checked; returns `out` as a Path.

    files  a folder, whose content the dataset gets, or one file. Sub-folders become archives, which Kaggle unpacks again; the
           hash manifest lists the files as kernels then find them. An older hash manifest and metadata are replaced.

    Raises DeliveryError with every fault, before anything is sent; then `out` is not left behind.
    """
    fields, out, files = _checked_dataset(manifest, name), Path(out), Path(files)
    if not files.exists():
        raise DeliveryError(f"dataset {name}: {files} does not exist; {manifest.datasets[name] / 'README.md'} says what goes in")
    found, faults = hashes.list_files(files)
    faults += [
        f"{each}: Kaggle unpacks archives, kernels would not find it; unpack it" for each in found if each.lower().endswith(ARCHIVES)
    ]
    if not found:
        faults.append(f"{files} holds no file; {manifest.datasets[name] / 'README.md'} says what goes in")
    metadata.require(faults, f"dataset {name}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DeliveryError(f"{out} exists and is not an empty folder; give another place for the dataset")
    out.mkdir(parents=True, exist_ok=True)
    try:
        _write_upload(found, out)
        (out / metadata.DATASET_FILE).write_text(_json(fields), encoding="utf-8")
        hashes.write_hashes(out, found, manifest.version)
        metadata.require(metadata.dataset_faults(fields, out), f"dataset {name}")
    except (DeliveryError, OSError) as error:
        shutil.rmtree(out)
        if isinstance(error, OSError):
            raise DeliveryError(f"dataset {name} cannot be written to {out}: {error}; make room, or give another place") from error
        raise
    return out


def _checked_kernel(manifest, name):
    """The fields of a committed kernel folder, valid by itself."""
    fields, folder = manifest.kernel_fields(name), manifest.kernels[name]
    metadata.require(metadata.kernel_faults(fields, folder, offline=name == SUBMITTED), f"kernel {name} ({folder})")
    return fields


def _checked_dataset(manifest, name):
    fields, folder = manifest.dataset_fields(name), manifest.datasets[name]
    metadata.require(metadata.dataset_faults(fields, folder), f"dataset {name} ({folder})")
    return fields


def _entry(table, name, kind):
    if name not in table:
        raise DeliveryError(f"there is no {kind} {name!r}; there are {', '.join(table)}")
    return table[name]


def _owned(fields, owner):
    """Fields of a template in which `owner` takes the place of the template's own."""
    own = {PLACEHOLDER, str(fields.get("id")).split("/")[0]}

    def mine(ref):
        first, slash, rest = ref.partition("/") if isinstance(ref, str) else ("", "", "")
        return f"{owner}/{rest}" if slash and first in own else ref

    lists = {name: [mine(ref) for ref in fields[name]] for name in _OWNED if isinstance(fields.get(name), list)}
    return {**fields, **lists, **({"id": mine(fields["id"])} if "id" in fields else {})}


def _detach(fields, before, after):
    """Take out the sources that PARAMETERS named `before` and no longer name `after`."""
    named = [{slug for name in kinds.SOURCE_PARAMETERS for slug in kinds.named_sources(each.get(name))} for each in (before, after)]
    for name in kinds.SOURCES:
        fields[name] = [ref for ref in fields.get(name, []) if kinds.slug_in(ref) not in named[0] - named[1]]


def _attach(fields, sources, owner):
    """Add sources; one that is there already with another version is replaced."""
    for name, refs in sources.items():
        if name not in kinds.SOURCES:
            raise DeliveryError(f"{name!r} is no kind of source; there are {', '.join(kinds.SOURCES)}")
        for ref in [refs] if isinstance(refs, str) else refs:
            ref = f"{owner}/{ref}" if name in ("dataset_sources", "kernel_sources") and "/" not in ref else ref
            others = [each for each in fields[name] if each.split("/")[:2] != ref.split("/")[:2]]
            fields[name] = [*others, ref]


def _write_upload(found, out):
    """Top-level files as they are; each sub-folder as a zip without compression, which Kaggle unpacks to a folder of its name."""
    for name, path in found.items():
        if "/" not in name:
            shutil.copyfile(path, out / name)
    for folder in sorted({name.split("/")[0] for name in found if "/" in name}):
        with zipfile.ZipFile(out / f"{folder}.zip", "w") as archive:
            for name, path in found.items():
                if name.startswith(f"{folder}/"):
                    info = zipfile.ZipInfo(name.removeprefix(f"{folder}/"), _ZIP_DATE)
                    with open(path, "rb") as source, archive.open(info, "w", force_zip64=True) as target:
                        shutil.copyfileobj(source, target, 1 << 20)


def _json(value):
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
