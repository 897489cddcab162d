"""The service's answers about kernels and the accelerators' quota."""

import json

from tests.loopback import faults
from tests.loopback.store import Refusal, files_below, now, page, slug_of

SOURCE_BYTES = 10**6
ALIVE = ("QUEUED", "RUNNING")
MACHINE = ("enableGpu", "enableTpu", "machineShape")
# Machines that are no more: the service runs another one and does not say so.
RETIRED = {"NvidiaTeslaP100": "NvidiaTeslaT4", "Tpu1VmV38": "TpuV5E8"}
KINDS = {
    "dataset": ("datasetDataSources", "invalidDatasetSources"),
    "kernel": ("kernelDataSources", "invalidKernelSources"),
    "competition": ("competitionDataSources", "invalidCompetitionSources"),
    "model": ("modelDataSources", "invalidModelSources"),
}


def save_kernel(service, body, fault):
    """Saves a version of a kernel and queues it to be run."""
    owner, slug = _identity(service, body)
    if len(body.get("text", "").encode()) > SOURCE_BYTES:
        raise Refusal(400, "The kernel source must be less than 1 megabytes in size.")
    title, document = body.get("newTitle"), service.store.kernel(owner, slug)
    if document is None:
        if not title:
            raise Refusal(400, "A new kernel needs a title")
        # A new kernel's slug comes from its title, whatever was asked for.
        slug = slug_of(title)
        if service.store.kernel(owner, slug):
            raise Refusal(409, f"The title {title!r} is already in use by one of your kernels")
        number = 1 + len(service.store.kernels())
        document = {"id": number, "kernelType": body["kernelType"], "language": body["language"], "versions": []}
    elif body["kernelType"] != document["kernelType"]:
        raise Refusal(400, f"The kernel is a {document['kernelType']}; its type cannot be changed")
    elif title and slug_of(title) != slug and service.store.kernel(owner, slug_of(title)):
        raise Refusal(409, f"The title {title!r} is already in use by one of your kernels")
    document["title"] = title or document["title"]
    shape = RETIRED.get(body.get("machineShape"), body.get("machineShape"))
    gpu = bool(body.get("enableGpu")) or str(shape).startswith("Nvidia")
    error = _no_session(service, gpu)
    if fault and fault.kind == faults.ERROR:
        error = fault.details.get("message", "Maximum batch GPU session count of 2 reached.")
    if error:
        return {"error": error}
    if fault and fault.kind == faults.INTERNET_ON:
        body = body | {"enableInternet": True}
    sources, invalid = _attach(service, f"{owner}/{slug}", body, fault)
    order = sum(len(each["versions"]) for _, _, each in service.store.kernels())
    version = {
        **{"number": len(document["versions"]) + 1, "order": order, "created": now()},
        **{"status": "QUEUED", "failure": None, "seconds": 0.0, "gpu": gpu},
        **{name: body.get(name) for name in ("isPrivate", "enableGpu", "enableTpu", "enableInternet", "dockerImage", "categoryIds")},
        **{"machineShape": shape, "sessionTimeoutSeconds": body.get("sessionTimeoutSeconds"), "sources": sources},
    }
    folder = service.store.kernel_folder(owner, slug) / str(version["number"])
    folder.mkdir(parents=True)
    (folder / "source").write_text(body["text"], encoding="utf-8", newline="")
    document["versions"].append(version)
    service.store.save_kernel(owner, slug, document)
    service.unlisted["kernel", owner, slug] = service.polls_until_listed
    made = {"ref": f"/{owner}/{slug}", "url": f"https://www.kaggle.com/code/{owner}/{slug}", "kernelId": document["id"]}
    return made | {"versionNumber": version["number"]} | invalid


