"""Every fault that the Kaggle client and service are known for, at every step that it can hit, and what the step makes of it.

python -m tests.kaggle_faults --write     writes the table of docs/faults.md anew
"""

import argparse
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from siim_kernel import hashes
from siim_kernel.delivery import fetching, steps
from siim_kernel.errors import DeliveryError
from tests.delivery.made_kaggle import COMPETITION, SOLUTION, USER, at_a_desk

PAGE = Path(__file__).resolve().parent.parent / "docs" / "faults.md"
HEADING = "| Step | What goes wrong | The command | Kaggle then holds |\n|---|---|---|---|\n"
REQUESTS = {
    "GetDatasetStatus": "asking for the dataset's state",
    "GetDataset": "asking for the dataset's version",
    "StartBlobUpload": "announcing a file",
    "upload": "sending a file",
    "CreateDataset": "making the dataset",
    "CreateDatasetVersion": "making the version",
    "ListDatasetFiles": "listing what arrived",
    "DownloadDataset": "reading back what arrived",
    "download": "reading back what arrived, on the way",
    "GetDatasetMetadata": "asking for the dataset's licence on the way",
    "ListKernels": "asking for other sessions",
    "GetAcceleratorQuotaStatistics": "asking for the quota",
    "ListDataFiles": "asking for the competition",
    "SaveKernel": "saving the version",
    "GetKernel": "reading back the version",
    "GetKernelSessionStatus": "asking for the kernel's state",
    "ListKernelSessionOutput": "asking for the outputs",
    "ListKernelFiles": "listing the outputs",
    "output": "downloading an output",
    "GetSubmissionLimits": "asking for the day's submissions",
    "ListSubmissions": "listing the submissions",
    "CreateCodeSubmission": "submitting",
    "key": "any request",
}
KINDS = {
    "reset": "connection cut, nothing done",
    "reset-after": "done, then the connection cut",
    "truncated": "done, the answer breaks off",
    "error": "answered 200 with an error in it",
    "failed": "the service's work on it fails",
    "lost-file": "one file gets lost",
    "wrong-size": "half of it, as if that were all",
    "wrong-bytes": "a byte changed",
    "unknown-sources": "sources left out",
    "internet-on": "done, with the internet on",
    "wrong": "a wrong key",
}
NEW, VERSION, PUSH, STATUS, FETCH, SUBMIT = "publish, new", "publish, version", "push", "status", "fetch", "submit"
ASKED = (500, "truncated")
HIT = {
    NEW: {
        "GetDatasetStatus": (*ASKED, "failed"),
        "GetDataset": ASKED,
        "StartBlobUpload": (429, 500, "reset"),
        "upload": (500, 503, "reset", "wrong-size", "wrong-bytes"),
        "CreateDataset": (429, 500, "reset", "reset-after", "truncated", "error", "lost-file"),
        "ListDatasetFiles": ASKED,
        "GetDatasetMetadata": (500,),
        "DownloadDataset": ASKED,
        "download": ("reset", "truncated"),
        "key": ("wrong",),
    },
    VERSION: {
        "GetDatasetStatus": (*ASKED, "failed"),
        "GetDataset": ASKED,
        "ListDatasetFiles": ASKED,
        "StartBlobUpload": (429, 500, "reset"),
        "upload": (500, 503, "reset", "wrong-size", "wrong-bytes"),
        "CreateDatasetVersion": (429, 500, "reset", "reset-after", "truncated", "error", "lost-file"),
        "DownloadDataset": (500,),
        "key": ("wrong",),
    },
    PUSH: {
        "GetDatasetStatus": ASKED,
        "GetDataset": (500,),
        "ListDataFiles": ASKED,
        "GetKernelSessionStatus": ASKED,
        "ListKernels": ASKED,
        "GetAcceleratorQuotaStatistics": ASKED,
        "SaveKernel": (400, 429, 500, "reset", "reset-after", "truncated", "error", "unknown-sources", "internet-on"),
        "GetKernel": ASKED,
        "key": ("wrong",),
    },
    STATUS: {"GetKernelSessionStatus": (500, "reset", "truncated", "error"), "key": ("wrong",)},
    FETCH: {
        "GetKernelSessionStatus": (*ASKED, "error"),
        "ListKernelFiles": ASKED,
        "ListKernelSessionOutput": (500, "reset", "truncated", "lost-file"),
        "output": (500, "reset", "truncated", "wrong-size", "wrong-bytes"),
        "key": ("wrong",),
    },
    SUBMIT: {
        "GetKernel": ASKED,
        "GetKernelSessionStatus": (*ASKED, "error"),
        "ListKernelFiles": ASKED,
        "GetSubmissionLimits": ASKED,
        "ListSubmissions": ASKED,
        "CreateCodeSubmission": (400, 429, 500, "reset", "reset-after", "truncated", "failed"),
        "key": ("wrong",),
    },
}
FILE = "a.h5"
# Which file is hit; and a state that lasts, not one lost answer.
OPTIONS = {("GetDatasetStatus", "failed"): {"times": 99, "after": 1}, ("ListKernelSessionOutput", "lost-file"): {"name": "images/a.bin"}}
OPTIONS |= {(method, "lost-file"): {"name": FILE} for method in ("CreateDataset", "CreateDatasetVersion")}
OPTIONS |= {("upload", str(kind)): {"only": FILE} for kind in HIT[NEW]["upload"]}


