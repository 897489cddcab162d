"""The hash manifest of a folder: `files.sha256.json` says which files it holds, with their SHA-256 and bytes.

{"made_by": "siim-kernel 0.1.0", "files": {"fold-0/run.json": {"sha256": "...", "bytes": 1234}}}
"""

import json
import os
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from siim_kernel.errors import DeliveryError
from siim_kernel.files import sha256, write_atomically

HASHES = "files.sha256.json"
DATASET_METADATA = "dataset-metadata.json"
# Neither listed nor foreign: the manifest itself, what Kaggle does not keep of a dataset, and what it adds to a kernel's output.
OUTSIDE = (
    HASHES,
    DATASET_METADATA,
    "__notebook*__.ipynb",
    "__output__.json",
    "__results__.html",
    "__results___files/*",
    "custom.css",
)


def write_hashes(folder, files=None, version=None):
    """Write the hash manifest `folder`/files.sha256.json; returns its path.

    files    dict of relative name -> Path, by default all files in `folder`
    version  of this package, by default the installed one
    """
    if files is None:
        files, faults = list_files(Path(folder))
        if faults:
            raise DeliveryError("\n".join([f"{folder} cannot be listed:", *(f"- {fault}" for fault in faults)]))
    entries = {name: {"sha256": sha256(path), "bytes": path.stat().st_size} for name, path in files.items()}
    made_by = f"siim-kernel {version or _installed()}"
    write_atomically(Path(folder) / HASHES, json.dumps({"made_by": made_by, "files": entries}, indent=1, ensure_ascii=False) + "\n")
    return Path(folder) / HASHES


def verify_hashes(folder, added=()):
    """Compare `folder`, as kernels find it or as it was fetched, with its hash manifest.

    added  names of files that may be there without being listed, such as a kernel's log

    Raises DeliveryError that names every missing, changed and foreign file; or that there is no hash manifest to go by.
    """
    path = Path(folder) / HASHES
    try:
        wanted = json.loads(path.read_text(encoding="utf-8"))["files"]
        wanted = {name: (entry["sha256"], entry["bytes"]) for name, entry in wanted.items()}
    except FileNotFoundError:
        raise DeliveryError(f"{folder} has no {HASHES}, so it cannot be verified; publish or fetch it again") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeliveryError(f"{path} is no hash manifest ({error!r}); publish or fetch it again") from None
    found, faults = list_files(Path(folder))
    faults += [f"missing: {name}" for name in sorted(wanted.keys() - found.keys())]
    for name in sorted(wanted.keys() & found.keys()):
        digest, size = wanted[name]
        try:
            if (there := found[name].stat().st_size) != size:
                faults.append(f"changed: {name} has {there} bytes, not {size}")
            elif sha256(found[name]) != digest:
                faults.append(f"changed: {name} has another SHA-256")
        except OSError as error:
            faults.append(f"cannot be read: {name}: {error}")
    faults += [f"foreign: {name}" for name in sorted(found.keys() - wanted.keys() - set(added))]
    if faults:
        raise DeliveryError("\n".join([f"{folder} is not what its {HASHES} lists:", *(f"- {fault}" for fault in faults)]))


def list_files(place):
    """The files of `place` (a folder or one file): a dict of relative name -> Path, in order, and a list of what is wrong there."""
    if place.is_file():
        return {place.name: place}, []
    found, faults = {}, [] if place.is_dir() else [f"{place} does not exist"]
    for folder, folders, names in os.walk(place, onerror=lambda error: faults.append(f"a folder cannot be read: {error}")):
        for path in [Path(folder, name) for name in (*names, *folders)]:
            name = path.relative_to(place).as_posix()
            if path.is_file() and not any(fnmatch(name, pattern) for pattern in OUTSIDE):
                found[name] = path
            elif not path.is_file() and (path.is_symlink() or not path.is_dir()):
                faults.append(f"{name} is a link to a folder, a broken link or no file; put the files themselves there")
    return dict(sorted(found.items())), faults


def _installed():
    try:
        return metadata.version("siim-kernel")
    except metadata.PackageNotFoundError:
        return "of unknown version"
