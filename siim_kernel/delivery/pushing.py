"""A staged kernel folder is pushed once: what it needs is asked for before, what Kaggle made of it is read back after."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from siim_kernel.delivery import kernel_folders
from siim_kernel.delivery.client import after_sending
from siim_kernel.delivery.fetching import COMPLETE, RUNNING
from siim_kernel.delivery.metadata import kernel_faults, require
from siim_kernel.delivery.pushes import Push, Pushes, write_stamp
from siim_kernel.delivery.sessions import require_gpu, uses_gpu
from siim_kernel.delivery.sources import SOURCES
from siim_kernel.errors import DeliveryError

ARRIVAL = (2, 5, 15, 30)  # seconds between the questions whether a cut push arrived


@dataclass(frozen=True)
class Pushed:
    """A version of a kernel on Kaggle, read back: `owner/slug`, its number (None where it could not be found out), its page."""

    ref: str
    version: int | None
    url: str


def push(client, folder, say=print, hours=1.0, work=None, offline=True, record=None):
    """Pushes a staged kernel folder, once; returns `Pushed` when Kaggle holds it as it was sent, with all its sources attached.

    hours    of GPU that the session will take at most; so much of the week's quota must be left
    work     `quota.Work` of what a training kernel trains: it must be able to finish in a chain of such sessions
    offline  whether it must be without internet, as one that is submitted
    record   folder in which `Pushes` are kept, None to keep nothing

    Raises DeliveryError before anything is sent where the folder breaks a rule, a source is not there or not ready, the kernel runs
    already, or no GPU session or quota is left; and after it where Kaggle refused it, or holds something else.
    """
    folder = Path(folder)
    fields = kernel_folders.read_metadata(folder)
    ref, pushes = fields["id"], Pushes(record, fields["id"])
    require(kernel_faults(fields, folder, offline), str(folder / kernel_folders.METADATA))
    when, stamp = write_stamp(folder / fields["code_file"])
    require(kernel_faults(fields, folder, offline), str(folder / kernel_folders.METADATA))
    require(unready_sources(client, fields), f"the sources of {ref}")
    status = client.kernel_status(ref)[0]
    if status in RUNNING:
        raise DeliveryError(
            f"{ref} is running; a second session of it could not be followed. Wait (siim-kernel status {ref}), or cancel it"
        )
    if uses_gpu(fields):
        require_gpu(client, hours, say, work)
    sent = Push(ref, stamp, when, None, _newest(client, ref, status, pushes), kernel_folders.read_parameters(folder))
    pushes.keep(sent)

    answer = client.run(["kernels", "push", "-p", folder])
    said = re.search(r"Kernel version (\d+) successfully pushed\. +Please check progress at (\S+)", answer.out)
    url = said[2] if said else f"https://www.kaggle.com/code/{ref}"
    if refused := re.search(r"Kernel push error: (.*)", answer.out):
        raise DeliveryError(f"Kaggle refused {ref}: {refused[1].strip()}")
    if said:
        sent = replace(sent, version=int(said[1]))
        pushes.keep(sent)
    else:
        say(f"kaggle did not confirm the push ({answer.reason}); asking whether it arrived")
    arrived = f"version {said[1]} was confirmed" if said else "it may have arrived, and then it runs"
    look = f"Look at {url}, or ask siim-kernel status {ref}, before you push again: while it runs the same command is refused"
    with after_sending(f"{ref}: the push was sent and {arrived}, but it cannot be read back. {look}"):
        there = _read_back(client, ref, stamp)
    if there is None:
        late = "" if answer.refused else "; it may have arrived all the same, and not show yet"
        what = f"version {said[1]} was confirmed, but cannot be read back" if said else f"nothing arrived{late}"
        raise DeliveryError(f"{ref}: {what}: {answer.reason}. {look}")
    version = sent.number
    if wrong := differences(fields, there):
        wrong += re.findall(r"^The following are not valid.*", answer.out, re.MULTILINE)
        raise DeliveryError(f"{ref}: version {version} is not what was pushed: {'; '.join(wrong)}. Cancel it at {url}, and push again")
    number = version or "(of a number not known here: its page shows it)"
    say(f"{ref}: version {number} is there as pushed, internet {'on' if there['enable_internet'] else 'off'}: {url}")
    return Pushed(ref, version, url)


def unready_sources(client, fields):
    """The sources that Kaggle could not attach, a sentence each."""
    wrong, owner = [], fields["id"].split("/")[0].lower()
    for ref in fields.get("dataset_sources", ()):
        bare = "/".join(ref.split("/")[:2])
        if bare.split("/")[0].lower() != owner:
            # Whether it is ready Kaggle tells its owner alone.
            if not client.dataset_seen(bare):
                wrong.append(f"dataset {ref} is not there, or not to be seen with this token; look at its page")
            continue
        state = client.dataset_status(bare)
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


def differences(sent, there):
    """What Kaggle holds otherwise than it was sent, a sentence each; both are fields of kernel-metadata.json."""
    wrong = []
    for name in ("enable_internet", "is_private"):
        if name in sent and str(sent[name]).lower() != str(there.get(name)).lower():
            wrong.append(f"{name} is {there.get(name)} instead of {sent[name]}")
    for name in SOURCES:
        attached = dict(map(_parts, there.get(name) or ()))
        for source in sent.get(name) or ():
            bare, version = _parts(source)
            if bare not in attached:
                wrong.append(f"{source} of {name} is not attached")
            elif version and attached[bare] and attached[bare] != version:
                wrong.append(f"{source} of {name} is attached as version {attached[bare]}")
    # A machine that is not told may be any.
    if uses_gpu(sent) and there.get("machine_shape") and not uses_gpu(there):
        wrong.append(f"it has no GPU, its machine is {there['machine_shape']}")
    return wrong


def _newest(client, ref, status, pushes):
    """The number of a kernel's newest version before a push: 0 where there is none, None where it was not pushed from here."""
    if status is None:
        return None if len(pushes) else 0
    before = client.kernel_fields(ref)
    known = pushes.find(before["source"]) if before else None
    return known and known.number


def _read_back(client, ref, stamp):
    """The fields that Kaggle holds of the newest version once that one has this stamp; None where none has."""
    for wait in (*ARRIVAL, None):
        there = client.kernel_fields(ref)
        if there and stamp in there["source"]:
            return there
        if wait is not None:
            client.sleep(wait)
    return None


def _parts(source):
    """A source as `owner/slug`, or a competition as its slug, in small letters, without the prefixes of a pull; and its version, or ""."""
    parts = source.lower().strip("/").split("/")
    parts = parts[1:] if parts[0] in ("datasets", "code", "c", "competitions", "models") and len(parts) > 1 else parts
    if len(parts) > 3:
        return "/".join(parts), ""
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else ""


def _may_see(client, competition):
    return client.ask(["competitions", "files", competition, "--format", "json"], lambda out: True, absent=(False,))
