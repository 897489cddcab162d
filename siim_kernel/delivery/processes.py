"""A process and all its descendants, as /proc shows them: who they are, what memory they use, and how to end them all."""

import contextlib
import os
import signal
import time
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(pid):
    """The living descendants of `pid`, parents before children, without `pid` itself and without zombies."""
    children, zombies = {}, set()
    for each in map(int, filter(str.isdigit, os.listdir("/proc"))):
        # A process may end at any moment between the listing and the reading.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{each}/stat", "rb") as file:
            # proc(5): pid (name) state ppid ...; the name may hold blanks and brackets.
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            children.setdefault(int(parent), []).append(each)
            if state in b"ZX":
                zombies.add(each)
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return [each for each in found[1:] if each not in zombies]


def memory(pids):
    """Bytes of memory that the processes use together; a page shared by several counts once.

    That is the sum of PSS; of RSS for a process whose maps may not be read.
    """
    return sum(_memory(pid) for pid in pids)


def _memory(pid):
    folder = Path("/proc", str(pid))
    try:
        for line in (folder / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return int((folder / "statm").read_text().split()[1]) * PAGE
    return 0


def kill_descendants(pid, patience=10.0):
    """Kill every descendant of `pid` and wait until none is alive, at most `patience` seconds.

    `pid` must be a subreaper (prctl(2)), so that no descendant gets away when its parent dies.
    """
    end = time.monotonic() + patience
    while (alive := descendants(pid)) and time.monotonic() < end:
        for each in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        time.sleep(0.005)


def kill_tree(process):
    """Kill the supervisor `process` (a Popen that is a subreaper) and all its descendants; returns when it is reaped."""
    if process.poll() is None:
        # Stopped, the supervisor cannot end before its descendants and leave them to somebody else.
        process.send_signal(signal.SIGSTOP)
        kill_descendants(process.pid)
        process.kill()
    process.wait()
