"""A version of the inference kernel is submitted, at most once, and its score read back."""

import datetime
import re

from siim_kernel.delivery.client import after_sending
from siim_kernel.delivery.fetching import COMPLETE, RUNNING
from siim_kernel.errors import DeliveryError

FILE = "submission.csv"
PENDING, FAILED = "PENDING", "ERROR"
POLL, LONGEST_POLL = 30, 600  # seconds between two questions
PATIENCE = 12 * 3600  # seconds; the rerun has 9 hours
ARRIVAL = (2, 5, 15, 30)  # seconds between the questions whether a submission is in the list
_MARK = re.compile(r"\[[^\[\]\s]+/[^\[\]\s]+ v\d+\]")
SAFE = "The same command again is safe: it looks for this submission first"


def version_of(client, ref, version, pushes, say=print):
    """The version of the kernel `ref` to submit: `version`, or the newest one (None), by what was pushed from here (`Pushes`).

    Raises DeliveryError where the newest is not known, there is no such version, or the newest, if that is what is submitted, is not
    complete, left no `submission.csv`, or has the internet on. Of older versions Kaggle tells none of these.
    """
    fields = client.kernel_fields(ref)
    if fields is None:
        raise DeliveryError(f"{ref} is not on Kaggle, or not to be seen with this token just now; nothing was submitted")
    known = pushes.find(fields["source"])
    newest = known and known.number
    if version is None and newest is None:
        raise DeliveryError(
            f"the number of the newest version of {ref} is not known here: it was not pushed from this checkout, or the answer was lost. "
            f"Give it, as https://www.kaggle.com/code/{ref} shows it (Version N): siim-kernel submit N"
        )
    if newest is None:
        say(f"which version of {ref} is the newest is not known here, so whether version {version} is complete is not asked")
    elif version is not None and version > newest:
        raise DeliveryError(f"{ref} has no version {version} that is known here: the newest is {newest}, pushed {known.when} UTC")
    elif version is not None and version < newest:
        say(f"version {version} of {ref} is not the newest ({newest}), of which alone Kaggle tells whether it is complete: not asked")
    else:
        if str(fields.get("enable_internet")).lower() == "true":
            raise DeliveryError(f"{ref}: version {newest} has the internet on, and the competition takes it only without; push it again")
        _require_output(client, ref)
    return version or newest


def submit(client, ref, version, record, competition, message="siim-kernel", again=False, say=print):
    """Submits version `version` of the kernel `ref`; returns its row in the list of submissions, which `record` (a `Record`) keeps.

    The description ends with the kernel and version, by which it is found in the list again: a version that stands there already is
    not submitted a second time, unless `again`. Nothing is sent a second time here; after a lost answer the list tells. Where the list
    shows another description than was sent, the one new submission is taken.

    Raises DeliveryError before anything is spent where no submission is left today; where Kaggle refused it; and where it cannot be
    told whether, or as which of several, it arrived.
    """
    mark = f"[{ref} v{version}]"
    before = client.submissions(competition)
    if not again and (row := _earlier(client, competition, mark, before, record, say)):
        failed = "; it ended as an error, and --again submits it once more" if row["status"] == FAILED else ""
        say(f"version {version} of {ref} was submitted already, on {row['date']}; it is not submitted again{failed}")
        record.write(row)
        return row
    left = client.submissions_left(competition)
    if left is not None and left < 1:
        raise DeliveryError(f"{competition}: no submission is left today; the day ends at 00:00 UTC, in {_until_midnight()}")
    say(f"submitting version {version} of {ref}; {'?' if left is None else left} submissions are left today")

    kernel = ["-k", ref, "-v", version, "-f", FILE, "-m", f"{message} {mark}"]
    record.attempt(before)
    answer = client.run(["competitions", "submit", competition, *kernel])
    with after_sending(f"{competition}: {mark} was sent and may be spent, but the list of submissions cannot be read. {SAFE}"):
        found = _new(client, competition, mark, {row["ref"] for row in before}, record)
    if row := _the_one(found, mark, say):
        if answer.code:
            say(f"kaggle did not confirm it ({answer.reason}), but it is in the list")
        record.write(row)
        return row
    if answer.code == 0 and answer.out.strip():
        raise DeliveryError(
            f"Kaggle answered {answer.out.strip()!r}, but the list of submissions has none of {mark}. It was sent and may be spent: look "
            f"there before you try again. {SAFE}"
        )
    page = f"Or submit the version on its page: https://www.kaggle.com/code/{ref}"
    if answer.refused:
        record.remove()
        raise DeliveryError(f"{competition}: not submitted: {answer.reason}. {page}")
    raise DeliveryError(
        f"{competition}: {mark} is not confirmed: {answer.reason}. The list of submissions has none of it, but it was sent and may be "
        f"spent: look there before you try again. {SAFE}. {page}"
    )


def score(client, competition, submitted, say=print, patience=PATIENCE):
    """Waits until a row of the list of submissions has its score, and returns the row as it then is.

    Raises DeliveryError where Kaggle could not score it, and after `patience` seconds.
    """
    waited, pause = 0, POLL
    while True:
        with after_sending(f"submission {submitted['ref']} of {competition} is there, but its score cannot be read. {SAFE}"):
            found = [row for row in client.submissions(competition) if row["ref"] == submitted["ref"]]
        if not found:
            raise DeliveryError(f"submission {submitted['ref']} of {competition} is no longer in the list of submissions")
        row = found[0]
        if row["status"] == FAILED:
            raise DeliveryError(
                f"submission {row['ref']} ({row['description']}) ended as an error, and Kaggle shows why on the competition's page "
                "(My Submissions) alone. Most often the rerun on the hidden films stopped or wrote another file. The same version can be "
                "tried once more with --again, which spends another submission"
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


def _earlier(client, competition, mark, rows, record, say):
    """The row of this version among `rows`, or one that an attempt of before has left since; None where there is none."""
    told = record.read()
    found = [row for row in rows if mark in str(row["description"]) or row["ref"] == told.get("ref")]
    if found or "known" not in told:
        return found[0] if found else None
    say(f"an attempt to submit {mark} on {told['attempted']} was not confirmed; asking whether it has arrived since")
    return _the_one(_new(client, competition, mark, set(told["known"]), record), mark, say)


def _new(client, competition, mark, known, record):
    """The rows that may be a submission sent just now, those that were `known` before apart: the one with its mark, else all unmarked."""
    for wait in (*ARRIVAL, None):
        new = [row for row in client.submissions(competition) if row["ref"] not in known]
        if marked := [row for row in new if mark in str(row["description"])]:
            return marked[:1]
        if wait is not None:
            client.sleep(wait)
    others = record.others()
    return [row for row in new if row["ref"] not in others and not _MARK.search(str(row["description"]))]


def _the_one(rows, mark, say):
    """The only one of some rows, None of none. DeliveryError, which names them, for several."""
    if len(rows) > 1:
        told = "; ".join(f"{row['ref']} of {row['date']}: {row['description']!r}" for row in rows)
        raise DeliveryError(
            f"{mark} may be any of these new submissions, none of which carries its mark: {told}. Nothing more was submitted. Under My "
            "Submissions each shows its kernel version and its score; --again submits the version once more"
        )
    if rows and mark not in str(rows[0]["description"]):
        shown = f"though the list describes it as {rows[0]['description']!r}"
        say(f"submission {rows[0]['ref']} is taken for {mark}: it is the only new one, {shown}")
    return rows[0] if rows else None


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