def _identity(service, body):
    """Owner and slug of the kernel that is pushed, by number or by name."""
    if body.get("id"):
        known = {document["id"]: (owner, slug) for owner, slug, document in service.store.kernels()}
        if body["id"] not in known:
            raise Refusal(404, f"no kernel of number {body['id']}")
        return known[body["id"]]
    owner, _, slug = body["slug"].lower().rpartition("/")
    owner = owner or service.acting
    if owner != service.acting:
        raise Refusal(403, "Permission 'kernels.save' was denied")
    return owner, slug


def _no_session(service, gpu):
    """Why no session can be had, or None."""
    if not gpu:
        return None
    running = sum(each["gpu"] and each["status"] in ALIVE for _, _, document in service.store.kernels() for each in document["versions"])
    if running >= service.gpu_sessions:
        return f"Maximum batch GPU session count of {service.gpu_sessions} reached."
    if service.gpu_seconds_used() >= service.gpu_hours * 3600:
        return f"Maximum weekly GPU quota of {service.gpu_hours:.2f} hours reached."
    return None


def _attach(service, ref, body, fault):
    """{kind: {"owner/slug" or slug: version}} of the sources that can be mounted, and {field: names} of the others."""
    refused = ()
    if fault and fault.kind == faults.UNKNOWN_SOURCES:
        refused = fault.details.get("sources") or [source for asked, _ in KINDS.values() for source in body.get(asked, ())]
    attached, invalid = {}, {}
    for kind, (asked, unknown) in KINDS.items():
        found = {source: _version_of(service, ref, kind, source) for source in body.get(asked, ()) if source not in refused}
        attached[kind] = {_unversioned(kind, source): version for source, version in found.items() if version is not None}
        wrong = [source for source in body.get(asked, ()) if found.get(source) is None]
        if wrong:
            invalid[unknown] = wrong
    return attached, invalid


def _unversioned(kind, source):
    return "/".join(source.split("/")[: 1 if kind == "competition" else 2])


def _version_of(service, ref, kind, source):
    """The version of a source that a session would mount, None for a source that there is not."""
    if kind == "competition":
        return 1 if source in service.competitions else None
    owner, slug, *rest = source.split("/")
    if kind == "dataset":
        document = service.store.dataset(owner, slug)
        usable = [each["number"] for each in document["versions"]] if document else []
        if service.dataset_polls.get((owner, slug)):
            usable = usable[:-1]  # the latest is not ready
    elif kind == "kernel":
        document = service.store.kernel(owner, slug)
        usable = [each["number"] for each in document["versions"] if each["status"] == "COMPLETE"] if document else []
        if f"{owner}/{slug}" == ref and not service.own_output_as_source:
            usable = []
    else:
        usable = []
    wanted = int(rest[0]) if rest else max(usable, default=None)
    return wanted if wanted in usable else None


def _found(service, body):
    """Owner, slug, document and latest version of the kernel asked for, whatever version was named."""
    owner, slug = body.get("userName", ""), body.get("kernelSlug", "").split("/")[0]
    document = service.store.kernel(owner, slug)
    if document is None:
        raise _denied()
    return owner, slug, document, document["versions"][-1]


def _denied():
    return Refusal(403, "Permission 'kernels.get' was denied")


def get_kernel(service, body, fault):
    """Source and metadata of the latest version that is listed yet, with the sources that were really attached.

    A version that is named (`owner/slug/2`) is refused, the latest one too.
    """
    owner, slug, document, version = _found(service, body)
    if "/" in body["kernelSlug"] or body.get("versionLabel"):
        raise _denied()
    if service.still_unlisted("kernel", owner, slug):
        if len(document["versions"]) < 2:
            raise _denied()
        version = document["versions"][-2]
    source = service.store.kernel_folder(owner, slug) / str(version["number"]) / "source"
    kept = ("isPrivate", "enableGpu", "enableTpu", "enableInternet", "dockerImage", "machineShape", "categoryIds")
    kept = [name for name in kept if service.tells_machine or name not in MACHINE]
    metadata = {name: version[name] for name in kept if version.get(name) is not None}
    metadata |= {asked: list(version["sources"][kind]) for kind, (asked, _) in KINDS.items()}
    metadata |= {"id": document["id"], "ref": f"{owner}/{slug}", "title": document["title"], "author": owner, "slug": slug}
    metadata |= {"currentVersionNumber": version["number"]}
    kind = {"language": document["language"], "kernelType": document["kernelType"]}
    return {"metadata": metadata | kind, "blob": kind | {"source": source.read_text(encoding="utf-8"), "slug": slug}}


