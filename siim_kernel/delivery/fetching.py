"""What a kernel left: waited for, downloaded beside its place, verified, and only then put there."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from siim_kernel import runs
from siim_kernel.errors import DeliveryError, RunError
from siim_kernel.hashes import HASHES, verify_hashes

RUNNING = ("QUEUED", "RUNNING", "NEW_SCRIPT", "CANCEL_REQUESTED")
COMPLETE = "COMPLETE"
POLL, LONGEST_POLL = 10, 300  # seconds between two questions
PATIENCE = 14 * 3600  # a session has 12 hours, and may be queued before
TRIES = 3
LOG_LINES = 15  # of a session that failed
LAST_WORDS = 5  # lines of one that is complete
SMALL = 64 * 1024  # bytes; an error page is smaller
TEXT = (".json", ".html", ".htm")  # what may well look like an error page


def wait(client, ref, say=print, patience=PATIENCE):
    """Asks, less and less often, until the newest version of a kernel is done. Returns nothing.

    Raises DeliveryError with the failure and the end of the log where it ended otherwise than complete, and after `patience` seconds.
    """
    waited, pause, told = 0, POLL, None
    while True:
        status, failure = client.kernel_status(ref)
        if status != told:
            say(f"{ref}: {status or 'not there'}")
            told = status
        if status == COMPLETE:
            return
        if status not in RUNNING:
            raise DeliveryError(_why(client, ref, status, failure))
        if waited >= patience:
            still = f"still {status} after {waited / 3600:.1f} h" if waited else status
            raise DeliveryError(f"{ref} is {still}; ask again later: siim-kernel status {ref}")
        client.sleep(pause)
        waited, pause = waited + pause, min(pause * 1.5, LONGEST_POLL)


def _why(client, ref, status, failure):
    if status is None:
        return f"{ref} is not on Kaggle, or not to be seen with this token; push it first"
    try:
        log = "\n".join(log_lines(client.kernel_log(ref))[-LOG_LINES:])
    except DeliveryError as error:
        log = f"(the log cannot be had: {error})"
    return f"{ref} ended as {status}{f': {failure}' if failure else ''}. The end of its log:\n{log}"


def last_words(client, ref):
    """The last lines that a complete kernel printed, and all that say "unfinished"; why the log cannot be had, where it cannot."""
    try:
        lines = [line for line in log_lines(client.kernel_log(ref)) if line.strip()]
    except DeliveryError as error:
        return [f"(the log cannot be had: {error})"]
    # What Kaggle's own conversion of a notebook prints at the end tells nothing.
    lines = [line for line in lines if not line.startswith("[Nb")]
    return [line for number, line in enumerate(lines, LAST_WORDS - len(lines)) if number >= 0 or "unfinished" in line]


def log_lines(text):
    """The lines of a kernel's log: Kaggle keeps it as JSON, [{"stream_name", "time", "data"}, ...], or as plain text."""
    try:
        entries = json.loads(text)
    except ValueError:
        return text.splitlines()
    if not isinstance(entries, list):
        return text.splitlines()
    return "".join(str(entry.get("data", "")) for entry in entries if isinstance(entry, dict)).splitlines()


def fetch(client, ref, folder, say=print):
    """Downloads what the newest version of a kernel left into `folder`, which is replaced as a whole; returns the paths.

    Names and sizes are compared with Kaggle's own list, hashes with the kernel's hash manifest and each stored run's record, and an
    error page in place of a file is found. A download that fails is made again from the start, `TRIES` times.

    Raises DeliveryError where the kernel is not complete, `folder` holds what was not fetched, or with every fault of the last try;
    `folder` is then as it was.
    """
    folder, log = Path(folder), f"{ref.split('/')[1]}.log"
    _require_replaceable(folder, log)
    status, failure = client.kernel_status(ref)
    if status in RUNNING:
        raise DeliveryError(f"{ref} is {status}; wait for it: siim-kernel status {ref}")
    if status != COMPLETE:
        raise DeliveryError(_why(client, ref, status, failure))
    listing = client.kernel_listing(ref)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(TRIES):
        # Beside its place, so that it gets there by a rename.
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            got = Path(scratch) / "output"
            got.mkdir()
            answer = client.kernel_files(ref, got)
            wrong = faults(got, listing, log) or ([] if answer.code == 0 else [answer.reason])
            if not wrong:
                paths = sorted(path.relative_to(got) for path in got.rglob("*") if path.is_file())
                _replace(got, folder)
                compared = "names, sizes and hashes" if Path(HASHES) in paths else f"names and sizes compared, it left no {HASHES}"
                say(f"{ref}: {len(paths)} files in {folder} ({compared})")
                return [folder / path for path in paths]
        if attempt < TRIES - 1:
            say(f"{ref}: the download is not whole ({'; '.join(wrong[:3])}); again")
            client.sleep(POLL)
    raise DeliveryError(f"{ref}: what came is not what the kernel left: {'; '.join(wrong)}. {folder} is as it was; run this again later")


def faults(folder, listing, log):
    """What is wrong with a downloaded output, a sentence each.

    listing  {path: bytes} as Kaggle lists it, or None
    log      name of the log, which Kaggle adds
    """
    folder = Path(folder)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    wrong = [f"{name} is {what}" for name, path in files.items() if (what := error_page(path))]
    came = files.keys() - {log}
    if not came and (listing or listing is None):
        wrong.append("no file came")
    elif listing:
        both = sorted(listing.keys() & came)
        sizes = {name: files[name].stat().st_size for name in both}
        wrong += [f"{name} did not come" for name in sorted(listing.keys() - files.keys())]
        wrong += [f"{name} has {sizes[name]} bytes instead of {listing[name]}" for name in both if sizes[name] != listing[name]]
    for place in sorted(folder.rglob(HASHES)):
        try:
            verify_hashes(place.parent, [log])
        except DeliveryError as error:
            wrong.append(str(error).replace(str(folder), "output"))
    for place in sorted({path.parent for path in folder.rglob(runs.RECORD)}):
        try:
            runs.load(place)
        except RunError as error:
            wrong.append(str(error).replace(str(folder), "output"))
    return wrong


def error_page(path):
    """What a file is that should be another thing: "Kaggle's error answer ...", "an HTML page"; "" for any other."""
    if path.stat().st_size > SMALL:
        return ""
    text = path.read_bytes().decode("utf-8", errors="replace").strip()
    if path.suffix not in TEXT and re.match(r"(?i)<(!doctype html|html)\b", text):
        return "an HTML page"
    if re.match(r"(?i)<\?xml[^>]*>\s*<error>", text):
        return "a storage server's error answer"
    try:
        content = json.loads(text)
    except ValueError:
        return ""
    keys = set(content) if isinstance(content, dict) else set()
    if keys and (keys <= {"error"} or keys <= {"code", "message", "status", "details"} and {"code", "message"} <= keys):
        return f"Kaggle's error answer {text[:120]}"
    return ""


def _require_replaceable(folder, log):
    """DeliveryError where putting an output in place of `folder` would remove what is no earlier output."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not any((folder / name).is_file() for name in (HASHES, log)):
        raise DeliveryError(f"{folder} would be replaced, and does not look like a kernel's output (no {HASHES}, no {log}); name another")


def _replace(new, folder):
    """Puts the folder `new` where `folder` is, both on one disk."""
    if not folder.exists():
        new.rename(folder)
        return
    old = new.parent / "old"
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)
