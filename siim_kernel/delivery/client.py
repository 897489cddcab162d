"""What Kaggle says when it is asked, by the official command.

The command's exit code says little (it is 0 after a failed upload, and not 0 after a push that arrived), so whoever acts with
`Client.run` asks afterwards with the other methods. Those only read, and are tried again when an answer is lost.
"""

import functools
import json
import re
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.delivery.command import Command
from siim_kernel.errors import DeliveryError

WAITS = (1, 4, 15)  # seconds before a question is asked again
PAGE, MOST_PAGES = 200, 100
NOTHING = re.compile(r"^(No files found|No submissions found|Not found|No quota information available)\b", re.MULTILINE)
ABSENT = re.compile(r"\b(403|404) Client Error|Permission '[\w.]+' was denied|Cannot access kernel '")


@dataclass(frozen=True)
class DatasetState:
    """What Kaggle says of a dataset: `status` such as "ready" or "failed", and its newest version."""

    status: str
    version: int


@dataclass(frozen=True)
class Quota:
    """Hours of GPU in this week, and when the next week begins (ISO 8601, or "" where Kaggle does not say)."""

    used: float
    allowed: float
    refresh: str

    @property
    def left(self):
        """Hours left, at least 0."""
        return max(0.0, self.allowed - self.used)


