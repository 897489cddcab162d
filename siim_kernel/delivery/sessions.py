"""GPU sessions and the week's quota, asked for before one is spent."""

import datetime
from dataclasses import dataclass

from siim_kernel.delivery import kernel_folders, quota
from siim_kernel.delivery.fetching import RUNNING
from siim_kernel.delivery.pushes import pushed_at

LONGEST = 13  # hours; a kernel that ran last longer ago does not run any more


@dataclass(frozen=True)
class Session:
    """A GPU session under way: its kernel, and for how many hours more it may take."""

    ref: str
    hours: float


def uses_gpu(fields):
    """Whether a session of a kernel with these fields costs GPU quota."""
    return str(fields.get("enable_gpu", "")).lower() == "true" or str(fields.get("machine_shape") or "").startswith("Nvidia")


def require_gpu(client, hours, say=print, work=None):
    """DeliveryError where no GPU session is free, less than `hours` of the week's quota is left, or `work` cannot be finished so.

    What the sessions under way may still take counts as spent.
    """
    running, told = running_gpu(client), client.quota()
    names = "no word of the sessions"
    if running is not None:
        each = ", ".join(f"{session.ref} (up to {session.hours:.1f} h more)" for session in running)
        names = f"{len(running)} of {quota.AT_ONCE} sessions run {each}".rstrip()
    reserved = sum(session.hours for session in running or ())
    left = told and max(0.0, told.left - reserved)
    week = f"{told.left:.1f} of {told.allowed:.0f} h are left until {told.refresh or 'next week'}" if told else "no word of the quota"
    say(f"GPU: {names}; {week}" + (f", {left:.1f} h of them when these are done" if told and reserved else ""))
    require_time(hours, work, say, left=left, running=len(running or ()))


def require_time(hours, work=None, say=print, **there):
    """`quota.require_fits` of a kernel that may go on in another session; `say` tells where it has to."""
    sessions = quota.require_fits(hours, work, chained=True, **there)
    if sessions and sessions > 1:
        say(f"from its beginning that is a chain of {sessions} sessions of {hours:g} h: push the same again when one is done")


def running_gpu(client):
    """The GPU `Session`s of the token's owner now (those of the browser's editor are not to be seen); None unknown."""
    rows = client.own_kernels()
    if rows is None:
        return None
    now, found = datetime.datetime.now(datetime.UTC), []
    for row in rows:
        ref, ran = row["ref"].strip("/"), _time(row.get("lastRunTime"))
        if ran is not None and now - ran > datetime.timedelta(hours=LONGEST):
            continue
        status = client.kernel_status(ref)[0]
        fields = client.kernel_fields(ref) if status in RUNNING else None
        if fields and _takes_gpu(fields):
            begun = now if status == "QUEUED" else _time(pushed_at(fields)) or ran or now
            hours = _parameters(fields).get("MAX_HOURS") or quota.SESSION
            found.append(Session(ref, max(0.0, hours - (now - begun) / datetime.timedelta(hours=1))))
    return found


def _takes_gpu(fields):
    """Whether a running kernel holds a GPU. Where Kaggle tells of no machine at all, one of this project that keeps to hours does."""
    told = fields.get("enable_tpu") or fields.get("machine_shape")
    return uses_gpu(fields) or (not told and "MAX_HOURS" in _parameters(fields))


def _parameters(fields):
    return kernel_folders.parameters_in(fields["source"], fields.get("kernel_type", "script"))


def _time(text):
    try:
        time = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
