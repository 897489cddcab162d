"""Folders to publish and push, as small as they can be, and the client's tables read."""

import csv
import io
import json
from pathlib import Path

COMPETITION = "siim-covid19-detection"
ROWS = "id,PredictionString\na_study,negative 1 0 0 1 1\n"


def write_dataset(folder, ref, files, **metadata):
    """A data set's folder with `files` (name -> text or bytes), its title its slug; `metadata` replaces or adds fields."""
    fields = {"id": ref, "title": ref.split("/")[1], "licenses": [{"name": "other"}]} | metadata
    return _write(folder, {"dataset-metadata.json": json.dumps(fields)} | files)


def write_kernel(folder, ref, code="print('hello')\n", **metadata):
    """A script kernel's folder without internet, its title its slug; `metadata` replaces or adds fields."""
    fields = {"id": ref, "title": ref.split("/")[1], "code_file": "code.py", "language": "python", "kernel_type": "script"}
    fields |= {"enable_internet": False} | metadata
    return _write(folder, {"kernel-metadata.json": json.dumps(fields), fields["code_file"]: code})


def table(run):
    """The rows of a client's CSV output."""
    assert run.returncode == 0, run.stderr
    return list(csv.DictReader(io.StringIO(run.stdout)))


def _write(folder, files):
    for name, content in files.items():
        target = Path(folder) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(folder)
