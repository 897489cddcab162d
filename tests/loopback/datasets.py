"""The service's answers about uploads and data sets."""

from tests.loopback import faults
from tests.loopback.store import Refusal, files_below, page

TOP_LEVEL_FILES = 50
_LICENSES = """
CC0-1.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC-BY-NC-SA-4.0 GPL-2.0 GPL-3.0 LGPL-3.0 AGPL-3.0 ODbL-1.0 DbCL-1.0 PDDL CC-BY-3.0 CC-BY-4.0
CC-BY-NC-4.0 CC-BY-ND-4.0 CC-BY-NC-ND-4.0 CC-BY-3.0-IGO CC-BY-NC-SA-3.0-IGO ODC-BY-1.0 CDLA-Permissive-1.0 CDLA-Sharing-1.0
FDL-1.3 US-Government-Works EU-ODP-Legal-Notice apache-2.0 copyright-authors other unknown
"""
LICENSES = set(_LICENSES.split())


def start_blob_upload(service, body, fault):
    """A token and the address to PUT the file to."""
    token = service.store.start_upload(body["name"], body.get("contentLength", 0))
    return {"token": token, "createUrl": service.url("upload", token)}


def create_dataset(service, body, fault):
    """A new data set of the uploaded files."""
    owner, slug, title = body.get("ownerSlug"), body.get("slug", ""), body.get("title", "")
    if owner != service.acting:
        raise Refusal(403, "Permission 'datasets.create' was denied")
    if not 6 <= len(slug) <= 50 or not 6 <= len(title) <= 50:
        raise Refusal(400, "The dataset slug and title must be between 6 and 50 characters")
    if body.get("licenseName") not in LICENSES:
        raise Refusal(400, f"Unknown license {body.get('licenseName')!r}")
    if service.store.dataset(owner, slug) or _title_taken(service, owner, title):
        return _error(f'The requested title "{title}" is already in use by a dataset. Please choose another title.')
    facts = {name: body.get(name) for name in ("title", "subtitle", "licenseName", "isPrivate")}
    return _save(service, owner, slug, facts, body, fault)


def create_dataset_version(service, body, fault):
    """A version of a data set that is there: the uploaded files and none of the earlier ones."""
    owner, slug = body["ownerSlug"], body["datasetSlug"]
    if owner != service.acting or not service.store.dataset(owner, slug):
        raise Refusal(403, "Permission 'datasets.update' was denied")
    if service.dataset_polls.get((owner, slug)):
        raise Refusal(403, "The dataset's latest version is still being processed")
    return _save(service, owner, slug, {}, body["body"], fault)


def _save(service, owner, slug, facts, body, fault):
    if fault and fault.kind == faults.ERROR:
        return _error(fault.details.get("message", "Something went wrong"))
    tokens = [file["token"] for file in body.get("files", ())]
    uploads = [service.store.upload_facts(token) for token in tokens]
    if not tokens:
        return _error("The dataset has no files")
    if not all(each.get("complete") for each in uploads):
        raise Refusal(400, "An upload is not complete")
    if len(tokens) > TOP_LEVEL_FILES:
        return _error(f"A dataset holds at most {TOP_LEVEL_FILES} top-level files")
    lost = None
    if fault and fault.kind == faults.LOST_FILE:
        lost = fault.details.get("name", uploads[0]["name"])
    service.store.save_dataset_version(owner, slug, facts, tokens, lost)
    service.dataset_polls[owner, slug] = service.polls_until_ready
    service.unlisted["dataset", owner, slug] = service.polls_until_listed
    return {"ref": f"{owner}/{slug}", "url": f"https://www.kaggle.com/datasets/{owner}/{slug}", "status": "ok", "error": ""}


def _title_taken(service, owner, title):
    folder = service.store.folder / "datasets" / owner
    slugs = [path.name for path in folder.iterdir()] if folder.exists() else []
    return any(service.store.dataset(owner, slug)["title"] == title for slug in slugs)


def _error(message):
    return {"status": "error", "error": message}


