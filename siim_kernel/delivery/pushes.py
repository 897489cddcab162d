"""What was pushed from this checkout: `build/pushed/SLUG.json`, by which a version on Kaggle is known again.

Kaggle shows the source of a kernel's newest version alone, and no number with it. So each push ends its code with a stamp that no
other push has, and the number that the client printed is kept beside that stamp. A version saved in the browser is not known here.
"""

import datetime
import json
import re
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from siim_kernel.errors import DeliveryError
from siim_kernel.files import write_atomically

PLACE = "build/pushed"
_STAMP = re.compile(r"# pushed (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC, ([0-9a-f]{32})")


@dataclass(frozen=True)
class Push:
    """One push of a kernel.

    ref         `owner/slug`
    stamp, when as they stand in its code; when in UTC
    version     as the client printed it, None where its answer was lost
    after       number of the newest version before it, 0 where there was none, None where that is not known
    parameters  of its PARAMETERS block
    """

    ref: str
    stamp: str
    when: str
    version: int | None = None
    after: int | None = None
    parameters: dict = field(default_factory=dict)

    @property
    def number(self):
        """Its version's number, once it is on Kaggle; None where nobody knows."""
        return self.version if self.version is not None or self.after is None else self.after + 1


class Pushes:
    """The pushes of the kernel `ref` in the order in which they were made, kept in `folder`; None keeps them in memory alone."""

    def __init__(self, folder, ref):
        self.path = folder and Path(folder) / f"{ref.split('/')[1]}.json"
        self.ref, self._all = ref, self._read()

    def find(self, source):
        """The `Push` whose stamp a kernel's source ends with, None where it is none of these."""
        stamp = stamp_in(source)[1]
        return next((push for push in self._all if push.ref == self.ref and push.stamp == stamp), None)

    def __len__(self):
        return sum(push.ref == self.ref for push in self._all)

    def keep(self, push):
        """Keeps a push, in place of what was kept of the same stamp."""
        self._all = [each for each in self._all if each.stamp != push.stamp] + [push]
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps([asdict(each) for each in self._all], indent=1, ensure_ascii=False) + "\n")

    def _read(self):
        try:
            return [Push(**each) for each in json.loads(self.path.read_text(encoding="utf-8"))] if self.path else []
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise DeliveryError(f"{self.path} is no record of pushes ({error}); remove it, and give versions by their numbers") from None


def write_stamp(path):
    """Ends the code in the file `path` with a comment that no other push has; returns its time and its stamp."""
    when, stamp = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S.%f}", uuid.uuid4().hex
    line = f"# pushed {when} UTC, {stamp}\n"
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        path.write_text(f"{text.rstrip()}\n\n{line}", encoding="utf-8")
        return when, stamp
    notebook = json.loads(text)
    last = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    last["source"] = "".join(last["source"]).rstrip() + f"\n\n{line}"
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return when, stamp


def stamp_in(source):
    """When a version was pushed (UTC, "2026-11-23 20:40:00.123456") and its stamp; two "" for one that was not pushed from here."""
    found = _STAMP.findall(source)
    return found[-1] if found else ("", "")


def pushed_at(fields):
    """When a version was pushed, of what `Client.kernel_fields` told of it; "" for none and for one that was not pushed from here."""
    return stamp_in((fields or {}).get("source", ""))[0]
