"""Every fault that the Kaggle client and service are known for, at every step that it can hit, and what the step makes of it.

python -m tests.kaggle_faults --write     writes the table of docs/faults.md anew

The rows are in `kaggle_fault_rows`; when a fault hit is read from the service's log.
"""

import argparse
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.errors import DeliveryError
from tests.delivery.made_kaggle import USER, at_a_desk
from tests.kaggle_fault_rows import ACTS, AFTER, CASES, UNSURE
from tests.kaggle_fault_steps import STEPS, command

PAGE = Path(__file__).resolve().parent.parent / "docs" / "faults.md"
HEADING = "| Step | What goes wrong | When | The command | Kaggle then holds |\n|---|---|---|---|---|\n"
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
    "GetKernel": "reading a kernel's newest version",
    "GetKernelSessionStatus": "asking for the kernel's state",
    "ListKernelSessionOutput": "asking for the outputs",
    "ListKernelFiles": "listing the outputs",
    "output": "downloading an output",
    "GetSubmissionLimits": "asking for the day's submissions",
    "ListSubmissions": "listing the submissions",
    "CreateCodeSubmission": "submitting",
    "IntrospectToken": "checking the access token",
    "key": "any request",
    "token": "any request",
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
    "wrong": "a wrong {method}",
}
LATE, NEVER = 2, 9999  # questions in which what was sent is not told of
STATES = {
    "late": "what was sent is told of late",
    "never": "what was sent is not told of for hours",
    "failed source": "the images' kernel, a source, has failed",
    "failed kernel": "the kernel has failed; its log",
    "one source": "one of them",
    "waiting": "while waiting for the score",
    "descriptions cut": "Kaggle cuts descriptions",
    "descriptions replaced": "Kaggle writes descriptions of its own",
}


@dataclass
class Result:
    """What came of it.

    ok, reason     whether the command was content, and why not
    said           what it told
    holds, whole   what is then on Kaggle in words, and whether it is as it should be
    sent, there    acts sent, and versions or submissions made
    hit, when      whether the fault hit; where in the log
    record         what is kept of the submission, where it is
    again          `Result` of the same command given again without the fault, where the first was not sure
    """

    ok: bool
    reason: str
    said: list
    holds: str
    whole: bool
    sent: int
    there: int
    hit: bool = True
    when: str = ""
    record: dict | None = None
    again: "Result | None" = None


def run(case, folder, typed=False):
    """The `Result` of one case, in an empty folder; typed: of the command as it is typed, another process and its exit code."""
    with at_a_desk(folder) as desk:
        act, look = STEPS[case.step](desk, case)
        if typed:
            act = command(desk, case.step)
        before = look()[2]
        _arrange(desk, case)
        result = _attempt(desk, case, act, look, before)
        result.hit = not case.method or any(request.fault == case.kind or _refused(request) for request in desk.service.log)
        result.when = _when(desk.service.log, case)
        if case.want == UNSURE:
            desk.service.faults.clear()
            desk.service.list_all()
            sent = result.sent
            result.again = _attempt(desk, case, act, look, before)
            result.again.sent -= sent
        return result


def _arrange(desk, case):
    """Puts the fault, or the state, in its place."""
    service = desk.service
    service.polls_until_listed = {"late": LATE, "never": NEVER}.get(case.state, 0)
    service.descriptions = case.state.removeprefix("descriptions ") if case.state.startswith("descriptions") else "verbatim"
    service.polls_until_scored = 2 if case.state == "waiting" else 0
    if case.method in ("key", "token"):
        name = {"key": "KAGGLE_KEY", "token": "KAGGLE_API_TOKEN"}[case.method]
        desk.client = desk.new_client(**{name: "KGAT_wrong_and_useless"})
        return
    if case.method == "IntrospectToken":
        desk.client = desk.new_client(KAGGLE_API_TOKEN=service.token)
    if case.method:
        since = ACTS[case.step] if case.when == AFTER else ""
        service.inject(case.method, case.kind, case.times, since=since, **case.options)
    if case.then:
        service.inject(case.then, 500, 9999, since=ACTS[case.step])


def _attempt(desk, case, act, look, before):
    try:
        act()
        ok, reason = True, ""
    except DeliveryError as error:
        ok, reason = False, str(error)
    holds, whole, there = look()
    path = desk.folder / "scored" / "siim-kernel-inference-v1.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    sent = len(desk.service.requests(ACTS[case.step])) if case.step in ACTS else 0
    return Result(ok, reason, list(desk.said), holds, whole, sent, there - before, record=record)


def _refused(request):
    return request.status == 401


def _when(log, case):
    """Where in the log of requests the fault hit: "before sending", "sending" or "after sending"; "" for a step that sends nothing."""
    if case.step not in ACTS or not case.method:
        return ""
    hit = next((place for place, request in enumerate(log) if request.fault == case.kind or _refused(request)), None)
    acts = [place for place, request in enumerate(log) if request.method == ACTS[case.step]]
    if hit is None or not acts or hit < acts[0]:
        return "before sending"
    return "sending" if hit in acts else "after sending"


def _fault(case):
    """What goes wrong, in words."""
    kind = KINDS.get(case.kind, f"HTTP {case.kind}").format(method=case.method)
    words = [STATES[case.state]] if case.state else []
    if case.method:
        words.append(f"{REQUESTS[case.method]}: {kind}" + (", and stays so" if case.times > 1 else ""))
    if case.then:
        words.append(f"then {REQUESTS[case.then]}: HTTP 500 for good")
    return "; ".join(words)


def row(case, result):
    """A case's row in the table."""
    asked = any("asking whether" in line or "in the list" in line for line in result.said)
    again = any("; again" in line for line in result.said)
    done = "done, found by asking" if asked else "done, downloaded again" if again else "done"
    told = done if result.ok else f"stops: {_short(result.reason)}"
    if result.again:
        told += "; given again: " + ("done, nothing sent" if result.again.ok else f"stops: {_short(result.again.reason)}")
    return f"| {case.step} | {_fault(case)} | {result.when} | {told} | {result.holds} |"


def _short(reason):
    """The reason without what is different each time: names of folders, wordings of lost connections."""
    text = re.sub(r"^\S*ada-example/[\w-]+:? ?|siim-covid19-detection: | \(siim-kernel [^)]*\)", "", " ".join(reason.split()))
    text = text.replace(f"{USER}/", "you/")
    lost = r"\(?'?(Connection|Response|IncompleteRead|HTTPConnection|Expecting|Unterminated|Max retries).*?(?=\. |$)"
    text = re.split(
        r"\. (?=[A-Z/])|: \{|, and Kaggle|; The following| \(kaggle said| \(the question failed", re.sub(lost, "the answer is lost", text)
    )[0]
    return text.replace("|", "/").strip()


def table():
    """The rows as the page has them."""
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]


def main():
    """Runs the cases and writes the page's table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", required=True)
    parser.add_argument("--only", default="", help="only the cases whose name holds this; the page keeps the other rows")
    given = parser.parse_args()
    about = PAGE.read_text(encoding="utf-8").partition("\n| Step |")[0] + "\n"
    rows = {tuple(line.split(" | ")[:3]): line for line in table()}
    for case in (case for case in CASES if given.only in str(case)):
        with tempfile.TemporaryDirectory() as folder:
            line = row(case, run(case, Path(folder)))
        rows[tuple(line.split(" | ")[:3])] = line
        print(line, flush=True)
    lines = [rows[f"| {case.step}", _fault(case), case.place] for case in CASES]
    PAGE.write_text(about + HEADING + "".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
