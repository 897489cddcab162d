"""A staged folder becomes a version of a Kaggle dataset, and what arrived is compared with what was sent."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.delivery.client import after_sending
from siim_kernel.errors import DeliveryError
from siim_kernel.hashes import DATASET_METADATA, HASHES, verify_hashes

FAILED = ("failed", "deleted")
POLL, LONGEST_POLL = 5, 60  # seconds between two questions
PATIENCE = 3600  # seconds that Kaggle may take to unpack a version
ARRIVAL = 120  # seconds in which a version shows up whose upload was cut
CONTENTS = 2e9  # bytes up to which a dataset is downloaded again, and the hashes of all its files compared
UPLOAD = 12 * 3600  # seconds that an upload may take


@dataclass(frozen=True)
class Published:
    """A dataset as it stands on Kaggle: `owner/slug`, its version, how many files; `sent` is False where it stood there already."""

    ref: str
    version: int
    files: int
    sent: bool


def publish(client, folder, message="new files", say=print):
    """Makes `folder` (of `manifest.stage_dataset`) the newest version of its dataset; returns `Published`.

    Asks first whether the dataset is there (then a version is added), and whether it holds these files already (then nothing is
    sent). Asks after it, whatever the command said, for the version, the names and sizes of all files and the hash manifest, and
    downloads up to `CONTENTS` bytes again to compare the hashes.

    Raises DeliveryError with the reason where Kaggle did not take it, or with every difference where it took something else.
    """
    folder = Path(folder)
    ref = json.loads((folder / DATASET_METADATA).read_text(encoding="utf-8"))["id"]
    expected = expected_files(folder)
    before = _settled(client, ref, say)
    if before and before.status not in ("ready", *FAILED):
        raise DeliveryError(
            f"{ref}: version {before.version} is still {before.status!r} after {PATIENCE / 3600:.0f} h, and Kaggle takes no other "
            "meanwhile; nothing was sent. Run the same command again later"
        )
    if before and before.status == "ready" and not differences(client, ref, folder, expected):
        say(f"{ref} holds these files already, as version {before.version}; nothing was sent")
        return Published(ref, before.version, len(expected), False)

    say(f"{'a new version of' if before else 'creating'} {ref}: {len(expected)} files, {sum(expected.values()) / 1e6:.1f} MB")
    if before:
        answer = client.run(["datasets", "version", "-p", folder, "-r", "zip", "-m", message], timeout=UPLOAD)
    else:
        answer = client.run(["datasets", "create", "-p", folder, "-r", "zip"], timeout=UPLOAD)
    said_yes = answer.code == 0 and "is being created" in answer.out
    if not said_yes:
        say(f"kaggle did not confirm the upload ({answer.reason}); asking whether it arrived")
    again = "the same command again is safe: it compares first, and sends nothing when all is there"
    with after_sending(f"{ref}: the upload was sent and may have arrived, but Kaggle cannot be asked; {again}"):
        state = _arrived(client, ref, before.version if before else 0, PATIENCE if said_yes else ARRIVAL)
    if state is None and said_yes:
        raise DeliveryError(f"{ref}: the upload was confirmed, and no new version shows after {PATIENCE / 3600:.0f} h; {again}")
    if state is None:
        late = "" if answer.refused or "error:" in answer.out else "; it may have arrived all the same, and not show yet"
        raise DeliveryError(f"{ref}: nothing new arrived: {answer.reason}{late}. Run the same command again: it compares first")
    if state.status not in ("ready", *FAILED):
        raise DeliveryError(f"{ref}: version {state.version} exists, still {state.status!r} after {PATIENCE / 3600:.0f} h; {again}")
    if state.status != "ready":
        raise DeliveryError(f"{ref}: version {state.version} is {state.status!r} instead of ready; look at the dataset's page")
    with after_sending(f"{ref}: version {state.version} is ready, but cannot be compared with what was sent; {again}"):
        wrong = differences(client, ref, folder, expected)
    if wrong:
        told = "" if said_yes else f" (kaggle said: {answer.reason})"
        raise DeliveryError(f"{ref}: version {state.version} is not what was sent{told}: {'; '.join(wrong)}. Run the same command again")
    compared = "names and sizes" if sum(expected.values()) > CONTENTS else "names, sizes and hashes"
    say(f"{ref}: version {state.version} is ready, {len(expected)} files as sent ({compared} compared)")
    return Published(ref, state.version, len(expected), True)


def expected_files(folder):
    """{path in the dataset: bytes} of a staged folder, as its hash manifest says, the manifest itself included."""
    path = Path(folder) / HASHES
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {name: file["bytes"] for name, file in files.items()} | {HASHES: path.stat().st_size}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeliveryError(f"{path} is not a hash manifest: {error!r}; stage the folder again") from None


def differences(client, ref, folder, expected):
    """What of a dataset's newest version is not as in the staged `folder`, a sentence each; empty where all is.

    Where the list of files lacks nothing but some in sub-folders, the files as they are downloaded decide.
    """
    there = client.dataset_files(ref)
    missing = sorted(expected.keys() - there.keys())
    unlisted = missing if all("/" in name for name in missing) and sum(expected.values()) <= CONTENTS else []
    wrong = [f"{name} is missing" for name in missing if name not in unlisted]
    wrong += [f"{name} should not be there" for name in sorted(there.keys() - expected.keys())]
    same = sorted(expected.keys() & there.keys())
    wrong += [f"{name} has {there[name]} bytes instead of {expected[name]}" for name in same if there[name] != expected[name]]
    if not wrong and client.dataset_file(ref, HASHES) != (Path(folder) / HASHES).read_bytes():
        wrong.append(f"{HASHES} has other hashes")
    if wrong or sum(expected.values()) > CONTENTS:
        return wrong
    with tempfile.TemporaryDirectory(prefix="siim-kernel-") as copy:
        client.dataset_copy(ref, copy)
        try:
            verify_hashes(copy)
        except DeliveryError as error:
            return [line.removeprefix("- ") for line in str(error).splitlines()[1:]]
    return []


def _settled(client, ref, say):
    """The dataset's state once Kaggle is not at work on it (it refuses a new version meanwhile); None where it is not there."""
    state = client.dataset_status(ref)
    waited, pause = 0, POLL
    while state and state.status not in ("ready", *FAILED) and waited < PATIENCE:
        say(f"{ref}: version {state.version} is {state.status}; waiting")
        client.sleep(pause)
        waited, pause = waited + pause, min(pause * 2, LONGEST_POLL)
        state = client.dataset_status(ref)
    return state


def _arrived(client, ref, before, patience):
    """The state of a version newer than `before` once it is ready or failed, or as it is after `patience` seconds; None without one."""
    waited, pause = 0, POLL
    while True:
        state = client.dataset_status(ref)
        new = state is not None and state.version > before
        if (new and state.status in ("ready", *FAILED)) or waited >= patience:
            return state if new else None
        client.sleep(pause)
        waited, pause = waited + pause, min(pause * 2, LONGEST_POLL)
        if new:
            patience = PATIENCE