def _found(service, body):
    """Owner, slug and document of the data set asked for."""
    owner, slug = body.get("ownerSlug", ""), body.get("datasetSlug", "")
    document = service.store.dataset(owner, slug)
    if document is None:
        raise Refusal(403, "Permission 'datasets.get' was denied")
    return owner, slug, document


def _latest(service, body, ask=False):
    """Owner, slug, document and number of the latest version that is listed yet; `ask`: this question is one of those counted."""
    owner, slug, document = _found(service, body)
    hidden = service.still_unlisted("dataset", owner, slug, ask)
    if hidden and len(document["versions"]) < 2:
        raise Refusal(403, "Permission 'datasets.get' was denied")
    return owner, slug, document, len(document["versions"]) - hidden


def _version(service, body):
    """The folder of the version asked for, the latest that is listed by default."""
    owner, slug, document, latest = _latest(service, body)
    number = body.get("datasetVersionNumber") or latest
    if not 1 <= number <= len(document["versions"]):
        raise Refusal(404, f"{owner}/{slug} has no version {number}")
    return owner, slug, number, service.store.dataset_folder(owner, slug) / str(number)


def get_dataset_status(service, body, fault):
    """Whether the latest version can be used: not for the first `polls_until_ready` questions. Another owner's is not told."""
    if body.get("ownerSlug") != service.acting:
        raise Refusal(404, "no such dataset")
    owner, slug, document = _found(service, body)
    if fault and fault.kind == faults.FAILED:
        return {"status": "FAILED"}
    # Who asks for the status asks for the version next, where there is an earlier one: that question counts.
    *_, latest = _latest(service, body, ask=len(document["versions"]) < 2)
    if latest < len(document["versions"]):
        return {"status": "READY"}
    left = service.dataset_polls.get((owner, slug), 0)
    service.dataset_polls[owner, slug] = max(left - 1, 0)
    return {"status": "BLOBS_RECEIVED" if left else "READY"}


def get_dataset(service, body, fault):
    """A data set's facts."""
    owner, slug, document, latest = _latest(service, body, ask=True)
    facts = {name: document.get(name) for name in ("title", "subtitle", "licenseName", "isPrivate")}
    return facts | {"ref": f"{owner}/{slug}", "ownerRef": owner, "currentVersionNumber": latest}


def get_dataset_metadata(service, body, fault):
    """A data set's facts in the form of its metadata file."""
    owner, slug, document = _found(service, body)
    facts = {name: document.get(name) for name in ("title", "subtitle", "isPrivate")}
    return {"info": facts | {"datasetSlug": slug, "ownerUser": owner, "licenses": [{"name": document["licenseName"]}]}}


def list_dataset_files(service, body, fault):
    """Names and sizes of the files of a version, those of unpacked archives with their folders."""
    owner, slug, number, folder = _version(service, body)
    created = service.store.dataset(owner, slug)["versions"][number - 1]["created"]
    chosen, following = page(files_below(folder), body)
    files = [{"ref": name, "name": name, "totalBytes": path.stat().st_size, "creationDate": created} for name, path in chosen]
    return {"datasetFiles": files, "nextPageToken": following}


def download_dataset(service, body, fault):
    """A redirect to one file of a version, or to all of them as one zip."""
    _, _, _, folder = _version(service, body)
    if not body.get("fileName"):
        return service.redirect_to_zip(folder)
    if body["fileName"] not in dict(files_below(folder)):
        raise Refusal(404, f"no file {body['fileName']}")
    return service.redirect_to(folder / body["fileName"])


UPLOADS = {"StartBlobUpload": start_blob_upload}
METHODS = {
    "CreateDataset": create_dataset,
    "CreateDatasetVersion": create_dataset_version,
    "GetDatasetStatus": get_dataset_status,
    "GetDataset": get_dataset,
    "GetDatasetMetadata": get_dataset_metadata,
    "ListDatasetFiles": list_dataset_files,
    "DownloadDataset": download_dataset,
}
