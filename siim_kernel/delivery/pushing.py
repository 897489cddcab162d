"""A staged kernel folder is pushed once: what it needs is asked for before, what Kaggle made of it is read back after.

A chain of sessions (a training that goes on) alternates between two slugs, since a kernel is never its own source.
"""

import datetime
import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from siim_kernel.delivery.fetching import COMPLETE, RUNNING
from siim_kernel.delivery.kernel_folders import METADATA, read_metadata
from siim_kernel.delivery.metadata import kernel_faults, require
from siim_kernel.delivery.quota import AT_ONCE, require_fits
from siim_kernel.errors import DeliveryError

LONGEST_SESSION = 13  # hours; a kernel that ran last longer ago does not run any more
SOURCES = ("dataset_sources", "kernel_sources", "competition_sources", "model_sources")
OTHER = "-b"  # suffix of the second slug of a chain
ARRIVAL = (2, 5, 15, 30)  # seconds between the questions whether a cut push arrived
MOST_VERSIONS = 1024


@dataclass(frozen=True)
class Pushed:
    """A version of a kernel on Kaggle, read back: `owner/slug`, its number (None where it could not be found out), its page."""

    ref: str
    version: int | None
    url: str


def push(client, folder, say=print, hours=1.0, work=None):
    """Pushes a staged kernel folder, once; returns `Pushed` when Kaggle holds it as it was sent, with all its sources attached.

    hours  of GPU that the session will take at most; so much of the week's quota must be left
    work   `quota.Work` of the fold that a training kernel trains: it must be able to finish in a chain of such sessions

    Raises DeliveryError before anything is sent where the folder breaks a rule, a source is not there or not ready, the kernel runs
    already, or no GPU session or quota is left; and after it where Kaggle refused it, or holds something else.
    """
    folder = Path(folder)
    fields = read_metadata(folder)
    ref = fields["id"]
    require(kernel_faults(fields, folder), str(folder / METADATA))
    stamp = uuid.uuid4().hex
    _stamp(folder / fields["code_file"], stamp)
    require(kernel_faults(fields, folder), str(folder / METADATA))
    require(unready_sources(client, fields), f"the sources of {ref}")
    if client.kernel_status(ref)[0] in RUNNING:
        raise DeliveryError(
            f"{ref} is running; a second session of it could not be followed. Wait (siim-kernel status {ref}), or cancel it"
        )
    if uses_gpu(fields):
        require_gpu(client, hours, say, work)

    answer = client.run(["kernels", "push", "-p", folder])
    said = re.search(r"Kernel version (\d+) successfully pushed\. +Please check progress at (\S+)", answer.out)
    url = said[2] if said else f"https://www.kaggle.com/code/{ref}"
    if refused := re.search(r"Kernel push error: (.*)", answer.out):
        raise DeliveryError(f"Kaggle refused {ref}: {refused[1].strip()}")
    if not said:
        say(f"kaggle did not confirm the push ({answer.reason}); asking whether it arrived")
    there = _read_back(client, ref, stamp, said and said[1])
    if there is None:
        what = f"version {said[1]} was confirmed, but cannot be read back" if said else "nothing arrived"
        raise DeliveryError(f"{ref}: {what}: {answer.reason}. Look at {url} before you push again")
    version = int(said[1]) if said else newest_version(client, ref)
    if wrong := differences(fields, there):
        wrong += re.findall(r"^The following are not valid.*", answer.out, re.MULTILINE)
        raise DeliveryError(f"{ref}: version {version} is not what was pushed: {'; '.join(wrong)}. Cancel it at {url}, and push again")
    internet = "on" if there["enable_internet"] else "off"
    say(f"{ref}: version {version or '(number not known)'} is there as pushed, internet {internet}: {url}")
    return Pushed(ref, version, url)


def unready_sources(client, fields):
    """The sources that Kaggle could not attach, a sentence each."""
    wrong = []
    for ref in fields.get("dataset_sources", ()):
        state = client.dataset_status("/".join(ref.split("/")[:2]))
        if state is None:
            wrong.append(f"dataset {ref} is not there, or not to be seen with this token; publish it")
        elif state.status != "ready":
            wrong.append(f"dataset {ref} is {state.status!r}; wait until it is ready")
    for ref in fields.get("kernel_sources", ()):
        status, failure = client.kernel_status("/".join(ref.split("/")[:2]))
        if status is None:
            wrong.append(f"kernel {ref} is not there; push it first")
        elif status != COMPLETE:
            wrong.append(f"kernel {ref} is {status}{f' ({failure})' if failure else ''}; its output can be attached when it is COMPLETE")
    hidden = [ref for ref in fields.get("competition_sources", ()) if not _may_see(client, ref)]
    return wrong + [f"competition {ref} is not to be seen; accept its rules on its page" for ref in hidden]


def uses_gpu(fields):
    """Whether a session of a kernel with these fields costs GPU quota."""
    return str(fields.get("enable_gpu", "")).lower() == "true" or str(fields.get("machine_shape") or "").startswith("Nvidia")


