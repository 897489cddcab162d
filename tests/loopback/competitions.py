"""The service's answers about competitions: their files, submissions, limits and scores."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.loopback import faults, scoring
from tests.loopback.store import Refusal, files_below, now, page

NOTEBOOKS_ONLY = "Submission not allowed:  This competition only accepts Submissions from Notebooks."
CUT = 12  # characters that are left of a description that is cut
INTERNET = "Submission not allowed:  Your Notebook cannot use internet access in this competition."


@dataclass(frozen=True)
class Competition:
    """A competition that is served.

    folder             what its data page lists and sessions mount
    solution           CSV id, PredictionString[, Usage], by which submissions are scored; without one they stay pending
    hidden             the folder that a submitted kernel is run on again, where it is not `folder` as mounted at the push
    notebooks_only     whether files are refused
    submissions_a_day  the daily allowance
    """

    slug: str
    folder: Path
    solution: Path | None = None
    hidden: Path | None = None
    notebooks_only: bool = True
    submissions_a_day: int = 5


def _found(service, body):
    competition = service.competitions.get(body.get("competitionName"))
    if competition is None:
        raise Refusal(404, f"no competition {body.get('competitionName')!r}")
    return competition


def list_data_files(service, body, fault):
    """Names and sizes of the competition's files."""
    chosen, following = page(files_below(_found(service, body).folder), body)
    files = [{"ref": name, "name": name, "totalBytes": path.stat().st_size, "creationDate": now()} for name, path in chosen]
    return {"files": files, "nextPageToken": following}


def download_data_files(service, body, fault):
    """A redirect to a zip of all files."""
    return service.redirect_to_zip(_found(service, body).folder)


def download_data_file(service, body, fault):
    """A redirect to one file."""
    files = dict(files_below(_found(service, body).folder))
    if body.get("fileName") not in files:
        raise Refusal(404, f"no file {body.get('fileName')!r}")
    return service.redirect_to(files[body["fileName"]])


def start_submission_upload(service, body, fault):
    """A token and the address to PUT the submission to."""
    _found(service, body)
    token = service.store.start_upload(body["fileName"], body.get("contentLength", 0))
    return {"token": token, "createUrl": service.url(faults.UPLOAD, token)}


def create_submission(service, body, fault):
    """A submission of an uploaded file."""
    competition = _found(service, body)
    if competition.notebooks_only:
        raise Refusal(400, NOTEBOOKS_ONLY)
    token = body["blobFileTokens"]
    facts = service.store.upload_facts(token)
    if not facts.get("complete"):
        raise Refusal(400, "The upload is not complete")
    return _submit(service, competition, body, fault, service.store.upload(token), {"fileName": facts["name"]})


def create_code_submission(service, body, fault):
    """A submission of the output of a kernel's version."""
    competition = _found(service, body)
    name, number = body.get("fileName"), body.get("kernelVersion")
    if not name or not number:
        raise Refusal(400, "A submission names the kernel's version and its output file")
    owner, slug = body.get("kernelOwner", ""), body.get("kernelSlug", "")
    document = service.store.kernel(owner, slug)
    if document is None or owner != service.acting:
        raise Refusal(403, "Permission 'kernels.get' was denied")
    if number > len(document["versions"]):
        raise Refusal(404, f"{owner}/{slug} has no version {number}")
    version = document["versions"][number - 1]
    if version["status"] != "COMPLETE":
        raise Refusal(400, f"Submission not allowed:  version {number} is {version['status']}.")
    if version["enableInternet"] is not False and competition.notebooks_only:
        raise Refusal(400, INTERNET)
    output = service.store.kernel_folder(owner, slug) / str(number) / "output"
    if name not in dict(files_below(output)):
        raise Refusal(400, f"Submission not allowed:  version {number} has no output file {name}.")
    return _submit(service, competition, body, fault, output / name, {"fileName": name, "kernel": f"{owner}/{slug}", "version": number})


def _submit(service, competition, body, fault, file, facts):
    today = limits(service, competition)
    if not today["numAllowedNow"]:
        raise Refusal(400, f"Submission not allowed:  Your team has used its daily Submission allowance ({today['numToday']}) today.")
    ref = 1001 + len(service.store.submissions())
    document = facts | {"ref": ref, "competition": competition.slug, "date": now(), "description": body.get("submissionDescription", "")}
    document |= {"totalBytes": file.stat().st_size, "polls": service.polls_until_scored, "outcome": None}
    document |= {"unlisted": service.polls_until_listed}
    shutil.copyfile(file, service.store.submission_file(ref))
    if fault and fault.kind == faults.FAILED:
        document["outcome"] = {"status": "ERROR", "errorDescription": fault.details.get("message", "Notebook Threw Exception")}
    elif "kernel" not in facts or competition.hidden is None:
        document["outcome"] = outcome(competition, file)
    service.store.save_submission(document)
    return {"message": f"Successfully submitted to {competition.slug}", "ref": ref}


def outcome(competition, file):
    """What becomes of a submitted file: a dict of its status and scores or error; None without a solution."""
    if competition.solution is None:
        return None
    try:
        whole = scoring.score(file, competition.solution)
        parts = {name: scoring.score(file, competition.solution, usage) for name, usage in USAGES.items()}
    except (scoring.ScoringError, ValueError) as error:
        return {"status": "ERROR", "errorDescription": f"Submission Scoring Error: {error}"}
    return {"status": "COMPLETE"} | {name: f"{whole if part is None else part:.5f}" for name, part in parts.items()}


USAGES = {"publicScore": "Public", "privateScore": "Private"}


def _described(service, document):
    """A submission's description as it is told: as `Service.descriptions` says."""
    told = document["description"]
    if service.descriptions == "replaced" and "kernel" in document:
        return f"Notebook {service.kernel(document['kernel'])['title']} | Version {document['version']}"
    return told[:CUT] if service.descriptions == "cut" else told


def list_submissions(service, body, fault):
    """Submissions, the latest first, each from the question after `polls_until_listed` others on.

    A score is told from the question after `polls_until_scored` others on.
    """
    answers = []
    for document in service.store.submissions(_found(service, body).slug):
        if document.get("unlisted", 0) > 0:
            service.store.save_submission(document | {"unlisted": document["unlisted"] - 1})
            continue
        told = document["outcome"] if document["polls"] <= 0 else None
        if document["polls"] > 0:
            service.store.save_submission(document | {"polls": document["polls"] - 1})
        kept = {name: document[name] for name in ("ref", "date", "fileName", "totalBytes")}
        kept |= {"description": _described(service, document), "submittedBy": service.user}
        answers.append(kept | (told or {"status": "PENDING"}))
    chosen, following = page(answers, body)
    return {"submissions": chosen, "nextPageToken": following or ""}


def limits(service, competition):
    """How many submissions were made and how many may still be made today."""
    dates = [document["date"][:10] for document in service.store.submissions(competition.slug)]
    today = dates.count(now()[:10])
    return {"numToday": today, "numTotal": len(dates), "numAllowedNow": max(competition.submissions_a_day - today, 0)}


def get_submission_limits(service, body, fault):
    """`limits` of the competition asked for."""
    return limits(service, _found(service, body))


METHODS = {
    "ListDataFiles": list_data_files,
    "DownloadDataFiles": download_data_files,
    "DownloadDataFile": download_data_file,
    "StartSubmissionUpload": start_submission_upload,
    "CreateSubmission": create_submission,
    "CreateCodeSubmission": create_code_submission,
    "ListSubmissions": list_submissions,
    "GetSubmissionLimits": get_submission_limits,
}
