"""Read a running kernel's output and hold it to Kaggle's limits."""

import os
import select
import time
from dataclasses import dataclass

from siim_kernel.delivery import processes
from siim_kernel.delivery.listing import folder_bytes

GB = 10**9
MEMORY_POLL, DISK_POLL = 0.2, 2.0  # seconds
LONGEST_LINE = 1 << 16  # bytes; a longer one is cut, so that output without an end of line cannot fill the memory


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where Kaggle ends a session: seconds of run time, bytes of memory, of /kaggle/working, and of scratch space."""

    seconds: float = 12 * 3600
    memory_bytes: int = 29 * GB
    working_bytes: int = 20 * GB
    scratch_bytes: int = 50 * GB


def watch(process, limits, working, scratch, tell):
    """Follow the supervisor `process` (a Popen whose stdout is a pipe) to its end; kill its whole tree when it breaks a limit.

    `tell` gets each line of output without its end. Returns a dict: returncode, seconds, peak_bytes, working_bytes, killed.
    """
    begin = time.monotonic()
    next_memory = next_disk = begin
    peak, killed, rest = 0, "", b""
    # The pipe ends when the supervisor and everything below it has ended; a process that cannot be killed shall not hold us up.
    while (block := _read(process.stdout, MEMORY_POLL)) is not None and (block or process.poll() is None):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            tell(_text(line))

        now = time.monotonic()
        if not killed and now - begin > limits.seconds:
            killed = f"over {limits.seconds:g} s"
        if not killed and now >= next_memory:
            next_memory = now + MEMORY_POLL
            used = processes.memory(processes.descendants(process.pid))
            peak = max(peak, used)
            if used > limits.memory_bytes:
                killed = f"over {limits.memory_bytes / GB:g} GB of memory"
        if not killed and now >= next_disk:
            next_disk = now + DISK_POLL
            killed = _over_disk(limits, working, scratch)
        if killed:
            processes.kill_tree(process)
    if rest:
        tell(_text(rest))
    seconds = time.monotonic() - begin
    code = process.wait()
    return {
        "returncode": code if code >= 0 else 128 - code,
        "seconds": seconds,
        "peak_bytes": peak,
        "working_bytes": folder_bytes(working),
        "killed": killed or _over_disk(limits, working, scratch),
    }


def _read(pipe, seconds):
    """The bytes that the pipe has, b"" when none came within `seconds`, None at its end."""
    if not select.select([pipe], [], [], seconds)[0]:
        return b""
    return os.read(pipe.fileno(), LONGEST_LINE) or None


def _over_disk(limits, working, scratch):
    for folder, limit, name in ((working, limits.working_bytes, "/kaggle/working"), (scratch, limits.scratch_bytes, "scratch space")):
        if folder_bytes(folder) > limit:
            return f"over {limit / GB:g} GB in {name}"
    return ""


def _text(line):
    return line.rstrip(b"\r").decode(errors="replace")