def require_gpu(client, hours, say=print, work=None):
    """DeliveryError where no GPU session is free, less than `hours` of the week's quota is left, or `work` cannot be finished so."""
    running, quota = running_gpu(client), client.quota()
    names = "no word of the sessions" if running is None else f"{len(running)} of {AT_ONCE} sessions run {', '.join(running)}".rstrip()
    left = f"{quota.left:.1f} of {quota.allowed:.0f} h are left until {quota.refresh or 'next week'}" if quota else "no word of the quota"
    say(f"GPU: {names}; {left}")
    require_time(hours, work, say, left=quota and quota.left, running=len(running or ()))


def require_time(hours, work=None, say=print, **there):
    """`quota.require_fits` of a kernel that may go on in another session; `say` tells where it has to."""
    sessions = require_fits(hours, work, chained=True, **there)
    if sessions and sessions > 1:
        say(f"from its beginning that is a chain of {sessions} sessions of {hours:g} h: push the same again when one is done")


def running_gpu(client):
    """The kernels of the token's owner that hold a GPU session now (those of the browser's editor are not to be seen); None unknown."""
    rows = client.own_kernels()
    if rows is None:
        return None
    recent = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=LONGEST_SESSION)
    refs = [row["ref"].strip("/") for row in rows if (ran := _time(row.get("lastRunTime"))) is None or ran > recent]
    alive = [ref for ref in refs if client.kernel_status(ref)[0] in RUNNING]
    return [ref for ref in alive if uses_gpu(client.kernel_fields(ref) or {})]


def differences(sent, there):
    """What Kaggle holds otherwise than it was sent, a sentence each; both are fields of kernel-metadata.json."""
    wrong = []
    for name in ("enable_internet", "is_private"):
        if name in sent and str(sent[name]).lower() != str(there.get(name)).lower():
            wrong.append(f"{name} is {there.get(name)} instead of {sent[name]}")
    for name in SOURCES:
        attached = {_bare(source) for source in there.get(name) or ()}
        wrong += [f"{source} of {name} is not attached" for source in sent.get(name) or () if _bare(source) not in attached]
    if uses_gpu(sent) and not uses_gpu(there):
        wrong.append("it has no GPU")
    return wrong


def newest_version(client, ref):
    """The number of a kernel's newest version, found by asking for versions; None where Kaggle does not tell them apart."""
    there, beyond = 0, 1
    while client.kernel_fields(ref, beyond) is not None:
        there, beyond = beyond, beyond * 2
        if there >= MOST_VERSIONS:
            return None
    while beyond - there > 1:
        middle = (there + beyond) // 2
        if client.kernel_fields(ref, middle) is not None:
            there = middle
        else:
            beyond = middle
    return there or None


def next_in_chain(client, ref):
    """(suffix of the slug to push, source to go on from or None) for a training whose first session is the kernel `ref`.

    The newest complete session is the source, and the other slug is pushed. Raises DeliveryError while one of the two runs.
    """
    slugs = {suffix: f"{ref}{suffix}" for suffix in ("", OTHER)}
    status = {suffix: client.kernel_status(slug)[0] for suffix, slug in slugs.items()}
    running = [slugs[suffix] for suffix in slugs if status[suffix] in RUNNING]
    if running:
        raise DeliveryError(f"{running[0]} is running; go on when it is done: siim-kernel status {running[0]}")
    complete = [suffix for suffix in slugs if status[suffix] == COMPLETE]
    if not complete:
        return "", None
    complete.sort(key=lambda suffix: _pushed_at(client.kernel_fields(slugs[suffix])), reverse=True)
    newest = complete[0]
    return OTHER if newest == "" else "", slugs[newest]


def newest_in_chain(client, ref):
    """The slug of a chain (its first session is the kernel `ref`) that was pushed last; `ref` where none was."""
    pushed = {slug: _pushed_at(fields) for slug in (ref, ref + OTHER) if (fields := client.kernel_fields(slug))}
    return max(pushed, key=pushed.get, default=ref)


def _read_back(client, ref, stamp, version):
    """The fields that Kaggle holds of the version with this stamp, the newest or that of number `version`; None where there is none."""
    for wait in (*ARRIVAL, None):
        for number in (None, version) if version else (None,):
            there = client.kernel_fields(ref, number)
            if there and stamp in there["source"]:
                return there
        if wait is not None:
            client.sleep(wait)
    return None


def _stamp(path, stamp):
    """Ends the code with a comment that no other push has, by which this one is recognised, and which says when it was."""
    line = f"# pushed {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC, {stamp}\n"
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        path.write_text(f"{text.rstrip()}\n\n{line}", encoding="utf-8")
        return
    notebook = json.loads(text)
    last = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    last["source"] = "".join(last["source"]).rstrip() + f"\n\n{line}"
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _pushed_at(fields):
    """When a version was pushed, as its stamp says; "" for one that was not pushed from here."""
    found = re.findall(r"# pushed (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", (fields or {}).get("source", ""))
    return max(found, default="")


def _bare(source):
    """A source as `owner/slug`, or a competition as its slug, in small letters, without version and without the prefixes of a pull."""
    parts = source.lower().strip("/").split("/")
    parts = parts[1:] if parts[0] in ("datasets", "code", "c", "competitions", "models") and len(parts) > 1 else parts
    return "/".join(parts[:2]) if len(parts) < 4 else "/".join(parts)


def _may_see(client, competition):
    return client.ask(["competitions", "files", competition, "--format", "json"], lambda out: True, absent=(False,))


def _time(text):
    try:
        time = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
