"""What was submitted from this checkout: `build/submissions/SLUG-vN.json`, written before a submission is sent and again with its score.

Before: {"competition", "kernel", "version", "attempted": when, "known": refs of the submissions that were there}. After: "ref",
"date", "description", "status" and the scores in place of the last two.
"""

import datetime
import json
from pathlib import Path

from siim_kernel.errors import DeliveryError
from siim_kernel.files import write_atomically

PLACE = "build/submissions"
KEPT = ("ref", "date", "description", "status", "publicScore", "privateScore")


class Record:
    """The record of one version of the kernel `ref`, in `folder`."""

    def __init__(self, folder, competition, ref, version):
        self.path = Path(folder) / f"{ref.split('/')[1]}-v{version}.json"
        self._about = {"competition": competition, "kernel": ref, "version": version}

    def read(self):
        """What the record says, a dict; empty without one, and for one of another owner's kernel or another competition."""
        told = _read(self.path)
        return told if self._about.items() <= told.items() else {}

    def attempt(self, rows):
        """Writes that the version is about to be submitted, while `rows` are in the list of submissions."""
        now = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
        self._write({"attempted": now, "known": [row["ref"] for row in rows]})

    def write(self, row):
        """Writes a row of the list of submissions as this version's; returns the path."""
        return self._write({name: row.get(name) for name in KEPT})

    def remove(self):
        """Forgets an attempt that Kaggle refused."""
        self.path.unlink(missing_ok=True)

    def others(self):
        """The refs of submissions that are those of other versions, as their records say."""
        found = {_read(path).get("ref") for path in self.path.parent.glob("*-v*.json") if path != self.path}
        return found - {None}

    def _write(self, facts):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(self._about | facts, indent=1, ensure_ascii=False) + "\n")
        return self.path


def _read(path):
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DeliveryError(f"{path} is no record of a submission ({error}); look at My Submissions, and remove it") from None
    return told if isinstance(told, dict) else {}