def list_kernels(service, body, fault):
    """The kernels, the last pushed first; a `search` keeps those whose name holds it."""
    kept = [
        (document["versions"][-1], owner, slug, document["title"])
        for owner, slug, document in service.store.kernels()
        if body.get("search", "") in slug and body.get("user") in (None, "", owner)
    ]
    kept.sort(key=lambda each: each[0]["order"], reverse=True)
    found = [
        {"ref": f"{owner}/{slug}", "title": title, "author": owner, "lastRunTime": version["created"]}
        for version, owner, slug, title in kept
    ]
    size = body.get("pageSize") or 20
    # Pages are asked for by token or by number.
    token = body.get("pageToken") or str((body.get("page", 1) - 1) * size)
    chosen, following = page(found, {"pageToken": token, "pageSize": size})
    return {"kernels": chosen, "nextPageToken": following or ""}


def get_kernel_session_status(service, body, fault):
    """How the latest version stands, whatever version is asked for."""
    *_, version = _found(service, body)
    if fault and fault.kind == faults.ERROR:
        return {"status": "ERROR", "failureMessage": fault.details.get("message", "Your notebook tried to allocate more memory")}
    return {"status": version["status"], "failureMessage": version["failure"]}


def list_kernel_session_output(service, body, fault):
    """Names and addresses of what a session left, and its log."""
    owner, slug, _, version = _found(service, body)
    folder = service.store.kernel_folder(owner, slug) / str(version["number"])
    lost = fault.details.get("name") if fault and fault.kind == faults.LOST_FILE else None
    chosen, following = page([each for each in files_below(folder / "output") if each[0] != lost], body)
    files = [{"fileName": name, "url": service.url(faults.OUTPUT, owner, slug, version["number"], name)} for name, _ in chosen]
    log = folder / "log.json"
    return {"files": files, "log": log.read_text(encoding="utf-8") if log.exists() else "", "nextPageToken": following}


def list_kernel_files(service, body, fault):
    """Names and sizes of what a session left."""
    owner, slug, _, version = _found(service, body)
    chosen, following = page(files_below(service.store.kernel_folder(owner, slug) / str(version["number"]) / "output"), body)
    files = [{"name": name, "size": path.stat().st_size, "creationDate": version["created"]} for name, path in chosen]
    return {"files": files, "nextPageToken": following}


def get_accelerator_quota_statistics(service, body, fault):
    """Hours of the week used and allowed."""
    gpu = {"timeUsed": f"{service.gpu_seconds_used():.0f}s", "totalTimeAllowed": f"{service.gpu_hours * 3600:.0f}s"}
    tpu = {"timeUsed": "0s", "totalTimeAllowed": "72000s"}
    return {"quotaRefreshTime": service.quota_refresh, "gpuQuota": gpu, "tpuQuota": tpu}


def log_text(lines):
    """A session's log as the service stores it, of [(seconds, line)]."""
    return json.dumps([{"stream_name": "stdout", "time": round(seconds, 3), "data": f"{line}\n"} for seconds, line in lines])


METHODS = {
    "SaveKernel": save_kernel,
    "GetKernel": get_kernel,
    "ListKernels": list_kernels,
    "GetKernelSessionStatus": get_kernel_session_status,
    "ListKernelSessionOutput": list_kernel_session_output,
    "ListKernelFiles": list_kernel_files,
    "GetAcceleratorQuotaStatistics": get_accelerator_quota_statistics,
}