class Client(Command):
    """Asks Kaggle as the owner of the environment's token. See `Command` for its arguments."""

    def ask(self, arguments, read, absent=None, timeout=900):
        """What `read(output)` makes of a command that only reads, which is run again after a lost or garbled answer.

        absent  one-tuple with what to return where Kaggle says that there is no such thing (or none that we may see)

        Raises DeliveryError with the last reason.
        """
        for wait in (*WAITS, None):
            answer = self.run(arguments, timeout)
            reason = answer.reason
            if answer.code == 0:
                try:
                    return read(answer.out)
                except (ValueError, KeyError, TypeError, OSError) as error:
                    reason = f"an answer that cannot be read ({error}): {answer.out[:200]!r}"
            elif answer.refused_login:
                break
            elif absent and ABSENT.search(answer.out + answer.err):
                return absent[0]
            elif answer.refused:
                break
            if wait is not None:
                self.sleep(wait)
        raise DeliveryError(f"kaggle {' '.join(map(str, arguments[:3]))}: {reason}")

    @functools.cached_property
    def owner(self):
        """The user name that the token belongs to, asked once; None where the client does not tell."""

        def read(out):
            name = re.search(r"^- username: (\S+)$", out, re.MULTILINE)
            return None if name is None or name[1] == "None" else name[1]

        return self.ask(["config", "view"], read)

    def dataset_status(self, ref):
        """The `DatasetState` of `owner/slug`; None where there is no such dataset."""

        def read(out):
            found = _parse(out)[0]
            return DatasetState(str(found["status"]), int(found["current_version_number"] or 0))

        return self.ask(["datasets", "status", ref, "--format", "json"], read, absent=(None,))

    def dataset_seen(self, ref):
        """Whether there is a dataset with files, anybody's: the state of others' datasets is not told."""
        arguments = ["datasets", "files", ref, "--format", "json", "--page-size", 1]
        return self.ask(arguments, lambda out: bool(_parse(out)[0]), absent=(False,))

    def dataset_files(self, ref):
        """{path in the dataset: bytes} of the newest version, sub-folders included."""
        rows = self._pages(["datasets", "files", ref, "--format", "json", "--page-size", PAGE])
        return {row["name"]: int(row["size"]) for row in rows}

    def dataset_file(self, ref, name):
        """The bytes of one file of a dataset; None where it has none of this name."""
        with tempfile.TemporaryDirectory(prefix="siim-kernel-") as folder:
            arguments = ["datasets", "download", ref, "-f", name, "-p", folder, "-o", "-q"]
            return self.ask(arguments, lambda _: _only_file(Path(folder)), absent=(None,))

    def dataset_copy(self, ref, out):
        """Downloads all files of a dataset into the folder `out`; nothing is compared. DeliveryError where they cannot be had."""
        self.ask(["datasets", "download", ref, "-p", out, "-o", "-q", "--unzip"], str, timeout=6 * 3600)

    def kernel_status(self, ref):
        """(status, failure) of a kernel's newest version: QUEUED, RUNNING, COMPLETE, ERROR, CANCEL_...; (None, "") without the kernel."""

        def read(out):
            status = re.search(r'has status "(?:KernelWorkerStatus\.)?(\w+)"', out)
            if not status:
                raise ValueError("no status in it")
            failure = re.search(r'^Failure message: "(.*)"', out, re.MULTILINE | re.DOTALL)
            return status[1].upper(), failure[1] if failure else ""

        found = self.ask(["kernels", "status", ref], read, absent=((None, ""),))
        # The command says the same of a refused token; a pull tells the two apart, and raises.
        if found[0] is None and self.kernel_fields(ref) is not None:
            raise DeliveryError(f"{ref} is on Kaggle, which does not tell its status just now; run the same command again later")
        return found

    def kernel_fields(self, ref):
        """What Kaggle keeps of a kernel's newest version: the fields of its metadata, and `source`, its code; None where there is none.

        Of other versions it tells nothing: `kernels pull owner/slug/N` is refused for every N.
        """
        with tempfile.TemporaryDirectory(prefix="siim-kernel-") as folder:

            def read(_):
                fields = json.loads((Path(folder) / "kernel-metadata.json").read_text(encoding="utf-8"))
                return fields | {"source": (Path(folder) / fields["code_file"]).read_text(encoding="utf-8")}

            return self.ask(["kernels", "pull", ref, "-p", folder, "-m"], read, absent=(None,))

    def kernel_found(self, ref):
        """`kernel_fields`, None only where the status says as well that there is none. DeliveryError where the two do not agree."""
        fields = self.kernel_fields(ref)
        if fields is None and self.kernel_status(ref)[0] is not None:
            raise DeliveryError(f"{ref} is on Kaggle, which does not show it just now; run the same command again later")
        return fields

    def kernel_listing(self, ref):
        """{path: bytes} of what the newest version of a kernel left; None where Kaggle does not list it."""
        rows = self._pages(["kernels", "files", ref, "--format", "json", "--page-size", PAGE], absent=(None,))
        return None if rows is None else {row["name"]: int(row["size"]) for row in rows}

    def kernel_log(self, ref):
        """The log of a kernel's newest version as Kaggle keeps it."""
        return self.ask(["kernels", "logs", ref], str, absent=("",))

    def kernel_files(self, ref, out):
        """Downloads what a kernel left into the folder `out`, as the command has it: nothing is checked. Returns the `Answer`."""
        return self.run(["kernels", "output", ref, "-p", out, "-o"], timeout=6 * 3600)

    def own_kernels(self):
        """The kernels of the token's owner, the last run first: dicts with ref and lastRunTime (ISO 8601, or None); None not told."""
        arguments = ["kernels", "list", "--mine", "--sort-by", "dateRun", "--page-size", 100, "--format", "json"]
        return self.ask(arguments, lambda out: _parse(out)[0], absent=(None,))

    def submissions(self, competition):
        """The newest submissions: dicts with ref, date, description, status (PENDING, COMPLETE, ERROR), publicScore, privateScore."""
        arguments = ["competitions", "submissions", competition, "--format", "json", "--page-size", PAGE, "-q"]
        rows = self.ask(arguments, lambda out: _parse(out)[0])
        return [row | {"status": str(row["status"]).rpartition(".")[2].upper()} for row in rows]

    def submissions_left(self, competition):
        """How many submissions today allows; None where Kaggle does not know yet, as before a team's first one."""
        limits = self.ask(["competitions", "submission-limits", competition, "--json", "-q"], lambda out: _parse(out)[0])
        # Fields that are 0 are left out.
        known = any(limits.get(name) for name in ("numAllowedNow", "numToday", "numTotal", "limitedByTotal"))
        return int(limits.get("numAllowedNow", 0)) if known else None

    def quota(self):
        """The week's GPU `Quota`; None where Kaggle does not say."""
        rows = self.ask(["quota", "--format", "json"], lambda out: _parse(out)[0])
        hours = [
            (float(row["used"].rstrip("h")), float(row["total"].rstrip("h")), row["refreshAt"]) for row in rows if row["resource"] == "GPU"
        ]
        return Quota(*hours[0]) if hours else None

    def _pages(self, arguments, absent=None):
        rows, token = [], None
        for _ in range(MOST_PAGES):
            page = self.ask([*arguments, *(["--page-token", token] if token else [])], _parse, absent=absent and (None,))
            if page is None:
                return None
            rows += page[0]
            token = page[1]
            if not token:
                return rows
        raise DeliveryError(f"kaggle {' '.join(map(str, arguments[:3]))}: more than {MOST_PAGES} pages of {PAGE} files")


@contextmanager
def after_sending(told):
    """Around questions that follow an act: an error of theirs is raised with `told` before it, what may have been done and what to do."""
    try:
        yield
    except DeliveryError as error:
        raise DeliveryError(f"{told} (the question failed: {error})") from None


def _parse(out):
    """(content, token of the next page or None) of a command's JSON, which lines of text may precede. Raises ValueError."""
    token = re.search(r"^Next Page Token = (\S+)", out, re.MULTILINE)
    start = re.search(r"^[\[{]", out, re.MULTILINE)
    if start is None:
        if NOTHING.search(out):
            return [], None
        raise ValueError("no JSON in it")
    return json.JSONDecoder().raw_decode(out[start.start() :])[0], token and token[1]


def _only_file(folder):
    """The content of the one file in a folder, unpacked where Kaggle sent it as an archive. Raises ValueError."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    if len(found) != 1:
        raise ValueError(f"{len(found)} files came")
    if found[0].suffix != ".zip":
        return found[0].read_bytes()
    try:
        with zipfile.ZipFile(found[0]) as archive:
            return archive.read(archive.namelist()[0])
    except (zipfile.BadZipFile, IndexError) as error:
        raise ValueError(str(error)) from None
