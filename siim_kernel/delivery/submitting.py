"""A version of the inference kernel is submitted, at most once, and its score read back."""

import datetime
import json
from pathlib import Path

from siim_kernel.delivery.fetching import COMPLETE, RUNNING
from siim_kernel.delivery.pushing import newest_version
from siim_kernel.errors import DeliveryError
from siim_kernel.files import write_atomically

FILE = "submission.csv"
RECORD = "submission.json"
PENDING, FAILED = "PENDING", "ERROR"
POLL, LONGEST_POLL = 30, 600  # seconds between two questions
PATIENCE = 12 * 3600  # seconds; the rerun has 9 hours
ARRIVAL = (2, 5, 15, 30)  # seconds between the questions whether a cut submission arrived


def submit(client, competition, ref, version=None, message="siim-kernel", again=False, say=print):
    """Submits version `version` (None: the newest) of the kernel `ref`; returns its row in the list of submissions.

    The description ends with the kernel and version, by which it is found in the list again: a version that stands there already is
    not submitted a second time, unless `again`. Nothing is sent a second time here; after a lost answer the list tells.

    Raises DeliveryError before anything is spent where the kernel (its newest version, if that is what is submitted) is not complete
    or left no `submission.csv`, or no submission is left today; and where Kaggle refused it.
    """
    older = version is not None and client.kernel_fields(ref, version + 1) is not None
    version = version or newest_version(client, ref)
    if version is None:
        raise DeliveryError(f"the newest version of {ref} could not be found out; give its number (the push printed it)")
    if older:
        say(f"version {version} of {ref} is not the newest, and Kaggle tells of the newest alone whether it is complete: not asked")
    else:
        _require_output(client, ref)
    mark = f"[{ref} v{version}]"
    before = client.submissions(competition)
    marked = [row for row in before if mark in str(row["description"])]
    if marked and not again:
        say(f"version {version} of {ref} was submitted already, on {marked[0]['date']}; it is not submitted again")
        return marked[0]
    left = client.submissions_left(competition)
    if left is not None and left < 1:
        raise DeliveryError(f"{competition}: no submission is left today; the day ends at 00:00 UTC, in {_until_midnight()}")
    say(f"submitting version {version} of {ref}; {'?' if left is None else left} submissions are left today")

    kernel = ["-k", ref, "-v", version, "-f", FILE, "-m", f"{message} {mark}"]
    answer = client.run(["competitions", "submit", competition, *kernel])
    known = {row["ref"] for row in before}
    for wait in (*ARRIVAL, None):
        new = [row for row in client.submissions(competition) if row["ref"] not in known and mark in str(row["description"])]
        if new:
            if answer.code:
                say(f"kaggle did not confirm it ({answer.reason}), but it is in the list")
            return new[0]
        if wait is not None:
            client.sleep(wait)
    if answer.code == 0 and answer.out.strip():
        raise DeliveryError(
            f"Kaggle answered {answer.out.strip()!r}, but the list of submissions has none of {mark}; look there before you try again"
        )
    raise DeliveryError(
        f"{competition}: not submitted: {answer.reason}. The list of submissions has none of {mark}. Look there before you try again, or "
        f"submit the version on its page: https://www.kaggle.com/code/{ref}"
    )


def score(client, competition, submitted, say=print, patience=PATIENCE):
    """Waits until a row of the list of submissions has its score, and returns the row as it then is.

    Raises DeliveryError where Kaggle could not score it, and after `patience` seconds.
    """
    waited, pause = 0, POLL
    while True:
        found = [row for row in client.submissions(competition) if row["ref"] == submitted["ref"]]
        if not found:
            raise DeliveryError(f"submission {submitted['ref']} of {competition} is no longer in the list of submissions")
        row = found[0]
        if row["status"] == FAILED:
            raise DeliveryError(
                f"submission {row['ref']} ({row['description']}) ended as an error, and Kaggle shows why on the competition's page "
                "(My Submissions) alone. Most often the rerun on the hidden films stopped or wrote another file"
            )
        if row["status"] != PENDING:
            say(f"public score {row['publicScore'] or '-'}, private score {row['privateScore'] or '-'}")
            return row
        if waited >= patience:
            raise DeliveryError(
                f"submission {row['ref']} is pending after {waited / 3600:.1f} h; the same command asks again, without submitting"
            )
        if not waited:
            say(f"submission {row['ref']} is pending; Kaggle runs the kernel on the hidden films, which may take 9 hours")
        client.sleep(pause)
        waited, pause = waited + pause, min(pause * 1.5, LONGEST_POLL)


def write(row, competition, ref, folder):
    """Writes a scored row as `submission.json` into `folder` (made if need be); returns the path."""
    kept = ("ref", "date", "description", "status", "publicScore", "privateScore")
    path = Path(folder) / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"competition": competition, "kernel": ref} | {name: row.get(name) for name in kept}
    write_atomically(path, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return path


def _require_output(client, ref):
    """DeliveryError where the kernel's newest version is not complete, or did not leave the file that is submitted."""
    status, failure = client.kernel_status(ref)
    if status in RUNNING:
        raise DeliveryError(f"{ref} is {status}; wait for it: siim-kernel status {ref}")
    if status != COMPLETE:
        raise DeliveryError(
            f"{ref} is {status or 'not there'}{f' ({failure})' if failure else ''}; push it, and submit a version that is complete"
        )
    listing = client.kernel_listing(ref)
    if listing and FILE not in listing:
        raise DeliveryError(f"{ref} left no {FILE} ({', '.join(sorted(listing)[:5])}); a submission of it would be spent in vain")


def _until_midnight():
    now = datetime.datetime.now(datetime.UTC)
    midnight = (now + datetime.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = int((midnight - now).total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60} min"