@dataclass(frozen=True)
class Case:
    """One fault at one step."""

    step: str
    method: str
    kind: str

    def __str__(self):
        return f"{self.step}-{self.method}-{self.kind}".replace(", ", "-")


@dataclass
class Result:
    """What came of it: whether the command was content, why not, what it said, and what is true of the service after it."""

    ok: bool
    reason: str
    said: list
    holds: str
    whole: bool
    sent: int
    faults: list = field(default_factory=list)


CASES = [Case(step, method, str(kind)) for step, methods in HIT.items() for method, kinds in methods.items() for kind in kinds]


def run(case, folder):
    """The `Result` of one case, in an empty folder."""
    with at_a_desk(folder) as desk:
        act, look = {NEW: _publish, VERSION: _version, PUSH: _push, STATUS: _status, FETCH: _fetch, SUBMIT: _submit}[case.step](desk)
        if case.method == "key":
            desk.client = desk.new_client(KAGGLE_KEY="wrong-and-useless")
        else:
            desk.service.inject(case.method, case.kind, **OPTIONS.get((case.method, case.kind), {}))
        try:
            act()
            ok, reason = True, ""
        except DeliveryError as error:
            ok, reason = False, str(error)
        pending = [fault for fault in desk.service.faults.pending() if fault.times == 1]
        desk.service.faults.clear()
        holds, whole, sent = look()
        return Result(ok, reason, desk.said, holds, whole, sent, pending)


def row(case, result):
    """A case's row in the table."""
    kind = KINDS.get(case.kind, f"HTTP {case.kind}")
    asked = any("asking whether" in line or "in the list" in line for line in result.said)
    again = any("; again" in line for line in result.said)
    done = "done, found by asking" if asked else "done, downloaded again" if again else "done"
    told = done if result.ok else f"stops: {_short(result.reason)}"
    return f"| {case.step} | {REQUESTS[case.method]}: {kind} | {told} | {result.holds} |"


def _short(reason):
    """The reason without what is different each time: names of folders, wordings of lost connections."""
    text = re.sub(r"^\S*ada-example/[\w-]+:? ?|siim-covid19-detection: | \(siim-kernel [^)]*\)", "", " ".join(reason.split()))
    text = text.replace(f"{USER}/", "you/")
    lost = r"\(?'?(Connection|Response|IncompleteRead|HTTPConnection|Expecting|Unterminated|Max retries).*?(?=\. |$)"
    text = re.split(r"\. (?=[A-Z])|: \{|, and Kaggle|; The following| \(kaggle said", re.sub(lost, "the answer is lost", text))[0]
    return text.replace("|", "/").strip()


