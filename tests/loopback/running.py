"""Pushed kernels, run as Kaggle would run them: their sources mounted, their outputs kept, submitted ones run on the hidden set."""

import functools
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.delivery import rehearsal
from siim_kernel.errors import SiimKernelError
from tests.loopback import competitions
from tests.loopback.kernels import log_text

# Where a source is mounted: until 2025, in pushes since, and where kernels have kept their old place.
LAYOUTS = {
    "old": {"dataset": "{slug}", "kernel": "{slug}", "competition": "{slug}"},
    "new": {"dataset": "datasets/{owner}/{slug}", "kernel": "notebooks/{owner}/{slug}", "competition": "competitions/{slug}"},
    "mixed": {"dataset": "datasets/{owner}/{slug}", "kernel": "{slug}", "competition": "competitions/{slug}"},
}
CODE_FILES = {"script": "script.py", "notebook": "__notebook__.ipynb"}


@dataclass(frozen=True)
class Outcome:
    """How a session went; a `rehearsal.Rehearsal` says the same and more."""

    ok: bool
    outcome: str = ""
    seconds: float = 1.0
    log: Path | None = None


def pretend(files=None, failure="", seconds=1.0, lines=()):
    """A runner that runs nothing: it leaves `files` (name -> text or bytes), and fails where `failure` says why."""

    def runner(kernel_folder, input_dir, working_dir):
        for name, content in (files or {}).items():
            target = Path(working_dir) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        log = Path(working_dir).with_name("log")
        log.write_text("\n".join(lines), encoding="utf-8")
        return Outcome(not failure, failure, seconds, log)

    return runner


def run_queued(service, runner=None, layout="new", only=None):
    """Runs the queued versions one after the other, those pushed first before; then what was submitted, on the hidden set.

    runner  called with the kernel's folder, the input and the working folder; gives `ok`, `outcome`, `seconds` and `log`
    layout  one of `LAYOUTS`
    only    "owner/slug" of the one kernel to run

    Returns [(ref, version number, status)].
    """
    done = []
    while (chosen := _next(service, only)) is not None:
        owner, slug, number = chosen
        mark(service, owner, slug, number, status="RUNNING")
        place = service.store.kernel_folder(owner, slug) / str(number)
        # Whatever goes wrong here, the version is not left running for ever.
        result = {"status": "ERROR", "failure": "the runner broke", "seconds": 0.0, "log": log_text(())}
        try:
            result = _session(service, owner, slug, number, runner, layout, {}, place / "output")
        finally:
            _end(service, owner, slug, number, result)
        done.append((f"{owner}/{slug}", number, result["status"]))
    for document in service.store.submissions():
        if document["outcome"] is None and "kernel" in document and only is None:
            _rerun(service, document, runner, layout)
    return done


def _next(service, only):
    with service.lock:
        queued = [
            (version["order"], owner, slug, version["number"])
            for owner, slug, document in service.store.kernels()
            for version in document["versions"]
            if version["status"] == "QUEUED" and only in (None, f"{owner}/{slug}")
        ]
    return min(queued)[1:] if queued else None


def _end(service, owner, slug, number, result):
    place = service.store.kernel_folder(owner, slug) / str(number)
    (place / "log.json").write_text(result["log"], encoding="utf-8")
    mark(service, owner, slug, number, **{name: result[name] for name in ("status", "failure", "seconds")})


def mark(service, owner, slug, number, **facts):
    """Changes facts of a version."""
    with service.lock:
        document = service.store.kernel(owner, slug)
        document["versions"][number - 1] |= facts
        service.store.save_kernel(owner, slug, document)


def _rerun(service, document, runner, layout):
    """A submitted version once more, with the hidden set in the competition's place."""
    competition = service.competitions[document["competition"]]
    if competition.hidden is None:
        return
    owner, slug = document["kernel"].split("/")
    output = service.store.submission_file(document["ref"]).with_suffix("")
    result = _session(service, owner, slug, document["version"], runner, layout, {competition.slug: competition.hidden}, output)
    file = output / document["fileName"]
    if result["status"] != "COMPLETE" or not file.is_file():
        found = {"status": "ERROR", "errorDescription": result["failure"] or "Submission CSV Not Found"}
    else:
        shutil.copyfile(file, service.store.submission_file(document["ref"]))
        found = competitions.outcome(competition, file)
    with service.lock:
        # Read again: its polls may have been counted meanwhile.
        latest = next(each for each in service.store.submissions() if each["ref"] == document["ref"])
        service.store.save_submission(latest | {"outcome": found})


def _session(service, owner, slug, number, runner, layout, instead, output):
    """Runs one version; its output is moved to `output`. A dict of status, failure, seconds and log."""
    document = service.store.kernel(owner, slug)
    version = document["versions"][number - 1]
    session = service.store.folder / "sessions" / f"{owner}-{slug}-{number}-{time.monotonic_ns()}"
    kernel, mounted, working = (session / name for name in ("kernel", "input", "working"))
    for folder in (kernel, mounted, working):
        folder.mkdir(parents=True)
    _write_kernel(service, kernel, owner, slug, document, version)
    for place, source in _sources(service, version, layout, instead).items():
        (mounted / place).parent.mkdir(parents=True, exist_ok=True)
        (mounted / place).symlink_to(source, target_is_directory=True)
    if runner is None:
        limits = rehearsal.Limits(seconds=version["sessionTimeoutSeconds"] or rehearsal.Limits().seconds)
        runner = functools.partial(rehearsal.rehearse, limits=limits)
    begin = time.monotonic()
    try:
        result = runner(kernel, mounted, working)
    except SiimKernelError as error:
        result = Outcome(False, str(error), time.monotonic() - begin)
    lines = result.log.read_text(encoding="utf-8").splitlines() if result.log else []
    if result.ok:
        # What a failed session leaves is not kept.
        shutil.move(working, output)
    shutil.rmtree(session)
    told = log_text([(result.seconds, line) for line in lines]) if lines else ""
    status = "COMPLETE" if result.ok else "ERROR"
    return {"status": status, "failure": None if result.ok else result.outcome, "seconds": result.seconds, "log": told}


def _write_kernel(service, folder, owner, slug, document, version):
    code = CODE_FILES[document["kernelType"]]
    source = service.store.kernel_folder(owner, slug) / str(version["number"]) / "source"
    shutil.copyfile(source, folder / code)
    metadata = {"id": f"{owner}/{slug}", "title": document["title"], "code_file": code, "language": document["language"]}
    metadata |= {"kernel_type": document["kernelType"], "enable_internet": version["enableInternet"] is not False}
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")


def _sources(service, version, layout, instead):
    """{place below the input: folder} of what a version mounts; `instead` has other folders for competitions."""
    places = LAYOUTS[layout]
    mounted = {}
    for kind, sources in version["sources"].items():
        for source, number in sources.items():
            owner, _, slug = source.rpartition("/")
            if kind == "competition":
                folder = instead.get(slug, service.competitions[slug].folder)
            elif kind == "dataset":
                folder = service.store.dataset_folder(owner, slug) / str(number)
            else:
                folder = service.store.kernel_folder(owner, slug) / str(number) / "output"
            mounted[places[kind].format(owner=owner, slug=slug)] = Path(folder).resolve()
    return mounted
