"""What has arrived, on disk: uploads, data sets, kernels, submissions. Nothing is kept in memory, so a folder can be served again.

uploads/TOKEN, TOKEN.json               a file on its way, and what was said of it
datasets/OWNER/SLUG/dataset.json        its title, license and versions
datasets/OWNER/SLUG/N/                  the files of version N, archives unpacked
kernels/OWNER/SLUG/kernel.json          its title, kind and versions, each with its metadata, sources and outcome
kernels/OWNER/SLUG/N/source, log.json, output/
submissions/REF.json, REF.csv
"""

import datetime
import json
import re
import secrets
import shutil
import tarfile
import unicodedata
import zipfile
from pathlib import Path

from siim_kernel.files import write_atomically

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2")


class Refusal(Exception):
    """An HTTP error as the answer; the message stands in its body."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def now():
    """The time as the service writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def slug_of(title):
    """The slug that the service makes of a title."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def page(items, body, default=20, largest=200):
    """One page of `items` as the request asks, and the token of the next one or None."""
    start = int(body.get("pageToken") or 0)
    size = min(int(body.get("pageSize") or default), largest)
    return items[start : start + size], str(start + size) if start + size < len(items) else None


def files_below(folder):
    """[(relative name, Path)] of the files below a folder, sorted."""
    folder = Path(folder)
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())


def read(path):
    """A JSON document, or None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write(path, document):
    """Writes a JSON document, so that whoever reads meanwhile sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(document, indent=1))


class Store:
    """The folder of one service."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()

    # --- uploads

    def start_upload(self, name, size):
        """A token for a file that will arrive."""
        token = secrets.token_hex(12)
        write(self.folder / "uploads" / f"{token}.json", {"name": name, "size": size})
        self.upload(token).touch()
        return token

    def upload(self, token):
        """The path of a started upload; Refusal for a token that was not given out."""
        path = self.folder / "uploads" / token
        if not re.fullmatch("[0-9a-f]{24}", token) or not path.with_suffix(".json").exists():
            raise Refusal(404, f"no upload {token}")
        return path

    def upload_facts(self, token):
        """{"name", "size", perhaps "complete"} of an upload."""
        return read(self.upload(token).with_suffix(".json"))

    def finish_upload(self, token):
        """The upload is complete as it stands."""
        write(self.upload(token).with_suffix(".json"), self.upload_facts(token) | {"complete": True})

    # --- data sets

    def dataset_folder(self, owner, slug):
        """Where a data set is kept, whether or not it is there."""
        return self.folder / "datasets" / owner / slug

    def dataset(self, owner, slug):
        """A data set's document, or None."""
        return read(self.dataset_folder(owner, slug) / "dataset.json")

    def save_dataset_version(self, owner, slug, facts, tokens, without=None):
        """Adds a version of the files `tokens`; `without` names one that gets lost. Returns its number."""
        document = (self.dataset(owner, slug) or {"versions": []}) | facts
        number = len(document["versions"]) + 1
        folder = self.dataset_folder(owner, slug) / str(number)
        folder.mkdir(parents=True)
        for token in tokens:
            name = self.upload_facts(token)["name"]
            if name != without:
                _arrive(self.upload(token), folder / name)
        document["versions"].append({"number": number, "created": now()})
        write(self.dataset_folder(owner, slug) / "dataset.json", document)
        return number

    # --- kernels

    def kernel_folder(self, owner, slug):
        """Where a kernel is kept, whether or not it is there."""
        return self.folder / "kernels" / owner / slug

    def kernel(self, owner, slug):
        """A kernel's document, or None."""
        return read(self.kernel_folder(owner, slug) / "kernel.json")

    def save_kernel(self, owner, slug, document):
        """Writes a kernel's document."""
        write(self.kernel_folder(owner, slug) / "kernel.json", document)

    def kernels(self):
        """[(owner, slug, document)] of all kernels."""
        found = sorted((self.folder / "kernels").glob("*/*/kernel.json"))
        return [(path.parts[-3], path.parts[-2], read(path)) for path in found]

    # --- submissions

    def submissions(self, competition=None):
        """Documents of all submissions, or those to one competition, the latest first."""
        found = [read(path) for path in (self.folder / "submissions").glob("*.json")]
        chosen = [each for each in found if competition in (None, each["competition"])]
        return sorted(chosen, key=lambda each: each["ref"], reverse=True)

    def save_submission(self, document):
        """Writes a submission's document under its `ref`; the file that goes with it is `submission_file`."""
        write(self.folder / "submissions" / f"{document['ref']}.json", document)

    def submission_file(self, ref):
        """Where a submission's file is kept."""
        path = self.folder / "submissions" / f"{ref}.csv"
        path.parent.mkdir(exist_ok=True)
        return path


def _arrive(upload, target):
    """A file of a data set; an archive is unpacked to a folder of its name without the suffix."""
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = next((suffix for suffix in (".zip", *TARS) if target.name.endswith(suffix)), None)
    if suffix is None:
        shutil.copyfile(upload, target)
        return
    folder = target.with_name(target.name.removesuffix(suffix))
    folder.mkdir()
    if suffix == ".zip":
        with zipfile.ZipFile(upload) as archive:
            archive.extractall(folder)
    else:
        with tarfile.open(upload) as archive:
            archive.extractall(folder, filter="data")