def _publish(desk, before=None):
    files = {FILE: b"one" * 40, "sub/b.txt": b"two"}
    folder = desk.files(a_h5=files[FILE], sub__b_txt=files["sub/b.txt"])
    ref = f"{USER}/siim-kernel-imagenet-weights"

    def look():
        document = desk.service.dataset(ref)
        count = len(document["versions"]) if document else 0
        there = {name: path.read_bytes() for name, path in desk.service.dataset_files(ref).items()} if document else {}
        whole, old = there.pop(hashes.HASHES, None) is not None and there == files, before and count == 1
        holds = "nothing" if not count else "the old version" if old else f"version {count}, {'whole' if whole else 'not as sent'}"
        return holds, whole, desk.made("CreateDataset") + desk.made("CreateDatasetVersion")

    return lambda: steps.publish(desk.client, desk.manifest, "imagenet-weights", folder, say=desk.said.append), look


def _version(desk):
    desk.have_dataset("siim-kernel-imagenet-weights", a_h5=b"old")
    return _publish(desk, before=True)


def _push(desk):
    desk.have_sources()
    ref = f"{USER}/siim-kernel-inference"

    def look():
        document = desk.service.kernel(ref)
        versions = document["versions"] if document else []
        whole = bool(versions) and versions[0]["enableInternet"] is False and len(versions[0]["sources"]["dataset"]) == 3
        holds = "nothing" if not versions else f"version {len(versions)}, {'as pushed' if whole else 'not as pushed'}"
        return holds, whole, len(desk.service.requests("SaveKernel"))

    return lambda: steps.push(desk.client, desk.manifest, "inference", steps.Wish(), desk.said.append), look


def _status(desk):
    ref = desk.have_kernel("siim-kernel-images", images__a_txt="a")
    return lambda: fetching.wait(desk.client, ref, desk.said.append), lambda: ("no change", True, 0)


def _fetch(desk):
    made = desk.files(images__a_bin=b"a" * 3000)
    hashes.write_hashes(made)  # as the kernels do
    ref = desk.have_kernel("siim-kernel-images", images__a_bin=b"a" * 3000, files_sha256_json=(made / hashes.HASHES).read_bytes())
    out = desk.folder / "out"
    out.mkdir()
    (out / "siim-kernel-images.log").write_text("old")

    def look():
        there = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
        whole = there == [hashes.HASHES, "images/a.bin"] and (out / "images" / "a.bin").read_bytes() == b"a" * 3000
        assert whole or there == ["siim-kernel-images.log"], "something half is left"
        return "no change", whole, 0

    return lambda: fetching.fetch(desk.client, ref, out, desk.said.append), look


def _submit(desk):
    ref = desk.have_kernel("siim-kernel-inference", submission_csv=SOLUTION)

    def look():
        there = desk.service.submissions(COMPETITION)
        holds = f"{len(there) or 'no'} submission{'' if len(there) == 1 else 's'}"
        return holds, len(there) == 1, len(desk.service.requests("CreateCodeSubmission"))

    return lambda: steps.submit(desk.client, desk.manifest, ref, 1, folder=desk.folder / "scored", say=desk.said.append), look


def table():
    """The rows as the page has them."""
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]


def main():
    """Runs the cases and writes the page's table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", required=True)
    parser.add_argument("--only", default="", help="only the cases whose name holds this; the page keeps the other rows")
    given = parser.parse_args()
    about, _, there = PAGE.read_text(encoding="utf-8").partition(HEADING)
    rows = {_about(line): line for line in there.splitlines()}
    for case in (case for case in CASES if given.only in str(case)):
        with tempfile.TemporaryDirectory() as folder:
            line = row(case, run(case, Path(folder)))
        rows[_about(line)] = line
        print(line, flush=True)
    wanted = [_about(row(case, Result(True, "", [], "", True, 0))) for case in CASES]
    PAGE.write_text(about + HEADING + "".join(f"{rows[each]}\n" for each in wanted), encoding="utf-8")


def _about(line):
    """Step and fault of a row."""
    return tuple(line.split("|")[1:3])


if __name__ == "__main__":
    main()
