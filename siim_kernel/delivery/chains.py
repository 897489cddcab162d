"""A training over several sessions: two slugs in turn, since a kernel is never its own source."""

from siim_kernel.delivery.fetching import COMPLETE, RUNNING
from siim_kernel.delivery.pushes import pushed_at
from siim_kernel.errors import DeliveryError

OTHER = "-b"  # suffix of the second slug of a chain


def next_in_chain(client, ref):
    """(suffix of the slug to push, source to go on from or None, its fields) for a training whose first session is the kernel `ref`.

    The newest complete session is the source, and the other slug is pushed. Raises DeliveryError while one of the two runs.
    """
    complete = {}
    for suffix in ("", OTHER):
        status = client.kernel_status(ref + suffix)[0]
        if status in RUNNING:
            raise DeliveryError(f"{ref}{suffix} is running; go on when it is done: siim-kernel status {ref}{suffix}")
        if status == COMPLETE:
            complete[suffix] = client.kernel_found(ref + suffix)
    if not complete:
        return "", None, None
    newest = max(complete, key=lambda suffix: pushed_at(complete[suffix]))
    return OTHER if newest == "" else "", ref + newest, complete[newest]


def newest_in_chain(client, ref):
    """The slug of a chain (its first session is the kernel `ref`) that was pushed last; `ref` where none was."""
    pushed = {slug: pushed_at(fields) for slug in (ref, ref + OTHER) if (fields := client.kernel_found(slug))}
    return max(pushed, key=pushed.get, default=ref)
